"""Distillation: a judge's answers about unlabelled images -> a relevance filter of its rules.

`labels` reads what the judge said, `learn` teaches an encoder to say it beforehand, `cut` finds
below which number a rule may be skipped, `run` does all of it and writes the filter's folder.
"""
