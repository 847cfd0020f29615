"""SugarCrepe (arXiv 2306.14610): a picture's caption beside one that is a little wrong."""
