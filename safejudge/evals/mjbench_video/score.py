"""MJ-Bench-Video from scores of pairs: tables by judge and topic, findings, rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.errors import InputError
from safejudge.evals.headline import of_best
from safejudge.evals.mjbench_video.figures import (
    ALWAYS_GOOD,
    NOTHING,
    Estimates,
    always_good,
    answer_of,
    figures,
    on_scale,
)
from safejudge.evals.mjbench_video.records import Judged, Pair, Recorded, read
from safejudge.evals.mjbench_video.topics import COMPARED, OVERALL
from safejudge.evals.stats.intervals import FEW
from safejudge.evals.suite import EvalResult, Prediction
from safejudge.show.figures import Table
from safejudge.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from safejudge.types import JSON


def from_outputs(folder: Path) -> EvalResult:
    """Score every judge whose scores lie below a folder. Raises `InputError`."""
    recorded = read(folder)
    if not recorded.judged:
        raise InputError(
            f"{folder}: holds no scores; a record has video_0_uid, video_1_uid, and video_score_0 "
            "and video_score_1, or judge with scores by aspect"
        )
    if not recorded.pairs:
        raise InputError(
            f"{folder}: holds no labels; put test.json of MJ-Bench-Video beside the scores"
        )
    return score(recorded)


def score(recorded: Recorded) -> EvalResult:
    """Score what was read."""
    pairs = recorded.pairs
    numbers = {judged.judge: figures(pairs, judged.said) for judged in recorded.judged}
    blind = figures(pairs, always_good(pairs))
    asked = {topic for values in numbers.values() for topic in values}
    both = numbers | {ALWAYS_GOOD: {t: v for t, v in blind.items() if t in asked}}
    flat = {judge: _flat(values) for judge, values in numbers.items()}
    return EvalResult(
        tables=tuple(_tables(both)),
        findings=tuple(_findings(recorded)),
        numbers={
            judge: {name: estimate.json() for name, estimate in _flat(values).items()}
            for judge, values in both.items()
        },
        samples=tuple(row for judged in recorded.judged for row in _samples(judged, pairs)),
        unread=recorded.unread,
        predictions=tuple(p for judged in recorded.judged for p in _predictions(judged, pairs)),
        headline=of_best(flat, _HEADLINES),
    )


_HEADLINES = {
    f"{OVERALL}.strict": "the preferred video, overall, ties wrong:",
    "Alignment.strict": "the preferred video in alignment, ties wrong:",
}


def _flat(values: Mapping[str, Estimates]) -> Estimates:
    return {
        f"{topic}.{name}": e for topic, of_topic in values.items() for name, e in of_topic.items()
    }


# --- tables and findings --------------------------------------------------------------------------

_PREFERENCE = {
    "strict": "strict",
    "tie-aware": "tie_aware",
    "of read": "strict_of_read",
    "ties": "ties",
    "equal where people say the same": "equal_where_same",
}
_MARKS = {
    "accuracy": "accuracy",
    "F1 of bad": "F1_bad",
    "F1 of good": "F1_good",
    "macro F1": "F1_macro",
}
_NOTE = (
    "Of pairs of which people prefer one video. Strict: a tie is wrong; tie-aware: half right; "
    "both are published. What is missing or unread is wrong in both. The judge in brackets does "
    "not look. "
)
_MARKS_NOTE = (
    "Of videos that people mark good or bad. A rating above the middle of the scale says good: a "
    "line of ours, for the authors tell none. "
)


def _tables(numbers: Mapping[str, Mapping[str, Estimates]]) -> Iterator[Table]:
    yield _table("Which of two videos is better", "read", _PREFERENCE, numbers, _NOTE + FEW)
    marks = _table("Which videos are good", "marks_read", _MARKS, numbers, _MARKS_NOTE + FEW)
    if marks.rows:
        yield marks


def _table(
    title: str, read: str, columns: Mapping[str, str],
    numbers: Mapping[str, Mapping[str, Estimates]], note: str,
) -> Table:  # fmt: skip
    """A row for each judge and topic; how much was read stands first."""
    rows = []
    for judge, topics in numbers.items():
        for topic, values in topics.items():
            if read not in values:
                continue
            n = values[read].n
            cells = (values[name].text(n) for name in columns.values())
            rows.append((judge, COMPARED.get(topic, topic), str(n), values[read].text(n), *cells))
    heads = ("judge", "topic", "n", "read", *columns)
    return Table(title, heads, tuple(rows), note, keys=("topic", "n", *[*columns][:2]))


def _findings(recorded: Recorded) -> Iterator[str]:
    for reason, n in recorded.left_out.items():
        yield f"{counted(n, 'label')} left out: {reason}."
    overall = [pair.preferred.get(OVERALL) for pair in recorded.pairs.values()]
    if undecided := sum(answer in {"same", "hard"} for answer in overall):
        yield (
            f"{undecided} of {counted(len(overall), 'pair')} have no preference overall (the same, "
            "or hard to judge), and are in no accuracy."
        )
    for judged in recorded.judged:
        for reason, n in judged.left_out.items():
            yield f"{judged.judge}: {counted(n, 'record')} left out: {reason}."
        decided = [p for p in recorded.pairs.values() if p.preferred.get(OVERALL) in _DECIDED]
        missing = sum(pair.key not in judged.said for pair in decided)
        if missing:
            yield (
                f"{judged.judge}: no scores of {missing} of {counted(len(decided), 'pair')} with a "
                "preference; they are wrong here, and published rows leave such pairs out."
            )
        if not on_scale(judged.said):
            yield f"{judged.judge}: scores beyond 1 to 10, so they call no video good or bad."


_DECIDED = frozenset({"first", "second"})


# --- rows -----------------------------------------------------------------------------------------


def _samples(judged: Judged, pairs: Mapping[str, Pair]) -> Iterator[JSON]:
    for pair in pairs.values():
        said = judged.said.get(pair.key)
        yield {
            "judge": judged.judge, "file": judged.file, "pair": pair.key,
            "preferred": dict(pair.preferred), "marks": {k: list(v) for k, v in pair.marks.items()},
            "said": None if said is None else {topic: list(s) for topic, s in said.items()},
        }  # fmt: skip


def _predictions(judged: Judged, pairs: Mapping[str, Pair]) -> Iterator[Prediction]:
    asked = dict.fromkeys(topic for said in judged.said.values() for topic in said)
    for pair in pairs.values():
        for topic in asked:
            if topic not in pair.preferred:
                continue
            scores = judged.said.get(pair.key, {}).get(topic, NOTHING)
            answer, preferred = answer_of(scores), pair.preferred[topic]
            first, second = scores
            yield Prediction(
                protocol=judged.judge,
                sample=f"{pair.key}: {topic}",
                answer=answer,
                right=answer == preferred if preferred in _DECIDED else None,
                score=None if first is None or second is None else first - second,
                group=pair.caption,
            )
