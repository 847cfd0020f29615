"""ArtifactsBench (arXiv 2507.04952)."""
