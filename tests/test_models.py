"""A judge with an encoder and a detector beside its engine: which stages run, and who is asked."""

import math

import numpy as np
import pytest

from safejudge import Judge, Policy, PriorCache
from safejudge.engines.effect import missing
from safejudge.engines.fake import FakeDetector, FakeEncoder, FakeEngine
from safejudge.engines.models import Models
from safejudge.errors import (
    EngineCallError,
    EngineSetupError,
    InputError,
    PolicyError,
    StatementError,
)
from safejudge.types import (
    AllOf,
    Box,
    Constitution,
    Locate,
    Picture,
    Precondition,
    Probe,
    Rule,
    Severity,
    Similarity,
)

KNIFE = Box(word="knife", confidence=0.8, left=2, top=2, right=6, bottom=6)


def rule(name, *leaves, relevance=None):
    return Rule(
        id=name, category="c", severity=Severity.HIGH, text="t", objective=f"about {name}",
        relevance=relevance, condition=AllOf(all=leaves),
    )  # fmt: skip


RULES = Constitution(
    name="two",
    rules=(
        rule("armed", Precondition(statement="armed", look_at="knife and gun")),
        rule("dark", Precondition(statement="dark"), relevance="night"),
    ),
)
SIMILAR = {"about armed": 0.3, "night": 0.1}


def shade(value, size=8):
    return np.full((size, size, 3), value, np.uint8)


def load(engine=0.95, policy=None, **beside):
    score = engine if callable(engine) else lambda probe: engine if probe.images else 0.5
    return Judge.load(
        RULES, FakeEngine(score, replies=lambda _: "?"),
        policy or Policy(relevance_threshold=0.2), None, **beside,
    )  # fmt: skip


def test_a_rule_unlike_the_picture_is_not_asked():
    encoder = FakeEncoder(SIMILAR)
    judge = load(encoder=encoder)
    (result,) = judge([shade(0)])
    dark, armed = result.rules["dark"], result.rules["armed"]
    assert (dark.outcome, dark.score, dark.margin) == ("not_relevant", None, None)
    assert (dark.similarity, armed.similarity) == (0.1, 0.3)
    assert armed.outcome == "violated"
    assert result.usage.probes == 1
    assert [len(wave) for wave in encoder.history] == [2]
    assert result.provenance.encoder.uri == "fake:encoder"


def test_an_image_that_no_rule_is_about_is_safe_without_a_score():
    policy = Policy(relevance_threshold=0.2, always_asked=0)
    judge = load(policy=policy, encoder=FakeEncoder(dict.fromkeys(SIMILAR, 0.0)))
    (result,) = judge([shade(0)])
    assert (result.label, result.score, result.margin) == ("safe", None, None)
    assert type(result).model_validate_json(result.model_dump_json()) == result
    assert judge.allows(shade(0))


def test_the_likest_rule_is_asked_however_unlike_so_no_filter_alone_says_safe():
    unsure = load(0.5, encoder=FakeEncoder(SIMILAR | {"about armed": 0.05}))
    (result,) = unsure([shade(0)])
    assert result.rules["armed"].outcome == "not_relevant"
    assert result.label == result.rules["dark"].outcome == "undecided"


def test_the_sketch_judge_comes_with_encoder_and_detector_and_others_with_none():
    with Judge.load("sketch", "hf:sketch", cache=None) as judge:
        assert judge.models.encoder.card.uri == judge.models.detector.card.uri == "hf:sketch"
        assert judge.policy.filters
        assert judge.policy.locates
    with Judge.load("sketch", "hf:sketch", cache=None, encoder=None, detector=None) as judge:
        assert (judge.models.encoder, judge.models.detector) == (None, None)
    plain = Policy(relevance=False, crop=False, region=False)
    with Judge.load("sketch", "hf:sketch", plain, cache=None) as judge:
        assert (judge.models.encoder, judge.models.detector) == (None, None)
    others = load(encoder="default", detector="default")
    assert (others.models.encoder, others.models.detector) == (None, None)


def test_missing_models_of_wanted_stages_are_named():
    bare = load().models
    assert [note.partition(",")[0] for note in missing(Policy(), bare)] == [
        "no encoder", "no detector"
    ]  # fmt: skip
    assert missing(Policy(relevance=False, crop=False, region=False), bare) == []
    whole = load(encoder=FakeEncoder(SIMILAR), detector=FakeDetector({})).models
    assert missing(Policy(), whole) == []


def test_a_similarity_that_is_no_number_skips_nothing():
    (result,) = load(encoder=FakeEncoder(dict.fromkeys(SIMILAR, math.nan)))([shade(0)])
    assert [v.outcome for v in result.rules.values()] == ["violated", "violated"]
    assert [v.similarity for v in result.rules.values()] == [None, None]


def test_exhaustive_asks_what_is_not_relevant_too():
    policy = Policy(relevance_threshold=0.2, exhaustive=True)
    (result,) = load(policy=policy, encoder=FakeEncoder(SIMILAR))([shade(0)])
    dark = result.rules["dark"]
    assert (dark.outcome, dark.unfiltered) == ("not_relevant", "violated")
    assert dark.score is not None
    assert dark.similarity == 0.1
    assert "dark" not in result.violations


@pytest.mark.parametrize("policy", [Policy(relevance=False), None])
def test_without_the_stage_or_its_model_nothing_is_compared(policy):
    encoder = FakeEncoder(SIMILAR) if policy else None
    judge = load(policy=policy, encoder=encoder)
    (result,) = judge([shade(0)])
    assert not judge.policy.filters
    assert {v.similarity for v in result.rules.values()} == {None}
    assert result.provenance.encoder is None
    assert encoder is None or encoder.history == []


def test_an_encoder_needs_a_threshold_and_room_for_the_texts():
    with pytest.raises(PolicyError, match="fake:encoder"):
        load(policy=Policy(), encoder=FakeEncoder(SIMILAR))
    with pytest.raises(StatementError, match=r"about armed.*relevance"):
        load(encoder=FakeEncoder(SIMILAR, longest=8))
    load(policy=Policy(relevance=False), encoder=FakeEncoder(SIMILAR, longest=8))


def test_the_detector_finds_what_stands_under_look_at():
    def boxes(request):
        assert request.words == ("knife", "gun")
        return [KNIFE]

    detector = FakeDetector(boxes)
    picture = shade(7)
    picture[2:6, 2:6] = 9
    judge = load(
        lambda p: 0.5 if not p.images else 0.8 if (p.images[0].pixels == 9).any() else 0.1,
        policy=Policy(relevance_threshold=0.2, region=True),
        detector=detector,
    )
    (result,) = judge([picture])
    (armed,) = result.rules["armed"].preconditions
    assert (armed.test, armed.boxes) == ("region", (KNIFE,))
    assert result.usage.detector_calls == 1
    assert result.provenance.detector.uri == "fake:detector"


def test_without_a_detector_no_regions():
    judge = load(0.6)
    (result,) = judge([shade(7)])
    assert not judge.policy.locates
    assert result.rules["armed"].preconditions[0].boxes is None
    assert result.usage.detector_calls == 0


def test_one_search_serves_all_images_with_these_pixels():
    detector = FakeDetector({"knife": [KNIFE]})
    load(0.6, detector=detector)([shade(7), shade(7), shade(8)])
    assert [len(wave) for wave in detector.history] == [2]


@pytest.mark.parametrize(
    ("stage", "broken"),
    [
        ("encoder", type("E", (FakeEncoder,), {"similarities": lambda *_: [0.5]})(SIMILAR)),
        ("detector", type("D", (FakeDetector,), {"locate": lambda *_: []})({})),
    ],
)
def test_a_model_that_answers_the_wrong_number_is_an_error(stage, broken):
    with pytest.raises(EngineCallError, match=f"fake:{stage}"):
        load(0.6, **{stage: broken})([shade(7)])


def test_what_was_opened_by_uri_is_closed_also_when_the_next_one_fails(monkeypatch):
    closed = []

    class Closing(FakeEngine):
        def close(self):
            closed.append(self)

    engine = Closing()
    monkeypatch.setattr("safejudge.engines.models.open_engine", lambda _: engine)

    def refuse(uri):
        raise EngineSetupError(uri)

    monkeypatch.setattr("safejudge.engines.models.open_detector", refuse)
    with pytest.raises(EngineSetupError):
        Judge.load(RULES, "some:engine", cache=None, detector="some:detector")
    assert closed == [engine]
    judge = Judge.load(RULES, "some:engine", cache=None, detector=FakeDetector({}))
    judge.close()
    judge.close()
    assert closed == [engine, engine]
    with pytest.raises(InputError, match="closed"):
        judge([shade(0)])


def test_a_wave_may_hold_every_kind_of_request(tmp_path):
    picture = Picture.of(shade(3))
    models = Models(
        FakeEngine(lambda _: 0.5), FakeEncoder({"t": 0.4}),
        FakeDetector({"knife": [KNIFE]}), PriorCache(tmp_path / "c"),
    )  # fmt: skip
    wave = [Locate(picture, ("knife",)), Probe("", (picture,), "q"), Similarity(picture, "t")]
    boxes, probs, number = models.answer(wave)
    assert (boxes, probs.score, number) == ((KNIFE,), 0.5, 0.4)
