"""`POST /beta/litellm_basic_guardrail_api`: LiteLLM's `generic_guardrail_api`.

Every picture of a call is judged, on its way to a model or back from one. `action` is always there,
because the proxy reads a missing one as leave to pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Body
from pydantic import ConfigDict

from safejudge.serve.asking import Asks
from safejudge.serve.coverage import Coverage
from safejudge.serve.examples import SCENE, refusals
from safejudge.serve.routes.details import flags
from safejudge.serve.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safejudge.serve.service import Answered

router = APIRouter(tags=["LiteLLM"])


class GuardrailRequest(Wire):
    """What the proxy sends; what is not read here may be there, too."""

    model_config = ConfigDict(extra="allow")

    input_type: Literal["request", "response"] = "request"
    """Whether it is on its way to a model or back."""
    texts: list[str] | None = None
    """Taken and not judged."""
    images: list[str] | None = None
    """Data URLs, addresses, or bare base64."""
    structured_messages: list[Any] | None = None
    """The conversation in OpenAI's form; pictures of it that `images` lacks are judged, too."""


class GuardrailReply(Wire):
    """What the proxy is to do."""

    action: Literal["NONE", "BLOCKED", "GUARDRAIL_INTERVENED"]
    """`BLOCKED`, or `NONE` to let it pass."""
    blocked_reason: str | None = None
    """Categories of rules, not what the picture shows."""
    coverage: Coverage


_EXAMPLES: dict[str, Any] = {
    "picture": {
        "summary": "a request with a picture",
        "value": {"input_type": "request", "texts": ["what is this?"], "images": [SCENE]},
    }
}


@router.post("/beta/litellm_basic_guardrail_api", responses=refusals(413, 503, 504))
async def guardrail(
    asked: Annotated[GuardrailRequest, Body(openapi_examples=_EXAMPLES)], asking: Asks
) -> GuardrailReply:
    """Judge every picture of a call. Texts are not judged: a call without pictures passes."""
    pictures = list(dict.fromkeys([*(asked.images or ()), *_pictures(asked.structured_messages)]))
    answered = await asking.judge(await asking.uploads(pictures))
    open_flags = asking.context.settings.on_undecided != "pass"
    pairs = zip(answered.results, answered.decisions, strict=True)
    blocking = [place for place, pair in enumerate(pairs) if flags(*pair, open_flags=open_flags)]
    return GuardrailReply(
        action="BLOCKED" if blocking else "NONE",
        blocked_reason=_reason(answered, blocking) if blocking else None,
        coverage=answered.coverage,
    )


def _pictures(node: Any) -> Iterator[str]:
    """Find every picture of a conversation, however deep, and whoever's form it has."""
    open_nodes = [node]
    while open_nodes:
        node = open_nodes.pop()
        if isinstance(node, list):
            open_nodes.extend(node)
        elif isinstance(node, dict):
            yield from filter(None, _of_block(node))
            open_nodes.extend(node.values())


def _of_block(block: dict[str, Any]) -> Iterator[str]:
    """Find the pictures that one block holds itself."""
    # OpenAI's chat has an object there, its responses a string.
    picture = block.get("image_url")
    yield _text(picture.get("url") if isinstance(picture, dict) else picture)
    # What image models return.
    if "b64_json" in block:
        yield _text(block["b64_json"]) or _text(block.get("url"))
    # Anthropic and Google name the kind beside the bytes.
    kinds = (_text(block.get(key)) for key in ("media_type", "mime_type", "mimeType"))
    kind = next(filter(None, kinds), "")
    if kind.startswith("image/") and _text(block.get("data")):
        yield f"data:{kind};base64,{block['data']}"
    source = block.get("source")
    if block.get("type") in ("image", "input_image"):
        inner = source if isinstance(source, dict) else {}
        yield _text(inner.get("url"))
        # Bytes that lie with the provider cannot be had here: that name fails, and so blocks.
        files = (_text(place.get("file_id")) for place in (block, inner))
        yield from (f"file:{name}" for name in files if name)
    # Any other field; but text that a person wrote is no picture, whatever it looks like.
    yield from (
        value
        for key, value in block.items()
        if key not in ("text", "content") and _text(value)[:11].lower() == "data:image/"
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _reason(answered: Answered, blocking: list[int]) -> str:
    """Say why, without a word of what the picture shows."""
    categories = {rule.id: rule.category for rule in answered.version.judge.constitution.rules}
    violated = dict.fromkeys(
        categories[rule]
        for place in blocking
        for rule in getattr(answered.results[place], "violations", ())
    )
    if violated:
        return f"an image violates a rule: {', '.join(violated)}"
    if any(answered.findings[place] == "failed" for place in blocking):
        return "an image could not be judged"
    return "an image could not be settled, and nobody has looked at it"
