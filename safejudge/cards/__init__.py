"""Model cards: a run of `eval` -> what a person reads before a judge is switched on."""
