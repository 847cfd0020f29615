"""What goes wrong while a server runs, with real processes: the engine, signals, clients, files."""

import json
import re
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import cycle

import httpx2
import numpy as np
import pytest
from live import SKETCH, Live
from PIL import Image

from safejudge.cli.app import main
from safejudge.serve.keys import add
from tests.contract.loopback import Loopback, stall

PATIENCE = 600
OTHER = cycle(range(256))
RULES = """\
name: things
rules:
  - id: {id}
    category: things
    severity: low
    text: No fruit.
    objective: No fruit is visible.
    condition:
      statement: "{statement}"
"""


def until(condition):
    for _ in range(PATIENCE * 20):
        if condition():
            return
        threading.Event().wait(0.05)
    raise AssertionError("never came")


def judged(live, scene, **more):
    """Ask about a scene; each time it is another file, and so are its pixels."""
    picture = np.asarray(Image.open(BytesIO(scene.png))).copy()
    picture[0, 0, 0] = next(OTHER)
    stream = BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    form = [("image", ("a.png", stream.getvalue()))]
    return httpx2.post(f"{live.url}/v1/judge", files=form, timeout=PATIENCE, **more)


def lines(log):
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def ready(live):
    return httpx2.get(f"{live.url}/ready", timeout=PATIENCE).status_code


@pytest.fixture
def rules(tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text(RULES.format(id="fruit", statement="a fruit is visible"), encoding="utf-8")
    return file


def test_an_engine_that_is_gone_is_told_and_comes_back(rules, safe, cache):
    engine = Loopback()
    port = engine.port
    judging = ("--constitution", str(rules), "--engine", f"server:{engine.base}#org/tiny")
    with Live(*judging, cache=cache) as live:
        assert judged(live, safe).status_code == 200
        engine.kill()
        seen = []
        # The first may still meet the engine that fails; none is answered with a verdict.
        until(lambda: seen.append(judged(live, safe)) or ready(live) == 503)
        for reply in (*seen, judged(live, safe)):
            assert reply.status_code == 503
            assert reply.json()["error"]["code"] == "engine_down"
            assert "results" not in reply.json()
        assert httpx2.get(f"{live.url}/health").status_code == 200
        with Loopback(port=port):
            until(lambda: ready(live) == 200)
            assert judged(live, safe).status_code == 200


def test_sigterm_under_load_answers_what_was_accepted(scenes, cache, tmp_path, installed):
    log = tmp_path / "access.jsonl"
    patient = ("--drain", "600", "--timeout", "600")
    with Live(*SKETCH, *patient, cache=cache, log=log) as live, ThreadPoolExecutor(12) as clients:
        replies = [clients.submit(judged, live, scenes[n % len(scenes)]) for n in range(12)]
        # The metrics say that the server has them all: each was read whole.
        until(lambda: received(live) == 12)
        assert live.end(signal.SIGTERM) == 0
        for reply in replies:
            assert reply.result(PATIENCE).status_code == 200
            assert reply.result().json()["coverage"]["judged"] == 1
    answered = [line for line in lines(log) if line["path"] == "/v1/judge"]
    assert [line["status"] for line in answered] == [200] * 12


def received(live):
    text = httpx2.get(f"{live.url}/metrics", timeout=PATIENCE).text
    return float(re.search(r"^safejudge_images_received_total (\S+)", text, re.MULTILINE)[1])


def test_a_client_that_leaves_is_written_down(cache, tmp_path, rules, safe):
    log = tmp_path / "access.jsonl"
    held = threading.Event()
    engine = Loopback()
    judging = ("--constitution", str(rules), "--engine", f"server:{engine.base}#org/tiny")
    with Live(*judging, cache=cache, log=log) as live:
        engine.on_stall = held.set
        engine.behave(fault=stall, every=1)
        body = json.dumps({"images": [{"image": safe.url}]}).encode()
        head = (
            "POST /v1/judge HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", live.port)) as leaving:
            leaving.sendall(head.encode() + body)
            assert held.wait(PATIENCE)  # its question is at the engine
        until(lambda: any(line["status"] == 499 for line in lines(log)))
        (line,) = [line for line in lines(log) if line["status"] == 499]
        assert line["error"] == "client_left"
        assert "images" not in line
        engine.kill()


# --- who may ask, and what is read again ----------------------------------------------------------


def test_nobody_is_served_from_elsewhere_without_keys(capsys, rules):
    options = ["--constitution", str(rules), "--engine", "fake:"]
    assert main(["serve", *options, "--host", "192.0.2.1"]) == 2
    assert "safejudge keys add" in capsys.readouterr().err


def test_a_reload_takes_rules_and_keys_and_refuses_what_is_wrong(rules, safe, cache, tmp_path):
    file = tmp_path / "keys.txt"
    boss = {"Authorization": f"Bearer {add(file, 'boss', ['judge', 'admin'])}"}
    options = ("--constitution", str(rules), "--engine", "fake:", "--keys", str(file))
    with Live(*options, cache=cache) as live:
        reload = f"{live.url}/admin/reload"

        def rule_of(headers):
            return [*judged(live, safe, headers=headers).json()["results"][0]["rules"]]

        assert rule_of(boss) == ["fruit"]
        shop = {"Authorization": f"Bearer {add(file, 'shop', ['judge'])}"}
        assert judged(live, safe, headers=shop).status_code == 401
        assert httpx2.post(reload, headers=shop).status_code == 401
        assert httpx2.post(reload, headers=boss).json()["version"] == 2
        assert judged(live, safe, headers=shop).status_code == 200
        assert httpx2.post(reload, headers=shop).status_code == 403
        rules.write_text(RULES.format(id="bird", statement="a bird is visible"), encoding="utf-8")
        live.send(signal.SIGHUP)
        until(lambda: rule_of(shop) == ["bird"])
        rules.write_text("rules: nonsense", encoding="utf-8")
        refused = httpx2.post(reload, headers=boss)
        assert refused.status_code == 422
        assert "rules.yaml" in refused.json()["error"]["message"]
        assert rule_of(shop) == ["bird"]
        live.send(signal.SIGHUP)  # says so in its log, and goes on
        until(lambda: any("nothing was reloaded" in line for line in live.said))
        assert rule_of(shop) == ["bird"]


# --- options in a file ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("engine: 'fake:'\nprot: 80\n", r"serve\.yaml:2: `prot` is no option; do you mean port"),
        ("log-captions: maybe\n", r"serve\.yaml:1: `log-captions` is on or off"),
        ("allow-host: [[a]]\n", r"serve\.yaml:1: `allow-host` holds a list or a mapping"),
        ("- engine\n", r"serve\.yaml:1: the file holds a list"),
        ("port: 1\nport: 2\n", r"serve\.yaml:2"),
        ("config: other.yaml\n", r"serve\.yaml:1: `config` is no option"),
        ("keys: []\n", r"serve\.yaml:1: `keys` has one value"),
        ("host: [127.0.0.1, 0.0.0.0]\n", r"serve\.yaml:1: `host` has one value"),
        ("port: {a: 1}\n", r"serve\.yaml:1: `port` has one value"),
    ],
)
def test_a_file_of_options_is_strict(tmp_path, capsys, text, told):
    file = tmp_path / "serve.yaml"
    file.write_text(text, encoding="utf-8")
    assert main(["serve", "--config", str(file)]) == 2
    assert re.search(told, capsys.readouterr().err)


def test_a_second_file_of_options_is_not_passed_over(capsys):
    assert main(["serve", "--config", "a.yaml", "--config=b.yaml"]) == 2
    assert "--config is given twice" in capsys.readouterr().err


def test_options_of_a_file_are_those_of_the_command(tmp_path):
    from safejudge.cli.app import parse

    file = tmp_path / "serve.yaml"
    file.write_text(
        "constitution: sketch\nengine: 'fake:'\nport: 8000\nallow-host: [a.example, b.example]\n"
        "set: {open_means: undecided, max_frames: null}\nlog-captions: true\nmax-body: 2\n",
        encoding="utf-8",
    )
    command = ["--constitution", "sketch", "--engine", "fake:", "--port", "9000"]
    hosts = ["--allow-host", "a.example", "--allow-host", "b.example", "--allow-host", "c.example"]
    settings = ["--set", "open_means=undecided", "--set", "max_frames=null"]
    _, plain = parse(
        ["serve", *command, *hosts, *settings, "--log-captions", "--max-body", "2",
         ]
    )  # fmt: skip
    _, of_file = parse(
        ["serve", "--config", str(file), "--port", "9000", "--allow-host", "c.example"]
    )
    names = [name for name in type(plain).__dataclass_fields__ if name != "config"]
    assert [getattr(plain, name) for name in names] == [getattr(of_file, name) for name in names]
