"""Answers about golden images, kept on disk, so that an unchanged statement costs nothing.

The key of an answer is the revision of the model, the whole question and the pixels shown; so an
edited statement, another model and a changed picture are asked about, and nothing else is.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.engines.cached import CachedEngine
from safejudge.engines.priors import PriorCache
from safejudge.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safejudge.engines.base import Engine

MOST = 100_000
"""Answers in the file, about 25 MB; those that came first make room."""


def default_path() -> Path:
    """Return where answers are kept: beside the language priors."""
    return PriorCache.default_path().with_name("golden.sqlite3")


@contextmanager
def kept(engine: Engine) -> Iterator[tuple[CachedEngine, str]]:
    """Let an engine remember its answers; beside it stands why it will forget them, or "".

    An engine that tells no revision (a server, a script) may be another one tomorrow: it remembers
    until the context ends. So does one whose file cannot be used.
    """
    with tempfile.TemporaryDirectory() as folder:
        passing = Path(folder) / "answers.sqlite3"
        if not engine.card.revision:
            why = f"{engine.card.uri} does not tell which weights it has"
            yield CachedEngine(engine, passing, MOST), why
            return
        why = ""
        try:
            cached = CachedEngine(engine, default_path(), MOST)
        except OutputError as error:
            why = str(error)
            cached = CachedEngine(engine, passing, MOST)
        yield cached, why
