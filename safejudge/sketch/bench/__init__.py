"""SketchBench: drawn scenes with exact truth, and what each stage is worth on them."""
