"""The improved aesthetic predictor as an `Encoder`: how pleasing a picture is, whatever its text.

A stack of linear layers on the picture's unit vector of CLIP ViT-L/14; about 1 to 10. Opens the
released file, beside which CLIP may lie as a folder of transformers. Apache-2.0, by Christoph
Schuhmann; one of MJ-Bench's six score models.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from safejudge.engines.local.identity import file_digest
from safejudge.engines.vision.encoder import HFEncoder
from safejudge.engines.vision.released import Release, stacked
from safejudge.types import Picture, Similarity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from safejudge.types import EngineCard

RELEASE = Release(
    title="the aesthetic predictor",
    file="aesthetic-model.pth",
    repository="trl-lib/ddpo-aesthetic-predictor",
    tokenizer="openai/clip-vit-large-patch14",
    tokenizer_class="CLIPTokenizer",
)


class AestheticsEncoder:
    """Scores of pictures in place of cosines; see `Encoder`. The backbone is its to close."""

    def __init__(self, backbone: HFEncoder, head: Any, card: EngineCard) -> None:
        self._backbone = backbone
        self._head = head
        self._card = card

    @property
    def card(self) -> EngineCard:
        """The backbone's; its revision is over the head as well."""
        return self._card

    def check_texts(self, texts: Sequence[str]) -> None:
        """Accept every text: none is read."""

    def similarities(self, requests: Sequence[Similarity]) -> list[float]:
        """Return each score, in order; NaN for a picture that the image processing refuses."""
        import torch

        pictures = sorted({r.picture for r in requests}, key=lambda picture: picture.digest)
        # Asked even about nothing, so that a closed one says so.
        self._backbone.similarities([])
        if not pictures:
            return []
        vectors, _ = self._backbone.vectors([Similarity(picture, "a") for picture in pictures])
        with torch.inference_mode():
            scores = self._head(vectors.float()).squeeze(-1).tolist()
        by_picture: dict[Picture, float] = dict(zip(pictures, scores, strict=True))
        return [by_picture[request.picture] for request in requests]

    def close(self) -> None:
        """Let go of the model."""
        self._backbone.close()


def open_aesthetics(
    path: str,
    *,
    uri: str,
    device: str | None = None,
    dtype: str | None = None,
    batch_size: int = 16,
) -> AestheticsEncoder:
    """Open the released file; CLIP is what lies beside it, else the hub's ViT-L/14.

    Options are those of `HFEncoder`, for CLIP; the head is float32. Raises `EngineSetupError`.
    """
    file = RELEASE.find(path)
    head = _head(file)
    beside = (file.parent / "config.json").is_file()
    backbone = HFEncoder(
        str(file.parent.resolve()) if beside else RELEASE.tokenizer,
        uri=uri,
        device=device,
        dtype=dtype,
        batch_size=batch_size,
    )
    if backbone.width != head[0].in_features:
        reads = f"it reads {head[0].in_features} numbers, and CLIP gives {backbone.width}"
        raise RELEASE.foreign(file, reads)
    both = backbone.card.revision.encode() + file_digest(file)
    card = replace(backbone.card, revision=hashlib.sha256(both).hexdigest(), model=path)
    return AestheticsEncoder(backbone, head, card)


def _head(file: Path) -> Any:
    weights = RELEASE.weights(file)
    try:
        head = stacked(weights, "layers.")
        last = head[-1].out_features
    except (KeyError, ValueError, AttributeError) as error:
        raise RELEASE.foreign(file, f"{error} is not in it") from error
    if last != 1:
        raise RELEASE.foreign(file, f"it gives {last} numbers")
    RELEASE.fill(head, {n.removeprefix("layers."): t for n, t in weights.items()}, file)
    return head.eval()
