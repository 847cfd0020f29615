"""What one GPU should reach, from tokens and operations: an estimate, and not a measurement.

Counts the parameters of Qwen2.5-VL-7B, CLIP ViT-B/16 and OWLv2 base, the tokens of a picture and of
the statements of `osbench`, and the questions, searches and reasonings of an image as recorded in
`results/throughput-smolvlm-256m.json`. Assumes what a GPU gets of its peak. Each picture is
prefilled once, each statement is a short ending; replies are written by many requests at a time.

`python -m benchmarks.throughput.flops [--tera 989] [--terabytes 4.8] [--used 0.4] [--read 0.6]`
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import transformers as t
from PIL import Image

from benchmarks.measure import RESULTS, record
from benchmarks.throughput.rows import WRITTEN
from benchmarks.throughput.shapes import SHAPES
from safejudge import prompts
from safejudge.constitution.load import load_constitution
from safejudge.show.markdown import table
from safejudge.types import leaves

ROWS = ("ours, clean", "ours, mix")
SIDES = (512, 1024)
"""Pixels of a picture's sides."""
JSON_TOKENS = 60
"""Of the reply that sums up a reasoning."""
TOGETHER = 64
"""Replies that are written at a time."""
FILTER_SIDE, SEARCH_TOKENS = 197, 3600
"""Tokens of a picture in CLIP ViT-B/16, and in OWLv2 base at 960 pixels."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a model's cost follows from."""

    text: float
    """Parameters of the language model that every token goes through."""
    vision: float
    """The same of the vision tower, for every patch."""
    layers: int
    width: int
    vocabulary: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tera", type=float, default=989, help="peak of the GPU, 1e12 a second")
    parser.add_argument("--terabytes", type=float, default=4.8, help="memory, 1e12 bytes a second")
    parser.add_argument("--used", type=float, default=0.4, help="share of the peak in a prefill")
    parser.add_argument("--read", type=float, default=0.6, help="share of the memory's speed")
    args = parser.parse_args()
    config, processor, _ = SHAPES["qwen2.5-vl-7b"]()
    shape = shape_of(config)
    beside = {name: parameters(name) for name in ("clip-vit-base-patch16", "owlv2-base-patch16")}
    recorded = json.loads((RESULTS / "throughput-smolvlm-256m.json").read_text())["rows"]
    cells, numbers = [], {}
    for side in SIDES:
        begins, ends, patches = tokens(processor, side)
        for name in ROWS:
            row = recorded[name]
            seconds = {
                "prefill": prefill(shape, begins, patches, ends, row["questions"])
                / (args.tera * 1e12 * args.used),
                "regions": row["searches"] * search(beside) / (args.tera * 1e12 * args.used),
                "relevance": 2 * beside["clip-vit-base-patch16"] * FILTER_SIDE
                / (args.tera * 1e12 * args.used),
                "reasoning": row["reasonings"] * (WRITTEN + JSON_TOKENS)
                * 2 * (shape.text + shape.vocabulary * shape.width)
                / TOGETHER / (args.terabytes * 1e12 * args.read),
            }  # fmt: skip
            total = sum(seconds.values())
            numbers[f"{side}, {name}"] = {**seconds, "images_per_second": 1 / total}
            shares = [f"{value / total:.0%}" for value in seconds.values()]
            cells.append([f"{side} px", name, str(begins), f"{1 / total:.0f}", *shares])
    head = ["picture", "row", "tokens of its beginning", "images/s, estimated",
            "prefill", "regions", "relevance", "reasoning"]  # fmt: skip
    text = (
        f"Qwen2.5-VL-7B: {shape.text / 1e9:.2f}e9 parameters for a token, "
        f"{shape.vision / 1e9:.2f}e9 for a patch. Assumed: {args.used:.0%} of {args.tera:g} "
        f"Tflop/s, {args.read:.0%} of {args.terabytes:g} TB/s, {TOGETHER} replies at a time of "
        f"{WRITTEN} and {JSON_TOKENS} tokens. Nobody ran it on a GPU.\n\n"
    )
    record("throughput-estimate", {"rows": numbers, **vars(args)}, text + table(head, cells))


def shape_of(config: Any) -> Shape:
    """Count parameters without making them."""
    with torch.device("meta"):
        model = t.AutoModelForImageTextToText.from_config(config)
    embedded = model.get_input_embeddings().weight.numel()
    vision = sum(p.numel() for p in model.model.visual.parameters())
    text = sum(p.numel() for p in model.get_decoder().parameters()) - embedded
    sizes = config.text_config
    return Shape(text, vision, sizes.num_hidden_layers, sizes.hidden_size, sizes.vocab_size)


def parameters(name: str) -> int:
    """All parameters of a model that looks at pictures beside the judge."""
    config, _, auto = SHAPES[name]()
    with torch.device("meta"):
        model = auto.from_config(config)
    return sum(p.numel() for p in model.vision_model.parameters()) if hasattr(
        model, "vision_model"
    ) else sum(p.numel() for p in model.parameters())  # fmt: skip


def tokens(processor: Any, side: int) -> tuple[int, float, int]:
    """Tokens of a beginning (instruction and picture), mean of an ending, patches of a picture."""
    rules = load_constitution("osbench").rules
    statements = dict.fromkeys(s.statement for r in rules for s in leaves(r.condition))
    image = Image.fromarray(np.zeros((side, side, 3), np.uint8))
    lengths = []
    for statement in statements:
        question = prompts.statement_question(statement)
        parts = [{"type": "text", "text": prompts.ASK}, {"type": "image"},
                 {"type": "text", "text": question}]  # fmt: skip
        text = processor.tokenizer.apply_chat_template(
            [{"role": "user", "content": parts}], add_generation_prompt=True, tokenize=False
        )
        made = processor(text=[text], images=[image], return_tensors="pt")
        ids = made["input_ids"][0].tolist()
        mark = processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
        last = max(place for place, token in enumerate(ids) if token == mark)
        lengths.append((last + 1, len(ids) - last - 1, int(made["image_grid_thw"].prod())))
    begins, _, patches = lengths[0]
    return begins, statistics.mean(ending for _, ending, _ in lengths), patches


def prefill(shape: Shape, begins: int, patches: int, ends: float, questions: float) -> float:
    """Operations for one picture and its questions: two for each parameter and token."""
    read = begins + questions * ends
    attention = 2 * shape.layers * shape.width * (begins**2 + 2 * questions * ends * begins)
    head = 2 * questions * shape.vocabulary * shape.width
    return 2 * (shape.vision * patches + shape.text * read) + attention + head


def search(beside: dict[str, int]) -> float:
    """Operations of a search for a central object."""
    return 2 * beside["owlv2-base-patch16"] * SEARCH_TOKENS


if __name__ == "__main__":
    main()
