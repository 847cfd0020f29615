"""Files that version 0.1.0 wrote (`saved/`) go on working, whatever the modules are called."""

import json
import math
import pickle
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from safejudge.cli import app as cli
from safejudge.compile.prompts import Statement
from safejudge.constitution.lint.findings import lint
from safejudge.constitution.load import load_constitution, read_lock
from safejudge.constitution.lock import dump_lock
from safejudge.engines.cached import CachedEngine
from safejudge.engines.fake import FakeEngine
from safejudge.evals import reliability, suites
from safejudge.evals.mjbench.tables import BOTH
from safejudge.files.records import read_records
from safejudge.judge import Judge
from safejudge.preference.scorer import PreferenceScorer
from safejudge.show.markdown import table
from safejudge.types import Message, Picture, Probe, Reasoning

SAVED = Path(__file__).parent / "saved"
WEIGHTS = (
    Path(__file__).parents[1] / "safejudge" / "sketch" / "models" / "vlm" / "model.safetensors"
)
needs_weights = pytest.mark.skipif(
    not WEIGHTS.is_file(), reason="the weights of sketch are not here"
)
PICTURE = Picture.of(np.full((4, 4, 3), 90, np.uint8))


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A copy to work in; the caches of this machine are not touched."""
    shutil.copytree(SAVED, tmp_path / "saved")
    monkeypatch.chdir(tmp_path / "saved")
    monkeypatch.setenv("SAFEJUDGE_CACHE", str(tmp_path / "saved"))
    return tmp_path / "saved"


def judge_scenes(*options):
    return cli.main(
        ["judge", "scenes", "--constitution", "./sketch.yaml", "--engine", "hf:sketch", *options]
    )


def policy_now():
    with Judge.load("./sketch.yaml", "hf:sketch", cache=None) as judge:
        return judge.provenance.policy


def priors(folder):
    with closing(sqlite3.connect(folder / "priors.sqlite3")) as db:
        return sorted(db.execute("SELECT key, value FROM priors").fetchall())


def test_records_are_read(saved):
    records = read_records(saved / "records.jsonl")
    assert len(records) == 6
    assert {records[name]["label"] for name in records} <= {"safe", "unsafe", "undecided"}


@needs_weights
def test_a_run_that_was_stopped_then_goes_on_now(saved, capsys):
    whole = (saved / "records.jsonl").read_bytes()
    known = priors(saved)
    # The judge of that time put exceptions to the region test, so its policy is another one.
    assert judge_scenes("--out", "records.jsonl", "--resume") == 2
    assert "was made with another policy" in capsys.readouterr().err
    whole = whole.replace(json.loads(whole.splitlines()[0])["provenance"]["policy"].encode(),
                          policy_now().encode())  # fmt: skip
    lines = whole.splitlines(keepends=True)
    (saved / "torn.jsonl").write_bytes(b"".join(lines[:3]) + lines[3][:100])
    assert judge_scenes("--out", "torn.jsonl", "--resume") in (0, 1, 4)
    again = (saved / "torn.jsonl").read_bytes().splitlines(keepends=True)
    assert again[1:3] == lines[1:3]
    names = ("label", "violations", "rules")
    for old, new in zip(map(json.loads, lines[1:]), map(json.loads, again[1:]), strict=True):
        assert old["image"] == new["image"]
        assert [old[name] for name in names[:2]] == [new[name] for name in names[:2]]
        for rule, verdict in old["rules"].items():
            assert new["rules"][rule]["score"] == pytest.approx(verdict["score"], abs=1e-4)
    # The priors of that time are the priors of today: none was asked again, none was added.
    assert priors(saved) == known


def test_a_lock_is_read_and_written_back_equal(saved):
    rules = load_constitution("./compiled.yaml").rules
    assert [rule.id for rule in rules] == ["rule-1", "rule-2", "own"]
    assert lint("./compiled.yaml") == []
    path = saved / "compiled.lock.yaml"
    lock = read_lock(path)
    assert lock is not None
    assert dump_lock(lock).encode() == path.read_bytes()


def test_a_scorer_scores_as_it_did(saved):
    pairs = [json.loads(line) for line in (saved / "pairs.jsonl").read_text().splitlines()]
    with PreferenceScorer.load("scorer") as scorer:
        scores = scorer([pair["chosen"] for pair in pairs], [pair["prompt"] for pair in pairs])
    assert scores == pytest.approx(json.loads((saved / "scores.json").read_text()), abs=1e-4)


def test_a_pickled_reward_is_opened(saved):
    with pickle.loads((saved / "reward.pickle").read_bytes()) as reward:  # noqa: S301 - our own
        assert reward.grading.temperature == 2.0
        assert reward.constitution == load_constitution("./sketch.yaml")
        (value,) = reward([np.full((6, 6, 3), 90, np.uint8)])
    assert value is not None
    assert math.isfinite(value)


def test_kept_answers_are_not_asked_again(saved):
    inner = FakeEngine()
    inner.answer_probs = inner.reason = lambda requests: pytest.fail(f"asked: {requests}")
    engine = CachedEngine(inner, saved / "answers.sqlite3")
    wanted = json.loads((saved / "answers.json").read_text())
    answers = engine.answer_probs(
        [
            Probe("Look.", (PICTURE,), "a cat is visible"),
            Probe("Look.", (), "a dog is visible", ("A", "B")),
        ]
    )
    assert [[list(answer.p_labels), answer.top] for answer in answers] == wanted["probes"]
    turn = (Message("user", "why?"),)
    replies = engine.reason(
        [
            Reasoning("Look.", (PICTURE,), turn),
            Reasoning("Look.", (), turn, Statement, 64),
        ]
    )
    assert replies == wanted["replies"]
    engine.close()


def bare(value):
    """Numbers and cells without their intervals, which are made in another way by now."""
    if isinstance(value, dict):
        return {k: bare(v) for k, v in value.items() if k not in {"low", "high"}}
    return re.sub(r" \[[^]]*\]", "", value) if isinstance(value, str) else value


def apart(row):
    """The rows of then that stand in one by now."""
    names = (" written", " weighted") if any(cell.endswith(BOTH) for cell in row) else ("",)
    return [[cell.replace(BOTH, name) for cell in row] for name in names]


@pytest.mark.parametrize("folder", ["labelled", "mjbench", "preference"])
def test_an_eval_is_reported_as_it_was(saved, folder):
    name = suites.suite_of(saved / folder)
    report = suites.find_suite(name).report
    assert report is not None
    scored = reliability.report(report, saved / folder)
    told = bare((saved / folder / "tables.md").read_text())
    for one in scored.tables:
        (then,) = re.findall(rf"^### {re.escape(one.title)}\n\n((?:\|.*\n)+)", told, re.MULTILINE)
        rows = [row for line in one.rows for row in apart(line)]
        # Their order is another, and of equal readings one row is enough by now.
        now = bare(table(one.columns, rows))
        assert sorted(then.splitlines()) == sorted(now.splitlines())
    results = json.loads((saved / folder / "results.json").read_text())
    numbers = json.loads(json.dumps(scored.numbers).replace("NaN", "null"))
    assert bare(numbers) == bare(results["results"][name])
