"""How many pictures of one thing engines can be shown in one question.

Takes engines and a number of pictures; refuses before anything is asked what one cannot be shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.errors import InputError
from safejudge.text import clean, counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safejudge.engines.base import Engine


def limit_of(engines: Iterable[Engine], count: int) -> tuple[Engine, int] | None:
    """Return an engine that cannot be shown so many pictures at a time, and how many it can be."""
    for engine in engines:
        most = engine.card.most_together
        if most is not None and count > most:
            return engine, most
    return None


def refuse_more(engines: Iterable[Engine], count: int, name: str, instead: str) -> None:
    """Raise `InputError` where so many pictures of `name` are too many; `instead` is what to do."""
    if (found := limit_of(engines, count)) is not None:
        engine, most = found
        raise InputError(
            f"{clean(name)} has {counted(count, 'picture')}, and {engine.card.uri} can be shown "
            f"{most} at a time; {instead}, or take another engine (of vllm: --engine-arg "
            f"limit_mm_per_prompt='{{\"image\": {count}}}')"
        )
