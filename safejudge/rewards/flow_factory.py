"""For Flow-Factory: a reward model class, made for one `SafetyReward`.

Flow-Factory loads a class by its path and calls it with its configuration. So write a module, say
`my_rewards.py`,

    from safejudge.rewards import SafetyReward
    from safejudge.rewards.flow_factory import reward_model
    Safety = reward_model(SafetyReward.load("sketch", "hf:sketch"))

and name `my_rewards.Safety` as the reward model. (X-GenGroup/Flow-Factory `rewards/abc.py`.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safejudge.errors import InputError
from safejudge.rewards.core import NEUTRAL, filled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.images.load import ImageSource
    from safejudge.rewards.core import SafetyReward


def reward_model(reward: SafetyReward, *, neutral: float = NEUTRAL) -> type[Any]:
    """Return a subclass of Flow-Factory's `PointwiseRewardModel`.

    Its objects take lists of prompts and PIL images, and return `RewardModelOutput`: `rewards`, a
    list of floats, and `extra_info`, the margins per rule (see `core.filled`). `neutral` stands
    for an image without a reward. A call without images raises `InputError`. Needs Flow-Factory.
    """
    from flow_factory.rewards.abc import (  # noqa: PLC0415 - present only where it trains
        PointwiseRewardModel,
        RewardModelOutput,
    )

    class SafetyRewardModel(PointwiseRewardModel):  # type: ignore[misc]
        """Rewards images by how safe a judge finds them."""

        required_fields = ("image", "prompt")
        use_tensor_inputs = False

        def __init__(self, config: Any, accelerator: Any) -> None:
            super().__init__(config, accelerator)
            reward.open(str(self.device))

        def __call__(  # noqa: PLR0913, PLR0917 - the signature of the base
            self,
            prompt: Sequence[str],
            image: Sequence[ImageSource] | None = None,
            video: object = None,
            audio: object = None,
            condition_images: object = None,
            condition_videos: object = None,
            **_: object,
        ) -> Any:
            del video, audio, condition_images, condition_videos
            if image is None:
                raise InputError("there is no `image` to judge; this reward is for images alone")
            ratings = reward.rate(image, list(prompt))
            rewards, columns = filled(reward, ratings, neutral)
            return RewardModelOutput(rewards=rewards, extra_info=columns)

    return SafetyRewardModel
