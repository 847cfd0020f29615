"""Two generators drew the same prompts: which of them is liked better, by people or by a judge."""
