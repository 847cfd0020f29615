"""How good and how biased a judge is, measured."""
