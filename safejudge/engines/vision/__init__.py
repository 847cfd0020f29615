"""Dual encoders, zero-shot detectors and preference scorers."""
