r"""Names of files in people's lists -> names on the disk, though they are spelled another way.

A list made on another system composes accents (`é` as one sign or as two), or parts folders by `\`;
both are matched where only one file can be meant. What differs otherwise, such as in capitals, is
never matched, but named as what may be meant.
"""

from __future__ import annotations

import difflib
import os.path
import unicodedata
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_COMPARED = 5000
"""Most names that a name is compared with to find a near one."""


def plain_form(name: str) -> str:
    """Write a name in one way: composed, folders parted by `/`, without `./` and the like."""
    return os.path.normpath(unicodedata.normalize("NFC", name).replace("\\", "/"))


class Names:
    """The names of some files, to be found by a name from a list."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = dict.fromkeys(names)
        self._plain: defaultdict[str, list[str]] = defaultdict(list)
        for name in self._names:
            self._plain[plain_form(name)].append(name)

    def find(self, name: str) -> str | None:
        """The name itself if there is such a file, else the one that it spells another way."""
        if name in self._names:
            return name
        spelled = self._plain.get(plain_form(name), [])
        return spelled[0] if len(spelled) == 1 else None

    def near(self, name: str) -> str | None:
        """A name that may be meant: in other capitals, in another folder, or nearly the same."""
        wanted = plain_form(name)
        tail = os.path.basename(wanted).casefold()  # noqa: PTH119 - names may be no paths here
        for form, spelled in self._plain.items():
            if form.casefold() == wanted.casefold():
                return spelled[0]
        for form, spelled in self._plain.items():
            if os.path.basename(form).casefold() == tail:  # noqa: PTH119
                return spelled[0]
        close = difflib.get_close_matches(wanted, list(self._plain)[:_COMPARED], 1, 0.8)
        return self._plain[close[0]][0] if close else None

    def hint(self, name: str) -> str:
        """Ask whether a near name is meant; empty if there is none."""
        near = self.near(name)
        return "" if near is None else f"; do you mean {near}?"
