"""For TRL's GRPOTrainer: callable objects, one plain and one for the event loop.

    from safejudge.rewards import SafetyReward
    from safejudge.rewards.trl import GRPOReward

    safety = GRPOReward(SafetyReward.load("sketch", "hf:sketch"))
    trainer = GRPOTrainer(model, reward_funcs=[safety, quality], ...)

TRL hands images to a reward only as a column of the data set, or of what a `rollout_func` returns,
repeated per completion. Where the column holds the images of the prompt, all completions of a
group share one image, and only with `caption="completion"` can their rewards differ. An image that
cannot be judged is None: TRL leaves it out. (TRL 1.16.0, `trainer/grpo_trainer.py`,
`_calculate_rewards`.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from safejudge.errors import InputError
from safejudge.rewards.cells import Cells, image_column

if TYPE_CHECKING:
    from safejudge.rewards.arithmetic import Rating
    from safejudge.rewards.core import SafetyReward

    LogExtra = Callable[[str, list[Any]], None] | None
    LogMetric = Callable[[str, float], None] | None
    Caption = Literal["prompt", "completion"] | None


class _Columns:
    """What both kinds share: from a trainer's columns to images, and from ratings to its log."""

    def __init__(
        self,
        reward: SafetyReward,
        *,
        column: str | None = None,
        caption: Caption = None,
        name: str = "safety",
    ) -> None:
        """Reward the images of a column; None looks for `image`, then `images`.

        `caption` says which text goes along with an image, to the judge (`with_prompts`) and to a
        blend's other reward: the prompt, the completion, or none. `name` is what TRL's log calls
        it. A cell with several images is worth its worst.
        """
        if caption not in {None, "prompt", "completion"}:
            raise InputError(f"caption is {caption!r}; choose 'prompt', 'completion' or None")
        self.reward = reward
        self.column = column
        self.caption = caption
        self.__name__ = name

    def _cells(
        self, prompts: Sequence[Any], completions: Sequence[Any], columns: Mapping[str, Any]
    ) -> tuple[Cells, list[str | None]]:
        cells = Cells.of(image_column(columns, self.column))
        if cells.count != len(completions):
            raise InputError(
                f"{cells.count} cells of images for {len(completions)} completions; "
                "there must be one per completion"
            )
        captions = {"prompt": prompts, "completion": completions}
        texts = (
            [None] * cells.count if self.caption is None else map(text_of, captions[self.caption])
        )
        return cells, cells.spread(list(texts))

    def _logged(
        self, ratings: Sequence[Rating], log_extra: LogExtra, log_metric: LogMetric
    ) -> list[float | None]:
        """Log the margin of each rule, per completion and as a mean, and return the rewards."""
        for rule in (rule.id for rule in self.reward.constitution.rules):
            margins = [rating.rules.get(rule) for rating in ratings]
            read = [margin for margin in margins if margin is not None]
            if log_extra is not None:
                log_extra(f"{self.__name__}/{rule}", margins)
            if log_metric is not None and read:
                log_metric(f"{self.__name__}/{rule}", sum(read) / len(read))
        if log_metric is not None and ratings:
            unjudged = sum(rating.reward is None for rating in ratings)
            log_metric(f"{self.__name__}/unjudged", unjudged / len(ratings))
        return [rating.reward for rating in ratings]


class GRPOReward(_Columns):
    """A reward function for GRPOTrainer; picklable if its `SafetyReward` is.

    Raises `InputError` where the trainer has no such column, else as `SafetyReward` does.
    """

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        log_extra: LogExtra = None,
        log_metric: LogMetric = None,
        **columns: Any,  # those of the data set, and whatever else TRL hands over
    ) -> list[float | None]:
        """Return one reward per completion; see `SafetyReward`."""
        cells, texts = self._cells(prompts, completions, columns)
        ratings = cells.worst(self.reward.rate(cells.sources, texts))
        return self._logged(ratings, log_extra, log_metric)


class AsyncGRPOReward(_Columns):
    """The same as a coroutine: TRL runs it beside its other asynchronous rewards."""

    async def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        log_extra: LogExtra = None,
        log_metric: LogMetric = None,
        **columns: Any,
    ) -> list[float | None]:
        """Return one reward per completion; the judge works in a thread meanwhile."""
        cells, texts = self._cells(prompts, completions, columns)
        ratings = await asyncio.to_thread(self.reward.rate, cells.sources, texts)
        return self._logged(cells.worst(ratings), log_extra, log_metric)


def text_of(turn: Any) -> str | None:
    """Return the text of a prompt or completion: a string, or the last message of a conversation.

    A message's content may be a string or a list of parts, of which the texts count.
    """
    if isinstance(turn, str):
        return turn
    if not turn:
        return None
    content = turn[-1].get("content")
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if part["type"] == "text")
    return None if content is None else str(content)
