"""Numbers of one answer -> shares of its labels, or what is wrong with them. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safejudge.engines.server.faults import UnreadableError
from safejudge.text import cut

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN = 100
"""Characters of a value that go into a message."""
_FLOAT32 = 1e-3
"""How far a sum of float32 numbers may be from what it should be."""
_HALF = 0.005
"""How far a probability of two decimals may be from what it stands for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server told of one question."""

    shares: tuple[float, ...]
    """How the labels share the probability, in the probe's order; they sum to 1."""
    told: tuple[float, ...]
    """The probabilities as the server wrote them, each once."""
    mass: float | None = None
    """P(any of the labels) in [0, 1]; None where the server does not tell."""


def predicate_answer(p_yes: Any) -> Answer:
    """Read P(yes). Raises `UnreadableError`, as all here do."""
    p = _probability(p_yes, "the probability")
    return Answer((p, 1.0 - p), (p,))


def noul_answer(noul: Any, listed: Any, mass: float | None) -> Answer:
    """Read P(yes); where the answer also lists yes and no, these must say the same."""
    p = _probability(noul, "noul")
    if listed is not None:
        if not isinstance(listed, dict) or listed.keys() != {"yes", "no"}:
            raise UnreadableError("the probabilities are not those of yes and no")
        p_yes, p_no = (_probability(listed[label], f"P({label})") for label in ("yes", "no"))
        if max(abs(p_yes - p), abs(p_yes + p_no - 1)) > 2 * _HALF + _FLOAT32:
            raise UnreadableError(
                f"noul is {p:g}, and the probabilities of yes and no are {p_yes:g} and {p_no:g}"
            )
    return Answer((p, 1.0 - p), (p,), mass)


def choice_answer(
    pairs: Sequence[tuple[Any, Any]], chosen: Any, labels: Sequence[str], mass: float | None = None
) -> Answer:
    """Read the probability of each label from pairs of a value and a number.

    Every label has to be there once, and nothing else; they have to sum to 1, as far as rounding
    to two decimals lets them; and none may be clearly likelier than the one that was chosen.
    """
    values = [value for value, _ in pairs]
    if len(values) != len(labels) or any(values.count(label) != 1 for label in labels):
        shown = cut(repr(values), _SHOWN)
        raise UnreadableError(f"the answer gives probabilities of {shown}, not of {labels!r}")
    by_value = {value: _probability(number, f"P({value})") for value, number in pairs}
    told = tuple(by_value[label] for label in labels)
    total = sum(told)
    if abs(total - 1) > len(labels) * _HALF + _FLOAT32:
        raise UnreadableError(f"the probabilities of the choices sum to {total:g}, not to 1")
    if not isinstance(chosen, str) or chosen not in by_value:
        raise UnreadableError(f"the choice is {cut(repr(chosen), _SHOWN)}, which is no label")
    if max(told) - by_value[chosen] > 2 * _HALF + _FLOAT32:
        raise UnreadableError(
            f"the choice is {chosen!r} with {by_value[chosen]:g}, and another label has "
            f"{max(told):g}"
        )
    return Answer(tuple(p / total for p in told), told, mass)


def mass_of(diagnostics: Any) -> float | None:
    """Read the label mass of one answer; None where the server does not tell."""
    if not isinstance(diagnostics, dict) or "label_mass" not in diagnostics:
        return None
    # Sums of float32 numbers may end a little above 1.
    number = diagnostics["label_mass"]
    slightly_more = isinstance(number, float) and 1 < number <= 1 + _FLOAT32
    return 1.0 if slightly_more else _probability(number, "the label mass")


def _probability(number: Any, what: str) -> float:
    """A number in [0, 1]; JSON's whole numbers may be of any size, and Python's are bools too."""
    try:
        p = float(number) if type(number) in {int, float} else math.nan
    except OverflowError:
        p = math.nan
    if not 0.0 <= p <= 1.0:
        raise UnreadableError(f"{what} is {cut(repr(number), _SHOWN)}, which is no probability")
    return p
