"""A filter can be distilled into any dual encoder, and opens as it was learned."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_pairs

from safejudge.distill.labels import Labelled, Labels, Place
from safejudge.distill.recipe import FilterRecipe
from safejudge.distill.run import distill
from safejudge.engines.open import open_encoder
from safejudge.errors import InputError
from safejudge.images.load import load_image
from safejudge.policy import Policy
from safejudge.types import Constitution, Precondition, Provenance, Rule, Severity, Similarity

IMAGES = 28
RED = Rule(
    id="red", category="c", severity=Severity.LOW, text="red", objective="It is red.",
    condition=Precondition(statement="It is red."),
)  # fmt: skip
RULES = Constitution(name="colours", rules=(RED,))
MADE = Provenance(
    constitution=RULES.digest(), prompts="p", policy="p", model="m", revision="r", versions={}
)


def read(path):
    return load_image(str(path), name=str(path), policy=Policy())


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """Pictures of many sizes, every second one red, and what a judge would say."""
    from PIL import Image

    folder, rng, found = tmp_path_factory.mktemp("colours"), np.random.default_rng(3), []
    for number in range(IMAGES):
        red = number % 2 == 0
        pixels = rng.integers(0, 60, (20 + number, 40, 3), dtype=np.uint8)
        pixels[..., 0 if red else 2] += 180
        path = folder / f"{number}.png"
        Image.fromarray(pixels).save(path)
        place = Place(read(path).id, str(path), None)
        found.append(Labelled(place, {"red": 0.98 if red else 0.02}, {"red"} if red else set()))
    return Labels(RULES, Policy(), MADE, found)


@pytest.mark.parametrize("family", tiny_pairs.ENCODERS)
@pytest.mark.parametrize("layers", [0, 1, "all"])
def test_every_family_learns_and_opens_again(family, layers, labels, tmp_path):
    backbone = f"hf:{tiny_pairs.folder_of(family)}"
    recipe = FilterRecipe(backbone, layers, epochs=4, keep=0.9, held_out=0.25, rate=3e-3)
    found = distill(labels, tmp_path, recipe)
    assert found.losses[-1] < found.losses[0]
    encoder = open_encoder(f"scorer:{tmp_path}")
    assert encoder.card.learned.rules == {"It is red.": RED.digest()}
    by_id = {one.place.image: one.place.name for one in labels.pictures}
    pictures = [read(by_id[image]).pictures[0] for image in found.held_out.images]
    numbers = encoder.similarities([Similarity(one, "It is red.") for one in pictures])
    assert numbers == pytest.approx(found.held_out.numbers, abs=1e-5)
    encoder.close()


def test_a_tower_of_another_build_can_only_have_a_head(labels):
    from torch import nn

    from safejudge.distill.learn import learning_parts

    assert len(learning_parts(nn.Linear(1, 1), 0)) == 0
    with pytest.raises(InputError, match="--layers all: Linear has no vision_model"):
        learning_parts(nn.Linear(1, 1), "all")
