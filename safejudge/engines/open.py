"""Engines, encoders and detectors by URI: the tables of what there is.

A kind of model is one row. Another package adds its own by an entry point of the same groups; see
`README.md` beside this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safejudge.engines.base import OPTIONAL, Detector, Encoder, Engine
from safejudge.engines.registry import Provider, Registry
from safejudge.engines.wrapped import whole

if TYPE_CHECKING:
    from safejudge.engines.vision.encoder import HFEncoder

AUTO = "auto"
"""Stands for the open model that fits the memory at hand; see `auto`."""

SCORER = "scorer:"
"""What the URI of a preference scorer or a distilled filter begins with; its folder follows."""

_OF_HF = ("device", "dtype", "batch_size", "max_pixels", "min_pixels")

ENGINES = Registry(
    "engine",
    (
        Provider(
            AUTO,
            "safejudge.engines.auto:open_auto",
            (*_OF_HF, "download"),
            "auto (for photographs: an open model that fits the memory of this machine)",
            bare=True,
        ),
        Provider(
            "hf",
            "safejudge.engines.local.hf:HFEngine",
            (*_OF_HF, "revision", "template_args", "reply_prefix", "least_mass", "dialect"),
            "hf:ORG/MODEL (a vision-language model of the Hugging Face hub), "
            "hf:/path/to/folder (the same from disk)",
        ),
        Provider(
            "vllm",
            "safejudge.engines.local.vllm:VLLMEngine",
            None,
            "vllm:ORG/MODEL (the same run by vLLM)",
        ),
        Provider(
            "hf:sketch",
            "safejudge.sketch.judge:open_sketch_engine",
            (),
            "hf:sketch (the small judge of drawn scenes that ships with this package; vllm:sketch)",
            kit="hf:sketch",
        ),
        Provider("vllm:sketch", "safejudge.sketch.judge:open_sketch_engine", None, kit="hf:sketch"),
        Provider(
            "server",
            "safejudge.engines.server.engine:ServerEngine",
            ("concurrency", "timeout", "patience", "dialect"),
            "server:http://HOST:PORT/v1#MODEL (any OpenAI-compatible server, vLLM first; its key, "
            "if it wants one, in SAFEJUDGE_API_KEY)",
        ),
        Provider(
            "decisions",
            "safejudge.engines.decisions.engine:DecisionsEngine",
            ("concurrency", "timeout", "patience"),
            "decisions:http://HOST:PORT/v1#MODEL (a server that answers closed questions: "
            "OpenAI's Decisions, System One; its key in SAFEJUDGE_API_KEY too)",
        ),
        Provider(
            "fake:",
            "safejudge.engines.fake:open_fake",
            (),
            "fake: (made-up answers, for trying out the machinery)",
        ),
    ),
    Engine,
    "safejudge.engines",
    OPTIONAL,
)

ENCODERS = Registry(
    "encoder",
    (
        Provider(
            "hf",
            "safejudge.engines.vision.encoder:HFEncoder",
            ("device", "dtype", "batch_size"),
            "hf:ORG/MODEL (a dual encoder of the Hugging Face hub: CLIP, SigLIP and alike), "
            "hf:/path/to/folder (the same from disk)",
        ),
        Provider(
            "hf:sketch",
            "safejudge.sketch.judge:open_sketch_encoder",
            (),
            "hf:sketch (the small encoder of drawn scenes)",
        ),
        Provider(
            "scorer",
            "safejudge.engines.vision.scorer:open_scorer",
            ("device", "batch_size"),
            f"{SCORER}/path/to/folder (a relevance filter that distill made, or a "
            "preference scorer of train-scorer)",
        ),
        Provider(
            "blip-itm",
            "safejudge.engines.vision.blip:open_blip_itm",
            ("device", "dtype", "batch_size"),
            "blip-itm:ORG/MODEL (a BLIP with a head for matching, from hub or folder)",
        ),
        Provider(
            "imagereward",
            "safejudge.engines.vision.image_reward:open_image_reward",
            ("device", "dtype", "batch_size"),
            "imagereward:THUDM/ImageReward, or imagereward:/path/to/ImageReward.pt",
        ),
        Provider(
            "hps",
            "safejudge.engines.vision.hps:HPSEncoder",
            ("device", "dtype", "batch_size"),
            "hps:xswu/HPSv2, or hps:/path/to/HPS_v2.1_compressed.pt",
        ),
        Provider(
            "aesthetics",
            "safejudge.engines.vision.aesthetics:open_aesthetics",
            ("device", "dtype", "batch_size"),
            "aesthetics:/path/to/sac+logos+ava1-l14-linearMSE.pth",
        ),
    ),
    Encoder,
    "safejudge.encoders",
)

DETECTORS = Registry(
    "detector",
    (
        Provider(
            "hf",
            "safejudge.engines.vision.detector:HFDetector",
            ("device", "dtype", "batch_size"),
            "hf:ORG/MODEL (a zero-shot detector of the Hugging Face hub: OWL-ViT, OWLv2, "
            "Grounding DINO), hf:/path/to/folder (the same from disk)",
        ),
        Provider(
            "hf:sketch",
            "safejudge.sketch.judge:open_sketch_detector",
            (),
            "hf:sketch (the small detector of drawn scenes)",
        ),
    ),
    Detector,
    "safejudge.detectors",
)

BACKBONES = Registry(
    "backbone",
    (
        Provider(
            "hf",
            "safejudge.engines.vision.encoder:HFEncoder",
            ("dtype",),
            "hf:ORG/MODEL (a CLIP or SigLIP of the Hugging Face hub), hf:/path/to/folder (the "
            "same from disk)",
        ),
        Provider(
            "hf:sketch",
            "safejudge.sketch.judge:open_sketch_backbone",
            ("dtype",),
            "hf:sketch (the small encoder of drawn scenes)",
        ),
    ),
    Encoder,
)
"""What a preference scorer is built on."""

FORMS = ENGINES.help()
"""What people are told where the URI of an engine is missing or wrong."""

KITS = {provider.name: provider.kit for provider in ENGINES.providers if provider.kit is not None}
"""Engines that come with an encoder and a detector: by URI, the URI of both."""


def open_engine(uri: str, /, **options: Any) -> Engine:
    """Start the engine that a URI names.

    `options` are those of its class: `device`, `dtype`, `batch_size`, `max_pixels`, `min_pixels`,
    `revision` (`HFEngine`), `template_args`, `reply_prefix`, `least_mass`, `dialect` (`HFEngine`,
    `VLLMEngine`), all arguments of `vllm.LLM` (`VLLMEngine`), `concurrency`, `timeout`,
    `patience`, `dialect` (`ServerEngine`; the first three `DecisionsEngine` too), and whatever an
    engine of another package takes; `auto` takes the first five, and `download`: without it,
    nothing is fetched. Raises `EngineSetupError`: no engine is assumed, and options that mean
    nothing are refused.
    """
    return whole(ENGINES.open(uri, options))


def takes_option(uri: str, option: str) -> bool:
    """Whether the engine of a URI has this option; vLLM's are its own affair, so False there."""
    return ENGINES.takes(uri, option)


def open_encoder(uri: str, /, **options: Any) -> Encoder:
    """Start the dual encoder that a URI names.

    `options` are `device`, `dtype` and `batch_size` (a scorer is always float32).
    Raises `EngineSetupError`.
    """
    encoder: Encoder = ENCODERS.open(uri, options)
    return encoder


def number_of(uri: str) -> str:
    """Name what the encoder of a URI gives: a cosine, unless its row is of a score model."""
    return _NUMBERS.get(uri.partition(":")[0], "cosine")


_NUMBERS = {
    "scorer": "preference score",
    "imagereward": "preference score",
    "blip-itm": "match probability",
    "aesthetics": "aesthetic score",
}


def open_backbone(uri: str) -> HFEncoder:
    """Open a dual encoder of transformers, in float32, to build a scorer on.

    Raises `EngineSetupError`.
    """
    backbone: HFEncoder = BACKBONES.open(uri, {"dtype": "float32"})
    return backbone


def open_detector(uri: str, /, **options: Any) -> Detector:
    """Start the zero-shot detector that a URI names.

    `options` are `device`, `dtype` and `batch_size` (`HFDetector`). Raises `EngineSetupError`.
    """
    detector: Detector = DETECTORS.open(uri, options)
    return detector
