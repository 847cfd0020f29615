"""What a folder holds: every file is an image, passed over, ignored or known, and counted once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from images_corpus import valid_files

from safejudge.errors import InputError
from safejudge.images.listing import key_of, list_images

PNG = valid_files()["rgb.png"]
APPLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X"


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Writes a file below the current folder."""
    monkeypatch.chdir(tmp_path)

    def write(name, content=PNG):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return write


def passed_over(*paths, **options):
    return {entry.name: entry.what for entry in list_images(list(paths), **options).passed_over}


NAMES = ["0f3a9c", "photo.jpg_large", "x.png?size=large", "y.png.part", "i.webp~", ".hidden", "x "]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("given", ["in", "in/**", "./in"])
def test_a_picture_is_one_by_its_bytes(put, name, given):
    put("in/a.png")
    put(f"in/{name}")
    listing = list_images([given])
    hidden_from_pattern = name.startswith(".") and "*" in given  # as in every shell
    assert len(listing.images) == (1 if hidden_from_pattern else 2)
    assert listing.passed_over == []


def test_a_claim_to_be_a_picture_is_tried(put):
    put("in/a.png", b"no picture")
    put("in/b.JPEG", b"")
    assert list_images(["in"]).images == ["in/a.png", "in/b.JPEG"]


def test_what_is_to_be_looked_at_and_cannot_be_read_is_tried(put):
    put("in/a.png")
    put("in/film", b"\x00\x00\x00\x14ftypqt  \x00\x00\x02\x00qt  ")
    put("in/scan", b"%PDF-1.7")
    assert list_images(["in"]).images == ["in/a.png", "in/film", "in/scan"]


def test_everything_else_is_passed_over_with_what_it_is(put):
    put("in/a.png")
    put("in/notes", b"some words")
    put("in/empty", b"")
    put("in/u.zip", b"PK\x03\x04rest")
    put("in/sub/s.parquet", b"PAR1")
    os.mkfifo("in/pipe")
    Path("in/gone").symlink_to("nowhere")
    assert passed_over("in") == {
        "in/notes": "text",
        "in/empty": "an empty file",
        "in/u.zip": "a ZIP archive",
        "in/sub/s.parquet": "a Parquet file, which --ray looks into",
        "in/pipe": "no regular file that can be read",
        "in/gone": "a broken link",
    }
    intake = list_images(["in"]).intake(None)
    assert (intake.found, intake.missed) == (1, 6)


def test_links_are_followed_and_circles_end(put):
    put("in/a.png")
    put("album/b.png")
    Path("in/album").symlink_to("../album")
    Path("album/back").symlink_to("..")
    assert list_images(["in"]).images == ["in/a.png", "in/album/b.png"]


def test_a_folder_that_links_to_itself_ends(put):
    put("in/deep/a.png")
    Path("in/deep/up").symlink_to("..")
    assert list_images(["in"]).images == ["in/deep/a.png"]


def test_companions_are_known_unless_they_are_pictures(put):
    put("in/a.png")
    put("in/._a.png", APPLE)
    put("in/.DS_Store", b"\x00\x00\x00\x01Bud1")
    put("in/__MACOSX/._a.png", APPLE)
    put("in/facts.jsonl", b"{}\n")
    listing = list_images(["in"])
    assert (listing.companions, listing.passed_over) == (4, [])
    put("in/._b.png")  # a good place to hide one
    assert list_images(["in"]).images == ["in/._b.png", "in/a.png"]


def test_patterns_are_counted_by_the_pattern(put):
    put("in/a.png")
    put("in/b.txt", b"words")
    put("in/drafts/c.png")
    listing = list_images(["in"], ignore=["*.txt", "drafts/"])
    assert listing.images == ["in/a.png"]
    assert listing.ignored == {"*.txt": 1, "drafts/": 1}
    assert listing.intake(None).missed == 0


def test_what_is_named_itself_is_taken(put):
    put("in/b.txt", b"words")
    assert list_images(["in/b.txt"], ignore=["*.txt"]).images == ["in/b.txt"]


def test_files_of_the_command_itself_are_no_miss(put):
    put("in/a.png")
    put("in/prompts.csv", b"image,prompt\n")
    assert passed_over("in", known=["in/prompts.csv", None]) == {}


def test_one_file_is_one_image_however_it_is_spelled(put, tmp_path):
    put("in/a.png")
    listing = list_images(["in/a.png", "./in/a.png", str(tmp_path / "in/../in/a.png"), "in"])
    assert listing.images == ["in/a.png"]
    assert listing.repeated == 3
    assert len({key_of(path) for path in ("in/a.png", "in/./a.png")}) == 1


def test_a_folder_of_other_things_is_refused_with_what_there_is(put):
    put("in/a.txt", b"words")
    put("in/b.txt", b"words")
    with pytest.raises(InputError, match=r"in: no image in this folder or below it \(2 x text\)"):
        list_images(["in"])


def test_a_folder_below_that_cannot_be_listed_is_passed_over(put, monkeypatch):
    put("in/a.png")
    put("in/closed/b.png")
    scandir = os.scandir

    def denied(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    assert passed_over("in") == {"in/closed": "a folder (Permission denied)"}


def test_names_that_are_no_text(put):
    put("in/a.png")
    Path("in", os.fsdecode(b"caf\xe9")).write_bytes(PNG)
    assert len(list_images(["in"]).images) == 2


@pytest.mark.parametrize("second", [PNG, b"PK\x03\x04 an archive"])
def test_a_name_that_reads_like_that_of_another_file_is_not_the_same_file(put, second):
    put("in/a\\udc80", PNG)
    Path("in", os.fsdecode(b"a\x80")).write_bytes(second)
    listing = list_images(["in"])
    assert len(listing.images) + listing.intake(None).missed == 2
    assert listing.repeated == 0
    assert ["reads like that of another" in entry.what for entry in listing.passed_over] == [True]


@pytest.mark.parametrize("target", ["far/below", os.fsdecode(b"far/\xe9")])
def test_what_lies_above_a_linked_folder_is_no_other_spelling(put, target):
    put("in/a.png")
    put("far/a.png")
    Path(target).mkdir()
    Path("in", Path(target).name).symlink_to(Path(target).absolute())
    above = f"in/{Path(target).name}/../a.png"
    listing = list_images(["in/a.png", above, "far/a.png"])
    assert listing.images == ["in/a.png", above]
    assert listing.repeated == 1


def test_a_link_that_leads_to_itself_hides_nothing(put):
    put("in/a.png")
    put("in/z.png")
    Path("in/m").symlink_to("m")
    assert list_images(["in"]).images == ["in/a.png", "in/z.png"]
    assert passed_over("in") == {"in/m": "a broken link"}
