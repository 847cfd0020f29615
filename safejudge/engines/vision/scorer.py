"""What was trained here as an `Encoder`: a preference scorer, or a distilled relevance filter.

A dual encoder with a head of one number on it, as VP-Score's backbone has (arXiv 2404.15100), in a
folder of transformers with two files more. The difference of two pictures' numbers is the
log-odds that the first is preferred. It is no cosine, so no threshold for the relevance filter is
stated for it. A filter's number is the log-odds that a judge finds the rule violated, brought
into (-1, 1); its folder states the threshold and the rules that it learned.
"""

from __future__ import annotations

import json
import math
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from safejudge.engines.local.running import quiet
from safejudge.engines.vision.encoder import HFEncoder
from safejudge.errors import EngineSetupError, StatementError
from safejudge.text import first_line
from safejudge.types import Learned

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from safejudge.engines.base import Encoder
    from safejudge.types import JSON, EngineCard, Similarity

    Tensor = torch.Tensor

HEAD, SETTINGS = "head.safetensors", "scorer.json"
"""What a scorer's folder has beyond its backbone's."""
DRAWN = "hf:sketch"
"""The backbone that knows drawn scenes and nothing else."""


def new_head(width: int, hidden: int) -> Any:
    """Make a head for vectors of this width, with weights of torch's global seed."""
    from torch import nn

    return nn.Sequential(nn.Linear(3 * width, hidden), nn.GELU(), nn.Linear(hidden, 1))


def head_scores(head: Any, pictures: Tensor, texts: Tensor) -> Tensor:
    """Score rows of unit vectors: by both, and by their product, whose sum is the cosine.

    The numbers of a unit vector shrink with its length; they are brought to a size of about 1.
    """
    import torch

    root = pictures.shape[-1] ** 0.5
    parts = (pictures * root, texts * root, pictures * texts * root * root)
    scores: Tensor = head(torch.cat(parts, dim=-1).float()).squeeze(-1)
    return scores


class ScorerEncoder:
    """Scores in place of cosines; see `Encoder`. The backbone becomes this encoder's to close."""

    def __init__(self, backbone: HFEncoder, head: Any) -> None:
        self._backbone = backbone
        self._head = head

    @property
    def card(self) -> EngineCard:
        """The backbone's; its revision is over the folder, so over the head as well."""
        return self._backbone.card

    def check_texts(self, texts: Sequence[str]) -> None:
        """Raise `StatementError` for a prompt that the text side cannot hold whole."""
        self._backbone.check_texts(texts)

    def similarities(self, requests: Sequence[Similarity]) -> list[float]:
        """Return each score, in order; NaN for a picture that the image processing refuses."""
        import torch

        if not requests:
            return []
        pictures, texts = self._backbone.vectors(requests)
        with torch.inference_mode():
            return [float(score) for score in head_scores(self._head, pictures, texts)]

    def close(self) -> None:
        """Let go of the model."""
        self._backbone.close()


WIDTH = 8.0
"""Log-odds that become tanh 1: what decides lies between -8 and 8, and two digits tell it apart."""


class FilterEncoder:
    """The numbers of a filter, in (-1, 1); NaN for every text that it did not learn.

    So a rule that it does not know is asked.
    """

    def __init__(self, scorer: ScorerEncoder, learned: Learned) -> None:
        self._scorer = scorer
        self._learned = learned

    @property
    def card(self) -> EngineCard:
        """The scorer's, and what it learned."""
        return replace(self._scorer.card, learned=self._learned)

    def check_texts(self, texts: Sequence[str]) -> None:
        """Raise `StatementError` for a text that it did not learn."""
        for text in texts:
            if text not in self._learned.rules:
                raise StatementError(
                    f"{text!r} is no rule that {self._scorer.card.uri} learned, and a distilled "
                    "filter has no number for anything else; take the encoder that it was made from"
                )

    def similarities(self, requests: Sequence[Similarity]) -> list[float]:
        """Return each number, in order; see `Encoder.similarities`."""
        known = [request for request in requests if request.text in self._learned.rules]
        scores = iter(self._scorer.similarities(known))
        return [
            squeezed(next(scores)) if request.text in self._learned.rules else math.nan
            for request in requests
        ]

    def close(self) -> None:
        """Let go of the model."""
        self._scorer.close()


def squeezed(log_odds: float) -> float:
    """Bring log-odds into (-1, 1), in their order."""
    return math.tanh(log_odds / WIDTH)


def open_scorer(path: str, *, uri: str, device: str | None = None, batch_size: int = 16) -> Encoder:
    """Open the folder of a scorer, or of a filter. Raises `EngineSetupError`.

    One whose backbone knows only drawn scenes has no number for anything else.
    """
    folder = Path(path)
    settings = _settings(folder)
    drawn = settings["recipe"]["backbone"] == DRAWN
    with quiet() if drawn else nullcontext():
        backbone = HFEncoder(
            str(folder.resolve()),
            uri=uri,
            device=device,
            dtype="float32",
            batch_size=batch_size,
            backend="pil" if drawn else None,
        )
    scorer = ScorerEncoder(backbone, _head(folder, backbone.width, settings["recipe"]["hidden"]))
    learned = _learned(folder, settings)
    encoder = scorer if learned is None else FilterEncoder(scorer, learned)
    if not drawn:
        return encoder
    guarded: Encoder = resolve_name("safejudge.sketch.judge:SketchEncoder")(encoder)
    return guarded


def _learned(folder: Path, settings: JSON) -> Learned | None:
    """What a filter states of itself; None for a preference scorer."""
    if "filter" not in settings:
        return None
    try:
        stated = settings["filter"]
        threshold = float(stated["threshold"])
        rules = {str(rule["text"]): str(rule["digest"]) for rule in stated["rules"].values()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EngineSetupError(
            f"{folder}: {SETTINGS} is damaged ({first_line(error)}); distill the filter again"
        ) from error
    if not -1 <= threshold <= 1 or not rules:
        raise EngineSetupError(
            f"{folder}: {SETTINGS} states the threshold {threshold} for "
            f"{len(rules)} rules; distill the filter again"
        )
    return Learned(threshold, rules)


def _settings(folder: Path) -> JSON:
    try:
        settings: JSON = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        recipe = settings["recipe"]
        complete = isinstance(recipe["hidden"], int) and isinstance(recipe["backbone"], str)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineSetupError(
            f"{folder}: no preference scorer or filter ({SETTINGS}: {first_line(error)}). Name a "
            "folder that train-scorer or distill wrote"
        ) from error
    if not complete:
        raise EngineSetupError(f"{folder}: {SETTINGS} is damaged; train the scorer again")
    return settings


def _head(folder: Path, width: int, hidden: int) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    head = new_head(width, hidden)
    try:
        head.load_state_dict(load_file(folder / HEAD))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise EngineSetupError(
            f"{folder}: {HEAD} is missing, damaged, or of another backbone; train the scorer "
            f"again. ({first_line(error)})"
        ) from error
    return head.eval()
