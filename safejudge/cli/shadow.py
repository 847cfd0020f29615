"""Another version of the rules, beside the one that answers: `--shadow other.yaml`.

    constitution: rules-new.yaml
    set: {reject_factor: 0.2}

The file says what is different: constitution, policy, settings or models, by the names of their
options. What it does not say is as on the command line.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from safejudge.cli import config
from safejudge.cli.values import assignment, setting
from safejudge.decide.replay import Replayed
from safejudge.decide.replay_changes import Changes, label_in_words
from safejudge.errors import InputError
from safejudge.text import clean, counted, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from safejudge.cli.options import JudgeOptions
    from safejudge.images.load import ImageSource
    from safejudge.images.pairs import Prompt
    from safejudge.journal.ledger import Ledger
    from safejudge.judge import Judge
    from safejudge.types import Result

KNOWN = ("constitution", "policy", "set", "engine", "engine-arg", "encoder", "detector")
"""What a shadow may have of its own."""
_SHOWN = 20
"""Images that are named."""


def options_of(file: Path, judge: JudgeOptions) -> JudgeOptions:
    """Return what a shadow is opened by. Raises `InputError` for what the file says wrong."""
    changed: dict[str, Any] = {}
    for key, value, where in config.entries(file, KNOWN):
        values = config.texts(key, value, where)
        try:
            if key == "set":
                changed["settings"] = (*judge.settings, *map(assignment, values))
            elif key == "engine-arg":
                changed["engine_args"] = tuple(map(setting, values))
            elif len(values) != 1:
                raise InputError(f"{where}: {quoted(key)} is one value")
            else:
                changed["base" if key == "policy" else key] = values[0]
        except argparse.ArgumentTypeError as error:
            raise InputError(f"{where}: {error}") from error
    if "engine" in changed and "engine_args" not in changed:
        changed["engine_args"] = ()  # those of another engine
    if not changed:
        raise InputError(f"{file}: says nothing that is different; name some of {', '.join(KNOWN)}")
    return replace(judge, **changed)


def name_of(file: Path) -> str:
    """Name a shadow after its file."""
    return file.stem[:64]


class Comparison:
    """What another judge says of the same images, and what would change."""

    def __init__(self, name: str, judge: Judge) -> None:
        self.name = name
        self.judge = judge
        """The judge that answers nobody."""
        self._changes = Changes()
        self._named: list[str] = []

    def results(
        self, images: Iterable[ImageSource], prompts: list[Prompt | None], window: int
    ) -> Iterator[Result]:
        """Judge the same images, in order."""
        return self.judge.stream(images, prompts, window=window)

    def add(self, path: str, before: Result, after: Result) -> None:
        """Count one image."""
        if self._changes.add(before, Replayed(after)) and len(self._named) < _SHOWN:
            self._named.append(f"{path}: {label_in_words(before)} -> {label_in_words(after)}")

    def keep(self, ledger: Ledger, caption: str | None, before: Result, after: Result) -> None:
        """Keep what it says of an image, and ask people where that is another thing."""
        from safejudge.journal.queue import differences

        needs = tuple(differences(before, after))
        ledger.keep_shadow(self.judge, self.name, None, caption, after, needs)

    def say(self) -> None:
        """Say what would change, by rule, and of which images."""
        from rich.console import Console

        from safejudge.show.tables import print_tables
        from safejudge.show.terminal import say

        table = self._changes.table()
        say(f"shadow {self.name}: {'; '.join(self._changes.lines())}")
        # Standard output is for records.
        print_tables(Console(stderr=True), [table] if table.rows else [])
        for line in self._named:
            say(clean(line))
        more = self._changes.changed - len(self._named)
        if more > 0:
            say(f"and {counted(more, 'image')} more")
