"""Checks of rules: what they say, and whether text and condition say the same."""
