"""MLLM-as-a-Judge (arXiv 2402.04788)."""
