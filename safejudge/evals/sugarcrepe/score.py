"""SugarCrepe from recorded scores: how often the right caption scores above the wrong one.

A record is {id, group, right, wrong}: the scores of both captions, of which a higher one is better.
Equal scores are no win, though scripts that compare with >= take them for one: they are counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.evals import recorded
from safejudge.evals.headline import of_best
from safejudge.evals.stats.agreement import mean
from safejudge.evals.stats.intervals import Estimate, grouped
from safejudge.evals.stats.retrieval import outcome, pair_shares
from safejudge.evals.suite import EvalResult, Prediction, Ranking
from safejudge.show.figures import Table
from safejudge.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from safejudge.matching.soft_labels import Score
    from safejudge.types import JSON

Estimates = dict[str, Estimate]
WHAT = "pair of scores"
NONE = "(none)"
"""Stands for a group that a pair does not tell."""
MAIN = "all.strict"
_SHARES = ("strict", "ties_half", "ties", "unread")


@dataclass(frozen=True, slots=True)
class Pair:
    """The scores of a right and a wrong caption."""

    id: str
    group: str
    """What was done to the wrong one: `replace_obj`, `swap_att`."""
    right: Score
    """None where it was not read."""
    wrong: Score

    @property
    def part(self) -> str:
        """What was done, whatever it was done to: `replace`."""
        return self.group.partition("_")[0]


def pair_of(record: JSON) -> Pair | str | None:
    """Read one record; why it cannot be scored, or None if it is none."""
    if not {"right", "wrong"} <= record.keys():
        return None
    if not (name := recorded.word(record.get("id"))):
        return "without an id"
    group = recorded.word(record.get("group")) or NONE
    scores = (recorded.number(record[side]) for side in ("right", "wrong"))
    return Pair(name, group, *scores)


def from_outputs(folder: Path) -> EvalResult:
    """Score every file of pairs below a folder."""
    cases: recorded.Cases[Pair] = recorded.read_cases(folder, pair_of, WHAT)
    left_out = Counter(cases.left_out)
    judges = recorded.judges_of(dict.fromkeys(file for file, _, _ in cases.found))
    entries: dict[str, dict[str, Pair]] = {}
    for file, _, pair in cases.found:
        pairs = entries.setdefault(judges[file], {})
        if pair.id in pairs:
            left_out["whose id was there before; the first counts"] += 1
        pairs.setdefault(pair.id, pair)
    findings = [f"{counted(n, 'pair')} left out, {why}." for why, n in left_out.items()]
    whole = {name: list(pairs.values()) for name, pairs in entries.items()}
    return score(whole, findings, cases.unread)


def score(
    entries: Mapping[str, Sequence[Pair]], findings: Sequence[str], unread: Sequence[str] = ()
) -> EvalResult:
    """Score pairs by who scored them."""
    numbers = {name: estimates(pairs) for name, pairs in entries.items()}
    return EvalResult(
        tables=_tables(numbers),
        findings=(*findings, *_findings(numbers)),
        numbers={
            name: {figure: value.json() for figure, value in values.items()}
            for name, values in numbers.items()
        },
        samples=tuple(_sample(name, pair) for name, pairs in entries.items() for pair in pairs),
        unread=tuple(unread),
        predictions=tuple(_prediction(n, pair) for n, pairs in entries.items() for pair in pairs),
        headline=of_best(numbers, {MAIN: "the right caption scored above the wrong one:"}),
        ranking=Ranking(MAIN),
    )


def estimates(pairs: Sequence[Pair]) -> Estimates:
    """Of one scorer's pairs: all, by part, by group; and the plain mean over parts."""
    results: Estimates = {}
    levels = {
        "all": ["all"] * len(pairs),
        "part": [f"part.{pair.part}" for pair in pairs],
        "group": [f"group.{pair.group}" for pair in pairs],
    }
    for names in levels.values():
        for name, rows in grouped(names).items():
            said = [outcome(pairs[row].right, pairs[row].wrong) for row in rows]
            shares = pair_shares(said)
            results |= {f"{name}.{figure}": shares[figure] for figure in _SHARES}
    parts = [v.value for n, v in results.items() if n.startswith("part.") and n.endswith(".strict")]
    return results | {"compositional": Estimate(mean(parts), len(parts))}


def _sample(name: str, pair: Pair) -> JSON:
    return {
        "entry": name, "id": pair.id, "group": pair.group, "right": pair.right,
        "wrong": pair.wrong, "outcome": outcome(pair.right, pair.wrong),
    }  # fmt: skip


def _prediction(name: str, pair: Pair) -> Prediction:
    said = outcome(pair.right, pair.wrong)
    answer = said if said in {"right", "wrong"} else None
    margin = None if pair.right is None or pair.wrong is None else pair.right - pair.wrong
    return Prediction(name, f"{pair.group}/{pair.id}", answer, said == "right", margin)


def _tables(numbers: Mapping[str, Estimates]) -> tuple[Table, ...]:
    columns = ("right", "ties as half", "ties", "unread")
    rows = [
        (f"{name}, {part.partition('.')[2] or part}", str(values[f"{part}.strict"].n),
         *(values[f"{part}.{figure}"].text(values[f"{part}.strict"].n) for figure in _SHARES))
        for name, values in numbers.items()
        for part in (n.removesuffix(".strict") for n in values if n.endswith(".strict"))
    ]  # fmt: skip
    means = [
        (
            name,
            str(values["compositional"].n),
            values["compositional"].text(values["compositional"].n),
        )
        for name, values in numbers.items()
    ]
    note = "Right: scored above the wrong caption; of all pairs. A tie is no win."
    return (
        Table("Right and wrong captions", ("scorer, part", "n", *columns), tuple(rows), note),
        Table("Mean over parts", ("scorer", "parts", "right"), tuple(means), "Parts count alike."),
    )


def _findings(numbers: Mapping[str, Estimates]) -> Iterator[str]:
    for name, values in numbers.items():
        for figure, says in (("ties", "score the same"), ("unread", "lack a score")):
            share = values[f"all.{figure}"]
            if count := round(share.value * share.n):
                yield f"{name}: {counted(count, 'pair')} of {share.n} {says}; none is a win."
