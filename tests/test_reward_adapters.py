"""Adapters for trainers that are not installed here, against the shapes of their calls.

The stand-ins do what was read in ddpo-pytorch (`scripts/train.py`), flow_grpo (`rewards.py`), verl
0.9.1 (`reward_manager/naive.py`, `agent_loop.py`) and Flow-Factory (`reward_processor.py`).
"""

import asyncio
import inspect
import math
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from safejudge import Judge, Policy
from safejudge.engines.fake import FakeEngine
from safejudge.errors import EngineCallError, InputError
from safejudge.rewards import Grading, SafetyReward
from safejudge.rewards.ddpo import scorer, with_scores
from safejudge.rewards.flow_factory import reward_model
from safejudge.rewards.verl import async_scorer
from safejudge.rewards.verl import scorer as verl_scorer
from safejudge.types import Constitution, Precondition, Rule, Severity

torch = pytest.importorskip("torch")

RULES = Constitution(
    name="two",
    rules=tuple(
        Rule(
            id=name,
            category="c",
            severity=Severity.CRITICAL,
            text="t",
            objective="o",
            condition=Precondition(statement=f"The picture is {name}."),
        )
        for name in ("bright", "red")
    ),
)
SHADES = (0, 90, 160, 250)
PROMPTS = ("a", "b", "c", "d")


def brightness(probe):
    return float(probe.images[0].pixels.mean()) / 255 if probe.images else 0.5


def dead(probe):
    raise EngineCallError("the server is gone")


def reward_of(answers=brightness, **more):
    judge = Judge.load(RULES, FakeEngine(answers), Policy(cascade=False), None)
    return SafetyReward(judge, **more)


def nhwc(values=SHADES):
    return np.stack([np.full((8, 6, 3), value, np.uint8) for value in values])


def nchw(values=SHADES):
    return torch.from_numpy(nhwc(values)).permute(0, 3, 1, 2).float() / 255


# --- ddpo-pytorch ---------------------------------------------------------------------------------


def test_ddpo_makes_it_without_a_device_and_calls_it_from_a_pool():
    function = scorer(reward_of())()
    metadata = ({}, {}, {}, {})
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(function, nchw(), PROMPTS, metadata) for _ in range(4)]
        done = [future.result() for future in waiting]
    for scores, info in done:
        rewards = torch.as_tensor(scores, device="cpu")
        assert rewards.shape == (4,)
        assert rewards.dtype == torch.float32
        assert rewards.tolist() == sorted(rewards.tolist(), reverse=True)
        assert {name: column.shape for name, column in info.items()} == dict.fromkeys(
            ("unjudged", "bright", "red"), (4,)
        )


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_both_forms_of_a_batch_say_the_same(dtype):
    function = scorer(reward_of())("cpu")
    expected, _ = function(nhwc(), list(PROMPTS), {})
    scores, _ = function(nchw().to(getattr(torch, dtype)), PROMPTS, {})
    assert scores == pytest.approx(expected, abs=0.1)


def test_what_cannot_be_judged_has_the_named_value_and_is_told():
    reward = reward_of()
    batch = nchw()
    batch[1, 0, 0, 0] = math.nan
    batch[2] -= 2
    scores, info = scorer(reward, neutral=-7.5)("cpu")(batch, PROMPTS, {})
    assert scores[[1, 2]].tolist() == [-7.5, -7.5]
    assert info["unjudged"].tolist() == [0, 1, 1, 0]
    assert np.isnan(info["bright"]).tolist() == [False, True, True, False]
    assert reward.counts == {"judged": 2, "bad_array": 2}
    assert [rating.problem is None for rating in reward.last] == [True, False, False, True]


@pytest.mark.parametrize(
    ("batch", "prompts", "said"),
    [
        (nchw(), PROMPTS[:3], "4 images but 3 prompts"),
        (nchw()[None], PROMPTS, "4 dimensions"),
    ],
)
def test_a_call_that_fits_nothing_is_an_error(batch, prompts, said):
    with pytest.raises(InputError, match=said):
        scorer(reward_of())()(batch, prompts, {})


def test_channels_that_cannot_be_told_are_no_guess():
    with pytest.warns(RuntimeWarning, match="none of 2 images has a reward; the first: .*shape"):
        scores, info = scorer(reward_of())()(torch.zeros(2, 7, 8, 9), PROMPTS[:2], {})
    assert scores.tolist() == [0, 0]
    assert info["unjudged"].tolist() == [1, 1]


def test_no_images():
    scores, info = scorer(reward_of())()(nchw()[:0], (), ())
    assert scores.shape == info["unjudged"].shape == (0,)


def test_a_dead_server_stops_the_trainer():
    with pytest.raises(EngineCallError, match="gone"):
        scorer(reward_of(dead))()(nchw(), PROMPTS, {})


def test_a_judge_opened_late_is_opened_by_the_factory():
    reward = SafetyReward.load(RULES, "fake:", cache=None)
    factory = scorer(reward)
    assert reward._judge is None
    factory(torch.device("cpu"))
    assert reward._judge is not None


# --- flow_grpo ------------------------------------------------------------------------------------


def brightness_score(device):
    def function(images, prompts, metadata):
        return [float(image.float().mean()) for image in images], {}

    return function


def stand_in(known):
    """What flow_grpo's `multi_score` does with names it knows."""

    def multi_score(device, score_dict):
        made = {}
        for name in score_dict:
            takes_device = "device" in known[name].__code__.co_varnames
            made[name] = known[name](device) if takes_device else known[name]()

        def score(images, prompts, metadata, ref_images=None, only_strict=True):
            details, total = {}, []
            for name, weight in score_dict.items():
                details[name], _ = made[name](images, prompts, metadata)
                weighted = [weight * one for one in details[name]]
                total = [a + b for a, b in zip(total, weighted, strict=True)] if total else weighted
            return {**details, "avg": total}, {}

        return score

    return multi_score


def test_flow_grpo_takes_the_factory_among_its_own():
    known = {"brightness": brightness_score, "safety": scorer(reward_of())}
    multi_score = stand_in(known)("cuda:0", {"brightness": 0.5, "safety": 2.0})
    details, _ = multi_score(nchw(), PROMPTS, {}, only_strict=True)
    alone, _ = known["safety"]("cuda:0")(nchw(), PROMPTS, {})
    bright = [0.5 * float(image.mean()) for image in nchw()]
    assert details["avg"] == pytest.approx([b + 2 * s for b, s in zip(bright, alone, strict=True)])
    as_logged = {name: torch.as_tensor(values).float() for name, values in details.items()}
    assert {values.shape for values in as_logged.values()} == {(4,)}


def test_flow_grpo_knows_a_fixed_list_so_it_is_wrapped():
    known = {"brightness": brightness_score}
    wrapped = with_scores(stand_in(known), safety=reward_of())
    both = wrapped(torch.device("cpu"), {"brightness": 0.5, "safety": 2.0})
    details, info = both(nchw(), PROMPTS, {}, only_strict=False)
    assert info == {}
    assert list(details) == ["brightness", "avg", "safety", "safety_unjudged"]
    expected = [
        0.5 * one + 2 * float(other)
        for one, other in zip(details["brightness"], details["safety"], strict=True)
    ]
    assert details["avg"] == pytest.approx(expected)
    only = wrapped("cpu", {"safety": 3.0})
    details, _ = only(nhwc(), PROMPTS, [{}] * 4, ref_images=[1], only_strict=True)
    assert details["avg"] == pytest.approx([3 * float(one) for one in details["safety"]])
    with pytest.raises(KeyError, match="nothing"):
        wrapped("cpu", {"nothing": 1.0})


def test_two_constitutions_side_by_side():
    other = reward_of(grading=Grading(temperature=2.0))
    wrapped = with_scores(stand_in({}), safety=reward_of(), calmer=other)
    details, _ = wrapped("cpu", {"safety": 1.0, "calmer": 1.0})(nchw(), PROMPTS, {})
    assert details["avg"] == pytest.approx([1.5 * float(one) for one in details["safety"]])


def test_rewards_of_other_batches_are_not_added_up():
    short = lambda: lambda images, prompts, metadata: ([1.0], {})  # noqa: E731, ARG005
    wrapped = with_scores(stand_in({"short": short}), safety=reward_of())
    with pytest.raises(InputError, match="safety scored 4 images, the other rewards 1"):
        wrapped("cpu", {"short": 1.0, "safety": 1.0})(nchw(), PROMPTS, {})


# --- verl -----------------------------------------------------------------------------------------


def as_verl_calls(function, answer, extra_info):
    """One answer, as the naive reward manager asks for its score."""
    arguments = {
        "data_source": "drawn",
        "solution_str": answer,
        "ground_truth": "",
        "extra_info": {**extra_info, "num_turns": None, "rollout_reward_scores": {}},
        "reward_router_address": "http://127.0.0.1:1",
        "reward_model_tokenizer": object(),
    }

    async def run():
        if inspect.iscoroutinefunction(function):
            return await function(**arguments)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, lambda: function(**arguments))

    return asyncio.run(run())


@pytest.mark.parametrize("make", [verl_scorer, async_scorer])
def test_verl_gets_a_score_and_the_same_keys_for_every_answer(make, tmp_path):
    function = make(reward_of(), neutral=-3.0)
    Image.fromarray(nhwc()[0]).save(tmp_path / "dark.png")
    in_parquet = {"bytes": (tmp_path / "dark.png").read_bytes(), "path": None}
    dark = as_verl_calls(function, "x", {"image": str(tmp_path / "dark.png")})
    several = np.array([in_parquet, in_parquet], dtype=object)
    assert as_verl_calls(function, "x", {"images": several}) == dark
    broken = as_verl_calls(function, "x", {"image": b"junk"})
    assert dark["score"] > 0
    assert (broken["score"], broken["unjudged"]) == (-3.0, 1.0)
    assert list(dark) == list(broken) == ["score", "unjudged", "bright", "red"]
    assert all(type(value) is float for value in (*dark.values(), *broken.values()))


def test_verl_without_an_image_is_a_mistake_in_the_data():
    with pytest.raises(InputError, match="no column image or images"):
        as_verl_calls(verl_scorer(reward_of()), "x", {})
    with pytest.raises(InputError, match="no column image or images"):
        verl_scorer(reward_of())("drawn", "x", "", None)


def test_verl_can_have_the_answer_judged_with_the_image():
    engine = FakeEngine(brightness)
    judge = Judge.load(RULES, engine, Policy(cascade=False), None)
    function = verl_scorer(SafetyReward(judge), caption="solution")
    as_verl_calls(function, "a yellow kite", {"image": nhwc()[0]})
    asked = [probe.question for wave in engine.history for probe in wave]
    assert all("a yellow kite" in question for question in asked)


# --- Flow-Factory ---------------------------------------------------------------------------------


@pytest.fixture
def flow_factory(monkeypatch):
    """Stand-ins of the classes that its rewards are made from."""

    @dataclass
    class RewardModelOutput:
        rewards: list[float]
        extra_info: dict | None = None

    class PointwiseRewardModel:
        def __init__(self, config, accelerator):
            self.config, self.accelerator, self.device = config, accelerator, accelerator.device

    module = types.ModuleType("flow_factory.rewards.abc")
    module.RewardModelOutput = RewardModelOutput
    module.PointwiseRewardModel = PointwiseRewardModel
    for name in ("flow_factory", "flow_factory.rewards"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "flow_factory.rewards.abc", module)
    return module


def test_flow_factory_makes_and_calls_its_own_kind_of_class(flow_factory):
    kind = reward_model(reward_of(), neutral=-2.0)
    accelerator = types.SimpleNamespace(device=torch.device("cpu"))
    model = kind(config=object(), accelerator=accelerator)
    assert isinstance(model, flow_factory.PointwiseRewardModel)
    assert kind.required_fields == ("image", "prompt")
    assert kind.use_tensor_inputs is False
    images = [Image.fromarray(array) for array in nhwc()]
    output = model(prompt=list(PROMPTS), image=images, metadata="{}")
    rewards = torch.as_tensor(output.rewards, device="cpu", dtype=torch.float32)
    assert rewards.shape == (4,)
    assert output.rewards == sorted(output.rewards, reverse=True)
    assert set(output.extra_info) == {"unjudged", "bright", "red"}
    broken = model(prompt=["a"], image=[Image.new("RGB", (0, 4))])
    assert (broken.rewards, broken.extra_info["unjudged"]) == ([-2.0], [1.0])
    with pytest.raises(InputError, match="4 images but 1 prompt"):
        model(prompt=["a"], image=images)
    with pytest.raises(InputError, match="no `image` to judge"):
        model(prompt=["a"], video=[images])


def test_without_flow_factory_there_is_no_class():
    with pytest.raises(ModuleNotFoundError, match="flow_factory"):
        reward_model(reward_of())
