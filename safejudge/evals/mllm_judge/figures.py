"""Figures of one judge's recorded answers to MLLM-as-a-Judge. Pure.

Figures of scores and rankings are over the answers that were read; the share that was not stands
beside them. Accuracies of choices are given with unread answers left out and with them as wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from safejudge.evals.stats import agreement
from safejudge.evals.stats.agreement import LEVELS, Weighted, weighted_score
from safejudge.evals.stats.curves import auroc
from safejudge.evals.stats.intervals import Estimate, grouped, mean_of, share_of
from safejudge.evals.stats.jackknife import estimate, estimates

if TYPE_CHECKING:
    from safejudge.evals.mllm_judge.records import Kind, Output, Sample

Estimates = dict[str, Estimate]
"""Under stable names."""
TIE = "C"

_CORRELATIONS = {
    "pearson": agreement.pearson,
    "spearman": agreement.spearman,
    "kendall": agreement.kendall,
}
_WITHIN = {"accuracy": 0, "within_1": 1, "within_2": 2}
"""Shares of scores that lie no more than so many steps apart."""
_ERRORS = ("mae", "bias")
_AGREEMENT = (*_CORRELATIONS, *_WITHIN, *_ERRORS)
"""Figures of people's scores and the judge's."""


def people(samples: Sequence[Sample]) -> Estimates:
    """How people's answers lie, judge or no judge: what a constant answer would come to."""
    answered = [sample for sample in samples if sample.human]
    of: dict[Kind, list[Sample]] = {
        kind: [sample for sample in answered if sample.kind == kind] for kind in _KINDS
    }
    figures = {f"score.says_{n}": _said(of["score"], str(n)) for n in LEVELS}
    figures |= {f"pair.says_{letter}": _said(of["pair"], letter) for letter in ("A", "B", TIE)}
    figures["batch.distance_of_order_shown"] = _mean(
        [agreement.ranking_distance(sample.human, sorted(sample.human)) for sample in of["batch"]]
    )
    return figures


_KINDS: tuple[Kind, ...] = ("score", "pair", "batch")


def _said(samples: Sequence[Sample], answer: str) -> Estimate:
    images = [sample.image or sample.key for sample in samples]
    return share_of([sample.human == answer for sample in samples], images)


def figures(outputs: Sequence[Output]) -> Estimates:
    """Everything that one judge's answers come to."""
    kinds = grouped(output.sample.kind for output in outputs)
    results: Estimates = {}
    for kind, measure in _MEASURES.items():
        if kind not in kinds:
            continue
        part = [outputs[row] for row in kinds[kind]]
        unread = [output.answer is None for output in part]
        results[f"{kind}.unread"] = share_of(unread, _images(part))
        repeats = grouped(output.sample for output in part)
        if len(repeats) < len(part):
            results[f"{kind}.consistency"] = agreement.consistency(
                [[part[row].answer for row in rows] for rows in repeats.values()],
                _images([part[rows[0]] for rows in repeats.values()]),
            )
        results |= {f"{kind}.{name}": value for name, value in measure(part).items()}
    return results


def _images(outputs: Sequence[Output]) -> list[Hashable]:
    """What belongs together: answers about one picture are not independent."""
    return [output.sample.image or output.sample.key for output in outputs]


def _mean(values: Sequence[float]) -> Estimate:
    return Estimate(agreement.mean(values), len(values))


# --- scores -------------------------------------------------------------------------------------


def _scores(outputs: Sequence[Output]) -> Estimates:
    read = [output for output in outputs if output.answer is not None]
    human, judge = _human(read), _judge(read)
    results, images = _agree(_AGREEMENT, read, judge), _images(read)
    for level in LEVELS:
        results[f"says_{level}"] = share_of([score == level for score in judge], images)
        results[f"people_say_{level}"] = share_of([score == level for score in human], images)
    results["auroc_low"] = _finds_low(human, judge)
    weighted = [
        (output, weighted_score(output.logprobs))
        for output in outputs
        if output.logprobs is not None
    ]
    # An answer that was not read has no token whose alternatives could be looked at.
    usable = [
        (output, score)
        for output, score in weighted
        if output.answer is not None and score.missing < len(LEVELS)
    ]
    if usable:
        results |= _weighted(usable)
        results |= _sureness(weighted, "_all_rows")
    weights = {id(output): score.score for output, score in usable}
    return results | _parts(read, weights)


def _human(outputs: Sequence[Output]) -> list[float]:
    return [float(output.sample.human) for output in outputs]


def _judge(outputs: Sequence[Output]) -> list[float]:
    return [float(output.answer or "nan") for output in outputs]


def _agree(names: Sequence[str], outputs: Sequence[Output], judge: Sequence[float]) -> Estimates:
    """The named figures of agreement of some answers, whose scores stand beside."""
    human, images = _human(outputs), _images(outputs)
    off = np.asarray(judge, dtype=float) - np.asarray(human, dtype=float)
    wanted = {name: _CORRELATIONS[name] for name in names if name in _CORRELATIONS}
    found = estimates(wanted, human, judge, groups=images, correlations=wanted)
    for name in names:
        if name in _WITHIN:
            found[name] = share_of(np.abs(off) <= _WITHIN[name], images)
        elif name in _ERRORS:
            found[name] = mean_of(np.abs(off) if name == "mae" else off, images)
    return found


def _finds_low(human: Sequence[float], judge: Sequence[float]) -> Estimate:
    """How well low scores find the answers that people gave 1 or 2."""
    # The curve takes scores from 0 to 1; where in between they lie does not matter to it.
    value = auroc([(5 - score) / 4 for score in judge], [score <= 2 for score in human])
    return Estimate(value, len(judge))


def _weighted(usable: Sequence[tuple[Output, Weighted]]) -> Estimates:
    """The figures of the scores that the probabilities of "1" to "5" make."""
    outputs, scores = [output for output, _ in usable], [weighted for _, weighted in usable]
    judge = [weighted.score for weighted in scores]
    agreed = _agree(("pearson", "spearman", "mae", "bias"), outputs, judge)
    results = {f"weighted.{name}": value for name, value in agreed.items()}
    results["weighted.pearson_gain"] = estimate(
        lambda human, weighted, written: (
            agreement.pearson(human, weighted) - agreement.pearson(human, written)
        ),
        _human(outputs),
        judge,
        _judge(outputs),
        groups=_images(outputs),
    )
    results["weighted.auroc_low"] = _finds_low(_human(outputs), judge)
    bounded = [weighted.missing > 0 for weighted in scores]
    results["weighted.token_missing"] = share_of(bounded, _images(outputs))
    return results | _sureness(usable, "")


def _sureness(weighted: Sequence[tuple[Output, Weighted]], name: str) -> Estimates:
    """How sure the token is: a judge that is always sure knows no degrees."""
    top, images = (
        [max(score.probabilities) for _, score in weighted],
        _images([o for o, _ in weighted]),
    )
    return {
        f"top_probability{name}": share_of(top, images),
        f"top_over_0_99{name}": share_of([p > 0.99 for p in top], images),
    }


def _parts(outputs: Sequence[Output], weights: dict[int, float]) -> Estimates:
    """The main figures by task, by who wrote the answer and by how long it is."""
    members = _members(outputs)
    results: Estimates = {}
    for part, rows in grouped(name for name, _ in members).items():
        inside = [members[row][1] for row in rows]
        judge = _judge(inside)
        agreed = _agree(("pearson", "accuracy", "bias"), inside, judge)
        agreed["mean"] = _mean(judge)
        agreed["people_mean"] = _mean(_human(inside))
        weighted = [output for output in inside if id(output) in weights]
        if weighted:
            scores = [weights[id(output)] for output in weighted]
            agreed["weighted.pearson"] = _agree(("pearson",), weighted, scores)["pearson"]
        results |= {f"{part}.{name}": value for name, value in agreed.items()}
    return results


def _members(outputs: Sequence[Output]) -> list[tuple[str, Output]]:
    """The name of every part, and an answer that is in it."""
    members = [(f"task.{output.sample.task}", output) for output in outputs if output.sample.task]
    signed = [output for output in outputs if output.sample.authors]
    members += [(f"author.{output.sample.authors[0]}", output) for output in signed]
    mine = [output.sample.authors[0] == output.judge for output in signed]
    if any(mine):
        members += [
            ("own" if mine else "others", output) for mine, output in zip(mine, signed, strict=True)
        ]
    texts = [output for output in outputs if output.sample.answers]
    thirds = agreement.terciles([len(output.sample.answers[0]) for output in texts])
    return members + [
        (f"length.{third}", output) for third, output in zip(thirds, texts, strict=True)
    ]


# --- pairs --------------------------------------------------------------------------------------


def _pairs(outputs: Sequence[Output]) -> Estimates:
    results: Estimates = {}
    # Without ties is without people's ties: a judge's tie where people chose is wrong.
    untied = [output for output in outputs if output.sample.human != TIE]
    for name, part in (("with_ties", outputs), ("without_ties", untied)):
        marks = [agreement.mark(output.sample.human, output.answer) for output in part]
        images = _images(part)
        results[f"accuracy_{name}"] = agreement.accuracy(marks, None, images)
        results[f"accuracy_{name}_unread_wrong"] = agreement.accuracy(marks, 0.0, images)
    read = [output for output in outputs if output.answer is not None]
    answers = [output.answer for output in read]
    human = [output.sample.human for output in read]
    images = _images(read)
    for letter in ("A", "B", TIE):
        results[f"says_{letter}"] = share_of([a == letter for a in answers], images)
        results[f"people_say_{letter}"] = share_of([a == letter for a in human], images)
    return results | _wins(read, "longer", _longer) | _wins(read, "own", _self_written)


def _wins(outputs: Sequence[Output], name: str, favoured: Callable[[Output], str]) -> Estimates:
    """How often one kind of answer wins with the judge, and with people, of choices that fell."""
    slots = [(slot, output) for output in outputs if (slot := favoured(output))]
    if not slots:
        return {}
    images = _images([output for _, output in slots])
    said: dict[str, list[str | None]] = {
        "": [output.answer for _, output in slots],
        "people_": [output.sample.human for _, output in slots],
    }
    return {
        f"{who}{name}_wins": share_of(
            [slot == answer for (slot, _), answer in zip(slots, answers, strict=True)],
            images,
            [answer != TIE for answer in answers],
        )
        for who, answers in said.items()
    }


def _longer(output: Output) -> str:
    """The slot of the longer answer; empty where that is unknown or neither is."""
    lengths = [len(text) for text in output.sample.answers] or [0, 0]
    return "" if lengths[0] == lengths[1] else "AB"[lengths[1] > lengths[0]]


def _self_written(output: Output) -> str:
    """The slot of the answer that the judge wrote itself; empty where it wrote none or both."""
    mine = [author == output.judge for author in output.sample.authors]
    return "AB"[mine.index(True)] if sum(mine) == 1 else ""


# --- rankings -----------------------------------------------------------------------------------


def _rankings(outputs: Sequence[Output]) -> Estimates:
    read = [(output, output.answer) for output in outputs if output.answer is not None]
    distances = [agreement.ranking_distance(output.sample.human, order) for output, order in read]
    images = _images([output for output, _ in read])
    results = {
        "distance": share_of(distances, images),
        "distance_unread_as_1": _mean([*distances, *[1.0] * (len(outputs) - len(read))]),
        "identical": share_of([distance == 0 for distance in distances], images),
    }
    for slot, letter in enumerate("AB", start=1):
        top = [order[:1] == letter for _, order in read]
        people_top = [output.sample.human[:1] == letter for output, _ in read]
        results[f"slot_{slot}_on_top"] = share_of(top, images)
        results[f"people_slot_{slot}_on_top"] = share_of(people_top, images)
    return results


_MEASURES: dict[Kind, Callable[[Sequence[Output]], Estimates]] = {
    "score": _scores,
    "pair": _pairs,
    "batch": _rankings,
}
