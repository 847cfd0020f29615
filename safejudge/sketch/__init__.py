"""The drawn world, and the small judge of it that ships with the package."""
