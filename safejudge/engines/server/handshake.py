"""What a chat-completions server can do, found out before the first picture is sent.

Takes a way to send requests; gives the model's name, which fields the server takes, how labels
are read from it, what proves yes and no, how replies are forced into a schema, and whether
pictures are taken. Whatever is missing is an `EngineSetupError` that says what to do about it;
a model for text alone passes, and is known as one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from safejudge.engines import tokens
from safejudge.engines.guide import json_regex, served_regex
from safejudge.engines.server import topk
from safejudge.engines.server.abilities import (
    EXTRAS,
    LENGTH,
    NEW_LENGTH,
    PINNED,
    PLAIN,
    Abilities,
    Asking,
    Proof,
    question,
)
from safejudge.engines.server.faults import FailedError, RefusedError, UnreadableError
from safejudge.engines.server.http import BUSY
from safejudge.engines.server.vocabulary import Vocabulary
from safejudge.engines.trivial import QUESTIONS
from safejudge.errors import EngineSetupError
from safejudge.text import cut, one_line, plain_name
from safejudge.types import YES_NO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.engines.server.topk import Reading
    from safejudge.engines.server.vocabulary import Send
    from safejudge.types import JSON

_TOP = (20, 10, 5)
"""How many likeliest tokens to ask for, until the server agrees."""
_SHOWN_MODELS = 20
_LONGEST_NAME = 300
"""Characters of a model's name; a longer one is nobody's."""
_MOST_CONTEXT = 2**31
_SAME = 0.05
"""Probabilities that lie no further apart are of the same question, in another batch."""


@dataclass(frozen=True, slots=True)
class Served:
    """One model of a server."""

    name: str
    """What the server calls it."""
    context: int | None = None
    """Tokens that prompt and reply may have together; None where it does not say."""


class _Reply(BaseModel):
    """What nobody says who is not forced to."""

    model_config = ConfigDict(extra="forbid")

    fruit: Literal["quince", "medlar"]
    colour: str = Field(min_length=1, max_length=20)


def find_model(send: Send, base: str, model: str | None, scheme: str = "server") -> Served:
    """Return the model as the server knows it; with None its only one.

    `scheme` is what stands before the server's address in a URI. Raises `EngineSetupError`.
    """
    try:
        listed = send(f"{base}/models", None).get("data")
    except (FailedError, RefusedError) as error:
        raise EngineSetupError(unreached(base, error, scheme)) from error
    entries = [m for m in listed if isinstance(m, dict)] if isinstance(listed, list) else []
    served = {name: m for m in entries if (name := _name_of(m)) is not None}
    if model is None and len(served) == 1:
        (model,) = served
    if model is not None and model in served:
        context = served[model].get("max_model_len")
        known = type(context) is int and 0 < context < _MOST_CONTEXT
        return Served(model, context if known else None)
    names = [cut(one_line(name), 100) for name in list(served)[:_SHOWN_MODELS]]
    tail = f" and {len(served) - _SHOWN_MODELS} more" if len(served) > _SHOWN_MODELS else ""
    listing = (", ".join(names) or "no model") + tail
    advice = "Name one" if model is None else f"There is no model {model!r}; name one that is there"
    raise EngineSetupError(f"{base} serves {listing}. {advice}: {scheme}:{base}#MODEL")


def _name_of(entry: JSON) -> str | None:
    name = entry.get("id")
    return name if isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME else None


def find_version(send: Send, root: str) -> dict[str, str]:
    """Return vLLM's version; empty for a server that does not tell."""
    try:
        version = send(f"{root}/version", None).get("version")
    except (FailedError, RefusedError):
        return {}
    return {"vllm": plain_name(version[:_LONGEST_NAME])} if isinstance(version, str) else {}


def find_vocabulary(send: Send, root: str, model: str, asking: Asking = PLAIN) -> Vocabulary | None:
    """Return the server's tokenizer; None if it does not show one."""
    for fields in (EXTRAS, {}):
        try:
            vocabulary = Vocabulary(send, root, model, fields | asking.fields, asking.messages[0])
            ids = vocabulary.encode("Yes")
        except (FailedError, RefusedError):
            continue
        return vocabulary if ids else None
    return None


def find_abilities(
    send: Send,
    base: str,
    model: str,
    vocabulary: Vocabulary | None,
    asking: Asking = PLAIN,
) -> Proof:
    """Find the best way to read yes and no, and prove it on trivial questions."""
    try:
        read = vocabulary.reading if vocabulary else topk.assumed
        reading = replace(read(asking.words), labels=YES_NO)
    except tokens.LabelsError as error:
        raise EngineSetupError(
            f"{model} at {base}: yes and no cannot be read. {error}. Use another model."
        ) from error
    except (FailedError, RefusedError) as error:
        raise EngineSetupError(f"{base}: the tokenizer failed at start. {error}") from error
    refusals = []
    for top in (0, *_TOP) if vocabulary else _TOP:
        try:
            able = _settled(send, base, model, top, reading, asking)
            return _proved(send, base, able, reading, asking)
        except RefusedError as error:
            refusals.append(str(error))
        except UnreadableError as error:
            if top:
                raise EngineSetupError(_no_logprobs(base, str(error))) from error
        except FailedError as error:
            raise EngineSetupError(_failed(base, "the first question", error)) from error
    raise EngineSetupError(_no_logprobs(base, refusals[-1]))


def prove_schema(send: Send, base: str, abilities: Abilities) -> Abilities:
    """Find a way in which the server forces replies into a schema; refuse one that does not.

    Nothing in the question suggests the schema, so only a server that enforces it can pass.
    """
    # The first is quick with xgrammar, vLLM's default, and no expression to its other grammars.
    for able in (*(replace(abilities, regex=r) for r in (served_regex, json_regex)), abilities):
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
        raise EngineSetupError(_failed(base, "the first question with a picture", error)) from error
    return True


def keeps_pictures(send: Send, base: str, first: JSON, again: JSON) -> bool:
    """Whether a question whose picture is its name alone is answered as the one that brought it."""
    try:
        replies = [send(f"{base}/chat/completions", body) for body in (first, again)]
        brought, named = (topk.candidates(reply)[0] for reply in replies)
    except (RefusedError, FailedError, UnreadableError):
        return False
    # A server that passed over the empty part may answer alike, but has read less.
    read = {topk.tokens_used(reply)[0] for reply in replies}
    return len(read) == 1 and brought.text == named.text and abs(brought.p - named.p) < _SAME


def trivial_body(abilities: Abilities, reading: Reading, asking: Asking = PLAIN) -> JSON:
    """A question without a picture that any running server can answer."""
    return abilities.read_body(asking.messages[0], reading)


def _settled(  # noqa: PLR0913, PLR0917 - the server, the model, and how it is asked
    send: Send, base: str, model: str, top: int, reading: Reading, asking: Asking
) -> Abilities:
    """Find the fields that the server takes; re-raises what is about log-probabilities.

    Extras are left out where they are refused, and the length of a reply is called as it asks for.
    Raises `EngineSetupError` for another field that it refuses: without it no number is right.
    """
    extras, length = dict(EXTRAS), LENGTH
    while True:
        fields = {"model": model, **PINNED, **extras, **asking.fields}
        abilities = Abilities(fields, top, length)
        try:
            send(f"{base}/chat/completions", trivial_body(abilities, reading, asking))
        except RefusedError as error:
            refused = [name for name in extras if name in str(error)]
            field = _named_field(error, (*PINNED, *asking.fields, length))
            if not refused and field == LENGTH and NEW_LENGTH in str(error):
                length = NEW_LENGTH
                continue
            if not refused and field is not None:
                raise EngineSetupError(_refused_field(base, field, error)) from error
            if not refused and (not extras or "logprob" in str(error)):
                raise
            # A server that names no field is asked without any of them.
            for name in refused or list(extras):
                del extras[name]
        else:
            return abilities


def _named_field(error: RefusedError, fields: Sequence[str]) -> str | None:
    """Which of the fields a refusal names as its reason: by itself, quoted, or as a word."""
    if error.field:
        return error.field if error.field in fields else None
    said = str(error).partition(" answered ")[2]
    found = {match.start(): f for f in fields if (match := _word(f).search(said))}
    return found[min(found)] if found else None


def _word(field: str) -> re.Pattern[str]:
    """A field in a sentence; one that is a single letter has to stand in quotes or at its end."""
    if len(field) > 1:
        return re.compile(rf"(?<!\w){field}(?!\w)")
    return re.compile(rf"['\"`]{field}['\"`]|: {field}$")


def _proved(send: Send, base: str, abilities: Abilities, reading: Reading, asking: Asking) -> Proof:
    """Read the trivial questions; a list of likeliest tokens has to show the labels."""
    replies = [
        send(f"{base}/chat/completions", abilities.read_body(messages, reading))
        for messages in asking.messages
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
            f"{base} shows its {abilities.top} likeliest tokens, and to {' / '.join(QUESTIONS)} "
            f"they lack yes or no (it wants to say {likeliest}). Switch the model's thinking off, "
            "use vLLM 0.29 or newer (which gives the tokens asked for), or another model."
        )
    return Proof(abilities, reading, spellings if reading.ids is None else reading.spellings)


def _schema_problem(send: Send, base: str, abilities: Abilities) -> str | None:
    """What is wrong with a reply under a schema; None if nothing is."""
    body = abilities.write_body(question("Say hello."), _Reply, 64)
    try:
        reply = topk.reply_text(send(f"{base}/chat/completions", body))
    except (RefusedError, FailedError, UnreadableError) as error:
        return f"{base}: a request with a schema failed: {error}"
    try:
        _Reply.model_validate_json(reply)
    except ValidationError:
        return (
            f'{base} ignores structured outputs: asked for {{"fruit": ...}} it wrote '
            f"{reply[:120]!r}"
        )
    return None


def unreached(base: str, error: FailedError | RefusedError, scheme: str) -> str:
    """Say that a server cannot be used, and what to do about it."""
    status = error.status if isinstance(error, FailedError) else 400
    if status in {401, 403}:
        step = "Set SAFEJUDGE_API_KEY to a key that this server accepts"
    elif status == BUSY:
        step = "It refuses requests for now; wait, or see to its quota"
    elif status == 404:
        step = f"Is /v1 missing at the end of the address? {scheme}:http://HOST:PORT/v1#MODEL"
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


def _failed(base: str, what: str, error: FailedError) -> str:
    wait = (
        ". It refuses requests for now; wait, or see to its quota" if error.status == BUSY else ""
    )
    return f"{base}: {what} failed. {error}{wait}"


def _refused_field(base: str, field: str, error: RefusedError) -> str:
    return (
        f"{base} refuses the field {field!r}, which every question needs: {error}. Answers are "
        "read greedily, unpenalised, from one token and one reply. Choose a model, or a server, "
        "that takes it (vllm serve does), or hf:MODEL"
    )


def _no_logprobs(base: str, why: str) -> str:
    return (
        f"{base} gives no log-probabilities that could be read: {why}. Answers are read from "
        "them: use a server that does (vllm serve, llama-server), or hf:MODEL."
    )
