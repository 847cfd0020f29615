"""Several pictures of one thing: each counts by itself, and all of them together."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from safejudge import (
    AllOf,
    Constitution,
    Failure,
    InputError,
    Judge,
    Policy,
    Precondition,
    Rule,
    Series,
    Severity,
)
from safejudge.cli.app import main
from safejudge.engines.fake import FakeEncoder, FakeEngine
from safejudge.images.load import load_image, load_images
from safejudge.prompts import ASK, ASK_TOGETHER
from safejudge.show.page.thumbnail import deciding_picture, judged_by

RULES = Constitution(
    name="slides",
    rules=tuple(
        Rule(
            id=name,
            category="adverts",
            severity=Severity.LOW,
            text=f"No {name}.",
            objective=f"No {name}.",
            condition=AllOf(all=(Precondition(statement=f"a {name} is shown"),)),
        )
        for name in ("red", "story")
    ),
)
RED, GREEN, BLUE = (np.full((6, 8, 3), colour, np.uint8) for colour in
                    ((255, 0, 0), (0, 255, 0), (0, 0, 255)))  # fmt: skip


def looks(probe):
    """Red is seen in a red picture; a story only where all three are shown in order."""
    if not probe.images:
        return 0.5
    seen = [tuple(picture.pixels[0, 0]) for picture in probe.images]
    if "a story is shown" in probe.question:
        return 0.99 if seen == [(255, 0, 0), (0, 255, 0), (0, 0, 255)] else 0.01
    return 0.99 if len(seen) == 1 and seen[0] == (255, 0, 0) else 0.01


@pytest.fixture
def engine():
    return FakeEngine(looks)


@pytest.fixture
def judge(engine):
    with Judge.load(RULES, engine, Policy(), cache=None) as judge:
        yield judge


def asked(engine):
    return [probe for wave in engine.history for probe in wave if probe.images]


def test_each_picture_counts_and_so_do_all_together(judge, engine):
    labels = ("at first", "then", "at last")
    (result,) = judge([Series([RED, GREEN, BLUE], labels)])
    assert result.violations == ("red", "story")
    assert result.rules["red"].frame == 0
    assert result.rules["story"].frame is None
    assert (result.frames.looked_at, result.frames.of) == (3, 3)
    (one,) = (p for p in asked(engine) if len(p.images) > 1 and "story" in p.question)
    assert one.instruction == ASK_TOGETHER
    assert one.question == (
        "Pictures, in order: 1: at first; 2: then; 3: at last\nStatement: a story is shown"
    )
    assert all(p.instruction == ASK for p in asked(engine) if len(p.images) == 1)


def test_the_order_counts_and_so_does_the_name(judge):
    first, other, named = judge(
        [Series([RED, GREEN, BLUE]), Series([GREEN, RED, BLUE]), Series([GREEN], name="ad")]
    )
    assert "story" in first.violations
    assert other.violations == ("red",)
    assert other.rules["red"].frame == 1
    assert first.id != other.id
    assert (first.image, named.image) == ("image[0]", "ad")
    assert named.label == "safe"


def test_pictures_may_be_judged_apart(judge, engine):
    (result,) = judge([Series([RED, GREEN, BLUE], together=False)])
    assert result.violations == ("red",)
    assert all(len(probe.images) == 1 for probe in asked(engine))


def test_a_picture_that_cannot_be_read_is_a_fault_of_the_whole(judge):
    moving = io.BytesIO()
    pages = [Image.fromarray(one) for one in (RED, GREEN)]
    pages[0].save(moving, "GIF", save_all=True, append_images=pages[1:])
    broken, moves, nested, fine = judge(
        [Series([RED, b"junk", BLUE]), Series([RED, moving.getvalue()]),
         Series([RED, Series([GREEN])]), GREEN]
    )  # fmt: skip
    assert isinstance(broken, Failure)
    assert "picture 2 of 3" in broken.message
    assert (moves.reason, nested.reason) == ("unsupported", "unsupported")
    assert fine.label == "safe"


@pytest.mark.parametrize(
    ("sources", "labels"),
    [([], ()), ([RED] * 17, ()), ([RED, RED], ("one",)), ([RED], ("two\nlines",)),
     ([RED], ("a; b",)), ([RED], ("x" * 81,)), ([RED], ("",))],
)  # fmt: skip
def test_what_is_no_series_is_refused(sources, labels):
    with pytest.raises(InputError):
        Series(sources, labels)


def test_one_series_is_no_list_of_images(judge):
    with pytest.raises(InputError, match="put it in a list"):
        judge(Series([RED, GREEN]))


def test_more_than_an_engine_can_be_shown_is_refused_and_the_others_are_judged(engine):
    class Two(FakeEngine):
        @property
        def card(self):
            return replace(super().card, most_together=2)

    with Judge.load(RULES, Two(looks), Policy(), cache=None) as judge:
        many, few, apart = judge(
            [Series([RED, GREEN, BLUE]), Series([GREEN, BLUE]),
             Series([RED, GREEN, BLUE], together=False)]
        )  # fmt: skip
    assert many.reason == "too_many_pictures"
    assert "2 pictures at a time, not 3" in many.message
    assert few.label == "safe"
    assert apart.violations == ("red",)


def test_transparent_pictures_are_shown_together_on_both_backgrounds():
    clear = np.zeros((6, 8, 4), np.uint8)
    image = load_image(Series([clear, RED]), name="s", policy=Policy())
    grounds = [picture.background for picture in image.together]
    assert sorted(grounds) == ["black", "white"]
    for together in image.together:
        first, second = together.parts
        assert (first.background, second.background) == (together.background, None)


def test_rules_that_the_filter_leaves_out_of_every_picture_are_not_asked_together(engine):
    def alike(request):
        return 0.9 if ("red" in request.text) == (request.picture.pixels[0, 0, 0] == 255) else 0.0

    policy = Policy(relevance_threshold=0.5, always_asked=0)
    encoder = FakeEncoder(alike)
    with Judge.load(RULES, engine, policy, cache=None, encoder=encoder) as judge:
        neither, both = judge([Series([RED, RED]), Series([RED, GREEN, BLUE])])
    assert neither.rules["story"].outcome == "not_relevant"
    assert both.violations == ("red", "story")


def test_the_page_shows_what_decided(judge):
    image = load_image(Series([GREEN, RED, BLUE]), name="s", policy=Policy())
    (result,) = judge([Series([GREEN, RED, BLUE])])
    assert deciding_picture(result, image).frame == 1
    image = load_image(Series([RED, GREEN, BLUE]), name="s", policy=Policy())
    (result,) = judge([Series([RED, GREEN, BLUE])])
    (together,) = image.together
    assert judged_by(result.rules["story"], together)
    assert together.pixels.shape == (6, 24, 3)  # side by side, for people


# --- on the command line --------------------------------------------------------------------------


def opened(folder, monkeypatch):
    """Go to a folder with rules, where `fake:` opens what is returned: an engine that `looks`."""
    (folder / "rules.yaml").write_text(
        "name: slides\nrules:\n"
        + "".join(
            f"  - {{id: {name}, category: adverts, severity: low, text: No {name}.,\n"
            f"     objective: No {name}., condition: {{all: [a {name} is shown]}}}}\n"
            for name in ("red", "story")
        ),
        encoding="utf-8",
    )
    engine = FakeEngine(looks)
    monkeypatch.setattr("safejudge.engines.models.open_engine", lambda _: engine)
    monkeypatch.setattr("safejudge.engines.models.prove_sight", lambda _: False)
    monkeypatch.chdir(folder)
    return engine


@pytest.fixture
def ads(tmp_path, monkeypatch):
    """Two adverts: one of three slides, one of one; and a picture of its own beside them."""
    for name, pixels in (("a/9.png", RED), ("a/10.png", GREEN), ("a/11.png", BLUE),
                         ("b/1.png", GREEN)):  # fmt: skip
        file = tmp_path / "ads" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    return opened(tmp_path, monkeypatch)


def run(*words):
    return main(["judge", "ads", "--constitution", "rules.yaml", "--engine", "fake:", *words])


def records():
    lines = Path("out.jsonl").read_text(encoding="utf-8").splitlines()[1:]
    return {record["image"]: record for record in map(json.loads, lines)}


def test_a_folder_is_one_image_in_the_order_of_numbers(ads, capsys):
    assert run("--series", "together", "--out", "out.jsonl", "--report", "page.html") == 1
    found = records()
    assert {name: record["violations"] for name, record in found.items()} == {
        "ads/a": ["red", "story"], "ads/b": [],
    }  # fmt: skip
    assert found["ads/a"]["frames"] == {"looked_at": 3, "of": 3}
    page = Path("page.html").read_text(encoding="utf-8")
    assert page.count("<img") >= 2
    before = len(asked(ads))
    assert run("--series", "together", "--out", "out.jsonl", "--resume") == 1
    assert len(asked(ads)) == before
    Image.fromarray(BLUE).save("ads/a/11.png", compress_level=1)
    run("--series", "together", "--out", "out.jsonl", "--resume")
    assert len(asked(ads)) > before


def test_folders_may_be_judged_apart(ads):
    assert run("--series", "apart", "--out", "out.jsonl") == 1
    assert records()["ads/a"]["violations"] == ["red"]


def test_too_many_pictures_are_refused_before_anything_is_asked(ads, capsys, monkeypatch):
    card = replace(ads.card, most_together=2)
    monkeypatch.setattr(FakeEngine, "card", property(lambda _: card))
    assert run("--series", "together") == 2
    assert "ads/a has 3 pictures, and fake: can be shown 2 at a time" in capsys.readouterr().err
    assert asked(ads) == []
    for number in range(20):
        Image.fromarray(RED).save(f"ads/b/{number}.png")
    assert run("--series", "apart") == 2
    assert "16 at most" in capsys.readouterr().err
    assert run("--series", "apart", "--ray", "--out", "dir") == 2


@pytest.mark.parametrize("sources", ["1.png", b"bytes", {"1.png": 1}, {1, 2}, iter([RED])])
def test_what_is_no_list_of_pictures_is_no_series(sources):
    with pytest.raises(InputError, match="a list of pictures"):
        Series(sources)


def test_a_label_that_is_no_text_is_refused():
    with pytest.raises(InputError, match="a label is one line"):
        Series([RED], labels=[None])


def test_of_too_many_pixels_together_no_more_is_decoded_than_is_kept(monkeypatch):
    decoded = []

    def counting(source, **options):
        decoded.append(options["name"])
        return whole(source, **options)

    whole = load_image
    monkeypatch.setattr("safejudge.images.load.load_image", counting)
    policy = Policy(max_pixels=RED.shape[0] * RED.shape[1])
    (read,) = load_images([Series([RED] * 16)], policy)
    assert isinstance(read, Failure)
    assert read.reason == "too_many_pixels"
    assert len(decoded) == 4  # the whole, and three pictures
