"""Whether a picture is drawn the way the sketch judge's world is: arithmetic on pixels, no model.

The judge itself answers "Unclear" for pictures that are no drawn scenes; this is the second lock
on the same door, and it does not depend on what the model learned. A picture is described by
numbers about flatness, edges, palette, sky and ground; its Mahalanobis distance from the nearest
kind of scene must not exceed the distance that one drawn scene in two thousand has.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from safejudge.sketch.world.scene import SIZE

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float64]

FILE = Path(__file__).parent / "models" / "domain.npz"
_EDGES = (1.5, 4.0, 8.0, 16.0, 32.0, 64.0)
_NEAR = (6.0, 12.0, 20.0, 32.0)


def shrink(pixels: Pixels) -> Pixels:
    """Bring a picture to the size at which the judge sees it."""
    if pixels.shape[:2] == (SIZE, SIZE):
        return pixels
    image = Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _shares(values: Floats, bounds: tuple[float, ...]) -> list[float]:
    """Log-shares of the values in the bins between the bounds."""
    counts = np.bincount(np.digitize(values.ravel(), bounds), minlength=len(bounds) + 1)
    return [float(v) for v in np.log(counts / counts.sum() + 0.003)]


def describe(pixels: Pixels, palette: Floats) -> Floats:
    """Numbers about one picture: edges at two scales, palette, and the colours at top and foot."""
    small = shrink(pixels)
    calm = np.asarray(Image.fromarray(small).filter(ImageFilter.MedianFilter(3)), dtype=np.float64)
    numbers: list[float] = []
    for step in (1, 4):
        across = np.abs(calm[:, step:] - calm[:, :-step]).max(axis=2)
        down = np.abs(calm[step:] - calm[:-step]).max(axis=2)
        numbers += _shares(np.concatenate([across.ravel(), down.ravel()]), _EDGES)
    flat = calm.reshape(-1, 3)[::3]
    squared = (flat**2).sum(1)[:, None] - 2 * flat @ palette.T + (palette**2).sum(1)
    numbers += _shares(np.sqrt(np.maximum(squared.min(axis=1), 0)), _NEAR)
    coded = (calm.astype(np.int64) // 16) @ np.array([256, 16, 1])
    counts = np.sort(np.bincount(coded.ravel()))[::-1]
    covered = np.cumsum(counts) / counts.sum()
    numbers += [float(np.log1p(np.searchsorted(covered, share))) for share in (0.5, 0.75, 0.9)]
    for strip in (calm[:10], calm[-5:]):
        numbers += [float(v) / 16 for part in np.split(strip, 4, axis=1) for v in part.mean((0, 1))]
    return np.array(numbers)


@dataclass(frozen=True, slots=True)
class Domain:
    """The drawn world as one cloud of pictures per setting, by day and by night."""

    palette: Floats
    """K x 3: the colours that scenes are made of."""
    means: Floats
    """Clouds x numbers."""
    precisions: Floats
    """Clouds x numbers x numbers."""
    limit: float
    """Largest distance of a drawn scene."""

    def distance(self, pixels: Pixels) -> float:
        """Mahalanobis distance of a picture (H x W x 3, uint8) from the nearest cloud."""
        return float(self.distances(describe(pixels, self.palette)[None])[0])

    def distances(self, numbers: Floats) -> Floats:
        """The same for N x numbers of described pictures."""
        offsets = numbers[:, None] - self.means
        squares = np.einsum("nci,cij,ncj->nc", offsets, self.precisions, offsets)
        nearest: Floats = np.sqrt(np.maximum(squares.min(axis=1), 0.0))
        return nearest


@cache
def load_domain() -> Domain:
    """Read the shipped numbers."""
    with np.load(FILE) as raw:
        palette, means, precisions = (
            raw[key].astype(np.float64) for key in ("palette", "means", "precisions")
        )
        return Domain(palette, means, precisions, float(raw["limit"]))


def fit(count: int = 16_000, seed: str = "domain") -> Domain:
    """Measure drawn scenes of both worlds, flaws included."""
    from safejudge.sketch.drawing.draw import draw
    from safejudge.sketch.world.sample import even_scene, skewed_scene

    rng = random.Random(seed)
    scenes = [(even_scene, skewed_scene)[i % 2](rng) for i in range(count)]
    drawn = [draw(scene).pixels for scene in scenes]
    coded = np.concatenate([d[::6, ::6].reshape(-1, 3) for d in drawn[:3000]]) // 12
    colours, counts = np.unique(coded, axis=0, return_counts=True)
    palette = colours[np.argsort(counts)[::-1][:160]] * 12.0 + 6.0
    numbers = np.array([describe(d, palette) for d in drawn])
    means, precisions = [], []
    for stratum in sorted({(s.setting, s.night) for s in scenes}):
        cloud = numbers[[(s.setting, s.night) == stratum for s in scenes]]
        means.append(cloud.mean(axis=0))
        precisions.append(np.linalg.inv(np.cov(cloud.T) + 1e-3 * np.eye(cloud.shape[1])))
    loose = Domain(palette, np.array(means), np.array(precisions), 0.0)
    limit = float(np.quantile(loose.distances(numbers), 1 - 1 / 2000))
    return Domain(palette, loose.means, loose.precisions, limit)


def main() -> None:
    """Fit and write the shipped numbers: `python -m safejudge.sketch.ood`."""
    domain = fit()
    FILE.parent.mkdir(exist_ok=True)
    arrays = {key: getattr(domain, key) for key in ("palette", "means", "precisions")}
    numbers = {key: value.astype(np.float32) for key, value in arrays.items()}
    np.savez_compressed(FILE, limit=np.float32(domain.limit), **numbers)


if __name__ == "__main__":
    main()
