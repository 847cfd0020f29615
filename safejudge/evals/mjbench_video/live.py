"""MJ-Bench-Video live: frames of each video put to any engine that can be shown several pictures.

The published way: each video is rated by itself, on ten words, and the higher rating is preferred.
Frames are chosen as everywhere here, by what changes and by time; how many were shown of how many
stands in every record. A pair of which one video cannot be read is not judged, and that is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.engines.together import refuse_more
from safejudge.errors import InputError
from safejudge.evals import harness, recorded
from safejudge.evals.mjbench_video import topics
from safejudge.evals.mjbench_video.records import Judged, Pair, Pairs, Recorded, is_pair
from safejudge.evals.mjbench_video.score import score
from safejudge.evals.pictures import tell_missing
from safejudge.evals.replies import TEN, strict_rating
from safejudge.evals.suite import Coverage
from safejudge.files.below import leads_out
from safejudge.images.load import load_images
from safejudge.text import clean, storable
from safejudge.types import JSON, AnswerProbs, Failure, Picture, Probe, Reasoning

if TYPE_CHECKING:
    from safejudge.evals.prompts import Reading
    from safejudge.evals.suite import EvalResult, Run
    from safejudge.policy import Policy

_MAX_TOKENS = 64
"""A written reply is cut there; a rating is at most two words."""
_SPLITS = ("preferred", "same")
"""Pairs of which people prefer one video overall, or none."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How videos are shown and rated."""

    topics: tuple[str, ...]
    readings: tuple[Reading, ...]
    frames: int
    """Most frames of a video that are shown."""


@dataclass(frozen=True, slots=True)
class Data:
    """The pairs of a file, and where their videos lie."""

    pairs: tuple[Pair, ...]
    folder: Path
    left_out: Mapping[str, int]
    unread: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown of one video."""

    pictures: tuple[Picture, ...]
    moments: tuple[str, ...]
    of: int
    """All frames that it has."""


def gather(path: Path, videos: str) -> Data:
    """Read the labels of a file, or of all files below a folder.

    `videos` is the folder that the paths begin in; empty: that of the labels. Raises `InputError`
    where there is no pair, or none of the videos.
    """
    pairs, unread = Pairs(), list[str]()
    for name, file in recorded.data_files(path):
        if file.suffix.lower() == recorded.PARQUET:
            unread.append(f"{name}: labels are read from JSON")
            continue
        lines = recorded.read_file(file, name)
        unread += [f"{name}: {problem}" for problem in lines.problems]
        for record in filter(is_pair, lines.records):
            pairs.take(record)
    if not pairs.found:
        why = "; ".join([*unread, *pairs.left_out]) or "there is no .json or .jsonl"
        raise InputError(f"{path}: holds no pair of videos that can be judged ({clean(why)})")
    folder = Path(videos) if videos else path if path.is_dir() else path.parent
    named = dict.fromkeys(video for pair in pairs.found.values() for video in pair.videos)
    missing = [video for video in named if not (folder / video).is_file()]
    tell_missing(len(missing), len(named), str(folder), next(iter(missing), ""))
    return Data(tuple(pairs.found.values()), folder, pairs.left_out, tuple(unread))


def _split(pair: Pair) -> str:
    return _SPLITS[pair.preferred.get(topics.OVERALL) not in {"first", "second"}]


# --- judging --------------------------------------------------------------------------------------


def judge_pairs(run: Run, data: Data, plan: Plan) -> JSON:
    """Rate both videos of every pair that has no record yet; what made the ratings."""
    rows = harness.sampled([_split(pair) for pair in data.pairs], run)
    if not rows:
        raise InputError(f"--split {', '.join(run.splits)}: the splits are {', '.join(_SPLITS)}")
    pairs = [data.pairs[row] for row in rows]
    instead = "--suite-arg frames=N shows fewer"
    refuse_more(run.models.engines, plan.frames, "a video", instead)
    run.models.engine.check_statements([pair.caption for pair in pairs])
    # Frames are chosen by the policy; so it is another policy, and another run, with others.
    run = replace(run, policy=run.policy.model_copy(update={"max_frames": plan.frames}))
    protocols = [*plan.readings, *plan.topics]
    made_by = harness.provenance(run, protocols, topics.digest(), engine_alone=True)
    source = harness.digest("mj-bench-video", [repr(pair) for pair in data.pairs])
    description: JSON = {
        "readings": list(plan.readings), "topics": list(plan.topics), "frames": plan.frames,
        "left_out": dict(data.left_out), "unread": list(data.unread),
    }  # fmt: skip

    def judged(window: list[Pair]) -> Iterator[JSON]:
        for pair in window:  # one at a time: frames of many videos are a lot of memory
            yield _judged(pair, data.folder, plan, run)

    with harness.record_file(run, made_by, source) as file:
        run.write_json(harness.DATA, description)
        harness.record(run, file, pairs, lambda pair: pair.key, judged)
    return description | {"data": run.data, "provenance": made_by.model_dump(mode="json")}


def _judged(pair: Pair, folder: Path, plan: Plan, run: Run) -> JSON:
    record: JSON = {
        "image": pair.key, "label": pair.preferred.get(topics.OVERALL, ""),
        "caption": pair.caption, "videos": list(pair.videos), "preferred": dict(pair.preferred),
        "marks": {topic: list(marks) for topic, marks in pair.marks.items()},
    }  # fmt: skip
    shown = [_shown(video, folder, run) for video in pair.videos]
    for video in shown:
        if isinstance(video, Failure):
            return record | {"error": {"reason": video.reason, "message": video.message}}
    both = [video for video in shown if isinstance(video, Shown)]
    asked = {
        (reading, topic): [_request(reading, topic, pair, video) for video in both]
        for reading in plan.readings
        for topic in plan.topics
    }
    requests = list(dict.fromkeys(request for two in asked.values() for request in two))
    replies = dict(zip(requests, run.models.answer(requests), strict=True))
    said: dict[str, JSON] = {reading: {} for reading in plan.readings}
    for (reading, topic), two in asked.items():
        said[reading][topic] = [_read(replies[request], run.policy) for request in two]
    return record | {"shown": [[len(video.pictures), video.of] for video in both], "said": said}


def _shown(video: str, folder: Path, run: Run) -> Shown | Failure:
    if leads_out(folder, video):
        return Failure(image=video, reason="outside", message="the path leads out of the folder")
    (loaded,) = load_images([folder / video], run.policy)
    if isinstance(loaded, Failure):
        return loaded
    # Of a frame with transparent parts there are two pictures; one of each frame is shown.
    once = {picture.frame: picture for picture in reversed(loaded.pictures)}
    frames = [once[number] for number in dict.fromkeys(p.frame for p in loaded.pictures)]
    pictures = tuple(frames if run.change is None else map(run.change, frames))
    moments = tuple(frame.label or f"frame {n}" for n, frame in enumerate(frames, 1))
    return Shown(pictures, moments, 1 if loaded.frames is None else loaded.frames.of)


def _request(reading: Reading, topic: str, pair: Pair, video: Shown) -> Probe | Reasoning:
    prompt = topics.rating(topic, pair.caption, video.moments)
    if reading == "weighted":
        return prompt.probe(video.pictures, topics.RATINGS)
    return prompt.written(video.pictures, _MAX_TOKENS)


def _read(reply: Any, policy: Policy) -> JSON:
    """What one reply says: a score from 1 to 10, or why there is none."""
    if not isinstance(reply, AnswerProbs):
        text = storable(str(reply))
        rating = strict_rating(text, TEN)
        plain = TEN.get(" ".join(text.lower().strip(" .*\n`\"'").split()))
        return {"score": rating if plain is None else plain, "text": text}
    if reply.problem is not None:
        return {"score": None, "why": reply.problem}
    mass = reply.label_mass
    if mass <= 0 or mass < policy.minimum_label_mass:
        return {"score": None, "why": "little label mass", "mass": mass}
    weights = enumerate(reply.p_labels, 1)
    return {"score": sum(n * p for n, p in weights) / sum(reply.p_labels), "mass": mass}


# --- what was said --------------------------------------------------------------------------------


def report(out: Path) -> EvalResult:
    """Make the tables of a folder that `judge_pairs` wrote. Raises `InputError`."""
    rows = list(harness.recorded(out).values())
    about, model = harness.data_of(out), str(harness.provenance_of(out).get("model", ""))
    judged = [row for row in rows if "said" in row]
    pairs = {row["image"]: _pair(row) for row in judged}
    judges = tuple(
        Judged(
            f"{model}, {reading}", harness.RECORDS,
            {row["image"]: _scores(row["said"][reading]) for row in judged}, {},
        )
        for reading in about.get("readings", ())
        if judged
    )  # fmt: skip
    result = score(
        Recorded(pairs, judges, about.get("left_out", {}), tuple(about.get("unread", ())))
    )
    lost = [f"{r['image']}: not judged ({r['error']['message']})." for r in rows if "error" in r]
    return replace(
        result,
        findings=(*lost, *_seen(judged), *result.findings),
        coverage=Coverage(len(judged), len(lost), sum(about.get("left_out", {}).values())),
    )


def _seen(rows: Sequence[JSON]) -> Iterator[str]:
    """How much of the videos was shown."""
    frames = [tuple(video) for row in rows for video in row["shown"]]
    if frames:
        fewest, most = min(n for n, _ in frames), max(n for n, _ in frames)
        some = str(most) if fewest == most else f"{fewest} to {most}"
        shown, total = (sum(counts) for counts in zip(*frames, strict=True))
        yield f"Of each video {some} frames were shown, {shown} of {total} in all."


def _pair(row: JSON) -> Pair:
    first, second = row["videos"]
    marks = {topic: (one, other) for topic, (one, other) in row["marks"].items()}
    return Pair(row["image"], row["caption"], (first, second), row["preferred"], marks)


def _scores(said: JSON) -> dict[str, tuple[float | None, float | None]]:
    return {topic: (one["score"], other["score"]) for topic, (one, other) in said.items()}
