"""Distillation: a judge's answers about unlabelled images -> a relevance filter of its rules.

`labels` reads what the judge said, `choose` sets images apart and says which rules can be learned,
`learn` teaches an encoder by a `recipe`, `cut` finds below which number a rule may be skipped,
`run` does all of it and writes the filter's folder, and `tables` shows what came of it.
"""
