"""A pydantic model -> the form of a reply, and what keeps a model of transformers to it.

outlines writes the regular expression of a schema's compact JSON; llguidance says which tokens may
follow, within milliseconds on vocabularies of any size. Control tokens never may: inside a JSON
string one of them would look like plain text, end the turn early, and vanish when the reply is
decoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safejudge.errors import EngineCallError, EngineSetupError
from safejudge.text import first_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from pydantic import BaseModel

_ANY_CHARACTER = r'[^"\\\x00-\x1F\x7F-\x9F]'
"""How outlines writes what may stand in a string."""
_ESCAPES = r'|\\["\\/bfnrt]'
"""And what may stand there behind a backslash."""

_SLICES = tuple(f"{_ANY_CHARACTER}{times}" for times in ("{1,10}", "{1,30}", "+"))
"""Most tokens are plain text, which may stand anywhere in a string. llguidance weighs these all at
once where it knows their expression: ten times as fast on a vocabulary of 152,000."""


class SchemaGuides:
    """Logits processors for the tokenizer of a model, whose turns end with any of `ends`.

    Raises `EngineSetupError` for a tokenizer that does not show its tokens.
    """

    def __init__(self, tokenizer: Any, ends: Sequence[int], model: str) -> None:
        from llguidance.hf import from_tokenizer

        try:
            self._vocabulary = from_tokenizer(tokenizer, eos_token=list(ends), slices=list(_SLICES))
        except ValueError as error:
            raise EngineSetupError(
                f"{model}: its tokenizer ({type(tokenizer).__name__}) does not show its tokens, so "
                "no reply can be forced into a form. Use a model with a tokenizer.json. "
                f"({first_line(error)})"
            ) from error

    def processor(self, schema: type[BaseModel]) -> FormProcessor:
        """Make a fresh logits processor (it keeps state for one `generate` call)."""
        return FormProcessor(self._vocabulary, json_regex(schema))


class FormProcessor:
    """Lets through, of every row of a batch, only tokens that go on with the form.

    A row ends as soon as its answer stands: when all that may still follow is forced, it is not
    written token by token but given as `endings`.
    """

    def __init__(self, vocabulary: Any, regex: str) -> None:
        self._vocabulary = vocabulary
        self._regex = regex
        self._rows: list[Any] = []
        self._threads: Any = None
        self.endings: dict[int, str] = {}
        """By row, what completes the text of a row that has ended; often nothing."""

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores (rows x vocabulary), all but those of allowed tokens at -inf.

        Raises `ValueError` where the vocabulary has no token with which the form goes on.
        """
        if not self._rows:
            self._begin(len(ids))
        return scores.masked_fill(~self._allowed(scores), float("-inf"))

    def ended(self, ids: torch.Tensor, _scores: torch.Tensor, **_: Any) -> torch.Tensor:
        """Take each row's last token; say which rows have ended (rows, bool)."""
        import torch

        for index, token in enumerate(ids[:, -1].tolist()):
            if index not in self.endings:  # after its end a row is padded
                self._take(index, token)
        return torch.tensor([row in self.endings for row in range(len(ids))], device=ids.device)

    def _take(self, index: int, token: int) -> None:
        row = self._rows[index]
        row.consume_token(token)
        if token in self._vocabulary.eos_tokens:
            self.endings[index] = ""
        elif not row.is_error() and (ending := self._ending(row)) is not None:
            self.endings[index] = ending

    def _ending(self, row: Any) -> str | None:
        """All that may still follow, where it is forced to the end; None where there is a choice.

        None, too, in the middle of a character: its bytes are to be decoded together.
        """
        forced: bytes = row.compute_ff_bytes()
        after = row.deep_copy()
        tokens = after.compute_ff_tokens()
        if after.try_consume_tokens(tokens) < len(tokens) or after.compute_ff_bytes():
            return None
        whole = after.is_accepting() and self._only_ends(after)
        return forced.decode() if whole and not _goes_on(forced) else None

    def _only_ends(self, row: Any) -> bool:
        """Whether nothing but the end may follow."""
        import numpy as np
        from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

        bits = allocate_token_bitmask(1, self._vocabulary.vocab_size)
        fill_next_token_bitmask(row, bits, 0)
        flags = np.unpackbits(bits.view(np.uint8), axis=1, bitorder="little")[0]
        return set(np.flatnonzero(flags).tolist()) <= set(self._vocabulary.eos_tokens)

    def _begin(self, rows: int) -> None:
        """Made here: threads that a process had before it was forked are not its child's."""
        from llguidance import LLExecutor, LLMatcher

        grammar = LLMatcher.grammar_from_regex(self._regex)
        self._rows = [LLMatcher(self._vocabulary, grammar, log_level=0) for _ in range(rows)]
        self._threads = LLExecutor()

    def _allowed(self, scores: torch.Tensor) -> torch.Tensor:
        """Which tokens may follow; rows x vocabulary. All of them in a row that has ended."""
        import numpy as np
        import torch
        from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask_par

        # What a model's last layer has beyond the vocabulary stands for no token.
        bits = allocate_token_bitmask(len(self._rows), self._vocabulary.vocab_size)
        going = [(row, i) for i, row in enumerate(self._rows) if i not in self.endings]
        if going:
            fill_next_token_bitmask_par(self._threads, going, bits)
        for row, _ in going:
            if row.is_error():
                raise ValueError(f"a reply cannot be forced into its form: {row.get_error()}")
        flags = np.unpackbits(bits.view(np.uint8), axis=1, bitorder="little")
        allowed = np.zeros(scores.shape, bool)
        width = min(scores.shape[1], self._vocabulary.vocab_size)
        allowed[:, :width] = flags[:, :width]
        return torch.from_numpy(allowed).to(scores.device)


def _goes_on(text: bytes) -> bool:
    """Whether bytes begin in the middle of a character of UTF-8."""
    return bool(text) and text[0] & 0b1100_0000 == 0b1000_0000


def json_regex(schema: type[BaseModel]) -> str:
    """Return the regular expression of a schema's compact JSON.

    No whitespace between its parts, which a weak model could otherwise write for ever. Raises
    `EngineCallError` for a schema without bounds.
    """
    from outlines.types.dsl import JsonSchema, to_regex

    check_bounded(schema)
    return to_regex(JsonSchema(schema, whitespace_pattern=""))


def served_regex(schema: type[BaseModel]) -> str:
    """The same as xgrammar, the grammar of a vLLM that nobody set another for, takes it well.

    It computes each mask anew where one of several things is repeated so many times, and not where
    it is one class of characters: so a string has no escapes.
    It also lets half surrogate pairs through as bytes. They are no text: each becomes three
    replacement characters, and the reply too long.
    """
    one_class = f"({_ANY_CHARACTER}{_ESCAPES})"
    text = _ANY_CHARACTER[:-1] + r"\uD800-\uDFFF]"
    return json_regex(schema).replace(one_class, text)


def check_bounded(schema: type[BaseModel]) -> None:
    """Raise `EngineCallError` for a schema in which something may grow without end."""
    if loose := open_ended(schema.model_json_schema()):
        raise EngineCallError(
            f"{schema.__name__}: {', '.join(loose)} may grow without end, and a weak model "
            "never closes it. Give every string and every list a max_length, and list the numbers "
            "(Literal)."
        )


def open_ended(schema: dict[str, Any], name: str = "schema") -> list[str]:
    """Names of strings, numbers and lists in a JSON schema that have no upper length."""
    unbounded = []
    kind = schema.get("type")
    if kind == "string" and not {"maxLength", "enum", "const"} & schema.keys():
        unbounded.append(name)
    # Nobody makes a regular expression of the least and the greatest number.
    if kind in {"integer", "number"} and not {"enum", "const"} & schema.keys():
        unbounded.append(name)
    if kind == "array" and "maxItems" not in schema:
        unbounded.append(name)
    for group in ("properties", "$defs"):
        for key, part in schema.get(group, {}).items():
            unbounded += open_ended(part, key)
    parts = [*schema.get("anyOf", ()), *schema.get("prefixItems", ())]
    if isinstance(schema.get("items"), dict):
        parts.append(schema["items"])
    for part in parts:
        unbounded += open_ended(part, name)
    return unbounded
