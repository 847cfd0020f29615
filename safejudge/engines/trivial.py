"""Questions that every model which answers at all can answer."""

from __future__ import annotations

import numpy as np

from safejudge.types import Picture, Probe

ASK = "Answer the question with Yes or No."
QUESTIONS = ("Is one plus one two?", "Is one plus one three?")
GREY = "Is the picture grey?"

PROBES = tuple(Probe(ASK, (), question) for question in QUESTIONS)
PICTURED = Probe(ASK, (Picture.of(np.full((224, 224, 3), 128, np.uint8)),), GREY)
"""A question with a picture, to see whether the model takes any."""

STATED = {
    QUESTIONS[0]: "One plus one is two.",
    QUESTIONS[1]: "One plus one is three.",
    GREY: "The picture is grey.",
}
"""What each of them says as a statement, for models that are asked about statements alone."""
