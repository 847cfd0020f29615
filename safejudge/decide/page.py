"""A page about a calibration, which a browser opens from the disk and which fetches nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.decide import outline
from safejudge.decide.calibrate import fitted
from safejudge.decide.thresholds import Threshold
from safejudge.evals.page import Made, page
from safejudge.evals.suite import EvalResult
from safejudge.files.atomic import replacing, writing

if TYPE_CHECKING:
    from pathlib import Path

    from safejudge.decide.calibrate import Wanted
    from safejudge.decide.sample import Sample
    from safejudge.decide.thresholds import Thresholds
    from safejudge.show.page.judged import About


def write(path: Path, sample: Sample, about: About, thresholds: Thresholds, wanted: Wanted) -> None:
    """Write the page, whole or not at all. Raises `OutputError`."""
    result = EvalResult(
        headline=headline(thresholds),
        tables=(
            outline.table(thresholds),
            outline.labels_table(sample, wanted),
            outline.absent_table(thresholds),
        ),
        charts=outline.charts(sample, wanted, fitted(sample)),
        findings=tuple(outline.findings(thresholds, sample)),
        unread=tuple(sample.notes()),
        numbers={},
        samples=(),
        predictions=(),
    )
    data = f"{len(sample.judged)} labelled images"
    made = Made(thresholds.made_by.model, data=data, date=thresholds.date)
    config = dict(outline.config(thresholds, wanted))
    name = about.constitution.name
    text = page(name, result, config, None, made, kind="thresholds for", opened=1)
    with writing(path), replacing(path) as new:
        new.write_text(text, encoding="utf-8")


def headline(thresholds: Thresholds) -> str:
    """Say in a line what there is."""
    rules = thresholds.rules.values()
    both = [[isinstance(side, Threshold) for side in (rule.block, rule.pass_)] for rule in rules]
    block, passed = (sum(side) for side in zip(*both, strict=True))
    return f"{block} of {len(both)} rules can block, {passed} can pass"
