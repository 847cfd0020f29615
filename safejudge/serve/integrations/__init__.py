"""Signals and functions for the review tools and rule engines of others; README.md says how."""
