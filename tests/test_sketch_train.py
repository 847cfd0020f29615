"""Training sees what the engine will send: same tokens, same numbers; runs resume exactly."""

import json
import random
import sys

import pytest
import torch

from benchmarks.training import pack, tasks, train, vlm
from safejudge.engines.local.hf import HFEngine
from safejudge.method.questions import picture_probe, prior_probe
from safejudge.prompts import ASK, statement_question
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.world.sample import even_scene
from safejudge.types import Picture, Precondition

STATEMENTS = ("a dog is visible", "at least three people are visible")


@pytest.fixture(scope="module")
def tokenizer():
    return vlm.train_tokenizer(train.corpus())


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    built = vlm.build_model(tokenizer).eval()
    pack.use_plain_attention(built)
    return built


@pytest.mark.parametrize("with_picture", [True, False])
def test_packed_rows_give_the_numbers_that_the_engine_reads(
    tmp_path, tokenizer, model, with_picture
):
    pixels = draw(even_scene(random.Random(4))).pixels
    turns = tuple((tasks.Turn(statement_question(text), "Yes"),) for text in STATEMENTS)
    pictures = (pixels,) if with_picture else ()
    packed = pack.Packer(tokenizer).pack([tasks.Row(ASK, pictures, turns)])
    with torch.inference_mode():
        seen = pack.vision_features(model, packed.pixels) if with_picture else None
        logits, targets, _ = pack.target_logits(model, packed, seen)
    assert targets.tolist() == [tokenizer.encode("Yes")[0]] * 2
    model.save_pretrained(tmp_path)
    vlm.build_processor(tokenizer).save_pretrained(tmp_path)
    options = {"dtype": "float32", "line_break": False, "least_mass": 0.0}
    engine = HFEngine(str(tmp_path), uri="hf:test", **options)
    leaves = [Precondition(statement=text) for text in STATEMENTS]
    probes = [
        picture_probe(leaf, Picture.of(pixels), None) if with_picture else prior_probe(leaf, None)
        for leaf in leaves
    ]
    ids = [tokenizer.encode(word)[0] for word in ("Yes", "No")]
    expected = logits.softmax(-1)[:, ids]
    read = torch.tensor([answer.p_labels for answer in engine.answer_probs(probes)])
    assert set(engine.card.label_tokens["yes"]) >= {"Yes"}
    # the engine adds the mass of rarer spellings (yes, YES) where they are single tokens
    assert torch.all(read >= expected - 1e-5)
    assert torch.allclose(read, expected, atol=0.01)


def test_a_suffix_cannot_see_its_neighbours(tokenizer, model):
    pixels = draw(even_scene(random.Random(4))).pixels

    def logits(*questions):
        turns = tuple((tasks.Turn(statement_question(q), "Yes"),) for q in questions)
        packed = pack.Packer(tokenizer).pack([tasks.Row(ASK, (pixels,), turns)])
        with torch.inference_mode():
            seen = pack.vision_features(model, packed.pixels)
            return pack.target_logits(model, packed, seen)[0]

    together = logits("a cat is visible", "it is night")
    alone = logits("it is night")
    assert torch.allclose(together[1], alone[0], atol=1e-4)


def test_prose_is_learned_to_its_end(tokenizer):
    packer = pack.Packer(tokenizer)
    turns = (tasks.Turn("Statement: it is night", "It is true."), tasks.Turn("Now", '{"a": 1}'))
    ids, targets, _ = packer.suffix(turns)
    learned = [t for t in targets if t != -100]
    assert tokenizer.decode(learned) == 'It is true.<end_of_utterance>{"a": 1}<end_of_utterance>'
    assert len(ids) == len(targets)


def test_a_conclusion_is_no_prose(tokenizer):
    packer = pack.Packer(tokenizer)
    turns = (
        tasks.Turn("Statement: it is night", "The picture shows a dog.", "So it is true."),
        tasks.Turn("Now", '{"rating":"Yes"}'),
    )
    _, targets, kinds = packer.suffix(turns)
    learned = [(t, kind) for t, kind in zip(targets, kinds, strict=True) if t != -100]
    end = tokenizer.decode([t for t, kind in learned if kind == pack.CONCLUSION])
    assert end == " So it is true.<end_of_utterance>"
    assert all(kind == pack.PROSE for _, kind in learned[-3:])
    spoken = tokenizer.decode([t for t, _ in learned])
    assert spoken.startswith("The picture shows a dog. So it is true.<end_of_utterance>")


def test_of_a_given_answer_only_the_conclusion_is_learned(tokenizer):
    packer = pack.Packer(tokenizer)
    turn = tasks.Turn("Statement: it is night", "It shows a dog by day.", "So no.", given=True)
    ids, targets, kinds = packer.suffix((turn,))
    assert "It shows a dog by day. So no." in tokenizer.decode(ids)
    assert tokenizer.decode([t for t in targets if t != -100]) == " So no.<end_of_utterance>"
    assert all(k == pack.CONCLUSION for t, k in zip(targets, kinds, strict=True) if t != -100)


def test_a_resumed_run_is_the_unbroken_run(tmp_path, monkeypatch):
    def go(folder, *more):
        argv = ["train", "vision", "--out", str(folder), "--steps", "4", "--every", "2"]
        monkeypatch.setattr(sys, "argv", [*argv, "--threads", "1", "--batch", "2", *more])
        train.main()
        return (folder / "log.jsonl").read_text().splitlines()

    monkeypatch.setattr(train, "corpus", lambda: iter(["Yes", "No"]))
    monkeypatch.setattr(train, "vision_scores", lambda *_: {})
    unbroken = go(tmp_path / "a")
    go(tmp_path / "b", "--until", "2")
    # a vocabulary learned anew could number the tokens differently from the weights
    monkeypatch.setattr(train, "corpus", lambda: pytest.fail("the vocabulary was learned twice"))
    resumed = go(tmp_path / "b")
    assert json.loads(unbroken[-1])["loss"] == json.loads(resumed[-1])["loss"]
    assert [json.loads(line)["step"] for line in resumed] == [2, 4]
