"""How reliable a judge is: how sure of itself, and how its answers change when they should not.

Takes the predictions of a plain run and of changed ones (`variants`); gives tables. Compared are
the samples that both runs have; an answer that one of them lacks is counted, and is no agreement
and no disagreement.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from safejudge.errors import InputError
from safejudge.evals.stats import curves
from safejudge.evals.stats.agreement import mean
from safejudge.evals.stats.intervals import FEW, Estimate, gained, mean_of, share_of
from safejudge.evals.suite import EvalResult, Prediction, Suite
from safejudge.evals.variants import REPEAT, VARIANTS, folders
from safejudge.show.figures import Chart, Series, Table
from safejudge.show.markdown import figure

if TYPE_CHECKING:
    from pathlib import Path

Pairs = list[tuple[Prediction, Prediction]]
"""The same samples, plain and changed."""
Comparisons = dict[str, dict[str, dict[str, Estimate]]]
"""By protocol, then by variant, then by what is compared (`_COMPARED`)."""


def read(suite: Suite, folder: Path) -> EvalResult:
    """Make the tables of a folder that `eval` wrote. Raises `InputError` for what is no such."""
    if suite.report is None:
        raise InputError(f"{folder}: scored recorded outputs; score them again with eval")
    try:
        return report(suite.report, folder)
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # somebody changed them
        raise InputError(
            f"{folder}: its files are not as this version of safejudge writes them "
            f"({type(error).__name__}: {error}); restore them, or measure again with eval"
        ) from error


def report(scored: Callable[[Path], EvalResult], out: Path) -> EvalResult:
    """The tables of a run, and beside them how its changed runs differ. Raises `InputError`."""
    plain = scored(out)
    changed: dict[str, tuple[Prediction, ...]] = {}
    empty = []
    for name, folder in folders(out).items():
        try:
            changed[name] = scored(folder).predictions
        except InputError as error:  # stopped before its first record
            empty.append(f"variant {name}: {error}")
    protocols = _by_protocol(plain.predictions)
    numbers, calibration = _calibration(protocols)
    comparisons = _comparisons(protocols, changed)
    numbers |= {
        f"{protocol}/{variant}/{name}": value.json()
        for protocol, variants in comparisons.items()
        for variant, estimates in variants.items()
        for name, value in estimates.items()
    }
    tables = (calibration, _changes(comparisons), _repeats(protocols, changed))
    return replace(
        plain,
        tables=(*plain.tables, *(table for table in tables if table.rows)),
        charts=(*plain.charts, *_curves(protocols)),
        numbers=plain.numbers | ({"reliability": numbers} if numbers else {}),
        unread=(*plain.unread, *empty),
    )


def _by_protocol(predictions: Sequence[Prediction]) -> dict[str, list[Prediction]]:
    protocols: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        protocols.setdefault(prediction.protocol, []).append(prediction)
    return protocols


# --- how sure -----------------------------------------------------------------------------------


def _confidence(predictions: Sequence[Prediction]) -> tuple[list[float], list[bool]]:
    """How probable answers were held, and whether they were right."""
    pairs = [
        (prediction.confidence, prediction.right)
        for prediction in predictions
        if prediction.confidence is not None and prediction.right is not None
    ]
    return [confidence for confidence, _ in pairs], [right for _, right in pairs]


def _calibration(
    protocols: Mapping[str, Sequence[Prediction]],
) -> tuple[dict[str, object], Table]:
    numbers: dict[str, object] = {}
    rows = []
    for protocol, predictions in protocols.items():
        confidence, right = _confidence(predictions)
        if not confidence:
            continue
        figures = {
            "confidence": mean(confidence), "right": mean(right),
            "ece": curves.calibration_error(confidence, right),
            "brier": curves.brier(confidence, right),
        }  # fmt: skip
        numbers[f"{protocol}/calibration"] = figures | {"n": len(confidence)}
        rows.append((protocol, str(len(confidence)), *map(figure, figures.values())))
    note = (
        "How probable the judge held the answer that it gave, beside how often that was right. "
        "ECE: the mean distance of both over ten bins (Naeini et al. 2015); Brier: the mean "
        "squared distance of confidence and truth."
    )
    heads = ("", "n", "confidence", "right", "ECE", "Brier")
    return numbers, Table("How sure the judge is", heads, tuple(rows), note)


def _curves(protocols: Mapping[str, Sequence[Prediction]]) -> list[Chart]:
    series = []
    for protocol, predictions in protocols.items():
        bins = curves.reliability(*_confidence(predictions))
        points = tuple((interval.mean_score, interval.share_true) for interval in bins)
        if points:
            series.append(Series(protocol, points=points))
    if not series:
        return []
    return [
        Chart(
            "How sure the judge is, and how often it is right", "line", "confidence",
            "share right", tuple(series), "On the diagonal, what is held probable is as "
            "often right; below it, the judge is too sure.", diagonal=True, marked=True,
        )
    ]  # fmt: skip


# --- what changes -------------------------------------------------------------------------------


def _comparisons(
    protocols: Mapping[str, Sequence[Prediction]], changed: Mapping[str, Sequence[Prediction]]
) -> Comparisons:
    variants = {name: _by_protocol(predictions) for name, predictions in changed.items()}
    return {
        protocol: {
            name: _compared(predictions, variant.get(protocol, []))
            for name, variant in variants.items()
        }
        for protocol, predictions in protocols.items()
    }


def _compared(plain: Sequence[Prediction], changed: Sequence[Prediction]) -> dict[str, Estimate]:
    index = {prediction.sample: prediction for prediction in changed}
    pairs = [
        (prediction, index[prediction.sample]) for prediction in plain if prediction.sample in index
    ]
    return {name: compare(pairs) for name, compare in _COMPARED.items()}


def _answered(prediction: Prediction) -> bool:
    """A rating that nobody can call right or wrong is an answer too."""
    rated = prediction.score is not None and prediction.right is None
    return prediction.answer is not None or rated


def _same(pairs: Pairs) -> Estimate:
    answered = [(a, b) for a, b in pairs if a.answer is not None and b.answer is not None]
    return share_of([a.answer == b.answer for a, b in answered], _groups(answered))


def _gained(pairs: Pairs) -> Estimate:
    labelled = [(a, b) for a, b in pairs if a.right is not None and b.right is not None]
    before, after = [bool(a.right) for a, _ in labelled], [bool(b.right) for _, b in labelled]
    return gained(before, after, _groups(labelled))


def _moved(pairs: Pairs) -> Estimate:
    distances = [
        (a, b, abs(a.score - b.score)) for a, b in pairs
        if a.score is not None and b.score is not None and _answered(a) and _answered(b)
    ]  # fmt: skip
    moved = [distance for *_, distance in distances]
    return mean_of(moved, _groups([(a, b) for a, b, _ in distances]))


def _silent(pairs: Pairs, side: int) -> Estimate:
    return share_of([not _answered(pair[side]) for pair in pairs], _groups(pairs))


def _groups(pairs: Pairs) -> list[str]:
    return [plain.group or plain.sample for plain, _ in pairs]


_COMPARED: Mapping[str, Callable[[Pairs], Estimate]] = {
    "same_answer": _same,
    "right_gained": _gained,
    "score_moved": _moved,
    "no_answer": lambda pairs: _silent(pairs, 1),
    "no_answer_plain": lambda pairs: _silent(pairs, 0),
}


def _changes(comparisons: Comparisons) -> Table:
    """A row for each protocol and each change."""
    names = dict.fromkeys(name for variants in comparisons.values() for name in variants)
    legend = "; ".join(f"{name}: {VARIANTS[name].summary}" for name in names if name in VARIANTS)
    rows = []
    for protocol, variants in comparisons.items():
        for name, estimates in variants.items():
            n = estimates["no_answer"].n  # every sample that both runs have
            if not n:  # without pictures an encoder has nothing to compare
                continue
            cells = (_cell(value, n) for value in estimates.values())
            rows.append((f"{protocol}, {name}", str(n), *cells))
    note = (
        f"{legend}{'.' if legend else ''} Same answer: over items that both runs answered. Right: "
        "the share with the change minus that without; an item without an answer is not right. "
        "Score moves: mean distance over items that both answered, in rating points for ratings, "
        "else in [0, 1]. No answer, and none without the change: refused, unreadable or undecided. "
        f"{FEW}"
    ).lstrip()
    heads = ("same answer", "right, minus plain", "score moves", "no answer", "none without")
    title = "What answers do when something is changed"
    return Table(title, ("", "n", *heads), tuple(rows), note)


def _cell(value: Estimate, n: int) -> str:
    """With its n where that is not the one that stands beside anyhow."""
    text = value.cell()
    return text if math.isnan(value.value) or value.n == n else f"{text} n={value.n}"


# --- the same again -----------------------------------------------------------------------------


def _repeats(
    protocols: Mapping[str, Sequence[Prediction]], changed: Mapping[str, Sequence[Prediction]]
) -> Table:
    """How often one answer comes more than half of the time (arXiv 2402.04788)."""
    repeats = [
        {(p.protocol, p.sample): _answer_text(p) for p in predictions}
        for name, predictions in changed.items()
        if name.startswith(REPEAT)
    ]
    rows = []
    for protocol, predictions in protocols.items() if repeats else ():
        groups, consistent = [], []
        for prediction in predictions:
            key = (protocol, prediction.sample)
            answers = [_answer_text(prediction)]
            answers += [answers_of[key] for answers_of in repeats if key in answers_of]
            if len(answers) == len(repeats) + 1:
                (answer, count), *_ = Counter(answers).most_common(1)
                groups.append(prediction.group or prediction.sample)
                consistent.append(float(answer is not None and count > len(answers) / 2))
        if consistent:
            value = share_of(consistent, groups)
            rows.append((protocol, str(len(consistent)), value.cell()))
    return Table(
        f"One answer more than half of {len(repeats) + 1} times",
        ("", "n", "consistent"),
        tuple(rows),
        "Asked again greedily, in batches of other sizes. An item that mostly has no answer "
        "is not consistent.",
    )


def _answer_text(prediction: Prediction) -> str | None:
    """The answer; of a rating that nobody can call right or wrong, its number."""
    if not _answered(prediction):
        return None
    return f"{prediction.score:.3f}" if prediction.answer is None else prediction.answer
