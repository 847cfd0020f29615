"""Labelled images: what a label file may say, how rates come about, and a run that goes on."""

from __future__ import annotations

import hashlib
import json
import math
from contextlib import closing
from dataclasses import replace

import pytest

from safejudge.cli import app as cli
from safejudge.constitution.load import load_constitution
from safejudge.engines.models import Models
from safejudge.errors import InputError, OutputError
from safejudge.evals.labelled.labels import Label, find_labels, read_labels
from safejudge.evals.labelled.places import placed
from safejudge.evals.labelled.suite import judge, report
from safejudge.evals.labelled.tables import score
from safejudge.evals.results import write_results
from safejudge.evals.suite import Run
from safejudge.policy import Policy
from safejudge.sketch.scenes import write_scenes

RULES = ("fire", "knife")


def labels_of(tmp_path, text, name="labels.csv"):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return read_labels(file, RULES)


# --- label files ----------------------------------------------------------------------------------


def test_csv_and_jsonl_say_the_same(tmp_path):
    csv = labels_of(
        tmp_path, "image,label,violations,group\na.png,unsafe,fire; knife,x\nb,safe,,\n"
    )
    lines = [
        {"image": "a.png", "label": "unsafe", "violations": ["fire", "knife"], "group": "x"},
        {"image": "b", "label": "safe", "violations": [], "more": 1},
    ]
    text = "\n".join(map(json.dumps, lines))
    assert csv == labels_of(tmp_path, text, "labels.jsonl")
    assert [label.unsafe for label in csv] == [True, False]


def test_what_a_file_leaves_out_is_not_known(tmp_path):
    (label,) = labels_of(tmp_path, "image,label\na.png,unsafe\n")
    assert label.violations is None
    (label,) = labels_of(tmp_path, "image,violations\na.png,\n")
    assert label.violations == ()
    assert label.unsafe is False


def test_a_label_with_an_id_means_the_file_that_holds_those_bytes(tmp_path):
    digest = hashlib.sha256(b"one").hexdigest()
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "moved.png").write_bytes(b"one")
    (tmp_path / "old.png").write_bytes(b"another one by now")
    gone = Label(image="old.png", label="safe", id="0" * 64)
    rows = [("l:2", Label(image="/elsewhere/old.png", label="safe", id=digest)), ("l:3", gone)]
    with pytest.warns(UserWarning, match="old.png"):
        found = placed(rows, tmp_path)
    assert [label.image for label in found] == ["below/moved.png", "0" * 64]


def test_a_rule_that_nobody_decided_about_stays_unknown(tmp_path):
    known, half, open_ = labels_of(
        tmp_path,
        "image,label,violations,unknown\na,,fire,knife\nb,,,knife\nc,unsafe,,fire knife\n",
    )
    assert [known.violates(rule) for rule in RULES] == [True, None]
    assert [half.violates(rule) for rule in RULES] == [False, None]
    assert [open_.violates(rule) for rule in RULES] == [None, None]
    assert (known.unsafe, half.unsafe, open_.unsafe) == (True, None, True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("image,violations,unknown\na,fire,fire\n", "fire stands in `violations` and in `unknown`"),
        ("image,label,unknown\na,safe,fire\n", "is safe, and fire is unknown"),
        ("image,violations,unknown\na,,fire knife\n", ":2: says nothing"),
        ("image,unknown\na,fire\n", ":2: has neither"),
        ("image,violations,unknown\na,,fier\n", "no rule 'fier'"),
        ("image,label,id\na,safe,123\n", "`id` is '123'"),
        (f"image,label,id\na,safe,{'a' * 64}\nb,safe,{'a' * 64}\n", ":3: a second row for the id"),
        ("name,label\na,safe\n", ":1: the first line must name the columns `image`"),
        ("image,label\na,save\n", ":2: `label`"),
        ("image,label\na,\n", ":2: has neither"),
        ("image,label\n,safe\n", "`image` is empty"),
        ("image,label\na,safe\na,unsafe\n", ":3: a second row for a"),
        ("image,violations\na,fier\n", "no rule 'fier'; do you mean fire?"),
        (
            "image,violations\na,fire|knife\n",
            "part several by spaces, commas or semicolons: fire knife",
        ),
        ("image,label\na,unsfe\n", "`label` is 'unsfe': Input should be 'safe' or 'unsafe'"),
        ("image,label,violations\na,safe,fire\n", "is safe, and its violations are fire"),
        ("image,label,violations\na,unsafe,\n", "is unsafe, and its violations are none"),
        ("image,label\n", "has no rows"),
        ("image,violations\na,fire, knife\n", ":2: has another number of columns"),
        ("image,label,violations\na,unsafe\n", ":2: has another number of columns"),
        ("", ":1: the first line must name the columns `image`"),
        ('{"image": "a", "label": 1}', ":1: `label`"),
        ('{"image": "a"', ":1: no JSON on this line"),
        (
            '{"image": "a", "label": "safe"}\n[1]',
            ':2: write one {"image": "a.png", "label": "safe"} per line',
        ),
    ],
)
def test_a_row_that_cannot_be_meant_is_refused_with_its_line(tmp_path, text, says):
    with pytest.raises(InputError) as caught:
        labels_of(tmp_path, text)
    assert says in str(caught.value)


def test_labels_are_found_or_asked_for(tmp_path):
    with pytest.raises(InputError, match=r"labels\.csv.*--labels"):
        find_labels(tmp_path)
    (tmp_path / "labels.csv").write_text("x")
    assert find_labels(tmp_path).name == "labels.csv"


# --- rates ----------------------------------------------------------------------------------------

CONSTITUTION = load_constitution("sketch")
IDS = [rule.id for rule in CONSTITUTION.rules]
OUTCOMES = {"yes": "violated", "no": "not_violated", "?": "undecided", "-": "not_relevant"}


def verdict(outcome, score):
    return {"outcome": OUTCOMES[outcome], "score": score, "bound": "exact", "preconditions": []}


def judged(label, **rules):
    found = {name: verdict("no", 0.1) for name in IDS} | {
        name.replace("_", "-"): verdict(*value) for name, value in rules.items()
    }
    scores = [rule["score"] for rule in found.values() if rule["score"] is not None]
    return {"label": label, "score": max(scores), "rules": found, "violations": []}


def test_undecided_is_on_the_wrong_side_and_counted():
    labels = [
        Label(image="a", violations=("armed-child",)),
        Label(image="b", violations=("armed-child",)),
        Label(image="c", violations=()),
        Label(image="d", violations=()),
        Label(image="e", label="unsafe"),
        Label(image="f", label="unsafe"),
    ]
    records = {
        "a": judged("unsafe", armed_child=("yes", 0.9)),
        "b": judged("undecided", armed_child=("?", 0.5)),
        "c": judged("undecided", armed_child=("?", 0.5)),
        "d": judged("safe", armed_child=("-", None)),
        "e": {"error": {"reason": "truncated", "message": "..."}},
    }
    found = score(CONSTITUTION, labels, records)
    rule = found.numbers["armed-child"]
    assert (rule["tp"], rule["fn"], rule["fp"], rule["tn"]) == (1, 1, 1, 1)
    assert rule["undecided"] == 2
    assert rule["scores_n"] == 3  # the skipped rule has no score, and gets none
    assert found.numbers["counts"] == {"labelled": 6, "judged": 4, "failed": 1, "missing": 1}
    assert found.numbers["images"]["n"] == 4
    assert "truncated 1" in found.findings[0]
    assert len(found.samples) == 5
    assert found.samples[4]["error"]["reason"] == "truncated"


def test_an_image_labelled_as_a_whole_says_nothing_of_rules():
    found = score(CONSTITUTION, [Label(image="a", label="unsafe")], {"a": judged("unsafe")})
    assert set(found.numbers) == {"counts", "images"}


def test_images_of_one_group_are_one_piece_of_evidence():
    labels = [Label(image=str(n), label="safe", group="g" if n < 18 else None) for n in range(20)]
    records = {str(n): judged("unsafe" if n < 18 else "safe") for n in range(20)}

    def fpr(some):
        return score(CONSTITUTION, some, records).tables[0].rows[0][-1]

    alone = [label.model_copy(update={"group": None}) for label in labels]
    assert fpr(alone).startswith("0.900 [0.6")
    assert fpr(labels) == "0.900 [-]"  # three groups say nothing of how groups differ


def test_undefined_is_null_in_files_and_never_zero(tmp_path):
    found = score(CONSTITUTION, [Label(image="a", label="safe")], {"a": judged("safe")})
    assert math.isnan(found.numbers["images"]["recall"])
    write_results(tmp_path / "out", "labelled", found, {})
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["results"]["labelled"]["images"]["recall"] is None
    (sample,) = (tmp_path / "out" / "samples_labelled.jsonl").read_text().splitlines()
    assert json.loads(sample)["doc_id"] == 0
    head, first, *rest = (tmp_path / "out" / "scores.csv").read_text().splitlines()
    assert head == "image,rule,violated,outcome,score,unfiltered"
    assert first == "a,armed-child,,not_violated,0.1,"  # labelled as a whole: of rules nothing
    assert len(rest) == len(IDS) - 1


# --- runs -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, 6, 5)
    (folder / "scene-0003.png").write_bytes(b"no picture")
    return folder


def test_a_run_goes_on_where_it_was_and_its_tables_need_no_model(scenes, tmp_path):
    ticks = []
    out = tmp_path / "out"
    out.mkdir()
    with closing(Models.opened("fake:", None, None, None)) as models:
        told = Run(out, models, Policy(), CONSTITUTION, str(scenes), window=2)
        judge(replace(told, limit=4))
        before = (out / "records.jsonl").read_text()
        with pytest.raises(OutputError, match="exists already"):
            judge(told)
        judge(replace(told, resume=True, progress=lambda _: ticks.append))
        with pytest.raises(OutputError, match="or data"):
            judge(replace(told, resume=True, data=f"{scenes}/../{scenes.name}"))
    after = (out / "records.jsonl").read_text()
    # What failed is asked again; all else stays where it is.
    kept = [line for line in before.splitlines() if '"error"' not in line]
    assert after.splitlines()[: len(kept)] == kept
    assert ticks == [3, 2, 1]
    images = [json.loads(line)["image"] for line in after.splitlines()[1:]]
    assert sorted(images) == [label.image for label in read_labels(scenes / "facts.jsonl", IDS)]
    found = report(out)
    nothing = {"unlabelled": 0, "ignored": 0, "companions": 0, "beyond_limit": 0}
    counts = {"labelled": 6, "judged": 5, "failed": 1, "missing": 0}
    assert found.numbers["counts"] == counts | nothing
    with pytest.raises(InputError, match=r"has no constitution\.yaml"):
        report(tmp_path)


def test_the_command_writes_results_and_report_reads_them(scenes, tmp_path, capsys):
    out = str(tmp_path / "out")
    command = ["eval", "labelled", "--data", str(scenes), "--constitution", "sketch"]
    command += ["--engine", "fake:", "--out", out]
    assert cli.main(command) == 4  # one picture cannot be read
    shown = capsys.readouterr().out
    assert "all rules" in shown
    assert cli.main(["report", out]) == 0
    assert capsys.readouterr().out.strip() in shown
    assert cli.main(command) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert cli.main([*command, "--resume"]) == 4
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["results"]["labelled"]["counts"]["failed"] == 1
    assert results["configs"]["labelled"]["provenance"]["model"] == "fake:"
    head, first, *others = (tmp_path / "out" / "records.jsonl").read_text().splitlines()
    for change in ({"rules": 5}, {"label": "fine"}):
        changed = json.dumps(json.loads(first) | change)
        (tmp_path / "out" / "records.jsonl").write_text("\n".join((head, changed, *others, "")))
        capsys.readouterr()
        assert cli.main(["report", out, "--write"]) == 2
        assert "error: " in capsys.readouterr().err


def test_sketchbench_is_a_folder_of_labelled_images(tmp_path, capsys):
    folder = str(tmp_path / "bench")
    command = ["sketch", "scenes", "--out", folder, "--bench", "--per-rule", "1", "--plain", "3"]
    assert cli.main(command) == 0
    count = 2 * len(IDS) + 3
    assert f"{count} scenes" in capsys.readouterr().out
    labels = read_labels(find_labels(tmp_path / "bench"), IDS)
    assert len(labels) == count
    assert set(IDS) <= {name for label in labels for name in label.violations}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["eval", "nowhere"],
            "there is no suite 'nowhere'; choose labelled, sketchbench, mj-bench",
        ),
        (["eval", "labelled"], "--out DIR"),
        (["eval", "labelled", "--from-outputs", "."], "scores no recorded outputs"),
        (["eval", "mllm-as-a-judge", "--data", "."], "--out DIR"),
        (["eval", "mj-bench", "--data", ".", "--out", "run"], "no constitution is assumed"),
        (["eval", "mj-bench", "--from-outputs", "nowhere"], "there is no such folder"),
        (["eval", "mj-bench", "--from-outputs", "tests"], "nothing that this suite can read"),
        (
            ["eval", "mj-bench", "--from-outputs", "tests", "--suite-arg", "decison=choice"],
            "--suite-arg decison: this suite does not know it; it takes decision, tie_threshold",
        ),
        (
            ["eval", "mj-bench", "--from-outputs", "tests", "--suite-arg", "decision=luck"],
            "--suite-arg decision=luck: Input should be 'choice' or 'ratings'",
        ),
        (["eval", "mllm-as-a-judge", "--from-outputs", "tests", "--paper"], "--paper"),
        (["report", "nowhere"], "nowhere: cannot be read"),
    ],
)
def test_a_wrong_command_says_what_to_do(capsys, words, says):
    assert cli.main(words) == 2
    assert says in capsys.readouterr().err
