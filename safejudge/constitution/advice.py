"""What to write in a constitution file instead of what stands there, in words."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, get_args

from safejudge.text import quoted
from safejudge.types import ModerationKey, Severity

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

OPERATORS = ("all", "any", "none")
"""The keys that combine parts."""

MEANT = {
    "and": "all",
    "or": "any",
    "not": "none",
    "except": "none",
    "unless": "none",
    **dict.fromkeys((*OPERATORS, "statement", "preconditions"), "condition"),
}
"""Keys that people write, and the one that they mean."""
WRITE = {
    "name": "`name:` and a short title, such as `name: street-pictures`",
    "description": "`description:` and a sentence or two, or leave the key out",
    "rules": "`rules:` and below it at least one rule, each starting with `- id: ...`",
    "id": "`id:` and lower-case words joined by - or _, such as `id: armed-child`",
    "category": "`category:` and a heading, such as `category: weapons`",
    "severity": "`severity:` and one of low, medium, high, critical",
    "text": "`text:` and the rule as people say it",
    "objective": "`objective:` and the same rule in words that a picture settles",
    "relevance": "`relevance:` and the rule in few words, or leave the key out",
    "moderation": (
        "`moderation:` and a list of OpenAI's categories, such as `moderation: [violence]`, or "
        "leave the key out"
    ),
    "condition": "`condition:` and a statement, or one of `all:`, `any:`, `none:` and a list",
    "golden": "`golden:` and a folder of labelled images beside this file, or leave the key out",
    "examples": (
        "`examples:` and below it at least one image, each as `- {image: knife.png, expect: "
        "violated}`, or leave the key out"
    ),
    "image": "`image:` and the path of a picture, from the folder of this file",
    "expect": "`expect: violated` or `expect: not_violated`",
    "why": "`why:` and a sentence, or leave the key out",
    "statement": "a sentence that a picture shows or does not show: `a person is visible`",
    "look_at": "`look_at:` and the central object, such as `look_at: knife`, or leave it out",
    "program": "a program with what it looks for, such as `program: {words: SALE}`",
    "contrast": (
        "`contrast:` and a list of near misses, such as "
        "`contrast: [an adult is holding a gun]`, or leave the key out"
    ),
    "reworded": "`reworded:` and the statement in other words, or leave the key out",
    "all": "`all:` and below it the statements that must all hold, each after `- `",
    "any": "`any:` and below it the statements of which one must hold, each after `- `",
    "none": "`none:` and below it the exceptions, each after `- `",
}
"""By key, what stands there."""
KINDS: dict[type, str] = {str: "text", list: "a list", dict: "a mapping of keys"}
"""What a value is."""
KIND_NAMES = {
    "string_type": "text",
    "enum": "text",
    "literal_error": "text",
    "tuple_type": "a list",
}
"""What pydantic misses there, by the type of its error; else a mapping."""


def in_words(error: ErrorDetails, key: str) -> tuple[str, str]:
    """Say what is wrong with the value of a key, and what to write instead."""
    value, example = error["input"], WRITE[key]
    if error["type"] == "refused":
        return error["ctx"]["problem"], error["ctx"]["instead"] or example
    if error["type"] == "too_short":
        return "is an empty list", example
    if error["type"] == "too_long":
        most = error["ctx"]["max_length"]
        return f"lists {len(value)}", f"at most {most}, those that are mistaken for it most often"
    if error["type"] in ("enum", "literal_error") and isinstance(value, str):
        return _none_of(value, key)
    kind = KIND_NAMES.get(error["type"], "a mapping of keys")
    return f"is {KINDS[type(value)]} where {kind} is expected", example


def _none_of(value: str, key: str) -> tuple[str, str]:
    """Say that a word is none of those that may stand there."""
    if key == "expect":
        return f"is {quoted(value)}, which no rule comes to", WRITE[key]
    words = [*Severity] if key == "severity" else [*get_args(ModerationKey)]
    near = difflib.get_close_matches(value.lower(), words, 1)
    if key == "severity":
        instead = f"`severity: {near[0]}`" if near else WRITE[key]
        return f"is {quoted(value)}, which is not low, medium, high or critical", instead
    instead = f"`{near[0]}`" if near else f"one of {', '.join(words)}"
    return f"is {quoted(value)}, which is none of OpenAI's categories", instead
