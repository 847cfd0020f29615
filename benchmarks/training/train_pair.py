"""Train the encoder and the detector: `python -m benchmarks.training.train_pair --help`.

    encoder    SigLIP's pairwise sigmoid loss over pictures and sentences that are true or false of
               them; what an `unless` excepts is ignored: a filter has to find the subject;
    detector   OWL-ViT's: each object is matched to one patch, which learns its names (sigmoid
               focal loss) and its box (L1 and generalised IoU).

The encoder begins with the vision tower of the judge's twin, which grew up in the even world. Both
see even scenes only, so neither learns the skew. A step's data depend on its number alone, so
a resumed run sees what an unbroken one would. Shipped rules and compositions equal to one are not
among the sentences.
"""

from __future__ import annotations

import argparse
import math
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.training import pair
from benchmarks.training.pack import pixels_tensor
from benchmarks.training.run import Optimizers, Run, autocast
from benchmarks.twin import FOLDER as TWIN
from safejudge.constitution.load import load_constitution
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.drawing.objects import WORDS, named_boxes
from safejudge.sketch.scenes import truth_of
from safejudge.sketch.world import questions
from safejudge.sketch.world.describe import is_reserved
from safejudge.sketch.world.sample import even_scene
from safejudge.sketch.world.scene import SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from safejudge.sketch.drawing.draw import Drawing
    from safejudge.sketch.world.scene import Scene
    from safejudge.types import JSON

    Pair = tuple[Scene, Drawing]

cross_entropy = functional.binary_cross_entropy_with_logits

HELD_OUT = -1
"""The step whose data are for evaluation."""


def scenes_of(kind: str, step: int, size: int) -> list[Pair]:
    """Draw the scenes of one step."""
    rng = random.Random(f"{kind}-{step}")
    return [(scene, draw(scene)) for scene in (even_scene(rng) for _ in range(size))]


# --- encoder ------------------------------------------------------------------------------------


def sentences(step: int, pairs: Sequence[Pair], count: int) -> dict[str, list[bool]]:
    """Draw sentences for the scenes of a step, and whether each is true of each scene.

    Statements and compositions of two or three; half of the draws begin from something true.
    """
    world = questions.World(f"encoder-{step}", skewed=False)
    facts = [questions.Facts(world, scene) for scene, _ in pairs[:_ASKED_OF]]
    truths: dict[str, list[bool]] = {}
    while len(truths) < count:
        scene_facts = facts[world.rng.randrange(len(facts))]
        shape, arity, combine = world.rng.choice(_SHAPES)
        parts = [scene_facts.ask(share=0.7)[0] for _ in range(arity)]
        texts = [part.text for part in parts]
        if is_reserved(texts) or any(p.form.family == "vague" for p in parts):
            continue
        text = shape.format(*texts)
        truths[text[0].upper() + text[1:] + "." if arity > 1 else text] = [
            combine(*(part.holds(scene) > 0.5 for part in parts)) for scene, _ in pairs
        ]
    return truths


_ASKED_OF = 8
"""So many scenes of a step are gone through for true and false statements; labels are of all."""

_SHAPES: tuple[tuple[str, int, Callable[..., bool]], ...] = (
    ("{0}", 1, lambda a: a),
    ("{0}, and {1}", 2, lambda a, b: a and b),
    ("either {0} or {1}", 2, lambda a, b: a or b),
    ("{0}, unless {1}", 2, lambda a, _: a),
    ("either {0} or {1}, unless {2}", 3, lambda a, b, _: a or b),
    ("{0}, and either {1} or {2}", 3, lambda a, b, c: a and (b or c)),
)  # fmt: skip


def train_encoder(run: Run, model: Any) -> None:
    """Teach the encoder; the tower that it took over moves slowly."""
    pool = model.vision_model.head
    tower = [part for part in model.vision_model.children() if part is not pool]
    scale = nn.ParameterList([model.logit_scale, model.logit_bias])
    parts = [(nn.ModuleList(tower), 0.3), (pool, 1.0), (model.text_model, 1.0), (scale, 1.0)]
    run.start(Optimizers.of(parts, run.args.lr))
    tokenizer = pair.build_tokenizer(pair.TEXT_TOKENS)
    parameters = list(model.parameters())
    for step in run.steps():
        pairs = scenes_of("encoder", step, run.args.batch)
        texts = sentences(step, pairs, 4 * run.args.batch)
        truth = torch.tensor(list(texts.values())).T.float()
        logits, _ = _compare(model, tokenizer, pairs, list(texts))
        losses = cross_entropy(logits, truth, reduction="none")
        loss = _mean(losses, truth) + _mean(losses, 1 - truth)
        loss.backward()
        run.update(step, {"loss": loss.item()}, parameters)
        if run.due(step):
            run.log(step, encoder_scores(model, tokenizer))


def _mean(losses: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (losses * weight).sum() / weight.sum().clamp(min=1)


def _compare(
    model: Any, tokenizer: Any, pairs: Sequence[Pair], texts: Sequence[str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits and cosines (pictures x texts)."""
    ids = tokenizer(
        list(texts), padding="max_length", max_length=pair.TEXT_TOKENS, return_tensors="pt"
    )["input_ids"]
    with autocast():
        image = model.vision_model(
            pixel_values=pixels_tensor(d.pixels for _, d in pairs)
        ).pooler_output
        text = model.text_model(input_ids=ids).pooler_output
    image, text = (functional.normalize(side.float(), dim=-1) for side in (image, text))
    cosines = image @ text.T
    logits = cosines * model.logit_scale.exp() + model.logit_bias
    return logits, cosines


@torch.inference_mode()
def encoder_scores(model: Any, tokenizer: Any) -> JSON:
    """How many (scene, rule) pairs can be dropped when 97 % of the violated ones are kept."""
    constitution = load_constitution("sketch")
    pairs = scenes_of("encoder", HELD_OUT, 512)
    _, cosines = _compare(model, tokenizer, pairs, [r.objective for r in constitution.rules])
    violated = np.array([
        [rule.id in truth_of(scene, constitution).violations for rule in constitution.rules]
        for scene, _ in pairs
    ])  # fmt: skip
    similar = cosines.numpy()
    threshold = float(np.quantile(similar[violated], 0.03))
    return {
        "threshold": round(threshold, 4),
        "dropped_at_97": round(float((similar < threshold).mean()), 3),
        "violated": int(violated.sum()),
    }


# --- detector -----------------------------------------------------------------------------------


def train_detector(run: Run, model: Any) -> None:
    """Teach the detector."""
    run.start(Optimizers.of([(model, 1.0)], run.args.lr))
    parameters = list(model.parameters())
    tokenizer = pair.build_tokenizer(pair.QUERY_TOKENS)
    for step in run.steps():
        pairs = scenes_of("detector", step, run.args.batch)
        logits, boxes = _detect(model, tokenizer, pairs)
        names, where, targets = _matched(pairs, logits, boxes)
        objects = max(1, len(where))
        names_loss = _focal(logits, names) / objects
        predicted = boxes[where[:, 0], where[:, 1]]
        box_loss = (
            5 * functional.l1_loss(predicted, targets, reduction="sum")
            + 2 * (1 - _giou(_corners(predicted), _corners(targets))).sum()
        ) / objects
        (names_loss + box_loss).backward()
        sums = {"names_loss": names_loss.item(), "box_loss": box_loss.item()}
        run.update(step, sums, parameters)
        if run.due(step):
            run.log(step, detector_scores(model, tokenizer))


def begin(model: Any) -> None:
    """Make the heads say little: every box its own patch, hardly any name.

    OWL-ViT's own random heads have weights of size 1, which no gradient of a box survives.
    """
    for head in (model.class_head, model.box_head):
        for layer in head.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight, gain=0.5)
                nn.init.zeros_(layer.bias)
    nn.init.zeros_(model.class_head.logit_shift.weight)
    nn.init.zeros_(model.class_head.logit_scale.weight)
    nn.init.constant_(model.class_head.logit_shift.bias, -1.5)
    nn.init.constant_(model.class_head.logit_scale.bias, 3.0)


def _detect(model: Any, tokenizer: Any, pairs: Sequence[Pair]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits (pictures x patches x `WORDS`) and boxes (centre and size, shares)."""
    ids = tokenizer(
        list(WORDS), padding="max_length", max_length=pair.QUERY_TOKENS, return_tensors="pt"
    )
    with autocast():
        owl = model.owlvit
        queries = owl.text_projection(owl.text_model(**ids).pooler_output)
        grid, _ = model.image_embedder(pixels_tensor(d.pixels for _, d in pairs))
        features = grid.flatten(1, 2)
        # What the forward pass does for one list of queries per picture, done once for all.
        queries = functional.normalize(queries.float(), dim=-1)
        logits, _ = model.class_predictor(features, queries.expand(len(pairs), -1, -1))
        boxes = model.box_predictor(features, grid)
    return logits.float(), boxes.float()


def _matched(
    pairs: Sequence[Pair], logits: torch.Tensor, boxes: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Give each object the patch that suits it best and is still free, small objects first.

    Returns names (like `logits`, 0 or 1), places (objects x (picture, patch)) and boxes.
    """
    names = torch.zeros_like(logits)
    where, targets = [], []
    column_of = {word: index for index, word in enumerate(WORDS)}
    with torch.no_grad():
        scores = logits.sigmoid()
        for picture, (scene, drawing) in enumerate(pairs):
            objects = named_boxes(scene, drawing)
            if not objects:
                continue
            object_boxes = torch.tensor([_centred(box.box) for _, box in objects])
            cost = 5 * torch.cdist(object_boxes, boxes[picture], p=1)
            cost -= 2 * _giou(_corners(object_boxes)[:, None], _corners(boxes[picture])[None])
            columns = [[column_of[word] for word in words] for words, _ in objects]
            cost -= torch.stack([scores[picture][:, c].mean(1) for c in columns])
            for index in object_boxes[:, 2:].prod(1).argsort().tolist():
                patch = int(cost[index].argmin())
                cost[:, patch] = torch.inf
                names[picture, patch, columns[index]] = 1.0
                where.append((picture, patch))
                targets.append(object_boxes[index])
    return names, torch.tensor(where).reshape(-1, 2), torch.stack(targets)


def _centred(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = (value / SIZE for value in box)
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


def _corners(boxes: torch.Tensor) -> torch.Tensor:
    return torch.cat([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], -1)


def _overlap(left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return intersection and union of boxes as corners, elementwise."""
    inner = torch.minimum(left[..., 2:], right[..., 2:]) - torch.maximum(
        left[..., :2], right[..., :2]
    )
    intersection = inner.clamp(min=0).prod(-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (left, right)]
    return intersection, (areas[0] + areas[1] - intersection).clamp(min=1e-6)


def _giou(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return the generalised IoU of boxes as corners, elementwise (arXiv 1902.09630)."""
    intersection, union = _overlap(left, right)
    outer = torch.maximum(left[..., 2:], right[..., 2:]) - torch.minimum(
        left[..., :2], right[..., :2]
    )
    hull = outer.prod(-1).clamp(min=1e-6)
    return intersection / union - (hull - union) / hull


def _focal(logits: torch.Tensor, names: torch.Tensor) -> torch.Tensor:
    """Return the summed sigmoid focal loss, gamma 2, alpha 0.3 (arXiv 1708.02002, 2205.06230)."""
    plain = cross_entropy(logits, names, reduction="none")
    wrong = (names - logits.sigmoid()).abs()
    return (plain * wrong**2 * (0.3 * names + 0.7 * (1 - names))).sum()


@torch.inference_mode()
def detector_scores(model: Any, tokenizer: Any) -> JSON:
    """Share of named objects that a believed box of their name hits (IoU >= 0.5), per word."""
    pairs = scenes_of("detector", HELD_OUT, 256)
    logits, boxes = _detect(model, tokenizer, pairs)
    scores, corners = logits.sigmoid(), _corners(boxes)
    hits: dict[str, list[bool]] = {word: [] for word in WORDS}
    for picture, (scene, drawing) in enumerate(pairs):
        for words, box in named_boxes(scene, drawing):
            target = _corners(torch.tensor(_centred(box.box)))
            intersection, union = _overlap(corners[picture], target)
            near = intersection / union >= 0.5
            for word in words:
                sure = scores[picture, :, WORDS.index(word)] > 0.05
                hits[word].append(bool((near & sure).any()))
    rates = {word: sum(word_hits) / len(word_hits) for word, word_hits in hits.items() if word_hits}
    worst = sorted(rates.items(), key=lambda item: item[1])[:8]
    every = [hit for word_hits in hits.values() for hit in word_hits]
    return {
        "hit": round(sum(every) / len(every), 4),
        "worst": {word: round(rate, 3) for word, rate in worst},
    }


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("model", choices=("encoder", "detector"))
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--until", type=int, help="pause after this step; run again to go on")
    parser.add_argument(
        "--tower", type=Path, default=TWIN,
        help="judge (a model folder) whose vision tower the encoder begins with",
    )  # fmt: skip
    parser.add_argument("--batch", type=int, default=48, help="scenes per step")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--warmup", type=int, default=60)
    parser.add_argument("--every", type=int, default=100, help="steps between evaluations")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    if args.model == "encoder":
        encoder = pair.build_encoder()
        pair.take_tower(encoder, args.tower)
        nn.init.constant_(encoder.logit_scale, math.log(10))  # as in arXiv 2303.15343
        run = Run(args, {"model": encoder})
        train_encoder(run, encoder)
        if run.last == args.steps:
            pair.save(encoder, pair.build_encoder_processor(), args.out / "model")
        return
    detector = pair.build_detector()
    begin(detector)
    run = Run(args, {"model": detector})
    train_detector(run, detector)
    if run.last == args.steps:
        pair.save(detector, pair.build_detector_processor(), args.out / "model")


if __name__ == "__main__":
    main()
