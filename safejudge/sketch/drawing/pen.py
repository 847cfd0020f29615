"""The canvas of the drawn world: flat fills with thin outlines, and the boxes of what was drawn.

Everything is drawn at `SUPER` times the final size and reduced once at the end. A `Pen` maps an
entity's own coordinates (pixels, origin between the feet, y downwards) to the picture: it can be
moved, scaled, mirrored, turned on its side or upside down, always along the axes.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from safejudge.sketch.world.scene import SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SUPER = 3
"""Supersampling factor."""

Colour = tuple[int, int, int]
Point = tuple[float, float]
Rect = tuple[float, float, float, float]

PALETTE: dict[str, Colour] = {
    "outline": (32, 26, 30),
    "black": (22, 20, 22),
    "white": (246, 246, 246),
    "red": (228, 38, 40),
    "blue": (40, 100, 240),
    "green": (25, 150, 60),
    "yellow": (252, 216, 40),
    "purple": (155, 60, 195),
    "skin light": (255, 218, 188),
    "skin medium": (208, 146, 92),
    "skin dark": (94, 57, 43),
    "hair black": (18, 16, 20),
    "hair brown": (142, 86, 34),
    "hair blond": (243, 216, 132),
    "hair red": (208, 78, 22),
    "hair grey": (166, 166, 172),
    "cap": (78, 34, 128),
    "helmet": (255, 205, 0),
    "headscarf": (0, 158, 152),
    "shorts": (74, 74, 92),
    "slate": (98, 106, 122),
    "scrubs": (110, 200, 205),
    "navy": (28, 32, 76),
    "police": (28, 52, 138),
    "gold": (255, 200, 30),
    "orange": (255, 122, 20),
    "silver": (216, 220, 226),
    "grey": (140, 142, 148),
    "steel": (168, 178, 190),
    "denim": (66, 108, 176),
    "wood": (150, 96, 48),
    "dark wood": (102, 62, 30),
    "crate": (198, 148, 84),
    "dog": (150, 92, 42),
    "dog ear": (92, 52, 24),
    "cat": (236, 152, 66),
    "cat stripe": (176, 92, 26),
    "horse": (104, 60, 32),
    "mane": (30, 20, 16),
    "bird": (30, 150, 255),
    "wing": (14, 88, 196),
    "beak": (255, 196, 0),
    "blood": (176, 0, 18),
    "blood edge": (84, 0, 8),
    "flame": (255, 120, 10),
    "flame core": (255, 226, 60),
    "flame edge": (214, 42, 8),
    "smoke": (74, 72, 76),
    "puff": (190, 192, 198),
    "glass": (176, 222, 244),
    "tyre": (36, 36, 40),
    "crown": (38, 138, 48),
    "petal": (255, 110, 186),
    "stem": (20, 140, 40),
    "screen": (60, 235, 255),
    "bottle": (10, 120, 60),
    "ball": (255, 140, 30),
    "pillow": (240, 240, 250),
    "blanket": (128, 150, 222),
    "leash": (235, 20, 50),
}
JITTER = 10
"""Each channel of each fill moves by up to this many levels."""


@dataclass(frozen=True, slots=True)
class Box:
    """Where a part of an entity was drawn."""

    entity: int
    """Index into `Scene.placed`."""
    part: str
    """person, animal, vehicle, thing; of these: held, support, headwear, blood, fire, head, mask,
    cage or leash."""
    what: str
    """The kind, such as adult, dog, car or knife."""
    box: Rect
    """x0, y0, x1, y1 in pixels of the finished picture, clipped to it."""


class Canvas:
    """The large picture, its jittered palette, and the extents of the parts drawn so far."""

    def __init__(self, look: int) -> None:
        self.image = Image.new("RGB", (SIZE * SUPER, SIZE * SUPER))
        self.draw = ImageDraw.Draw(self.image)
        noise = random.Random(look).randbytes(3 * len(PALETTE))
        span = 2 * JITTER + 1
        self.palette: dict[str, Colour] = {}
        for index, (name, (r, g, b)) in enumerate(PALETTE.items()):
            i = 3 * index
            self.palette[name] = (
                min(255, max(0, r + noise[i] % span - JITTER)),
                min(255, max(0, g + noise[i + 1] % span - JITTER)),
                min(255, max(0, b + noise[i + 2] % span - JITTER)),
            )
        self._extents: dict[tuple[int, str, str], list[float]] = {}
        self._open: list[list[float]] = []

    @contextmanager
    def part(self, entity: int, part: str, kind: str) -> Iterator[None]:
        """Count everything drawn inside as this part (and as the parts around it)."""
        fresh = [float("inf"), float("inf"), float("-inf"), float("-inf")]
        self._open.append(self._extents.setdefault((entity, part, kind), fresh))
        try:
            yield
        finally:
            self._open.pop()

    def grow(self, rect: Rect) -> None:
        """Widen the open parts to `rect`, in pixels of the large picture."""
        for extent in self._open:
            extent[0] = min(extent[0], rect[0])
            extent[1] = min(extent[1], rect[1])
            extent[2] = max(extent[2], rect[2])
            extent[3] = max(extent[3], rect[3])

    def boxes(self) -> tuple[Box, ...]:
        """Boxes of all parts that are in the picture, by entity."""
        boxes: list[Box] = []
        for (entity, part, kind), extent in self._extents.items():
            x0, y0, x1, y1 = (min(float(SIZE), max(0.0, value / SUPER)) for value in extent)
            if x1 > x0 and y1 > y0:
                boxes.append(Box(entity, part, kind, (x0, y0, x1, y1)))
        return tuple(sorted(boxes, key=lambda box: box.entity))


@dataclass(frozen=True, slots=True)
class Pen:
    """Draws on a canvas in an entity's own coordinates."""

    canvas: Canvas
    x: float
    """Origin in pixels of the finished picture."""
    y: float
    scale: float = 1.0
    flip: int = 1
    """-1 mirrors left and right."""
    down: int = 1
    """-1 turns upside down."""
    turned: bool = False
    """Lies on its side: own "up" becomes the side `flip`, own right becomes up."""

    def point(self, x: float, y: float) -> Point:
        """Map own coordinates to pixels of the finished picture."""
        k = self.scale
        if self.turned:
            return self.x - self.flip * k * y, self.y - k * x
        return self.x + self.flip * k * x, self.y + self.down * k * y

    def at(self, x: float, y: float, scale: float = 1.0) -> Pen:
        """Move the origin to (x, y) and scale further."""
        px, py = self.point(x, y)
        return Pen(self.canvas, px, py, self.scale * scale, self.flip, self.down, self.turned)

    def _large(self, points: Sequence[Point]) -> list[Point]:
        point = self.point
        return [(px * SUPER, py * SUPER) for px, py in (point(x, y) for x, y in points)]

    def mark(self, rect: Rect) -> Rect:
        """Count a rectangle to the open parts; returns it in pixels of the large picture."""
        (ax, ay), (bx, by) = self._large(((rect[0], rect[1]), (rect[2], rect[3])))
        corners = (min(ax, bx), min(ay, by), max(ax, bx), max(ay, by))
        self.canvas.grow(corners)
        return corners

    def oval(self, at: Point, size: Point, fill: str, edge: str | None = "outline") -> None:
        """Draw an ellipse with centre `at` and half-axes `size`."""
        (x, y), (rx, ry) = at, size
        corners = self.mark((x - rx, y - ry, x + rx, y + ry))
        palette = self.canvas.palette
        outline = None if edge is None else palette[edge]
        self.canvas.draw.ellipse(corners, palette[fill], outline, 2 if edge else 0)

    def ring(self, at: Point, radius: float, width: int, fill: str) -> None:
        """Draw a circle that is not filled; `width` in pixels of the large picture."""
        (x, y), r = at, radius
        corners = self.mark((x - r, y - r, x + r, y + r))
        self.canvas.draw.ellipse(corners, None, self.canvas.palette[fill], width)

    def rect(self, rect: Rect, fill: str, edge: str | None = "outline") -> None:
        """Draw a rectangle x0, y0, x1, y1."""
        corners = self.mark(rect)
        palette = self.canvas.palette
        outline = None if edge is None else palette[edge]
        self.canvas.draw.rectangle(corners, palette[fill], outline, 2 if edge else 0)

    def poly(self, points: Sequence[Point], fill: str, edge: str | None = "outline") -> None:
        """Draw a filled polygon."""
        large = self._large(points)
        xs, ys = zip(*large, strict=True)
        self.canvas.grow((min(xs), min(ys), max(xs), max(ys)))
        self.canvas.draw.polygon(large, self.canvas.palette[fill])
        if edge is not None:
            self.canvas.draw.line([*large, large[0]], self.canvas.palette[edge], 2)

    def line(self, points: Sequence[Point], width: float, fill: str) -> None:
        """Draw a line without outline."""
        self._stroke(self._large(points), width * self.scale * SUPER, fill)

    def limb(self, points: Sequence[Point], width: float, fill: str, edge: str = "outline") -> None:
        """Draw a thick line with an outline."""
        large = self._large(points)
        wide = width * self.scale * SUPER
        self._stroke(large, wide + 3, edge)
        self._stroke(large, wide, fill)

    def _stroke(self, large: list[Point], wide: float, fill: str) -> None:
        xs, ys = zip(*large, strict=True)
        half = wide / 2
        self.canvas.grow((min(xs) - half, min(ys) - half, max(xs) + half, max(ys) + half))
        self.canvas.draw.line(large, self.canvas.palette[fill], max(1, round(wide)))
