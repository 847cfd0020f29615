"""How one server is asked: the bodies of its requests, and how their replies are read.

Found out at the start by `handshake`, and used for every request after. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safejudge.engines.server import topk
from safejudge.engines.trivial import ASK, QUESTIONS
from safejudge.types import YES_NO

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

    from safejudge.engines.server.topk import Reading
    from safejudge.types import JSON, AnswerProbs, Sampling

PINNED: JSON = {
    "temperature": 0,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "n": 1,
    "stream": False,
}
"""A server's own defaults (generation_config.json) must not move a number."""
EXTRAS: JSON = {
    "repetition_penalty": 1.0,
    "chat_template_kwargs": {"enable_thinking": False, "thinking": False},
}
"""The same for what not every server knows; left out where it is refused."""
CONTINUED: JSON = {"add_generation_prompt": False, "continue_final_message": True}
"""The reply goes on with the last message, which is the assistant's (vLLM, SGLang)."""
LENGTH, NEW_LENGTH = "max_tokens", "max_completion_tokens"
"""What the length of a reply is called, and what newer models of OpenAI's call it."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """How this server is asked."""

    fields: JSON
    """What goes into every request: model, pinned settings, extras."""
    top: int
    """How many likeliest tokens to ask for; 0 where it gives exactly the tokens asked for."""
    length: str = LENGTH
    """What the field is called that bounds the length of a reply."""
    regex: Callable[[type[BaseModel]], str] | None = None
    """The regular expression by which a reply's form is given (vLLM), which leaves no room for
    white space between its parts; None: a JSON schema (everybody)."""

    def read_body(self, messages: list[JSON], reading: Reading) -> JSON:
        """A request for one token and the log-probabilities of the labels."""
        body = self.fields | {"messages": messages, self.length: 1, "logprobs": True}
        if self.top:
            return body | {"top_logprobs": self.top}
        return body | {
            "logprob_token_ids": reading.token_ids(),
            "return_tokens_as_token_ids": True,
        }

    def write_body(
        self,
        messages: list[JSON],
        schema: type[BaseModel] | None,
        max_tokens: int,
        sampling: Sampling | None = None,
    ) -> JSON:
        """A request for a reply, free or under a schema; greedy, or drawn by its seed."""
        body = self.fields | {"messages": messages, self.length: max_tokens}
        if sampling is not None:
            body |= {"temperature": sampling.temperature, "seed": sampling.seed}
        if schema is None:
            return body
        if self.regex is not None:
            return body | {"structured_outputs": {"regex": self.regex(schema)}}
        return body | {"response_format": _format(schema.model_json_schema())}

    def read(self, reply: JSON, reading: Reading) -> AnswerProbs:
        """Read the labels from a reply to `read_body`. Raises `UnreadableError`."""
        return topk.read_listed(reply, reading) if self.top else topk.read_exact(reply, reading)


@dataclass(frozen=True, slots=True)
class Asking:
    """How the trivial questions are put, and which words are read for yes and no."""

    messages: tuple[list[JSON], ...]
    """One conversation for each question."""
    words: tuple[str, str] = YES_NO
    """The model's words for yes and no."""
    fields: JSON = field(default_factory=dict)
    """What every request has beside the usual fields."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What the first questions proved."""

    abilities: Abilities
    """How to ask."""
    reading: Reading
    """How yes and no are read."""
    spellings: tuple[tuple[str, ...], ...]
    """Spellings of yes, and of no, that are known to be tokens."""


def question(text: str) -> list[JSON]:
    """Ask something without a picture."""
    parts = [{"type": "text", "text": words} for words in (ASK, text)]
    return [{"role": "user", "content": parts}]


PLAIN = Asking(tuple(question(text) for text in QUESTIONS))
"""How any other model is asked."""


def _format(schema: JSON) -> JSON:
    return {
        "type": "json_schema",
        "json_schema": {"name": "reply", "schema": schema, "strict": True},
    }
