"""The adapter for TRL: its call, and a few real steps of GRPOTrainer on tiny random models."""

import asyncio
import functools
import io
import math
import pickle

import numpy as np
import pytest
from contract.tiny_models import CHATML, build_idefics3, build_tokenizer, text_config
from PIL import Image

from safejudge import Judge, Policy, PriorCache
from safejudge.engines.fake import FakeEngine
from safejudge.errors import InputError
from safejudge.rewards import SafetyReward
from safejudge.rewards.cells import Cells
from safejudge.rewards.trl import AsyncGRPOReward, GRPOReward, text_of, texts_of
from safejudge.types import Constitution, Precondition, Rule, Severity

RULES = Constitution(
    name="two",
    rules=tuple(
        Rule(
            id=name,
            category="c",
            severity=Severity.HIGH,
            text="t",
            objective="o",
            condition=Precondition(statement=f"The picture is {name}."),
        )
        for name in ("bright", "red")
    ),
)
BOTH_KINDS = pytest.mark.parametrize("kind", [GRPOReward, AsyncGRPOReward])


def shade(value):
    return Image.new("RGB", (8, 8), (value, value, value))


def brightness(probe):
    return float(probe.images[0].pixels.mean()) / 255 if probe.images else 0.5


def scripted(answers=brightness, **more):
    return SafetyReward(Judge.load(RULES, FakeEngine(answers), Policy(cascade=False), None), **more)


def made_up(tmp_path):
    """Answers that hang on picture and text, so that the completions of a group differ."""
    return SafetyReward.load(RULES, "fake:", Policy(cascade=False), PriorCache(tmp_path / "p.db"))


class Log:
    """What a trainer hands over to log with."""

    def __init__(self):
        self.extra, self.metrics = {}, {}

    def arguments(self):
        return {"log_extra": self.extra.__setitem__, "log_metric": self.metrics.__setitem__}


def call(reward, **arguments):
    """As the trainer calls: by name, with whatever it has."""
    count = len(arguments["completions"])
    given = {
        "prompts": ["draw"] * count,
        "completion_ids": [[1, 2]] * count,
        "trainer_state": object(),
        "environments": [object()] * count,
        **arguments,
    }
    found = reward(**given)
    return asyncio.run(found) if asyncio.iscoroutine(found) else found


# --- the call -------------------------------------------------------------------------------------


@BOTH_KINDS
def test_one_value_per_completion_and_none_for_what_cannot_be_judged(kind):
    log = Log()
    images = [shade(0), shade(250), np.full((8, 8, 3), np.nan), None, b"junk"]
    values = call(kind(scripted()), completions=["a"] * 5, image=images, **log.arguments())
    assert values[0] > 0 > values[1]
    assert values[2:] == [None] * 3
    assert log.metrics["safety/unjudged"] == 0.6
    assert set(log.extra) == {"safety/bright", "safety/red"}
    assert log.extra["safety/red"][2:] == [None] * 3
    mean = sum(log.extra["safety/bright"][:2]) / 2
    assert log.metrics["safety/bright"] == pytest.approx(mean)


def test_cells_as_data_sets_leave_them(tmp_path):
    shade(250).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    undecoded = {"bytes": data, "path": "elsewhere.png"}
    on_disk = {"bytes": None, "path": str(tmp_path / "a.png")}
    cells = [shade(250), undecoded, on_disk, [shade(0), undecoded], [shade(0)], [], [b"junk", data]]
    values = call(GRPOReward(scripted()), completions=["a"] * 7, images=cells)
    assert values[:4] == [values[0]] * 4  # of several images the worst counts
    assert values[4] > values[0]
    assert values[5:] == [None, None]


def test_the_column_can_be_named():
    reward = GRPOReward(scripted(), column="picture", name="safe")
    assert call(reward, completions=["a"], picture=[shade(0)], image=[None])[0] is not None
    with pytest.raises(InputError, match=r"no column picture .* only image, other"):
        reward(prompts=["a"], completions=["a"], image=[shade(0)], other=[1])
    with pytest.raises(InputError, match=r"no column image or images .* only none"):
        GRPOReward(scripted())(prompts=["a"], completions=["a"])
    with pytest.raises(InputError, match="1 cell of images for 2 completions"):
        reward(prompts=["a", "b"], completions=["a", "b"], picture=[shade(0)])


@pytest.mark.parametrize("caption", [None, "prompt", "completion"])
def test_the_caption_is_what_was_chosen(caption):
    engine = FakeEngine(brightness)
    judge = Judge.load(RULES, engine, Policy(cascade=False), None)
    reward = GRPOReward(SafetyReward(judge), caption=caption)
    parts = [{"type": "image"}, {"type": "text", "text": "a kite"}]
    prompts = [[{"role": "system", "content": "s"}, {"role": "user", "content": parts}]]
    completions = [[{"role": "assistant", "content": "a boat"}]]
    call(reward, prompts=prompts, completions=completions, image=[shade(0)])
    asked = "".join(probe.question for wave in engine.history for probe in wave)
    assert ("a kite" in asked, "a boat" in asked) == (caption == "prompt", caption == "completion")


def test_texts_of_both_forms():
    assert text_of("plain") == "plain"
    assert text_of([]) is None
    assert text_of([{"role": "assistant", "content": None}]) is None
    with pytest.raises(InputError, match="caption is 'both'"):
        GRPOReward(scripted(), caption="both")


def said(*parts):
    return [{"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    ("turn", "text"),
    [
        (None, None), ("", ""), ([], None), ({"role": "user", "content": "a cat"}, "a cat"),
        (["hello", "a cat"], "a cat"), (("a cat",), "a cat"),
        (said({"type": "text", "text": "a cat"}), "a cat"),
        (said({"type": "text", "text": None}), None),
        (said({"type": "image"}, {"type": "text", "text": "a"}, {"text": "cat"}), "a cat"),
        (said({"text": "a cat"}), "a cat"), (said({"type": None, "text": "a cat"}), "a cat"),
        (said("a", "cat"), "a cat"), (said(None, "a cat"), "a cat"), (said({"image": 3}), None),
        (said({"type": "image", "text": None, "image": 3}), None), (said(), None),
        ([{"role": "user", "content": {"type": "text", "text": "a cat"}}], "a cat"),
        ([{"role": "assistant", "tool_calls": [1]}], None), ([{"role": "user"}], None),
        (np.array([{"role": "user", "content": "a cat"}], dtype=object), "a cat"),
        (said(np.str_("a cat")), "a cat"),
    ],
)  # fmt: skip
def test_the_text_of_every_shape_there_is(turn, text):
    assert text_of(turn) == text


@pytest.mark.parametrize(
    "turn",
    [3, [3], b"x", [{"content": 3}], said(3), said({"type": "text", "text": 3}), [["a"]], {1, 2}],
)
def test_a_shape_without_a_text_is_named_with_its_row(turn):
    with pytest.raises(InputError, match=r"^row 1: "):
        texts_of(["fine", turn])
    with pytest.raises(InputError, match=r"^row 1: "):
        call(GRPOReward(scripted(), caption="prompt"), prompts=["fine", turn],
             completions=["a", "b"], image=[shade(1), shade(2)])  # fmt: skip


def png(value):
    data = io.BytesIO()
    shade(value).save(data, "PNG")
    return data.getvalue()


@pytest.mark.parametrize(
    ("cell", "images"),
    [
        ({"bytes": b"x", "path": "a.png", "extra": 1}, [b"x"]),
        ({"bytes": None, "path": "a.png", "id": 3}, ["a.png"]),
        ({"bytes": None, "path": None}, []), ({"path": "a.png"}, ["a.png"]),
        ({"bytes": b"x"}, [b"x"]),
        ([{"bytes": b"x", "path": None, "w": 1}, None, "b.png"], [b"x", "b.png"]),
        ([["a.png"], ["b.png", None]], ["a.png", "b.png"]), ([], []), (None, []), ([None], []),
        ({"bytes": [b"x", None], "path": ["a.png", "b.png"]}, [b"x", "b.png"]),
        ({"bytes": [None], "path": None}, []),
        (np.array([{"bytes": b"x", "path": None}], dtype=object), [b"x"]), ("a.png", ["a.png"]),
    ],
)  # fmt: skip
def test_the_images_of_every_shape_there_is(cell, images):
    assert Cells.of(["first", cell]).sources == ["first", *images]
    assert Cells.of([cell]).rows == [0] * len(images)


def test_a_cell_with_more_fields_is_rewarded():
    cell = {"bytes": png(20), "path": None, "width": 8}
    assert call(GRPOReward(scripted()), completions=["a"], image=[cell]) == call(
        GRPOReward(scripted()), completions=["a"], image=[shade(20)]
    )


@BOTH_KINDS
def test_it_is_named_and_picklable(kind, tmp_path):
    reward = kind(made_up(tmp_path), name="house-rules", caption="completion")
    twin = pickle.loads(pickle.dumps(reward))  # noqa: S301 - made here
    assert twin.__name__ == "house-rules"
    arguments = {"completions": ["a", "b"], "image": [shade(1), shade(2)]}
    assert call(twin, **arguments) == call(reward, **arguments)


# --- the real trainer -----------------------------------------------------------------------------


@BOTH_KINDS
def test_trl_knows_what_it_is(kind):
    utils = pytest.importorskip("trl.trainer.utils")
    reward = functools.partial(kind(scripted(), name="house-rules"))
    assert utils.get_callable_name(reward) == "house-rules"
    assert utils.is_async_callable(reward) == (kind is AsyncGRPOReward)


def settings(tmp_path, max_steps=3):
    trl = pytest.importorskip("trl")
    return trl.GRPOConfig(
        output_dir=str(tmp_path / "out"),
        per_device_train_batch_size=4,
        num_generations=4,
        max_completion_length=6,
        max_steps=max_steps,
        logging_steps=1,
        learning_rate=1e-2,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        seed=1,
    )


def trained(trainer):
    """Train, and return the log and whether any weight moved."""
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.train()
    moved = any((p != before[name]).any() for name, p in trainer.model.named_parameters())
    return [row for row in trainer.state.log_history if "reward" in row], moved


@BOTH_KINDS
def test_grpo_learns_from_it(kind, tmp_path):
    trl, datasets = pytest.importorskip("trl"), pytest.importorskip("datasets")
    import transformers

    tokenizer = build_tokenizer(["<|im_end|>"], eos="<|im_end|>", template=CHATML)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**text_config(tokenizer)))
    rows = {"prompt": ["draw a kite", "draw a boat"], "picture": [shade(20), shade(40)]}
    trainer = trl.GRPOTrainer(
        model,
        reward_funcs=kind(made_up(tmp_path), column="picture", caption="completion"),
        args=settings(tmp_path),
        train_dataset=datasets.Dataset.from_dict(rows).cast_column("picture", datasets.Image()),
        processing_class=tokenizer,
    )
    log, moved = trained(trainer)
    assert len(log) == 3
    assert moved
    assert all(math.isfinite(row["loss"]) for row in log)
    assert all(row["reward"] == row["rewards/safety/mean"] for row in log)
    assert all(row["reward_std"] > 0 for row in log)  # graded within the group
    assert all({"safety/bright", "safety/red", "safety/unjudged"} <= set(row) for row in log)
    assert [row["safety/unjudged"] for row in log] == [0, 0, 0]
    assert len(trainer._logs["extra"]["safety/red"]) == len(trainer._logs["completion"])


def test_grpo_leaves_out_what_could_not_be_judged(tmp_path):
    trl, datasets = pytest.importorskip("trl"), pytest.importorskip("datasets")
    import transformers

    def quality(completions, **_):
        return [float(len(text)) for text in completions]

    tokenizer = build_tokenizer(["<|im_end|>"], eos="<|im_end|>", template=CHATML)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**text_config(tokenizer)))
    shade(20).save(tmp_path / "good.png")
    rows = {"prompt": ["draw"] * 2, "file": [b"junk", (tmp_path / "good.png").read_bytes()]}
    safety = GRPOReward(made_up(tmp_path), column="file", caption="completion")
    trainer = trl.GRPOTrainer(
        model,
        reward_funcs=[safety, quality],
        args=settings(tmp_path, max_steps=4),
        train_dataset=datasets.Dataset.from_dict(rows),
        processing_class=tokenizer,
    )
    with pytest.warns(RuntimeWarning, match="none of 4 images has a reward"):
        log, moved = trained(trainer)
    assert moved
    assert sorted(row["safety/unjudged"] for row in log) == [0, 0, 1, 1]
    for row in log:
        of_safety, of_quality = row["rewards/safety/mean"], row["rewards/quality/mean"]
        if row["safety/unjudged"]:
            assert of_safety is None or math.isnan(of_safety)
            assert row["reward"] == pytest.approx(of_quality)
        else:
            assert row["reward"] == pytest.approx(of_safety + of_quality)
    assert safety.reward.counts == {"not_an_image": 8, "judged": 8}


def test_grpo_of_a_vision_language_model_hands_over_its_image_column(tmp_path):
    trl, datasets = pytest.importorskip("trl"), pytest.importorskip("datasets")
    import transformers

    config, processor = build_idefics3()
    model = transformers.AutoModelForImageTextToText.from_config(config)
    ask = [{"role": "user", "content": "What does it show?"}]
    rows = {"prompt": [ask, ask], "image": [shade(20), shade(200)]}
    trainer = trl.GRPOTrainer(
        model,
        reward_funcs=GRPOReward(made_up(tmp_path), caption="completion"),
        args=settings(tmp_path),
        train_dataset=datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image()),
        processing_class=processor,
    )
    log, moved = trained(trainer)
    assert moved
    assert all(row["reward_std"] > 0 for row in log)
