"""Outputs: one writer at a time, whole or not at all, and nothing left beside them."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from safejudge.errors import OutputError
from safejudge.files import atomic
from safejudge.files.atomic import Lock, replacing, writing


@pytest.fixture(params=["file", "folder", "file of Windows"])
def kind(request, tmp_path, monkeypatch):
    """What is locked; on Windows a file is locked by another beside it."""
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(atomic, "_WINDOWS", request.param == "file of Windows")
    return request.param.split()[0]


def lock(kind, folder):
    if kind == "folder":
        return Lock.of_folder(folder)
    return Lock.of_file(folder / "r", (folder / "r").open("ab"))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_second_is_refused_at_once_and_let_in_after_the_first(kind, tmp_path):
    out = tmp_path / "out"
    first = lock(kind, out)
    for _ in range(2):
        with pytest.raises(OutputError, match="another run is writing to it"):
            lock(kind, out)
    first.close()
    first.close()
    second = lock(kind, out)
    with pytest.raises(OutputError, match="another run is writing to it"):
        lock(kind, out)
    second.close()
    assert names(out) == ([] if kind == "folder" else ["r"])


HOLD = """
import sys, time
from pathlib import Path
from safejudge.files import atomic
atomic._WINDOWS = sys.argv[3] == "True"
out = Path(sys.argv[2])
if sys.argv[1] == "folder":
    lock = atomic.Lock.of_folder(out)
else:
    stream = (out / "r").open("ab")
    lock = atomic.Lock.of_file(out / "r", stream)
print("held", flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_killed_process_keeps_nobody_out(kind, tmp_path):
    out = tmp_path / "out"
    line = [sys.executable, "-c", HOLD, kind, str(out), str(atomic._WINDOWS)]
    with subprocess.Popen(line, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(OutputError, match="another run is writing to it"):
            lock(kind, out)
        process.send_signal(signal.SIGKILL)
    left = names(out)
    lock(kind, out).close()
    assert len(left) == (2 if atomic._WINDOWS else 1)
    assert names(out) == ([] if kind == "folder" else ["r"])


def test_a_lock_on_a_file_that_is_no_longer_there_is_none(tmp_path, monkeypatch):
    opened = []

    def late(stream, output):
        if not opened:
            (tmp_path / ".lock").unlink()  # as the run before does, after this one has opened it
        opened.append(stream)
        acquire(stream, output)

    acquire = atomic._acquire
    monkeypatch.setattr(atomic, "_acquire", late)
    first = Lock.of_folder(tmp_path)
    assert len(opened) == 2
    with pytest.raises(OutputError, match="another run"):
        Lock.of_folder(tmp_path)
    first.close()


def test_without_locks_nobody_is_stopped(kind, tmp_path, monkeypatch):
    def missing(*_, **__):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(atomic, "lock_descriptor", missing)
    monkeypatch.setattr(atomic, "unlock_descriptor", missing)
    first, second = lock(kind, tmp_path / "out"), lock(kind, tmp_path / "out")
    second.close()
    first.close()


def test_what_fails_leaves_the_old(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")

    def fail():
        with writing(path, "; stop"), replacing(path) as new:
            new.write_text("half")
            raise OSError(errno.ENOSPC, "No space")

    with pytest.raises(OutputError, match=r"page.html: cannot be written \(No space\); stop$"):
        fail()
    assert (names(tmp_path), path.read_text()) == (["page.html"], "old")
    with replacing(path, durable=True) as new:
        new.write_text("new")
        assert path.read_text() == "old"
    assert (names(tmp_path), path.read_text()) == (["page.html"], "new")


def test_the_rest_of_a_killed_run_is_not_written_through(tmp_path):
    source, path = tmp_path / "source.png", tmp_path / "picture.png"
    source.write_text("a person's own")
    (tmp_path / f".picture.png.{os.getpid()}.new").hardlink_to(source)
    with replacing(path) as new:
        new.write_text("copied")
    assert (source.read_text(), path.read_text()) == ("a person's own", "copied")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("no/r", "no/r: there is no folder .*no; make it first"),
        (".", "is no regular file; name another"),
        ("link", "is no regular file"),
    ],
)
def test_what_cannot_be_written_is_known_before(tmp_path, name, problem):
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(OutputError, match=problem):
        atomic.check_file(tmp_path / name)
    assert not atomic.check_file(tmp_path / "new")
    (tmp_path / "old").touch()
    assert atomic.check_file(tmp_path / "old")


def test_a_folder_that_takes_no_files_is_known_before(tmp_path, monkeypatch):
    """Root may write anywhere but on a disk that is read-only, so the system is played here."""
    (tmp_path / "old").touch()
    monkeypatch.setattr(atomic.os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="cannot be written to; name another"):
        atomic.check_file(tmp_path / "new")
    assert atomic.check_file(tmp_path / "old")
