"""Tars: every form that programs write is listed; what is damaged or made up is an error."""

from __future__ import annotations

import hashlib
import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from images_corpus import valid_files

from safejudge.errors import InputError
from safejudge.images.listing import key_of, list_images
from safejudge.images.load import SUFFIXES
from safejudge.images.shards import find_entries, list_entries, read
from safejudge.images.tars import list_tar
from safejudge.scale.manifest import Manifest

FILES = valid_files()
PNG, GIF = FILES["rgb.png"], FILES["moving.gif"]
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def member(name, data=b"", type_=tarfile.REGTYPE, **more):
    about = tarfile.TarInfo(name)
    about.size, about.type = len(data), type_
    for key, value in more.items():
        setattr(about, key, value)
    return about, data


def tar(*members, form="pax"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=FORMATS[form]) as made:
        for about, data in members:
            made.addfile(about, io.BytesIO(data))
    return stream.getvalue()


def summed(header):
    """A header with the right checksum."""
    header = bytearray(header)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    return bytes(header)


def patched(data, at, text):
    return summed(data[:at] + text + data[at + len(text) : 512]) + data[512:]


def pax(fields, *, raw=None):
    """A tar of one picture with an extended header of these records."""
    about = member("a.png", PNG)[0].tobuf(tarfile.USTAR_FORMAT)
    records = raw
    if records is None:
        records = b""
        for key, value in fields.items():
            length = len(key) + len(value) + 3
            length += len(str(length + len(str(length))))
            records += b"%d %s=%s\n" % (length, key, value)
    head = member("x", records, tarfile.XHDTYPE)[0].tobuf(tarfile.USTAR_FORMAT)
    filled = records + bytes(-len(records) % 512)
    return head + filled + about + PNG + bytes(-len(PNG) % 512) + bytes(1024)


@pytest.fixture
def listed(tmp_path):
    """Lists the bytes of a tar; names without the path of the file."""

    def listing(data):
        path = tmp_path / "t.tar"
        path.write_bytes(data)
        found = list_tar(str(path), SUFFIXES)
        names = [entry.name.removeprefix(f"{path}/") for entry in found.entries]
        passed = {one.name.removeprefix(f"{path}/"): one.kind.what for one in found.others}
        return names, passed, found.entries

    return listing


NAMES = [
    "a.png",
    "folder/b.jpg",
    "x" * 90 + ".png",
    f"{'d' * 120}/{'n' * 90}.png",
    "ü" * 80 + "/é.png",
    "../../up.png",
    "/abs/olute.png",
    "spaces and 'quotes'.png",
]


@pytest.mark.parametrize("form", FORMATS)
def test_names_and_places_are_those_of_tarfile(listed, form, tmp_path):
    names = [name for name in NAMES if form != "ustar" or (name.isascii() and len(name) < 250)]
    data = tar(*(member(name, PNG + name.encode()) for name in names), form=form)
    found, passed, entries = listed(data)
    assert passed == {}
    with tarfile.open(fileobj=io.BytesIO(data)) as made:
        assert found == [one.name for one in made.getmembers()] == names
        for entry, one in zip(entries, made.getmembers(), strict=True):
            assert entry.position == (one.offset_data, one.size)
            assert read(entry, 10**6, captions=True)[0] == made.extractfile(one).read()


def test_content_counts_and_names_that_claim_to_be_pictures(listed):
    data = tar(
        member("0f3a9c", PNG),
        member("photo.jpg_large", GIF),
        member("claims.PNG", b"junk"),
        member("holiday.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
        member("film", b"\0\0\0\x18ftypisom\0\0\0\0isommp42"),
        member("inner.tar", tar(member("a.png", PNG))),
        member("more.zip", b"PK\3\4" + bytes(60)),
        member("labels.json", b'{"a": 1}'),
        member("nothing", b""),
        member("._photo.jpg", b"\0\5\x16\7\0\2\0\0"),
        member("sub", type_=tarfile.DIRTYPE),
        member("sub/soft.png", type_=tarfile.SYMTYPE, linkname="../0f3a9c"),
        member("pipe.png", type_=tarfile.FIFOTYPE),
    )
    names, passed, _ = listed(data)
    assert names == ["0f3a9c", "photo.jpg_large", "claims.PNG", "holiday.heic", "film"]
    assert passed == {
        "inner.tar": "a tar file",
        "more.zip": "a ZIP archive",
        "labels.json": "text",
        "nothing": "an empty file",
        "._photo.jpg": "what macOS keeps beside a file",
        "sub/soft.png": "a link",
        "pipe.png": "a pipe",
    }


def test_a_hard_link_is_the_file_under_another_name(listed):
    data = tar(member("a.png", PNG), member("b.png", type_=tarfile.LNKTYPE, linkname="a.png"))
    names, passed, entries = listed(data)
    assert (names, passed) == (["a.png", "b.png"], {})
    assert entries[0].position == entries[1].position
    _, passed, _ = listed(
        tar(member("b.png", type_=tarfile.LNKTYPE, linkname="no"), *[member("a.png", PNG)])
    )
    assert passed == {"b.png": "a link"}


def test_texts_are_captions_of_what_they_lie_beside_and_else_passed_over(listed):
    data = tar(
        member("one.png", PNG),
        member("one.txt", b"a caption"),
        member("two.txt", b"of nothing"),
        member("three.png", PNG),
        member("three.txt", b"x" * 70_000),
        member("three.json", b"{}"),
    )
    names, passed, entries = listed(data)
    assert names == ["one.png", "three.png"]
    assert set(passed) == {"two.txt"}
    assert [read(entry, 10**6, captions=True)[1] for entry in entries] == ["a caption", None]


def test_a_second_tar_behind_the_first_is_not_overlooked(listed):
    both = tar(member("a.png", PNG)) + tar(member("b.png", PNG))
    assert listed(both)[0] == ["a.png", "b.png"]
    assert listed(tar(member("a.png", PNG)).rstrip(b"\0") + bytes(-len(PNG) % 512))[0] == ["a.png"]


def test_files_with_holes_are_passed_over(listed):
    with_map = pax({b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0"})
    assert listed(with_map)[1] == {"a.png": "a file with holes"}
    old = patched(tar(member("a.png", PNG), form="gnu"), 156, b"S")
    assert listed(old)[1] == {"a.png": "a file with holes"}


@pytest.mark.parametrize(
    "data",
    [
        b"junk",
        b"\x1f\x8b\x08" + bytes(600),
        tar(member("a.png", PNG))[:540],
        tar(member("a.png", PNG))[:512] + PNG[:20],
        patched(tar(member("a.png", PNG)), 124, b"77777777777\0"),
        patched(tar(member("a.png", PNG)), 124, b"not octal!!\0"),
        patched(tar(member("a.png", PNG)), 124, b"\x80" + bytes(3) + b"\xff" * 8),
        patched(tar(member("a.png", PNG)), 124, b"\xff" * 12),
        patched(tar(member("x", b"y" * 600, tarfile.GNUTYPE_LONGNAME)), 124, b"77777777\0"),
        tar(member("a.png", PNG)) + b"something else" * 100,
        tar(member("a.png", PNG))[:-1024] + b"\1" * 512,
        pax({b"size": str(2**80).encode()}),
        pax({b"size": b"-5"}),
        pax({b"size": b"many"}),
        pax({b"size": b"9" * 400}),
        pax({}, raw=b"no length\n"),
        pax({}, raw=b"0 a=b\n"),
        pax({}, raw=b"4 a=\n"),
        pax({}, raw=b"999999 a=b\n"),
        pax({}, raw=b"1" * 20_000),
        pax({}, raw=b"12 " * 5_000),
    ],
)
def test_what_makes_no_tar_is_an_error(listed, data):
    with pytest.raises(InputError, match=r"t\.tar: cannot be read as a tar \("):
        listed(data)


@pytest.mark.parametrize(
    "fields",
    [
        {b"GNU.sparse.map": b"0,x,1"},
        {b"GNU.sparse.realsize": b"none"},
        {b"GNU.sparse.size": str(2**80).encode()},
        {b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.name": b"z"},
        {b"mtime": b"not a time"},
        {b"uid": b"-1"},
        {b"hdrcharset": b"BINARY"},
        {b"size": b"10", b"path": b"\xff\xfe.png"},
    ],
)
def test_numbers_that_nobody_needs_do_no_harm(listed, fields):
    names, passed, _ = listed(pax(fields))
    assert len(names) + len(passed) == 1


def test_headers_upon_headers_take_no_time(listed):
    one = pax({b"comment": b"x"})
    extended = one[:1024]
    assert listed(extended * 20_000 + one)[0] == ["a.png"]
    digits = pax({}, raw=b"9" * 900_000)
    with pytest.raises(InputError):
        listed(digits)
    with pytest.raises(InputError, match="1048577 bytes"):
        listed(pax({}, raw=b"1" * (2**20 + 1)))


def test_find_entries_takes_the_images(tmp_path):
    (tmp_path / "t.tar").write_bytes(tar(member("a.png", PNG), member("b.json", b"{}")))
    (entry,) = find_entries([str(tmp_path / "t.tar")])
    assert entry.name == f"{tmp_path}/t.tar/a.png"
    (tmp_path / "t.tar").write_bytes(tar(member("b.json", b"{}")))
    with pytest.raises(InputError, match="holds no image"):
        find_entries([str(tmp_path / "t.tar")])


WHOLE = tar(
    member("a.png", PNG), member("ü.gif", GIF), member("a.txt", b"x"), member("n" * 120, b"y")
)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_damage_ends_in_a_listing_or_an_error(tmp_path_factory, data):
    damaged = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 6))):
        block = data.draw(st.integers(0, len(damaged) // 512 - 1)) * 512
        at = block + data.draw(st.sampled_from([*range(124, 157), *range(257, 265), 482, 345]))
        damaged[at] = data.draw(st.integers(0, 255))
        if data.draw(st.booleans()):
            damaged[block : block + 512] = summed(damaged[block : block + 512])
    path = tmp_path_factory.getbasetemp() / "damaged.tar"
    path.write_bytes(damaged)
    try:
        found = list_tar(str(path), SUFFIXES)
    except InputError:
        return
    for entry in found.entries:
        content, _ = read(entry, 10**6, captions=True)
        assert isinstance(content, bytes)


def test_what_is_passed_over_in_a_tar_is_counted_with_the_rest(tmp_path):
    (tmp_path / "t.tar").write_bytes(
        tar(
            member("a.png", PNG),
            member("a.json", b"{}"),
            member("b.json", b"{}"),
            member("c.zip", b"PK\3\4"),
            member("._a.png", b"\0\5\x16\7"),
            member("tmp/d.png", PNG),
            member("tmp/notes", b"text"),
        )
    )
    entries, listing = list_entries([str(tmp_path)], ignore=["tmp/"])
    assert [entry.name for entry in entries] == [f"{tmp_path}/t.tar/a.png"]
    intake = listing.intake(None, len(entries))
    assert intake.passed_over == {"text": 1, "a ZIP archive": 1}
    assert intake.ignored == {"tmp/": 2}
    assert intake.companions == 1


def test_members_of_one_name_are_apart_however_it_is_spelled(tmp_path):
    """Else a run that goes on would take the record of one for that of the other."""
    names = ("a.png", "./a.png", "a.png (2)", "x/../a.png", "a.png", "b.png")
    path = tmp_path / "shard.tar"
    path.write_bytes(tar(*(member(name, PNG + bytes([n])) for n, name in enumerate(names))))
    entries = find_entries([str(path)])
    with Manifest() as manifest:
        list_images([str(path)], shards=(".tar",), listing=manifest.listing(()))
        standing = manifest.standing(2**20)
        keys = [key_of(entry.name) for entry in entries]
        assert list(manifest) == keys
        assert len(set(keys)) == len(standing.wanted) == len(names)
        for n, key in enumerate(keys):
            assert standing.id_of(key) == hashlib.sha256(PNG + bytes([n])).hexdigest()
