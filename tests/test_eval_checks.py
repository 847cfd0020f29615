"""What `eval` finds before it opens a model, what it says was not judged, and files that stay."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path, PurePath

import pytest

from safejudge.cli import app as cli
from safejudge.engines.fake import FakeEngine
from safejudge.engines.models import Models
from safejudge.errors import InputError
from safejudge.evals.late import LateModels
from safejudge.files.names import Names
from safejudge.images.ignore import ignored, is_companion
from safejudge.sketch.scenes import write_scenes

NOWHERE = "hf:/nonexistent/model"
FAKE = ["--constitution", "sketch", "--engine", "fake:"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    write_scenes(folder, 4, 3)
    return folder


@pytest.fixture
def photos(drawn, tmp_path, monkeypatch):
    """Four pictures without labels, in the working folder."""
    shutil.copytree(drawn, tmp_path / "photos")
    (tmp_path / "photos" / "facts.jsonl").unlink()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def label(photos, text, name="labels.csv"):
    (photos / name).write_text(text, encoding="utf-8")


def labelled(*more):
    return cli.main(["eval", "labelled", "--data", "photos", "--out", "run", *FAKE, *more])


def rows(*names):
    return "image,label\n" + "".join(f"{name},safe\n" for name in names)


ALL = [f"scene-000{n}.png" for n in range(4)]

# --- before a model is opened ---------------------------------------------------------------------


TWO = '{"prompt": "x", "chosen": "a.png", "rejected": "b.png"}'


@pytest.mark.parametrize(
    ("suite", "data", "says"),
    [
        ("labelled", ("labels.csv", "image,label\na.png,save\n"), "labels.csv:2: `label`"),
        ("labelled", ("labels.csv", "image,label\nnone.png,safe\n"), "its one picture is missing"),
        ("labelled", ("labels.csv", "image,label\n../a.png,safe\n"), "lies outside"),
        ("mj-bench", ("alignment.json", "[{}]"), "nothing to judge in it"),
        ("preference", ("pairs.jsonl", '{"prompt": "x"}'), "pairs.jsonl:1"),
        ("preference", ("pairs.jsonl", TWO), "has none of the 2 pictures"),
        ("mllm-as-a-judge", ("a.jsonl", "{}"), "holds no scores, pairs or rankings"),
        ("multimodal-rewardbench", ("a.jsonl", "{}"), "holds no triplets"),
        ("sketchbench", ("a", ""), "draws its own scenes"),
    ],
)
def test_a_mistake_in_the_data_is_told_before_the_engine_is_opened(
    tmp_path, capsys, suite, data, says
):
    file = tmp_path / "data" / data[0]
    file.parent.mkdir()
    file.write_text(data[1])
    where = str(file if suite == "preference" else file.parent)
    command = ["eval", suite, "--data", where, "--engine", NOWHERE, "--constitution", "sketch"]
    assert cli.main([*command, "--out", str(tmp_path / "run")]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (["--constitution", "nosuch"], 2, "no shipped constitution"),
        (["--split", "x"], 2, "have no parts"),
        (["--suite-arg", "x=1"], 2, "--suite-arg x"),
        (["--relevance-threshold", "7"], 2, "is no cosine"),
        ([], 3, "nonexistent"),
    ],
)
def test_so_is_a_mistake_in_the_command(photos, capsys, more, code, says):
    label(photos, rows(*ALL))
    assert labelled("--engine", NOWHERE, *more) == code
    assert says in capsys.readouterr().err


def test_records_that_are_there_are_found_before_too(photos, capsys):
    label(photos, rows(*ALL))
    assert labelled() == 0
    (Path("run") / "results.json").unlink()
    assert labelled("--engine", NOWHERE) == 2
    assert "--resume" in capsys.readouterr().err


def test_late_models_are_opened_once_and_only_if_asked():
    opened = []

    def open_models():
        opened.append(Models(FakeEngine()))
        return opened[-1]

    LateModels(open_models).close()
    assert opened == []
    models = LateModels(open_models)
    assert models.engine.card.uri == "fake:"
    assert models.encoder is None
    assert models.answer([]) == []
    models.close()
    with pytest.raises(InputError, match="closed"):
        models.answer([])
    assert len(opened) == 1


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "image,label\nscene-0000.png,safe\n./scene-0000.png,unsafe\n",
        "image,label\nsub/b.png,safe\nsub//b.png,safe\n",
        "image,label\nsub/b.png,safe\nsub\\b.png,safe\n",
        "image,label\nscene-0000.png,safe\n{here}/photos/scene-0000.png,safe\n",
        '{"image": "sub/b.png", "label": "safe"}\n{"image": "sub/./b.png", "label": "safe"}\n',
        "image,label\ncafe\u0301.png,safe\ncaf\u00e9.png,safe\n",
    ],
)
def test_two_spellings_of_one_file_are_refused_with_the_line(photos, capsys, text):
    nested(photos)
    label(photos, text.replace("{here}", os.fspath(photos.parent)))
    assert labelled() == 2
    where = 2 if text.startswith("{") else 3
    assert f"labels.csv:{where}: " in capsys.readouterr().err


def nested(photos):
    (photos / "sub").mkdir()
    shutil.copy(photos / "scene-0001.png", photos / "sub" / "b.png")
    shutil.copy(photos / "scene-0002.png", photos / "cafe\u0301.png")


def test_composed_names_and_windows_paths_meet_their_files(photos, capsys):
    nested(photos)
    label(photos, rows(*ALL, "sub\\b.png", "caf\u00e9.png"))
    assert labelled() == 0, capsys.readouterr()
    lines = (Path("run") / "records.jsonl").read_text(encoding="utf-8").splitlines()[1:]
    names = [json.loads(line)["image"] for line in lines]
    assert names == [*ALL, "sub/b.png", "cafe\u0301.png"]
    assert "5 of 5" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("SCENE-0001.PNG", "do you mean scene-0001.png?"),
        ("img/scene-0001.png", "do you mean scene-0001.png?"),
        ("scene-001.png", "do you mean scene-000"),
    ],
)
def test_a_near_miss_is_named(photos, capsys, name, hint):
    label(photos, rows(name))
    assert labelled() == 2
    err = capsys.readouterr().err
    assert "its one picture is missing" in err
    assert hint in err


def test_a_link_that_leads_out_is_refused(photos, capsys):
    shutil.copy(photos / "scene-0000.png", photos.parent / "private.png")
    (photos / "link.png").symlink_to(photos.parent / "private.png")
    label(photos, rows("link.png"))
    assert labelled() == 2
    assert "labels.csv:2" in capsys.readouterr().err


def test_names_are_found_by_their_plain_form_only_where_one_is_meant():
    names = Names(["a/b.png", "caf\u00e9.png", "cafe\u0301.png", "x.png"])
    assert names.find("a\\b.png") == "a/b.png"
    assert names.find("./x.png") == "x.png"
    assert names.find("cafe\u0301.png") == "cafe\u0301.png"  # both are there, each is itself
    assert names.find("X.png") is None
    assert names.near("X.png") == "x.png"
    assert Names([]).hint("x") == ""
    assert Names(["caf\u00e9.png"]).find(unicodedata.normalize("NFD", "caf\u00e9.png"))


# --- what was not judged --------------------------------------------------------------------------


def counts():
    results = json.loads((Path("run") / "results.json").read_text(encoding="utf-8"))
    return results["results"]["labelled"]["counts"], results["coverage"], results["findings"]


def test_everything_judged_is_0(photos):
    label(photos, rows(*ALL))
    assert labelled() == 0
    assert counts()[1] == {"judged": 4, "unjudged": 0, "passed_over": 0}


def test_labelled_images_that_could_not_be_judged_are_4(photos, capsys):
    label(photos, rows(*ALL, "gone.png"))
    (photos / ALL[0]).write_bytes(b"broken")
    assert labelled() == 4
    err = capsys.readouterr().err
    assert "1 of 5 pictures are not in photos (the first: gone.png, photos/labels.csv:6" in err
    found, coverage, _ = counts()
    assert (found["judged"], found["failed"], found["missing"]) == (3, 2, 0)
    assert coverage == {"judged": 3, "unjudged": 2, "passed_over": 0}


def test_nothing_judged_is_2(photos, capsys):
    for name in ALL:
        (photos / name).write_bytes(b"broken")
    label(photos, rows(*ALL))
    assert labelled() == 2
    assert "nothing could be judged" in capsys.readouterr().err
    assert counts()[1]["judged"] == 0  # and the reasons are in the files


def test_pictures_without_a_label_are_told_and_4(photos):
    label(photos, rows(*ALL[:3]))
    assert labelled() == 4
    found, coverage, findings = counts()
    assert found["unlabelled"] == coverage["passed_over"] == 1
    assert any(ALL[3] in line and "--ignore" in line for line in findings)
    assert cli.main(["report", "run"]) == 0


@pytest.mark.parametrize("pattern", [ALL[3], "*3.png", "scene-0003*"])
def test_what_is_ignored_needs_no_label(photos, pattern):
    label(photos, rows(*ALL[:3]))
    assert labelled("--ignore", "*.gif", "--ignore", pattern) == 0
    found, _, findings = counts()
    assert (found["unlabelled"], found["ignored"]) == (0, 1)
    assert any(line.startswith("Left out by --ignore: 1 picture") for line in findings)


def test_files_of_macos_are_no_pictures(photos):
    label(photos, rows(*ALL))
    (photos / "._scene-0000.png").write_bytes(b"attributes")
    (photos / "__MACOSX").mkdir()
    (photos / "__MACOSX" / "x.png").write_bytes(b"attributes")
    assert labelled() == 0
    assert counts()[0]["companions"] == 2
    # What is a picture all the same would be a good place to hide one.
    shutil.copy(photos / ALL[0], photos / "__MACOSX" / "y.png")
    assert labelled("--overwrite") == 4


def test_a_limit_is_the_users_own_choice(photos):
    label(photos, rows(*ALL))
    assert labelled("--limit", "2") == 0
    found, _, findings = counts()
    assert (found["labelled"], found["beyond_limit"]) == (2, 2)
    assert "Beyond --limit: 2 labelled images." in findings


def test_patterns_are_of_the_path_or_the_bare_name():
    path = PurePath("drafts/deep/a_thumb.jpg")
    for pattern in ("a_thumb.jpg", "*_thumb.jpg", "drafts/*", "drafts/", "*/deep/*"):
        assert ignored(path, [pattern])
    for pattern in ("A_thumb.jpg", "deep/*", "draft/", "*.png", ""):
        assert not ignored(path, [pattern])
    assert is_companion(PurePath("a/._b.png"))
    assert is_companion(PurePath("__MACOSX/b.png"))
    assert not is_companion(PurePath("a/b._png"))


# --- files ----------------------------------------------------------------------------------------


def test_files_are_written_whatever_becomes_of_the_pipe(photos):
    label(photos, rows(*ALL))
    command = [sys.executable, "-m", "safejudge", "eval", "labelled", "--data", "photos", *FAKE]
    with subprocess.Popen([*command, "--out", "run"], stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        run.stdout.close()
        assert run.wait() in (0, 141)
    assert (Path("run") / "results.json").is_file()
    assert (Path("run") / "report.html").is_file()


def test_report_makes_what_is_missing_and_more_if_asked(photos, capsys):
    label(photos, rows(*ALL))
    assert labelled() == 0
    run = Path("run")
    kept = {name: (run / name).read_bytes() for name in ("results.json", "report.html")}
    for name in kept:
        (run / name).unlink()
    assert cli.main(["report", "run"]) == 0
    again = json.loads((run / "results.json").read_bytes())
    first = json.loads(kept["results.json"])
    assert {**again, "date": 0} == {**first, "date": 0}
    assert (run / "report.html").read_bytes() == kept["report.html"]
    (run / "report.html").write_text("old")
    capsys.readouterr()
    assert cli.main(["report", "run"]) == 0
    assert (run / "report.html").read_text() == "old"
    assert "results.json" not in capsys.readouterr().out
    assert cli.main(["report", "run", "--write"]) == 0
    assert (run / "report.html").read_bytes() == kept["report.html"]


def test_a_run_that_was_killed_can_be_reported(photos):
    label(photos, rows(*ALL))
    assert labelled() == 0
    for name in ("results.json", "report.html", "config.json"):
        (Path("run") / name).unlink()
    assert cli.main(["report", "run"]) == 0
    results = json.loads((Path("run") / "results.json").read_bytes())
    assert results["configs"]["labelled"]["provenance"]["model"] == "fake:"
