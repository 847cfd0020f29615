"""The journal: every judgment as a row, and what people decided about it."""
