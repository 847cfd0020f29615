"""Fetching published outputs, from a server on this machine."""

import functools
import hashlib
import http.server
import json
import threading

import fetch
import pytest

COMMIT = "a" * 40
TEXT = [{"score": "N/A", "vlm_output": "rating: 7"}, {"score": "3", "vlm_output": "rating: 4"},
        {"score": "12", "vlm_output": ""}, {"score": "N/A", "vlm_output": "none"}]  # fmt: skip
BODIES = {
    "scores/a/blur0.0.json": b"[]\n",
    "images/human/human_7.jpg": b"before",
    "images/human/human_7_edited_face.jpg": b"after",
    "captions/human.json.original": json.dumps(
        [{"image_0": "human_7.jpg", "caption": "somebody"}]
    ).encode(),
    "bias_texts/judge-2_number_scale10.json.original": json.dumps(TEXT).encode(),
}


class Handler(http.server.SimpleHTTPRequestHandler):
    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def mirror(tmp_path):
    """A server's folder, a list of its files, its address, and what it was asked for."""
    root, files = tmp_path / "mirror", []
    for name, body in BODIES.items():
        path = root / COMMIT / "their folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        digest = hashlib.sha256(body).hexdigest()
        files.append({"path": name, "commit": "head", "source": f"their folder/{name}",
                      "size": len(body), "sha256": digest})  # fmt: skip
    listed = tmp_path / "list.json"
    listed.write_text(json.dumps({
        "commits": {"head": COMMIT}, "derived": [fetch.PAIRS, fetch.RATINGS], "files": files,
    }))  # fmt: skip
    kind = type("Counting", (Handler,), {"asked": []})
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(kind, directory=root)
    ) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        yield root / COMMIT / "their folder", listed, address, kind.asked
        server.shutdown()
        thread.join()


def run(mirror, out):
    return fetch.main(["--out", str(out), "--base", mirror[2], "--list", str(mirror[1])])


def test_everything_gets_its_place(mirror, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(mirror, out) == 0
    assert {name: (out / name).read_bytes() for name in BODIES} == BODIES
    assert not list(out.rglob("*.part"))
    assert json.loads((out / fetch.PAIRS).read_text()) == {
        "id": "human_007", "chosen": "images/human/human_7.jpg",
        "rejected": "images/human/human_7_edited_face.jpg", "caption": "somebody",
        "subset": "human", "edited_region": "face", "source_split": "human",
    }  # fmt: skip
    runs = json.loads((out / fetch.RATINGS).read_text())["runs"]
    assert runs == {"judge-2/number_scale10": [7.0, 3.0, None, None]}
    assert "5 fetched, 0 already there, 0 missing, of 5" in capsys.readouterr().out


def test_what_is_there_and_right_is_not_asked_for_again(mirror, tmp_path):
    out = tmp_path / "out"
    assert run(mirror, out) == 0
    mirror[3].clear()
    assert run(mirror, out) == 0
    assert mirror[3] == []
    (out / "scores/a/blur0.0.json").write_bytes(b"{}\n")  # as long, and wrong
    assert run(mirror, out) == 0
    assert len(mirror[3]) == 1
    assert (out / "scores/a/blur0.0.json").read_bytes() == b"[]\n"


@pytest.mark.parametrize("body", [b"{}\n", b"[]\n ", b"[", b""])
def test_other_bytes_are_refused(mirror, tmp_path, capsys, body):
    (mirror[0] / "scores/a/blur0.0.json").write_bytes(body)
    assert run(mirror, tmp_path / "out") == 1
    assert not list((tmp_path / "out/scores").rglob("*"))
    said = capsys.readouterr()
    assert "scores/a/blur0.0.json: size or SHA-256 differ" in said.err
    assert "4 fetched, 0 already there, 1 missing, of 5" in said.out


def test_a_missing_file_is_told_and_the_rest_fetched(mirror, tmp_path, capsys):
    (mirror[0] / "images/human/human_7.jpg").unlink()
    assert run(mirror, tmp_path / "out") == 1
    said = capsys.readouterr()
    assert "human_7.jpg: HTTP Error 404" in said.err
    assert "pairs.jsonl: not written" in said.err
    assert "4 fetched, 0 already there, 1 missing, of 5" in said.out
    assert not (tmp_path / "out" / fetch.PAIRS).exists()
    assert (tmp_path / "out" / fetch.RATINGS).exists()


def test_only_the_web(mirror, tmp_path):
    with pytest.raises(SystemExit):
        fetch.main(["--out", str(tmp_path), "--base", "file:///etc"])


def test_the_list_that_is_shipped():
    listed = json.loads(fetch.ORIGINALS.read_text(encoding="utf-8"))
    names = [file["path"] for file in listed["files"]]
    assert len(set(names)) == len(names) == 190
    assert not any(name.startswith("/") or ".." in name for name in names)
    for file in listed["files"]:
        assert len(listed["commits"][file["commit"]]) == 40
        assert len(file["sha256"]) == 64
        assert file["size"] > 0
    rows = fetch.pairs(fetch.ORIGINALS.parent, names)
    assert len(rows) == 52
    assert {row["chosen"] for row in rows} <= set(names)
