"""Judge Anything (arXiv 2503.17489)."""
