"""Frames that look the same: what counts as a difference, and what is shared."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge import Constitution, Judge, Policy
from safejudge.engines.fake import FakeEngine
from safejudge.engines.models import Models
from safejudge.method.alike import BLOCK, NOISE, look_alike, same_looks
from safejudge.types import Picture, Precondition, Rule, Severity

RANDOM = np.random.default_rng(8)
PLAIN = RANDOM.integers(20, 236, (45, 70, 3), dtype=np.uint8)


def changed(rows, columns, by):
    pixels = PLAIN.copy()
    pixels[rows, columns] = np.clip(pixels[rows, columns].astype(int) + by, 0, 255)
    return Picture.of(pixels)


def test_grain_is_no_difference():
    grain = RANDOM.integers(-3, 4, PLAIN.shape)
    noisy = Picture.of(np.clip(PLAIN.astype(int) + grain, 0, 255).astype(np.uint8))
    assert look_alike(Picture.of(PLAIN), noisy)


@given(
    top=st.integers(0, 44), left=st.integers(0, 69), size=st.integers(6, 12), by=st.integers(40, 90)
)
def test_what_appears_anywhere_is_a_difference(top, left, size, by):
    """However small a part of the picture it is, down to a few pixels at an edge."""
    rows, columns = slice(top, top + size), slice(left, left + size)
    height, width = min(size, 45 - top), min(size, 70 - left)
    # In the block that it fills most it moves the mean by this at least.
    share = (min(height, BLOCK) / 2) * (min(width, BLOCK) / 2) / BLOCK**2
    if share * by * 0.5 > NOISE:
        assert not look_alike(Picture.of(PLAIN), changed(rows, columns, by))


def test_other_sizes_and_backgrounds_are_other_pictures():
    assert not look_alike(Picture.of(PLAIN), Picture.of(PLAIN[:, :-1]))
    white, black = (Picture.of(PLAIN, background=b) for b in ("white", "black"))
    assert not look_alike(white, black)


def test_a_slow_change_is_seen_in_the_end():
    """Every frame is near the one before it, and the last is far from the first."""
    frames = [Picture.of((PLAIN.astype(int) * 0.5 + 2 * n).astype(np.uint8), n) for n in range(12)]
    same = same_looks(frames)
    assert same[0] is None
    assert all(
        one is None or look_alike(one, frame) for one, frame in zip(same, frames, strict=True)
    )
    assert sum(one is None for one in same) >= 4


RULES = Constitution(
    name="one",
    rules=(
        Rule(
            id="dog",
            category="animals",
            severity=Severity.LOW,
            text="No dogs.",
            objective="A dog is visible.",
            condition=Precondition(statement="a dog is visible"),
        ),
    ),
)


def animation(tmp_path, frames):
    from PIL import Image

    first, *others = (Image.fromarray(frame) for frame in frames)
    path = tmp_path / "frames.png"
    first.save(path, save_all=True, append_images=others, duration=100)
    return path


@pytest.mark.parametrize(("shares", "reasonings"), [(False, 4), (True, 2)])
def test_frames_that_look_the_same_are_reasoned_about_once(tmp_path, shares, reasonings):
    other = np.ascontiguousarray(PLAIN[::-1])
    frames = [PLAIN, PLAIN ^ 1, PLAIN ^ 2, other]
    engine = FakeEngine(lambda _: 0.5, replies=None)
    judge = Judge(RULES, Models(engine), Policy(shared_reasoning=shares, relevance=False))
    (judgment,) = judge([animation(tmp_path, frames)])
    free = [r for wave in engine.history for r in wave if getattr(r, "schema", 1) is None]
    assert len(free) == reasonings
    probes = {p.images for wave in engine.history for p in wave if hasattr(p, "question")}
    assert len(probes) == 5, "every frame is still asked about itself, and the prior once"
    assert judgment.frames.looked_at == 4


def test_the_setting_is_no_other_policy_while_it_is_off():
    assert Policy().digest() == Policy(shared_reasoning=False).digest()
    assert Policy().digest() != Policy(shared_reasoning=True).digest()
