"""The command line of journals: what judge keeps is found, taken out, taken in and let go of."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from safejudge import load_constitution
from safejudge.cli.app import main
from safejudge.journal.people import Said, decide, decisions, withdraw
from safejudge.journal.queue import questions
from safejudge.journal.rows import rule_digests
from safejudge.journal.store import Journal

FAKE = ("--engine", "fake:", "--constitution", "sketch", "--no-prior")


@pytest.fixture
def judged(tmp_path):
    """A journal and the records of the same run."""
    random = np.random.default_rng(2)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(6):
        pixels = random.integers(0, 255, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "6.png").write_bytes(b"no picture")
    journal, out = tmp_path / "journal.db", tmp_path / "records.jsonl"
    code = main(["judge", str(folder), *FAKE, "--journal", str(journal), "--out", str(out)])
    assert code in (1, 4)
    return journal, out


def lines(path):
    return path.read_text(encoding="utf-8").splitlines()


def test_what_is_taken_out_is_what_judge_wrote(judged, tmp_path):
    journal, out = judged
    taken = tmp_path / "taken.jsonl"
    assert main(["journal", "export", str(journal), "--out", str(taken)]) == 0
    assert lines(taken)[1:] == lines(out)[1:]
    again = tmp_path / "again.db"
    assert main(["journal", "import", str(again), str(taken)]) == 0
    second = tmp_path / "second.jsonl"
    assert main(["journal", "export", str(again), "--out", str(second)]) == 0
    assert lines(second)[1:] == lines(out)[1:]


def test_a_journal_is_replayed_and_reported_as_records_are(judged, tmp_path, capsys):
    journal, out = judged
    new = []
    for number, records in enumerate((journal, out)):
        file = tmp_path / f"replayed{number}.jsonl"
        command = ["replay", str(records), "--set", "reject_factor=0.9", "--out", str(file)]
        new.append((main(command), lines(file)[1:]))
    assert new[0] == new[1]
    page = tmp_path / "page.html"
    assert main(["report", str(journal), "--out", str(page)]) == 0
    assert "6.png" in page.read_text(encoding="utf-8")


def test_a_search_in_a_pipe_is_json_lines(judged, capsys):
    journal, out = judged
    assert main(["journal", "search", str(journal), "--label", "failed"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["image"].endswith("6.png")
    assert main(["journal", "search", str(journal), "--since", "2100-01-01"]) == 2
    first = json.loads(lines(out)[1])["id"]
    assert main(["journal", "show", str(journal), first[:10]]) == 0
    assert first[:12] in capsys.readouterr().out
    assert main(["journal", "show", str(journal), "0123456789"]) == 2


def test_what_is_old_is_let_go_of(judged, capsys):
    journal, _ = judged
    assert main(["journal", "prune", str(journal), "--days", "1"]) == 0
    assert "0 judgments deleted" in capsys.readouterr().out
    assert main(["journal", "prune", str(journal), "--days", "0"]) == 0
    assert "7 judgments deleted" in capsys.readouterr().out


def test_what_is_no_journal_is_refused(tmp_path, capsys):
    assert main(["journal", "search", str(tmp_path / "missing.db")]) == 2
    assert "is no journal" in capsys.readouterr().err


def test_a_shadow_says_what_would_change_and_is_kept_under_its_name(judged, tmp_path, capsys):
    journal, out = judged
    other = tmp_path / "strict.yaml"
    other.write_text("set: {accept_factor: 0.0, reject_factor: 1.0}\n", encoding="utf-8")
    again = tmp_path / "again.jsonl"
    pictures = str(tmp_path / "pictures")
    options = ["--journal", str(journal), "--out", str(again), "--shadow", str(other)]
    main(["judge", pictures, *FAKE, *options])
    told = capsys.readouterr().err
    assert lines(again)[1:] == lines(out)[1:]
    assert "shadow strict:" in told
    main(["journal", "search", str(journal), "--variant", "strict", "--limit", "20"])
    shadows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(shadows) == 7
    file = tmp_path / "strict.jsonl"
    settings = ["--set", "accept_factor=0.0", "--set", "reject_factor=1.0"]
    main(["judge", pictures, *FAKE, *settings, "--out", str(file)])
    expected = {json.loads(line)["image"]: json.loads(line) for line in lines(file)[1:]}
    for shadow in shadows:
        assert shadow.get("label") == expected[shadow["image"]].get("label")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("conztitution: x\n", "do you mean constitution"),
        ("policy: [a, b]\n", "is one value"),
        ("set: {1: 2}\n", "FIELD=VALUE"),
        ("engine: 'fake:'\nport: 80\n", "`port` is no option"),
    ],
)
def test_a_file_of_a_shadow_is_strict(tmp_path, capsys, text, told):
    other = tmp_path / "other.yaml"
    other.write_text(text, encoding="utf-8")
    picture = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(picture)
    assert main(["judge", str(picture), *FAKE, "--shadow", str(other)]) == 2
    assert told in capsys.readouterr().err


def records_of(path):
    return [json.loads(line) for line in lines(path)[1:]]


def test_what_people_decided_counts_when_the_image_comes_back(judged, tmp_path, capsys):
    journal, out = judged
    bad = next(record for record in records_of(out) if record.get("violations"))
    digests = rule_digests(load_constitution("sketch"))
    with Journal(str(journal)) as kept:
        for rule in bad["rules"]:
            decide(kept, Said(bad["id"], rule, digests[rule], "does_not", "ann"))
    capsys.readouterr()
    again, page = tmp_path / "again.jsonl", tmp_path / "page.html"
    picture = tmp_path / "pictures" / bad["image"].rpartition("/")[2]
    command = ["judge", str(picture), *FAKE, "--journal", str(journal), "--out", str(again)]
    assert main([*command, "--report", str(page)]) == 0
    assert "people decided about 1 image, and that counts; the judge said: 1 unsafe" in (
        capsys.readouterr().err.replace("\n", " ")
    )
    (record,) = records_of(again)
    people = record.pop("people")
    assert record == bad | {"image": record["image"]}
    assert people["label"] == "safe"
    assert {one["verdict"] for one in people["rules"].values()} == {"does_not"}
    shown = page.read_text(encoding="utf-8")
    assert "not violated (ann)" in shown
    assert "1 image: 1 safe" in shown
    # Taken back, and said otherwise: a run that goes on says so too.
    with Journal(str(journal)) as kept:
        (first, *_) = decisions(kept, image_ids=[bad["id"]])
        withdraw(kept, first.id, "ann")
        decide(kept, Said(bad["id"], first.rule, first.rule_digest, "violates", "ann"))
    assert main([*command, "--resume"]) == 1
    assert records_of(again)[-1]["people"]["label"] == "unsafe"
    with Journal(str(journal)) as kept:
        decide(kept, Said(bad["id"], first.rule, first.rule_digest, "does_not", "ann"))
    # Counted alike where the run is continued; where two have to agree, one is not enough.
    assert main([*command, "--resume"]) == 0
    second = ["--reviewers", "2", "--overwrite"]
    assert main([*command, *second]) == 1
    assert "people" not in records_of(again)[0]
    # What is read from such records is the judge's word.
    assert main([*command, "--overwrite"]) == 0
    assert main(["replay", str(again)]) == 0


def thresholds_of(journal, file):
    """Thresholds from labels that people's decisions gave."""
    with Journal(str(journal)) as kept:
        ids = {one.image_id for one in kept.search() if one.label != "failed"}
    labels = file.with_name("labels.csv")
    rows = [f"{name}.png,{'' if n % 2 else 'armed-child'},{name}" for n, name in enumerate(ids)]
    labels.write_text("image,violations,id\n" + "\n".join(rows) + "\n")
    calibrate = ["calibrate", "--records", str(journal), "--labels", str(labels)]
    loose = ["--alpha", "0.5", "--beta", "0.5", "--out", str(file)]
    assert main([*calibrate, *loose]) in (0, 4)
    return file


def test_what_people_decided_holds_where_records_are_read(judged, tmp_path):
    journal, out = judged
    thresholds = thresholds_of(journal, tmp_path / "thresholds.yaml")
    calm = {"undecided", "violated"}
    fine = next(
        record
        for record in records_of(out)
        if "rules" in record and record["rules"]["armed-child"]["outcome"] not in calm
    )
    digests = rule_digests(load_constitution("sketch"))
    with Journal(str(journal)) as kept:
        decide(kept, Said(fine["id"], "armed-child", digests["armed-child"], "violates", "ann"))
    again = tmp_path / "again.jsonl"
    picture = tmp_path / "pictures" / fine["image"].rpartition("/")[2]
    assert main(["judge", str(picture), *FAKE, "--journal", str(journal), "--out", str(again)]) == 1
    for source in (again, journal):
        done = tmp_path / "done.jsonl"
        command = ["replay", str(source), "--out", str(done), "--overwrite"]
        assert main(command) == 0
        if source == again:
            assert lines(done)[1:] == lines(again)[1:]
        assert main([*command, "--thresholds", str(thresholds)]) == 0
        (record,) = [one for one in records_of(done) if one["id"] == fine["id"]]
        assert record["people"]["label"] == "unsafe"
        assert record["decision"]["action"] == "block"
        page = source.with_suffix(".html")
        assert main(["report", str(source), "--out", str(page)]) == 0
        card = re.search(f'<article data-label="(.*?)".*?{picture.name}', page.read_text("utf-8"))
        assert card[1] == "unsafe"
    # Where two have to agree, one is not enough.
    two = ["--reviewers", "2"]
    assert main(["replay", str(journal), "--out", str(done), "--overwrite", *two]) == 0
    assert not any("people" in record for record in records_of(done))
    page = tmp_path / "two.html"
    assert main(["report", str(journal), "--out", str(page), *two]) == 0
    assert "people decided" not in page.read_text(encoding="utf-8")
    # Another wording of the rule was never decided about.
    rules = tmp_path / "rules.yaml"
    text = (Path(__file__).parents[2] / "constitutions/sketch.yaml").read_text(encoding="utf-8")
    rules.write_text(re.sub(r"(id: armed-child\n.*?text: )", r"\1Now: ", text, flags=re.DOTALL))
    main(["replay", str(again), "--constitution", str(rules), "--out", str(done), "--overwrite"])
    assert "people" not in records_of(done)[0]


def test_a_share_is_shown_to_people_whatever_the_judge_says(judged, tmp_path, capsys):
    pictures = str(tmp_path / "pictures")
    journal = tmp_path / "audited.db"
    main(["judge", pictures, *FAKE, "--journal", str(journal), "--audit", "1"])
    with Journal(str(journal)) as kept:
        asked = {question.image_id for question in questions(kept, "ann", limit=99)}
    assert len(asked) == 6
    assert main(["judge", pictures, *FAKE, "--journal", str(journal), "--audit", "2"]) == 2
    capsys.readouterr()
    for stray in (["--audit", "0.5"], ["--reviewers", "2"]):
        assert main(["judge", pictures, *FAKE, *stray]) == 2
        assert "means nothing without --journal" in capsys.readouterr().err


def test_what_a_shadow_says_differently_is_a_question(judged, tmp_path):
    journal, out = judged
    other = tmp_path / "lenient.yaml"
    other.write_text("set: {accept_factor: 1.0, reject_factor: 0.0}\n", encoding="utf-8")
    main(["judge", str(tmp_path / "pictures"), *FAKE, "--journal", str(journal),
          "--shadow", str(other)])  # fmt: skip
    lenient = tmp_path / "lenient.jsonl"
    main(["judge", str(tmp_path / "pictures"), *FAKE, "--set", "accept_factor=1",
          "--set", "reject_factor=0", "--out", str(lenient)])  # fmt: skip
    pairs = zip(records_of(out), records_of(lenient), strict=True)
    moved = {
        (before["id"], rule)
        for before, after in pairs
        for rule in before.get("rules", ())
        if (rule in before["violations"]) != (rule in after["violations"])
    }
    assert moved
    with Journal(str(journal)) as kept:
        asked = questions(kept, "ann", why="shadow", limit=999)
    assert {(one.image_id, one.rule) for one in asked} == moved


def test_a_replay_decides_by_thresholds_as_a_run_does(judged, tmp_path, capsys):
    pictures, journal = tmp_path / "pictures", tmp_path / "exact.db"
    command = ["judge", str(pictures), *FAKE, "--exhaustive"]
    main([*command, "--journal", str(journal)])
    labels = pictures / "labels.csv"
    labels.write_text("image,label\n" + "".join(f"{n}.png,safe\n" for n in range(5)), "utf-8")
    thresholds = tmp_path / "thresholds.yaml"
    calibrate = ["calibrate", "--records", str(journal), "--labels", str(labels)]
    assert main([*calibrate, "--alpha", "0.5", "--beta", "0.5", "--out", str(thresholds)]) in (0, 4)
    decided, replayed = tmp_path / "decided.jsonl", tmp_path / "replayed.jsonl"
    held = ["--thresholds", str(thresholds)]
    main([*command, "--ignore", "labels.csv", *held, "--out", str(decided)])
    capsys.readouterr()
    assert main(["replay", str(journal), *held, "--out", str(replayed)]) == 0
    assert "for a person" in capsys.readouterr().out
    by_image = {record["image"]: record for record in records_of(decided)}
    assert {record["image"]: record for record in records_of(replayed)} == by_image
    assert (
        json.loads(lines(replayed)[0])["thresholds"] == json.loads(lines(decided)[0])["thresholds"]
    )
    main(["replay", str(decided), *held])
    assert "; before: " in capsys.readouterr().out
