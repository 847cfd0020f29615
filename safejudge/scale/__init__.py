"""Many images on many machines, with Ray."""
