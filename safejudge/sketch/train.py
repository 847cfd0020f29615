"""Train the sketch judge from random weights: `python -m safejudge.sketch.train --help`.

Two stages, on two CPU cores, seeded, resumable, with their logs beside the weights:

    vision   the vision tower alone learns where which facts are (`dense`), on the even world;
    vlm      the whole model learns to answer (`tasks`), on the skewed world or the even one.

A step's data depend on its number alone, so a resumed run sees what an unbroken one would.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import AttentionInterface

from safejudge.sketch import dense, tasks, vlm
from safejudge.sketch.draw import draw
from safejudge.sketch.sample import even_scene

if TYPE_CHECKING:
    import numpy.typing as npt
    from transformers import Idefics3ForConditionalGeneration, PreTrainedTokenizerFast

    from safejudge.sketch.draw import Drawing
    from safejudge.sketch.world import Scene
    from safejudge.types import JSON

TEXT_WEIGHT = 0.5
"""Weight of a token of prose (reasoning, JSON, descriptions) against that of an answer."""


ONE_WORD = ("Yes", "No", tasks.UNCLEAR)
"""Answers that end a suffix at their first token."""
PATCH_WEIGHT = 5.0
"""Weight of the vision tower's patch labels while the whole model learns."""


def pixels_tensor(pictures: Iterable[npt.NDArray[np.uint8]]) -> torch.Tensor:
    """Stack pictures to N x 3 x 96 x 96 in [-1, 1], as the processor does."""
    stacked = torch.from_numpy(np.stack(list(pictures)))
    return stacked.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


# --- optimisation -------------------------------------------------------------------------------


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
            matrices, rest = [], []
            for name, parameter in module.named_parameters():
                hidden = parameter.ndim == 2 and "embed" not in name and "head" not in name
                (matrices if hidden else rest).append(parameter)
            muon.append({"params": matrices, "lr": lr * factor})
            adam.append({"params": rest, "lr": lr * factor * 0.6})
        parts = (
            torch.optim.Muon(muon, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"),
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


def schedule(step: int, steps: int, warmup: int) -> float:
    """Scale of the learning rate: linear warm-up, plateau, linear decay over the last 40 %."""
    decay = min(1.0, (steps - step) / (0.4 * steps))
    return min(1.0, (step + 1) / warmup) * max(0.0, decay)


# --- stage one: the vision tower ----------------------------------------------------------------


def vision_batch(step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures and patch labels of one step."""
    rng = random.Random(f"vision-{step}")
    scenes = [even_scene(rng) for _ in range(size)]
    pairs = [(scene, draw(scene)) for scene in scenes]
    return pixels_tensor(drawing.pixels for _, drawing in pairs), patch_labels(pairs)


def patch_labels(pairs: Sequence[tuple[Scene, Drawing]]) -> torch.Tensor:
    """Labels of every patch, N x patches x attributes."""
    if not pairs:
        return torch.zeros(0, vlm.GRID**2, len(dense.ATTRIBUTES))
    return torch.from_numpy(
        np.stack([dense.labels(s, d.boxes, vlm.GRID, vlm.PATCH) for s, d in pairs])
    )


def vision_features(model: Idefics3ForConditionalGeneration, pixels: torch.Tensor) -> torch.Tensor:
    """Patch features, N x patches x width."""
    mask = torch.ones(len(pixels), vlm.GRID, vlm.GRID, dtype=torch.bool)
    out = model.model.vision_model(pixel_values=pixels, patch_attention_mask=mask)
    features: torch.Tensor = out.last_hidden_state
    return features


def train_vision(run: Run) -> None:
    """Stage one."""
    head = nn.Linear(192, len(dense.ATTRIBUTES))
    nn.init.constant_(head.bias, -3.0)
    run.modules["head"] = head
    tower = run.model.model.vision_model
    run.start(Optimizers.of([(tower, 1.0), (head, 1.0)], run.args.lr))
    weight = rarity() if run.args.rare else None
    for step in run.steps():
        pixels, target = vision_batch(step + run.args.seed * 100_000, run.args.batch)
        with torch.autocast("cpu", torch.bfloat16):
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
def vision_scores(run: Run, head: nn.Module) -> JSON:
    """F1 over all patch labels of held-out scenes, and the worst attributes."""
    pixels, target = vision_batch(-1, 256)
    with torch.autocast("cpu", torch.bfloat16):
        found = torch.cat([
            head(vision_features(run.model, part)).float() > 0 for part in pixels.split(64)
        ])  # fmt: skip
    truth = target > 0.5
    hits = (found & truth).sum((0, 1))
    f1 = 2 * hits / (found.sum((0, 1)) + truth.sum((0, 1))).clamp(min=1)
    worst = sorted(zip(f1.tolist(), dense.ATTRIBUTES, strict=True))[:8]
    total = 2 * hits.sum() / (found.sum() + truth.sum())
    return {
        "patch_f1": round(total.item(), 4),
        "worst": {name: round(value, 3) for value, name in worst},
    }


# --- stage two: the whole model -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Packed:
    """Rows as tensors; R rows of at most L tokens."""

    ids: torch.Tensor
    """R x L."""
    segments: torch.Tensor
    """R x L: 0 in the prefix, n in the n-th suffix, -1 in the padding."""
    positions: torch.Tensor
    """R x L: every suffix counts on from the prefix."""
    targets: torch.Tensor
    """R x L: the next token where it is learned, else -100."""
    prose: torch.Tensor
    """R x L: whether the target belongs to prose."""
    pixels: torch.Tensor | None
    """Pictures in the order of the image tokens."""
    patches: torch.Tensor
    """K x patches x attributes: patch labels of some of the pictures."""
    labelled: list[int]
    """Which K pictures those are."""


class Packer:
    """Turns rows into packed tensors."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.encode = lambda text: tokenizer.encode(text, add_special_tokens=False)
        self.ids = dict(
            zip(vlm.SPECIAL, tokenizer.convert_tokens_to_ids(list(vlm.SPECIAL)), strict=True)
        )

    def prefix(self, row: tasks.Row) -> list[int]:
        """Tokens before the question, as template and processor render them."""
        at = self.ids
        image = [at[vlm.AROUND], at[vlm.GLOBAL]]
        image += [*[at[vlm.IMAGE]] * vlm.IMAGE_TOKENS, at[vlm.AROUND]]
        return [at[vlm.USER], *self.encode(row.instruction), *image * len(row.pictures)]

    def suffix(self, turns: tuple[tasks.Turn, ...]) -> tuple[list[int], list[int], list[bool]]:
        """Tokens, next-token targets and prose marks of one suffix."""
        ids: list[int] = []
        targets: list[int] = []
        prose: list[bool] = []
        for number, turn in enumerate(turns):
            asked = [self.ids[vlm.USER]] if number else []
            asked += [*self.encode(turn.question), self.ids[vlm.END], self.ids[vlm.ASSISTANT]]
            answer = [*self.encode(turn.answer), self.ids[vlm.END]]
            ids += asked + answer
            targets += [-100] * (len(asked) - 1) + answer + [-100]
            prose += [len(answer) > 4] * (len(asked) + len(answer))
        # nothing is learned after the last answer, nor after the one word of a yes/no answer
        kept = len(ids) - (2 if turns[0].answer in ONE_WORD else 1)
        return ids[:kept], targets[:kept], prose[:kept]

    def columns(self, row: tasks.Row) -> list[list[int]]:
        """Tokens, segments, positions, targets and prose marks of one row."""
        prefix = self.prefix(row)
        blank = [0] * len(prefix)
        columns = [prefix, blank, list(range(len(prefix))), [-100] * len(prefix), list(blank)]
        start = len(prefix)
        for number, turns in enumerate(row.suffixes, start=1):
            ids, targets, prose = self.suffix(turns)
            places = list(range(start, start + len(ids)))
            added = ([*ids], [number] * len(ids), places, targets, [int(p) for p in prose])
            columns = [[*column, *values] for column, values in zip(columns, added, strict=True)]
        return columns

    def pack(self, rows: list[tasks.Row]) -> Packed:
        """Pack rows into one batch, padded on the right."""
        return self._stack([(row, self.columns(row)) for row in rows])

    def batches(self, rows: list[tasks.Row], most: int) -> Iterator[Packed]:
        """Pack rows into batches of similar length and at most about `most` tokens."""
        built = sorted(((row, self.columns(row)) for row in rows), key=lambda b: len(b[1][0]))
        while built:
            fitting = max(1, most // len(built[-1][1][0]))
            yield self._stack(built[-fitting:])
            del built[-fitting:]

    def _stack(self, built: list[tuple[tasks.Row, list[list[int]]]]) -> Packed:
        longest = max(len(columns[0]) for _, columns in built)
        fills = (self.ids[vlm.PAD], -1, 0, -100, 0)
        tensors = [
            torch.tensor([c[k] + [fill] * (longest - len(c[k])) for _, c in built])
            for k, fill in enumerate(fills)
        ]
        pictures = [picture for row, _ in built for picture in row.pictures]
        pixels = pixels_tensor(pictures) if pictures else None
        places = {id(picture): place for place, picture in enumerate(pictures)}
        drawings = [pair for row, _ in built for pair in row.drawings]
        return Packed(
            *tensors[:4], tensors[4].bool(), pixels, patch_labels(drawings),
            [places[id(drawing.pixels)] for _, drawing in drawings],
        )  # fmt: skip


def attention(segments: torch.Tensor) -> torch.Tensor:
    """R x 1 x L x L, 0 where a token may look (the prefix and its own suffix, not ahead)."""
    length = segments.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    same = segments[:, :, None] == segments[:, None, :]
    to_prefix = segments[:, None, :] == 0
    hidden = ~((same | to_prefix) & causal)
    return torch.zeros(hidden.shape, dtype=torch.bfloat16).masked_fill_(hidden, -1e9)[:, None]


def plain_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention as three products, in the inputs' own type; heads share keys where they do."""
    rows, heads, length, width = query.shape
    grouped = (query * scaling).view(rows, key.shape[1], -1, length, width)
    weights = grouped @ key[:, :, None].transpose(-1, -2)
    if attention_mask is not None:
        weights = weights + attention_mask[:, :, None]
    mixed = weights.softmax(-1) @ value[:, :, None]
    return mixed.view(rows, heads, length, width).transpose(1, 2).contiguous(), None


def target_logits(
    model: Idefics3ForConditionalGeneration, packed: Packed, seen: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits at every learned position, the targets there, and which of them are prose.

    `seen` are the patch features of the pictures (`vision_features`).
    """
    embeds = model.get_input_embeddings()(packed.ids)
    if seen is not None:
        places = (packed.ids == model.config.image_token_id).unsqueeze(-1)
        embeds = embeds.masked_scatter(places, model.model.connector(seen).to(embeds.dtype))
    hidden = model.model.text_model(
        inputs_embeds=embeds,
        attention_mask=attention(packed.segments),
        position_ids=packed.positions,
        use_cache=False,
    ).last_hidden_state
    learned = packed.targets != -100
    logits = model.lm_head(hidden[learned]).float()
    return logits, packed.targets[learned], packed.prose[learned]


def train_vlm(run: Run) -> None:
    """Stage two."""
    model = run.model
    text: list[tuple[nn.Module, float]] = [
        (model.model.connector, 1.0), (model.model.text_model, 1.0),
    ]  # fmt: skip
    head = nn.Linear(192, len(dense.ATTRIBUTES))
    head.load_state_dict(torch.load(run.args.vision / "checkpoint.pt", weights_only=True)["head"])
    run.modules["head"] = head
    vision: list[tuple[nn.Module, float]] = [(model.model.vision_model, 0.3), (head, 0.3)]
    run.start(Optimizers.of([*text, *vision], run.args.lr))
    packer = Packer(run.tokenizer)
    weight = rarity()
    parameters = [*model.parameters(), *head.parameters()]
    for step in run.steps():
        world = tasks.World(f"vlm-{run.args.world}-{step}", skewed=run.args.world == "skewed")
        batches = list(packer.batches(tasks.step_rows(world), most=5000))
        answers = sum(int(((b.targets != -100) & ~b.prose).sum()) for b in batches)
        words = sum(int(((b.targets != -100) & b.prose).sum()) for b in batches)
        pictures = sum(len(b.labelled) for b in batches)
        sums = {"answer_loss": 0.0, "text_loss": 0.0, "patch_loss": 0.0}
        for batch in batches:
            with torch.autocast("cpu", torch.bfloat16):
                seen = None if batch.pixels is None else vision_features(model, batch.pixels)
                logits, targets, prose = target_logits(model, batch, seen)
                spots = None if seen is None else head(seen[batch.labelled])
            losses = functional.cross_entropy(logits, targets, reduction="none")
            answer, word = losses[~prose].sum() / answers, losses[prose].sum() / max(1, words)
            loss = answer + TEXT_WEIGHT * word
            if spots is not None and len(spots):
                patch = functional.binary_cross_entropy_with_logits(
                    spots.float(), batch.patches, pos_weight=weight
                ) * (len(spots) / pictures)
                loss = loss + PATCH_WEIGHT * patch
                sums["patch_loss"] += patch.item()
            loss.backward()
            sums["answer_loss"] += answer.item()
            sums["text_loss"] += word.item()
        run.update(step, sums, parameters)
        if run.due(step):
            run.log(step, vlm_scores(run, packer))


@torch.inference_mode()
def vlm_scores(run: Run, packer: Packer) -> JSON:
    """TPR and TNR on balanced questions about held-out even scenes, in all and per family."""
    world = tasks.World("held-out-curve", skewed=False)
    counts: dict[tuple[str, bool], list[int]] = {}
    for _ in range(4):
        rows, asked = [], []
        for _ in range(32):
            scene = world.scene()
            facts = tasks.Facts(scene)
            picked = [facts.ask(world, share=0.5) for _ in range(16)]
            asked += [(s.form.family, label) for s, label in picked]
            turns = tuple(
                (tasks.Turn(tasks.prompts.statement_question(s.text), "Yes"),) for s, _ in picked
            )
            rows.append(tasks.Row(tasks.prompts.ASK, (draw(scene).pixels,), turns))
        with torch.autocast("cpu", torch.bfloat16):
            packed = packer.pack(rows)
            seen = vision_features(run.model, packed.pixels)
            logits, _, _ = target_logits(run.model, packed, seen)
        yes, no = packer.encode("Yes")[0], packer.encode("No")[0]
        said = (logits[:, yes] > logits[:, no]).tolist()
        for (family, label), answer in zip(asked, said, strict=True):
            tally = counts.setdefault((family, label), [0, 0])
            tally[0] += answer == label
            tally[1] += 1
    return _rates(counts)


def _rates(counts: dict[tuple[str, bool], list[int]]) -> JSON:
    """Right / asked, over all families but the vague one, and per family."""

    def rate(label: bool, family: str | None = None) -> float:
        kept = [
            tally
            for (of, asked), tally in counts.items()
            if asked is label and (of == family if family else of != "vague")
        ]
        return round(sum(r for r, _ in kept) / max(1, sum(n for _, n in kept)), 3)

    families = sorted({family for family, _ in counts})
    return {
        "tpr": rate(True),
        "tnr": rate(False),
        "families": {f: [rate(True, f), rate(False, f)] for f in families},
    }


# --- a run: checkpoints, log, clock -------------------------------------------------------------


class Run:
    """One training run in a folder: `log.jsonl`, `checkpoint.pt`, and the model when it is done."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.folder: Path = args.out
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(args.seed)
        self.tokenizer = vlm.train_tokenizer(corpus())
        self.model = vlm.build_model(self.tokenizer)
        # on a CPU the plain kernels are faster than the fused one: twice for 144 patches
        AttentionInterface.register("plain", plain_attention)
        self.model.set_attn_implementation({"vision_config": "plain", "text_config": "plain"})
        if args.vision:
            tower = torch.load(args.vision / "checkpoint.pt", weights_only=True)["model"]
            own = self.model.state_dict()
            own |= {name: tower[name] for name in own if ".vision_model." in name}
            self.model.load_state_dict(own)
        self.modules: dict[str, nn.Module] = {"model": self.model}
        self.optimizers: Optimizers
        self.first = 0
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
        for step in range(self.first, self.args.steps):
            begun = time.monotonic()
            yield step
            self.seconds += time.monotonic() - begun
            if (step + 1) % 100 == 0 or step + 1 == self.args.steps:
                self.save(step + 1)

    def update(self, step: int, sums: JSON, parameters: list[nn.Parameter]) -> None:
        """Clip, step, and remember the losses until the next line of the log."""
        nn.utils.clip_grad_norm_(parameters, 1.0)
        self.optimizers.step(schedule(step, self.args.steps, self.args.warmup))
        for name, value in sums.items():
            self.sums.setdefault(name, []).append(value)

    def due(self, step: int) -> bool:
        """Whether this step is evaluated."""
        return (step + 1) % self.args.every == 0 or step + 1 == self.args.steps

    def log(self, step: int, scores: JSON) -> None:
        """Append a line to the log."""
        means = {name: round(sum(v) / len(v), 4) for name, v in self.sums.items()}
        self.sums.clear()
        line = {"step": step + 1, "minutes": round(self.seconds / 60, 2), **means, **scores}
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)  # noqa: T201


def corpus() -> Iterator[str]:
    """Texts from which the vocabulary is learned."""
    world = tasks.World("corpus", skewed=False)
    for _ in range(60):
        for row in tasks.step_rows(world)[-12:]:
            yield row.instruction
            for turn in (turn for turns in row.suffixes for turn in turns):
                yield turn.question
                yield turn.answer
    yield from tasks.grammar()
    yield from ("Yes", "No", tasks.UNCLEAR) * 20


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=("vision", "vlm"))
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--vision", type=Path, help="run folder whose vision tower to start from")
    parser.add_argument("--rare", action="store_true", help="vision: weigh rare attributes up")
    parser.add_argument("--world", choices=("skewed", "even"), default="skewed")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--batch", type=int, default=48, help="vision: scenes per step")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--warmup", type=int, default=60)
    parser.add_argument("--every", type=int, default=100, help="steps between evaluations")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    run = Run(args)
    (train_vision if args.stage == "vision" else train_vlm)(run)
    if args.stage == "vlm":
        vlm.save(run.model, run.tokenizer, args.out / "model")


if __name__ == "__main__":
    main()
