"""The suite `labelled`: judged images beside their labels -> how good a judge is, rule by rule.

Takes labels and the records of a run (`records`), never a model: tables are made anew from what was
recorded. Undecided counts on the wrong side and stands in a column of its own; an image that was
not judged is counted and left out of every rate. Verdicts are those that the policy leads to,
relevance filter included; scores are over everything asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from safejudge.evals.labelled import filtering
from safejudge.evals.labelled.charts import blamed, charts, mistakes
from safejudge.evals.labelled.rows import image_row, knows, lines_of, rule_row
from safejudge.evals.stats import curves
from safejudge.evals.stats.intervals import FEW, NAN
from safejudge.evals.stats.rates import CALLED, Counts, rates_of
from safejudge.evals.suite import Coverage, EvalResult, Prediction
from safejudge.show.figures import Table
from safejudge.show.markdown import figure
from safejudge.text import counted
from safejudge.types import JSON, Outcome

if TYPE_CHECKING:
    from safejudge.evals.labelled.labels import Label
    from safejudge.evals.labelled.rows import Judged, Row
    from safejudge.evals.stats.intervals import Estimate
    from safejudge.evals.stats.rates import Call
    from safejudge.types import Constitution


def score(
    constitution: Constitution,
    labels: Sequence[Label],
    records: Mapping[str, JSON],
    beside: Mapping[str, Any] | None = None,
) -> EvalResult:
    """Compare labels with records (by the image's path as recorded).

    `beside` says what lies in the folder beside the labelled images, where a run kept it.
    """
    recorded = [(label, records[label.image]) for label in labels if label.image in records]
    judged = [(label, record) for label, record in recorded if "label" in record]
    lines = {name: rows for name, rows in lines_of(constitution, judged).items() if rows}
    rates = {name: _rates(rows) for name, rows in lines.items()}
    tables = (
        _right_table(lines, rates),
        filtering.filter_table(lines),
        _score_table(lines),
        _stages(constitution, judged),
    )
    failed = Counter(record["error"]["reason"] for _, record in recorded if "label" not in record)
    counts: dict[str, Any] = {
        "labelled": len(labels),
        "judged": len(judged),
        "failed": sum(failed.values()),
        "missing": len(labels) - len(recorded),
    }
    beside = beside or {}
    counts |= {name: beside[name] for name in _BESIDE if name in beside}
    return EvalResult(
        tuple(table for table in tables if table.rows),
        (_finding(counts, failed), *_beside(beside), *filtering.finding(lines), *_older(judged)),
        {"counts": counts} | {name: _numbers(rows) for name, rows in lines.items()},
        tuple(_sample(label, record) for label, record in recorded),
        charts=charts({name: _exact(rows) for name, rows in lines.items()}, rates),
        mistakes=mistakes(constitution, judged),
        predictions=_predictions(constitution, judged),
        coverage=Coverage(len(judged), len(labels) - len(judged), int(counts.get("unlabelled", 0))),
        headline=_headline(lines, rates),
    )


_BESIDE = ("unlabelled", "ignored", "companions", "beyond_limit")


def _headline(
    lines: Mapping[str, Sequence[Row]], rates: Mapping[str, Mapping[str, Estimate]]
) -> str:
    """F1 over images, or over rules where no label says of an image whether it is unsafe."""
    for name, noun in (("images", "image"), ("all rules", "rule check")):
        if name in lines:
            rate = rates[name]["F1"]
            f1 = figure(rate.value, rate.interval)
            return f"F1 {f1} over {counted(len(lines[name]), noun)}"
    return ""


def _right_table(
    lines: Mapping[str, Sequence[Row]], rates: Mapping[str, Mapping[str, Estimate]]
) -> Table:
    return Table(
        "Right and wrong",
        ("", "n", "true", "undecided", "precision", "recall", "F1", "FPR"),
        tuple((name, *_rate_cells(rows, rates[name])) for name, rows in lines.items()),
        "Undecided is a miss where the truth is yes and a false alarm where it is no. "
        "Intervals are 95 %: Wilson's, of as many images as those that belong together are worth. "
        f"{FEW}",
        keys=("F1", "precision", "recall", "FPR"),
    )


def _score_table(lines: Mapping[str, Sequence[Row]]) -> Table:
    return Table(
        "Scores",
        ("", "n", "AUPRC", "AUROC", "ECE", "Brier", "best F1", "at score"),
        tuple((name, *_score_cells(rows)) for name, rows in lines.items()),
        "Rows without a score (a rule that was skipped) and with a bound for one (evaluation "
        "that stopped early) are left out.",
        keys=("AUPRC", "ECE", "AUROC"),
    )


def _finding(counts: Mapping[str, int], failed: Mapping[str, int]) -> str:
    reasons = ", ".join(f"{reason} {count}" for reason, count in failed.items())
    return (
        f"{counts['judged']} of {counts['labelled']} labelled images were judged, "
        f"{counts['failed']} could not be{f' ({reasons})' if reasons else ''}, "
        f"{counts['missing']} have no record."
    )


# --- rows ---------------------------------------------------------------------------------------


def _beside(beside: Mapping[str, Any]) -> list[str]:
    """Say what lies beside the images that were judged, and was not."""
    unlabelled, first = beside.get("unlabelled", 0), beside.get("first_unlabelled")
    ignored, companions = beside.get("ignored", 0), beside.get("companions", 0)
    beyond = beside.get("beyond_limit", 0)
    lines = {
        f"Not judged, since no label names them: {counted(unlabelled, 'picture')} of the folder "
        f"(the first: {first}). Label them, or name them with --ignore.": unlabelled,
        f"Left out by --ignore: {counted(ignored, 'picture')} without a label.": ignored,
        f"Passed over: {counted(companions, 'file')} that macOS keeps beside others "
        "(._*, .DS_Store, __MACOSX).": companions,
        f"Beyond --limit: {counted(beyond, 'labelled image')}.": beyond,
    }
    return [line for line, count in lines.items() if count]


def _older(judged: Judged) -> list[str]:
    """Say so where records do not tell what the filter skips, as those of version 0.1.0."""
    verdicts = (verdict for _, record in judged for verdict in record["rules"].values())
    old = any(verdict.get("similarity") and "unfiltered" not in verdict for verdict in verdicts)
    sentence = (
        "Records of an earlier version: every rule counts, also those that the relevance filter "
        "skips in `safejudge judge`."
    )
    return [sentence] if old else []


# --- answers and samples ------------------------------------------------------------------------


def _predictions(constitution: Constitution, judged: Judged) -> tuple[Prediction, ...]:
    """Every answer on an image or a rule; undecided is none."""
    rows = [("images", label.image, image_row(label, record))
            for label, record in judged if label.unsafe is not None]  # fmt: skip
    rows += [("rules", f"{label.image}/{rule.id}", rule_row(label, record, rule.id))
             for label, record in judged for rule in constitution.rules
             if knows(label, record, rule.id)]  # fmt: skip
    predictions = []
    for protocol, sample, row in rows:
        answer = None if row.called is Outcome.UNDECIDED else str(row.called)
        right = answer is not None and (row.called is Outcome.YES) == row.target
        number = row.score if row.exact else None
        predictions.append(Prediction(protocol, sample, answer, right, number, group=row.group))
    return tuple(predictions)


def _sample(label: Label, record: JSON) -> JSON:
    """One line of samples: target, what was said, and every rule's score."""
    answer = {"label": record.get("label", "failed"), "violations": record.get("violations")}
    rules = record.get("rules", {})
    scores = {
        name: {field: verdict.get(field) for field in ("outcome", "score", "unfiltered")}
        for name, verdict in rules.items()
    }
    unknown = {"unknown": label.unknown} if label.unknown else {}
    return {
        "image": label.image,
        "target": {"label": label.label, "violations": label.violations} | unknown,
        "resps": [answer],
        "filtered_resps": [answer["label"]],
        "score": record.get("score"),
        "rules": scores,
        "error": record.get("error"),
    }


# --- rates --------------------------------------------------------------------------------------


def _calls(rows: Sequence[Row]) -> list[Call]:
    return [(row.target, row.called) for row in rows]


def _rates(rows: Sequence[Row]) -> dict[str, Estimate]:
    """Rates with their intervals."""
    return rates_of(_calls(rows), [row.group for row in rows])


def _rate_cells(rows: Sequence[Row], rates: Mapping[str, Estimate]) -> tuple[str, ...]:
    """Counts, and rates with their intervals."""
    undecided = sum(row.called is Outcome.UNDECIDED for row in rows)
    cells = (rate.cell() for rate in rates.values())
    return str(len(rows)), str(sum(row.target for row in rows)), str(undecided), *cells


def _exact(rows: Sequence[Row]) -> tuple[list[float], list[bool]]:
    """Scores that are no bounds, and the targets beside them."""
    pairs = [(row.score, row.target) for row in rows if row.score is not None and row.exact]
    return [score for score, _ in pairs], [target for _, target in pairs]


def _curve(rows: Sequence[Row]) -> dict[str, float]:
    scores, targets = _exact(rows)
    points = curves.sweep(scores, targets) if any(targets) else []
    best = max(points, key=lambda point: point.f1, default=None)
    return {
        "n": len(scores),
        "auprc": curves.average_precision(scores, targets),
        "auroc": curves.auroc(scores, targets),
        "ece": curves.calibration_error(scores, targets),
        "brier": curves.brier(scores, targets),
        "best_f1": NAN if best is None else best.f1,
        "best_threshold": NAN if best is None else best.threshold,
    }


def _score_cells(rows: Sequence[Row]) -> tuple[str, ...]:
    curve = _curve(rows)
    return str(curve["n"]), *(figure(value) for name, value in curve.items() if name != "n")


def _numbers(rows: Sequence[Row]) -> JSON:
    counts = Counts.of(_calls(rows))
    rates: dict[str, Any] = {
        "n": len(rows),
        "tp": counts.tp,
        "fp": counts.fp,
        "fn": counts.fn,
        "tn": counts.tn,
        "undecided": sum(row.called is Outcome.UNDECIDED for row in rows),
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
        "fpr": counts.fpr,
    }
    curve = {f"scores_{k}" if k == "n" else k: value for k, value in _curve(rows).items()}
    costs = {"filter": filtering.costs(rows)} if filtering.filtered(rows) else {}
    return rates | curve | costs


# --- which stage --------------------------------------------------------------------------------

_STAGES = (
    "relevance", "reject", "accept", "region", "reasoning", "open_no", "open", "label_mass",
    "unreadable", "not_asked",
)  # fmt: skip


def _stages(constitution: Constitution, judged: Judged) -> Table:
    """Which stage answered the statement that made a verdict wrong."""
    tally: Counter[tuple[str, str]] = Counter()
    for rule in constitution.rules:
        for label, record in judged:
            if not knows(label, record, rule.id):
                continue
            target = bool(label.violates(rule.id))
            verdict = record["rules"][rule.id]
            called = CALLED[verdict["outcome"]]
            if (called is Outcome.YES) != target or called is Outcome.UNDECIDED:
                kind = "missed" if target else "false alarms"
                tally[blamed(rule, verdict, "no" if target else "yes"), kind] += 1
    rows = tuple(
        (stage, str(tally[stage, "missed"]), str(tally[stage, "false alarms"]))
        for stage in _STAGES
        if tally[stage, "missed"] or tally[stage, "false alarms"]
    )
    note = (
        "The stage that answered the statement on which a wrong verdict hangs; of several the one "
        "with the smallest margin."
    )
    return Table("What made verdicts wrong", ("stage", "missed", "false alarms"), rows, note)
