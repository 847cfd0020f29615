"""Tar shards: what is in one, and where.

Takes a path; gives its members that are images, by their content or by a name that claims to be
one, and what else is there. Nothing is unpacked, so no name in a tar leads anywhere. Read here and
not with `tarfile`, which trusts numbers that others wrote: what takes long or does not fit together
ends in an `InputError`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from safejudge.errors import InputError
from safejudge.files.records import image_name
from safejudge.images.entries import CAPTION_BYTES, Contents, Entry, Other
from safejudge.images.ignore import is_companion
from safejudge.images.kinds import HEAD, Kind, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BLOCK = 512
_EXTENDED = 2**20
"""Bytes that a header may have which only says more of the next member."""
_ZEROS = 64 * 2**20
"""Bytes between two members, or after the last one, that may be zeros."""
_HARD_LINK, _PAX, _SHARED_PAX, _SPARSE = "1", "xX", "g", "S"
_FILES = "0\x007"
_WITHOUT_CONTENT = {
    "1": "a link", "2": "a link", "3": "a device", "4": "a device", "5": "a folder", "6": "a pipe",
}  # fmt: skip
_NO_FILES = _WITHOUT_CONTENT | {
    _SPARSE: "a file with holes", "V": "the name of a tape", "D": "a list of files",
    "M": "the rest of a file on another tape",
}  # fmt: skip
"""By type of member, what it is instead of a file."""
_FIELD = re.compile(rb"(\d{1,9}) ([^=]+)=")


class _DamagedError(Exception):
    """What stands there makes no tar."""


class _Member(NamedTuple):
    """A member that has a name."""

    name: str
    place: tuple[int, int]
    """First byte and size."""
    kind: Kind


# --- listing --------------------------------------------------------------------------------------


def list_tar(path: str, suffixes: Sequence[str]) -> Contents:
    """List a tar's members: those that are pictures, and those with one of `suffixes`.

    A `.txt` beside an image is its caption. Raises `InputError` for what is no tar, or is damaged.
    """
    images: list[_Member] = []
    captions: dict[str, _Member] = {}
    others: list[_Member] = []
    try:
        for member in _members(path):
            name = PurePosixPath(member.name)
            claims = name.suffix.lower() in suffixes and not _claims_nothing(name, member.kind)
            if claims or member.kind.name in ("picture", "video", "media"):
                images.append(member)
            else:
                others.append(member)
                if name.suffix.lower() == ".txt" and member.place[1] <= CAPTION_BYTES:
                    captions[_key(member.name)] = member
    except (OSError, _DamagedError) as error:
        raise InputError(
            f"{path}: cannot be read as a tar ({error}); save it again without compression, or "
            "leave it out"
        ) from error
    samples = {_key(member.name) for member in images}
    return Contents(
        [_entry(path, member, captions.get(_key(member.name))) for member in images],
        [
            Other(_named(path, member), member.kind)
            for member in others
            if not (member.kind.name in ("text", "empty") and _key(member.name) in samples)
        ],
    )


def _entry(path: str, member: _Member, caption: _Member | None) -> Entry:
    caption_place = None if caption is None else caption.place
    return Entry(_named(path, member), path, member.place, caption_position=caption_place)


def _named(path: str, member: _Member) -> str:
    return image_name(f"{path}/{member.name}")


def _claims_nothing(name: PurePosixPath, kind: Kind) -> bool:
    """Whether a suffix of pictures claims nothing here."""
    return is_companion(name) or kind.what in _NO_FILES.values()


def _key(member: str) -> str:
    """What the files of one sample share in a WebDataset: the path up to the name's first dot."""
    folder, slash, base = member.rpartition("/")
    return folder + slash + base.partition(".")[0]


# --- members --------------------------------------------------------------------------------------


class _Header(NamedTuple):
    """One header, with what those before it say of its member."""

    name: str
    type: str
    size: int
    link: str
    start: int
    """First byte of the content."""
    head: bytes
    """What it begins with."""

    @property
    def place(self) -> tuple[int, int]:
        return self.start, self.size

    @property
    def kind(self) -> Kind:
        if self.type in _NO_FILES:
            return Kind("other", _NO_FILES[self.type])
        return kind_of(self.head[: self.size], PurePosixPath(self.name).suffix)


def _members(path: str) -> Iterator[_Member]:
    """Yield every member but folders. Raises `OSError`, `_DamagedError`."""
    files: dict[str, _Member] = {}
    with Path(path).open("rb") as file:
        for header in _headers(file):
            member = _Member(header.name, header.place, header.kind)
            if header.type == _HARD_LINK and header.link in files:
                member = files[header.link]._replace(name=header.name)
            elif header.type not in _NO_FILES:
                files[header.name] = member
            if header.type != "5":
                yield member


def _headers(file: BinaryIO) -> Iterator[_Header]:
    """Yield the header of every member, those of long names and the like worked in."""
    end = os.fstat(file.fileno()).st_size
    at, shared, fields = 0, dict[str, str](), dict[str, str]()
    while (at := _next_block(file, at, end)) < end:
        block = os.pread(file.fileno(), _BLOCK + HEAD, at)
        header = _header(block, at, shared | fields)
        follows = header.start + _holes(file, header, block, end)
        if header.type not in _WITHOUT_CONTENT:
            follows += header.size
            if follows > end:
                raise _DamagedError(f"the member at byte {at} is cut short")
        if header.type in _PAX:
            fields |= _pax(_extension(file, header))
        elif header.type == _SHARED_PAX:
            shared |= _pax(_extension(file, header))
        elif header.type in "LK":
            name = _extension(file, header).partition(b"\0")[0]
            fields["path" if header.type == "L" else "linkpath"] = _text(name)
        else:
            fields = {}
            yield header
        at = follows + -follows % _BLOCK


def _next_block(file: BinaryIO, at: int, end: int) -> int:
    """Step over zeros, of which two blocks are the end of a tar; another may follow it."""
    begun = at
    while at < end:
        block = os.pread(file.fileno(), _BLOCK if at == begun else 2**20, at)
        content = block.lstrip(b"\0")
        if content:
            at += (len(block) - len(content)) // _BLOCK * _BLOCK
            break
        at += len(block)
        if not block or at - begun > _ZEROS:
            raise _DamagedError(f"nothing but zeros from byte {begun} on")
    return at


def _header(block: bytes, at: int, said: dict[str, str]) -> _Header:
    if len(block) < _BLOCK or not _fits_checksum(block):
        what = kind_of(block).what if at == 0 else "no header of a member"
        raise _DamagedError(f"at byte {at} stands {what}")
    name, link = _text(_until_zero(block[:100])), _text(_until_zero(block[157:257]))
    if block[257:263] == b"ustar\0" and block[345]:
        name = f"{_text(_until_zero(block[345:500]))}/{name}"
    name, link = said.get("path", name), said.get("linkpath", link)
    size = said.get("size")
    type_ = chr(block[156])
    if type_ == "\0" and name.endswith("/"):  # from before there were types
        type_ = "5"
    if any(key.startswith("GNU.sparse.") for key in said) and type_ in _FILES:
        type_ = _SPARSE
    return _Header(
        name,
        type_,
        _number(block[124:136], at) if size is None else _decimal(size, at),
        link,
        at + _BLOCK,
        block[_BLOCK:],
    )


def _fits_checksum(block: bytes) -> bool:
    written = re.fullmatch(rb"[ \x00]*([0-7]{1,8})[ \x00]*", block[148:156])
    if written is None:
        return False
    counted = sum(block[:_BLOCK]) - sum(block[148:156]) + 8 * ord(" ")
    total = int(written[1], 8)
    # Some old programs took bytes above 127 for negative numbers.
    return total == counted or total == counted - 256 * sum(byte > 127 for byte in block[:_BLOCK])


def _number(text: bytes, at: int) -> int:
    """Read a number of a header: octal digits, or bytes after a mark."""
    if text[0] == 0x80:
        return int.from_bytes(text[1:], "big")
    digits = _until_zero(text).strip()
    if not re.fullmatch(rb"[0-7]*", digits):
        raise _DamagedError(f"the header at byte {at} has a size that is no number")
    return int(digits or b"0", 8)


def _decimal(text: str, at: int) -> int:
    if not re.fullmatch(r"[0-9]{1,20}", text):
        raise _DamagedError(f"before byte {at} stands a size that is no number")
    return int(text)


def _holes(file: BinaryIO, header: _Header, block: bytes, end: int) -> int:
    """How many bytes come before the content that say where the holes of a sparse file are."""
    at = header.start
    more = header.type == _SPARSE and block[482] != 0
    while more and at < end:
        more = os.pread(file.fileno(), _BLOCK, at)[504:505] not in (b"", b"\0")
        at += _BLOCK
    return at - header.start


def _extension(file: BinaryIO, header: _Header) -> bytes:
    if header.size > _EXTENDED:
        raise _DamagedError(f"the header at byte {header.start} has {header.size} bytes")
    return os.pread(file.fileno(), header.size, header.start)


def _pax(data: bytes) -> dict[str, str]:
    """Read the records of an extended header: their length, a key, a value."""
    fields: dict[str, str] = {}
    at = 0
    while at < len(data) and data[at]:
        match = _FIELD.match(data, at)
        length = int(match[1]) if match else 0
        if match is None or at + length > len(data) or length <= match.end() - at:
            raise _DamagedError("an extended header is damaged")
        fields[_text(match[2])] = _text(data[match.end() : at + length - 1])
        at += length
    return fields


def _until_zero(text: bytes) -> bytes:
    return text.partition(b"\0")[0]


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
