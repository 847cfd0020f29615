"""What single kinds of model do that would mislead a user, found by how they behave.

A library that is missing behind another error; logits that a class forgets to scale; a classifier
that answers no questions; pictures that a runner reads in one direction only.
"""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from safejudge.text import causes, first_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from safejudge.types import JSON

_LACKING = re.compile(
    r"[Mm]issing optional dependenc(?:y|ies): (?P<listed>[\w-]+(?:, [\w-]+)*)"
    r"|requires the (?P<library>[\w-]+) library,? but it was not found"
    r"|No module named '(?P<module>[\w.]+)'"
)
"""How transformers and Python say that a library is not installed."""


def missing_dependency(error: BaseException) -> str | None:
    """Find the library whose absence is behind an error: in its whole text, or in its causes."""
    for link in causes(error):
        if match := _LACKING.search(str(link)):
            return next(name for name in match.groups() if name).lower()
    return None


def unfit_torchvision() -> str | None:
    """Say why the installed torchvision cannot be loaded; None: it can, or there is none.

    One for CUDA beside a torch for CPUs is such a pair: its operators are missing, and whatever of
    transformers imports it fails, in many places and under other names.
    """
    if find_spec("torchvision") is None:
        return None
    try:
        import_module("torchvision")
    except Exception as error:  # noqa: BLE001 - what a library raises that was built for another
        return first_line(error)
    return None


def is_about_a_library(error: BaseException) -> bool:
    """Whether an error means that a library is missing, whatever its class is."""
    return any(isinstance(link, ImportError) for link in causes(error)) or (
        missing_dependency(error) is not None
    )


def classifier(settings: Mapping[str, Any]) -> str | None:
    """Name the architecture of a checkpoint that scores labels of its own and writes nothing.

    `settings` is its config.json. ShieldGemma 2 is one: its class gives two numbers, and its
    processor writes three policies; see `asks_no_questions`.
    """
    names = settings.get("architectures") or ()
    named = [name for name in names if isinstance(name, str)]
    return named[0] if named and all(n.endswith("Classification") for n in named) else None


def asks_no_questions(processor: Any) -> Any:
    """Return a processor that takes the questions it is given.

    ShieldGemma 2's writes its makers' policies instead of what it is given. It is Gemma 3's with
    another call, so Gemma 3's stands in for it, of the same parts and with the same template.
    """
    from transformers import Gemma3Processor
    from transformers.models.shieldgemma2 import ShieldGemma2Processor

    if not isinstance(processor, ShieldGemma2Processor):
        return processor
    return Gemma3Processor(
        processor.image_processor,
        processor.tokenizer,
        processor.chat_template,
        processor.image_seq_length,
    )


def scale_logits(model: Any) -> JSON:
    """Scale the logits of a class that leaves out its text model's `logit_scale`.

    Returns what is part of the model's identity then: `{"logit_scale": 0.0625}`, else nothing. In
    transformers 5.19 the classes of Aya Vision and Cohere2 Vision forget it: the best token stays
    the same, and probabilities are far too sharp. Whether a class forgets it is tried with
    four tokens, so a version that does not is left alone.
    """
    scale = getattr(model.config.get_text_config(), "logit_scale", None)
    head = model.get_output_embeddings()
    if not isinstance(scale, int | float) or scale == 1 or head is None:
        return {}
    if _scales(model, head):
        return {}
    head.register_forward_hook(lambda _module, _inputs, logits: logits * scale)
    return {"logit_scale": float(scale)}


def _scales(model: Any, head: Any) -> bool:
    """Whether the model's logits differ from what its head makes of the same state."""
    import torch

    seen: list[Any] = []
    hook = head.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    try:
        with torch.no_grad():
            # Several, for one may be the padding, whose logits are 0 with any scale.
            ids = torch.arange(4, device=head.weight.device)[None]
            logits = model(input_ids=ids).logits
            plain = head.forward(seen[-1])  # without what hooks do to it
    finally:
        hook.remove()
    return not torch.equal(logits, plain.to(logits.dtype))


def one_way_pictures(model_config: Any) -> str | None:
    """Say why a runner without attention in both directions misreads this model; None: it does not.

    `model_config` is vLLM's, of a model that runs on a CPU. There, tokens of one picture do not see
    those that come after them, as Gemma 3 and 4 were taught to: probabilities move by up to 0.39.
    """
    text = model_config.hf_config.get_text_config()
    both = getattr(model_config, "is_mm_prefix_lm", False)
    if not both and not getattr(text, "use_bidirectional_attention", None):
        return None
    return (
        "the parts of a picture look at each other in both directions in this model, and vLLM on a "
        "CPU lets them look back only: it would be another model. Use hf:, or vLLM on a GPU"
    )
