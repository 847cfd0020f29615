"""Programs that settle by themselves what a model would only have an opinion of."""
