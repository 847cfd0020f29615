"""The method of CLUE (arXiv 2501.00192): logic, views, debiasing, cascade. Opens no model."""
