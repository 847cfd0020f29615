"""Pages become pictures: the same in every run, of nothing but the page, in bounded time."""

import json
import os
import sys
import time
from pathlib import Path

import hostile_pages
import pytest
from PIL import Image
from render import FRAME, PAGES, differences, is_marked

from safejudge.cli import app as cli
from safejudge.errors import InputError, OutputError
from safejudge.render import (
    Browser,
    Finding,
    Rendered,
    Shot,
    Stage,
    captioned,
    process,
    read_page,
    render,
    render_file,
)
from safejudge.render.messages import Reader, Sender
from safejudge.render.saved import Folder

EXPECTED = json.loads((PAGES / "expected.json").read_text(encoding="utf-8"))
SHORT = Stage(at=(0,), size=(600, 400))


# --- without a browser ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stage",
    [
        {"at": ()},
        {"at": (1, 1)},
        {"at": (-1,)},
        {"at": (float("nan"),)},
        {"at": (601,)},
        {"at": range(40)},
        {"size": (0, 10)},
        {"size": (10, 4001)},
        {"seconds": 0},
        {"seconds": float("nan")},
    ],
)
def test_a_stage_has_bounds(stage):
    with pytest.raises(InputError):
        Stage(**stage)


def test_a_missing_browser_is_one_error_before_the_run(tmp_path, capsys, monkeypatch):
    page = str(PAGES / "clock.html")
    out = tmp_path / "shots"
    assert cli.main(["render", page, "--out", str(out), "--browser", "/no/such"]) == 2
    assert "--browser /no/such: is no program" in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(["render", page, page, "--out", str(out)]) == 2
    told = capsys.readouterr().err
    assert told.count("apt install chromium") == 1
    assert not out.exists()


def test_a_program_that_is_no_browser_is_an_error():
    with pytest.raises(InputError, match="cannot be started"):
        render("<p>a", SHORT, Browser("/bin/false"))


@pytest.mark.parametrize("text", ["", " \n"])
def test_nothing_needs_no_browser(text):
    assert render(text, SHORT, Browser("/bin/false")).status == "nothing to render"


@pytest.mark.parametrize(
    ("text", "status"), [("I ask you.", "nothing to render"), ("```html\n<html><p>", "cut page")]
)
def test_an_answer_without_a_whole_page_is_said_and_not_judged(tmp_path, text, status):
    file = tmp_path / "answer.md"
    file.write_text(text, encoding="utf-8")
    done = render_file(file, SHORT, Browser("/bin/false"))
    assert (done.status, done.shots) == (status, ())
    with pytest.raises(InputError, match=status):
        captioned(file, SHORT, Browser("/bin/false"))


@pytest.mark.parametrize(
    "data",
    [b"\xc3\xa4", b"\xef\xbb\xbf\xc3\xa4", b"\xe4", "ä".encode("utf-16")],
)
def test_pages_are_read_as_browsers_do(tmp_path, data):
    file = tmp_path / "a.html"
    file.write_bytes(data)
    assert read_page(file) == "ä"


def test_a_page_says_its_charset(tmp_path):
    file = tmp_path / "a.html"
    file.write_bytes(b'<meta charset="koi8-r">' + "ж".encode("koi8-r"))
    assert read_page(file).endswith("ж")
    file.write_bytes(b'<meta charset="punycode">\xe4')
    assert read_page(file).endswith("ä")


def test_a_page_that_cannot_be_read_is_an_error(tmp_path):
    for file in (tmp_path, tmp_path / "none.html"):
        with pytest.raises(InputError, match="cannot be read"):
            read_page(file)
    (tmp_path / "large.html").write_bytes(bytes(2**24 + 1))
    with pytest.raises(InputError, match="is over"):
        read_page(tmp_path / "large.html")
    with pytest.raises(InputError, match="over"):
        render("a" * (2**24 + 1), SHORT, Browser("/bin/false"))


def test_messages_come_out_as_they_went_in():
    source, target = os.pipe()
    sender = Sender(target)
    sender.send({"a": "\n"}, b"\n{}")
    sender.send({"b": 1})
    data = os.read(source, 1000)
    os.close(source)
    reader = Reader(3)
    got = [got for byte in data for got in reader.feed(bytes([byte]))]
    assert got == [({"a": "\n", "bytes": 3}, b"\n{}"), ({"b": 1, "bytes": 0}, b"")]


@pytest.mark.parametrize(
    "data", [b'{"bytes": 4}\n', b'{"bytes": -1}\n', b"x" * 2**17, b"no\n", b"{}\n"]
)
def test_what_is_no_message_is_refused(data):
    with pytest.raises((ValueError, KeyError)):
        list(Reader(3).feed(data))


@pytest.mark.parametrize("begun", [False, True])
def test_a_silent_process_is_ended_with_its_group(monkeypatch, tmp_path, begun):
    """The browser is a group of its own: here a child with a session of its own."""
    note = tmp_path / "pids"
    code = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '99'], start_new_session=True)\n"
        f"open({str(note)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}} {{os.getcwd()}}')\n"
        'print(\'{"ready": {"pid": %d}, "bytes": 0}\' % child.pid if '
        f"{begun} else '', end='\\n' if {begun} else '', flush=True)\n"
        "time.sleep(99)\n"
    )
    monkeypatch.setattr(process, "_COMMAND", (sys.executable, "-c", code))
    monkeypatch.setattr(process, "START", 60.0 if begun else 2.0)
    with pytest.raises(process.Silence) as silence:
        list(process.messages({}, 0.1))
    assert silence.value.begun is begun
    pid, child, folder = note.read_text(encoding="utf-8").split()
    assert not Path(folder).exists()
    assert not is_alive(int(pid))
    if begun:
        assert not is_alive(int(child))
    else:
        os.kill(int(child), 9)


def test_a_browser_that_dies_is_a_page_that_crashed(monkeypatch):
    ready = json.dumps({"ready": {"pid": 2**22 + 1, "browser": "x/1", "sealed": False}, "bytes": 0})
    monkeypatch.setattr(process, "_COMMAND", (sys.executable, "-c", f"print({ready!r})"))
    done = render("<p>a", SHORT, Browser("/bin/false"))
    assert (done.status, done.browser, done.shots, done.complete) == ("crashed", "x/1", (), False)


def test_a_process_that_never_begins_is_an_error(monkeypatch):
    monkeypatch.setattr(process, "_COMMAND", (sys.executable, "-c", "raise ImportError"))
    with pytest.raises(InputError, match="ended before it was there"):
        render("<p>a", SHORT, Browser("/bin/false"))


def test_a_flood_of_messages_ends_with_the_time(monkeypatch):
    ready = {"ready": {"pid": 2**22 + 1, "browser": "x/1", "sealed": False}, "bytes": 0}
    code = f'print({json.dumps(ready)!r})\nwhile True: print(\'{{"x": 1, "bytes": 0}}\')'
    monkeypatch.setattr(process, "_COMMAND", (sys.executable, "-c", code))
    with pytest.raises(process.Silence):
        for _ in process.messages({}, 0.2):
            pass


@pytest.mark.parametrize(
    "message",
    [
        {"shot": 0, "page": [1, 1], "clip": [1, 1]},
        {"end": "well"},
        {"finding": ["x", "y"]},
        {"x": 1},
    ],
)
def test_nonsense_is_a_page_that_crashed(monkeypatch, message):
    ready = {"ready": {"pid": 2**22 + 1, "browser": "x/1", "sealed": False}, "bytes": 0}
    lines = "\n".join(json.dumps(line) for line in (ready, {**message, "bytes": 0}))
    monkeypatch.setattr(process, "_COMMAND", (sys.executable, "-c", f"print({lines!r})"))
    done = render("<p>\udc80", SHORT, Browser("/bin/false"))
    assert (done.status, [finding.kind for finding in done.findings]) == ("crashed", ["error"])


def is_alive(pid):
    """Whether a process runs; one that ended and that nobody fetched does not."""
    for _ in range(200):  # what was killed may take its time on a busy machine
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[2] == "Z":
                return False
        except OSError:
            return False
        time.sleep(0.05)
    return True


def test_a_folder_is_written_once(tmp_path):
    out = tmp_path / "out"
    image = Image.new("RGB", (2, 2), "red")
    finding = Finding(kind="one colour", what="after 0.5 s: #ff0000")
    done = Rendered("rendered", (2, 2), (Shot(0.5, image, "#ff0000"),), (finding,))
    Folder(out, ["a/x.html"], overwrite=False).save("a/x.html", done)
    assert sorted(path.name for path in out.iterdir()) == ["pages.jsonl", "x.html-0.5s.png"]
    (line,) = (out / "pages.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["shots"] == [
        {"file": "x.html-0.5s.png", "at": 0.5, "size": [2, 2], "one_colour": "#ff0000"}
    ]
    with pytest.raises(OutputError, match="--overwrite"):
        Folder(out, ["x.html"], overwrite=False)
    Folder(out, ["x.html"], overwrite=True)
    with pytest.raises(InputError, match="two pages of this name"):
        Folder(out, ["a/x.html", "b/x.html"], overwrite=True)


# --- in Chromium ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    try:
        found = Browser.find()
        render("<p>a", SHORT, found)
    except InputError as error:
        pytest.skip(str(error))
    return found


@pytest.mark.parametrize(
    "name",
    ["clock.html", "css_animation.html", "smil.svg", "frames.html", "outside.html", "popup.html"],
)
def test_the_made_up_pages(browser, name):
    done = render_file(PAGES / name, browser=browser)
    assert differences(EXPECTED[name], done, FRAME if name == "frames.html" else 1) == []


MOVING = """<!DOCTYPE html><style>div,svg{position:absolute;left:0;width:100px;height:50px;background:#22d}
#a{top:0;transition:left 2s linear}#b{top:60px}#c{top:120px}h1{margin:300px 0 0;font:20px monospace}
@keyframes go{to{left:500px}}.go{animation:go .3s linear}</style><div id=a></div><div id=b class=go></div>
<div id=c></div><h1 id=t></h1><script>let n=0;setTimeout(()=>{a.style.left='400px';throw 1},500);
b.onanimationend=()=>{b.style.top=60+20*++n+'px';b.className='';b.offsetWidth;b.className='go'};
requestAnimationFrame(function f(x){c.style.left=x/4+'px';requestAnimationFrame(f)});
setInterval(()=>t.textContent=[performance.now(),new Date().toISOString(),Math.random()],30);
c.attachShadow({mode:'closed'}).innerHTML='<style>i{position:absolute;width:9px;height:9px;background:red;\
animation:go 3s linear}@keyframes go{to{left:90px}}</style><i></i>'</script>"""  # noqa: E501


def test_whatever_moves_goes_by_the_stopped_clock(browser):
    first, second = (render(MOVING, Stage(at=(0, 0.4, 1.5)), browser) for _ in range(2))
    assert [s.image.tobytes() for s in first.shots] == [s.image.tobytes() for s in second.shots]
    assert len({shot.image.tobytes() for shot in first.shots}) == 3
    assert first.findings == second.findings
    assert [finding.kind for finding in first.findings] == ["error"]  # and the clock went on
    blue = [shot.image.getpixel((250, 10)) == (34, 34, 221) for shot in first.shots]
    assert blue == [False, False, True]  # the transition began at 0.5 s


def test_a_page_sees_no_file_of_the_machine(browser, tmp_path):
    hostile_pages.write_marks(tmp_path)
    pages = hostile_pages.local(tmp_path.as_uri(), f"{tmp_path.as_uri()}/mark.js")
    names = (
        "iframe",
        "img",
        "style import",
        "import()",
        "fetch",
        "frame of srcdoc",
        "worker import",
    )
    done = render("".join(pages[name] for name in names), Stage(at=(0.5,)), browser)
    assert done.status == "rendered"
    assert not any(is_marked(shot.image) for shot in done.shots)
    assert {finding.what.rpartition("/")[2] for finding in done.of("local file")} >= {
        "mark.html", "mark.svg", "mark.css",
    }  # fmt: skip


def test_a_loop_is_ended_and_what_was_seen_before_is_kept(browser):
    page = hostile_pages.HOSTILE["loop in a timer"]
    done = render(page, Stage(at=(0, 1), seconds=6), browser)
    assert done.status == "timed out"
    assert [shot.caption for shot in done.shots] == ["after 0 s"]


HOSTILE = """<!DOCTYPE html><body style="width:50000px;height:200000px"><script>
navigator.serviceWorker.register('/w.js').catch(()=>{});print();alert('x'.repeat(1e6));
try{new RTCPeerConnection()}catch(e){}try{new SharedWorker('data:,')}catch(e){}
for(let i=0;i<4;i++)new Worker(URL.createObjectURL(new Blob(['for(;;){}'])));
const a=document.createElement('a');a.href='about:blank';a.target='_blank';document.body.append(a);
a.click();for(let i=0;i<2000;i++)__note('request','made up');__note('no kind',{});
document.head.innerHTML='<link rel="Preconnect" href="https://x.example.invalid/">';
Object.prototype.toJSON=()=>1;document.getAnimations=null;setTimeout(()=>location='/else',500)</script>"""


def test_a_hostile_page_ends_with_everything_said(browser):
    done = render(HOSTILE, Stage(at=(0, 1), size=(600, 400)), browser)
    kinds = {finding.kind for finding in done.findings}
    assert kinds >= {"service worker", "print", "dialog", "webrtc", "sharedworker", "clipped"}
    assert kinds >= {"request", "too many findings"}
    assert (done.status, len(done.shots)) == ("left the page", 1)
    assert max(len(finding.what) for finding in done.findings) <= 310
    assert done.shots[0].image.size == (4000, 4000)
    assert done.page == (50008, 200016)


def test_the_command_writes_pictures_and_says_what_came(browser, tmp_path, capsys):
    out = tmp_path / "shots"
    (tmp_path / "cut.md").write_text("```html\n<html><p>", encoding="utf-8")
    pages = [str(PAGES / "alert.html"), str(tmp_path / "cut.md")]
    line = ["render", *pages, "--at", "0,0.5", "--size", "320x200", "--out", str(out)]
    assert cli.main(line) == 4
    told = capsys.readouterr().out
    assert "alert.html: rendered, 2 pictures, page of 320 x 200 pixels, 2 refused" in told
    assert "cut.md: cut page, 0 pictures" in told
    assert "2 pages, 1 whole; 2 pictures and pages.jsonl in" in told
    with Image.open(out / "alert.html-0.5s.png") as image:
        assert image.size == (320, 200)
    first, second = map(json.loads, (out / "pages.jsonl").read_text(encoding="utf-8").splitlines())
    assert first["browser"]
    assert [finding["what"] for finding in first["findings"][:2]] == ["alert: stop", "confirm: ?"]
    assert (second["status"], second["shots"]) == ("cut page", [])
