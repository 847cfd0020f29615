"""Pictures that are too large, or too small, for a model: scaled before it sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pytest
import tiny_models
from hypothesis import given
from hypothesis import strategies as st
from test_engines import ask, free

from safejudge.engines.local.hf import HFEngine
from safejudge.engines.local.pixels import PixelRange
from safejudge.engines.open import open_engine
from safejudge.errors import EngineSetupError
from safejudge.types import Picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LARGE = Picture.of(np.random.default_rng(4).integers(0, 256, (60, 90, 3), dtype=np.uint8))
SMALL = Picture.of(np.random.default_rng(5).integers(0, 256, (20, 10, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def opened(tiny_folder: Callable[[str], Path]) -> Callable[..., HFEngine]:
    def open_one(family: str = "qwen2_5_vl", **options: Any) -> HFEngine:
        with tiny_models.pictures_only():
            return HFEngine(str(tiny_folder(family)), uri="hf:x", device="cpu", **options)

    return open_one


def test_a_large_picture_is_read_as_the_smaller_one(opened: Callable[..., HFEngine]) -> None:
    smaller = Picture.of(np.asarray(PixelRange(most=1500).image(LARGE)))
    assert smaller.pixels.shape == (31, 47, 3)
    plain, bounded = opened(), opened(max_pixels=1500)
    assert bounded.answer_probs([ask((LARGE,))]) == plain.answer_probs([ask((smaller,))])
    assert bounded.answer_probs([ask((LARGE,))]) != plain.answer_probs([ask((LARGE,))])
    assert bounded.answer_probs([ask((SMALL,))]) == plain.answer_probs([ask((SMALL,))])
    (question,) = [free("What?", images=(LARGE,))]
    assert bounded.reason([question]) == plain.reason([free("What?", images=(smaller,))])
    lengths = [e._reader.lengths(e._reader.prepare([ask((LARGE,))])) for e in (bounded, plain)]
    assert lengths[0] < lengths[1]


@pytest.mark.parametrize("family", ["llava", "gemma3"])
def test_both_readers_scale(opened: Callable[..., HFEngine], family: str) -> None:
    engine = opened(family, max_pixels=600, min_pixels=400)
    seen = []
    image = PixelRange.image

    def noted(self: PixelRange, picture: Picture) -> Any:
        seen.append(image(self, picture).size)
        return image(self, picture)

    with patch.object(PixelRange, "image", noted):
        assert engine.answer_probs([ask((LARGE,)), ask((SMALL,))])[0].problem is None
        engine.reason([free("What?", images=(LARGE,))])
    assert all(400 <= width * height <= 600 for width, height in seen)


def test_the_bounds_are_part_of_the_revision(opened: Callable[..., HFEngine]) -> None:
    options = [{}, {"max_pixels": 500}, {"max_pixels": 501}, {"min_pixels": 500}]
    assert len({opened(**some).card.revision for some in options}) == 4
    assert opened().card.revision == opened(max_pixels=None).card.revision


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_pixels": 0}, "max_pixels must be a whole number above 0, not 0"),
        ({"max_pixels": "many"}, "not 'many'"),
        ({"max_pixels": 1e6}, "not 1000000.0"),
        ({"max_pixels": True}, "not True"),
        ({"min_pixels": -1}, "min_pixels must be"),
        ({"min_pixels": 10, "max_pixels": 9}, r"min_pixels \(10\) is above max_pixels \(9\)"),
    ],
)
def test_bounds_that_no_picture_can_keep(
    tiny_folder: Callable[[str], Path], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(EngineSetupError, match=says):
        open_engine(f"hf:{tiny_folder('llava')}", **options)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 20_000), st.integers(1, 20_000))
def test_sizes_stay_within_the_bounds(width: int, height: int, one: int, other: int) -> None:
    least, most = sorted((one, other))
    new = PixelRange(least, most)._size(width, height)
    assert 1 <= new[0] * new[1] <= most
    if least <= width * height <= most:
        assert new == (width, height)
    down = PixelRange(None, most)._size(width, height)
    assert down[0] <= width
    assert down[1] <= height
    up = PixelRange(least, None)._size(width, height)
    assert up[0] * up[1] >= least
