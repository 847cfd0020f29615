"""Pictures that no model may be shown, known by their perceptual hashes.

Takes a file of PDQ hashes, which an operator has from whoever keeps them, and decoded images; says
which images match. A hash outlives another format, another size, a stronger compression, a turn by
quarters and a mirror; not a crop of more than a little, and nothing that is meant to deceive it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from safejudge.errors import ImageError, InputError
from safejudge.images.decoding import decoding
from safejudge.text import counted, quoted
from safejudge.types import Failure
from safejudge.types.pictures import LISTED

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from safejudge.types import ImageInput

DISTANCE = 31
"""Bits of 256 in which a hash may differ and still match; those who made PDQ advise it."""
QUALITY = 50
"""Of 100. A picture with less has too few features: its hash is like that of any other of them, so
those who made PDQ advise to match none."""
_SIDE = 512
"""Pixels. A picture is scaled down to this at most before it is hashed, as PDQ's paper says to:
hashing 12 million pixels takes seconds."""
_LINE = re.compile(r"([0-9a-fA-F]{64})\s*(?:[,#].*)?")
_SHOWN = 5
"""Bad lines that a message names."""


@dataclass(frozen=True, slots=True, eq=False)
class HashList:
    """Hashes of pictures that no model may be shown. Lists of the same hashes are equal."""

    name: str
    """Of its file, without the folder."""
    words: npt.NDArray[np.uint64] = field(repr=False)
    """Four rows: the first word of every hash, the second, ...; no hash twice."""
    digest: str
    """Sha256 (hex) of the hashes, whatever their order and their comments."""

    @staticmethod
    def read(file: str | os.PathLike[str]) -> HashList:
        """Read a file: 64 hex digits a line, and perhaps a comment after `#` or a comma.

        Raises `InputError` for a file that cannot be read, that holds no hash or a line that is
        none (a list that is read by half protects by half), and without `pdqhash`.
        """
        need_pdqhash()
        try:
            lines = Path(file).read_bytes().decode("utf-8-sig").splitlines()
        except OSError as error:
            raise InputError(
                f"{file}: cannot be read ({error.strerror}); check the path"
            ) from error
        except UnicodeDecodeError as error:
            raise InputError(f"{file}: is not UTF-8 ({error.reason}); save it as UTF-8") from error
        return HashList.of(_digits(lines, f"{file}"), Path(file).name)

    @staticmethod
    def of(hashes: Iterable[str], name: str) -> HashList:
        """Make a list of hashes, of 64 hex digits each."""
        known = sorted({text.lower() for text in hashes})
        raw = bytes.fromhex("".join(known))
        words = np.frombuffer(raw, dtype=np.uint64).reshape(-1, 4)
        return HashList(name, np.ascontiguousarray(words.T), hashlib.sha256(raw).hexdigest())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HashList) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def refusal(self, image: ImageInput) -> Failure | None:
        """Say that an image must not be shown, because one of its pictures matches; None: it may.

        An image that cannot be hashed must not be shown either.
        """
        try:
            hint = "it cannot be held against the list of hashes, so no model is shown it"
            with decoding("unreadable", image.name, hint):
                found = any(self.holds(picture.pixels) for picture in image.pictures)
        except ImageError as error:
            return Failure(image=image.name, id=image.id, reason=error.reason, message=str(error))
        if not found:
            return None
        return Failure(
            image=image.name,
            id=image.id,
            reason=LISTED,
            message=f"{image.name}: matches a hash of {self.name}; not shown to any model",
        )

    def holds(self, pixels: npt.NDArray[np.uint8]) -> bool:
        """Whether a picture (H x W x 3, RGB) matches, upright, turned by quarters or mirrored."""
        hashes, quality = pdq_of(pixels)
        if quality < QUALITY:
            return False
        return any(map(self._is_near, hashes))

    def _is_near(self, words: npt.NDArray[np.uint64]) -> bool:
        # Half of the bits tell nearly every other picture apart.
        near = np.flatnonzero(_bits(self.words[:2], words[:2]) <= DISTANCE)
        rest = _bits(self.words[:, near], words)
        return bool((rest <= DISTANCE).any())


def pdq_of(pixels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint64], int]:
    """Hash a picture (H x W x 3, RGB) as it is, turned by quarters, and mirrored.

    Returns 8 rows of four words, upright first, and the quality, in [0, 100].
    """
    import pdqhash  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra

    height, width = pixels.shape[:2]
    factor = (-(-width // _SIDE), -(-height // _SIDE))
    if max(factor) > 1:
        pixels = np.asarray(Image.fromarray(pixels).reduce(factor))
    bits, quality = pdqhash.compute_dihedral(pixels)
    packed = np.packbits(np.asarray(bits, dtype=np.uint8), axis=1)
    return packed.view(np.uint64), int(quality)


def _bits(many: npt.NDArray[np.uint64], one: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint16]:
    """Count the bits in which words of hashes, a column each, differ from those of one."""
    counts = (np.bitwise_count(row ^ word) for row, word in zip(many, one, strict=True))
    total: npt.NDArray[np.uint16] = np.sum([*counts], axis=0, dtype=np.uint16)
    return total


def hex_of(words: npt.NDArray[np.uint64]) -> str:
    """Write a hash as a line of a file."""
    return words.tobytes().hex()


def need_pdqhash() -> None:
    """Raise `InputError` where nothing is installed that hashes."""
    if find_spec("pdqhash") is None or not hasattr(np, "bitwise_count"):
        raise InputError(
            "a list of hashes needs pdqhash and numpy 2: pip install 'safejudge[hashes]'"
        )


def _digits(lines: Sequence[str], file: str) -> list[str]:
    """Return the hashes of a file. Raises `InputError`, with the lines that are none."""
    found: list[str] = []
    bad: list[tuple[int, str]] = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            bad.append((number, text))
        else:
            found.append(match[1])
    if bad:
        where = ", ".join(f"{number}" for number, _ in bad[:_SHOWN])
        more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        raise InputError(
            f"{file}:{bad[0][0]}: {quoted(bad[0][1])} is no PDQ hash; write 64 hex digits, and a "
            f"comment after # or a comma ({counted(len(bad), 'such line')}: {where}{more})"
        )
    if not found:
        raise InputError(f"{file}: holds no hash; name another file, or leave --skip-hashes out")
    return found
