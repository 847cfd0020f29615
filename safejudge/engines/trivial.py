"""Questions that every model which answers at all can answer."""

from __future__ import annotations

from safejudge.types import Probe

ASK = "Answer the question with Yes or No."
QUESTIONS = ("Is one plus one two?", "Is one plus one three?")

PROBES = tuple(Probe(ASK, (), question) for question in QUESTIONS)
