"""A plugin for ROOST's Osprey: a file that needs nothing of this package."""
