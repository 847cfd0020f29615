"""What every type rests on: records, three values, severities, JSON."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Record(BaseModel):
    """Base of every type that is written to a file or sent over a wire."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SparseRecord(Record):
    """A record some of whose fields came later; they are written only where they hold something.

    So files that do not need them are, byte for byte, what they were before.
    """

    SPARSE: ClassVar[frozenset[str]] = frozenset()
    """Fields that are left out while they are None, empty or 0."""

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = write(self)
        for name in self.SPARSE:
            if name in fields and getattr(self, name) in (None, (), {}, 0):
                del fields[name]
        return fields


class Outcome(StrEnum):
    """A three-valued answer; also Kleene's truth values, in the order no < undecided < yes."""

    YES = "yes"
    NO = "no"
    UNDECIDED = "undecided"


class Severity(StrEnum):
    """How bad a violation is, in the constitution's own judgement."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


JSON = dict[str, Any]
"""A decoded JSON object."""
