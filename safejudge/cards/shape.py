"""A model card as ROOST's Coop takes it, and beside it what programs read.

The first four fields are Coop's own (`ModelCard` of `@roostorg/coop-types` 2.4): all values are
text. Coop shows the fields of a section only where it has no subsections, so here every section has
subsections and nothing else. `safejudge` is ours: numbers, unrounded.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from safejudge.decide.thresholds import Absent, Threshold
from safejudge.types import Provenance, Record

SectionId = Literal[
    "trainingData", "policyAndTaxonomy", "annotationMethodology", "performanceBenchmarks",
    "biasAndLimitations", "implementationGuidance", "relevantLinks",
]  # fmt: skip
"""The sections that Coop refuses a card without, in its order."""


class Camel(Record):
    """A record whose names are written as Coop writes them."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class CardField(Record):
    """One line of a card."""

    label: str
    value: str


class Subsection(Record):
    """Lines under one heading."""

    title: str
    fields: tuple[CardField, ...]


class Section(Record):
    """One of the seven sections."""

    id: SectionId
    title: str
    subsections: Annotated[tuple[Subsection, ...], Field(min_length=1)]


# --- for programs ---------------------------------------------------------------------------------


class RecommendedThresholds(Camel):
    """The two scores that Coop shows beside a signal."""

    high_precision_threshold: float
    """Block above it."""
    high_recall_threshold: float
    """Let nothing pass that is not below it."""


class CardRule(Camel):
    """One rule, and what is recommended about it."""

    id: str
    category: str
    severity: str
    text: str
    recommended_thresholds: RecommendedThresholds | None
    """None where one of the two is missing: Coop takes both or none."""
    block: Threshold | Absent | None
    """None where no thresholds were given, or none for this rule as it stands."""
    pass_: Annotated[Threshold | Absent | None, Field(alias="pass")]


class Acted(Camel):
    """What becomes of the images of a run at the thresholds; counts."""

    n: int
    """Images whose truth is known."""
    violating: int
    blocked: int
    blocked_violating: int
    passed: int
    passed_violating: int
    people: int
    """Images that neither threshold settles."""
    not_asked: int
    """Images for which the relevance filter skips the rule; no threshold sees those."""
    not_asked_violating: int


class Measured(Camel):
    """The run behind a card, for programs."""

    form: Literal[1] = 1
    suite: str
    provenance: Provenance
    constitution: str | None
    """Its name."""
    images: str | None
    """Sha256 over the ids of the judged images, sorted; None where records have no ids."""
    labels: str | None
    """Sha256 of the labels that the run keeps."""
    rules: tuple[CardRule, ...]
    thresholds: str | None
    """Digest of the file of thresholds; None: not calibrated."""
    seen: int
    """Images of the run that the thresholds were found with."""
    at_thresholds: dict[str, Acted]
    """By rule; `images` is whole images, of which nothing is promised."""
    numbers: dict[str, Any]
    """Every figure of the suite."""


class Card(Camel):
    """A model card."""

    # Coop's word, not pydantic's.
    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    version: str
    release_date: str | None
    """The day of the run; left out where it is not known."""
    sections: Annotated[tuple[Section, ...], Field(min_length=7, max_length=7)]
    safejudge: Measured
