"""What comes of a page: pictures with their times, and all that was refused or went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from safejudge.errors import InputError
from safejudge.types import Record

if TYPE_CHECKING:
    from PIL import Image

Status: TypeAlias = Literal[
    "rendered", "timed out", "left the page", "crashed", "cut page", "nothing to render"
]
"""How a page fared. Only of a page that is `rendered` there is a picture for every time."""

Refused: TypeAlias = Literal[
    "request",
    "websocket",
    "local file",
    "connection hint",
    "navigation",
    "popup",
    "dialog",
    "download",
    "print",
    "service worker",
    "sharedworker",
    "webrtc",
    "webtransport",
]
"""What a page was refused."""

Kind: TypeAlias = Literal[
    Refused, "error", "clipped", "one colour", "cut page", "too many findings"
]
"""What a finding is about."""

REFUSED: tuple[Refused, ...] = get_args(Refused)
"""Kinds of findings that are refusals."""

MOST_SIDE = 4000
"""Pixels of a picture's width and height; what lies beyond is cut off, and said."""
MOST_SHOTS = 32
"""Pictures of one page."""
_APART = 0.001
"""Seconds between two pictures."""
MOST_TIME = 600.0
"""Seconds on the page's own clock, of the last picture."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What a page is shown on, and when it is looked at. Raises `InputError` out of bounds."""

    at: Sequence[float] = (0.0, 1.0, 2.0)
    """Seconds on the page's own clock, rising."""
    size: tuple[int, int] = (1280, 720)
    """Pixels of the window, width and height."""
    seconds: float = 30.0
    """Of a person's clock, that a page may take from the moment the browser is there."""

    def __post_init__(self) -> None:
        """Refuse what is out of bounds."""
        at = tuple(self.at)
        rising = all(two - one >= _APART for one, two in pairwise(at))
        if not at or not rising or not (at[0] >= 0 and at[-1] <= MOST_TIME):
            raise InputError(
                f"--at {','.join(f'{time:g}' for time in at)}: give rising times from 0 to "
                f"{MOST_TIME:g} seconds, such as 0,1,2"
            )
        if len(at) > MOST_SHOTS:
            raise InputError(f"{len(at)} pictures of one page: {MOST_SHOTS} are the most")
        if not all(1 <= side <= MOST_SIDE for side in self.size):
            width, height = self.size
            raise InputError(f"--size {width}x{height}: each side must be 1 to {MOST_SIDE} pixels")
        if not 0 < self.seconds <= MOST_TIME:
            raise InputError(f"--seconds {self.seconds:g}: must be above 0, {MOST_TIME:g} at most")


class Finding(Record):
    """One thing that was refused, went wrong, or has to be known of the pictures."""

    kind: Kind
    what: str
    """The address, the message or the measure; as the page has it, shortened."""
    count: int = 1
    """How often."""


@dataclass(frozen=True, slots=True)
class Shot:
    """The page at one time."""

    at: float
    """Seconds on the page's own clock since it was opened."""
    image: Image.Image = field(repr=False)
    """RGB."""
    one_colour: str | None
    """`#rrggbb` where every pixel has it, else None."""

    @property
    def caption(self) -> str:
        """What a judge is told of the picture: "after 1 s"."""
        return f"after {self.at:g} s"


@dataclass(frozen=True, slots=True)
class Rendered:
    """What came of a page."""

    status: Status
    page: tuple[int, int] | None
    """Pixels of the whole page, width and height, at the last picture; None: none was taken."""
    shots: tuple[Shot, ...]
    """In the order of their times; those before it ended, where it did."""
    findings: tuple[Finding, ...]
    """In the order in which they came, each once."""
    browser: str | None = None
    """Name and version; None: none was needed."""
    sealed: bool = False
    """Whether the system gave the browser a network without anybody in it; else the browser's
    own refusals stand alone."""

    @property
    def complete(self) -> bool:
        """Whether there is a picture for every time, and the whole page is on it."""
        return self.status == "rendered" and not self.of("clipped", "cut page")

    def of(self, *kinds: Kind) -> list[Finding]:
        """Return the findings of these kinds."""
        return [finding for finding in self.findings if finding.kind in kinds]

    @property
    def refused(self) -> list[Finding]:
        """What the page was refused."""
        return self.of(*REFUSED)
