"""Arrays and tensors: nothing about layout or range is guessed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from images_corpus import gradient

from safejudge.errors import ImageError
from safejudge.images.load import load_image, load_images, split_batch
from safejudge.policy import Policy

POLICY = Policy()


def load(source, policy=POLICY):
    return load_image(source, name="x", policy=policy)


def pixels(source):
    (picture,) = load(source).pictures
    return picture.pixels


def reason(source, policy=POLICY):
    with pytest.raises(ImageError) as caught:
        load(source, policy)
    return caught.value.reason, str(caught.value)


RGB = gradient()
UNIT = RGB.astype(np.float64) / 255


@pytest.mark.parametrize(
    "source",
    [
        RGB,
        RGB.transpose(2, 0, 1),
        np.asfortranarray(RGB),
        UNIT,
        UNIT.astype(np.float32),
        UNIT.astype(np.float16),
        UNIT.astype(">f4").transpose(2, 0, 1),
        torch.from_numpy(RGB),
        torch.from_numpy(RGB).permute(2, 0, 1),
        torch.from_numpy(UNIT).permute(2, 0, 1).float(),
        torch.from_numpy(UNIT).half(),
        torch.from_numpy(UNIT).requires_grad_(),
        torch.nn.Parameter(torch.from_numpy(UNIT)).clone(),
        torch.from_numpy(UNIT - 0.0009),
    ],
)
def test_every_layout_and_type_gives_the_same_pixels(source):
    assert np.abs(pixels(source).astype(int) - RGB).max() == 0


def test_bfloat16_is_read_as_closely_as_it_can_say():
    found = pixels(torch.from_numpy(UNIT).to(torch.bfloat16).permute(2, 0, 1))
    assert np.abs(found.astype(int) - RGB).max() <= 1


@pytest.mark.parametrize("shape", [(20, 40), (20, 40, 1), (1, 20, 40)])
def test_grey(shape):
    grey = np.ascontiguousarray(RGB[..., 0])
    assert np.array_equal(pixels(grey.reshape(shape)), np.repeat(grey[..., None], 3, -1))


def test_a_fourth_channel_is_alpha():
    rgba = np.dstack([RGB, np.zeros((20, 40), np.uint8)])
    for source in (rgba, rgba.transpose(2, 0, 1)):
        white, black = load(source).pictures
        assert (white.pixels == 255).all()
        assert (black.pixels == 0).all()


@given(st.integers(0, 255), st.floats(-0.49, 0.49))
def test_floats_round_to_nearest(level, off):
    value = min(max((level + off) / 255, 0.0), 1.0)
    assert (pixels(np.full((2, 2), value)) == level).all()


@pytest.mark.parametrize(
    ("array", "hint"),
    [
        (UNIT * 2 - 1, "x / 2 + 0.5"),
        (UNIT * 255, "divide by 255"),
        (UNIT + 0.002, "divide by 255"),
        (np.where(RGB == 255, np.nan, UNIT), "NaN"),
        (np.where(RGB == 255, np.inf, UNIT), "NaN or infinity"),
    ],
)
def test_wrong_ranges_are_named_and_not_guessed(array, hint):
    for source in (array, torch.from_numpy(array)):
        word, message = reason(source)
        assert word == "bad_array"
        assert hint in message
        assert f"{array.max():g}" in message


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((3, 0), np.uint8),
        np.zeros((5,), np.uint8),
        np.array(3, np.uint8),
        np.zeros((3, 5, 3), np.uint8),  # first or last?
        np.zeros((4, 5, 3), np.uint8),
        np.zeros((8, 20, 40), np.uint8),  # a batch of grey images?
        np.zeros((20, 40, 2), np.uint8),
        np.zeros((2, 3, 20, 40), np.uint8),  # a batch
        np.zeros((1, 2, 3, 20, 40), np.uint8),
        np.zeros((20, 40), np.uint16),
        np.zeros((20, 40), np.int64),
        np.zeros((20, 40), bool),
        np.zeros((20, 40), complex),
        np.full((20, 40), None),
        np.full((20, 40), "a"),
        np.zeros((20, 40), [("r", "u1")]),
    ],
)
def test_wrong_shapes_and_types_are_refused_by_name(array):
    word, message = reason(array)
    assert word == "bad_array"
    assert str(array.shape) in message or array.dtype.name in message


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(20, 40, dtype=torch.int32),
        torch.zeros(20, 40).to_sparse(),
        torch.empty(20, 40, device="meta"),
        torch.zeros(20, 40, dtype=torch.complex64),
    ],
)
def test_tensors_without_plain_values_are_refused(tensor):
    assert reason(tensor)[0] == "bad_array"


def test_the_pixel_cap_holds_before_anything_is_copied():
    huge = np.broadcast_to(np.uint8(0), (100_000, 100_000, 3))
    assert reason(huge)[0] == "too_many_pixels"
    assert reason(torch.empty(3, 100_000, 100_000, device="meta"))[0] == "too_many_pixels"


def test_the_caller_s_array_is_neither_written_to_nor_shared():
    mine = UNIT.copy()
    load(mine)
    assert np.array_equal(mine, UNIT)
    raw = RGB.copy()
    picture = load(raw).pictures[0]
    raw[:] = 0
    assert np.array_equal(picture.pixels, RGB)
    with pytest.raises(ValueError, match="read-only"):
        picture.pixels[0, 0, 0] = 1


def test_id_covers_type_shape_and_data():
    sources = [RGB, RGB.reshape(40, 20, 3), 255 - RGB, UNIT, UNIT.astype(np.float32)]
    assert len({load(source).id for source in sources}) == len(sources)
    assert load(RGB).id == load(RGB.copy()).id == load(torch.from_numpy(RGB)).id


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 3, 1, 2)])
def test_a_batch_is_a_list_of_images(order):
    batch = np.stack([RGB, 255 - RGB]).transpose(order)
    for source in (batch, torch.from_numpy(batch), torch.from_numpy(batch / 255)):
        first, second = load_images(split_batch(source), POLICY)
        assert np.array_equal(first.pictures[0].pixels, RGB)
        assert np.array_equal(second.pictures[0].pixels, 255 - RGB)
        assert (first.name, second.name) == ("image[0]", "image[1]")


def test_split_batch_of_one_image_no_image_and_no_batch():
    assert len(split_batch(RGB)) == 1
    assert len(split_batch(RGB[..., 0])) == 1
    assert split_batch(np.zeros((0, 3, 8, 8))) == []
    with pytest.raises(ImageError, match=r"\(1, 1, 1, 8, 8\)"):
        split_batch(np.zeros((1, 1, 1, 8, 8)))


def test_one_bad_image_of_a_batch_fails_alone():
    batch = np.stack([UNIT, UNIT * 9, UNIT])
    good, bad, also_good = load_images(split_batch(batch), POLICY)
    assert good.id == also_good.id
    assert (bad.image, bad.reason) == ("image[1]", "bad_array")
