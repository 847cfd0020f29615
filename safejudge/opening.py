"""What a judge is opened from: by names and data alone, so that another process can open the same.

Takes rules, URIs and a policy; gives a `Judge`, when it is wanted and where it is wanted.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from safejudge.engines.models import DEFAULT
from safejudge.engines.open import takes_option
from safejudge.judge import Judge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from safejudge.engines.priors import PriorCache
    from safejudge.images.hashes import HashList
    from safejudge.policy import Policy
    from safejudge.types import Constitution


@dataclass(frozen=True, slots=True)
class JudgeSpec:
    """What a judge is opened from; unlike a judge it can be pickled. See `Judge.load`."""

    constitution: Constitution
    """The rules."""
    engine: str
    """The engine's URI."""
    policy: str | Policy = "default"
    """One of `POLICIES`, the path of a policy file, or an object."""
    cache: PriorCache | Literal["default"] | None = "default"
    """Keeps the language priors on disk."""
    encoder: str | None = DEFAULT
    """The encoder's URI; None filters no rules."""
    detector: str | None = DEFAULT
    """The detector's URI; None looks at no regions."""
    engine_args: Mapping[str, Any] = field(default_factory=dict)
    """Options of the engine."""
    also: tuple[str, ...] = ()
    """URIs of engines whose answers count as much."""
    escalate_to: str | None = None
    """URI of the engine that is asked what those leave open."""
    skip: HashList | None = None
    """Hashes of pictures that no model may be shown."""

    def __setstate__(self, state: list[Any]) -> None:
        """Take up what was pickled before there could be several engines."""
        known = [*state, *(item.default for item in fields(self)[len(state) :])]
        for item, value in zip(fields(self), known, strict=True):
            object.__setattr__(self, item.name, value)

    def shares_models(self, other: JudgeSpec) -> bool:
        """Whether judges of both can share what is open: only rules, policy or list differ."""
        alike = replace(other, constitution=self.constitution, policy=self.policy, skip=self.skip)
        return alike == self

    def open(self) -> Judge:
        """Load the judge."""
        return Judge.load(
            self.constitution,
            self.engine,
            self.policy,
            self.cache,
            encoder=self.encoder,
            detector=self.detector,
            engine_args=self.engine_args,
            also=self.also,
            escalate_to=self.escalate_to,
            skip=self.skip,
        )

    def on(self, device: str) -> JudgeSpec:
        """Ask for a device, where the engine takes one and was not told yet."""
        if "device" in self.engine_args or not takes_option(self.engine, "device"):
            return self
        return replace(self, engine_args={**self.engine_args, "device": device})


Opening = JudgeSpec
"""Its name in rewards that version 0.1.0 pickled."""
