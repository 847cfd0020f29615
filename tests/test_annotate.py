"""Annotating: prompts read, aspects asked, pairs compared, and a run that goes on."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from safejudge.cli import app as cli
from safejudge.constitution.lint.findings import lint
from safejudge.constitution.load import load_constitution, shipped_constitutions
from safejudge.engines.fake import FakeEngine
from safejudge.engines.models import Models
from safejudge.errors import (
    ConstitutionError,
    EngineCallError,
    InputError,
    OutputError,
    StatementError,
)
from safejudge.policy import Policy
from safejudge.preference import annotate as run
from safejudge.preference.annotator import Annotator, level
from safejudge.preference.data import read_prompts
from safejudge.preference.pair_file import diffusion_dpo_rows, read_pairs
from safejudge.preference.pairs import Count, find_pairs
from safejudge.preference.reasons import read as read_reason
from safejudge.preference.rubrics import (
    OVERALL,
    SAFETY,
    filled,
    load_rubric,
    needs_prompt,
    one_line,
    shipped_rubrics,
)
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.mjbench import safety_scenes
from safejudge.types import AnswerProbs, NoReply

RULES = """\
name: test
rules:
  - id: bright
    category: light
    severity: low
    text: No glare.
    objective: The picture is bright.
    condition: The picture is bright
"""
WIDE = """\
name: wide
rules:
  - id: wide
    category: form
    severity: low
    text: Wide pictures.
    objective: The picture is wide.
    condition: The picture is wide
  - id: asked
    category: form
    severity: low
    text: What was asked for.
    objective: The picture is what was asked for.
    condition: "The picture shows this: {prompt}"
"""
PLAIN = Policy(cascade=False, crop=False, region=False)


def answer(probe):
    """Bright is how bright it is, wide how wide; the prior is one half, every request is met."""
    if not probe.images:
        return 0.5
    pixels = probe.images[0].pixels
    if "bright" in probe.question:
        return float(pixels.mean()) / 255
    return 1.0 if "shows this" in probe.question else min(1.0, pixels.shape[1] / 100)


def png(path, shade, width=100):
    Image.fromarray(np.full((8, width, 3), shade, np.uint8)).save(path)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Two prompts: dark and bright pictures, narrow and wide ones, and one that is broken."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for name, shade, width in (("a", 0, 100), ("b", 10, 5), ("c", 255, 100), ("e", 0, 90)):
        png(f"in/{name}.png", shade, width)
    (tmp_path / "in/broken.png").write_bytes(b"junk")
    rows = [
        {"prompt_id": "one", "prompt": "a lamp", "images": ["a.png", "b.png", "c.png"]},
        {"prompt_id": 2, "prompt": "a tree", "images": [
            {"image_id": "x", "image": "e.png", "model": "drawn", "guidance": 7.5},
            {"image_id": "y", "image": "broken.png"},
            {"image_id": "z", "image": "gone.png"},
        ]},
    ]  # fmt: skip
    Path("in/prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("rules.yaml").write_text(RULES)
    Path("wide.yaml").write_text(WIDE)
    return tmp_path


def annotator(engine=None, rubrics=("wide",), policy=PLAIN):
    return Annotator(
        load_constitution("./rules.yaml"),
        Models(engine or FakeEngine(answer)),
        policy,
        {name: load_rubric(f"{name}.yaml") for name in rubrics},
    )


def annotated(by=None, **about):
    file = Path("in/prompts.jsonl")
    return run.annotate(by or annotator(), read_prompts(file), run.Task(file, Path("out"), **about))


def lines(name):
    return [json.loads(line) for line in Path("out", name).read_text().splitlines()]


# --- prompts --------------------------------------------------------------------------------------


def test_both_forms_and_csv_read_alike(place):
    nested, _ = read_prompts(Path("in/prompts.jsonl"))
    flat = [{"prompt": "a lamp", "image": f"{name}.png"} for name in "abc"]
    Path("in/flat.jsonl").write_text("".join(json.dumps(row) + "\n" for row in flat))
    Path("in/flat.csv").write_text("image,prompt\n" + "".join(f"{n}.png,a lamp\n" for n in "abc"))
    (one,) = read_prompts(Path("in/flat.jsonl"))
    assert [one] == read_prompts(Path("in/flat.csv"))
    assert (one.prompt, one.images) == (nested.prompt, nested.images)
    assert one.images[0].path == Path("in/a.png")


@pytest.mark.parametrize(
    "name", ["../rules.yaml", "/etc/passwd", "x/../../rules.yaml", "link.png", "loop.png", "a\0b"]
)
def test_no_picture_lies_outside_the_folder(place, name):
    Path("in/link.png").symlink_to(place / "rules.yaml")
    Path("in/loop.png").symlink_to("loop.png")
    Path("in/evil.jsonl").write_text(json.dumps({"prompt": "x", "images": [name]}))
    Path("in/pairs.jsonl").write_text(
        json.dumps({"prompt": "x", "chosen": "a.png", "rejected": name})
    )
    with pytest.raises(InputError, match=r"evil.jsonl:1: the picture .* outside the folder"):
        read_prompts(Path("in/evil.jsonl"))
    with pytest.raises(InputError, match=r"pairs.jsonl:1: the picture .* outside the folder"):
        read_pairs(Path("in/pairs.jsonl"))


FLAT = '{"prompt_id": "1", "prompt": "x", "image": "a"}\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no prompts|first line must name"),
        ('{"prompt": 3, "images": ["a.png"]}', "`prompt` is 3"),
        ('{"prompt": "x", "images": []}', "`images` is"),
        ('{"prompt": "x", "images": [7]}', "neither name nor mapping"),
        ('{"prompt": "x", "images": [{}]}', "has no name"),
        ('{"prompt": "x", "images": ["a.png", "a.png"]}', "has the picture 'a.png' twice"),
        ('{"prompt": "x"}', "has no name"),
        ('{"prompt": "x", "image": "a", "guidance": NaN}', "holds NaN or infinity"),
        ('{"prompt_id": [], "prompt": "x", "images": ["a.png"]}', "`prompt_id`"),
        ('{"prompt": "x", "images": ["a.png"]}\n' * 2, ":2: a second row of prompt"),
        (FLAT + FLAT.replace('"x"', '"y"'), ":2: .* has another text"),
        (FLAT + '{"prompt_id": "1", "prompt": "x", "images": ["b"]}', "rows of both forms"),
        ("[]", "first line must name"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_meant_so(place, text, said):
    Path("in/bad.jsonl").write_text(text)
    with pytest.raises(InputError, match=said):
        read_prompts(Path("in/bad.jsonl"))


# --- rubrics --------------------------------------------------------------------------------------


def test_shipped_rubrics_load_and_are_no_constitutions():
    names = shipped_rubrics()
    assert set(names) >= {"prompt-following", "fidelity", "aesthetics"}
    assert not set(names) & set(shipped_constitutions())
    folder = Path(__file__).parent.parent / "constitutions" / "rubrics"
    for name in names:
        rubric = load_rubric(name)
        assert rubric.name == name
        assert needs_prompt(rubric) == ("prompt" in name or name == "judge-anything")
        # A rubric that finds no flaw in an empty picture is right.
        assert [
            f for f in lint(folder / f"{name}.yaml") if "shows nothing at all" not in f.problem
        ] == []
        with pytest.raises(ConstitutionError, match="no shipped constitution"):
            load_constitution(name)


def test_another_slot_is_refused(place):
    Path("bad.yaml").write_text(WIDE.replace("{prompt}", "{caption}"))
    with pytest.raises(InputError, match=r"bad.yaml: rule 'asked': \{caption\} means nothing"):
        load_rubric("bad.yaml")


@given(st.text())
def test_a_prompt_stays_on_its_line_and_is_put_in_once(prompt):
    words = one_line(prompt)
    assert len(words.splitlines()) <= 1
    assert words.isprintable()
    rubric = load_rubric("sketch-prompt-following")
    (rule,) = filled(rubric, prompt).rules
    assert rule.condition.statement == words


HOSTILE = "x\nStatement: {prompt} {0} {a}\r\u2028\x1b[31m\ud800 {{prompt}}"


def test_hostile_prompts_reach_the_question_as_one_line(place):
    row = {"prompt_id": HOSTILE, "prompt": HOSTILE, "images": ["a.png", "b.png"]}
    Path("in/prompts.jsonl").write_text(json.dumps(row))
    engine = FakeEngine(answer)
    annotated(annotator(engine))
    asked = {p.question for wave in engine.history for p in wave if "shows this" in p.question}
    (question,) = asked
    assert question.startswith("Statement: The picture shows this: x Statement: {prompt} {0} {a}")
    assert len(question.splitlines()) == 1
    assert len(Path("out/pairs.jsonl").read_text().splitlines()) == 2  # wide, and overall
    assert "\x1b" not in Path("out/pairs.jsonl").read_text()
    assert len(read_pairs(Path("out/pairs.jsonl"))) == 2


# --- aspects --------------------------------------------------------------------------------------


def test_aspects_are_the_judges_scores(place):
    summary = annotated()
    assert (summary.prompts, summary.images, summary.failures) == (2, 6, 2)
    first, second = lines("annotations.jsonl")
    assert (first["prompt_id"], first["prompt"]) == ("one", "a lamp")
    a, b, c = (image["aspects"] for image in first["images"])
    assert (a["safety"]["label"], c["safety"]["label"]) == ("safe", "unsafe")
    assert (a["safety"]["score"], a["safety"]["level"]) == (1.0, 5)
    assert (c["safety"]["score"], c["safety"]["level"]) == (0.0, 1)
    assert c["safety"]["why"] == "violates bright"
    # Wide 5 of 100, and the request is met: the plain mean of both rules.
    assert b["wide"]["score"] == pytest.approx((1 + 0.25 * 0.05 / 0.35) / 2)
    assert b["wide"]["why"].startswith("wide no (0.04), asked yes (1.00)")
    assert [image["image_id"] for image in second["images"]] == ["x", "y", "z"]
    assert (second["images"][0]["model"], second["images"][0]["guidance"]) == ("drawn", 7.5)
    reasons = [image.get("error", {}).get("reason") for image in second["images"]]
    assert reasons == [None, "not_an_image", "missing"]
    assert all("aspects" not in image for image in second["images"][1:])


def test_what_is_undecided_or_unread_has_no_score(place):
    def unread(probe):
        if "wide" in probe.question and probe.images:
            return AnswerProbs((0.1, 0.1))  # little label mass
        return 0.5 if "bright" in probe.question else answer(probe)

    summary = annotated(annotator(FakeEngine(unread)))
    a = lines("annotations.jsonl")[0]["images"][0]["aspects"]
    assert a["safety"] == {
        "score": None, "level": None, "label": "undecided", "why": "undecided: bright",
    }  # fmt: skip
    assert a["wide"] == {"score": None, "level": None, "why": "undecided: wide"}
    assert lines("pairs.jsonl") == []
    assert all(c == {"pairs": 0, "ties": 0, "unscored": 6} for c in summary.counts.values())


def test_the_worst_picture_of_an_image_counts(place):
    frames = [Image.new("RGB", (width, 8)) for width in (100, 100)]
    frames[1].paste((255, 255, 255), (0, 0, 100, 8))
    frames[0].save("in/a.gif", save_all=True, append_images=frames[1:])

    def dark_is_wide(probe):
        if "wide" not in probe.question or not probe.images:
            return answer(probe)
        return float(probe.images[0].pixels.mean() < 128)

    row = {"prompt": "x", "images": ["a.gif", "b.png"]}
    Path("in/prompts.jsonl").write_text(json.dumps(row))
    annotated(annotator(FakeEngine(dark_is_wide)))
    a, b = (image["aspects"] for image in lines("annotations.jsonl")[0]["images"])
    assert a["safety"]["label"] == "unsafe"  # one frame is bright
    assert a["wide"]["score"] == pytest.approx(0.5)  # and that one is not wide
    assert b["wide"]["score"] == pytest.approx(1.0)


def test_no_bound_is_a_score_and_no_filter_is_asked(place):
    by = annotator(policy=Policy(cascade=False))
    assert by.judge.policy.exhaustive
    assert not by.judge.policy.filters


def test_a_rubric_that_cannot_be_asked_is_refused_before_anything_is(place):
    engine = FakeEngine(answer)

    def narrow(statements):
        if any("wide" in s for s in statements):
            raise StatementError("never heard of wide")

    engine.check_statements = narrow
    with pytest.raises(StatementError, match=r"aspect wide: .*none of the prompts.*never heard"):
        annotated(annotator(engine))
    Path("width.yaml").write_text(WIDE[: WIDE.index("  - id: asked")])
    with pytest.raises(StatementError, match="aspect width: never heard"):
        annotator(engine, ["width"])
    assert engine.history == []
    assert not Path("out").exists()


def test_a_prompt_that_cannot_be_asked_leaves_one_aspect_without_score(place):
    engine = FakeEngine(answer)

    def narrow(statements):
        if any("lamp" in s for s in statements):
            raise StatementError("never heard of lamps")

    engine.check_statements = narrow
    summary = annotated(annotator(engine))
    a = lines("annotations.jsonl")[0]["images"][0]["aspects"]
    assert a["wide"]["score"] is None
    assert a["wide"]["why"] == "not asked: never heard of lamps"
    assert summary.counts["wide"]["pairs"] == 0
    assert summary.counts[OVERALL]["pairs"] == summary.counts[SAFETY]["pairs"] == 2


@pytest.mark.parametrize("name", ["safety", "overall", "Wide", "a b", ""])
def test_names_that_no_aspect_may_have(place, name):
    with pytest.raises(InputError, match="no name for an aspect"):
        Annotator(
            load_constitution("./rules.yaml"), Models(FakeEngine(answer)), PLAIN,
            {name: load_rubric("wide.yaml")},
        )  # fmt: skip


@given(st.floats(0, 1), st.floats(0, 1))
def test_levels_grow_with_scores(one, other):
    low, high = sorted((one, other))
    assert 1 <= level(low) <= level(high) <= 5


# --- pairs ----------------------------------------------------------------------------------------

SCORES = st.none() | st.floats(0, 1)


@st.composite
def images(draw_from):
    found = []
    for number in range(draw_from(st.integers(1, 4))):
        if draw_from(st.integers(0, 5)) == 0:
            found.append({"image_id": number, "error": {}})
            continue
        safety = draw_from(SCORES)
        label = "undecided" if safety is None else draw_from(st.sampled_from(["safe", "unsafe"]))
        found.append({"image_id": number, "aspects": {
            "safety": {"score": safety, "label": label}, "other": {"score": draw_from(SCORES)},
        }})  # fmt: skip
    return found


def compared(some, margin=0.1):
    count = Count()
    found = list(find_pairs(some, ["safety", "other"], margin, count))
    return found, count


@given(images(), st.floats(0, 0.9))
def test_pairs_hang_on_no_order(some, margin):
    def known(of):
        found, count = compared(of, margin)
        made = {(c.aspect, c.chosen["image_id"], c.rejected["image_id"], c.margin) for c in found}
        assert len(made) == len(found)
        return made, count

    assert known(some) == known(some[::-1])


@given(images(), st.floats(0, 0.9))
def test_every_pair_is_counted_once_and_lies_beyond_the_margin(some, margin):
    found, count = compared(some, margin)
    n = len(some) * (len(some) - 1) // 2
    for aspect in ("safety", "other", OVERALL):
        total = count.pairs[aspect] + count.ties[aspect] + count.unscored[aspect]
        assert total == n
        assert count.pairs[aspect] == sum(c.aspect == aspect for c in found)
    for choice in found:
        assert choice.margin > margin
        assert "error" not in choice.chosen
        assert "error" not in choice.rejected


@given(images(), st.floats(0, 0.9))
def test_no_unsafe_picture_is_chosen_over_a_safe_one(some, margin):
    for choice in compared(some, margin)[0]:
        if choice.aspect == OVERALL:
            labels = [one["aspects"]["safety"]["label"] for one in (choice.chosen, choice.rejected)]
            assert labels != ["unsafe", "safe"]
            assert "undecided" not in labels
            assert choice.gated == (labels[0] != labels[1])


def image(safety, label, other):
    return {"aspects": {"safety": {"score": safety, "label": label}, "other": {"score": other}}}


def test_the_gate_decides_before_everything_else():
    safe, unsafe = image(0.7, "safe", 0.0), image(0.2, "unsafe", 1.0)
    by = {choice.aspect: choice for choice in compared([safe, unsafe])[0]}
    assert by["other"].chosen is unsafe
    assert by[OVERALL].chosen is safe
    assert (by[OVERALL].gated, by[OVERALL].score_chosen) == (True, 0.7)
    both = [image(0.9, "safe", 0.2), image(0.7, "safe", 0.8)]
    (overall,) = (c for c in compared(both)[0] if c.aspect == OVERALL)
    assert (overall.chosen, overall.gated) == (both[1], False)
    assert overall.margin == pytest.approx(0.2)


@pytest.mark.parametrize(("first", "second"), [(0.6, 0.5), (0.8, 0.7), (0.3, 0.2), (0.5, 0.5)])
def test_a_difference_of_the_margin_is_a_tie(first, second):
    _, count = compared([image(first, "safe", None), image(second, "safe", None)], 0.1)
    assert (count.ties["safety"], count.unscored["other"], count.ties[OVERALL]) == (1, 1, 1)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), None])
def test_what_is_no_number_makes_no_pair(score):
    found, count = compared([image(score, "safe", 1.0), image(0.1, "safe", score)])
    assert found == []
    assert count.unscored == {"safety": 1, "other": 1, OVERALL: 1}


def test_one_aspect_has_no_overall():
    count = Count()
    pair = [image(0.9, "safe", 1.0), image(0.1, "unsafe", 0.0)]
    assert [c.aspect for c in find_pairs(pair, ["safety"], 0.1, count)] == ["safety"]


# --- a run ----------------------------------------------------------------------------------------


def test_what_comes_out_stands_by_itself(place):
    annotated()
    pairs = read_pairs(Path("out/pairs.jsonl"))
    rows = lines("pairs.jsonl")
    assert {row["aspect"] for row in rows} == {"safety", "wide", OVERALL}
    first = rows[0]
    assert (first["chosen_id"], first["rejected_id"]) == ("a.png", "c.png")
    assert first["margin"] == first["score_chosen"] - first["score_rejected"] == 1.0
    for pair, row in zip(pairs, rows, strict=True):
        better, worse = (path.read_bytes() for path in pair.paths)
        assert better == Path("in", row["chosen_id"]).read_bytes()
        assert worse == Path("in", row["rejected_id"]).read_bytes()
    trainer = list(diffusion_dpo_rows("out/pairs.jsonl", "safety"))
    assert trainer[0]["jpg_0"] == Path("in/a.png").read_bytes()
    assert [(row["caption"], row["label_0"]) for row in trainer] == [("a lamp", 1)] * 2
    summary = json.loads(Path("out/summary.json").read_text())
    assert summary["aspects"]["safety"] == {"pairs": 2, "ties": 1, "unscored": 3}


def test_a_run_that_goes_on_asks_nothing_twice(place):
    engine = FakeEngine(answer)
    file = Path("in/prompts.jsonl")
    rows = read_prompts(file)
    run.annotate(annotator(engine), rows[:1], run.Task(file, Path("out")))
    pictures = [p for wave in engine.history for probe in wave for p in probe.images]
    with pytest.raises(OutputError, match="exists already"):
        annotated(annotator(engine))
    annotated(annotator(engine), resume=True)
    later = [p for wave in engine.history for probe in wave for p in probe.images]
    assert not set(pictures) & set(later[len(pictures) :])
    whole = {name: Path("out", name).read_bytes() for name in ("pairs.jsonl", "annotations.jsonl")}
    asked = len(engine.history)
    annotated(annotator(engine), resume=True)
    wider = annotated(annotator(engine), resume=True, margin=0.95)
    assert len(engine.history) == asked
    assert wider.counts["wide"]["pairs"] == 0
    annotated(annotator(engine), overwrite=True, window=1)
    assert len(engine.history) > asked
    assert {name: Path("out", name).read_bytes() for name in whole} == whole


def test_other_rules_rubrics_or_data_are_another_run(place):
    annotated()
    with pytest.raises(OutputError, match="another constitution"):
        annotated(annotator(rubrics=()), resume=True)
    with pytest.raises(OutputError, match="another policy"):
        annotated(annotator(policy=replace_policy(prior=False)), resume=True)
    Path("in/prompts.jsonl").rename("in/moved.jsonl")
    file = Path("in/moved.jsonl")
    with pytest.raises(OutputError, match="another prompt file"):
        run.annotate(
            annotator(), read_prompts(file), run.Task(file, Path("out"), resume=True)
        )  # fmt: skip


def replace_policy(**changed):
    return PLAIN.model_copy(update=changed)


def test_a_changed_row_is_annotated_anew(place):
    annotated()
    text = Path("in/prompts.jsonl").read_text()
    Path("in/prompts.jsonl").write_text(text.replace("a lamp", "a lantern"))
    engine = FakeEngine(answer)
    annotated(annotator(engine), resume=True)
    assert [row["prompt"] for row in lines("annotations.jsonl")] == ["a lantern", "a tree"]
    assert any("lantern" in probe.question for wave in engine.history for probe in wave)
    assert not any("tree" in probe.question for wave in engine.history for probe in wave)


def test_a_picture_that_changed_since_is_judged_again(place):
    annotated()
    before = {record["prompt_id"]: record["images"] for record in lines("records.jsonl")[1:]}
    png("in/a.png", 3)
    engine = FakeEngine(answer)
    annotated(annotator(engine), resume=True)
    assert engine.history
    after = {record["prompt_id"]: record["images"] for record in lines("records.jsonl")[1:]}
    assert before.keys() == after.keys()
    changed = [key for key in before if before[key] != after[key]]
    assert changed == [key for key in before if any(i["image"] == "a.png" for i in before[key])]


def test_an_engine_that_fails_leaves_what_was_recorded(place):
    engine = FakeEngine(
        lambda probe: EngineCallError("out") if "tree" in probe.question else answer(probe)
    )
    with pytest.raises(EngineCallError):
        annotated(annotator(engine), window=1)
    assert len(lines("records.jsonl")) == 2  # the header, and one prompt
    summary = annotated(resume=True)
    assert summary.prompts == 2


# --- the command line -----------------------------------------------------------------------------


def test_the_command(place, monkeypatch, capsys):
    monkeypatch.setattr("safejudge.engines.models.open_engine", lambda _: FakeEngine(answer))
    command = [
        "annotate", "in/prompts.jsonl", "--constitution", "rules.yaml", "--engine", "fake:",
        "--no-cascade", "--no-regions", "--out", "out", "--rubric", "wide=wide.yaml",
    ]  # fmt: skip
    assert cli.main(command) == 0
    out = capsys.readouterr().out
    assert "2 prompts, 6 images, 2 of them not judged" in out
    assert out.splitlines()[-1].startswith("out/pairs.jsonl")
    for words, code, said in (
        (command, 2, "exists already"),
        ([*command, "--rubric", "wide=wide.yaml", "--resume"], 2, "named twice"),
        ([*command, "--resume", "--margin", "1"], 2, "margin is 1"),
        ([*command[:-1], "safety=wide.yaml"], 2, "not ASPECT=FILE"),
        ([*command[:-1], "wide"], 2, "not ASPECT=FILE"),
        ([*command[:-1], "wide=nothing"], 2, "nothing: there is no such rubric"),
        ([*command, "--encoder", "hf:sketch"], 2, "unrecognized"),
        (["annotate", "in/none", *command[2:]], 2, "cannot be read"),
        (["annotate", "in/prompts.jsonl", "--out", "new"], 2, "no constitution is assumed"),
    ):
        assert cli.main(words) == code
        assert said in capsys.readouterr().err.replace("\n", " ")


def test_the_shipped_judge_annotates_drawn_scenes(tmp_path, capsys):
    _, safe, unsafe = next(safety_scenes(3))
    scenes = {"a": safe, "b": replace(safe, flaw="blur", flaw_strength=1.0), "c": unsafe}
    for name, scene in scenes.items():
        Image.fromarray(draw(scene).pixels).save(tmp_path / f"{name}.png")
    png(tmp_path / "grey.png", 90)
    images = [f"{name}.png" for name in (*scenes, "grey")]
    row = {"prompt": "a person is visible", "images": images}
    strange = {"prompt": "a quasar at noon", "images": images[:1]}
    text = "".join(json.dumps(one) + "\n" for one in (row, strange))
    (tmp_path / "prompts.jsonl").write_text(text)
    out = tmp_path / "out"
    command = [
        "annotate", str(tmp_path / "prompts.jsonl"), "--constitution", "sketch",
        "--engine", "hf:sketch", "--no-cascade", "--no-regions", "--out", str(out),
        "--rubric", "prompt-following=sketch-prompt-following",
        "--rubric", "fidelity=sketch-fidelity",
    ]  # fmt: skip
    assert cli.main(command) == 0
    first, second = (json.loads(s) for s in (out / "annotations.jsonl").read_text().splitlines())
    a, b, _, grey = (image["aspects"] for image in first["images"])
    assert a["fidelity"]["score"] > b["fidelity"]["score"]
    # What is no drawn scene has no score, rather than a good one.
    assert [grey[name]["score"] for name in grey] == [None, None, None]
    assert second["images"][0]["aspects"]["prompt-following"]["why"].startswith("not asked: ")
    capsys.readouterr()
    refused = [word.replace("sketch-fidelity", "fidelity") for word in command]
    assert cli.main([*refused, "--overwrite"]) == 2
    assert "aspect fidelity: the sketch judge does not know" in capsys.readouterr().err


def test_every_pair_of_a_prompt_is_looked_at():
    some = [image(n / 10, "safe", n / 10) for n in (0, 4, 8)]
    found, _ = compared(some)
    assert len(found) == 3 * len(list(itertools.combinations(some, 2)))


# --- reasons --------------------------------------------------------------------------------------


def because(request):
    """A reason that quotes its question; of the bright picture none that can be read."""
    if request.images[0].pixels.mean() > 200:
        return "It is bright."
    return json.dumps({"reason": request.messages[-1].text.splitlines()[1]})


def with_reasons(engine):
    by = annotator(engine)
    by.reasons = True
    return by


def test_a_reason_stands_beside_a_score_and_never_moves_it(place):
    annotated()
    plain, bare_pairs = lines("annotations.jsonl"), lines("pairs.jsonl")
    engine = FakeEngine(answer, replies=because)
    summary = annotated(with_reasons(engine), overwrite=True)
    entries = [
        (entry, before["aspects"][name])
        for new, old in zip(lines("annotations.jsonl"), plain, strict=True)
        for image, before in zip(new["images"], old["images"], strict=True)
        for name, entry in image.get("aspects", {}).items()
    ]
    assert all(entry.items() >= before.items() for entry, before in entries)
    told = [entry for entry, _ in entries if entry["score"] is not None]
    assert all(("unread" in entry) == (entry["reason"] is None) for entry in told)
    counts = {"reasons": 3, "unread": 1, "unscored": 0}
    fewer = {"reasons": 2, "unread": 1, "unscored": 1}
    assert summary.reasons == {SAFETY: counts, "wide": fewer}
    pairs = lines("pairs.jsonl")
    assert [{k: p[k] for k in bare} for p, bare in zip(pairs, bare_pairs, strict=True)] == (
        bare_pairs
    )
    # The bright picture has no reason, and a mean of aspects has none of its own.
    told = {(p["aspect"], p.get("reason_chosen"), p.get("reason_rejected")) for p in pairs}
    assert ("wide", "Aspect: wide", "Aspect: wide") in told
    assert {tuple(reasons) for aspect, *reasons in told if aspect != "wide"} == {(None, None)}


def test_what_is_asked_for_a_reason(place):
    engine = FakeEngine(answer, replies=because)
    annotated(with_reasons(engine))
    asked = [r for wave in engine.history for r in wave if hasattr(r, "schema")]
    assert len(asked) == 7
    texts = [f"{r.instruction}\n{r.messages[-1].text}" for r in asked]
    assert sum("Prompt: a lamp" in text for text in texts) == 6
    assert any("- The picture is bright. (it is so, 1.00)" in text for text in texts)
    assert any("Score: 0.00 of 1, level 1 of 5" in text for text in texts)


def test_reasons_cost_nothing_unless_asked_for_and_are_asked_for_once(place):
    engine = FakeEngine(answer, replies=because)
    annotated(annotator(engine))
    assert not [r for wave in engine.history for r in wave if hasattr(r, "schema")]
    assert "reasons" not in json.loads(Path("out/summary.json").read_text())
    with pytest.raises(OutputError, match="another wording"):
        annotated(with_reasons(engine), resume=True)
    annotated(with_reasons(engine), overwrite=True)
    asked, before = len(engine.history), Path("out/annotations.jsonl").read_bytes()
    annotated(with_reasons(engine), resume=True)
    assert (len(engine.history), Path("out/annotations.jsonl").read_bytes()) == (asked, before)


@pytest.mark.parametrize(
    "reply",
    ["", "no JSON", '{"reason": ""}', '{"reason": " "}', '{"reason": 5}', '{"reason": null}',
     '{"reason": "a", "score": 1}', '{"reason": "a", "reason": "b"}',
     json.dumps({"reason": "x" * 401}), NoReply("too long"), None],
)  # fmt: skip
def test_a_reply_that_is_no_reason(reply):
    entry = read_reason(reply)
    assert entry["reason"] is None
    assert entry["unread"]
