"""Models that are opened when somebody first asks them, so that data is read before.

A mistake in a file of labels costs a second; opening a large model costs minutes. A suite reads and
checks what it judges, and only then touches `Run.models`.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from safejudge.engines.models import Models

if TYPE_CHECKING:
    from collections.abc import Callable


class LateModels(Models):
    """Takes what opens the models; is those models from the first use on."""

    __slots__ = ("_open",)
    _open: Callable[[], Models] | None

    def __init__(self, open_: Callable[[], Models]) -> None:
        # No field of `Models` is set: the first one asked for opens them (`__getattr__`).
        self._open = open_

    def __getattr__(self, name: str) -> Any:
        """Open the models for a field that is not there yet."""
        if name not in _FIELDS or self._open is None:
            raise AttributeError(name)
        opened, self._open = self._open(), None
        for field in _FIELDS:
            setattr(self, field, getattr(opened, field))
        return getattr(self, name)

    def close(self) -> None:
        """Close what was opened; models that nobody asked are not opened for it."""
        if self._open is None:
            super().close()


_FIELDS = frozenset(field.name for field in fields(Models))
