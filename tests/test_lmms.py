"""What is written for lmms-eval, read by lmms-eval's own functions from its wheel."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest

from safejudge.cli import app as cli
from safejudge.evals.results import write_results
from safejudge.evals.suite import EvalResult
from safejudge.sketch.scenes import write_scenes

REQUIREMENT = (
    "lmms-eval==0.7.3"
    " --hash=sha256:5709f9f9f56a8f5f22bf379571bd1c5e7702af5ae2bbb9637001c5dd91168895\n"
)
READER = """
import json, logging, sys, types

class Stub(types.ModuleType):  # of libraries that are imported beside the functions read here
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return object

for name in ("torch", "transformers", "loguru", "pytz", "pytablewriter"):
    sys.modules[name] = Stub(name)
sys.modules["loguru"].logger = logging.getLogger()

class Writer:
    headers, value_matrix = (), ()

    def dumps(self):
        return json.dumps([self.headers, *self.value_matrix])

writers = sys.modules["pytablewriter"]
writers.MarkdownTableWriter = writers.LatexTableWriter = Writer

wheel, results, samples, suite = sys.argv[1:]
sys.path.insert(0, wheel)
from lmms_eval.baselines.loader import load_baseline
from lmms_eval.utils import get_results_filenames, make_table

assert get_results_filenames([results]) == [results]
scores, beside = load_baseline(samples, suite)
with open(results, encoding="utf-8") as stream:
    written = json.load(stream)
assert beside == written  # found by its name
print(json.dumps([json.loads(make_table(written)), scores]))
"""


@pytest.fixture(scope="session")
def wheel(request, tmp_path_factory):
    """lmms-eval's wheel, kept between runs; nothing that it depends on is installed."""
    cache = getattr(request.config, "cache", None)
    folder = cache.mkdir("lmms-eval") if cache else tmp_path_factory.mktemp("lmms-eval")
    if not list(folder.glob("*.whl")):
        (folder / "requirement.txt").write_text(REQUIREMENT)
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
        command += ["--disable-pip-version-check", "--timeout", "20", "--retries", "1"]
        command += ["--only-binary", ":all:", "--dest", str(folder)]
        command += ["--require-hashes", "--requirement", str(folder / "requirement.txt")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["?"]
            pytest.skip(f"the wheel of lmms-eval cannot be downloaded: {lines[-1]}")
    (path,) = folder.glob("*.whl")
    return path


def read(wheel, folder, suite):
    """The rows that lmms-eval prints, and the score that it finds for each sample."""
    (results,), (samples,) = folder.glob("*_results.json"), folder.glob("*_samples_*.jsonl")
    command = [sys.executable, "-c", READER, str(wheel), str(results), str(samples), suite]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    (head, *rows), scores = json.loads(done.stdout)
    assert head[:8] == ["Tasks", "Filter", "n-shot", "Metric", "", "Value", "", "Stderr"]
    return [row[:8] for row in rows], {int(number): score for number, score in scores.items()}


def test_lmms_eval_makes_its_table_of_ours(wheel, tmp_path):
    estimate = {"value": 0.25, "n": 8, "low": 0.1, "high": 0.4919964}
    numbers = {
        "a judge, plain": {"pairs, all/right": estimate, "none": {"value": math.nan, "n": 0}},
        "accuracy": 0.5,
    }
    samples = (
        {"caption": "a cat", "label": "0", "answer": "0", "right": True, "judge": "a judge"},
        {"caption": "a dog", "label": "1", "answer": "0", "right": False, "judge": "a judge"},
        {"item": "3", "human": "A", "said": None, "outcome": "unread"},
        {"image": "a.png", "target": {"label": None, "violations": ["fire"]},
         "resps": [{}], "filtered_resps": ["unsafe"], "score": 0.9},
        {"image": "b.png", "target": {"label": None, "violations": None},
         "resps": [{}], "filtered_resps": ["safe"], "score": 0.1},
    )  # fmt: skip
    write_results(tmp_path, "mine", EvalResult((), (), numbers, samples), {"data": "here"})
    rows, scores = read(wheel, tmp_path, "mine")
    assert sorted(rows) == [
        ["mine", "a judge, plain", "0", "none", "", "N/A", "±", "N/A"],
        ["mine", "a judge, plain", "0", "pairs; all/right", "", "0.2500", "±", "0.1000"],
        ["mine", "none", "0", "accuracy", "", "0.5000", "±", "N/A"],
    ]
    assert scores == {0: 1.0, 1: 0.0, 2: 0.0, 3: 1.0}


def test_a_run_is_written_for_lmms_eval_once(wheel, tmp_path):
    write_scenes(tmp_path / "scenes", 4, 5)
    out = tmp_path / "out"
    command = ["eval", "labelled", "--data", str(tmp_path / "scenes"), "--engine", "fake:"]
    command += ["--constitution", "sketch", "--out", str(out)]
    assert cli.main(command) == 0
    names = {path.name for path in out.iterdir()}
    assert cli.main([*command, "--resume"]) == 0
    assert {path.name for path in out.iterdir()} == names
    rows, scores = read(wheel, out, "labelled")
    ours = json.loads((out / "results.json").read_text())["results"]["labelled"]
    table = {(row[1], row[3]): row[5] for row in rows}
    assert table["images", "n"] == 4
    assert table["images", "recall"] == f"{ours['images']['recall']:.4f}"
    assert set(scores) == {0, 1, 2, 3}
