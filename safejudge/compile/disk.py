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
from safejudge.files.atomic import replacing, writing

if TYPE_CHECKING:
    from safejudge.types import Draft, DraftRule


class LockFile:
    """A lock on disk that people may edit while a run goes on."""

    def __init__(self, path: Path, draft: Draft, entries: dict[str, LockedRule]) -> None:
        self.draft = draft
        self.entries = dict(entries)
        """By rule; what the next `write` puts there."""
        self._path = path
        self._last_seen = dict(entries)
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
        ids = [rule.id for rule in self.draft.rules if rule.condition is None]
        ids = [name for name in ids if name in self.entries]
        ids += [n for n, entry in self.entries.items() if n not in ids and entry.edited]
        self._last_seen = {name: self.entries[name] for name in ids}
        if not ids and not self._path.exists():
            return
        lock = Lock(constitution=self.draft.name, rules=tuple(self._last_seen.values()))
        text = dump_lock(lock)
        if parse_lock(str(self._path), text.encode()) != lock:
            raise OutputError(f"{self._path}: would not read back equal; nothing was written")
        if not self._says(text):
            self._replace(text)
            self._written = text.encode()

    def _take_up(self, rule: DraftRule) -> None:
        """Bring an entry up to date: with its rule's new id, and what an edit has left behind."""
        ids = {listed.id for listed in self.draft.rules}
        if rule.condition is None and rule.id not in self.entries:
            for name, entry in list(self.entries.items()):
                if name not in ids and entry.source == rule.source():
                    self.entries[rule.id] = entry.model_copy(update={"id": rule.id})
                    del self.entries[name]
                    break
        if self.fresh(rule):
            entry = self.entries[rule.id]
            covered = tuple(covers(entry.objective, entry.condition))
            self.entries[rule.id] = entry.model_copy(update={"text": rule.text, "covers": covered})

    def _merge(self) -> None:
        if self._is_ours():
            return
        lock = read_lock(self._path)
        on_disk = {entry.id: entry for entry in (lock.rules if lock else ())}
        for name in {*on_disk, *self._last_seen}:
            if on_disk.get(name) == self._last_seen.get(name):
                continue
            if name in on_disk:
                self.entries[name] = on_disk[name]
            elif self.entries.get(name) == self._last_seen.get(name):
                self.entries.pop(name, None)

    def _is_ours(self) -> bool:
        if self._written is None or not self._path.is_file():
            return False
        return self._path.read_bytes() == self._written

    def _says(self, text: str) -> bool:
        """Whether the file says the same already, comments aside."""
        if not self._path.is_file():
            return False
        raw = self._path.read_bytes()
        if self._written is not None or raw == text.encode():
            return raw == text.encode()
        limits = lock_file.MAX_BYTES, lock_file.MAX_NODES
        old, new = (strict_yaml.read(raw, *limits).data for raw in (raw, text.encode()))
        return bool(old == new)

    def _replace(self, text: str) -> None:
        with writing(self._path), replacing(self._path) as new:
            new.write_text(text, encoding="utf-8", newline="\n")
            if self._path.exists():
                shutil.copymode(self._path, new)


def open_lock(
    source: str | os.PathLike[str], out: str | os.PathLike[str] | None = None
) -> LockFile:
    """Read a constitution and its lock, and see that the lock can be written.

    Raises `ConstitutionError`, and `OutputError` for a place that is no file of this constitution.
    """
    draft = read_draft(source)
    path = lock_path(source) if out is None else Path(out)
    target = path.resolve()  # a link stays a link
    folder = target.parent
    if not os.fspath(path) or target.is_dir() or (target.exists() and not target.is_file()):
        raise OutputError(f"{path or '(nothing)'}: is no regular file; name one for the lock")
    if not folder.is_dir():
        raise OutputError(f"{path}: there is no folder {folder}; make it first")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{path}: you may not write to {folder}; name another place with --out")
    lock = read_lock(target)
    if lock is not None and lock.constitution != draft.name:
        raise OutputError(
            f"{path}: is the lock of {lock.constitution!r}, and this constitution's name is "
            f"{draft.name!r}; name another file, or put the new name into the lock"
        )
    return LockFile(target, draft, {entry.id: entry for entry in (lock.rules if lock else ())})
