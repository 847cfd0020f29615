"""Answers to questions without an image, kept on disk.

The language prior of a statement is the same for every picture, so it is asked once per model. With
a caption it is one per caption, so the file is bounded: what came first makes room.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.engines.store import StoreError, TextStore
from safejudge.errors import EngineCallError
from safejudge.types import AnswerProbs, Probe, are_probabilities

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from safejudge.engines.base import Engine


_MOST = 100_000
"""Answers in the file, about 25 MB; rules without captions take a few dozen for each model."""


class PriorCache:
    """Answers to questions without an image, in one SQLite file of at most 100,000.

    Safe to share between threads and processes. A file that cannot be used is a warning, and the
    run goes on without it; priors are then asked anew.
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
            texts = self._store().get(list(keys)) if keys and self._usable else {}
        except StoreError as error:
            self._give_up(error)
            return {}
        answers = {keys[key]: _decoded(text, keys[key]) for key, text in texts.items()}
        return {probe: answer for probe, answer in answers.items() if answer is not None}

    def put(self, revision: str, answers: Mapping[Probe, AnswerProbs]) -> None:
        """Remember answers; those with a problem are left out."""
        texts = {
            _key(revision, probe): _encoded(answer)
            for probe, answer in answers.items()
            if answer.problem is None and are_probabilities(answer.p_labels)
        }
        if not texts or not self._usable:
            return
        try:
            self._store().put(texts)
        except StoreError as error:
            self._give_up(error)

    def _store(self) -> TextStore:
        return TextStore(self.path, "priors", _MOST)

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


def _decoded(text: str, probe: Probe) -> AnswerProbs | None:
    """Read one answer back; None for a text that something else wrote or damaged."""
    try:
        fields = json.loads(text)
        numbers = tuple(float(p) for p in fields["p"])
        answer = AnswerProbs(numbers, str(fields["top"]), exact=fields["exact"] is True)
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
    cached = {} if cache is None else cache.get(revision, priors)
    missing = [probe for probe in dict.fromkeys(probes) if probe not in cached]
    answers = engine.answer_probs(missing) if missing else []
    if len(answers) != len(missing):
        raise EngineCallError(
            f"{engine.card.uri} returned {len(answers)} answers to {len(missing)} probes; "
            "an engine must answer each probe once, in order"
        )
    fresh = dict(zip(missing, answers, strict=True))
    if cache is not None:
        cache.put(revision, {p: a for p, a in fresh.items() if not p.images})
    return [cached[probe] if probe in cached else fresh[probe] for probe in probes]
