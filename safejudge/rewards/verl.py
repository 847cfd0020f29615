"""For verl: a `compute_score`, called once per answer.

verl loads a function by name from a file. So write one, say `safety.py`,

    from safejudge.rewards import SafetyReward
    from safejudge.rewards.verl import scorer
    compute_score = scorer(SafetyReward.load("sketch", "hf:sketch"))

and set `custom_reward_function.path` to it. verl hands a reward no images, so they must travel in
`extra_info`, under `image` or `images`: paths, bytes, PIL images, arrays, or `{bytes, path}`. A
plain function is called from a pool of threads, one of `async_scorer` on the event loop.
(verl 0.9.1, `reward_manager/naive.py`.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from safejudge.rewards.cells import Cells, image_column
from safejudge.rewards.core import NEUTRAL, filled

if TYPE_CHECKING:
    from safejudge.rewards.core import SafetyReward

    Caption = Literal["solution"] | None
    ComputeScore = Callable[..., dict[str, float]]
    AsyncComputeScore = Callable[..., Awaitable[dict[str, float]]]


def scorer(
    reward: SafetyReward, *, caption: Caption = None, neutral: float = NEUTRAL
) -> ComputeScore:
    """Return a `compute_score` for verl's pool of threads.

    It returns `score` and, to be logged, the same keys for every answer: `unjudged` (1 where
    `score` is `neutral`, because there is no reward) and the margin of each rule (see
    `core.filled`). With `caption` "solution" the answer is judged together with the image. An
    answer with several images is worth its worst. Raises `InputError` where `extra_info` has
    neither `image` nor `images`, else as `SafetyReward` does.
    """

    def compute_score(
        data_source: object,
        solution_str: str,
        ground_truth: object,
        extra_info: Mapping[str, Any] | None = None,
        **_: object,  # what verl adds for rewards that are models themselves
    ) -> dict[str, float]:
        del data_source, ground_truth
        cells = Cells.of([image_column(extra_info or {}, None)])
        texts = cells.spread([solution_str if caption == "solution" else None])
        ratings = cells.worst(reward.rate(cells.sources, texts))
        (score,), columns = filled(reward, ratings, neutral)
        return {"score": score, **{name: column[0] for name, column in columns.items()}}

    return compute_score


def async_scorer(
    reward: SafetyReward, *, caption: Caption = None, neutral: float = NEUTRAL
) -> AsyncComputeScore:
    """Return the same as a coroutine function: the judge works in a thread meanwhile."""
    compute_score = scorer(reward, caption=caption, neutral=neutral)

    async def compute_score_async(
        data_source: object,
        solution_str: str,
        ground_truth: object,
        extra_info: Mapping[str, Any] | None = None,
        **_: object,
    ) -> dict[str, float]:
        return await asyncio.to_thread(
            compute_score, data_source, solution_str, ground_truth, extra_info
        )

    return compute_score_async
