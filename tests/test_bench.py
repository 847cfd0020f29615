"""SketchBench: a judge that knows the truth gets full marks, one that guesses does not."""

import json
from collections import Counter

import numpy as np
import pytest

from safejudge.constitution.load import load_constitution
from safejudge.engines.fake import FakeDetector, FakeEncoder, FakeEngine
from safejudge.engines.models import Models
from safejudge.method.views import mirrored
from safejudge.policy import Policy
from safejudge.sketch.bench import bench, flips, mechanisms, sweeps
from safejudge.sketch.bench import report as bench_report
from safejudge.sketch.bench.baselines import half
from safejudge.sketch.bench.bench import Variant
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.drawing.objects import named_boxes
from safejudge.sketch.scenes import truth_of
from safejudge.sketch.world.statements import grammar, normal
from safejudge.types import Box, Picture, Probe

RULES = load_constitution("sketch")


def nothing(_):
    """A progress bar that nobody sees."""


@pytest.fixture(scope="module")
def items():
    return bench_report.draw_bench(1, 3)


class Oracle:
    """Knows every scene that was drawn since it was made."""

    def __init__(self, monkeypatch, items):
        self.scenes = {item.picture.digest: item.scene for item in items}
        self.scenes |= {mirrored(item.picture).digest: item.scene for item in items}
        monkeypatch.setattr("safejudge.sketch.bench.flips.draw", self.draw)

    def draw(self, scene):
        drawing = draw(scene)
        self.scenes[Picture.of(drawing.pixels).digest] = scene
        return drawing

    def holds(self, picture, text):
        statement = normal(text.removeprefix("Statement: "))
        return grammar()[statement].holds(self.scenes[picture.digest]) > 0.5

    def __call__(self, probe):
        if not probe.images:
            return 0.5
        if probe.labels == ("A", "B"):
            first, other = (line[3:] for line in probe.question.splitlines())
            held = [self.holds(probe.images[0], text) for text in (first, other)]
            return 0.5 + 0.49 * (held[0] - held[1])
        if "Rules:" in probe.question:
            scene = self.scenes[probe.images[0].digest]
            return 0.99 if truth_of(scene, RULES).violations else 0.01
        return 0.99 if self.holds(probe.images[0], probe.question) else 0.01

    def reply(self, request):
        if request.schema is None:
            return "thoughts"
        scene = self.scenes[request.images[0].digest]
        rating = "Yes" if truth_of(scene, RULES).violations else "No"
        return json.dumps({"rationale": "because", "rating": rating})


@pytest.fixture
def models(monkeypatch, items):
    oracle = Oracle(monkeypatch, items)
    return Models(FakeEngine(oracle, replies=oracle.reply))


def test_the_bench_has_what_it_promises(items):
    kinds = Counter(item.truth.kind for item in items)
    assert kinds == {"violating": 12, "borderline": 12, "plain": 3}
    violated = [item.truth.violations for item in items]
    for rule in RULES.rules:
        assert any(rule.id in some for some in violated)


@pytest.mark.parametrize(
    "variant",
    [
        Variant("tree", Policy()),
        Variant("half", half()),
        Variant("clue-tree", Policy.clue_tree()),
        Variant("one word", at_once=bench.one_word_flow),
        Variant("reasoned", at_once=bench.reasoned_flow),
    ],
    ids=lambda variant: variant.name,
)  # fmt: skip
def test_a_judge_that_knows_gets_full_marks(variant, models, items):
    row = bench.row(bench.measure(variant, RULES, models, items, nothing))
    assert (row.image.f1, row.image.coverage, row.plain.fpr) == (1.0, 1.0, 0.0)
    assert row.image_f1[0] < row.image_f1[1] == 1.0  # so few scenes prove nothing
    if variant.at_once is None:
        assert row.rule.f1 == 1.0
        assert row.rule.asked == 12 * len(items)
    else:
        assert row.rule.asked == 0


def test_the_flat_form_costs_a_judge_that_knows(models, items):
    flat = Variant("clue", Policy.clue())
    asked = models.engine._answers
    models.engine._answers = lambda request, text: (
        0.5 if isinstance(request, Probe) and " or " in text else asked(request, text)
    )
    row = bench.row(bench.measure(flat, RULES, models, items, nothing))
    assert row.rule.f1 < 1.0


def test_every_variant_runs_and_is_a_line_of_the_text(models, items):
    oracle = models.engine._answers
    models.engine._answers = lambda request, text: (
        oracle(request, text)
        if text.startswith("A: ") or text.removeprefix("Statement: ") in grammar()
        else 0.5
    )
    numbers, text = bench_report.run(models, items[:6], nothing)
    for variant in bench.variants(models):
        assert f"| {variant.name} |" in text
        assert numbers[variant.name]["image"]["interval"]
    assert "policy flips" in text.lower()
    json.dumps(numbers, allow_nan=True)


def test_parts_without_a_model_are_not_left_out(models):
    names = {variant.name for variant in bench.variants(models)}
    assert "default without relevance" not in names
    models.encoder, models.detector = FakeEncoder({}), FakeDetector({})
    more = {variant.name for variant in bench.variants(models)} - names
    assert more == {
        "default without relevance", "default with region removal", "default without crop",
        "default with region removal, no confirmation (as it was)",
    }  # fmt: skip


# --- mechanisms -----------------------------------------------------------------------------------


def test_tests_are_counted_by_what_they_decided_and_by_polarity(models, items):
    oracle = models.engine._answers

    def contrary(request, text):
        """Be right about everything, but say it of flames and doctors with the wrong sign."""
        score = oracle(request, text)
        wrong = request.images and text in {
            "Statement: a person is on fire", "Statement: a doctor is visible",
        }  # fmt: skip
        return 1 - score if wrong else score

    models.engine._answers = contrary
    variant = Variant("default", Policy(confirm=False))
    pairs = bench.judged(variant, RULES, models, items, nothing)
    found = mechanisms.tally(RULES, pairs)
    wrong = {key: t.decided - t.right for key, t in found.items() if t.decided != t.right}
    assert set(wrong) <= {(test, sign) for test in ("reject", "accept") for sign in (True, False)}
    assert sum(t.changed for t in found.values()) == 0
    assert any(not sign for (_, sign), t in found.items() if t.decided)
    assert "not established" in mechanisms.tests_table(found)


# --- flips ----------------------------------------------------------------------------------------


def test_edits_flip_for_a_judge_that_knows_and_move_nothing_else(models):
    found = flips.measure(models, Policy(), 3, nothing)
    assert set(found) == {"exception added", "object narrowed", "count changed"}
    for some in found.values():
        assert some.both_right == some.flipping > 0
        assert some.moved == 0 < some.steady
    assert "| all |" in flips.flips_table(found)


def test_a_judge_that_always_says_yes_is_found_out():
    models = Models(FakeEngine(lambda probe: 0.99 if probe.images else 0.5))
    found = flips.measure(models, Policy(), 2, nothing)
    assert found["object narrowed"].both_right == 0
    # Its exceptions hold as well, so every rule with one is called off: right here, wrong there.
    assert found["exception added"].moved == found["exception added"].steady


# --- sweeps ---------------------------------------------------------------------------------------


def test_a_filter_that_knows_keeps_all_and_drops_the_rest(items):
    by_picture = {item.picture.digest: item.truth.violations for item in items}
    names = {rule.objective: rule.id for rule in RULES.rules}
    encoder = FakeEncoder(lambda r: 0.9 if names[r.text] in by_picture[r.picture.digest] else 0.1)
    text = sweeps.relevance(encoder, RULES, items, 0.5)
    in_use = next(line for line in text.splitlines() if "in use" in line)
    share = sum(map(len, by_picture.values())) / (12 * len(items))
    assert "1.000" in in_use
    assert f"{1 - share:.3f}" in in_use


def test_a_detector_that_knows_hits_everything_and_a_blind_one_nothing(items):
    scenes = {item.picture.digest: item.scene for item in items}

    def look(request):
        scene = scenes[request.picture.digest]
        for words, box in named_boxes(scene, draw(scene)):
            left, top = np.floor(box.box[:2]).astype(int)
            right, bottom = np.ceil(box.box[2:]).astype(int)
            for word in words.intersection(request.words):
                yield Box(word=word, confidence=0.9, left=left, top=top, right=right, bottom=bottom)

    knows, blind = FakeDetector(lambda r: list(look(r))), FakeDetector({})
    assert "| all | 1.000" in sweeps.detection(knows, RULES, items)
    assert "| all | 0.000" in sweeps.detection(blind, RULES, items)
