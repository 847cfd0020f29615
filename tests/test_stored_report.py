"""`safejudge report` of stored records: pages without a model, with what is known and no more."""

import io
import json
import os
import re
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_report import CHOICES, YAML, brightness, read

from safejudge.cli import app as cli
from safejudge.engines.fake import FakeEngine
from safejudge.files import records
from safejudge.show.page import judged, sheets

SAVED = Path(__file__).parent / "saved"


def png(shade):
    stream = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), shade, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of shades, judged by a rule against bright ones; after it no engine opens."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yaml").write_text(YAML)
    (tmp_path / "in").mkdir()
    for value in (0, 128, 255):
        (tmp_path / "in" / f"{value:03d}.png").write_bytes(png(value))
    (tmp_path / "in" / "broken.png").write_bytes(b"junk")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    with monkeypatch.context() as patch:
        fake = FakeEngine(brightness)
        patch.setattr("safejudge.engines.models.open_engine", lambda _: fake)
        assert cli.main(["judge", "in", *CHOICES, "--out", "r.jsonl"]) == 1
    monkeypatch.setattr("safejudge.engines.models.open_engine", lambda _: pytest.fail("a model"))
    return tmp_path


def report(*arguments):
    return cli.main(["report", *map(str, arguments)])


def articles(path):
    return [(a["data-name"], a["data-label"], len(a.all("img"))) for a in read(path).all("article")]


ALL = [
    ("in/255.png", "unsafe", 1),
    ("in/128.png", "undecided", 1),
    ("in/broken.png", "failed", 0),
    ("in/000.png", "safe", 1),
]


# --- what is there --------------------------------------------------------------------------------


def test_a_page_of_records_needs_no_model(place, capsys):
    capsys.readouterr()
    assert report("r.jsonl") == 0
    finding = "4 images: 1 unsafe, 1 undecided, 1 failed, 1 safe"
    assert capsys.readouterr().out == f"{finding}; r.html\n"
    assert articles("r.html") == ALL
    root = read("r.html")
    head = root.one("header").text
    assert root.one("h1").text == finding
    for said in (
        "constitution test model fake: policy default 20",
        "1 file passed over, not looked at: 1 x text in/notes.txt: text",
        "1 of 3 checks (3 images, every rule) undecided",
    ):
        assert said in head
    assert "the run was stopped" not in head.lower()
    assert "0.70·p0 = 0.35" in root.one("main").text
    assert report("r.jsonl", "--out", "r.html") == 0  # its own page is replaced


def test_names_are_meant_from_where_the_run_was_begun(place, monkeypatch):
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    assert report("../r.jsonl", "--out", "p.html") == 0
    assert articles("p.html") == ALL


def test_a_picture_that_is_another_by_now_is_not_shown(place):
    (place / "in/255.png").write_bytes(png(254))
    (place / "in/128.png").unlink()
    assert report("r.jsonl", "--out", "p.html") == 0
    root = read("p.html")
    first, second = root.all("article")[:2]
    assert first.all("img") == []
    assert "no picture (changed)" in first.text
    assert "no picture (missing)" in second.text
    said = "2 images shown without their picture: 1 missing, 1 changed"
    assert said in root.one("header").text


def test_a_run_that_was_stopped_says_what_is_missing(place):
    lines = (place / "r.jsonl").read_text().splitlines(keepends=True)
    (place / "r.jsonl").write_text("".join(lines[:3]) + lines[3][:50])
    assert report("r.jsonl") == 0
    assert "2 images are not on this page" in read("r.html").one("header").text
    assert len(articles("r.html")) == 2


def test_records_of_a_pipe_are_shown_with_the_rules_that_somebody_names(place, capsys):
    head, *lines = map(json.loads, (place / "r.jsonl").read_text().splitlines())
    made = {"provenance": {name: head["provenance"][name] for name in records.COMPARED}}
    (place / "piped.jsonl").write_text("".join(json.dumps(line | made) + "\n" for line in lines))
    assert report("piped.jsonl") == 2
    assert "name them with --constitution" in capsys.readouterr().err
    assert report("piped.jsonl", "--constitution", "rules.yaml") == 0
    assert articles("piped.html") == ALL
    root = read("piped.html")
    assert "What came in beside these images was not recorded." in root.one("header").text
    assert "0.70·p0 = 0.35" in root.one("main").text  # the switches of then were found out


# --- older records --------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path, monkeypatch):
    shutil.copytree(SAVED, tmp_path / "saved")
    monkeypatch.chdir(tmp_path / "saved")
    return tmp_path / "saved"


def test_records_of_0_1_0_are_shown_with_their_bounds(saved, capsys):
    assert report("records.jsonl", "--constitution", "./sketch.yaml") == 0
    assert "warning" not in capsys.readouterr().err
    root = read("records.html")
    assert [len(a.all("img")) for a in root.all("article")] == [1] * 6
    assert "policy default date not recorded" in root.one("header").text
    assert "accept: M 0.99 > 0.80 + 0.20·p0 = 0.89" in root.one("main").text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "name them with --constitution"),
        (["--constitution", "default"], "--constitution default: its digest is"),
        (["--constitution", "nosuch"], "nosuch"),
    ],
)
def test_rules_that_are_not_the_ones_are_refused(saved, capsys, options, said):
    assert report("records.jsonl", *options) == 2
    assert said in capsys.readouterr().err
    assert not (saved / "records.html").exists()


def test_without_the_policy_no_bounds_are_drawn(saved, capsys):
    assert report("records.jsonl", "--constitution", "./sketch.yaml", "--policy", "clue") == 0
    assert "--policy clue is not the one" in capsys.readouterr().err
    root = read("records.html")
    assert "the numbers stand without the bounds" in root.one("header").text
    assert "policy unknown" in root.one("header").text
    main = root.one("main")
    assert main.all("svg", class_="scale") == []
    assert "decided by: accept" in main.text
    assert "M 0.99 (label mass 1.00)" in main.text
    assert "0.80 + 0.20·p0" not in main.text


def test_what_the_records_hold_need_not_be_named(place, capsys):
    assert report("r.jsonl", "--policy", "clue") == 2
    assert "these records hold their policy, default; leave it out" in capsys.readouterr().err
    assert report("r.jsonl", "--policy", "default", "--constitution", "rules.yaml") == 0
    (place / "rules.yaml").write_text(YAML.replace("No glare", "No bright glare"))
    assert report("r.jsonl", "--constitution", "rules.yaml") == 2
    assert "name the one of then, or none: the records hold it" in capsys.readouterr().err


# --- Parquet --------------------------------------------------------------------------------------


@pytest.fixture
def parts(place):
    """The same records as parts of `judge --ray`, two of them; one image lies in a tar."""
    pytest.importorskip("pyarrow", reason="pip install 'safejudge[eval]'")
    from safejudge.files import parquet

    head, *lines = map(json.loads, (place / "r.jsonl").read_text().splitlines())
    with tarfile.open(place / "s.tar", "w") as archive:
        info = tarfile.TarInfo("x.png")
        info.size = len(png(255))
        archive.addfile(info, io.BytesIO(png(255)))
    lines = [line | {"image": line["image"].replace("in/255.png", "s.tar/x.png")} for line in lines]
    with parquet.Parts(place / "verdicts", resume=False, overwrite=False) as written:
        for half, date in ((lines[:2], "2026-11-28"), (lines[2:], "2026-11-30")):
            written.begin(head | {"date": date})
            written.add(parquet.to_table(half))
            written.flush()
    return place / "verdicts"


def test_parts_of_ray_are_one_report(parts, capsys):
    assert report("verdicts/") == 0
    assert capsys.readouterr().out.endswith("; verdicts.html\n")
    found = [
        (name.replace("s.tar/x", "in/255"), *rest) for name, *rest in articles("verdicts.html")
    ]
    assert found == ALL
    assert "2026-11-28" in read("verdicts.html").one("header").text
    assert report("verdicts/part-00000.parquet") == 0
    assert len(articles("verdicts-part-00000.html")) == 2
    assert sorted(os.listdir("verdicts")) == [  # noqa: PTH208
        "part-00000.parquet",
        "part-00001.parquet",
    ]


def test_parts_that_cannot_be_one_report_are_refused(parts, capsys):
    from pyarrow import parquet

    assert report("verdicts", "--out", "verdicts/p.html") == 2
    assert "lies among the parts" in capsys.readouterr().err
    table = parquet.read_table(parts / "part-00001.parquet")
    head = json.loads(table.schema.metadata[b"safejudge"])
    head["provenance"]["policy"] = "0" * 64
    other = table.replace_schema_metadata({b"safejudge": json.dumps(head)})
    parquet.write_table(other, parts / "part-00001.parquet")
    assert report("verdicts") == 2
    assert "was made by another judge than part-00000.parquet" in capsys.readouterr().err
    parquet.write_table(table.replace_schema_metadata({}), parts / "part-00001.parquet")
    assert report("verdicts") == 2
    assert "holds no records of safejudge" in capsys.readouterr().err
    (parts / "part-00001.parquet").write_bytes(b"PAR1 and no more")
    assert report("verdicts") == 2
    assert "cannot be read as Parquet" in capsys.readouterr().err


# --- several pages --------------------------------------------------------------------------------


@pytest.fixture
def small_pages(monkeypatch):
    for module in (judged, sheets):
        monkeypatch.setattr(module, "PAGE", 2)


def test_many_images_are_on_several_pages(place, small_pages):
    assert report("r.jsonl", "--out", "a b.html") == 0
    assert articles("a b.html") + articles("a b-2.html") == ALL
    first, second = read("a b.html"), read("a b-2.html")
    assert [a["href"] for a in first.all("a")] == ["./a%20b-2.html"] * 2
    assert [a["href"] for a in second.all("a")] == ["./a%20b.html"] * 4  # previous, and first
    for page, number in ((first, 1), (second, 2)):
        assert page.one("h1").text == "4 images: 1 unsafe, 1 undecided, 1 failed, 1 safe"
        places = (
            f"page {number} of 2: images {number * 2 - 1} to {number * 2} of 4, the worst first"
        )
        assert places in page.all("nav")[0].text
        labels = page.one("div", class_="filters").one("ul").all("label")
        assert sum(int(label.one("b").text) for label in labels) == 2  # of this page
    assert "What produced these judgments" in first.text
    assert "What produced these judgments" not in second.text


def test_what_an_earlier_report_left_of_further_pages_is_removed(place, small_pages):
    (place / "p-7.html").write_text("mine")
    assert report("r.jsonl", "--out", "p.html") == 0
    assert (place / "p-2.html").exists()
    (place / "p-3.html").write_text((place / "p-2.html").read_text())  # of another number
    assert report("r.jsonl", "--out", "p.html", "--limit", "2") == 0
    assert not (place / "p-2.html").exists()
    assert (place / "p-3.html").exists()
    assert (place / "p-7.html").read_text() == "mine"


def test_a_page_of_somebody_else_is_never_replaced(place, small_pages, capsys):
    (place / "p.html").write_text("mine")
    assert report("r.jsonl", "--out", "p.html") == 2
    assert "is no report of safejudge" in capsys.readouterr().err
    (place / "q-2.html").write_text("mine")
    assert report("r.jsonl", "--out", "q.html") == 2
    assert "q-2.html: exists already and is no further page of q.html" in capsys.readouterr().err
    assert report("r.jsonl", "--out", "z.html", "--limit", "2") == 0
    assert report("r.jsonl", "--out", "r.jsonl") == 2
    assert not (place / "q.html").exists()
    (place / "w-2.html").write_text((place / "z.html").read_text())  # the first page of a report
    assert report("r.jsonl", "--out", "w.html") == 2
    assert (place / "p.html").read_text() == (place / "q-2.html").read_text() == "mine"


def test_only_the_worst_are_shown_and_all_are_counted(place):
    assert report("r.jsonl", "--limit", "1") == 0
    assert articles("r.html") == ALL[:1]
    head = read("r.html").one("header").text
    assert "4 images: 1 unsafe, 1 undecided, 1 failed, 1 safe" in head
    assert "The 1 worst of 4 images are shown; all are counted." in head


# --- what is no record ----------------------------------------------------------------------------


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b"", "is empty"),
        ("a.jsonl", b"junk\n", "a.jsonl:1: is no record of safejudge"),
        ("a.jsonl", b"\xff\xfe\n", "a.jsonl:1: is no record of safejudge"),
        ("a.jsonl", b"[1]\n", "a.jsonl:1: is no record of safejudge"),
        ("a.jsonl", b'{"a": 1}\n', "name a file that judge --out wrote"),
        ("a.jsonl", b'{"image": "a", "label": "safe"}\n', "put the first line of the file"),
        ("a.jsonl", b'{"safejudge": "9", "provenance": {"a": 1}}\n', "what made its records"),
        ("a.html", b"<!doctype html>\n", "is no record of safejudge"),
        ("a.png", png(1), "is no record of safejudge"),
    ],
)
def test_files_are_told_by_what_they_hold(empty, capsys, name, content, said):
    Path(name).write_bytes(content)
    assert report(name) == 2
    assert said in capsys.readouterr().err
    assert os.listdir() == [name]  # noqa: PTH208


def test_records_that_cannot_be_shown_are_refused_with_their_line(place, capsys):
    whole = (place / "r.jsonl").read_text()
    head, first, *others = whole.splitlines(keepends=True)
    for changed, said in (
        (head, "holds no record yet"),
        (head + first.replace('"bound"', '"border"'), "r.jsonl:2: is not as this version"),
        (head + first.replace('"bright":', '"dark":'), "r.jsonl:2: was judged by other rules"),
        (head + first + "{}\n", "r.jsonl:3: is not as this version"),
        (head + first + "x\n" + "".join(others), "r.jsonl:3: is no record of safejudge"),
        (whole + whole, "r.jsonl:6: here begin the records of another run"),
    ):
        (place / "r.jsonl").write_text(changed)
        assert report("r.jsonl") == 2
        assert said in capsys.readouterr().err
        assert not (place / "r.html").exists()


def test_folders_are_told_by_what_they_hold(place, capsys):
    assert report("in") == 2
    assert "holds neither a run of eval nor parts of judge --ray" in capsys.readouterr().err
    assert report(".") == 2
    assert "do you mean r.jsonl?" in capsys.readouterr().err
    assert report("nowhere") == 2
    assert "nowhere: cannot be read (No such file or directory)" in capsys.readouterr().err


def test_an_eval_is_named_by_its_folder(saved, capsys):
    assert report("labelled/records.jsonl") == 2
    assert "name its folder: report labelled" in capsys.readouterr().err
    for option in (["--out", "p.html"], ["--constitution", "c"], ["--policy", "clue"]):
        assert report("labelled", *option) == 2
        assert f"{option[0]} is for records of judge" in capsys.readouterr().err
    assert report("records.jsonl", "--write") == 2
    assert "--write is for a folder that eval wrote" in capsys.readouterr().err


def test_ray_names_the_command_that_makes_a_page(place, capsys):
    assert cli.main(["judge", "in", *CHOICES, "--ray", "--out", "v", "--report", "p.html"]) == 2
    assert re.search(r"make the page of the records\s+afterwards: safejudge report v",
                     capsys.readouterr().err)  # fmt: skip


# --- animations -----------------------------------------------------------------------------------


def test_the_frame_that_decided_is_found_though_the_seed_is_not_known(place, monkeypatch):
    shades = [*range(0, 60, 2), 255, *range(60, 100, 2)]
    frames = [Image.fromarray(np.full((4, 4, 3), shade, np.uint8)) for shade in shades]
    frames[0].save("in/film.webp", save_all=True, append_images=frames[1:], lossless=True)
    fake = FakeEngine(brightness)
    monkeypatch.setattr("safejudge.engines.models.open_engine", lambda _: fake)
    options = ["--frames", "all", "--out", "f.jsonl"]
    assert cli.main(["judge", "in/film.webp", *CHOICES, *options]) == 1
    text = (place / "f.jsonl").read_text().replace('"max_frames": null', '"max_frames": 2')
    (place / "f.jsonl").write_text(text)
    assert report("f.jsonl") == 0
    article = read("f.html").one("article")
    assert f"frame {shades.index(255)}" in article.one("summary", class_="about").text
    assert len(article.all("img")) == 1


# --- what is to be done ---------------------------------------------------------------------------

DECISIONS = {
    "in/000.png": {"action": "pass", "rules": {"bright": {
        "action": "pass", "threshold": 0.25, "promise": 0.05, "probability": 0.01}}},
    "in/128.png": {"action": "person", "why": "not passed by <b>bright</b>", "rules": {"bright": {
        "action": "person", "why": "between the thresholds"}}},
    "in/255.png": {"action": "block", "rules": {"bright": {
        "action": "block", "threshold": 0.75, "promise": 0.1}}},
    "in/broken.png": {"action": "person", "why": "not judged: unreadable"},
}  # fmt: skip


def decide(file, decisions):
    """Put decisions into a file of records, as `judge --thresholds` does."""
    head, *lines = file.read_text("utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    for record in found:
        if record["image"] in decisions:
            record["decision"] = decisions[record["image"]]
    file.write_text("\n".join([head, *map(json.dumps, found)]) + "\n", encoding="utf-8")


def test_a_page_shows_what_is_to_be_done_and_by_which_promise(place, capsys):
    decide(place / "r.jsonl", DECISIONS)
    capsys.readouterr()
    assert report("r.jsonl") == 0
    assert capsys.readouterr().out.endswith("actions: 1 to be blocked, 1 passed, 2 for a person\n")
    root = read("r.html")
    actions = {a["data-name"]: a["data-action"] for a in root.all("article")}
    assert actions == {name: told["action"] for name, told in DECISIONS.items()}
    head, main = root.one("header").text, root.one("main").text
    assert "1 to be blocked 1 passed 2 for a person" in head
    assert (
        "bright 1 above 0.75, at most 10 % innocent 1 below 0.25, at most 5 % violating 1" in head
    )
    assert "block: above 0.75, at most 10 % innocent" in main
    assert "pass: below 0.25, at most 5 % violating; probability 0.01" in main
    assert "a person: not passed by <b>bright</b>" in main  # as text, so it is escaped
    assert "a person: between the thresholds" in main


def test_records_of_which_some_have_no_decision_say_so(place):
    decide(place / "r.jsonl", {"in/255.png": DECISIONS["in/255.png"]})
    assert report("r.jsonl") == 0
    root = read("r.html")
    assert "3 images without an action: no thresholds decided" in root.one("header").text
    assert len([a for a in root.all("article") if "data-action" in a.attributes]) == 1


def test_without_thresholds_a_page_speaks_of_no_action(place, capsys):
    capsys.readouterr()
    assert report("r.jsonl") == 0
    assert "actions" not in capsys.readouterr().out
    text = Path("r.html").read_text("utf-8")
    assert 'id="action"' not in text
    assert "data-action=" not in text


@pytest.mark.parametrize("damaged", [{"action": "let go"}, "block", {"rules": {}}, [1]])
def test_a_damaged_decision_is_refused_and_not_left_out(place, damaged, capsys):
    decide(place / "r.jsonl", {"in/000.png": damaged})
    assert report("r.jsonl") == 2
    assert "is not as this version of safejudge writes records" in capsys.readouterr().err


def test_what_is_judged_again_keeps_no_action(place):
    decide(place / "r.jsonl", DECISIONS)
    words = ["r.jsonl", "--set", "accept_factor=0.9", "--set", "reject_factor=0.6"]
    assert cli.main(["replay", *words, "--report", "f.html"]) in {0, 1, 4}
    assert "data-action=" not in Path("f.html").read_text("utf-8")


@pytest.mark.parametrize(
    "words",
    [
        ["report", "ADDRESS"],
        ["replay", "ADDRESS"],
        ["card", "ADDRESS"],
        ["compare", "ADDRESS", "run"],
        ["diff", "ADDRESS", "shop.yaml"],
        ["lint", "ADDRESS"],
        ["compile", "ADDRESS", "--llm", "fake:"],
        ["journal", "import", "j.db", "ADDRESS"],
        ["journal", "export", "j.db", "--out", "ADDRESS"],
        ["calibrate", "--records", "ADDRESS", "--labels", "l.csv", "--out", "t.yaml"],
        ["calibrate", "--records", "r.jsonl", "--labels", "ADDRESS", "--out", "t.yaml"],
        ["sketch", "scenes", "--out", "ADDRESS"],
        ["eval", "labelled", "--data", "in", "--out", "ADDRESS"],
        ["eval", "labelled", "--data", "ADDRESS"],
        ["distill", "--records", "r.jsonl", "--backbone", "hf:sketch", "--out", "ADDRESS"],
        ["judge", "in", "--constitution", "ADDRESS", "--engine", "fake:"],
        ["judge", "in", "--prompts", "ADDRESS", "--engine", "fake:"],
        ["judge", "in", "--thresholds", "ADDRESS", "--engine", "fake:"],
    ],
)
def test_what_lies_in_a_store_is_copied_first(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    address = "s3://bucket/run"
    assert cli.main([address if word == "ADDRESS" else word for word in words]) == 2
    said = capsys.readouterr().err
    assert f"{address}: lies in a store" in said
    assert "copy what lies there (aws s3 cp --recursive)" in said
    assert not list(tmp_path.iterdir())  # no folder `s3:`


def test_an_address_of_no_store_is_no_path_either(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["sketch", "scenes", "--out", "https://host/run"]) == 2
    assert "https://host/run: is an address, and this takes a path" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
