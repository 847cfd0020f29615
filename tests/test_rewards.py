"""The reward: its arithmetic as properties, and SafetyReward around a judge."""

import asyncio
import math
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge import Judge, Policy, PriorCache
from safejudge.engines.fake import FakeEngine
from safejudge.errors import EngineCallError, EngineSetupError, InputError
from safejudge.method.debias import margin
from safejudge.method.precondition import was_read
from safejudge.opening import JudgeSpec
from safejudge.rewards import SEVERITIES, Blend, Grading, SafetyReward
from safejudge.rewards.arithmetic import blended, margin_bounds, rated, weighed
from safejudge.rewards.core import filled
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.judge import MODELS
from safejudge.sketch.scenes import mixed_scenes
from safejudge.types import (
    AllOf,
    AnswerProbs,
    Constitution,
    Precondition,
    Rule,
    RuleVerdict,
    Severity,
)


def leaf(statement):
    return Precondition(statement=statement)


def rule(name, condition, severity=Severity.CRITICAL):
    return Rule(
        id=name, category="c", severity=severity, text="t", objective="o", condition=condition
    )


RULES = Constitution(
    name="two",
    rules=(
        rule("bright", leaf("The picture is bright.")),
        rule("red", leaf("The picture is red."), Severity.LOW),
    ),
)
BOTH = Constitution(
    name="both",
    rules=(rule("both", AllOf(all=(leaf("The picture is bright."), leaf("It is red.")))),),
)


def shade(value):
    return np.full((6, 6, 3), value, np.uint8)


def brightness(probe):
    """How bright a picture is; half that for what is red; the prior is one half."""
    if not probe.images:
        return 0.5
    bright = float(probe.images[0].pixels.mean()) / 255
    return bright if "bright" in probe.question else bright / 2


def judge_of(rules=RULES, answers=brightness, policy=None):
    chosen = Policy(cascade=False) if policy is None else policy
    return Judge.load(rules, FakeEngine(answers), chosen, None)


# --- the arithmetic -------------------------------------------------------------------------------

margins = st.floats(-20, 20)
weights = st.floats(0.01, 1)
rules_of = st.lists(st.tuples(margins, weights), min_size=1, max_size=6)


def rating_of(pairs, grading=None):
    chosen = Grading() if grading is None else grading
    bounds, weigh = {}, {}
    for index, (kept, weight) in enumerate(pairs):
        held = max(-chosen.clip, min(chosen.clip, kept))
        bounds[str(index)] = held, held
        weigh[str(index)] = weight
    return rated(bounds, weigh, chosen)


@given(rules_of, st.floats(0.1, 10), st.floats(0.5, 20))
def test_a_reward_is_bounded(pairs, temperature, clip):
    rating = rating_of(pairs, Grading(temperature=temperature, clip=clip))
    assert abs(rating.reward) <= clip / temperature
    assert rating.margin == pytest.approx(rating.reward * temperature)


@given(rules_of, st.data())
def test_violating_a_rule_less_never_lowers_the_reward(pairs, data):
    index = data.draw(st.integers(0, len(pairs) - 1))
    better = data.draw(st.floats(pairs[index][0], 20))
    changed = [*pairs[:index], (better, pairs[index][1]), *pairs[index + 1 :]]
    assert rating_of(changed).reward >= rating_of(pairs).reward


@given(rules_of)
def test_the_sign_says_whether_every_rule_is_rather_kept(pairs):
    reward = rating_of(pairs).reward
    # A violation too small for a float to hold, times a weight, is none.
    assert (reward >= 0) == all(weighed(kept, weight) >= 0 for kept, weight in pairs)
    assert (reward > 0) == all(kept > 0 for kept, _ in pairs)


@given(rules_of)
def test_a_rule_that_is_kept_never_makes_up_for_one_that_is_not(pairs):
    assert rating_of([*pairs, (20.0, 1.0)]).reward == rating_of(pairs).reward


@given(st.floats(0.01, 20), weights)
def test_severity_weighs_violations_only(size, weight):
    assert weighed(size, weight) == size
    assert weighed(-size, weight) == -size * weight


def test_what_was_not_read_gives_a_reward_only_where_it_does_not_matter():
    weigh = {"a": 1.0, "b": 1.0}
    unknown = rated({"a": (-10.0, 10.0), "b": (3.0, 3.0)}, weigh, Grading())
    assert (unknown.reward, unknown.reason) == (None, "unread")
    assert "a" in unknown.problem
    settled = rated({"a": (4.0, 10.0), "b": (3.0, 3.0)}, weigh, Grading())
    assert (settled.reward, settled.worst, settled.rules["a"]) == (3.0, "b", None)


blends = st.builds(
    lambda weight, other, gate, above, floor: Blend(
        lambda _images, _prompts: (), weight, other, gate, gate + above, floor
    ),
    st.floats(0, 5), st.floats(0, 5), st.floats(-5, 5), st.floats(0, 5), st.floats(-2, 2),
)  # fmt: skip


pairs_of = st.tuples(margins, margins).map(sorted)
others_of = st.tuples(st.floats(-9, 9), st.floats(-9, 9))


@given(blends, pairs_of, others_of.map(sorted), st.floats(0.1, 10))
def test_a_blend_never_falls_when_a_part_rises(blend, safety, other, temperature):
    lower = blended(safety[0], other[0], blend, temperature)
    assert blended(safety[1], other[0], blend, temperature) >= lower
    assert blended(safety[0], other[1], blend, temperature) >= lower


@given(blends, pairs_of, others_of)
def test_no_unsafe_picture_beats_one_past_the_gate(blend, safety, other):
    unsafe, safe = safety
    if unsafe < blend.gate <= safe:
        assert blended(unsafe, other[0], blend, 1.0) <= blended(safe, other[1], blend, 1.0)


def test_safe_but_blank_does_not_win():
    blend = Blend(lambda _images, _prompts: ())
    blank, good, unsafe = (blended(*pair, blend, 1.0) for pair in ((9, 0.1), (4, 0.9), (-2, 1)))
    assert good > blank > unsafe


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Grading(temperature=0), "temperature is 0"),
        (lambda: Grading(temperature=math.nan), "temperature is nan"),
        (lambda: Grading(clip=21), "clip is 21"),
        (lambda: Grading(weights={"x": 2}), "the weight of 'x' is 2"),
        (lambda: Grading(weights={"x": math.nan}), "the weight of 'x' is nan"),
        (lambda: Grading(severities={Severity.LOW: 1}), "no weight for medium, high, critical"),
        (lambda: Blend(max, weight=-1), "at least 0, not -1"),
        (lambda: Blend(max, gate=4), "gate 4 lies above enough 3"),
        (lambda: Blend(max, floor=math.inf), "not finite"),
        (lambda: SafetyReward(judge_of(), Grading(weights={"blue": 1})), "'blue'.*bright, red"),
        (
            lambda: SafetyReward(judge_of(), Grading(weights={"bright": 0, "red": 0})),
            "every rule of 'two' weighs 0",
        ),
        (lambda: SafetyReward(judge_of(), on_engine_error="0"), "on_engine_error is '0'"),
        (lambda: SafetyReward.load(RULES, FakeEngine()), "has to be a URI"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()


# --- from verdicts --------------------------------------------------------------------------------


def test_the_reward_is_the_margin_of_the_worst_rule():
    judge = judge_of()
    reward = SafetyReward(judge)
    for value in (10, 120, 250):
        (rating,) = reward.rate([shade(value)])
        (judgment,) = judge([shade(value)])
        assert rating.worst == "bright"
        expected = -judgment.rules["bright"].margin
        assert rating.reward == pytest.approx(expected)
    rewards = reward([shade(value) for value in range(0, 250, 10)])
    assert rewards == sorted(rewards, reverse=True)
    assert len(set(rewards)) > 15  # graded


def test_severities_and_weights_weigh_what_is_violated():
    def value(grading):
        return SafetyReward(judge_of(), grading)([shade(250)])[0]

    full = value(Grading())
    assert full < 0
    assert value(Grading(weights={"bright": 0.5})) == pytest.approx(full / 2)
    halved = dict.fromkeys(SEVERITIES, 0.5)
    assert value(Grading(severities=halved)) == pytest.approx(full / 2)
    (rating,) = SafetyReward(judge_of(), Grading(weights={"bright": 0})).rate([shade(250)])
    assert rating.worst == "red"
    assert set(rating.rules) == {"bright", "red"}


def test_an_undecided_rule_has_its_graded_score():
    judge = judge_of()
    (judgment,) = judge([shade(128)])
    assert judgment.label == "undecided"
    (value,) = SafetyReward(judge)([shade(128)])
    assert value is not None


def test_every_question_is_asked_whatever_the_judge_does():
    engine = FakeEngine(brightness)
    judge = Judge.load(BOTH, engine, Policy(cascade=False), None)
    judge([shade(0)])
    stopped = sum(len(wave) for wave in engine.history)
    engine.history.clear()
    (rating,) = SafetyReward(judge).rate([shade(0)])
    assert sum(len(wave) for wave in engine.history) > stopped
    assert rating.reward is not None
    assert not judge.policy.exhaustive


def unread_red(probe):
    return math.nan if "red" in probe.question and probe.images else brightness(probe)


def faint_red(probe):
    low_mass = AnswerProbs((0.1, 0.1), top="maybe")
    return low_mass if "red" in probe.question and probe.images else brightness(probe)


@pytest.mark.parametrize("answers", [unread_red, faint_red])
def test_what_could_not_be_read_is_no_number(answers):
    reward = SafetyReward(judge_of(answers=answers))
    with pytest.warns(RuntimeWarning, match="none of 1 images has a reward"):
        (rating,) = reward.rate([shade(100)])
    assert (rating.reward, rating.reason) == (None, "unread")
    assert "red" in rating.problem
    assert rating.rules["bright"] is not None
    assert rating.rules["red"] is None
    assert reward.counts == {"unread": 1}


def test_an_unread_question_of_a_rule_that_cannot_hold_does_not_matter():
    rules = Constitution(
        name="x", rules=(*BOTH.rules, rule("bright", leaf("The light is bright.")))
    )
    reward = SafetyReward(judge_of(rules, unread_red))
    (rating,) = reward.rate([shade(20)])
    # `both` can hold at most as far as `bright` does, whatever its other half is.
    assert rating.rules["both"] is None
    assert rating.reward == rating.rules["bright"]


def test_unreadable_reasoning_leaves_the_score_that_was_read():
    def verdict_of(answers):
        judge = Judge.load(RULES, FakeEngine(answers, replies=lambda _: "no JSON"), Policy(), None)
        (judgment,) = judge([shade(128)])
        return judgment.rules["bright"].preconditions[0], judge.policy

    read, policy = verdict_of(brightness)
    assert read.test == "unreadable"
    assert was_read(read, policy)
    faint, policy = verdict_of(lambda _: AnswerProbs((0.1, 0.1)))
    assert faint.test == "label_mass"
    assert not was_read(faint, policy)


def test_a_reply_that_cannot_be_read_is_no_no_under_any_policy():
    engine = FakeEngine(brightness, replies=lambda _: "no JSON")
    judge = Judge.load(RULES, engine, "clue-tree", None)
    (judgment,) = judge([shade(200)])
    assert judgment.rules["bright"].score < 0.5  # as published
    (rating,) = SafetyReward(judge).rate([shade(200)])
    assert rating.rules["bright"] < 0  # what was read before


def test_a_skipped_rule_has_no_number():
    skipped = RuleVerdict(outcome="not_relevant", score=None, margin=None)
    bounds = margin_bounds(leaf("x"), skipped, Policy(), Grading(clip=7))
    assert bounds == (-7, 7)


# --- images ---------------------------------------------------------------------------------------


def test_one_value_per_image_in_order():
    reward = SafetyReward(judge_of())
    nan = np.full((6, 6, 3), np.nan, np.float32)
    signed = np.full((6, 6, 3), -0.9, np.float32)
    values = reward(
        [shade(0), nan, shade(250), signed, b"junk", "nowhere.png", np.zeros((2, 2, 2))]
    )
    assert [value is None for value in values] == [False, True, False, True, True, True, True]
    assert values[0] > 0 > values[2]
    assert [rating.reason for rating in reward.last][3:6] == [
        "bad_array",
        "not_an_image",
        "missing",
    ]
    assert "x / 2 + 0.5" in reward.last[3].problem
    assert reward.counts == {"judged": 2, "bad_array": 3, "not_an_image": 1, "missing": 1}


def test_batches_of_arrays_and_tensors():
    torch = pytest.importorskip("torch")
    reward = SafetyReward(judge_of())
    batch = np.stack([shade(0), shade(250)])
    expected = reward(batch)
    first = torch.from_numpy(batch).permute(0, 3, 1, 2)
    assert reward(first) == expected
    assert reward(first.float() / 255) == pytest.approx(expected)
    assert reward(iter(batch), iter(["a", "b"])) == expected


def test_no_image_is_no_reward():
    engine = FakeEngine(brightness)
    reward = SafetyReward(Judge.load(RULES, engine, cache=None))
    assert reward([]) == []
    assert reward(np.zeros((0, 6, 6, 3), np.uint8), []) == []
    assert engine.history == []


@pytest.mark.parametrize("with_prompts", [True, False])
@pytest.mark.parametrize(
    ("images", "prompts", "said"),
    [
        ([shade(0)], ["a", "b"], "1 image but 2 prompts"),
        ("a.png", None, "put it in a list"),
        (5, None, "images is a int"),
        (np.zeros((2, 2, 2, 2, 3)), None, "4 dimensions"),
    ],
)
def test_a_call_that_fits_nothing_is_an_error(images, prompts, said, with_prompts):
    with pytest.raises(InputError, match=said):
        SafetyReward(judge_of(), with_prompts=with_prompts)(images, prompts)


def test_prompts_go_to_the_judge_unless_switched_off():
    engine = FakeEngine(brightness)
    judge = Judge.load(RULES, engine, Policy(cascade=False), None)
    SafetyReward(judge)([shade(0)], ["a yellow kite"])
    asked = [probe.question for wave in engine.history for probe in wave]
    assert all("a yellow kite" in question for question in asked)
    engine.history.clear()
    SafetyReward(judge, with_prompts=False)([shade(0)], ["a yellow kite"])
    assert not any("kite" in probe.question for wave in engine.history for probe in wave)


def test_a_dead_engine_stops_the_trainer_or_is_counted():
    def dead(probe):
        raise EngineCallError("the server is gone")

    with pytest.raises(EngineCallError, match="gone"):
        SafetyReward(judge_of(answers=dead))([shade(0)])
    reward = SafetyReward(judge_of(answers=dead), on_engine_error="unjudgeable")
    with pytest.warns(RuntimeWarning, match="the server is gone"):
        assert reward(np.stack([shade(0), shade(9)])) == [None, None]
    assert reward.counts == {"engine": 2}
    assert reward.last[0].reason == "engine"


# --- blending -------------------------------------------------------------------------------------


def test_a_blend_asks_the_other_reward_once_and_gates():
    asked = []

    def quality(images, prompts):
        asked.append((len(images), list(prompts)))
        return np.array([0.0, 1.0, 1.0])

    blend = Blend(quality, weight=0.5, other_weight=2.0)
    reward = SafetyReward(judge_of(), blend=blend)
    batch = np.stack([shade(2), shade(30), shade(250)])
    blank, good, unsafe = reward(batch, ["a", "b", "c"])
    assert asked == [(3, ["a", "b", "c"])]
    assert good > blank > unsafe
    assert unsafe == pytest.approx(0.5 * reward.last[2].margin)
    assert reward.last[1].other == 1.0


def test_where_the_other_reward_has_nothing_the_blend_has_nothing():
    blend = Blend(lambda _images, _prompts: [None, math.nan, 0.5])
    reward = SafetyReward(judge_of(), blend=blend)
    values = reward([shade(0), shade(0), shade(0)])
    assert values[:2] == [None, None]
    assert values[2] is not None
    assert reward.counts == {"other": 2, "judged": 1}


def test_another_number_of_values_is_an_error():
    reward = SafetyReward(judge_of(), blend=Blend(lambda _images, _prompts: ([0.1, 0.2], {})))
    with pytest.raises(InputError, match="returned 2 values for 1 image;"):
        reward([shade(0)])


# --- processes, threads, lifetimes ----------------------------------------------------------------


def test_a_loaded_reward_opens_its_judge_late_and_in_each_process_anew(tmp_path):
    reward = SafetyReward.load(RULES, "fake:", Policy(cascade=False), PriorCache(tmp_path / "p"))
    assert reward._judge is None
    values = reward([shade(0), shade(90)])
    twin = pickle.loads(pickle.dumps(reward))  # noqa: S301 - made here
    assert twin._judge is None
    assert twin.counts == {}
    assert twin([shade(0), shade(90)]) == values
    with twin:
        assert twin._judge is not None
    assert twin._judge is None


def test_another_process_opens_the_judge_by_its_uri(tmp_path):
    reward = SafetyReward.load(RULES, "fake:", Policy(cascade=False), PriorCache(tmp_path / "p"))
    (tmp_path / "reward.pickle").write_bytes(pickle.dumps(reward))
    code = (
        "import pickle, sys, numpy as np\n"
        "reward = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print(reward([np.full((6, 6, 3), 90, np.uint8)], ['a']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "reward.pickle"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == str(reward([shade(90)], ["a"]))


def test_a_reward_on_an_open_judge_stays_in_its_process():
    with pytest.raises(InputError, match=r"SafetyReward\.load"):
        pickle.dumps(SafetyReward(judge_of()))


def test_closing_leaves_the_callers_judge_open():
    judge = judge_of()
    with SafetyReward(judge) as reward:
        reward([shade(0)])
    assert reward([shade(0)])[0] is not None
    judge([shade(0)])


def test_an_engine_that_does_not_exist_is_an_error_whatever_is_tolerated():
    reward = SafetyReward.load(RULES, "nothing:", on_engine_error="unjudgeable")
    with pytest.raises(EngineSetupError, match="names no engine"):
        reward([shade(0)])


def test_a_server_that_is_not_there_is_an_error_not_a_number():
    reward = SafetyReward.load(RULES, "server:http://127.0.0.1:9/v1#judge")
    with pytest.raises(EngineSetupError, match=r"127\.0\.0\.1:9"):
        reward([shade(0)])


def test_a_device_goes_to_models_that_take_one():
    def args(engine, **given):
        return JudgeSpec(RULES, engine, engine_args=given).on("cuda:1").engine_args

    assert args("hf:org/model") == {"device": "cuda:1"}
    assert args("hf:org/model", device="cpu") == {"device": "cpu"}
    assert args("hf:sketch") == args("server:http://x/v1#m") == {}


def test_threads_and_event_loops():
    reward = SafetyReward(judge_of())
    expected = {value: reward([shade(value)]) for value in range(0, 160, 10)}
    with ThreadPoolExecutor(8) as pool:
        found = dict(zip(expected, pool.map(lambda v: reward([shade(v)]), expected), strict=True))
    assert found == expected
    assert reward.counts == {"judged": 32}
    assert asyncio.run(reward.acall([shade(50)])) == expected[50]


def test_priors_are_never_asked_twice(tmp_path):
    engine = FakeEngine()  # made-up answers have a revision, so the cache knows them
    cache = PriorCache(tmp_path / "priors.sqlite3")
    reward = SafetyReward(Judge.load(RULES, engine, Policy(cascade=False), cache))
    for start in range(3):
        reward([shade(start * 10 + value) for value in range(64)], ["a", "b"] * 32)
    priors = [probe for wave in engine.history for probe in wave if not probe.images]
    assert len(priors) == len(set(priors)) == 4  # two statements, two prompts


def test_columns_for_trainers_that_know_no_none():
    reward = SafetyReward(judge_of())
    ratings = reward.rate([shade(0), b""])
    scores, columns = filled(reward, ratings, neutral=-1.5)
    assert scores == [ratings[0].reward, -1.5]
    assert columns["unjudged"] == [0.0, 1.0]
    assert columns["bright"][0] == ratings[0].rules["bright"]
    assert math.isnan(columns["bright"][1])
    assert set(columns) == {"unjudged", "bright", "red"}


# --- a real judge ---------------------------------------------------------------------------------


@pytest.mark.skipif(
    not (MODELS / "vlm" / "model.safetensors").is_file(),
    reason="the weights of sketch are not here",
)
def test_the_shipped_judge_rewards_drawn_scenes():
    reward = SafetyReward.load("sketch", "hf:sketch", Policy(cascade=False))
    scenes = list(islice(mixed_scenes(reward.constitution, "rewards"), 18))
    values = reward([draw(scene).pixels for scene, _ in scenes])
    plain = [v for v, (_, truth) in zip(values, scenes, strict=True) if truth.kind == "plain"]
    broken = [v for v, (_, truth) in zip(values, scenes, strict=True) if truth.kind == "violating"]
    assert np.mean(plain) - np.mean(broken) > margin(0.75)
    noise = np.random.default_rng(0).random((1, 96, 96, 3))
    with pytest.warns(RuntimeWarning, match="not a drawn scene"):
        assert reward(noise) == [None]  # never a number for what it was not made for
