"""Suites by name: those of this package, and those that other packages add by entry point.

A suite judges images and compares with what is known of them, or scores outputs that somebody's
judges left, or both.
"""

from __future__ import annotations

import json
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from safejudge.errors import InputError, OutputError
from safejudge.evals.shipped import SHIPPED
from safejudge.evals.suite import Suite
from safejudge.files.atomic import writing
from safejudge.plugins import find_plugin, load_plugin, plugin_names

if TYPE_CHECKING:
    from pathlib import Path

MARK = "suite.json"
"""The file that says of a folder which suite's records it holds."""
GROUP = "safejudge.suites"
"""The entry-point group under which a package names a `Suite`."""


def names() -> list[str]:
    """Every suite there is: ours, then those of other packages."""
    return [*SHIPPED, *(name for name in plugin_names(GROUP) if name not in SHIPPED)]


def find_suite(name: str) -> Suite:
    """Return one suite. Raises `InputError` with the names there are, or what a plug-in met."""
    if name in SHIPPED:
        shipped = SHIPPED[name]
        suite: Suite = resolve_name(shipped) if isinstance(shipped, str) else shipped
        return suite
    entry = find_plugin(GROUP, name)
    if entry is None:
        raise InputError(f"there is no suite {name!r}; choose {', '.join(names())}")
    plugin = load_plugin(entry, f"suite {name!r}", InputError)
    if not isinstance(plugin, Suite):
        raise InputError(f"suite {name!r}: {entry.value} is a {type(plugin).__name__}, not a Suite")
    return plugin


def begin(out: Path, name: str) -> None:
    """Make the folder of a run and mark it. Raises `OutputError`, also for another suite's."""
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        if (out / MARK).exists() and (there := suite_of(out)) != name:
            raise OutputError(f"{out}: holds records of {there}; name another folder")
        (out / MARK).write_text(json.dumps({"suite": name}) + "\n", encoding="utf-8")


def suite_of(out: Path) -> str:
    """Whose records a folder holds. Raises `InputError`."""
    try:
        name = json.loads((out / MARK).read_text(encoding="utf-8"))["suite"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{out}: has no {MARK}; name a folder that eval --out wrote") from error
    return str(name)
