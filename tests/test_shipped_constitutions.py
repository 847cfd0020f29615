"""The constitutions that come with the package: whether they say what they promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from safejudge.constitution.lint.findings import lint
from safejudge.constitution.load import (
    dump_constitution,
    load_constitution,
    shipped_constitutions,
)
from safejudge.constitution.schema import parse
from safejudge.method.regions import words_of
from safejudge.types import AllOf, AnyOf, NoneOf, Precondition, leaves

VAGUE = "sketch-vague"
"""Vague on purpose: what it says is no model of wording."""
WRITTEN = [name for name in shipped_constitutions() if not name.startswith("sketch")]
RULES = [
    pytest.param(rule, id=f"{name}-{rule.id}")
    for name in shipped_constitutions()
    if name != VAGUE
    for rule in load_constitution(name).rules
]
LINKS = {"a", "an", "and", "either", "or", "the", "unless", "except"}
"""Words of an objective that its tree says by its shape."""


def words_in(text):
    return {word.strip(".,;") for word in text.lower().split()}


def operators(condition):
    """Yield every operator of a tree."""
    match condition:
        case AllOf(all=parts) | AnyOf(any=parts) | NoneOf(none=parts):
            yield condition
            for part in parts:
                yield from operators(part)


def has(rule, kind):
    return any(isinstance(operator, kind) for operator in operators(rule.condition))


def test_these_are_shipped():
    wanted = "advertising construction_site default llavaguard mjbench_safety osbench unsafebench"
    assert set(wanted.split()) <= set(WRITTEN)


@pytest.mark.parametrize("name", shipped_constitutions())
def test_loads_lints_clean_and_reads_back_equal(name):
    constitution = load_constitution(name)
    assert constitution.name == name
    assert constitution.description
    assert (
        parse(dump_constitution(constitution).encode())[0].model_dump() == constitution.model_dump()
    )
    findings = lint(name)
    assert all(finding.level == "warning" for finding in findings)
    assert findings == [] or name == VAGUE


@pytest.mark.parametrize(
    ("name", "rules", "categories"),
    [("osbench", 14, None), ("llavaguard", None, 9), ("unsafebench", None, 11)],
)
def test_taxonomies_are_complete(name, rules, categories):
    constitution = load_constitution(name)
    assert rules in {None, len(constitution.rules)}
    assert categories in {None, len({rule.category for rule in constitution.rules})}


def test_llavaguard_goes_from_o1_to_o9():
    numbers = [rule.category.split()[0] for rule in load_constitution("llavaguard").rules]
    assert list(dict.fromkeys(numbers)) == [f"O{number}" for number in range(1, 10)]


@pytest.mark.parametrize("name", WRITTEN)
def test_sources_are_named_and_limits_said(name):
    text = (Path(__file__).parent.parent / "constitutions" / f"{name}.yaml").read_text()
    head = " ".join(text[: text.index("\nname:")].replace("\n#", " ").split())
    assert "arXiv" in head
    assert " ours" in head
    if any("sexual" in key for rule in load_constitution(name).rules for key in rule.moderation):
        assert "no detector of child sexual abuse material" in head


@pytest.mark.parametrize("rule", RULES)
def test_exceptions_are_in_objective_and_tree(rule):
    assert bool({"unless", "except"} & words_in(rule.objective)) == has(rule, NoneOf)


@pytest.mark.parametrize("rule", RULES)
def test_alternatives_are_in_objective_and_tree(rule):
    # An exception with several parts is an alternative too: unless A or B.
    several = any(isinstance(o, NoneOf) and len(o.none) > 1 for o in operators(rule.condition))
    assert ("or" in words_in(rule.objective)) == (has(rule, AnyOf) or several)


@pytest.mark.parametrize("rule", RULES)
def test_objective_and_leaves_have_the_same_words(rule):
    said = set().union(*(words_in(leaf.statement) for leaf in leaves(rule.condition)))
    assert words_in(rule.objective) - LINKS == said - LINKS


@pytest.mark.parametrize("rule", RULES)
def test_leaves_are_single_facts(rule):
    for leaf in leaves(rule.condition):
        assert leaf.statement[0].islower()
        assert not {"and", "or"} & words_in(leaf.statement)
        assert not leaf.statement.endswith(".")
        for words in words_of(leaf.look_at or "scene"):
            assert 1 <= len(words.split()) <= 3


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_fits_a_relevance_encoder(rule):
    # 77 tokens of CLIP hold about 45 words.
    assert len((rule.relevance or rule.objective).split()) <= (25 if rule.relevance else 45)


@pytest.mark.parametrize("name", shipped_constitutions())
def test_the_same_fact_is_the_same_question(name):
    """A statement has one `look_at`, or it would be asked twice."""
    asked: dict[str, Precondition] = {}
    for rule in load_constitution(name).rules:
        for leaf in leaves(rule.condition):
            assert asked.setdefault(leaf.statement, leaf) == leaf
