"""Several pictures of one thing: slides of an advert, a page at several times.

They are one image to judge: each by itself, of which the worst counts, and all of them together in
one look, in their order. Says what they are; `load` reads them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safejudge.errors import InputError
from safejudge.prompts import together_digest
from safejudge.text import counted, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 16
"""Pictures of one thing."""
_LONGEST = 80
"""Characters of a label."""


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Several pictures of one thing, in order."""

    sources: Sequence[Any]
    """1 to 16 still pictures, as a judge takes them (`load.ImageSource`)."""
    labels: Sequence[str] = ()
    """What a model is told of each where it is shown all, such as "after 1 s"; none, or as many as
    pictures."""
    name: str = ""
    """What messages and records call it; else it is named by its place."""
    together: bool = True
    """Whether all pictures are shown in one question, besides each by itself."""
    made_of: str = ""
    """Names what the pictures were made of, where they were made here, such as a page; the id of
    the whole is then of that, not of their pixels."""

    def __post_init__(self) -> None:
        """Raise `InputError` for too few or too many pictures, or labels that do not fit."""
        if isinstance(self.sources, str | bytes | bytearray | Mapping) or not (
            hasattr(self.sources, "__len__") and hasattr(self.sources, "__getitem__")
        ):
            raise InputError(
                f"a series is made of a list of pictures; got a {type(self.sources).__name__}"
            )
        count = len(self.sources)
        if not 1 <= count <= MOST:
            raise InputError(
                f"a series has {counted(count, 'picture')}; hand over 1 to {MOST} of one thing"
            )
        if self.labels and len(self.labels) != count:
            raise InputError(
                f"a series has {counted(count, 'picture')} but {counted(len(self.labels), 'label')}"
            )
        for label in self.labels:
            plain = isinstance(label, str) and label.isprintable() and ";" not in label
            if not plain or not 1 <= len(label) <= _LONGEST:
                raise InputError(
                    f"a label is one line of {_LONGEST} characters at most, without a semicolon; "
                    f"got {quoted(str(label))}"
                )

    def id_of(self, ids: Sequence[str]) -> str:
        """Make the id of the whole of those of its pictures: sha256, hex."""
        shown = together_digest() if self.together else "apart"
        parts = ["series", shown, *([self.made_of] if self.made_of else ids), *self.labels]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Unread:
    """What could not be made into pictures before it came here; it becomes a `Failure`."""

    name: str
    reason: str
    """As in a `Failure`."""
    message: str
