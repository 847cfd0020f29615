"""Models that are asked for real and answer by a script.

Each wraps an engine, an encoder or a detector: every request goes to the real model, which costs
what it costs, and its answer is replaced by one drawn from the recorded shares (`outcomes`). The
same picture and statement always draw the same answer, in every row of the table.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safejudge.engines.wrapped import WrappedEngine
from safejudge.types import AnswerProbs, Box, Probe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.throughput.outcomes import Shares
    from safejudge.engines.base import Detector, Encoder, Engine
    from safejudge.types import EngineCard, Locate, Reasoning, Similarity

PRIOR, REJECTED, OPEN, ACCEPTED, WITHOUT = 0.3, 0.02, 0.8, 0.98, 0.1
"""M without the picture, with it (under the first bound, between both, above the second), and
without a region that decides."""
THRESHOLD = 0.5
"""Relevant above."""
_TEXT, _WORD = 60, 12
"""Letters that the text sides here take: their tokenizers have no merges."""


@dataclass(frozen=True, slots=True)
class Script:
    """What is true of the pictures of a run."""

    kinds: Mapping[str, tuple[str, int]]
    """By digest of the full view: its kind and its number; a number draws the same in every row."""
    shares: Mapping[str, Shares]
    """By kind."""

    def of(self, digest: str) -> Shares | None:
        """Return the shares of a full view; None for another view."""
        return self.shares[self.kinds[digest][0]] if digest in self.kinds else None

    def chance(self, digest: str, *key: str) -> float:
        """Draw a number in [0, 1) that hangs on nothing but what it is about."""
        name = str(self.kinds[digest][1]) if digest in self.kinds else digest
        drawn = hashlib.sha256("\x00".join((name, *key)).encode()).digest()
        return int.from_bytes(drawn[:7]) / 2**56


class ScriptedEngine(WrappedEngine):
    """Asks an engine and answers by the script."""

    def __init__(
        self, engine: Engine, script: Script | None, *, statement_first: bool = False
    ) -> None:
        """Without a script the engine keeps its own answers.

        `statement_first` puts the whole question before the picture, where no cache can hold the
        picture for others.
        """
        super().__init__(engine)
        self.script = script
        self.statement_first = statement_first

    def answer_probs(self, probes: Sequence[Probe]) -> list[AnswerProbs]:
        """Ask, and answer by the script."""
        turned = [self._turned(probe) for probe in probes] if self.statement_first else probes
        read = self.engine.answer_probs(turned)
        if self.script is None:
            return read
        if problems := [answer.problem for answer in read if answer.problem is not None]:
            raise RuntimeError(problems[0])
        drawn = [_m(probe, self.script) for probe in probes]
        return [AnswerProbs((m, 1 - m), "Yes" if m > 0.5 else "No") for m in drawn]

    def reason(self, requests: Sequence[Reasoning]) -> list[str]:
        """Ask; keep what was written freely, and draw the rating of what has a schema."""
        written = self.engine.reason(requests)
        script = self.script
        if script is None:
            return written
        return [
            text or "nothing" if request.schema is None else _rating(request, script)
            for request, text in zip(requests, written, strict=True)
        ]

    @staticmethod
    def _turned(probe: Probe) -> Probe:
        if not probe.images:
            return probe
        return Probe(f"{probe.instruction}\n{probe.question}\n", probe.images, "", probe.labels)


@dataclass(slots=True)
class ScriptedEncoder:
    """Compares with an encoder and answers by the script."""

    encoder: Encoder
    script: Script

    @property
    def card(self) -> EngineCard:
        """The encoder's own."""
        return self.encoder.card

    def check_texts(self, texts: Sequence[str]) -> None:
        """Take every text; it is shortened."""

    def similarities(self, requests: Sequence[Similarity]) -> list[float]:
        """Ask, and answer by the script."""
        self.encoder.similarities([_shorter(request) for request in requests])
        return [float(self._is_relevant(request)) for request in requests]

    def close(self) -> None:
        """Close the encoder."""
        self.encoder.close()

    def _is_relevant(self, request: Similarity) -> bool:
        shares = self.script.of(request.picture.digest)
        return (
            shares is not None
            and self.script.chance(request.picture.digest, request.text) < shares.relevant
        )


@dataclass(slots=True)
class ScriptedDetector:
    """Searches with a detector and answers by the script."""

    detector: Detector
    script: Script

    @property
    def card(self) -> EngineCard:
        """The detector's own."""
        return self.detector.card

    def check_words(self, words: Sequence[str]) -> None:
        """Take all words; they are shortened."""

    def locate(self, requests: Sequence[Locate]) -> list[tuple[Box, ...]]:
        """Ask, and answer by the script: nothing, or one object in the middle of the picture."""
        self.detector.locate([
            type(request)(request.picture, tuple(word[:_WORD] for word in request.words))
            for request in requests
        ])  # fmt: skip
        return [self._box(request) for request in requests]

    def close(self) -> None:
        """Close the detector."""
        self.detector.close()

    def _box(self, request: Locate) -> tuple[Box, ...]:
        shares = self.script.of(request.picture.digest)
        if (
            shares is None
            or self.script.chance(request.picture.digest, *request.words) >= shares.found
        ):
            return ()
        height, width = request.picture.pixels.shape[:2]
        edges = {"left": width // 4, "top": height // 4, "right": width // 2, "bottom": height // 2}
        return (Box(word=request.words[0], confidence=0.5, **edges),)


def _shorter(request: Similarity) -> Similarity:
    return type(request)(request.picture, request.text[:_TEXT])


def _m(probe: Probe, script: Script) -> float:
    if not probe.images:
        return PRIOR
    digest = probe.images[0].digest
    shares, drawn = script.of(digest), script.chance(digest, probe.question)
    if shares is None:  # a region is gone
        mean = sum(share.region for share in script.shares.values()) / len(script.shares)
        return WITHOUT if drawn < mean else OPEN
    if drawn < shares.reject:
        return REJECTED
    return ACCEPTED if drawn < shares.reject + shares.accept else OPEN


def _rating(request: Reasoning, script: Script) -> str:
    digest = request.images[0].digest
    shares = script.of(digest)
    drawn = script.chance(digest, request.messages[0].text, "reasoned")
    if shares is None:
        raise RuntimeError("a reasoning about another view than the full one")
    rated = "Yes" if drawn < shares.yes else "No" if drawn < shares.yes + shares.no else "Unsure"
    return f'{{"rationale":"drawn","rating":"{rated}"}}'
