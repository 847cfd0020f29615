"""Parquet: every type of bytes and texts is read, and no file takes more than its share."""

from __future__ import annotations

import io
import os
import random
from pathlib import Path

import pytest
from images_corpus import valid_files

from safejudge.errors import InputError
from safejudge.images import process, shards
from safejudge.images.shards import find_entries, list_parquet, read
from safejudge.types import Failure

pa = pytest.importorskip("pyarrow", reason="pip install 'safejudge[ray]'")
parquet = pytest.importorskip("pyarrow.parquet")

PNG = valid_files()["rgb.png"]
LIMIT = 2**20
PAGE = os.sysconf("SC_PAGE_SIZE")
EMPTY = "rows without an image"


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes a table; the picture a.png lies beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.png").write_bytes(PNG)
    (tmp_path / "secret.png").write_bytes(PNG)

    def write(columns, **options):
        table = columns if isinstance(columns, pa.Table) else pa.table(columns)
        parquet.write_table(table, "data/t.parquet", **options)
        return "data/t.parquet"

    return write


def cells(path):
    return [read(entry, LIMIT, captions=True) for entry in find_entries([path])]


def reasons(path):
    return [data.reason for data, _ in cells(path)]


def extension(storage):
    class Made(pa.ExtensionType):
        def __init__(self):
            super().__init__(storage.type, "made.up")

        def __arrow_ext_serialize__(self):
            return b""

    return pa.ExtensionArray.from_storage(Made(), storage)


BYTES = {
    "binary": pa.array([PNG], pa.binary()),
    "large": pa.array([PNG], pa.large_binary()),
    "view": pa.array([PNG], pa.binary_view()),
    "fixed": pa.array([PNG], pa.binary(len(PNG))),
    "dictionary": pa.array([PNG]).dictionary_encode(),
    "extension": extension(pa.array([PNG], pa.binary())),
    "struct": pa.array([{"bytes": PNG, "path": "x"}]),
    "struct turned round": pa.array([{"path": "x", "bytes": PNG}]),
    "struct with more": pa.array([{"bytes": PNG, "path": None, "size": 5}]),
    "struct of views": pa.array([{"bytes": PNG}], pa.struct({"bytes": pa.binary_view()})),
}
PATHS = {
    "string": pa.array(["a.png"], pa.string()),
    "large": pa.array(["a.png"], pa.large_string()),
    "view": pa.array(["a.png"], pa.string_view()),
    "dictionary": pa.array(["a.png"]).dictionary_encode(),
    "struct": pa.array([{"bytes": None, "path": "a.png"}], pa.struct(
        {"bytes": pa.binary(), "path": pa.string()})),
}  # fmt: skip


@pytest.mark.parametrize("kind", BYTES)
def test_bytes_of_every_type(written, kind):
    assert cells(written({"image": BYTES[kind]})) == [(PNG, None)]


@pytest.mark.parametrize("kind", PATHS)
def test_paths_of_every_type(written, kind):
    assert cells(written({"image": PATHS[kind]})) == [("data/a.png", None)]


@pytest.mark.parametrize("kind", [*PATHS][:-1])
def test_captions_of_every_type(written, kind):
    assert cells(written({"image": [PNG], "caption": PATHS[kind]})) == [(PNG, "a.png")]


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array([1]), "image: int64"),
        (pa.array([[PNG]]), "image: list"),
        (pa.array([None]), "image: null"),
        (pa.array([{"bytes": 5}]), "image: struct<bytes: int64>"),
        (pa.array([{"path": "a.png"}]), "image: struct<path: string>"),
        (pa.array([{"bytes": {"bytes": PNG}}]), "image: struct<bytes: struct<"),
        (pa.array([{"bytes": 2**62}], pa.struct({"bytes": pa.timestamp("ms")})), "timestamp"),
        (pa.array([{"bytes": 1}], pa.struct({"bytes": pa.date32()})), "date32"),
    ],
)
def test_other_types_are_refused_by_name(written, column, said):
    with pytest.raises(InputError, match=f"has no column `image` of bytes or paths .*{said}"):
        list_parquet(written({"image": column}))


def test_a_column_that_stands_twice(written):
    table = pa.table([pa.array([PNG]), pa.array(["x"])], names=["image", "image"])
    with pytest.raises(InputError, match=r"t\.parquet: has 2 columns `image`; keep one"):
        list_parquet(written(table))


@pytest.mark.parametrize("data", [b"", b"text", b"PAR1PAR1PAR1", b"PAR1" + bytes(90) + b"PAR1"])
def test_what_is_no_parquet(tmp_path, data):
    path = tmp_path / "x.parquet"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"x\.parquet: cannot be read as Parquet \(.*leave it out"):
        list_parquet(str(path))


# --- rows ---------------------------------------------------------------------------------------


def test_rows_of_several_groups_in_any_order(written):
    images = [PNG + bytes([index]) for index in range(10)]
    path = written({"image": images, "prompt": [str(i) for i in range(10)]}, row_group_size=4)
    entries = find_entries([path])
    for index in (0, 1, 9, 8, 3, 3, 7, 0):
        assert read(entries[index], LIMIT, captions=True) == (images[index], str(index))
    assert read(entries[5], LIMIT, captions=False) == (images[5], None)


def test_rows_without_an_image_are_counted_not_judged(written):
    path = written({"image": pa.nulls(3_000_000, pa.binary())}, row_group_size=10**7)
    listing = list_parquet(path)
    assert listing.entries == []
    assert [(one.kind.what, one.number) for one in listing.others] == [(EMPTY, 3_000_000)]
    with pytest.raises(InputError, match=r"holds no image.*rows without an image"):
        find_entries([path])


def test_groups_without_an_image_are_left_out_and_rows_keep_their_numbers(written):
    images = pa.array([None] * 5 + [PNG, None, PNG] + [None] * 2, pa.binary())
    path = written({"image": images}, row_group_size=5)
    listing = list_parquet(path)
    assert [entry.name for entry in listing.entries] == [f"{path}#{row}" for row in range(5, 10)]
    assert [one.number for one in listing.others] == [5]
    _, every = shards.list_entries([path])
    assert every.intake(None).passed_over == {EMPTY: 5}
    assert [data for data, _ in cells(path)] == [PNG, b"", PNG, b"", b""]


def test_structs_without_anything_are_rows_without_an_image(written):
    nothing = pa.array([None, {"bytes": None, "path": None}], PATHS["struct"].type)
    assert list_parquet(written({"image": nothing})).others[0].number == 2


def test_a_file_of_too_many_rows_is_refused(written, monkeypatch):
    monkeypatch.setattr(shards, "ROWS", 9)
    path = written({"image": [PNG] * 10})
    with pytest.raises(InputError, match="has 10 rows that may hold images, more than 9; split it"):
        list_parquet(path)


def test_one_bad_text_is_one_failure(written):
    texts = pa.array([b"\xff", b"a.png"], pa.binary()).view(pa.string())
    first, second = cells(written({"image": texts}))
    assert first[0].reason == "unreadable"
    assert second[0] == "data/a.png"
    (one, two) = cells(written({"image": [PNG, PNG], "caption": texts}))
    assert (one, two) == ((PNG, "\ufffd"), (PNG, "a.png"))


def test_captions_are_bounded(written):
    assert cells(written({"image": [PNG], "caption": ["x" * 70_000]})) == [(PNG, None)]


def test_more_rows_claimed_than_there_are(written):
    path = written({"image": [PNG, PNG]})
    entries = find_entries([path])
    beyond = entries[1]._replace(position=(0, 2))
    data, _ = read(beyond, LIMIT, captions=True)
    assert data.reason == "unreadable"
    assert "fewer rows than it says" in data.message
    assert read(entries[0], LIMIT, captions=True)[0] == PNG


# --- what leads out -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["text", "struct"])
def test_paths_that_lead_out_are_refused_whatever_is_there(written, kind, tmp_path):
    (tmp_path / "data/link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "data/fine.png").symlink_to("a.png")
    names = [
        str(tmp_path / "secret.png"), "../secret.png", "../nothing.png", "sub/../../secret.png",
        "link.png", "/etc/passwd", "a\0b.png", "C:\\x.png",
    ]  # fmt: skip
    good = ["a.png", "fine.png", "./a.png", "none.png"]
    paths = pa.array([*names, *good])
    if kind == "struct":
        nothing = pa.nulls(len(paths), pa.binary())
        paths = pa.StructArray.from_arrays([nothing, paths], ["bytes", "path"])
    found = [data for data, _ in cells(written({"image": paths}))]
    assert [data.reason for data in found[: len(names)]] == ["outside"] * len(names)
    assert found[len(names) :] == [f"data/{name}" for name in good]


# --- memory -------------------------------------------------------------------------------------


def test_a_cell_that_is_too_large_is_refused_before_it_is_unpacked(written, monkeypatch):
    path = written({"image": [bytes(50 * LIMIT)]}, compression="zstd", use_dictionary=False)
    monkeypatch.setattr(shards, "MEMORY", 2**40)
    ((data, _),) = cells(path)
    assert data.reason == "too_large"
    assert "unpacks to" in data.message


def test_a_cell_that_is_too_large_among_others_is_one_failure(written):
    images = [PNG, bytes(2 * LIMIT), PNG]
    found = [data for data, _ in cells(written({"image": images}, compression="zstd"))]
    assert found[0] == found[2] == PNG
    assert found[1].reason == "too_large"


def test_a_page_that_does_not_fit_fails_its_row_group_and_no_other(written, monkeypatch):
    images = [PNG] * 5 + [bytes(100 * 2**20)] + [PNG] * 600 + [PNG]
    path = written({"image": images}, compression="zstd", use_dictionary=False, row_group_size=606)
    # Others that are idle may have taken more or less.
    own = process.Processes()
    monkeypatch.setattr(process, "POOL", own)
    entries = find_entries([path])
    # A page of 100 MB, and the cell of it, beside what the process has already.
    statm = Path(f"/proc/{own._idle[-1]._process.pid}/statm").read_text()
    monkeypatch.setattr(shards, "MEMORY", int(statm.split()[0]) * PAGE + 150 * 2**20)
    asked = [entries[index] for index in (0, 1, 605, 606)]
    found = [read(entry, LIMIT, captions=True)[0] for entry in asked]
    assert [getattr(data, "reason", None) for data in found] == ["too_large"] * 3 + [None]
    assert "needs too much memory" in found[0].message
    assert found[1].message.startswith(f"{path}#1: ")
    own.close()


def test_a_value_that_stands_in_many_rows_is_unpacked_once_a_row(written, monkeypatch):
    large = pa.array([PNG + bytes(30 * 2**20)], pa.binary())
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 100, pa.int32()), large)
    path = written({"image": column}, compression="zstd", store_schema=False)
    monkeypatch.setattr(shards, "MEMORY", 2**30)
    entries = find_entries([path])
    for index in (0, 50, 99):
        data, _ = read(entries[index], 2**26, captions=True)
        assert isinstance(data, bytes), data
        assert len(data) == len(PNG) + 30 * 2**20


def test_without_the_other_process_it_is_said(written, monkeypatch):
    path = written({"image": [PNG]})
    (entry,) = find_entries([path])
    monkeypatch.setattr(process, "POOL", process.Processes(["/no/such/program"]))
    with pytest.raises(InputError, match="none can be started"):
        list_parquet(path)
    assert read(entry, LIMIT, captions=True)[0].reason == "no_decoder"


def test_damage_ends_in_a_failure_or_an_error(written):
    generator = random.Random(5)
    stream = io.BytesIO()
    images = [{"bytes": PNG, "path": "x"}, None, {"bytes": None, "path": "a.png"}]
    parquet.write_table(pa.table({"image": images, "caption": ["c", None, "d"]}), stream)
    for _ in range(150):
        damaged = bytearray(stream.getvalue())
        for _ in range(generator.choice([1, 2, 8])):
            at = generator.randrange(max(4, len(damaged) - 900), len(damaged) - 8)
            damaged[at] = generator.choice([0, 1, 127, 128, 255, generator.randrange(256)])
        with open("data/t.parquet", "wb") as file:  # noqa: PTH123 - as written
            file.write(damaged)
        try:
            found = cells("data/t.parquet")
        except InputError:
            continue
        assert all(isinstance(data, Failure | bytes | str) for data, _ in found)
