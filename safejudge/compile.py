"""The compiler: what people write -> what a model can check, in a lock that people review.

Takes a constitution file and an engine that reads text; rules without a condition of their own
are compiled (`compile_rule`), and the lock beside the file is written, a few rules at a time, so
that a run that was killed goes on where it was. Entries that are up to date are left alone, and
so is what a person changed in them. At temperature 0 the same model gives the same bytes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from safejudge import compile_prompts
from safejudge.compile_rule import rule_flow
from safejudge.constitution import lock_path, read_draft, read_lock
from safejudge.errors import EngineCallError, OutputError
from safejudge.fidelity import covers
from safejudge.flow import drive, gather
from safejudge.lock_file import Compiler, Lock, LockedRule, dump_lock, fingerprint, parse_lock
from safejudge.types import AllOf, AnyOf, Condition, NoneOf, Precondition, Reasoning, leaves

if TYPE_CHECKING:
    from safejudge.engines.base import Engine
    from safejudge.flow import Answer, Request
    from safejudge.types import Draft, DraftRule

ROUNDS = 4
"""Rewritings of a wording, and repairs of a tree, unless the caller says otherwise."""
WINDOW = 8
"""Rules compiled together; the lock is written after each window."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """What became of one rule without a condition."""

    id: str
    """The rule."""
    state: Literal["kept", "compiled", "failed"]
    """`kept`: its entry was up to date; `failed`: there is no new entry."""
    entry: LockedRule | None
    """Its entry in the lock."""
    problem: str | None = None
    """Why it failed."""

    @property
    def clean(self) -> bool:
        """Whether nothing is left for a person to look at."""
        return self.state != "failed" and self.entry is not None and not self.entry.review


def compile_constitution(
    source: str | os.PathLike[str],
    engine: Engine,
    *,
    out: str | os.PathLike[str] | None = None,
    rounds: int = ROUNDS,
    done: Callable[[Sequence[Compiled]], None] = lambda _: None,
) -> list[Compiled]:
    """Compile the rules of a file that have no condition, and write the lock.

    `out` is where the lock goes (default: beside the file), `rounds` the most rewritings of a
    wording and repairs of a tree; `done` is told of every few rules. Returns one result per rule
    without a condition, in the file's order. Raises `ConstitutionError`, `OutputError`, and
    `EngineCallError` where the engine fails: what was compiled by then is in the lock.
    """
    draft = read_draft(source)
    place = lock_path(source) if out is None else Path(out)
    if not place.absolute().parent.is_dir():
        raise OutputError(f"{place}: there is no folder {place.absolute().parent}; make it first")
    lock = read_lock(place)
    entries = {} if lock is None else {entry.id: entry for entry in lock.rules}
    todo = [rule for rule in draft.rules if rule.condition is None]
    stale = [rule for rule in todo if not _fresh(rule, entries.get(rule.id))]
    kept = [Compiled(rule.id, "kept", entries[rule.id]) for rule in todo if rule not in stale]
    done(kept)
    results = {result.id: result for result in kept}
    compiler = _compiler(engine)
    for start in range(0, len(stale), WINDOW):
        found = _compiled(stale[start : start + WINDOW], engine, rounds, compiler)
        news = [_result(rule, one, entries.get(rule.id)) for rule, one in found]
        entries |= {new.id: new.entry for new in news if new.entry is not None}
        _write(place, draft, entries)
        results |= {new.id: new for new in news}
        done(news)
    if todo and entries:
        entries = _unified(draft, entries)
        _write(place, draft, entries)
    return [
        Compiled(r.id, results[r.id].state, entries.get(r.id), results[r.id].problem) for r in todo
    ]


def _fresh(rule: DraftRule, entry: LockedRule | None) -> bool:
    return entry is not None and entry.source == rule.source()


def _compiler(engine: Engine) -> Compiler:
    card = engine.card
    return Compiler(
        model=card.uri,
        revision=card.revision or None,
        prompts=compile_prompts.digest(),
        safejudge=metadata.version("safejudge"),
    )


def _compiled(
    rules: Sequence[DraftRule], engine: Engine, rounds: int, compiler: Compiler
) -> Iterator[tuple[DraftRule, LockedRule | str]]:
    """Compile several rules side by side."""

    def answer(requests: Sequence[Request]) -> Sequence[Answer]:
        texts = [request for request in requests if isinstance(request, Reasoning)]
        replies = engine.reason(texts)
        if len(replies) != len(requests):
            raise EngineCallError(
                f"{engine.card.uri} gave {len(replies)} replies to {len(requests)} requests"
            )
        return replies

    flows = [rule_flow(rule, rounds, compiler) for rule in rules]
    return zip(rules, drive(gather(flows), answer), strict=True)


def _result(rule: DraftRule, found: LockedRule | str, old: LockedRule | None) -> Compiled:
    if isinstance(found, str):
        return Compiled(rule.id, "failed", old, found)
    if old is not None and old.edited:
        remark = "a person had changed the entry of an earlier text; `superseded` has that wording"
        changed = {"superseded": old.objective, "review": (*found.review, remark)}
        found = found.model_copy(update=changed)
    return Compiled(rule.id, "compiled", found)


# --- equal statements -----------------------------------------------------------------------------


def _unified(draft: Draft, entries: dict[str, LockedRule]) -> dict[str, LockedRule]:
    """Give statements that differ in articles or in how they say "visible" one wording.

    Then they are one question. The wording is that of a person where there is one, else the first.
    """
    rules = [rule.condition for rule in draft.rules if rule.condition is not None]
    listed = [entries[rule.id] for rule in draft.rules if rule.id in entries]
    people = [*rules, *(entry.condition for entry in listed if entry.edited)]
    others = [entry.condition for entry in listed if not entry.edited]
    first: dict[str, Precondition] = {}
    for leaf in (leaf for condition in (*people, *others) for leaf in leaves(condition)):
        first.setdefault(_wording(leaf.statement), leaf)
    unified = dict(entries)
    for entry in listed:
        condition = _replaced(entry.condition, first)
        if not entry.edited and condition != entry.condition:
            changed = {
                "condition": condition,
                "covers": tuple(covers(entry.objective, condition)),
                "written": fingerprint(entry.objective, condition),
            }
            unified[entry.id] = entry.model_copy(update=changed)
    return unified


def _wording(statement: str) -> str:
    text = _SEEN.sub(r"\1 visible", statement.casefold())
    return " ".join(word for word in re.findall(r"[\w'-]+", text) if word not in _ARTICLES)


_ARTICLES = frozenset(("a", "an", "the"))
_SEEN = re.compile(
    r"\b(is|are) (?:seen|shown|present|depicted|to be seen|in the (?:picture|image|photo))\b"
)


def _replaced(condition: Condition, first: dict[str, Precondition]) -> Condition:
    match condition:
        case Precondition(statement=statement):
            return first[_wording(statement)]
        case AllOf(all=parts):
            return AllOf(all=tuple(_replaced(part, first) for part in parts))
        case AnyOf(any=parts):
            return AnyOf(any=tuple(_replaced(part, first) for part in parts))
        case NoneOf(none=parts):
            return NoneOf(none=tuple(_replaced(part, first) for part in parts))


# --- the file -------------------------------------------------------------------------------------


def _write(place: Path, draft: Draft, entries: dict[str, LockedRule]) -> None:
    """Replace the lock, whole or not at all, by one that has been read back."""
    wanted = [rule.id for rule in draft.rules if rule.condition is None and rule.id in entries]
    if not wanted and not place.exists():
        return
    lock = Lock(constitution=draft.name, rules=tuple(entries[name] for name in wanted))
    text = dump_lock(lock)
    again = parse_lock(str(place), text.encode())
    if again != lock:
        raise OutputError(f"{place}: the lock would not read back equal; nothing was written")
    if place.is_file() and place.read_bytes() == text.encode():
        return
    beside = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8", newline="\n")
        beside.replace(place)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OutputError(f"{place}: cannot be written ({error.strerror})") from error
