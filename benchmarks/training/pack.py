"""Rows as tensors: many questions about one picture in one sequence.

A row's prefix (instruction and pictures) is followed by its suffixes; a suffix sees the prefix and
itself, and its positions count on from the prefix, so that every question reads exactly as the
engine will send it alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import AttentionInterface

from benchmarks.training import dense, tasks, vlm
from safejudge.sketch.world.statements import UNCLEAR

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import nn
    from transformers import Idefics3ForConditionalGeneration, PreTrainedTokenizerFast

    from safejudge.sketch.drawing.draw import Drawing
    from safejudge.sketch.world.scene import Scene

ONE_WORD = ("Yes", "No", UNCLEAR)
"""Answers that end a suffix at their first token."""

ANSWER, PROSE, CONCLUSION = range(3)
"""What a learned token belongs to."""


def pixels_tensor(pictures: Iterable[npt.NDArray[np.uint8]]) -> torch.Tensor:
    """Stack pictures to N x 3 x 96 x 96 in [-1, 1], as the processor does."""
    stacked = torch.from_numpy(np.stack(list(pictures)))
    return stacked.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


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
    kinds: torch.Tensor
    """R x L: what the target belongs to: `ANSWER`, `PROSE` or `CONCLUSION`."""
    pixels: torch.Tensor | None
    """Pictures in the order of the image tokens."""
    patches: torch.Tensor
    """K x patches x attributes: patch labels of some of the pictures."""
    labelled: list[int]
    """Which K pictures those are."""


class Packer:
    """Turns rows into packed tensors."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self.ids = vlm.special_ids(tokenizer)

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text."""
        return self._tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids

    def prefix(self, row: tasks.Row) -> list[int]:
        """Tokens before the question, as template and processor render them."""
        at = self.ids
        image = [at[vlm.AROUND], at[vlm.GLOBAL]]
        image += [*[at[vlm.IMAGE]] * vlm.IMAGE_TOKENS, at[vlm.AROUND]]
        return [at[vlm.USER], *self.encode(row.instruction), *image * len(row.pictures)]

    def suffix(self, turns: tuple[tasks.Turn, ...]) -> tuple[list[int], list[int], list[int]]:
        """Tokens, next-token targets and kinds of one suffix."""
        ids: list[int] = []
        targets: list[int] = []
        kinds: list[int] = []
        for number, turn in enumerate(turns):
            question = [self.ids[vlm.USER]] if number else []
            question += [*self.encode(turn.question), self.ids[vlm.END], self.ids[vlm.ASSISTANT]]
            text = self.encode(turn.answer)
            space = " " if turn.answer and turn.conclusion else ""
            answer = [*text, *self.encode(space + turn.conclusion), self.ids[vlm.END]]
            ids += question + answer
            learned = [-100] * len(text) + answer[len(text) :] if turn.given else answer
            targets += [-100] * (len(question) - 1) + learned + [-100]
            kind = PROSE if len(text) > 3 else ANSWER
            end = CONCLUSION if turn.conclusion else kind
            kinds += [kind] * (len(question) - 1 + len(text)) + [end] * (
                len(answer) - len(text) + 1
            )
        # nothing is learned after the last answer, nor after the one word of a yes/no answer
        length = len(ids) - (2 if turns[0].answer in ONE_WORD else 1)
        return ids[:length], targets[:length], kinds[:length]

    def columns(self, row: tasks.Row) -> list[list[int]]:
        """Tokens, segments, positions, targets and kinds of one row."""
        prefix = self.prefix(row)
        blank = [0] * len(prefix)
        columns = [prefix, blank, list(range(len(prefix))), [-100] * len(prefix), list(blank)]
        start = len(prefix)
        for number, turns in enumerate(row.suffixes, start=1):
            ids, targets, kinds = self.suffix(turns)
            positions = list(range(start, start + len(ids)))
            added = (ids, [number] * len(ids), positions, targets, kinds)
            columns = [[*column, *values] for column, values in zip(columns, added, strict=True)]
        return columns

    def pack(self, rows: list[tasks.Row]) -> Packed:
        """Pack rows into one batch, padded on the right."""
        return self._stack([(row, self.columns(row)) for row in rows])

    def batches(self, rows: list[tasks.Row], most_tokens: int) -> Iterator[Packed]:
        """Pack rows into batches of similar length and at most about `most_tokens` tokens."""
        built = sorted(((row, self.columns(row)) for row in rows), key=lambda b: len(b[1][0]))
        while built:
            fitting = max(1, most_tokens // len(built[-1][1][0]))
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
        index_of = {id(picture): index for index, picture in enumerate(pictures)}
        drawings = [pair for row, _ in built for pair in row.drawings]
        ids, segments, positions, targets, kinds = tensors
        return Packed(
            ids=ids,
            segments=segments,
            positions=positions,
            targets=targets,
            kinds=kinds,
            pixels=pixels,
            patches=patch_labels(drawings),
            labelled=[index_of[id(drawing.pixels)] for _, drawing in drawings],
        )


def attention(segments: torch.Tensor) -> torch.Tensor:
    """R x 1 x L x L, 0 where a token may look (the prefix and its own suffix, not ahead)."""
    length = segments.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    same = segments[:, :, None] == segments[:, None, :]
    to_prefix = segments[:, None, :] == 0
    hidden = ~((same | to_prefix) & causal)
    return torch.zeros(hidden.shape, dtype=torch.bfloat16).masked_fill_(hidden, -1e9)[:, None]


def use_plain_attention(model: Idefics3ForConditionalGeneration) -> None:
    """Set the attention of both towers, which on a CPU is up to twice as fast as the fused one."""
    AttentionInterface.register("plain", plain_attention)
    model.set_attn_implementation({"vision_config": "plain", "text_config": "plain"})


def plain_attention(
    _module: nn.Module,
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
    model: Idefics3ForConditionalGeneration, packed: Packed, features: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits at every learned position, the targets there, and their kinds.

    `features` are the patch features of the pictures (`vision_features`).
    """
    embeds = model.get_input_embeddings()(packed.ids)
    if features is not None:
        slots = (packed.ids == model.config.image_token_id).unsqueeze(-1)
        embeds = embeds.masked_scatter(slots, model.model.connector(features).to(embeds.dtype))
    hidden = model.model.text_model(
        inputs_embeds=embeds,
        attention_mask=attention(packed.segments),
        position_ids=packed.positions,
        use_cache=False,
    ).last_hidden_state
    learned = packed.targets != -100
    logits = model.lm_head(hidden[learned]).float()
    return logits, packed.targets[learned], packed.kinds[learned]
