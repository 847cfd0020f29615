"""A small text-to-image diffusion model of the drawn world: diffusers' UNet, words for a prompt.

Pictures are folded 2 x 2 into channels (24 x 24 x 12), so that two cores can train it. Sampling is
DDIM's; with `eta` 1 every step draws from a normal distribution, whose log-density is what a policy
gradient needs (DDPO, arXiv 2305.13301, sec. 4.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from benchmarks.finetune.prompts import LENGTH, SIZE, VOCABULARY, tokens

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WIDTH = 64
"""Numbers of a word."""
STEPS = 12
"""Of sampling."""
_FOLD = 2
SHAPE = (3 * _FOLD**2, SIZE // _FOLD, SIZE // _FOLD)


@dataclass(frozen=True, slots=True)
class Trail:
    """How some pictures were drawn: the state before each step, and after the last one."""

    states: Tensor
    """(steps + 1) x N x channels x height x width."""
    words: Tensor
    """N x LENGTH."""

    @property
    def pictures(self) -> Tensor:
        """N x 3 x height x width, in [0, 1]."""
        return unfold(self.states[-1])


class Generator(nn.Module):
    """Prompts to pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(len(VOCABULARY), WIDTH)
        self.places = nn.Parameter(torch.randn(LENGTH, WIDTH) * 0.02)
        self.unet = UNet2DConditionModel(
            sample_size=SHAPE[1],
            in_channels=SHAPE[0],
            out_channels=SHAPE[0],
            layers_per_block=1,
            block_out_channels=(32, 64, 96),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=WIDTH,
            attention_head_dim=4,
            norm_num_groups=8,
        )
        self.scheduler = DDIMScheduler(
            1000,
            beta_schedule="squaredcos_cap_v2",
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
        )
        self.scheduler.set_timesteps(STEPS)

    def forward(self, noisy: Tensor, when: Tensor, words: Tensor) -> Tensor:
        """Predict the velocity (N x channels x height x width) at timesteps `when` (N)."""
        text: Tensor = self.words(words) + self.places
        predicted: Tensor = self.unet(noisy, when, text).sample
        return predicted

    def move(self, state: Tensor, step: Tensor, words: Tensor, eta: float) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (N) of the next state, for steps numbered from 0 (N)."""
        times = self.scheduler.timesteps[step]
        before = self._kept(times)
        gap = self.scheduler.config.num_train_timesteps // STEPS
        after = torch.where(times - gap >= 0, self._kept((times - gap).clamp(0)), 1.0)
        velocity = self(state, times, words)
        a, b = wide(before.sqrt()), wide((1 - before).sqrt())
        clean = (a * state - b * velocity).clamp(-1, 1)
        noise = (state - a * clean) / b.clamp(1e-4)
        spread = eta * ((1 - after) / (1 - before) * (1 - before / after)).clamp(0).sqrt()
        mean = wide(after.sqrt()) * clean + wide((1 - after - spread**2).clamp(0).sqrt()) * noise
        return mean, spread

    def _kept(self, times: Tensor) -> Tensor:
        return self.scheduler.alphas_cumprod[times]

    @torch.no_grad()
    def draw(self, prompts: Sequence[tuple[str, ...]], seed: int, eta: float = 0.0) -> Trail:
        """Draw one picture for each prompt."""
        words = torch.tensor([tokens(prompt) for prompt in prompts])
        chance = torch.Generator().manual_seed(seed)
        state = torch.randn(len(words), *SHAPE, generator=chance)
        states = [state]
        for number in range(STEPS):
            mean, spread = self.move(state, torch.full((len(words),), number), words, eta)
            state = mean + wide(spread) * torch.randn(mean.shape, generator=chance)
            states.append(state)
        return Trail(torch.stack(states), words)

    def log_density(self, path: Trail, step: Tensor, eta: float = 1.0) -> Tensor:
        """Of the move that each picture made at its step (N), a mean over its numbers (N)."""
        picked = torch.arange(len(step))
        mean, spread = self.move(path.states[step, picked], step, path.words, eta)
        off = (path.states[step + 1, picked] - mean) / wide(spread.clamp(1e-3))
        return -0.5 * (off**2).mean(dim=(1, 2, 3))

    def noised(self, pictures: Tensor, when: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures in [0, 1] -> noisy ones at timesteps `when` (N), and the velocity to predict."""
        clean = fold(pictures)
        noisy: Tensor = self.scheduler.add_noise(clean, noise, when)
        velocity: Tensor = self.scheduler.get_velocity(clean, noise, when)
        return noisy, velocity


def drawn_noise(count: int, chance: torch.Generator) -> tuple[Tensor, Tensor]:
    """Timesteps and noise for `count` pictures."""
    when = torch.randint(0, 1000, (count,), generator=chance)
    return when, torch.randn(count, *SHAPE, generator=chance)


def fold(pictures: Tensor) -> Tensor:
    """Pictures in [0, 1] as the model sees them."""
    return pixel_unshuffle(pictures * 2 - 1, _FOLD)


def unfold(state: Tensor) -> Tensor:
    """Back again."""
    return (pixel_shuffle(state, _FOLD) + 1).clamp(0, 2) / 2


def wide(numbers: Tensor) -> Tensor:
    """N numbers for N pictures."""
    return numbers.view(-1, 1, 1, 1)


def load(file: Path) -> Generator:
    """Open a generator that `base` trained."""
    model = Generator()
    model.load_state_dict(torch.load(file, weights_only=True)["model"])
    return model
