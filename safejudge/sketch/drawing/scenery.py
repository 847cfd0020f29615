"""Behind and over the entities: the four settings by day and night, and the four picture flaws."""

from __future__ import annotations

import io
import random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from safejudge.sketch.drawing.pen import SUPER, Canvas, Colour, Rect
from safejudge.sketch.world.scene import COLUMN, SIZE, Scene

DIM = 0.5
"""Brightness of the background at night."""
NIGHT_SKY: Colour = (26, 32, 92)
MOON: Colour = (255, 246, 190)


class _Backdrop:
    """Draws shapes in picture pixels, dimmed at night, a little off in shade."""

    def __init__(self, draw: ImageDraw.ImageDraw, rng: random.Random, *, night: bool) -> None:
        self.draw = draw
        self.rng = rng
        self.night = night

    def shade(self, colour: Colour) -> Colour:
        factor = DIM if self.night else 1.0
        r, g, b = (round(factor * c) + self.rng.randint(-6, 6) for c in colour)
        return max(0, min(255, r)), max(0, min(255, g)), max(0, min(255, b))

    def rect(self, rect: Rect, colour: Colour) -> None:
        x0, y0, x1, y1 = (SUPER * value for value in rect)
        self.draw.rectangle((x0, y0, x1, y1), self.shade(colour))

    def oval(self, rect: Rect, colour: Colour, *, glow: bool = False) -> None:
        x0, y0, x1, y1 = (SUPER * value for value in rect)
        self.draw.ellipse((x0, y0, x1, y1), colour if glow else self.shade(colour))

    def moon(self, x: float, y: float, r: float) -> None:
        self.oval((x - r, y - r, x + r, y + r), MOON, glow=True)
        k = 0.55 * r
        sky = NIGHT_SKY
        self.oval((x - r + 2 * k, y - r - k / 2, x + r + k, y + r - k), sky, glow=True)

    def sky(self) -> None:
        rng = self.rng
        side = rng.uniform(12, 84)
        if self.night:
            self.draw.rectangle((0, 0, SIZE * SUPER, 62 * SUPER), NIGHT_SKY)
            for _ in range(14):
                x, y = rng.uniform(1, 95), rng.uniform(1, 30)
                self.oval((x, y, x + 1.3, y + 1.3), (250, 250, 235), glow=True)
            self.moon(side, 10, 6.5)
            return
        self.rect((0, 0, SIZE, 62), (176, 216, 248))
        for _ in range(2):
            x, y = rng.uniform(-6, 84), rng.uniform(3, 14)
            self.oval((x, y, x + 14, y + 6), (252, 252, 252))
            self.oval((x + 6, y - 2, x + 18, y + 5), (252, 252, 252))


def _room(back: _Backdrop) -> None:
    back.rect((0, 0, SIZE, 66), (240, 214, 172))
    back.rect((0, 64, SIZE, SIZE), (150, 104, 66))
    back.rect((0, 63, SIZE, 65.5), (250, 240, 224))
    for y in (73, 83):
        back.rect((0, y, SIZE, y + 0.6), (120, 80, 48))
    x = back.rng.choice((6.0, 34.0, 62.0)) + back.rng.uniform(-3, 3)
    back.rect((x - 2, 2, x + 30, 25), (255, 255, 250))
    if back.night:
        area = (x * SUPER, 4 * SUPER, (x + 28) * SUPER, 23 * SUPER)
        back.draw.rectangle(area, NIGHT_SKY)
        back.moon(x + 20, 11, 4.5)
        back.oval((x + 6, 15, x + 7.5, 16.5), (250, 250, 235), glow=True)
    else:
        back.rect((x, 4, x + 28, 23), (150, 210, 250))
    back.rect((x + 13.2, 4, x + 14.8, 23), (255, 255, 250))


def _street(back: _Backdrop) -> None:
    back.sky()
    x = back.rng.uniform(-12, 0)
    while x < SIZE:
        width, top = back.rng.uniform(18, 28), back.rng.uniform(20, 32)
        back.rect((x, top, x + width - 1, 66), (136, 150, 176))
        for row in range(3):
            for column in range(2):
                left, y = x + 4 + column * width * 0.45, top + 4 + 10 * row
                back.rect((left, y, left + 4.5, y + 5), (196, 210, 226))
        x += width
    back.rect((0, 60, SIZE, 68), (190, 190, 188))
    back.rect((0, 67, SIZE, SIZE), (122, 124, 130))
    start = back.rng.uniform(-12, 0)
    for k in range(7):
        left = start + 17 * k
        back.rect((left, 80, left + 9, 82), (240, 240, 232))


def _park(back: _Backdrop) -> None:
    back.sky()
    shift = back.rng.uniform(-20, 20)
    back.oval((-30 + shift, 40, 60 + shift, 86), (140, 190, 150))
    back.oval((40 + shift, 44, 130 + shift, 90), (128, 182, 142))
    back.rect((0, 60, SIZE, SIZE), (122, 200, 96))
    for _ in range(9):
        x, y = back.rng.uniform(0, 94), back.rng.uniform(63, 94)
        back.rect((x, y, x + 0.8, y + 2.5), (84, 164, 66))


def _beach(back: _Backdrop) -> None:
    back.sky()
    if not back.night:
        x = back.rng.uniform(10, 86)
        back.oval((x - 6, 4, x + 6, 16), (255, 224, 70))
    back.rect((0, 46, SIZE, 64), (52, 140, 206))
    for _ in range(5):
        x, y = back.rng.uniform(0, 86), back.rng.uniform(48, 60)
        back.rect((x, y, x + 8, y + 1), (190, 226, 246))
    back.rect((0, 62, SIZE, SIZE), (244, 222, 156))
    for _ in range(9):
        x, y = back.rng.uniform(0, 94), back.rng.uniform(66, 94)
        back.rect((x, y, x + 1.2, y + 0.7), (214, 186, 118))


_SETTINGS = {"room": _room, "street": _street, "park": _park, "beach": _beach}


def paint_setting(canvas: Canvas, scene: Scene) -> None:
    """Fill the canvas with the scene's setting, by day or night."""
    rng = random.Random(scene.look + 1)
    _SETTINGS[scene.setting](_Backdrop(canvas.draw, rng, night=scene.night))


def _jpeg(image: Image.Image, strength: float) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=round(60 - 45 * strength))
    return Image.open(buffer).convert("RGB")


def _noise(image: Image.Image, strength: float, look: int) -> Image.Image:
    rng = np.random.default_rng((look & 0xFFFFFFFF, 1))
    pixels = np.asarray(image, dtype=np.float32)
    noise = rng.standard_normal(pixels.shape, dtype=np.float32)
    noisy = pixels + np.float32(6 + 19 * strength) * noise
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def _distort(image: Image.Image, strength: float, scene: Scene) -> Image.Image:
    """Swirl and ripple a round patch at an entity's side, low down.

    There it harms legs and wheels rather than faces, dress and hands, which carry most facts.
    """
    rng = random.Random(scene.look + 2)
    side = rng.choice([p.column + p.width * rng.randint(0, 1) for p in scene.placed] or [2])
    cx = min(SIZE - 14.0, max(14.0, COLUMN * side + rng.uniform(-4, 4)))
    cy = rng.uniform(70, SIZE - 14)
    x0, y0 = int(cx - 14), int(cy - 14)
    ys, xs = np.mgrid[y0 : y0 + 28, x0 : x0 + 28].astype(np.float32)
    dx, dy = xs - cx, ys - cy
    fall = np.clip(1 - np.hypot(dx, dy) / rng.uniform(10, 14), 0, 1)
    angle = (1.2 + 1.8 * strength) * rng.choice((-1, 1)) * fall
    ripple = (1 + 2 * strength) * np.sin(1.3 * dy) * (fall > 0)
    rows = np.rint(cy + np.sin(angle) * dx + np.cos(angle) * dy)
    columns = np.rint(cx + np.cos(angle) * dx - np.sin(angle) * dy + ripple)
    pixels = np.array(image)
    top = SIZE - 1
    source = np.clip(rows, 0, top).astype(np.intp), np.clip(columns, 0, top).astype(np.intp)
    pixels[y0 : y0 + 28, x0 : x0 + 28] = pixels[source]
    return Image.fromarray(pixels)


def apply_flaw(image: Image.Image, scene: Scene) -> Image.Image:
    """Give the picture the scene's flaw at its strength; without a flaw it is unchanged."""
    strength = min(1.0, scene.flaw_strength)
    if scene.flaw is None or strength <= 0:
        return image
    match scene.flaw:
        case "blur":
            return image.filter(ImageFilter.GaussianBlur(0.5 + 0.8 * strength))
        case "noise":
            return _noise(image, strength, scene.look)
        case "jpeg":
            return _jpeg(image, strength)
        case "distortion":
            return _distort(image, strength, scene)
        case _:
            raise ValueError(f"unknown flaw {scene.flaw!r}; use one of world.FLAWS")
