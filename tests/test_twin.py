"""The unskewed twin: opened by the benchmarks alone, behind the same doors as the shipped judge."""

import random

import numpy as np
import pytest
from twin import FOLDER, KIT, open_engine, open_models

from safejudge import Judge, load_constitution, prompts
from safejudge.engines.open import ENGINES, KITS
from safejudge.errors import StatementError
from safejudge.policy import Policy
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.judge import MODELS
from safejudge.sketch.world.sample import even_scene
from safejudge.types import Picture, Probe

needs_weights = pytest.mark.skipif(
    not all((folder / "model.safetensors").is_file() for folder in (FOLDER, MODELS / "vlm")),
    reason="the weights of the twin are not here",
)
SCENES = [Picture.of(draw(even_scene(random.Random(seed))).pixels) for seed in range(4)]


def probes(*pictures):
    question = prompts.statement_question("a person is visible")
    return [Probe(prompts.ASK, (picture,), question) for picture in pictures]


def test_the_package_does_not_know_it():
    assert "even" not in ENGINES.help()
    assert not any("even" in uri for uri in KITS)
    assert not (MODELS / "vlm-even").exists()


@needs_weights
def test_it_stands_behind_the_doors_of_the_shipped_judge():
    twin, judge = open_engine("hf:sketch-even"), open_engine("hf:sketch")
    assert twin.card.uri == "hf:sketch-even"
    assert twin.card.revision != judge.card.revision
    theirs, ours = (engine.answer_probs(probes(*SCENES)) for engine in (twin, judge))
    assert all(answer.score is not None for answer in [*theirs, *ours])
    assert theirs != ours
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    (answer,) = twin.answer_probs(probes(Picture.of(noise)))
    assert "not a drawn scene" in answer.problem
    with pytest.raises(StatementError, match="does not know the statement"):
        twin.check_statements(["it is lovely"])


@needs_weights
@pytest.mark.parametrize("uri", ["hf:sketch-even", "hf:sketch"])
def test_what_stands_beside_it_is_the_same(uri):
    models = open_models(uri)
    assert models.encoder.card.uri == models.detector.card.uri == KIT
    with Judge(load_constitution("sketch"), models, Policy(cascade=False)) as judge:
        (result,) = judge([SCENES[0].pixels])
    assert result.provenance.model == uri
    assert len(models.owned) == 3
