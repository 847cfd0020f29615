"""Muon in float32, for CPUs that have no arithmetic in bfloat16.

The optimizer is that of `torch.optim.Muon` with the same constants; torch's own turns every update
to bfloat16, which such a CPU multiplies fifty times slower than float32.
Source: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from safejudge.types import JSON

_QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of x, x^3 and x^5: singular values move to about 1 in few rounds."""
_ROUNDS = 5


class Muon32(torch.optim.Optimizer):
    """For matrices only; learning rates are on AdamW's scale (root mean square of 0.2)."""

    def __init__(self, groups: Iterable[JSON], weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(groups, {"weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient."""
        assert closure is None  # noqa: S101 - nobody here has one
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    self._update(matrix, group)

    def _update(self, matrix: torch.Tensor, group: JSON) -> None:
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        assert matrix.grad is not None  # noqa: S101 - the caller has looked
        mean = state["momentum_buffer"].lerp_(matrix.grad, 1 - group["momentum"])
        direction = orthogonal(matrix.grad.lerp(mean, group["momentum"]))
        matrix.mul_(1 - group["lr"] * group["weight_decay"])
        matrix.add_(direction, alpha=-group["lr"] * 0.2 * math.sqrt(max(matrix.shape)))


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """Move all singular values close to 1 (0.7 to 1.2), by Newton and Schulz's iteration."""
    tall = matrix.shape[0] > matrix.shape[1]
    turned: torch.Tensor = matrix.T if tall else matrix
    turned = turned / turned.norm().clamp(min=1e-7)
    linear, cubic, quintic = _QUINTIC
    for _ in range(_ROUNDS):
        gram = turned @ turned.T
        turned = linear * turned + (cubic * gram + quintic * gram @ gram) @ turned
    return turned.T if tall else turned
