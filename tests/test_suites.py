"""Suites: what each is stands on top, and another package can add one as README.md says."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from safejudge import evals
from safejudge.cli import app as cli
from safejudge.evals import suites
from safejudge.evals.suite import Suite

README = Path(evals.__file__).parent / "README.md"


@pytest.mark.parametrize("name", suites.SUITES)
def test_a_suite_begins_with_what_it_is(name):
    module, _, attribute = suites.SUITES[name].partition(":")
    begins_with_what_it_is(importlib.import_module(module), attribute, name)


def begins_with_what_it_is(module, attribute, name):
    assert isinstance(getattr(module, attribute), Suite)
    heads = ("Name", "Data", "Licence", "Paper")
    lines = re.findall(rf"^({'|'.join(heads)}): (\S.*)$", module.__doc__, re.MULTILINE)
    assert [head for head, _ in lines] == [*heads]
    assert dict(lines)["Name"] == name


def test_suites_are_listed(capsys):
    assert cli.main(["suites"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == [*suites.SUITES]


# --- a suite of another package -------------------------------------------------------------------


def install(folder, monkeypatch, code, name="bright", attribute="SUITE"):
    """A package with one module and an entry point, as pip would lay it out."""
    about = folder / "others-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        f"[safejudge.suites]\n{name} = others_{name}:{attribute}\n"
    )
    (folder / f"others_{name}.py").write_text(code)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(importlib.sys.modules, f"others_{name}", raising=False)


@pytest.fixture
def bright(tmp_path, monkeypatch):
    """The smallest suite, as it stands in README.md, and pictures for it."""
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    install(tmp_path / "packages", monkeypatch, code)
    (tmp_path / "data").mkdir()
    for number in range(6):
        for name, shade in (("bright", 220 + number), ("dark", 20 + number)):
            picture = Image.fromarray(np.full((8, 8, 3), shade, np.uint8))
            picture.save(tmp_path / "data" / f"{name}-{number}.png")
    (tmp_path / "data" / "dark-5.png").write_bytes(b"no picture")
    command = ["eval", "bright", "--data", str(tmp_path / "data"), "--engine", "fake:"]
    return [*command, "--out", str(tmp_path / "run")]


def test_the_smallest_suite_is_a_suite(bright, capsys):
    begins_with_what_it_is(importlib.import_module("others_bright"), "SUITE", "bright")
    assert cli.main(["suites"]) == 0
    assert "bright                  whether pictures are bright" in capsys.readouterr().out


def test_it_judges_and_goes_on_and_reports(bright, tmp_path, capsys):
    out = tmp_path / "run"
    assert cli.main([*bright, "--window", "4"]) == 0
    printed = capsys.readouterr().out
    assert "Bright or dark" in printed
    whole = (out / "records.jsonl").read_bytes()
    records = [json.loads(line) for line in whole.splitlines()[1:]]
    assert [record["image"] for record in records[:6]] == [f"bright-{n}.png" for n in range(6)]
    assert records[-1] == {"image": "dark-5.png", "label": "dark", "said": None}
    (out / "records.jsonl").write_bytes(whole[: len(whole) // 2])
    assert cli.main([*bright, "--resume"]) == 0
    assert (out / "records.jsonl").read_bytes() == whole
    assert cli.main([*bright, "--resume", "--policy", "clue"]) == 2
    capsys.readouterr()
    assert cli.main(["report", str(out)]) == 0
    assert capsys.readouterr().out.strip() in printed
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    right = sum(record["said"] == record["label"] for record in records)
    assert results["results"]["bright"]["right"]["value"] == right / 12
    assert {path.name for path in out.iterdir()} >= {"tables.md", "samples_bright.jsonl"}


def test_it_samples_each_part_and_is_compared_with_changed_runs(bright, tmp_path, capsys):
    command = [*bright, "--limit", "2", "--seed", "1", "--split", "dark", "--variant", "blind"]
    assert cli.main(command) == 0
    assert "yes or no, blind" in capsys.readouterr().out
    lines = (tmp_path / "run/records.jsonl").read_text().splitlines()[1:]
    assert [json.loads(line)["label"] for line in lines] == ["dark", "dark"]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import no_such_module", "cannot be loaded from others_odd:SUITE: ModuleNotFoundError"),
        ("SUITE = 3", "others_odd:SUITE is a int, not a Suite"),
    ],
)
def test_what_is_wrong_with_another_package_is_said(tmp_path, monkeypatch, capsys, code, says):
    install(tmp_path / "packages", monkeypatch, code, "odd")
    assert cli.main(["eval", "odd", "--from-outputs", str(tmp_path)]) == 2
    assert says in capsys.readouterr().err
    assert cli.main(["suites"]) == 0
    assert says in capsys.readouterr().out
