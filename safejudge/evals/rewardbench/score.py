"""Multimodal RewardBench from recorded outputs: how often a judge prefers what experts prefer.

The leaderboard's overall figure is over triplets, not over domains. A tie and an answer that could
not be read are outcomes of their own, never a coin: every accuracy is given with them as wrong, as
one half (what a coin would come to), and left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.evals.rewardbench import records as rb
from safejudge.evals.rewardbench.records import write_answers
from safejudge.evals.stats import agreement as ag
from safejudge.evals.stats import order_bias as slots
from safejudge.evals.stats.curves import auroc
from safejudge.evals.stats.intervals import Estimate, estimate, ratio, share
from safejudge.evals.suite import EvalResult, Prediction
from safejudge.show.figures import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from safejudge.evals.rewardbench.records import Output, Recorded
    from safejudge.types import JSON

__all__ = ["from_outputs", "over_triplets", "sample", "score", "write_answers"]

Figures = dict[str, Estimate]
_OPEN_AS = {"at_zero": 0.0, "at_half": 0.5, "left_out": None}
"""What a tie or an unread answer counts."""
TIE = "C"


def from_outputs(folder: Path, draws: int = 1000) -> EvalResult:
    """Score every file of triplets or answers below a folder; `draws` is for the intervals."""
    found = rb.read(folder)
    return score(found, rb.in_both_orders(found.files), draws)


def score(found: Recorded, swapped: Mapping[str, tuple[str, str]], draws: int = 1000) -> EvalResult:
    """Score what was read; `swapped`: under one name, two judges that saw either order."""
    numbers = {judge: _figures(outputs, draws) for judge, outputs in found.files.items()}
    orders = {
        f"{base} (both orders)": _orders(rb.both(found.files[one], found.files[other]), draws)
        for base, (one, other) in swapped.items()
    }
    return EvalResult(
        tables=_tables(numbers, orders),
        findings=_findings(numbers, orders, found),
        numbers={
            judge: {name: one.json() for name, one in some.items()}
            for judge, some in (numbers | orders).items()
        },
        samples=tuple(
            sample(judge, one) for judge, outputs in found.files.items() for one in outputs
        ),
        unread=found.unread,
        said=tuple(
            said
            for judge, outputs in found.files.items()
            for one in outputs
            for said in _said(judge, one)
        ),
    )


def over_triplets(domains: Mapping[str, tuple[float, int]]) -> Estimate:
    """The overall figure of (share, triplets) by domain: weighted by how many there are."""
    n = sum(count for _, count in domains.values())
    return Estimate(ratio(sum(value * count for value, count in domains.values()), n), n)


def sample(judge: str, one: Output) -> JSON:
    """What came of one triplet, as a record."""
    main = next(iter(one.said))
    return {
        "judge": judge,
        "file": one.file,
        "id": one.id,
        "repeat": one.repeat,
        "category": one.category,
        "domain": rb.domain(one.category),
        "part": rb.part(one.category, one.id),
        "image": one.image or None,
        "label": one.label,
        "said": one.said[main],
        "outcome": ag.mark(one.label, one.said[main], TIE),
        "read": {
            way: {"said": said, "outcome": ag.mark(one.label, said, TIE),
                  "scores": list(one.scores[way]) if way in one.scores else None}
            for way, said in one.said.items()
        },
        "output": one.text,
    }  # fmt: skip


def _said(judge: str, one: Output) -> Iterator[Prediction]:
    """What was said in every way; a tie is none of the two answers."""
    for way, said in one.said.items():
        scores = one.scores.get(way)
        yield Prediction(
            way=f"{judge}, {_WAYS[way]}",
            item=f"{one.id} ({one.repeat + 1})" if one.repeat else one.id,
            answer=None if said == TIE else said,
            right=said == one.label,
            score=None if scores is None else scores[0] - scores[1],
            confidence=max(scores) if scores and way == "letters" and said != TIE else None,
            group=one.image or one.id,
        )


# --- figures ------------------------------------------------------------------------------------


def _figures(outputs: Sequence[Output], draws: int) -> Figures:
    """Everything of one file: overall, by domain and by part, for every way of reading."""
    ways = list(dict.fromkeys(way for one in outputs for way in one.said))
    groups: dict[str, list[Output]] = {"overall": list(outputs)}
    for one in outputs:
        groups.setdefault(rb.domain(one.category), []).append(one)
        if (name := rb.part(one.category, one.id)) is not None:
            groups.setdefault(name, []).append(one)
    found: Figures = {}
    for group, some in sorted(groups.items()):
        found[f"{group}.better_first"] = share(sum(o.label == "A" for o in some), len(some))
        for way in ways:
            figures = _accuracies([o for o in some if way in o.said], way, draws)
            found |= {f"{group}.{way}.{name}": figure for name, figure in figures.items()}
    for way in ways:
        shares = [found[f"{group}.{way}.at_half"].value for group in groups if group in rb.DOMAINS]
        found[f"mean_of_domains.{way}.at_half"] = Estimate(ag.mean(shares), len(shares))
        found |= _margins(outputs, way)
    both = sum("[[A]]" in (o.text or "") and "[[B]]" in (o.text or "") for o in outputs)
    if any(one.text is not None for one in outputs):
        found["overall.verdict.names_both"] = share(both, len(outputs))
    return found


def _accuracies(some: Sequence[Output], way: str, draws: int) -> Figures:
    said = [one.said[way] for one in some]
    marks = [ag.mark(one.label, one.said[way], TIE) for one in some]
    ids = [one.id for one in some]  # one picture and question, sometimes with more than one pair
    found = {name: ag.accuracy(marks, open_as, ids, draws) for name, open_as in _OPEN_AS.items()}
    found["tie"] = share(marks.count("tie"), len(marks))
    found["unread"] = share(marks.count("unread"), len(marks))
    found["picks_first"] = share(said.count("A"), said.count("A") + said.count("B"))
    return found


def _margins(outputs: Sequence[Output], way: str) -> Figures:
    """Whether a small difference of scores points to an error."""
    decided = [(one, one.scores[way]) for one in outputs
               if way in one.scores and one.said[way] != TIE]  # fmt: skip
    if not decided:
        return {}
    close = [1 - abs(first - second) / 4 for _, (first, second) in decided]
    value = auroc(close, [one.said[way] != one.label for one, _ in decided])
    return {f"overall.{way}.error_from_small_margin": Estimate(value, len(decided))}


def _orders(pairs: Sequence[tuple[Output, Output]], draws: int) -> Figures:
    """One judge, both orders of the same two answers."""
    found: Figures = {}
    ids = [first.id for first, _ in pairs]
    for way in dict.fromkeys(way for first, second in pairs for way in first.said
                             if way in second.said):  # fmt: skip
        said = [(first.said.get(way), second.said.get(way)) for first, second in pairs]
        worth = {"right": 1.0, "wrong": 0.0, "tie": 0.5, "unread": 0.5}
        marks = [
            (ag.mark(a.label, one, TIE), ag.mark(b.label, other, TIE))
            for (a, b), (one, other) in zip(pairs, said, strict=True)
        ]
        values = [(worth[one] + worth[other]) / 2 for one, other in marks]
        found[f"overall.{way}.at_half"] = estimate(ag.mean, values, groups=ids, draws=draws)
        both = slots.figures(said, marks, {None, TIE})
        found |= {f"overall.{way}.{name}": one for name, one in both.items()}
    return found


# --- tables and findings ------------------------------------------------------------------------


def _tables(numbers: Mapping[str, Figures], orders: Mapping[str, Figures]) -> tuple[Table, ...]:
    heads = {
        "as one half": "at_half", "as wrong": "at_zero", "left out": "left_out", "ties": "tie",
        "unread": "unread", "picks the first": "picks_first",
    }  # fmt: skip
    made = []
    for judge, some in numbers.items():
        ways = [name.split(".")[1] for name in some
                if name.startswith("overall.") and name.endswith(".at_half")]  # fmt: skip
        for way in ways:
            groups = [name[: -len(end)] for name in some if name.endswith(end := f".{way}.at_zero")]
            groups.sort(key=lambda group: (group == "overall", group))
            made.append(
                Table(
                    f"{judge}: {_WAYS[way]}",
                    ("domain", "n", *heads, "the better is first"),
                    tuple(_row(some, group, way, [*heads.values()]) for group in groups),
                    "Right, with ties and unread answers as one half, as wrong, and left out. "
                    "Overall is over triplets, as on the leaderboard.",
                )
            )
    heads = {
        "right": "at_half", **slots.HEADS, "a tie or unread": "tie_or_unread",
    }  # fmt: skip
    rows = [
        (f"{judge}, {_WAYS[way]}", str(some[f"overall.{way}.at_half"].n),
         *(some[f"overall.{way}.{name}"].text(some[f"overall.{way}.at_half"].n)
           for name in heads.values()))
        for judge, some in orders.items()
        for way in _WAYS if f"overall.{way}.at_half" in some
    ]  # fmt: skip
    if rows:
        made.append(Table("Both orders of the same answers", ("judge", "n", *heads), tuple(rows)))
    return tuple(made)


_WAYS = {
    "weighted": "scores weighted by the probabilities of their tokens",
    "written": "written scores",
    "verdict": "verdicts",
    "letters": "verdicts by the probabilities of their letters",
}


def _row(some: Figures, group: str, way: str, names: Sequence[str]) -> tuple[str, ...]:
    first = some[f"{group}.{way}.at_half"].n
    cells = [some[f"{group}.{way}.{name}"].text(first) for name in names]
    return (group, str(first), *cells, some[f"{group}.better_first"].text(first))


def _findings(
    numbers: Mapping[str, Figures], orders: Mapping[str, Figures], found: Recorded
) -> tuple[str, ...]:
    said = [f"{n} records were left out: {why}." for why, n in found.left_out.items()]
    for judge, outputs in found.files.items():
        twice = len({one.id for one in outputs if one.repeat})
        if twice:
            said.append(f"{judge}: {twice} ids stand more than once; each row is one triplet.")
        strange = sorted({rb.domain(one.category) for one in outputs}.difference(rb.DOMAINS))
        if strange:
            said.append(f"{judge}: domains that the benchmark does not have: {', '.join(strange)}.")
        some = numbers[judge]
        for way in ("written", "weighted", "verdict", "letters"):
            tie, unread = some.get(f"overall.{way}.tie"), some.get(f"overall.{way}.unread")
            if tie is not None and unread is not None:
                said.append(
                    f"{judge}, {_WAYS[way]}: {tie.value:.1%} ties and {unread.value:.1%} unread "
                    f"(n={tie.n}); right with these at one half "
                    f"{some[f'overall.{way}.at_half'].text()}."
                )
    for judge, some in orders.items():
        ways = {way: f"overall.{way}.same_answer" for way in _WAYS}
        seen = {way: some[name] for way, name in ways.items() if name in some}
        for way, one in seen.items():
            told = f", {_WAYS[way]}" if len(seen) > 1 else ""
            said.append(f"{judge}{told}: the same answer in both orders {one.text()}.")
    return tuple(said)
