"""A judge of colours, whose engine a test holds or breaks."""

import io
import threading

import numpy as np
from PIL import Image

from safejudge import Constitution, Precondition, Rule, Severity
from safejudge.engines.fake import FakeEngine
from safejudge.types import AnswerProbs

PATIENCE = 60


def rule(name, category):
    return Rule(
        id=f"no-{name}",
        category=category,
        severity=Severity.LOW,
        text=f"No {name}.",
        objective=f"No {name}.",
        condition=Precondition(statement=f"it is {name}"),
    )


RULES = Constitution(
    name="colours", rules=(rule("red", "warm"), rule("orange", "warm"), rule("blue", "cold"))
)
COLOURS = {
    "green": (0, 255, 0),
    "red": (255, 0, 0),
    "orange": (255, 128, 0),
    "blue": (0, 0, 255),
    "fog": (128, 128, 128),
}


class Colours(FakeEngine):
    """Says of what colour a picture is; of fog it says nothing. Waits or fails as it is told."""

    def __init__(self):
        super().__init__(self._answer)
        self.begun, self.go = threading.Semaphore(0), threading.Event()
        self.go.set()
        self.broken = None

    def _answer(self, probe):
        if not probe.images:
            return AnswerProbs((0.4, 0.5))
        seen = tuple(probe.images[0].pixels[0, 0])
        if seen == COLOURS["fog"]:
            return AnswerProbs((0.45, 0.45))
        name = next(n for n, colour in COLOURS.items() if colour == seen)
        return AnswerProbs((0.98, 0.01) if f"it is {name}" in probe.question else (0.01, 0.98))

    def answer_probs(self, probes):
        self.begun.release()
        assert self.go.wait(PATIENCE)
        if self.broken is not None:
            raise self.broken
        return super().answer_probs(probes)


def png(name, side=8):
    pixels = np.full((side, side, 3), COLOURS[name], np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
