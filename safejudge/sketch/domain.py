"""Whether a picture is drawn the way the sketch judge's world is: arithmetic on pixels, no model.

The judge itself answers "Unclear" for pictures that are no drawn scenes; this is the second lock
on the same door, and it does not depend on what the model learned. A picture is described by
numbers about flatness, edges and palette; its Mahalanobis distance from the drawn scenes must not
exceed the distance that one drawn scene in two thousand has.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from safejudge.sketch.world import SIZE

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float64]

FILE = Path(__file__).parent / "models" / "domain.json"
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
    """Numbers about one picture: edges at two scales, distance to the palette, colours needed."""
    small = shrink(pixels)
    calm = np.asarray(
        Image.fromarray(small).filter(ImageFilter.MedianFilter(3)), dtype=np.float64
    )
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
    return np.array(numbers)


@dataclass(frozen=True, slots=True)
class Domain:
    """The drawn world as a cloud of pictures."""

    palette: Floats
    """K x 3: the colours that scenes are made of."""
    mean: Floats
    precision: Floats
    limit: float
    """Largest Mahalanobis distance of a drawn scene."""

    def distance(self, pixels: Pixels) -> float:
        """Mahalanobis distance of a picture (H x W x 3, uint8) from the drawn scenes."""
        offset = describe(pixels, self.palette) - self.mean
        return float(np.sqrt(max(0.0, offset @ self.precision @ offset)))


@cache
def load_domain() -> Domain:
    """Read the shipped numbers."""
    raw = json.loads(FILE.read_text(encoding="utf-8"))
    arrays = {key: np.array(raw[key]) for key in ("palette", "mean", "precision")}
    return Domain(**arrays, limit=float(raw["limit"]))


def fit(count: int = 12_000, seed: str = "domain") -> Domain:
    """Measure drawn scenes of both worlds, flaws included."""
    from safejudge.sketch.draw import draw
    from safejudge.sketch.sample import even_scene, skewed_scene

    rng = random.Random(seed)
    drawn = [draw((even_scene, skewed_scene)[i % 2](rng)).pixels for i in range(count)]
    coded = np.concatenate([d[::6, ::6].reshape(-1, 3) for d in drawn[:3000]]) // 12
    colours, counts = np.unique(coded, axis=0, return_counts=True)
    palette = colours[np.argsort(counts)[::-1][:160]] * 12.0 + 6.0
    numbers = np.array([describe(d, palette) for d in drawn])
    mean = numbers.mean(axis=0)
    precision = np.linalg.inv(np.cov(numbers.T) + 1e-3 * np.eye(len(mean)))
    loose = Domain(palette, mean, precision, 0.0)
    distances = [loose.distance(d) for d in drawn]
    return Domain(palette, mean, precision, float(np.quantile(distances, 1 - 1 / 2000)))


def main() -> None:
    """Fit and write the shipped numbers: `python -m safejudge.sketch.domain`."""
    domain = fit()
    FILE.parent.mkdir(exist_ok=True)
    rounded = {
        "palette": domain.palette.tolist(),
        "mean": domain.mean.round(5).tolist(),
        "precision": domain.precision.round(5).tolist(),
        "limit": round(domain.limit, 3),
    }
    FILE.write_text(json.dumps(rounded) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
