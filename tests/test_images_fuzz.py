"""Random bytes, cuts and damage end in pictures or in a `Failure`, never in another exception."""

from __future__ import annotations

import warnings

from hypothesis import example, given, settings
from hypothesis import strategies as st
from images_corpus import REASONS, valid_files

from safejudge.errors import ImageError
from safejudge.images.decoding import decode
from safejudge.images.load import load_images
from safejudge.policy import Policy
from safejudge.types import Failure

FILES = valid_files()


POLICY = Policy(max_pixels=100_000, max_frames=4)


def decoded_here(data):
    """How many pictures, in this process, where nothing unforeseen is caught; 0 if refused."""
    try:
        return len(decode(data, "image[0]", POLICY).pictures)
    except ImageError:
        return 0


def loads_or_refuses(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (found,) = load_images([data], POLICY)
        here = decoded_here(data)
    if isinstance(found, Failure):
        assert found.reason in REASONS
        assert len(found.message) < 600
        assert here == 0
    else:
        assert len(found.pictures) == here


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
@example(b"BM" + b"\0" * 60)
@example(b"P6 9 9 255\n")
@example(b"P5 1 1 0\n\0")
def test_random_bytes(data):
    loads_or_refuses(data)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_random_truncations(name, data):
    whole = FILES[name]
    loads_or_refuses(whole[: data.draw(st.integers(0, len(whole) - 1))])


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_random_damage(name, data):
    damaged = bytearray(FILES[name])
    near = data.draw(st.sampled_from([64, len(damaged)]))  # headers are short and matter most
    for _ in range(data.draw(st.integers(1, 8))):
        where = data.draw(st.integers(0, min(len(damaged), near) - 1))
        damaged[where] = data.draw(st.integers(0, 255))
    loads_or_refuses(bytes(damaged))
