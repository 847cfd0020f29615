"""Files of lines, plain or as zstd: one door to read both, and frames that can be appended.

A file is packed by its name (`.zst`) when it is written, and by its first bytes when it is read.
What is appended is a zstd frame of its own, and ends with a line; frames one after the other are
one file to every reader of zstd. What somebody else packed is read within bounds: neither a line
nor the window of a frame may take more memory than is said here.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from safejudge.errors import InputError, OutputError
from safejudge.text import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

SUFFIX = ".zst"
MAGIC = b"\x28\xb5\x2f\xfd"
"""What a zstd frame begins with."""
LEVEL = 9
"""Of compression; see benchmarks/record_sizes.py for what others would save."""
LONGEST = 64 * 2**20
"""Bytes of a line at most; a record takes about ten thousand."""
WINDOW_LOG = 27
"""A frame may look back so far, 128 MiB: what `zstd -d` takes without being told to."""
_READ, _PIECE = 2**16, 2**20
"""Bytes that are read, and unpacked, at a time."""


def is_packed_name(path: Path) -> bool:
    """Whether a file is packed when it is written."""
    return path.suffix.lower() == SUFFIX


def is_packed(path: Path) -> bool:
    """Whether a file is packed, by its first bytes. Raises `OSError`."""
    with path.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def plain_stem(path: Path) -> str:
    """The name of a file without `.jsonl`, and without `.zst` before that."""
    return path.with_suffix("").stem if is_packed_name(path) else path.stem


def need_zstd(path: Path) -> Any:
    """Return the library. Raises `InputError` where it is not installed."""
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd  # noqa: PLC0415
        else:
            from backports import zstd  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise InputError(
            f"{path}: zstd takes a library ({error}): pip install 'safejudge[zstd]'; or name a "
            "file without .zst"
        ) from error
    return zstd


class Packer:
    """Makes zstd frames of lines."""

    def __init__(self, path: Path, level: int = LEVEL) -> None:
        """Find the library; `path` is for messages. Raises `InputError` without it."""
        zstd = need_zstd(path)
        kinds = zstd.CompressionParameter
        options = {kinds.compression_level: level, kinds.checksum_flag: 1}
        self._compress: Callable[[bytes], bytes] = partial(zstd.compress, options=options)

    def frame(self, lines: bytes) -> bytes:
        """Pack whole lines."""
        return self._compress(lines)

    def frames(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Pack many lines, about a MiB in a frame."""
        waiting: list[bytes] = []
        size = 0
        for line in lines:
            waiting.append(line)
            size += len(line)
            if size >= _PIECE:
                yield self.frame(b"".join(waiting))
                waiting, size = [], 0
        if waiting:
            yield self.frame(b"".join(waiting))


class LineReader:
    """The lines of a file, with their ends; the last may lack its own.

    Reading raises `InputError` for a damaged frame, a line or a window that is too long, and
    `OSError`. What a torn frame still gives is read.
    """

    def __init__(self, path: Path) -> None:
        """Tell how the file is packed. Raises `OSError`, and `InputError` without the library."""
        self.path = path
        self.packed = is_packed(path)
        self.end = 0
        """Cut here, the file holds whole lines and nothing else; once it is read, the most."""
        self.beyond = 0
        """Whole lines after that, which nothing but writing the file anew can keep."""
        self._zstd: Any = need_zstd(path) if self.packed else None
        self._at = 0

    def __iter__(self) -> Iterator[bytes]:
        self.end = self.beyond = 0
        with self.path.open("rb") as stream:
            yield from self._unpacked(stream) if self.packed else self._plain(stream)

    def _plain(self, stream: BinaryIO) -> Iterator[bytes]:
        while line := stream.readline(LONGEST + 1):
            self._check_length(len(line))
            if line.endswith(b"\n"):
                self.end += len(line)
            yield line

    def _unpacked(self, stream: BinaryIO) -> Iterator[bytes]:
        begun: list[bytes] = []
        for text in self._texts(stream):
            if text is None:  # the end of a frame
                if not begun:
                    self.end, self.beyond = self._at, 0
                continue
            *whole, rest = text.split(b"\n")
            for line in whole:
                yield b"".join([*begun, line, b"\n"])
                begun = []
                self.beyond += 1
            if rest:
                begun.append(rest)
                self._check_length(sum(map(len, begun)))
        if begun:
            yield b"".join(begun)

    def _texts(self, stream: BinaryIO) -> Iterator[bytes | None]:
        """Yield what frames hold, in pieces, and None after each that is whole."""
        zstd = self._zstd
        options = {zstd.DecompressionParameter.window_log_max: WINDOW_LOG}
        data = stream.read(_READ)
        while data:
            frame = zstd.ZstdDecompressor(options=options)
            while not frame.eof:
                try:
                    text = frame.decompress(data, max_length=_PIECE)
                except zstd.ZstdError as error:
                    raise self._damaged(error) from error
                data = b""
                if text:
                    yield text
                if frame.needs_input and not frame.eof and not (data := stream.read(_READ)):
                    return  # torn
            data = frame.unused_data or stream.read(_READ)
            self._at = stream.tell() - len(data)
            yield None

    def _check_length(self, length: int) -> None:
        if length > LONGEST:
            raise InputError(
                f"{self.path}: holds a line of more than {LONGEST // 2**20} MiB, and no record is "
                "so long; name a file that judge --out wrote"
            )

    def _damaged(self, error: Exception) -> InputError:
        what = first_line(error)
        if "too much memory" in what:
            return InputError(
                f"{self.path}: takes a window of more than {2 ** (WINDOW_LOG - 20)} MiB to unpack; "
                f"pack it anew: zstd -dc --long=31 {self.path.name} | zstd -o OTHER.zst"
            )
        return InputError(
            f"{self.path}: is damaged after byte {self.end} ({what}); restore it, or keep what is "
            f"whole: head -c {self.end} {self.path.name} > OTHER.zst"
        )


def check_packed_as_named(path: Path) -> None:
    """Raise `OutputError` for a file that is packed and not called so, or the other way about.

    An empty file is either, and so is one that breaks off in its first four bytes.
    """
    with path.open("rb") as stream:
        begin = stream.read(len(MAGIC))
    if is_packed_name(path):
        if not MAGIC.startswith(begin):
            raise OutputError(
                f"{path}: is called {SUFFIX}, and holds no zstd; rename it, or name another file"
            )
    elif begin == MAGIC:
        raise OutputError(
            f"{path}: holds zstd, and is not called so; rename it to {path.name}{SUFFIX}"
        )
