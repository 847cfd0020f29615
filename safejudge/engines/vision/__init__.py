"""Dual encoders, zero-shot detectors, preference scorers and released score models."""
