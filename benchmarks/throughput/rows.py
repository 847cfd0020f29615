"""The rows of the throughput table: what is asked of each picture, and what that took.

Every row sees pictures of its own (one pixel differs), so no cache of another row helps it, and
draws the same outcomes as every other.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from benchmarks.throughput.scripted import (
    THRESHOLD,
    Script,
    ScriptedDetector,
    ScriptedEncoder,
    ScriptedEngine,
)
from safejudge import Judge, Judgment, Policy, PriorCache, prompts
from safejudge.engines.meter import STAGES, Tokens
from safejudge.engines.models import Models
from safejudge.images.load import load_images
from safejudge.types import ImageInput, Message, Probe, Reasoning, leaves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from benchmarks.throughput.outcomes import Shares
    from safejudge.engines.base import Detector, Encoder, Engine
    from safejudge.types import Constitution, Picture

WRITTEN = 100
"""Tokens of a rationale, and of the free reasoning."""
DEFAULT = Policy(max_reasoning_tokens=WRITTEN)
JSON_ANSWER = prompts.ReasonedAnswer


def but(**changed: object) -> Policy:
    """Return the policy of the rows with something else."""
    return DEFAULT.model_copy(update=changed)


@dataclass(frozen=True, slots=True)
class Setup:
    """What all rows share."""

    engine: Engine
    encoder: Encoder
    detector: Detector
    scripted: bool
    """Whether answers are drawn; else the models' own count."""
    constitution: Constitution
    scenes: dict[str, list[np.ndarray[Any, Any]]]
    """Pixels by kind."""
    shares: dict[str, Shares]
    size: int
    """Side of a picture, in pixels."""
    window: int
    cache: Path
    """Where the language priors are kept."""
    first: int = 0
    """Number of a row's first picture: another run begins elsewhere, and draws other outcomes."""


@dataclass(slots=True)
class Took:
    """What a row took."""

    name: str
    pictures: int
    seconds: float
    questions: float = 0.0
    """Per picture, as are the next two."""
    reasonings: float = 0.0
    searches: float = 0.0
    tokens: float = 0.0
    """Of prompts, per picture."""
    cached: float = 0.0
    """Share of them that was cached."""
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds per picture."""
    labels: dict[str, int] = field(default_factory=dict)

    @property
    def each(self) -> float:
        """Seconds per picture."""
        return self.seconds / self.pictures


def marked(setup: Setup, kind: str, mark: int, number: int) -> bytes:
    """Encode one picture, unlike that of any other row or number by two pixels."""
    scenes = setup.scenes[kind]
    pixels = np.asarray(Image.fromarray(scenes[number % len(scenes)]).resize((setup.size,) * 2))
    pixels = pixels.copy()
    pixels[0, 0] = (mark % 256, mark // 256, number % 256)
    pixels[0, 1] = number // 256
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def files(setup: Setup, kinds: Sequence[str], mark: int) -> tuple[list[bytes], Script]:
    """Encode pictures of these kinds in turn, marked for one row; and the script for them."""
    sources, paths = [], {}
    for number, kind in enumerate(kinds, setup.first):
        sources.append(marked(setup, kind, mark, number))
        paths[pictures_of([sources[-1]])[0].digest] = (kind, number)
    return sources, Script(paths, setup.shares)


def pictures_of(sources: Sequence[bytes]) -> list[Picture]:
    """Decode as a judge does."""
    loaded = load_images(list(sources), DEFAULT)
    return [image.pictures[0] for image in loaded if isinstance(image, ImageInput)]


def judge_of(
    setup: Setup, script: Script, policy: Policy, *, cached: bool = True, **turned: bool
) -> Judge:
    """Make a judge over the scripted models."""
    engine, encoder, detector = setup.engine, setup.encoder, setup.detector
    if setup.scripted or turned:
        engine = ScriptedEngine(engine, script if setup.scripted else None, **turned)
    if setup.scripted:
        encoder, detector = ScriptedEncoder(encoder, script), ScriptedDetector(detector, script)
    models = Models(
        engine,
        encoder if policy.relevance else None,
        detector if policy.locates else None,
        PriorCache(setup.cache) if cached else None,
    )
    return Judge(setup.constitution, models, policy)


def chain(  # noqa: PLR0913, PLR0917 - what a row may change
    setup: Setup,
    name: str,
    kinds: Sequence[str],
    mark: int,
    policy: Policy = DEFAULT,
    window: int | None = None,
    **how: bool,
) -> Took:
    """Judge by the chain."""
    sources, script = files(setup, kinds, mark)
    if setup.scripted and policy.relevance:
        policy = policy.model_copy(update={"relevance_threshold": THRESHOLD})
    judge = judge_of(setup, script, policy, **how)
    before = spent(setup.engine)
    begun = time.perf_counter()
    results = list(judge.stream(sources, window=window or setup.window))
    seconds = time.perf_counter() - begun
    judgments = [judgment for judgment in results if isinstance(judgment, Judgment)]
    if len(judgments) < len(sources):
        raise RuntimeError(f"{name}: {len(sources) - len(judgments)} pictures could not be judged")
    count, meter = len(judgments), judge.models.meter
    took = Took(name, count, seconds, **used(setup.engine, before, count))
    took.questions = sum(judgment.usage.probes for judgment in judgments) / count
    took.reasonings = meter.requests[STAGES[Reasoning]] / 2 / count  # two turns
    took.searches = sum(judgment.usage.detector_calls for judgment in judgments) / count
    took.stages = {stage: seconds / count for stage, seconds in meter.seconds.items()}
    took.labels = {label: sum(judgment.label == label for judgment in judgments)
                   for label in ("safe", "unsafe", "undecided")}  # fmt: skip
    print(f"{name}: {took.each:.3f} s a picture", flush=True)
    return took


def flat(
    setup: Setup,
    name: str,
    kinds: Sequence[str],
    mark: int,
    ask: Callable[[Picture], Iterator[Probe] | Iterator[Reasoning]],
) -> Took:
    """Ask a fixed list about every picture, a window at a time."""
    sources, _ = files(setup, kinds, mark)
    before, begun, questions = spent(setup.engine), time.perf_counter(), 0
    for start in range(0, len(sources), setup.window):
        pictures = pictures_of(sources[start : start + setup.window])
        requests = [request for picture in pictures for request in ask(picture)]
        questions += len(requests)
        if probes := [request for request in requests if isinstance(request, Probe)]:
            setup.engine.answer_probs(probes)
        if written := [request for request in requests if isinstance(request, Reasoning)]:
            setup.engine.reason(written)
    seconds, count = time.perf_counter() - begun, len(sources)
    took = Took(name, count, seconds, **used(setup.engine, before, count))
    took.questions = questions / count
    print(f"{name}: {took.each:.3f} s a picture", flush=True)
    return took


def one_question(setup: Setup) -> Callable[[Picture], Iterator[Probe]]:
    """Ask the floor's one statement, the constitution's first."""
    first = next(leaves(setup.constitution.rules[0].condition)).statement
    question = prompts.statement_question(first)
    return lambda picture: iter([Probe(prompts.ASK, (picture,), question)])


def rule_prompts(setup: Setup) -> Callable[[Picture], Iterator[Probe]]:
    """One prompt per rule, its text first, as guard models are asked."""
    return lambda picture: (
        Probe(f"{prompts.RULES}\n{prompts.rules_question([rule.objective])}\n", (picture,), "")
        for rule in setup.constitution.rules
    )


def one_rationale(setup: Setup) -> Callable[[Picture], Iterator[Reasoning]]:
    """One prompt with every rule, answered by JSON with a rationale."""
    rules = prompts.rules_question([rule.objective for rule in setup.constitution.rules])
    return lambda picture: iter([
        Reasoning(
            prompts.REASON_RULES, (picture,), (Message("user", f"{rules}\n{prompts.SUMMARISE}"),),
            schema=JSON_ANSWER, max_tokens=WRITTEN,
        )
    ])  # fmt: skip


def spent(engine: Engine) -> Tokens:
    """Copy what an engine counted so far."""
    tokens = engine.tokens or Tokens()
    return Tokens(tokens.prompt, tokens.cached)


def used(engine: Engine, before: Tokens, count: int) -> dict[str, float]:
    """Tokens per picture since then, and the share of them that was cached."""
    now = spent(engine)
    new = now.prompt - before.prompt
    cached = (now.cached or 0) - (before.cached or 0)
    return {"tokens": new / count, "cached": cached / new if new else 0.0}
