"""Rewards: one constitution judges what a generator makes, and a trainer learns from it.

    from safejudge.rewards import SafetyReward

    with SafetyReward.load("sketch", "hf:sketch") as reward:
        print(reward(["a.png", "b.png"]))

`arithmetic` says what the number means. Adapters, one file each: `trl`, `ddpo` (ddpo-pytorch and
flow_grpo), `verl`, `flow_factory`, `diffusers` (for pipelines). Importing this loads no trainer
and no model library.
"""

from safejudge.rewards.arithmetic import SEVERITIES, Blend, Grading, Rating
from safejudge.rewards.core import SafetyReward

__all__ = ["SEVERITIES", "Blend", "Grading", "Rating", "SafetyReward"]
