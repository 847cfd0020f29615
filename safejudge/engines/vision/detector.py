"""Zero-shot detectors of transformers (OWL-ViT, OWLv2, Grounding DINO), as a `Detector`.

Takes a model id or folder; gives boxes in the picture's own pixels. It knows nothing of rules, and
believes no box: every one that is not hopelessly faint is returned.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from safejudge.engines.local.checkpoint import Checkpoint
from safejudge.engines.local.running import LocalModel, check_options, running
from safejudge.engines.requests import as_image
from safejudge.engines.vision.owl import Owl
from safejudge.errors import EngineCallError, EngineSetupError, StatementError
from safejudge.types import Box, Picture

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    import torch

    from safejudge.types import Locate

FAINTEST = 0.01
"""Boxes must be surer than this to be returned at all."""

MOST_BOXES = 20
"""At most so many boxes of one word, the surest."""

_TOGETHER = frozenset({"owlvit", "owlv2"})
"""Model types that look for all words of a picture in one pass, each unmoved by the others."""

_WORD_BY_WORD = frozenset({"grounding-dino", "mm-grounding-dino"})
"""Model types that mix their words with each other and with the picture. One pass per word, and
pictures of one size per batch, keep a word's boxes independent of what else is asked."""

Look = tuple[Picture, tuple[str, ...]]
"""One row of a batch: a picture and the words that one pass looks for in it."""


class HFDetector(LocalModel):
    """One zero-shot detector in this process.

    `model` is a folder or a hub id, `uri` what the card calls it. `device` None takes CUDA where
    there is one; `dtype` (`float32`, `bfloat16`, `float16`) None is float32 on a CPU and the
    checkpoint's own type elsewhere. At most `batch_size` passes run at once. Raises
    `EngineSetupError`. Calls may come from several threads; they run one after the other.
    """

    def __init__(  # noqa: PLR0913 - one argument for each option of a user's
        self,
        model: str,
        *,
        uri: str,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int = 4,
        backend: str | None = None,
    ) -> None:
        check_options(batch_size, dtype)
        checkpoint = Checkpoint(model, uri, backend=backend)
        config = checkpoint.config()
        if config.model_type not in _TOGETHER | _WORD_BY_WORD:
            raise EngineSetupError(
                f"{model}: {config.model_type} is no zero-shot detector known here. Use one of the "
                "OWL-ViT, OWLv2 or Grounding DINO families, such as "
                "hf:google/owlv2-base-patch16-ensemble"
            )
        self._together = config.model_type in _TOGETHER
        self._processor = checkpoint.pair_processor()
        self._limit = _word_limit(config, self._processor.tokenizer)
        loaded = checkpoint.load("AutoModelForZeroShotObjectDetection", device, dtype)
        self._owl = Owl(loaded, self._processor, self._limit) if self._together else None
        super().__init__(loaded, checkpoint.pair_card(loaded, self._processor), batch_size)
        self._prove(checkpoint)

    def check_words(self, words: Sequence[str]) -> None:
        """Raise `StatementError` for words that are blank or longer than the text side."""
        with self._lock:
            self._refuse_words(words)

    def locate(self, requests: Sequence[Locate]) -> list[tuple[Box, ...]]:
        """Return the boxes found; see `Detector.locate`.

        In a picture that the model's image processing refuses nothing can be located: no boxes.
        """
        words_by_picture: dict[Picture, set[str]] = {}
        for request in requests:
            words_by_picture.setdefault(request.picture, set()).update(request.words)
        boxes: dict[tuple[Picture, str], list[Box]] = {}
        with self._running():
            self._refuse_words(sorted(set().union(*words_by_picture.values())))
            for batch in self._batches(words_by_picture):
                boxes.update(self._look(batch))
        return [
            tuple(
                sorted((box for word in set(r.words) for box in boxes[r.picture, word]), key=_rank)
            )
            for r in requests
        ]

    def close(self) -> None:
        """Let go of the model; calls after this raise `EngineCallError`."""
        with self._lock:
            self._model = self._owl = None

    def _refuse_words(self, words: Sequence[str]) -> None:
        for word in words:
            text = word if self._together else _sentence(word)
            if not word.strip(" ."):
                raise StatementError(f"{word!r} names nothing to look for: name an object")
            ids = self._processor.tokenizer(text, truncation=False, verbose=False)["input_ids"]
            if len(ids) > self._limit:
                raise StatementError(
                    f"{word!r} is {len(ids)} tokens long and {self._card.uri} looks for at most "
                    f"{self._limit}: name the object in fewer words"
                )

    def _batches(self, words_by_picture: dict[Picture, set[str]]) -> Iterator[list[Look]]:
        """Rows in bounded batches, sorted: the caller's order must not move a number."""
        kinds: dict[Hashable, list[Look]] = {}
        for picture in sorted(words_by_picture, key=lambda picture: picture.digest):
            words = tuple(sorted(words_by_picture[picture]))
            if self._together and words:
                kinds.setdefault(None, []).append((picture, words))
            elif not self._together:
                same_size = kinds.setdefault(picture.pixels.shape, [])
                same_size.extend((picture, (word,)) for word in words)
        for looks in kinds.values():
            for start in range(0, len(looks), self._batch_size):
                yield looks[start : start + self._batch_size]

    def _look(self, looks: list[Look]) -> dict[tuple[Picture, str], list[Box]]:
        """One batch; a picture that the image processing refuses costs only its own boxes."""
        try:
            logits, corners, ids = self._predict(looks)
        except ValueError:
            if len(looks) == 1:
                return {(looks[0][0], word): [] for word in looks[0][1]}
            return {key: boxes for look in looks for key, boxes in self._look([look]).items()}
        if logits.isnan().any() or logits.isposinf().any() or not corners.isfinite().all():
            raise EngineCallError(
                f"{self._card.uri} gave NaN or infinite numbers for a picture: its weights are "
                "damaged, or too coarse for it; open it with dtype float32"
            )
        boxes: dict[tuple[Picture, str], list[Box]] = {}
        for column in range(max(len(words) for _, words in looks)):
            # A word at a time: the post-processing keeps only the best word of each box, so
            # "person" would lose what "woman" gets.
            word_logits = logits[..., column : column + 1] if self._together else logits
            results = self._boxes_of(word_logits, corners, ids, looks)
            for (picture, words), result in zip(looks, results, strict=True):
                if column < len(words):
                    boxes[picture, words[column]] = _boxes(words[column], picture, result)
        return boxes

    def _predict(self, looks: list[Look]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Logits, raw boxes, and the token numbers that Grounding DINO's logits stand for."""
        if self._owl is not None:
            logits, corners = self._owl.predict(looks)
            return logits.float().cpu(), corners.float().cpu(), None
        inputs = self._inputs(looks)
        outputs = self._model(**inputs)
        logits, corners = outputs.logits.float().cpu(), outputs.pred_boxes.float().cpu()
        return logits, corners, inputs["input_ids"].cpu()

    def _boxes_of(
        self,
        logits: torch.Tensor,
        corners: torch.Tensor,
        ids: torch.Tensor | None,
        looks: list[Look],
    ) -> list[dict[str, Any]]:
        """The processor's own reading: `scores` and `boxes` in the pixels of each picture."""
        # The phrases that Grounding DINO would spell out are not needed: the word is known.
        phrases = {} if self._together else {"text_threshold": 1.0}
        results: list[dict[str, Any]] = self._processor.post_process_grounded_object_detection(
            SimpleNamespace(logits=logits, pred_boxes=corners, input_ids=ids),
            threshold=FAINTEST,
            target_sizes=[picture.pixels.shape[:2] for picture, _ in looks],
            **phrases,
        )
        return results

    def _inputs(self, looks: list[Look]) -> dict[str, Any]:
        """Grounding DINO's, a picture and a word in each row."""
        # As PIL: transformers would fetch an address or open a path, and guess where channels are.
        inputs = self._processor(
            images=[as_image(picture) for picture, _ in looks],
            text=[_sentence(words[0]) for _, words in looks],
            padding=True,
            truncation=False,
            return_tensors="pt",
        ).to(self._model.device)
        return {
            name: value.to(self._model.dtype) if value.is_floating_point() else value
            for name, value in inputs.items()
        }

    def _prove(self, checkpoint: Checkpoint) -> None:
        """Refuse to start unless a trial goes through and its query is seen as one."""
        grey = Picture.of(np.full((32, 32, 3), 128, dtype=np.uint8))
        try:
            with running(self._card.uri, self._batch_size):
                self._predict([(grey, ("a",))])
        except ImportError as error:
            raise checkpoint.missing_library(error) from error
        except (AttributeError, TypeError, ValueError, KeyError, EngineCallError) as error:
            raise EngineSetupError(
                f"{checkpoint.name}: model and processor do not fit each other; a trial failed. "
                f"Use a complete checkpoint. ({error})"
            ) from error
        # OWL takes a query that begins with token 0 for padding and never finds it.
        if self._owl is not None and not self._owl.tokens(["a"])["input_ids"][:, 0].all():
            raise EngineSetupError(
                f"{checkpoint.name}: its tokenizer puts token 0 first, which this family takes for "
                "no query at all. Use a tokenizer with a start token and padding on the right."
            )


def _word_limit(config: Any, tokenizer: Any) -> int:
    """Tokens that the text side holds, start and end marks included."""
    limits = [config.get_text_config().max_position_embeddings, tokenizer.model_max_length]
    if config.model_type in _WORD_BY_WORD:
        limits.append(config.max_text_len)
    return min(int(limit) for limit in limits)


def _sentence(word: str) -> str:
    """A word as Grounding DINO was taught them: lower case, ended by a full stop."""
    return f"{word.strip(' .').lower()}."


def _boxes(word: str, picture: Picture, result: dict[str, Any]) -> list[Box]:
    """Whole pixels inside the picture, the surest first; a box that has none there is dropped."""
    height, width = picture.pixels.shape[:2]
    rows = []
    pairs = zip(result["scores"].tolist(), result["boxes"].tolist(), strict=True)
    for confidence, (x0, y0, x1, y1) in pairs:
        left, top = max(0, math.floor(x0)), max(0, math.floor(y0))
        right, bottom = min(width, math.ceil(x1)), min(height, math.ceil(y1))
        if x0 < x1 and y0 < y1 and left < right and top < bottom:
            rows.append((-confidence, left, top, right, bottom))
    return [
        Box(word=word, confidence=-minus, left=left, top=top, right=right, bottom=bottom)
        for minus, left, top, right, bottom in sorted(rows)[:MOST_BOXES]
    ]


def _rank(box: Box) -> tuple[float, int, int, int, int, str]:
    return -box.confidence, box.left, box.top, box.right, box.bottom, box.word
