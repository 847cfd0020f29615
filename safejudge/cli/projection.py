"""From a probe of some images to a run over all of them: totals with 95 % ranges, bytes of records.

Takes what each image of a simple random probe took; gives what all are expected to take. The range
is that of drawing the probe, by Student's t with the correction for a finite number of images
(Cochran 1977, 2.9). What few images need at all, such as reasoning, also has the exact range of
their share (`binomial`). How a machine's speed changes later is in no range. Pure but for packing.
"""

from __future__ import annotations

import io
import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from safejudge.evals.stats.binomial import lower, upper
from safejudge.evals.stats.intervals import t_quantile
from safejudge.files.recordfile import SECONDS, TOGETHER
from safejudge.files.records import to_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from safejudge.files.packed import Packer
    from safejudge.types import JSON

T = TypeVar("T")
_TAIL = 0.975
"""Confidence of either end of a 95 % range."""
_LEAST, _QUARTERS = 2, 4
"""Images from which a range can be had, and records from which it shows how they pack."""


@dataclass(frozen=True, slots=True)
class Projection:
    """What all images together are expected to take, and the 95 % range of it."""

    value: float
    low: float
    high: float
    """Infinite where one image says nothing about others."""


def projected(values: Sequence[float], images: int) -> Projection:
    """Project what each image of a probe took to all `images`, of which the probe is a part.

    None may be negative. Raises `ValueError` for an empty probe.
    """
    n, seen = len(values), math.fsum(values)
    if not n:
        raise ValueError("an empty probe says nothing")
    value = seen / n * images
    if n >= images:
        return Projection(seen, seen, seen)
    if n < _LEAST:
        return Projection(value, seen, math.inf)
    spread = statistics.stdev(values) * math.sqrt((1 - n / images) / n)
    arm = t_quantile(n - 1) * spread * images
    low, high = value - arm, value + arm
    hits = sum(value > 0 for value in values)
    if hits < n:
        each = seen / hits if hits else 1.0  # of those that need it at all: one, if none did
        low = min(low, each * lower(hits, n, _TAIL) * images)
        high = max(high, each * upper(hits, n, _TAIL) * images)
    return Projection(value, max(seen, low), high)


def shared(total: float, weights: Sequence[float]) -> list[float]:
    """Divide what a probe took together among its images, by weights; evenly where all are 0."""
    whole = math.fsum(weights)
    return [total * (w / whole if whole else 1 / len(weights)) for w in weights]


# --- bytes of records -----------------------------------------------------------------------------


def together(seconds_per_image: float, most: int = TOGETHER) -> int:
    """How many records a run writes at a time: `most`, or those of `SECONDS`."""
    return most if not seconds_per_image else max(1, min(most, int(SECONDS / seconds_per_image)))


def bytes_each(rows: Sequence[T], size_of: Callable[[Sequence[T]], int], count: int) -> Projection:
    """Bytes of a record on the average, where `count` of them are written at a time.

    Where that is more than there are, each further takes what the second half of them added, less
    what that was below the second quarter, for the more stand together the better they pack: so
    once; for the ends of the range not at all, and twice.
    """
    n = len(rows)
    if count <= n or n < _QUARTERS:
        each = sum(size_of(rows[at : at + count]) for at in range(0, n, count)) / n
        return Projection(each, each, each)
    whole, half, quarter = (size_of(rows[: n // part]) for part in (1, 2, _QUARTERS))
    last = (whole - half) / (n - n // 2)
    before = (half - quarter) / (n // 2 - n // _QUARTERS)
    less = min(1.0, last / before) if last > 0 and before > 0 else 1.0
    middle, low, high = ((whole + last * less**k * (count - n)) / count for k in (1, 2, 0))
    return Projection(middle, low, high)


def added_bytes(rows: Sequence[T], size_of: Callable[[Sequence[T]], int]) -> list[float]:
    """What each record adds to the others, which packing makes unlike its own length."""
    whole = size_of(rows)
    others = ([*rows[:place], *rows[place + 1 :]] for place in range(len(rows)))
    return [float(max(0, whole - size_of(left))) for left in others]


def line_bytes(rows: Sequence[JSON]) -> int:
    """Bytes of records as lines."""
    return sum(len(to_line(row).encode()) for row in rows)


def frame_bytes(packer: Packer) -> Callable[[Sequence[JSON]], int]:
    """Say how many bytes records take in one frame."""
    return lambda rows: len(packer.frame("".join(map(to_line, rows)).encode()))


def part_bytes(head: JSON) -> Callable[[Sequence[JSON]], int]:
    """Say how many bytes records take in one part of Parquet, what made them included."""
    from pyarrow import parquet  # type: ignore[import-untyped]

    from safejudge.files.parquet import COMPRESSION, HEAD, to_table

    metadata = {HEAD: to_line(head).rstrip("\n")}

    def size_of(rows: Sequence[JSON]) -> int:
        stream = io.BytesIO()
        table = to_table(rows).replace_schema_metadata(metadata)
        parquet.write_table(table, stream, compression=COMPRESSION)
        return stream.tell()

    return size_of
