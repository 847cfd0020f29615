"""Untrusted paths, bytes, PIL images, arrays and tensors → `ImageInput`.

Every refusal is an `ImageError` with a reason from `types.Failure`; nothing is fetched, nothing
handed in is written to. Byte and pixel caps are checked before decoding. Files are decoded in
bounded time and memory, most of them in a process of their own (`decoders`).
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from PIL import Image
from PIL.ImageFile import ImageFile

from safejudge.errors import ImageError
from safejudge.files import remote
from safejudge.files.remote import RemoteFile
from safejudge.images import arrays, decoders
from safejudge.images.decoding import Pictures, check_scans, decoding
from safejudge.images.sampling import KEEP_FACTOR, Sample
from safejudge.images.series import Series, Unread
from safejudge.text import plain_name
from safejudge.types import Failure, Frames, ImageInput, Picture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from threading import Event

    import numpy.typing as npt
    import torch

    from safejudge.policy import Policy

ImageSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image"
    " | npt.NDArray[Any] | torch.Tensor | Series | Unread | RemoteFile"
)
"""A path, an encoded file, a PIL image, or pixels: H x W, H x W x C or C x H x W, C in 1, 3, 4;
uint8 or floats in [0, 1]. Or several of these that are pictures of one thing. Or a file in a store
whose address a person typed; a text that is an address is refused."""

SUFFIXES = tuple(
    f".{suffix}"
    for group in (
        ("png", "apng", "jpg", "jpeg", "jpe", "jfif", "mpo", "gif", "webp", "avif", "avifs"),
        ("tif", "tiff", "bmp", "dib", "jp2", "j2k", "jpx", "ppm", "pgm", "pbm", "pnm", "qoi"),
        ("heic", "heif", "jxl", "ico", "psd", "svg"),
    )
    for suffix in group
)
"""What claims to be a picture by its name, so that it is tried and fails, whatever it holds."""

_URL = re.compile(
    r"\s*([a-z][a-z0-9+.-]+://|(https?|ftps?|file|data|s3|gs|hf|blob|about|javascript):)",
    re.IGNORECASE,
)


def load_images(
    sources: Sequence[ImageSource],
    policy: Policy,
    *,
    first: int = 0,
    stop: Event | None = None,
) -> list[ImageInput | Failure]:
    """Load every source, in order; one that cannot be read becomes a `Failure` in its place.

    Paths are named by themselves, everything else `image[3]` by its place, counted from `first`
    where the sources are one window of a longer list. An array of a batch is not a sequence of
    sources: use `split_batch`. `stop`: see `load_image`. Raises `StoreError` where a store cannot
    be asked, which is no fault of an image.
    """
    results: list[ImageInput | Failure] = []
    for index, source in enumerate(sources, start=first):
        name, raw = f"image[{index}]", source
        try:
            if isinstance(source, Series | Unread):
                name = source.name or name
            if isinstance(source, str | os.PathLike):
                name = os.fsdecode(source)
                raw = _read_file(source, plain_name(name), policy)
            elif isinstance(source, RemoteFile):
                name = source.address
                raw = _read_remote(source, plain_name(name), policy)
            results.append(load_image(raw, name=name, policy=policy, stop=stop))
        except ImageError as error:
            data = raw if isinstance(raw, bytes | bytearray | memoryview) else None
            results.append(
                Failure(
                    image=plain_name(name),
                    id=None if data is None else hashlib.sha256(data).hexdigest(),
                    reason=error.reason,
                    message=str(error),
                )
            )
    return results


def load_image(
    source: ImageSource, *, name: str, policy: Policy, stop: Event | None = None
) -> ImageInput:
    """Decode one source into the pictures that the policy asks for.

    An animated PIL image is judged whole, not only at its current frame (its position is put
    back); hand over `image.copy()` for one frame. `name` is used in messages and results. When
    another thread sets `stop`, a file that takes long is given up.
    Raises `ImageError` for anything that cannot be read, and nothing else, but for the `StoreError`
    of a `RemoteFile`.
    """
    name = plain_name(name)
    if isinstance(source, Unread):
        raise ImageError(source.reason, source.message)
    if isinstance(source, Series):
        return _from_series(source, name, policy, stop)
    if isinstance(source, str | os.PathLike):
        source = _read_file(source, name, policy)
    if isinstance(source, RemoteFile):
        source = _read_remote(source, name, policy)
    if isinstance(source, bytes | bytearray | memoryview):
        return _from_bytes(source, name, policy, stop)
    if isinstance(source, Image.Image):
        return _from_pil(source, name, policy)
    if arrays.is_array(source):
        return _from_array(source, name, policy)
    raise ImageError(
        "unsupported",
        f"{name}: cannot read an image from a {type(source).__name__}; hand over a path, bytes, "
        "a PIL image, a NumPy array or a torch tensor",
    )


def split_batch(batch: npt.NDArray[Any] | torch.Tensor) -> list[ImageSource]:
    """Make a list of images of a batch array or tensor: N x H x W x C or N x C x H x W.

    Two or three dimensions are one image. Channels are the end of an image's shape that is 1, 3 or
    4; where both ends are, or neither is, `load_image` refuses the image and names its shape.
    Raises `ImageError` bad_array for any other number of dimensions.
    """
    if batch.ndim in (2, 3):
        return [batch]
    if batch.ndim == 4:
        return [batch[index] for index in range(batch.shape[0])]
    raise ImageError(
        "bad_array",
        f"a batch of images has 4 dimensions, not shape {tuple(batch.shape)}; "
        "for video hand over the frames as a batch",
    )


# --- several pictures of one thing ----------------------------------------------------------------


def _from_series(series: Series, name: str, policy: Policy, stop: Event | None) -> ImageInput:
    """Read every picture; one that cannot be read, or moves, is a fault of the whole."""
    labels: Sequence[str | None] = series.labels or [None] * len(series.sources)
    ids: list[str] = []
    parts: list[tuple[Picture, ...]] = []
    for number, (source, label) in enumerate(zip(series.sources, labels, strict=True), start=1):
        of = f"{name}, picture {number} of {len(series.sources)}"
        if isinstance(source, Series):
            raise ImageError("unsupported", f"{of}: is a series itself; hand over its pictures")
        read = load_image(source, name=of, policy=policy, stop=stop)
        if read.frames is not None:
            raise ImageError("unsupported", f"{of}: moves, or has pages; hand over one of them")
        ids.append(read.id)
        parts.append(
            tuple(replace(shown, frame=number - 1, label=label) for shown in read.pictures)
        )
        _check_kept(parts, name, policy)  # before the next is decoded: they are all held
    count = len(parts)
    return ImageInput(
        series.id_of(ids),
        name,
        tuple(chain.from_iterable(parts)),
        Frames(looked_at=count, of=count),
        _together(parts) if series.together and count > 1 else (),
    )


def _check_kept(parts: Sequence[tuple[Picture, ...]], name: str, policy: Policy) -> None:
    shapes = [picture.pixels.shape for pictures in parts for picture in pictures]
    total = sum(height * width for height, width, _ in shapes)
    if total > KEEP_FACTOR * policy.max_pixels:
        raise ImageError(
            "too_many_pixels",
            f"{name}: its pictures have {total} pixels together, more than {KEEP_FACTOR} x "
            "Policy.max_pixels; scale them down",
        )


def _together(parts: Sequence[tuple[Picture, ...]]) -> tuple[Picture, ...]:
    """Put all pictures together, once on every background that one of them stands on."""
    grounds = dict.fromkeys(p.background for pictures in parts for p in pictures)
    if len(grounds) > 1:
        grounds.pop(None, None)
    return tuple(
        Picture.together(
            tuple(next((p for p in one if p.background == ground), one[0]) for one in parts)
        )
        for ground in grounds
    )


# --- files and bytes ----------------------------------------------------------------------------


def is_url(path: str) -> bool:
    """Whether a path is none but an address; a `Path` folds two slashes into one."""
    return bool(_URL.match(path) or re.match(r"https?:/", path))


def _read_file(path: str | os.PathLike[str], name: str, policy: Policy) -> bytes:
    text = os.fsdecode(path)
    if is_url(text):
        raise ImageError(
            "url",
            f"{name[:100]}: looks like a URL, and safejudge fetches nothing; download it and hand "
            "over the bytes or a path",
        )
    try:
        status = Path(text).stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe or a device could block or never end
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise ImageError("unreadable", f"{name}: is {kind}; name an image file")
        _check_bytes(status.st_size, name, policy)
        if not status.st_size:  # or something like /proc/kmsg, which never ends
            return b""
        with Path(text).open("rb") as file:
            return file.read(policy.max_bytes + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageError("missing", f"{name}: no such file; check the path") from error
    except (OSError, ValueError, MemoryError) as error:  # ValueError: a null byte in the path
        raise ImageError(
            "unreadable", f"{name[:200]}: cannot be read ({error}); check the path and its rights"
        ) from error


def _read_remote(file: RemoteFile, name: str, policy: Policy) -> bytes:
    if file.size is not None:
        _check_bytes(file.size, name, policy)
    try:
        return remote.read(file, policy.max_bytes)
    except FileNotFoundError as error:
        raise ImageError("missing", f"{name}: no such file; check the address") from error
    except OSError as error:
        raise ImageError(
            "unreadable", f"{name[:200]}: cannot be read ({error.strerror}); check its rights"
        ) from error


def _check_bytes(size: int, name: str, policy: Policy) -> None:
    if size > policy.max_bytes:
        raise ImageError(
            "too_large",
            f"{name}: {size} bytes are more than Policy.max_bytes = {policy.max_bytes}; "
            "shrink the file or raise the limit",
        )


def _from_bytes(
    source: bytes | bytearray | memoryview, name: str, policy: Policy, stop: Event | None
) -> ImageInput:
    _check_bytes(memoryview(source).nbytes, name, policy)
    with decoding("unreadable", name, "hand over a smaller one"):  # memory may run out here too
        data = bytes(source)
        if not data:
            raise ImageError("empty", f"{name}: holds no bytes; check how it was written")
        return decoders.decode(data, name, policy, stop)


# --- PIL images, arrays, tensors ----------------------------------------------------------------


def _from_pil(image: Image.Image, name: str, policy: Policy) -> ImageInput:
    """Decode a PIL image; the id covers every sampled frame and what changes how it is shown."""
    if 0 in image.size:
        raise ImageError("empty", f"{name}: has no pixels ({image.width} x {image.height})")
    digest = hashlib.sha256()
    pictures = Pictures(name, policy)
    hint = "keep the image open while it is judged, or hand over the file or image.copy()"
    with decoding("unreadable", name, hint):
        _check_unread(image, name, policy)
        position = image.tell()
        chosen = Sample(image, name, policy, seed=None)
        for frame in chosen:
            palette = image.getpalette("RGBA") if image.mode in ("P", "PA") else None
            extra = (image.info.get(key) for key in ("transparency", "icc_profile", "exif"))
            digest.update(repr((frame, image.mode, image.size, palette, *extra)).encode())
            digest.update(image.tobytes())
            pictures.add(image, frame)
        if image.tell() != position:
            image.seek(position)
    return ImageInput(digest.hexdigest(), name, pictures.all, chosen.frames)


def _check_unread(image: Image.Image, name: str, policy: Policy) -> None:
    """Refuse a file that would take for ever, if this image was opened and not decoded yet.

    It is decoded in this process, with whatever its owner has done to it.
    """
    if isinstance(image, ImageFile) and image.tile and image.fp is not None:
        position = image.fp.tell()
        image.fp.seek(0)
        check_scans(image.fp.read(policy.max_bytes), name)
        image.fp.seek(position)


def _from_array(source: npt.NDArray[Any] | torch.Tensor, name: str, policy: Policy) -> ImageInput:
    pictures = Pictures(name, policy)
    with decoding("bad_array", name, "hand over another one"):
        digest, image = arrays.to_image(source, name, policy)
        pictures.add(image, None)
    return ImageInput(digest, name, pictures.all)
