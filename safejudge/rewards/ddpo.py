"""For ddpo-pytorch and flow_grpo, and whoever calls rewards as they do.

    factory(device) -> fn;  fn(images, prompts, metadata) -> (scores, info)

ddpo-pytorch looks a factory up by name in its module `rewards` and calls it without arguments;
flow_grpo's `multi_score` calls it with a device, if its code has a variable of that name:

    import ddpo_pytorch.rewards
    ddpo_pytorch.rewards.safety = scorer(SafetyReward.load("sketch", "hf:sketch"))

    import flow_grpo.rewards
    reward = SafetyReward.load("sketch", "hf:sketch")
    flow_grpo.rewards.multi_score = with_scores(flow_grpo.rewards.multi_score, safety=reward)

and then "safety" in the configuration (`reward_fn`), with its weight in flow_grpo. Both trainers
call from a pool of threads. (kvablack/ddpo-pytorch `rewards.py`; yifan123/flow_grpo `rewards.py`.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from safejudge.errors import InputError
from safejudge.rewards.core import NEUTRAL, filled
from safejudge.text import counted

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

    from safejudge.images.pairs import Images
    from safejudge.rewards.core import SafetyReward

    Scores = npt.NDArray[np.float32]
    Score = Callable[..., tuple[Scores, dict[str, npt.NDArray[np.float64]]]]
    Details = dict[str, Any]
    MultiScore = Callable[..., Callable[..., tuple[Details, dict[str, Any]]]]


def scorer(reward: SafetyReward, *, neutral: float = NEUTRAL) -> Callable[..., Score]:
    """Return a factory of reward functions.

    The factory opens the judge, on `device` where it loads a model that was not given one, so
    that nothing is loaded inside a call. The function takes images as N x C x H x W floats in
    [0, 1] or N x H x W x C uint8, and one prompt per image; it returns float32 rewards of shape
    (N,) and, per rule, the margins (see `core.filled`). `neutral` stands for an image without a
    reward; `info["unjudged"]` and `reward.counts` tell. Raises as `SafetyReward` does.
    """

    # The name `device` is looked for by flow_grpo; ddpo-pytorch hands none over.
    def factory(device: torch.device | str | None = None) -> Score:
        reward.open(None if device is None else str(device))

        def score(
            images: Images, prompts: Sequence[str], metadata: object = None
        ) -> tuple[Scores, dict[str, npt.NDArray[np.float64]]]:
            del metadata  # of the prompts; a judge goes by what it sees
            scores, columns = filled(reward, reward.rate(images, list(prompts)), neutral)
            info = {name: np.array(column) for name, column in columns.items()}
            return np.array(scores, dtype=np.float32), info

        return score

    return factory


def with_scores(
    multi_score: MultiScore, neutral: float = NEUTRAL, **rewards: SafetyReward
) -> MultiScore:
    """Return flow_grpo's `multi_score` with more names, since it knows a fixed list.

    `rewards` are the new names. What the wrapped function knows is left to it; the others are
    added to `avg` with their weights, and stand beside it under their names, each with
    `NAME_unjudged`: 1 for an image without a reward. Raises `InputError` where the rewards of a
    call differ in number.
    """

    def multi_score_and_safety(
        device: torch.device | str, score_dict: Mapping[str, float]
    ) -> Callable[..., tuple[Details, dict[str, Any]]]:
        weights = {name: weight for name, weight in score_dict.items() if name not in rewards}
        wrapped = multi_score(device, weights) if weights else None
        scorers = {
            name: scorer(rewards[name], neutral=neutral)(device)
            for name in score_dict
            if name in rewards
        }

        def score(  # the signature of what it stands for
            images: Images,
            prompts: Sequence[str],
            metadata: object,
            ref_images: object = None,
            only_strict: bool = True,
        ) -> tuple[Details, dict[str, Any]]:
            details: Details = {}
            if wrapped is not None:
                extra = {} if ref_images is None else {"ref_images": ref_images}  # older: unknown
                details, _ = wrapped(images, prompts, metadata, only_strict=only_strict, **extra)
            total = list(details.get("avg", ()))
            for name, function in scorers.items():
                details[name], info = function(images, prompts, metadata)
                details[f"{name}_unjudged"] = info["unjudged"]
                weighted = [score_dict[name] * float(value) for value in details[name]]
                total = _added(total, weighted, name) if total else weighted
            return {**details, "avg": total}, {}

        return score

    return multi_score_and_safety


def _added(total: Sequence[Any], weighted: Sequence[float], name: str) -> list[Any]:
    if len(total) != len(weighted):
        raise InputError(
            f"{name} scored {counted(len(weighted), 'image')}, the other rewards {len(total)}; "
            "all must score the same batch"
        )
    return [summed + added for summed, added in zip(total, weighted, strict=True)]
