"""A condition as one English sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.types import AllOf, AnyOf, Condition, NoneOf, Precondition

if TYPE_CHECKING:
    from collections.abc import Sequence


def read_back(condition: Condition) -> str:
    """Put a condition into one English sentence.

    Up to three lists inside one another, no `all` in an `all` and no `any` in an `any`, exceptions
    at the end of an `all` and none of exceptions: such conditions have one sentence only if they
    mean the same. In deeper ones it may be open what a last "or" or "unless" belongs to.
    """
    sentence = _prose(condition)
    return f"{sentence[:1].upper()}{sentence[1:]}."


def _prose(condition: Condition) -> str:
    match condition:
        case Precondition(statement=statement):
            return statement
        case AllOf(all=parts):
            required = [_prose(part) for part in parts if not isinstance(part, NoneOf)]
            exceptions = [_prose(part) for part in parts if isinstance(part, NoneOf)]
            sign = ";" if _holds(required, ";", "unless") else ","
            phrase = f"{sign} and ".join(required)
            return f"{sign} ".join([phrase, *exceptions] if required else exceptions)
        case AnyOf(any=parts):
            choices = [_prose(part) for part in parts]
            sign = ";" if _holds(choices, ";", "unless", ", and") else ""
            return ("either " if len(choices) > 1 else "") + f"{sign} or ".join(choices)
        case NoneOf(none=parts):
            # A semicolon would end the exception.
            refused = [_prose(part).replace(";", ",") for part in parts]
            sign = "," if _holds(refused, ",") else ""
            return "unless " + f"{sign} or ".join(refused)


def _holds(texts: Sequence[str], *signs: str) -> bool:
    """Whether a text holds a sign, so that what joins it to others has to part more than that."""
    return any(sign in text for text in texts for sign in signs)
