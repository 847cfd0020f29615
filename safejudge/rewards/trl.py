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

import numpy as np

from safejudge.errors import InputError
from safejudge.images.pairs import CAPTION
from safejudge.rewards.cells import Cells, image_column
from safejudge.text import counted
from safejudge.types import slots_of

if TYPE_CHECKING:
    from safejudge.images.pairs import Prompt
    from safejudge.rewards.arithmetic import Rating
    from safejudge.rewards.core import SafetyReward
    from safejudge.types import Constitution

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
        blend's other reward: the prompt, the completion, or none. A model whose completions the
        judge reads may learn to talk it round: watch what it writes. `name` is what TRL's log calls
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
    ) -> tuple[Cells, list[Prompt | None]]:
        cells = Cells.of(image_column(columns, self.column))
        if cells.count != len(completions):
            raise InputError(
                f"{counted(cells.count, 'cell')} of images for "
                f"{counted(len(completions), 'completion')}; there must be one per completion"
            )
        captions = {"prompt": prompts, "completion": completions}
        chosen = None if self.caption is None else captions[self.caption]
        texts = [None] * cells.count if chosen is None else texts_of(chosen)
        return cells, cells.spread(items_of(self.reward.constitution, texts, columns))

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


def items_of(
    constitution: Constitution, texts: Sequence[str | None], columns: Mapping[str, Any]
) -> Sequence[Prompt | None]:
    """Put what fills slots of programs (`{text}`: the column `text`) beside the captions."""
    slots = [name for name in slots_of(constitution) if name in columns and name != CAPTION]
    if not slots:
        return texts
    return [
        {CAPTION: text} | {name: columns[name][index] for name in slots}
        for index, text in enumerate(texts)
    ]


def texts_of(turns: Sequence[Any]) -> list[str | None]:
    """Return the text of each row's prompt or completion.

    Raises `InputError` with the row's number for a shape that has no text of its own.
    """
    texts = []
    for row, turn in enumerate(turns):
        try:
            texts.append(text_of(turn))
        except InputError as error:
            raise InputError(f"row {row}: {error}") from error
    return texts


def text_of(turn: Any) -> str | None:
    """Return the text of a prompt or completion: a string, or the last message of a conversation.

    A message is a string, or has content: a string or a list of parts, of which the texts count.
    What holds no text (a picture, a call of a tool, null) is None. Raises `InputError` for any
    other shape: text that is guessed is no caption.
    """
    if turn is None or isinstance(turn, str):
        return turn
    messages = [turn] if isinstance(turn, Mapping) else _listed(turn)
    if not isinstance(messages, Sequence):
        raise InputError(f"a {type(turn).__name__} is no text and no list of messages")
    if not messages:
        return None
    last = messages[-1]
    content = last.get("content") if isinstance(last, Mapping) else last
    if content is None or isinstance(content, str):
        return content
    parts = [content] if isinstance(content, Mapping) else _listed(content)
    if not isinstance(last, Mapping) or not isinstance(parts, Sequence):
        raise InputError(f"a message is a {type(content).__name__}; hand over text, or parts of it")
    return " ".join(text for part in parts if (text := _text_in(part))) or None


def _listed(value: Any) -> Any:
    """A list, where an array of objects was made of one on the way through Parquet."""
    return value.tolist() if isinstance(value, np.ndarray) else value


def _text_in(part: Any) -> str | None:
    """The text of one part of a message; None where it is of another kind, such as a picture."""
    if part is None or isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        raise InputError(f"a part of a message is a {type(part).__name__}; hand over text")
    if (part.get("type") or "text") != "text":
        return None
    text = part.get("text")
    if text is not None and not isinstance(text, str):
        raise InputError(f"the text of a part is a {type(text).__name__}; hand over text, or null")
    return text
