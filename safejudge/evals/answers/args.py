"""What `--suite-arg` may say of a live run on answers, and the protocols that come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from safejudge.errors import InputError
from safejudge.evals.answers.first import (
    SETTINGS,
    SettingName,
)
from safejudge.evals.answers.votes import Votes, voted
from safejudge.evals.suite import check_args, options_of

if TYPE_CHECKING:
    from safejudge.evals.answers.protocols import Protocol
    from safejudge.evals.prompts import Reading

AnswerReading = Literal["written", "weighted", "voted"]
VOTES = 15
"""Samples of a vote, as one entry of Multimodal RewardBench's leaderboard has it."""


@dataclass(frozen=True, slots=True)
class Args:
    """What `--suite-arg` may say."""

    readings: tuple[AnswerReading, ...] = ("written", "weighted")
    """By what the judge writes, by the probabilities of the labels, by a vote of what it writes."""
    settings: tuple[SettingName, ...] = ("plain",)
    """What the judge is asked before, in each of which every reading is taken."""
    votes: Annotated[int, Field(ge=2, le=1000)] | None = None
    """Samples of a vote; naming it takes the reading `voted`. None: 15, where that is taken."""
    temperature: Annotated[float, Field(gt=0, le=2)] = 1.0
    """At which they are drawn."""

    @property
    def vote(self) -> Votes:
        """How often a reading `voted` asks, and how hot."""
        return Votes(self.votes or VOTES, self.temperature)

    def protocols(self, make: Callable[[Reading], Protocol]) -> list[Protocol]:
        """One of each reading in each setting; `make` makes the two that ask once."""
        plain = [
            voted(make("written"), self.vote) if reading == "voted" else make(reading)
            for reading in self.readings
        ]
        return [one.within(SETTINGS[name]) for name in self.settings for one in plain]


def arguments(options: Mapping[str, Any]) -> Args:
    """The options of a run. Raises `InputError`."""
    lists = ["readings", "settings"]
    check_args(options, [*lists, "votes", "temperature"], "a live run of this suite")
    values = {
        name: value.split(",") if isinstance(value, str) and name in lists else value
        for name, value in options.items()
    }
    args = options_of(Args, values)
    if not args.readings:
        raise InputError("--suite-arg readings=: name written, weighted or voted")
    if not args.settings:
        raise InputError(f"--suite-arg settings=: name {', '.join(SETTINGS)}")
    readings = args.readings if args.votes is None else (*args.readings, "voted")
    if "temperature" in options and "voted" not in readings:
        raise InputError("--suite-arg temperature: is that of votes; add votes=N, or leave it out")
    distinct = tuple(dict.fromkeys(readings))
    return replace(args, readings=distinct, settings=tuple(dict.fromkeys(args.settings)))
