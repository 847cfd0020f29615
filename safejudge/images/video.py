"""The bytes of a video → some of its frames, chosen by what changes and by time.

Takes a file that `kinds` takes for a video; gives pictures with the moment of each. FFmpeg decodes
it (through PyAV), by content: no other file is opened and nothing is fetched. Which frames are
looked at follows from the file's content, as with animations (`sampling`). Runs in the process that
the kernel holds to its limits (`worker`).
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from safejudge.errors import ImageError
from safejudge.images.frames import render
from safejudge.images.sampling import KEEP_FACTOR, check_size, sample
from safejudge.types import Frames, Picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from safejudge.policy import Policy

_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,rm"
"""What FFmpeg may take a file for: no playlist, no list of other files."""
_WALK_FACTOR = 50
"""Looking for changes decodes so many times `max_pixels` at most: by default 30 seconds of 1080p,
70 of 720p. Of a longer video only frames that stand for themselves (key frames) are looked at, at
most as many: half an hour of 1080p, where one comes every two seconds."""
_FEWEST = 4
"""Key frames that stand for a video, at least; of fewer, most of it could be anything."""
_SIDE = 24
"""Frames are compared at so many pixels a side."""
_CHANGE = 14.0
"""Mean difference of grey levels, in [0, 255], from which on a frame is another scene. Noise and
compression of drawn and filmed scenes stay below 5, a cut is above 25."""
_TURNS = {90: 1, 180: 2, 270: 3}
"""Degrees against the clock, and how many quarters that are."""
_FASTEST = 240.0
"""Frames a second that a length may be counted in; formats without a rate are told as faster."""
_SQUARE = 0.25
"""How narrow pixels may be that are made square; a file may say anything."""


def can_read() -> bool:
    """Whether videos can be read here."""
    return find_spec("av") is not None


@dataclass(slots=True)
class _Seen:
    """Frames that were looked through, in the order in which they are shown."""

    times: list[float] = field(default_factory=list)
    """Seconds from the beginning."""
    numbers: list[int] = field(default_factory=list)
    """Which of all frames each is, as decoded."""
    count: int = 0
    """Of all frames, and of what cannot be decoded between them."""
    begins: list[int] = field(default_factory=list)
    """Places of those with which a scene begins."""
    length: float = 0.0
    """Seconds of the whole video."""
    _look: npt.NDArray[np.float32] | None = None

    def add(self, time: float, number: int, look: npt.NDArray[np.float32]) -> None:
        """Take in a frame; another scene begins where it looks unlike the beginning of this one."""
        before = look[:0] if self._look is None else self._look
        if before.shape != look.shape or float(np.abs(look - before).mean()) >= _CHANGE:
            self.begins.append(len(self.times))
            self._look = look
        self.times.append(time)
        self.numbers.append(number)

    def chosen(self, limit: int | None, seed: bytes) -> list[int]:
        """Choose at most `limit` places: beginnings of scenes first, then moments by the clock.

        Where there are more scenes than that, by how long each is shown, as of an animation.
        """
        most = len(self.times) if limit is None else min(limit, len(self.times))
        scenes = [self.begins[at] for at in sample(_lasting(self, self.begins), most, seed)]
        rest = [place for place in range(len(self.times)) if place not in set(scenes)]
        left = most - len(scenes)
        if not left or not rest:
            return sorted(scenes)
        # The first of the rest is no more than another: previews do not show it.
        again = hashlib.sha256(seed).digest()
        steps = sample([0.0, *_lasting(self, rest)], left + 1, again)
        return sorted({*scenes, *(rest[at - 1] for at in steps if at)})


def _lasting(seen: _Seen, places: Sequence[int]) -> list[float]:
    """How long each of some frames stands until the next of them, in seconds."""
    times = [seen.times[place] for place in places]
    ends = [*times[1:], max(seen.length, seen.times[-1])]
    return [max(end - begin, 1e-3) for begin, end in zip(times, ends, strict=True)]


def decode_video(data: bytes, name: str, policy: Policy) -> tuple[tuple[Picture, ...], Frames]:
    """Decode some frames of a video; at most `Policy.max_frames`, and those with a change first.

    Raises `ImageError`, and whatever FFmpeg raises for bad data.
    """
    import av  # noqa: PLC0415 - an extra

    av.logging.set_level(None)
    seen, keys_only, count = _looked_through(data, name, policy)
    seed = hashlib.sha256(policy.frame_seed.encode() + hashlib.sha256(data).digest()).digest()
    wanted = {seen.numbers[place] for place in seen.chosen(policy.max_frames, seed)}
    kept: list[Picture] = []
    found, pixels = 0, 0
    with _opened(data) as container:
        stream = _stream(container, name, keys_only=keys_only)
        for number, time, frame in _frames(container, stream):
            if frame is None or number not in wanted:
                continue
            found += 1
            for shown, ground in render(_upright(frame, stream), name, policy.background):
                kept.append(Picture.of(shown, number, ground, label=f"after {time:.1f} s"))
                pixels += shown.shape[0] * shown.shape[1]
            if pixels > KEEP_FACTOR * policy.max_pixels:
                raise ImageError(
                    "too_many_pixels",
                    f"{name}: {len(wanted)} frames of it have more than {KEEP_FACTOR} x "
                    "Policy.max_pixels together; scale it down or lower Policy.max_frames",
                )
            if found == len(wanted):
                break
    if not kept:
        raise ImageError("truncated", f"{name}: none of its frames can be decoded; save it again")
    return tuple(kept), Frames(looked_at=found, of=max(count, found))


def _looked_through(data: bytes, name: str, policy: Policy) -> tuple[_Seen, bool, int]:
    """Look for changes; say also whether only key frames were looked at, and how many there are.

    What a file says of itself does not decide what is looked at: its packets are counted.
    """
    most = _WALK_FACTOR * policy.max_pixels
    with _opened(data) as container:
        stream = _stream(container, name)
        check_size(stream.width, stream.height, name, policy)
        size = f"{stream.width} x {stream.height}"
        told = _stated(container, stream)
        # Sound may last a little longer than pictures do.
        beyond = float(stream.average_rate or 0) if not stream.frames else 0
        packets = sum(packet.size > 0 for packet in container.demux(stream))
        keys_only = packets * stream.width * stream.height > most
    for keys in (keys_only, not keys_only):
        seen = _walked(data, name, policy, keys_only=keys)
        fewest = min(_FEWEST, policy.max_frames or _FEWEST) if keys else 0
        if seen is not None and len(seen.times) >= fewest:
            count = max(packets, seen.count) if keys else seen.count
            return seen, keys, told if told - count > beyond else count
    raise ImageError(
        "too_many_pixels",
        f"{name}: has too many frames of {size} to look through, and too few of them stand for "
        "themselves; cut it into parts, or hand over the frames you want judged",
    )


def _walked(data: bytes, name: str, policy: Policy, *, keys_only: bool) -> _Seen | None:
    """Look at all frames, or all key frames, from afar; None where they are too many."""
    seen, spent = _Seen(), 0
    with _opened(data) as container:
        stream = _stream(container, name, keys_only=keys_only)
        for number, time, frame in _frames(container, stream):
            seen.count = number + 1
            if frame is None:
                continue
            check_size(frame.width, frame.height, name, policy)
            spent += frame.width * frame.height
            if spent > _WALK_FACTOR * policy.max_pixels:
                return None
            seen.add(time, number, _look_of(frame))
        seen.length = max(_length(container, stream), seen.times[-1] if seen.times else 0)
    return seen


# --- FFmpeg ---------------------------------------------------------------------------------------


def _opened(data: bytes) -> InputContainer:
    import av  # noqa: PLC0415 - an extra

    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "", "enable_drefs": "0"}
    return av.open(io.BytesIO(data), mode="r", options=options, metadata_errors="replace")


def _stream(container: InputContainer, name: str, *, keys_only: bool = False) -> VideoStream:
    """Return the track that is shown, which is no cover picture. Raises `ImageError`."""
    from av.stream import Disposition  # noqa: PLC0415 - an extra

    shown = [
        one for one in container.streams.video if not one.disposition & Disposition.attached_pic
    ]
    if not shown or not shown[0].width or not shown[0].height:
        raise ImageError("unsupported", f"{name}: holds no pictures; sound is not judged here")
    stream = shown[0]
    if len(shown) > 1:
        raise ImageError(
            "unsupported",
            f"{name}: has {len(shown)} tracks of pictures, and players differ in which they show; "
            "save each as a file of its own",
        )
    if stream.metadata.get("alpha_mode") == "1":
        raise ImageError(
            "unsupported",
            f"{name}: has its transparency in a track of its own, which is not read here; hand "
            "over its frames as PNG",
        )
    stream.thread_type = "NONE"  # the time of all threads counts
    stream.codec_context.thread_count = 1
    if keys_only:
        stream.codec_context.skip_frame = "NONKEY"
    return stream


def _frames(
    container: InputContainer, stream: VideoStream
) -> Iterator[tuple[int, float, VideoFrame | None]]:
    """Yield every frame with its number and its second; None for what cannot be decoded.

    Of key frames alone, the number is told by the time. What is broken in between is passed over,
    as players do; the numbers go on.
    """
    import av  # noqa: PLC0415 - an extra

    rate = float(stream.average_rate or 25)
    start = float((stream.start_time or 0) * (stream.time_base or 0))
    keys_only = str(stream.codec_context.skip_frame) == "NONKEY"
    number = -1
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
            frames = packet.decode()
        except StopIteration:
            return
        except av.error.EOFError:
            return
        except av.error.InvalidDataError:
            number += 1
            yield number, number / rate, None
            continue
        for frame in frames:
            if not isinstance(frame, av.VideoFrame):
                continue
            number += 1
            time = number / rate if frame.time is None else max(0.0, frame.time - start)
            if keys_only:
                number = max(number, round(time * rate))
            yield number, time, frame


def _stated(container: InputContainer, stream: VideoStream) -> int:
    """How many frames a file says that it has; 0 where it says nothing."""
    if stream.frames:
        return int(stream.frames)
    rate = float(stream.average_rate or 0)
    return round(_length(container, stream) * rate) if rate <= _FASTEST else 0


def _length(container: InputContainer, stream: VideoStream) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return float(container.duration or 0) / 1e6


def _has_alpha(frame: VideoFrame) -> bool:
    return frame.format.has_palette or any(one.is_alpha for one in frame.format.components)


def _look_of(frame: VideoFrame) -> npt.NDArray[np.float32]:
    """What a frame looks like from afar, its transparency with it."""
    form = "rgba" if _has_alpha(frame) else "rgb24"
    small = frame.reformat(width=_SIDE, height=_SIDE, format=form)
    return small.to_ndarray().astype(np.float32)


def _upright(frame: VideoFrame, stream: VideoStream) -> Image.Image:
    """A frame as players show it: turned, and its pixels square."""
    ratio = float(stream.sample_aspect_ratio or 1)
    width = round(frame.width * ratio) if _SQUARE < ratio < 1 / _SQUARE else frame.width
    form = "rgba" if _has_alpha(frame) else "rgb24"
    pixels = frame.to_ndarray(format=form, width=max(1, width), height=frame.height)
    turned = np.rot90(pixels, _TURNS.get(frame.rotation % 360, 0))
    return Image.fromarray(np.ascontiguousarray(turned))
