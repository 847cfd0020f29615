"""Patches lie where they lie, in whatever type a model computes."""

from __future__ import annotations

import random

import pytest
import torch
from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig
from transformers.models.idefics3.modeling_idefics3 import Idefics3VisionEmbeddings

from safejudge import prompts
from safejudge.engines.local.hf import HFEngine
from safejudge.engines.local.patches import place_patches
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.judge import model_folder
from safejudge.sketch.world.sample import even_scene
from safejudge.types import Picture, Probe


@pytest.mark.parametrize("side", [4, 12, 16, 27])
@pytest.mark.parametrize(("rows", "columns"), [(1.0, 1.0), (0.5, 1.0), (1.0, 0.75)])
def test_places_are_those_of_transformers_in_float32(
    side: int, rows: float, columns: float
) -> None:
    torch.manual_seed(side)
    config = Idefics3VisionConfig(hidden_size=8, image_size=side * 4, patch_size=4)
    module = Idefics3VisionEmbeddings(config)
    pixels = torch.randn(2, 3, side * 4, side * 4)
    mask = torch.ones(2, side, side, dtype=torch.bool)
    mask[1, max(1, int(side * rows)) :] = False
    mask[1, :, max(1, int(side * columns)) :] = False
    expected = module(pixels, mask)
    place_patches(module)
    # Where no picture is, nobody looks.
    assert torch.allclose(module(pixels, mask)[mask.flatten(1)], expected[mask.flatten(1)])


def test_the_sketch_judge_sees_the_same_in_bfloat16() -> None:
    rng = random.Random(3)
    *_, scene = (Picture.of(draw(even_scene(rng)).pixels) for _ in range(3))
    probes = [
        Probe(prompts.ASK, (scene,), prompts.statement_question(statement))
        for statement in ("an adult has a hammer in the hand", "a lying person is holding a bottle")
    ]
    exact, rough = (
        HFEngine(str(model_folder()), uri="hf:x", device="cpu", dtype=dtype).answer_probs(probes)
        for dtype in ("float32", "bfloat16")
    )
    for one, other in zip(exact, rough, strict=True):
        assert one.score == pytest.approx(other.score, abs=0.1)
