"""Answers blown up with words that add nothing, and what a judge makes of it.

MLLM-as-a-Judge (arXiv 2402.04788) had answers lengthened by a model; here nothing is asked and
nothing is added: an answer is said twice, between sentences that say so. Of several answers one is
padded: the one that people hold the worse, so that whatever it gains it gains by length alone.
Takes the records of a plain run and of the padded one; gives how far scores and choices moved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from safejudge.evals import harness
from safejudge.evals.answers.prompts import LETTERS
from safejudge.evals.stats.intervals import FEW, Estimate, mean_of, share_of
from safejudge.evals.variants import FOLDER, LONGER
from safejudge.show.figures import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from safejudge.evals.answers.protocols import Sample
    from safejudge.types import JSON

    Estimates = Mapping[str, Mapping[str, Estimate]]
    """By protocol, then by figure."""


# --- what is padded -----------------------------------------------------------------------------


def padded(sample: Sample, rewrite: Callable[[str], str]) -> Sample:
    """The same sample with one of its answers rewritten; `facts` says which."""
    number = worse(sample.target, len(sample.answers))
    answers = list(sample.answers)
    answers[number] = rewrite(answers[number])
    facts = sample.facts | {"padded": number}
    if "texts" in facts:
        facts["texts"] = answers
    return replace(sample, answers=tuple(answers), facts=facts)


def worse(target: str, count: int) -> int:
    """Which answer people hold the worst; the second of two that they hold equal."""
    if count == 1:
        return 0
    if len(target) == count:  # a ranking
        return LETTERS.index(target[-1])
    return 0 if target == "B" else 1


# --- what came of it ----------------------------------------------------------------------------


class Score(NamedTuple):
    """What a padded answer was given, before and after."""

    group: str
    """What belongs together, such as a picture."""
    before: float | None
    """None where it could not be read."""
    after: float | None


class Choice(NamedTuple):
    """What was said of answers of which one was padded, before and after."""

    group: str
    before: tuple[str, float] | None
    """What was said, and which share of the others the padded answer beats in it, a tie being
    half; None where it could not be read."""
    after: tuple[str, float] | None


@dataclass(frozen=True, slots=True)
class Moves:
    """Everything that was said twice, by protocol."""

    scores: Mapping[str, Sequence[Score]]
    choices: Mapping[str, Sequence[Choice]]


def both(out: Path) -> Iterator[tuple[JSON, JSON]]:
    """The records of a run that its padded one has as well, and judged."""
    folder = out / FOLDER / LONGER
    if not (folder / harness.RECORDS).is_file():
        return
    plain = harness.recorded(out)
    for name, changed in harness.recorded(folder).items():
        before = plain.get(name, {})
        if "said" in before and "said" in changed:
            yield before, changed


def moves(out: Path) -> Moves:
    """Compare the runs of a suite of samples with answers (`answers.run`)."""
    scores: dict[str, list[Score]] = {}
    choices: dict[str, list[Choice]] = {}
    for plain, changed in both(out):
        number, group = changed["about"]["padded"], changed["picture"]
        count = len(changed["about"].get("texts", ()))
        for protocol, entries in changed["said"].items():
            earlier = plain["said"].get(protocol, ())
            for before, after in zip(earlier, entries, strict=False):
                if after.get("answer", number) != number:
                    continue  # another answer, asked about as before
                if "answer" in after:
                    score = Score(group, score_of(before), score_of(after))
                    scores.setdefault(protocol, []).append(score)
                else:
                    two = [_choice(entry, number, count) for entry in (before, after)]
                    choices.setdefault(protocol, []).append(Choice(group, *two))
    return Moves(scores, choices)


def score_of(entry: Mapping[str, Any]) -> float | None:
    """The score that was read, weighted where it is; None where there is none."""
    value = entry["said"]
    return None if value is None else float(entry.get("score", value))


def _choice(entry: Mapping[str, Any], number: int, count: int) -> tuple[str, float] | None:
    """What was said, and how many of the others the padded answer beats."""
    said = entry["said"]
    if said is None:
        return None
    if "order" not in entry:
        return said, 1 - said.index(LETTERS[number]) / (count - 1)
    return said, share_won(said, number if entry["order"] == "AB" else 1 - number)


def share_won(letter: str, number: int) -> float:
    """1 where the letter names the answer shown there, 0 where it names the other, 1/2 of a tie."""
    return 0.5 if letter == "C" else float(letter == LETTERS[number])


# --- figures ------------------------------------------------------------------------------------


def figures(moved: Moves) -> tuple[Estimates, Estimates]:
    """How far scores rose, and how often choices changed, by protocol."""
    scores = {name: _score_figures(rows) for name, rows in moved.scores.items()}
    choices = {name: _choice_figures(rows) for name, rows in moved.choices.items()}
    return scores, choices


def _score_figures(rows: Sequence[Score]) -> dict[str, Estimate]:
    read = [(group, a, b) for group, a, b in rows if a is not None and b is not None]
    groups = [group for group, *_ in read]
    return {
        "rises": mean_of([b - a for _, a, b in read], groups),
        "before": mean_of([a for _, a, _ in read], groups, intervals=False),
        "after": mean_of([b for *_, b in read], groups, intervals=False),
        **_unread(rows),
    }


def _choice_figures(rows: Sequence[Choice]) -> dict[str, Estimate]:
    read = [(group, a, b) for group, a, b in rows if a is not None and b is not None]
    groups = [group for group, *_ in read]
    return {
        "changed": share_of([a[0] != b[0] for _, a, b in read], groups),
        "gains": mean_of([b[1] - a[1] for _, a, b in read], groups),
        "before": mean_of([a[1] for _, a, _ in read], groups, intervals=False),
        "after": mean_of([b[1] for *_, b in read], groups, intervals=False),
        **_unread(rows),
    }


def _unread(rows: Sequence[Score] | Sequence[Choice]) -> dict[str, Estimate]:
    groups = [row.group for row in rows]
    return {
        "unread_before": share_of([row.before is None for row in rows], groups, intervals=False),
        "unread_after": share_of([row.after is None for row in rows], groups, intervals=False),
    }


def tables(moved: Moves) -> list[Table]:
    """For people; nothing where no padded run is there."""
    scores, choices = figures(moved)
    heads = {"before": "before", "after": "after"}
    last = {"unread_before": "unread before", "unread_after": "unread after"}
    return [
        *_table(
            "Scores of an answer blown up", scores, {"rises": "rises by", **heads, **last},
            "The answer is said twice, between sentences that add nothing. A judge that does not "
            f"count length rises by 0. Over answers that both runs read. {FEW}",
        ),
        *_table(
            "Choices where one answer is blown up", choices,
            {"changed": "says another", "gains": "blown up wins more", **heads, **last},
            "Blown up is the answer that people hold the worse, or the second of two equal ones. "
            "Before, after: the share of the other answers that it beats, a tie being half. "
            f"Over what both runs read. {FEW}",
        ),
    ]  # fmt: skip


def _table(title: str, rows: Estimates, heads: Mapping[str, str], note: str) -> list[Table]:
    if not rows:
        return []
    first = next(iter(heads))
    lines = []
    for protocol, estimates in sorted(rows.items()):
        n = estimates[first].n
        cells = (
            estimates[name].cell() if name in {"rises", "changed", "gains"}
            else estimates[name].text(estimates[name].n)
            for name in heads
        )  # fmt: skip
        lines.append((protocol, str(n), *cells))
    return [Table(title, ("", "n", *heads.values()), tuple(lines), note)]


def numbers(moved: Moves, judge: str) -> JSON:
    """Every figure under a stable name, as `EvalResult.numbers`."""
    named = {
        f"{protocol}.{name}": estimate.json()
        for by_protocol in figures(moved)
        for protocol, estimates in by_protocol.items()
        for name, estimate in estimates.items()
    }
    return {f"{judge}, {LONGER}": named} if named else {}
