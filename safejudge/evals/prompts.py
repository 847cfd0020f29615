"""What suites put to a model, whatever they ask: a prompt, and the requests that it makes. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from safejudge.types import Message, Probe, Reasoning

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safejudge.types import Picture

Reading = Literal["written", "weighted"]
"""By what the judge writes, or by the probabilities of the labels."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one question says before and after its pictures."""

    instruction: str
    question: str

    def probe(self, pictures: tuple[Picture, ...], labels: tuple[str, ...]) -> Probe:
        """Ask for the probabilities of the labels."""
        return Probe(self.instruction, pictures, self.question, labels)

    def written(self, pictures: tuple[Picture, ...], max_tokens: int) -> Reasoning:
        """Ask for a reply in words, cut after so many tokens."""
        turn = (Message("user", self.question),)
        return Reasoning(self.instruction, pictures, turn, max_tokens=max_tokens)


def digest(prompts: Iterable[Prompt], *texts: str) -> str:
    """Sha256 (hex) over some texts and every text of the prompts."""
    words = [text for prompt in prompts for text in (prompt.instruction, prompt.question)]
    return hashlib.sha256("\x00".join([*texts, *words]).encode()).hexdigest()
