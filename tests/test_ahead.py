"""Pictures of a run are held by bytes: large ones few at a time, none fails for its neighbours."""

from __future__ import annotations

import gc
import itertools

import numpy as np
import pytest

from safejudge import Judge
from safejudge import judge as facade
from safejudge.engines.fake import FakeEngine
from safejudge.images.ahead import Budget, ReadAhead
from safejudge.types import Failure, ImageInput, Picture


def image(size=10):
    return ImageInput("id", "name", (Picture.of(np.zeros((size, size, 3), np.uint8)),))


def test_a_budget_counts_what_is_held_and_nothing_else():
    budget = Budget(600)
    first, second = budget.holding(image()), budget.holding(image())
    assert not budget.has_room()
    del first
    gc.collect()
    assert budget.has_room()
    budget.holding(Failure(image="x", reason="empty", message=""))
    assert budget.has_room()
    assert second.pictures


def test_without_room_only_what_is_waited_for_is_read():
    budget, read = Budget(1), []
    held = budget.holding(image())

    def take(place, source):
        read.append(source)
        return source

    taken = ReadAhead(budget, ahead=3).read(iter("abcdefg"), take)
    assert next(taken) == "a"
    assert read == ["a"]
    assert next(taken) == "b"
    assert read == ["a", "b"]
    del held
    gc.collect()
    assert list(taken) == list("cdefg")


def test_what_the_supply_or_the_reader_raises_comes_in_its_place():
    def supply():
        yield 1
        raise ValueError("supply")

    def broken(place, source):
        raise KeyError(source)

    taken = ReadAhead(Budget(1), ahead=0).read(supply(), lambda _, source: source)
    assert next(taken) == 1
    with pytest.raises(ValueError, match="supply"):
        next(taken)
    with pytest.raises(KeyError):
        next(ReadAhead(Budget(1), ahead=2).read(iter([1, 2, 3]), broken))


def test_an_endless_supply_is_read_so_far_ahead():
    read = []
    reading = ReadAhead(Budget(10**9), ahead=4)
    taken = reading.read(itertools.count(), lambda _, source: read.append(source))
    next(taken)
    taken.close()
    assert reading.stopped.is_set()
    assert len(read) <= 5


class Watched(Budget):
    """Remembers the most that was held, in pictures of 30,000 bytes."""

    most = 0

    def holding(self, found):
        found = super().holding(found)
        self.has_room()  # takes off what was let go of
        Watched.most = max(Watched.most, self._held // 30_000)
        return found


@pytest.mark.parametrize(("pictures", "most"), [(0, 2), (4, 5), (12, 13)])
def test_a_run_holds_so_many_bytes_and_judges_everything(monkeypatch, pictures, most):
    monkeypatch.setattr(Watched, "most", 0)
    monkeypatch.setattr(facade, "Budget", Watched)
    monkeypatch.setattr(facade, "HELD", max(1, pictures * 30_000))

    class Forgetful(FakeEngine):
        """Keeps no pictures of what it was asked."""

        def answer_probs(self, probes):
            answers = super().answer_probs(probes)
            self.history.clear()
            return answers

    judge = Judge.load("sketch", Forgetful(lambda _: 0.2), "default", None)
    shades = (np.full((100, 100, 3), shade, np.uint8) for shade in range(40))
    results = judge(shades)
    assert len(results) == 40
    assert not any(isinstance(result, Failure) for result in results)
    # One more may be taken while there is room, and one where nothing else is to do.
    assert 1 <= Watched.most <= most + 1
