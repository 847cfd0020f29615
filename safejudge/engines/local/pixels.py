"""How large a picture may be for a model: larger ones are scaled down before it sees them.

A photograph of 12 million pixels is twelve thousand tokens for some models (Qwen VL), where a
hundredth of that would do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safejudge.engines.requests import as_image
from safejudge.errors import EngineSetupError

if TYPE_CHECKING:
    from PIL import Image

    from safejudge.types import Picture


@dataclass(frozen=True, slots=True)
class PixelRange:
    """The least and the most pixels of a picture, width times height; None: any."""

    least: int | None = None
    most: int | None = None

    def check(self) -> None:
        """Raise `EngineSetupError` for bounds that no picture can keep."""
        for name, value in self.identity().items():
            if type(value) is not int or value < 1:
                raise EngineSetupError(f"{name} must be a whole number above 0, not {value!r}")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise EngineSetupError(
                f"min_pixels ({self.least}) is above max_pixels ({self.most}); turn them round"
            )

    def identity(self) -> dict[str, int]:
        """The bounds that are set, by the names of their options: they move numbers."""
        bounds = {"min_pixels": self.least, "max_pixels": self.most}
        return {name: value for name, value in bounds.items() if value is not None}

    def image(self, picture: Picture) -> Image.Image:
        """Return a picture as PIL, scaled into the bounds; its shape is kept as far as it goes."""
        from PIL import Image

        image = as_image(picture)
        size = self._size(image.width, image.height)
        if size == image.size:
            return image
        return image.resize(size, Image.Resampling.LANCZOS)

    def _size(self, width: int, height: int) -> tuple[int, int]:
        if self.least is not None and width * height < self.least:
            grown = math.sqrt(self.least / (width * height))
            width, height = math.ceil(width * grown), math.ceil(height * grown)
        if self.most is not None and width * height > self.most:
            shrunk = math.sqrt(self.most / (width * height))
            width = max(1, math.floor(width * shrunk))
            height = max(1, min(math.floor(height * shrunk), self.most // width))
            width = min(width, self.most // height)
        return width, height
