"""What every type rests on: records, three values, severities, JSON."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Base of every type that is written to a file or sent over a wire."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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
