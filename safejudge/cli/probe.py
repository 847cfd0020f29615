"""A probe: what a run of `judge` would take, from some of its images.

Lists the images, opens the judge, judges 32 of them drawn at random, and says what all of them
would take: questions, tokens, seconds, bytes of records, each with a range. Nothing is written but
what every start of a judge keeps: its language priors. Two further images are judged before the
clock starts. What opening takes stands apart, since it hangs on no number of images.
"""

from __future__ import annotations

import random
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from safejudge.cli.judge_inputs import decider_of, read_inputs
from safejudge.cli.judge_outputs import check_outputs, head_of
from safejudge.cli.judge_ray import ray_options
from safejudge.cli.projection import (
    Projection,
    added_bytes,
    bytes_each,
    frame_bytes,
    line_bytes,
    part_bytes,
    projected,
    shared,
    together,
)
from safejudge.engines.meter import IMAGES, STAGES
from safejudge.errors import InputError
from safejudge.files import records
from safejudge.files.packed import Packer, is_packed_name
from safejudge.files.partfile import check_parts
from safejudge.files.recordfile import TOGETHER
from safejudge.files.short import shortened
from safejudge.text import counted
from safejudge.types import Failure, Locate, Look, Probe, Reasoning, slots_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from safejudge.cli.judge_options import Options
    from safejudge.decide.decision import Decider
    from safejudge.images.load import ImageSource
    from safejudge.images.pairs import Prompt
    from safejudge.judge import Judge
    from safejudge.types import JSON, Constitution, Intake, Result

PROBE, WARM_UP, SEED = 32, 2, 29
"""Images that are judged, those judged before the clock starts, and what both are drawn by."""

QUESTIONS, REPLIES, TOKENS, SECONDS, PROCESSOR, BYTES = (
    "questions", "reasoning calls", "prompt tokens", "seconds", "processor seconds", "records",
)  # fmt: skip


@dataclass(slots=True)
class Estimate:
    """What a run would take, the start aside."""

    images: int
    """Images of the run."""
    probed: int
    """Images that were judged for it."""
    warm: bool
    """Whether others were judged before the clock started."""
    start: float
    """Seconds of opening the judge, language priors included."""
    failed: list[Failure]
    """Images of the probe that could not be read."""
    intake: Intake
    """What came in, what was passed over included."""
    figures: dict[str, Projection] = field(default_factory=dict)
    """By name; prompt tokens only where the engine counts them."""


def estimate(options: Options) -> Estimate:
    """Judge a probe. Raises `InputError` where nothing could be judged, or an option is no use."""
    from safejudge.decide.thresholds import load

    _check(options)
    rules = options.judge.rules()
    images = _images(options, rules)
    count = len(images.names)
    drawn = random.Random(SEED).sample(range(count), min(count, PROBE + WARM_UP))  # noqa: S311
    probe, before = sorted(drawn[:PROBE]), drawn[PROBE:]
    thresholds = None if options.thresholds is None else load(options.thresholds)
    begun = time.perf_counter()
    with options.judge.open(rules) as judge:
        start = time.perf_counter() - begun
        decider = decider_of(thresholds, judge)
        images.fit(judge)
        judged = _Judged(judge, images, options.batching.window)
        judged.results(before)
        results = judged.results(probe)
        failed = [result for result in results if isinstance(result, Failure)]
        if len(failed) == len(results):
            whole = counted(len(results), "image")
            raise InputError(f"none of {whole} could be judged; the first: {failed[0].message}")
        head = head_of(
            judge, images.captions, images.intake, decider, short=options.record == records.SHORT
        )
        found = Estimate(count, len(probe), bool(before), start, failed, images.intake)
        rows = _rows(options, results, decider)
        found.figures = _figures(judged.spent, results, count)
        seconds = judged.spent.seconds / len(results)
        found.figures[BYTES] = _bytes(options, rows, head, seconds, count)
    return found


def _check(options: Options) -> None:
    """Refuse what an estimate cannot speak of, and what the run would refuse to write."""
    if options.mode.resume or options.mode.overwrite:
        raise InputError("--estimate is about a whole run, and writes nothing; leave --resume and "
                         "--overwrite out")  # fmt: skip
    if options.shadow is not None:
        raise InputError("--estimate is about one version of the rules; leave --shadow out, and "
                         "estimate the other by itself")  # fmt: skip
    if options.ray:
        ray_options(options)
        if isinstance(options.out, str):
            check_parts(options.out, resume=False, overwrite=True)
    elif options.out is not None or options.report is not None:  # what is there may stay
        check_outputs(replace(options, mode=replace(options.mode, overwrite=True)))


# --- the images -----------------------------------------------------------------------------------


class _Images(NamedTuple):
    """The images of a run, and how one of them is had."""

    names: Sequence[str]
    take: Callable[[int, Judge], tuple[ImageSource | Failure, Prompt | None]]
    """By its place."""
    fit: Callable[[Judge], object]
    captions: str | None
    intake: Intake


def _images(options: Options, rules: Constitution) -> _Images:
    """List the images. Raises `InputError` where there is none."""
    images = _entries(options, rules) if options.ray else _files(options, rules)
    if not images.names:
        raise InputError("there is no image to estimate from; name one")
    return images


def _files(options: Options, rules: Constitution) -> _Images:
    sources, pairs, captions, intake = read_inputs(options, rules)
    pairs = pairs[: options.batching.limit]

    def take(place: int, _: Judge) -> tuple[ImageSource | Failure, Prompt | None]:
        name, prompt = pairs[place]
        return sources.source(name), prompt

    return _Images([name for name, _ in pairs], take, sources.fit, captions, intake)


def _entries(options: Options, rules: Constitution) -> _Images:
    """List the images as Ray would, in shards too."""
    from safejudge.images.captions import captions_for
    from safejudge.images.shards import list_entries, read

    entries, listing = list_entries(
        options.paths, ignore=options.ignore, known=[options.prompts], stores=True
    )
    intake = listing.intake(options.batching.limit, len(entries))
    names = [entry.name for entry in entries]
    prompts, captions, _ = captions_for(options.prompts, names, slots_of(rules))
    entries = entries[: options.batching.limit]

    def take(place: int, judge: Judge) -> tuple[ImageSource | Failure, Prompt | None]:
        entry = entries[place]._replace(caption=prompts[place])
        return read(entry, judge.policy.max_bytes, captions=options.prompts is None)

    return _Images(names[: len(entries)], take, lambda _: None, captions, intake)


# --- judging them ---------------------------------------------------------------------------------


@dataclass(slots=True)
class _Spent:
    """What the latest images took together."""

    seconds: float = 0.0
    processor: float = 0.0
    tokens: int | None = None
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds by stage."""


class _Judged:
    """Judges images of a run by their places, and measures what that takes."""

    def __init__(self, judge: Judge, images: _Images, window: int) -> None:
        self._judge, self._images, self._window = judge, images, window
        self.spent = _Spent()

    def results(self, places: Sequence[int]) -> list[Result]:
        """Judge these; `spent` speaks of them alone."""
        found: dict[int, Result] = {}
        with self._measured():
            readable = []
            sources: list[ImageSource] = []
            prompts: list[Prompt | None] = []
            for place in places:
                source, prompt = self._images.take(place, self._judge)
                if isinstance(source, Failure):
                    found[place] = source
                    continue
                readable.append(place)
                sources.append(source)
                prompts.append(prompt)
            results = self._judge.stream(sources, prompts, self._window)
            found |= dict(zip(readable, results, strict=True))
        return [_named(found[place], self._images.names[place]) for place in places]

    @contextmanager
    def _measured(self) -> Iterator[None]:
        meter, before = self._judge.models.meter, self._judge.models.tokens
        stages = dict(meter.seconds)
        processor, begun = time.process_time(), time.perf_counter()
        read = None if before is None else before.prompt
        yield
        seconds, used = time.perf_counter() - begun, time.process_time() - processor
        after = self._judge.models.tokens
        self.spent = _Spent(
            seconds,
            used,
            None if read is None or after is None else after.prompt - read,
            {name: spent - stages.get(name, 0.0) for name, spent in meter.seconds.items()},
        )


def _named(result: Result, name: str) -> Result:
    return result.model_copy(update={"image": records.image_name(name)})


# --- figures --------------------------------------------------------------------------------------


def _figures(spent: _Spent, results: Sequence[Result], images: int) -> dict[str, Projection]:
    """Project everything but bytes."""
    questions = [_count(result, Probe) for result in results]
    replies = [_count(result, Reasoning) for result in results]
    figures = {QUESTIONS: projected(questions, images), REPLIES: projected(replies, images)}
    if spent.tokens is not None:
        asked = [a + b for a, b in zip(questions, replies, strict=True)]
        figures[TOKENS] = projected(shared(spent.tokens, asked), images)
    weights = _weights(spent, results)
    figures[SECONDS] = projected(shared(spent.seconds, weights), images)
    figures[PROCESSOR] = projected(shared(spent.processor, weights), images)
    return figures


def _weights(spent: _Spent, results: Sequence[Result]) -> list[float]:
    """Say how much of the time each image took, by the stages that its requests went through.

    Images of a window are judged together, so nobody can hold a watch to one of them.
    """
    weights = [0.0] * len(results)
    for stage, seconds in spent.stages.items():
        kind = next((k for k, name in STAGES.items() if stage.startswith(name)), None)
        even = stage == IMAGES or kind not in _COUNTS
        counts = [1.0 if even or kind is None else _count(r, kind) for r in results]
        for place, share in enumerate(shared(seconds, counts)):
            weights[place] += share
    return weights


_COUNTS = {
    Probe: "probes",
    Reasoning: "reasoning_calls",
    Locate: "detector_calls",
    Look: "looks",
}


def _count(result: Result, kind: type) -> float:
    """How many requests of a kind an image needed."""
    return 0.0 if isinstance(result, Failure) else float(getattr(result.usage, _COUNTS[kind]))


def _rows(options: Options, results: Sequence[Result], decider: Decider | None) -> list[JSON]:
    """Make the records that the run would write of these images."""
    rows = [
        records.record(
            result.image, result, decision=None if decider is None else decider(result).record()
        )
        for result in results
    ]
    return [shortened(row) for row in rows] if options.record == records.SHORT else rows


def _bytes(
    options: Options, rows: Sequence[JSON], head: JSON, seconds: float, images: int
) -> Projection:
    """Project the bytes of records, in the form that the run would write."""
    size_of, most = _written(options, head)
    each = bytes_each(rows, size_of, together(seconds, most))
    drawn = projected(shared(each.value * len(rows), added_bytes(rows, size_of)), images)
    return Projection(
        drawn.value, drawn.low * each.low / each.value, drawn.high * each.high / each.value
    )


def _written(options: Options, head: JSON) -> tuple[Callable[[Sequence[JSON]], int], int]:
    """Say how many bytes records take that are written together, and how many are at most."""
    out = options.out
    if options.ray or isinstance(out, str):
        from safejudge.files.parquet import RECORDS

        return part_bytes(head), RECORDS
    if out is not None and is_packed_name(out):
        return frame_bytes(Packer(out)), TOGETHER
    return line_bytes, 1
