"""MJ-Bench (arXiv 2407.04842)."""
