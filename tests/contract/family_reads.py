"""What every family is asked, and what transformers alone makes of it."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from answering import SWITCHES, closed, inputs, rendered
from PIL import Image

from safejudge import prompts
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.world.sample import even_scene
from safejudge.types import Picture, Probe

if TYPE_CHECKING:
    from pathlib import Path

    from safejudge.engines.local.hf import HFEngine

RED, BLUE = (Picture.of(draw(even_scene(random.Random(seed))).pixels) for seed in (1, 2))
WIDE = Picture.of(
    np.kron(np.arange(216, dtype=np.uint8).reshape(6, 12, 3), np.ones((8, 8, 1), np.uint8))
)
_GREY = np.full((200, 200, 3), 90, dtype=np.uint8)
ODD = [Picture.of(_GREY[:h, :w].copy()) for h, w in ((1, 1), (2, 2), (3, 200), (200, 3))]
"""Sizes that come with tracking pixels and rules between paragraphs."""


def ask(images: tuple[Picture, ...], statement: str = "a dog is visible", **more: Any) -> Probe:
    return Probe(prompts.ASK, images, prompts.statement_question(statement), **more)


RATINGS = tuple("12345")
MIXED = [
    ask((RED,)),
    ask(()),
    ask((BLUE,), "a dog is visible and a car is visible and a bus is visible"),
    ask((RED, BLUE)),
    ask((BLUE, RED)),
    ask((WIDE,)),
    ask((RED,), labels=RATINGS),
    ask((), labels=RATINGS),
    ask((RED, WIDE), labels=RATINGS),
]


class Oracle:
    """The same model by transformers alone: one prompt, unpadded, one forward call."""

    def __init__(self, folder: Path, engine: HFEngine, opening: str) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.processor = AutoProcessor.from_pretrained(folder)
        self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
        self.opening = opening
        self.spellings = engine.card.label_tokens
        # Templates may write a day; which one is the engine's to choose.
        day = re.search(r"\d{4}-\d\d-\d\d", engine._chat.question_prompt())
        self.clock = {"strftime_now": lambda _: day.group()} if day else {}

    @torch.inference_mode()
    def probabilities(self, probe: Probe) -> list[float]:
        """The mass of each label's spellings, single tokens all, after a probe."""
        spellings = [(n, f" {n}") for n in probe.labels]
        if probe.labels != RATINGS:
            spellings = [self.spellings[label] for label in probe.labels]
        words = probe.instruction, len(probe.images), probe.question
        text = rendered(self.processor, *words, **SWITCHES, **self.clock)
        images = [Image.fromarray(image.pixels) for image in probe.images]
        encoded = inputs(self.processor, closed(text) + self.opening, images)
        after = self.model.eval()(**encoded).logits[0, -1].float().softmax(-1)
        tokenize = self.processor.tokenizer
        found = [
            [tokenize(text, add_special_tokens=False)["input_ids"] for text in spelled]
            for spelled in spellings
        ]
        singles = [{ids[0] for ids in spelled if len(ids) == 1} for spelled in found]
        return [after[list(same)].sum().item() for same in singles]
