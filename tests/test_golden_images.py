"""Golden images: what a file may name, what counts as a pass, and which edit moved which."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from safejudge.cli import app as cli
from safejudge.cli.exits import CHANGED, DONE, INPUT, OPEN
from safejudge.constitution.diff import changes
from safejudge.constitution.load import load_constitution, read_source
from safejudge.engines.fake import FakeEngine
from safejudge.engines.models import Models
from safejudge.engines.open import open_engine
from safejudge.engines.wrapped import WrappedEngine
from safejudge.errors import ConstitutionError
from safejudge.golden.answers import default_path, kept
from safejudge.golden.examples import Example, lint_examples, load_examples, read_examples
from safejudge.golden.moves import moves
from safejudge.golden.outcomes import check
from safejudge.golden.single_edits import by_single_edits
from safejudge.judge import Judge
from safejudge.policy import Policy
from safejudge.types import (
    Failure,
    Judgment,
    Outcome,
    PreconditionVerdict,
    Provenance,
    RuleVerdict,
    Usage,
    leaves,
)

SHIPPED = Path(read_source("sketch").file)

RULES = """\
name: two
{golden}
rules:
  - id: fire
    category: c
    severity: low
    text: No fire.
    objective: A fire is burning on the ground.
    condition: a fire is burning on the ground
{examples}
  - id: knife
    category: c
    severity: low
    text: No knife.
    objective: A knife is lying on the ground.
    condition: a knife is lying on the ground
"""


def picture(path, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(path)


def rules(tmp_path, golden="", examples=()):
    """A file of two rules, of which the first has examples."""
    lines = ["    examples:", *(f"      - {{{one}}}" for one in examples)] if examples else []
    file = tmp_path / "rules.yaml"
    file.write_text(RULES.format(golden=golden, examples="\n".join(lines)), encoding="utf-8")
    return file


def folder(tmp_path, labels, names=("a.png", "b.png")):
    """A folder of pictures, of which each has its own content, and their labels."""
    for shade, name in enumerate(names):
        picture(tmp_path / "golden" / name, 40 * shade)
    (tmp_path / "golden" / "labels.csv").write_text(labels, encoding="utf-8")
    return "golden: golden"


# --- what a file may name -------------------------------------------------------------------------


def test_examples_change_neither_rules_nor_digest(tmp_path):
    bare = load_constitution(rules(tmp_path))
    picture(tmp_path / "a.png")
    golden = folder(tmp_path, "image,violations\na.png,\nb.png,fire\n")
    file = rules(tmp_path, golden, ["image: a.png, expect: violated, why: it burns"])
    assert load_constitution(file) == bare
    assert load_constitution(file).digest() == bare.digest()


def test_rules_are_loaded_where_their_examples_are_not(tmp_path):
    file = rules(tmp_path, "golden: gone", ["image: gone.png, expect: violated"])
    assert len(load_constitution(file).rules) == 2


def test_what_is_said_of_one_picture_is_put_together(tmp_path):
    golden = folder(tmp_path, "image,label,violations\na.png,unsafe,\nb.png,,fire\n".replace(
        "a.png,unsafe,", "a.png,unsafe,knife"))  # fmt: skip
    examples = ["image: golden/a.png, expect: not_violated, why: no flame"]
    found = load_examples(rules(tmp_path, golden, examples))
    a, b = found.examples
    assert (a.name, a.violated, a.why) == (
        "golden/a.png", {"fire": False, "knife": True}, ["no flame"])  # fmt: skip
    assert len(a.where) == 2
    assert b.violated == {"fire": True, "knife": False}
    assert b.unsafe is True


@pytest.mark.parametrize(
    ("example", "says"),
    [
        ("image: a.png, expected: violated", "unknown key `expected`"),
        ("image: a.png, expect: maybe", "which no rule comes to"),
        ("image: a.png, expect: true", "expect"),
        ("expect: violated", "lacks `image`"),
        ("image: '', expect: violated", "is empty"),
    ],
)
def test_an_example_of_another_form_is_refused_with_advice(tmp_path, example, says):
    with pytest.raises(ConstitutionError, match=says) as caught:
        load_constitution(rules(tmp_path, examples=[example]))
    assert caught.value.line == 11
    assert caught.value.instead


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gone.png", "is not there"),
        ("A.png", "do you mean a.png"),
        ("../out.png", "lies outside"),
        ("/etc/hostname", "lies outside"),
        ("link.png", "lies outside"),
        ("inside/../../out.png", "lies outside"),
        ("inside", "is no file"),
        ("inside/gone.png", "is not there"),
    ],
)
def test_an_example_is_a_file_below_the_constitution(tmp_path, name, says):
    home = tmp_path / "home"
    picture(home / "a.png")
    picture(home / "inside" / "b.png")
    picture(tmp_path / "out.png")
    (home / "link.png").symlink_to(tmp_path / "out.png")
    file = rules(home, examples=[f"image: {name}, expect: violated"])
    (finding,), count = lint_examples(file)
    assert (finding.level, finding.line, count) == ("error", 11, 0)
    assert says in finding.problem
    with pytest.raises(ConstitutionError, match=":11: "):
        load_examples(file)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ("image,violations\na.png,smoke\n", "labels.csv:2: the constitution has no rule 'smoke'"),
        ("image,violations\na.png,\n./a.png,fire\n", "a second row"),
        ("image,label,violations\na.png,safe,fire\n", "is safe, and its violations are fire"),
        ("image,label\na.png,fine\n", "label"),
        ("image,violations\ngone.png,\n", "labels.csv:2: 'gone.png' is not there"),
        ("image,violations\n../out.png,\n", "lies outside"),
        ("image,violations\nlink.png,\n", "lies outside"),
        ("name,violations\na.png,\n", "must name the columns `image`"),
        ("", "labels.csv"),
    ],
)
def test_damage_of_labels_is_told_with_their_line(tmp_path, labels, says):
    picture(tmp_path / "out.png")
    golden = folder(tmp_path, labels)
    (tmp_path / "golden" / "link.png").symlink_to(tmp_path / "out.png")
    findings, _ = lint_examples(rules(tmp_path, golden))
    (error, *_) = [finding for finding in findings if finding.level == "error"]
    assert error.line == 2
    assert says in error.problem
    assert "a row of `image`" in error.instead


@pytest.mark.parametrize("golden", ["gone", "..", "/tmp", "rules.yaml", "out"])
def test_a_folder_lies_below_the_constitution(tmp_path, golden):
    home = tmp_path / "home"
    home.mkdir()
    folder(tmp_path, "image,violations\na.png,\n")
    (home / "out").symlink_to(tmp_path / "golden")
    (finding,), _ = lint_examples(rules(home, f"golden: {golden}"))
    assert (finding.level, finding.line) == ("error", 2)
    assert "a folder below" in finding.instead


def test_labels_that_are_a_link_to_elsewhere_are_refused(tmp_path):
    golden = folder(tmp_path, "")
    (tmp_path / "golden" / "labels.csv").rename(tmp_path / "labels.csv")
    (tmp_path / "golden" / "labels.csv").symlink_to(tmp_path / "labels.csv")
    (finding,), _ = lint_examples(rules(tmp_path, golden))
    assert "leads out" in finding.problem


@pytest.mark.parametrize(
    ("labels", "examples"),
    [
        ("image,violations\na.png,fire\n", ["image: golden/a.png, expect: not_violated"]),
        ("image,violations\na.png,\n", ["image: golden/a.png, expect: violated"]),
        ("image,label\na.png,safe\n", ["image: golden/a.png, expect: violated"]),
        ("image,violations\na.png,\ntwin.png,fire\n", []),
        ("image,label\na.png,safe\ntwin.png,unsafe\n", []),
        ("image,label\nb.png,safe\n", ["image: golden/a.png, expect: violated",
                                       "image: golden/twin.png, expect: not_violated"]),
    ],
)  # fmt: skip
def test_a_picture_has_one_truth_under_whatever_name(tmp_path, labels, examples):
    golden = folder(tmp_path, labels)
    shutil.copy(tmp_path / "golden" / "a.png", tmp_path / "golden" / "twin.png")
    findings, _ = lint_examples(rules(tmp_path, golden, examples))
    errors = [finding for finding in findings if finding.level == "error"]
    assert len(errors) == 1
    assert re.search("expects .* not violated|says that", errors[0].problem)


def test_a_picture_without_a_label_is_told(tmp_path):
    golden = folder(tmp_path, "image,violations\na.png,\n", ("a.png", "b.png", "c.png"))
    found = read_examples(read_source(
        rules(tmp_path, golden, ["image: golden/c.png, expect: violated"])))  # fmt: skip
    assert found.unlabelled == ("b.png",)
    (warning,) = found.findings
    assert warning.level == "warning"
    assert warning.problem.startswith("1 picture of golden has no label")


def test_a_file_without_examples_is_nothing_to_check(tmp_path):
    with pytest.raises(ConstitutionError, match="names no examples"):
        load_examples(rules(tmp_path))


# --- what counts as a pass ------------------------------------------------------------------------


def verdict(outcome, asked=()):
    answers = tuple(
        PreconditionVerdict(
            statement=statement, outcome=Outcome.YES, test="accept", score=0.9, margin=2.0, reads=()
        )
        for statement in asked
    )
    score = None if outcome == "not_relevant" else 0.5
    return RuleVerdict(outcome=outcome, score=score, margin=score, preconditions=answers)


def judgment(label="safe", undecided_by=(), **outcomes):
    verdicts = {
        rule: verdict(outcome) if isinstance(outcome, str) else outcome
        for rule, outcome in outcomes.items()
    }
    made = Provenance(
        constitution="c", prompts="p", policy="p", model="m", revision="r", versions={}
    )
    return Judgment(
        image="a", id="0", label=label, violations=(), score=0.5, margin=0.0, rules=verdicts,
        provenance=made, usage=Usage(), undecided_by=undecided_by,
    )  # fmt: skip


def example(unsafe=None, **violated):
    return Example("a.png", Path("a.png"), ["rules.yaml:1"], violated, unsafe)


FAILED = Failure(image="a", id=None, reason="unreadable", message="no picture")


@pytest.mark.parametrize(
    ("wanted", "result", "status"),
    [
        (example(fire=True), judgment(fire="violated"), "as expected"),
        (example(fire=True), judgment(fire="not_violated"), "differs"),
        (example(fire=True), judgment(fire="not_relevant"), "differs"),
        (example(fire=True), judgment(fire="undecided"), "open"),
        (example(fire=False), judgment(fire="not_relevant"), "as expected"),
        (example(fire=False), judgment(fire="violated"), "differs"),
        (example(fire=False), judgment(fire="undecided"), "open"),
        (example(fire=False), judgment("undecided", ("frames",), fire="not_violated"), "open"),
        (example(fire=True), judgment("unsafe", (), fire="violated"), "as expected"),
        (example(True), judgment("unsafe"), "as expected"),
        (example(True), judgment("safe"), "differs"),
        (example(True), judgment("undecided"), "open"),
        (example(False), judgment("undecided"), "open"),
        (example(False, fire=False), judgment("undecided", fire="not_violated"), "open"),
        (example(fire=True, knife=False), judgment(fire="undecided", knife="violated"), "differs"),
        (example(fire=False), FAILED, "open"),
        (example(False), FAILED, "open"),
        (example(True), FAILED, "open"),
    ],
)
def test_only_what_was_settled_as_expected_passes(wanted, result, status):
    found = check(wanted, result)
    assert found.status == status
    assert json.loads(json.dumps(found.record()))["status"] == status


# --- which edit moved which -----------------------------------------------------------------------


def two_edits():
    old = load_constitution("sketch")
    rule = next(rule for rule in old.rules if rule.id == "armed-group")
    text = rule.model_dump_json()
    text = text.replace("at least three people are visible", "at least two people are visible")
    text = text.replace("a weapon is lying on the ground", "a knife is lying on the ground")
    new = type(rule).model_validate_json(text)
    rest = [new if rule.id == "armed-group" else rule for rule in old.rules]
    return changes(old, old.model_copy(update={"rules": tuple(rest)}))


def test_an_edit_that_nobody_was_asked_about_moved_nothing():
    people = ("at least three people are visible",), ("at least two people are visible",)
    before, after = (
        judgment(**{"armed-group": verdict(outcome, asked)})
        for outcome, asked in zip(("not_violated", "violated"), people, strict=True)
    )
    (move,) = moves([example()], [before], [after], two_edits())
    (edit,) = move.edits
    assert "people" in (edit.new or "")
    both = judgment(**{"armed-group": verdict("violated", (
        "at least two people are visible", "a knife is lying on the ground"))})  # fmt: skip
    (move,) = moves([example()], [before], [both], two_edits())
    assert len(move.edits) == 2


def test_what_no_edit_explains_is_told_as_such():
    before, after = judgment(fire="violated"), judgment(fire="undecided")
    (move,) = moves([example(fire=True)], [before], [after], two_edits())
    assert (move.was, move.now, move.edits) == ("violated", "undecided", ())
    assert not moves([example()], [judgment(fire="not_relevant")], [judgment()], [])
    assert not moves([example()], [FAILED], [judgment(fire="violated")], [])


# --- answers are kept -----------------------------------------------------------------------------


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAFEJUDGE_CACHE", str(tmp_path / "cache"))


class Recorder(WrappedEngine):
    """Writes down what it is asked."""

    def __init__(self, engine):
        super().__init__(engine)
        self.questions = []

    def answer_probs(self, probes):
        self.questions += [probe.question for probe in probes if probe.images]
        return super().answer_probs(probes)


def test_only_what_was_edited_is_asked_again(own_cache):
    old = load_constitution("sketch")
    text = old.model_dump_json()
    new = type(old).model_validate_json(text.replace("scene is outdoors", "scene is indoors"))
    paths = [str(one.path) for one in load_examples("sketch").examples]
    engine = Recorder(open_engine("hf:sketch"))
    asked = []
    for constitution in (old, old, new):
        engine.questions = []
        with kept(engine) as (cached, forgets):
            assert not forgets
            Judge(constitution, Models(cached), Policy(relevance=False))(paths)
        asked.append(engine.questions)
    engine.close()
    first, again, edited = asked
    assert any("outdoors" in question for question in first)
    assert not again
    assert edited
    assert all("indoors" in question for question in edited)


def test_an_engine_that_may_be_another_tomorrow_remembers_until_the_end(own_cache):
    with kept(FakeEngine([0.5])) as (cached, forgets):
        assert "does not tell" in forgets
        assert cached.engine.card.revision == ""
    assert not default_path().exists()


def test_a_cache_that_cannot_be_used_is_done_without(own_cache):
    engine = open_engine("fake:")
    default_path().mkdir(parents=True)
    with kept(engine) as (cached, forgets):
        assert str(default_path()) in forgets
        assert cached.engine is engine


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def copied(tmp_path):
    """The shipped constitution with a few of its golden images."""
    keep = ("near-armed-group.png", "near-armed-child.png", "masked-and-armed.png")
    target = tmp_path / "golden" / "sketch"
    target.mkdir(parents=True)
    lines = (SHIPPED.parent / "golden/sketch/labels.csv").read_text("utf-8").splitlines()
    lines = [line for line in lines if line.startswith(("image,", *keep))]
    (target / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name in keep:
        shutil.copy(SHIPPED.parent / "golden/sketch" / name, target)
    return Path(shutil.copy(SHIPPED, tmp_path / "rules.yaml"))


def run(file, *more):
    return cli.main(["check", str(file), "--engine", "hf:sketch", *map(str, more)])


def test_the_shipped_examples_come_out_as_expected(capsys):
    assert run("sketch") == DONE
    out = capsys.readouterr().out
    assert out == "18 examples: 18 as expected\n"


def test_an_edit_is_named_beside_what_it_moved(copied, tmp_path, capsys):
    text = copied.read_text("utf-8")
    exception = (
        "        - none:\n"
        "            - {statement: a police officer is visible, look_at: police officer}\n"
    )
    assert exception in text
    new = copied.with_name("new.yaml")
    new.write_text(text.replace(exception, "", 1), encoding="utf-8")
    out = tmp_path / "out.jsonl"
    assert run(new, "--against", copied, "--out", out) == CHANGED
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    block = said.partition("weapon-aimed")[2].partition("\n\n")[0]
    assert "exception removed: a police officer is visible" in block
    assert "near-armed-group.png: not violated -> violated" in block
    assert "who may threaten with it" in said
    assert "3 examples: 2 as expected, 1 comes out otherwise" in said
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()][1:]
    (moved,) = [line for line in lines if line["moved"]]
    assert moved["moved"][0]["edits"][0]["kind"] == "exception removed"
    assert moved["status"] == "differs"
    assert run(new, "--out", out) == INPUT  # it is not written over unasked


def test_of_several_edits_the_one_is_named_that_moved_it(copied, capsys):
    text = copied.read_text("utf-8")
    text = text.replace(
        "{statement: a police officer is visible, look_at: police officer}",
        "{statement: a child is visible, look_at: child}", 1,
    ).replace(
        "        - the scene is outdoors\n",
        "        - the scene is indoors\n        - {statement: a person is visible}\n", 1,
    )  # fmt: skip
    new = copied.with_name("new.yaml")
    new.write_text(text, encoding="utf-8")
    assert run(new, "--against", copied) == CHANGED
    said = " ".join(capsys.readouterr().out.split())
    gone = "near-armed-group.png: not violated -> violated, expected not violated by exception"
    assert f"{gone} removed: a police officer is visible" in said
    assert "violated by requirement reworded: the scene is indoors" in said
    assert "by several" not in said


def test_edits_that_only_together_move_an_example_are_named_together():
    old = load_constitution("sketch")
    rule = next(rule for rule in old.rules if rule.id == "armed-group")
    edited = rule.model_dump_json().replace("at least three people", "at least two people")
    edited = edited.replace("a weapon is lying", "a knife is lying")
    new = old.model_copy(update={"rules": (type(rule).model_validate_json(edited),)})
    edits = changes(old.model_copy(update={"rules": (rule,)}), new)
    asked = "at least two people are visible", "a knife is lying on the ground"
    before, after = (
        judgment(**{"armed-group": verdict(outcome, asked)})
        for outcome in ("not_violated", "violated")
    )
    moved = moves([example()], [before], [after], edits)
    tried = []

    def judged_by(constitution, examples):
        statements = {leaf.statement for leaf in leaves(constitution.rules[0].condition)}
        tried.append(statements)
        return [after if wanted <= statements else before] * len(examples)

    for wanted, alone in (({*asked}, False), ({asked[0]}, True), (set(), True)):
        tried.clear()
        (move,) = by_single_edits(moved, old, new, judged_by)
        assert move.alone is alone
        assert len(move.edits) == {1: 1}.get(len(wanted), 2)
        assert all(len(statements & {*asked}) == 1 for statements in tried)
        assert len(tried) == 2


def test_what_cannot_be_read_or_has_no_label_is_no_pass(copied, capsys):
    target = copied.parent / "golden" / "sketch"
    picture(target / "more.png")
    assert run(copied) == OPEN
    assert "1 picture of golden/sketch has no label" in capsys.readouterr().err
    (target / "more.png").unlink()
    (target / "masked-and-armed.png").write_bytes(b"no picture")
    assert run(copied) == OPEN
    assert "1 not settled" in capsys.readouterr().out
    for path in target.glob("*.png"):
        path.write_bytes(os.urandom(20))
    assert run(copied) == INPUT


def test_lint_counts_examples_and_names_what_is_wrong_with_them(copied, capsys):
    assert cli.main(["lint", str(copied)]) == DONE
    assert "examples: 3" in capsys.readouterr().out
    (copied.parent / "golden" / "sketch" / "masked-and-armed.png").unlink()
    assert cli.main(["lint", str(copied)]) == INPUT
    assert "labels.csv:2: 'masked-and-armed.png' is not there" in capsys.readouterr().out
    assert run(copied) == INPUT


def test_an_output_that_is_there_is_not_gone_on_with(copied, tmp_path, capsys):
    out = tmp_path / "checked.jsonl"
    out.write_text("mine")
    assert run(copied, "--out", str(out)) == 2
    said = capsys.readouterr().err
    assert "--overwrite" in said
    assert "--resume" not in said
    assert out.read_text() == "mine"
