"""Pixels are what a viewer sees: turned, scaled, colour-managed, composited, sampled."""

from __future__ import annotations

import io
import struct
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from images_corpus import animation, encode, gradient, png, red_green_profile
from PIL import Image, ImageCms

from safejudge.errors import ImageError
from safejudge.images import decoders, sampling
from safejudge.images.load import load_image
from safejudge.policy import Policy
from safejudge.types import Frames

POLICY = Policy()


def pictures(source, **policy):
    return load_image(source, name="x", policy=Policy(**policy)).pictures


def pixels(source, **policy):
    (picture,) = pictures(source, **policy)
    return picture.pixels


# --- sampling -----------------------------------------------------------------------------------

shown_times = st.lists(st.integers(11, 60_000).map(float), min_size=1, max_size=60)


@given(shown_times, st.integers(1, 20), st.binary(max_size=8))
def test_a_sample_is_sorted_full_and_starts_with_the_first_frame(shown, most, seed):
    chosen = sampling.sample(shown, most, seed)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(most, len(shown))
    assert most == 1 or chosen[0] == 0
    assert chosen == sampling.sample(list(shown), most, seed)


@given(shown_times, st.integers(2, 20), st.binary(max_size=8))
def test_a_frame_shown_longer_than_a_stretch_is_never_missed(shown, most, seed):
    stretch = sum(shown[1:]) / (most - 1)
    long = {index for index, time in enumerate(shown) if index > 0 and time > stretch}
    assert long <= set(sampling.sample(shown, most, seed))


def test_one_endless_frame_does_not_swallow_the_sample():
    shown = [20.0] * 51
    shown[20], shown[33] = 1e6, 900.0
    for seed in (b"a", b"b", b"c"):
        chosen = sampling.sample(shown, 5, seed)
        assert {0, 20, 33} < set(chosen)
        assert len(chosen) == 5


def test_every_frame_has_a_chance_and_no_moment_is_known():
    shown = [100.0] * 40
    samples = [sampling.sample(shown, 8, bytes([seed])) for seed in range(200)]
    assert set().union(*samples) == set(range(40))
    times_seen = Counter(index for chosen in samples for index in chosen if index > 0)
    assert max(times_seen.values()) < 4 * min(times_seen.values())  # each 7 of 39 times, nearly


def test_a_long_run_of_other_frames_is_hit_more_often_the_longer_it_is():
    def hits(length):
        unsafe = set(range(50, 50 + length))
        runs = (sampling.sample([20.0] * 100, 8, bytes([seed])) for seed in range(200))
        return sum(not unsafe.isdisjoint(chosen) for chosen in runs)

    assert hits(1) < hits(5) < hits(12) <= 200
    assert hits(2 * 100 // 7 + 1) == 200  # so many hold a whole stretch, wherever it begins


@pytest.mark.parametrize("fmt", ["GIF", "WEBP", "PNG", "AVIF"])
def test_the_long_frame_is_seen_and_named(fmt):
    colours = [(10 * i, 0, 0) for i in range(12)]
    colours[8] = (0, 255, 0)
    durations = [20] * 12
    durations[8] = 2000
    seen = {p.frame: p for p in pictures(animation(colours, durations, fmt), max_frames=3)}
    assert len(seen) == 3
    assert {0, 8} < set(seen)  # longer than each half of the time of all but the first
    assert seen[8].pixels[4, 4, 1] > 240
    assert len(pictures(animation(colours, durations, fmt), max_frames=1)) == 1


@pytest.mark.parametrize("fmt", ["GIF", "WEBP", "PNG", "AVIF", "TIFF"])
def test_a_short_animation_is_seen_whole(fmt):
    seen = pictures(animation(["red", "lime", "blue"], [100, 100, 100], fmt))
    assert [picture.frame for picture in seen] == [0, 1, 2]
    strongest = [int(np.argmax(picture.pixels[4, 4])) for picture in seen]
    assert strongest == [0, 1, 2]


def test_identical_frames_are_one_picture_with_the_first_index():
    seen = pictures(animation(["red", "lime", "red"], [100, 100, 100], "TIFF"))
    assert [picture.frame for picture in seen] == [0, 1]


def several(*types):
    """A JPEG of several pictures (MPO) whose list says what each is, by numbers of CIPA DC-007."""
    stream = io.BytesIO()
    first, *others = (Image.new("RGB", (64, 48), (40 * i, 90, 200)) for i in range(len(types)))
    first.save(stream, "MPO", save_all=True, append_images=others)
    content = bytearray(stream.getvalue())
    entries = content.index(b"MPF\0") + 54  # after its header and three fields, as Pillow writes it
    for place, number in enumerate(types):
        struct.pack_into("<L", content, entries + 16 * place, number)
    return bytes(content)


PRIMARY, THUMBNAIL, STEREO, UNDEFINED = 0x030000, 0x010002, 0x020002, 0


@pytest.mark.parametrize(
    ("types", "seen"),
    [((STEREO, STEREO), {0, 1}), ((PRIMARY, THUMBNAIL), {None}), ((PRIMARY, UNDEFINED), {None})],
)
def test_both_views_of_a_stereo_photograph_are_looked_at_and_no_preview(types, seen):
    assert {picture.frame for picture in pictures(several(*types))} == seen


def test_pages_may_differ_in_size_and_each_is_capped():
    first, second = Image.new("RGB", (8, 8)), Image.new("L", (30, 20), 9)
    data = encode(first, "TIFF", save_all=True, append_images=[second])
    assert [p.pixels.shape for p in pictures(data)] == [(8, 8, 3), (20, 30, 3)]
    with pytest.raises(ImageError, match="30 x 20") as caught:
        pictures(data, max_pixels=599)
    assert caught.value.reason == "too_many_pixels"


def test_frames_together_are_bounded_before_they_are_kept():
    data = animation(["red", "lime", "blue", "black", "white"], [100] * 5)
    with pytest.raises(ImageError, match="5 sampled frames") as caught:
        pictures(data, max_pixels=64)
    assert caught.value.reason == "too_many_pixels"
    assert len(pictures(data, max_pixels=64, max_frames=2)) == 2


def test_backgrounds_count_among_what_is_kept():
    frames = [Image.new("RGBA", (8, 8), (9 * i, 0, 0, 128)) for i in range(2)]
    data = encode(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=100)
    with pytest.raises(ImageError, match="on all backgrounds") as caught:
        pictures(data, max_pixels=64)
    assert caught.value.reason == "too_many_pixels"
    assert len(pictures(data, max_pixels=64, background="white")) == 2
    assert len(pictures(data, max_pixels=128)) == 4


def test_looking_through_frames_is_bounded(monkeypatch):
    monkeypatch.setattr(decoders, "is_ordinary", lambda _: True)  # decode here
    data = animation([(i, 0, 0) for i in range(30)], [100] * 30)
    with pytest.raises(ImageError, match="more than 12 frames") as caught:
        pictures(data, max_pixels=64, max_frames=1)
    assert caught.value.reason == "too_many_pixels"
    monkeypatch.setattr(sampling, "_MAX_WALKED", 10)
    with pytest.raises(ImageError, match="more than 10 frames"):
        pictures(data)


# --- how much was looked at ---------------------------------------------------------------------


def looked_at(source, **policy):
    return load_image(source, name="x", policy=Policy(**policy)).frames


@pytest.mark.parametrize("fmt", ["GIF", "WEBP", "PNG", "AVIF", "TIFF"])
def test_how_many_frames_were_looked_at_is_said(fmt):
    data = animation([(9 * i, 0, 0) for i in range(20)], [100] * 20, fmt)
    assert looked_at(data) == Frames(looked_at=8, of=20)
    assert looked_at(data, max_frames=3) == Frames(looked_at=3, of=20)
    assert looked_at(data, max_frames=20).all
    assert looked_at(data, max_frames=None, max_pixels=1000).all
    assert looked_at(encode(Image.new("RGB", (8, 8)), fmt)) is None


def dotted(count):
    """Frames that differ, then as many that all look the same."""
    colours = [(200, 9 * i, 0) for i in range(count)]
    gif = animation([*colours, "blue"], [100] * (count + 1))
    last = gif[gif.rindex(b"\x21\xf9\x04") : -1]  # an encoder would join equal frames
    return gif[:-1] + (count - 1) * last + b";"


def test_frames_that_look_like_the_one_before_are_one_long_frame():
    data = dotted(12)
    assert Image.open(io.BytesIO(data)).n_frames == 24
    found = load_image(data, name="x", policy=Policy(max_frames=3))
    blue = [picture.frame for picture in found.pictures if picture.pixels[0, 0, 2] > 200]
    assert blue == [12]  # shown half of the time: longer than a stretch
    assert found.frames == Frames(looked_at=2 + 12, of=24)


def test_the_same_content_is_sampled_alike_and_a_secret_changes_it():
    def frames_of(blue, seed=""):
        colours = [(i, 2 * i, blue) for i in range(100)]
        data = animation(colours, [100] * 100, "WEBP", size=(4, 4))
        return tuple(picture.frame for picture in pictures(data, frame_seed=seed))

    assert frames_of(0) == frames_of(0)
    assert len({frames_of(0, seed) for seed in ("", "a", "b", "c")}) == 4
    assert frames_of(9) != frames_of(0)


def test_a_pil_image_is_sampled_by_what_it_shows():
    data = animation([(i, 2 * i, 0) for i in range(100)], [100] * 100, size=(4, 4))
    with Image.open(io.BytesIO(data)) as image:
        found = [load_image(image, name="x", policy=POLICY) for _ in range(2)]
        secret = load_image(image, name="x", policy=Policy(frame_seed="secret"))
    assert found[0] == found[1]
    assert found[0].frames == Frames(looked_at=8, of=100)
    assert secret.pictures != found[0].pictures


# --- orientation --------------------------------------------------------------------------------

UPRIGHT = {  # orientation → how the stored pixels come from the upright ones
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: np.rot90,
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("fmt", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation_gives_the_upright_pixels(orientation, fmt):
    exif = Image.Exif()
    exif[274] = orientation
    stored = Image.fromarray(np.ascontiguousarray(UPRIGHT[orientation](gradient())))
    options = {"lossless": True} if fmt == "WEBP" else {}
    data = encode(stored, fmt, exif=exif, **options)
    assert np.array_equal(pixels(data), gradient())
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(pixels(image), gradient())


def test_a_turned_jpeg_equals_its_pre_turned_twin():
    exif = Image.Exif()
    exif[274] = 6
    data = encode(Image.fromarray(np.rot90(gradient())), "JPEG", exif=exif, quality=95)
    found = pixels(data).astype(int)
    assert found.shape == (20, 40, 3)
    assert np.abs(found - gradient()).mean() < 12


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_senseless_orientation_turns_nothing(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    assert np.array_equal(pixels(encode(Image.fromarray(gradient()), exif=exif)), gradient())


def test_broken_exif_is_no_reason_to_refuse():
    data = encode(Image.fromarray(gradient()), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert np.array_equal(pixels(data), gradient())


# --- modes --------------------------------------------------------------------------------------


def composite(rgb, alpha, ground):
    share = alpha[..., None].astype(float) / 255
    return rgb * share + ground * (1 - share)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 2**32 - 1),
)
def test_any_png_round_trips_to_what_is_seen(mode, height, width, seed):
    rng = np.random.default_rng(seed)
    rgba = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
    grey, alpha = rgba[..., 0], None
    rgb = np.repeat(grey[..., None], 3, -1)
    if mode == "1":
        image = Image.fromarray(grey > 127)
        rgb = np.where(rgb > 127, 255, 0)
    elif mode == "L":
        image = Image.fromarray(grey)
    elif mode == "LA":
        image, alpha = Image.fromarray(np.ascontiguousarray(rgba[..., :2]), "LA"), rgba[..., 1]
    elif mode == "P":
        palette = rng.integers(0, 256, (256, 3), dtype=np.uint8)
        image = Image.fromarray(grey).copy()
        image.putpalette(palette.tobytes())
        rgb = palette[grey]
    elif mode == "RGB":
        image, rgb = Image.fromarray(np.ascontiguousarray(rgba[..., :3])), rgba[..., :3]
    elif mode == "RGBA":
        image, rgb, alpha = Image.fromarray(rgba), rgba[..., :3], rgba[..., 3]
    else:
        deep = rng.integers(0, 65536, (height, width), dtype=np.uint16)
        image = Image.fromarray(deep)
        rgb = np.repeat(np.rint(deep / 257)[..., None], 3, -1)
    if alpha is None or alpha.min() == 255:
        assert np.array_equal(pixels(encode(image)), rgb)
        return
    for picture in pictures(encode(image)):
        ground = {"white": 255, "black": 0}[picture.background]
        assert np.abs(picture.pixels - composite(rgb, alpha, ground)).max() <= 1


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
def test_sixteen_bits_are_scaled_and_not_clipped(mode):
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    image = Image.fromarray(ramp)
    if mode == "I;16B":
        image = Image.frombytes("I;16B", (256, 256), ramp.astype(">u2").tobytes())
    elif mode == "I":
        image = Image.fromarray(ramp.astype(np.int32))
    for source in (image, encode(image, "TIFF")):
        found = pixels(source)
        assert (found == 255).mean() < 0.01
        assert np.array_equal(found[..., 0], np.rint(ramp / 257).astype(np.uint8))


def test_sixteen_bit_colour_png():
    row = struct.pack(">6H", 0, 0x8000, 0xFFFF, 0x1200, 0x3456, 0x7890)
    found = pixels(png(2, 1, 16, 2, [row])).astype(int)
    assert np.abs(found - [[[0, 128, 255], [0x12, 0x34, 0x78]]]).max() <= 1


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_float_grey_takes_the_smallest_range_that_holds_it(top):
    values = np.linspace(0, top, 100, dtype=np.float32).reshape(10, 10)
    found = pixels(encode(Image.fromarray(values), "TIFF"))[..., 0]
    assert np.array_equal(found, np.rint(values * (255 / top)).astype(np.uint8))


@pytest.mark.parametrize("bad", [-1.0, 1e9, float("nan"), float("inf")])
def test_float_grey_without_a_scale_is_refused(bad):
    values = np.full((4, 4), 0.5, dtype=np.float32)
    values[2, 2] = bad
    with pytest.raises(ImageError, match="no known scale") as caught:
        pixels(encode(Image.fromarray(values), "TIFF"))
    assert caught.value.reason == "unsupported"


def test_pgm_of_odd_depth():
    assert pixels(b"P5 2 1 1023\n\x03\xff\x00\x00")[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize("fmt", ["JPEG", "TIFF"])
def test_cmyk_including_adobe_inversion(fmt):
    inks = {(0, 255, 255, 0): (255, 0, 0), (0, 0, 0, 255): (0, 0, 0), (0, 0, 0, 0): (255,) * 3}
    for ink, expected in inks.items():
        data = encode(Image.new("CMYK", (16, 16), ink), fmt)
        assert (b"Adobe" in data) == (fmt == "JPEG")
        assert np.abs(pixels(data).astype(int) - expected).max() <= 3


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "LAB", "RGBX", "PA", "La", "RGBa"])
def test_rare_modes_show_the_colour_that_went_in(mode):
    colour = (200, 30, 60) if mode not in ("La", "PA") else (90, 90, 90)
    image = Image.new("RGB", (4, 4), colour)
    if mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(
            image, ImageCms.createProfile("sRGB"), lab, outputMode="LAB"
        )
    elif mode == "La":
        image = image.convert("LA").convert("La")
    elif mode == "RGBa":
        image = image.convert("RGBA").convert("RGBa")
    elif mode == "PA":
        image = image.convert("L").convert("PA")
    else:
        image = image.convert(mode)
    assert image.mode == mode
    assert np.abs(pixels(image).astype(int) - colour).max() <= 4


# --- transparency -------------------------------------------------------------------------------


def assert_hidden(source, shape=(4, 4, 3)):
    """Fully transparent everywhere: white on white, black on black, whatever lies below."""
    white, black = pictures(source)
    assert (white.background, black.background) == ("white", "black")
    assert np.array_equal(white.pixels, np.full(shape, 255))
    assert np.array_equal(black.pixels, np.zeros(shape))


def test_transparent_red_is_not_red():
    data = encode(Image.new("RGBA", (4, 4), (255, 0, 0, 0)))
    assert_hidden(data)
    for ground, level in (("white", 255), ("black", 0)):
        (picture,) = pictures(data, background=ground)
        assert picture.background == ground
        assert (picture.pixels == level).all()


def test_every_way_to_be_transparent():
    assert_hidden(encode(Image.new("LA", (4, 4), (90, 0))))
    assert_hidden(encode(Image.new("L", (4, 4), 90), transparency=90))
    assert_hidden(encode(Image.new("RGB", (4, 4), (9, 8, 7)), transparency=(9, 8, 7)))
    assert_hidden(encode(Image.new("1", (4, 4), 1), transparency=1))
    palette = Image.new("RGB", (4, 4), "red").quantize(4)
    assert_hidden(encode(palette, transparency=palette.getpixel((0, 0))))
    assert_hidden(encode(palette, transparency=b"\0\0\0\0"))
    assert_hidden(encode(palette, "GIF", transparency=palette.getpixel((0, 0))))
    assert_hidden(encode(Image.new("RGBA", (4, 4), (255, 0, 0, 0)), "WEBP", lossless=True))
    rows = [struct.pack(">4H", *[0x1234] * 4)] * 4
    assert_hidden(png(4, 4, 16, 0, rows, transparent=struct.pack(">H", 0x1234)))
    rows = [struct.pack(">12H", *[0x1234] * 12)] * 4
    assert_hidden(png(4, 4, 16, 2, rows, transparent=struct.pack(">3H", *[0x1234] * 3)))


def test_opaque_alpha_is_one_picture_without_background():
    (picture,) = pictures(encode(Image.new("RGBA", (4, 4), (255, 0, 0, 255))))
    assert picture.background is None
    assert (picture.pixels == (255, 0, 0)).all()


def test_one_pixel_less_than_opaque_is_enough_for_two():
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 255))
    image.putpixel((3, 3), (255, 0, 0, 254))
    assert [p.background for p in pictures(encode(image))] == ["white", "black"]


# --- colour profiles ----------------------------------------------------------------------------


def test_a_profile_that_swaps_colours_is_followed():
    for mode in ("RGB", "RGBA", "P"):
        image = Image.new("RGB", (4, 4), (255, 0, 0)).convert(mode)
        found = pixels(encode(image, icc_profile=red_green_profile()))[0, 0].tolist()
        assert found[1] > 200
        assert found[0] < 100


@pytest.mark.parametrize(
    ("image", "profile"),
    [
        (Image.fromarray(gradient()), b"not a profile"),
        (Image.fromarray(gradient()), red_green_profile()[:300]),
        (Image.fromarray(gradient()).convert("CMYK"), red_green_profile()),
    ],
)
def test_a_broken_or_unfitting_profile_is_ignored(image, profile):
    data = encode(image, "TIFF", icc_profile=profile)
    assert np.array_equal(pixels(data), np.asarray(image.convert("RGB")))


def test_an_srgb_profile_changes_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encode(Image.fromarray(gradient()), icc_profile=profile)
    assert np.abs(pixels(data).astype(int) - gradient()).max() <= 1
