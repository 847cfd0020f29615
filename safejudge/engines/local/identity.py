"""Files of a model -> one digest, which every change of its weights changes.

Takes a folder or the name of a model of the hub; gives text that is the same on every machine.
Small files are read whole. Of a large file of safetensors the header says where each tensor lies,
and every tensor is read at many places; other large files are read at many places throughout. So a
merged adapter, which moves the numbers of some tensors everywhere, is another model; a few numbers
changed by hand in a large tensor are not seen.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from safejudge.errors import EngineSetupError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from safejudge.types import JSON

_WHOLE = 256 * 2**20
"""Files up to this size are read whole."""
_TENSOR_PLACES, _PLACE = 64, 2**10
"""A tensor is read at so many places, so many bytes at each; a smaller one whole."""
_STEP, _MOST_PLACES = 256 * 2**10, 2**14
"""Other files are read at places so many bytes apart; at more distant ones where there would be
more than so many."""
_LONGEST_HEADER = 100 * 2**20
"""Bytes; what safetensors itself allows."""

_KINDS = frozenset(
    {
        *(".json", ".jinja", ".txt", ".model", ".bpe", ".tiktoken"),
        *(".safetensors", ".bin", ".pt", ".pth", ".gguf"),
    }
)
"""Files that can change an answer: configuration, tokenizer, template, weights."""


def picture_identity(processor: Any) -> JSON:
    """Name what prepares pictures, where that depends on what is installed.

    Of many image processors there are two: one on torchvision, which is taken where that is
    installed, and one on Pillow. They scale pictures a little differently.
    """
    import transformers

    name = type(getattr(processor, "image_processor", None)).__name__
    return {"image_processor": name} if hasattr(transformers, f"{name}Pil") else {}


def weights_identity(model: str, revision: str | None = None) -> str:
    """Name the weights: a commit of the hub, or a digest over a folder's files.

    `revision` is the branch, tag or commit of the hub that was loaded; None its main one. Raises
    `EngineSetupError` for a model that is not here.
    """
    folder = Path(model)
    if folder.is_dir():
        digest = hashlib.sha256()
        for name, path in sorted(_files(folder)):
            digest.update(f"{name}:{path.stat().st_size}:".encode())
            digest.update(file_digest(path))
        return digest.hexdigest()
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(model, "config.json", revision=revision)
    if not isinstance(cached, str):
        raise EngineSetupError(f"{model}: its files are not in the hub cache; load it again.")
    # The cache keeps a snapshot in a folder named after its commit.
    return Path(cached).parent.name


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file that counts, by its path below the folder; hidden folders hold caches."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(place, name)
            if path.suffix in _KINDS and path.is_file():
                yield path.relative_to(folder).as_posix(), path


def file_digest(path: Path) -> bytes:
    """Digest one file: whole, or at many places where it is large."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _WHOLE:
            return hashlib.file_digest(file, "sha256").digest()
        digest = hashlib.sha256()
        header = _header(file, size) if path.suffix == ".safetensors" else None
        if header is None:
            count = max(_TENSOR_PLACES, min(_MOST_PLACES, size // _STEP))
            _read_places(file, digest, 0, size, count)
            return digest.digest()
        digest.update(header)
        for begin, end in _tensors(header, size):
            _read_places(file, digest, begin, end, _TENSOR_PLACES)
        return digest.digest()


def _header(file: BinaryIO, size: int) -> bytes | None:
    """Read the header of a safetensors file, with its length; None for a file that has none."""
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if not 0 < length <= min(_LONGEST_HEADER, size - 8):
        return None
    header = start + file.read(length)
    return header if _tensors(header, size) else None


def _tensors(header: bytes, size: int) -> list[tuple[int, int]]:
    """Where each tensor begins and ends in the file; empty for a header that is none."""
    try:
        entries = json.loads(header[8:])
        spans = [entry["data_offsets"] for name, entry in entries.items() if name != "__metadata__"]
        places = sorted((len(header) + begin, len(header) + end) for begin, end in spans)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return []
    inside = all(len(header) <= begin <= end <= size for begin, end in places)
    return places if inside else []


def _read_places(file: BinaryIO, digest: hashlib._Hash, begin: int, end: int, count: int) -> None:
    """Read `count` places between two offsets, evenly spread, the ends among them."""
    for offset, length in _places(begin, end, count):
        file.seek(offset)
        digest.update(file.read(length))


def _places(begin: int, end: int, count: int) -> Iterable[tuple[int, int]]:
    if end - begin <= count * _PLACE:
        return [(begin, end - begin)]
    last = end - _PLACE
    return [(begin + (last - begin) * index // (count - 1), _PLACE) for index in range(count)]
