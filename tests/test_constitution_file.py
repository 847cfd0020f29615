"""Constitution files: what is read, and what is refused at which line with what advice."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safejudge.constitution.lint.findings import lint
from safejudge.constitution.load import load_constitution
from safejudge.constitution.schema import parse
from safejudge.errors import ConstitutionError
from safejudge.types import AllOf, AnyOf, NoneOf, Precondition, Severity

VALID = """\
name: street
description: >
  Two rules
  about streets.
rules:
  - id: armed-child
    category: weapons
    severity: high
    text: >
      No kids   with
      weapons.
    objective: A child is holding a knife or a gun.
    condition:
      all:
        - statement: a child is visible
          look_at: child
        - any:
            - a knife is visible
            - statement: a gun is visible
        - none:
            - the gun is a toy
  - id: fire_2
    category: fire
    severity: low
    text: "no"
    objective: There is fire.
    condition: fire is visible
"""
LINES = VALID.splitlines()


def edited(line, *texts):
    """Return VALID with one line (1-based) replaced; the indent is that of the line."""
    indent = LINES[line - 1][: len(LINES[line - 1]) - len(LINES[line - 1].lstrip())]
    return "\n".join([*LINES[: line - 1], *(indent + text for text in texts), *LINES[line:]])


def errors_of(text):
    constitution, _, findings = parse(text.encode())
    assert (constitution is None) == bool(findings)
    return findings


def test_reads_every_part():
    loaded, _, findings = parse(VALID.encode())
    assert findings == []
    assert loaded.description == "Two rules about streets."
    rule = loaded.rules[0]
    assert (rule.id, rule.severity, rule.text) == (
        "armed-child",
        Severity.HIGH,
        "No kids with weapons.",
    )
    child, knife, gun, toy = (
        Precondition(statement="a child is visible", look_at="child"),
        Precondition(statement="a knife is visible"),
        Precondition(statement="a gun is visible"),
        Precondition(statement="the gun is a toy"),
    )
    assert rule.condition == AllOf(all=(child, AnyOf(any=(knife, gun)), NoneOf(none=(toy,))))
    assert loaded.rules[1].condition == Precondition(statement="fire is visible")
    assert loaded.rules[1].text == "no"


@pytest.mark.parametrize(
    ("text", "line", "problem", "instead"),
    [
        (edited(1, "nmae: street"), 1, "unknown key `nmae`", "`name:`"),
        (edited(7, "Category: weapons"), 7, "unknown key `Category`", "`category:`"),
        (edited(16, "lookat: child"), 16, "unknown key `lookat`", "`look_at:`"),
        (edited(17, "- or:"), 17, "unknown key `or`", "`any:`"),
        (edited(27, "any: [fire is visible]"), 27, "unknown key `any`", "`condition:`"),
        (edited(7, "category: a", "category: b"), 8, "twice (first on line 7)", "one of the two"),
        (edited(22, "- id: armed-child"), 22, "already stands on line 6", "an id of its own"),
        (edited(6, "- id: no"), 6, "YAML reads as false", 'in quotes: "no"'),
        (edited(6, "- id: off"), 6, "YAML reads as false", 'in quotes: "off"'),
        (edited(6, "- id: 010"), 6, "YAML reads as the number 8", "starts with a letter"),
        (edited(6, "- id: 12:30:45"), 6, "the number 45045", "`id: rule-12-30-45`"),
        (edited(6, "- id: 1e3"), 6, "number", "`id: rule-1e3`"),
        (edited(6, "- id: '1e3'"), 6, "no id", "`id: rule-1e3`"),
        (edited(6, "- id: null"), 6, "YAML reads as nothing", "`id:` and"),
        (edited(6, "- id:"), 6, "`id` has no value", "lower-case words"),
        (edited(6, "- id: Armed Child!"), 6, "no id", "`id: armed-child`"),
        (edited(6, "- id: [a]"), 6, "a list where text is expected", "lower-case words"),
        (edited(8, "severity: hihg"), 8, "`hihg`", "`severity: high`"),
        (edited(8, "severity: HIGH"), 8, "`HIGH`", "`severity: high`"),
        (edited(8, "severity: bad"), 8, "`bad`", "low, medium, high, critical"),
        (edited(8, "severity: {a: b}"), 8, "a mapping of keys where", "low, medium"),
        (edited(7, 'category: " "'), 7, "`category` is empty", "`category:`"),
        (edited(7, "category: [a, b]"), 7, "a list where text", "`category:`"),
        (edited(7, f"category: {'x' * 81}"), 7, "81 characters", "at most 80"),
        (edited(18, "- 2024-01-01"), 18, "a date", '"2024-01-01"'),
        (edited(18, "- off"), 18, "item 1 of `any`", '"off"'),
        (edited(18, "-"), 18, "has no value", "a sentence"),
        (edited(18, f"- {'x' * 301}"), 18, "301 characters", "at most 300"),
        (edited(18, "- ''"), 18, "is empty", "a sentence"),
        (edited(16, "look_at:"), 16, "`look_at` has no value", "leave it out"),
        (edited(27, "condition: [a, b]"), 27, "how its parts combine", "`all:`"),
        (edited(27, "condition: {all: []}"), 27, "`all` is an empty list", "`all:`"),
        (edited(27, "condition: {any: []}"), 27, "`any` is an empty list", "`any:`"),
        (edited(27, "condition: {none: []}"), 27, "`none` is an empty list", "`none:`"),
        (edited(27, "condition: {none: a}"), 27, "text where a list", "`none:`"),
        (edited(27, "condition: {}"), 27, "no `statement`, `all`", "`condition:`"),
        (edited(27, "condition: {look_at: a}"), 27, "no `statement`, `all`", "`condition:`"),
        (edited(27, "condition: {all: [a], any: [b]}"), 27, "`all` and `any`", "only one"),
        (edited(27, "condition: {statement: a, none: [b]}"), 27, "side by side", "only one"),
        (edited(27, "condition: {all: [a], look_at: b}"), 27, "beside an operator", "`statement`"),
        (edited(27, "condition: {statement: [a]}"), 27, "a list where text", "a sentence"),
        (edited(26, "nothing: here"), 26, "unknown key `nothing`", "one of these keys"),
        ("name: a\nrules: []", 2, "`rules` is an empty list", "- id:"),
        ("name: a\nrules:", 2, "`rules` has no value", "- id:"),
        ("name: a\nrules: b", 2, "text where a list is expected", "- id:"),
        ("name: a\nrules: [b]", 2, "text where a mapping of keys", "- id:"),
        ("rules: []", 1, "the file lacks `name`", "`name:`"),
        ("name: a\nname: b", 2, "twice", ""),
        ('name: "a\\u202eb"\nrules: []', 1, "hidden character U+202E", ""),
        ("", None, "empty", "`name:`"),
    ],
)
def test_refused_with_line_and_advice(text, line, problem, instead):
    found = [finding for finding in errors_of(text) if problem in finding.problem]
    assert found, errors_of(text)
    assert found[0].line == line
    assert found[0].level == "error"
    assert instead in found[0].instead
    assert all(finding.instead for finding in errors_of(text))


def test_all_missing_keys_are_named_once():
    (finding,) = errors_of("name: a\nrules:\n  - id: b\n    severity: low\n")
    assert finding.line == 3
    for key in ("category", "text"):
        assert f"`{key}`" in finding.problem
        assert f"`{key}:`" in finding.instead
    assert "`severity`" not in finding.problem


def test_a_condition_needs_its_objective_and_a_rule_may_lack_both():
    rule = "name: a\nrules:\n  - id: b\n    category: c\n    severity: low\n    text: d\n"
    draft, _, findings = parse(rule.encode())
    assert findings == []
    assert draft.rules[0].objective is draft.rules[0].condition is None
    (finding,) = errors_of(rule + "    condition: e\n")
    assert "lacks `objective`" in finding.problem
    draft, _, findings = parse((rule + "    objective: e\n").encode())
    assert findings == []
    assert draft.rules[0].objective == "e"


def test_a_misspelt_key_is_not_also_missing():
    (finding,) = errors_of(edited(12, "objectiv: There is a knife."))
    assert "unknown key `objectiv`" in finding.problem


def test_every_problem_is_found_in_the_order_of_lines():
    text = edited(8, "severity: hihg").replace("fire_2", "010").replace("a gun is visible", "off")
    found = errors_of(text)
    assert [finding.line for finding in found] == [8, 19, 22]
    assert "rule `armed-child`: `severity`" in found[0].problem


EDITS = st.tuples(
    st.sampled_from(["insert", "delete", "indent", "copy", "swap"]),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.sampled_from(
        [*"abz019 \t\n:-?[]{}&*!|>'\"%@`#,~=<.\\", "\x00", "\u202e", "\ud800", "---\n"]
    ),
)


def mutate(text, edits):
    for kind, first, second, piece in edits:
        at = first % (len(text) + 1)
        lines = text.split("\n")
        one, two = first % len(lines), second % len(lines)
        if kind == "insert":
            text = text[:at] + piece + text[at:]
        elif kind == "delete":
            text = text[:at] + text[at + second % 12 :]
        else:
            if kind == "indent":
                lines[one] = "  " + lines[one]
            elif kind == "copy":
                lines.insert(two, lines[one])
            else:
                lines[one], lines[two] = lines[two], lines[one]
            text = "\n".join(lines)
    return text


@settings(max_examples=300, deadline=None)
@given(st.lists(EDITS, min_size=1, max_size=6))
def test_a_spoilt_file_gives_a_constitution_or_findings_with_lines(edits):
    raw = mutate(VALID, edits).encode("utf-8", "surrogatepass")
    constitution, _, findings = parse(raw)
    assert (constitution is None) == bool(findings)
    for finding in findings:
        assert finding.line is None or 1 <= finding.line <= raw.count(b"\n") + 1
        assert finding.problem.isprintable()
        assert finding.instead.isprintable()
        assert finding.instead


CUT = """\
name: shop
rules:
  - id: open-blade  # an id
    category: weapons  # a heading
    severity: high  # why
    text: {text}
    objective: {objective}
    condition:
      all:
        - statement: {statement}
          look_at: {look_at}
"""
WHOLE = {
    "text": "No knives.", "objective": "A knife is visible.", "statement": "a knife is visible",
    "look_at": "knife  # the central object",
}  # fmt: skip
PLACES = {"text": 6, "objective": 7, "statement": 10, "look_at": 11}


@pytest.mark.parametrize("key", WHOLE)
def test_text_that_a_comment_would_cut_is_refused_with_its_line(tmp_path, key):
    file = tmp_path / "rules.yaml"
    file.write_text(CUT.format(**WHOLE | {key: "a jersey with #10 is visible"}))
    with pytest.raises(ConstitutionError, match="takes `#10 is visible` for a comment") as caught:
        load_constitution(file)
    assert caught.value.line == PLACES[key]
    (finding,) = lint(file)
    assert (finding.line, finding.level) == (PLACES[key], "error")


@pytest.mark.parametrize("key", ["text", "objective", "statement"])
def test_what_looks_like_a_comment_behind_text_is_a_warning(tmp_path, key):
    file = tmp_path / "rules.yaml"
    file.write_text(CUT.format(**WHOLE | {key: f"{WHOLE[key]}  # as people wrote it"}))
    with pytest.warns(UserWarning, match=rf"rules\.yaml:{PLACES[key]}: .*for a comment"):
        rules = load_constitution(file).rules
    assert rules[0].text == WHOLE["text"]
    (finding,) = lint(file)
    assert (finding.line, finding.level) == (PLACES[key], "warning")


def test_comments_behind_other_values_stay_legal(tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text("# a comment\n" + CUT.format(**WHOLE) + "# the end\n")
    assert lint(file) == []
    assert load_constitution(file).rules[0].condition.all[0].look_at == "knife"
