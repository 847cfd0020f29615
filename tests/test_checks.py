"""The checks of a rule: one list, which lint and the compiler both run."""

import pytest

from safejudge.constitution.lint import checks
from safejudge.constitution.lint.checks import (
    CHECKS,
    Check,
    Fault,
    RuleForm,
    doubled_rules,
    faults,
    repairable_faults,
)
from safejudge.constitution.lint.english import looks_english
from safejudge.constitution.lint.findings import lint
from safejudge.constitution.load import load_constitution, shipped_constitutions
from safejudge.types import AllOf, AnyOf, NoneOf, Precondition

DOG, KNIFE = Precondition(statement="a dog is visible"), Precondition(statement="a knife lies")
FLAWED = {
    "blank_picture": NoneOf(none=(DOG,)),
    "incoherent_condition": AllOf(all=(DOG, NoneOf(none=(DOG,)))),
    "repeated": AllOf(all=(DOG, AnyOf(any=(DOG, KNIFE)), KNIFE)),
    "malformed_statement": Precondition(statement="a dog is not on a leash"),
    "two_in_one": Precondition(statement="a dog is visible and a knife is visible"),
}
RULE = """\
name: test
rules:
  - id: rule
    category: test
    severity: low
    text: No dogs.
    objective: {objective}
    condition: {condition}
"""


def written(condition):
    """A condition as a file holds it."""
    match condition:
        case Precondition(statement=statement):
            return f'"{statement}"'
        case AllOf(all=parts):
            return f"{{all: [{', '.join(map(written, parts))}]}}"
        case AnyOf(any=parts):
            return f"{{any: [{', '.join(map(written, parts))}]}}"
        case NoneOf(none=parts):
            return f"{{none: [{', '.join(map(written, parts))}]}}"


def linted(tmp_path, objective, condition):
    file = tmp_path / "rules.yaml"
    file.write_text(RULE.format(objective=objective, condition=written(condition)))
    return [finding.problem.removeprefix("rule `rule`: ") for finding in lint(file)]


@pytest.mark.parametrize("condition", FLAWED.values(), ids=FLAWED)
def test_what_the_compiler_repairs_lint_warns_of(tmp_path, condition):
    found = repairable_faults(RuleForm("A dog is visible.", condition, "logic"))
    assert found
    assert [fault.sentence() for fault in found] == linted(tmp_path, "A dog is visible.", condition)


def test_what_is_vague_in_the_rules_own_words_no_other_tree_mends(tmp_path):
    objective = "Many dogs are visible."
    condition = Precondition(statement="many dogs are visible")
    form = RuleForm(objective, condition, "words")
    assert repairable_faults(form) == []
    assert [fault.path for fault in faults(form)] == [("objective",), ("condition", "statement")]
    assert len(linted(tmp_path, objective, condition)) == 2


def test_only_what_a_model_wrote_has_to_repeat_the_words(tmp_path):
    objective, condition = "A dog bites.", Precondition(statement="a hound bites")
    assert [fault.problem for fault in faults(RuleForm(objective, condition, "words"))]
    assert faults(RuleForm(objective, condition, "logic")) == []
    assert linted(tmp_path, objective, condition) == []


def test_a_check_is_one_row(tmp_path, monkeypatch):
    """A newcomer's check: a function, and a row; lint and the compiler both run it."""

    def shouting(form):
        if form.objective.isupper():
            yield Fault(("objective",), form.objective, "shouts", "small letters")

    monkeypatch.setattr(checks, "CHECKS", (*CHECKS, Check(shouting, repairable=True)))
    form = RuleForm("A DOG IS VISIBLE.", DOG, "none")
    assert [fault.problem for fault in repairable_faults(form)] == ["shouts"]
    assert linted(tmp_path, "A DOG IS VISIBLE.", DOG) == ["`A DOG IS VISIBLE.` shouts"]


def test_faults_of_shipped_rules_stand_at_places_that_exist():
    for rule in load_constitution("sketch-vague").rules:
        for fault in faults(RuleForm(rule.objective, rule.condition, "words")):
            assert fault.path[0] in {"objective", "condition"}
            assert fault.instead


def test_a_condition_of_two_rules_is_told_of_the_second():
    rule = load_constitution("sketch").rules[0]
    rules = [rule, rule.model_copy(update={"id": "other"})]
    ((index, fault),) = doubled_rules(rules)
    assert index == 1
    assert rule.id in fault.problem


@pytest.mark.parametrize(
    ("objective", "condition", "parts"),
    [
        ("Ein Mann h\u00e4lt ein Messer in der Hand.", "a person holds a knife", ["objective"]),
        ("A person is holding a knife.", "eine Person h\u00e4lt ein Messer", ["condition"]),
        ("Una persona sostiene un cuchillo.", "una persona sostiene un cuchillo",
         ["objective", "condition"]),
        ("Osoba trzyma n\u00f3\u017c w r\u0119ku.", "osoba trzyma n\u00f3\u017c w r\u0119ku",
         ["objective", "condition"]),
        ("\u4eba\u304c\u30ca\u30a4\u30d5\u3092\u6301\u3064", "a knife is visible", ["objective"]),
        ("A person is holding a knife.", "a person is holding a knife", []),
        ("Blood.", "blood", []),
    ],
)  # fmt: skip
def test_rules_that_are_not_in_english_are_told(tmp_path, objective, condition, parts):
    file = tmp_path / "rules.yaml"
    file.write_text(RULE.format(objective=objective, condition=condition), encoding="utf-8")
    found = [finding for finding in lint(file) if "not in English" in finding.problem]
    for part, finding in zip(parts, found, strict=True):
        assert f"its {part} is" in finding.problem
        assert finding.level == "warning"


@pytest.mark.parametrize("name", shipped_constitutions())
def test_no_shipped_rule_is_taken_for_another_language(name):
    for rule in load_constitution(name).rules:
        assert looks_english(rule.text)
        assert looks_english(rule.objective)
