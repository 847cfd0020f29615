"""A pydantic model -> a logits processor of outlines that lets only its JSON through.

The tokens that outlines may choose from leave out every control token: inside a JSON string one
of them would look like plain text, end the turn early, and vanish when the reply is decoded.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from safejudge.errors import EngineCallError

if TYPE_CHECKING:
    from pydantic import BaseModel


class SchemaGuides:
    """Logits processors for one tokenizer; the automaton of a schema is built once."""

    def __init__(self, tokenizer: Any, end: int) -> None:
        self._tokenizer = tokenizer
        self._end = end
        self._vocabulary: Any = None
        self._indexes: dict[str, Any] = {}

    def processor(self, schema: type[BaseModel]) -> Any:
        """Make a fresh logits processor (it keeps state for one `generate` call)."""
        from outlines.backends.outlines_core import OutlinesCoreLogitsProcessor
        from outlines_core import Index  # type: ignore[import-untyped]

        regex = json_regex(schema)
        if regex not in self._indexes:
            self._indexes[regex] = Index(regex, self._allowed())
        return OutlinesCoreLogitsProcessor(self._indexes[regex], "torch")

    def _allowed(self) -> Any:
        from outlines.backends.outlines_core import OutlinesCoreBackend
        from outlines.models.transformers import TransformerTokenizer

        if self._vocabulary is None:
            special = set(self._tokenizer.all_special_ids) | {
                token
                for token, added in self._tokenizer.added_tokens_decoder.items()
                if added.special
            }
            words = {
                word: token
                for word, token in self._tokenizer.get_vocab().items()
                if token not in special
            }
            self._vocabulary = OutlinesCoreBackend.create_outlines_core_vocabulary(
                words,
                self._end,
                self._tokenizer.convert_ids_to_tokens(self._end),
                TransformerTokenizer(self._tokenizer).convert_token_to_string,
            )
        return self._vocabulary


def json_regex(schema: type[BaseModel]) -> str:
    """Return the regular expression of a schema's compact JSON.

    No whitespace between its parts, which a weak model could otherwise write for ever. Raises
    `EngineCallError` for a schema without bounds.
    """
    from outlines_core.json_schema import (  # type: ignore[import-untyped]
        build_regex_from_schema,
    )

    check_bounded(schema)
    return str(build_regex_from_schema(json.dumps(schema.model_json_schema()), ""))


def served_regex(schema: type[BaseModel]) -> str:
    """The same for vLLM, whose grammar would let half surrogate pairs through as bytes.

    They are no text: each becomes three replacement characters, and the reply too long.
    """
    return json_regex(schema).replace(_ANY_CHARACTER, _ANY_CHARACTER[:-1] + r"\uD800-\uDFFF]")


_ANY_CHARACTER = r'[^"\\\x00-\x1F\x7F-\x9F]'
"""How outlines writes what may stand in a string."""


def check_bounded(schema: type[BaseModel]) -> None:
    """Raise `EngineCallError` for a schema in which something may grow without end."""
    if loose := open_ended(schema.model_json_schema()):
        raise EngineCallError(
            f"{schema.__name__}: {', '.join(loose)} may grow without end, and a weak model "
            "never closes it. Give every string a max_length and every list a max_length."
        )


def open_ended(schema: dict[str, Any], name: str = "schema") -> list[str]:
    """Names of strings and lists in a JSON schema that have no upper length."""
    unbounded = []
    kind = schema.get("type")
    if kind == "string" and not {"maxLength", "enum", "const"} & schema.keys():
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
