"""Stored records -> soft labels: how strongly the judge found each rule violated, by picture.

Takes records as `judge --exhaustive` writes them. A pair of picture and rule counts if its score is
exact and was decided; what was left undecided, read as a bound, or seen with a caption, which no
filter sees, is left out and counted. Of an image with several pictures a rule's pair is of the one
that decided. Images with equal bytes count once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safejudge.errors import ImageError, InputError
from safejudge.images.load import load_image
from safejudge.images.named import find_bytes
from safejudge.show.page import made_by, recorded
from safejudge.types import Judgment

if TYPE_CHECKING:
    from safejudge.files.stored import Stored
    from safejudge.policy import Policy
    from safejudge.types import Constitution, ImageInput, Picture, Provenance, RuleVerdict

UNDECIDED, BOUND, CAPTIONED, UNASKED = (
    "the judge left it undecided",
    "its score is a bound: the run was not --exhaustive",
    "it was judged with a caption, which a filter does not see",
    "it was not asked",
)
"""Why pairs of picture and rule are left out."""
FAILED, REPEATED = "it could not be judged", "it repeats another"
"""Why images are."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a picture comes from."""

    image: str
    """Sha256 of the file."""
    name: str
    folder: str | None
    """What the name is meant from."""
    frame: int | None = None
    background: str | None = None


@dataclass(slots=True)
class Labelled:
    """One picture, and what the judge said of it."""

    place: Place
    scores: dict[str, float] = field(default_factory=dict)
    """By rule, in [0, 1]."""
    violated: set[str] = field(default_factory=set)
    """Rules that the judge finds violated; among those with a score."""
    undecided: set[str] = field(default_factory=set)
    """Rules that it left undecided; they have no score."""


@dataclass(slots=True)
class Labels:
    """What a judge said of some images."""

    constitution: Constitution
    policy: Policy
    provenance: Provenance
    pictures: list[Labelled] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """Pairs of picture and rule that say nothing, by reason."""
    images_left_out: Counter[str] = field(default_factory=Counter)
    """Images, by reason."""


def read_labels(stored: Stored, constitution: str | None = None) -> Labels:
    """Read every record; `constitution` names the rules where old records do not hold them.

    Raises `InputError` for records whose rules or policy are not known, and for such as say
    nothing that could be learned.
    """
    about = made_by.about(stored, constitution, ())
    if about.policy is None:
        raise InputError(
            f"{stored.path}: does not say by which policy it was judged; judge the images again"
        )
    labels = Labels(about.constitution, about.policy, about.provenance)
    seen: set[str] = set()
    for record, result in recorded.results(stored, about.constitution, about.provenance):
        if not isinstance(result, Judgment):
            labels.images_left_out[FAILED] += 1
        elif result.id in seen:
            labels.images_left_out[REPEATED] += 1
        else:
            seen.add(result.id)
            labels.pictures += _pictures(result, record.folder, labels.left_out)
    if not any(picture.scores for picture in labels.pictures):
        reasons = {**labels.left_out, **labels.images_left_out}
        why = ", ".join(f"{reason} ({n})" for reason, n in reasons.items()) or "it holds none"
        raise InputError(
            f"{stored.path}: none of its records says how strongly a rule is violated: {why}. "
            "Judge images with --exhaustive --no-relevance"
        )
    return labels


def _pictures(judgment: Judgment, folder: str | None, left_out: Counter[str]) -> list[Labelled]:
    """What is said of each picture of one image that decided a rule."""
    by_place: dict[Place, Labelled] = {}
    for rule, verdict in judgment.rules.items():
        outcome = verdict.unfiltered or verdict.outcome
        if (reason := _problem(verdict, outcome)) is not None:
            left_out[reason] += 1
        if reason not in (None, UNDECIDED):
            continue
        place = Place(judgment.id, judgment.image, folder, verdict.frame, verdict.background)
        picture = by_place.setdefault(place, Labelled(place))
        if reason is UNDECIDED:
            picture.undecided.add(rule)
        elif verdict.score is not None:
            picture.scores[rule] = verdict.score
            if outcome == "violated":
                picture.violated.add(rule)
    return list(by_place.values())


def _problem(verdict: RuleVerdict, outcome: str) -> str | None:
    """Why a verdict is no soft label; None if it is one."""
    if verdict.score is None or outcome == "not_relevant":
        return UNASKED
    if verdict.captioned:
        return CAPTIONED
    if outcome == "undecided":
        return UNDECIDED
    return None if verdict.bound == "exact" else BOUND


class Pictures:
    """Decodes the pictures of records, and keeps as many as fit."""

    def __init__(self, policy: Policy, room: int = 2**29) -> None:
        """Read images as `policy` says; keep up to `room` bytes of pixels."""
        self._policy = policy
        self._room = room
        self._kept: dict[Place, Picture] = {}

    def load(self, place: Place) -> Picture | str:
        """Return a picture, or why it is not there."""
        if place in self._kept:
            return self._kept[place]
        content = find_bytes(place.name, place.folder, place.image, self._policy.max_bytes)
        if isinstance(content, str):
            return f"its file is {content}"
        try:
            image = load_image(content, name=place.name, policy=self._policy)
        except ImageError:
            return "its file cannot be read"
        picture = _at(place, image)
        if picture is None:
            return "the frame that decided cannot be told"
        size = picture.pixels.nbytes
        if size <= self._room:
            self._kept[place] = picture
            self._room -= size
        return picture

    def there(self, place: Place) -> Picture:
        """Return a picture that was there before. Raises `InputError` if it is gone."""
        picture = self.load(place)
        if isinstance(picture, str):
            raise InputError(f"{place.name}: {picture} since learning began; put it back")
        return picture


def _at(place: Place, image: ImageInput) -> Picture | None:
    """The picture of an image that a place means."""
    return next(
        (
            picture
            for picture in image.pictures
            if (picture.frame, picture.background) == (place.frame, place.background)
        ),
        None,
    )
