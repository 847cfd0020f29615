"""The guard on what pipelines return, and the checker in the slot of a real, tiny one."""

import types
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from safejudge import Judge, Policy
from safejudge.engines.fake import FakeEngine
from safejudge.errors import EngineCallError, InputError
from safejudge.types import Constitution, Failure, Precondition, Rule, Severity

torch = pytest.importorskip("torch")

from safejudge.rewards.diffusers import SafetyChecker, guard  # noqa: E402 - needs torch

RULES = Constitution(
    name="one",
    rules=(
        Rule(
            id="bright",
            category="c",
            severity=Severity.HIGH,
            text="t",
            objective="o",
            condition=Precondition(statement="The picture is bright."),
        ),
    ),
)
DARK, GREY, LIGHT = 10, 128, 250


def judge_of(**policy):
    def brightness(probe):
        return float(probe.images[0].pixels.mean()) / 255 if probe.images else 0.5

    return Judge.load(RULES, FakeEngine(brightness), Policy(cascade=False, **policy), None)


def judge_saying(score):
    """A judge that finds every picture as bright as it is told to."""
    engine = FakeEngine(lambda probe: score if probe.images else 0.5)
    return Judge.load(RULES, engine, Policy(cascade=False), None)


def stripes(value):
    """Columns that differ a little, so that a blur shows; 16 x 12."""
    array = np.full((12, 16, 3), value, np.uint8)
    array[:, ::2] -= 9
    return array


@dataclass
class Output:
    """As FluxPipelineOutput."""

    images: object


@dataclass
class FlaggedOutput:
    """As StableDiffusionPipelineOutput."""

    images: object
    nsfw_content_detected: list[bool] | None


BATCH = np.stack([stripes(DARK), stripes(LIGHT), stripes(GREY)])
FORMS = {
    "pil": lambda: [Image.fromarray(array) for array in BATCH],
    "np": lambda: BATCH.astype(np.float32) / 255,
    "pt": lambda: torch.from_numpy(BATCH).movedim(-1, 1).float() / 255,
    "half": lambda: (torch.from_numpy(BATCH).movedim(-1, 1) / 255).to(torch.bfloat16),
    "bytes": BATCH.copy,
}


def pixels(image):
    """Any image as H x W x 3 numbers in [0, 255]."""
    if isinstance(image, torch.Tensor):
        image = image.movedim(0, -1).float().numpy()
    array = np.asarray(image).astype(float)
    return array if array.max() > 1 else array * 255


# --- guard ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("on_flag", ["black", "blur", "keep"])
def test_what_does_not_pass_is_replaced_in_its_own_form(form, on_flag):
    images = FORMS[form]()
    before = [pixels(image).copy() for image in images]
    guarded = guard(FlaggedOutput(images, None), judge_of(), on_flag=on_flag)
    assert guarded.flagged == guarded.output.nsfw_content_detected == [False, True, True]
    assert [result.label for result in guarded.results] == ["safe", "unsafe", "undecided"]
    assert isinstance(guarded.output, FlaggedOutput)
    assert type(guarded.images) is type(images)
    assert len(guarded.images) == 3
    for new, old, was, flagged in zip(guarded.images, images, before, guarded.flagged, strict=True):
        assert np.array_equal(pixels(old), was)  # the caller's are untouched
        assert (pixels(new).shape, getattr(new, "dtype", 0)) == (
            was.shape,
            getattr(old, "dtype", 0),
        )
        if not flagged or on_flag == "keep":
            assert np.array_equal(pixels(new), was)
        elif on_flag == "black":
            assert not pixels(new).any()
        else:
            assert np.ptp(pixels(new)) < np.ptp(was) / 2
            assert pixels(new).mean() == pytest.approx(was.mean(), abs=2)


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_transparent_batches_are_blurred_too(channels):
    batch = np.repeat(BATCH[..., :1], channels, axis=3)
    guarded = guard(Output(batch), judge_of(background="white"), on_flag="blur")
    assert guarded.flagged[1]
    assert guarded.images.shape == batch.shape
    assert np.ptp(guarded.images[1]) < np.ptp(batch[1])


def test_undecided_passes_only_by_name():
    guarded = guard(Output(FORMS["np"]()), judge_of(allow_undecided=True))
    assert guarded.flagged == [False, True, False]


def test_what_cannot_be_judged_is_flagged_and_never_blurred():
    images = FORMS["np"]()
    images[0, 0, 0, 0] = np.nan
    guarded = guard(Output(images), judge_of(), on_flag="blur")
    assert isinstance(guarded.results[0], Failure)
    assert guarded.flagged[0]
    assert not guarded.images[0].any()
    latents = guard(Output(torch.randn(2, 4, 8, 8) * 3), judge_of())
    assert latents.flagged == [True, True]
    assert not latents.images.any()


def test_prompts_go_along():
    judge = judge_saying(0.1)
    guard(Output(FORMS["pil"]()), judge, prompts=["a kite"] * 3)
    asked = [probe.question for wave in judge.models.engine.history for probe in wave]
    assert {"a kite" in question for question in asked} == {True, False}  # and without it


@pytest.mark.parametrize(
    "output", [(FORMS["pil"](), None), FORMS["pil"](), types.SimpleNamespace(frames=[])]
)
def test_an_output_without_images_is_refused(output):
    with pytest.raises(InputError, match="has no images"):
        guard(output, judge_of())


def test_an_unknown_action_is_refused():
    with pytest.raises(InputError, match="on_flag is 'hide'"):
        guard(Output(FORMS["pil"]()), judge_of(), on_flag="hide")
    with pytest.raises(InputError, match="on_flag is 'hide'"):
        SafetyChecker(judge_of(), "hide")


def test_a_dead_engine_lets_nothing_through():
    def dead(probe):
        raise EngineCallError("the server is gone")

    judge = Judge.load(RULES, FakeEngine(dead), cache=None)
    with pytest.raises(EngineCallError, match="gone"):
        guard(Output(FORMS["pil"]()), judge)
    with pytest.raises(EngineCallError, match="gone"):
        SafetyChecker(judge)(images=FORMS["np"](), clip_input=None)


# --- the checker ----------------------------------------------------------------------------------


@pytest.mark.parametrize("on_flag", ["black", "blur", "keep"])
def test_tensors_come_from_the_decoder_and_flagged_ones_go_back_in_0_to_1(on_flag):
    checker = SafetyChecker(judge_of(), on_flag)
    shown = FORMS["pt"]()
    raw = shown * 2 - 1
    raw[0] -= 0.5  # a decoder overshoots
    before = raw.clone()
    images, flagged = checker(images=raw, clip_input=torch.zeros(1))
    assert torch.equal(raw, before)
    assert flagged == [False, True, True]
    assert [result.label for result in checker.last] == ["safe", "unsafe", "undecided"]
    assert torch.equal(images[0], raw[0])
    if on_flag == "black":
        assert not images[1:].any()
    elif on_flag == "keep":
        assert torch.allclose(images[1:], shown[1:], atol=1e-6)
    else:
        assert float(images[1:].mean()) == pytest.approx(float(shown[1:].mean()), abs=0.01)


def test_arrays_and_ready_tensors_are_taken_as_they_are():
    array = FORMS["np"]()
    images, flagged = SafetyChecker(judge_of())(images=array, clip_input=None)
    assert flagged == [False, True, True]
    assert images is not array
    assert array[1].any()
    ready = SafetyChecker(judge_of(), tensors_denormalized=True)
    assert ready(images=FORMS["pt"](), clip_input=None)[1] == flagged
    kept, flagged = ready(images=FORMS["pt"]()[:1], clip_input=None)
    assert flagged == [False]
    assert torch.equal(kept, FORMS["pt"]()[:1])


def test_it_moves_with_its_pipeline():
    checker = SafetyChecker(judge_of()).to(dtype=torch.bfloat16)
    assert (checker.device.type, checker.dtype) == ("cpu", torch.bfloat16)
    assert checker.state_dict() == {}
    assert list(checker.parameters()) == []


# --- a real pipeline ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny_pipeline():
    """Stable Diffusion of random weights, 32 pixels; prompts come as embeddings."""
    diffusers = pytest.importorskip("diffusers")
    import transformers

    torch.manual_seed(0)
    blocks = {"block_out_channels": (32,), "norm_num_groups": 8}
    unet = diffusers.UNet2DConditionModel(
        sample_size=16,
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",),
        cross_attention_dim=16,
        attention_head_dim=8,
        **blocks,
    )
    vae = diffusers.AutoencoderKL(latent_channels=4, **blocks)
    features = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )

    def build(checker):
        pipeline = diffusers.StableDiffusionPipeline(
            vae=vae,
            text_encoder=None,
            tokenizer=None,
            unet=unet,
            scheduler=diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
            safety_checker=checker,
            feature_extractor=features,
            requires_safety_checker=checker is not None,
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    return build


def drawn(pipeline, output_type="np"):
    return pipeline(
        prompt_embeds=torch.ones(2, 3, 16),
        guidance_scale=0.0,
        num_inference_steps=2,
        height=16,
        width=16,
        generator=torch.Generator().manual_seed(0),
        output_type=output_type,
    )


@pytest.mark.parametrize("passes", [True, False])
@pytest.mark.parametrize("output_type", ["np", "pil", "pt"])
def test_stable_diffusion_takes_it_in_its_slot(tiny_pipeline, passes, output_type):
    free = drawn(tiny_pipeline(None), output_type)
    judge = judge_saying(0.0 if passes else 1.0)
    checker = SafetyChecker(judge)
    pipeline = tiny_pipeline(checker).to("cpu")
    output = drawn(pipeline, output_type)
    assert output.nsfw_content_detected == [not passes] * 2
    assert [result.label for result in checker.last] == ["safe" if passes else "unsafe"] * 2
    for image, unchecked in zip(output.images, free.images, strict=True):
        assert np.array_equal(pixels(image), pixels(unchecked) if passes else 0 * pixels(image))


def test_kept_images_are_those_of_the_pipeline_without_a_checker(tiny_pipeline):
    free = drawn(tiny_pipeline(None))
    judge = judge_saying(1.0)
    kept = drawn(tiny_pipeline(SafetyChecker(judge, "keep")))
    assert kept.nsfw_content_detected == [True, True]
    assert np.allclose(kept.images, free.images, atol=1e-6)


def test_guard_takes_what_real_pipelines_return(tiny_pipeline):
    outputs = pytest.importorskip("diffusers.pipelines.flux.pipeline_output")
    judge = judge_saying(1.0)
    output = drawn(tiny_pipeline(None), "pil")
    guarded = guard(output, judge)
    assert type(guarded.output) is type(output)
    assert guarded.output["nsfw_content_detected"] == [True, True]
    assert output.nsfw_content_detected is None
    slotless = guard(outputs.FluxPipelineOutput(images=output.images), judge)
    assert [np.asarray(image).any() for image in slotless.images] == [False, False]
