"""Figures of one judge's recorded answers to MLLM-as-a-Judge. Pure.

Figures of scores and rankings are over the answers that were read; the share that was not stands
beside them. Accuracies of choices are given with unread answers left out and with them as wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

from safejudge.evals.stats import agreement
from safejudge.evals.stats.agreement import LEVELS, Weighted, weighted_score
from safejudge.evals.stats.curves import auroc
from safejudge.evals.stats.intervals import Estimate, estimate, estimates, grouped, share

if TYPE_CHECKING:
    from safejudge.evals.mllm_judge.records import Kind, Output, Sample

Estimates = dict[str, Estimate]
"""Under stable names."""
TIE = "C"

_AGREEMENT: dict[str, Callable[[Sequence[float], Sequence[float]], float]] = {
    "pearson": agreement.pearson,
    "spearman": agreement.spearman,
    "kendall": agreement.kendall,
    "accuracy": agreement.within,
    "within_1": lambda human, judge: agreement.within(human, judge, 1),
    "within_2": lambda human, judge: agreement.within(human, judge, 2),
    "mae": agreement.absolute_error,
    "bias": agreement.signed_error,
}
"""Of people's scores and the judge's."""


def people(samples: Sequence[Sample]) -> Estimates:
    """How people's answers lie, judge or no judge: what a constant answer would come to."""
    answers: dict[Kind, list[str]] = {"score": [], "pair": [], "batch": []}
    for sample in samples:
        if sample.human:
            answers[sample.kind].append(sample.human)
    scores, choices = answers["score"], answers["pair"]
    figures = {f"score.says_{n}": share(scores.count(str(n)), len(scores)) for n in LEVELS}
    figures |= {f"pair.says_{a}": share(choices.count(a), len(choices)) for a in ("A", "B", TIE)}
    figures["batch.distance_of_order_shown"] = _mean(
        [agreement.ranking_distance(order, sorted(order)) for order in answers["batch"]]
    )
    return figures


def figures(outputs: Sequence[Output], draws: int) -> Estimates:
    """Everything that one judge's answers come to."""
    kinds = grouped(output.sample.kind for output in outputs)
    results: Estimates = {}
    for kind, measure in _MEASURES.items():
        if kind not in kinds:
            continue
        part = [outputs[row] for row in kinds[kind]]
        unread = sum(output.answer is None for output in part)
        results[f"{kind}.unread"] = share(unread, len(part))
        repeats = grouped(output.sample for output in part)
        if len(repeats) < len(part):
            results[f"{kind}.consistency"] = agreement.consistency(
                [part[row].answer for row in rows] for rows in repeats.values()
            )
        results |= {f"{kind}.{name}": value for name, value in measure(part, draws).items()}
    return results


def _images(outputs: Sequence[Output]) -> list[Hashable]:
    """What is drawn together: answers about one picture are not independent."""
    return [output.sample.image or output.sample.key for output in outputs]


def _mean(values: Sequence[float]) -> Estimate:
    return Estimate(agreement.mean(values), len(values))


# --- scores -------------------------------------------------------------------------------------


def _scores(outputs: Sequence[Output], draws: int) -> Estimates:
    read = [output for output in outputs if output.answer is not None]
    human, judge = _human(read), _judge(read)
    results = _agree(_AGREEMENT, read, judge, draws)
    for level in LEVELS:
        results[f"says_{level}"] = share(judge.count(level), len(judge))
        results[f"people_say_{level}"] = share(human.count(level), len(human))
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
        results |= _weighted(usable, draws)
        results |= _sureness([score for _, score in weighted], "_all_rows", draws)
    weights = {id(output): score.score for output, score in usable}
    return results | _parts(read, weights, draws)


def _human(outputs: Sequence[Output]) -> list[float]:
    return [float(output.sample.human) for output in outputs]


def _judge(outputs: Sequence[Output]) -> list[float]:
    return [float(output.answer or "nan") for output in outputs]


def _agree(
    names: Iterable[str],
    outputs: Sequence[Output],
    judge: Sequence[float],
    draws: int,
) -> Estimates:
    """The named figures of agreement of some answers, whose scores stand beside."""
    statistics = {name: _AGREEMENT[name] for name in names}
    return estimates(statistics, _human(outputs), judge, groups=_images(outputs), draws=draws)


def _finds_low(human: Sequence[float], judge: Sequence[float]) -> Estimate:
    """How well low scores find the answers that people gave 1 or 2."""
    # The curve takes scores from 0 to 1; where in between they lie does not matter to it.
    value = auroc([(5 - score) / 4 for score in judge], [score <= 2 for score in human])
    return Estimate(value, len(judge))


def _weighted(usable: Sequence[tuple[Output, Weighted]], draws: int) -> Estimates:
    """The figures of the scores that the probabilities of "1" to "5" make."""
    outputs, scores = [output for output, _ in usable], [weighted for _, weighted in usable]
    judge = [weighted.score for weighted in scores]
    agreed = _agree(("pearson", "spearman", "mae", "bias"), outputs, judge, draws)
    results = {f"weighted.{name}": value for name, value in agreed.items()}
    results["weighted.pearson_gain"] = estimate(
        lambda human, weighted, written: (
            agreement.pearson(human, weighted) - agreement.pearson(human, written)
        ),
        _human(outputs),
        judge,
        _judge(outputs),
        groups=_images(outputs),
        draws=draws,
    )
    results["weighted.auroc_low"] = _finds_low(_human(outputs), judge)
    bounded = sum(weighted.missing > 0 for weighted in scores)
    results["weighted.token_missing"] = share(bounded, len(scores))
    return results | _sureness(scores, "", draws)


def _sureness(scores: Sequence[Weighted], name: str, draws: int) -> Estimates:
    """How sure the token is: a judge that is always sure knows no degrees."""
    top = [max(weighted.probabilities) for weighted in scores]
    return {
        f"top_probability{name}": estimate(agreement.mean, top, draws=draws),
        f"top_over_0_99{name}": share(sum(p > 0.99 for p in top), len(top)),
    }


def _parts(outputs: Sequence[Output], weights: dict[int, float], draws: int) -> Estimates:
    """The main figures by task, by who wrote the answer and by how long it is."""
    members = _members(outputs)
    results: Estimates = {}
    for part, rows in grouped(name for name, _ in members).items():
        inside = [members[row][1] for row in rows]
        judge = _judge(inside)
        agreed = _agree(("pearson", "accuracy", "bias"), inside, judge, draws)
        agreed["mean"] = _mean(judge)
        agreed["people_mean"] = _mean(_human(inside))
        weighted = [output for output in inside if id(output) in weights]
        if weighted:
            scores = [weights[id(output)] for output in weighted]
            agreed["weighted.pearson"] = _agree(("pearson",), weighted, scores, draws)["pearson"]
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


def _pairs(outputs: Sequence[Output], draws: int) -> Estimates:
    results: Estimates = {}
    # Without ties is without people's ties: a judge's tie where people chose is wrong.
    untied = [output for output in outputs if output.sample.human != TIE]
    for name, part in (("with_ties", outputs), ("without_ties", untied)):
        marks = [agreement.mark(output.sample.human, output.answer) for output in part]
        images = _images(part)
        results[f"accuracy_{name}"] = agreement.accuracy(marks, None, images, draws)
        results[f"accuracy_{name}_unread_wrong"] = agreement.accuracy(marks, 0.0, images, draws)
    read = [output for output in outputs if output.answer is not None]
    answers = [output.answer for output in read]
    human = [output.sample.human for output in read]
    for letter in ("A", "B", TIE):
        results[f"says_{letter}"] = share(answers.count(letter), len(read))
        results[f"people_say_{letter}"] = share(human.count(letter), len(read))
    return results | _wins(read, "longer", _longer) | _wins(read, "own", _self_written)


def _wins(outputs: Sequence[Output], name: str, favoured: Callable[[Output], str]) -> Estimates:
    """How often one kind of answer wins with the judge, and with people, of choices that fell."""
    slots = [(slot, output) for output in outputs if (slot := favoured(output))]
    if not slots:
        return {}
    judge = [slot == output.answer for slot, output in slots if output.answer != TIE]
    human = [slot == output.sample.human for slot, output in slots if output.sample.human != TIE]
    return {
        f"{name}_wins": share(sum(judge), len(judge)),
        f"people_{name}_wins": share(sum(human), len(human)),
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


def _rankings(outputs: Sequence[Output], draws: int) -> Estimates:
    read = [(output, output.answer) for output in outputs if output.answer is not None]
    distances = [agreement.ranking_distance(output.sample.human, order) for output, order in read]
    images = _images([output for output, _ in read])
    results = {
        "distance": estimate(agreement.mean, distances, groups=images, draws=draws),
        "distance_unread_as_1": _mean([*distances, *[1.0] * (len(outputs) - len(read))]),
        "identical": share(distances.count(0.0), len(read)),
    }
    for slot, letter in enumerate("AB", start=1):
        top = sum(order[:1] == letter for _, order in read)
        people_top = sum(output.sample.human[:1] == letter for output, _ in read)
        results[f"slot_{slot}_on_top"] = share(top, len(read))
        results[f"people_slot_{slot}_on_top"] = share(people_top, len(read))
    return results


_MEASURES: dict[Kind, Callable[[Sequence[Output], int], Estimates]] = {
    "score": _scores,
    "pair": _pairs,
    "batch": _rankings,
}
