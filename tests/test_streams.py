"""What becomes of a run whose standard streams are closed, broken or full."""

import os
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="shells and signals of POSIX")

TELLS = """
import sys
import safejudge.cli.app as c
from safejudge.cli.app import entry, _say
def run(argv):
    _say("a note")
    print("a line")
    return 1
c._run = run
entry()
"""
full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110


def ended(redirection, code=TELLS):
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -c "$1" {redirection}', sys.executable, code],
        capture_output=True,
        text=True,
        check=False,
    )


@full
def test_output_on_a_full_disk_is_an_error_that_says_so():
    done = ended(">/dev/full")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("safejudge: error: standard output: cannot be")
    assert "Traceback" not in done.stderr


@full
@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "2</dev/null 2>&-"])
def test_notes_that_cannot_be_written_end_nothing(redirection):
    done = ended(redirection)
    assert (done.returncode, done.stdout) == (1, "a line\n")


@pytest.mark.parametrize("redirection", [">&-", ">&- 2>&-", ">&- 2>&- <&-"])
def test_closed_streams_change_no_exit_code(redirection):
    assert ended(redirection).returncode == 1


def test_nothing_else_gets_the_number_of_a_closed_stream(tmp_path):
    other = tmp_path / "records"
    code = TELLS.replace(
        'print("a line")',
        f"""
    import os
    number = os.open({str(other)!r}, os.O_CREAT | os.O_WRONLY)
    os.write(1, b'what a library prints')
    return 0 if number > 2 else 3""",
    )
    assert ended(">&- 2>&- <&-", code).returncode == 0
    assert other.read_bytes() == b""


def test_sigterm_that_a_library_turns_into_an_exit_is_no_bug():
    code = TELLS.replace('print("a line")', "sys.exit(15)")
    done = ended("", code)
    assert (done.returncode, done.stderr) == (143, "safejudge: a note\n")


def test_more_than_one_ctrl_c_ends_with_the_same_code():
    code = """
import os, signal, threading, time
import safejudge.cli.app as c
signal.signal(signal.SIGINT, signal.default_int_handler)
def run(argv):
    # a thread that stays behind, of some library
    threading.Thread(target=time.sleep, args=(3600,)).start()
    threading.Thread(target=again).start()
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(3600)
def again():
    threading.main_thread().join()  # returns when the interpreter begins to end
    while True:  # one may come before it waits for the other thread
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
c._run = run
c.entry()
"""
    done = ended("", code)
    assert (done.returncode, done.stderr) == (signal.SIGINT + 128, "safejudge: stopped\n")
