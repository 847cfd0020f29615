"""The list of a run's images on the disk: what a list in memory says, at no cost that grows."""

import io
import pickle
import subprocess
import sys
import tarfile

import pytest

from safejudge.errors import InputError
from safejudge.images.entries import Entry
from safejudge.images.listing import key_of, list_images
from safejudge.images.shards import PARQUET, TAR, list_entries
from safejudge.scale.manifest import Manifest


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b/2.png", "a.png", "b/10.jpg", "c/x.png", "\udc80.png", "notes.txt", "z.PNG"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"words")
    with tarfile.open("in/shard.tar", "w") as tar:
        for name in ("one.png", "one.png", "other.json"):
            about = tarfile.TarInfo(name)
            about.size = 3
            tar.addfile(about, io.BytesIO(b"abc"))
    return tmp_path


def filled(manifest, *paths, ignore=()):
    listing = manifest.listing(ignore)
    return list_images(paths, ignore=ignore, shards=(TAR, PARQUET), listing=listing)


def windows(manifest, size):
    return [[pickle.loads(one) for one in window] for window in manifest.windows(size)]  # noqa: S301


@pytest.mark.parametrize("ignore", [(), ("b/",)])
def test_it_holds_what_a_list_holds_in_its_order(pictures, ignore):
    paths = ["in", "in/c/*.png", "in/./a.png", "gone.png"]
    entries, listing = list_entries(paths, ignore=ignore)
    with Manifest() as manifest:
        written = filled(manifest, *paths, ignore=ignore)
        held = [entry for window in windows(manifest, 2) for entry in window]
        assert held == entries
        assert len(manifest) == len(entries) > 5
        assert manifest.names() == [entry.name for entry in entries]
        assert written.intake(3, len(manifest)) == listing.intake(3, len(entries))
        assert all(key_of(entry.name) in manifest for entry in entries)
        assert "in/notes.txt" not in manifest
    (pictures / "none").mkdir()
    with Manifest() as manifest, pytest.raises(InputError, match="no image in this folder"):
        filled(manifest, "none")


def test_windows_are_of_what_has_no_record_within_the_limit(pictures):
    with Manifest() as manifest:
        assert windows(manifest, 3) == [[]]
        for number in range(10):
            manifest.add(Entry(f"{number}.png", f"{number}.png"))
        manifest.caption(str(number) if number % 2 else None for number in range(10))
        manifest.limit(8)
        manifest.recorded[key_of("1.png")] += 1
        manifest.recorded[key_of("1.png")] += 1
        assert [manifest.recorded[key_of(f"{n}.png")] for n in (0, 1, 99)] == [0, 2, 0]
        found = windows(manifest, 3)
        assert [[entry.name[0] for entry in window] for window in found] == [
            ["0", "2", "3"],
            ["4", "5", "6"],
            ["7"],
        ]
        assert [entry.caption for entry in found[1]] == [None, "5", None]
        assert (len(manifest), manifest.waiting(), manifest.first_waiting()) == (8, 7, "0.png")
        assert [manifest.judge(name) for name in ("0.png", "0.png", "1.png", "x.png")] == [
            *(True, False),
            *(False, False),
        ]
        assert (manifest.waiting(), manifest.first_waiting()) == (6, "2.png")
        assert key_of("8.png") not in manifest


PEAK = """
import pickle, sys, tracemalloc
from safejudge.images.listing import key_of
from safejudge.scale.manifest import Manifest

def peak(count):
    with Manifest() as manifest:
        listing = manifest.listing(())
        tracemalloc.start()
        for name in listing.in_order(f"/nowhere/{n:09}.png" for n in range(count)):
            if listing.first_seen(key_of(name), name) is None:
                listing.take(name, None)
        for window in manifest.windows(32):
            for packed in window:
                assert manifest.judge(pickle.loads(packed).name)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

peak(10)
print(peak(5_000), peak(15_000))
"""


def test_memory_does_not_grow_with_the_number_of_images():
    """10,000 names more take less than 10 bytes each; a list of them takes hundreds."""
    line = [sys.executable, "-c", PEAK]  # apart: other tests have left names to be compared with
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    few, many = map(int, done.stdout.split())
    assert many - few < 100_000
