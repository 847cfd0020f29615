"""ProJudge (arXiv 2503.06553)."""
