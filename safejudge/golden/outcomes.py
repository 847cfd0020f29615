"""What a judge said of examples, against what was expected of them.

Takes an example and a result; gives a `Check`. An example that is undecided or could not be read is
`open`: it is no pass, and no proof that something changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from safejudge.types import Failure

if TYPE_CHECKING:
    from safejudge.golden.examples import Example
    from safejudge.types import JSON, Judgment, Result

Status = Literal["as expected", "differs", "open"]

_EXPECTED = ("not_violated", "violated")
_LABELS = ("safe", "unsafe")
_PASSES = {True: ("violated",), False: ("not_violated", "not_relevant")}
"""By what is expected, the outcomes of a rule that fulfil it."""


@dataclass(frozen=True, slots=True)
class Miss:
    """One expectation that was not met."""

    rule: str | None
    """Id of the rule; None: the label of the image."""
    expected: str
    """What should have come out."""
    found: str
    """What did."""
    score: float | None
    """How strongly, in [0, 1]."""
    open: bool
    """Whether nothing was settled, so that it is neither met nor missed."""
    note: str = ""
    """Why nothing was."""


@dataclass(frozen=True, slots=True)
class Check:
    """One example, judged."""

    example: Example
    result: Result
    misses: tuple[Miss, ...]
    """Expectations that were not met; none where all were."""

    @property
    def status(self) -> Status:
        """What the example comes to: `differs` where one expectation is missed for certain."""
        if not self.misses:
            return "as expected"
        return "open" if all(miss.open for miss in self.misses) else "differs"

    def record(self) -> JSON:
        """Make a line of JSON of it, without the trace."""
        expected: JSON = {
            rule: _EXPECTED[violated] for rule, violated in self.example.violated.items()
        }
        if self.example.unsafe is not None:
            expected["label"] = _LABELS[self.example.unsafe]
        return {
            "image": self.example.name,
            "where": list(self.example.where),
            "status": self.status,
            "expected": expected,
            "missed": [
                {"rule": miss.rule, "expected": miss.expected, "found": miss.found,
                 "score": miss.score}
                for miss in self.misses
            ],
        }  # fmt: skip


def check(example: Example, result: Result) -> Check:
    """Hold one result against its example."""
    if isinstance(result, Failure):
        wanted = [(rule, _EXPECTED[violated]) for rule, violated in example.violated.items()]
        wanted = wanted or [("", _LABELS[bool(example.unsafe)])]
        note = f"{result.reason}: {result.message}"
        misses = [Miss(rule or None, word, "failed", None, True, note) for rule, word in wanted[:1]]
        return Check(example, result, tuple(misses))
    misses = [*_of_rules(example, result)]
    if example.unsafe is not None and not misses:
        misses += _of_label(example.unsafe, result)
    return Check(example, result, tuple(misses))


def _of_rules(example: Example, judgment: Judgment) -> list[Miss]:
    misses = []
    unseen = [cause for cause in judgment.undecided_by if cause != "rules"]
    for rule, violated in example.violated.items():
        verdict = judgment.rules[rule]
        settled = verdict.outcome != "undecided"
        if verdict.outcome in _PASSES[violated] and (violated or not unseen):
            continue
        is_open = not settled or (verdict.outcome in _PASSES[violated])
        note = f"not looked at whole: {', '.join(unseen)}" if settled and is_open else ""
        expected = _EXPECTED[violated]
        misses.append(Miss(rule, expected, verdict.outcome, verdict.score, is_open, note))
    return misses


def _of_label(unsafe: bool, judgment: Judgment) -> list[Miss]:
    expected = _LABELS[unsafe]
    if judgment.label == expected:
        return []
    undecided = judgment.label == "undecided"
    return [Miss(None, expected, judgment.label, judgment.score, undecided)]
