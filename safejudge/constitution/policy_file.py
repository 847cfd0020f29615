"""Policies that people write: a YAML file, or NAME=VALUE on a command line -> `Policy`.

Takes the name of a preset or the path of a file, and settings that win over it; every value is read
by the kind of its field, so `open_means: no` is the word and `prior: no` a mistake. What cannot be
meant so is a `PolicyError` that names the line and the nearest name; a setting that the chosen
stages leave without effect is a warning.
"""

from __future__ import annotations

import difflib
import os
import re
import types
import typing
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import ValidationError

from safejudge.constitution import strict_yaml
from safejudge.errors import PolicyError
from safejudge.policy import POLICIES, Policy
from safejudge.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    Settings = Iterable[tuple[str, str]]
    """Names of fields, and values as text."""

_BASE = "base"
"""The key of a file that says which preset it starts from."""
_MEANT = {"cascade": "open_means"}
"""What earlier names are called now."""
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_IDS = tuple[str, ...]
"""The kind of a field that holds ids, which are written with spaces between them."""
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")


# --- public -------------------------------------------------------------------------------------


def load_policy(source: str | os.PathLike[str] | Policy, settings: Settings = ()) -> Policy:
    """Return the policy of a name or of a file, or the one given, with settings that win over it.

    A string with a path separator or ending in .yaml or .yml is a path, any other a name. A file
    holds fields of `Policy`, and perhaps `base`: the preset it starts from, `default` unless it
    says so. One without a `name` is called after the file. Raises `PolicyError`; warns of what has
    no effect.
    """
    written = _written(source)
    for name, text in settings:
        where = f"--set {name}"
        if name in written.values and written.values[name].where.startswith("--set "):
            raise PolicyError(f"{where}: {name} is set twice; keep one of them")
        written.values[name] = _Value(where, text)
    policy = _made(written)
    for place, problem in _idle(policy, written.values):
        warnings.warn(f"{place}: {problem}", UserWarning, stacklevel=2)
    return policy


# --- reading ------------------------------------------------------------------------------------


class _Value(NamedTuple):
    where: str
    """What messages call the place."""
    text: str


@dataclass(slots=True)
class _Written:
    """What somebody wrote: where it starts from, and what is different."""

    base: Policy
    values: dict[str, _Value] = field(default_factory=dict)


def _written(source: str | os.PathLike[str] | Policy) -> _Written:
    if isinstance(source, Policy):
        return _Written(source)
    return _read_file(Path(source)) if _is_path(source) else _Written(_preset(str(source)))


def _is_path(source: str | os.PathLike[str]) -> bool:
    if not isinstance(source, str):
        return True
    separators = ("/", os.sep, os.altsep or "/")
    return source.lower().endswith((".yaml", ".yml")) or any(sign in source for sign in separators)


def _preset(name: str) -> Policy:
    if name not in POLICIES:
        raise PolicyError(
            f"there is no policy {name!r}; choose from {_nearest_first(name, POLICIES)}, or name a "
            "file by its path, such as strict.yaml"
        )
    return POLICIES[name]()


def _nearest_first(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(name, names, len(names), 0.0)
    return ", ".join([*near, *(other for other in names if other not in near)])


def _read_file(path: Path) -> _Written:
    sheet = _sheet(path)
    if sheet.remarks:
        raise _refused(path, [(r.line, r.problem, r.instead) for r in sheet.remarks])
    problems = [
        (sheet.lines[name,], f"{quoted(name)} is a list or a mapping", "one value")
        for name, value in sheet.data.items()
        if not isinstance(value, str)
    ]
    if problems:
        raise _refused(path, problems)
    values = {
        name: _Value(f"{path}:{sheet.lines[name,]}", text) for name, text in sheet.data.items()
    }
    base = values.pop(_BASE, _Value("", "default"))
    if base.text not in POLICIES:
        near = _nearest_first(base.text, POLICIES)
        problem = f"`base` is {quoted(base.text)}, which is no preset"
        raise _refused(path, [(sheet.lines[_BASE,], problem, f"`base:` and one of {near}")])
    start = POLICIES[base.text]().model_copy(update={"name": path.stem})
    return _Written(start, values)


def _sheet(path: Path) -> strict_yaml.Sheet:
    # Asked first because opening a named pipe would wait for ever.
    if not path.is_file():
        raise PolicyError(
            f"{path}: there is no file of this name; name a policy file, or one of "
            f"{', '.join(POLICIES)}"
        )
    try:
        with path.open("rb") as stream:
            raw = stream.read(strict_yaml.MAX_BYTES + 1)
        return strict_yaml.read(raw, typed=True)
    except OSError as error:
        raise PolicyError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except strict_yaml.Refused as error:
        instead = "fields of a policy, such as `base: default` and `reject_factor: 0.2`"
        shape = error.problem.startswith(("the file is empty", "the file holds"))
        problem = (error.line, error.problem, instead if shape else error.instead)
        raise _refused(path, [problem]) from error


def _refused(path: Path, problems: Sequence[tuple[int | None, str, str]]) -> PolicyError:
    """Say what is wrong with a file: the first problem with what to write, the others after it."""
    (line, problem, instead), *others = sorted(problems, key=lambda found: found[0] or 0)
    where = str(path) if line is None else f"{path}:{line}"
    lines = [f"{where}: {problem}", f"  instead: {instead or 'a value'}"]
    lines += [f"  line {number}: {further}" for number, further, _ in others[:5]]
    return PolicyError("\n".join(lines))


# --- fields -------------------------------------------------------------------------------------


def _made(written: _Written) -> Policy:
    """Read every value by the kind of its field. Raises `PolicyError` for all that are wrong."""
    problems: list[str] = []
    changed: dict[str, Any] = {}
    for name, value in written.values.items():
        if name not in Policy.model_fields:
            problems.append(f"{value.where}: {_unknown(name)}")
            continue
        try:
            changed[name] = _typed(_kinds(name), value.text)
        except ValueError as error:
            problems.append(f"{value.where}: {quoted(name)} is {quoted(value.text)}; write {error}")
    policy = written.base
    if not problems:
        try:
            policy = Policy.model_validate(policy.model_dump() | changed)
        except ValidationError as error:
            for fault in error.errors(include_url=False):
                name = str(fault["loc"][0])
                value = written.values[name]
                problems.append(f"{value.where}: {quoted(name)} is {value.text}; {fault['msg']}")
    if problems:
        raise PolicyError("\n  ".join(problems[:6]))
    return policy


def _unknown(name: str) -> str:
    meant = _MEANT.get(name)
    known = [*Policy.model_fields, _BASE]
    near = [meant] if meant else difflib.get_close_matches(name.replace("-", "_"), known, 1, 0.6)
    advice = f"do you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"a policy has no field {quoted(name)}; {advice}"


def _kinds(name: str) -> list[Any]:
    """What a field may be: `bool`, `int`, `float`, `str`, `None`, and words in quotes."""
    kinds: list[Any] = []

    def add(annotation: Any) -> None:
        origin = typing.get_origin(annotation)
        if origin is Literal:
            kinds.extend(typing.get_args(annotation))
        elif origin is typing.Annotated:
            add(typing.get_args(annotation)[0])
        elif origin in (typing.Union, types.UnionType):
            for part in typing.get_args(annotation):
                add(part)
        else:
            kinds.append(None if annotation is types.NoneType else annotation)

    add(Policy.model_fields[name].annotation)
    return kinds


def _typed(kinds: list[Any], text: str) -> Any:
    """Read a value as one of these kinds; raise `ValueError` with what to write."""
    if None in kinds and text in ("null", "none"):
        return None
    if text in kinds or str in kinds:
        return text
    if bool in kinds and text in ("true", "false"):
        return text == "true"
    if int in kinds and _INTEGER.fullmatch(text):
        return int(text)
    if float in kinds and _NUMBER.fullmatch(text):
        return float(text)
    if _IDS in kinds:
        return tuple(text.split())
    forms = {bool: "true or false", int: "a whole number", float: "a number", None: "null"}
    raise ValueError(" or ".join(forms.get(kind, str(kind)) for kind in kinds))


# --- settings without effect ----------------------------------------------------------------------


def _regions(policy: Policy) -> bool:
    return policy.region


def _reasons(policy: Policy) -> bool:
    return policy.reasons


_IDLE: Mapping[str, tuple[Callable[[Policy], bool], str]] = {
    "relevance_threshold": (lambda p: p.relevance, "relevance is false"),
    "always_asked": (lambda p: p.relevance, "relevance is false"),
    "never_skipped": (lambda p: p.relevance, "relevance is false"),
    "region_under_none": (
        lambda p: p.region and p.tree,
        "only the region test over a tree knows exceptions (region and tree)",
    ),
    "region_margin": (_regions, "region is false"),
    "fill": (_regions, "region is false"),
    "crop_area": (lambda p: p.crop, "crop is false"),
    "minimum_confidence": (lambda p: p.locates, "crop and region are false"),
    "locate_first": (lambda p: p.locates, "crop and region are false"),
    "unreadable_reasoning": (_reasons, "open_means is not `reason`"),
    "max_reasoning_tokens": (_reasons, "open_means is not `reason`"),
    "reason_last": (
        lambda p: (p.reasons or p.locates) and not p.exhaustive,
        "there is one kind of question, or every question is asked (exhaustive)",
    ),
    "every_frame": (lambda p: p.max_frames is not None, "max_frames is null"),
    "frame_seed": (lambda p: p.max_frames is not None, "max_frames is null"),
}
"""Settings that need others: whether they have an effect, and why not."""


def _idle(policy: Policy, values: Mapping[str, _Value]) -> Iterator[tuple[str, str]]:
    """Yield the place of every setting that was written and has no effect, and why."""
    for name, (has_effect, why) in _IDLE.items():
        if name in values and not has_effect(policy):
            yield values[name].where, f"{quoted(name)} has no effect: {why}"
