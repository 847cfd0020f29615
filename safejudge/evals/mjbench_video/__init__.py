"""MJ-Bench-Video: which of two videos people prefer, in five aspects and overall."""
