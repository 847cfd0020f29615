"""Strict YAML -> `Constitution`: takes a path or the name of a shipped one, gives typed rules.

`read_constitution` and `lint` collect every problem of a file with its line, `load_constitution`
raises, `dump_constitution` writes a file that reads back equal.
What this does not know: whether a statement is true, useful, or inside a judge's grammar.
"""

from __future__ import annotations

import difflib
import os
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge import strict_yaml
from safejudge.coherence import condition_flaws, constant
from safejudge.constitution_file import OPERATORS, Finding, parse
from safejudge.errors import ConstitutionError
from safejudge.language import Flaw, objective_flaws, statement_flaws
from safejudge.strict_yaml import Sheet, Where, show
from safejudge.types import AllOf, AnyOf, Condition, Constitution, NoneOf, Precondition, leaves

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

__all__ = [
    "Finding",
    "dump_constitution",
    "lint",
    "load_constitution",
    "read_constitution",
    "shipped_constitutions",
]

# --- public -------------------------------------------------------------------------------------


def load_constitution(source: str | os.PathLike[str]) -> Constitution:
    """Load a constitution by path, or a shipped one by name.

    A string with a path separator or ending in .yaml or .yml is a path, any other a name.
    Raises `ConstitutionError` for the first problem; its message lists further ones.
    """
    file, raw = _fetch(source)
    constitution, _, errors = parse(raw)
    if constitution is None:
        raise _as_error(file, errors)
    return constitution


def read_constitution(source: str | os.PathLike[str]) -> tuple[Constitution | None, list[Finding]]:
    """Read a constitution and everything there is to say about it, by line.

    `source` is as for `load_constitution`. The constitution is None if there is any error;
    otherwise all findings are warnings.
    """
    try:
        _, raw = _fetch(source)
    except ConstitutionError as error:
        return None, [Finding(error.line, "error", error.problem, error.instead)]
    constitution, sheet, findings = parse(raw)
    if constitution is not None:
        findings = sorted(_warnings(constitution, sheet), key=lambda finding: finding.line or 0)
    return constitution, findings


def lint(source: str | os.PathLike[str]) -> list[Finding]:
    """List the errors and warnings of a constitution, in the order of their lines."""
    return read_constitution(source)[1]


def shipped_constitutions() -> list[str]:
    """Return the names of the constitutions that come with the package, sorted."""
    names = (entry.name for entry in _shelf().iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


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
    again, _, errors = parse(text.encode("utf-8", "surrogatepass"))
    name = f"constitution {show(constitution.name)}"
    if again is None:
        raise _as_error(name, errors)
    if again != constitution:
        problem = "a text has line breaks, or spaces that reading would drop"
        raise ConstitutionError(name, None, problem, "texts on one line, single spaces")
    return text


# --- finding files ------------------------------------------------------------------------------


def _shelf() -> Traversable:
    inside = resources.files("safejudge") / "constitutions"  # a wheel carries them here
    if inside.is_dir():
        return inside
    return Path(__file__).parent.parent / "constitutions"  # a checkout, editable or not


def _fetch(source: str | os.PathLike[str]) -> tuple[str, bytes]:
    """Find a constitution; return what to call the file, and at most a byte more than allowed."""
    place: Traversable
    if isinstance(source, str) and not _is_path(source):
        if source not in shipped_constitutions():
            raise _unknown_name(source)
        place = _shelf() / f"{source}.yaml"
    else:
        place = Path(source)
    file = str(place)
    # Asked first because opening a named pipe would wait for ever.
    if not place.is_file():
        problem = "there is no file of this name"
        raise ConstitutionError(file, None, problem, "the path of a YAML file that exists")
    try:
        with place.open("rb") as stream:
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
    listed = ", ".join([*near, *(other for other in names if other not in near)])
    advice = f"one of: {listed}; or a path, such as `./{show(name)[1:-1]}.yaml`"
    return ConstitutionError(show(name), None, "no shipped constitution has this name", advice)


def _as_error(file: str, errors: list[Finding]) -> ConstitutionError:
    first, *others = errors
    error = ConstitutionError(file, first.line, first.problem, first.instead)
    shown = [f"  line {other.line}: {other.problem}" for other in others[:5]]
    if others:
        more = f"  and {len(others)} more problem{'s' * (len(others) > 1)}:"
        error.args = ("\n".join([str(error), more, *shown]),)
    return error


# --- advice -------------------------------------------------------------------------------------


def _warnings(constitution: Constitution, sheet: Sheet) -> Iterator[Finding]:
    """Yield what is allowed but seldom meant."""
    same: dict[Condition, str] = {}
    for place, rule in enumerate(constitution.rules):
        where: Where = ("rules", place, "condition")
        about = f"rule {show(rule.id)}:"
        for flaw in objective_flaws(rule.objective):
            line = sheet.lines["rules", place, "objective"]
            yield _as_warning(flaw, line, f"{about} {show(rule.objective)}")
        first = same.setdefault(rule.condition, rule.id)
        if first != rule.id:
            problem = f"{about} its condition is that of rule {show(first)}"
            advice = "one rule, or conditions that differ"
            yield Finding(sheet.lines[where], "warning", problem, advice)
        # A condition that every picture meets has a warning of its own.
        if _holds_of_nothing(rule.condition) and constant(rule.condition) is None:
            problem = f"{about} a picture that shows nothing at all violates it"
            advice = "what must be visible under `all`, with the exceptions as `none` beside it"
            yield Finding(sheet.lines[where], "warning", problem, advice)
        found = list(_leaves(sheet.data["rules"][place]["condition"], where))
        logic = [
            _as_warning(flaw, sheet.lines[*where, *way], about)
            for way, flaw in condition_flaws(rule.condition)
        ]
        # Where a repetition makes the logic fail, that warning says more.
        yield from logic or _repeated(found, sheet, about)
        for (at, _), leaf in zip(found, leaves(rule.condition), strict=True):
            yield from _wording(leaf, sheet.lines[at], about)


def _wording(leaf: Precondition, line: int, about: str) -> Iterator[Finding]:
    for flaw in statement_flaws(leaf):
        yield _as_warning(flaw, line, f"{about} {show(leaf.statement)}")


def _as_warning(flaw: Flaw, line: int, about: str) -> Finding:
    return Finding(line, "warning", f"{about} {flaw.problem}", flaw.instead)


def _holds_of_nothing(condition: Condition) -> bool:
    """Whether the condition is true when every statement is false."""
    match condition:
        case Precondition():
            return False
        case AllOf(all=parts):
            return all(_holds_of_nothing(part) for part in parts)
        case AnyOf(any=parts):
            return any(_holds_of_nothing(part) for part in parts)
        case NoneOf(none=parts):
            return not any(_holds_of_nothing(part) for part in parts)


def _leaves(value: Any, where: Where) -> Iterator[tuple[Where, str]]:
    """Yield every statement of a checked condition, tidied, with its place in the file."""
    if isinstance(value, str):
        yield where, " ".join(value.split())
    elif "statement" in value:
        yield (*where, "statement"), " ".join(value["statement"].split())
    else:
        (operator,) = (key for key in value if key in OPERATORS)
        for place, part in enumerate(value[operator]):
            yield from _leaves(part, (*where, operator, place))


def _repeated(leaves: list[tuple[Where, str]], sheet: Sheet, about: str) -> Iterator[Finding]:
    """Find statements whose own list has them again, there or deeper: useless or contradictory.

    The same statement in two separate branches is fine, as in (A and B) or (A and C).
    """
    below = Counter(
        (statement.casefold(), at[:length]) for at, statement in leaves for length in range(len(at))
    )
    told = set()
    for at, statement in leaves:
        home = at[:-2] if at[-1] == "statement" else at[:-1]
        key = (statement.casefold(), home)
        if below[key] > 1 and key[0] not in told:
            told.add(key[0])
            problem = f"{about} {show(statement)} stands in this list more than once"
            yield Finding(sheet.lines[at], "warning", problem, "it once, or separate branches")
