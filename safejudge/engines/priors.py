"""Answers to questions without an image, kept on disk.

The language prior of a statement is the same for every picture, so it is asked once per model.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import warnings
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.errors import EngineCallError
from safejudge.types import AnswerProbs, Probe, are_probabilities

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from safejudge.engines.base import Engine


_PAGE = 500  # keys per SELECT; SQLite allows 999 variables in its older versions


class PriorCache:
    """Answers to questions without an image, in one SQLite file.

    Safe to share between threads and processes: every access opens its own connection. A file
    that cannot be used is a warning, and the run goes on without it; priors are then asked anew.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._usable = True

    @staticmethod
    def default_path() -> Path:
        """$SAFEJUDGE_CACHE, else $XDG_CACHE_HOME/safejudge, else ~/.cache/safejudge."""
        if folder := os.environ.get("SAFEJUDGE_CACHE"):
            return Path(folder) / "priors.sqlite3"
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - works without a home
        return Path(base) / "safejudge" / "priors.sqlite3"

    def get(self, revision: str, probes: Sequence[Probe]) -> dict[Probe, AnswerProbs]:
        """Return the answers that are known for this model revision."""
        keys = {_key(revision, probe): probe for probe in probes}
        try:
            rows = self._rows(list(keys)) if keys and self._usable else []
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)
            return {}
        found = {}
        for key, value in rows:
            answer = _decoded(value, keys[key])
            if answer is not None:
                found[keys[key]] = answer
        return found

    def put(self, revision: str, answers: Mapping[Probe, AnswerProbs]) -> None:
        """Remember answers; those with a problem are left out."""
        rows = [
            (_key(revision, probe), _encoded(answer))
            for probe, answer in answers.items()
            if answer.problem is None and are_probabilities(answer.p_labels)
        ]
        if not rows or not self._usable:
            return
        try:
            with closing(self._open()) as db, db:
                db.executemany("INSERT OR REPLACE INTO priors (key, value) VALUES (?, ?)", rows)
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self.path, timeout=30.0)
        try:
            db.execute("CREATE TABLE IF NOT EXISTS priors (key TEXT PRIMARY KEY, value TEXT)")
        except BaseException:
            db.close()
            raise
        return db

    def _rows(self, keys: list[str]) -> list[tuple[str, str]]:
        rows: list[tuple[str, str]] = []
        with closing(self._open()) as db:
            for start in range(0, len(keys), _PAGE):
                page = keys[start : start + _PAGE]
                marks = ",".join("?" * len(page))
                select = f"SELECT key, value FROM priors WHERE key IN ({marks})"  # noqa: S608 - only marks
                rows += db.execute(select, page).fetchall()
        return rows

    def _give_up(self, error: Exception) -> None:
        self._usable = False
        warnings.warn(
            f"the cache {self.path} cannot be used ({error}); language priors are asked anew. "
            "Delete the file, or set SAFEJUDGE_CACHE to a folder you can write to",
            RuntimeWarning,
            stacklevel=2,
        )


def _key(revision: str, probe: Probe) -> str:
    parts = [revision, probe.instruction, probe.question, *probe.labels]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _encoded(answer: AnswerProbs) -> str:
    return json.dumps({"p": answer.p_labels, "top": answer.top, "exact": answer.exact})


def _decoded(value: object, probe: Probe) -> AnswerProbs | None:
    """Read one row back; None for a row that something else wrote or damaged."""
    try:
        row = json.loads(value) if isinstance(value, str) else {}
        numbers = tuple(float(p) for p in row["p"])
        answer = AnswerProbs(numbers, str(row["top"]), exact=row["exact"] is True)
    except (ValueError, TypeError, KeyError):
        return None
    return answer if len(numbers) == len(probe.labels) and are_probabilities(numbers) else None


def answer_probes(
    engine: Engine, cache: PriorCache | None, probes: Sequence[Probe]
) -> list[AnswerProbs]:
    """Answer probes in order; those without an image from the cache where it knows them.

    An engine without a revision (a scripted one) has no key to be remembered by, and is not.
    Raises `EngineCallError` when the engine fails or returns another number of answers.
    """
    revision = engine.card.revision
    cache = cache if revision else None
    priors = [probe for probe in probes if not probe.images]
    known = {} if cache is None else cache.get(revision, priors)
    missing = [probe for probe in dict.fromkeys(probes) if probe not in known]
    answers = engine.answer_probs(missing) if missing else []
    if len(answers) != len(missing):
        raise EngineCallError(
            f"{engine.card.uri} returned {len(answers)} answers to {len(missing)} probes; "
            "an engine must answer each probe once, in order"
        )
    fresh = dict(zip(missing, answers, strict=True))
    if cache is not None:
        cache.put(revision, {p: a for p, a in fresh.items() if not p.images})
    return [known[probe] if probe in known else fresh[probe] for probe in probes]
