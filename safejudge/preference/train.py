"""Pairs -> a preference scorer: a head on a dual encoder, taught to score the better one higher.

The loss is Bradley and Terry's, -log sigmoid(score of chosen - score of rejected), as VP-Score's
(arXiv 2404.15100). Prompts are split before anything is learned: what is measured is on prompts
that were never seen. The order of an epoch hangs on its number and the seed alone, and every epoch
ends in a checkpoint, so a run that was stopped goes on as if it had not been.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from safejudge.engines.open import open_backbone
from safejudge.engines.vision.scorer import HEAD, SETTINGS, head_scores
from safejudge.errors import InputError, OutputError
from safejudge.files.atomic import writing
from safejudge.preference.learner import Learner
from safejudge.preference.pair_file import read_pairs
from safejudge.preference.rubrics import OVERALL
from safejudge.preference.vectors import Source, batches, last_layers
from safejudge.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch

    from safejudge.engines.vision.encoder import HFEncoder
    from safejudge.preference.pair_file import Pair
    from safejudge.preference.recipe import Recipe
    from safejudge.types import JSON

    Tensor = torch.Tensor

CHECKPOINT = "checkpoint.pt"
_BEGUN = "begun.json"
"""The file that says of a folder what a scorer in it is made from."""


class Ranked(NamedTuple):
    """One held-out pair, as the scorer sees it."""

    prompt: str
    aspect: str
    margin: float
    """Score of the better picture less that of the worse; above 0 where the scorer is right."""


@dataclass(slots=True)
class Trained:
    """What came of it."""

    pairs: int
    """Pairs that were learned from."""
    prompts: int
    held_out: tuple[Ranked, ...] = ()
    left_out: Counter[str] = field(default_factory=Counter)
    """Pairs that could not be used, by reason."""
    losses: list[float] = field(default_factory=list)
    """Mean loss of every epoch of this call."""


def train(  # noqa: PLR0913 - from where to where, how, and what to do with what is there
    file: Path,
    out: Path,
    recipe: Recipe,
    *,
    resume: bool = False,
    overwrite: bool = False,
    tick: Callable[[int], None] = lambda _: None,
) -> Trained:
    """Train a scorer on a file of pairs, and write it to a folder that `scorer:FOLDER` opens.

    `tick` hears of epochs done. Raises `InputError` for pairs that cannot be learned from,
    `OutputError` where the folder holds something else, `EngineSetupError` for a backbone that is
    no dual encoder.
    """
    pairs = _chosen(file, recipe)
    identity = {"recipe": asdict(recipe), "pairs": _digest(pairs)}
    _check(out, identity, resume=resume, overwrite=overwrite)
    encoder = open_backbone(recipe.backbone)
    try:
        source = Source(encoder, remembers=recipe.layers == 0)
        usable, left_out = source.usable(pairs)
        learned, held_out = split(usable, recipe)
        learner = _Learner(encoder, source, recipe)
        _begin(out, identity, resume=resume)
        result = Trained(len(learned), len({pair.prompt for pair in learned}), left_out=left_out)
        for epoch in range(learner.restore(out / CHECKPOINT), recipe.epochs):
            result.losses.append(learner.epoch(learned, epoch))
            learner.save(out / CHECKPOINT, epoch + 1)
            tick(1)
        result.held_out = tuple(learner.rank(held_out))
        _write(out, encoder, learner.head, identity | _measured(result))
    finally:
        encoder.close()
    return result


def split(pairs: Sequence[Pair], recipe: Recipe) -> tuple[list[Pair], list[Pair]]:
    """Keep a share of the prompts apart, drawn by the seed, whatever the order of the file."""

    def rank(prompt: str) -> bytes:
        return hashlib.sha256(
            f"{recipe.seed}:{prompt}".encode("utf-8", "backslashreplace")
        ).digest()

    prompts = sorted({pair.prompt for pair in pairs}, key=rank)
    count = max(1, round(recipe.held_out * len(prompts)))
    if count >= len(prompts):
        raise InputError(
            f"there are usable pairs of {counted(len(prompts), 'prompt')}; training on some and "
            "measuring on others needs at least 2"
        )
    apart = set(prompts[:count])
    return (
        [pair for pair in pairs if pair.prompt not in apart],
        [pair for pair in pairs if pair.prompt in apart],
    )


def _chosen(file: Path, recipe: Recipe) -> list[Pair]:
    if recipe.aspects:
        return read_pairs(file, recipe.aspects)
    pairs = read_pairs(file)
    overall = [pair for pair in pairs if pair.aspect == OVERALL]
    return overall or pairs


def _digest(pairs: Sequence[Pair]) -> str:
    return hashlib.sha256("".join(pair.digest for pair in pairs).encode()).hexdigest()


# --- learning -----------------------------------------------------------------------------------


class _Learner:
    """Learns from pairs, and ranks them."""

    def __init__(self, encoder: HFEncoder, source: Source, recipe: Recipe) -> None:
        self._source = source
        self._recipe = recipe
        self._learner = Learner(encoder, last_layers(encoder.model, recipe.layers), recipe)
        self.save, self.restore = self._learner.save, self._learner.restore

    @property
    def head(self) -> Any:
        """What scores."""
        return self._learner.head

    def epoch(self, pairs: Sequence[Pair], number: int) -> float:
        """See every pair once; returns the mean loss."""
        from torch.nn import functional

        order = list(pairs)
        random.Random(f"{self._recipe.seed}-{number}").shuffle(order)  # noqa: S311
        # Linear decay to 0, by whole epochs.
        self._learner.set_rate(1 - number / self._recipe.epochs)
        total = 0.0
        for start in range(0, len(order), self._recipe.batch):
            batch = order[start : start + self._recipe.batch]
            losses = -functional.logsigmoid(self._margins(batch))
            self._learner.step(losses.mean())
            total += float(losses.detach().sum())
        return total / len(order)

    def rank(self, pairs: Sequence[Pair]) -> Iterator[Ranked]:
        """Score pairs without learning from them."""
        import torch

        for batch in batches(pairs):
            with torch.no_grad():
                margins = self._margins(batch).tolist()
            for pair, margin in zip(batch, margins, strict=True):
                yield Ranked(pair.prompt, pair.aspect, margin)

    def _margins(self, pairs: Sequence[Pair]) -> Tensor:
        better, worse, texts = self._source.vectors(pairs)
        return head_scores(self.head, better, texts) - head_scores(self.head, worse, texts)


# --- files --------------------------------------------------------------------------------------


def _check(out: Path, identity: JSON, *, resume: bool, overwrite: bool) -> None:
    """See, before any work, whether what is in the folder may be continued or replaced."""
    begun = out / _BEGUN
    try:
        entries = [path.name for path in out.iterdir()] if out.exists() else []
        if entries and not begun.is_file():
            raise OutputError(
                f"{out}: holds {min(entries)!r}, which is no scorer; name a new folder"
            )
        if entries and not resume and not overwrite:
            raise OutputError(
                f"{out}: holds a scorer, or the beginning of one; --resume goes on, --overwrite "
                "begins anew"
            )
        if entries and resume and begun.read_text("utf-8") != json.dumps(identity, sort_keys=True):
            raise OutputError(
                f"{out}: was begun with other pairs or options; use the same again, or --overwrite"
            )
    except OSError as error:
        raise OutputError(f"{out}: cannot be read ({error.strerror})") from error


def _begin(out: Path, identity: JSON, *, resume: bool) -> None:
    """Make the folder, and forget what is replaced."""
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        if not resume:
            (out / CHECKPOINT).unlink(missing_ok=True)
            (out / SETTINGS).unlink(missing_ok=True)
        (out / _BEGUN).write_text(json.dumps(identity, sort_keys=True), encoding="utf-8")


def _measured(result: Trained) -> JSON:
    right = sum(ranked.margin > 0 for ranked in result.held_out)
    return {
        "trained_on": {"pairs": result.pairs, "prompts": result.prompts},
        "held_out": {
            "pairs": len(result.held_out), "right": right,
            "prompts": len({ranked.prompt for ranked in result.held_out}),
        },
        "left_out": dict(result.left_out),
    }  # fmt: skip


def _write(out: Path, encoder: HFEncoder, head: Any, card: JSON) -> None:
    from safetensors.torch import save_file

    with writing(out):
        encoder.save(out)
        save_file(head.state_dict(), out / HEAD)
        # Last: what has this file is whole.
        (out / SETTINGS).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
