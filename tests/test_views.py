"""Views: what is removed is gone, what is cut out is there, and the rest is untouched."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from safejudge.method.views import GREY, covered_share, region_crop, region_removed
from safejudge.types import Box, Picture


def picture(height=20, width=30, frame=None, background=None):
    rng = np.random.default_rng(0)
    return Picture.of(rng.integers(0, 255, (height, width, 3)).astype(np.uint8), frame, background)


def box(left, top, right, bottom):
    return Box(word="knife", confidence=0.5, left=left, top=top, right=right, bottom=bottom)


@st.composite
def boxes(draw, height=20, width=30):
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    right, bottom = draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height))
    return box(left, top, right, bottom)


def inside(some):
    mask = np.zeros((20, 30), bool)
    for b in some:
        mask[b.top : b.bottom, b.left : b.right] = True
    return mask


@given(st.lists(boxes(), min_size=1, max_size=3), st.sampled_from(["surround", "grey"]))
def test_only_the_region_changes(some, fill):
    before = picture(frame=3, background="black")
    after = region_removed(before, some, fill)
    mask = inside(some)
    assert (after.pixels[~mask] == before.pixels[~mask]).all()
    assert after.pixels.shape == before.pixels.shape
    assert (after.frame, after.background) == (3, "black")
    assert covered_share(before, some) == mask.mean()
    if fill == "grey":
        assert (after.pixels[mask] == GREY).all()


@given(boxes())
def test_a_removed_region_says_nothing_of_what_it_held(one):
    dark = picture().pixels.copy()
    dark[one.top : one.bottom, one.left : one.right] = 0
    light = dark.copy()
    light[one.top : one.bottom, one.left : one.right] = 255
    removed = [region_removed(Picture.of(p), [one], "surround") for p in (dark, light)]
    assert removed[0] == removed[1]


def test_the_fill_is_the_colour_around():
    pixels = np.full((20, 30, 3), (10, 200, 30), np.uint8)
    pixels[5:10, 5:10] = 0
    after = region_removed(Picture.of(pixels), [box(5, 5, 10, 10)], "surround")
    assert (after.pixels == (10, 200, 30)).all()


def test_a_region_without_surroundings_is_grey():
    after = region_removed(picture(), [box(0, 0, 30, 20)], "surround")
    assert (after.pixels == GREY).all()


def test_neighbouring_boxes_do_not_colour_each_other():
    pixels = np.full((20, 30, 3), 50, np.uint8)
    pixels[:, :5] = 255
    some = [box(0, 0, 5, 20), box(5, 0, 10, 20)]
    after = region_removed(Picture.of(pixels), some, "surround")
    assert (after.pixels[:, 5:10] == 50).all()


def test_views_of_one_picture_are_different_pictures():
    whole, one = picture(), box(3, 4, 9, 9)
    seen = [whole, region_removed(whole, [one], "surround"), region_crop(whole, [one])]
    assert len({view.digest for view in seen}) == 3


@given(st.lists(boxes(), min_size=1, max_size=3))
def test_a_crop_holds_the_region_and_stays_inside(some):
    whole = picture()
    marked = whole.pixels.copy()
    marked[inside(some)] = (1, 2, 3)
    cut = region_crop(Picture.of(marked), some)
    assert (cut.pixels == (1, 2, 3)).all(axis=2).sum() >= inside(some).sum()
    assert cut.pixels.shape[0] <= 20
    assert cut.pixels.shape[1] <= 30


def test_a_crop_has_a_margin_of_the_longer_side():
    cut = region_crop(picture(100, 100), [box(40, 50, 44, 52)])
    assert cut.pixels.shape == (2 + 8, 4 + 8, 3)
