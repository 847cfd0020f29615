"""Programs as preconditions: what they settle, no model is asked. See `README.md`."""
