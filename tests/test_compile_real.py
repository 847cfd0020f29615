"""The benchmark of the compiler: a model that knows our rules reaches them, and damage shows."""

from __future__ import annotations

import json
import re

import pytest
from compile_real import STARTS, compare, compiled, lines_of, self_test, summary, text_of
from mutations import damaged, shipped

from safejudge.compile import prompts
from safejudge.constitution.lint.rewording import loses_rule
from safejudge.engines.fake import FakeEngine
from safejudge.types import AllOf, AnyOf, NoneOf, Precondition, leaves

RULES = [rule for _, rule in shipped()]
DIFFERENT = list({rule.text: rule for rule in RULES}.values())
"""Some texts ship twice, with conditions of their own; a model cannot know which is meant."""


def logic(condition, numbers):
    """How numbered statements combine; the numbers are used up in listed order."""
    match condition:
        case Precondition():
            return str(next(numbers))
        case AllOf(all=parts):
            return f"({' and '.join(logic(part, numbers) for part in parts)})"
        case AnyOf(any=parts):
            return f"({' or '.join(logic(part, numbers) for part in parts)})"
        case NoneOf(none=parts):
            return f"not ({' or '.join(logic(part, numbers) for part in parts)})"


def numbered(condition):
    """Different statements of a condition, and its logic over their numbers."""
    listed = list(leaves(condition))
    unique = list(dict.fromkeys(listed))
    numbers = iter([unique.index(leaf) + 1 for leaf in listed])
    text = logic(condition, numbers)
    return unique, text.removeprefix("(").removesuffix(")") if text.count("(") == 1 else text


class Oracle(FakeEngine):
    """Replies to the compiler with what people made of the shipped rules."""

    def __init__(self, damage=lambda condition: condition):
        super().__init__()
        self.damage = damage
        self.rules = {words: rule for rule in DIFFERENT for words in (rule.text, rule.objective)}

    def reason(self, requests):
        return [self.reply(request) for request in requests]

    def reply(self, request):
        texts = [message.text for message in request.messages]
        first = texts[0].removeprefix("Rule: ").split("\n")[0]
        if request.schema is None:
            return "1. a list"
        if request.schema is prompts.Score:
            seen = any(rule.objective == first for rule in RULES)
            return json.dumps({"explanation": "so", "score": 9 if seen else 3})
        if request.schema is prompts.Comparison:
            return json.dumps({"difference": "nothing", "verdict": "same"})
        if first == prompts.EXAMPLE:
            unique = [Precondition(statement="at least two dogs are visible"),
                      Precondition(statement="a dog shows its teeth")]  # fmt: skip
            combined = "1 and 2"
        else:
            rule = self.rules[first]
            if request.schema is prompts.Wording:
                return json.dumps({"objective": rule.objective})
            unique, combined = numbered(self.damage(rule.condition))
        if request.schema is prompts.Logic:
            return json.dumps({"combined": combined})
        asked = [int(number) for text in texts
                 for number in re.findall(r"tatement (\d+) as JSON", text)]  # fmt: skip
        leaf = unique[asked[-1] - 1]
        more = asked[-1] < len(unique)
        return json.dumps(
            {"statement": leaf.statement, "look_at": leaf.look_at or "", "more": more}
        )


@pytest.mark.parametrize("start", STARTS)
def test_what_people_made_of_a_rule_means_the_same(start):
    rows = compiled(DIFFERENT[::3], start, Oracle())
    assert [row["meaning"] for row in rows] == ["equal"] * len(rows)
    assert not any(row["lost"] or row["added"] for row in rows)
    reviewed = sum(row["state"] == "review" for row in rows)
    if start == "objective":
        assert not reviewed
    else:
        assert reviewed > len(rows) / 2
    assert summary(start, rows, 109)[0][1] == f"{len(rows)} of 109"


def test_how_many_of_our_wordings_share_no_word_with_their_rule():
    assert sum(loses_rule(rule.text, rule.objective) for rule in RULES) == 37


def test_a_damaged_tree_is_never_left_without_review():
    def without_exceptions(condition):
        if isinstance(condition, AllOf):
            parts = tuple(part for part in condition.all if not isinstance(part, NoneOf))
            return parts[0] if len(parts) == 1 else AllOf(all=parts)
        return condition

    rules = [rule for rule in DIFFERENT if without_exceptions(rule.condition) != rule.condition]
    rows = compiled(rules[:12], "objective", Oracle(without_exceptions))
    assert {row["state"] for row in rows} == {"review"}
    assert all(row["lost"] for row in rows)


def test_another_logic_means_something_else():
    """Dropping a statement leaves one without a partner; all other damage is in the table."""
    meanings = {
        (kind, compare(rule.condition, mutant).meaning)
        for rule in RULES[::3]
        for kind, mutant in damaged(rule.condition)
        if mutant is not None and mutant != rule.condition and "word" not in kind
    }
    assert ("any turned into all", "weaker") in meanings
    assert ("all turned into any", "stricter") in meanings
    assert {meaning for kind, meaning in meanings if "dropped" in kind} == {"no table"}
    assert {m for kind, m in meanings if kind == "exception deleted"} == {"no table"}
    assert not any(meaning == "equal" for _, meaning in meanings)


@pytest.mark.parametrize(
    ("theirs", "meaning"),
    [
        ("a child holds a gun", "equal"),
        ("the child is holding the gun", "equal"),
        ("two children are holding a gun", "no table"),  # it counts
        ("a gun is behind a child", "no table"),  # it relates
        ("a dog is visible", "no table"),
    ],
)
def test_statements_that_say_the_same(theirs, meaning):
    ours = Precondition(statement="a child is holding a gun")
    assert compare(ours, Precondition(statement=theirs)).meaning == meaning


def test_the_record_says_how_much_there_is_and_what_nobody_would_look_at():
    rows = compiled(DIFFERENT[:3], "objective", Oracle())
    text = text_of({"text": [], "objective": rows}, 109, self_test(Oracle()))
    assert "| objective | 3 of 109 | 3 | 0 | 0 |" in text
    assert "| text | 0 of 109 | 0 | 0 | 0 |" in text
    assert "begins with: passed" in text
    assert "weaker than ours by the table: 0; without a word of the rule: 0" in text
    assert len(list(lines_of(rows))) == 3
