"""Engines, encoders and detectors by URI."""

from __future__ import annotations

from importlib.metadata import entry_points
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from safejudge.errors import EngineSetupError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from safejudge.engines.base import Detector, Encoder, Engine
    from safejudge.engines.vision.encoder import HFEncoder


FORMS = (
    "hf:ORG/MODEL (a vision-language model of the Hugging Face hub), "
    "hf:/path/to/folder (the same from disk), vllm:ORG/MODEL (the same run by vLLM), "
    "hf:sketch (the small judge of drawn scenes that ships with this package; vllm:sketch), "
    "hf:sketch-even (its unskewed twin, for comparison), "
    "server:http://HOST:PORT/v1#MODEL (any OpenAI-compatible server, vLLM first; its key, if it "
    "wants one, in SAFEJUDGE_API_KEY), "
    "fake: (made-up answers, for trying out the machinery)"
)
"""What people are told where a URI is missing or wrong."""

ENCODER_FORMS = (
    "hf:ORG/MODEL (a dual encoder of the Hugging Face hub: CLIP, SigLIP and alike), "
    "hf:/path/to/folder (the same from disk), hf:sketch (the small encoder of drawn scenes), "
    "scorer:/path/to/folder (a preference scorer that train-scorer made), "
    "NAME:... (a score model of another package, by its entry point safejudge.encoders)"
)
"""The same for encoders."""

BACKBONE_FORMS = (
    "hf:ORG/MODEL (a CLIP or SigLIP of the Hugging Face hub), hf:/path/to/folder (the same from "
    "disk), hf:sketch (the small encoder of drawn scenes)"
)
"""The same for what a preference scorer is built on."""

ENCODERS = "safejudge.encoders"
"""The entry-point group under which a package names what opens its score model.

The name is the scheme of its URIs; called with what follows the colon, it returns an `Encoder`.
"""

SCORER = "scorer:"
"""What the URI of a preference scorer begins with; its folder follows."""

DETECTOR_FORMS = (
    "hf:ORG/MODEL (a zero-shot detector of the Hugging Face hub: OWL-ViT, OWLv2, Grounding DINO), "
    "hf:/path/to/folder (the same from disk), hf:sketch (the small detector of drawn scenes)"
)
"""The same for detectors."""

SKETCHES = {
    "hf:sketch": "vlm", "hf:sketch-even": "vlm-even",
    "vllm:sketch": "vlm", "vllm:sketch-even": "vlm-even",
}  # fmt: skip
"""The shipped judges by URI, with the names of their folders."""

KITS = dict.fromkeys(SKETCHES, "hf:sketch")
"""Engines that come with an encoder and a detector: by URI, the URI of both."""

_OPTIONS: dict[str, tuple[str, ...] | None] = {
    "hf": ("device", "dtype", "batch_size"),
    "server": ("concurrency", "timeout"),
    "vllm": None,
}
"""What each kind of engine may be told; None: whatever its library takes."""


def open_engine(uri: str, **options: Any) -> Engine:
    """Start the engine that a URI names.

    `options` are those of its class: `device`, `dtype`, `batch_size` (`HFEngine`), `concurrency`,
    `timeout` (`ServerEngine`), all arguments of `vllm.LLM` (`VLLMEngine`). Raises
    `EngineSetupError`: no engine is assumed, and options that mean nothing are refused.
    """
    scheme, colon, rest = uri.partition(":")
    if uri == "fake:":
        _check_options(uri, options, ())
        return _fake()
    if uri in SKETCHES:
        _check_options(uri, options, _OPTIONS["vllm"] if scheme == "vllm" else ())
        return _sketch(uri, options)
    if not (colon and rest and scheme in _OPTIONS):
        raise EngineSetupError(f"{uri!r} names no engine, and none is assumed. There are: {FORMS}.")
    _check_options(uri, options, _OPTIONS[scheme])
    if scheme == "hf":
        from safejudge.engines.local.hf import HFEngine

        return HFEngine(rest, uri=uri, **options)
    if scheme == "server":
        from safejudge.engines.server.engine import ServerEngine

        return ServerEngine(rest, uri=uri, **options)
    from safejudge.engines.local.vllm import VLLMEngine

    return VLLMEngine(rest, uri=uri, options=options)


def _check_options(uri: str, given: Mapping[str, Any], known: Sequence[str] | None) -> None:
    if known is None:  # vLLM checks its own
        return
    if strange := [name for name in given if name not in known]:
        instead = f"it takes {', '.join(known)}" if known else "leave it out"
        raise EngineSetupError(f"{uri} takes no option {', '.join(strange)}; {instead}.")


def open_encoder(
    uri: str,
    *,
    device: str | None = None,
    dtype: str | None = None,
    batch_size: int = 16,
) -> Encoder:
    """Start the dual encoder that a URI names; see `HFEncoder`. Raises `EngineSetupError`."""
    if uri == "hf:sketch":
        encoder: Encoder = _drawn("open_sketch_encoder")()
        return encoder
    if uri.startswith(SCORER) and uri != SCORER:
        from safejudge.engines.vision.scorer import open_scorer

        return open_scorer(uri, device=device, batch_size=batch_size)
    if (plugged := _plugged(uri)) is not None:
        return plugged
    model = _model_of(uri, "encoder", ENCODER_FORMS)
    from safejudge.engines.vision.encoder import HFEncoder

    return HFEncoder(model, uri=uri, device=device, dtype=dtype, batch_size=batch_size)


def open_backbone(uri: str) -> HFEncoder:
    """Open a dual encoder of transformers, in float32, to build a scorer on.

    Raises `EngineSetupError`.
    """
    if uri == "hf:sketch":
        backbone: HFEncoder = _drawn("open_sketch_backbone")()
        return backbone
    model = _model_of(uri, "backbone", BACKBONE_FORMS)
    from safejudge.engines.vision.encoder import HFEncoder

    return HFEncoder(model, uri=uri, dtype="float32")


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
        detector: Detector = _drawn("open_sketch_detector")()
        return detector
    model = _model_of(uri, "detector", DETECTOR_FORMS)
    from safejudge.engines.vision.detector import HFDetector

    return HFDetector(model, uri=uri, device=device, dtype=dtype, batch_size=batch_size)


def _plugged(uri: str) -> Encoder | None:
    """The score model of another package; None where none has this scheme."""
    scheme, colon, rest = uri.partition(":")
    for entry in entry_points(group=ENCODERS, name=scheme) if colon and scheme != "hf" else ():
        try:
            encoder: Encoder = entry.load()(rest)
        except Exception as error:  # whatever another package raises
            problem = f"{type(error).__name__}: {error}"
            raise EngineSetupError(f"{uri}: {entry.value} could not open it: {problem}") from error
        return encoder
    return None


def _model_of(uri: str, kind: str, forms: str) -> str:
    """The folder or hub id of an encoder's or detector's URI."""
    scheme, _, rest = uri.partition(":")
    if scheme != "hf" or not rest:
        raise EngineSetupError(f"{uri!r} names no {kind}, and none is assumed. There are: {forms}.")
    return rest


def _sketch(uri: str, options: Mapping[str, Any]) -> Engine:
    engine: Engine = _drawn("open_sketch_engine")(SKETCHES[uri], uri, options)
    return engine


def _fake() -> Engine:
    from safejudge.engines.fake import FakeEngine

    return FakeEngine()


def _drawn(name: str) -> Any:
    """What opens a model of the drawn world; by name, since engines know nothing of it."""
    return resolve_name(f"safejudge.sketch.judge:{name}")
