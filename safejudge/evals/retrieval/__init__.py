"""Queries and their candidates: who meets whom, in which order (UniME-V2, arXiv 2510.13515)."""
