"""The loop, as its users go through it: judge, ask a person in the page, learn, decide anew."""

import json
import math
import re

import numpy as np
import pytest
from PIL import Image
from review_pages import Page

from safejudge.cli.app import main
from safejudge.decide.thresholds import Slope, load
from safejudge.evals.stats.curves import calibration_error
from safejudge.journal.queue import drawn
from safejudge.journal.store import Journal

FAKE = ("--engine", "fake:", "--constitution", "sketch", "--no-prior")
POLICY = ("--exhaustive", "--set", "open_means=undecided")
IMAGES, ANSWERS = 60, 105
TOO_QUICK = 3.0
"""Log-odds by which the judge thinks more of a violation than is true."""


def judge(folder, *words):
    return main(["judge", str(folder / "in"), *FAKE, *POLICY, *words])


def records(path):
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    return {record["id"]: record for record in map(json.loads, lines)}


@pytest.fixture
def folder(tmp_path):
    """Pictures that were judged into a journal, with nobody asked yet."""
    random = np.random.default_rng(26)
    (tmp_path / "in").mkdir()
    for number in range(IMAGES):
        pixels = random.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number:02d}.png")
    judge(tmp_path, "--journal", str(tmp_path / "journal.db"), "--out", str(tmp_path / "r.jsonl"))
    return tmp_path


@pytest.fixture
def journal(folder):
    """What the server keeps: the journal of that run."""
    with Journal(str(folder / "journal.db")) as journal:
        yield journal


def chance(margin):
    return 1 / (1 + math.exp(-margin))


def answered(page, truth):
    """Answer the question on the page by what is true; return which it was."""
    rule = re.fullmatch(r"Does it violate (.+)\?", page.text("#item-title"))[1]
    name = re.search(r"[^/]+\.png", page.text("#list button[aria-current]"))[0]
    page.press("y" if truth[name][rule] else "n")
    return name, rule


def test_what_a_person_answers_in_the_page_is_learned_and_held(
    folder, chromium, app_of, reviewers, capsys
):
    before = records(folder / "r.jsonl")
    truth = {
        record["image"].rpartition("/")[2]: {
            rule: drawn(rule, record["id"]) < chance(verdict["margin"] - TOO_QUICK)
            for rule, verdict in record["rules"].items()
        }
        for record in before.values()
    }
    page = Page(chromium, app_of(), (1400, 900), "light", "reduce")
    page.sign_in(reviewers[1]["ann"])
    asked = []
    for _ in range(ANSWERS):
        asked.append(answered(page, truth))
        page.see_another(*asked[-1])
    page.close()
    assert len(set(asked)) == ANSWERS

    journal, labels = str(folder / "journal.db"), folder / "labels.csv"
    thresholds, after = folder / "t.yaml", folder / "after.jsonl"
    assert main(["journal", "labels", journal, "--out", str(labels)]) == 0
    calibrate = ["calibrate", "--records", journal, "--labels", str(labels)]
    assert main([*calibrate, "--out", str(thresholds)]) == 4  # no rule has labels enough to act
    found = load(thresholds).rules
    learned = {rule: entry for rule, entry in found.items() if isinstance(entry.probability, Slope)}
    assert learned
    assert sum(entry.labels for entry in found.values()) == ANSWERS

    assert main(["replay", journal, "--thresholds", str(thresholds), "--out", str(after)]) == 0
    # What people settled has no probability any more.
    pairs = [
        (verdict["score"], told["probability"], truth[record["image"].rpartition("/")[2]][rule])
        for record in records(after).values()
        for rule, verdict in record["rules"].items()
        if rule in learned and "probability" in (told := record["decision"]["rules"][rule])
    ]
    scores, chances, true = (list(column) for column in zip(*pairs, strict=True))
    assert calibration_error(chances, true) < calibration_error(scores, true)
    # An answer above even odds is right more often than a score above 1/2.
    right = np.array(true) == (np.array(chances) > 0.5)
    assert right.mean() > (np.array(true) == (np.array(scores) > 0.5)).mean()

    capsys.readouterr()
    again = folder / "again.jsonl"
    judge(folder, "--journal", journal, "--out", str(again))
    held = records(again)
    for name, rule in asked:
        (record,) = (one for one in held.values() if one["image"].endswith(f"/{name}"))
        violates = "violates" if truth[name][rule] else "does_not"
        assert record["people"]["rules"][rule]["verdict"] == violates
    assert "people decided about" in capsys.readouterr().err
