"""GIR-Bench (arXiv 2510.11026)."""
