"""Paths, bytes and arrays -> the pixels a viewer sees."""
