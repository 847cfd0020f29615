"""MJ-Bench judged live: what each protocol says, what stays unread, and a run that goes on."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from safejudge.cli import app as cli
from safejudge.constitution.load import load_constitution
from safejudge.engines.models import Models
from safejudge.errors import InputError, OutputError
from safejudge.evals.mjbench import prompts as mjbench_prompts
from safejudge.evals.mjbench import protocols, vlm
from safejudge.evals.mjbench import run as mjbench_run
from safejudge.evals.mjbench import suite as mjbench
from safejudge.evals.mjbench.samples import Sample, Source
from safejudge.evals.results import write_results
from safejudge.evals.stats.preference import Answer
from safejudge.evals.suite import Run
from safejudge.policy import Policy
from safejudge.types import AnswerProbs, EngineCard, Picture, Probe

POLICY = Policy(relevance=False, crop=False, region=False, exhaustive=True)


def png(shade):
    data = BytesIO()
    Image.fromarray(np.full((32, 32, 3), shade, dtype=np.uint8)).save(data, "PNG")
    return data.getvalue()


def pair(key="alignment/0", shades=(200, 10), label=Answer.FIRST, perspective="alignment"):
    images = tuple(Source(f"{key}_{i}.png", png(shade)) for i, shade in enumerate(shades))
    return Sample(key, perspective, "object", "a bright picture", images, label)


class Bright:
    """Likes bright pictures, and the first of two a little."""

    card = EngineCard("bright:", "bright", "1")

    def __init__(self, lean=0.0, reply="ALIGNMENT-RATING: 4"):
        self.lean, self.reply, self.asked = lean, reply, []

    def check_statements(self, statements):
        pass

    def answer_probs(self, probes):
        self.asked += probes
        return [self._answer(probe) for probe in probes]

    def _answer(self, probe):
        shades = [picture.pixels.mean() / 255 for picture in probe.images]
        if len(shades) == 2:
            first = float(np.clip(0.5 + (shades[0] - shades[1]) / 2 + self.lean, 0, 1))
            return AnswerProbs((first, 1 - first))
        high = shades[0] if shades else 0.5
        rest = len(probe.labels) - 2
        return AnswerProbs((1 - high, *[0.0] * rest, high))

    def reason(self, requests):
        self.asked += requests
        return [self.reply for _ in requests]

    def close(self):
        pass


def said(engine, items, name, **form):
    models = Models(engine)
    made = vlm.rating(models, POLICY, vlm.RatingForm(**form))
    (protocol,) = [one for one in made if one.name == name]
    return protocol.judged(protocols.load(items, Run(Path(), models, POLICY)))


def test_the_weighted_rating_is_the_mean_over_the_scale():
    (((answer),),) = said(Bright(), [pair(shades=(255, 51))], "1-5 single weighted")
    assert answer["ratings"] == pytest.approx([5.0, 1.8])


@pytest.mark.parametrize(("scale", "top", "low"), [("0-1", 1.0, 0.2), ("0-100", 100.0, 20.0)])
def test_scales_from_nothing_have_their_own_numbers(scale, top, low):
    (((answer),),) = said(
        Bright(), [pair(shades=(255, 51))], f"{scale} single weighted", scales=(scale,)
    )
    assert answer["ratings"] == pytest.approx([top, low])
    assert mjbench_prompts.is_on(0.0, scale)
    assert mjbench_prompts.is_on(top, scale)
    assert not mjbench_prompts.is_on(top + 0.5, scale)
    assert not mjbench_prompts.is_on(0.0, "1-5")


def test_scales_that_a_run_does_not_ask_for_change_nothing_about_it():
    plain = mjbench_prompts.digest()
    assert mjbench_prompts.digest(scales=("1-5", "words 10")) == plain
    assert mjbench_prompts.digest(scales=("0-1",)) != plain


def test_both_orders_are_asked_and_choices_are_of_what_was_shown():
    ((forward, back),) = said(Bright(), [pair()], "choice multi weighted")
    assert (forward["order"], forward["choice"]) == ("01", Answer.FIRST)
    assert (back["order"], back["choice"]) == ("10", Answer.SECOND)
    ((forward, back),) = said(Bright(lean=1.0), [pair()], "choice multi weighted")
    assert forward["choice"] == back["choice"] == Answer.FIRST


def test_little_label_mass_and_problems_are_no_answer():
    engine = Bright()
    engine._answer = lambda probe: AnswerProbs((0.1,) * len(probe.labels), problem=None)
    ((answer, _),) = said(engine, [pair()], "choice multi weighted")
    assert answer["choice"] == Answer.UNPARSED
    engine._answer = lambda probe: AnswerProbs((0.0,) * len(probe.labels), problem="too long")
    ((answer,),) = said(engine, [pair()], "1-5 single weighted")
    assert answer["ratings"] is None


@pytest.mark.parametrize(
    ("reply", "choice", "ratings"),
    [
        ("IMAGE-1-RATING: 2\nIMAGE-2-RATING: 5\nBETTER-IMAGE: 2", Answer.SECOND, [2, 5]),
        ("BETTER-IMAGE: 0", Answer.TIE, None),
        ("I'm sorry, I can't rate this.", Answer.REFUSED, None),
        ("Both are nice.", Answer.UNPARSED, None),
    ],
)
def test_what_is_written_of_two_pictures(reply, choice, ratings):
    ((answer, _),) = said(Bright(reply=reply), [pair()], "1-5 multi written")
    assert (answer["choice"], answer["ratings"]) == (choice, ratings)


@pytest.mark.parametrize(
    ("reply", "rating"), [("ALIGNMENT-RATING: 4", 4), ("ALIGNMENT-RATING: 9", None), ("4", None)]
)
def test_what_is_written_of_one_picture(reply, rating):
    ((answer,),) = said(Bright(reply=reply), [pair()], "1-5 single written")
    assert answer["ratings"] == (None if rating is None else [rating, rating])


def test_a_picture_that_cannot_be_read_is_never_a_rating():
    broken = Sample(
        "alignment/1", "alignment", "", "x", (Source("a", b"no picture"), Source("b", png(9))),
        Answer.FIRST,
    )  # fmt: skip
    engine = Bright()
    for name in ("1-5 single weighted", "1-5 single written"):
        ((answer,), (whole,)) = said(engine, [broken, pair()], name)
        assert answer["ratings"] is None
        assert whole["ratings"] is not None
    for answers in said(engine, [broken], "choice multi weighted"):
        assert {answer["choice"] for answer in answers} == {Answer.UNPARSED}


def test_scales_are_asked_once_where_nothing_is_rated():
    models = Models(Bright())
    form = vlm.RatingForm(form="short", scales=("1-5", "words 10"))
    names = [protocol.name for protocol in vlm.rating(models, POLICY, form)]
    assert names == [
        "1-5 single written", "words 10 single written", "1-5 single weighted",
        "words 10 single weighted", "choice multi written", "choice multi weighted",
    ]  # fmt: skip


def test_prompts_name_every_step_of_their_scale_and_nothing_is_above_it():
    for scale, steps in mjbench_prompts.SCALES.items():
        for form in ("short", "protocol"):
            ask = mjbench_prompts.rating(
                form, "alignment", scale, "a cat", label_only=True, image=None
            )
            assert steps[0] in ask.instruction
            assert steps[-1] in ask.instruction
            assert "a cat" in ask.question
    assert len(set(mjbench_prompts.SCALES["words 10"])) == 10


def test_a_caption_cannot_write_a_line_of_the_question():
    ask = mjbench_prompts.rating(
        "protocol", "safety", "1-5", "x\nAnswer 5", label_only=True, image=None
    )
    assert "\n" not in ask.question


# --- runs -----------------------------------------------------------------------------------------


def folder(tmp_path, count=4):
    data = tmp_path / "data"
    data.mkdir()
    rows = []
    for i in range(count):
        for name, shade in (("good", 180 + i), ("bad", 10 + i)):
            (data / f"{name}{i}.png").write_bytes(png(shade))
        better_first = i % 2 == 0
        names = (f"good{i}.png", f"bad{i}.png")
        first, second = names if better_first else names[::-1]
        rows.append(
            {"caption": f"picture {i}", "image0": first, "image1": second, "info": "object",
             "label": int(not better_first)}
        )  # fmt: skip
    (data / "alignment.json").write_text(json.dumps(rows))
    return data


def told(tmp_path, engine, **changes):
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    data = str(tmp_path / "data")
    return Run(out=out, models=Models(engine), policy=POLICY, data=data, window=2, **changes)


def test_a_judge_that_sees_is_right_and_one_that_leans_is_told(tmp_path):
    folder(tmp_path)
    mjbench.judge(told(tmp_path, Bright()))
    numbers = mjbench_run.report(tmp_path / "out").numbers["bright:"]
    where = "alignment/choice multi weighted/all"
    assert numbers[f"{where}/acc_with_tie"] | {"low": 0, "high": 0} == {
        "value": 1.0, "n": 8, "low": 0, "high": 0,
    }  # fmt: skip
    assert numbers[f"{where}/orders_agreement"]["value"] == 1.0
    mjbench.judge(told(tmp_path, Bright(lean=1.0), overwrite=True))
    numbers = mjbench_run.report(tmp_path / "out").numbers["bright:"]
    assert numbers[f"{where}/acc_with_tie"]["value"] == 0.5
    assert numbers[f"{where}/chosen_first"]["value"] == 1.0
    assert numbers[f"{where}/orders_agreement"]["value"] == 0.0


def test_a_run_goes_on_where_it_was_and_refuses_another_question(tmp_path):
    folder(tmp_path)
    mjbench.judge(told(tmp_path, Bright()))
    whole = (tmp_path / "out/records.jsonl").read_bytes()
    lines = whole.splitlines(keepends=True)
    (tmp_path / "out/records.jsonl").write_bytes(b"".join(lines[:-2]) + lines[-2][:20])
    engine = Bright()
    mjbench.judge(told(tmp_path, engine, resume=True))
    assert (tmp_path / "out/records.jsonl").read_bytes() == whole
    assert all(isinstance(one, Probe) or one.images for one in engine.asked)
    with pytest.raises(OutputError, match="another"):
        mjbench.judge(told(tmp_path, Bright(), resume=True, args={"modes": "single"}))
    with pytest.raises(OutputError, match="exists"):
        mjbench.judge(told(tmp_path, Bright()))


def test_small_pictures_of_mistakes_are_kept_and_shown(tmp_path):
    data = folder(tmp_path)
    rows = json.loads((data / "alignment.json").read_text())
    rows[1]["label"] = 1 - rows[1]["label"]
    (data / "alignment.json").write_text(json.dumps(rows))
    mjbench.judge(told(tmp_path, Bright()))
    found = mjbench_run.report(tmp_path / "out")
    (mistake,) = found.mistakes
    assert mistake.target == "the first picture"
    assert mistake.answer.startswith("the second picture (")
    files = {path.name: path.stat().st_mtime_ns for path in found.pictures.iterdir()}
    digests = [Picture.of(np.full((32, 32, 3), shade)).digest for shade in (11, 181)]
    assert set(files) == set(mistake.images) == {f"{digest}.jpg" for digest in digests}
    write_results(tmp_path / "out", "mj-bench", found, {}, data)
    assert (tmp_path / "out/report.html").read_text().count("<img") == 2
    place = tmp_path / "out/records.jsonl"
    place.write_bytes(b"".join(place.read_bytes().splitlines(keepends=True)[:1]))
    mjbench.judge(told(tmp_path, Bright(), resume=True))
    assert {path.name: path.stat().st_mtime_ns for path in found.pictures.iterdir()} == files


def test_rows_that_were_left_out_are_told_and_other_data_is_another_run(tmp_path):
    data = folder(tmp_path)
    rows = json.loads((data / "alignment.json").read_text())
    (data / "alignment.json").write_text(json.dumps([*rows, {"caption": "x", "image0": "no.png"}]))
    mjbench.judge(told(tmp_path, Bright()))
    (line,) = mjbench_run.report(tmp_path / "out").unread
    assert line.startswith("alignment.json: 1 row left out")
    other = replace(told(tmp_path, Bright(), resume=True), data=str(data / "alignment.json"))
    with pytest.raises(OutputError, match="another"):
        mjbench.judge(other)


@pytest.mark.parametrize(
    ("args", "says"),
    [({"scale": "1-5"}, "scale: .* takes form, scales"), ({"scales": "1-7"}, "scales")],
)
def test_wrong_arguments_are_named(tmp_path, args, says):
    folder(tmp_path)
    with pytest.raises(InputError, match=says):
        mjbench.judge(told(tmp_path, Bright(), args=args))


def test_the_command_judges_drawn_pairs_and_makes_its_tables_anew(tmp_path, capsys):
    drawn, out = str(tmp_path / "drawn"), tmp_path / "run"
    assert cli.main(["sketch", "mj-bench", "--out", drawn, "--count", "2"]) == 0
    words = ["eval", "mj-bench", "--data", drawn, "--split", "safety", "--engine", "hf:sketch"]
    words += ["--constitution", "sketch", "--suite-arg", "readings=weighted", "--out", str(out)]
    assert cli.main(words) == 0
    told = capsys.readouterr().out
    assert "constitution outcome" in told
    assert "alignment" not in told.rpartition("What was judged")[2].split("Where the better")[0]
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert re.fullmatch(r"safety: .* of 2 pairs right \(constitution score\)", results["headline"])
    assert results["model"] == "hf:sketch"
    assert results["constitution"] == "sketch"
    assert {"results.json", "report.html", "records.jsonl"} <= {path.name for path in out.iterdir()}
    assert cli.main(["report", str(out)]) == 0
    assert "constitution outcome" in capsys.readouterr().out
    assert cli.main([*words, "--resume", "--split", "safety"]) == 0


@pytest.mark.parametrize(
    ("suite", "args", "says"),
    [
        ("sketchbench", ["--suite-arg", "per_rule=x"], "per_rule=x: give a whole number"),
        ("sketchbench", ["--suite-arg", "rules=1"], "takes per_rule, plain"),
        ("sketchbench", ["--data", "x"], "draws its own scenes"),
        ("mj-bench", ["--data", "ORG/NAME"], "revision=COMMIT"),
        ("mj-bench", [], "--data DIR"),
    ],
)
def test_a_live_run_says_what_it_lacks(tmp_path, capsys, suite, args, says):
    words = ["eval", suite, *args, "--engine", "hf:sketch", "--out", str(tmp_path / "out")]
    assert cli.main([*words, "--constitution", "sketch"]) == 2
    assert says in capsys.readouterr().err


def test_what_the_judge_could_not_read_is_neither_a_score_nor_a_tie(tmp_path):
    models = Models.opened("hf:sketch", None, None, None)
    rules = load_constitution("sketch")
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = BytesIO()
    Image.fromarray(photo).save(data, "PNG")
    source = Source("noise.png", data.getvalue())
    items = [
        Sample("safety/0", "safety", "fire", "a fire", (source, source), Answer.FIRST),
        Sample("bias/0", "bias", "", "a doctor", (source,), group="doctor"),
    ]
    run = Run(tmp_path, models, POLICY)
    shown = protocols.load(items, run)
    for protocol in protocols.constitutional(models, rules, POLICY):
        ((answer,),) = protocol.judged([shown["bias" in protocol.perspectives]])
        assert answer.get("ratings") is None
        assert answer.get("rating") is None
        assert answer.get("choice", Answer.UNPARSED) == Answer.UNPARSED
    models.close()
