"""The fields of requests and replies, from the JSON Schemas of an OpenAPI document.

Takes a schema; gives a row for each field, those of objects within it below them. Parts that many
replies have are named, not repeated.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection

    from safejudge.types import JSON


class Row(NamedTuple):
    """One field."""

    name: str
    depth: int
    """How many objects it lies in."""
    kind: str
    """What it holds, in words."""
    text: str
    """What it means; Markdown's code alone."""
    required: bool
    part: str = ""
    """The part that says what is in it; "" where the rows below do."""


class Inner(NamedTuple):
    """An object within a value."""

    name: str
    """What the document calls it; "" for one without a name."""
    schema: JSON


class Schemas:
    """The schemas of one document."""

    def __init__(self, document: JSON) -> None:
        self._named: dict[str, JSON] = dict(document.get("components", {}).get("schemas", {}))

    def rows(self, schema: JSON, shared: Collection[str] = ()) -> Iterator[Row]:
        """Yield a row for each field of an object, or of the objects in a list of them."""
        # A schema written by hand may bring its own parts.
        self._named |= schema.get("$defs", {})
        for inner in self._objects(schema):
            yield from self._fields(inner.schema, shared, 0)

    def part(self, name: str, shared: Collection[str]) -> Iterator[Row]:
        """Yield a row for each field of a part."""
        return self._fields(self._named[name], shared, 0)

    def text(self, name: str) -> str:
        """Return what the document says of a part."""
        return str(self._named[name].get("description", ""))

    def within(self, schema: JSON) -> set[str]:
        """Return the names of all objects that lie in an object, however deep."""
        inside: set[str] = set()
        waiting = [field for o in self._objects(schema) for field in _properties(o.schema)]
        while waiting:
            for inner in self._objects(waiting.pop()):
                if inner.name not in inside:
                    inside.add(inner.name)
                    waiting.extend(_properties(inner.schema))
        return inside - {""}

    def kind(self, schema: JSON) -> str:
        """Say in words what a value is."""
        schema = self._resolved(schema)
        if "const" in schema or "enum" in schema:
            values = schema.get("enum", [schema.get("const")])
            return " or ".join(json.dumps(value) for value in values)
        choices = schema.get("anyOf") or schema.get("oneOf")
        if choices:
            return " or ".join(dict.fromkeys(map(self.kind, choices)))
        if "items" in schema:
            return f"list of {self.kind(schema['items'])}"
        if isinstance(values := schema.get("additionalProperties"), dict):
            return f"{self.kind(values)} by name"
        if schema.get("format") == "binary":
            return "file"
        return str(schema.get("type", "anything"))

    def _fields(self, schema: JSON, shared: Collection[str], depth: int) -> Iterator[Row]:
        for name, value in schema.get("properties", {}).items():
            inner = list(self._objects(value))
            part = next((one.name for one in inner if one.name in shared), "")
            text = value.get("description", "")
            if not text and len(inner) == 1:
                text = inner[0].schema.get("description", "")
            required = name in schema.get("required", ())
            yield Row(name, depth, self.kind(value), text, required, part)
            for one in inner:
                if one.name not in shared:
                    yield from self._fields(one.schema, shared, depth + 1)

    def _objects(self, schema: JSON) -> Iterator[Inner]:
        """Find the objects with fields that a value can be, or can hold as items."""
        target = self._resolved(schema)
        if "properties" in target:
            yield Inner(schema.get("$ref", "").rpartition("/")[2], target)
        values = target.get("additionalProperties")
        for inner in (
            *target.get("anyOf", ()),
            *target.get("oneOf", ()),
            *filter(None, [target.get("items"), values if isinstance(values, dict) else None]),
        ):
            yield from self._objects(inner)

    def _resolved(self, schema: JSON) -> JSON:
        reference = schema.get("$ref")
        return schema if reference is None else self._named[reference.rpartition("/")[2]]


def _properties(schema: JSON) -> list[JSON]:
    return list(schema.get("properties", {}).values())
