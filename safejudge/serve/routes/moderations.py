"""`POST /v1/moderations`, in the form of OpenAI's moderation endpoint, with pictures.

All of its keys are always there; our rules stand beside them under their ids. An image that nobody
looked at is flagged or an error, never let through.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from fastapi import APIRouter, Body
from pydantic import ConfigDict, Field

from safejudge.serve.asking import Asking, Asks
from safejudge.serve.bodies import StrictRoute, check_all_read
from safejudge.serve.coverage import Coverage
from safejudge.serve.examples import SCENE, refusals
from safejudge.serve.faults import Fault, RequestError, none_judged
from safejudge.serve.routes.details import ImageDetail, details_of, flags
from safejudge.serve.wire import Wire
from safejudge.types import Failure, ModerationKey

if TYPE_CHECKING:
    from safejudge.serve.service import Answered
    from safejudge.types import Constitution, Result

KEYS: tuple[ModerationKey, ...] = get_args(ModerationKey)
router = APIRouter(tags=["OpenAI"], route_class=StrictRoute)
_OTHERS = ConfigDict(extra="allow")
"""Other fields may be there, and are looked through for pictures."""


class TextPart(Wire):
    """Text beside the pictures: their caption."""

    model_config = _OTHERS

    type: Literal["text"]
    text: Annotated[str, Field(max_length=100_000)]


class ImageURL(Wire):
    """Where a picture is."""

    model_config = _OTHERS

    url: Annotated[str, Field(min_length=1)]
    """A data URL; or an address, where the server may fetch from its host."""


class ImagePart(Wire):
    """A picture."""

    model_config = _OTHERS

    type: Literal["image_url"]
    image_url: ImageURL


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class ModerationRequest(Wire):
    """What is to be judged. Several parts are one input."""

    model_config = _OTHERS

    input: str | list[str] | list[Part]
    """Parts of one input, with a picture among them; text alone is a 422."""
    model: str | None = None
    """Taken and ignored: this server has one judge."""


class Found(Wire):
    """What OpenAI's form has no place for."""

    label: Literal["safe", "unsafe", "undecided", "failed"]
    """Of the images the worst; `failed` is worse than `undecided`."""
    action: Literal["block", "pass", "person"] | None
    """What the thresholds say, where the server has some."""
    images: list[ImageDetail]
    """Each image, in order."""


class ModerationResult(Wire):
    """What was found about one input."""

    flagged: bool
    """Whether to keep it out: unsafe, not judged, or undecided where the server flags that."""
    categories: dict[str, bool]
    """OpenAI's categories and our rules: whether one is violated."""
    category_scores: dict[str, float]
    """The highest score, in [0, 1]; 0 for a category that no rule belongs to, and for a rule that
    was not asked."""
    category_applied_input_types: dict[str, list[Literal["text", "image"]]]
    """What is judged for it: pictures, or nothing where no rule belongs to it."""
    safejudge: Found
    error: Fault | None = None
    """Where the server says so of what is not settled: nothing was found out about this input."""


class ModerationReply(Wire):
    """The reply; `results` holds one for each input."""

    id: str
    """A new one each time."""
    model: str
    """What the engine was chosen by."""
    results: list[ModerationResult]
    coverage: Coverage


@router.post("/v1/moderations", responses=refusals(400, 413, 422, 429, 503, 504))
async def moderations(
    asked: Annotated[
        ModerationRequest,
        Body(
            openapi_examples={
                "picture": {
                    "summary": "a picture with its caption",
                    "value": {
                        "input": [
                            {"type": "text", "text": "two people in a park"},
                            {"type": "image_url", "image_url": {"url": SCENE}},
                        ]
                    },
                }
            }
        ),
    ],
    asking: Asks,
) -> ModerationReply:
    """Judge pictures as OpenAI's moderation endpoint does. Text is taken as their caption."""
    pictures, caption = _parts(asked)
    uploads = await asking.uploads(pictures, [caption] * len(pictures))
    answered = await asking.judge(uploads)
    result = _result(answered, asking)
    if result.error is not None:
        failures = [one for one in answered.results if isinstance(one, Failure)]
        status, _ = none_judged(failures) if len(failures) == len(uploads) else (422, "")
        raise RequestError(
            status,
            result.error.message,
            code=result.error.code or "not_judged",
            param="input",
            extra={"coverage": answered.coverage.model_dump(mode="json")},
        )
    return ModerationReply(
        id=f"modr-{uuid.uuid4().hex}",
        model=answered.coverage.model,
        results=[result],
        coverage=answered.coverage,
    )


def _parts(asked: ModerationRequest) -> tuple[list[str], str | None]:
    """Return the pictures of a request, and the caption that they share."""
    parts = asked.input if isinstance(asked.input, list) else []
    pictures = [part.image_url.url for part in parts if isinstance(part, ImagePart)]
    if not pictures:
        raise RequestError(
            422,
            "there is no picture in this input, and this server judges pictures; send parts such "
            'as {"type": "image_url", "image_url": {"url": "data:image/png;base64,..."}}',
            code="no_image",
            param="input",
        )
    check_all_read(asked.model_dump(), pictures)
    texts = [part.text for part in parts if isinstance(part, TextPart) and part.text]
    return pictures, "\n".join(texts) or None


def _result(answered: Answered, asking: Asking) -> ModerationResult:
    """Sum up the images of one input: the worst counts."""
    on_undecided = asking.context.settings.on_undecided
    images = details_of(answered)
    findings = answered.findings
    open_flags = on_undecided != "pass"
    flagged = any(flags(finding, open_flags=open_flags) for finding in findings)
    # What is unsafe is settled, whatever stands beside it.
    unsettled = "unsafe" not in findings and bool({"open", "failed"} & set(findings))
    error = _error(images) if on_undecided == "error" and unsettled else None
    rules = answered.version.judge.constitution
    by_key = _by_key(rules, answered.results)
    worst = ("safe", "undecided", "failed", "unsafe")
    actions = ("pass", "person", "block")
    acting = [image.action for image in images if image.action is not None]
    return ModerationResult(
        flagged=flagged,
        categories={key: violated for key, (violated, _) in by_key.items()},
        category_scores={key: score for key, (_, score) in by_key.items()},
        category_applied_input_types={
            key: ["image"] if key in _applied(rules) else [] for key in by_key
        },
        safejudge=Found(
            label=max((image.label for image in images), key=worst.index),
            action=max(acting, key=actions.index) if acting else None,
            images=images,
        ),
        error=error,
    )


def _error(images: list[ImageDetail]) -> Fault:
    failed = [image.error.message for image in images if image.error is not None]
    open_rules = sorted({rule for image in images for rule in image.undecided})
    told = failed or [f"undecided: {', '.join(open_rules) or 'not looked at whole'}"]
    return Fault(
        message="; ".join(told),
        type="invalid_request_error",
        param="input",
        code="not_judged" if failed else "undecided",
    )


def _applied(rules: Constitution) -> set[str]:
    return {key for rule in rules.rules for key in (rule.id, *rule.moderation)}


def _by_key(rules: Constitution, results: tuple[Result, ...]) -> dict[str, tuple[bool, float]]:
    """Return for every key whether it is violated, and the highest score."""
    found: dict[str, tuple[bool, float]] = dict.fromkeys(
        (*KEYS, *(rule.id for rule in rules.rules)), (False, 0.0)
    )
    for result in results:
        if isinstance(result, Failure):
            continue
        for rule in rules.rules:
            verdict = result.rules[rule.id]
            for key in dict.fromkeys((rule.id, *rule.moderation)):
                violated, score = found[key]
                found[key] = (
                    violated or verdict.outcome == "violated",
                    max(score, verdict.score or 0.0),
                )
    return found
