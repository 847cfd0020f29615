"""Packed records (`.zst`): the promises of plain files, frames of their own, and no bombs."""

import json
import os
import resource
import shutil
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_records import HEAD, opened, rows, unrecorded

from safejudge.errors import InputError, OutputError
from safejudge.files import packed, recordfile, records
from safejudge.files.packed import LineReader, Packer
from safejudge.files.recordfile import TOGETHER
from safejudge.files.stored import open_stored

zstd = pytest.importorskip(
    "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd",
    reason="pip install 'safejudge[zstd]'",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A packed file with a frame for each record: its bytes, its text, and where frames end."""
    path = tmp_path_factory.mktemp("whole") / "r.jsonl.zst"
    paths, found = rows()
    ends = []
    with opened(path) as file:
        ends.append(path.stat().st_size)
        for record in found:
            file.append([record])
            ends.append(path.stat().st_size)
    return paths, found, path.read_bytes(), ends


def text_of(path):
    return zstd.decompress(path.read_bytes()).decode()


def test_what_is_appended_is_a_frame_and_on_disk_at_once(whole):
    _, found, content, ends = whole
    for number, end in enumerate(ends):
        lines = zstd.decompress(content[:end]).decode().splitlines()
        assert [json.loads(line) for line in lines] == [HEAD, *found[:number]]
        assert content[end : end + 4] in (packed.MAGIC, b"")


class Interrupt:
    """Raises KeyboardInterrupt at the so many-th line that the file of record files runs."""

    def __init__(self, after):
        self.left = after

    def __call__(self, frame, event, _):
        if frame.f_code.co_filename != recordfile.__file__:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self

    def __enter__(self):
        sys.settrace(self)

    def __exit__(self, *_):
        sys.settrace(None)


@pytest.mark.parametrize("form", ["jsonl", "jsonl.zst"])
def test_who_interrupts_a_write_tears_and_doubles_nothing(tmp_path, form):
    _, found = rows()
    after, done = 0, False
    while not done:
        after += 1
        path = tmp_path / f"{after}.{form}"
        with opened(path) as file:
            file.append(found[:1])
            try:
                with Interrupt(after):
                    file.add(found[1])
                    file.flush()
                done = True
            except KeyboardInterrupt:
                file.flush()
            file.append(found[2:3])
        text = text_of(path) if form.endswith("zst") else path.read_text("utf-8")
        images = [json.loads(line)["image"] for line in text.splitlines()[1:]]
        wanted = [record["image"] for record in found[:3]]
        assert images in (wanted, [wanted[0], wanted[2]]), after
        assert images == wanted or after < 3  # lost only before it was taken
    assert after > 10


@pytest.mark.skipif(shutil.which("zstd") is None, reason="no zstd on this machine")
def test_zstd_itself_reads_it(tmp_path, whole):
    (tmp_path / "r.zst").write_bytes(whole[2])
    command = [shutil.which("zstd"), "-dc", tmp_path / "r.zst"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout == zstd.decompress(whole[2])


def complete(tmp_path_factory, whole, size):
    """Cut a packed file after `size` bytes, go on with it, and return what it holds then."""
    paths, found, content, _ = whole
    cut = tmp_path_factory.mktemp("cut") / "r.jsonl.zst"
    cut.write_bytes(content[:size])
    with opened(cut, resume=True) as file:
        places = unrecorded(map(records.image_name, paths), file.recorded)
        assert file.tally.labels.total() == len(paths) - len(places)
        for place in places:
            file.append([found[place]])
    return cut


@settings(max_examples=60)
@given(share=st.floats(0, 1))
def test_a_file_cut_anywhere_is_completed_to_the_same_lines(tmp_path_factory, whole, share):
    _, _, content, ends = whole
    size = round(share * len(content))
    if 0 < size < ends[0]:  # it may be anybody's
        cut = tmp_path_factory.mktemp("cut") / "r.jsonl.zst"
        cut.write_bytes(content[:size])
        with pytest.raises(OutputError, match=r"breaks off in its first line.*--overwrite"):
            opened(cut, resume=True)
        assert cut.read_bytes() == content[:size]
        return
    assert text_of(complete(tmp_path_factory, whole, size)) == zstd.decompress(content).decode()


@pytest.mark.parametrize("lacking", range(8))
def test_a_frame_that_lacks_its_last_bytes_keeps_the_line_it_gives(
    tmp_path_factory, whole, lacking
):
    """Without its checksum a frame is torn, and yet gives its line: kept, in a file made anew."""
    _, _, content, ends = whole
    for end in ends[1:]:
        cut = complete(tmp_path_factory, whole, end - lacking)
        assert text_of(cut) == zstd.decompress(content).decode()
        assert lacking or cut.read_bytes() == content


def test_a_torn_frame_of_another_packer_gives_what_it_holds(tmp_path):
    path = tmp_path / "r.jsonl.zst"
    noise = [
        {"image": f"{n}.png", "label": "safe", "why": os.urandom(40).hex()} for n in range(9999)
    ]
    whole = zstd.compress("".join(map(records.to_line, [HEAD, *noise])).encode())
    path.write_bytes(whole[: len(whole) // 2])
    with opened(path, resume=True) as file:
        kept = file.tally.labels.total()
        file.append(noise[kept:])
    assert 100 < kept < len(noise)
    assert [json.loads(line) for line in text_of(path).splitlines()] == [HEAD, *noise]


def test_records_that_are_added_share_frames_and_none_is_lost(tmp_path):
    path = tmp_path / "r.jsonl.zst"
    _, found = rows()
    with opened(path) as file:
        for _ in range(TOGETHER):
            file.add(found[0])
        shared = path.stat().st_size
        assert text_of(path).count("\n") == 1 + TOGETHER
        file.add(found[1])
        assert path.stat().st_size == shared
        file.flush()
        assert path.stat().st_size > shared
        file.add(found[2])
    assert text_of(path).count("\n") == 3 + TOGETHER
    with opened(tmp_path / "plain") as file:
        file.add(found[0])
        assert (tmp_path / "plain").read_text().count("\n") == 2


def test_a_name_says_how_a_file_is_packed(tmp_path, whole):
    (tmp_path / "r.jsonl").write_bytes(whole[2])
    with pytest.raises(OutputError, match=r"holds zstd.*rename it to r.jsonl.zst"):
        opened(tmp_path / "r.jsonl", resume=True)
    (tmp_path / "p.zst").write_bytes(zstd.decompress(whole[2]))
    with pytest.raises(OutputError, match=r"called .zst, and holds no zstd"):
        opened(tmp_path / "p.zst", resume=True)
    for path in (tmp_path / "r.jsonl", tmp_path / "p.zst"):  # a reader goes by what is there
        assert len(list(open_stored(path))) == len(whole[1])


def test_a_damaged_frame_is_named_with_what_is_whole(tmp_path, whole):
    _, found, content, ends = whole
    path = tmp_path / "r.zst"
    middle = (ends[2] + ends[3]) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :])
    with pytest.raises(
        InputError, match=rf"damaged after byte {ends[2]} .*head -c {ends[2]} r.zst"
    ):
        opened(path, resume=True)
    stored = iter(open_stored(path))
    assert [next(stored).content for _ in range(2)] == found[:2]
    with pytest.raises(InputError, match="damaged"):
        next(stored)


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch, whole):
    (tmp_path / "r.zst").write_bytes(whole[2])
    for module in ("backports.zstd", "compression.zstd", "backports", "compression"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"safejudge\[zstd\]"):
        open_stored(tmp_path / "r.zst")
    with pytest.raises(InputError, match=r"safejudge\[zstd\]"):
        opened(tmp_path / "new.zst")
    assert not (tmp_path / "new.zst").exists()


# --- bombs ----------------------------------------------------------------------------------------


def bomb(path, line, size):
    """A small file that unpacks to `size` bytes of one line over and over."""
    packer = zstd.ZstdCompressor()
    piece = line * (2**20 // len(line))
    with path.open("wb") as file:
        for _ in range(size // len(piece)):
            file.write(packer.compress(piece))
        file.write(packer.flush())
    assert path.stat().st_size < size / 5000
    return path


def test_a_line_without_end_is_refused_within_bounds(tmp_path):
    path = bomb(tmp_path / "r.zst", b"\0", 2**30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="line of more than 64 MiB"):
        open_stored(path)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < 5 * packed.LONGEST


def test_many_lines_are_read_one_by_one(tmp_path):
    path = bomb(tmp_path / "r.zst", b'{"image": "a"}\n', 2**26)
    reader = iter(LineReader(path))
    assert next(reader) == b'{"image": "a"}\n'
    assert sum(1 for _ in reader) > 4_000_000


def test_a_window_that_takes_too_much_memory_is_refused(tmp_path):
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 30})
    (tmp_path / "r.zst").write_bytes(packer.compress(b"x" * 99) + packer.flush())
    with pytest.raises(InputError, match=r"window of more than 128 MiB.*zstd -dc --long=31"):
        open_stored(tmp_path / "r.zst")


@given(st.lists(st.binary(max_size=20)), st.integers(1, 9))
def test_frames_may_end_anywhere(tmp_path_factory, parts, size):
    path = tmp_path_factory.mktemp("frames") / "x.zst"
    text = b"\n".join(parts)
    packer = Packer(path)
    pieces = [text[at : at + size] for at in range(0, len(text), size)] or [b""]
    path.write_bytes(b"".join(map(packer.frame, pieces)))
    reader = LineReader(path)
    *whole, rest = text.split(b"\n")
    assert list(reader) == [line + b"\n" for line in whole] + [rest] * bool(rest)
    kept = path.read_bytes()[: reader.end]
    text_kept = zstd.decompress(kept) if kept else b""
    assert text_kept == b"" or text_kept.endswith(b"\n")
    assert text_kept.count(b"\n") + reader.beyond == text.count(b"\n")
