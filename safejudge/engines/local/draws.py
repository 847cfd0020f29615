"""Replies that are drawn, not greedy: each row of a batch by its own seed.

`generate` draws from one stream of random numbers for a whole batch, so a reply would hang on what
stands beside it. Here noise is added to the scores and the greatest is taken: with Gumbel's noise
that is a draw from the softmax (Gumbel 1954; the "Gumbel-max trick").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from safejudge.types import Sampling


class SeededDraw:
    """A logits processor for one greedy `generate` call: what it takes is then drawn."""

    def __init__(self, rows: Sequence[Sampling | None]) -> None:
        self._rows = [row for row in rows if row is not None]
        self._generators: list[torch.Generator] = []

    def __call__(self, _ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores (rows x vocabulary) over the temperature, and noise of each row's."""
        import torch

        if not self._generators:
            self._generators = [torch.Generator().manual_seed(row.seed) for row in self._rows]
        width = scores.shape[1]
        # On the CPU: a seed means the same numbers on every device.
        draws = torch.stack([torch.rand(width, generator=one) for one in self._generators])
        noise = -torch.log(-torch.log(draws.clamp(1e-20, 1 - 2**-24)))
        heat = torch.tensor([[row.temperature] for row in self._rows])
        return scores.float() / heat.to(scores.device) + noise.to(scores.device)
