"""`judge --ray`: folders, tar shards and Parquet in, Parquet out; nothing lost, nothing twice."""

import io
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from safejudge.cli import app as cli
from safejudge.decide.thresholds import (
    Absent,
    MadeBy,
    Reasoning,
    RuleThresholds,
    Threshold,
    Thresholds,
    dump,
)
from safejudge.errors import InputError, OutputError
from safejudge.files import records
from safejudge.files.short import shortened
from safejudge.files.standing import Standing
from safejudge.files.stored import open_stored
from safejudge.files.tally import Tally
from safejudge.images import shards as sources
from safejudge.judge import Judge
from safejudge.scale import actors
from safejudge.scale import run as scale
from safejudge.scale.cluster import Pool, check_answers, check_reachable
from safejudge.sketch.scenes import write_scenes
from safejudge.types import Decision, Failure, Intake, Judgment
from tests.contract.loopback import Loopback

pa = pytest.importorskip("pyarrow", reason="pip install 'safejudge[ray]'")
pytest.importorskip("ray", reason="pip install 'safejudge[ray]'")
parquet = pytest.importorskip("pyarrow.parquet")
parts = pytest.importorskip("safejudge.files.parquet")

FAKE = ["--constitution", "sketch", "--engine", "fake:"]


@pytest.fixture(scope="module")
def cluster():
    """One Ray on this machine for the runs of this file, with room for two actors."""
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


def judge(*arguments):
    return cli.main(["judge", *map(str, arguments), *FAKE, "--ray"])


def record_of(row):
    """The record that a row of the Parquet files stands for."""
    failed = row["error"] is not None
    row = {
        name: value
        for name, value in row.items()
        if value is not None or name in ("id", "frames", "caption")
    }
    if failed:
        return {name: row[name] for name in ("image", "id", "error")}
    return row | {"rules": json.loads(row["rules"])}


def recorded(folder):
    tables = [parquet.read_table(path) for path in sorted(folder.glob("part-*.parquet"))]
    return [record_of(row) for table in tables for row in table.to_pylist()]


def ordinary(pairs):
    """Records of the ordinary judge for (name, source, caption)."""
    with Judge.load("sketch", "fake:") as found:
        results = found([source for _, source, _ in pairs], [text for *_, text in pairs])
    made = [records.record(name, result) for (name, *_), result in zip(pairs, results, strict=True)]
    return [json.loads(records.to_line(one)) for one in made]


def png(value=0, size=4):
    stream = io.BytesIO()
    Image.fromarray(np.full((size, size, 3), value, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def add(tar, name, data):
    about = tarfile.TarInfo(name)
    about.size = len(data)
    tar.addfile(about, io.BytesIO(data))


def by_name(found):
    return sorted(found, key=lambda record: record["image"])


# --- whole runs -----------------------------------------------------------------------------------


def workers():
    """The processes of the actors that judge, of this test and nobody else's."""
    import psutil

    found = psutil.Process().children(recursive=True)
    return [p.pid for p in found if "ray::Worker" in " ".join(p.cmdline())]


def test_an_actor_dies_and_every_image_has_one_record(cluster, tmp_path, monkeypatch, capfd):
    write_scenes(tmp_path / "drawn", 200, seed=5)
    drawn = sorted((tmp_path / "drawn").glob("*.png"))
    (tmp_path / "in").mkdir()
    for copy in range(10):
        for path in drawn:
            os.link(path, tmp_path / "in" / f"{copy}-{path.name}")
    killed = []
    take = parts.Parts.add

    def kill_one(self, table):
        take(self, table)
        if not killed and self.tally.labels.total() > 200:
            killed.extend(workers()[:1])
            os.kill(killed[0], signal.SIGKILL)
            assert self.tally.labels.total() < 1500

    monkeypatch.setattr(parts.Parts, "add", kill_one)
    out = tmp_path / "out"
    assert judge(tmp_path / "in", "--out", out, "--actors", 2, "--window", 16) == 1
    assert len(killed) == 1
    found = recorded(out)
    names = [str(path) for path in (tmp_path / "in").iterdir()]
    assert sorted(record["image"] for record in found) == sorted(names)
    alone = {one.pop("image"): one for one in ordinary([(path.name, path, None) for path in drawn])}
    for record in found:
        drawn_as = Path(record.pop("image")).name.partition("-")[2]
        assert record == alone[drawn_as]
    said = capfd.readouterr()
    assert "2000 images: " in said.err
    assert "images/s" in said.err
    assert " s x 2 actors: " in said.err
    assert said.out == ""


def test_short_records_are_those_of_a_run_without_ray(cluster, shards, capsys):
    assert judge("in/a.png", "in/b.png", "--out", "out", "--record", "short") == 1
    told = [line for line in capsys.readouterr().err.splitlines() if "images: " in line]
    assert cli.main(["judge", "in/a.png", "in/b.png", "--out", "full", *FAKE, "--ray"]) == 1
    assert told[0].split(";")[0] in capsys.readouterr().err
    short, full = open_stored(Path("out")), open_stored(Path("full"))
    kept = [record.content for record in short]
    assert by_name(kept) == by_name([shortened(record.content) for record in full])
    assert judge("in/a.png", "--out", "out", "--resume") == 2
    assert "--record): short, now full" in capsys.readouterr().err


@pytest.fixture
def shards(tmp_path, monkeypatch):
    """A folder with files, a tar and two Parquet files; a broken image in each."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(png(10))
    (tmp_path / "in/b.png").write_bytes(b"junk")
    with tarfile.open("in/c.tar", "w") as tar:
        add(tar, "one.png", png(20))
        add(tar, "one.txt", b"a caption")
        add(tar, "two.v1.jpg", b"junk")
        add(tar, "sub/one.png", png(30))
        add(tar, "one.json", b"{}")
    images = [{"bytes": png(40), "path": None}, {"bytes": b"junk", "path": "x.png"}, None,
              {"bytes": None, "path": "a.png"}]  # fmt: skip
    table = pa.table({"image": images, "prompt": ["p", "q", None, "r"], "other": [1, 2, 3, 4]})
    parquet.write_table(table, "in/d.parquet", row_group_size=3)
    parquet.write_table(pa.table({"image": [png(50)], "caption": ["c"]}), "in/e.parquet")
    return tmp_path


SHARDS = [
    ("in/a.png", png(10), None),
    ("in/b.png", b"junk", None),
    ("in/c.tar/one.png", png(20), "a caption"),
    ("in/c.tar/two.v1.jpg", b"junk", None),
    ("in/c.tar/sub/one.png", png(30), None),
    ("in/d.parquet#0", png(40), "p"),
    ("in/d.parquet#1", b"junk", "q"),
    ("in/d.parquet#2", b"", None),
    ("in/d.parquet#3", png(10), "r"),
    ("in/e.parquet#0", png(50), "c"),
]


def named(record):
    """A record whose message is about bytes by their place, as if they had a name."""
    if "error" in record:
        told = record["error"]["message"].partition(": ")[2]
        record["error"]["message"] = f"{record['image']}: {told}"
    return record


def test_files_shards_and_captions(cluster, shards, capsys):
    assert judge("in", "--out", "out", "--window", 3) == 1
    expected = [named(record) for record in ordinary(SHARDS)]
    assert by_name(recorded(shards / "out")) == by_name(expected)
    assert "10 images: " in capsys.readouterr().err
    head = json.loads(parquet.read_schema("out/part-00000.parquet").metadata[b"safejudge"])
    with Judge.load("sketch", "fake:") as alone:
        assert head == records.header(
            head["safejudge"],
            alone.provenance,
            None,
            folder=str(shards),
            intake=Intake(found=10),
            judged_by=alone.described(),
        ) | {"date": head["date"]}


@pytest.fixture
def decided(shards):
    """Thresholds for the made-up judge: some images are blocked, some are for a person."""

    def write(block):
        with Judge.load("sketch", "fake:") as judge:
            made_by = MadeBy.of(judge.provenance, judge.policy, "0")
            rules = judge.constitution.rules
        cut = Threshold(at=block, promise=0.05, delta=0.1, n=90, errors=0, bound=0.04)
        entries = {
            rule.id: RuleThresholds.model_validate({
                "digest": rule.digest(), "labels": 90, "violations": 9, "block": cut,
                "pass": cut.model_copy(update={"at": block / 2}),
                "probability": Absent(why="few"),
            })
            for rule in rules
        }  # fmt: skip
        reasoning = Reasoning(verdict="not asked", n=0, reasoned=0)
        made = Thresholds(
            date="2026-11-29", made_by=made_by, images=(), reasoning=reasoning, rules=entries
        )
        dump(made, shards / f"{block}.yaml")
        return shards / f"{block}.yaml"

    return write


def test_thresholds_decide_as_they_do_without_ray(cluster, shards, decided, capsys):
    for shade in range(6):
        (shards / "in" / f"more{shade}.png").write_bytes(png(40 * shade))
    pictures = ["in/a.png", *(f"in/more{shade}.png" for shade in range(6)), "in/gone.png"]
    words = [*pictures, "--thresholds", decided(0.6), "--window", 3]
    ends, told = [], []
    for more in (["--ray", "--out", "out"], ["--out", "out.jsonl"]):
        ends.append(cli.main(["judge", *map(str, words), *FAKE, *more]))
        lines = capsys.readouterr().err.splitlines()
        told.append([line for line in lines if "actions: " in line or "thresholds" in line])
    assert ends[0] == ends[1]
    assert told[0] == told[1]
    assert "actions: " in told[0][-1]
    with_ray, without = open_stored(Path("out")), open_stored(Path("out.jsonl"))
    assert with_ray.head["thresholds"] == without.head["thresholds"]
    both = [
        [{k: v for k, v in record.content.items() if v is not None} for record in stored]
        for stored in (with_ray, without)
    ]
    assert by_name(both[0]) == by_name(both[1])
    actions = {record["decision"]["action"] for record in both[0]}
    assert {"block", "person"} <= actions
    assert cli.main(["report", "out"]) == 0
    capsys.readouterr()
    again = [*pictures, "--window", 3, "--out", "out", "--resume"]
    assert judge(*again, "--thresholds", decided(0.6)) == ends[0]
    assert told[0][-1] in capsys.readouterr().err
    assert judge(*again, "--thresholds", decided(0.5)) == 2
    assert "another file of thresholds" in capsys.readouterr().err
    assert judge(*again) == 2
    assert judge(*words, "--out", "other", "--no-cascade") == 2
    assert "made with another policy" in capsys.readouterr().err


def test_what_was_stopped_goes_on(cluster, shards, monkeypatch, capsys):
    (shards / "p.csv").write_text("image,prompt\nin/c.tar/one.png,x\na.png,y\nin/e.parquet#0,z\n")
    told = ["in", "in/a.png", "--prompts", "p.csv", "--out", "out", "--window", 2]
    take = parts.Parts.add

    def stop(self, table):
        take(self, table)
        if self.tally.labels.total() > 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(parts.Parts, "add", stop)
        assert judge(*told) == 130
    first = recorded(shards / "out")
    assert 4 < len(first) < 8
    assert f"stopped: {len(first)} records in out; " in capsys.readouterr().err
    failed = sum(record.get("error") is not None for record in first)
    assert judge(*told, "--resume", "--no-cascade") == 2
    assert "out: was made with another policy" in capsys.readouterr().err
    assert judge(*told, "--resume") == 1
    assert f"10 images ({len(first) - failed} from earlier runs)" in capsys.readouterr().err
    prompts = {"in/c.tar/one.png": "x", "in/a.png": "y", "in/e.parquet#0": "z"}
    pairs = [(name, data, prompts.get(name)) for name, data, _ in SHARDS]
    expected = [named(record) for record in ordinary(pairs)]
    assert by_name(recorded(shards / "out")) == by_name(expected)
    assert judge("in/a.png", "--out", "out", "--overwrite") in {0, 1, 4}
    assert [record["image"] for record in recorded(shards / "out")] == ["in/a.png"]


def test_an_engine_that_cannot_be_opened(cluster, shards, capsys):
    told = ["--constitution", "sketch", "--engine", "hf:/nowhere"]
    assert cli.main(["judge", "in", "--out", "out", "--ray", *told]) == 3
    assert "error: /nowhere: not a folder with a model" in capsys.readouterr().err
    assert recorded(shards / "out") == []


def actor_options(line):
    _, options = cli.parse(line)
    return actors.ActorOptions(
        options.judge.spec(), options.batching.window, captions=True, folder=str(Path.cwd())
    )


def test_a_window_that_kills_every_actor_is_given_up(cluster, shards):
    attempts = cluster.remote(actors.Attempts).options(num_cpus=0).remote()
    line = ["judge", "in/a.png", *FAKE, "--ray", "--out", "out"]
    worker = actors.Worker(actor_options(line), attempts)
    packed = [pickle.dumps(place) for place in sources.find_entries(["in/a.png"])]
    for _ in range(actors.DEATHS + 2):
        assert worker.judge(7, packed)["image"].to_pylist() == ["", "in/a.png"]
    for begun in range(1, actors.DEATHS + 2):
        assert cluster.get(attempts.begin.remote(7)) == begun
    (about,) = worker.judge(7, packed)["message"].to_pylist()
    assert "4 actors died over the same 1 image, the first of them in/a.png" in about


def test_an_engine_that_kills_whoever_opens_it_is_given_up(cluster, shards):
    attempts = cluster.remote(actors.Attempts).options(num_cpus=0).remote()
    line = ["judge", "in/a.png", *FAKE, "--ray", "--out", "out"]
    for begun in range(1, actors.DEATHS + 2):
        assert cluster.get(attempts.begin.remote("opening 1")) == begun
    worker = actors.Worker(actor_options(line), attempts, 1)
    (about,) = worker.judge(0, [])["message"].to_pylist()
    assert "4 actors died while they opened the engine" in about


def test_of_a_bug_in_an_actor_the_way_is_shown_and_records_are_kept(
    cluster, shards, monkeypatch, capsys
):
    line = ["judge", "in/a.png", "in/e.parquet", *FAKE, "--ray", "--out", "out"]
    _, options = cli.parse(line)
    attempts = cluster.remote(actors.Attempts).options(num_cpus=0).remote()
    worker = actors.Worker(actor_options(line), attempts)
    places = sources.find_entries(options.paths)
    packed = [[pickle.dumps(place)] for place in places]
    good = worker.judge(7, packed[0])
    monkeypatch.setattr(actors, "read", lambda *_, **__: 1 / 0)
    together = pa.concat_tables([good, good, worker.judge(8, packed[1])])
    monkeypatch.setattr(scale, "judge_windows", lambda *_: (table for table in [together]))
    assert judge("in/a.png", "in/e.parquet", "--out", "out") == 3
    assert [record["image"] for record in recorded(shards / "out")] == ["in/a.png"]
    said = capsys.readouterr().err
    assert "stopped: 1 record in out" in said
    assert "an actor failed: ZeroDivisionError" in said
    assert "in _records" in said


def test_an_image_without_a_record_is_an_error(cluster, shards, monkeypatch, capsys):
    monkeypatch.setattr(scale, "judge_windows", lambda *_: (table for table in ()))
    assert judge("in/a.png", "--out", "out") == 3
    said = "1 image (the first: in/a.png) came back without a record"
    assert said in capsys.readouterr().err


def test_no_more_windows_are_taken_than_actors_are_busy_with(cluster, shards):
    taken = []

    def windows():
        for number in range(30):
            taken.append(number)
            yield [pickle.dumps(sources.Entry("in/a.png", "in/a.png"))]

    line = ["judge", "in/a.png", *FAKE, "--ray", "--out", "out"]
    came = 0
    for table in actors.judge_windows(windows(), actor_options(line), Pool(2, 0)):
        came += 1
        assert table["image"].to_pylist() == ["", "in/a.png"]
        assert len(taken) <= came + 2 * actors.AHEAD
    assert (came, len(taken)) == (30, 30)


def test_the_command_brings_its_own_ray_and_takes_it_away(shards):
    line = [sys.executable, "-m", "safejudge", "judge", "in/a.png", *FAKE, "--ray", "--out", "out"]
    clean = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=clean, timeout=900)
    assert done.returncode in {0, 1, 4}
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["safejudge"] * len(lines)
    assert len(recorded(shards / "out")) == 1


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--ray"], "--ray writes Parquet files into a folder; name it with --out DIR"),
        (["--actors", "2"], "--actors: means nothing without --ray"),
        (
            ["--ray-address", "h:1", "--gpus-per-actor", "0"],
            "--gpus-per-actor, --ray-address: mean",
        ),
        (["--ray", "--out", "out", "--report", "p.html"], "--report goes without --ray"),
        (["--ray", "--out", "in"], "in: --out lies among the images (in/"),
        (["--ray", "--out", "no/out"], "no/out: there is no folder no; make it"),
        (["--ray", "--out", "in/a.png"], "in/a.png: is no folder; records go into one"),
        (["--ray", "--out", "out", "--constitution", "no.yaml"], "no.yaml"),
    ],
)
def test_wrong_options(shards, capsys, extra, said):
    assert cli.main(["judge", "in", *FAKE, *extra]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("extra", [["--actors", "0"], ["--gpus-per-actor", "-1"]])
def test_wrong_numbers(shards, extra):
    assert cli.main(["judge", "in", *FAKE, "--ray", "--out", "out", *extra]) == 2


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--actors", "3"], "--actors 3: each takes one CPU, and Ray has 2"),
        (["--gpus-per-actor", "1"], "1 actors with 1 GPUs each, but Ray has 0 GPUs"),
    ],
)
def test_more_than_the_cluster_has(cluster, shards, capsys, extra, said):
    assert judge("in", "--out", "out", *extra) == 2
    assert said in capsys.readouterr().err


def test_another_cluster_than_that_in_use(cluster, shards, capsys):
    assert judge("in", "--out", "out", "--ray-address", "h:1") == 2
    assert "--ray-address h:1: this process uses a Ray already" in capsys.readouterr().err


def test_where_no_cluster_listens():
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9: no cluster of Ray can be used there"):
        check_reachable("127.0.0.1:9")


def test_what_listens_and_is_silent_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        check_reachable(address)
        with pytest.raises(InputError, match=rf"{address}: no cluster of Ray can be used there \("):
            check_answers(address, seconds=2)


def test_a_cluster_that_runs_is_used(cluster, shards):
    address = cluster.get_runtime_context().gcs_address
    line = [sys.executable, "-m", "safejudge", "judge", "in/a.png", *FAKE, "--ray", "--out", "out"]
    line += ["--ray-address", address]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode in {0, 1, 4}, done.stderr
    assert [record["image"] for record in recorded(shards / "out")] == ["in/a.png"]


def test_actors_share_a_server(cluster, shards):
    """Each actor is a client of its own; together they ask what one run asks."""
    pictures = [f"in/p{shade}.png" for shade in range(6)]
    for shade, path in enumerate(pictures):
        Path(path).write_bytes(png(40 * shade))
    with Loopback() as server:
        engine = ["--constitution", "sketch", "--engine", f"server:{server.base}"]
        told = [*pictures, *engine, "--window", "1"]
        alone = cli.main(["judge", *told, "--out", "out.jsonl"])
        begun = [request.path for request in server.seen].count("/v1/models")
        line = ["judge", *told, "--ray", "--actors", "2", "--gpus-per-actor", "0", "--out", "out"]
        assert cli.main(line) == alone
        assert [request.path for request in server.seen].count("/v1/models") == 3 * begun
    stored = open_stored(Path("out.jsonl"))
    expected = {record.content["image"]: record.content for record in stored}
    found = {record["image"]: record for record in recorded(shards / "out")}
    assert {name: one["label"] for name, one in found.items()} == {
        name: one["label"] for name, one in expected.items()
    }
    assert {name: one["score"] for name, one in found.items()} == {
        name: one["score"] for name, one in expected.items()
    }


def test_without_ray_the_extra_is_named(shards, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert judge("in", "--out", "out") == 2
    assert "pip install 'safejudge[ray]'" in capsys.readouterr().err


def test_its_own_records_are_no_images(shards, capsys):
    (shards / "in/out").mkdir()
    shutil.copy("in/e.parquet", "in/out/part-00000.parquet")
    assert judge("in", "--out", "in/out", "--overwrite") == 2
    assert "in/out: --out lies among the images" in capsys.readouterr().err


# --- places ---------------------------------------------------------------------------------------


def test_a_path_named_twice_is_one_place(shards):
    names = [place.name for place in sources.find_entries(["in", "./in/a.png", "none.png"])]
    assert names == [*[name for name, *_ in SHARDS], "none.png"]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("x.tar", b"junk", "x.tar: cannot be read as a tar"),
        ("x.parquet", b"junk", "x.parquet: cannot be read as Parquet"),
        ("y.parquet", {"picture": [b"x"]}, "has no column `image` of bytes or paths (picture: bin"),
        ("y.parquet", {"image": [1]}, "has no column `image` of bytes or paths (image: int64)"),
        ("y.parquet", {"image": pa.array([], pa.binary())}, "y.parquet: holds no image"),
    ],
)
def test_shards_that_are_refused(tmp_path, name, data, said):
    if isinstance(data, bytes):
        (tmp_path / name).write_bytes(data)
    else:
        parquet.write_table(pa.table(data), tmp_path / name)
    with pytest.raises(InputError, match=f"(?s){said[:10]}") as error:
        sources.find_entries([str(tmp_path)])
    assert said in str(error.value)


def test_a_tar_without_images_and_one_cut_short(tmp_path):
    path = tmp_path / "t.tar"
    with tarfile.open(path, "w") as tar:
        add(tar, "a.txt", b"x" * 600)
    with pytest.raises(InputError, match="holds no image"):
        sources.find_entries([str(path)])
    with tarfile.open(path, "w") as tar:
        add(tar, "a.png", png())
    path.write_bytes(path.read_bytes()[:540])
    with pytest.raises(InputError, match=r"cannot be read as a tar \(the member at byte 0 is cut"):
        sources.find_entries([str(path)])


def test_shards_that_vanish_are_failures_of_their_images(shards):
    tar, table = sources.find_entries(["in/c.tar"])[0], sources.find_entries(["in/d.parquet"])[0]
    (shards / "in/c.tar").unlink()
    (shards / "in/d.parquet").write_bytes(b"junk")
    reasons = {tar: "missing", table: "unreadable"}
    for place, reason in reasons.items():
        found, caption = sources.read(place, 100, captions=True)
        assert isinstance(found, Failure)
        assert (found.image, found.reason, caption) == (place.name, reason, None)
        assert found.message.startswith(f"{place.name}: cannot be read (")


def test_no_more_is_read_than_may_be_judged(shards):
    place = sources.find_entries(["in/c.tar"])[0]
    assert sources.read(place, 10, captions=False) == (png(20)[:11], None)


# --- parts ----------------------------------------------------------------------------------------


def test_no_field_of_a_record_is_left_out():
    fields = {*Judgment.model_fields, *Failure.model_fields, "error", "decision", "by_engine"}
    fields |= {"looks"}  # of the usage, beside it, since few runs have any
    fields |= {"unread"}  # of short records
    assert set(parts.SCHEMA.names) == fields - {"provenance", "reason", "message"}
    decision = parts.SCHEMA.field("decision").type
    assert {decision.field(n).name for n in range(decision.num_fields)} == {*Decision.model_fields}


def test_texts_are_those_of_a_line():
    hostile = Failure(image="x", reason="missing", message="a\udc80\x1b\n")
    (row,) = parts.to_table([records.record("a\udc80", hostile)]).to_pylist()
    assert row["image"] == "a\\udc80"
    assert row["error"]["message"] == "a\ufffd\x1b\n"


def failed(name):
    return parts.to_table([{"image": name, "id": None, "error": {"reason": "r", "message": "m"}}])


HEAD = {"safejudge": "0", "provenance": dict.fromkeys(records.COMPARED, "x"), "captions": None}


def test_a_folder_of_parts_counts_what_a_file_of_lines_counts(tmp_path):
    rows = [
        {
            "image": "a",
            "label": "safe",
            "usage": {"probes": 3, "reasoning_calls": 2, "detector_calls": 1},
            "frames": {"looked_at": 8, "of": 12},
            "caption": {"tokens": 600, "shown": 0},
            "rules": {"r": {"outcome": "not_relevant"}, "s": {"outcome": "not_violated"}},
        },
        {"image": "b", "error": {"reason": "truncated", "message": "cut short"}},
    ]
    expected = Tally()
    for row in rows:
        expected.add(row)
    with parts.Parts(tmp_path / "o", resume=False, overwrite=False) as folder:
        folder.begin(HEAD)
        folder.add(parts.to_table(rows))
        assert folder.tally == expected


def test_a_folder_is_one_run_at_a_time_and_begun_anew_only_on_request(tmp_path):
    with parts.Parts(tmp_path / "o", resume=False, overwrite=False) as first:
        first.begin(HEAD)
        first.add(failed("a"))
        with pytest.raises(OutputError, match="another run is writing"):
            parts.Parts(tmp_path / "o", resume=True, overwrite=False)
        first.flush()
        first.flush()
    assert [path.name for path in (tmp_path / "o").glob("part*")] == ["part-00000.parquet"]
    with pytest.raises(OutputError, match="--resume judges what is missing"):
        parts.Parts(tmp_path / "o", resume=False, overwrite=False)
    with parts.Parts(tmp_path / "o", resume=True, overwrite=False) as second:
        assert second.recorded == {"a": 1}
        assert second.tally.labels == {"failed": 1}
        with pytest.raises(OutputError, match="another model"):
            second.begin({**HEAD, "provenance": {**HEAD["provenance"], "model": "y"}})
        second.begin(HEAD)
        second.add(failed("b"))
        second.flush()
    with parts.Parts(tmp_path / "o", resume=False, overwrite=True) as third:
        assert not third.recorded
        third.begin(HEAD)
        third.add(failed("c"))
        third.flush()
    assert [record["image"] for record in recorded(tmp_path / "o")] == ["c"]


def test_records_that_no_longer_stand_go_only_when_the_run_may_go_on(tmp_path):
    with parts.Parts(tmp_path, resume=False, overwrite=False) as first:
        first.begin(HEAD)
        first.add(failed("a"))
        first.flush()
    standing = Standing({"a"}, lambda name, _: name, lambda _: None)
    with parts.Parts(tmp_path, resume=True, overwrite=False, standing=standing) as second:
        assert not second.recorded
        with pytest.raises(OutputError, match="another model"):
            second.begin({**HEAD, "provenance": {**HEAD["provenance"], "model": "y"}})
        assert [record["image"] for record in recorded(tmp_path)] == ["a"]
        second.begin(HEAD)
        assert not list(tmp_path.glob("part*"))


def test_a_part_is_written_by_the_first_record_that_is_late(tmp_path, monkeypatch):
    with parts.Parts(tmp_path, resume=False, overwrite=False) as out:
        out.begin(HEAD)
        out.add(failed("a"))
        assert not list(tmp_path.glob("part*"))
        monkeypatch.setattr(parts, "SECONDS", -1.0)
        out.add(failed("b"))
        assert [record["image"] for record in recorded(tmp_path)] == ["a", "b"]
        out.add(failed("c"))  # it waits for nothing, however long the next takes
        assert [record["image"] for record in recorded(tmp_path)] == ["a", "b", "c"]


@pytest.mark.parametrize("data", [b"junk", None])
def test_parts_of_something_else_are_not_continued(tmp_path, data):
    path = tmp_path / "part-00000.parquet"
    if data is None:
        parquet.write_table(pa.table({"image": ["a"]}), path)
    else:
        path.write_bytes(data)
    with pytest.raises(OutputError, match=r"part-00000\.parquet: (was not|cannot be read)"):
        parts.Parts(tmp_path, resume=True, overwrite=False)


def test_parts_are_written_when_many_records_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "RECORDS", 2)
    with parts.Parts(tmp_path, resume=False, overwrite=False) as out:
        out.begin(HEAD)
        for name in "abcde":
            out.add(failed(name))
    assert [record["image"] for record in recorded(tmp_path)] == ["a", "b", "c", "d"]
