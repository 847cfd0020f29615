"""`judge --ray` on shards of a store: judged as those of the disk are."""

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import stores
from PIL import Image

from safejudge.cli import app as cli
from safejudge.files import remote
from safejudge.judge import Judge
from safejudge.types import Failure

WHY = "pip install s3fs 'moto[s3]' flask flask-cors (make test-remote)"
pytest.importorskip("s3fs", reason=WHY)
pytest.importorskip("moto.moto_server.werkzeug_app", reason=WHY)
pa = pytest.importorskip("pyarrow", reason="pip install 'safejudge[ray]'")
pytest.importorskip("ray", reason="pip install 'safejudge[ray]'")
parquet = pytest.importorskip("pyarrow.parquet")

FAKE = ["--constitution", "sketch", "--engine", "fake:", "--ray", "--actors", "2", "--window", "2"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store, and one Ray whose actors know of it."""
    import ray

    with pytest.MonkeyPatch.context() as patched, stores.known() as served:
        patched.setenv("TMPDIR", str(tmp_path_factory.mktemp("copies")))
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield served
        ray.shutdown()


def png(value):
    stream = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def shards():
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as file:
        for name, data in (("one.png", png(20)), ("one.txt", b"words"), ("two.jpg", b"junk")):
            about = tarfile.TarInfo(name)
            about.size = len(data)
            file.addfile(about, io.BytesIO(data))
    table = io.BytesIO()
    images = [{"bytes": png(40), "path": None}, {"bytes": None, "path": "a.png"}, None,
              {"bytes": None, "path": "s3://bucket/in/a.png"}]  # fmt: skip
    parquet.write_table(pa.table({"image": images, "prompt": ["p", "q", None, "r"]}), table)
    files = {"a.png": png(10), "c.tar": tar.getvalue(), "d.parquet": table.getvalue()}
    return files | {"notes.txt": b"some words", "sub/e.png": png(50)}


OUT = f"s3://{stores.BUCKET}/out"


def parts():
    files = remote.look(OUT).files
    return [pa.BufferReader(remote.read_whole(file.address)) for file in files]


def recorded():
    rows = [row for part in parts() for row in parquet.read_table(part).to_pylist()]
    assert len({row["image"] for row in rows}) == len(rows)
    return {row["image"]: row for row in rows}


def test_shards_of_a_store_are_judged_as_those_of_the_disk(store, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    address = f"s3://{stores.BUCKET}/in"
    for name, data in shards().items():
        store.put(f"in/{name}", data)
    told = ["judge", address, *FAKE, "--out", OUT]
    assert cli.main(told) == 1
    pairs = {
        "a.png": (png(10), None), "c.tar/one.png": (png(20), "words"),
        "c.tar/two.jpg": (b"junk", None), "d.parquet#0": (png(40), "p"),
        "d.parquet#1": (png(10), "q"), "d.parquet#2": (b"", None), "sub/e.png": (png(50), None),
    }  # fmt: skip
    with Judge.load("sketch", "fake:") as alone:
        results = alone([data for data, _ in pairs.values()], [text for _, text in pairs.values()])
    found = recorded()
    outside = found.pop(f"{address}/d.parquet#3")
    assert outside["error"]["reason"] == "outside"
    assert sorted(found) == [f"{address}/{name}" for name in pairs]
    for name, result in zip(pairs, results, strict=True):
        row = found[f"{address}/{name}"]
        assert row["id"] == result.id
        if isinstance(result, Failure):
            assert row["error"]["reason"] == result.reason
        else:
            assert (row["label"], row["score"]) == (result.label, result.score)
    head = json.loads(parquet.read_schema(parts()[0]).metadata[b"safejudge"])
    assert head["intake"]["passed_over"] == {"text": 1}
    # A record stands for what is the same; the copy of a shard is no one's afterwards.
    store.put("in/a.png", png(99))
    capsys.readouterr()
    assert cli.main(told) == 2
    assert f"{OUT}: holds records already; --resume" in capsys.readouterr().err
    cli.main([*told, "--resume"])
    assert "8 images (3 from earlier runs)" in capsys.readouterr().err
    again = recorded()[f"{address}/a.png"]
    assert again["id"] == hashlib.sha256(png(99)).hexdigest()
    assert list(Path(os.environ["TMPDIR"]).glob("safejudge-*")) == []


def test_a_store_that_falls_silent_stops_actors(store, tmp_path, capsys):
    for number in range(6):
        store.put(f"silent/{number}.png", png(number))
    store.fault = lambda path: (503, "ServiceUnavailable") if path.endswith("/5.png") else None
    out = tmp_path / "out"
    told = ["judge", f"s3://{stores.BUCKET}/silent", *FAKE, "--out", str(out)]
    assert cli.main(told) == 3
    assert "/5.png: the store cannot be asked" in capsys.readouterr().err
    for part in out.glob("part-*"):
        assert all(row["error"] is None for row in parquet.read_table(part).to_pylist())
    store.fault = lambda _: None
