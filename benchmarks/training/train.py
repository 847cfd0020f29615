"""Train the sketch judge from random weights: `python -m benchmarks.training.train --help`.

Two stages, on two CPU cores, seeded, resumable, with their logs beside the weights:

    vision   the vision tower alone learns where which facts are (`dense`), on the even world;
    vlm      the whole model learns to answer (`tasks`), on the skewed world or the even one.

A step's data depend on its number alone, so a resumed run sees what an unbroken one would.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from benchmarks.training import dense, tasks, vlm
from benchmarks.training.pack import (
    PROSE,
    Packer,
    patch_labels,
    pixels_tensor,
    target_logits,
    use_plain_attention,
    vision_features,
)
from benchmarks.training.run import Optimizers, Run, autocast
from safejudge import prompts
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.world import questions
from safejudge.sketch.world.sample import even_scene
from safejudge.sketch.world.statements import UNCLEAR, grammar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PreTrainedTokenizerFast

    from safejudge.types import JSON

TEXT_WEIGHT = 0.5
"""Weight of a token of prose (reasoning, JSON, descriptions) against that of an answer."""
CONCLUSION_WEIGHT = 4.0
"""Weight of a token of a reasoning's conclusion, from the second stage on (1 before)."""
PATCH_WEIGHT = 5.0
"""Weight of the vision tower's patch labels while the whole model learns."""


class JudgeRun(Run):
    """A run of the judge: its vocabulary, the model, and a head over the vision tower."""

    def __init__(self, args: argparse.Namespace) -> None:
        torch.manual_seed(args.seed)
        self.tokenizer = _vocabulary(args)
        self.model = vlm.build_model(self.tokenizer)
        use_plain_attention(self.model)
        self.head = nn.Linear(192, len(dense.ATTRIBUTES))
        """Reads the patch labels; not part of the model that is shipped."""
        nn.init.constant_(self.head.bias, -3.0)
        super().__init__(args, {"model": self.model, "head": self.head})
        if args.init:
            self._begin_from(args.init)

    def _begin_from(self, folder: Path) -> None:
        """Take the weights of another run, or of a model folder (which has no patch head)."""
        if (folder / "checkpoint.pt").exists():
            before = torch.load(folder / "checkpoint.pt", weights_only=True)
            for name, module in self.modules.items():
                module.load_state_dict(before[name])
            return
        shipped = type(self.model).from_pretrained(folder, dtype=torch.float32)
        self.model.load_state_dict(shipped.state_dict())


def _vocabulary(args: argparse.Namespace) -> PreTrainedTokenizerFast:
    """Take the vocabulary that the weights were learned with; learn one for a first run."""
    for folder in (args.out, args.init):
        if folder and (folder / "tokenizer.json").exists():
            return vlm.load_tokenizer(folder)
    learned = vlm.train_tokenizer(corpus())
    learned.save_pretrained(args.out)
    return learned


def corpus() -> Iterator[str]:
    """Texts from which the vocabulary is learned."""
    world = questions.World("corpus", skewed=False)
    for _ in range(60):
        for row in tasks.step_rows(world)[-12:]:
            yield row.instruction
            for turn in (turn for turns in row.suffixes for turn in turns):
                yield turn.question
                yield turn.answer
    yield from grammar()
    yield from ("Yes", "No", UNCLEAR) * 20


# --- stage one: the vision tower ----------------------------------------------------------------


def vision_batch(step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures and patch labels of one step."""
    rng = random.Random(f"vision-{step}")
    scenes = [even_scene(rng) for _ in range(size)]
    pairs = [(scene, draw(scene)) for scene in scenes]
    return pixels_tensor(drawing.pixels for _, drawing in pairs), patch_labels(pairs)


def train_vision(run: JudgeRun) -> None:
    """Stage one."""
    head = run.head
    tower = run.model.model.vision_model
    run.start(Optimizers.of([(tower, 1.0), (head, 1.0)], run.args.lr))
    weight = rarity() if run.args.rare else None
    for step in run.steps():
        pixels, target = vision_batch(step + run.args.seed * 100_000, run.args.batch)
        with autocast():
            logits = head(vision_features(run.model, pixels))
        loss = functional.binary_cross_entropy_with_logits(
            logits.float(), target, pos_weight=weight
        )
        (loss * 20).backward()
        run.update(step, {"loss": loss.item()}, [*tower.parameters(), *head.parameters()])
        if run.due(step):
            run.log(step, vision_scores(run, head))


def rarity() -> torch.Tensor:
    """Weight of each attribute's positive labels: the root of how rare it is, at most 10."""
    _, target = vision_batch(-2, 512)
    return target.mean((0, 1)).clamp(min=1e-3).rsqrt().clamp(max=10.0)


@torch.inference_mode()
def vision_scores(run: JudgeRun, head: nn.Module) -> JSON:
    """F1 over all patch labels of held-out scenes, and the worst attributes."""
    pixels, target = vision_batch(-1, 256)
    with autocast():
        predicted = torch.cat([
            head(vision_features(run.model, part)).float() > 0 for part in pixels.split(64)
        ])  # fmt: skip
    truth = target > 0.5
    hits = (predicted & truth).sum((0, 1))
    f1 = 2 * hits / (predicted.sum((0, 1)) + truth.sum((0, 1))).clamp(min=1)
    worst = sorted(zip(f1.tolist(), dense.ATTRIBUTES, strict=True))[:8]
    total = 2 * hits.sum() / (predicted.sum() + truth.sum())
    return {
        "patch_f1": round(total.item(), 4),
        "worst": {name: round(value, 3) for value, name in worst},
    }


# --- stage two: the whole model -----------------------------------------------------------------


def train_vlm(run: JudgeRun) -> None:
    """Stage two."""
    model = run.model
    text: list[tuple[nn.Module, float]] = [
        (model.model.connector, 1.0), (model.model.text_model, 1.0),
    ]  # fmt: skip
    head = run.head
    vision: list[tuple[nn.Module, float]] = [(model.model.vision_model, 0.3), (head, 0.3)]
    run.start(Optimizers.of([*text, *vision], run.args.lr))
    packer = Packer(run.tokenizer)
    weight = rarity()
    parameters = [*model.parameters(), *head.parameters()]
    for step in run.steps():
        world = _world_of(step, run.args)
        stage = sum(step >= start for start in run.args.stages)
        batches = list(packer.batches(tasks.step_rows(world, stage), most_tokens=2500))
        answers = sum(int(((b.targets != -100) & (b.kinds != PROSE)).sum()) for b in batches)
        words = sum(int(((b.targets != -100) & (b.kinds == PROSE)).sum()) for b in batches)
        weights = torch.tensor([1.0, TEXT_WEIGHT, CONCLUSION_WEIGHT if stage else 1.0])
        pictures = sum(len(b.labelled) for b in batches)
        sums = {"answer_loss": 0.0, "text_loss": 0.0, "patch_loss": 0.0}
        for batch in batches:
            with autocast():
                features = None if batch.pixels is None else vision_features(model, batch.pixels)
                logits, targets, kinds = target_logits(model, batch, features)
                spots = None if features is None else head(features[batch.labelled])
            losses = functional.cross_entropy(logits, targets, reduction="none") * weights[kinds]
            prose = kinds == PROSE
            answer, word = losses[~prose].sum() / answers, losses[prose].sum() / max(1, words)
            loss = answer + word
            if spots is not None and len(spots):
                patch = functional.binary_cross_entropy_with_logits(
                    spots.float(), batch.patches, pos_weight=weight
                ) * (len(spots) / pictures)
                loss = loss + PATCH_WEIGHT * patch
                sums["patch_loss"] += patch.item()
            loss.backward()
            sums["answer_loss"] += answer.item()
            sums["text_loss"] += word.item() / TEXT_WEIGHT
        run.update(step, sums, parameters)
        if run.due(step):
            run.log(step, vlm_scores(run, packer))


def _world_of(step: int, args: argparse.Namespace) -> questions.World:
    """The scenes and questions of one step."""
    seed = f"vlm-{args.world}-{step + args.seed * 100_000}"
    return questions.World(seed, skewed=args.world == "skewed", near=args.near)


@torch.inference_mode()
def vlm_scores(run: JudgeRun, packer: Packer) -> JSON:
    """TPR and TNR on balanced questions about held-out even scenes, in all and per family."""
    world = questions.World("held-out-curve", skewed=False)
    counts: dict[tuple[str, bool], list[int]] = {}
    for _ in range(4):
        rows, targets = [], []
        for _ in range(32):
            scene = world.scene()
            facts = questions.Facts(world, scene)
            picked = [facts.ask(share=0.5) for _ in range(16)]
            targets += [(s.form.family, label) for s, label in picked]
            turns = tuple(
                (tasks.Turn(prompts.statement_question(s.text), "Yes"),) for s, _ in picked
            )
            rows.append(tasks.Row(prompts.ASK, (draw(scene).pixels,), turns))
        with autocast():
            packed = packer.pack(rows)
            features = vision_features(
                run.model, pixels_tensor(p for row in rows for p in row.pictures)
            )
            logits, _, _ = target_logits(run.model, packed, features)
        yes, no = packer.encode("Yes")[0], packer.encode("No")[0]
        answers = (logits[:, yes] > logits[:, no]).tolist()
        for (family, label), answer in zip(targets, answers, strict=True):
            tally = counts.setdefault((family, label), [0, 0])
            tally[0] += answer == label
            tally[1] += 1
    return _rates(counts)


def _rates(counts: dict[tuple[str, bool], list[int]]) -> JSON:
    """Right / asked, over all families but the vague one, and per family."""

    def rate(label: bool, family: str | None = None) -> float:
        tallies = [
            tally
            for (of, target), tally in counts.items()
            if target is label and (of == family if family else of != "vague")
        ]
        return round(sum(r for r, _ in tallies) / max(1, sum(n for _, n in tallies)), 3)

    families = sorted({family for family, _ in counts})
    return {
        "tpr": rate(True),
        "tnr": rate(False),
        "families": {f: [rate(True, f), rate(False, f)] for f in families},
    }


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=("vision", "vlm"))
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--init", type=Path, help="run or model folder whose weights to start from")
    parser.add_argument("--rare", action="store_true", help="vision: weigh rare attributes up")
    parser.add_argument("--world", choices=("skewed", "even"), default="skewed")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument(
        "--stages", type=int, nargs=2, default=(800, 1600),
        help="vlm: steps from which reasoning, then reading, is taught more",
    )  # fmt: skip
    parser.add_argument(
        "--near", type=float, default=questions.NEAR,
        help="vlm: weight of false statements whose every word fits something in the picture",
    )  # fmt: skip
    parser.add_argument("--until", type=int, help="pause after this step; run again to go on")
    parser.add_argument("--batch", type=int, default=48, help="vision: scenes per step")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--warmup", type=int, default=60)
    parser.add_argument("--every", type=int, default=100, help="steps between evaluations")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    run = JudgeRun(args)
    (train_vision if args.stage == "vision" else train_vlm)(run)
    if args.stage == "vlm" and run.last == args.steps:
        vlm.save(run.model, run.tokenizer, args.out / "model")


if __name__ == "__main__":
    main()
