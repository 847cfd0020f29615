"""The page on which people decide, and look at their rules."""
