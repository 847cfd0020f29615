"""Probes -> next-token logits, in two ways that must give the same numbers.

`PlainReader` asks the model's processor and `generate` for everything: right for every family,
but a picture is prepared and encoded again for each question. `FeatureReader` lets both work as
ever and answers two calls inside them from memory: the processor's of its image processing, and the
model's of `get_image_features`. How pictures enter the prompt stays theirs, so it knows no family.
At opening it proves that the language model is given the same either way. Neither knows labels.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from safejudge.engines.recent import RecentCache
from safejudge.types import Picture, Probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch

    from safejudge.engines.local.chat import Chat
    from safejudge.engines.local.pixels import PixelRange
    from safejudge.engines.tokens import Path

    Tensor = torch.Tensor

_CACHED_BYTES = 2**29
"""Of features that stay in memory between batches and calls, most recently used first."""
_CACHED_PICTURES = 256
"""What the image processing said of so many rows of pictures: shapes and numbers, no pixels."""


class Reader(Protocol):
    """Reads the distribution of the token that follows a prompt."""

    def prepare(self, probes: Sequence[Probe]) -> Any:
        """Everything about a batch that is the same for every continuation.

        Raises `ValueError` when the model's own image processing refuses a picture.
        """

    def lengths(self, prepared: Any) -> list[int]:
        """Tokens of each prompt of a batch, those of its pictures included."""

    def next_logits(self, prepared: Any, continuation: Path) -> Tensor:
        """Raw logits after each prompt plus `continuation`; float32, B x vocabulary."""


def open_reader(model: Any, chat: Chat, sizes: PixelRange) -> PlainReader | FeatureReader:
    """Choose the reader that encodes pictures once, where it is proved for this model."""
    plain = PlainReader(model, chat, sizes)
    if not chat.pictures:
        return plain
    reader = FeatureReader(model, chat, plain)
    return reader if reader.proved() else plain


class PlainReader:
    """The processor's own batch, one step of `generate`: positions and masks are the model's."""

    def __init__(self, model: Any, chat: Chat, sizes: PixelRange) -> None:
        self._model = model
        self._chat = chat
        self._sizes = sizes

    def prepare(self, probes: Sequence[Probe]) -> dict[str, Tensor]:
        """See `Reader`; gives the model's inputs."""
        texts = [self._chat.probe_text(probe) for probe in probes]
        return self.inputs(texts, [probe.images for probe in probes])

    def lengths(self, prepared: dict[str, Tensor]) -> list[int]:
        """See `Reader`."""
        return [int(length) for length in prepared["attention_mask"].sum(1)]

    def next_logits(self, prepared: dict[str, Tensor], continuation: Path) -> Tensor:
        """See `Reader`."""
        output = self._model.generate(
            **_append(prepared, continuation),
            max_new_tokens=1,
            output_logits=True,
            return_dict_in_generate=True,
        )
        logits: Tensor = output.logits[0].float()
        return logits

    def inputs(
        self, texts: Sequence[str], images: Sequence[Sequence[Picture]]
    ) -> dict[str, Tensor]:
        """Model inputs of rendered texts that all have the same number of pictures."""
        return self.placed(self.processed(texts, images))

    def processed(
        self, texts: Sequence[str], images: Sequence[Sequence[Picture]]
    ) -> dict[str, Tensor]:
        """What the processor makes of them, where it made it."""
        pictures = [[self._sizes.image(picture) for picture in row] for row in images]
        encoded = self._chat.processor(
            text=list(texts),
            **({"images": pictures} if any(pictures) else {}),
            padding=True,
            padding_side="left",
            return_tensors="pt",
            add_special_tokens=self._chat.adds_special_tokens(texts[0]),
            verbose=False,  # how long a text may be is looked to elsewhere
        )
        return dict(encoded)

    def placed(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """The same on the model's device, and in its type where they are no whole numbers."""
        kind = self._model.dtype
        return {
            name: value.to(self._model.device, kind if value.is_floating_point() else value.dtype)
            for name, value in inputs.items()
        }


class _FoundError(Exception):
    """Ends a call of the model as soon as what was looked for has been seen."""


@dataclass(frozen=True, slots=True)
class _Features:
    """What `get_image_features` gives for some pictures, as far as models make use of it."""

    kind: Callable[..., Any]
    fields: dict[str, Any]
    """Tensors over pictures, tiles or their tokens, or sequences of such."""

    @classmethod
    def of(cls, output: Any) -> _Features:
        unused = {"hidden_states", "attentions"}
        if output.get("pooler_output") is not None:
            unused.add("last_hidden_state")
        fields = {name: value for name, value in output.items() if name not in unused}
        return cls(type(output), fields)

    def output(self) -> Any:
        return self.kind(**self.fields)

    def size(self) -> int:
        return _bytes(list(self.fields.values()))


def _bytes(value: Any) -> int:
    if isinstance(value, list | tuple):
        return sum(map(_bytes, value))
    return int(value.nbytes)


def _joined(parts: Sequence[_Features]) -> _Features:
    """Features of several pictures as if they had been encoded in one call."""
    fields = {}
    for name in parts[0].fields:
        values = [part.fields[name] for part in parts]
        if name == "deepstack_features":  # one entry for each layer that is shown pictures
            fields[name] = [_in_a_row(layer) for layer in zip(*values, strict=True)]
        else:
            fields[name] = _in_a_row(values)
    return _Features(parts[0].kind, fields)


def _in_a_row(values: Sequence[Any]) -> Any:
    import torch

    if isinstance(values[0], torch.Tensor):
        return torch.cat(list(values))
    return [one for value in values for one in value]


@dataclass(frozen=True, slots=True)
class WholeBatch:
    """Model inputs of a batch, and the features of all pictures in it; pixels are left out."""

    inputs: dict[str, Tensor]
    features: _Features | None


class FeatureReader:
    """`PlainReader` that prepares and encodes each picture once."""

    def __init__(self, model: Any, chat: Chat, plain: PlainReader) -> None:
        self._model = model
        self._chat = chat
        self._plain = plain
        self._holders = [m for m in model.modules() if hasattr(type(m), "get_image_features")]
        self._features: RecentCache[tuple[str, ...], _Features] = RecentCache(
            _CACHED_BYTES, _Features.size
        )
        self._processed: RecentCache[tuple[str, ...], Any] = RecentCache(_CACHED_PICTURES)
        self._apart = False
        """Whether a picture's features are the same whatever stands beside it in a prompt."""

    def prepare(self, probes: Sequence[Probe]) -> WholeBatch:
        """See `Reader`."""
        return self.batch(probes, [self.row(probe) for probe in probes])

    def batch(self, probes: Sequence[Probe], rows: Sequence[dict[str, Tensor]]) -> WholeBatch:
        """Put together what is prepared for a batch whose rows are made already."""
        return WholeBatch(self.joined(rows), self._features_of(probes))

    def joined(self, rows: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Model inputs of several prompts, left-padded, where the model wants them."""
        pad = int(self._chat.tokenizer.pad_token_id)
        return self._plain.placed(_left_padded(rows, pad))

    @contextmanager
    def encoded(self, probes: Sequence[Probe]) -> Iterator[None]:
        """Let the model find the features of the pictures of these probes in memory."""
        known = self._features_of(probes)
        if known is None:
            yield
            return
        with self._encoding_by(lambda _: known.output()):
            yield

    def given(self, probes: Sequence[Probe]) -> tuple[Any, Mapping[str, Any]]:
        """Arguments that the language model is called with for a batch; it does not run."""
        arguments: tuple[Any, Mapping[str, Any]] = self._given(self, probes)
        return arguments

    def _features_of(self, probes: Sequence[Probe]) -> _Features | None:
        features = [part for probe in probes for part in self._encoded(probe)]
        return _joined(features) if features else None

    def lengths(self, prepared: WholeBatch) -> list[int]:
        """See `Reader`."""
        return self._plain.lengths(prepared.inputs)

    def next_logits(self, prepared: WholeBatch, continuation: Path) -> Tensor:
        """See `Reader`."""
        known = prepared.features
        if known is None:
            return self._plain.next_logits(prepared.inputs, continuation)
        with self._encoding_by(lambda _: known.output()):
            return self._plain.next_logits(prepared.inputs, continuation)

    def proved(self) -> bool:
        """Whether the language model is given what `PlainReader` gives it, on two pictures.

        Where it is not, or this family works in another way altogether, nobody is told: reading
        it plainly is right, and only slower.
        """
        import torch

        random = np.random.default_rng(0)
        one, two = (
            Picture.of(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
            for height, width in ((64, 96), (112, 64))
        )
        pair = Probe("", (one, two), "Which?")
        batches = [[Probe("", (one,), "A?"), Probe("", (two,), "Is it B?")], [pair]]
        try:
            with torch.inference_mode():
                whole = self._encoded(pair)
                self._apart = True
                self._apart = _alike(_joined(self._encoded(pair)), _joined(whole))
                return all(
                    _alike(self._given(self, batch), self._given(self._plain, batch))
                    for batch in batches
                )
        except (RuntimeError, ValueError, LookupError, TypeError, AttributeError):
            return False

    def _given(self, reader: Reader, probes: Sequence[Probe]) -> Any:
        """What the language model is given for a batch; it does not get to work on it."""
        given: list[Any] = []

        def stop(_: Any, args: Any, kwargs: Any) -> None:
            given.append((args, kwargs))
            raise _FoundError

        handle = self._model.get_decoder().register_forward_pre_hook(stop, with_kwargs=True)
        try:
            reader.next_logits(reader.prepare(probes), ())
        except _FoundError:
            return given[0]
        finally:
            handle.remove()
        raise RuntimeError("the language model was not called")

    def _encoded(self, probe: Probe) -> list[_Features]:
        """Features of the pictures of a probe, each by itself where that is the same."""
        units = [(picture,) for picture in probe.images] if self._apart else [probe.images]
        return [
            self._features.fetch(_key(unit), partial(self._encode, probe, unit))
            for unit in units
            if unit
        ]

    def _encode(self, probe: Probe, pictures: tuple[Picture, ...]) -> _Features:
        """Let the model itself call its encoder for these pictures, and stop it there."""
        found: list[_Features] = []

        def encode(true: Callable[[], Any]) -> Any:
            found.append(_Features.of(true()))
            raise _FoundError

        row = self.row(replace(probe, images=pictures), fresh=True)
        inputs = self._plain.placed(row)
        try:
            with self._encoding_by(encode):
                self._plain.next_logits(inputs, ())
        except _FoundError:
            return found[0]
        raise RuntimeError("the model did not ask for the features of its pictures")

    @contextmanager
    def _encoding_by(self, encode: Callable[[Callable[[], Any]], Any]) -> Iterator[None]:
        """Let `encode` stand in for `get_image_features`; it is given the call that was meant."""

        def stand_in(holder: Any) -> Callable[..., Any]:
            @wraps(holder.get_image_features)  # `generate` looks which inputs it takes
            def call(*args: Any, **kwargs: Any) -> Any:
                def meant() -> Any:
                    self._restore()  # one of these methods may call another
                    return holder.get_image_features(*args, **kwargs)

                return encode(meant)

            return call

        try:
            for holder in self._holders:
                holder.get_image_features = stand_in(holder)
            yield
        finally:
            self._restore()

    def _restore(self) -> None:
        for holder in self._holders:
            vars(holder).pop("get_image_features", None)

    def row(self, probe: Probe, *, fresh: bool = False) -> dict[str, Tensor]:
        """One prompt as its processor makes it; its pictures have pixels only if `fresh`."""
        text = self._chat.probe_text(probe)
        if not probe.images:
            return self._plain.processed([text], [()])
        processor, key = self._chat.processor, _key(probe.images)
        known = None if fresh else self._processed.get(key)
        stand_in = _Processing(processor.image_processor, known)
        processor.image_processor = stand_in
        try:
            row = self._plain.processed([text], [probe.images])
        finally:
            processor.image_processor = stand_in.images
        self._processed.put(key, stand_in.made)
        return row


class _Processing:
    """Stands in for an image processor during one call; gives what is `known`, if that is."""

    def __init__(self, images: Any, known: Any) -> None:
        self.images = images
        self.made = known
        """What it gave, without the pixels."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.images, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.made is not None:
            return copy.deepcopy(self.made)  # processors take entries out of it
        given = self.images(*args, **kwargs)
        self.made = copy.deepcopy(_hollow(given))
        return given


def _hollow(made: Any) -> Any:
    """Keep of an image processor's output all but the pixels: of them only their shape."""
    import torch

    if isinstance(made, torch.Tensor):
        return made.new_zeros(()).expand(made.shape) if made.is_floating_point() else made
    if isinstance(made, list | tuple):
        return type(made)(map(_hollow, made))
    if isinstance(made, Mapping):
        other: Any = copy.copy(made)
        for name, value in made.items():
            other[name] = _hollow(value)
        return other
    return made


def _key(pictures: Sequence[Picture]) -> tuple[str, ...]:
    return tuple(picture.digest for picture in pictures)


def _left_padded(rows: Sequence[dict[str, Tensor]], pad: int) -> dict[str, Tensor]:
    """Make one batch of prompts; of pixels, which nobody looks at, it has the first row's."""
    import torch

    width = max(row["input_ids"].shape[1] for row in rows)
    batch: dict[str, Tensor] = {}
    for name, first in rows[0].items():
        values = [row[name] for row in rows]
        if per_token(name, rows[0]):
            fill = pad if name == "input_ids" else 0
            ends = [(width - value.shape[1], 0) for value in values]
            padded = zip(values, ends, strict=True)
            pads = torch.nn.functional.pad
            batch[name] = torch.cat([pads(value, end, value=fill) for value, end in padded])
        elif first.is_floating_point() or len({value.shape[1:] for value in values}) > 1:
            batch[name] = first
        else:
            batch[name] = torch.cat(values)
    return batch


def per_token(name: str, inputs: Mapping[str, Tensor]) -> bool:
    """Whether an input has a number for each token of a prompt.

    An input of pictures may have the same shape by chance: as many patches as there are tokens.
    """
    same = inputs[name].shape == inputs["input_ids"].shape
    return same and not name.startswith(_OF_PICTURES)


_OF_PICTURES = ("pixel", "image", "spatial", "patch", "num_", "target", "aspect")
"""How names of inputs begin that are about pictures, not about tokens."""


def _alike(one: Any, other: Any) -> bool:
    """Whether two sets of inputs are the same, numbers up to rounding; objects do not count."""
    import torch

    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return _same_numbers(one, other)
    if isinstance(one, _Features) and isinstance(other, _Features):
        return _alike(one.fields, other.fields)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[name], other[name]) for name in one)
    return isinstance(one, torch.Tensor) == isinstance(other, torch.Tensor)


def _same_numbers(one: Tensor, other: Tensor) -> bool:
    import torch

    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not one.is_floating_point():
        return torch.equal(one, other)
    finite = other[other.isfinite()].abs()
    most = float(finite.max()) if len(finite) else 0.0
    rounding = 1e-4 if one.dtype == torch.float32 else 0.05
    return torch.allclose(one, other, rtol=0.0, atol=rounding * most)


def _append(inputs: dict[str, Tensor], continuation: Path) -> dict[str, Tensor]:
    """Let tokens follow every prompt of a left-padded batch: real, unmasked, plain text."""
    import torch

    if not continuation:
        return inputs
    ids = inputs["input_ids"]
    longer = dict(inputs)
    added = torch.tensor([continuation], device=ids.device, dtype=ids.dtype).expand(len(ids), -1)
    for name, value in inputs.items():
        if not per_token(name, inputs):
            continue
        fill = {"input_ids": added, "attention_mask": torch.ones_like(added)}
        extra = fill.get(name, torch.zeros_like(added))
        longer[name] = torch.cat([value, extra.to(value.dtype)], dim=1)
    return longer
