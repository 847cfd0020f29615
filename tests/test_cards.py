"""Model cards: figures are the run's, thresholds are held against it, and nothing is made up."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import get_args

import pytest
from calibration import POLICY, RULES, drawn, judgment, provenance, verdict, write

from safejudge.cards.card import card_of as card_of_facts
from safejudge.cards.run import read_run
from safejudge.cards.shape import SectionId
from safejudge.cli.app import main
from safejudge.constitution.load import dump_constitution
from safejudge.decide import thresholds as files
from safejudge.engines.effect import policy_beside
from safejudge.files import records
from safejudge.show.figures import Table
from safejudge.types import Constitution, Failure, Usage

RUN_BY = policy_beside(POLICY, None, locates=False)
"""What a run without encoder and detector has for a policy."""
UNKNOWN = "unknown: the run does not tell"


def run_of(folder, made, *, rules=RULES, failed=0, head=None):
    """A folder as `eval labelled` leaves it, of made-up judgments."""
    folder.mkdir()
    (folder / "suite.json").write_text('{"suite": "labelled"}')
    (folder / "constitution.yaml").write_text(dump_constitution(rules))
    (folder / "config.json").write_text(
        json.dumps({"date": "2026-11-29", "data": "/home/somebody/photos"})
    )
    broken = [f"broken-{number}.png" for number in range(failed)]
    labels = [
        {"image": result.image, "violations": [name for name, yes in truths.items() if yes]}
        for result, truths in made
    ] + [{"image": name, "violations": []} for name in broken]
    (folder / "labels.jsonl").write_text("".join(f"{json.dumps(label)}\n" for label in labels))
    lines = [head or records.header("1", provenance(RUN_BY, rules), None)]
    lines += [records.record(result.image, result) for result, _ in made]
    for name in broken:
        lines.append(records.record(name, Failure(image=name, reason="unreadable", message="no")))
    (folder / "records.jsonl").write_text("".join(map(records.to_line, lines)))
    return folder


def card(*words):
    return main(["card", *map(str, words)])


def card_of(*words, tmp_path):
    out = tmp_path / "card.json"
    assert card(*words, "--out", out, "--overwrite") == 0
    return json.loads(out.read_text(encoding="utf-8"))


def fields(content, section, title):
    """The lines of a card under a heading."""
    (found,) = (part for part in content["sections"] if part["id"] == section)
    (part,) = (part for part in found["subsections"] if part["title"] == title)
    return {field["label"]: field["value"] for field in part["fields"]}


@pytest.fixture
def run(tmp_path):
    return run_of(tmp_path / "run", drawn(200, seed=5, prefix="run"))


@pytest.fixture
def thresholds(tmp_path):
    """Thresholds of other images than those of `run`."""
    made, labels = write(tmp_path / "calibration", drawn(300), RUN_BY)
    out = tmp_path / "thresholds.yaml"
    words = ["calibrate", "--records", made, "--labels", labels, "--out", out]
    assert main([*map(str, words)]) == 0
    return out


# --- the form that Coop takes ---------------------------------------------------------------------


def test_a_card_has_coops_seven_sections_in_coops_form(run, tmp_path):
    content = card_of(run, tmp_path=tmp_path)
    assert [part["id"] for part in content["sections"]] == list(get_args(SectionId))
    assert content["modelName"] == "safejudge: made-up, judged by fake:"
    assert content["releaseDate"] == "2026-11-29"
    for section in content["sections"]:
        assert set(section) == {"id", "title", "subsections"}  # Coop hides fields beside these
        for part in section["subsections"]:
            assert part["fields"], part["title"]
            assert all(type(value) is str for field in part["fields"] for value in field.values())


def test_a_day_that_is_not_known_is_left_out(run, tmp_path):
    (run / "config.json").unlink()
    assert "releaseDate" not in card_of(run, tmp_path=tmp_path)


# --- what the run tells ---------------------------------------------------------------------------


def test_figures_are_those_of_the_run(run, tmp_path):
    content = card_of(run, tmp_path=tmp_path)
    numbers = content["safejudge"]["numbers"]
    rates = fields(content, "performanceBenchmarks", "Right and wrong")
    knives = numbers["knives"]
    assert f"precision {knives['precision']:.3f} [" in rates["knives"]
    assert f"recall {knives['recall']:.3f} [" in rates["knives"]
    assert rates["knives"].startswith(f"n {knives['n']}; true {knives['tp'] + knives['fn']};")
    labelled = fields(content, "annotationMethodology", "Labelled images by rule")
    assert labelled["knives"].startswith(f"{knives['tp'] + knives['fn']} violating, of 200 ")


def test_what_no_file_tells_is_said_to_be_unknown(run, tmp_path):
    content = card_of(run, tmp_path=tmp_path)
    learned = fields(content, "trainingData", "What they learned from")
    assert learned["Training data"] == UNKNOWN
    assert fields(content, "trainingData", "Versions") == {"Libraries": UNKNOWN}
    data = fields(content, "annotationMethodology", "Data")
    assert data["Who labelled, and how"] == UNKNOWN
    assert data["Data"] == "photos"  # a card is for strangers, and names nobody's folders
    bias = fields(content, "biasAndLimitations", "Bias")
    assert bias["Figures by group of people"].startswith("unknown")
    assert fields(content, "performanceBenchmarks", "Cost")["Time, memory and money"] == UNKNOWN


def test_what_was_not_judged_is_counted_and_no_figure_takes_it_in(tmp_path):
    whole = run_of(tmp_path / "whole", drawn(30))
    part = run_of(tmp_path / "part", drawn(30), failed=4)
    one, other = card_of(whole, tmp_path=tmp_path), card_of(part, tmp_path=tmp_path)
    missed = fields(other, "biasAndLimitations", "What was not judged")
    assert missed["Could not be judged"] == missed["Failed: unreadable"] == "4"
    figures = [card["safejudge"]["numbers"]["images"] for card in (one, other)]
    assert figures[0] == figures[1]
    assert one["safejudge"]["images"] == other["safejudge"]["images"]


def test_a_judge_of_drawn_scenes_says_so_and_no_judge_finds_child_abuse(run, tmp_path):
    general = fields(card_of(run, tmp_path=tmp_path), "biasAndLimitations", "Known limits")
    made = provenance().model_copy(update={"model": "hf:sketch"})
    head = records.header("1", made, None)
    scenes = run_of(tmp_path / "scenes", drawn(20), head=head)
    drawn_only = fields(card_of(scenes, tmp_path=tmp_path), "biasAndLimitations", "Known limits")
    assert set(drawn_only) - set(general) == {"Drawn scenes only"}
    assert general["Child sexual abuse material"].startswith("Not detected")


def test_costs_are_per_judged_image(tmp_path):
    made = [
        (one.model_copy(update={"usage": Usage(probes=6, reasoning_calls=1)}), truths)
        for one, truths in drawn(10)
    ]
    content = card_of(run_of(tmp_path / "run", made, failed=5), tmp_path=tmp_path)
    cost = fields(content, "performanceBenchmarks", "Cost")
    assert cost["Questions per image"] == "6.00 (60 for 10)"
    assert cost["Reasonings per image"] == "1.00 (10 for 10)"


def test_tables_about_groups_of_people_stand_under_bias_with_every_row(run):
    facts = read_run(run, [])
    rows = (("judge", "0.9"), ("judge", "0.8"))
    table = Table("Bias of something", ("", "GES"), rows, bias=True)
    facts = replace(facts, result=replace(facts.result, tables=(table,)))
    by_id = {section.id: section for section in card_of_facts(facts, None).sections}
    bias = by_id["biasAndLimitations"].subsections[0]
    assert bias.title == "Bias of something"
    assert [field.value for field in bias.fields] == ["GES 0.9", "GES 0.8"]
    titles = [part.title for part in by_id["performanceBenchmarks"].subsections]
    assert "Bias of something" not in titles


# --- thresholds -----------------------------------------------------------------------------------


def test_without_thresholds_it_says_not_calibrated(run, tmp_path, capsys):
    content = card_of(run, tmp_path=tmp_path)
    assert {rule["recommendedThresholds"] for rule in content["safejudge"]["rules"]} == {None}
    said = fields(content, "implementationGuidance", "Recommended thresholds")
    assert said["All rules"].startswith("not calibrated")
    assert content["safejudge"]["atThresholds"] == {}


def test_both_thresholds_stand_with_their_promise_and_what_they_do(run, thresholds, tmp_path):
    content = card_of(run, "--thresholds", thresholds, tmp_path=tmp_path)
    kept = files.load(thresholds).rules["knives"]
    (rule,) = (one for one in content["safejudge"]["rules"] if one["id"] == "knives")
    assert rule["recommendedThresholds"] == {
        "highPrecisionThreshold": kept.block.at, "highRecallThreshold": kept.pass_.at,
    }  # fmt: skip
    said = fields(content, "implementationGuidance", "Recommended thresholds")["knives"]
    assert f"block above {kept.block.at:.6f} (at most 5.0% of what is blocked is innocent" in said
    assert f"n {kept.block.n}, " in said
    done = content["safejudge"]["atThresholds"]["knives"]
    assert done["n"] == 200
    assert done["blocked"] + done["passed"] + done["people"] + done["notAsked"] == 200
    assert done["blockedViolating"] > 0.9 * done["blocked"] > 0
    assert content["safejudge"]["seen"] == 0
    line = fields(content, "performanceBenchmarks", "At the recommended thresholds")["knives"]
    assert f"precision {done['blockedViolating'] / done['blocked']:.3f} [" in line
    assert f"share to people {done['people'] / 200:.3f} [" in line


def test_counts_at_the_thresholds_are_right(thresholds, tmp_path):
    kept = files.load(thresholds).rules["knives"]
    middle = (kept.block.at + kept.pass_.at) / 2
    # Truth and score of one rule; the other is innocent without doubt.
    cases = [(True, 0.9999), (True, 0.9999), (False, 0.9999), (True, middle), (True, 0.0001),
             (False, 0.0001), (False, 0.0001), (True, None)]  # fmt: skip
    made = []
    for number, (violates, score) in enumerate(cases):
        knives = verdict(0.1, outcome="not_relevant") if score is None else verdict(score)
        fire = verdict(0.0001, statement="a fire is shown")
        one = judgment(f"case-{number}.png", {"knives": knives, "fire": fire})
        made.append((one, {"knives": violates, "fire": False}))
    content = card_of(run_of(tmp_path / "run", made), "--thresholds", thresholds, tmp_path=tmp_path)
    assert content["safejudge"]["atThresholds"]["knives"] == {
        "n": 8, "violating": 5, "blocked": 3, "blockedViolating": 2, "passed": 3,
        "passedViolating": 1, "people": 1, "notAsked": 1, "notAskedViolating": 1,
    }  # fmt: skip
    line = fields(content, "performanceBenchmarks", "At the recommended thresholds")["knives"]
    assert "recall 0.400 [" in line  # also of what the filter skipped


def test_images_that_made_the_thresholds_do_not_praise_them(thresholds, tmp_path):
    mixed = run_of(tmp_path / "mixed", [*drawn(50), *drawn(30, seed=9, prefix="new")])
    content = card_of(mixed, "--thresholds", thresholds, tmp_path=tmp_path)
    assert content["safejudge"]["seen"] == 50
    assert content["safejudge"]["atThresholds"]["images"]["n"] == 30
    old = run_of(tmp_path / "old", drawn(50))
    content = card_of(old, "--thresholds", thresholds, tmp_path=tmp_path)
    note = fields(content, "performanceBenchmarks", "At the recommended thresholds")["Note"]
    assert content["safejudge"]["atThresholds"]["images"]["n"] == 50
    assert "prove nothing" in note


def test_a_rule_that_changed_since_is_not_calibrated(thresholds, tmp_path):
    first, *others = RULES.rules
    changed = first.model_copy(update={"text": "No sharp things."})
    rules = Constitution(name=RULES.name, rules=(changed, *others))
    run = run_of(tmp_path / "run", drawn(20, seed=3, prefix="new"), rules=rules)
    content = card_of(run, "--thresholds", thresholds, tmp_path=tmp_path)
    said = fields(content, "implementationGuidance", "Recommended thresholds")
    assert said["knives"] == "not calibrated: the rule is new, or has changed since"
    assert said["fire"].startswith("block above")


def test_one_threshold_alone_is_told_and_not_handed_to_coop(run, tmp_path):
    made, labels = write(tmp_path / "few", drawn(80), RUN_BY)
    out = tmp_path / "few.yaml"
    words = ["calibrate", "--records", made, "--labels", labels, "--out", out, "--alpha", "0.01"]
    assert main([*map(str, words), "--beta", "0.2"]) == 4
    content = card_of(run, "--thresholds", out, tmp_path=tmp_path)
    for rule in content["safejudge"]["rules"]:
        assert rule["recommendedThresholds"] is None
        assert rule["pass"]["at"] > 0
        assert rule["block"]["why"]
    said = fields(content, "implementationGuidance", "Recommended thresholds")["fire"]
    assert "block above: not calibrated (too few labels" in said
    assert "pass below 0." in said


def test_thresholds_of_another_model_are_refused(thresholds, tmp_path, capsys):
    head = records.header("1", provenance(RUN_BY, revision="r2"), None)
    run = run_of(tmp_path / "run", drawn(20), head=head)
    assert card(run, "--thresholds", thresholds) == 2
    assert "calibrate again" in capsys.readouterr().err


# --- for people -----------------------------------------------------------------------------------


def test_markdown_says_the_same_and_holds_no_markup_of_others(tmp_path, capsys):
    nasty = "No <script>alert(1)</script> | [knives](http://x)"
    first, *others = RULES.rules
    rules = Constitution(name="made-up", rules=(first.model_copy(update={"text": nasty}), *others))
    run = run_of(tmp_path / "run", drawn(20), rules=rules)
    (run / "config.json").write_text(json.dumps({"data": "a\x1b[31m\n# now"}))
    assert card(run) == 0
    text = capsys.readouterr().out
    heads = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    content = card_of(run, tmp_path=tmp_path)
    assert heads == [section["title"] for section in content["sections"]]
    assert "| knives | 20 |" in text
    assert "\\<script\\>" in text
    assert "\x1b" not in text
    assert "\n# now" not in text


def test_a_card_is_written_whole_or_refused(run, tmp_path, capsys):
    out = tmp_path / "card.md"
    assert card(run, "--out", out) == 0
    assert out.read_text(encoding="utf-8").startswith("# safejudge: made-up")
    assert card(run, "--out", out) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert card(run, "--out", tmp_path / "card.txt") == 2
    assert card(tmp_path) == 2
    assert "name a folder that eval --out wrote" in capsys.readouterr().err
