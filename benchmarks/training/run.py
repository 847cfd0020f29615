"""One training run: optimisers, schedule, checkpoints, log, clock."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from benchmarks.training.muon import Muon32

if TYPE_CHECKING:
    from safejudge.types import JSON


@dataclass(frozen=True, slots=True)
class Optimizers:
    """Muon for the matrices of the layers, AdamW for embeddings, norms and biases."""

    parts: tuple[torch.optim.Optimizer, ...]
    base: tuple[float, ...]
    """Peak learning rate of each parameter group, in order."""

    @staticmethod
    def of(groups: Iterable[tuple[nn.Module, float]], lr: float) -> Optimizers:
        """Build for modules, each with a factor on the learning rate."""
        muon: list[JSON] = []
        adam: list[JSON] = []
        for module, factor in groups:
            matrices: list[nn.Parameter] = []
            vectors: list[nn.Parameter] = []
            for name, parameter in module.named_parameters():
                hidden = parameter.ndim == 2 and "embed" not in name and "head" not in name
                (matrices if hidden else vectors).append(parameter)
            muon.append({"params": matrices, "lr": lr * factor})
            adam.append({"params": vectors, "lr": lr * factor * 0.6})
        parts = (
            torch.optim.Muon(muon, weight_decay=0.02, adjust_lr_fn="match_rms_adamw")
            if has_bfloat16()
            else Muon32(muon, weight_decay=0.02),
            torch.optim.AdamW(adam, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
        )
        base = tuple(group["lr"] for part in parts for group in part.param_groups)
        return Optimizers(parts, base)

    def step(self, scale: float) -> None:
        """Update with all learning rates scaled, then clear the gradients."""
        groups = [group for part in self.parts for group in part.param_groups]
        for group, peak in zip(groups, self.base, strict=True):
            group["lr"] = peak * scale
        for part in self.parts:
            part.step()
            part.zero_grad(set_to_none=True)


def has_bfloat16() -> bool:
    """Whether this CPU computes in bfloat16; others do it far slower than in float32."""
    return bool(torch.cpu.get_capabilities().get("avx512_bf16"))


def autocast() -> torch.autocast:
    """Return a block that computes in bfloat16, where that is faster."""
    return torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16())


def schedule(step: int, steps: int, warmup: int) -> float:
    """Scale of the learning rate: linear warm-up, plateau, linear decay over the last 40 %."""
    decay = min(1.0, (steps - step) / (0.4 * steps))
    return min(1.0, (step + 1) / warmup) * max(0.0, decay)


class Run:
    """One training run in a folder: `log.jsonl`, `checkpoint.pt`, and the model when it is done."""

    def __init__(self, args: argparse.Namespace, modules: dict[str, nn.Module]) -> None:
        self.args = args
        self.folder: Path = args.out
        self.modules = modules
        """What is saved and restored."""
        self.optimizers: Optimizers
        self.first = 0
        self.last: int = min(args.steps, args.until or args.steps)
        self.seconds = 0.0
        self.sums: JSON = {}

    def start(self, optimizers: Optimizers) -> None:
        """Take the optimizers, and continue from the checkpoint if there is one."""
        self.optimizers = optimizers
        path = self.folder / "checkpoint.pt"
        if path.exists():
            state = torch.load(path, weights_only=True)
            self.first, self.seconds = state["step"], state["seconds"]
            for name, module in self.modules.items():
                module.load_state_dict(state[name])
            for part, saved in zip(self.optimizers.parts, state["optimizers"], strict=True):
                part.load_state_dict(saved)

    def save(self, step: int) -> None:
        """Write the checkpoint; a kill while writing leaves the old one."""
        state: dict[str, Any] = {name: m.state_dict() for name, m in self.modules.items()}
        state |= {"step": step, "seconds": self.seconds}
        state["optimizers"] = [part.state_dict() for part in self.optimizers.parts]
        torch.save(state, self.folder / "checkpoint.tmp")
        (self.folder / "checkpoint.tmp").replace(self.folder / "checkpoint.pt")

    def steps(self) -> Iterator[int]:
        """Count steps, keep time, save every hundred steps and at the end."""
        for step in range(self.first, self.last):
            begun = time.monotonic()
            yield step
            self.seconds += time.monotonic() - begun
            if (step + 1) % 100 == 0 or step + 1 == self.last:
                self.save(step + 1)

    def update(self, step: int, sums: JSON, parameters: list[nn.Parameter]) -> None:
        """Clip, step, and remember the losses until the next line of the log."""
        nn.utils.clip_grad_norm_(parameters, 1.0)
        self.optimizers.step(schedule(step, self.args.steps, self.args.warmup))
        for name, value in sums.items():
            self.sums.setdefault(name, []).append(value)

    def due(self, step: int) -> bool:
        """Whether this step is evaluated."""
        return (step + 1) % self.args.every == 0 or step + 1 == self.last

    def log(self, step: int, scores: JSON) -> None:
        """Append a line to the log."""
        means = {name: round(sum(v) / len(v), 4) for name, v in self.sums.items()}
        self.sums.clear()
        line = {"step": step + 1, "minutes": round(self.seconds / 60, 2), **means, **scores}
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)
