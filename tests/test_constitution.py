"""Constitutions: finding and loading them, advice, and round trips."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safejudge.constitution.lint.findings import lint
from safejudge.constitution.load import (
    dump_constitution,
    load_constitution,
    shipped_constitutions,
)
from safejudge.constitution.schema import MAX_TREE, parse
from safejudge.errors import ConstitutionError
from safejudge.types import AllOf, AnyOf, Constitution, NoneOf, Precondition, Rule, Severity

ROOT = Path(__file__).parent.parent

RULE = """\
  - id: fire_2
    category: fire
    severity: low
    text: No fires.
    objective: There is fire.
"""
VALID = f"name: street\nrules:\n{RULE}    condition: fire is visible\n"


def conditioned(*lines):
    """Return VALID with another condition; `condition:` is line 8, its first line 9."""
    body = "".join(f"      {line}\n" for line in lines)
    return f"name: street\nrules:\n{RULE}    condition:\n{body}"


def test_loads_by_path_of_either_kind(tmp_path):
    path = tmp_path / "street.yaml"
    path.write_text(VALID)
    loaded = load_constitution(path)
    assert loaded.rules[0].condition == Precondition(statement="fire is visible")
    assert load_constitution(str(path)) == loaded
    assert lint(path) == []


def test_the_exception_has_the_first_problem_and_lists_the_others(tmp_path):
    path = tmp_path / "bad.yml"
    path.write_text(VALID.replace("low", "hihg").replace("fire_2", "010"))
    with pytest.raises(ConstitutionError) as caught:
        load_constitution(str(path))
    error = caught.value
    assert (error.file, error.line) == (str(path), 3)
    assert "010" in error.problem
    assert "`id: rule-010`" in error.instead
    assert str(error).startswith(f"{path}:3: ")
    assert "and 1 more problem:" in str(error)
    assert "line 5: rule `010`: `severity` is `hihg`" in str(error)


def nested(depth):
    condition = Precondition(statement="a person is visible")
    for level in range(depth):
        condition = AllOf(all=(condition,)) if level % 2 else AnyOf(any=(condition,))
    return Constitution(name="deep", rules=(rule_of(condition),))


def rule_of(condition):
    return Rule(
        id="r", category="c", severity=Severity.LOW, text="t", objective="o", condition=condition
    )


def test_trees_have_a_greatest_depth():
    deep = nested(MAX_TREE)
    assert parse(dump_constitution(deep).encode())[0].model_dump() == deep.model_dump()
    with pytest.raises(ConstitutionError, match="nested deeper than 8"):
        dump_constitution(nested(MAX_TREE + 1))


# --- files and names ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_files_that_are_not_there(tmp_path, name):
    with pytest.raises(ConstitutionError, match="no file of this name"):
        load_constitution(tmp_path / f"missing{name}.yaml")
    with pytest.raises(ConstitutionError, match="no file of this name"):
        load_constitution(tmp_path)
    (finding,) = lint(tmp_path / "missing.yaml")
    assert (finding.line, finding.level) == (None, "error")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ConstitutionError):
        load_constitution(tmp_path / "pipe.yaml")


def test_an_unknown_name_lists_those_there_are_nearest_first():
    with pytest.raises(ConstitutionError) as caught:
        load_constitution("sketsh")
    assert "one of: sketch" in caught.value.instead
    assert "`./sketsh.yaml`" in caught.value.instead
    assert all(name in caught.value.instead for name in shipped_constitutions())
    with pytest.raises(ConstitutionError, match="no file of this name"):
        load_constitution("../constitutions/sketsh")


@pytest.mark.parametrize("name", shipped_constitutions())
def test_what_ships_loads_and_lints_clean(name):
    vague = name == "sketch-vague"  # on purpose, in every rule
    assert all(vague and "about which people disagree" in found.problem for found in lint(name))
    loaded = load_constitution(name)
    assert loaded == load_constitution(ROOT / "constitutions" / f"{name}.yaml")
    assert parse(dump_constitution(loaded).encode())[0].model_dump() == loaded.model_dump()


@pytest.mark.parametrize("name", shipped_constitutions())
def test_another_process_knows_it_by_the_same_digest(name):
    loaded = load_constitution(name)
    assert pickle.loads(pickle.dumps(loaded)).digest() == loaded.digest()  # noqa: S301 - our own


def test_the_wheel_lists_every_package():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {path.parent for path in (ROOT / "safejudge").rglob("*.py")}
    packages = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert set(setuptools["packages"]) == packages | {"safejudge.constitutions"}
    assert setuptools["package-dir"] == {"safejudge.constitutions": "constitutions"}
    patterns = setuptools["package-data"]["safejudge.constitutions"]
    shipped = {path for pattern in patterns for path in (ROOT / "constitutions").glob(pattern)}
    files = {path for path in (ROOT / "constitutions").rglob("*") if path.is_file()}
    assert shipped == {path for path in files if path.suffix != ".md"}


@pytest.mark.parametrize("where", ["safejudge/constitutions", "constitutions"])
def test_found_in_a_wheel_and_in_a_bare_checkout(tmp_path, where):
    only_code = shutil.ignore_patterns("__pycache__", "*.safetensors")
    shutil.copytree(ROOT / "safejudge", tmp_path / "safejudge", ignore=only_code)
    shutil.copytree(ROOT / "constitutions", tmp_path / where)
    code = (
        "import safejudge.constitution.load as c; print(c.__file__, *c.shipped_constitutions());"
        "c.load_constitution('sketch')"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    file, *names = run.stdout.split()
    assert Path(file).is_relative_to(tmp_path)
    assert names == shipped_constitutions()


# --- advice -------------------------------------------------------------------------------------


def advice_for(tmp_path, *lines):
    path = tmp_path / "advice.yaml"
    path.write_text(conditioned(*lines))
    assert load_constitution(path).rules
    findings = lint(path)
    assert all(finding.level == "warning" and finding.instead for finding in findings)
    return [(finding.line, finding.problem) for finding in findings]


@pytest.mark.parametrize(
    ("lines", "line", "says"),
    [
        (["none:", "  - a dog is visible"], 8, "shows nothing at all"),
        (["any:", "  - a dog is visible", "  - none: [a cat is visible]"], 8, "nothing at all"),
        (["all:", "  - a dog is visible", "  - A dog  is visible"], 10, "more than once"),
        (["any:", "  - a dog is visible", "  - any: [a dog is visible]"], 10, "more than once"),
        (["all:", "  - a dog is visible", "  - none: [a dog is visible]"], 11, "its exception"),
        (["any:", "  - a dog is visible", "  - none: [a dog is visible]"], 8, "always met"),
        (
            ["any:", "  - a", "  - all:", "    - b", "    - none:", "      - c", "      - b"],
            15,
            "`b`",
        ),
        (["all:", "  - a dog is visible", "  - is a cat visible?"], 11, "a question"),
        (["any:", "  - a dog is visible", "  - No cat is visible"], 11, "negative"),
        (["statement: there is no dog"], 9, "negative"),
        (["any:", "  - a dog is visible", "  - statement: many cats are visible"], 11, "`many`"),
        (["all: [a, b,", "  many cats are visible]"], 10, "`many`"),
    ],
)
def test_advice(tmp_path, lines, line, says):
    ((at, problem),) = advice_for(tmp_path, *lines)
    assert at == line
    assert says in problem


@pytest.mark.parametrize(
    "lines",
    [
        ["all:", "  - a dog is visible", "  - none: [a cat is visible]"],
        ["any:", "  - all: [a dog is visible, a cat is visible]", "  - all: [a dog is visible]"],
        ["a no-entry sign is visible"],
        ["notes are visible"],
    ],
)
def test_no_advice(tmp_path, lines):
    assert advice_for(tmp_path, *lines) == []


def test_objectives_are_read_too(tmp_path):
    path = tmp_path / "vague.yaml"
    path.write_text(VALID.replace("There is fire.", "There is\n      a large fire near somebody."))
    (finding,) = lint(path)
    assert (finding.line, finding.level) == (7, "warning")
    said = "`There is a large fire near somebody.` says `large` and `near`"
    assert finding.problem.startswith(f"rule `fire_2`: {said}")
    assert finding.instead.startswith("a size beside something visible")


def test_equal_conditions_are_pointed_out(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text(VALID + VALID[VALID.index("  - id") :].replace("fire_2", "smoke"))
    (finding,) = lint(path)
    assert "rule `smoke`: its condition is that of rule `fire_2`" in finding.problem


# --- properties ---------------------------------------------------------------------------------

TRICKY = (
    "no off 010 12:30:45 1e3 null ~ 2024-01-01 << = - ? : # , & * ! | > % @ ` --- ... a: b: a:b #c "
    "&d *e !f {g [h 'i' \" %YAML \\n \u00e9 \u200d \U0001f469 = 0x1f .5 y"
)
PLAIN = st.text(
    st.characters(exclude_categories=("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")), min_size=1, max_size=12
)
TEXTS = (
    st.lists(st.sampled_from(TRICKY.split()) | PLAIN, min_size=1, max_size=5)
    .map(lambda words: " ".join(" ".join(words).split()))
    .filter(bool)
)
IDS = st.from_regex(r"[a-z][a-z0-9]{0,5}([-_][a-z0-9]{1,4}){0,2}", fullmatch=True)


def conditions(depth):
    leaf = st.builds(Precondition, statement=TEXTS, look_at=st.none() | TEXTS)
    if depth == 0:
        return leaf
    parts = st.lists(conditions(depth - 1), min_size=1, max_size=3).map(tuple)
    return (
        leaf
        | st.builds(AllOf, all=parts)
        | st.builds(AnyOf, any=parts)
        | st.builds(NoneOf, none=parts)
    )


RULES = st.builds(
    Rule,
    id=IDS,
    category=TEXTS,
    severity=st.sampled_from(Severity),
    text=TEXTS,
    objective=TEXTS,
    condition=conditions(2),
)
CONSTITUTIONS = st.builds(
    Constitution,
    name=TEXTS,
    description=st.just("") | TEXTS,
    rules=st.lists(RULES, min_size=1, max_size=3, unique_by=lambda rule: rule.id).map(tuple),
)


@settings(max_examples=150, deadline=None)
@given(CONSTITUTIONS)
def test_what_is_written_reads_back_equal(constitution):
    again, _, findings = parse(dump_constitution(constitution).encode())
    assert findings == []
    assert again.model_dump() == constitution.model_dump()


@pytest.mark.parametrize("text", ["", "a  b", "a\nb", " a", "a\x00", "\ud800", "\u202ea"])
def test_what_would_not_read_back_is_not_written(text):
    rule = rule_of(Precondition(statement=text))
    with pytest.raises(ConstitutionError):
        dump_constitution(Constitution(name="n", rules=(rule,)))


@settings(max_examples=150, deadline=None)
@given(raw=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode()))
def test_noise_is_refused(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "noise.yaml"
    path.write_bytes(raw)
    with pytest.raises(ConstitutionError):
        load_constitution(path)
    assert lint(path)
