"""Numbered statements and how they combine: what can be read, and what is refused in what words."""

from __future__ import annotations

from itertools import accumulate, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safejudge.compile.combine import CombineError, combine
from safejudge.constitution.schema import MAX_TREE
from safejudge.method.logic import evaluate
from safejudge.types import AllOf, AnyOf, NoneOf, Outcome, Precondition, leaves

NAMES = [Precondition(statement=name) for name in "abcde"]
A, B, C, D, E = NAMES


def read(text, count=None):
    """Read a text about as many statements as its highest number, or `count`."""
    if count is None:
        count = max(int(sign) for sign in text if sign.isdigit())
    return combine(text, NAMES[:count])


def all_of(*parts):
    return AllOf(all=parts)


def any_of(*parts):
    return AnyOf(any=parts)


def none_of(*parts):
    return NoneOf(none=parts)


# --- what is read ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("1", A),
        ("1 and 2", all_of(A, B)),
        ("1 or 2", any_of(A, B)),
        ("not 1", none_of(A)),
        # and binds closer than or, not closest of all
        ("1 or 2 and 3", any_of(A, all_of(B, C))),
        ("1 and 2 or 3", any_of(all_of(A, B), C)),
        ("1 and 2 or 3 and 4", any_of(all_of(A, B), all_of(C, D))),
        ("not 1 or 2", any_of(none_of(A), B)),
        ("not 1 and 2", all_of(B, none_of(A))),
        # brackets bind otherwise, or change nothing
        ("(1 or 2) and 3", all_of(any_of(A, B), C)),
        ("1 and (2 or 3)", all_of(A, any_of(B, C))),
        ("((1)) and ((2))", all_of(A, B)),
        ("(1 and 2) and 3", all_of(A, B, C)),
        ("1 or (2 or 3)", any_of(A, B, C)),
        ("((1 or 2) or 3) and (4 and 5)", all_of(any_of(A, B, C), D, E)),
        # exceptions are one list at the end of what they are exceptions of
        ("(1 or 2) and not 3", all_of(any_of(A, B), none_of(C))),
        ("not 1 and 2 and not 3", all_of(B, none_of(A, C))),
        ("1 and not 2 and not 3", all_of(A, none_of(B, C))),
        ("1 and not (2 or 3)", all_of(A, none_of(B, C))),
        ("1 and not (2 and 3)", all_of(A, none_of(all_of(B, C)))),
        ("1 and not (2 or 3 and 4)", all_of(A, none_of(B, all_of(C, D)))),
        ("(1 and not 2) and (3 and not 4)", all_of(A, C, none_of(B, D))),
        ("1 or 2 and not 3", any_of(A, all_of(B, none_of(C)))),
        ("not 1 and not 2", none_of(A, B)),
        ("not (1 and not 2)", none_of(all_of(A, none_of(B)))),
        ("not (not 1)", none_of(none_of(A))),
        ("not 1 or not 2", any_of(none_of(A), none_of(B))),
        # a statement may be used in several places
        ("1 and 2 or 1 and 3", any_of(all_of(A, B), all_of(A, C))),
        ("1 or 1", any_of(A, A)),
        # spelling
        ("1 AND Not 2", all_of(A, none_of(B))),
        ("  (1or 2)and(3)\n", all_of(any_of(A, B), C)),
        ("1 and 2.", all_of(A, B)),
        ("1 and 2 .", all_of(A, B)),
        ("01 and 002", all_of(A, B)),
    ],
)
def test_how_texts_are_read(text, condition):
    assert read(text) == condition


def test_numbers_of_several_digits():
    many = [Precondition(statement=str(number)) for number in range(1, 13)]
    text = " or ".join(str(number) for number in range(1, 13))
    assert combine(text, many) == AnyOf(any=tuple(many))


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count", "problem"),
    [
        ("", 1, "it ends where the number of a statement is expected"),
        (" . ", 1, "it ends where the number of a statement is expected"),
        ("1 and", 1, "it ends where the number of a statement is expected"),
        ("not", 1, "it ends where the number of a statement is expected"),
        ("(", 1, "it ends where the number of a statement is expected"),
        ("or 1", 1, "`or` stands where the number of a statement is expected"),
        ("1 and or 2", 2, "`or` stands where the number of a statement is expected"),
        ("1 and and 2", 2, "`and` stands where the number of a statement is expected"),
        ("not not 1", 1, "`not` stands where the number of a statement is expected"),
        ("()", 1, "`)` stands where the number of a statement is expected"),
        ("1 2", 2, "`2` stands where `and` or `or` is expected"),
        ("1 not 2", 2, "`not` stands where `and` or `or` is expected"),
        ("1) and 2", 2, "`)` stands where `and` or `or` is expected"),
        ("(1 and 2", 2, "a bracket is not closed"),
        ("((1) and 2", 2, "a bracket is not closed"),
        ("(1 2)", 2, "a bracket is not closed"),
        ("1 and 3", 2, "there is no statement 3, only 2"),
        ("0", 1, "there is no statement 0, only 1"),
        ("1", 0, "there is no statement 1, only 0"),
        ("9" * 5000, 1, f"there is no statement {'9' * 20}, only 1"),
        ("1", 3, "it leaves out statement 2, 3"),
        ("2 and 2", 3, "it leaves out statement 1, 3"),
        ("1 & 2", 2, "`& 2` is no number, and, or, not, bracket"),
        ("1 and -2", 2, "`-2` is no number, and, or, not, bracket"),
        ("1, 2", 2, "`, 2` is no number, and, or, not, bracket"),
        ("1. and 2", 2, "`. and 2` is no number, and, or, not, bracket"),
        ("1 unless 2", 2, "`unless 2` is no number, and, or, not, bracket"),
        ("statement 1", 1, "`statement 1` is no number, and, or, not, bracket"),
        ("__import__('os')", 1, "`__import__('os')` is no number, and, or, not, bracket"),
    ],
)  # fmt: skip
def test_what_is_refused(text, count, problem):
    with pytest.raises(CombineError) as caught:
        read(text, count)
    assert str(caught.value) == problem


@pytest.mark.parametrize("depth", [6, 50, 20_000])
def test_deep_brackets_are_refused_and_not_followed(depth):
    assert read("(" * 5 + "1" + ")" * 5) == A
    with pytest.raises(CombineError, match="brackets are nested deeper than 5"):
        read("(" * depth + "1" + ")" * depth)
    with pytest.raises(CombineError, match="brackets are nested deeper than 5"):
        read("not (" * depth + "1", 1)


def test_long_texts_are_read():
    text = " and ".join(["1 or 2"] * 5000)
    assert len(read(text).any) == 5001


def test_trees_are_no_deeper_than_a_file_may_hold():
    deep = "2 and not(1 and(2 or 3 and not(1 and(2 or 3))))"
    assert height(read(deep)) == MAX_TREE
    with pytest.raises(CombineError, match=f"^and, or and not are nested deeper than {MAX_TREE}$"):
        read(f"3 or {deep}")


def height(condition):
    if isinstance(condition, Precondition):
        return 0
    (parts,) = (getattr(condition, name) for name in type(condition).model_fields)
    return 1 + max(map(height, parts))


# --- anything -------------------------------------------------------------------------------------


def lists(parts):
    parts = st.lists(parts, min_size=1, max_size=3).map(tuple)
    return st.builds(AllOf, all=parts) | st.builds(AnyOf, any=parts) | st.builds(NoneOf, none=parts)


CONDITIONS = st.recursive(st.sampled_from(NAMES), lists, max_leaves=7)


def printed(condition, names):
    """Print with brackets around every list."""
    if isinstance(condition, Precondition):
        return str(names.index(condition) + 1)
    ((kind, parts),) = ((kind, getattr(condition, kind)) for kind in type(condition).model_fields)
    said = f" {'and' if kind == 'all' else 'or'} ".join(printed(part, names) for part in parts)
    return f"(not ({said}))" if kind == "none" else f"({said})"


def printed_tightly(condition, names, around="or"):
    """Print with as few brackets as the grammar allows."""
    match condition:
        case Precondition():
            return str(names.index(condition) + 1)
        case AllOf(all=parts):
            said = " and ".join(printed_tightly(part, names, "and") for part in parts)
            return f"({said})" if around == "not" else said
        case AnyOf(any=parts):
            said = " or ".join(printed_tightly(part, names, "or") for part in parts)
            return said if around == "or" else f"({said})"
        case NoneOf(none=parts):
            inner = parts[0] if len(parts) == 1 else AnyOf(any=parts)
            said = f"not {printed_tightly(inner, names, 'not')}"
            return f"({said})" if around == "not" else said


def brackets(text):
    return max(accumulate({"(": 1, ")": -1}.get(sign, 0) for sign in text))


@settings(max_examples=300)
@given(CONDITIONS)
def test_what_is_printed_reads_back_equivalent(condition):
    names = list(dict.fromkeys(leaves(condition)))
    for text in (printed(condition, names), printed_tightly(condition, names)):
        if brackets(text) > 5:
            with pytest.raises(CombineError, match="brackets are nested deeper"):
                combine(text, names)
            continue
        again = combine(text, names)
        for answers in product([Outcome.YES, Outcome.NO], repeat=len(names)):
            table = dict(zip(names, answers, strict=True))
            assert evaluate(again, table) is evaluate(condition, table)


def lists_in(condition):
    """Every list of a condition, with the kind of list that it stands in."""
    if isinstance(condition, Precondition):
        return
    ((kind, parts),) = ((kind, getattr(condition, kind)) for kind in type(condition).model_fields)
    for part in parts:
        yield kind, part
        yield from lists_in(part)


@settings(max_examples=200)
@given(CONDITIONS)
def test_what_is_read_has_no_list_in_its_like_and_exceptions_last(condition):
    names = list(dict.fromkeys(leaves(condition)))
    text = printed_tightly(condition, names)
    again = combine(text, names) if brackets(text) <= 5 else names[0]
    for kind, part in lists_in(AnyOf(any=(AllOf(all=(again,)),))):
        if kind == "all" and part is not again:
            assert not isinstance(part, AllOf)
        if kind == "any" and part != AllOf(all=(again,)):
            assert not isinstance(part, AnyOf)
        if isinstance(part, AllOf):
            assert not any(isinstance(one, NoneOf) for one in part.all[:-1])


SIGNS = "1 2 3 4 0 12 and or not AND ( ) . , - \u0661 \u00b2 \u2460 nor\u017f"
JUNK = st.text(max_size=30) | st.lists(st.sampled_from(SIGNS.split()), max_size=12).map(" ".join)


@settings(max_examples=500)
@given(JUNK, st.integers(0, 3))
def test_junk_is_read_or_refused_and_nothing_else(text, count):
    try:
        condition = combine(text, NAMES[:count])
    except CombineError:
        return
    assert set(leaves(condition)) == set(NAMES[:count])
