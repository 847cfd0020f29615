"""Videos: what changes is looked at, in every format, within bounds; the rest is counted."""

import io

import numpy as np
import pytest
from PIL import Image

from safejudge import Failure, ImageError, Judge, Policy
from safejudge.engines.fake import FakeEngine
from safejudge.images import video
from safejudge.images.decoding import decode as decode_here
from safejudge.images.kinds import kind_of
from safejudge.images.load import load_image, load_images

av = pytest.importorskip("av")

RED, GREEN, BLUE, WHITE = (200, 30, 30), (30, 200, 30), (30, 30, 200), (240, 240, 240)
FORMATS = [("libx264", "mp4"), ("libvpx-vp9", "webm"), ("mpeg4", "avi"), ("mpeg4", "mpegts"),
           ("mpeg4", "mov"), ("mpeg4", "matroska")]  # fmt: skip
NOT = Policy()


def scene(colour, count, *, size=(48, 64), noise=4.0, seed=0):
    """Frames of one colour that flicker as film does."""
    random = np.random.default_rng((seed, *colour))
    plain = np.full((*size, 3), colour, np.float64)
    return [
        np.clip(plain + random.normal(0, noise, plain.shape), 0, 255).astype(np.uint8)
        for _ in range(count)
    ]


def film(frames, codec="mpeg4", container="mp4", *, rate=10, rotate=None, keys=None):
    """Make a file of frames."""
    stream = io.BytesIO()
    with av.open(stream, "w", format=container) as out:
        track = out.add_stream(codec, rate=rate)
        track.height, track.width = frames[0].shape[:2]
        track.pix_fmt = "yuv420p"
        if keys is not None:
            track.codec_context.gop_size = keys
        if rotate is not None:
            track.set_display_rotation(rotate)
        for frame in frames:
            out.mux(track.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(track.encode())
    return stream.getvalue()


def colours(image):
    """The colours of the pictures that are looked at, of four."""
    known = np.array([RED, GREEN, BLUE, WHITE])
    means = [picture.pixels.mean((0, 1)) for picture in image.pictures]
    return [int(np.abs(known - mean).sum(1).argmin()) for mean in means]


@pytest.mark.parametrize(("codec", "container"), FORMATS)
def test_every_scene_is_looked_at_and_time_fills_the_rest(codec, container):
    # A flash of one frame is a scene.
    frames = scene(RED, 12) + scene(GREEN, 3) + scene(BLUE, 20) + scene(WHITE, 1) + scene(BLUE, 9)
    image = load_image(film(frames, codec, container), name="v", policy=NOT)
    assert set(colours(image)) == {0, 1, 2, 3}
    assert (image.frames.looked_at, image.frames.of) == (8, 45)
    numbers = [picture.frame for picture in image.pictures]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 0
    assert {12, 15, 35, 36} <= set(numbers)
    assert image.pictures[0].label == "after 0.0 s"


def test_the_same_file_gives_the_same_frames_and_another_seed_others():
    data = film(scene(RED, 60))
    numbers = [
        [picture.frame for picture in load_image(data, name="v", policy=policy).pictures]
        for policy in (NOT, NOT, Policy(frame_seed="secret"))
    ]
    assert numbers[0] == numbers[1] != numbers[2]


def test_more_scenes_than_frames_are_chosen_by_how_long_they_last():
    frames = [one for n in range(30) for one in scene((RED, BLUE)[n % 2], 2, seed=n)]
    image = load_image(film(frames), name="v", policy=Policy(max_frames=5))
    assert image.frames.looked_at == 5
    every = load_image(film(scene(RED, 9)), name="v", policy=Policy(max_frames=None))
    assert every.frames.all


def test_a_long_video_is_looked_through_by_its_key_frames(monkeypatch):
    monkeypatch.setattr(video, "_WALK_FACTOR", 0.2)
    policy = Policy(max_pixels=48 * 64 * 100)
    data = film(scene(RED, 40) + scene(GREEN, 40) + scene(BLUE, 40), "libx264", keys=12)
    image = decode_here(data, "v.mp4", policy)
    assert set(colours(image)) == {0, 1, 2}
    assert image.frames.of == 120


def test_what_is_turned_is_turned_as_players_do():
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:, :32] = RED
    frame[:, 32:] = BLUE
    image = load_image(film([frame] * 3, rotate=90), name="v", policy=NOT)
    pixels = image.pictures[0].pixels
    assert pixels.shape[:2] == (64, 48)
    upper, lower = pixels[:20].mean((0, 1)), pixels[-20:].mean((0, 1))
    # 90 degrees against the clock: what was on the right is on top.
    assert upper[2] > 150 > upper[0]
    assert lower[0] > 150 > lower[2]


@pytest.mark.parametrize("end", [40, 400, 0.3, 0.9])
def test_a_cut_file_is_a_fault_or_says_what_was_seen(end):
    data = film(scene(RED, 20) + scene(GREEN, 20), container="matroska")
    cut = data[: end if isinstance(end, int) else int(len(data) * end)]
    (read,) = load_images([cut], NOT)
    if isinstance(read, Failure):
        assert read.reason in {"truncated", "unsupported", "not_an_image"}
    else:
        assert read.frames.looked_at <= read.frames.of


@pytest.mark.parametrize(
    ("codec", "container"), [("libx264", "matroska"), ("libvpx", "webm"), ("mpeg4", "avi")]
)
@pytest.mark.parametrize("damage", ["cut", "overwritten"])
def test_what_a_damaged_file_lacks_is_not_looked_at(codec, container, damage):
    data = film(scene(RED, 40) + scene(GREEN, 40), codec, container, keys=10)
    at, end = int(len(data) * 0.4), int(len(data) * 0.8)
    broken = data[:end] if damage == "cut" else data[:at] + bytes(end - at) + data[end:]
    (read,) = load_images([broken], Policy(max_frames=None))
    if isinstance(read, Failure):
        assert read.reason == "truncated"
    else:
        assert read.frames.looked_at < read.frames.of == 80


def two_tracks():
    stream = io.BytesIO()
    with av.open(stream, "w", format="matroska") as out:
        tracks = [out.add_stream("libx264", rate=10) for _ in range(2)]
        for track, colour in zip(tracks, (GREEN, RED), strict=True):
            track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
            for frame in scene(colour, 5):
                out.mux(track.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        for track in tracks:
            out.mux(track.encode())
    return stream.getvalue()


def see_through(codec, container, pixel_format, colour=RED):
    """A film of which only the right half is seen; what is on the left has a colour of its own."""
    frame = np.zeros((48, 64, 4), np.uint8)
    frame[:, :32] = (*GREEN, 0)
    frame[:, 32:] = (*colour, 255)
    stream = io.BytesIO()
    with av.open(stream, "w", format=container) as out:
        track = out.add_stream(codec, rate=10)
        track.width, track.height, track.pix_fmt = 64, 48, pixel_format
        for _ in range(4):
            out.mux(track.encode(av.VideoFrame.from_ndarray(frame, format="rgba")))
        out.mux(track.encode())
    return stream.getvalue()


def test_of_two_tracks_none_is_taken_for_the_film():
    with pytest.raises(ImageError, match="has 2 tracks of pictures"):
        load_image(two_tracks(), name="v", policy=NOT)


@pytest.mark.parametrize(
    ("codec", "container", "pixel_format"),
    [("qtrle", "mov", "argb"), ("ffv1", "matroska", "yuva420p"), ("png", "mov", "rgba")],
)
def test_what_is_transparent_is_seen_on_both_backgrounds(codec, container, pixel_format):
    image = load_image(see_through(codec, container, pixel_format), name="v", policy=NOT)
    assert (image.frames.looked_at, image.frames.of) == (4, 4)
    grounds = {picture.background: picture.pixels[:, :30].mean() for picture in image.pictures}
    assert grounds["white"] > 250
    assert grounds["black"] < 5


def test_transparency_that_is_not_read_is_refused():
    with pytest.raises(ImageError, match="transparency"):
        load_image(see_through("libvpx-vp9", "webm", "yuva420p"), name="v", policy=NOT)


def test_a_false_count_does_not_choose_what_is_looked_at():
    data = film(scene(RED, 10) + scene(GREEN, 30), "mpeg4", "avi", keys=100)
    header = bytearray(data)
    at = data.index(b"strh") + 40
    header[at : at + 4] = b"\xff\xff\xff\x7f"
    image = load_image(bytes(header), name="v", policy=NOT)
    assert set(colours(image)) == {0, 1}
    assert image.frames.of == 2**31 - 1


def test_of_a_long_video_with_hardly_a_key_frame_nothing_is_judged(monkeypatch):
    monkeypatch.setattr(video, "_WALK_FACTOR", 0.2)
    data = film(scene(RED, 40) + scene(GREEN, 40), "mpeg4", "avi", keys=200)
    with pytest.raises(ImageError, match="stand for themselves"):
        decode_here(data, "v.avi", Policy(max_pixels=48 * 64 * 100))


def test_a_flash_video_is_read():
    image = load_image(film(scene(RED, 5), "flv", "flv"), name="v", policy=NOT)
    assert image.frames.of == 5


def test_a_file_without_pictures_is_refused():
    stream = io.BytesIO()
    with av.open(stream, "w", format="matroska") as out:
        track = out.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.rate = 8000
        out.mux(track.encode(sound))
    with pytest.raises(ImageError, match="holds no pictures"):
        load_image(stream.getvalue(), name="v", policy=NOT)


def test_bytes_that_are_another_list_of_files_are_no_video(tmp_path):
    secret = tmp_path / "secret.png"
    Image.fromarray(scene(RED, 1)[0]).save(secret)
    for text in (f"ffconcat version 1.0\nfile {secret}\n", f"#EXTM3U\n#EXTINF:1,\n{secret}\n"):
        assert kind_of(text.encode()).name == "text"
        with pytest.raises(ImageError):
            load_image(text.encode(), name="v.mp4", policy=NOT)


def test_a_frame_of_too_many_pixels_is_refused_before_it_is_decoded():
    data = film(scene(RED, 2, size=(128, 160)))
    with pytest.raises(ImageError) as caught:
        load_image(data, name="v", policy=Policy(max_pixels=1000))
    assert caught.value.reason == "too_many_pixels"


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr("safejudge.images.decoding.can_read", lambda: False)
    with pytest.raises(ImageError, match=r"safejudge\[video\]"):
        decode_here(film(scene(RED, 2)), "v.mp4", NOT)


def test_a_video_is_judged_by_its_worst_frame_and_says_how_much_was_seen(rules_yaml, tmp_path):
    file = tmp_path / "v.webm"
    file.write_bytes(film(scene(RED, 20) + scene(WHITE, 2) + scene(RED, 20), "libvpx-vp9", "webm"))

    def bright(probe):
        if not probe.images:
            return 0.5
        return 0.99 if probe.images[0].pixels.mean() > 200 else 0.01

    with Judge.load(rules_yaml, FakeEngine(bright), NOT, cache=None) as judge:
        (result,) = judge([file])
    assert result.label == "unsafe"
    assert {verdict.frame for verdict in result.rules.values()} == {20}
    assert str(result.frames) == "8 of 42 looked at"


@pytest.fixture
def rules_yaml(tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text(
        "name: light\nrules:\n"
        "  - {id: glare, category: light, severity: high, text: No glare.,\n"
        "     objective: The picture is bright., condition: {all: [The picture is bright.]}}\n",
        encoding="utf-8",
    )
    return file
