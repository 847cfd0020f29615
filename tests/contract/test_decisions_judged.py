"""The drawn judge behind a server of closed questions judges as it does by itself."""

from __future__ import annotations

import random
import warnings
from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from deciding import BOTH, Deciding
from limits import HANG
from test_server import no_keys  # the fixture clears keys

from safejudge import Judge
from safejudge.engines.open import open_engine
from safejudge.policy import Policy
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.world.sample import even_scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from safejudge.engines.wrapped import WrappedEngine
    from safejudge.types import Judgment, RuleVerdict

__all__ = ["no_keys"]

SCENES = [draw(even_scene(random.Random(seed))).pixels for seed in range(8)]
CLOSE = 1e-4
"""Of a score: the same questions in other batches, in float32."""
ROUNDED = 0.0051
"""The same of two decimals."""


@pytest.fixture(scope="module")
def sketch(shared: Callable[[str], WrappedEngine]) -> WrappedEngine:
    return shared("hf:sketch")


@pytest.fixture(scope="module")
def alone(sketch: WrappedEngine) -> Callable[[Policy], list[Judgment]]:
    """What the drawn judge says by itself."""
    return cache(lambda policy: judged(sketch, policy))


@pytest.fixture(params=BOTH)
def server(request: pytest.FixtureRequest, sketch: WrappedEngine) -> Iterator[Deciding]:
    """The model itself; its doors to drawn scenes and its grammar stay on the other side."""
    with Deciding(speaks=(request.param,), answer=sketch.engine.answer_probs) as running:
        yield running


def judged(engine: Any, policy: Policy) -> list[Judgment]:
    with Judge.load("sketch", engine, policy, None, encoder=None, detector=None) as judge:
        return judge(SCENES)


def connected(server: Deciding) -> Any:
    return closing(open_engine(f"decisions:{server.base}", timeout=HANG))


def rules_of(judgments: list[Judgment]) -> dict[Any, RuleVerdict]:
    """Every verdict about a rule, by image and rule."""
    return {(j.image, name): rule for j in judgments for name, rule in j.rules.items()}


def reads_of(judgments: list[Judgment]) -> dict[Any, float]:
    """Every score that was read, by image, statement and view."""
    return {
        (image, verdict.statement, read.view): read.score
        for (image, _), rule in rules_of(judgments).items()
        for verdict in rule.preconditions
        for read in verdict.reads
        if read.score is not None
    }


@pytest.mark.parametrize("means", ["undecided", "no"])
def test_the_same_verdicts(
    server: Deciding, alone: Callable[[Policy], list[Judgment]], means: Any
) -> None:
    policy = Policy(open_means=means)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with connected(server) as engine:
            found = judged(engine, policy)
    expected = alone(policy)
    assert [j.label for j in found] == [j.label for j in expected]
    assert {j.label for j in expected} >= {"safe", "unsafe"}
    assert [j.violations for j in found] == [j.violations for j in expected]
    others = rules_of(expected)
    for key, rule in rules_of(found).items():
        assert rule.outcome == others[key].outcome
        assert rule.score == pytest.approx(others[key].score, abs=CLOSE)
    assert reads_of(found) == pytest.approx(reads_of(expected), abs=CLOSE)
    assert len(server.posts()) < len(reads_of(expected)) / 2


def test_of_two_decimals_within_half_a_step(
    server: Deciding, alone: Callable[[Policy], list[Judgment]]
) -> None:
    server.behave(decimals=2)
    policy = Policy(open_means="no")
    with (
        pytest.warns(UserWarning, match=r"rounds probabilities to 0\.01"),
        connected(server) as engine,
    ):
        found = judged(engine, policy)
    exact, rounded = reads_of(alone(policy)), reads_of(found)
    both = exact.keys() & rounded.keys()
    assert len(both) > 0.9 * len(exact)  # a chain may stop at another place
    assert all(abs(rounded[key] - exact[key]) <= ROUNDED for key in both)
    assert all(0.005 <= score <= 0.995 for score in rounded.values())
    others = rules_of(alone(policy))
    same = sum(rule.outcome == others[key].outcome for key, rule in rules_of(found).items())
    assert same >= 0.95 * len(others)
