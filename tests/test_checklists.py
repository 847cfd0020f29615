"""Checklists: sums, and points that were not read."""

import math

import pytest
from pydantic import ValidationError

from safejudge.types import Checklist, Point

LIST = Checklist(points=(Point(id="a", title="Is it red?"), Point(id="b", title="?", most=5)))


def test_a_checklist_that_was_read_has_a_sum():
    marks = LIST.marked({"a": 7, "b": 0})
    assert (marks.sum, marks.sum_of_read, marks.unread) == (7, 7, 0)
    assert LIST.most == 15


@pytest.mark.parametrize("value", [None, 10.5, -1, math.nan, math.inf])
def test_an_unread_point_is_no_zero(value):
    marks = LIST.marked({"a": value, "b": 5})
    assert marks.sum is None
    assert (marks.sum_of_read, marks.unread) == (5, 1)
    assert marks.values == {"a": None, "b": 5}
    assert LIST.marked({}).sum_of_read == 0


def test_a_value_of_no_point_is_a_mistake():
    with pytest.raises(ValueError, match="no point has the id 'c'"):
        LIST.marked({"c": 1})


@pytest.mark.parametrize(
    "points",
    [(), [{"id": "a", "title": "?"}] * 2, [{"id": "", "title": "?"}],
     [{"id": "a", "title": "?", "most": 0}], [{"id": "a", "title": "?", "most": math.inf}]],
)  # fmt: skip
def test_what_is_no_checklist_is_refused(points):
    with pytest.raises(ValidationError):
        Checklist.model_validate({"points": points})
