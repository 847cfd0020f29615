"""The benchmark of edits on rules that were written for photographs: its words, edits, figures."""

import flips_of_others as flips
import others_rules as others
import pytest

from safejudge.sketch.world.statements import grammar, normal
from safejudge.types import AllOf, AnyOf, NoneOf, leaves

RULES = others.theirs()
SHOWN = others.showable()


def test_every_word_is_one_of_theirs_and_one_that_the_judge_knows():
    said = {leaf.statement for rule in RULES.values() for leaf in leaves(rule.condition)}
    assert set(others.WORDS) <= said
    assert all(normal(words) in grammar() for _, words in others.WORDS.values())
    for edit in others.EDITS:
        assert {normal(leaf.statement) for leaf in leaves(edit.after)} <= set(grammar())


def test_what_cannot_be_shown_is_false():
    bus, never = others.a("a person on foot is next to a truck"), others.a("a person is welding")
    shown = others.a("a person is next to a bus")
    assert others.shown(AnyOf(any=(never, bus))) == shown
    assert others.shown(AllOf(all=(never, bus))) is None
    assert others.shown(AllOf(all=(bus, NoneOf(none=(never,))))) == shown
    assert others.shown(AnyOf(any=(never, AllOf(all=(bus, never))))) is None
    # Two statements of theirs that are shown by the same words are one.
    again = others.a("a person on foot is within 2 metres of the rear of a truck")
    assert others.shown(AnyOf(any=(bus, again))) == shown


def test_every_showable_rule_is_edited_and_every_edit_flips_some_truth():
    assert {edit.rule for edit in others.EDITS} == set(SHOWN)
    assert len({(edit.rule, edit.kind) for edit in others.EDITS}) == len(others.EDITS)
    for number, edit in enumerate(others.EDITS[:6]):
        pair = (SHOWN[edit.rule], others.as_rule(edit.after))
        drawn = flips.scenes_of(*pair, f"{flips.DEVELOPMENT}-{number}", 2)
        assert sorted(old != new for old, new in drawn.truth) == [False, False, True, True]


def drawn():
    """Twelve scenes that flip either way, and twelve that do not."""
    truth = [(True, False), (False, True), (True, True), (False, False)] * 6
    return flips.Drawn([], truth, 0)


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        (lambda old, new: (old, new), (1, 1, 1, 1, 0, 0)),
        # Who ignores the policy is right about half of what disagrees, and shifts never.
        (lambda old, _: (old, old), (1, 0.5, 0, 0, 0, 0)),
        (lambda old, new: (not old, not new), (0, 0, 0, 1, 0, 0)),
        (lambda old, _: (old, None), (0.5, 0.5, 0, 0, 0, 1)),
        (lambda *_: (True, False), (0.5, 0.5, 0.5, 1, 1, 0)),
    ],
)
def test_figures_say_what_a_verdict_did(says, expected):
    scenes = drawn()
    sides = list(zip(*(says(old, new) for old, new in scenes.truth), strict=True))
    found = flips.figures(flips.rows_of(others.EDITS[0], 0, scenes, sides))
    assert tuple(value.value for value in found.values()) == pytest.approx(expected)
