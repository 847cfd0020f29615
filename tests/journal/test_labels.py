"""What people agreed on leaves the journal as labels, and what nobody knows stays unknown."""

import csv
import warnings

import numpy as np
import pytest
from PIL import Image

from safejudge.cli.app import main
from safejudge.decide.sample import read_sample
from safejudge.evals.labelled.labels import read_labels
from safejudge.journal.labels import agreed_labels, as_csv
from safejudge.journal.people import Said, decide, withdraw
from safejudge.journal.rows import Row, rule_digest
from safejudge.journal.store import Journal
from safejudge.journal.stored import JournalRecords
from safejudge.show.page import made_by


@pytest.fixture
def say(journal, judge, results):
    """Judgments are kept, and a function that says something of one of them."""
    journal.add(judge, [Row(result) for result in results])
    digests = {rule.id: rule_digest(rule) for rule in judge.constitution.rules}

    def said(number, rule, verdict, reviewer="ann", digest=None):
        about = (results[number].id, rule, digest or digests.get(rule, "x"), verdict, reviewer)
        return decide(journal, Said(*about))

    return said


def test_what_nobody_settled_is_unknown_and_safe_needs_every_rule(
    journal, judge, results, say, tmp_path
):
    say(0, "cat", "violates")
    say(1, "cat", "does_not")
    say(2, "cat", "does_not")
    say(2, "dog", "does_not")
    say(3, "cat", "violates")
    say(3, "dog", "cannot_tell")
    found = agreed_labels(journal, judge.constitution)
    assert [(one.label, one.violations, one.unknown) for one in found.labels] == [
        ("unsafe", ("cat",), ("dog",)),
        (None, (), ("dog",)),
        ("safe", (), ()),
        ("unsafe", ("cat",), ("dog",)),
    ]
    assert [one.id for one in found.labels] == [result.id for result in results[:4]]
    assert [one.unsafe for one in found.labels] == [True, None, False, True]
    file = tmp_path / "labels.csv"
    file.write_text(as_csv(found.labels), encoding="utf-8")
    assert read_labels(file, ["cat", "dog"]) == found.labels


def test_what_is_no_answer_is_left_out_and_counted(journal, judge, say):
    say(0, "cat", "violates", "ann")
    say(0, "cat", "does_not", "bob")
    say(1, "cat", "violates", digest="old")
    say(2, "bird", "violates")
    say(3, "dog", "cannot_tell")
    withdraw(journal, say(4, "dog", "violates"), "ann")
    decide(journal, Said("a" * 64, "cat", "d", "violates", "ann"))
    found = agreed_labels(journal, judge.constitution)
    assert found.labels == []
    assert sorted(found.left_out.values()) == [1, 1, 1, 1, 1]
    told = " ".join(found.notes())
    for word in ("disagree", "earlier wording", "does not have", "cannot tell", "pruned"):
        assert word in told


def test_as_many_have_to_agree_as_are_asked_for(journal, judge, say):
    say(0, "cat", "violates", "ann")
    say(0, "cat", "violates", "bob")
    say(1, "cat", "violates", "ann")
    assert len(agreed_labels(journal, judge.constitution).labels) == 2
    found = agreed_labels(journal, judge.constitution, reviewers=2)
    assert len(found.labels) == 1
    assert "too few" in found.notes()[0]


def test_images_of_one_name_are_told_apart_by_their_bytes(journal, judge, results, say, tmp_path):
    """A server calls every upload by its place in the request."""
    same = [result.model_copy(update={"image": "image[0]"}) for result in results[:4]]
    journal.add(judge, [Row(result, variant="shadow") for result in results])
    with Journal(str(tmp_path / "other.db")) as other:
        other.add(judge, [Row(result) for result in same])
        digests = {rule.id: rule_digest(rule) for rule in judge.constitution.rules}
        for number, result in enumerate(same):
            verdict = "violates" if number % 2 else "does_not"
            decide(other, Said(result.id, "dog", digests["dog"], verdict, "ann"))
        labels = agreed_labels(other, judge.constitution).labels
    file = tmp_path / "labels.csv"
    file.write_text(as_csv(labels), encoding="utf-8")
    stored = JournalRecords(str(tmp_path / "other.db"))
    sample = read_sample(stored, made_by.about(stored, None, ()), file)
    assert (len(sample.judged), sample.unjudged, sample.unlabelled) == (4, 0, 0)
    truths = {label.id: label.violates("dog") for label, _ in sample.judged}
    assert truths == {result.id: bool(n % 2) for n, result in enumerate(same)}
    assert all(label.id == judgment.id for label, judgment in sample.judged)


def test_thresholds_come_of_a_journal_and_what_people_said(tmp_path, capsys):
    """From pictures to a file of thresholds, by commands alone; a rule nobody spoke of has none."""
    random = np.random.default_rng(4)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(60):
        pixels = random.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "name: two\nrules:\n"
        + "".join(
            f"  - id: {name}\n    category: things\n    severity: low\n"
            f"    text: No {name}.\n    objective: No {name}.\n"
            f"    condition: {{all: [a {name} is visible]}}\n"
            for name in ("cat", "dog")
        )
    )
    db, file, out = (str(tmp_path / name) for name in ("j.db", "labels.csv", "thresholds.yaml"))
    judge = ["judge", str(folder), "--engine", "fake:", "--constitution", str(rules)]
    main([*judge, "--no-prior", "--exhaustive", "--journal", db, "--out", f"{tmp_path}/r.jsonl"])
    with Journal(db) as journal, warnings.catch_warnings():
        warnings.simplefilter("error")
        (head,) = journal.heads().values()
        of_rules = made_by.about(JournalRecords(db), None, ()).constitution
        digest = {rule.id: rule_digest(rule) for rule in of_rules.rules}["cat"]
        assert head["constitution"]["name"] == "two"
        for kept in journal.search():
            violated = kept.record["rules"]["cat"]["outcome"] == "violated"
            verdict = "violates" if violated else "does_not"
            decide(journal, Said(kept.image_id, "cat", digest, verdict, "ann"))
    assert main(["journal", "labels", db, "--out", file]) == 0
    assert main(["journal", "labels", db, "--out", file]) == 2
    with open(file, encoding="utf-8") as stream:  # noqa: PTH123
        rows = list(csv.DictReader(stream))
    assert len(rows) == 60
    assert {row["unknown"] for row in rows} == {"dog"}
    capsys.readouterr()
    code = main(["calibrate", "--records", db, "--labels", file, "--out", out, "--alpha", "0.3"])
    told = capsys.readouterr()
    assert code in (0, 4), told.err
    assert "dog" in told.out + told.err
    measured = ["eval", "labelled", "--data", str(folder), "--labels", file]
    run = str(tmp_path / "run")
    assert main([*measured, "--engine", "fake:", "--constitution", str(rules), "--out", run]) == 0


def test_a_journal_without_answers_gives_no_file(tmp_path, capsys, judge, results):
    db, out = str(tmp_path / "j.db"), tmp_path / "labels.csv"
    with Journal(db) as journal:
        journal.add(judge, [Row(result) for result in results])
        decide(journal, Said(results[0].id, "cat", "old", "violates", "ann"))
    assert main(["journal", "labels", db, "--out", str(out)]) == 2
    told = capsys.readouterr().err
    assert "left out: 1 answers about an earlier wording" in told
    assert "let people decide first" in told
    assert not out.exists()
