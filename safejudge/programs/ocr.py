"""Reads text in pictures, with rapidocr and the models that lie in its wheel.

Takes pictures; gives lines with boxes and confidences, or one digit a cell. Nothing is fetched:
the model files are named, so that no setting of the library sends it looking for others.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from safejudge.errors import InputError
from safejudge.plugins import describe_error
from safejudge.types import Box, Picture

if TYPE_CHECKING:
    import numpy.typing as npt

_FILES = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
}
"""Of rapidocr 3.10: where text is, which way up it is, what it says."""
_INSTALL = "pip install 'safejudge[ocr]'"
_REMEMBERED = 16
"""Pictures whose text is remembered: several rules ask about one."""
_RIM = 0.12
"""Of a cell's side: what lies so near its edge is a line of the grid."""


def model_files() -> tuple[Path, ...]:
    """Return the files that text is read by. Raises `InputError` where they are not there."""
    found = find_spec("rapidocr")
    if found is None or found.origin is None or find_spec("onnxruntime") is None:
        lacking = "rapidocr" if found is None else "onnxruntime"
        raise InputError(f"text in pictures is read with {lacking}: {_INSTALL}")
    folder = Path(found.origin).parent / "models"
    files = tuple(folder / name for name in _FILES.values())
    if absent := [file.name for file in files if not file.is_file()]:
        raise InputError(
            f"text in pictures is read with the models of rapidocr 3.10, and {absent[0]} is not "
            f"in {folder}: {_INSTALL}"
        )
    return files


@cache
def reader() -> Reader:
    """Open the reader, once in a process. Raises `InputError`."""
    return Reader()


class Reader:
    """An OCR; thread-safe: callers take turns."""

    def __init__(self) -> None:
        files = dict(zip(_FILES, model_files(), strict=True))
        try:
            from rapidocr import RapidOCR  # noqa: PLC0415 - only where text is read

            paths = {f"{part}.model_path": str(path) for part, path in files.items()}
            self._ocr: Any = RapidOCR(params={"Global.log_level": "critical", **paths})
            self._lines: OrderedDict[str, tuple[Box, ...]] = OrderedDict()
            self._lock = threading.Lock()
            self._read(np.full((32, 32, 3), 255, np.uint8), cell=False)  # models open with it
        except Exception as error:
            raise InputError(
                f"text in pictures cannot be read: {describe_error(error)}; {_INSTALL}"
            ) from error

    def lines(self, picture: Picture) -> tuple[Box, ...]:
        """Read all lines, in reading order; the box's word is what it says."""
        with self._lock:
            if picture.digest not in self._lines:
                result = self._read(picture.pixels, cell=False)
                self._lines[picture.digest] = _boxes(result, picture.pixels.shape)
            self._lines.move_to_end(picture.digest)
            while len(self._lines) > _REMEMBERED:
                self._lines.popitem(last=False)
            return self._lines[picture.digest]

    def cells(self, picture: Picture, size: int) -> list[list[tuple[str, float]]]:
        """Read a square grid cell by cell: what stands in each, and how surely; "" for nothing.

        Read as a whole, neighbours would be joined into one number.
        """
        height, width = picture.pixels.shape[:2]
        with self._lock:
            return [
                [
                    self._cell(picture.pixels, _edges(y, size, height), _edges(x, size, width))
                    for x in range(size)
                ]
                for y in range(size)
            ]

    def _cell(
        self, pixels: npt.NDArray[np.uint8], rows: tuple[int, int], columns: tuple[int, int]
    ) -> tuple[str, float]:
        cell = pixels[rows[0] : rows[1], columns[0] : columns[1]]
        if cell.size == 0 or int(cell.max()) - int(cell.min()) < 32:  # one colour: nothing there
            return "", 1.0
        result = self._read(cell, cell=True)
        texts, scores = result.txts or (), result.scores or ()
        read = next(zip(texts, scores, strict=True), ("", 1.0))
        return str(read[0]).strip(), float(read[1])

    def _read(self, pixels: npt.NDArray[np.uint8], *, cell: bool) -> Any:
        """Ask the library, which keeps every switch of a call for the next: so all are said."""
        image = np.ascontiguousarray(pixels[:, :, ::-1])  # it takes blue, green, red
        return self._ocr(image, use_det=not cell, use_cls=not cell, use_rec=True)


def _edges(index: int, size: int, length: int) -> tuple[int, int]:
    """Return the first and last pixel of a cell, without its rim."""
    rim = int(length / size * _RIM)
    return index * length // size + rim, (index + 1) * length // size - rim


def _boxes(result: Any, shape: tuple[int, ...]) -> tuple[Box, ...]:
    if result.boxes is None or result.txts is None:
        return ()
    height, width, *_ = shape
    lines = zip(result.boxes, result.txts, result.scores, strict=True)
    return tuple(
        _box(np.asarray(corners), str(text), float(sure), (width, height))
        for corners, text, sure in lines
        if str(text).strip()
    )


def _box(corners: npt.NDArray[np.float32], text: str, sure: float, size: tuple[int, int]) -> Box:
    """Put four corners into an upright box inside the picture, at least a pixel large."""
    left, top = (
        min(max(0, int(low)), most - 1) for low, most in zip(corners.min(0), size, strict=True)
    )
    right, bottom = (
        min(max(first + 1, int(np.ceil(high))), most)
        for first, high, most in zip((left, top), corners.max(0), size, strict=True)
    )
    return Box(
        word=text, confidence=min(1.0, max(0.0, sure)),
        left=left, top=top, right=right, bottom=bottom,
    )  # fmt: skip
