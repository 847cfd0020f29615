"""Constitutions: strict YAML -> rules, their lock, and what is wrong with them."""
