"""`hf:sketch`: the shipped judge of drawn scenes, with its limits built in.

It is an ordinary `HFEngine` on the shipped model folder behind two doors. A statement outside the
grammar is refused when a constitution is loaded. A picture that is no drawn scene gets no answer:
the model may say "Unclear", or the picture's arithmetic lies too far from the drawn world; either
is enough.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.engines.local.running import quiet
from safejudge.engines.requests import no_answer
from safejudge.engines.wrapped import WrappedEngine
from safejudge.errors import EngineSetupError, StatementError
from safejudge.prompts import ReasonedAnswer
from safejudge.sketch.ood import load_domain
from safejudge.sketch.world.statements import UNCLEAR, grammar, normal
from safejudge.types import AnswerProbs, Probe, Reasoning

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from safejudge.engines.base import Detector, Encoder, Engine
    from safejudge.engines.streaming import Tell
    from safejudge.engines.vision.encoder import HFEncoder
    from safejudge.types import EngineCard, Picture, Similarity

MODELS = Path(__file__).parent / "models"
NOT_DRAWN = "not a drawn scene, and this judge knows nothing else"
_CONNECTIVE = re.compile(r",? (?:and|or)(?: either)? |, unless |^either ")
"""What joins statements to the longer sentences that the judge was taught."""


_domain = cache(load_domain)


# Engine and encoder meet the same pictures; measuring one takes as long as a question about it. By
# digest: a picture that somebody hands over can be large.
_MEASURED = 4096
_measured: dict[str, str | None] = {}


def problem_of(picture: Picture) -> str | None:
    """What is wrong with a picture by its arithmetic; None if it may be a drawn scene."""
    with suppress(KeyError):
        return _measured[picture.digest]
    domain = _domain()
    distance = domain.distance(picture.pixels)
    far = f"{NOT_DRAWN} (distance {distance:.1f} > {domain.limit:.1f})"
    problem = None if distance <= domain.limit else far
    if len(_measured) >= _MEASURED:
        _measured.clear()
    _measured[picture.digest] = problem
    return problem


class SketchEngine(WrappedEngine):
    """An engine that answers only about drawn scenes, in the words of the grammar."""

    @property
    def card(self) -> EngineCard:
        """The card of the engine inside; it was not taught to look at several pictures at once."""
        return replace(self.engine.card, most_together=1)

    def check_statements(self, statements: Sequence[str]) -> None:
        """Raise `StatementError` for a statement outside the grammar, naming the nearest ones."""
        for statement in statements:
            if not _in_grammar(statement):
                near = difflib.get_close_matches(normal(statement), grammar(), n=3, cutoff=0.5)
                hint = "; ".join(repr(text) for text in near) or "see sketch/world/statements.py"
                raise StatementError(
                    f"the sketch judge does not know the statement {statement!r}: it was taught a "
                    f"fixed grammar about drawn scenes. Nearest: {hint}. For your own rules and "
                    "photographs choose a general model, for example --engine hf:ORG/MODEL"
                )

    def answer_probs(self, probes: Sequence[Probe]) -> list[AnswerProbs]:
        """Read label probabilities; a picture that is no drawn scene gets a `problem` instead."""
        drawn = [probe for probe in probes if not self._problem(probe.images)]
        read = iter(self.engine.answer_probs(drawn))
        return [
            no_answer(probe, problem)
            if (problem := self._problem(probe.images))
            else _unless_unclear(probe, next(read))
            for probe in probes
        ]

    def reason(self, requests: Sequence[Reasoning]) -> list[str]:
        """Write replies; about a picture that is no drawn scene it says so, and is Unsure."""
        written = iter(self.engine.reason([r for r in requests if not self._problem(r.images)]))
        return [
            _declined(request) if self._problem(request.images) else next(written)
            for request in requests
        ]

    def begin(self, requests: Sequence[Probe | Reasoning], tell: Tell) -> Callable[[], None]:
        """Tell answers one by one, where the engine inside does; see `Streaming.begin`."""
        drawn = [request for request in requests if not self._problem(request.images)]

        def tell_clear(request: Probe | Reasoning, answer: AnswerProbs | str | Exception) -> None:
            if isinstance(request, Probe) and isinstance(answer, AnswerProbs):
                answer = _unless_unclear(request, answer)
            tell(request, answer)

        inside: Any = self.engine
        give_up: Callable[[], None] = inside.begin(drawn, tell_clear)
        for request in requests:
            if problem := self._problem(request.images):
                if isinstance(request, Probe):
                    tell(request, no_answer(request, problem))
                else:
                    tell(request, _declined(request))
        return give_up

    def _problem(self, pictures: tuple[Picture, ...]) -> str | None:
        return next((p for p in map(problem_of, pictures) if p is not None), None)


class SketchEncoder:
    """An encoder that has no number for what is no drawn scene, so that no rule is skipped."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    @property
    def card(self) -> EngineCard:
        """The card of the model behind it."""
        return self._encoder.card

    def check_texts(self, texts: Sequence[str]) -> None:
        """Raise `StatementError` for a text that the model cannot hold."""
        self._encoder.check_texts(texts)

    def similarities(self, pairs: Sequence[Similarity]) -> list[float]:
        """Return cosines; NaN where the picture is no drawn scene."""
        drawn = [pair for pair in pairs if problem_of(pair.picture) is None]
        cosines = dict(zip(drawn, self._encoder.similarities(drawn), strict=True))
        return [cosines.get(pair, math.nan) for pair in pairs]

    def close(self) -> None:
        """Let go of the model."""
        self._encoder.close()


def _unless_unclear(probe: Probe, answer: AnswerProbs) -> AnswerProbs:
    if probe.images and answer.top.strip() == UNCLEAR:
        return no_answer(probe, f"{NOT_DRAWN} (the model answered {UNCLEAR})")
    return answer


def _declined(request: Reasoning) -> str:
    if request.schema is None:
        return f"This picture is {NOT_DRAWN}."
    if request.schema is ReasonedAnswer:
        return json.dumps({"rationale": f"This picture is {NOT_DRAWN}.", "rating": "Unsure"})
    return ""


def _in_grammar(statement: str) -> bool:
    """Whether this is a statement of the grammar, or a sentence made of several."""
    text = normal(statement)
    parts = [part for part in _CONNECTIVE.split(text) if part]
    return text in grammar() or (bool(parts) and all(part in grammar() for part in parts))


def model_folder(name: str = "vlm") -> Path:
    """Where a shipped model lies. Raises `EngineSetupError` if this copy has none."""
    folder = MODELS / name
    if not (folder / "model.safetensors").is_file():
        noun = name if name in {"encoder", "detector"} else "judge"
        raise EngineSetupError(
            f"the weights of the sketch {noun} are missing: {folder} holds no model.safetensors. "
            "Install safejudge from a wheel or a complete clone"
        )
    return folder


def open_sketch_engine(_path: str, /, *, uri: str, **options: Any) -> Engine:
    """Open the shipped judge; see `open_drawn_engine`."""
    return open_drawn_engine(model_folder(), uri=uri, **options)


def open_drawn_engine(path: Path, *, uri: str, **options: Any) -> Engine:
    """Open a judge of drawn scenes from its folder, behind its doors.

    By transformers or by vLLM, as `uri` says; `options` are vLLM's.
    """
    folder = str(path)
    if uri.startswith("vllm:"):
        from safejudge.engines.local.vllm import VLLMEngine

        settings = {"dtype": "float32", "max_model_len": 2048, "line_break": False, **options}
        return SketchEngine(VLLMEngine(folder, uri=uri, **settings))
    from safejudge.engines.local.hf import HFEngine

    with quiet():
        return SketchEngine(
            HFEngine(folder, uri=uri, batch_size=64, line_break=False, backend="pil")
        )


def open_sketch_backbone(_path: str, *, uri: str, dtype: str | None = None) -> HFEncoder:
    """Open the shipped encoder without its door, to build on."""
    from safejudge.engines.vision.encoder import HFEncoder

    folder = str(model_folder("encoder"))
    with quiet():
        return HFEncoder(folder, uri=uri, dtype=dtype, batch_size=64, backend="pil")


def open_sketch_encoder(path: str, *, uri: str) -> Encoder:
    """Open the shipped encoder."""
    return SketchEncoder(open_sketch_backbone(path, uri=uri))


def open_sketch_detector(_path: str, *, uri: str) -> Detector:
    """Open the shipped detector."""
    from safejudge.engines.vision.detector import HFDetector

    folder = str(model_folder("detector"))
    with quiet():
        return HFDetector(folder, uri=uri, batch_size=64, backend="pil")
