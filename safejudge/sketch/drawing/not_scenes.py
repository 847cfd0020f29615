"""Pictures that are no drawn scenes, made by arithmetic: what the judge learns to refuse.

No photograph is used. The generators follow what is known of natural image statistics: power
spectra that fall with frequency, occluding shapes of all sizes (dead leaves), smooth shading,
texture; and the other ways in which a picture can be no scene (flat, striped, shuffled, glyphs).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from safejudge.sketch.world.scene import SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]


def _bytes(values: npt.NDArray[np.float64]) -> Pixels:
    pixels: Pixels = np.clip(values, 0, 255).astype(np.uint8)
    return pixels


def _spectral(rng: np.random.Generator, slope: float) -> npt.NDArray[np.float64]:
    """Grey noise in [0, 1] whose amplitude falls as frequency ** -slope."""
    fx = np.fft.fftfreq(SIZE)[:, None]
    fy = np.fft.rfftfreq(SIZE)[None, :]
    amplitude = 1.0 / np.maximum(np.hypot(fx, fy), 1.0 / SIZE) ** slope
    phase = rng.uniform(0, 2 * np.pi, amplitude.shape)
    grey = np.fft.irfft2(amplitude * np.exp(1j * phase), s=(SIZE, SIZE))
    low, high = np.percentile(grey, (1, 99))
    out: npt.NDArray[np.float64] = np.clip((grey - low) / (high - low + 1e-9), 0, 1)
    return out


def _clouds(rng: np.random.Generator) -> Pixels:
    """Correlated colour noise: foliage, water, walls, skin out of focus."""
    base = _spectral(rng, rng.uniform(0.8, 2.2))
    colours = rng.uniform(0, 255, (2, 3))
    mixed = colours[0] + base[..., None] * (colours[1] - colours[0])
    for channel in range(3):
        mixed[..., channel] += 60 * rng.uniform(0, 1) * (_spectral(rng, 1.5) - 0.5)
    return _bytes(mixed)


def _leaves(rng: np.random.Generator) -> Pixels:
    """Occluding shapes of all sizes with shading and texture (dead leaves)."""
    image = Image.new("RGB", (SIZE, SIZE), tuple(int(v) for v in rng.integers(0, 255, 3)))
    pen = ImageDraw.Draw(image)
    palette = np.clip(rng.normal(rng.uniform(60, 190, 3), rng.uniform(15, 60), (6, 3)), 0, 255)
    for _ in range(int(rng.integers(15, 120))):
        x, y = rng.uniform(-10, SIZE + 10, 2)
        r = min(3.0 / rng.uniform(0.05, 1.0), 45)
        fill = tuple(int(v) for v in np.clip(rng.choice(palette) + rng.normal(0, 12, 3), 0, 255))
        if rng.random() < 0.5:
            pen.ellipse((x - r, y - r * rng.uniform(0.4, 1), x + r, y + r), fill=fill)
        else:
            corners = [(x + r * rng.normal(), y + r * rng.normal()) for _ in range(4)]
            pen.polygon(corners, fill=fill)
    return _shade(rng, np.asarray(image))


def _shade(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """Add light that changes over the picture, grain and softness, as a lens does."""
    shading = 0.55 + 0.9 * _spectral(rng, rng.uniform(1.5, 2.5))
    grain = 40 * rng.uniform(0, 1) * (_spectral(rng, 1.0) - 0.5)
    lit = pixels * shading[..., None] + grain[..., None]
    image = Image.fromarray(_bytes(lit))
    if rng.random() < 0.6:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.5))))
    return np.asarray(image)


def _gradient(rng: np.random.Generator) -> Pixels:
    """Smooth light over a few large surfaces: sky, walls, a table, a product shot."""
    corners = rng.uniform(0, 255, (2, 2, 3)).astype(np.uint8)
    image = Image.fromarray(corners).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(0, 7))):
        (x, y), (w, h) = rng.uniform(-10, 80, 2), rng.uniform(5, 70, 2)
        fill = tuple(int(v) for v in rng.integers(0, 255, 3))
        draw = pen.rectangle if rng.random() < 0.5 else pen.ellipse
        draw((x, y, x + w, y + h), fill=fill)
    return _shade(rng, np.asarray(image))


def _noise(rng: np.random.Generator) -> Pixels:
    block = int(rng.choice((1, 2, 4, 8)))
    small = rng.integers(0, 256, (SIZE // block, SIZE // block, 3), dtype=np.uint8)
    return np.repeat(np.repeat(small, block, 0), block, 1)


def _plain(rng: np.random.Generator) -> Pixels:
    colour = rng.integers(0, 256, 3, dtype=np.uint8)
    return np.broadcast_to(colour, (SIZE, SIZE, 3)).copy()


def _stripes(rng: np.random.Generator) -> Pixels:
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    angle, period = rng.uniform(0, np.pi), rng.uniform(4, 40)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
    if rng.random() < 0.5:
        wave = np.sign(wave)
    a, b = rng.uniform(0, 255, (2, 3))
    return _bytes(a + (wave[..., None] + 1) / 2 * (b - a))


def _page(rng: np.random.Generator) -> Pixels:
    """Something like a page or a screenshot: dark marks in rows on a light ground."""
    image = Image.new("RGB", (SIZE, SIZE), tuple(int(v) for v in rng.integers(200, 256, 3)))
    pen = ImageDraw.Draw(image)
    for y in range(int(rng.integers(3, 9)), SIZE, int(rng.integers(6, 13))):
        x = int(rng.integers(2, 14))
        while x < SIZE - 8 and rng.random() < 0.95:
            w = int(rng.integers(2, 12))
            pen.rectangle((x, y, x + w, y + int(rng.integers(2, 5))), fill=(30, 30, 40))
            x += w + int(rng.integers(1, 5))
    return np.asarray(image)


def _portrait(rng: np.random.Generator) -> Pixels:
    """One large shaded blob before a blurred ground: a face, a fruit, a pet close up."""
    ground = Image.fromarray(_clouds(rng)).filter(ImageFilter.GaussianBlur(3))
    pen = ImageDraw.Draw(ground)
    cx, cy, r = rng.uniform(30, 66), rng.uniform(30, 66), rng.uniform(18, 44)
    tone = rng.uniform((90, 60, 40), (250, 210, 190))
    for step in range(8):
        k = r * (1 - step / 9)
        fill = tuple(int(v) for v in np.clip(tone * (0.6 + 0.06 * step), 0, 255))
        pen.ellipse((cx - k, cy - k * 1.25, cx + k, cy + k * 1.25), fill=fill)
    return _shade(rng, np.asarray(ground))


_MAKERS: tuple[tuple[Callable[[np.random.Generator], Pixels], float], ...] = (
    (_clouds, 0.2), (_leaves, 0.27), (_gradient, 0.16), (_portrait, 0.14), (_noise, 0.05),
    (_plain, 0.04), (_stripes, 0.06), (_page, 0.08),
)  # fmt: skip


def foreign_picture(rng: np.random.Generator) -> Pixels:
    """Make one picture (96 x 96 x 3, uint8) that is no drawn scene."""
    weights = np.array([w for _, w in _MAKERS])
    make = _MAKERS[int(rng.choice(len(_MAKERS), p=weights / weights.sum()))][0]
    pixels = make(rng)
    if rng.random() < 0.35:
        return pixels
    grey = pixels.mean(axis=2, keepdims=True)  # the colours of things are mostly muted
    muted = grey + (pixels - grey) * rng.uniform(0.0, 0.6)
    return _bytes(muted)
