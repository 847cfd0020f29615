"""ROOST Pigeon's shape: `GET /v1/modelspecs`, `POST /v1/classify`, `POST /v1/policies`.

Pigeon is a prototype, so its shape may move; all of it is in this file. One label stands for each
rule. What cannot be judged is answered with 422, never with a 0.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import ConfigDict, Field

from safejudge.decide.sample import was_read
from safejudge.errors import InputError
from safejudge.serve.asking import Asking, Asks, Context
from safejudge.serve.bodies import StrictRoute, check_all_read
from safejudge.serve.coverage import Coverage
from safejudge.serve.examples import SCENE, refusals
from safejudge.serve.faults import RequestError, none_judged
from safejudge.serve.handed_in import rules_in
from safejudge.serve.service import Finding, Version
from safejudge.serve.wire import Wire
from safejudge.text import quoted
from safejudge.types import Constitution, Failure, Judgment

router = APIRouter(tags=["ROOST"], route_class=StrictRoute)
MOST_POLICIES = 16
"""Policies that are kept; an older one goes for a newer."""


class Label(Wire):
    """What a classifier says: one rule."""

    id: str
    """The id of the rule."""
    display: str
    """The rule, as people wrote it."""
    valueType: Literal["score"] = "score"  # noqa: N815 - Pigeon's name


class ModelSpec(Wire):
    """What the server offers."""

    id: str
    """What `classify` calls it."""
    version: str
    """The beginning of the digest of the rules."""
    kind: Literal["classifier"] = "classifier"
    base: str
    """What the engine was chosen by."""
    modelId: str  # noqa: N815 - Pigeon's name
    """The same, with the beginning of its revision."""
    inputTypes: list[Literal["image", "text"]]  # noqa: N815 - Pigeon's name
    """What it takes."""
    labels: list[Label]
    """One for each rule."""


class ClassifyInput(Wire):
    """What is classified; in other fields no picture may be."""

    model_config = ConfigDict(extra="allow")

    text: Annotated[str, Field(max_length=100_000)] | None = None
    """The caption of the picture."""
    mediaUrl: str | None = None  # noqa: N815 - Pigeon's name
    """A data URL; or an address, where the server may fetch from its host."""


class ClassifyRequest(Wire):
    """One input, and by what it is classified."""

    model_config = ConfigDict(extra="allow")

    model: str
    """The id of a model spec."""
    input: ClassifyInput
    policy: str | None = None
    """The id of a policy that was handed in; without one, by the server's rules."""


class Score(Wire):
    """How strongly one rule is violated, in [0, 1]; 0 for a rule that the filter skipped."""

    label: str
    """The id of the rule."""
    score: float
    """In [0, 1]."""


class ClassifyReply(Wire):
    """A score for each rule."""

    model: str
    """The id of the model spec."""
    results: list[Score]
    """One for each rule, in order."""
    coverage: Coverage


class PolicyRequest(Wire):
    """Other rules to classify by."""

    model_config = ConfigDict(extra="forbid")

    policy: Annotated[str, Field(min_length=1, max_length=1_000_000)]
    """A constitution, as YAML; every rule needs its condition."""


class PolicyReply(Wire):
    """Under which id the rules are known until the server ends."""

    id: str
    """What `classify` takes as `policy`."""
    labels: list[Label]
    """One for each rule."""


@router.get("/v1/modelspecs", responses=refusals(503))
async def modelspecs(request: Request) -> list[ModelSpec]:
    """Say what the server offers: one classifier, its rules as labels."""
    context: Context = request.app.state.context
    version = context.service.version
    made = version.judge.provenance
    return [
        ModelSpec(
            id=_id(version),
            version=made.constitution[:12],
            base=made.model,
            modelId=f"{made.model}@{made.revision[:12]}" if made.revision else made.model,
            inputTypes=["image"],
            labels=_labels(version.judge.constitution),
        )
    ]


@router.post(
    "/v1/classify",
    responses=refusals(404, 413, 422, 503, 504),
    openapi_extra={
        "requestBody": {
            "content": {
                "application/json": {
                    "examples": {
                        "picture": {"value": {"model": "safejudge", "input": {"mediaUrl": SCENE}}}
                    }
                }
            }
        }
    },
)
async def classify(asked: ClassifyRequest, asking: Asks) -> ClassifyReply:
    """Score one picture by every rule."""
    if asked.model not in ("safejudge", _id(asking.version)):
        raise RequestError(
            404,
            f"there is no model {quoted(asked.model)}; there is {_id(asking.version)}",
            code="model_not_found",
            param="model",
        )
    if not asked.input.mediaUrl:
        raise RequestError(
            422,
            "the input has no mediaUrl, and this classifier judges pictures, not text alone",
            code="no_image",
            param="input",
        )
    check_all_read(asked.model_dump(), [asked.input.mediaUrl])
    version = await _version(asked.policy, asking)
    uploads = await asking.uploads([asked.input.mediaUrl], [asked.input.text or None])
    answered = await asking.judge(uploads, version)
    (result,) = answered.results
    extra = {"coverage": answered.coverage.model_dump(mode="json")}
    if isinstance(result, Failure):
        status, message = none_judged([result])
        raise RequestError(status, message, code="not_judged", param="input", extra=extra)
    _check_read(result, answered.findings[0], extra)
    return ClassifyReply(
        model=_id(asking.version),
        results=[
            Score(label=rule, score=verdict.score or 0.0) for rule, verdict in result.rules.items()
        ],
        coverage=answered.coverage,
    )


_POLICY = """\
name: fire
rules:
  - id: vehicle-on-fire
    category: fire
    severity: high
    text: No burning vehicles.
    objective: A vehicle is on fire.
    condition: a vehicle is on fire
"""


@router.post(
    "/v1/policies",
    responses=refusals(422, 503),
    status_code=201,
    openapi_extra={
        "requestBody": {
            "content": {"application/json": {"examples": {"fire": {"value": {"policy": _POLICY}}}}}
        }
    },
)
async def policies(asked: PolicyRequest, asking: Asks) -> PolicyReply:
    """Take other rules, which `classify` can be asked to go by; for keys with the role admin."""
    context = asking.context
    try:
        rules = await asyncio.to_thread(rules_in, asked.policy)
        await asking.beside(rules, asking.version.judge.policy)
    except InputError as error:
        raise RequestError(422, str(error), code="policy_refused", param="policy") from error
    kept = context.policies
    digest = rules.digest()
    kept[digest] = rules
    while len(kept) > MOST_POLICIES:
        kept.pop(next(iter(kept)))
    return PolicyReply(id=digest, labels=_labels(rules))


async def _version(policy: str | None, asking: Asking) -> Version:
    if policy is None:
        return asking.version
    rules = asking.context.policies.get(policy)
    if rules is None:
        raise RequestError(
            404,
            f"there is no policy {quoted(policy)}; hand it in at /v1/policies once more",
            code="policy_not_found",
            param="policy",
        )
    return await asking.beside(rules, asking.version.judge.policy)


def _id(version: Version) -> str:
    return f"safejudge-{version.judge.constitution.name}"


def _labels(rules: Constitution) -> list[Label]:
    return [Label(id=rule.id, display=rule.text) for rule in rules.rules]


def _check_read(result: Judgment, finding: Finding, extra: dict[str, Any]) -> None:
    """Refuse a score that rests on no answer."""
    unread = [rule for rule, verdict in result.rules.items() if not was_read(verdict)]
    open_by = set(result.undecided_by) & {"frames", "caption"}
    unseen = finding == "open" and (open_by or result.label == "safe")
    if unread or unseen:
        told = f"no readable answer to {', '.join(unread)}" if unread else "not looked at whole"
        raise RequestError(422, told, code="not_judged", param="input", extra=extra)
