"""Condition trees against a brute-force truth table."""

from itertools import count, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge.method.logic import evaluate, flatten, next_leaf, possible, score_interval
from safejudge.types import AllOf, AnyOf, NoneOf, Outcome, Precondition, leaves

YES, NO, UNDECIDED = Outcome.YES, Outcome.NO, Outcome.UNDECIDED
RANK = {NO: 0, UNDECIDED: 1, YES: 2}
POOL = [Precondition(statement=name) for name in ("a", "b", "c", "d")]  # few, so leaves repeat
A, B, C, D = POOL


def _node(parts):
    return st.one_of(
        parts.map(lambda p: AllOf(all=tuple(p))),
        parts.map(lambda p: AnyOf(any=tuple(p))),
        parts.map(lambda p: NoneOf(none=tuple(p))),
    )


trees = st.recursive(
    st.sampled_from(POOL),
    lambda inner: _node(st.lists(inner, min_size=1, max_size=3)),
    max_leaves=7,
)
outcomes = st.sampled_from(list(Outcome))
full_tables = st.fixed_dictionaries(dict.fromkeys(POOL, outcomes))
partial_tables = st.dictionaries(st.sampled_from(POOL), outcomes)


def truth(condition, table):
    """Kleene's tables written out case by case, unlike the min and max of the library."""
    if isinstance(condition, Precondition):
        return table[condition]
    if isinstance(condition, AllOf):
        parts = [truth(part, table) for part in condition.all]
        return NO if NO in parts else UNDECIDED if UNDECIDED in parts else YES
    parts = [
        truth(p, table) for p in (condition.any if hasattr(condition, "any") else condition.none)
    ]
    some = YES if YES in parts else UNDECIDED if UNDECIDED in parts else NO
    if isinstance(condition, AnyOf):
        return some
    return {YES: NO, NO: YES, UNDECIDED: UNDECIDED}[some]


def completions(condition, known):
    free = [leaf for leaf in dict.fromkeys(leaves(condition)) if leaf not in known]
    for values in product(Outcome, repeat=len(free)):
        yield truth(condition, {**known, **dict(zip(free, values, strict=True))})


def signs(condition, *, positive=True):
    """Every leaf with the sides of `none` that it stands on."""
    if isinstance(condition, Precondition):
        return {(condition, positive)}
    if isinstance(condition, NoneOf):
        return set().union(*(signs(p, positive=not positive) for p in condition.none))
    parts = condition.all if isinstance(condition, AllOf) else condition.any
    return set().union(*(signs(part, positive=positive) for part in parts))


@given(trees, full_tables)
def test_evaluate_is_kleene(condition, table):
    assert evaluate(condition, table) is truth(condition, table)


@given(trees, partial_tables)
def test_absent_leaves_count_as_undecided(condition, known):
    table = {**dict.fromkeys(POOL, UNDECIDED), **known}
    assert evaluate(condition, known) is truth(condition, table)


@given(trees, partial_tables)
def test_possible_holds_every_completion_and_is_tight(condition, known):
    low, high = possible(condition, known)
    ranks = [RANK[outcome] for outcome in completions(condition, known)]
    assert RANK[low] <= min(ranks)
    assert max(ranks) <= RANK[high]
    open_signs = [leaf for leaf, _ in signs(condition) if leaf not in known]
    if len(open_signs) == len(set(open_signs)):  # no open leaf on both sides of a `none`
        assert (RANK[low], RANK[high]) == (min(ranks), max(ranks))


def ask_all(condition, table):
    """Run the early stop; return what was asked, in order."""
    known = {}
    while (leaf := next_leaf(condition, known)) is not None:
        assert leaf not in known
        known[leaf] = table[leaf]
    return known


@given(trees, full_tables)
def test_early_stop_changes_no_outcome(condition, table):
    known = ask_all(condition, table)
    assert evaluate(condition, known) is truth(condition, table)
    low, high = possible(condition, known)
    assert low is high


def numbered(condition, count):
    """The same tree with a statement of its own at every leaf."""
    if isinstance(condition, Precondition):
        return Precondition(statement=str(next(count)))
    ((kind, parts),) = ((name, getattr(condition, name)) for name in type(condition).model_fields)
    return type(condition)(**{kind: tuple(numbered(part, count) for part in parts)})


@given(trees, st.data())
def test_leaves_are_asked_in_listed_order(condition, data):
    condition = numbered(condition, count())
    listed = list(leaves(condition))
    table = {leaf: data.draw(outcomes) for leaf in listed}
    asked = list(ask_all(condition, table))
    assert asked == [leaf for leaf in listed if leaf in asked]


@given(trees, partial_tables, st.sets(st.sampled_from(POOL)))
def test_skipped_leaves_are_passed_over_but_settle_nothing(condition, known, skip):
    leaf = next_leaf(condition, known, skip)
    assert leaf is None or (leaf not in known and leaf not in skip)
    if leaf is None and next_leaf(condition, known) is not None:
        assert next_leaf(condition, known) in skip


@pytest.mark.parametrize(
    ("condition", "known", "expected"),
    [
        (AllOf(all=(A, B)), {A: NO}, None),
        (AllOf(all=(A, B)), {A: UNDECIDED}, B),
        (AnyOf(any=(A, B)), {A: YES}, None),
        (NoneOf(none=(A, B)), {A: YES}, None),
        (NoneOf(none=(A, B)), {A: NO}, B),
        (AllOf(all=(AnyOf(any=(A, B)), C)), {A: YES}, C),
        (AllOf(all=(A, NoneOf(none=(B,)))), {A: YES, B: YES}, None),
    ],
)
def test_next_leaf_of_small_trees(condition, known, expected):
    assert next_leaf(condition, known) == expected


CLEAR = {
    NO: st.floats(0.0, 0.375),
    UNDECIDED: st.floats(0.0, 1.0),
    YES: st.floats(0.625, 1.0),
}


@given(trees, partial_tables, st.data())
def test_decided_outcome_and_score_agree(condition, known, data):
    scores = {leaf: data.draw(CLEAR[outcome]) for leaf, outcome in known.items()}
    low, high = score_interval(condition, scores)
    assert 0.0 <= low <= high <= 1.0
    settled, upper = possible(condition, known)
    if settled is upper is YES:
        assert low > 0.5
    if settled is upper is NO:
        assert high < 0.5


@given(trees, st.fixed_dictionaries(dict.fromkeys(POOL, st.floats(0, 1))), st.data())
def test_interval_holds_the_full_score(condition, scores, data):
    exact, same = score_interval(condition, scores)
    assert exact == same
    some = data.draw(st.sets(st.sampled_from(POOL)))
    low, high = score_interval(condition, {leaf: scores[leaf] for leaf in some})
    assert low <= exact <= high


def test_score_algebra():
    scores = {A: 0.9, B: 0.4, C: 0.25}
    assert score_interval(AllOf(all=(A, B)), scores) == (0.4, 0.4)
    assert score_interval(AnyOf(any=(B, C)), scores) == (0.4, 0.4)
    assert score_interval(NoneOf(none=(B, C)), scores) == (0.6, 0.6)
    assert score_interval(AllOf(all=(A, D)), scores) == (0.0, 0.9)
    assert score_interval(NoneOf(none=(C, D)), scores) == (0.0, 0.75)


# --- the flat form --------------------------------------------------------------------------------


def leaf(statement, look_at=None):
    return Precondition(statement=statement, look_at=look_at)


def test_flat_form_splices_and_joins():
    condition = AllOf(
        all=(
            leaf("A person is visible.", "person"),
            AllOf(all=(leaf("Fire is visible."), leaf("A person is visible.", "person"))),
            AnyOf(any=(leaf("A knife is visible.", "knife"), leaf("A gun is visible.", "gun"))),
        )
    )
    flat, warnings = flatten(condition)
    assert [item.statement for item in flat] == [
        "A person is visible.",
        "Fire is visible.",
        "A knife is visible or A gun is visible.",
    ]
    assert [item.look_at for item in flat] == ["person", None, "knife and gun"]
    assert warnings == ()


def test_flat_form_drops_exceptions_aloud():
    flat, warnings = flatten(AllOf(all=(leaf("Fire"), NoneOf(none=(leaf("A stove"),)))))
    assert [item.statement for item in flat] == ["Fire"]
    assert len(warnings) == 1
    assert "A stove" in warnings[0]


def test_flat_form_of_nested_alternatives():
    both = AllOf(all=(leaf("A", "x"), leaf("B", "y"), NoneOf(none=(leaf("E"),))))
    nested = AnyOf(any=(leaf("C"), leaf("D", "x")))
    flat, warnings = flatten(AnyOf(any=(both, nested)))
    assert flat == (leaf("A and B or C or D", "x and y"),)
    assert len(warnings) == 1


def test_flat_form_of_an_alternative_without_alternatives():
    flat, _ = flatten(AnyOf(any=(AllOf(all=(A, B)),)))
    assert flat == (A, B)


def test_nothing_but_exceptions_leaves_an_empty_list():
    flat, warnings = flatten(AllOf(all=(NoneOf(none=(A,)), AnyOf(any=(NoneOf(none=(B,)),)))))
    assert flat == ()
    assert len(warnings) == 2
