"""What a chat-completions server can do, found out before the first picture is sent.

Takes a way to send requests; gives the model's name, which fields the server takes, how labels
are read from it, what proves yes and no, how replies are forced into a schema, and whether
pictures are taken. Whatever is missing is an `EngineSetupError` that says what to do about it;
a model for text alone passes, and is known as one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from safejudge.engines import tokens
from safejudge.engines.guide import served_regex
from safejudge.engines.server import topk
from safejudge.engines.server.http import FailedError, RefusedError
from safejudge.errors import EngineSetupError
from safejudge.types import JSON, YES_NO

if TYPE_CHECKING:
    from safejudge.engines.server.topk import Reading
    from safejudge.types import AnswerProbs

Send = Callable[[str, JSON | None], JSON]
"""Sends a body to an address (GET without one); raises `RefusedError` and `FailedError`."""

_QUESTIONS = ("Is one plus one two?", "Is one plus one three?")
_ASK = "Answer the question with Yes or No."
_TOP = (20, 10, 5)
"""How many likeliest tokens to ask for, until the server agrees."""
_PINNED: JSON = {
    "temperature": 0,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "n": 1,
    "stream": False,
}
"""A server's own defaults (generation_config.json) must not move a number."""
_EXTRAS: JSON = {"repetition_penalty": 1.0, "chat_template_kwargs": {"enable_thinking": False}}
"""The same for what not every server knows; left out where it is refused."""
_SHOWN_MODELS = 20
_SAME = 0.05
"""Probabilities that lie no further apart are of the same question, in another batch."""


class _Reply(BaseModel):
    """What nobody says who is not forced to."""

    model_config = ConfigDict(extra="forbid")

    fruit: Literal["quince", "medlar"]
    colour: str = Field(min_length=1, max_length=20)


@dataclass(frozen=True, slots=True)
class Abilities:
    """How this server is asked."""

    fields: JSON
    """What goes into every request: model, pinned settings, extras."""
    top: int
    """How many likeliest tokens to ask for; 0 where it gives exactly the tokens asked for."""
    regex: bool = False
    """Whether a reply's form is given as a regular expression (vLLM), which leaves no room for
    white space between its parts; else as a JSON schema (everybody)."""

    def read_body(self, messages: list[JSON], reading: Reading) -> JSON:
        """A request for one token and the log-probabilities of the labels."""
        body = self.fields | {"messages": messages, "max_tokens": 1, "logprobs": True}
        if self.top:
            return body | {"top_logprobs": self.top}
        return body | {
            "logprob_token_ids": reading.token_ids(),
            "return_tokens_as_token_ids": True,
        }

    def write_body(
        self, messages: list[JSON], schema: type[BaseModel] | None, max_tokens: int
    ) -> JSON:
        """A request for a greedy reply, free or under a schema."""
        body = self.fields | {"messages": messages, "max_tokens": max_tokens}
        if schema is None:
            return body
        if self.regex:
            return body | {"structured_outputs": {"regex": served_regex(schema)}}
        return body | {"response_format": _format(schema.model_json_schema())}

    def read(self, reply: JSON, reading: Reading) -> AnswerProbs:
        """Read the labels from a reply to `read_body`. Raises `UnreadableError`."""
        return topk.read_listed(reply, reading) if self.top else topk.read_exact(reply, reading)


@dataclass(frozen=True, slots=True)
class Proof:
    """What the first questions proved."""

    abilities: Abilities
    """How to ask."""
    reading: Reading
    """How yes and no are read."""
    spellings: tuple[tuple[str, ...], ...]
    """Spellings of yes, and of no, that are known to be tokens."""


class Vocabulary:
    """The server's tokenizer, after the prompt that its template ends every question with."""

    def __init__(self, send: Send, root: str, model: str, fields: JSON) -> None:
        self._send = send
        self._root = root
        self._model = model
        self._encoded: dict[str, tuple[int, ...]] = {}
        self.prompt = self._rendered(fields)

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a text. Raises `RefusedError` and `FailedError`."""
        if text not in self._encoded:
            body = {"model": self._model, "prompt": text, "add_special_tokens": False}
            self._encoded[text] = self._ids(body)
        return self._encoded[text]

    def reading(self, labels: tuple[str, ...]) -> Reading:
        """Find the single tokens of labels; raises `LabelsError` where there are none."""
        return topk.proved(tokens.resolve(self.encode, self.prompt, labels))

    def _rendered(self, fields: JSON) -> str:
        """Return the text of a rendered question, if it becomes the same tokens again.

        Otherwise a line of plain text stands for it: what a spelling is split into depends only
        on what stands right before it.
        """
        try:
            ids = self._ids(
                {
                    "model": self._model,
                    "messages": _question(_QUESTIONS[0]),
                    "add_generation_prompt": True,
                    **{k: v for k, v in fields.items() if k == "chat_template_kwargs"},
                }
            )
            body = {"model": self._model, "tokens": list(ids)}
            text = str(self._send(f"{self._root}/detokenize", body).get("prompt"))
            if self.encode(text) == ids:
                return text
        except (RefusedError, FailedError):
            pass
        return "Answer:\n"

    def _ids(self, body: JSON) -> tuple[int, ...]:
        ids = self._send(f"{self._root}/tokenize", body).get("tokens")
        if not isinstance(ids, list) or not all(isinstance(token, int) for token in ids):
            raise FailedError(f"{self._root}/tokenize gave no tokens: {ids!r}"[:200])
        return tuple(ids)


def find_model(send: Send, base: str, model: str | None) -> str:
    """Return the model's name as the server knows it; with None its only one."""
    try:
        listed = send(f"{base}/models", None).get("data")
    except (FailedError, RefusedError) as error:
        raise EngineSetupError(_unreached(base, error)) from error
    names = [str(m.get("id")) for m in listed or () if isinstance(m, dict)]
    if model is None and len(names) == 1:
        return names[0]
    if model is not None and model in names:
        return model
    tail = f" and {len(names) - _SHOWN_MODELS} more" if len(names) > _SHOWN_MODELS else ""
    listing = (", ".join(names[:_SHOWN_MODELS]) or "no model") + tail
    advice = "Name one" if model is None else f"There is no model {model!r}; name one that is there"
    raise EngineSetupError(f"{base} serves {listing}. {advice}: server:{base}#MODEL")


def find_version(send: Send, root: str) -> dict[str, str]:
    """Return vLLM's version; empty for a server that does not tell."""
    try:
        version = send(f"{root}/version", None).get("version")
    except (FailedError, RefusedError):
        return {}
    return {"vllm": version} if isinstance(version, str) else {}


def find_vocabulary(send: Send, root: str, model: str) -> Vocabulary | None:
    """Return the server's tokenizer; None if it does not show one."""
    for fields in (_EXTRAS, {}):
        try:
            vocabulary = Vocabulary(send, root, model, fields)
            ids = vocabulary.encode("Yes")
        except (FailedError, RefusedError):
            continue
        return vocabulary if ids else None
    return None


def find_abilities(send: Send, base: str, model: str, vocabulary: Vocabulary | None) -> Proof:
    """Find the best way to read yes and no, and prove it on trivial questions."""
    try:
        reading = vocabulary.reading(YES_NO) if vocabulary else topk.assumed(YES_NO)
    except tokens.LabelsError as error:
        raise EngineSetupError(
            f"{model} at {base}: yes and no cannot be read. {error}. Use another model."
        ) from error
    except (FailedError, RefusedError) as error:
        raise EngineSetupError(f"{base}: the tokenizer failed at start. {error}") from error
    refusals = []
    for top in (0, *_TOP) if vocabulary else _TOP:
        try:
            return _proved(send, base, _settled(send, base, model, top, reading), reading)
        except RefusedError as error:
            refusals.append(str(error))
        except topk.UnreadableError as error:
            if top:
                raise EngineSetupError(_no_logprobs(base, str(error))) from error
        except FailedError as error:
            raise EngineSetupError(f"{base}: the first question failed. {error}") from error
    raise EngineSetupError(_no_logprobs(base, refusals[-1]))


def prove_schema(send: Send, base: str, abilities: Abilities) -> Abilities:
    """Find a way in which the server forces replies into a schema; refuse one that does not.

    Nothing in the question suggests the schema, so only a server that enforces it can pass.
    """
    for able in (replace(abilities, regex=True), abilities):
        problem = _schema_problem(send, base, able)
        if problem is None:
            return able
    step = (
        "Reasoning needs structured outputs: use vLLM 0.12 or newer, or another server that "
        "enforces response_format json_schema; if the reply is only whitespace, start vLLM with "
        "--structured-outputs-config '{\"disable_any_whitespace\": true}'."
    )
    raise EngineSetupError(f"{problem}. {step}")


def takes_pictures(send: Send, base: str, body: JSON) -> bool:
    """Whether the server answers a question with a picture. Raises `EngineSetupError`."""
    try:
        send(f"{base}/chat/completions", body)
    except RefusedError:
        return False
    except FailedError as error:
        # llama-server answers so where it has no image encoder.
        if error.status == 500 and "image" in str(error).lower():
            return False
        raise EngineSetupError(f"{base}: the first question with a picture failed. {error}") from (
            error
        )
    return True


def keeps_pictures(send: Send, base: str, first: JSON, again: JSON) -> bool:
    """Whether a question whose picture is its name alone is answered as the one that brought it."""
    try:
        replies = [send(f"{base}/chat/completions", body) for body in (first, again)]
        brought, named = (topk.candidates(reply)[0] for reply in replies)
    except (RefusedError, FailedError, topk.UnreadableError):
        return False
    # A server that passed over the empty part may answer alike, but has read less.
    read = {topk.tokens_used(reply)[0] for reply in replies}
    return len(read) == 1 and brought.text == named.text and abs(brought.p - named.p) < _SAME


def trivial_body(abilities: Abilities, reading: Reading) -> JSON:
    """A question without a picture that any running server can answer."""
    return abilities.read_body(_question(_QUESTIONS[0]), reading)


def _settled(send: Send, base: str, model: str, top: int, reading: Reading) -> Abilities:
    """Leave out extras until the server takes a request; re-raises what is not about them."""
    extras = dict(_EXTRAS)
    while True:
        abilities = Abilities({"model": model, **_PINNED, **extras}, top)
        try:
            send(f"{base}/chat/completions", trivial_body(abilities, reading))
        except RefusedError as error:
            refused = [name for name in extras if name in str(error)]
            if not refused and (not extras or "logprob" in str(error)):
                raise
            # A server that names no field is asked without any of them.
            for name in refused or list(extras):
                del extras[name]
        else:
            return abilities


def _proved(send: Send, base: str, abilities: Abilities, reading: Reading) -> Proof:
    """Read the trivial questions; a list of likeliest tokens has to show the labels."""
    replies = [
        send(f"{base}/chat/completions", abilities.read_body(_question(text), reading))
        for text in _QUESTIONS
    ]
    if not abilities.top:
        for reply in replies:
            topk.read_exact(reply, reading)
        return Proof(abilities, reading, reading.spellings)
    listed = {token.text for reply in replies for token in topk.candidates(reply)[1:]}
    spellings = tuple(tuple(t for t in texts if t in listed) for texts in reading.spellings)
    if not (any if reading.ids else all)(spellings):
        likeliest = sorted({topk.candidates(reply)[0].text for reply in replies})
        raise EngineSetupError(
            f"{base} shows its {abilities.top} likeliest tokens, and to {' / '.join(_QUESTIONS)} "
            f"they lack yes or no (it wants to say {likeliest}). Switch the model's thinking off, "
            "use vLLM 0.29 or newer (which gives the tokens asked for), or another model."
        )
    return Proof(abilities, reading, spellings if reading.ids is None else reading.spellings)


def _question(text: str) -> list[JSON]:
    parts = [{"type": "text", "text": words} for words in (_ASK, text)]
    return [{"role": "user", "content": parts}]


def _schema_problem(send: Send, base: str, abilities: Abilities) -> str | None:
    """What is wrong with a reply under a schema; None if nothing is."""
    body = abilities.write_body(_question("Say hello."), _Reply, 64)
    try:
        reply = topk.reply_text(send(f"{base}/chat/completions", body))
    except (RefusedError, FailedError, topk.UnreadableError) as error:
        return f"{base}: a request with a schema failed: {error}"
    try:
        _Reply.model_validate_json(reply)
    except ValidationError:
        return (
            f'{base} ignores structured outputs: asked for {{"fruit": ...}} it wrote '
            f"{reply[:120]!r}"
        )
    return None


def _format(schema: JSON) -> JSON:
    return {
        "type": "json_schema",
        "json_schema": {"name": "reply", "schema": schema, "strict": True},
    }


def _unreached(base: str, error: FailedError | RefusedError) -> str:
    status = error.status if isinstance(error, FailedError) else 400
    if status in {401, 403}:
        step = "Set SAFEJUDGE_API_KEY to a key that this server accepts"
    elif status == 404:
        step = "Is /v1 missing at the end of the address? server:http://HOST:PORT/v1#MODEL"
    elif status is not None and 300 <= status < 400:
        step = "Give the final address"
    elif "(TLS)" in str(error):
        step = (
            "Its certificate was not accepted, or it speaks no TLS: use http:// for a server "
            "without, or install the certificate's authority in this system"
        )
    else:
        step = "Start the server (vllm serve MODEL), or correct host and port"
    return f"{base} cannot be used: {error}. {step}."


def _no_logprobs(base: str, why: str) -> str:
    return (
        f"{base} gives no log-probabilities that could be read: {why}. Answers are read from "
        "them: use a server that does (vllm serve, llama-server), or hf:MODEL."
    )
