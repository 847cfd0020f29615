"""What learns: a head, layers of the towers under it, and their optimizer; kept in checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from safejudge.engines.vision.scorer import new_head
from safejudge.errors import OutputError
from safejudge.files.atomic import replacing

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import nn

    from safejudge.engines.vision.encoder import HFEncoder
    from safejudge.types import JSON


class Rates(Protocol):
    """What of a recipe decides how it learns."""

    @property
    def epochs(self) -> int:
        """How often everything is seen."""

    @property
    def seed(self) -> int:
        """Of the head's first weights."""

    @property
    def hidden(self) -> int:
        """Width of the head's one hidden layer."""

    @property
    def rate(self) -> float:
        """Peak learning rate of the head."""

    @property
    def tower_rate(self) -> float:
        """The same of the layers."""

    @property
    def decay(self) -> float:
        """Weight decay."""


class Learner:
    """A new head, the layers that learn with it, and AdamW; the rest of the towers stays."""

    def __init__(self, encoder: HFEncoder, layers: nn.ModuleList, recipe: Rates) -> None:
        import torch

        with torch.random.fork_rng():
            torch.manual_seed(recipe.seed)
            self.head: Any = new_head(encoder.width, recipe.hidden)
        encoder.model.requires_grad_(requires_grad=False)
        self._layers = layers.requires_grad_()
        groups: list[JSON] = [{"params": list(self.head.parameters()), "lr": recipe.rate}]
        if len(layers):
            groups.append({"params": list(self._layers.parameters()), "lr": recipe.tower_rate})
        self._optimizer = torch.optim.AdamW(groups, weight_decay=recipe.decay)
        self._peaks = [group["lr"] for group in groups]

    def set_rate(self, share: float) -> None:
        """Learn at this share of the peak rates from now on."""
        for group, peak in zip(self._optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * share

    def step(self, loss: torch.Tensor) -> None:
        """Learn from one batch."""
        loss.backward()
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def save(self, path: Path, epoch: int) -> None:
        """Write a checkpoint; a kill while writing leaves the old one. Raises `OutputError`."""
        import torch

        state = {
            "epoch": epoch, "head": self.head.state_dict(), "layers": self._layers.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }  # fmt: skip
        try:
            with replacing(path) as new:
                torch.save(state, new)
        except (OSError, RuntimeError) as error:
            raise OutputError(f"{path}: cannot be written ({error})") from error

    def restore(self, path: Path) -> int:
        """Go on from a checkpoint if there is one; returns the epochs done.

        Raises `OutputError` for a file that is none.
        """
        import pickle

        import torch

        if not path.is_file():
            return 0
        try:
            state = torch.load(path, weights_only=True, map_location="cpu")
            self.head.load_state_dict(state["head"])
            self._layers.load_state_dict(state["layers"])
            self._optimizer.load_state_dict(state["optimizer"])
            return int(state["epoch"])
        except (OSError, EOFError, LookupError, RuntimeError, TypeError, ValueError,
                pickle.UnpicklingError) as error:  # fmt: skip
            raise OutputError(
                f"{path}: is damaged, so learning cannot go on from it; remove it, and --resume "
                "learns anew"
            ) from error
