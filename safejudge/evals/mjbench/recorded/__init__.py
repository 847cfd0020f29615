"""Others' outputs on MJ-Bench, read from the files that they left."""
