"""Thresholds with a promise, as a file: what `calibrate` writes and `judge --thresholds` obeys.

A file belongs to one model with its prompts and its policy: loaded for another it is refused. Rules
may move on: one whose text, wording or condition changed loses its thresholds, by its own digest,
and that is told. The seed of frames and whether every question is asked change no exact score, so
they are left out of the policy's digest here.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from safejudge.errors import InputError
from safejudge.files.atomic import replacing, writing
from safejudge.text import cut, one_line
from safejudge.types import ModelRef, Record, SparseRecord

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from safejudge.policy import Policy
    from safejudge.types import Constitution, Provenance

MAX_BYTES = 4 * 2**20
"""Larger files are refused."""
FORMAT = 1
"""Of the file; a newer one is refused."""

_COMMENT = """\
# Thresholds of safejudge. Block what scores strictly above `block.at`; pass what scores strictly
# below `pass.at`; between them ask a person. `promise`: at most this share of what is blocked is
# innocent, or of what is passed violates, but for a chance of `delta` each. They hold for images
# like those that were labelled, and for this model and policy.
"""

Share = Annotated[float, Field(ge=0, le=1)]
Inside = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=0)]


class Threshold(Record):
    """A score beyond which something is done, and the promise about it.

    Where blocking and passing could overlap, `at` lies further out than the loosest cut that could
    be promised; the numbers are of that one.
    """

    at: Share
    """Strictly beyond it: above for blocking, below for passing."""
    promise: Inside
    """At most this share of what lies beyond is an error."""
    delta: Inside
    """The chance that a calibration breaks the promise."""
    n: Count
    """Labelled images beyond the loosest cut."""
    errors: Count
    """How many of them were errors."""
    bound: Share
    """The upper bound of the share of errors."""


class Absent(Record):
    """Why something is not there."""

    why: str
    """In words."""
    missing: int | None = None
    """So many labels are missing at least; None where no number is known to help."""


class Slope(Record):
    """What the log-odds of a score become: offset + slope * margin."""

    offset: float
    slope: Annotated[float, Field(gt=0)]
    before: float
    """Log-loss of the scores as they stand."""
    after: float
    """That of the probabilities, on labels left out."""


class RuleThresholds(Record):
    """What is decided about one rule."""

    digest: str
    """Of the rule's text and condition; see `Rule.digest`."""
    labels: Count
    """Labelled images that spoke for it."""
    violations: Count
    """How many of them violate it."""
    block: Threshold | Absent
    pass_: Annotated[Threshold | Absent, Field(alias="pass")]
    probability: Slope | Absent
    left_out: dict[str, int] = Field(default_factory=dict)
    """Labelled images that could not speak, by why."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        block, passed = self.block, self.pass_
        if isinstance(block, Threshold) and isinstance(passed, Threshold) and block.at < passed.at:
            raise ValueError("block lies below pass, so scores between would be both")
        return self


class MadeBy(SparseRecord):
    """What thresholds belong to."""

    SPARSE: ClassVar[frozenset[str]] = frozenset({"also", "escalate_to"})

    model: str
    revision: str
    prompts: str
    policy: str
    """See `scoring_digest`."""
    constitution: str
    encoder: ModelRef | None = None
    detector: ModelRef | None = None
    also: tuple[ModelRef, ...] = ()
    escalate_to: ModelRef | None = None
    labels: str
    """Sha256 of the file of labels."""

    @staticmethod
    def of(provenance: Provenance, policy: Policy, labels: str) -> MadeBy:
        """Take what made records."""
        return MadeBy(
            model=provenance.model,
            revision=provenance.revision,
            prompts=provenance.prompts,
            policy=scoring_digest(policy),
            constitution=provenance.constitution,
            encoder=provenance.encoder,
            detector=provenance.detector,
            also=provenance.also,
            escalate_to=provenance.escalate_to,
            labels=labels,
        )


class Reasoning(Record):
    """Whether reasoning pays, by the labels: rule verdicts with it against those without."""

    verdict: Literal["pays", "harms", "cannot tell", "not asked", "not recorded"]
    n: Count
    """Rule verdicts that were compared."""
    reasoned: Count
    """How many of them had any."""
    gain: float | None = None
    """The share that it made right, less what it made wrong; against an open statement as no."""
    low: float | None = None
    """95 % interval of it."""
    high: float | None = None
    by_score: float | None = None
    """The same against an open statement by its score."""


class Thresholds(Record):
    """Thresholds of a constitution's rules, for one model and policy."""

    safejudge_thresholds: Literal[1] = 1
    """The form of the file."""
    date: str
    made_by: MadeBy
    images: tuple[str, ...]
    """The first 12 digits of the ids of the labelled images, so that a check can leave them out."""
    reasoning: Reasoning
    rules: dict[str, RuleThresholds]

    def digest(self) -> str:
        """Sha256 (hex) of all of it."""
        return hashlib.sha256(self.model_dump_json(by_alias=True).encode()).hexdigest()


def short(image: str) -> str:
    """Shorten the id of an image, as the file holds it."""
    return image[:12]


def scoring_digest(policy: Policy) -> str:
    """Digest of a policy as far as it changes scores that are exact."""
    return policy.exhaustively().model_copy(update={"frame_seed": ""}).digest()


# --- the file -------------------------------------------------------------------------------------


def dump(thresholds: Thresholds, path: Path) -> None:
    """Write the file, whole or not at all. Raises `OutputError`."""
    content = thresholds.model_dump(mode="json", by_alias=True, exclude_none=True)
    content["images"] = " ".join(thresholds.images)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    with writing(path), replacing(path) as new:
        new.write_text(_COMMENT + text, encoding="utf-8")


def load(path: Path) -> Thresholds:
    """Read a file of thresholds. Raises `InputError`."""
    content = _content(path)
    if isinstance(content, dict) and content.get("safejudge_thresholds") not in (None, FORMAT):
        raise InputError(
            f"{path}: its form is {content['safejudge_thresholds']!r:.40}, this version of "
            f"safejudge reads {FORMAT}; take the version that wrote it, or calibrate again"
        )
    if not isinstance(content, dict) or "safejudge_thresholds" not in content:
        raise InputError(f"{path}: holds no thresholds; name a file that safejudge calibrate wrote")
    if isinstance(content.get("images"), str):
        content["images"] = content["images"].split()
    try:
        return Thresholds.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{path}: `{place}`: {first['msg']}; thresholds are not to be written by hand, "
            "calibrate again"
        ) from error


def _content(path: Path) -> object:
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
        text = raw.decode("utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8; name a file that calibrate wrote") from error
    if len(raw) > MAX_BYTES:
        raise InputError(f"{path}: is larger than {MAX_BYTES} bytes; it holds no thresholds")
    try:
        # A few aliases can stand for more than memory holds; no file of ours has any.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise InputError(f"{path}: has YAML aliases, which no file of calibrate has")
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{path}: is no YAML ({cut(one_line(str(error)))})") from error


# --- what they fit --------------------------------------------------------------------------------


def fit(
    thresholds: Thresholds, constitution: Constitution, provenance: Provenance, policy: Policy
) -> tuple[dict[str, RuleThresholds], list[str]]:
    """Return what holds for these rules, and what a person should know.

    `policy` as it takes effect. Raises `InputError` for another model, other prompts, another
    policy, another encoder or detector: their scores mean something else.
    """
    made_by = thresholds.made_by
    now = MadeBy.of(provenance, policy, made_by.labels)
    _refuse_others(made_by, now)
    notes = []
    if made_by.constitution != now.constitution:
        notes.append("thresholds were made for another constitution; rules that stayed keep theirs")
    kept, lost = {}, []
    for rule in constitution.rules:
        entry = thresholds.rules.get(rule.id)
        if entry is not None and entry.digest == rule.digest():
            kept[rule.id] = entry
        else:
            lost.append(rule.id)
    if lost:
        notes.append(f"new or changed since, so without thresholds: {_listed(lost)}")
    for side, name in (("block", "block"), ("pass_", "pass")):
        none = [rule for rule, entry in kept.items() if isinstance(getattr(entry, side), Absent)]
        if none:
            effect = "cannot be blocked" if name == "block" else "let no image pass"
            notes.append(f"without a promise to {name}, so {effect}: {_listed(none)}")
    return kept, notes


def _refuse_others(then: MadeBy, now: MadeBy) -> None:
    names = {
        "revision": "model", "prompts": "wording of the questions", "policy": "policy",
    }  # fmt: skip
    differing = [word for name, word in names.items() if getattr(then, name) != getattr(now, name)]
    for name in ("encoder", "detector"):
        pair = [getattr(made, name) for made in (then, now)]
        if len({None if ref is None else ref.revision for ref in pair}) > 1:
            differing.append(name)
    opinions = [
        [ref.revision or ref.uri for ref in (*made.also, *filter(None, [made.escalate_to]))]
        for made in (then, now)
    ]
    if opinions[0] != opinions[1] or (then.escalate_to is None) != (now.escalate_to is None):
        differing.append("panel of engines (--also, --escalate-to)")
    if differing:
        raise InputError(
            f"the thresholds were made with another {' and '.join(differing)} (model then "
            f"{then.model} {then.revision[:12]}, now {now.model} {now.revision[:12]}); scores of "
            "one mean nothing to the other: calibrate again with this one"
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
