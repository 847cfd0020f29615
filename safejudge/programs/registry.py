"""Programs by name: those of this package, and what others add by an entry point."""

from __future__ import annotations

import difflib
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from safejudge.errors import ArgumentError
from safejudge.plugins import describe_error, find_plugin, load_plugin, plugin_names
from safejudge.programs.base import Program, shown
from safejudge.types import Call

if TYPE_CHECKING:
    from typing import Any

GROUP = "safejudge.programs"
"""The entry points of other packages: the name of a program, and its class."""

OWN = {
    "words": "safejudge.programs.words:Words",
    "count": "safejudge.programs.counts:Count",
    "order": "safejudge.programs.order:Order",
    "overlap": "safejudge.programs.overlap:Overlap",
    "grid": "safejudge.programs.grid:Grid",
}
"""Those of this package; no other one can take their names."""


def program_names() -> list[str]:
    """Return the names of all programs, our own first."""
    return [*OWN, *(name for name in plugin_names(GROUP) if name not in OWN)]


def open_program(name: str) -> Program:
    """Make a program. Raises `ArgumentError` for a name that no package has, and a broken one."""
    if name in OWN:
        program: Program = resolve_name(OWN[name])()
        return program
    entry = find_plugin(GROUP, name)
    if entry is None:
        near = difflib.get_close_matches(name, program_names(), 1)
        hint = f"`{near[0]}`, or " if near else ""
        raise ArgumentError(
            f"names {shown(name)}, and no program is called so",
            f"{hint}one of {', '.join(program_names())} (or install the package that adds it)",
        )
    maker = load_plugin(entry, f"the program {shown(name)}", ArgumentError)
    try:
        made = maker()
    except (Exception, SystemExit) as error:  # whatever another package raises
        raise ArgumentError(
            f"the program {shown(name)}: {entry.value} cannot be opened: {describe_error(error)}"
        ) from error
    if not isinstance(made, Program):
        raise ArgumentError(
            f"the program {shown(name)}: {entry.value} is a {type(made).__name__}, which is no "
            "safejudge.programs.base.Program"
        )
    return made


def checked(program: Program, call: Call) -> Call:
    """Return a call in its one form. Raises `ArgumentError`."""
    name = call.name
    known = (name, *program.options)
    if unknown := [key for key in call.arguments if key not in known]:
        takes = f"one of {', '.join(known)}" if program.options else f"`{name}:` alone"
        raise ArgumentError(f"has the unknown key {shown(unknown[0])} beside `{name}`", takes)
    if name not in call.arguments:
        raise ArgumentError(f"has no `{name}:`", f"`program: {{{name}: ...}}`")
    arguments = program.check({key: call.arguments[key] for key in known if key in call.arguments})
    return Call(name=name, arguments=arguments)


def holds_of_nothing(call: Call) -> bool:
    """Whether a call holds of a picture in which the program finds nothing at all."""
    return open_program(call.name).holds_of_nothing(call.arguments)


def call_of(written: Any) -> Call:
    """Make a call of what stands in a file under `program:`. Raises `ArgumentError`."""
    example = "a program with what it looks for, such as `program: {words: SALE}`"
    if not isinstance(written, dict) or not written:
        raise ArgumentError("names no program", example)
    names = [key for key in written if key in program_names()]
    if len(names) > 1:
        raise ArgumentError(
            f"names {' and '.join(f'`{name}`' for name in names)}",
            "one program here; put the other into a leaf of its own",
        )
    # What is no program may be an option of one that is misspelt: the first key is meant.
    name = names[0] if names else str(next(iter(written)))
    return checked(open_program(name), Call(name=name, arguments=dict(written)))
