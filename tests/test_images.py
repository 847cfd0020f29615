"""Every source becomes pictures or a refusal with a reason; nothing else ever comes out."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from images_corpus import REASONS, animation, encode, gradient, png, valid_files
from PIL import Image, ImageFile

from safejudge.errors import ImageError, InputError
from safejudge.images.listing import find_images
from safejudge.images.load import load_image, load_images
from safejudge.policy import Policy
from safejudge.types import Failure, ImageInput

POLICY = Policy()
FILES = valid_files()
PNG = FILES["rgb.png"]


def load(source, **policy):
    return load_image(source, name="x.png", policy=Policy(**policy))


def refusal(source, **policy):
    with pytest.raises(ImageError) as caught:
        load(source, **policy)
    assert caught.value.reason in REASONS
    return caught.value.reason, str(caught.value)


# --- what is read -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_every_corpus_file_loads_from_bytes_and_path_alike(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(FILES[name])
    from_bytes = load(FILES[name])
    assert from_bytes.id == hashlib.sha256(FILES[name]).hexdigest()
    assert from_bytes.pictures
    for source in (path, str(path), bytearray(FILES[name]), memoryview(FILES[name])):
        assert load(source) == from_bytes
    frames = {picture.frame for picture in from_bytes.pictures}
    assert frames == ({0, 1, 2} if name.startswith(("moving", "pages")) else {None})


def test_suffixes_do_not_count(tmp_path):
    path = tmp_path / "photo.txt"
    path.write_bytes(FILES["turned.jpg"])
    assert load(path).pictures[0].pixels.shape == (16, 12, 3)


@pytest.mark.parametrize("name", FILES)
def test_a_pil_image_shows_the_same_and_stays_as_it_was(name):
    with Image.open(io.BytesIO(FILES[name])) as image:
        before = (image.tell(), image.copy().tobytes(), image.mode, image.size)
        found = load(image)
        assert found.pictures == load(FILES[name]).pictures
        assert (image.tell(), image.copy().tobytes(), image.mode, image.size) == before
        assert load(image) == found


def test_an_animated_pil_image_keeps_its_position():
    with Image.open(io.BytesIO(FILES["moving.gif"])) as image:
        image.seek(1)
        here = image.convert("RGB").getpixel((0, 0))
        assert len(load(image).pictures) == 3
        assert image.tell() == 1
        assert image.convert("RGB").getpixel((0, 0)) == here
        assert len(load(image.copy()).pictures) == 1


def test_pil_ids_tell_apart_what_looks_different():
    red = Image.new("P", (4, 4), 0)
    red.putpalette([255, 0, 0])
    blue = Image.new("P", (4, 4), 0)
    blue.putpalette([0, 0, 255])
    clear = red.copy()
    clear.info["transparency"] = 0
    images = [red, blue, clear, Image.new("L", (4, 4)), Image.new("L", (2, 8))]
    with (
        Image.open(io.BytesIO(animation(["red", "blue"], [100, 100]))) as one,
        Image.open(io.BytesIO(animation(["red", "lime"], [100, 100]))) as other,
    ):
        ids = [load(image).id for image in (*images, one, other)]
    assert len(set(ids)) == len(ids)
    assert load(red).id == load(red.copy()).id


def test_a_closed_pil_image_is_refused_with_the_way_out():
    with Image.open(io.BytesIO(PNG)) as image:
        pass
    reason, message = refusal(image)
    assert reason == "unreadable"
    assert "keep the image open" in message
    assert refusal(Image.new("RGB", (0, 5)))[0] == "empty"


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello, this is only text\n" * 9, "not_an_image"),
        (b"\0" * 1000, "not_an_image"),
        (PNG[:20], "truncated"),
        (b"\xff\xd8\xff\xe0", "truncated"),
        (FILES["turned.jpg"][: len(FILES["turned.jpg"]) // 2], "truncated"),
        (FILES["lossy.webp"][:40], "truncated"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "unsupported"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "unsupported"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "truncated"),
        (b"  <svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported"),
        (b"%PDF-1.7\n", "unsupported"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unsupported"),
        (encode(Image.fromarray(gradient()), "ICO"), "unsupported"),
        (encode(Image.fromarray(gradient()), "TGA"), "not_an_image"),
    ],
)
def test_bytes_that_are_no_picture(data, reason):
    found, message = refusal(data)
    assert found == reason
    assert message.startswith("x.png: ")


def test_heic_says_what_to_do():
    assert "convert it to JPEG" in refusal(b"\0\0\0\x18ftypheic\0\0\0\0")[1]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/x.png",
        "HTTPS://example.org/x.png",
        "  https://example.org/x.png",
        "data:image/png;base64,iVBORw0KGgo=",
        "file:///etc/passwd",
        "file:x.png",
        "s3://bucket/x.png",
        "gs://bucket/x.png",
        "ftp://example.org/x.png",
        Path("https://example.org/x.png"),
    ],
)
def test_urls_are_refused_and_nothing_is_opened(url, monkeypatch):
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("opened"))
    assert refusal(url)[0] == "url"
    (failure,) = load_images([url], POLICY)
    assert failure.reason == "url"


def test_a_long_data_url_does_not_flood_the_log():
    (failure,) = load_images(["data:image/png;base64," + "A" * 10**6], POLICY)
    assert len(failure.model_dump_json()) < 4000


def test_paths_that_cannot_be_read(tmp_path, monkeypatch):
    file = tmp_path / "a.png"
    file.write_bytes(PNG)
    assert refusal(tmp_path / "none.png")[0] == "missing"
    assert refusal("")[0] in {"missing", "unreadable"}
    assert refusal(file / "b.png")[0] == "missing"
    assert refusal("a\0b.png")[0] == "unreadable"
    assert refusal("x" * 5000)[0] == "unreadable"
    assert "folder" in refusal(tmp_path)[1]
    os.mkfifo(tmp_path / "pipe.png")
    assert refusal(tmp_path / "pipe.png")[0] == "unreadable"

    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    (tmp_path / "nothing.png").touch()
    assert refusal(tmp_path / "nothing.png")[0] == "empty"  # not opened: it might never end
    assert refusal(file)[0] == "unreadable"


@pytest.mark.parametrize("source", [None, 3, 2.5, ["a.png"], {"bytes": PNG}, object()])
def test_other_types_are_refused_by_name(source):
    reason, message = refusal(source)
    assert reason == "unsupported"
    assert type(source).__name__ in message


# --- caps ---------------------------------------------------------------------------------------


@pytest.fixture
def no_decoding(monkeypatch):
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("decoded"))


@pytest.mark.usefixtures("no_decoding")
def test_bombs_are_refused_before_decoding():
    for side in (7000, 13_000, 20_000):  # over our cap; Pillow warns; Pillow raises
        rows = [bytes((side + 7) // 8)] * side
        assert refusal(png(side, side, 1, 0, rows))[0] == "too_many_pixels"


@pytest.mark.usefixtures("no_decoding")
def test_pixel_cap_is_exact_and_also_holds_for_pil_images():
    assert refusal(FILES["rgb.png"], max_pixels=16 * 12 - 1)[0] == "too_many_pixels"
    image = Image.new("RGB", (16, 12))
    assert refusal(image, max_pixels=16 * 12 - 1)[0] == "too_many_pixels"
    assert load(image, max_pixels=16 * 12).pictures


def test_byte_cap_is_exact_and_known_before_reading(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    for source in (path, PNG, memoryview(PNG)):
        assert load(source, max_bytes=len(PNG)).pictures
        assert refusal(source, max_bytes=len(PNG) - 1)[0] == "too_large"
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("opened"))
    assert refusal(path, max_bytes=len(PNG) - 1)[0] == "too_large"


def test_memory_running_out_is_a_refusal(monkeypatch):
    def exhausted(_):
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", exhausted)
    assert refusal(PNG)[0] == "too_many_pixels"


def test_pillow_s_global_settings_are_left_alone():
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    load_images([*FILES.values(), PNG[:60]], POLICY)
    after = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    assert before == after


# --- lists --------------------------------------------------------------------------------------


def test_a_list_keeps_order_and_length_whatever_is_in_it(tmp_path):
    good = tmp_path / "good.png"
    good.write_bytes(PNG)
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"text")
    sources = [str(good), bad, PNG, None, PNG[:60], np.zeros((0, 3)), "no.png", good]
    found = load_images(sources, POLICY)
    assert [type(item) for item in found] == [
        ImageInput, Failure, ImageInput, Failure, Failure, Failure, Failure, ImageInput,
    ]  # fmt: skip
    names = [item.name if isinstance(item, ImageInput) else item.image for item in found]
    assert names == [
        str(good), str(bad), "image[2]", "image[3]", "image[4]", "image[5]", "no.png", str(good),
    ]  # fmt: skip
    reasons = [item.reason for item in found if isinstance(item, Failure)]
    assert reasons == ["not_an_image", "unsupported", "truncated", "bad_array", "missing"]
    assert found[1].id == hashlib.sha256(b"text").hexdigest()
    assert found[4].id == hashlib.sha256(PNG[:60]).hexdigest()
    assert found[6].id is None


def test_a_window_of_a_longer_list_counts_on():
    found = load_images([PNG, b""], POLICY, first=10)
    assert (found[0].name, found[1].image) == ("image[10]", "image[11]")


def test_names_that_are_not_unicode_survive_json(tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9\n.png")
    (failure,) = load_images([name], POLICY)
    assert "caf??.png" in failure.model_dump_json()
    Path(name).write_bytes(PNG)
    (image,) = load_images([name], POLICY)
    assert image.name.endswith("caf??.png")


def test_threads_get_what_one_thread_gets():
    expected = load_images(list(FILES.values()), POLICY)
    results = []

    def work():
        results.append(load_images(list(FILES.values()), POLICY))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4


def test_torch_is_not_imported():
    code = (
        "import sys, safejudge.images.load as i, safejudge.policy as t, numpy as n;"
        "i.load_image(n.zeros((4, 4), n.uint8), name='x', policy=t.Policy());"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- finding images -----------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in ("b.png", "a.JPG", "notes.txt", "sub/c.webp", "sub/deep/d.heic", "[x].png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PNG)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(
    ("given_paths", "expected"),
    [
        (["."], ["[x].png", "a.JPG", "b.png", "notes.txt", "sub/c.webp", "sub/deep/d.heic"]),
        (["sub", "b.png"], ["sub/c.webp", "sub/deep/d.heic", "b.png"]),
        (["notes.txt"], ["notes.txt"]),
        (["*.png"], ["[x].png", "b.png"]),
        (["[x].png"], ["[x].png"]),
        (["**/*.webp"], ["sub/c.webp"]),
        (["su?"], ["sub/c.webp", "sub/deep/d.heic"]),
        (["none.png", "b.png", "*.bmp"], ["none.png", "b.png", "*.bmp"]),
        (["b.png", "b.png", "sub/c.webp", "sub"], ["b.png", "sub/c.webp", "sub/deep/d.heic"]),
        (["https://example.org/a?b=*"], ["https://example.org/a?b=*"]),
        ([], []),
    ],
)
def test_find_images(given_paths, expected):
    assert find_images(given_paths) == expected


def test_what_matches_nothing_becomes_a_failure(tree):
    found = load_images(find_images([str(tree / "*.bmp"), str(tree / "b.png")]), POLICY)
    assert [getattr(item, "reason", None) for item in found] == ["missing", None]


def test_a_folder_without_images_or_without_rights_is_said(tree, monkeypatch):
    with pytest.raises(InputError, match="empty: no image"):
        find_images([str(tree / "empty")])

    def denied(*_):
        raise PermissionError(13, "Permission denied", "sub")

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(InputError, match="sub: cannot be listed"):
        find_images([str(tree)])
