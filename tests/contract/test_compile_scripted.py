"""The compiler against a scripted language model behind a server: good replies and bad ones."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import loopback
import pytest
from loopback import Loopback, texts_of
from scripted import Part, Script

from safejudge.cli import app as cli
from safejudge.compile import prompts
from safejudge.compile.run import Step, compile_constitution
from safejudge.constitution.lint.findings import lint
from safejudge.constitution.load import load_constitution, lock_path, read_lock
from safejudge.constitution.lock import Lock, dump_lock, parse_lock
from safejudge.engines.server.engine import ServerEngine
from safejudge.engines.server.http import Retry
from safejudge.errors import ConstitutionError, EngineCallError, EngineSetupError, OutputError
from safejudge.types import AllOf, AnyOf, NoneOf, Precondition, leaves

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from safejudge.compile.run import Compiled

DOGS = "No scary dogs or wolves near kids, except on a lead."
DOGS_SEEN = "A dog is next to a child or a wolf is next to a child, unless a dog is on a lead."
DOG_TREE = (
    ("a dog is next to a child / dog and child", "a wolf is next to a child / wolf and child",
     "a dog is on a lead / lead"),
    "(1 or 2) and not 3",
)  # fmt: skip
NO_EXCEPTION = (DOG_TREE[0][:2], "1 or 2")
OR_AS_AND = (DOG_TREE[0], "1 and 2 and not 3")
DOG = Part(((DOGS, 4), (DOGS_SEEN, 9)), (DOG_TREE,))

CROWD = "Not too many people on a boat."
CROWD_SEEN = "At least five people are on a boat."
CROWD_TREE = (("At least five people are on a boat. / person and boat",), "1")
CROWDED = Part(((CROWD, 3), ("Many people are on a boat.", 5), (CROWD_SEEN, 10)), (CROWD_TREE,))


def rules(*texts: str, more: str = "") -> str:
    listed = "".join(
        f"  - id: rule-{number}\n    category: test\n    severity: low\n    text: {json.dumps(t)}\n"
        for number, t in enumerate(texts, start=1)
    )
    return f"name: test\nrules:\n{listed}{more}"


OWN = """\
  - id: own
    category: test
    severity: low
    text: No cats.
    objective: A cat is visible.
    condition: a cat is visible
"""


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as running:
        yield running


@pytest.fixture
def llm(server: Loopback) -> Iterator[ServerEngine]:
    engine = ServerEngine(server.base, uri="server:test", retry=Retry(tries=2, first=0.01))
    yield engine
    engine.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "test.yaml"
    path.write_text(rules(DOGS))
    return path


def run(
    server: Loopback, llm: ServerEngine, file: Path, *parts: Part, **more: Any
) -> tuple[list[Compiled], Script]:
    script = Script(parts, **{k: more.pop(k) for k in ("spoil",) if k in more})
    server.behave(writer=script)
    results = compile_constitution(file, llm, **more)
    if lock_path(file).is_file():
        written = lock_path(file).read_bytes()
        lock = parse_lock("lock", written)
        assert dump_lock(lock).encode() == written
    return results, script


def locked(file: Path) -> Lock:
    lock = read_lock(lock_path(file))
    assert lock is not None
    return lock


# --- good replies -----------------------------------------------------------------------------


def test_a_rule_is_rewritten_split_and_locked(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    file.write_text(rules(DOGS, CROWD, more=OWN))
    results, _ = run(server, llm, file, DOG, CROWDED)
    assert [(result.state, result.clean) for result in results] == [("compiled", True)] * 2
    dogs, crowd, own = load_constitution(file).rules
    assert dogs.objective == DOGS_SEEN
    wolf = Precondition(statement="a wolf is next to a child", look_at="wolf and child")
    assert isinstance(dogs.condition, AllOf)
    either, exception = dogs.condition.all
    assert isinstance(either, AnyOf)
    assert either.any[1] == wolf
    assert isinstance(exception, NoneOf)
    assert crowd.condition == Precondition(
        statement="at least five people are on a boat", look_at="person and boat"
    )
    assert own.condition == Precondition(statement="a cat is visible")
    first, second = locked(file).rules
    assert [version.score for version in second.versions] == [3, 5, 10]
    assert second.versions[1].objective == "Many people are on a boat."
    assert first.covers == (
        "a dog is next to a child", "a wolf is next to a child", "a dog is on a lead",
    )  # fmt: skip
    assert first.compiler.model == "server:test"
    assert lint(file) == []


def test_the_same_model_writes_the_same_bytes_and_is_not_asked_again(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    file.write_text(rules(DOGS, CROWD))
    run(server, llm, file, DOG, CROWDED)
    written = lock_path(file).read_bytes()
    results, script = run(server, llm, file, DOG, CROWDED)
    assert script.asked == []
    assert {result.state for result in results} == {"kept"}
    assert lock_path(file).read_bytes() == written
    lock_path(file).unlink()
    run(server, llm, file, DOG, CROWDED)
    assert lock_path(file).read_bytes() == written


def test_an_objective_of_their_own_is_not_rewritten(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    file.write_text(rules(DOGS) + f"    objective: {json.dumps(DOGS_SEEN)}\n")
    (result,), script = run(server, llm, file, DOG)
    assert result.clean
    assert {form for form, _ in script.asked} == {"list", "Statement", "Logic", "Comparison"}
    assert load_constitution(file).rules[0].objective == DOGS_SEEN


def test_near_duplicates_become_one_statement(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    seen = "The cat is seen and a dog is on the sofa."
    text, tree = "Cats! Dogs on a sofa!", ("The cat is seen / cat", "a dog is on the sofa / dog")
    cat = Part(((text, 2), (seen, 9)), ((tree, "1 and 2"),))
    file.write_text(rules(text, more=OWN))
    (result,), _ = run(server, llm, file, cat)
    assert result.clean
    compiled, own = load_constitution(file).rules
    assert isinstance(own.condition, Precondition)
    leaf = next(iter(leaves(compiled.condition)))
    assert (leaf.statement, leaf.look_at) == (own.condition.statement, "cat")
    assert locked(file).rules[0].covers[0] == "the cat is seen"
    assert not locked(file).rules[0].edited


SPLIT = {
    "A person is holding a knife.": (("a person is holding a knife",), "1"),
    "A person is holding a knife or a gun outdoors.": (
        ("a person is holding a knife outdoors", "a person is holding a gun outdoors"),
        "1 or 2",
    ),
    "A person is holding a knife, unless a police officer is visible.": (
        ("a person is holding a knife", "a police officer is visible"),
        "1 and not 2",
    ),
}


@pytest.mark.parametrize(
    ("seen", "remarks"),
    [
        ("A person is holding a knife.", []),
        (
            "A person is holding a knife or a gun outdoors.",
            ["the objective speaks of `gun`, `outdoors`, which the rule does not name"],
        ),
        (
            "A person is holding a knife, unless a police officer is visible.",
            ["the new wording has an exception, and `Nobody may hold a knife.` has none",
             "the objective speaks of `police`, `officer`, which the rule does not name"],
        ),
    ],
)  # fmt: skip
def test_what_a_wording_adds_is_left_for_a_person_though_the_model_is_content(
    server: Loopback, llm: ServerEngine, file: Path, seen: str, remarks: list[str]
) -> None:
    text = "Nobody may hold a knife."
    statements, logic = SPLIT[seen]
    file.write_text(rules(text))
    part = Part(((text, 4), (seen, 10)), ((statements, logic),))
    (result,), _ = run(server, llm, file, part)
    assert result.state == "compiled"
    assert [remark for remark in result.remarks if "wording" in remark or "speaks" in remark] == (
        remarks
    )


# --- bad replies ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (NO_EXCEPTION, "`unless`|a dog is on a lead"),
        (OR_AS_AND, "alternatives"),
        ((("a dog is next to a child", "a wolf is to a child", "a dog is on a lead"), DOG_TREE[1]),
         "lacks `next`"),
        ((DOG_TREE[0], "1 or 2 or 3"), "exception"),
        ((DOG_TREE[0], "(1 or 2) and 3"), "exception"),
        ((("a dog is next to a child or a wolf is next to a child", "a dog is on a lead"),
          "1 and not 2"), "`or`"),
    ],
)  # fmt: skip
def test_what_a_tree_lost_is_told_and_repaired(
    server: Loopback, llm: ServerEngine, file: Path, wrong: Any, says: str
) -> None:
    part = replace(DOG, trees=(wrong, DOG_TREE))
    (result,), script = run(server, llm, file, part)
    assert result.clean
    assert len(list(leaves(load_constitution(file).rules[0].condition))) == 3
    repairs = [turn for form, turn in script.asked if "say together" in turn]
    assert len(repairs) == 1
    assert any(word in repairs[0] for word in says.split("|"))


def test_what_is_never_repaired_is_kept_for_review(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    part = replace(DOG, trees=(OR_AS_AND, NO_EXCEPTION, OR_AS_AND))
    (result,), script = run(server, llm, file, part, rounds=3)
    assert result.entry is not None
    assert not result.clean
    assert len([turn for _, turn in script.asked if "say together" in turn]) <= 2
    with pytest.warns(UserWarning, match="marked for review: rule-1"):
        load_constitution(file)
    assert any("left open" in finding.problem for finding in lint(file))


def test_a_second_reader_is_heard(server: Loopback, llm: ServerEngine, file: Path) -> None:
    with_wolf = (DOG_TREE[0], "(2 or 1) and not 3")
    part = replace(DOG, trees=(DOG_TREE, with_wolf), readings=(("misses", "cats"),))
    (result,), script = run(server, llm, file, part)
    assert result.clean
    assert any("the tree misses cats" in turn for _, turn in script.asked)
    other = replace(part, readings=(("misses", "cats"), ("adds", "wolves")))
    lock_path(file).unlink()
    (result,), _ = run(server, llm, file, other, rounds=2)
    assert result.entry is not None
    assert result.entry.review == ("second reading: the tree misses cats",)


def test_a_wording_that_loses_the_exception_is_not_taken(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    lossy = "A dog is next to a child."
    part = replace(DOG, wordings=((DOGS, 4), (lossy, 10), (DOGS_SEEN, 9)))
    (result,), script = run(server, llm, file, part)
    assert result.clean
    assert result.entry is not None
    assert result.entry.objective == DOGS_SEEN
    assert any("has an exception, and the new wording has none" in turn for _, turn in script.asked)


def test_a_wording_stops_at_the_cap_and_when_it_repeats_itself(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    part = replace(DOG, wordings=((DOGS, 4), (DOGS_SEEN, 6)))
    (result,), script = run(server, llm, file, part, rounds=5)
    assert len([form for form, _ in script.asked if form == "Score"]) == 2
    assert result.entry is not None
    assert result.entry.review == ("objectiveness 6 of 10: worth 6",)
    endless = [(f"A dog is next to {number} children.", 5) for number in range(2, 20)]
    part = Part((("Dogs.", 2), *endless), ((("a dog is next to 3 children",), "1"),))
    file.write_text(rules("Dogs."))
    _, script = run(server, llm, file, part, rounds=3)
    assert len([form for form, _ in script.asked if form == "Score"]) == 4


GOOD = {"Score": 0, "Wording": 0, "Statement": 0, "Logic": 0, "Comparison": 0}
MALFORMED = {
    "Score": '{"explanation": "x", "score": 11}',
    "Wording": '{"objective": ',
    "Statement": '{"statement": "a", "look_at": "a", "more": "perhaps"}',
    "Logic": '{"combined": "1 xor 2"}',
    "Comparison": '{"difference": "nothing", "verdict": "adds"}',
}


@pytest.mark.parametrize("form", MALFORMED)
def test_a_malformed_reply_is_asked_for_again(
    server: Loopback, llm: ServerEngine, file: Path, form: str
) -> None:
    def spoil(asked: str, again: int) -> str | None:
        return "x" * again + MALFORMED[form] if asked == form and again < 2 else None

    (result,), script = run(server, llm, file, DOG, spoil=spoil)
    assert result.clean
    assert any("cannot be used" in turn for _, turn in script.asked)


@pytest.mark.parametrize("form", MALFORMED)
def test_a_reply_that_is_repeated_byte_for_byte_is_not_asked_for_again(
    server: Loopback, llm: ServerEngine, file: Path, form: str
) -> None:
    def spoil(asked: str, again: int) -> str | None:
        return MALFORMED[form] if asked == form else None

    (result,), script = run(server, llm, file, DOG, spoil=spoil)
    assert not result.clean
    told = [turn for _, turn in script.asked if "cannot be used" in turn]
    assert told
    # One more request each time: the same reply to it ends the asking.
    assert len(told) == sum(form == asked for asked, _ in script.asked) / 2


@pytest.mark.parametrize("form", MALFORMED)
@pytest.mark.parametrize("reply", ["malformed", "", "I'm sorry, I cannot help with that."])
def test_a_reply_that_never_comes_is_reported_and_nothing_guessed(
    server: Loopback, llm: ServerEngine, file: Path, form: str, reply: str
) -> None:
    file.write_text(rules(DOGS, more=OWN))
    text = MALFORMED[form] if reply == "malformed" else reply
    spoil = lambda asked, _: text if asked == form else None  # noqa: E731
    (result,), script = run(server, llm, file, DOG, spoil=spoil)
    assert not result.clean
    assert len([form for form, _ in script.asked if form == "Score"]) < 10
    if form == "Comparison":
        assert result.entry is not None
        assert "no second reading" in result.entry.review[0]
    else:
        assert result.state == "failed"
        assert result.problem is not None
        assert form.lower() in result.problem
        assert not lock_path(file).exists()
        with pytest.raises(ConstitutionError, match=r"rule-1.*has no `condition`"):
            load_constitution(file)


def test_a_refusal_in_the_right_form_is_no_wording(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    reply = json.dumps({"objective": "I'm sorry, I can't rewrite this rule."})
    spoil = lambda asked, _: reply if asked == "Wording" else None  # noqa: E731
    (result,), _ = run(server, llm, file, DOG, spoil=spoil)
    assert result.state == "failed"
    assert "speaks of the task" in str(result.problem)


def test_a_model_that_says_the_same_for_ever_is_stopped(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    reply = json.dumps({"statement": "a dog is next to a child", "look_at": "", "more": True})
    spoil = lambda asked, _: reply if asked == "Statement" else None  # noqa: E731
    (result,), script = run(server, llm, file, DOG, spoil=spoil)
    assert result.state == "failed"
    assert "came before" in str(result.problem)
    assert len(script.asked) < 12


def test_one_bad_rule_costs_no_other(server: Loopback, llm: ServerEngine, file: Path) -> None:
    file.write_text(rules(DOGS, CROWD))
    part = replace(CROWDED, trees=((("a",), "1 and 7"),))
    (dogs, crowd), _ = run(server, llm, file, DOG, part)
    assert dogs.clean
    assert crowd.state == "failed"
    assert "there is no statement 7" in str(crowd.problem)
    assert [entry.id for entry in locked(file).rules] == ["rule-1"]


# --- a rule that is forgotten -------------------------------------------------------------------

GUNS = "Children must not hold guns."
GUNS_SEEN = "A child is holding a gun."
GUN_TREE = (("a child is holding a gun / gun",), "1")
DOG_INSTEAD = (("a dog is visible / dog",), "1")
FORGOTTEN = [
    (GUNS, "rule", (("a rule is shown",), "1")),
    (GUNS, "A dog is visible.", DOG_INSTEAD),
    (GUNS, "A person is holding a dog.", (("a person is holding a dog",), "1")),
    ("Pictures must not show naked people.", "A person is visible.",
     (("a person is visible",), "1")),
    ("Cyclists must wear helmets.", "A cyclist is wearing a helmet.",
     (("a cyclist is wearing a helmet",), "1")),
    ("No brawls.", "A person is punching another person.", (("a person is punching",), "1")),
]  # fmt: skip
"""Rule, a wording without it that the model finds perfect, and the tree of that."""


@pytest.mark.parametrize("forgotten", FORGOTTEN)
def test_a_wording_that_forgets_the_rule_goes_back_and_is_not_taken(
    server: Loopback, llm: ServerEngine, file: Path, forgotten: tuple[str, str, Any]
) -> None:
    text, wording, tree = forgotten
    file.write_text(rules(text))
    (result,), script = run(server, llm, file, Part(((text, 5), (wording, 10)), (tree,)))
    assert result.entry is not None
    assert not result.clean
    assert result.entry.objective == text
    assert len([turn for form, turn in script.asked if form == "Wording"]) == 2
    assert any("no rewriting kept it" in remark for remark in result.remarks)
    assert wording in [version.objective for version in result.entry.versions]
    with pytest.warns(UserWarning, match="marked for review: rule-1"):
        load_constitution(file)


def test_a_wording_that_forgets_the_rule_is_mended(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    file.write_text(rules(GUNS))
    part = Part(((GUNS, 5), ("A dog is visible.", 10), (GUNS_SEEN, 9)), (GUN_TREE,))
    (result,), script = run(server, llm, file, part)
    assert result.clean
    assert result.entry is not None
    assert result.entry.objective == GUNS_SEEN
    told = [turn for form, turn in script.asked if form == "Wording" and "A dog" in turn]
    assert len(told) == 1
    assert "- none of the rule's words is in the wording: `children`, `guns` is missing" in told[0]
    assert lint(file) == []


def test_clauses_of_which_the_wording_has_no_word_are_named(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    text, lossy = "No knives, guns and bombs.", "A knife is visible."
    file.write_text(rules(text))
    part = Part(((text, 5), (lossy, 10)), ((("a knife is visible",), "1"),))
    (result,), _ = run(server, llm, file, part)
    assert result.entry is not None
    assert result.entry.objective == lossy
    assert "the wording has no word of `guns`, `bombs`, of which the rule speaks" in result.remarks


def test_half_a_rule_is_left_for_review(server: Loopback, llm: ServerEngine, file: Path) -> None:
    seen = "A child is visible."
    file.write_text(rules(GUNS))
    part = Part(((GUNS, 5), (seen, 10)), ((("a child is visible",), "1"),))
    (result,), _ = run(server, llm, file, part)
    assert result.remarks == ("the rule speaks of `guns`, which the objective does not name",)


@pytest.mark.parametrize("scores", [(5, 10), (10, 1)])
def test_a_tree_that_forgets_the_rule_is_left_for_review(
    server: Loopback, llm: ServerEngine, file: Path, scores: tuple[int, int]
) -> None:
    """Of a good wording, and of the rule's own text where there is no other."""
    wordings = ((GUNS, 5), (GUNS_SEEN, 10)) if scores[0] < scores[1] else ((GUNS, 10),)
    file.write_text(rules(GUNS))
    (result,), script = run(server, llm, file, Part(wordings, (DOG_INSTEAD,)))
    assert not result.clean
    assert any("none of the rule's words is in the condition" in r for r in result.remarks)
    assert any("say together" in turn for _, turn in script.asked)  # it went back


def test_an_exception_that_only_the_tree_has_is_told(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    tree = (("a child is holding a gun", "a toy is visible"), "1 and not 2")
    file.write_text(rules(GUNS))
    (result,), _ = run(server, llm, file, Part(((GUNS, 10),), (tree,)))
    assert any("the condition has an exception, and" in remark for remark in result.remarks)


def test_a_tree_of_the_rule_s_own_text_can_be_corrected_and_approved(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    file.write_text(rules("No knives."))
    part = Part((("No knives.", 10),), ((("a knife is visible",), "1"),))
    (result,), _ = run(server, llm, file, part)
    assert result.remarks == ("the model gave no wording but the rule itself",)
    edit(file, "statement: a knife is visible", "statement: a sharp knife is visible")
    edit(file, "  review:\n  - the model gave no wording but the rule itself\n", "")
    (result,), _ = run(server, llm, file, part)
    assert result.clean
    assert lint(file) == []


# --- a model that is too small, and one that goes round in circles ------------------------------


@pytest.mark.parametrize(
    ("tree", "passes"),
    [
        ((("at least two dogs are visible", "a dog shows its teeth"), "1 and 2"), True),
        ((("two dogs", "the teeth of a dog are shown"), "2 and 1"), True),
        ((("at least two dogs are visible and a dog shows its teeth",), "1"), False),
        ((("at least two dogs are visible",), "1"), False),
        ((("at least two dogs are visible", "a dog shows its teeth"), "1 or 2"), False),
        ((("at least two dogs are visible", "a dog shows its teeth"), "1 and not 2"), False),
        ((("a child is on a roof", "a child is on a wall"), "1 or 2"), False),
        ((("more",), "1"), False),
    ],
)
def test_a_model_that_cannot_split_its_own_example_compiles_nothing(
    server: Loopback, llm: ServerEngine, file: Path, tree: Any, passes: bool
) -> None:
    example = Part(((prompts.EXAMPLE, 9),), (tree,))
    if passes:
        (result,), _ = run(server, llm, file, DOG, example)
        assert result.clean
        return
    with pytest.raises(EngineSetupError, match=r"too small to compile rules.*--no-self-test"):
        run(server, llm, file, DOG, example)
    assert not lock_path(file).exists()
    (result,), script = run(server, llm, file, DOG, example, self_test=False)
    assert result.clean
    assert not any(prompts.EXAMPLE in turn for _, turn in script.asked)


def test_the_example_of_the_self_test_stands_in_the_instructions() -> None:
    assert f"Rule: {prompts.EXAMPLE}\n1. " in prompts.STATEMENTS


def test_the_self_test_is_left_out_where_nothing_is_to_be_compiled(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    run(server, llm, file, DOG)
    server.behave(writer=lambda body: pytest.fail(f"asked: {body}"))
    assert [result.state for result in compile_constitution(file, llm)] == ["kept"]


def test_a_list_that_goes_round_is_cut_and_short(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    endless = "1. a dog (dog)\n2. a wolf (wolf)\n\n" + "3. A dog (dog).\n4. a wolf (wolf)\n" * 40
    script, asked = Script((DOG,)), list[dict[str, Any]]()

    def listing(body: dict[str, Any]) -> str:
        asked.append(body)
        reply = script(body)
        return reply if "response_format" in body else endless

    server.behave(writer=listing)
    compile_constitution(file, llm)
    free = [body for body in asked if "response_format" not in body]
    assert {body["max_tokens"] for body in free} == {60 + len(prompts.EXAMPLE), 60 + len(DOGS_SEEN)}
    later = [
        texts_of(body)[2]
        for body in asked
        if len(texts_of(body)) > 3 and "1. a dog (dog)" in texts_of(body)[2]
    ]
    assert later
    assert all(text.count("a dog (dog)") == 1 for text in map(str.casefold, later))


# --- what is told meanwhile ---------------------------------------------------------------------


def test_every_step_of_every_rule_is_told(server: Loopback, llm: ServerEngine, file: Path) -> None:
    file.write_text(rules(DOGS, CROWD, "Cats!"))
    failing = Part((("Cats!", 2), ("A cat is visible.", 9)), ((("a cat is visible",), "2"),))
    steps: list[Step] = []
    run(server, llm, file, DOG, CROWDED, failing, tell=steps.append)
    assert [step.text for step in steps if step.rule == "rule-2"] == [
        "as it stands, score 3",
        "wording 1 of 4, score 5, 0 faults",
        "wording 2 of 4, score 10, 0 faults",
        "condition 1 of 4, 1 statement, 0 faults",
        "compiled, nothing left open",
    ]
    ends = {step.rule: step.state for step in steps if step.state is not None}
    assert ends == {"rule-1": "compiled", "rule-2": "compiled", "rule-3": "failed"}
    steps.clear()
    run(server, llm, file, DOG, CROWDED, failing, tell=steps.append)
    assert steps[:2] == [Step("rule-1", "kept", "kept"), Step("rule-2", "kept", "kept")]


# --- the lock, by and by ----------------------------------------------------------------------


def test_only_a_rule_whose_text_changed_is_compiled_again(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    file.write_text(rules(DOGS, CROWD))
    run(server, llm, file, DOG, CROWDED)
    before = locked(file)
    file.write_text(rules("Dogs near kids, except on a lead.", CROWD))
    with pytest.raises(ConstitutionError, match=r"(?s)rule-1.*has changed.*safejudge compile"):
        load_constitution(file)
    new = replace(DOG, wordings=(("Dogs near kids, except on a lead.", 7), (DOGS_SEEN, 9)))
    (dogs, crowd), script = run(server, llm, file, new, CROWDED)
    assert (dogs.state, crowd.state) == ("compiled", "kept")
    assert not any("boat" in turn for _, turn in script.asked)
    assert locked(file).rules[1] == before.rules[1]
    load_constitution(file)


def edit(file: Path, old: str, new: str) -> None:
    text = lock_path(file).read_text()
    assert old in text
    lock_path(file).write_text(text.replace(old, new))


def test_what_a_person_changed_is_kept_and_marked(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    run(server, llm, file, DOG)
    edit(file, "statement: a wolf is next to a child", "statement: a wolf is near a child")
    (result,), script = run(server, llm, file, DOG)
    assert script.asked == []
    assert result.state == "kept"
    assert "edited: by hand" in lock_path(file).read_text()
    statements = [leaf.statement for leaf in leaves(load_constitution(file).rules[0].condition)]
    assert "a wolf is near a child" in statements
    again = lock_path(file).read_bytes()
    run(server, llm, file, DOG)
    assert lock_path(file).read_bytes() == again


def test_a_person_s_wording_of_an_older_text_is_handed_on(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    run(server, llm, file, DOG)
    edit(file, "A dog is next to a child or", "A big dog is next to a child or")
    text = "Dogs or wolves near kids, except on a lead."
    file.write_text(rules(text))
    (result,), _ = run(server, llm, file, replace(DOG, wordings=((text, 7), (DOGS_SEEN, 9))))
    assert not result.clean
    (entry,) = locked(file).rules
    assert entry.superseded is not None
    assert entry.superseded.objective.startswith("A big dog")
    assert list(leaves(entry.superseded.condition))[2].statement == "a dog is on a lead"
    assert "a person had changed" in entry.review[0]
    # And once more, before anybody looked.
    text = "Never dogs or wolves near kids, except on a lead."
    file.write_text(rules(text))
    (result,), _ = run(server, llm, file, replace(DOG, wordings=((text, 7), (DOGS_SEEN, 9))))
    assert locked(file).rules[0].superseded == entry.superseded
    assert not result.clean


def test_an_edit_that_contradicts_itself_is_told(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    run(server, llm, file, DOG)
    text = lock_path(file).read_text()
    lock_path(file).write_text(text[: text.index("    - none:")] + text[text.index("  written:") :])
    (result,), _ = run(server, llm, file, DOG)
    assert not result.clean
    assert any("a dog is on a lead" in remark for remark in result.remarks)
    assert any("edited in the lock" in finding.problem for finding in lint(file))


def test_a_rule_that_was_renamed_keeps_its_entry(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    run(server, llm, file, DOG)
    edit(file, "a wolf is next to a child", "a wolf is near a child")
    file.write_text(rules(DOGS).replace("rule-1", "dogs"))
    (result,), script = run(server, llm, file, DOG)
    assert script.asked == []
    assert result.state == "kept"
    assert [entry.id for entry in locked(file).rules] == ["dogs"]
    assert locked(file).rules[0].edited


def test_an_edited_entry_outlives_its_rule(server: Loopback, llm: ServerEngine, file: Path) -> None:
    file.write_text(rules(DOGS, CROWD))
    run(server, llm, file, DOG, CROWDED)
    edit(file, "a wolf is next to a child", "a wolf is near a child")
    file.write_text(rules("", CROWD).replace('text: ""', f"text: x{OBJECTIVE_AND_CONDITION}"))
    run(server, llm, file, CROWDED)
    assert {entry.id for entry in locked(file).rules} == {"rule-1", "rule-2"}
    file.write_text(rules(DOGS, CROWD))
    (dogs, _), script = run(server, llm, file, DOG, CROWDED)
    assert script.asked == []
    assert dogs.entry is not None
    assert dogs.entry.edited


OBJECTIVE_AND_CONDITION = "\n    objective: A cat.\n    condition: a cat"


def test_what_a_person_writes_while_a_run_goes_on_is_kept(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    file.write_text(rules(DOGS))
    run(server, llm, file, DOG)
    file.write_text(rules(DOGS, CROWD))

    def meanwhile(form: str, _: int) -> str | None:
        if form == "Logic":
            edit(file, "a wolf is next to a child", "a wolf is near a child")
        return None

    results, _ = run(server, llm, file, DOG, CROWDED, spoil=meanwhile)
    assert [result.state for result in results] == ["kept", "compiled"]
    assert "a wolf is near a child" in lock_path(file).read_text()
    assert "edited: by hand" in lock_path(file).read_text()


def test_a_comment_stays_while_nothing_changes(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    run(server, llm, file, DOG)
    edit(file, "rules:", "# looked at\nrules:")
    script = Script((DOG,))
    server.behave(writer=script)
    compile_constitution(file, llm)
    assert "# looked at" in lock_path(file).read_text()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a \N{PISTOL} emoji is visible", "a \N{PILL} emoji is visible"),
        ("the letter A is visible", "a letter is visible"),
        ("C# is written on a wall", "C++ is written on a wall"),
        ("people are visible", "a person is visible"),
    ],
)
def test_statements_that_differ_in_anything_that_says_something_stay_two(
    server: Loopback, llm: ServerEngine, file: Path, one: str, other: str
) -> None:
    said = [f"{text[0].upper()}{text[1:]}." for text in (one, other)]
    parts = [
        Part(((f"No {n}", 2), (text, 9)), (((statement,), "1"),))
        for n, text, statement in zip("xy", said, (one, other), strict=True)
    ]
    file.write_text(rules("No x", "No y"))
    run(server, llm, file, *parts)
    found = [next(leaves(rule.condition)).statement for rule in load_constitution(file).rules]
    assert found == [one, other]


def test_a_second_reader_compares_the_wording_with_the_rule(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    text, lossy = "No knives, guns or bombs.", "A knife is visible or a blade is visible."
    whole = "A knife is visible, a gun is visible or a bomb is visible."
    part = Part(
        ((text, 5), (lossy, 10), (whole, 9)),
        ((("a knife is visible", "a gun is visible", "a bomb is visible"), "1 or 2 or 3"),),
        faithful=((lossy, ("misses", "guns and bombs")),),
    )
    file.write_text(rules(text))
    (result,), script = run(server, llm, file, part)
    assert result.clean
    assert result.entry is not None
    assert result.entry.objective == whole
    asked = [turn for form, turn in script.asked if "Does the wording cover: guns; bombs?" in turn]
    assert len(asked) == 1


@pytest.mark.parametrize(
    "lost",
    [
        ("No smoking or drinking.", "A person is smoking and a person is drinking.", "an `or`"),
        ("No dogs, save for guide dogs.", "A dog is visible.", "an exception"),
        ("No knives. Kitchens are fine.", "A knife is visible.", "an exception"),
        ("No more than 3 dogs.", "A dog is visible.", "`3`"),
    ],
)
def test_what_a_wording_lost_is_left_for_review(
    server: Loopback, llm: ServerEngine, file: Path, lost: tuple[str, str, str]
) -> None:
    text, wording, says = lost
    statements = tuple(wording.lower().rstrip(".").split(" and "))
    tree = (statements, " and ".join("12"[: len(statements)]))
    file.write_text(rules(text))
    (result,), _ = run(server, llm, file, Part(((text, 5), (wording, 10)), (tree,)))
    assert not result.clean
    assert any(says in remark for remark in result.remarks)


def test_long_texts_and_many_rules_fit_into_a_lock(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    text = "No dogs. " + "x" * 1990
    file.write_text(rules(text))
    run(
        server,
        llm,
        file,
        Part(((text, 5), ("A dog is visible.", 9)), ((("a dog is visible",), "1"),)),
    )
    assert locked(file).rules[0].versions[0].objective == text
    many = [f"No {number} dogs {'y' * 1900}." for number in range(2, 72)]
    parts = [
        Part(((text, 5), (f"At least {n} dogs are on a bed.", 9)),
             (((f"at least {n} dogs are on a bed / dog",), "1"),))
        for n, text in enumerate(many, start=2)
    ]  # fmt: skip
    file.write_text(rules(*many))
    run(server, llm, file, *parts)
    assert len(locked(file).rules) == 70
    assert lock_path(file).stat().st_size > 256 * 1024


def test_a_run_that_was_killed_goes_on(server: Loopback, llm: ServerEngine, file: Path) -> None:
    texts = [f"Not {number} dogs." for number in range(2, 14)]
    parts = [
        Part(((text, 5), (f"At least {n} dogs are on a bed.", 9)),
             (((f"at least {n} dogs are on a bed / dog",), "1"),))
        for n, text in enumerate(texts, start=2)
    ]  # fmt: skip
    file.write_text(rules(*texts))
    whole, _ = run(server, llm, file, *parts)
    assert all(result.clean for result in whole)
    wanted = lock_path(file).read_bytes()
    lock_path(file).unlink()

    def die(form: str, _: int) -> str | None:
        if form == "Score" and len(locked_ids(file)) == 8:
            server.behave(fault=loopback.reset, sour="one plus one")  # not even that, from here on
            raise ConnectionError
        return None

    with pytest.raises(EngineCallError):
        run(server, llm, file, *parts, spoil=die)
    assert len(locked_ids(file)) == 8
    server.behave(fault=None)
    results, script = run(server, llm, file, *parts)
    assert [result.state for result in results] == ["kept"] * 8 + ["compiled"] * 4
    assert not any("At least 2 dogs" in turn for _, turn in script.asked)
    assert lock_path(file).read_bytes() == wanted


def locked_ids(file: Path) -> list[str]:
    lock = read_lock(lock_path(file))
    return [] if lock is None else [entry.id for entry in lock.rules]


def test_a_lock_that_cannot_be_read_or_written_stops_before_any_question(
    server: Loopback, llm: ServerEngine, file: Path
) -> None:
    lock_path(file).write_text("constitution: test\nrules: 7\n")
    script = Script((DOG,))
    server.behave(writer=script)
    with pytest.raises(ConstitutionError, match=r"test.lock.yaml:2.*"):
        compile_constitution(file, llm)
    with pytest.raises(OutputError, match="there is no folder"):
        compile_constitution(file, llm, out=file.parent / "nowhere" / "x.yaml")
    for place in ("", file.parent, "/dev/null"):
        with pytest.raises(OutputError, match="is no regular file"):
            compile_constitution(file, llm, out=place)
    other = file.parent / "other.lock.yaml"
    other.write_text(dump_lock(Lock(constitution="other", rules=())))
    with pytest.raises(OutputError, match="is the lock of 'other'"):
        compile_constitution(file, llm, out=other)
    assert script.asked == []


# --- the command --------------------------------------------------------------------------------


def test_the_command_shows_what_is_ready_open_and_failed(
    server: Loopback, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(rules(DOGS, CROWD, "Cats!"))
    failing = Part((("Cats!", 2), ("A cat is visible.", 9)), ((("a cat is visible",), "2"),))
    crowd = replace(CROWDED, wordings=CROWDED.wordings[:2], trees=((("a",), "1"),))
    server.behave(writer=Script((DOG, crowd, failing)))
    assert cli.main(["compile", str(file), "--llm", f"server:{server.base}"]) == 4
    shown, steps = capsys.readouterr()
    assert "4 > 9" in shown
    assert "objectiveness 5 of 10" in shown
    assert "there is no statement 2" in shown
    assert "1 ready, 1 review, 1 failed" in shown
    assert str(lock_path(file)) in shown
    assert "safejudge: rule-1: wording 1 of 4, score 9, 0 faults\n" in steps
    assert "safejudge: rule-3: failed: no usable logic" in steps


def test_the_command_refuses_a_model_that_is_too_small(
    server: Loopback, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = Part(((prompts.EXAMPLE, 9),), ((("more",), "1"),))
    server.behave(writer=Script((DOG, small)))
    command = ["compile", str(file), "--llm", f"server:{server.base}"]
    assert cli.main(command) == 3
    said = capsys.readouterr().err
    assert "too small to compile rules" in said
    assert "the same command goes on" not in said
    assert cli.main([*command, "--no-self-test"]) == 0


def test_the_command_does_nothing_where_nothing_is_to_do(
    server: Loopback, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(f"name: test\nrules:\n{OWN}")
    assert cli.main(["compile", str(file), "--llm", "server:http://127.0.0.1:9/v1"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert cli.main(["compile", "sketch", "--llm", "fake:"]) == 2
    assert "compiled by hand" in capsys.readouterr().err
    assert cli.main(["compile", "nowhere.yaml", "--llm", "fake:"]) == 2
