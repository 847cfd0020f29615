"""Multimodal RewardBench (arXiv 2502.14191)."""
