"""Suites by name: those of this package, and those that other packages add by entry point.

A suite judges images and compares with what is known of them, or scores outputs that somebody's
judges left, or both.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from safejudge.errors import InputError
from safejudge.evals.shipped import SHIPPED

if TYPE_CHECKING:
    from safejudge.evals.suite import Suite

GROUP = "safejudge.suites"
"""The entry-point group under which a package names a `Suite`."""


def suites() -> dict[str, Suite]:
    """Every suite that is installed, by name; ours first."""
    others = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    return {entry.name: entry.load() for entry in others} | SHIPPED


def find_suite(name: str) -> Suite:
    """Return one suite. Raises `InputError` with the names there are."""
    found = suites()
    if name not in found:
        raise InputError(f"there is no suite {name!r}; choose {', '.join(found)}")
    return found[name]
