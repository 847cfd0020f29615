"""The engine that asks a server which answers closed questions with probabilities."""
