"""Strict YAML -> `Constitution`: takes a path or the name of a shipped one, gives typed rules.

A rule with a condition is used as written; one without takes it from the lock beside the file,
if that was compiled from the text that stands there now. `load_constitution` raises for the first
problem, `lint.findings.lint` lists all of them, `dump_constitution` writes a file that reads back
equal. What this does not know: whether a statement is true, useful, or inside a judge's grammar.
"""

from __future__ import annotations

import difflib
import os
import warnings
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.constitution import strict_yaml
from safejudge.constitution.lock import MAX_BYTES, Lock, parse_lock
from safejudge.constitution.schema import Finding, doubts, parse
from safejudge.errors import ConstitutionError
from safejudge.text import quoted
from safejudge.types import (
    Constitution,
    Draft,
    Rule,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

    from safejudge.constitution.lock import LockedRule
    from safejudge.constitution.strict_yaml import Sheet

__all__ = [
    "Finding",
    "dump_constitution",
    "load_constitution",
    "lock_path",
    "read_draft",
    "read_lock",
    "read_source",
    "rubric_shelf",
    "shipped_constitutions",
]

# --- public -------------------------------------------------------------------------------------


def load_constitution(source: str | os.PathLike[str]) -> Constitution:
    """Load a constitution by path, or a shipped one by name.

    A string with a path separator or ending in .yaml or .yml is a path, any other a name.
    Raises `ConstitutionError` for the first problem; its message lists further ones. Warns of
    compiled rules at which a person has yet to look, and of texts that a comment may have cut.
    """
    reading = read_source(source)
    if reading.lock_error is not None:
        raise reading.lock_error
    if reading.constitution is None:
        raise _as_error(reading.file, reading.errors)
    for doubt in doubts(reading.sheet):
        where = f"{reading.file}:{doubt.line}"
        warnings.warn(f"{where}: {doubt.problem}", UserWarning, stacklevel=2)
    if unreviewed := [entry.id for entry in reading.used_entries() if entry.review]:
        warnings.warn(
            f"{lock_path(reading.file)}: compiled, and marked for review: {', '.join(unreviewed)} "
            f"(safejudge lint {reading.file} says why)",
            UserWarning,
            stacklevel=2,
        )
    return reading.constitution


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading one file, and the lock beside it, came to."""

    file: str
    """What messages call it."""
    sheet: Sheet
    """On which line everything stands."""
    constitution: Constitution | None = None
    """The rules; None where there are errors."""
    draft: Draft | None = None
    """What people wrote, examples too; None where the file is refused."""
    errors: list[Finding] = field(default_factory=list)
    """What refuses the file."""
    lock: Lock | None = None
    """What was compiled of it."""
    lock_error: ConstitutionError | None = None
    """Why the lock could not be read."""

    def used_entries(self) -> Iterator[LockedRule]:
        """Yield the entries of the lock that rules of the constitution come from."""
        rules = () if self.constitution is None else self.constitution.rules
        conditions = {rule.id: rule.condition for rule in rules}
        for entry in () if self.lock is None else self.lock.rules:
            if conditions.get(entry.id) == entry.condition:
                yield entry


def read_source(source: str | os.PathLike[str]) -> Reading:
    """Read a constitution, by path or name, as far as that is possible.

    Raises `ConstitutionError` where there is nothing to read.
    """
    file, raw = _fetch(source)
    draft, sheet, errors = parse(raw)
    if draft is None:
        return Reading(file, sheet, errors=errors)
    try:
        lock = _lock_of(draft, source)
    except ConstitutionError as error:
        return Reading(file, sheet, draft=draft, lock_error=error)
    constitution, errors = _completed(draft, lock, sheet, file)
    return Reading(file, sheet, constitution, draft, errors, lock)


def read_draft(source: str | os.PathLike[str]) -> Draft:
    """Read a constitution as it was written, conditions or none. Raises `ConstitutionError`."""
    file, raw = _fetch(source)
    draft, _, errors = parse(raw)
    if draft is None:
        raise _as_error(file, errors)
    return draft


def lock_path(source: str | os.PathLike[str]) -> Path:
    """Return where the lock of a constitution lies: `NAME.lock.yaml` beside `NAME.yaml`."""
    path = Path(source)
    return path.with_name(f"{path.stem}{_LOCK}")


def read_lock(path: Path) -> Lock | None:
    """Read a lock; None if there is no such file. Raises `ConstitutionError`."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        problem = f"the file cannot be read: {error.strerror}"
        raise ConstitutionError(str(path), None, problem, "a file you may read") from error
    return parse_lock(str(path), raw)


def shipped_constitutions() -> list[str]:
    """Return the names of the constitutions that come with the package, sorted."""
    names = (entry.name for entry in _shelf().iterdir())
    return sorted(
        name.removesuffix(".yaml")
        for name in names
        if name.endswith(".yaml") and not name.endswith(_LOCK)
    )


def rubric_shelf() -> Path:
    """Return the folder of the shipped rubrics, which are no constitutions to judge safety by."""
    return Path(str(_shelf())) / "rubrics"


def dump_constitution(constitution: Constitution) -> str:
    """Write a constitution as YAML text that reads back equal.

    Raises `ConstitutionError` for one that no file can hold, such as one with text on two lines.
    """
    data = constitution.model_dump(mode="json", exclude_none=True)
    if not constitution.description:
        del data["description"]
    for rule in data["rules"]:
        if not rule["moderation"]:
            del rule["moderation"]
    text = strict_yaml.write(data)
    again, sheet, errors = parse(text.encode("utf-8", "surrogatepass"))
    name = f"constitution {quoted(constitution.name)}"
    if again is None:
        raise _as_error(name, errors)
    if _completed(again, None, sheet, name)[0] != constitution:
        problem = "a text has line breaks, or spaces that reading would drop"
        raise ConstitutionError(name, None, problem, "texts on one line, single spaces")
    return text


# --- finding files ------------------------------------------------------------------------------

_LOCK = ".lock.yaml"


def _shelf() -> Traversable:
    inside = resources.files("safejudge") / "constitutions"  # a wheel carries them here
    if inside.is_dir():
        return inside
    return Path(__file__).parents[2] / "constitutions"  # a checkout, editable or not


def _fetch(source: str | os.PathLike[str]) -> tuple[str, bytes]:
    """Find a constitution; return what to call the file, and at most a byte more than allowed."""
    path: Traversable
    if isinstance(source, str) and not _is_path(source):
        if source not in shipped_constitutions():
            raise _unknown_name(source)
        path = _shelf() / f"{source}.yaml"
    else:
        path = Path(source)
    file = str(path)
    if file.endswith(_LOCK):
        constitution = f"{file.removesuffix(_LOCK)}.yaml"
        raise ConstitutionError(file, None, "this is a lock, not a constitution", constitution)
    # Asked first because opening a named pipe would wait for ever.
    if not path.is_file():
        problem = "there is no file of this name"
        raise ConstitutionError(file, None, problem, "the path of a YAML file that exists")
    try:
        with path.open("rb") as stream:
            return file, stream.read(strict_yaml.MAX_BYTES + 1)
    except OSError as error:
        problem = f"the file cannot be read: {error.strerror}"
        raise ConstitutionError(file, None, problem, "a file you may read") from error


def _is_path(source: str) -> bool:
    separators = {"/", os.sep, os.altsep or "/"}
    return source.lower().endswith((".yaml", ".yml")) or any(sign in source for sign in separators)


def _unknown_name(name: str) -> ConstitutionError:
    names = shipped_constitutions()
    near = difflib.get_close_matches(name, names, len(names) or 1, 0.0)
    listed = ", ".join([*near, *(shipped for shipped in names if shipped not in near)])
    advice = f"one of: {listed}; or a path, such as `./{quoted(name)[1:-1]}.yaml`"
    return ConstitutionError(quoted(name), None, "no shipped constitution has this name", advice)


def _as_error(file: str, errors: list[Finding]) -> ConstitutionError:
    first, *further = errors
    error = ConstitutionError(file, first.line, first.problem, first.instead)
    listed = [f"  line {finding.line}: {finding.problem}" for finding in further[:5]]
    if further:
        heading = f"  and {len(further)} more problem{'s' * (len(further) > 1)}:"
        error.args = ("\n".join([str(error), heading, *listed]),)
    return error


# --- compiled rules -----------------------------------------------------------------------------


def _lock_of(draft: Draft, source: str | os.PathLike[str]) -> Lock | None:
    """The lock beside a constitution, if the constitution needs one."""
    if all(rule.condition is not None for rule in draft.rules):
        return None
    shipped = isinstance(source, str) and not _is_path(source)
    return read_lock(lock_path(Path(str(_shelf())) / source if shipped else source))


def _completed(
    draft: Draft, lock: Lock | None, sheet: Sheet, file: str
) -> tuple[Constitution | None, list[Finding]]:
    """Fill in what was compiled; what is missing or was compiled from another text is an error."""
    rules, errors = [], []
    compile_it = f"safejudge compile {file} --llm URI"
    for index, rule in enumerate(draft.rules):
        entry = None if lock is None else lock.rule(rule.id)
        data = rule.model_dump()
        if rule.condition is None:
            if entry is None:
                problem = f"rule {quoted(rule.id)} has no `condition`, nor has {lock_path(file)}"
                instead = f"a `condition:`; or compile the rule: {compile_it}"
            else:
                problem = f"rule {quoted(rule.id)} has changed since {lock_path(file)} was made"
                instead = f"the rule compiled again: {compile_it}"
            if entry is None or entry.source != rule.source():
                errors.append(Finding(sheet.lines["rules", index], "error", problem, instead))
                continue
            data |= {"objective": entry.objective, "condition": entry.condition}
        rules.append(Rule.model_validate(data))
    if errors:
        return None, errors
    constitution = Constitution(name=draft.name, description=draft.description, rules=tuple(rules))
    return constitution, []
