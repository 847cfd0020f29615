"""A language model by script: what it replies to the compiler, rule by rule, good or bad.

It reads what it is asked (the instruction, the rule, how often it was told to try again) and has
no memory, so the order of requests changes nothing and a run that is killed can go on.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loopback import texts_of

from safejudge.compile import prompts
from safejudge.compile.combine import combine
from safejudge.compile.prose import read_back
from safejudge.types import Precondition

if TYPE_CHECKING:
    from collections.abc import Callable

Tree = tuple[tuple[str, ...], str]
"""Statements, each "statement / look_at", and how they combine."""


@dataclass(frozen=True)
class Part:
    """How the model behaves about one rule."""

    wordings: tuple[tuple[str, int], ...]
    """The rule's text and its score, then what it is rewritten to; the last is repeated."""
    trees: tuple[Tree, ...]
    """What it is split into, at first and after each repair; the last is repeated."""
    readings: tuple[tuple[str, str], ...] = ()
    """What a second reader says of each tree; `same` if nothing is given."""
    faithful: tuple[tuple[str, tuple[str, str]], ...] = ()
    """The same of wordings."""


EXAMPLE = Part(
    ((prompts.EXAMPLE, 9),),
    ((("At least two dogs are visible / dog", "A dog shows its teeth / teeth"), "1 and 2"),),
)
"""What a model that can compile does with the example of its own instructions."""


@dataclass
class Script:
    """The model. `spoil` may give another reply: it takes the form's name and how often the
    model was told that its reply cannot be used. It passes the self-test, unless that has a part.
    """

    parts: tuple[Part, ...]
    spoil: Callable[[str, int], str | None] = lambda _form, _again: None
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Form and last turn of every request, less those of the self-test."""

    def __call__(self, body: dict[str, Any]) -> str:
        texts = texts_of(body)
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {})
        form = schema.get("title", "list")
        part = self._part("\n".join(texts[1:]))
        if part is not EXAMPLE:
            self.asked.append((form, texts[-1]))
            again = sum("cannot be used" in text for text in texts)
            reply = self.spoil(form, again)
            if reply is not None:
                return reply
        return json.dumps(getattr(self, form.lower())(part, texts)) if schema else "1. ..."

    def score(self, part: Part, texts: list[str]) -> dict[str, Any]:
        score = dict(part.wordings)[texts[1].removeprefix("Rule: ")]
        return {"explanation": f"worth {score}", "score": score}

    def wording(self, part: Part, texts: list[str]) -> dict[str, Any]:
        last = re.search("(?:Last wording|Rule): (.*)\nWhat is wrong", texts[1])
        assert last
        known = [wording for wording, _ in part.wordings]
        return {"objective": known[min(known.index(last[1]) + 1, len(known) - 1)]}

    def statement(self, part: Part, texts: list[str]) -> dict[str, Any]:
        statements, _ = self._tree(part, texts)
        asked = [t for t in texts if re.search(r"tatement (\d+) as JSON", t)]
        number = int(re.search(r"tatement (\d+) as JSON", asked[-1])[1])  # type: ignore[index]
        words, _, look_at = statements[number - 1].partition(" / ")
        return {"statement": words, "look_at": look_at, "more": number < len(statements)}

    def logic(self, part: Part, texts: list[str]) -> dict[str, Any]:
        return {"combined": self._tree(part, texts)[1]}

    def comparison(self, part: Part, texts: list[str]) -> dict[str, Any]:
        if "\nWording: " in texts[1]:
            wording = texts[1].split("\nWording: ")[1].splitlines()[0]
            verdict, difference = dict(part.faithful).get(wording, ("same", "nothing"))
            return {"difference": difference, "verdict": verdict}
        prose = texts[1].split("Second wording: ")[1]
        place = [_prose(tree) for tree in part.trees].index(prose)
        verdict, difference = [*part.readings, *[("same", "nothing")] * 9][place]
        return {"difference": difference, "verdict": verdict}

    def _tree(self, part: Part, texts: list[str]) -> Tree:
        """The tree after the one that the repair speaks of."""
        found = [re.search("say together: (.*)\n", text) for text in texts]
        repaired = [match[1] for match in found if match]
        if not repaired:
            return part.trees[0]
        known = [_prose(tree) for tree in part.trees]
        return part.trees[min(known.index(repaired[-1]) + 1, len(known) - 1)]

    def _part(self, text: str) -> Part:
        known = (*self.parts, EXAMPLE)
        return next(p for p in known if any(f": {w}" in text for w, _ in p.wordings))


def _prose(tree: Tree) -> str:
    statements, logic = tree
    words = [statement.split(" / ")[0].rstrip(".") for statement in statements]
    return read_back(combine(logic, [Precondition(statement=text) for text in words]))
