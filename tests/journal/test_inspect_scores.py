"""Judgments as scores for inspect_ai: each in [0, 1] with its label, and none that is made up."""

import json

import pytest

from safejudge.cli.app import main
from safejudge.journal.inspect_scores import score_of
from safejudge.journal.rows import Row
from safejudge.journal.store import Journal


@pytest.fixture
def written(tmp_path, judge, results):
    db, out = str(tmp_path / "j.db"), tmp_path / "scores.jsonl"
    with Journal(db) as journal:
        journal.add(judge, [Row(result) for result in results])
        journal.add(judge, [Row(results[0], caption="a cat")])
    assert main(["journal", "export", db, "--format", "inspect", "--out", str(out)]) == 0
    return out


def test_a_score_is_that_of_the_worst_rule_and_what_failed_has_none(written, results, capsys):
    lines = [json.loads(line) for line in written.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 20
    for line, result in zip(lines, results, strict=False):
        assert (line["id"], line["value"], line["answer"]) == (
            result.image, result.score, result.label,
        )  # fmt: skip
        assert line["metadata"]["rules"].keys() == result.rules.keys()
        assert line["metadata"]["image_id"] == result.id
    out = written.with_name("again.jsonl")
    db = str(written.with_name("j.db"))
    capsys.readouterr()
    assert main(["journal", "export", db, "--format", "inspect", "--out", str(out)]) == 0
    told = capsys.readouterr().err
    assert "left out: 1 images that could not be judged" in told
    assert "left out: 1 further judgments of the same image" in told


def test_an_image_of_which_every_rule_was_skipped_has_no_score(results):
    skipped = results[0].model_copy(update={"score": None})
    assert score_of(skipped, "x", skipped.provenance) is None


def test_names_that_are_shared_are_told_apart(tmp_path, judge, results):
    db, out = str(tmp_path / "j.db"), tmp_path / "scores.jsonl"
    with Journal(db) as journal:
        same = [result.model_copy(update={"image": "image[0]"}) for result in results[:3]]
        journal.add(judge, [Row(result) for result in same])
    command = ["journal", "export", db, "--format", "inspect", "--out"]
    assert main([*command, str(out)]) == 0
    ids = [json.loads(line)["id"] for line in out.read_text().splitlines()]
    assert ids == [result.id for result in results[:3]]
    assert main([*command, str(tmp_path / "scores.json")]) == 2


def test_inspect_reads_the_scores(written, results):
    """Its own scorer, over samples of which one has no score."""
    inspect_ai = pytest.importorskip("inspect_ai", reason="no inspect_ai")
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import mean, precomputed_scores
    from inspect_ai.solver import solver

    @solver
    def nobody():
        async def solve(state, generate):
            return state

        return solve

    samples = [Sample(id=result.image, input="a picture") for result in results]
    task = inspect_ai.Task(
        dataset=samples,
        solver=nobody(),
        scorer=precomputed_scores(str(written), metrics=[mean()]),
    )
    (log,) = inspect_ai.eval(
        task, model="mockllm/model", display="none", log_dir=str(written.parent / "logs")
    )
    assert log.status == "success", log.error
    (found,) = log.results.scores
    scores = [result.score for result in results[:20]]
    assert found.metrics["mean"].value == pytest.approx(sum(scores) / 20)
    by_id = {sample.id: sample.scores for sample in log.samples}
    one = by_id[results[0].image]["precomputed_scores"]
    assert (one.value, one.answer) == (results[0].score, results[0].label)
    assert found.scored_samples == 20
    assert not by_id[results[20].image]
