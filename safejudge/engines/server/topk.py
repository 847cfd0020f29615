"""Replies of a chat-completions server -> probabilities of labels.

Takes the decoded reply to a request for one token; gives `AnswerProbs`. Two ways: the server was
asked for exactly the tokens that spell the labels, and the numbers are exact; or it showed only
its likeliest tokens, and what is missing among them is bounded from above, never zero. Pure; it
sends nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safejudge.engines import tokens
from safejudge.engines.server.faults import UnlabelledError, UnreadableError
from safejudge.text import cut
from safejudge.types import AnswerProbs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.types import JSON

_ROUNDING = 1e-3
"""Sums of probabilities that came as float32 logarithms."""
_TOKEN_ID = "token_id:"  # noqa: S105 - how vLLM writes a token as its id
_NEVER = -9000.0
"""vLLM writes -9999 for minus infinity, which JSON cannot hold."""
_MOST_TOKENS = 10**9
"""Of one prompt; a server that counts more does not count."""
_SHOWN = 100
"""Characters of a token, or of anything else in a reply, that go into a record."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the labels of a probe are read from a reply."""

    labels: tuple[str, ...]
    """The labels, in the probe's order."""
    spellings: tuple[tuple[str, ...], ...]
    """Per label, the texts of the tokens that spell it."""
    ids: tuple[tuple[int, ...], ...] | None
    """Per label, the ids of these tokens; None where the server's tokenizer is out of reach."""

    def token_ids(self) -> list[int]:
        """Every token id to ask for; the ids must be known."""
        return [token for ids in self.ids or () for token in ids]


@dataclass(frozen=True, slots=True)
class Token:
    """One candidate for the next token, as the server reported it."""

    text: str
    """The token as text, by its bytes where they are given, or `token_id:N`."""
    shown: str
    """The token as the server wrote it."""
    p: float
    """Its probability."""


def proved(labels: tokens.LabelPaths) -> Reading:
    """Turn single-token paths into a reading. Raises `LabelsError` for longer ones."""
    if labels.ended or any(len(path) > 1 for paths in labels.paths for path in paths):
        raise tokens.LabelsError(
            "not every one of them is a token of its own for this model, and a server's first "
            "token does not tell longer ones apart; hf:MODEL scores them as sequences"
        )
    ids = tuple(tuple(path[0] for path in paths) for paths in labels.paths)
    return Reading(labels.labels, labels.spellings, ids)


def assumed(labels: tuple[str, ...]) -> Reading:
    """A reading by text alone, for a server that does not show its tokenizer.

    Raises `LabelsError` where text cannot tell the labels apart: one that begins another, and
    words with a space between them, which are never one token.
    """
    if len(set(labels)) != len(labels) or not all(label.strip() for label in labels):
        raise tokens.LabelsError(f"labels must be distinct and not empty: {labels!r}")
    spelled = tuple(tokens.spellings(label) for label in labels)
    for i, texts in enumerate(spelled):
        rivals = [text for j, rival_texts in enumerate(spelled) if j != i for text in rival_texts]
        if len(labels[i].split()) > 1 or any(o.startswith(text) for text in texts for o in rivals):
            raise tokens.LabelsError(
                f"{labels[i]!r} is several tokens or begins another label, and this server shows "
                "neither its tokenizer nor more than a first token; hf:MODEL scores sequences"
            )
    return Reading(labels, spelled, None)


def reply_text(reply: JSON) -> str:
    """Return the text of a reply; empty where there is none.

    Raises `UnreadableError` for a reply that is no chat completion, and for a refusal.
    """
    message = _choice(reply).get("message")
    if not isinstance(message, dict):
        raise UnreadableError("the reply has no message")
    if message.get("refusal"):
        raise UnreadableError(f"the model refused: {cut(str(message['refusal']), 200)}")
    content = message.get("content")
    return content if isinstance(content, str) else ""


def tokens_used(reply: JSON, called: str = "prompt") -> tuple[int, int | None]:
    """Tokens of the prompt, 0 where the server does not tell, and how many of them were cached.

    `called` is what the protocol calls a prompt. Numbers that cannot be counts are none.
    """
    usage = reply.get("usage")
    if not isinstance(usage, dict):
        return 0, None
    details = usage.get(f"{called}_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    prompt = usage.get(f"{called}_tokens")
    prompt = prompt if type(prompt) is int and 0 <= prompt <= _MOST_TOKENS else 0
    return prompt, cached if type(cached) is int and 0 <= cached <= prompt else None


def candidates(reply: JSON) -> list[Token]:
    """Return the candidates for the first token, the sampled one first.

    Raises `UnreadableError` where the server left them out, and for numbers that are no
    log-probabilities.
    """
    reply_text(reply)
    logprobs = _choice(reply).get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    first = content[0] if isinstance(content, list) and content else None
    if not isinstance(first, dict):
        raise UnreadableError("the reply has no logprobs")
    listed = first.get("top_logprobs")
    entries = [_token(entry) for entry in (listed if isinstance(listed, list) else [])]
    if sum(token.p for token in entries) > 1 + _ROUNDING:
        raise UnreadableError(
            "the probabilities sum to more than 1: these are no log-probabilities "
            "(vllm serve --logprobs-mode raw_logprobs)"
        )
    return [_token(first), *entries]


def read_exact(reply: JSON, reading: Reading) -> AnswerProbs:
    """Read a reply to a request for the very ids of the labels."""
    sampled, *entries = candidates(reply)
    p_by_name = {token.text: token.p for token in entries}
    names_by_label = [[f"{_TOKEN_ID}{token}" for token in ids] for ids in reading.ids or ()]
    missing = [name for names in names_by_label for name in names if name not in p_by_name]
    if missing:
        raise UnreadableError(f"the reply leaves out the tokens {', '.join(missing)}")
    _refuse_twins(entries, {name for names in names_by_label for name in names})
    p_labels = tuple(min(1.0, sum(p_by_name[name] for name in names)) for names in names_by_label)
    return AnswerProbs(p_labels, top=cut(reply_text(reply) or sampled.text, _SHOWN))


def read_listed(reply: JSON, reading: Reading) -> AnswerProbs:
    """Read a list of the likeliest tokens; a spelling that is not among them gets the bound.

    No token outside the list is likelier than the last one on it, and all of them together have
    what the list leaves of 1. Raises `UnlabelledError` where no label is on the list: then all
    numbers would be bounds, and their ratio would mean nothing. Raises `UnreadableError` where the
    list contradicts itself about a label.
    """
    sampled, *entries = candidates(reply)
    if not entries:
        raise UnreadableError("the reply has no top_logprobs")
    _refuse_contradictions(entries, reading)
    last = min((token.p for token in entries if token.p > 0), default=0.0)
    remainder = max(1.0 - sum(token.p for token in entries), _ROUNDING**2)
    listed = {token.text for token in entries}
    if not listed & {text for texts in reading.spellings for text in texts}:
        raise UnlabelledError(
            f"none of the server's {len(entries)} likeliest tokens is one of the labels; "
            f"the likeliest is {cut(sampled.text, _SHOWN)!r}",
            cut(sampled.text, _SHOWN),
        )
    p_labels, exact = [], True
    for texts in reading.spellings:
        p = sum(token.p for token in entries if token.text in texts)
        missing = sum(text not in listed for text in texts)
        if missing:
            p, exact = p + min(missing * last, remainder), False
        if reading.ids is None and not listed & set(texts):
            # Perhaps it is no token of its own: then only its beginning can be on the list.
            p += sum(token.p for token in entries if _begins(token.text, texts))
        p_labels.append(min(1.0, p))
    return AnswerProbs(tuple(p_labels), top=cut(sampled.text, _SHOWN), exact=exact)


def _refuse_contradictions(entries: Sequence[Token], reading: Reading) -> None:
    """Refuse a label whose text is one token and whose bytes are another, and one listed twice.

    Which of them is meant nobody can know. What is no label may look as it likes: servers write
    tokens that are part of a character in many ways. White space around a word may differ too.
    """
    labels = {text.strip() for texts in reading.spellings for text in texts}
    for token in entries:
        names = {token.text.strip(), token.shown.strip()} - {""}
        if len(names) > 1 and names & labels:
            raise UnreadableError(
                f"the reply calls one token {cut(token.shown, _SHOWN)!r} and gives it the bytes of "
                f"{cut(token.text, _SHOWN)!r}"
            )
    _refuse_twins(entries, {token.text for token in entries if token.text.strip() in labels})


def _refuse_twins(entries: Sequence[Token], names: set[str]) -> None:
    counts = Counter((token.shown, token.text) for token in entries if token.text in names)
    if twice := [text for (_, text), count in counts.items() if count > 1]:
        raise UnreadableError(f"the reply lists the token {twice[0]!r} twice")


def _begins(text: str, spellings: tuple[str, ...]) -> bool:
    return bool(text.strip()) and any(full.startswith(text) for full in spellings)


def _choice(reply: JSON) -> JSON:
    choices = reply.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise UnreadableError("the reply has no choices")
    return choices[0]


def _token(entry: Any) -> Token:
    if not isinstance(entry, dict):
        raise UnreadableError("the reply's logprobs are malformed")
    shown = str(entry.get("token", ""))
    return Token(_text(entry, shown), _with_spaces(shown), _probability(entry.get("logprob")))


def _probability(number: Any) -> float:
    """Turn a log-probability into a probability; JSON's whole numbers may be of any size."""
    try:
        log = float(number) if _is_number(number) else math.nan
    except OverflowError:
        log = math.nan
    if math.isnan(log):
        raise UnreadableError(f"the reply has {cut(repr(number), _SHOWN)} for a log-probability")
    if log > _ROUNDING:
        raise UnreadableError(f"the reply has {log!r} for a log-probability, which is above 0")
    return 0.0 if log < _NEVER else math.exp(min(log, 0.0))


def _text(entry: JSON, shown: str) -> str:
    """A token's text, with the space that tokenizers write: by its bytes where they are given.

    Raises `UnreadableError` for bytes that are none.
    """
    spelled = entry.get("bytes")
    if shown.startswith(_TOKEN_ID) or spelled in (None, []):
        return _with_spaces(shown)
    if not isinstance(spelled, list) or not all(map(_is_byte, spelled)):
        raise UnreadableError(
            f"the reply has {cut(repr(spelled), _SHOWN)} for the bytes of a token"
        )
    return _with_spaces(bytes(spelled).decode("utf-8", "replace"))


def _with_spaces(text: str) -> str:
    return text.replace("\u2581", " ").replace("\u0120", " ")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_byte(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 255
