"""What a run tells -> the seven sections of its card.

Every figure is the run's. What it does not tell is `UNKNOWN`, in these words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from safejudge.cards.recommended import at_thresholds, recommended
from safejudge.cards.shape import CardField, Section, Subsection
from safejudge.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from safejudge.cards.acted import Calibrated
    from safejudge.cards.run import Facts
    from safejudge.cards.shape import SectionId
    from safejudge.show.figures import Table
    from safejudge.types import ModelRef

UNKNOWN = "unknown: the run does not tell"
Lines: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]
"""Labels and values; a label may come twice in a sequence."""
Parts: TypeAlias = Mapping[str, Lines]
"""What stands under each heading; a heading without lines is left out."""
METHOD = "https://arxiv.org/abs/2501.00192"


def sections(facts: Facts, found: Calibrated | None) -> tuple[Section, ...]:
    """Write the seven sections, in Coop's order; `found` is None without thresholds."""
    return (
        _section("trainingData", "Training data", _training(facts, found)),
        _section("policyAndTaxonomy", "Policy and taxonomy", _rules(facts)),
        _section("annotationMethodology", "Annotation methodology", _labels(facts)),
        _section("performanceBenchmarks", "Performance", _performance(facts, found)),
        _section("biasAndLimitations", "Bias and limits", _limits(facts)),
        _section("implementationGuidance", "How to use it", _guidance(facts, found)),
        _section("relevantLinks", "Links", _links(facts)),
    )


def _section(name: SectionId, title: str, parts: Parts) -> Section:
    subsections = []
    for heading, lines in parts.items():
        pairs = lines.items() if isinstance(lines, Mapping) else lines
        fields = tuple(CardField(label=label, value=value) for label, value in pairs)
        if fields:
            subsections.append(Subsection(title=heading, fields=fields))
    return Section(id=name, title=title, subsections=tuple(subsections))


# --- what judges, by which rules ------------------------------------------------------------------


def _training(facts: Facts, found: Calibrated | None) -> dict[str, dict[str, str]]:
    made = facts.provenance
    models = {
        "Judge": _named(made.model, made.revision),
        "Encoder (which rules are asked)": _reference(made.encoder, "none: every rule is asked"),
        "Detector (regions)": _reference(made.detector, "none: no region is looked at"),
    }
    models |= {f"Second opinion {n}": _reference(ref) for n, ref in enumerate(made.also, start=1)}
    if made.escalate_to is not None:
        models["Asked what is left open"] = _reference(made.escalate_to)
    drawn = "drawn scenes of the package alone, from seeds; no photograph"
    calibration = "none: not calibrated"
    if found is not None:
        calibration = f"{counted(found.labelled, 'image')}, labels with sha256 {found.labels}"
    return {
        "Models": models,
        "What they learned from": {
            "Training data": drawn if facts.drawn else UNKNOWN,
            "Adaptation to the rules": "none: models are asked as they are, no weight was changed",
            "Labels behind the thresholds": calibration,
        },
        "Versions": dict(made.versions) or {"Libraries": UNKNOWN},
    }


def _named(uri: str, revision: str) -> str:
    return f"{uri}, revision {revision or 'unknown: the engine cannot tell'}"


def _reference(ref: ModelRef | None, absent: str = "") -> str:
    return absent if ref is None else _named(ref.uri, ref.revision)


def _rules(facts: Facts) -> dict[str, dict[str, str]]:
    made, rules = facts.provenance, facts.constitution
    policy = "name unknown" if facts.policy is None else facts.policy.name
    about = {
        "Name": facts.rules or UNKNOWN,
        "Digest of the rules": made.constitution or "none: no rules were asked",
        "Policy": f"{policy}, digest {made.policy}",
        "Digest of the wording of questions": made.prompts,
    }
    if rules is None:
        return {"Constitution": about}
    if rules.description:
        about["Purpose"] = rules.description
    texts = {}
    for rule in rules.rules:
        keys = f"; OpenAI's {', '.join(rule.moderation)}" if rule.moderation else ""
        texts[rule.id] = f"{rule.text} ({rule.category}, {rule.severity}{keys})"
    return {"Constitution": about, f"Rules ({len(texts)})": texts}


# --- what was measured ----------------------------------------------------------------------------


def _labels(facts: Facts) -> dict[str, dict[str, str]]:
    truth = "exact: scenes were drawn for the run" if facts.suite == "sketchbench" else UNKNOWN
    data = {
        "Suite": f"{facts.suite}: {facts.summary}",
        "Data": facts.data or UNKNOWN,
        "Judged": str(facts.judged),
        "Digest of the judged images": facts.images or UNKNOWN,
        "Digest of the labels": facts.labels_digest or UNKNOWN,
        "Who labelled, and how": truth,
    }
    return {"Data": data, "Labelled images by rule": _by_rule(facts)}


def _by_rule(facts: Facts) -> dict[str, str]:
    if facts.constitution is None or not facts.labels:
        return {}
    safe = sum(label.violations is None and label.label == "safe" for label in facts.labels)
    found = {}
    for rule in facts.constitution.rules:
        said = Counter(label.violates(rule.id) for label in facts.labels)
        known = said[True] + said[False] + safe
        found[rule.id] = f"{said[True]} violating, of {known} whose truth is known"
    groups = Counter(label.group for label in facts.labels if label.group is not None)
    shared = sum(count > 1 for count in groups.values())
    apart = f"{shared} of several images" if groups else "none: every image stands for itself"
    return found | {"Groups of images that belong together": apart}


def _performance(facts: Facts, found: Calibrated | None) -> Parts:
    headline = {"In short": facts.result.headline or UNKNOWN, "Measured on": facts.date or UNKNOWN}
    measured = [table for table in facts.result.tables if not table.bias]
    acted = [] if found is None else [at_thresholds(found)]
    return {"Headline": headline, **_tables([*measured, *acted]), "Cost": _cost(facts)}


def _tables(tables: Iterable[Table]) -> Parts:
    """One heading a table, one line a row; rows of one name stand beside each other."""
    written: dict[str, list[tuple[str, str]]] = {}
    for table in tables:
        lines = written.setdefault(table.title, [])
        lines += [(row[0], _line(table, row)) for row in table.rows]
        lines += [("Note", table.note)] if table.note else []
    return written


def _line(table: Table, row: tuple[str, ...]) -> str:
    return "; ".join(
        f"{name} {cell}" for name, cell in zip(table.columns[1:], row[1:], strict=True)
    )


def _cost(facts: Facts) -> dict[str, str]:
    """What an image took, of those that were judged."""
    tally = facts.tally
    images = tally.labels.total() - tally.labels["failed"]
    if not images:
        return {"Questions": UNKNOWN}
    counts = {
        "Questions per image": tally.probes,
        "Reasonings per image": tally.reasoning_calls,
        "Searches of the detector per image": tally.detector_calls,
    }
    means = {name: f"{count / images:.2f} ({count} for {images})" for name, count in counts.items()}
    return means | {
        "Note": "A run asks every question; judge and serve stop where a rule is settled.",
        "Time, memory and money": UNKNOWN,
    }


# --- limits ---------------------------------------------------------------------------------------


def _limits(facts: Facts) -> Parts:
    bias = _tables(table for table in facts.result.tables if table.bias)
    none: Parts = {"Bias": {"Figures by group of people": "unknown: the run has no such groups"}}
    return {
        **(bias or none),
        "What was not judged": [*_unjudged(facts)],
        "Known limits": _known(facts),
    }


def _unjudged(facts: Facts) -> Iterator[tuple[str, str]]:
    coverage, tally = facts.result.coverage, facts.tally
    if coverage is None:
        yield "Coverage", UNKNOWN
    else:
        yield "Judged", str(coverage.judged)
        yield "Could not be judged", str(coverage.unjudged)
        yield "Passed over, since nothing is known of them", str(coverage.passed_over)
    for reason, count in tally.failures.items():
        yield f"Failed: {reason}", str(count)
    if tally.labels:
        yield "Undecided", f"{tally.labels['undecided']} of {tally.labels.total()} images"
    if tally.frames["cut"]:
        yield "Animations not looked at whole", str(tally.frames["cut"])
    for number, finding in enumerate(facts.result.findings, start=1):
        yield f"Finding {number}", finding


def _known(facts: Facts) -> dict[str, str]:
    limits = {
        "Child sexual abuse material": "Not detected, and not measured. Such images must not be "
        "sent to any model: match hashes, and follow the law where you are."
    }
    if facts.drawn:
        limits["Drawn scenes only"] = (
            "The judge knows drawn scenes; it is built to leave anything else undecided. No figure "
            "here says how photographs are judged."
        )
    return limits | {
        "Text": "Not judged. A caption is shown beside its image, and is nobody's verdict.",
        "Other images than these": "Figures and promises hold for images like those measured; on "
        "others they may break.",
        "Hostile images": "unknown: the run does not tell how images made to deceive are judged",
    }


# --- use ------------------------------------------------------------------------------------------


def _guidance(facts: Facts, found: Calibrated | None) -> dict[str, dict[str, str]]:
    name = "these rules" if facts.rules is None else f"the rules {facts.rules}"
    return {
        "Intended use": {
            "For": f"sorting images by {name}, with people behind it who see what is not settled",
            "Not for": "other rules, other kinds of images, or decisions about people",
            "Undecided": "nobody's safe: send such an image to a person",
            "Not judged": "a failure is no score and never safe: send such an image to a person",
        },
        **recommended(facts.constitution, found),
    }


def _links(facts: Facts) -> dict[str, dict[str, str]]:
    return {
        "Links": {
            "Method": METHOD,
            "Card of the judge model": f"unknown: the run knows it as {facts.provenance.model}",
            "Contact": UNKNOWN,
        }
    }
