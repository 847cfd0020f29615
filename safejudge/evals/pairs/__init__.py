"""Preference pairs of one prompt."""
