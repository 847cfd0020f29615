"""The least-recently-used store: what is kept, what goes, and what is made again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge.engines.recent import RecentCache


def test_what_was_not_used_for_longest_goes_first():
    cache = RecentCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.fetch("a", lambda: pytest.fail("it is there")) == 1  # now b is the older one
    cache.put("c", 3)
    assert set(cache.keys()) == {"a", "c"}
    assert cache.fetch("b", lambda: 4) == 4
    assert set(cache.keys()) == {"c", "b"}


def test_values_count_by_their_size():
    cache = RecentCache(10, len)
    cache.put("a", "x" * 4)
    cache.put("b", "x" * 6)
    cache.put("a", "x" * 5)  # in place of the 4
    assert set(cache.keys()) == {"a"}
    assert cache.fetch("large", lambda: "x" * 11) == "x" * 11
    assert set(cache.keys()) == {"a"}  # it would not fit, so nothing goes for it
    cache.put("c", "x" * 10)
    cache.drop("c")
    cache.drop("never there")
    cache.put("d", "x" * 10)
    assert set(cache.keys()) == {"d"}


def test_missing_values_are_made_together_in_order():
    cache, batches = RecentCache(3), []

    def make(keys):
        batches.append(list(keys))
        return [key.upper() for key in keys]

    assert cache.fetch_all(["b", "a", "b"], make) == {"b": "B", "a": "A"}
    assert cache.fetch_all(["c", "a", "d"], make) == {"a": "A", "c": "C", "d": "D"}
    assert cache.fetch_all(["a"], make) == {"a": "A"}
    assert batches == [["b", "a"], ["c", "d"]]
    # More than the store holds: all come back, the last ones stay.
    assert len(cache.fetch_all("efghi", make)) == 5
    assert list(cache.keys()) == ["g", "h", "i"]


def test_a_maker_that_fails_or_falls_short_leaves_the_store_as_it_was():
    cache = RecentCache(3)
    cache.put("a", 1)
    with pytest.raises(ZeroDivisionError):
        cache.fetch("b", lambda: 1 // 0)
    with pytest.raises(ValueError, match="shorter"):
        cache.fetch_all(["b", "c"], lambda _: [2])
    assert list(cache.keys()) == ["a"]
    cache.clear()
    cache.put("b", 2)
    assert list(cache.keys()) == ["b"]


@given(
    st.integers(0, 12),
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 5), st.booleans())),
)
def test_it_never_outgrows_its_capacity_and_keeps_the_latest(capacity, uses):
    cache = RecentCache(capacity, lambda value: value)
    latest = {}
    for key, value, keep in uses:
        latest.pop(key, None)
        if keep:
            cache.put(key, value)
            latest |= {key: value} if value <= capacity else {}
        else:
            cache.drop(key)
        while sum(latest.values()) > capacity:
            latest.pop(next(iter(latest)))
    assert list(cache.keys()) == list(latest)
