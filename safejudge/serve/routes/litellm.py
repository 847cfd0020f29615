"""`POST /beta/litellm_basic_guardrail_api`: LiteLLM's `generic_guardrail_api`.

Every picture of a call is judged, on its way to a model or back from one. `action` is always there,
because the proxy reads a missing one as leave to pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Body
from pydantic import ConfigDict

from safejudge.serve.asking import Asks
from safejudge.serve.bodies import StrictRoute
from safejudge.serve.coverage import Coverage
from safejudge.serve.examples import SCENE, refusals
from safejudge.serve.pictures import pictures_in
from safejudge.serve.routes.details import flags
from safejudge.serve.wire import Wire

if TYPE_CHECKING:
    from safejudge.serve.service import Answered

router = APIRouter(tags=["LiteLLM"], route_class=StrictRoute)


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
    # `texts` holds words alone; whatever else a version of the proxy sends is looked through.
    others = [asked.structured_messages, asked.model_extra]
    pictures = list(dict.fromkeys([*(asked.images or ()), *pictures_in(others)]))
    answered = await asking.judge(await asking.uploads(pictures))
    open_flags = asking.context.settings.on_undecided != "pass"
    found = enumerate(answered.findings)
    blocking = [place for place, finding in found if flags(finding, open_flags=open_flags)]
    return GuardrailReply(
        action="BLOCKED" if blocking else "NONE",
        blocked_reason=_reason(answered, blocking) if blocking else None,
        coverage=answered.coverage,
    )


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
