"""Engines: models behind two batched methods, chosen by a URI; encoders and detectors beside them.

Importing this loads no model library; an engine's own module does, when it is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.engines.base import Detector, Encoder, Engine
from safejudge.errors import EngineSetupError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KITS", "Detector", "Encoder", "Engine", "open_detector", "open_encoder", "open_engine"]

FORMS = (
    "hf:ORG/MODEL (a vision-language model of the Hugging Face hub), "
    "hf:/path/to/folder (the same from disk), hf:sketch (the small judge of drawn scenes that "
    "ships with this package), hf:sketch-even (its unskewed twin, for comparison), "
    "server:http://HOST:PORT/v1#MODEL (any OpenAI-compatible server, vLLM first; its key, if it "
    "wants one, in SAFEJUDGE_API_KEY), "
    "fake: (made-up answers, for trying out the machinery)"
)
"""What people are told where a URI is missing or wrong."""

ENCODER_FORMS = (
    "hf:ORG/MODEL (a dual encoder of the Hugging Face hub: CLIP, SigLIP and alike), "
    "hf:/path/to/folder (the same from disk), hf:sketch (the small encoder of drawn scenes)"
)
"""The same for encoders."""

DETECTOR_FORMS = (
    "hf:ORG/MODEL (a zero-shot detector of the Hugging Face hub: OWL-ViT, OWLv2, Grounding DINO), "
    "hf:/path/to/folder (the same from disk), hf:sketch (the small detector of drawn scenes)"
)
"""The same for detectors."""

KITS = {"hf:sketch": "hf:sketch", "hf:sketch-even": "hf:sketch"}
"""Engines that come with an encoder and a detector: by URI, the URI of both."""


def open_engine(
    uri: str,
    *,
    device: str | None = None,
    dtype: str | None = None,
    batch_size: int | None = None,
) -> Engine:
    """Start the engine that a URI names.

    `device`, `dtype` and `batch_size` are for models in this process (see `HFEngine`). Raises
    `EngineSetupError`: no engine is assumed, and options that mean nothing are refused.
    """
    scheme, colon, rest = uri.partition(":")
    options = {"device": device, "dtype": dtype, "batch_size": batch_size}
    given = {name: value for name, value in options.items() if value is not None}
    if uri in _WITHOUT_OPTIONS:
        if given:
            raise EngineSetupError(f"{uri} takes no option {', '.join(given)}; leave it out.")
        return _WITHOUT_OPTIONS[uri]()
    if colon and scheme == "hf" and rest:
        from safejudge.engines.hf import HFEngine

        return HFEngine(rest, uri=uri, device=device, dtype=dtype, batch_size=batch_size or 16)
    if colon and scheme == "server" and rest:
        if given:
            raise EngineSetupError(
                f"{uri} takes no option {', '.join(given)}; start the server with what it needs."
            )
        from safejudge.engines.server import ServerEngine

        return ServerEngine(rest, uri=uri)
    if colon and scheme == "vllm":
        raise EngineSetupError(
            f"{uri}: there is no vllm: engine in this version yet. There are: {FORMS}."
        )
    raise EngineSetupError(f"{uri!r} names no engine, and none is assumed. There are: {FORMS}.")


def open_encoder(
    uri: str,
    *,
    device: str | None = None,
    dtype: str | None = None,
    batch_size: int = 16,
) -> Encoder:
    """Start the dual encoder that a URI names; see `HFEncoder`. Raises `EngineSetupError`."""
    if uri == "hf:sketch":
        from safejudge.sketch.judge import open_sketch_encoder

        return open_sketch_encoder()
    model = _model_of(uri, "encoder", ENCODER_FORMS)
    from safejudge.engines.encoder import HFEncoder

    return HFEncoder(model, uri=uri, device=device, dtype=dtype, batch_size=batch_size)


def open_detector(
    uri: str,
    *,
    device: str | None = None,
    dtype: str | None = None,
    batch_size: int = 4,
) -> Detector:
    """Start the zero-shot detector that a URI names; see `HFDetector`.

    Raises `EngineSetupError`.
    """
    if uri == "hf:sketch":
        from safejudge.sketch.judge import open_sketch_detector

        return open_sketch_detector()
    model = _model_of(uri, "detector", DETECTOR_FORMS)
    from safejudge.engines.detector import HFDetector

    return HFDetector(model, uri=uri, device=device, dtype=dtype, batch_size=batch_size)


def _model_of(uri: str, kind: str, forms: str) -> str:
    """The folder or hub id of an encoder's or detector's URI."""
    scheme, _, rest = uri.partition(":")
    if scheme != "hf" or not rest:
        raise EngineSetupError(f"{uri!r} names no {kind}, and none is assumed. There are: {forms}.")
    return rest


def _sketch() -> Engine:
    from safejudge.sketch.judge import open_sketch_engine

    return open_sketch_engine()


def _sketch_twin() -> Engine:
    from safejudge.sketch.judge import open_sketch_engine

    return open_sketch_engine("vlm-even")


def _fake() -> Engine:
    from safejudge.engines.fake import FakeEngine

    return FakeEngine()


_WITHOUT_OPTIONS: dict[str, Callable[[], Engine]] = {
    "hf:sketch": _sketch,
    "hf:sketch-even": _sketch_twin,
    "fake:": _fake,
}
