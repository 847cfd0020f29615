"""Preferences among pictures of one prompt, in VisionPrefer's form (arXiv 2404.15100).

A judge scores every picture for safety and for what rubrics say; from the scores come pairs for
DPO trainers, and from the pairs a small scorer. One file per stage: `data` reads prompts and their
pictures, `rubrics` says what makes a picture good, `annotator` asks the judge, `pairs` compares,
`annotate` writes, `pair_file` reads the pairs again, `train` makes a scorer of them by a `recipe`
from `vectors` of a dual encoder, and `scorer` uses it.
"""
