"""What a change of a constitution means: every claim against all answers there can be."""

import io
import re
import sys
from itertools import count, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from safejudge.cli import app as cli
from safejudge.constitution import diff
from safejudge.constitution.diff import changes, effect_of, one_at_a_time
from safejudge.constitution.load import dump_constitution, load_constitution
from safejudge.method.logic import evaluate
from safejudge.show.diff import changed_rules, words
from safejudge.types import (
    AllOf,
    AnyOf,
    Constitution,
    NoneOf,
    Outcome,
    Precondition,
    Rule,
    Severity,
    leaves,
)

RANK = {Outcome.NO: 0, Outcome.UNDECIDED: 1, Outcome.YES: 2}


def leaf(statement, look_at=None):
    return Precondition(statement=statement, look_at=look_at)


KNIFE, GUN, SWORD = (leaf(f"a child lifts some {what}") for what in ("knives", "guns", "swords"))
TOY, STAGE, POLICE = leaf("toys are around"), leaf("this is theatre"), leaf("police came")


def all_of(*parts):
    return AllOf(all=parts)


def any_of(*parts):
    return AnyOf(any=parts)


def none_of(*parts):
    return NoneOf(none=parts)


def rule(name="r", condition=KNIFE, **other):
    texts = {"category": "c", "severity": Severity.LOW, "text": "No knives.", "objective": "Knife."}
    return Rule(id=name, condition=condition, **{**texts, **other})


def constitution(*rules, **other):
    return Constitution(**{"name": "n", "rules": rules, **other})


def between(old, new):
    """The changes from one condition to another."""
    return changes(constitution(rule(condition=old)), constitution(rule(condition=new)))


# --- conditions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "expected", "effect"),
    [
        (KNIFE, all_of(KNIFE, none_of(TOY)), ["exception added"], "less"),
        (
            any_of(KNIFE, GUN),
            all_of(any_of(KNIFE, GUN), none_of(TOY, STAGE)),
            ["exception added", "exception added"],
            "less",
        ),
        (all_of(KNIFE, none_of(TOY, STAGE)), all_of(KNIFE, none_of(TOY)),
         ["exception removed"], "more"),
        (all_of(KNIFE, none_of(TOY, STAGE)), KNIFE, ["exception removed"] * 2, "more"),
        (all_of(KNIFE, none_of(TOY)), all_of(KNIFE, none_of(STAGE)),
         ["exception removed", "exception added"], "open"),
        (any_of(KNIFE, TOY), any_of(KNIFE, TOY, STAGE), ["alternative added"], "more"),
        (KNIFE, any_of(KNIFE, STAGE), ["alternative added"], "more"),
        (all_of(KNIFE, TOY), KNIFE, ["requirement removed"], "more"),
        (all_of(KNIFE, TOY), all_of(KNIFE, any_of(TOY, STAGE)), ["alternative added"], "more"),
        (any_of(KNIFE, TOY), all_of(KNIFE, TOY), ["operator"], "less"),
        (all_of(KNIFE, TOY), any_of(KNIFE, TOY, STAGE), ["operator", "alternative added"], "more"),
        (any_of(KNIFE, TOY, POLICE), all_of(KNIFE, TOY), ["operator", "alternative removed"],
         "less"),
        (all_of(STAGE, any_of(KNIFE, TOY)), all_of(STAGE, all_of(KNIFE, TOY)), ["operator"],
         "less"),
        (any_of(KNIFE, TOY), none_of(KNIFE, TOY), ["operator"], "open"),
        # Under `none` everything is the other way round.
        (
            all_of(KNIFE, none_of(all_of(TOY, STAGE))),
            all_of(KNIFE, none_of(all_of(TOY, STAGE, POLICE))),
            ["exception's requirement added"],
            "more",
        ),
        (
            all_of(KNIFE, none_of(all_of(TOY, any_of(STAGE, POLICE)))),
            all_of(KNIFE, none_of(all_of(TOY, STAGE))),
            ["exception's alternative removed"],
            "more",
        ),
        (
            all_of(KNIFE, none_of(all_of(TOY, none_of(STAGE)))),
            all_of(KNIFE, none_of(TOY)),
            ["exception's exception removed"],
            "less",
        ),
        # Two wordings are two statements.
        (any_of(KNIFE, TOY), any_of(GUN, TOY), ["alternative reworded"], "open"),
        (all_of(KNIFE, none_of(leaf("toys are around here"))), all_of(KNIFE, none_of(TOY)),
         ["exception reworded"], "open"),
        (KNIFE, leaf(KNIFE.statement, "knife"), ["look_at"], "open"),
        # What is only written otherwise.
        (all_of(KNIFE, GUN), all_of(GUN, KNIFE), [], "none"),
        (KNIFE, any_of(all_of(KNIFE)), [], "none"),
        (all_of(KNIFE, none_of(TOY, STAGE)), all_of(none_of(STAGE), none_of(TOY), KNIFE), [],
         "none"),
        (none_of(TOY, STAGE), none_of(any_of(STAGE, TOY)), [], "none"),
        (any_of(KNIFE, any_of(GUN, SWORD)), any_of(SWORD, KNIFE, GUN), [], "none"),
    ],
)  # fmt: skip
def test_edits_of_a_condition(old, new, expected, effect):
    found = between(old, new)
    assert [change.kind for change in found] == expected
    assert effect_of(found) == effect


def test_a_change_has_old_and_new_and_its_place():
    old = any_of(SWORD, all_of(KNIFE, none_of(TOY)), all_of(GUN, none_of(POLICE, STAGE)))
    new = any_of(SWORD, all_of(KNIFE, none_of(TOY)), all_of(GUN, none_of(POLICE)))
    (change,) = between(old, new)
    assert (change.old, change.new) == (STAGE.statement, None)
    assert change.path == ("any of", f"`{GUN.statement}`", "all of", "none of")
    (change,) = between(leaf("a", "x"), leaf("a", "y"))
    assert (change.old, change.new, change.path) == ("x", "y", ("`a`",))


def test_opposite_edits_claim_nothing_together_but_each_alone():
    old = all_of(any_of(KNIFE, TOY), none_of(STAGE, POLICE))
    found = between(old, all_of(any_of(KNIFE), none_of(STAGE)))
    assert sorted((change.kind, change.effect) for change in found) == [
        ("alternative removed", "less"), ("exception removed", "more")
    ]  # fmt: skip
    assert effect_of(found) == "open"


def test_nothing_is_claimed_inside_lists_that_cannot_be_compared():
    found = between(any_of(KNIFE, TOY, STAGE), none_of(KNIFE, TOY))
    assert [(change.kind, change.effect) for change in found] == [
        ("operator", "open"), ("alternative removed", "open")
    ]  # fmt: skip
    # No part in common: neither is the least of the one above the greatest of the other.
    found = diff._lists((AnyOf, (KNIFE,)), (AllOf, (STAGE,)), diff._Spot("r"))
    assert {change.effect for change in found} == {"open"}


def test_a_lost_exception_is_no_rewording_of_one_that_shares_small_words():
    referee, museum = leaf("a referee is visible"), leaf("a museum is visible")
    found = between(all_of(KNIFE, none_of(referee)), all_of(KNIFE, none_of(museum)))
    assert [change.kind for change in found] == ["exception removed", "exception added"]


POOL = [leaf(name) for name in ("red", "green", "blue", "red wine")]


def node(parts):
    return st.sampled_from((all_of, any_of, none_of)).flatmap(
        lambda kind: parts.map(lambda some: kind(*some))
    )


trees = st.recursive(
    st.sampled_from(POOL), lambda inner: node(st.lists(inner, min_size=1, max_size=3)), max_leaves=7
)


def inside(condition):
    ((name, value),) = ((n, getattr(condition, n)) for n in type(condition).model_fields)
    return name, value


@st.composite
def edited(draw, condition):
    """The condition after an edit somewhere in it."""
    if isinstance(condition, Precondition) or draw(st.integers(0, 3)) == 0:
        how = draw(st.sampled_from(("replace", "wrap", "join")))
        if how == "replace":
            return draw(trees)
        kind = draw(st.sampled_from((all_of, any_of, none_of)))
        return kind(condition) if how == "wrap" else kind(condition, draw(trees))
    name, parts = inside(condition)
    parts = list(parts)
    place = draw(st.integers(0, len(parts) - 1))
    how = draw(st.sampled_from(("deeper", "add", "drop", "operator", "shuffle")))
    if how == "deeper":
        parts[place] = draw(edited(parts[place]))
    elif how == "add":
        parts.insert(place, draw(trees))
    elif how == "drop" and len(parts) > 1:
        del parts[place]
    elif how == "operator":
        return draw(st.sampled_from((all_of, any_of, none_of)))(*parts)
    elif how == "shuffle":
        parts = draw(st.permutations(parts))
    return type(condition)(**{name: tuple(parts)})


@st.composite
def edits(draw):
    old = new = draw(trees)
    for _ in range(draw(st.integers(1, 3))):
        new = draw(edited(new))
    return old, new


@given(edits())
def test_no_answers_contradict_a_claim(pair):
    old, new = pair
    effect = effect_of(between(old, new))
    for values in product(Outcome, repeat=len(POOL)):
        table = dict(zip(POOL, values, strict=True))
        before, after = RANK[evaluate(old, table)], RANK[evaluate(new, table)]
        assert after <= before or effect not in ("less", "none")
        assert after >= before or effect not in ("more", "none")


@given(edits())
def test_a_statement_that_came_or_went_is_named(pair):
    old, new = ({leaf.statement for leaf in leaves(one)} for one in pair)
    found = between(*pair)
    gone = " ".join(change.old or "" for change in found)
    came = " ".join(change.new or "" for change in found)
    assert all(statement in gone for statement in old - new)
    assert all(statement in came for statement in new - old)


def numbered(condition, number):
    """The same tree with a statement of its own at every leaf."""
    if isinstance(condition, Precondition):
        return leaf(f"fact{next(number)}")
    name, parts = inside(condition)
    return type(condition)(**{name: tuple(numbered(part, number) for part in parts)})


def grown(condition, choose, *, positive=True):
    """The condition with a new part in one list of it, and what that must do to violations."""
    name, parts = inside(condition)
    deeper = [i for i, part in enumerate(parts) if not isinstance(part, Precondition)]
    under = positive is not (name == "none")
    place = choose(st.sampled_from([None, *deeper]))
    if place is None:
        more = under is not (name == "all")
        return type(condition)(**{name: (*parts, leaf("something else"))}), more
    part, more = grown(parts[place], choose, positive=under)
    return type(condition)(**{name: (*parts[:place], part, *parts[place + 1 :])}), more


@given(trees.filter(lambda tree: not isinstance(tree, Precondition)), st.data())
def test_one_part_more_or_less_is_always_told_for_certain(tree, data):
    tree = numbered(tree, count())
    bigger, more = grown(tree, data.draw)
    there, back = between(tree, bigger), between(bigger, tree)
    assert (effect_of(there), effect_of(back)) == (("more", "less") if more else ("less", "more"))
    assert len(there) == len(back) == 1


@given(trees.filter(lambda tree: not isinstance(tree, Precondition)), st.data())
def test_one_edit_is_made_whole_and_alone(tree, data):
    tree = numbered(tree, count())
    bigger, _ = grown(tree, data.draw)
    for old, new in ((tree, bigger), (bigger, tree)):
        (edited,) = one_at_a_time(old, new)
        assert between(edited, new) == []


@given(edits())
def test_edits_come_one_at_a_time(pair):
    old, new = pair
    found = [*one_at_a_time(old, new)]
    assert bool(found) is bool(between(old, new))
    assert all(between(old, edited) for edited in found)
    assert len({*map(repr, found)}) == len(found)


def test_the_only_exception_goes_with_its_list():
    old, new = all_of(KNIFE, none_of(TOY)), all_of(KNIFE, GUN, none_of(STAGE))
    kinds = [[c.kind for c in between(old, edited)] for edited in one_at_a_time(old, new)]
    assert sorted(kinds) == [["exception added"], ["exception removed"], ["requirement added"]]


def test_a_requirement_beside_an_exception_that_stood_alone_is_one_edit():
    lone = any_of(KNIFE, all_of(none_of(TOY)))
    beside = any_of(KNIFE, all_of(none_of(TOY), GUN))
    for old, new in ((lone, beside), (beside, lone)):
        (edited,) = one_at_a_time(old, new)
        assert between(edited, new) == []
        assert len(between(old, new)) == 1


# --- rules and texts ------------------------------------------------------------------------------


def test_what_is_not_of_the_condition_claims_nothing():
    old = rule(relevance="knife", moderation=("violence",))
    new = rule(
        category="d", severity=Severity.HIGH, text="No blades.", objective="Blade.",
        moderation=("violence", "hate"),
    )  # fmt: skip
    found = changes(
        constitution(old), constitution(new, name="m", description="It has a description.")
    )
    assert [(change.kind, change.old, change.new) for change in found] == [
        ("name", "n", "m"),
        ("description", None, "It has a description."),
        ("category", "c", "d"),
        ("severity", "low", "high"),
        ("text", "No knives.", "No blades."),
        ("objective", "Knife.", "Blade."),
        ("relevance", "knife", None),
        ("moderation", "violence", "violence, hate"),
    ]
    assert [change.rule for change in found] == ["", ""] + ["r"] * 6
    # A field that a rule gets some day is compared as well.
    kinds = {change.kind for change in found}
    assert kinds | {"id", "condition"} == set(Rule.model_fields) | {"name", "description"}
    assert effect_of(found) == "none"


LONG = {"text": "Nobody waves a knife about in public.", "objective": "A person waves a knife."}


def test_rules_come_and_go_and_change_places():
    kept, gone, new = rule("kept"), rule("gone", **LONG), rule("new", GUN, text="No guns at all.")
    found = changes(constitution(kept, gone), constitution(new, kept))
    assert [(change.rule, change.kind, change.effect) for change in found] == [
        ("new", "rule added", "more"), ("new", "text", "none"), ("new", "condition", "none"),
        ("gone", "rule removed", "less"), ("gone", "text", "none"), ("gone", "condition", "none"),
    ]  # fmt: skip
    assert found[2].new == GUN.statement
    assert changes(constitution(kept, gone), constitution(gone, kept)) == []


def test_a_renamed_rule_hides_no_edit():
    lifted = any_of(KNIFE, SWORD)
    old = rule("blade", all_of(lifted, none_of(TOY)), **LONG)
    found = changes(constitution(old), constitution(rule("knife", old.condition, **LONG)))
    assert [(c.kind, c.old, c.new) for c in found] == [("renamed", "blade", "knife")]
    found = changes(constitution(old), constitution(rule("knife", lifted, **LONG)))
    assert [change.kind for change in found] == ["renamed", "exception removed"]
    assert {change.rule for change in found} == {"knife"}


def test_an_id_that_stays_is_worth_more_than_likeness():
    one, two = rule("one", KNIFE, **LONG), rule("two", GUN, text="No guns at all.")
    swapped = constitution(two.model_copy(update={"id": "one"}), one.model_copy(update={"id": "2"}))
    found = changes(constitution(one, two), swapped)
    assert "renamed" not in {change.kind for change in found}
    assert ("one", "text") in {(change.rule, change.kind) for change in found}


# --- text for people ------------------------------------------------------------------------------

NASTY = "\x1b[31mred\x1b]0;title\x07\u202e[bold]x[/bold] :smile:"


def drawn(found, width=80, *, colour=False):
    stream = io.StringIO()
    Console(file=stream, width=width, force_terminal=colour, markup=False, emoji=False).print(
        changed_rules(found)
    )
    return "\n".join(line.rstrip() for line in stream.getvalue().split("\n"))


@given(st.text("ab .,", max_size=30), st.text("ab .,", max_size=30))
def test_marked_words_hold_both_texts(old, new):
    text = words(old, new).plain.replace("]\n{", "]{")
    gone, came = re.compile(r"\[-(.*?)-\]"), re.compile(r"\{\+(.*?)\+\}")
    assert came.sub("", gone.sub(r"\1", text)) == old
    assert came.sub(r"\1", gone.sub("", text)) == new


def test_only_words_that_changed_are_marked():
    text = words("A knife lies on a table, unless it is a toy.", "A fork lies on a table.").plain
    assert text == "A [-knife-]{+fork+} lies on a table[-, unless it is a toy-]."
    assert words("critical", "high").plain == "[-critical-]{+high+}"


@pytest.mark.parametrize("width", [40, 80])
def test_text_of_constitutions_steers_no_terminal(width):
    texts = dict.fromkeys(("text", "objective", "category"), NASTY)
    old = rule(condition=all_of(leaf("a " * 60), none_of(leaf(NASTY, NASTY))))
    new = rule(condition=all_of(leaf("a " * 59), KNIFE, GUN), **texts)
    found = changes(constitution(old), constitution(new, rule("s", leaf(NASTY)), name=NASTY))
    plain = drawn(found, width)
    assert "\x1b" not in plain
    assert max(map(cell_len, plain.splitlines())) <= width
    assert "[bold]x[/bold]" in "".join(plain.split())
    assert "\\u202e" in plain
    coloured = drawn(found, width, colour=True)
    assert "\x1b" in coloured
    for code in ("\x1b[31mred", "\x1b]0;", "\u202e", "\x07"):
        assert code not in coloured


def test_claims_and_losses_stand_in_the_text():
    old = all_of(any_of(KNIFE, GUN, SWORD), none_of(TOY, STAGE))
    text = drawn(between(old, all_of(any_of(KNIFE, GUN, SWORD), none_of(TOY))))
    assert "r  can only be violated more\n" in text
    assert f"  - exception removed: {STAGE.statement}\n" in text
    assert "rules: 0 added, 0 removed, 1 changed; 1 exception removed" in text
    text = drawn(between(old, all_of(any_of(KNIFE, GUN), none_of(TOY))))
    assert "r  may be violated more or less\n" in text
    assert f"  - exception removed: {STAGE.statement}  (only more)\n" in text
    assert f"  - alternative removed: {SWORD.statement}  (only less)\n" in text


# --- the command ----------------------------------------------------------------------------------


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """The shipped `sketch`, and the same without one exception, as files."""
    monkeypatch.chdir(tmp_path)
    old = load_constitution("sketch")
    without = [
        rule.model_copy(update={"condition": rule.condition.all[0]})
        if rule.id == "untreated-injury"
        else rule
        for rule in old.rules
    ]
    new = old.model_copy(update={"rules": tuple(without)})
    (tmp_path / "old.yaml").write_text(dump_constitution(old))
    (tmp_path / "new.yaml").write_text(dump_constitution(new))
    return tmp_path


def test_exit_codes(copies, capsys):
    assert cli.main(["diff", "sketch", "old.yaml"]) == 0
    assert capsys.readouterr().out == "no change\n"
    turned = load_constitution("sketch")
    turned = turned.model_copy(update={"rules": turned.rules[::-1]})
    (copies / "turned.yaml").write_text(dump_constitution(turned))
    assert cli.main(["diff", "sketch", "turned.yaml"]) == 0
    assert capsys.readouterr().out == "no change but in order or nesting\n"
    assert cli.main(["diff", "old.yaml", "new.yaml"]) == 1
    assert capsys.readouterr().out == (
        "untreated-injury  can only be violated more\n"
        "  - exception removed: a doctor is visible (look at: doctor)\n\n"
        "rules: 0 added, 0 removed, 1 changed; 1 exception removed\n"
    )
    assert cli.main(["diff", "new.yaml", "nope"]) == 2
    assert cli.main(["diff", "new.yaml"]) == 2
    assert "no shipped constitution" in capsys.readouterr().err


def test_help_states_the_exit_codes(capsys):
    assert cli.main(["diff", "--help"]) == 0
    out = capsys.readouterr().out
    assert "  0    nothing changed\n  1    something changed\n" in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_only_a_terminal_gets_colours(copies, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    assert cli.main(["diff", "old.yaml", "new.yaml"]) == 1
    assert "\x1b[1;31mexception removed: \x1b[0m" in out.getvalue()
