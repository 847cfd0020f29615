"""What a comparison comes to, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.evals.stats.intervals import FEW
from safejudge.show.figures import Table

if TYPE_CHECKING:
    from safejudge.evals.winrates.rates import Comparison
    from safejudge.evals.winrates.study import Study


def tables(study: Study, found: Comparison) -> tuple[Table, ...]:
    """Make the tables: rates, agreement where there are several raters, and order."""
    first, second = study.generators
    rates = Table(
        f"{first} against {second}",
        ("rater", "pairs", "wins", "ties", "losses", "rate"),
        tuple(
            (rater, str(r.rate.n), r.wins.cell(), r.ties.cell(), r.losses.cell(), r.rate.cell())
            for rater, r in found.rates.items()
        ),
        f"Of {len(study.pairs)} pairs of the study. A tie counts as half a win in the rate. {FEW}",
        keys=("pairs", "rate"),
    )
    return (rates, *([_agreement(found)] if found.kappas else []), _orders(found))


def _agreement(found: Comparison) -> Table:
    rows = [
        (f"{one}, {two}", "Cohen's kappa", str(kappa.n), f"{kappa.value:.3f}")
        for (one, two), kappa in found.kappas.items()
    ]
    rows.append(("all", "Krippendorff's alpha", str(found.alpha.n), f"{found.alpha.value:.3f}"))
    return Table("Agreement", ("raters", "measure", "pairs", "value"), tuple(rows))


def _orders(found: Comparison) -> Table:
    rows = []
    for rater, order in found.orders.items():
        both = order.both or {}
        cells = [
            both[name].cell() if name in both else ""
            for name in ("same_answer", "always_A", "always_B")
        ]
        rows.append((rater, order.chosen_left.cell(), *cells))
    return Table(
        "Whether the place decides",
        ("rater", "chose the first", "the same picture", "always the first", "always the second"),
        tuple(rows),
        "Of all choices of one picture; the others of pairs that were shown in both orders.",
    )
