"""Images by the names of their records: as files, in tars, in Parquet; only what was judged."""

import hashlib
import io
import os
import tarfile

import numpy as np
import pytest
from PIL import Image

from safejudge.images.named import find_bytes
from safejudge.images.shards import find_entries


def png(shade):
    stream = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), shade, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def sha(content):
    return hashlib.sha256(content).hexdigest()


LIMIT = 10_000


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(png(1))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def test_a_name_is_meant_from_the_folder_of_the_run(place):
    assert find_bytes("in/a.png", str(place), sha(png(1)), LIMIT) == png(1)
    assert find_bytes("in/a.png", None, sha(png(1)), LIMIT) == "missing"
    assert find_bytes("../in/a.png", None, sha(png(1)), LIMIT) == png(1)
    assert find_bytes(str(place / "in/a.png"), "/nowhere", sha(png(1)), LIMIT) == png(1)


@pytest.mark.parametrize("name", ["in", "in/b.png", "in/a.png/x", "https://a/b.png", "a\0", ""])
def test_what_is_not_there_is_missing(place, name):
    assert find_bytes(name, str(place), sha(png(1)), LIMIT) == "missing"


def test_what_was_not_judged_is_not_shown(place):
    assert find_bytes("in/a.png", str(place), sha(png(2)), LIMIT) == "changed"
    assert find_bytes("in/a.png", str(place), sha(png(1)), 10) == "changed"


@pytest.mark.skipif(os.name == "nt", reason="names of bytes")
def test_a_name_that_is_no_text_is_found(place):
    try:
        (place / "in" / os.fsdecode(b"\xff.png")).write_bytes(png(3))
    except OSError:
        pytest.skip("the file system takes text alone")
    assert find_bytes("in/\\udcff.png", str(place), sha(png(3)), LIMIT) == png(3)


def tar(path, *members):
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def test_members_of_tars_are_found_by_the_names_of_their_records(place):
    (place / "b.tar").mkdir()  # a folder that is called as a tar is
    tar(place / "b.tar" / "c.tar", ("x/a.png", png(1)), ("./b.PNG", png(2)), ("x/a.png", png(3)))
    pytest.importorskip("pyarrow")
    os.chdir(place)
    for entry, shade in zip(find_entries(["b.tar"]), (1, 2, 3), strict=True):
        assert find_bytes(entry.name, str(place), sha(png(shade)), LIMIT) == png(shade)
    assert find_bytes("b.tar/c.tar/none.png", str(place), sha(png(1)), LIMIT) == "missing"
    (place / "b.tar" / "d.tar").write_bytes(b"junk")
    assert find_bytes("b.tar/d.tar/a.png", str(place), sha(png(1)), LIMIT) == "missing"


def test_rows_of_parquet_are_found_by_the_names_of_their_records(place):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    cells = [{"bytes": png(5), "path": None}, {"bytes": None, "path": "in/a.png"}]
    parquet.write_table(pa.table({"image": cells}), place / "t.parquet", row_group_size=1)
    assert find_bytes("t.parquet#0", str(place), sha(png(5)), LIMIT) == png(5)
    assert find_bytes("t.parquet#1", str(place), sha(png(1)), LIMIT) == png(1)
    assert find_bytes("t.parquet#2", str(place), sha(png(1)), LIMIT) == "missing"
