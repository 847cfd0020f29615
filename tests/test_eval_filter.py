"""`eval` measures what `judge` runs: the relevance filter acts in both, and its cost is told."""

from __future__ import annotations

import hashlib
import json
from contextlib import closing

import numpy as np
import pytest

from safejudge.constitution.load import load_constitution
from safejudge.engines.fake import FakeEncoder, FakeEngine
from safejudge.engines.models import Models
from safejudge.evals import harness
from safejudge.evals.labelled import suite as labelled
from safejudge.evals.labelled.charts import blamed
from safejudge.evals.labelled.labels import Label
from safejudge.evals.labelled.tables import score
from safejudge.evals.mjbench import protocols
from safejudge.evals.mjbench import run as mjbench_run
from safejudge.evals.mjbench.samples import Sample, Source
from safejudge.evals.results import write_results
from safejudge.evals.stats.preference import Answer
from safejudge.evals.suite import Run
from safejudge.flow import drive
from safejudge.judge import Judge
from safejudge.policy import Policy
from safejudge.sketch.scenes import write_scenes
from safejudge.types import (
    Constitution,
    ImageInput,
    Picture,
    Precondition,
    Rule,
    Severity,
)

THRESHOLDS = (-1.0, -0.2, 0.0, 0.4, 0.99)
CONSTITUTION = load_constitution("sketch")


def chance(request):
    """A number in [-1, 1) that hangs on picture and text alone."""
    words = f"{request.picture.digest}:{request.text}"
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:4]) / 2**31 - 1


def models():
    return Models(FakeEngine(), FakeEncoder(chance))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, 8, 5)
    return folder


def evaluated(scenes, out, policy):
    out.mkdir()
    run = Run(out, models(), policy.exhaustively(), CONSTITUTION, str(scenes))
    labelled.judge(run)
    return harness.recorded(out)


@pytest.mark.parametrize("name", ["default", "clue-tree"])
@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_eval_says_what_judge_says(scenes, tmp_path, threshold, name):
    base = {"default": Policy(), "clue-tree": Policy.clue_tree()}[name]
    policy = base.model_copy(update={"relevance_threshold": threshold})
    records = evaluated(scenes, tmp_path / "out", policy)
    with closing(models()) as opened:
        results = Judge(CONSTITUTION, opened, policy)([scenes / image for image in records])
    for record, result in zip(records.values(), results, strict=True):
        assert record["label"] == result.label
        assert tuple(record["violations"]) == result.violations
        for rule, verdict in result.rules.items():
            assert record["rules"][rule]["outcome"] == verdict.outcome
            assert record["rules"][rule]["score"] is not None  # asked all the same
    skipped = sum(v.outcome == "not_relevant" for r in results for v in r.rules.values())
    assert (skipped == 0) == (threshold == -1.0)
    costs = labelled.report(tmp_path / "out").numbers["all rules"]["filter"]
    assert costs["skipped"] == skipped


def test_without_a_filter_eval_says_what_it_would_come_to(scenes, tmp_path):
    strict = Policy(relevance_threshold=0.99)
    records = evaluated(scenes, tmp_path / "out", strict)
    with closing(models()) as opened:
        results = Judge(CONSTITUTION, opened, strict.unfiltered())(
            [scenes / image for image in records]
        )
    for record, result in zip(records.values(), results, strict=True):
        for rule, verdict in result.rules.items():
            assert record["rules"][rule]["unfiltered"] == verdict.outcome
    found = labelled.report(tmp_path / "out")
    images = found.numbers["images"]["filter"]["without_filter"]
    assert images["tp"] == sum(
        r.label == "unsafe" and bool(label.unsafe)
        for r, label in zip(results, labels_of(tmp_path / "out"), strict=True)
    )


def labels_of(out):
    lines = (out / "labels.jsonl").read_text().splitlines()
    return [Label.model_validate_json(line) for line in lines]


def test_mj_bench_chooses_as_judge_does(tmp_path):
    pictures = [np.full((16, 16, 3), shade, np.uint8) for shade in range(0, 240, 20)]
    samples = [
        loaded(f"safety/{n}", first, second)
        for n, (first, second) in enumerate(zip(pictures[::2], pictures[1::2], strict=True))
    ]
    policy = Policy(relevance_threshold=0.3)
    run = Run(tmp_path, models(), policy.exhaustively(), CONSTITUTION)
    made = {p.name: p for p in mjbench_run.protocols_of(run, mjbench_run.arguments({}))}
    said = made["constitution outcome"].judged(samples)
    with closing(models()) as opened:
        results = Judge(CONSTITUTION, opened, policy)(pictures)
    labels = [result.label for result in results]
    assert [answer["labels"] for ((answer),) in said] == [
        labels[n : n + 2] for n in range(0, len(labels), 2)
    ]
    scores = made["constitution score"].judged(samples)
    assert all(answer["ratings"] for ((answer),) in scores)


def loaded(key, *pixels):
    sources = tuple(Source(f"{key}-{n}", b"") for n in range(len(pixels)))
    sample = Sample(key, "safety", "", "", sources, Answer.FIRST)
    return protocols.LoadedSample(sample, tuple(map(Picture.of, pixels)))


def test_an_encoder_without_a_threshold_is_a_score_model_alone(tmp_path):
    run = Run(tmp_path, models(), Policy(exhaustive=True), CONSTITUTION)
    assert not mjbench_run.policy_of(run).relevance
    known = Run(tmp_path, models(), Policy(relevance_threshold=0.1), CONSTITUTION)
    assert mjbench_run.policy_of(known).relevance_threshold == 0.1


# --- frames ---------------------------------------------------------------------------------------


def test_a_rule_that_one_frame_skips_is_judged_on_the_others():
    rule = Rule(
        id="r", category="c", severity=Severity.LOW, text="t", objective="o",
        condition=Precondition(statement="s"),
    )  # fmt: skip
    frames = tuple(
        Picture.of(np.full((2, 2, 3), shade, np.uint8), frame, None)
        for frame, shade in enumerate((30, 200))
    )

    def bright(probe):
        shade = probe.images[0].pixels[0, 0, 0] if probe.images else None
        return {None: 0.5, 30: 0.01, 200: 0.99}[shade]

    def like(request):  # only the dark frame is like the rule
        return 0.9 if request.picture.pixels[0, 0, 0] == 30 else 0.1

    engine, rules = FakeEngine(bright), Constitution(name="c", rules=(rule,))
    policy = Policy(relevance_threshold=0.5, always_asked=0)
    found = []
    for choice in (policy, policy.exhaustively()):
        judge = Judge(rules, Models(engine, FakeEncoder(like)), choice)
        judgment = drive(judge._flow(ImageInput("id", "gif", frames), None), judge.models.answer)
        found.append((judgment.label, judgment.violations, judgment.score))
    assert found[0] == found[1]
    assert found[0][0] == "safe"
    assert judgment.rules["r"].unfiltered == "violated"


# --- tables ---------------------------------------------------------------------------------------

IDS = [rule.id for rule in CONSTITUTION.rules]


def verdict(outcome, unfiltered, number):
    return {
        "outcome": outcome, "unfiltered": unfiltered, "score": number, "bound": "exact",
        "similarity": 0.1, "preconditions": [],
    }  # fmt: skip


def record(label, **rules):
    found = {name: verdict("not_relevant", "not_violated", 0.1) for name in IDS}
    found |= {name.replace("_", "-"): value for name, value in rules.items()}
    return {"label": label, "score": None, "rules": found, "violations": []}


LOST = verdict("not_relevant", "violated", 0.9)
LABELS = [Label(image="a", violations=("armed-child",)), Label(image="b", violations=())]
RECORDS = {"a": record("safe", armed_child=LOST), "b": record("safe", armed_child=LOST)}


def test_what_the_filter_costs_stands_beside_what_judge_says(tmp_path):
    found = score(CONSTITUTION, LABELS, RECORDS)
    rule = found.numbers["armed-child"]
    assert (rule["tp"], rule["fn"], rule["fp"], rule["tn"]) == (0, 1, 0, 1)
    assert rule["scores_n"] == 2  # curves are over everything asked
    costs = rule["filter"]
    assert (costs["skipped"], costs["violations_lost"], costs["false_alarms_spared"]) == (2, 1, 1)
    assert costs["without_filter"]["recall"] == 1.0
    images = found.numbers["images"]["filter"]
    assert (images["violations_lost"], images["false_alarms_spared"]) == (1, 1)
    titles = {table.title: table for table in found.tables}
    assert titles["What the filter costs"].rows[0][:5] == ("images", "2", "-", "1", "1")
    assert ("relevance", "1", "0") in titles["What made verdicts wrong"].rows
    assert any("loses 1 of 1 violations" in line for line in found.findings)
    write_results(tmp_path, "labelled", found, {})
    line = (tmp_path / "scores.csv").read_text().splitlines()[1]
    assert line == "a,armed-child,1,not_relevant,0.9,violated"


def test_the_filter_is_not_blamed_for_what_the_model_misses_too():
    rule = CONSTITUTION.rules[0]
    assert blamed(rule, LOST, "no") == "relevance"
    leaf = {"statement": "x", "outcome": "no", "test": "reject", "margin": -1.0, "score": 0.1}
    missed = verdict("not_relevant", "not_violated", 0.1) | {"preconditions": [leaf]}
    assert blamed(rule, missed, "no") == "reject"


def test_records_of_an_earlier_version_say_that_nothing_was_filtered():
    old = json.loads(json.dumps(RECORDS))
    for kept in old.values():
        for verdict_kept in kept["rules"].values():
            verdict_kept["outcome"] = verdict_kept.pop("unfiltered")
    found = score(CONSTITUTION, LABELS, old)
    assert "filter" not in found.numbers["images"]
    assert any(line.startswith("Records of an earlier version") for line in found.findings)
