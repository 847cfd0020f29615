"""From scores to decisions: thresholds with a promise, probabilities, from labelled records."""
