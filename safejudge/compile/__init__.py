"""The compiler: rules as people write them -> conditions that a model can check, in a lock."""

ROUNDS = 4
"""Rewritings of a wording, and repairs of a tree, unless the caller says otherwise."""
