"""The small encoder and detector of drawn scenes: words, boxes, losses, training that resumes."""

import itertools
import json
import math
import operator
import random
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.training import pair, train_pair
from safejudge.constitution.load import load_constitution
from safejudge.engines.base import survey
from safejudge.engines.open import open_detector, open_encoder
from safejudge.method.regions import believed, words_of
from safejudge.method.relevance import THRESHOLDS, relevance_text
from safejudge.policy import Policy
from safejudge.sketch.bench.bench import Item
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.drawing.objects import WORDS, named_boxes
from safejudge.sketch.scenes import mixed_scenes
from safejudge.sketch.world.describe import is_reserved
from safejudge.sketch.world.sample import arrange, even_scene
from safejudge.sketch.world.scene import Animal, Person, Scene, Thing
from safejudge.sketch.world.statements import grammar, normal
from safejudge.types import Locate, Picture, leaves

RULES = load_constitution("sketch").rules


# --- words ----------------------------------------------------------------------------------------


def test_every_word_of_the_rules_is_known_and_fits():
    looked_for = [leaf.look_at for rule in RULES for leaf in leaves(rule.condition)]
    words = {word for text in looked_for if text for word in words_of(text)}
    assert words <= set(WORDS)
    for longest, texts in (
        (pair.TEXT_TOKENS, [relevance_text(rule) for rule in RULES]),
        (pair.QUERY_TOKENS, WORDS),
    ):
        tokenizer = pair.build_tokenizer(longest)
        for text in texts:
            ids = tokenizer(text)["input_ids"]
            assert tokenizer.unk_token_id not in ids, text
            assert len(ids) <= longest
            assert max(ids) == ids[-1]  # OWL-ViT reads a text at its highest token


def test_things_have_all_their_names():
    scene = arrange(
        random.Random(1),
        [Person(age="child", holding="gun", headwear="cap"), Animal("horse", caged=True),
         Thing("knife")],
        "park", night=False,
    )  # fmt: skip
    found = {frozenset(words) for words, _ in named_boxes(scene, draw(scene))}
    assert found == {
        frozenset(names.split())
        for names in ("person child", "gun weapon", "cap", "animal horse", "cage", "knife weapon")
    }


def test_boxes_lie_in_the_picture():
    for seed in range(40):
        scene = even_scene(random.Random(seed))
        for words, box in named_boxes(scene, draw(scene)):
            left, top, right, bottom = box.box
            assert words <= set(WORDS)
            assert 0 <= left < right <= pair.SIZE
            assert 0 <= top < bottom <= pair.SIZE


# --- what is taught -------------------------------------------------------------------------------


def test_sentences_are_labelled_by_the_facts_and_compose_no_rule():
    pairs = train_pair.scenes_of("test", 3, 6)
    found = train_pair.sentences(3, pairs, 60)
    single = [text for text in found if text in grammar()]
    assert 5 < len(single) < 60
    for text in single:
        truth = [grammar()[text].holds(scene) > 0.5 for scene, _ in pairs]
        assert found[text] == truth
    for text in set(found) - set(single):
        parts = [part for part in tasks_parts(text) if part in grammar()]
        assert not is_reserved(parts)
    assert 0.1 < sum(map(sum, found.values())) / (60 * 6) < 0.7


def tasks_parts(text):
    text = normal(text).removeprefix("either ")
    for joint in (", unless ", ", and either ", ", and ", " or "):
        text = text.replace(joint, "|")
    return text.split("|")


numbers = st.floats(0.05, 0.95)
boxes = st.tuples(numbers, numbers, st.floats(0.02, 0.5), st.floats(0.02, 0.5))


@given(boxes, boxes)
def test_generalised_iou_is_iou_minus_the_empty_part_of_the_hull(one, other):
    corners = [train_pair._corners(torch.tensor(b, dtype=torch.float64)) for b in (one, other)]
    value = float(train_pair._giou(*corners))
    assert value == pytest.approx(float(train_pair._giou(*corners[::-1])))
    assert -1.0 <= value <= 1.0
    assert float(train_pair._giou(corners[0], corners[0])) == pytest.approx(1.0)
    both, union = train_pair._overlap(*corners)
    assert value <= float(both / union) + 1e-9


def test_each_object_has_a_patch_of_its_own():
    pairs = train_pair.scenes_of("test", 5, 4)
    logits = torch.zeros(4, 144, len(WORDS))
    grid = (torch.arange(12) + 0.5) / 12
    centres = torch.stack(torch.meshgrid(grid, grid, indexing="xy"), -1).reshape(-1, 2)
    spread = torch.cat([centres, torch.full((144, 2), 0.2)], 1).expand(4, -1, -1)
    names, where, targets = train_pair._matched(pairs, logits, spread)
    objects = [named_boxes(scene, drawing) for scene, drawing in pairs]
    assert len(where) == len(targets) == sum(map(len, objects))
    assert len({tuple(place) for place in where.tolist()}) == len(where)
    assert int(names.sum()) == sum(len(words) for some in objects for words, _ in some)
    for (picture, patch), target in zip(where.tolist(), targets, strict=True):
        assert names[picture, patch].sum() > 0
        assert (spread[picture, patch, :2] - target[:2]).abs().max() < 0.35


# --- training -------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["encoder", "detector"])
def test_a_resumed_run_is_the_unbroken_run_and_leaves_a_model(model, tmp_path, monkeypatch):
    def go(folder, *more):
        argv = ["train_pair", model, "--out", str(folder), "--steps", "4", "--every", "2"]
        monkeypatch.setattr(sys, "argv", [*argv, "--batch", "2", *more])
        train_pair.main()
        return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]

    monkeypatch.setattr(train_pair, f"{model}_scores", lambda *_: {})
    unbroken = go(tmp_path / "a")
    go(tmp_path / "b", "--until", "2")
    assert not (tmp_path / "b" / "model").exists()
    resumed = go(tmp_path / "b")
    for line in (*unbroken, *resumed):
        line.pop("minutes")
    assert resumed == unbroken
    assert (tmp_path / "b" / "model" / "model.safetensors").stat().st_size < 5e6


# --- what is shipped ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shown():
    rules = load_constitution("sketch")
    drawn = itertools.islice(mixed_scenes(rules, "shipped"), 60)
    return [Item(scene, truth, Picture.of(draw(scene).pixels)) for scene, truth in drawn]


def test_the_shipped_encoder_keeps_what_is_violated_and_drops_most_of_the_rest(shown):
    rules = load_constitution("sketch").rules
    encoder = open_encoder("hf:sketch")
    similar = survey(
        encoder, [relevance_text(rule) for rule in rules], [item.picture for item in shown]
    )
    violated = [rule.id in item.truth.violations for item in shown for rule in rules]
    kept = [value > THRESHOLDS["hf:sketch"] or math.isnan(value) for value in similar]
    assert sum(map(operator.and_, kept, violated)) / sum(violated) > 0.9
    assert sum(kept) / len(kept) < 0.4
    encoder.close()


def test_the_shipped_detector_finds_people_and_no_car_in_an_empty_sky(shown):
    detector = open_detector("hf:sketch")
    answers = detector.locate([Locate(item.picture, ("person",)) for item in shown])
    hits = []
    for item, boxes in zip(shown, answers, strict=True):
        for names, box in named_boxes(item.scene, draw(item.scene)):
            if "person" in names:
                left, top, right, bottom = box.box
                middle = ((left + right) / 2, (top + bottom) / 2)
                sure = believed(boxes, Policy())
                hits.append(any(b.left < middle[0] < b.right and b.top < middle[1] < b.bottom
                                for b in sure))  # fmt: skip
    assert sum(hits) / len(hits) > 0.8
    empty = draw(Scene(setting="park", night=False, placed=()))
    (found,) = detector.locate([Locate(Picture.of(empty.pixels), ("car",))])
    assert believed(found, Policy()) == ()
    detector.close()
