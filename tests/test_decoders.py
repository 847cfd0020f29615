"""Files are decoded in bounded time, and nothing of it outlives the process that asked."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from images_corpus import encode, gradient, png, valid_files
from PIL import Image

from safejudge import Judge
from safejudge.engines.fake import FakeEngine
from safejudge.errors import ImageError
from safejudge.images import child, decoders, decoding, process
from safejudge.images.load import load_image, load_images
from safejudge.images.ordinary import is_ordinary
from safejudge.images.process import Processes
from safejudge.policy import Policy

POLICY = Policy()
FILES = valid_files()
GIF = FILES["moving.gif"]

HELLO = """
import sys, time
text = b'{"ready": true}'
sys.stdout.buffer.write(len(text).to_bytes(8, "big") + text)
sys.stdout.buffer.flush()
"""


def pool(code, patience=100.0):
    """A pool whose processes run some code in place of a decoder."""
    return Processes([sys.executable, "-c", HELLO + code], patience)


def refusal(processes, stop=None):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(process, "POOL", processes)
        with pytest.raises(ImageError) as caught:
            decoders.decode(GIF, "x.gif", POLICY, stop)
    assert str(caught.value).startswith("x.gif: ")
    return caught.value.reason


def python(code, **options):
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), **os.environ}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


def ended(pid):
    """Whether a process is no more, or a zombie that nobody has waited for yet."""
    try:
        with open(f"/proc/{pid}/stat") as stream:  # noqa: PTH123 - no path of ours
            return stream.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def await_end(pid):
    while not ended(pid):
        time.sleep(0.01)


# --- what comes out -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_the_other_process_sees_what_this_one_sees(name):
    there = decoders.decode_apart(FILES[name], name, POLICY)
    here = decoding.decode(FILES[name], name, POLICY)
    assert there == here
    for ours, theirs in zip(here.pictures, there.pictures, strict=True):
        assert np.array_equal(ours.pixels, theirs.pixels)
        assert (ours.frame, ours.background) == (theirs.frame, theirs.background)
        assert not theirs.pixels.flags.writeable


def test_a_refusal_is_the_same_there():
    for data in (GIF[:30], b"text", encode(Image.new("RGB", (9, 9)), "TIFF")[:-5]):
        with pytest.raises(ImageError) as here:
            decoding.decode(data, "x", POLICY)
        with pytest.raises(ImageError) as there:
            decoders.decode_apart(data, "x", POLICY)
        assert (there.value.reason, str(there.value)) == (here.value.reason, str(here.value))


def test_many_threads_at_once():
    policies = [Policy(max_frames=most) for most in (1, 2, 3)] * 8
    with ThreadPoolExecutor(8) as threads:
        found = threads.map(lambda p: decoders.decode(GIF, "x", p), policies)
        assert [len(image.pictures) for image in found] == [p.max_frames for p in policies]


# --- bounds -------------------------------------------------------------------------------------


def test_a_process_that_never_answers_is_given_up():
    silent = pool("time.sleep(1000)", patience=0.0)
    assert refusal(silent) == "too_slow"
    assert refusal(silent) == "too_slow"
    assert not silent._idle
    assert not silent._busy


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("sys.exit(3)", "unreadable"),
        ("import os; os.abort()", "unreadable"),
        ("import os; os.kill(os.getpid(), 24)", "too_slow"),
        ("sys.stdout.buffer.write(bytes(7) + b'\\2' + b'no'); sys.exit()", "unreadable"),
        ("sys.stdout.buffer.write(b'\\xff' * 99)", "unreadable"),
        ("sys.stdout.buffer.write(bytes(7) + b'\\2' + b'{}')", "unreadable"),
    ],
)
def test_a_process_that_dies_or_talks_nonsense_fails_one_file(code, reason):
    assert refusal(pool(code)) == reason


def test_it_may_not_claim_more_pixels_than_are_kept():
    about = '{"id": "", "frames": null, "pictures": [{"shape": [9999999, 9999999, 3]}]}'
    code = f"text = b'{about}'; sys.stdout.buffer.write(len(text).to_bytes(8, 'big') + text)"
    assert refusal(pool(code + "; sys.stdout.flush(); time.sleep(1000)")) == "unreadable"


def test_stop_ends_it_whatever_it_does():
    stop = threading.Event()
    silent = pool("time.sleep(1000)", patience=1e6)
    threading.Timer(0.2, stop.set).start()
    assert refusal(silent, stop) in {"too_slow", "no_decoder"}  # it may still be starting


def test_where_no_process_can_be_started_that_is_said(monkeypatch):
    assert refusal(Processes(["/no/such/program"])) == "no_decoder"
    other = Processes([sys.executable, "-c", "print('hello, I am something else')"])
    assert refusal(other) == "no_decoder"
    monkeypatch.setattr(process, "Process", lambda _: pytest.fail("tried again"))
    assert refusal(other) == "no_decoder"
    monkeypatch.undo()
    monkeypatch.setattr(sys, "executable", None)
    assert refusal(Processes()) == "no_decoder"
    assert load_image(FILES["rgb.png"], name="x", policy=POLICY).pictures  # needs none


def test_one_that_died_meanwhile_is_replaced(monkeypatch):
    monkeypatch.setattr(process, "POOL", Processes())
    decoders.decode(GIF, "x", POLICY)
    (idle,) = process.POOL._idle
    idle._process.kill()
    idle._process.wait()
    assert decoders.decode(GIF, "x", POLICY).pictures
    process.POOL.close()


def test_the_kernel_holds_it_to_time_and_memory():
    seconds = python("from safejudge.images import worker\nworker._limit(0, 2**40)\nwhile 1: pass")
    assert seconds.wait() == -signal.SIGXCPU
    memory = python("""
        from safejudge.images import worker
        worker._limit(100, 2**31)
        try:
            bytes(2**32)
        except MemoryError:
            print("refused")
        """)
    assert memory.communicate()[0] == "refused\n"


def test_memory_that_runs_out_here_is_a_refusal_too(monkeypatch):
    def exhausted(*_):
        raise MemoryError

    monkeypatch.setattr(decoders, "_picture", exhausted)
    with pytest.raises(ImageError) as caught:
        decoders.decode(GIF, "x", POLICY)
    assert caught.value.reason == "too_many_pixels"
    monkeypatch.undo()
    assert decoders.decode(GIF, "x", POLICY).pictures  # nothing of the first answer is left


def test_a_file_that_needs_too_much_memory_is_a_refusal(monkeypatch):
    monkeypatch.setattr(decoders, "MEMORY", 2**28)
    monkeypatch.setattr(decoders, "BYTES_PER_PIXEL", 0)
    large = png(9000, 9000, 1, 0, [bytes(1125)] * 9000)
    with pytest.raises(ImageError) as caught:
        decoders.decode(large, "x", Policy(max_pixels=10**8))
    assert caught.value.reason == "too_many_pixels"


# --- nothing is left ----------------------------------------------------------------------------


@pytest.mark.parametrize("busy", [False, True])
def test_it_dies_with_its_parent(busy):
    endless = (
        "from safejudge.images import worker; worker._end_with(int(sys.argv[1]))\nwhile 1: pass"
    )
    parent = python(f"""
        import sys, threading, time
        from safejudge.images import process
        command = [sys.executable, "-c", {HELLO + endless!r}] if {busy} else process._command()
        started = process.Process(command)
        started.await_start(1000, None)
        print(started._process.pid, flush=True)
        time.sleep(1000)
        """)
    worker = int(parent.stdout.readline())
    assert not ended(worker)
    parent.kill()
    parent.communicate()
    await_end(worker)


def test_a_program_that_ends_leaves_none():
    parent = python(f"""
        from safejudge.images import decoders, process
        from safejudge.policy import Policy
        assert decoders.decode({GIF!r}, "x", Policy()).pictures
        print(process.POOL._idle[0]._process.pid)
        """)
    await_end(int(parent.communicate()[0]))
    assert parent.returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_its_own():
    parent = python(f"""
        import os
        from safejudge.images import decoders, process
        from safejudge.policy import Policy
        def seen():
            return decoders.decode({GIF!r}, "x", Policy())
        ours = seen()
        pid = process.POOL._idle[0]._process.pid
        if os.fork() == 0:
            assert seen() == ours
            os._exit(0 if process.POOL._idle[0]._process.pid != pid else 1)
        assert os.wait()[1] == 0
        assert seen() == ours
        assert process.POOL._idle[0]._process.pid == pid
        """)
    parent.communicate()
    assert parent.returncode == 0


def test_a_script_without_a_guard_works(tmp_path):
    (tmp_path / "a.gif").write_bytes(GIF)
    code = """
        from safejudge.images.load import load_images
        from safejudge.policy import Policy
        print(load_images(["a.gif"], Policy())[0].frames)
        """
    done = subprocess.run(
        [sys.executable, "-"],
        input=textwrap.dedent(code),
        cwd=tmp_path,
        env={"PYTHONPATH": os.pathsep.join(sys.path), **os.environ},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("3 of 3 looked at\n", "")


def test_keys_and_passwords_stay_here(monkeypatch):
    monkeypatch.setenv("SAFEJUDGE_API_KEY", "secret")
    assert "secret" not in str(child.environment())


def test_ctrl_c_ends_a_judge_that_waits_for_a_picture(monkeypatch):
    silent = pool("time.sleep(1000)", patience=1e6)
    monkeypatch.setattr(process, "POOL", silent)
    judge = Judge.load("sketch", FakeEngine(), cache=None)

    def interrupt():
        while not silent._busy:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    # Whoever starts the tests in the background has them ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            judge([GIF] * 3)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not silent._busy


def test_what_a_library_says_does_not_reach_the_terminal(capfd):
    tiff = FILES["lzw.tif"]
    damaged = [tiff[:at] + b"\xff" * 8 + tiff[at + 8 :] for at in range(8, len(tiff) - 8, 8)]
    load_images(damaged, POLICY)
    assert capfd.readouterr() == ("", "")
    with contextlib.suppress(ImageError):
        for data in damaged:
            decoding.decode(data, "x", POLICY)
    assert "tempfile.tif" in capfd.readouterr().err  # libtiff speaks where it is not kept from it


# --- what needs no process of its own -----------------------------------------------------------


def exif(tags, size=8):
    entries = b"".join(
        (0x8000 + tag).to_bytes(2, "little") + b"\7\0" + size.to_bytes(4, "little") + bytes(4)
        for tag in range(tags)
    )
    return b"II*\0\x08\0\0\0" + tags.to_bytes(2, "little") + entries + bytes(size)


def with_segment(jpeg, marker, content):
    return (
        jpeg[:2]
        + bytes([0xFF, marker])
        + (len(content) + 2).to_bytes(2, "big")
        + content
        + jpeg[2:]
    )


RGB = Image.fromarray(gradient(40, 60))
JPEG = encode(RGB, "JPEG", progressive=True)
SCAN = JPEG[JPEG.rindex(b"\xff\xda") : -2]


@pytest.mark.parametrize(
    ("data", "ordinary"),
    [
        (JPEG, True),
        (encode(RGB, "JPEG", icc_profile=b"p" * 3000, exif=b"Exif\0\0" + exif(20)), True),
        (encode(RGB.convert("CMYK"), "JPEG"), True),
        (encode(RGB), True),
        (FILES["rgba.png"], True),
        (FILES["deep.png"], True),
        (JPEG[:-2] + SCAN * 40 + b"\xff\xd9", False),
        (with_segment(JPEG, 0xE1, b"Exif\0\0" + exif(5000)), False),
        (with_segment(JPEG, 0xE0, b"\0") * 1, True),
        (JPEG[:2] + b"\xff\xfe\0\2" * 1000 + JPEG[2:], False),
        (JPEG[:2] + b"junk" + JPEG[2:], False),
        (JPEG[:100], False),
        (JPEG.replace(b"\xff\xc2", b"\xff\xca"), False),
        (FILES["moving.png"], False),
        (png(5000, 5000, 1, 0, [bytes(625)] * 5000), False),
        (FILES["rgb.png"][:33] + b"\0\0\0\0juNKabcd" * 6000 + FILES["rgb.png"][33:], False),
        (FILES["rgb.png"][:20], False),
        (FILES["lossy.webp"], False),
        (FILES["still.qoi"], False),
        (b"", False),
    ],
)
def test_what_is_ordinary(data, ordinary):
    assert is_ordinary(data) == ordinary


def test_scans_are_counted_before_anything_is_decoded():
    for scans, reason in ((150, None), (250, "too_slow")):
        data = JPEG[:-2] + SCAN * scans + b"\xff\xd9"
        (found,) = load_images([data], POLICY)
        assert getattr(found, "reason", None) == reason
    with Image.open(io.BytesIO(data)) as image, pytest.raises(ImageError, match="scans"):
        load_image(image, name="x", policy=POLICY)
