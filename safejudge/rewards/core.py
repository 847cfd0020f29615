"""SafetyReward: images in, one number per image out, for trainers of generators.

Takes a judge, or what to open one from; images, perhaps with the prompt or caption of each. Gives
a float per image, in order, or None where there is nothing to grade. What the number means:
`arithmetic`. How each trainer calls it: the adapters beside this file.
"""

from __future__ import annotations

import asyncio
import math
import threading
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sized
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self

from safejudge.constitution.load import load_constitution
from safejudge.engines.models import DEFAULT
from safejudge.errors import EngineCallError, InputError
from safejudge.images.arrays import is_array
from safejudge.images.hashes import HashList
from safejudge.images.load import split_batch
from safejudge.images.pairs import CAPTION, caption_of
from safejudge.judge import Judge
from safejudge.method.precondition import was_read
from safejudge.method.rule import asked_condition
from safejudge.opening import JudgeSpec
from safejudge.rewards.arithmetic import Grading, Rating, blended, margin_bounds, rated
from safejudge.text import counted
from safejudge.types import Constitution, Failure

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from safejudge.engines.priors import PriorCache
    from safejudge.images.pairs import Images, Prompts
    from safejudge.policy import Policy
    from safejudge.rewards.arithmetic import Blend
    from safejudge.types import Condition, Judgment, Result

NEUTRAL = 0.0
"""What trainers that know no None get for an image without a reward, unless the caller names
another number: the middle of the scale, neither safe nor unsafe."""


class SafetyReward:
    """Rewards images by how safe a judge finds them.

    Thread-safe: calls from several threads take turns at the engine, and nothing here knows an
    event loop. Made by `load` it can be pickled: its judge is opened on the first call, in each
    process anew. `counts` says how many images were judged, and how many were not, by reason;
    `last` holds the ratings of the call that ended last.
    """

    def __init__(
        self,
        judge: Judge | JudgeSpec,
        grading: Grading | None = None,
        *,
        blend: Blend | None = None,
        with_prompts: bool = True,
        on_engine_error: Literal["raise", "unjudgeable"] = "raise",
    ) -> None:
        """Reward with a judge, which stays the caller's, or with one opened when it is needed.

        The judge's policy is taken with four changes: every question of every rule is asked
        (`exhaustive`), since a bound is no score; the relevance filter is left out, since it would
        decide nothing; reasoning that cannot be read is never a No; and captions are trusted (no
        `second_look`), since prompts are the trainer's own. `with_prompts`: an image
        is judged together with its prompt where a call has one (one language prior per statement
        and prompt, asked once and kept); False leaves prompts to the blend's other reward.
        `on_engine_error`: a failing engine raises `EngineCallError`, so that a trainer stops;
        "unjudgeable" makes it None for every image of the call, counted. Raises `InputError` for
        a grading that does not fit the rules, and what `Judge` raises.
        """
        if on_engine_error not in {"raise", "unjudgeable"}:
            raise InputError(
                f"on_engine_error is {on_engine_error!r}; choose 'raise' or 'unjudgeable'"
            )
        self.grading = Grading() if grading is None else grading
        self.blend = blend
        self.with_prompts = with_prompts
        self.on_engine_error = on_engine_error
        self.counts: Counter[str] = Counter()
        self.last: tuple[Rating, ...] = ()
        self.constitution = judge.constitution
        self._weights = self.grading.by_rule(judge.constitution)
        self._opening = judge if isinstance(judge, JudgeSpec) else None
        self._judge = exhaustive(judge) if isinstance(judge, Judge) else None
        self._lock = threading.Lock()

    @classmethod
    def load(  # noqa: PLR0913 - the facade: one argument for each thing a user chooses
        cls,
        constitution: str | os.PathLike[str] | Constitution,
        engine: str,
        policy: str | Policy = "default",
        cache: PriorCache | Literal["default"] | None = "default",
        *,
        detector: str | None = DEFAULT,
        engine_args: Mapping[str, Any] | None = None,
        skip: str | os.PathLike[str] | HashList | None = None,
        grading: Grading | None = None,
        blend: Blend | None = None,
        with_prompts: bool = True,
        on_engine_error: Literal["raise", "unjudgeable"] = "raise",
    ) -> SafetyReward:
        """Name the judge; see `Judge.load`. The rules are read now, the engine opened later.

        The other arguments are those of the class.
        """
        if not isinstance(engine, str):
            raise InputError(
                "engine has to be a URI here, so that another process can open it; with an engine "
                "object use SafetyReward(Judge.load(constitution, engine))"
            )
        rules = (
            constitution
            if isinstance(constitution, Constitution)
            else load_constitution(constitution)
        )
        opening = JudgeSpec(
            rules,
            engine,
            policy,
            cache,
            encoder=None,  # what is asked is everything; see the class
            detector=detector,
            engine_args=dict(engine_args or {}),
            skip=skip if skip is None or isinstance(skip, HashList) else HashList.read(skip),
        )
        return cls(
            opening,
            grading,
            blend=blend,
            with_prompts=with_prompts,
            on_engine_error=on_engine_error,
        )

    def __call__(self, images: Images, prompts: Prompts | None = None) -> list[float | None]:
        """Return one reward per image, in order; None where there is nothing to grade.

        `images` is a list of sources, or a batch (array or tensor, N x H x W x C or N x C x H x W;
        uint8, or floats in [0, 1]); `prompts` one text, item (see `Judge`) or None per image. An
        image that cannot be read (NaN, a wrong range or shape) is None, its reason in `last` and
        `counts`. Raises `InputError` for arguments that fit nothing, `EngineCallError` when the
        engine fails (see the class), `EngineSetupError` when it cannot be opened.
        """
        return [rating.reward for rating in self.rate(images, prompts)]

    async def acall(self, images: Images, prompts: Prompts | None = None) -> list[float | None]:
        """Reward images in a thread, so that an event loop goes on; the rest is as in a call."""
        return await asyncio.to_thread(self, images, prompts)

    def rate(self, images: Images, prompts: Prompts | None = None) -> list[Rating]:
        """Return one rating per image: the reward, and what it came from. Raises as a call does."""
        # A blend looks at images and prompts a second time.
        images = list(images) if isinstance(images, Iterator) else images
        prompts = list(prompts) if isinstance(prompts, Iterator) else prompts
        ratings = self._judged(split_batch(images) if is_array(images) else images, prompts)
        if self.blend is not None and ratings:
            ratings = self._blended(ratings, images, prompts)
        self._keep(ratings)
        return ratings

    def open(self, device: str | None = None) -> Judge:
        """Open the judge unless it is open, and return it.

        `device`, such as "cuda:1", is for a model that is loaded here and was not given one.
        """
        with self._lock:
            if self._judge is None:
                assert self._opening is not None  # noqa: S101 - one of the two is always there
                opening = self._opening if device is None else self._opening.on(device)
                self._judge = exhaustive(opening.open())
            return self._judge

    def close(self) -> None:
        """Close the judge that was opened here; the next call opens it again."""
        with self._lock:
            if self._opening is not None and self._judge is not None:
                self._judge.close()
                self._judge = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        if self._opening is None:
            raise InputError(
                "this reward was made from an open judge, which cannot be sent to another "
                "process; make it with SafetyReward.load(constitution, engine URI)"
            )
        emptied: dict[str, Any] = {"_lock": None, "_judge": None, "counts": Counter(), "last": ()}
        return self.__dict__ | emptied

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def _judged(self, images: Images, prompts: Prompts | None) -> list[Rating]:
        judge = self.open()
        try:
            results = judge(images, prompts if self.with_prompts else _without_captions(prompts))
        except EngineCallError as error:
            if self.on_engine_error == "raise":
                raise
            return [Rating(None, reason="engine", problem=str(error)) for _ in images]
        if isinstance(prompts, Sized) and len(prompts) != len(results):
            raise InputError(
                f"{counted(len(results), 'image')} but {counted(len(prompts), 'prompt')}; give one "
                "each"
            )
        conditions = {
            rule.id: asked_condition(rule, judge.policy) for rule in judge.constitution.rules
        }
        return [self._rating(result, conditions, judge.policy) for result in results]

    def _rating(
        self, result: Result, conditions: Mapping[str, Condition], policy: Policy
    ) -> Rating:
        if isinstance(result, Failure):
            return Rating(None, reason=result.reason, problem=result.message)
        if "frames" in result.undecided_by:
            problem = f"{result.image}: frames: {result.frames}, and the policy wants every one"
            return Rating(None, reason="frames", problem=problem)
        bounds = {
            name: margin_bounds(condition, result.rules[name], policy, self.grading)
            for name, condition in conditions.items()
        }
        rating = rated(bounds, self._weights, self.grading)
        if rating.problem is None:
            return rating
        return replace(rating, problem=f"{result.image}: {rating.problem}{_note(result, policy)}")

    def _blended(
        self, ratings: Sequence[Rating], images: Images, prompts: Prompts | None
    ) -> list[Rating]:
        assert self.blend is not None  # noqa: S101 - the only caller has asked
        captions = None if prompts is None else [caption_of(prompt) for prompt in prompts]
        other_rewards = list(self.blend.other(images, captions))
        if len(other_rewards) != len(ratings):
            raise InputError(
                "the other reward of the blend returned "
                f"{counted(len(other_rewards), 'value')} for {counted(len(ratings), 'image')}; it "
                "must return one number, or None, per image"
            )
        pairs = zip(ratings, other_rewards, strict=True)
        return [self._with_blend(rating, value) for rating, value in pairs]

    def _with_blend(self, rating: Rating, other_reward: float | None) -> Rating:
        assert self.blend is not None  # noqa: S101 - the only caller has asked
        value = math.nan if other_reward is None else float(other_reward)
        if rating.margin is None:
            return rating
        if not math.isfinite(value):
            problem = f"the other reward of the blend said {other_reward} of this image"
            return replace(rating, reward=None, reason="other", problem=problem)
        reward = blended(rating.margin, value, self.blend, self.grading.temperature)
        return replace(rating, reward=reward, other=value)

    def _keep(self, ratings: Sequence[Rating]) -> None:
        """Count, keep, and say so where a whole batch teaches nothing."""
        with self._lock:
            self.counts.update(rating.reason or "judged" for rating in ratings)
            self.last = tuple(ratings)
        if ratings and all(rating.reward is None for rating in ratings):
            warnings.warn(
                f"none of {len(ratings)} images has a reward; the first: {ratings[0].problem}",
                RuntimeWarning,
                stacklevel=3,
            )


def _without_captions(prompts: Prompts | None) -> Prompts | None:
    """Leave what fills the slots of programs, where there is any."""
    if prompts is None:
        return None
    return [
        {name: value for name, value in prompt.items() if name != CAPTION}
        if isinstance(prompt, Mapping)
        else None
        for prompt in prompts
    ]


def exhaustive(judge: Judge) -> Judge:
    """Return a judge on the same models whose every score is one that was read; see `__init__`."""
    policy = judge.policy.exact().model_copy(update={"second_look": False})
    return Judge(judge.constitution, judge.models, policy)


def _note(judgment: Judgment, policy: Policy) -> str:
    """What the engine said of the first question that it could not answer."""
    for verdict in judgment.rules.values():
        for leaf in verdict.preconditions:
            if leaf.note is not None and not was_read(leaf, policy):
                return f" ({leaf.note})"
    return ""


def filled(
    reward: SafetyReward, ratings: Sequence[Rating], neutral: float
) -> tuple[list[float], dict[str, list[float]]]:
    """Return rewards for a trainer that knows no None, and columns for its log.

    An image without a reward gets `neutral`, and 1 in the column `unjudged`. Every rule of the
    constitution has a column: its margin, above 0 where the rule is kept; NaN where it was not
    read.
    """
    scores = [neutral if rating.reward is None else rating.reward for rating in ratings]
    columns = {"unjudged": [float(rating.reward is None) for rating in ratings]}
    for rule in reward.constitution.rules:
        margins = (rating.rules.get(rule.id) for rating in ratings)
        columns[rule.id] = [math.nan if margin is None else margin for margin in margins]
    return scores, columns
