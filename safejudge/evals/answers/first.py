"""What a judge is asked before it judges: to describe the picture, to answer the question itself.

MLLM-as-a-Judge (arXiv 2402.04788) asks in six ways. A `Setting` is one of them; `Firsts` asks each
thing once for a picture, or for a picture and a question, and keeps what was said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from safejudge.evals.answers import prompts
from safejudge.evals.answers.prompts import ALONE, Before
from safejudge.evals.replies import refuses
from safejudge.text import storable
from safejudge.types import NoReply, Reasoning

if TYPE_CHECKING:
    from safejudge.engines.models import Models
    from safejudge.types import JSON, Picture

    Key = tuple[str, str, str]
    """What is asked, the picture's digest, and the question (of a description: empty)."""

SettingName = Literal["plain", "picture-first", "own-answer-first", "both-first", "description"]
First = Literal["description", "own answer"]
UNREAD = "nothing before"
"""Why a sample is unread whose description or own answer is none."""
_MAX_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Setting:
    """One way of asking: what is asked before, and whether the picture is shown after it."""

    name: SettingName
    firsts: tuple[First, ...] = ()
    sees: bool = True

    def named(self, protocol: str) -> str:
        """Name a protocol in this setting; the plain one keeps its name."""
        return protocol if self == PLAIN else f"{protocol} {self.name}"


PLAIN = Setting("plain")
SETTINGS: Mapping[SettingName, Setting] = {
    setting.name: setting
    for setting in (
        PLAIN,
        Setting("picture-first", ("description",)),
        Setting("own-answer-first", ("own answer",)),
        Setting("both-first", ("description", "own answer")),
        Setting("description", ("description",), sees=False),
    )
}
"""By name. Without any picture: `--variant blind`; reasons first or none: the readings."""


class Firsts:
    """What was said before, by what was asked; each is asked once."""

    def __init__(self, records: Iterable[JSON] = ()) -> None:
        """Begin with what the records of an earlier run say."""
        self._said: dict[Key, JSON] = {}
        for record in records:
            for first, entry in record.get("first", {}).items():
                if entry.get("text") and "why" not in entry:
                    question = record["about"]["question"]
                    self._said[_key(first, record["digests"][0], question)] = entry

    def ask(self, models: Models, wanted: Iterable[tuple[Setting, str, Picture]]) -> None:
        """Ask all that some questions need and that nobody was asked before, at once."""
        requests: dict[Key, Reasoning] = {}
        for setting, question, picture in wanted:
            for first in setting.firsts:
                key = _key(first, picture.digest, question)
                if key not in self._said:
                    requests[key] = _request(first, question, picture)
        if requests:
            replies = models.answer(list(requests.values()))
            self._said.update(zip(requests, map(_entry, replies), strict=True))

    def of(self, setting: Setting, question: str, picture: Picture) -> dict[First, JSON]:
        """What a setting needed for a question: `text`, and `why` it cannot be used."""
        return {
            first: self._said[_key(first, picture.digest, question)] for first in setting.firsts
        }

    def before(self, setting: Setting, question: str, picture: Picture) -> Before | None:
        """What the judge is shown of it; None where any of it is none."""
        said = self.of(setting, question, picture)
        if any("why" in entry for entry in said.values()):
            return None
        texts = {first: str(entry["text"]) for first, entry in said.items()}
        if not texts:
            return ALONE
        return Before(texts.get("description", ""), texts.get("own answer", ""), setting.sees)


def _key(first: str, digest: str, question: str) -> Key:
    return first, digest, question if first == "own answer" else ""


def _request(first: First, question: str, picture: Picture) -> Reasoning:
    prompt = prompts.describe() if first == "description" else prompts.answer_first(question)
    return prompt.written((picture,), _MAX_TOKENS)


def _entry(reply: object) -> JSON:
    """What was said, and why it cannot be used where it cannot."""
    text = storable(str(reply)).strip()
    if isinstance(reply, NoReply):
        return {"text": text, "why": "no reply", "note": storable(reply.problem)}
    if not text or refuses(text):
        return {"text": text, "why": "refused" if text else "no reply"}
    return {"text": text}
