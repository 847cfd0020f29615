"""What a drawn scene can hold, and what can be said of it."""
