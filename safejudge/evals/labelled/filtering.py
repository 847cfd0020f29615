"""What the relevance filter costs: the verdicts of a run beside those that it would have without.

A run asks every rule, also those that the filter skips, so both are known of every row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.evals.stats.rates import Counts
from safejudge.show.figures import Table
from safejudge.show.markdown import figure
from safejudge.types import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from safejudge.evals.labelled.rows import Row
    from safejudge.types import JSON

_HEADS = (
    "", "n", "skipped", "violations lost", "false alarms spared",
    "precision", "recall", "F1", "FPR",
)  # fmt: skip


def filtered(rows: Sequence[Row]) -> bool:
    """Whether a filter ran over these rows."""
    return any(row.unfiltered is not None for row in rows)


def costs(rows: Sequence[Row]) -> JSON:
    """What the filter skips, loses and spares, and the rates without it."""
    counts = Counts.of([(row.target, row.unfiltered or row.called) for row in rows])
    return {
        "skipped": sum(row.skipped for row in rows),
        "violations_lost": sum(row.target and _spoken(row) for row in rows),
        "false_alarms_spared": sum(not row.target and _spoken(row) for row in rows),
        "undecided_settled": sum(
            row.unfiltered is Outcome.UNDECIDED and row.called is not Outcome.UNDECIDED
            for row in rows
        ),
        "without_filter": {
            "tp": counts.tp, "fp": counts.fp, "fn": counts.fn, "tn": counts.tn,
            "precision": counts.precision, "recall": counts.recall, "f1": counts.f1,
            "fpr": counts.fpr,
        },
    }  # fmt: skip


def _spoken(row: Row) -> bool:
    """Whether there would be a yes without the filter, and is none with it."""
    return row.unfiltered is Outcome.YES and row.called is not Outcome.YES


def filter_table(lines: Mapping[str, Sequence[Row]]) -> Table:
    """A line for each line of the other tables; nothing where no filter ran."""
    rows = []
    for name, line in lines.items():
        if not filtered(line):
            continue
        found = costs(line)
        rates = (found["without_filter"][rate] for rate in ("precision", "recall", "f1", "fpr"))
        skipped = "-" if name == "images" else str(found["skipped"])
        counts = (str(found[n]) for n in ("violations_lost", "false_alarms_spared"))
        rows.append((name, str(len(line)), skipped, *counts, *map(figure, rates)))
    note = (
        "Every rule was asked, also those that the filter skips and `safejudge judge` leaves out. "
        "The other tables count those as not violated; the rates here are without the filter. "
        "Lost: true violations that only the filter misses. Spared: false alarms that it prevents."
    )
    return Table("What the filter costs", _HEADS, tuple(rows), note)


def finding(lines: Mapping[str, Sequence[Row]]) -> list[str]:
    """The same in a sentence."""
    rows = lines.get("all rules", ())
    if not filtered(rows):
        return []
    found, true = costs(rows), sum(row.target for row in rows)
    sentence = (
        f"Of {len(rows)} pairs of image and rule the relevance filter skips {found['skipped']}; "
        f"that loses {found['violations_lost']} of {true} violations and spares "
        f"{found['false_alarms_spared']} false alarms."
    )
    return [sentence]
