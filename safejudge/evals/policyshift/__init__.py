"""The same picture under policies that differ."""
