"""Programs in rules: what may be written, what they find, and that not knowing is no *no*."""

import json
from contextlib import nullcontext

import numpy as np
import pytest
from PIL import Image

from safejudge import Judge, Policy
from safejudge.constitution.diff import changes
from safejudge.constitution.lint.findings import lint
from safejudge.constitution.load import dump_constitution, load_constitution
from safejudge.constitution.lock import fingerprint
from safejudge.constitution.policy_file import load_policy
from safejudge.engines.fake import FakeDetector, FakeEngine
from safejudge.engines.models import Models
from safejudge.errors import ArgumentError, ConstitutionError, InputError, PolicyError
from safejudge.files.records import record, to_line
from safejudge.files.standing import settled
from safejudge.method.logic import flatten
from safejudge.programs import ocr
from safejudge.programs.base import Found, Program
from safejudge.programs.registry import call_of, open_program
from safejudge.programs.running import Programs
from safejudge.rewards import SafetyReward
from safejudge.types import (
    AllOf,
    AnyOf,
    Box,
    Call,
    Constitution,
    Judgment,
    Look,
    Outcome,
    Picture,
    Precondition,
    PreconditionVerdict,
    Rule,
    Severity,
    needs_no_model,
    slots_of,
)

GREEN, BLACK = (0, 255, 0), (0, 0, 0)
SIDE = 40


def box(word, left, top=0, *, sure=0.9, size=8):
    return Box(word=word, confidence=sure, left=left, top=top, right=left + size, bottom=top + size)


def picture(colour=BLACK):
    return Picture.of(np.full((SIDE, SIDE, 3), colour, np.uint8))


def leaf(**program):
    return Precondition.of(call_of(program))


def rules(*conditions):
    return Constitution(
        name="test",
        rules=tuple(
            Rule(id=f"rule-{n}", category="c", severity=Severity.HIGH, text="t", objective="o",
                 condition=condition)
            for n, condition in enumerate(conditions)
        ),
    )  # fmt: skip


def judge_of(*conditions, boxes=(), policy=None, script=None, detector=True):
    found = FakeDetector(lambda request: [b for b in boxes if b.word in request.words])
    engine = FakeEngine(script=(lambda _: 0.99) if script is None else script)
    models = Models(engine, detector=found if detector else None)
    return Judge(
        rules(*conditions), models, policy or Policy(prior=False, crop=False, region=False)
    )


def judged(judge, item=None, pixels=None):
    (result,) = judge([picture().pixels if pixels is None else pixels], [item])
    assert isinstance(result, Judgment), result
    return result


def look(call, boxes=(), pixels=None, **fields):
    """What a program finds, by itself."""
    told = tuple((name, json.dumps(value)) for name, value in fields.items())
    request = Look(picture() if pixels is None else Picture.of(pixels), call, told)
    programs = Programs()
    assert programs.problem(call, detects=True) is None
    search = lambda asked: [tuple(b for b in boxes if b.word in one.words) for one in asked]  # noqa: E731
    (finding,) = programs.look([request], search)
    return finding


# --- what may be written --------------------------------------------------------------------------

FILE = """
name: window
rules:
  - id: sale
    category: prices
    severity: low
    text: No sale.
    objective: The word SALE is visible.
    condition:
      all:
        - program: {program}
        - statement: a gun is visible
          program: {{order: [car, LEFT of, tree], confidence: 0.5}}
"""


def load(tmp_path, program):
    file = tmp_path / "rules.yaml"
    file.write_text(FILE.format(program=program), encoding="utf-8")
    return load_constitution(file)


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("{words: SALE}", "words: SALE, at_least: 1.0"),
        ("{at_least: 0.5, words: 24}", 'words: "24", at_least: 0.5'),
        ('{words: "{text}", by: published}', "words: {text}, at_least: 1.0, by: published"),
        ("{words: {kind: price}}", "words: {kind: price}"),
        ("{count: {traffic light: 2}}", "count: {traffic light: 2}"),
        (
            "{count: {helmet: {at_most: 4, at_least: person}}, faint: 0.3}",
            "count: {helmet: {at_least: person, at_most: 4}}, faint: 0.3",
        ),
        ("{order: [[cup, plate], Under, lamp]}", "order: [[cup, plate], under, lamp]"),
        ('{overlap: "{mask}", of: car}', "overlap: {mask}, at_least: 0.5, of: car"),
        ("{grid: 12 21}", 'grid: "12 21", at_least: 1.0'),
        ("{grid: [[1, 2], [2, .]], given: 1. 00}", 'grid: "12 20", given: "10 00", at_least: 1.0'),
        (f"{{grid: '{'1234' * 4}'}}", 'grid: "1234 1234 1234 1234", at_least: 1.0'),
    ],
)
def test_a_call_has_one_form_and_reads_back_equal(tmp_path, program, text):
    constitution = load(tmp_path, program)
    alone, beside = constitution.rules[0].condition.all
    assert alone.statement == alone.program.text == text
    assert not alone.is_asked
    assert beside.is_asked
    assert beside.program.text == "order: [car, left of, tree], confidence: 0.5"
    again = tmp_path / "again.yaml"
    again.write_text(dump_constitution(constitution), encoding="utf-8")
    assert load_constitution(again) == constitution
    assert Constitution.model_validate_json(constitution.model_dump_json()) == constitution
    assert constitution.digest() != load(tmp_path, "{words: OTHER}").digest()


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("SALE", "names no program"),
        ("{}", "names no program"),
        ("{wrods: SALE}", "no program is called so\n  instead: `words`"),
        ("{words: a, count: {b: 1}}", "`words` and `count`"),
        ("{words: a, atleast: 0.5}", "unknown key `atleast`"),
        ("{words: ''}", "nothing where a text"),
        ("{words: '!?'}", "no word"),
        ("{words: [a, b]}", "where a text is expected"),
        ("{words: a, at_least: 0}", "above 0, at most 1"),
        ("{words: a, at_least: lots}", "above 0, at most 1"),
        ("{words: a, at_least: nan}", "above 0, at most 1"),
        ("{words: a, by: eye}", "`by: whole`"),
        ("{words: {kind: colour}}", "there are price, percentage"),
        ("{words: {kind: price}, at_least: 0.5}", "the kind alone"),
        ("{count: {dog: -1}}", "whole number from 0 to 19"),
        ("{count: {dog: 2.5}}", "whole number"),
        ("{count: {dog: 20}}", "whole number from 0 to 19"),
        ("{count: {dog: two}}", "whole number"),
        ("{count: {dog: {more: 2}}}", "where a number is expected"),
        ("{count: {dog: {}}}", "where a number is expected"),
        ("{count: {dog: {at_least: 3, at_most: 1}}}", "which no count fits"),
        ("{count: 2}", "where counts are expected"),
        ("{count: {dog: 1}, faint: 0.9}", "`faint` at most as high"),
        ("{order: [car, tree]}", "three parts"),
        ("{order: [car, near, tree]}", "directions are"),
        ("{order: [car, left of, car]}", "on both sides"),
        ("{order: [[cup, cup], left of, car]}", "one object twice"),
        ('{overlap: "{prompt}"}', "a caption for the path"),
        ("{overlap: [a]}", "where the path of a mask is expected"),
        ("{grid: 12 2}", "no square of digits"),
        ("{grid: 12 2x}", "no square of digits"),
        ("{grid: 12 21, given: 123 231 312}", "two sizes"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(tmp_path, program, says):
    with pytest.raises(ConstitutionError) as refused:
        load(tmp_path, program)
    assert says in str(refused.value)
    assert refused.value.line == 11


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("- program: {program}", "- program: {{words: a}}\n          all: [b]", "side by side"),
        ("- program: {program}", "- {{program: {{words: a}}, look_at: b}}", "no `statement`"),
        ("statement: a gun is visible", "contrast: [a]", "no `statement`"),
    ],
)
def test_what_may_not_stand_beside_a_program(tmp_path, old, new, says):
    file = tmp_path / "rules.yaml"
    file.write_text(FILE.replace(old, new).format(program="{words: a}"), encoding="utf-8")
    with pytest.raises(ConstitutionError, match=says):
        load_constitution(file)


def test_numbers_are_still_refused_elsewhere(tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text(FILE.replace("No sale.", "5").format(program="{words: 5}"), encoding="utf-8")
    with pytest.raises(ConstitutionError, match="the number 5"):
        load_constitution(file)


def test_digests_of_rules_without_programs_stay(tmp_path):
    plain = Precondition(statement="a gun is visible")
    assert "program" not in plain.model_dump_json()
    assert fingerprint("o", plain) == fingerprint("o", Precondition(statement="a gun is visible"))
    assert "finding" not in json.dumps(record("a", judged(judge_of(plain))))


def test_lint_leaves_programs_alone_but_for_what_holds_of_nothing(tmp_path):
    file = tmp_path / "rules.yaml"
    text = FILE.format(program='{words: "NOT A QUESTION?"}')
    file.write_text(text, encoding="utf-8")
    assert lint(file) == []
    file.write_text(text[: text.index("    condition")] + (
        "    condition:\n      program: {count: {dog: {at_most: 3}}}\n"
    ), encoding="utf-8")  # fmt: skip
    assert "shows nothing at all violates it" in lint(file)[0].problem
    file.write_text(text[: text.index("    condition")] + (
        "    condition:\n      all:\n        - program: {words: A}\n        - program: {words: A}\n"
    ), encoding="utf-8")  # fmt: skip
    assert "more than once" in lint(file)[0].problem


@pytest.mark.parametrize(
    ("old", "new", "effect"),
    [
        ("{words: A B, at_least: 0.5}", "{words: A B}", "less"),
        ("{words: A B}", "{words: A B, at_least: 0.5}", "more"),
        ("{words: A}", "{words: B}", "open"),
        ("{words: A B}", "{words: A B, by: published}", "open"),
    ],
)
def test_a_difference_is_told_with_what_it_does(tmp_path, old, new, effect):
    (change,) = changes(load(tmp_path, old), load(tmp_path, new))
    assert (change.kind, change.effect) == ("program", effect)
    assert change.old != change.new


# --- what they find -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "dogs", "holds"),
    [
        (2, [0.9, 0.9], True),
        (2, [0.9], False),
        (0, [], True),
        (0, [0.9], False),
        (2, [0.9, 0.9, 0.3], None),  # the third may be there
        (2, [0.9, 0.3], None),
        (2, [0.9, 0.9, 0.1], True),  # the third is too faint
        ({"at_least": 2}, [0.9, 0.9, 0.3], True),
        ({"at_least": 3}, [0.9, 0.9, 0.3], None),
        ({"at_least": 4}, [0.9, 0.9, 0.3], False),
        ({"at_most": 2}, [0.9, 0.9, 0.3], None),
        ({"at_most": 1}, [0.9, 0.9, 0.3], False),
        ({"at_least": "cat"}, [0.9], True),  # as many as cats, of which there are none
        ({"at_least": 3}, [0.9] * 20, True),
        ({"at_most": 19}, [0.9] * 20, False),
        ({"at_least": "dog"}, [0.9] * 20, None),  # nobody knows how many there are
    ],
)
def test_count(wanted, dogs, holds):
    boxes = [box("dog", 10 * n, sure=sure) for n, sure in enumerate(dogs)]
    finding = look(call_of({"count": {"dog": wanted}}), boxes)
    assert finding.holds is holds
    assert (finding.value is None) == (holds is None)


def test_count_takes_a_box_that_repeats_another_for_the_same_object():
    boxes = [box("dog", 0), box("dog", 1, sure=0.8), box("cat", 20)]
    finding = look(call_of({"count": {"dog": 1, "cat": 1, "cow": 0}}), boxes)
    assert finding.holds
    assert finding.facts == {"counts": {"dog": [1, 0], "cat": [1, 0], "cow": [0, 0]}}
    assert {b.word for b in finding.boxes} == {"dog", "cat"}
    half = look(call_of({"count": {"dog": 1, "cat": 2}}), boxes)
    assert (half.holds, half.value) == (False, 0.5)


@pytest.mark.parametrize(
    ("boxes", "holds"),
    [
        ([box("car", 0), box("tree", 30)], True),
        ([box("car", 30), box("tree", 0)], False),
        ([box("car", 0)], False),  # what is not there stands nowhere
        ([box("car", 0), box("tree", 30, sure=0.3)], None),
        ([box("car", 0), box("car", 34), box("tree", 20)], None),  # which of two is meant?
        ([box("car", 0), box("car", 10), box("tree", 30)], True),  # either
        ([box("car", 0), box("car", 34, sure=0.2), box("tree", 20)], None),  # may be there
        ([box("car", 30, sure=0.2), box("tree", 0)], False),  # there or not
        ([box(word, 2 * n) for word in ("car", "tree") for n in range(20)], None),
        ([box("car", 0, size=30), box("tree", 2, size=30)], False),  # hardly apart
    ],
)
def test_order(boxes, holds):
    assert look(call_of({"order": ["car", "left of", "tree"]}), boxes).holds is holds


@pytest.fixture
def mask(tmp_path):
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    pixels[:20] = 255
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    return str(tmp_path / "mask.png")


def test_overlap(mask, tmp_path):
    half = np.zeros((SIDE, SIDE, 3), np.uint8)
    half[:20] = GREEN
    call = call_of({"overlap": "{mask}"})
    found = look(call, pixels=half, mask=mask)
    assert (found.holds, found.value) == (True, 1.0)
    assert look(call, mask=mask).holds is False  # nothing is painted
    small = look(call, pixels=half[::2, ::2], mask=mask)
    assert small.value == 1.0
    assert "brought to the mask's 40 x 40 pixels" in small.said
    Image.fromarray(np.full((SIDE, SIDE), 90, np.uint8)).save(tmp_path / "grey.png")
    grey = look(call, mask=str(tmp_path / "grey.png"))
    assert (grey.value, grey.holds) == (1.0, True)  # both empty
    assert "lighter than 127 counts" in grey.said


@pytest.mark.parametrize("there", [False, True])
def test_a_mask_that_cannot_be_read_is_undecided(tmp_path, there):
    path = tmp_path / "mask.png"
    if there:
        path.write_bytes(b"no picture")
    finding = look(call_of({"overlap": "{mask}"}), mask=str(path))
    assert finding.holds is None
    assert "the mask cannot be read" in finding.said


def test_overlap_of_boxes_is_undecided_where_a_faint_one_decides(mask):
    call = call_of({"overlap": mask, "of": "dog"})
    whole = [Box(word="dog", confidence=0.9, left=0, top=0, right=40, bottom=20)]
    below = Box(word="dog", confidence=0.3, left=0, top=19, right=40, bottom=40)
    assert look(call, whole).holds is True
    assert look(call, [*whole, below]).holds is True  # 0.5 either way is enough
    strict = call_of({"overlap": mask, "of": "dog", "at_least": 0.9})
    assert look(strict, [*whole, below]).holds is None


# --- what goes wrong ------------------------------------------------------------------------------


class Odd(Program):
    name, version = "odd", "1"

    def look(self, _, arguments, boxes):
        assert boxes == ()
        match arguments["odd"]:
            case "raise":
                raise RuntimeError("no luck")
            case "exit":
                raise SystemExit(3)
            case "nan":
                return Found(float("nan"), True, "nan")
            case "facts":
                return Found(1.0, True, "facts", facts={"a": object()})
            case "yes":
                return Found(1.0, True, "yes\n\x1b[31m")
            case other:
                return other


@pytest.fixture
def odd(monkeypatch):
    own = {"odd": f"{__name__}:Odd"}
    monkeypatch.setattr("safejudge.programs.registry.OWN", own)


@pytest.mark.parametrize("how", ["raise", "exit", "nan", "facts", "something else"])
def test_whatever_a_program_does_is_undecided_at_worst(odd, how):
    result = judged(judge_of(leaf(odd=how), Precondition(statement="a gun is visible")))
    verdict = result.rules["rule-0"]
    (answer,) = verdict.preconditions
    assert (verdict.outcome, answer.outcome, answer.test) == (
        "undecided", Outcome.UNDECIDED, "program",
    )  # fmt: skip
    assert answer.note
    assert result.rules["rule-1"].outcome == "violated"
    assert not settled(record("a.png", result))  # a later run asks it again


def test_what_a_program_says_is_on_one_line(odd):
    finding = look(call_of({"odd": "yes"}))
    assert "\n" not in finding.said
    assert "\x1b" not in to_line(record("a.png", judged(judge_of(leaf(odd="yes")))))


def test_an_item_without_the_slot_is_undecided_not_safe():
    judge = judge_of(leaf(overlap="{mask}"))
    for item in (None, "a caption", {"prompt": "a caption"}, {"mask": None}):
        result = judged(judge, item)
        assert result.label == "undecided"
        assert "no {mask}" in result.rules["rule-0"].preconditions[0].note


@pytest.mark.parametrize("value", ["", ["a"], {"a": 1}, True])
def test_an_item_with_a_senseless_value_is_undecided(value):
    finding = look(call_of({"overlap": "{mask}"}), mask=value)
    assert finding.holds is None
    assert finding.said.startswith("overlap has")


def test_items_that_json_does_not_know_are_refused():
    with pytest.raises(InputError, match="JSON does not know"):
        judged(judge_of(leaf(overlap="{mask}")), {"mask": object()})


def test_braces_of_an_item_are_not_filled_again():
    call = Call(name="words", arguments={"words": "{a} and {b}", "at_least": "{c}"})
    filled = call.filled({"a": "{b}", "b": 2, "c": [1]})
    assert filled.arguments == {"words": "{b} and 2", "at_least": [1]}
    assert call.slots == ("a", "b", "c")


# --- in a judge -----------------------------------------------------------------------------------

GUN = Precondition(statement="a gun is visible")
DOG = leaf(count={"dog": 1})
ONE = [box("dog", 0)]


def questions(judge):
    return sum(len(wave) for wave in judge.models.engine.history)


def test_what_a_program_settles_asks_nothing():
    judge = judge_of(AllOf(all=(GUN, DOG)), boxes=[])
    result = judged(judge)
    verdict = result.rules["rule-0"]
    assert (verdict.outcome, verdict.score, verdict.bound) == ("not_violated", 0.0, "exact")
    assert questions(judge) == 0
    assert (result.usage.probes, result.usage.looks) == (0, 1)
    (answer,) = verdict.preconditions
    assert (answer.test, answer.score, answer.margin, answer.reads) == ("program", 0.0, -20.0, ())
    assert answer.finding.value == 0.0


def test_what_it_leaves_open_is_asked():
    judge = judge_of(AllOf(all=(GUN, DOG)), boxes=ONE)
    result = judged(judge)
    assert result.label == "unsafe"
    assert questions(judge) == 1
    assert result.score == pytest.approx(result.rules["rule-0"].preconditions[1].score)


def test_programs_of_a_rule_stop_as_soon_as_it_is_settled():
    judge = judge_of(AllOf(all=(DOG, leaf(count={"cat": 1}))), boxes=[])
    judged(judge)
    assert [request.words for wave in judge.models.detector.history for request in wave] == [
        ("dog",)
    ]


def test_equal_calls_look_once():
    judge = judge_of(DOG, AllOf(all=(GUN, DOG)), boxes=ONE)
    assert judged(judge).usage.looks == 1


def test_a_statement_beside_a_program_is_asked_where_it_cannot_tell():
    both = GUN.model_copy(update={"program": DOG.program})
    for boxes, asked, outcome in (
        (ONE, 0, "violated"),
        ([], 0, "not_violated"),
        ([box("dog", 0, sure=0.3)], 1, "violated"),
    ):
        judge = judge_of(both, boxes=boxes)
        verdict = judged(judge).rules["rule-0"]
        assert (verdict.outcome, questions(judge)) == (outcome, asked)
        (answer,) = verdict.preconditions
        assert answer.statement == "a gun is visible"
        assert answer.finding.holds is (None if asked else bool(boxes))
        assert answer.test == ("accept" if asked else "program")


def test_without_a_detector_a_program_alone_stops_the_run_and_one_with_a_statement_is_noted():
    with pytest.raises(InputError, match="'rule-0': the program count: needs a detector"):
        judge_of(DOG, detector=False)
    both = GUN.model_copy(update={"program": DOG.program})
    judge = judge_of(both, detector=False)
    assert "needs a detector" in judge.notes[0]
    assert "rule-0" in judge.notes[0]
    assert judged(judge).label == "unsafe"
    assert questions(judge) == 1


def test_a_missing_extra_stops_the_run_before_it_begins(monkeypatch):
    monkeypatch.setattr(ocr, "find_spec", lambda _: None)
    ocr.reader.cache_clear()
    with pytest.raises(InputError, match=r"pip install 'safejudge\[ocr\]'"):
        judge_of(leaf(words="SALE"))
    both = GUN.model_copy(update={"program": call_of({"words": "SALE"})})
    judge = judge_of(both)
    assert "safejudge[ocr]" in judge.notes[0]
    assert judged(judge).rules["rule-0"].preconditions[0].finding.holds is None


def test_rules_that_need_no_judge_are_named():
    judge = judge_of(DOG, AllOf(all=(GUN, DOG)), boxes=ONE)
    assert needs_no_model(DOG)
    assert judge.notes == ("rule-0: needs no judge; programs settle it alone",)


def test_no_engine_is_asked_a_program_whatever_the_policy():
    class Strict(FakeEngine):
        def check_statements(self, statements):
            assert statements == ["a gun is visible"]

    for name in ("default", "clue", "clue-tree"):
        judge = Judge(
            rules(AllOf(all=(GUN, DOG))),
            Models(
                Strict(lambda p: 0.99 if p.images else 0.5), detector=FakeDetector({"dog": ONE})
            ),
            load_policy(name),
        )
        assert judged(judge).label == "unsafe"
        assert all(
            "dog" not in getattr(probe, "question", "")
            for wave in judge.models.engine.history
            for probe in wave
        )


def test_several_engines_do_not_vote_on_a_program():
    models = Models(
        FakeEngine(lambda _: 0.99),
        detector=FakeDetector(lambda _: [box("dog", 0, sure=0.3)]),
        also=(FakeEngine(lambda _: 0.98, uri="fake:two"),),
        escalation=FakeEngine(lambda _: 0.01, uri="fake:last"),
    )
    both = GUN.model_copy(update={"program": DOG.program})
    policy = Policy(prior=False, escalate_below=20.0)
    result = judged(Judge(rules(DOG, both), models, policy))
    assert result.rules["rule-0"].outcome == "undecided"
    assert result.rules["rule-0"].preconditions[0].opinions == ()
    answer = result.rules["rule-1"].preconditions[0]
    assert answer.engine == "fake:last"
    assert answer.finding.holds is None  # what the program said is kept


def test_what_makes_a_rule_violated_is_not_asked_once_more_of_a_program():
    judge = judge_of(DOG, boxes=ONE, policy=Policy(prior=False, mirror=True))
    assert judged(judge).label == "unsafe"
    assert questions(judge) == 0


def test_the_flat_form_says_what_it_drops():
    both = GUN.model_copy(update={"program": DOG.program})
    flat, losses = flatten(AllOf(all=(DOG, AnyOf(any=(both, leaf(count={"cat": 1}), GUN)))))
    assert [one.statement for one in flat] == [
        DOG.statement, "a gun is visible or a gun is visible",
    ]  # fmt: skip
    assert flat[1].program is None
    assert len(losses) == 2
    assert "count: {cat: 1}" in losses[1]
    with pytest.raises(PolicyError):
        judge_of(AnyOf(any=(DOG, leaf(count={"cat": 1}))), policy=load_policy("clue"))


def test_exhaustive_asks_nothing_that_cannot_move_the_score():
    policy = Policy(prior=False).exact()
    judge = judge_of(AllOf(all=(GUN, DOG)), boxes=[], policy=policy)
    verdict = judged(judge).rules["rule-0"]
    assert (verdict.score, verdict.bound, questions(judge)) == (0.0, "exact", 0)
    judge = judge_of(AllOf(all=(GUN, DOG)), boxes=ONE, policy=policy)
    assert [a.test for a in judged(judge).rules["rule-0"].preconditions] == ["program", "accept"]


@pytest.mark.parametrize(
    ("boxes", "reward"), [(ONE, -7.5), ([], 10.0), ([box("dog", 0, sure=0.3)], None)]
)
def test_rewards(boxes, reward):
    safety = SafetyReward(judge_of(DOG, boxes=boxes))
    pictures = [picture().pixels]
    with nullcontext() if reward is not None else pytest.warns(RuntimeWarning, match="counted 0"):
        (rating,) = safety.rate(pictures)
    assert rating.reward == reward  # high severity weighs 0.75; margins are clipped to 10
    assert rating.reason == (None if reward is not None else "unread")


def test_rewards_take_items(tmp_path, mask):
    safety = SafetyReward(judge_of(leaf(overlap="{mask}")), with_prompts=False)
    assert safety([picture(GREEN).pixels], [{"prompt": "a", "mask": mask}]) == [-7.5]


def test_constitutions_with_slots_name_them():
    assert slots_of(rules(leaf(overlap="{mask}"), AllOf(all=(GUN, DOG)))) == ("mask",)


def test_a_record_reads_back_equal_and_one_without_its_finding_is_refused():
    result = judged(judge_of(AllOf(all=(GUN, DOG)), boxes=ONE))
    assert Judgment.model_validate_json(result.model_dump_json()) == result
    held = result.rules["rule-0"].preconditions[0].model_dump(exclude={"finding"})
    with pytest.raises(ValueError, match="there is no finding"):
        PreconditionVerdict.model_validate(held)


def test_provenance_names_programs_by_version_and_files(monkeypatch):
    before = judge_of(DOG).provenance
    assert [ref.uri for ref in before.programs] == ["program:count"]
    assert before.detector is not None
    monkeypatch.setattr(type(open_program("count")), "version", "2")
    assert judge_of(DOG).provenance.programs != before.programs
    assert judge_of(GUN).provenance.programs == ()


# --- of other packages ----------------------------------------------------------------------------


def install(folder, monkeypatch, code):
    about = folder / "others-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[safejudge.programs]\nbright = brights:Bright\n")
    (folder / "brights.py").write_text(code)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(__import__("sys").modules, "brights", raising=False)


def test_the_program_of_the_page_works(tmp_path, monkeypatch):
    import re
    from pathlib import Path

    import safejudge.programs

    page = Path(safejudge.programs.__file__).parent / "README.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    install(tmp_path, monkeypatch, code)
    judge = judge_of(leaf(bright="0.8"))
    assert judged(judge).label == "safe"
    assert judged(judge, pixels=picture((255, 255, 255)).pixels).label == "unsafe"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise RuntimeError('broken')", "RuntimeError: broken"),
        ("Bright = lambda: 1 / 0", "cannot be opened: ZeroDivisionError"),
        ("Bright = dict", "is a dict, which is no"),
    ],
)
def test_what_is_wrong_with_another_package_is_said(tmp_path, monkeypatch, code, says):
    install(tmp_path, monkeypatch, code)
    with pytest.raises(ArgumentError, match=says):
        call_of({"bright": 1})
