"""Records of a judge -> the folder of a relevance filter, measured on images held out.

The folder is a scorer's (`engines/vision/scorer.py`), so `--encoder scorer:FOLDER` opens it. It
states its threshold, and of every rule that it learned the digest: a rule that is written otherwise
today, or that too few images violate, is asked of every picture. Every epoch ends in a checkpoint.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from safejudge.distill.choose import learnable, split, usable, violating
from safejudge.distill.cut import Pairs
from safejudge.distill.labels import Pictures
from safejudge.distill.learn import FilterLearner, Towers
from safejudge.engines.open import open_backbone
from safejudge.engines.vision.scorer import HEAD, SETTINGS
from safejudge.errors import OutputError
from safejudge.files.atomic import Lock, writing
from safejudge.method.relevance import relevance_text

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from safejudge.distill.cut import Kept
    from safejudge.distill.labels import Labelled, Labels, Place
    from safejudge.distill.recipe import FilterRecipe
    from safejudge.engines.vision.encoder import HFEncoder
    from safejudge.types import JSON

RECORDS, CHECKPOINT, BEGUN = "records.jsonl", "checkpoint.pt", "begun.json"
"""What a filter's folder has beside the scorer: what the judge said, how far learning has come, and
what it learns from."""


@dataclass(slots=True)
class Distilled:
    """What came of it."""

    pictures: int
    """That were learned from."""
    held_out: Pairs
    """Numbers of the filter."""
    before: Pairs
    """The same pairs with the cosines of the backbone as it was."""
    kept: Kept
    """At the filter's threshold."""
    learned: Mapping[str, int]
    """Rules that it learned: by how many pictures that violate them."""
    unlearned: Mapping[str, str]
    """Rules that are asked of every picture, and why."""
    left_out: Counter[str]
    """Pairs that could not be used, by reason; pictures, as pairs with all their rules."""
    undecided: tuple[int, int] = (0, 0)
    """Held-out pairs that the judge left undecided: above the threshold, and all."""
    losses: list[float] = field(default_factory=list)
    """Mean loss of every epoch of this call."""


def claim(out: Path, *, resume: bool, overwrite: bool) -> Lock:
    """Take a folder for a filter, before any work; nobody else may until the lock is closed.

    Raises `OutputError` for a folder that holds something else, or a filter where neither flag says
    what becomes of it, or that another run is writing.
    """
    ours = {RECORDS, BEGUN, SETTINGS, ".lock"}
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in out.iterdir()}
        if names and not names & ours:
            raise OutputError(f"{out}: holds {min(names)!r}, which is no filter; name a new folder")
        if names - {".lock"} and not resume and not overwrite:
            raise OutputError(
                f"{out}: holds a filter, or the beginning of one; --resume goes on, --overwrite "
                "begins anew"
            )
        if resume and not _is_ours(out / BEGUN):
            raise OutputError(
                f"{out}: was begun by train-scorer, which distill cannot go on with; name a new "
                "folder"
            )
        lock = Lock.of_folder(out)
        if overwrite:
            for name in (SETTINGS, CHECKPOINT, BEGUN):
                (out / name).unlink(missing_ok=True)
        return lock


def _is_ours(begun: Path) -> bool:
    """Whether a folder was begun by this module, or not at all."""
    try:
        return not begun.is_file() or "labels" in json.loads(begun.read_text("utf-8"))
    except ValueError:  # torn by a kill; it is written again
        return True


def distill(
    labels: Labels,
    out: Path,
    recipe: FilterRecipe,
    tick: Callable[[int], None] = lambda _: None,
) -> Distilled:
    """Teach the backbone, find the threshold, and write the folder (`claim` it before).

    A checkpoint of the same labels and recipe is gone on from; one of others is begun anew. `tick`
    hears of epochs done. Raises `InputError` for labels that nothing can be learned from, and
    `EngineSetupError` for a backbone that is no dual encoder.
    """
    encoder = open_backbone(recipe.backbone)
    try:
        pictures = Pictures(labels.policy)
        there, left_out = usable(labels, encoder, pictures)
        learning, held_out = split(there, recipe)
        texts, unlearned = learnable(labels.constitution, encoder, learning, held_out)
        towers = Towers(encoder, pictures, texts, remembers=recipe.layers == 0)
        before = pairs_of(held_out, towers.cosines(held_out))
        learner = FilterLearner(encoder, towers, recipe)
        taught = [one for one in learning if one.scores.keys() & texts.keys()]
        losses = _learn(learner, taught, out, _identity(labels, recipe), recipe.epochs, tick)
        numbers = learner.numbers(held_out)
        pairs = pairs_of(held_out, numbers)
        threshold = pairs.threshold(recipe.keep)
        found = Distilled(
            len(taught),
            pairs,
            before,
            pairs.kept_above(threshold),
            {rule: violating(rule, learning) for rule in texts},
            unlearned,
            labels.left_out + left_out,
            _undecided(held_out, numbers, threshold),
            losses,
        )
        _write(out, encoder, learner.head, _settings(labels, recipe, found))
    finally:
        encoder.close()
    return found


# --- learning ---------------------------------------------------------------------------------


def _identity(labels: Labels, recipe: FilterRecipe) -> JSON:
    """What a checkpoint has to be of."""
    told = [
        [one.place.image, one.place.frame, one.place.background, sorted(one.scores.items())]
        for one in labels.pictures
    ]
    digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()
    # The share to keep decides nothing before learning is over.
    return {"recipe": asdict(recipe) | {"keep": None}, "labels": digest,
            "constitution": labels.constitution.digest()}  # fmt: skip


def _learn(  # noqa: PLR0913, PLR0917 - who learns what, where it is kept, and how often
    learner: FilterLearner,
    pictures: Sequence[Labelled],
    out: Path,
    identity: JSON,
    epochs: int,
    tick: Callable[[int], None],
) -> list[float]:
    """See the pictures so often as is still to do, and keep a checkpoint of every time."""
    begun, text = out / BEGUN, json.dumps(identity, sort_keys=True)
    with writing(out):
        if not begun.is_file() or begun.read_text("utf-8") != text:
            (out / CHECKPOINT).unlink(missing_ok=True)
        (out / SETTINGS).unlink(missing_ok=True)
        begun.write_text(text, encoding="utf-8")
    losses = []
    done = learner.restore(out / CHECKPOINT)
    tick(done)
    for epoch in range(done, epochs):
        losses.append(learner.epoch(pictures, epoch))
        learner.save(out / CHECKPOINT, epoch + 1)
        tick(1)
    return losses


def pairs_of(pictures: Sequence[Labelled], numbers: Mapping[Place, Mapping[str, float]]) -> Pairs:
    """Put numbers beside what the judge said, of the rules that both know."""
    rows = [
        (rule, one.place.image, rule in one.violated, number)
        for one in pictures
        for rule, number in numbers[one.place].items()
        if rule in one.scores
    ]
    return Pairs(
        [rule for rule, *_ in rows],
        [image for _, image, *_ in rows],
        np.array([violated for *_, violated, _ in rows], dtype=bool),
        np.array([number for *_, number in rows], dtype=float),
    )


def _undecided(
    pictures: Sequence[Labelled], numbers: Mapping[Place, Mapping[str, float]], threshold: float
) -> tuple[int, int]:
    above = [
        not numbers[one.place][rule] <= threshold
        for one in pictures
        for rule in one.undecided
        if rule in numbers[one.place]
    ]
    return sum(above), len(above)


# --- files ------------------------------------------------------------------------------------


def _settings(labels: Labels, recipe: FilterRecipe, found: Distilled) -> JSON:
    rules = {rule.id: rule for rule in labels.constitution.rules}
    made = labels.provenance
    return {
        "recipe": asdict(recipe),
        "filter": {
            "threshold": found.kept.threshold,
            "rules": {
                rule: {"text": relevance_text(rules[rule]), "digest": rules[rule].digest()}
                for rule in found.learned
            },
            "unlearned": dict(found.unlearned),
            "constitution": made.constitution,
            "judge": {"model": made.model, "revision": made.revision, "policy": made.policy,
                      "prompts": made.prompts},
        },
        "trained_on": {"pictures": found.pictures, "violated": dict(found.learned)},
        "held_out": {
            "images": len(set(found.held_out.images)), "pairs": len(found.held_out.rules),
            "violated": found.kept.violated.json(), "dropped": found.kept.dropped,
        },
        "left_out": dict(found.left_out),
    }  # fmt: skip


def _write(out: Path, encoder: HFEncoder, head: Any, settings: JSON) -> None:
    from safetensors.torch import save_file

    with writing(out):
        encoder.save(out)
        save_file(head.state_dict(), out / HEAD)
        # Last: what has this file is whole.
        (out / SETTINGS).write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
