"""Probes about one picture -> next-token logits, the beginning that their prompts share read once.

Instruction and picture stand first in every prompt, and the statement last. So the language model
reads instruction and picture once, and keeps what it made of them (keys and values); each
statement is a short ending that is read over a copy of that. At opening it is proved that this
gives the logits of the plain reading; where it does not (attention in both directions, states that
cannot be gone on from), prompts are read whole. It knows no family and no labels.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from safejudge.engines.local.caches import combined, row_of, tensors
from safejudge.engines.local.readers import (
    FeatureReader,
    PlainReader,
    Reader,
    open_reader,
    per_token,
)
from safejudge.engines.recent import RecentCache
from safejudge.types import Picture, Probe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

    from safejudge.engines.local.chat import Chat
    from safejudge.engines.local.pixels import PixelRange
    from safejudge.engines.local.readers import WholeBatch
    from safejudge.engines.tokens import Path

    Tensor = torch.Tensor
    Key = tuple[tuple[int, ...], tuple[str, ...]]

_HELD_BYTES = 2**29
"""Of beginnings that stay in memory between batches and calls, most recently used first."""
_COPIED_BYTES = 2**30
"""Of copies of beginnings that endings are read over at once; one ending is always read."""
_CACHED_POSITIONS = 1024
_UNSTEADY = "unsteady"
_STEP = 2.0**-8
"""Of a number in bfloat16, relative to its size; float32's is far below it."""


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What the language model made of one instruction and its pictures: a cache of one row."""

    cache: Any

    def size(self) -> int:
        return sum(value.nbytes for layer in self.cache.layers for value in tensors(vars(layer)))


@dataclass(frozen=True)
class _Prompt:
    """One prompt, its pictures' tokens included, and where its ending starts."""

    probe: Probe
    row: dict[str, Tensor]
    start: int

    @property
    def ids(self) -> Tensor:
        return self.row["input_ids"][0]

    @cached_property
    def key(self) -> Key:
        """Equal for prompts that begin alike: the same tokens and the same pictures.

        Looked at several times, and made of every token of a picture: so it is made once.
        """
        pictures = tuple(picture.digest for picture in self.probe.images)
        return tuple(self.ids[: self.start].tolist()), pictures

    def beginning(self) -> dict[str, Tensor]:
        """Model inputs up to where the ending starts; those of the pictures are whole."""
        return {
            name: value[:, : self.start] if per_token(name, self.row) else value
            for name, value in self.row.items()
        }


def open_sharing(model: Any, chat: Chat, sizes: PixelRange) -> Reader:
    """Choose the reader that does least again, of those that are proved for this model."""
    reader = open_reader(model, chat, sizes)
    if not isinstance(reader, FeatureReader):
        return reader
    shared = PrefixReader(model, reader)
    proved = shared.proved(PlainReader(model, chat, sizes), chat.encode("A")[-1])
    return shared if proved else reader


class PrefixReader:
    """`FeatureReader` whose prompts about one picture share the reading of it; see `Reader`."""

    def __init__(self, model: Any, features: FeatureReader) -> None:
        self._model = model
        self._whole = features
        self._beginnings: RecentCache[Key, _Beginning] = RecentCache(_HELD_BYTES, _Beginning.size)
        self._positions: RecentCache[tuple[Any, ...], Tensor | str | None] = RecentCache(
            _CACHED_POSITIONS
        )
        self._marks: Tensor | None = None
        """Tokens that stand for parts of pictures."""
        self._tail = 0
        """Tokens after the last of them whose positions are still the picture's."""

    def prepare(self, probes: Sequence[Probe]) -> list[_Prompt] | WholeBatch:
        """See `Reader`; a batch in which one prompt shares nothing is read whole."""
        prompts = self.prompts(probes)
        if all(prompt.start for prompt in prompts):
            return prompts
        return self._whole.batch(probes, [prompt.row for prompt in prompts])

    def prompts(self, probes: Sequence[Probe]) -> list[_Prompt]:
        """Make prompts, and find where the ending of each starts; at 0 it shares nothing."""
        return [self._prompt(probe) for probe in probes]

    def lengths(self, prepared: list[_Prompt] | WholeBatch) -> list[int]:
        """See `Reader`."""
        if not isinstance(prepared, list):
            return self._whole.lengths(prepared)
        return [len(prompt.ids) for prompt in prepared]

    def next_logits(self, prepared: list[_Prompt] | WholeBatch, continuation: Path) -> Tensor:
        """See `Reader`."""
        import torch

        if not isinstance(prepared, list):
            return self._whole.next_logits(prepared, continuation)
        logits: dict[int, Tensor] = {}
        for start in dict.fromkeys(prompt.start for prompt in prepared):
            places = [i for i, prompt in enumerate(prepared) if prompt.start == start]
            rows = self._read([prepared[i] for i in places], continuation)
            logits.update(zip(places, rows, strict=True))
        return torch.stack([logits[i] for i in range(len(prepared))])

    def proved(self, plain: PlainReader, token: int) -> bool:
        """Whether logits are those of `PlainReader`; `token` may follow a prompt.

        On one picture, on two of one size in a batch, and on two in a prompt. Where they are not,
        or this family works in another way altogether, prompts are read whole.
        """
        import torch

        random = np.random.default_rng(1)
        one, two, three = (
            Picture.of(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
            for height, width in ((64, 96), (112, 64), (112, 64))
        )
        asked = ["Is it so?", "Is a red bus next to a tree, and is it raining?"]
        batches = [
            [Probe("Look.", (one,), q) for q in asked],
            [Probe("", (shown,), q) for shown, q in zip((two, three), asked, strict=True)],
            [Probe("", (one, two), asked[0])],
        ]
        try:
            with torch.inference_mode():
                self._learn(batches[0][0])
                if len({prompt.key for prompt in self.prompts(batches[0])}) > 1:
                    return False  # the statement stands before the picture: nothing is shared
                # Twice: once as it reads a beginning, and once as it goes on from one it holds.
                return all(
                    self._agrees(plain, batch, path) for batch in batches for path in ((), (token,))
                )
        except Exception:  # noqa: BLE001 - whatever a family cannot do, it need not
            return False

    def _agrees(self, plain: PlainReader, probes: Sequence[Probe], path: Path) -> bool:
        """Whether logits differ by no more than the same prompts do read together and alone."""
        together = plain.next_logits(plain.prepare(probes), path)
        alone = [plain.next_logits(plain.prepare([probe]), path)[0] for probe in probes]
        ours = self.next_logits(self.prepare(probes), path)
        noise = max(
            float((one - other).abs().max()) for one, other in zip(together, alone, strict=True)
        )
        precise = 1e-5 if str(self._model.dtype) == "torch.float32" else 2 * _STEP
        # Above the median: a model may put what it never writes at the least of all numbers.
        spread = float((together.amax(-1) - together.median(-1).values).max())
        bound = max(4 * noise, precise * spread)
        return bool(((ours - together).abs().amax(-1) <= bound).all())

    def _learn(self, probe: Probe) -> None:
        """Find the tokens that the model is not given as what they are: they stand for pictures."""
        import torch

        row = self._whole.row(probe)
        _, given = self._whole.given([probe])
        ids = row["input_ids"]
        table = self._model.get_input_embeddings()
        if int(ids.max()) >= len(table.weight):  # a GPU would not outlive the look-up
            raise LookupError("a token that stands for a picture has no embedding")
        embedded = table(ids.to(self._model.device))
        replaced = (given["inputs_embeds"] != embedded).any(-1).cpu()
        marks = torch.unique(ids[replaced])
        if not len(marks) or bool(torch.isin(ids[~replaced], marks).any()):
            raise LookupError("pictures have no tokens of their own")
        self._marks = marks
        start = int(replaced[0].nonzero()[-1]) + 1
        self._tail = _steady_from(given.get("position_ids"), start) - start

    def _prompt(self, probe: Probe) -> _Prompt:
        """A prompt begins with everything up to its last picture, and what belongs to that."""
        import torch

        row = self._whole.row(probe)
        if not probe.images or self._marks is None:
            return _Prompt(probe, row, 0)
        places = torch.isin(row["input_ids"][0], self._marks).nonzero()
        prompt = _Prompt(probe, row, int(places[-1]) + 1 + self._tail if len(places) else 0)
        whole = not 0 < prompt.start < len(prompt.ids) or self._first_position(prompt) == _UNSTEADY
        return replace(prompt, start=0) if whole else prompt

    def _read(self, prompts: Sequence[_Prompt], continuation: Path) -> list[Tensor]:
        """Logits after prompts whose endings start at the same place."""
        first = {prompt.key: prompt for prompt in prompts}
        begun = self._beginnings.fetch_all(
            list(first), lambda keys: self._begin([first[key] for key in keys])
        )
        logits: list[Tensor] = []
        for some in _within(prompts, max(beginning.size() for beginning in begun.values())):
            cache = combined([begun[prompt.key].cache for prompt in some])
            logits += self._end(some, cache, continuation)
        return logits

    def _begin(self, prompts: Sequence[_Prompt]) -> list[_Beginning]:
        """Let the model read beginnings of equal length in one call, and part its cache."""
        inputs = self._whole.joined([prompt.beginning() for prompt in prompts])
        with self._whole.encoded([prompt.probe for prompt in prompts]):
            cache = self._model(**inputs, use_cache=True, logits_to_keep=1).past_key_values
        return [_Beginning(row_of(cache, row, len(prompts))) for row in range(len(prompts))]

    def _end(self, prompts: Sequence[_Prompt], cache: Any, continuation: Path) -> Iterator[Tensor]:
        """Logits after endings, read over copies of their beginnings.

        Endings are padded on the right: nothing looks ahead, so padding changes no number, and
        positions go on without a gap.
        """
        import torch

        more = torch.tensor(continuation, dtype=torch.long)
        endings = [torch.cat([prompt.ids[prompt.start :], more]) for prompt in prompts]
        ids = torch.nn.utils.rnn.pad_sequence(endings, batch_first=True)
        device = self._model.device
        last = torch.tensor([len(ending) - 1 for ending in endings], device=device)
        seen = torch.ones(len(prompts), prompts[0].start + ids.shape[1], dtype=torch.long)
        positions = self._positions_of(prompts, ids.shape[1])
        with self._only(last):
            output = self._model(
                input_ids=ids.to(device),
                attention_mask=seen.to(device),
                past_key_values=cache,
                use_cache=True,
                **({} if positions is None else {"position_ids": positions}),
            )
        yield from output.logits[:, -1].float()

    @contextmanager
    def _only(self, last: Tensor) -> Iterator[None]:
        """Let the head see of each row this one state: a vocabulary is wide."""
        import torch

        rows = torch.arange(len(last), device=last.device)

        def chosen(_: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
            states = args[0]
            return (states[rows.to(states.device), last.to(states.device)][:, None], *args[1:])

        handle = self._model.get_output_embeddings().register_forward_pre_hook(chosen)
        try:
            yield
        finally:
            handle.remove()

    def _positions_of(self, prompts: Sequence[_Prompt], length: int) -> Tensor | None:
        """Positions of endings, as the model itself numbers them; None: it needs none."""
        import torch

        starts = [self._first_position(prompt) for prompt in prompts]
        known = [start for start in starts if isinstance(start, torch.Tensor)]
        if len(known) < len(starts):
            return None
        # B, or (axes, B) where a picture has rows and columns; text goes on by one on every axis.
        first = torch.stack(known, dim=-1)
        return first[..., None] + torch.arange(length, device=first.device)

    def _first_position(self, prompt: _Prompt) -> Tensor | str | None:
        """The position of an ending's first token: a number, or one for each axis.

        None where the model is given none, `_UNSTEADY` where the ending does not go on by one.
        """
        shapes = tuple(picture.pixels.shape for picture in prompt.probe.images)
        return self._positions.fetch((prompt.key[0], shapes), lambda: self._numbered(prompt))

    def _numbered(self, prompt: _Prompt) -> Tensor | str | None:
        _, given = self._whole.given([prompt.probe])
        positions = given.get("position_ids")
        if positions is None:
            return None
        if _steady_from(positions, prompt.start) > prompt.start:
            return _UNSTEADY
        first: Tensor = positions[..., 0, prompt.start]
        return first


def _steady_from(positions: Tensor | None, start: int) -> int:
    """Where, from `start` on, positions go on by one on every axis; at once if there are none."""
    if positions is None:
        return start
    steps = positions[..., 0, start:].diff()
    jumps = (steps != 1).reshape(-1, steps.shape[-1]).any(0).nonzero()
    return start + (int(jumps[-1]) + 1 if len(jumps) else 0)


def _within(prompts: Sequence[_Prompt], size: int) -> Iterator[Sequence[_Prompt]]:
    """Cut prompts into pieces whose copies of beginnings fit into memory."""
    most = max(1, _COPIED_BYTES // max(size, 1))
    for start in range(0, len(prompts), most):
        yield prompts[start : start + most]
