"""What a program's value is worked out from: words, places, digits, pixels. Pure; no model."""
