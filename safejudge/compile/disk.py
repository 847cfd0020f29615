"""The lock on disk, which people may edit while a run goes on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.constitution import lock as lock_file
from safejudge.constitution import strict_yaml
from safejudge.constitution.lint.fidelity import covers
from safejudge.constitution.load import lock_path, read_draft, read_lock
from safejudge.constitution.lock import Lock, LockedRule, dump_lock, parse_lock
from safejudge.errors import OutputError

if TYPE_CHECKING:
    from safejudge.types import Draft, DraftRule


class LockFile:
    """A lock on disk that people may edit while a run goes on."""

    def __init__(self, place: Path, draft: Draft, entries: dict[str, LockedRule]) -> None:
        self.draft = draft
        self.entries = dict(entries)
        """By rule; what the next `write` puts there."""
        self._place = place
        self._known = dict(entries)
        """As they were read or written last: what differs on disk is a person's."""
        self._written: bytes | None = None
        """The file as this run left it; while it is that, nobody was there."""
        for rule in draft.rules:
            self._take_up(rule)

    def fresh(self, rule: DraftRule) -> bool:
        """Whether there is an entry that was compiled from the rule as it stands."""
        entry = self.entries.get(rule.id)
        return entry is not None and entry.source == rule.source()

    def write(self) -> None:
        """Replace the file, whole or not at all, by one that has been read back.

        What a person changed since the last look is kept. An entry whose rule is gone, or has a
        condition of its own now, stays only if a person edited it. Raises `OutputError`.
        """
        self._merge()
        wanted = [rule.id for rule in self.draft.rules if rule.condition is None]
        wanted = [name for name in wanted if name in self.entries]
        wanted += [n for n, entry in self.entries.items() if n not in wanted and entry.edited]
        self._known = {name: self.entries[name] for name in wanted}
        if not wanted and not self._place.exists():
            return
        lock = Lock(constitution=self.draft.name, rules=tuple(self._known.values()))
        text = dump_lock(lock)
        if parse_lock(str(self._place), text.encode()) != lock:
            raise OutputError(f"{self._place}: would not read back equal; nothing was written")
        if not self._says(text):
            self._replace(text)
            self._written = text.encode()

    def _take_up(self, rule: DraftRule) -> None:
        """Bring an entry up to date: with its rule's new id, and what an edit has left behind."""
        ids = {other.id for other in self.draft.rules}
        if rule.condition is None and rule.id not in self.entries:
            for name, entry in list(self.entries.items()):
                if name not in ids and entry.source == rule.source():
                    self.entries[rule.id] = entry.model_copy(update={"id": rule.id})
                    del self.entries[name]
                    break
        if self.fresh(rule):
            entry = self.entries[rule.id]
            told = tuple(covers(entry.objective, entry.condition))
            self.entries[rule.id] = entry.model_copy(update={"text": rule.text, "covers": told})

    def _merge(self) -> None:
        if self._is_ours():
            return
        lock = read_lock(self._place)
        there = {entry.id: entry for entry in (lock.rules if lock else ())}
        for name in {*there, *self._known}:
            if there.get(name) == self._known.get(name):
                continue
            if name in there:
                self.entries[name] = there[name]
            elif self.entries.get(name) == self._known.get(name):
                self.entries.pop(name, None)

    def _is_ours(self) -> bool:
        if self._written is None or not self._place.is_file():
            return False
        return self._place.read_bytes() == self._written

    def _says(self, text: str) -> bool:
        """Whether the file says the same already, comments aside."""
        if not self._place.is_file():
            return False
        there = self._place.read_bytes()
        if self._written is not None or there == text.encode():
            return there == text.encode()
        limits = lock_file.MAX_BYTES, lock_file.MAX_NODES
        found, wanted = (strict_yaml.read(raw, *limits).data for raw in (there, text.encode()))
        return bool(found == wanted)

    def _replace(self, text: str) -> None:
        beside = self._place.with_name(f".{self._place.name}.{os.getpid()}")
        try:
            beside.write_text(text, encoding="utf-8", newline="\n")
            if self._place.exists():
                shutil.copymode(self._place, beside)
            beside.replace(self._place)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise OutputError(f"{self._place}: cannot be written ({error.strerror})") from error


def open_lock(
    source: str | os.PathLike[str], out: str | os.PathLike[str] | None = None
) -> LockFile:
    """Read a constitution and its lock, and see that the lock can be written.

    Raises `ConstitutionError`, and `OutputError` for a place that is no file of this constitution.
    """
    draft = read_draft(source)
    named = lock_path(source) if out is None else Path(out)
    place = named.resolve()  # a link stays a link
    folder = place.parent
    if not os.fspath(named) or place.is_dir() or (place.exists() and not place.is_file()):
        raise OutputError(f"{named or '(nothing)'}: is no regular file; name one for the lock")
    if not folder.is_dir():
        raise OutputError(f"{named}: there is no folder {folder}; make it first")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{named}: you may not write to {folder}; name another place with --out")
    lock = read_lock(place)
    if lock is not None and lock.constitution != draft.name:
        raise OutputError(
            f"{named}: is the lock of {lock.constitution!r}, and this constitution's name is "
            f"{draft.name!r}; name another file, or put the new name into the lock"
        )
    return LockFile(place, draft, {entry.id: entry for entry in (lock.rules if lock else ())})
