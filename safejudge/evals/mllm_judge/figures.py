"""Figures of one judge's recorded answers to MLLM-as-a-Judge. Pure.

Figures of scores and rankings are over the answers that were read; the share that was not stands
beside them. Accuracies of choices are given with unread answers left out and with them as wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

from safejudge.evals.stats import agreement as ag
from safejudge.evals.stats.curves import auroc
from safejudge.evals.stats.intervals import Estimate, estimate, estimates, grouped, share

if TYPE_CHECKING:
    from safejudge.evals.mllm_judge.records import Asked, Kind, Output
    from safejudge.evals.stats.agreement import Weighted

Figures = dict[str, Estimate]
"""Under stable names."""
TIE = "C"

_AGREEMENT: dict[str, Callable[[Sequence[float], Sequence[float]], float]] = {
    "pearson": ag.pearson,
    "spearman": ag.spearman,
    "kendall": ag.kendall,
    "accuracy": ag.within,
    "within_1": lambda human, judge: ag.within(human, judge, 1),
    "within_2": lambda human, judge: ag.within(human, judge, 2),
    "mae": ag.absolute_error,
    "bias": ag.signed_error,
}
"""Of people's scores and the judge's."""


def people(asked: Sequence[Asked]) -> Figures:
    """How people's answers lie, judge or no judge: what a constant answer would come to."""
    known = [item for item in asked if item.human]
    scores = [item.human for item in known if item.kind == "score"]
    choices = [item.human for item in known if item.kind == "pair"]
    found = {f"score.says_{n}": share(scores.count(str(n)), len(scores)) for n in ag.LEVELS}
    found |= {f"pair.says_{a}": share(choices.count(a), len(choices)) for a in ("A", "B", TIE)}
    order = [item.human for item in known if item.kind == "batch"]
    shown = [ag.ranking_distance(one, sorted(one)) for one in order]
    found["batch.distance_of_order_shown"] = Estimate(ag.mean(shown), len(shown))
    return found


def figures(outputs: Sequence[Output], draws: int) -> Figures:
    """Everything that one judge's answers come to."""
    kinds = grouped(one.asked.kind for one in outputs)
    found: Figures = {}
    for kind, measure in _MEASURES.items():
        if kind not in kinds:
            continue
        some = [outputs[row] for row in kinds[kind]]
        unread = sum(one.said is None for one in some)
        found[f"{kind}.unread"] = share(unread, len(some))
        repeats = grouped(one.asked for one in some)
        if len(repeats) < len(some):
            found[f"{kind}.consistency"] = ag.consistency(
                [some[row].said for row in rows] for rows in repeats.values()
            )
        found |= {f"{kind}.{name}": one for name, one in measure(some, draws).items()}
    return found


def _images(rows: Sequence[Output]) -> list[Hashable]:
    """What is drawn together: answers about one picture are not independent."""
    return [one.asked.image or one.asked.key for one in rows]


# --- scores -------------------------------------------------------------------------------------


def _scores(outputs: Sequence[Output], draws: int) -> Figures:
    rows = [one for one in outputs if one.said is not None]
    human, judge = _human(rows), [float(one.said or "nan") for one in rows]
    found = _agree(_AGREEMENT, rows, judge, draws)
    for level in ag.LEVELS:
        found[f"says_{level}"] = share(judge.count(level), len(judge))
        found[f"people_say_{level}"] = share(human.count(level), len(human))
    found["auroc_low"] = _finds_low(human, judge)
    kept = [(one, ag.weighted_score(one.logprobs)) for one in outputs if one.logprobs is not None]
    # An answer that was not read has no place at which its tokens could be looked at.
    whole = [(one, w) for one, w in kept if one.said is not None and w.missing < len(ag.LEVELS)]
    if whole:
        found |= _weighted(whole, draws)
        found |= _sureness([w for _, w in kept], "_all_rows", draws)
    weights = {id(one): w.score for one, w in whole}
    return found | _parts(rows, weights, draws)


def _human(rows: Sequence[Output]) -> list[float]:
    return [float(one.asked.human) for one in rows]


def _agree(
    names: Iterable[str],
    rows: Sequence[Output],
    judge: Sequence[float],
    draws: int,
) -> Figures:
    """The named figures of agreement of some answers, whose scores stand beside."""
    chosen = {name: _AGREEMENT[name] for name in names}
    return estimates(chosen, _human(rows), judge, groups=_images(rows), draws=draws)


def _finds_low(human: Sequence[float], judge: Sequence[float]) -> Estimate:
    """How well low scores find the answers that people gave 1 or 2."""
    # The curve takes scores from 0 to 1; where in between they lie does not matter to it.
    value = auroc([(5 - score) / 4 for score in judge], [score <= 2 for score in human])
    return Estimate(value, len(judge))


def _weighted(whole: Sequence[tuple[Output, Weighted]], draws: int) -> Figures:
    """The figures of the scores that the probabilities of "1" to "5" make."""
    rows, judge = [one for one, _ in whole], [w.score for _, w in whole]
    agree = _agree(("pearson", "spearman", "mae", "bias"), rows, judge, draws)
    found = {f"weighted.{name}": one for name, one in agree.items()}
    found["weighted.pearson_gain"] = estimate(
        lambda human, weighted, written: ag.pearson(human, weighted) - ag.pearson(human, written),
        _human(rows),
        judge,
        [float(one.said or "nan") for one in rows],
        groups=_images(rows),
        draws=draws,
    )
    found["weighted.auroc_low"] = _finds_low(_human(rows), judge)
    bounded = sum(w.missing > 0 for _, w in whole)
    found["weighted.token_missing"] = share(bounded, len(whole))
    return found | _sureness([w for _, w in whole], "", draws)


def _sureness(some: Sequence[Weighted], name: str, draws: int) -> Figures:
    """How sure the token is: a judge that is always sure knows no degrees."""
    top = [max(one.probabilities) for one in some]
    return {
        f"top_probability{name}": estimate(ag.mean, top, draws=draws),
        f"top_over_0_99{name}": share(sum(p > 0.99 for p in top), len(top)),
    }


def _parts(rows: Sequence[Output], weights: dict[int, float], draws: int) -> Figures:
    """The main figures by task, by who wrote the answer and by how long it is."""
    named = [(f"task.{one.asked.task}", one) for one in rows if one.asked.task]
    known = [one for one in rows if one.asked.authors]
    named += [(f"author.{one.asked.authors[0]}", one) for one in known]
    if any(one.asked.authors[0] == one.judge for one in known):
        named += [("own" if o.asked.authors[0] == o.judge else "others", o) for o in known]
    written = [one for one in rows if one.asked.answers]
    thirds = ag.terciles([len(one.asked.answers[0]) for one in written])
    named += [(f"length.{third}", one) for third, one in zip(thirds, written, strict=True)]
    found: Figures = {}
    for part, places in grouped(name for name, _ in named).items():
        some = [named[place][1] for place in places]
        judge = [float(one.said or "nan") for one in some]
        agree = _agree(("pearson", "accuracy", "bias"), some, judge, draws)
        agree["mean"] = Estimate(ag.mean(judge), len(judge))
        agree["people_mean"] = Estimate(ag.mean(_human(some)), len(some))
        seen = [one for one in some if id(one) in weights]
        if seen:
            weighted = [weights[id(one)] for one in seen]
            agree["weighted.pearson"] = _agree(("pearson",), seen, weighted, draws)["pearson"]
        found |= {f"{part}.{name}": one for name, one in agree.items()}
    return found


# --- pairs --------------------------------------------------------------------------------------


def _pairs(outputs: Sequence[Output], draws: int) -> Figures:
    found: Figures = {}
    # Without ties is without people's ties: a judge's tie where people chose is wrong.
    for name, some in (
        ("with_ties", outputs),
        ("without_ties", [one for one in outputs if one.asked.human != TIE]),
    ):
        marks, images = [ag.mark(one.asked.human, one.said) for one in some], _images(some)
        found[f"accuracy_{name}"] = ag.accuracy(marks, None, images, draws)
        found[f"accuracy_{name}_unread_wrong"] = ag.accuracy(marks, 0.0, images, draws)
    rows = [one for one in outputs if one.said is not None]
    for letter in ("A", "B", TIE):
        found[f"says_{letter}"] = share([o.said for o in rows].count(letter), len(rows))
        found[f"people_say_{letter}"] = share(
            [o.asked.human for o in rows].count(letter), len(rows)
        )
    return found | _wins(rows, "longer", _longer) | _wins(rows, "own", _own)


def _wins(rows: Sequence[Output], name: str, favoured: Callable[[Output], str]) -> Figures:
    """How often one kind of answer wins with the judge, and with people, of choices that fell."""
    slots = [(favoured(one), one) for one in rows]
    some = [(slot, one) for slot, one in slots if slot]
    judge = [(slot, one.said) for slot, one in some if one.said != TIE]
    human = [(slot, one.asked.human) for slot, one in some if one.asked.human != TIE]
    if not some:
        return {}
    return {
        f"{name}_wins": share(sum(slot == said for slot, said in judge), len(judge)),
        f"people_{name}_wins": share(sum(slot == said for slot, said in human), len(human)),
    }


def _longer(one: Output) -> str:
    """The slot of the longer answer; empty where that is unknown or neither is."""
    lengths = [len(text) for text in one.asked.answers] or [0, 0]
    return "" if lengths[0] == lengths[1] else "AB"[lengths[1] > lengths[0]]


def _own(one: Output) -> str:
    """The slot of the answer that the judge wrote itself; empty where it wrote none or both."""
    own = [author == one.judge for author in one.asked.authors]
    return "AB"[own.index(True)] if sum(own) == 1 else ""


# --- rankings -----------------------------------------------------------------------------------


def _rankings(outputs: Sequence[Output], draws: int) -> Figures:
    rows = [(one, one.said) for one in outputs if one.said is not None]
    distances = [ag.ranking_distance(one.asked.human, said) for one, said in rows]
    images = _images([one for one, _ in rows])
    missed = [*distances, *[1.0] * (len(outputs) - len(rows))]
    found = {
        "distance": estimate(ag.mean, distances, groups=images, draws=draws),
        "distance_unread_as_1": Estimate(ag.mean(missed), len(missed)),
        "identical": share(distances.count(0.0), len(rows)),
    }
    for place, letter in enumerate("AB"):
        top = sum(said[:1] == letter for _, said in rows)
        people_top = sum(one.asked.human[:1] == letter for one, _ in rows)
        found[f"slot_{place + 1}_on_top"] = share(top, len(rows))
        found[f"people_slot_{place + 1}_on_top"] = share(people_top, len(rows))
    return found


_MEASURES: dict[Kind, Callable[[Sequence[Output], int], Figures]] = {
    "score": _scores,
    "pair": _pairs,
    "batch": _rankings,
}
