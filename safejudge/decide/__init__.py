"""From records to decisions: judged again without a model, thresholds with a promise."""
