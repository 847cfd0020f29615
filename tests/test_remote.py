"""Files in stores: judged as they are on the disk; what stands in data is never followed."""

import hashlib
import io
import json
import os
import tarfile

import numpy as np
import pytest
import stores
from PIL import Image

from safejudge.cli import app as cli
from safejudge.errors import InputError, OutputError, StoreError
from safejudge.files import records, remote
from safejudge.files.remote import RemoteFile
from safejudge.files.standing import Standing
from safejudge.files.stored import open_stored
from safejudge.images.listing import list_images
from safejudge.images.load import load_images
from safejudge.images.named import find_bytes
from safejudge.images.shards import list_entries, read
from safejudge.policy import Policy

WHY = "pip install s3fs 'moto[s3]' flask flask-cors (make test-remote)"
pytest.importorskip("s3fs", reason=WHY)
pytest.importorskip("moto.moto_server.werkzeug_app", reason=WHY)

FAKE = ["--constitution", "sketch", "--engine", "fake:"]


@pytest.fixture(scope="module")
def server():
    with stores.known() as served:
        yield served


@pytest.fixture
def store(server, monkeypatch):
    """The server, with nothing that fails; each test has a store of fsspec of its own."""
    monkeypatch.setattr(remote, "_SYSTEMS", remote._Systems())
    server.seen.clear()
    yield server
    server.fault = lambda *_: None


def png(value=0, size=4):
    stream = io.BytesIO()
    Image.fromarray(np.full((size, size, 3), value, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


FILES = {
    "a.png": png(10),
    "sub/unnamed": png(20),
    "sub/junk.jpg": b"junk",
    "empty.png": b"",
    "notes.txt": b"some words",
    "._a.png": b"\x00\x05\x16\x07" + b"x" * 90,
    "old/b.png": png(30),
    "packed.zip": b"PK\x03\x04" + b"x" * 90,
    "[x]?.png": png(40),
}


def put(store, folder, files=FILES):
    for name, data in files.items():
        store.put(f"{folder}/{name}", data)
    return f"s3://{stores.BUCKET}/{folder}"


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_folder_of_a_store_is_judged_as_one_of_the_disk(store, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    address = put(store, "same")
    for name, data in FILES.items():
        (tmp_path / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pictures" / name).write_bytes(data)
    told = []
    for path, out in ((address, "remote.jsonl"), ("pictures", "local.jsonl")):
        code = cli.main(["judge", path, *FAKE, "--ignore", "old/", "--out", out])
        said = capsys.readouterr().err.replace(path, "FOLDER")
        text = (tmp_path / out).read_text().replace(path, "FOLDER")
        head, *records = map(json.loads, text.splitlines())
        told.append((code, said.splitlines()[-3:], head["intake"], records))
    here, there = told[1], told[0]
    assert there[0] == here[0]
    assert there[1:3] == here[1:3]
    by_name = [sorted(one, key=lambda record: record["image"]) for one in (there[3], here[3])]
    for ours, theirs in zip(*by_name, strict=True):
        assert ours == theirs
    # What a name tells already is not asked for.
    store.seen.clear()
    assert len(list_images([address], stores=True).images) == 6
    assert sorted(store.fetched()) == [
        f"same/{name}" for name in ("._a.png", "notes.txt", "packed.zip", "sub/unnamed")
    ]


def test_patterns_files_and_what_is_not_there(store):
    address = put(store, "pattern")
    listing = list_images(
        [f"{address}/*.png", f"{address}/[x]?.png", f"{address}/none.png", f"{address}/su*"],
        stores=True,
    )
    names = [name.removeprefix(address) for name in listing.images]
    assert names == [
        *("/[x]?.png", "/a.png", "/empty.png", "/none.png"),
        *("/sub/junk.jpg", "/sub/unnamed"),
    ]
    assert listing.companions == 1
    assert listing.repeated == 1
    results = load_images([listing.source(name) for name in listing.images], Policy())
    reasons = [getattr(result, "reason", None) for result in results]
    assert reasons == [None, None, "empty", "missing", "not_an_image", None]
    assert results[1].id == hashlib.sha256(FILES["a.png"]).hexdigest()
    with pytest.raises(InputError, match=r"no image in this folder or below it \(1 x text\)"):
        list_images([put(store, "words", {"notes.txt": b"words"})], stores=True)


def test_no_more_is_fetched_than_may_be_judged(store):
    address = store.put("large.png", b"x" * 5000)
    policy = Policy(max_bytes=1000)
    (known,) = load_images([RemoteFile(address, 5000)], policy)
    assert known.reason == "too_large"
    assert store.fetched() == []
    (unknown,) = load_images([RemoteFile(address)], policy)
    assert unknown.reason == "too_large"
    assert [bounds for *_, bounds in store.seen] == ["bytes=0-1000"]
    (grown,) = load_images([RemoteFile(address, 10)], policy)
    assert grown.reason == "too_large"


def test_a_record_stands_only_for_the_same_content(store, tmp_path, capsys):
    address = put(store, "again", {f"{n}.png": png(10 * n) for n in range(4)})
    told = ["judge", address, *FAKE, "--out", str(tmp_path / "out.jsonl")]
    cli.main(told)
    first = {one["image"]: one for one in lines(tmp_path / "out.jsonl")[1:]}
    store.put("again/2.png", png(99))
    capsys.readouterr()
    cli.main([*told, "--resume"])
    assert "4 images (3 from earlier runs)" in capsys.readouterr().err
    second = {one["image"]: one for one in lines(tmp_path / "out.jsonl")[1:]}
    changed = [name for name in first if first[name]["id"] != second[name]["id"]]
    assert changed == [f"{address}/2.png"]
    assert second[changed[0]]["id"] == hashlib.sha256(png(99)).hexdigest()


def test_a_store_that_falls_silent_stops_the_run_and_it_goes_on(store, tmp_path, capsys):
    address = put(store, "silent", {f"{n}.png": png(n) for n in range(9)})
    told = ["judge", address, *FAKE, "--window", "1", "--out", str(tmp_path / "out.jsonl")]

    def silent(path):
        return (503, "ServiceUnavailable") if path.endswith("/7.png") else None

    store.fault = silent
    assert cli.main(told) == 3
    said = capsys.readouterr().err
    assert "--resume judges the rest" in said
    assert "/7.png: the store cannot be asked" in said
    kept = lines(tmp_path / "out.jsonl")[1:]
    assert 0 < len(kept) < 9
    assert not any("error" in record for record in kept)
    # Nor does a record go because its file cannot be asked for now.
    store.fault = lambda path: (503, "ServiceUnavailable") if ".png" in path else None
    assert cli.main([*told, "--resume"]) == 3
    assert lines(tmp_path / "out.jsonl")[1:] == kept
    store.fault = lambda *_: None
    assert cli.main([*told, "--resume"]) in {0, 1, 4}
    assert len(lines(tmp_path / "out.jsonl")) == 10


def test_a_file_that_may_not_be_read_is_one_failure(store):
    address = put(store, "forbidden", {f"{n}.png": png(n) for n in range(3)})
    listing = list_images([address], stores=True)
    for code in ("AccessDenied", "InvalidObjectState"):
        store.fault = lambda path, code=code: (403, code) if "1.png" in path else None
        results = load_images([listing.source(name) for name in listing.images], Policy())
        assert [getattr(result, "reason", None) for result in results] == [None, "unreadable", None]
        assert stores.KEYS["AWS_ACCESS_KEY_ID"] not in results[1].message


def test_captions_and_series_of_a_store(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    address = put(store, "ads", {"x/9.png": png(9), "x/10.png": png(10), "y/1.png": png(1)})
    (tmp_path / "p.csv").write_text(f"image,prompt\n{address}/x/9.png,nine\n1.png,one\n")
    cli.main(
        ["judge", address, *FAKE, "--prompts", "p.csv", "--report", "r.html", "--out", "a.jsonl"]
    )
    found = {one["image"]: one.get("caption") for one in lines(tmp_path / "a.jsonl")[1:]}
    assert [found[f"{address}/{name}"] is None for name in ("x/9.png", "x/10.png", "y/1.png")] == [
        *(False, True),
        False,
    ]
    assert (tmp_path / "r.html").read_text().count("data:image/") >= 3
    told = ["judge", address, *FAKE, "--series", "apart", "--out", "b.jsonl"]
    cli.main(told)
    records = lines(tmp_path / "b.jsonl")[1:]
    assert [(one["image"], one["frames"]["of"]) for one in records] == [
        (f"{address}/x", 2),
        (f"{address}/y", 1),
    ]
    store.put("ads/x/10.png", png(11))
    cli.main([*told, "--resume"])
    again = {one["image"]: one["id"] for one in lines(tmp_path / "b.jsonl")[1:]}
    assert [again[one["image"]] == one["id"] for one in records] == [False, True]


def test_what_the_library_is_told_by_the_environment(store, monkeypatch):
    monkeypatch.setenv("FSSPEC_S3", '{"anon": true}')
    import fsspec.config

    monkeypatch.setattr(fsspec.config, "conf", {})
    fsspec.config.set_conf_env(fsspec.config.conf)
    assert remote._SYSTEMS.of("s3").anon is True


# --- errors by name, and nothing secret in them ---------------------------------------------------


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("s3://KEY:geheim@bucket/a.png", r"s3://\.\.\.@bucket: an address holds no user"),
        ("s3://bucket/a.png?X-Amz-Signature=geheim", r"s3://bucket/a\.png\?\.\.\.: an address has"),
        ("s3://", "names no bucket"),
        ("s3://*/a.png", "names no bucket"),
    ],
)
def test_addresses_that_are_refused(store, address, said, capsys):
    with pytest.raises(InputError, match=said):
        list_images([address], stores=True)
    assert cli.main(["judge", address, *FAKE]) == 2
    assert "geheim" not in capsys.readouterr().err
    assert store.seen == []


def test_what_is_wrong_with_a_store_is_told_by_name(store, monkeypatch, capsys):
    assert cli.main(["judge", "s3://no-such-bucket/in", *FAKE]) == 3
    assert "there is no bucket no-such-bucket; check its name" in capsys.readouterr().err
    for code in ("InvalidAccessKeyId", "ExpiredToken", "SignatureDoesNotMatch"):
        store.fault = lambda _, code=code: (403, code)
        with pytest.raises(StoreError, match="cannot be asked") as raised:
            remote.read(RemoteFile("s3://bucket/a.png"), 10)
        assert not any(value in str(raised.value) for value in stores.KEYS.values())
    monkeypatch.setattr(remote, "_SYSTEMS", remote._Systems())
    for name in stores.KEYS:
        monkeypatch.delenv(name)
    with pytest.raises(StoreError, match=r"no keys for s3:// .*AWS_ACCESS_KEY_ID"):
        list_images(["s3://bucket/in"], stores=True)


def test_an_endpoint_that_is_gone_and_its_password(store, monkeypatch):
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:geheim@127.0.0.1:9")
    monkeypatch.setattr(remote, "_SYSTEMS", remote._Systems())
    with pytest.raises(StoreError, match="the store cannot be asked") as raised:
        remote.read(RemoteFile("s3://bucket/a.png"), 10)
    assert "geheim" not in str(raised.value)


def test_the_package_that_lacks_is_named(monkeypatch):
    monkeypatch.setattr(remote, "_SYSTEMS", remote._Systems())

    def lacking(*_, **__):
        raise ImportError

    monkeypatch.setattr("fsspec.filesystem", lacking)
    for scheme, package in (("s3", "s3fs"), ("gs", "gcsfs")):
        with pytest.raises(InputError, match=f"pip install {package}"):
            list_images([f"{scheme}://bucket/in"], stores=True)


# --- data is not followed -------------------------------------------------------------------------


def test_a_text_that_is_an_address_is_refused_where_nobody_typed_it(store):
    address = store.put("a.png", png())
    (result,) = load_images([address], Policy())
    assert result.reason == "url"
    listing = list_images([address])
    assert listing.remote == {}
    assert store.seen == []


@pytest.fixture
def parquet():
    return pytest.importorskip("pyarrow.parquet", reason="pip install 'safejudge[ray]'")


def table(parquet, paths):
    import pyarrow as pa

    stream = io.BytesIO()
    parquet.write_table(pa.table({"image": paths}), stream)
    return stream.getvalue()


def test_rows_of_a_table_name_files_below_it_and_nothing_else(
    store, parquet, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    address = store.put("rows/in/a.png", png(7))
    store.put("rows/secret.png", png(8))
    paths = ["a.png", "../secret.png", "/rows/secret.png", address, "x/../../secret.png", "", "no"]
    (tmp_path / "here.parquet").write_bytes(table(parquet, [address]))
    (here,) = list_entries(["here.parquet"], stores=True)[0]
    content, _ = read(here, 1000, captions=False)
    assert content == address  # a text, which the loader refuses
    assert load_images([content], Policy())[0].reason == "url"
    assert store.seen == []
    entries = list_entries([store.put("rows/in/t.parquet", table(parquet, paths))], stores=True)[0]
    assert entries[0].name == f"s3://{stores.BUCKET}/rows/in/t.parquet#0"
    contents = [read(entry, 1000, captions=False)[0] for entry in entries]
    assert contents[0] == RemoteFile(address)
    assert [getattr(content, "reason", None) for content in contents[1:]] == [
        *(["outside"] * 5),
        None,
    ]
    results = load_images([contents[0], contents[6]], Policy())
    assert results[0].id == hashlib.sha256(png(7)).hexdigest()
    assert results[1].reason == "missing"
    assert "rows/secret.png" not in store.fetched()


def test_members_of_a_tar_are_fetched_one_by_one(store):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in (("one.png", png(1)), ("one.txt", b"words"), ("two.png", b"x" * 5000)):
            about = tarfile.TarInfo(name)
            about.size = len(data)
            tar.addfile(about, io.BytesIO(data))
    address = store.put("shards/c.tar", stream.getvalue())
    entries, _ = list_entries([f"s3://{stores.BUCKET}/shards"], stores=True)
    assert [entry.name for entry in entries] == [f"{address}/one.png", f"{address}/two.png"]
    store.seen.clear()
    assert read(entries[0], 1000, captions=True) == (png(1), "words")
    assert len(read(entries[1], 1000, captions=True)[0]) == 1001
    assert all(bounds for *_, bounds in store.seen)
    with pytest.raises(InputError, match=r"^s3://bucket/shards/d\.tar: cannot be read as a tar"):
        list_entries([store.put("shards/d.tar", b"junk" * 200)], stores=True)


def test_a_shard_that_may_not_be_copied_is_an_error_before_any_work(store):
    address = store.put("forbidden/c.tar", b"junk" * 200)
    store.fault = lambda path: (403, "AccessDenied") if path.endswith("c.tar") else None
    with pytest.raises(InputError, match=rf"^{address}: cannot be copied to be listed \("):
        list_entries([f"s3://{stores.BUCKET}/forbidden"], stores=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_reads_too(store):
    file = RemoteFile(store.put("fork.png", b"content"))
    assert remote.read(file, 10) == b"content"
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(theirs, remote.read(file, 10))
        finally:
            os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    assert os.read(ours, 10) == b"content"
    os.close(ours)


# --- outputs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (
            ["--out", "s3://bucket/run.jsonl"],
            "s3://bucket/run.jsonl: no file of a store grows line",
        ),
        (
            ["--out", "s3://bucket/x", "--journal", "j"],
            "--journal with --out s3://bucket/x: Parquet",
        ),
        (
            ["--out", "s3://bucket/x", "--report", "p.html", "--resume"],
            "--report with --resume shows",
        ),
        (["--out", "s3://K:geheim@bucket/x"], "s3://...@bucket: an address holds no user"),
        (["--out", "hf://datasets/o/n"], "hf://datasets/o/n: is only read here"),
        (["--report", "s3://bucket/p.html"], "s3://bucket/p.html: lies in a store, where only"),
        (["--ray", "--out", "hf://datasets/o/n"], "hf://datasets/o/n: is only read here"),
        (["--ray", "--out", "s3://K:geheim@bucket/x"], "s3://...@bucket: an address holds no user"),
    ],
)
def test_what_is_not_written_to_a_store_and_what_to_do_instead(
    store, tmp_path, capsys, extra, said
):
    pytest.importorskip("ray", reason="pip install 'safejudge[ray]'")
    (tmp_path / "a.png").write_bytes(png())
    assert cli.main(["judge", str(tmp_path / "a.png"), *FAKE, *extra]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "geheim" not in told
    assert store.seen == []


@pytest.mark.parametrize("out", ["s3://bucket/x/y", "s3://bucket/x"])
def test_records_do_not_go_among_the_images(store, capsys, out):
    assert cli.main(["judge", "s3://bucket/x/", *FAKE, "--out", out]) == 2
    assert f"{out}: --out lies among the images (s3://bucket/x/)" in capsys.readouterr().err
    assert store.seen == []


@pytest.fixture
def parts():
    pytest.importorskip("pyarrow", reason="pip install 'safejudge[ray]'")
    from safejudge.files import parquet

    return parquet


HEAD = {"safejudge": "0", "provenance": dict.fromkeys(records.COMPARED, "x"), "captions": None}


def failed(parts, name):
    error = {"reason": "r", "message": "m"}
    return parts.to_table([{"image": name, "id": None, "error": error}])


def judged(parts, name):
    usage = {"probes": 1, "reasoning_calls": 0, "detector_calls": 0}
    return parts.to_table(
        [{"image": name, "id": name, "label": "safe", "usage": usage, "rules": {}}]
    )


def test_parts_in_a_store_go_on_and_are_nobody_elses(store, parts):
    address = f"s3://{stores.BUCKET}/run/"
    first = parts.Parts(address, resume=False, overwrite=False)
    first.begin(HEAD)
    first.add(failed(parts, "a"))
    first.flush()
    with parts.Parts(address, resume=True, overwrite=False) as second:
        assert second.recorded == {"a": 1}
        second.begin(HEAD)
        second.add(failed(parts, "b"))
        second.flush()
    first.add(failed(parts, "c"))
    with pytest.raises(OutputError, match=r"part-00001\.parquet: another run is writing"):
        first.flush()
    with pytest.raises(OutputError, match="holds records already; --resume"):
        parts.Parts(address, resume=False, overwrite=False)
    standing = Standing({"b"}, lambda name, _: name, lambda _: None)
    with parts.Parts(address, resume=True, overwrite=False, standing=standing) as third:
        assert not third.recorded  # a failure is asked again
        assert third.others == 1
        with pytest.raises(OutputError, match="another model"):
            third.begin({**HEAD, "provenance": {**HEAD["provenance"], "model": "y"}})
        assert len(remote.look(address).files) == 2  # who is refused takes nothing out
        third.begin(HEAD)
    assert [file.address for file in remote.look(address).files] == [f"{address}part-00000.parquet"]
    with parts.Parts(address, resume=False, overwrite=True) as fourth:
        fourth.begin(HEAD)
        fourth.add(failed(parts, "d"))
        fourth.flush()
    store.put("run/notes.txt", b"words")
    with pytest.raises(OutputError, match=r"holds something else \(notes\.txt\)"):
        parts.Parts(address, resume=True, overwrite=False)


def test_no_record_has_its_picture_fetched_and_that_is_why_it_is_not_there(store):
    address = store.put("kept/a.png", png())
    assert find_bytes(address, None, hashlib.sha256(png()).hexdigest(), 2**20) == "in a store"
    assert find_bytes("https://host/a.png", None, "0", 2**20) == "missing"
    assert not store.seen


@pytest.mark.parametrize("last", ["3", None])
def test_two_runs_at_once_end_in_an_error_and_resume_mends_what_they_wrote(store, parts, last):
    address = f"s3://{stores.BUCKET}/two-{last}"

    first = parts.Parts(address, resume=False, overwrite=False)
    first.begin(HEAD)
    for name in "12":
        first.add(judged(parts, name))
        first.flush()
    with parts.Parts(address, resume=False, overwrite=True) as second:
        second.begin(HEAD)
        for name in "12":
            second.add(judged(parts, name))
        second.flush()
    if last is not None:
        first.add(judged(parts, last))
        first.flush()
    with (
        pytest.raises(OutputError, match=r"part-0000\d\.parquet: another run wrote to this"),
        first,
    ):
        pass  # it ends, and all went well
    standing = Standing({"1", "2", "3"}, lambda name, _: name, lambda key: key)
    with parts.Parts(address, resume=True, overwrite=False, standing=standing) as third:
        third.begin(HEAD)
        assert third.recorded == dict.fromkeys(["1", "2", *filter(None, [last])], 1)


def test_what_lies_in_the_place_of_a_run_is_told_before_any_work(store, capsys):
    store.put("elsewhere/notes.txt", b"words")
    for extra in ([], ["--resume"], ["--overwrite"]):
        run = ["judge", "a.png", *FAKE, "--out", f"s3://{stores.BUCKET}/elsewhere", *extra]
        assert cli.main(run) == 2
        assert "elsewhere: holds something else (notes.txt)" in capsys.readouterr().err
    run = ["judge", "a.png", *FAKE, "--out", f"s3://{stores.BUCKET}/elsewhere/notes.txt"]
    assert cli.main(run) == 2
    assert "notes.txt: is a file, and records go into a folder" in capsys.readouterr().err


@pytest.mark.parametrize("end", ["", "/", "/run"])
def test_a_bucket_that_is_not_there_is_told_before_any_work(store, tmp_path, capsys, end):
    (tmp_path / "a.png").write_bytes(png())
    address = f"s3://no-such-bucket{end}"
    for told in (
        [str(tmp_path / "a.png"), *FAKE, "--out", address],
        [str(tmp_path / "a.png"), *FAKE, "--out", address, "--estimate"],
        [address, *FAKE],
    ):
        assert cli.main(["judge", *told]) == 3
        said = capsys.readouterr()
        assert "there is no bucket no-such-bucket; check its name" in said.err
        assert "images/s" not in said.err
        assert not said.out


@pytest.mark.usefixtures("parts")
def test_a_folder_of_a_store_may_be_called_like_a_pattern(store, tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    store.put("run1/notes.txt", b"words")
    run = ["judge", str(tmp_path), *FAKE, "--out", f"s3://{stores.BUCKET}/run[1]"]
    assert cli.main(run) == cli.main([*run, "--resume"]) in {0, 1, 4}
    assert cli.main(run) == 2


@pytest.fixture
def in_folder(store, tmp_path, monkeypatch):
    """An empty folder, where the command runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (["--out", "s3://bucket/x.jsonl"], "no file of a store grows line by line"),
        (["--out", "s3://bucket/X.JSONL"], "no file of a store grows line by line"),
        (["--out", "s3://bucket/x", "--journal", "j"], "--journal with --out s3://bucket/x"),
        (["--ray", "--out", "s3://bucket/x.jsonl"], "no file of a store grows line by line"),
        (["--out", "no/x.jsonl"], "there is no folder no"),
        (["--report", "no/x.html"], "there is no folder no"),
    ],
)
def test_an_estimate_is_of_a_run_that_could_be(in_folder, capsys, told, said):
    (in_folder / "a.png").write_bytes(png())
    assert cli.main(["judge", "a.png", *FAKE, "--estimate", *told]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("path", ["S3://bucket/in", "s3:/bucket/in", "Gs://bucket/in"])
def test_what_nearly_is_an_address_is_told_how_it_is_written(tmp_path, monkeypatch, capsys, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(png())
    assert cli.main(["judge", path, *FAKE]) == 2
    meant = f"{path[:2].lower()}://bucket/in"
    assert f"{path}: is no address as it is written; write {meant}" in capsys.readouterr().err
    assert cli.main(["judge", "a.png", *FAKE, "--out", path]) == 2
    assert f"{path}: is no address as it is written; write {meant}" in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("form", ["full", "short"])
def test_a_run_without_ray_writes_parts_to_a_store_and_goes_on(
    store, tmp_path, monkeypatch, capsys, form
):
    monkeypatch.chdir(tmp_path)
    files = {f"{number}.png": png(10 * number) for number in range(5)} | {"junk.jpg": b"junk"}
    pictures = put(store, f"in-{form}", files)
    address = f"s3://{stores.BUCKET}/out-{form}"
    run = ["judge", pictures, *FAKE, "--record", form]
    code = cli.main([*run, "--out", "here.jsonl"])
    assert cli.main([*run, "--out", address, "--limit", "2"]) == 1
    assert cli.main([*run, "--out", address]) == 2
    assert f"{address}: holds records already; --resume" in capsys.readouterr().err
    assert cli.main([*run, "--out", address, "--resume"]) == code
    assert "6 images (2 from earlier runs)" in capsys.readouterr().err
    store.put(f"in-{form}/1.png", png(99))  # the record of what it was is taken out
    assert cli.main([*run, "--out", address, "--resume"]) == code
    said = capsys.readouterr().err
    assert "6 images (4 from earlier runs)" in said
    for file in remote.look(address).files:
        (tmp_path / "copy").mkdir(exist_ok=True)
        remote.copy(file.address, tmp_path / "copy" / file.address.rpartition("/")[2])
    there = {one.content["image"]: one.content for one in open_stored(tmp_path / "copy")}
    here = {one["image"]: one for one in lines(tmp_path / "here.jsonl")[1:]}
    changed = f"{pictures}/1.png"
    assert len(list(open_stored(tmp_path / "copy"))) == len(here) == 6
    assert there.pop(changed)["id"] == hashlib.sha256(png(99)).hexdigest()
    del here[changed]
    # A null in a row is what is not there.
    said = {name: {n: v for n, v in one.items() if v is not None} for name, one in here.items()}
    assert there == said


def test_what_was_judged_is_kept_when_the_store_of_the_images_falls_silent(store, parts):
    pictures = put(store, "silent-in", {f"{n}.png": png(10 * n) for n in range(4)})
    address = f"s3://{stores.BUCKET}/silent-out"

    def silent(path):
        return (503, "ServiceUnavailable") if path.endswith("silent-in/3.png") else None

    store.fault = silent
    run = ["judge", pictures, *FAKE, "--window", "1", "--out", address]
    assert cli.main(run) == 3
    store.fault = lambda *_: None
    with parts.Parts(address, resume=True, overwrite=False) as kept:
        assert f"{pictures}/0.png" in kept.recorded
        assert f"{pictures}/3.png" not in kept.recorded
    assert cli.main([*run, "--resume"]) in {0, 1}


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize(("code", "ends"), [("ServiceUnavailable", 3), ("AccessDenied", 2)])
def test_a_store_that_takes_no_records_ends_the_run_and_says_how_to_go_on(
    store, tmp_path, capsys, code, ends
):
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(png(10 * number))
    address = f"s3://{stores.BUCKET}/full-{code}"
    run = ["judge", str(tmp_path), *FAKE, "--out", address]
    store.fault = lambda path: (403, code) if path.endswith(".parquet") else None
    assert cli.main(run) == ends
    said = capsys.readouterr().err
    assert f"{address}/part-00000.parquet" in said
    assert "--resume" in said
    if ends == 3:
        assert f"stopped: 0 records in {address}, 3 more could not be written" in said
    assert "Traceback" not in said
    store.fault = lambda _: None
    assert cli.main([*run, "--resume"]) in {0, 1}


def test_a_part_that_was_written_though_nobody_heard_is_no_other_runs(store, parts, monkeypatch):
    write = remote.write

    def twice(address, data, *, new):
        write(address, data, new=new)
        write(address, data, new=new)  # as a library does that lost the answer

    monkeypatch.setattr(remote, "write", twice)
    with parts.Parts(f"s3://{stores.BUCKET}/twice", resume=False, overwrite=False) as out:
        out.begin(HEAD)
        out.add(failed(parts, "a"))
        out.flush()


def test_records_that_cannot_be_written_are_an_error_and_the_parts_before_stay(store, parts):
    address = f"s3://{stores.BUCKET}/broken"
    with parts.Parts(address, resume=False, overwrite=False) as out:
        out.begin(HEAD)
        out.add(failed(parts, "a"))
        out.flush()
        for code, error in (("AccessDenied", OutputError), ("ServiceUnavailable", StoreError)):
            store.fault = lambda _, code=code: (403, code)
            out.add(failed(parts, "b"))
            with pytest.raises(error, match=r"part-00001\.parquet"):
                out.flush()
        store.fault = lambda _: None
    with parts.Parts(address, resume=True, overwrite=False) as again:
        assert again.recorded == {"a": 1}
