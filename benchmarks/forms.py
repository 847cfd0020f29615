"""What the form of a rule is worth: the twelve rules of `sketch` in four forms, on SketchBench.

In vague words; in objective words, as one question a rule; as a flat list in which every statement
is required and exceptions are lost; and as the tree that ships. The truth is what the tree says of
a scene's facts, so the tree can err by its answers only, and the others by their form as well.

Undecided counts as a miss on a violating scene and as a false alarm on one that is not. Intervals
are 95 %, over resampled scenes. The answers that one run leaves in `--answers` are taken up by the
next of the same weights and prompts, also those of `bench.py`.

`python benchmarks/forms.py hf:sketch --answers runs/answers.db`
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import record

from safejudge.constitution.load import load_constitution
from safejudge.engines.cached import CachedEngine
from safejudge.engines.models import DEFAULT, Models
from safejudge.evals.stats.rates import Counts, rates_of
from safejudge.method.logic import polarities
from safejudge.show.markdown import figure, table
from safejudge.show.progress import progress
from safejudge.sketch.bench.bench import (
    SceneOutcome,
    Variant,
    image_calls,
    measure,
    row,
    rule_calls,
    scenes_of_calls,
    variants,
)
from safejudge.sketch.bench.report import draw_bench, figures
from safejudge.text import counted
from safejudge.types import AllOf, AnyOf, Condition, Constitution, NoneOf, Rule, leaves, parts

if TYPE_CHECKING:
    from safejudge.evals.stats.intervals import Estimate

FLAT, TREE = "flat AND", "tree"

Measured = dict[str, list[SceneOutcome]]
"""By form, what was found about each scene."""


def flat_and(constitution: Constitution) -> Constitution:
    """Require every statement that is not an exception: no alternatives, no exceptions."""
    rules = []
    for rule in constitution.rules:
        required = [leaf for leaf, positive in polarities(rule.condition).items() if positive]
        rules.append(rule.model_copy(update={"condition": AllOf(all=tuple(required))}))
    return constitution.model_copy(update={"rules": tuple(rules)})


def forms(models: Models) -> tuple[Variant, ...]:
    """Return the four forms; the first two are rows of the bench under shorter names."""
    rows = {variant.name: variant for variant in variants(models)}
    return (
        replace(rows["default without objective wording"], name="vague"),
        replace(rows["default without preconditions"], name="one question"),
        Variant(FLAT, rules=flat_and),
        Variant(TREE),
    )


# --- the table ------------------------------------------------------------------------------------


def overall(judged: Sequence[SceneOutcome]) -> dict[str, Estimate]:
    """Rates over all rules, and F1 of images."""
    of_rules = rates_of(rule_calls(judged), scenes_of_calls(judged))
    of_images = rates_of(image_calls(judged), range(len(judged)))
    names = {f"all rules: {name}": of_rules[name] for name in ("precision", "recall", "F1")}
    return {**names, "image F1": of_images["F1"]}


def forms_table(constitution: Constitution, measured: Measured) -> str:
    """Write one line per rule (precision / recall / F1), then those over all rules."""
    lines = []
    for rule in constitution.rules:
        counts = [Counts.of(rule_calls(judged, rule.id)) for judged in measured.values()]
        cells = (" / ".join(map(figure, (c.precision, c.recall, c.f1))) for c in counts)
        lines.append([rule.id, str(counts[0].tp + counts[0].fn), *cells])
    rates = [overall(judged) for judged in measured.values()]
    for name in rates[0]:
        cells = (figure(form[name].value, form[name].interval) for form in rates)
        lines.append([name, "", *cells])
    return table(["precision / recall / F1", "violating", *measured], lines)


def losses(constitution: Constitution, measured: Measured) -> Iterator[str]:
    """Say of each rule that loses as a flat list what it loses by."""
    for rule in constitution.rules:
        flat, tree = (Counts.of(rule_calls(measured[form], rule.id)) for form in (FLAT, TREE))
        if flat.f1 < tree.f1:
            yield f"- `{rule.id}`: F1 {figure(flat.f1)}, as a tree {figure(tree.f1)}." + "".join(
                f" {reason}" for reason in _reasons(rule, flat, tree)
            )


def _reasons(rule: Rule, flat: Counts, tree: Counts) -> Iterator[str]:
    alternatives, exceptions = (_under(rule.condition, kind) for kind in (AnyOf, NoneOf))
    if alternatives:
        missed = f"{flat.fn} of {flat.tp + flat.fn} violations are missed (tree: {tree.fn})"
        yield f"{_quoted(alternatives)} are all required, so {missed}."
    if exceptions:
        # A list that misses nearly everything raises no false alarms either.
        noisier = flat.fp > tree.fp
        so = f", so {counted(flat.fp, 'false alarm')} (tree: {tree.fp})" if noisier else ""
        yield f"The exception {_quoted(exceptions)} is lost{so}."


def _under(condition: Condition, kind: type[AnyOf | NoneOf]) -> list[str]:
    if isinstance(condition, kind):
        return [leaf.statement for leaf in leaves(condition)]
    return [statement for part in parts(condition) for statement in _under(part, kind)]


def _quoted(statements: Sequence[str]) -> str:
    return " and ".join(f'"{statement}"' for statement in statements)


def numbers(constitution: Constitution, judged: Sequence[SceneOutcome]) -> dict[str, Any]:
    """Return the bare numbers of a form."""
    rules = {}
    for rule in constitution.rules:
        counts = Counts.of(rule_calls(judged, rule.id))
        rules[rule.id] = {name: getattr(counts, name) for name in ("precision", "recall", "f1")}
    return {**figures(row(judged)), "rules": rules}


# --- the run --------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", nargs="?", default="hf:sketch")
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--per-rule", type=int, default=50)
    parser.add_argument("--plain", type=int, default=500)
    args = parser.parse_args()
    constitution = load_constitution("sketch")
    items = draw_bench(args.per_rule, args.plain)
    models = Models.opened(args.engine, DEFAULT, DEFAULT, None)
    if args.answers is not None:
        models.engine = CachedEngine(models.engine, args.answers)
    measured: Measured = {}
    with progress(len(forms(models)) * len(items)) as advance:
        for form in forms(models):
            measured[form.name] = measure(form, constitution, models, items, advance)
    text = f"{len(items)} scenes, {args.engine}\n\n{forms_table(constitution, measured)}"
    if lost := list(losses(constitution, measured)):
        text += "\n\nWhat the flat list loses\n\n" + "\n".join(lost)
    figures = {form: numbers(constitution, judged) for form, judged in measured.items()}
    record("forms-" + args.engine.removeprefix("hf:"), figures, text)


if __name__ == "__main__":
    main()
