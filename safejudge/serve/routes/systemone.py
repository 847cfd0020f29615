"""`POST /v1/systemone`, in vLLM's form: yes/no questions (`noul`) about one picture.

Each question is put to the picture as a statement and debiased as a statement of a rule is; nothing
is reasoned. An answer that could not be read is an error, never a number.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import ConfigDict, Field

from safejudge.decide.sample import was_read
from safejudge.errors import StatementError
from safejudge.serve.asking import Asks
from safejudge.serve.bodies import StrictRoute, check_all_read
from safejudge.serve.coverage import Coverage
from safejudge.serve.examples import SCENE, refusals
from safejudge.serve.faults import RequestError, none_judged
from safejudge.serve.wire import Wire
from safejudge.text import quoted
from safejudge.types import JSON, Constitution, Failure, Precondition, Rule, Severity

if TYPE_CHECKING:
    from safejudge.types import Judgment

router = APIRouter(tags=["System One"], route_class=StrictRoute)
MOST = 64
"""Questions of one request."""


class Question(Wire):
    """One question; what is not known here is refused, as vLLM does."""

    model_config = ConfigDict(extra="forbid")

    type: str
    """`noul`; others are refused."""
    instructions: Annotated[str, Field(min_length=1, max_length=2000)]
    """A statement that the picture shows or does not show."""
    criteria: Any = None
    """Refused."""


class SystemOneRequest(Wire):
    """Questions about one picture; in other fields no picture may be."""

    model_config = ConfigDict(extra="allow")

    state: Any = None
    """Text that belongs to the picture: its caption. Other JSON is taken as text."""
    questions: Annotated[dict[str, Question], Field(min_length=1)]
    """By ids of your own."""
    images: list[str] | None = None
    """One data URL; or an address, where the server may fetch from its host."""
    instructions: str | None = None
    """More text that belongs to the picture."""
    audio: list[str] | None = None
    """Refused."""
    videos: list[str] | None = None
    """Refused."""
    model: str | None = None
    """Taken and ignored: this server has one judge."""


class Noul(Wire):
    """The answer to one question."""

    type: Literal["noul"] = "noul"
    noul: float
    """How strongly the statement holds, in [0, 1]; above 1/2 for yes."""
    probabilities: dict[Literal["yes", "no"], float]
    """Both answers; together 1."""
    confidence: float
    """The larger probability times `label_mass`."""


class Diagnostics(Wire):
    """How the answer was read."""

    label_mass: float
    """P(yes) + P(no) at the picture."""
    argmax_is_label: bool
    """Whether the likeliest first token was a yes or a no."""


class SystemOneReply(Wire):
    """An answer for each question, by its id."""

    id: str
    """A new one each time."""
    object: Literal["structured_decision"] = "structured_decision"
    created: int
    """Seconds since 1970."""
    model: str
    """What the engine was chosen by."""
    answers: dict[str, Noul]
    """By the ids of the questions."""
    diagnostics: dict[str, Diagnostics]
    """By the ids of the questions."""
    coverage: Coverage


_EXAMPLE: JSON = {
    "state": "a picture from a user",
    "images": [SCENE],
    "questions": {"fire": {"type": "noul", "instructions": "a vehicle is on fire"}},
}


@router.post(
    "/v1/systemone",
    responses=refusals(413, 422, 503, 504),
    openapi_extra={
        "requestBody": {
            "content": {"application/json": {"examples": {"fire": {"value": _EXAMPLE}}}}
        }
    },
)
async def systemone(asked: SystemOneRequest, asking: Asks) -> SystemOneReply:
    """Answer yes/no questions about one picture."""
    ids = _checked(asked)
    uploads = await asking.uploads(asked.images or [], [_state(asked)])
    policy = asking.version.judge.policy.unfiltered().exhaustively()
    policy = policy.model_copy(update={"open_means": "undecided", "name": "systemone"})
    try:
        version = await asking.beside(_rules(asked, ids), policy)
    except StatementError as error:
        raise RequestError(400, str(error), code="statement_refused", param="questions") from error
    answered = await asking.judge(uploads, version)
    (result,) = answered.results
    coverage = answered.coverage
    extra = {"coverage": coverage.model_dump(mode="json")}
    if isinstance(result, Failure):
        status, message = none_judged([result])
        raise RequestError(status, message, code="not_judged", param="images", extra=extra)
    unread = [name for name, rule in ids.items() if not was_read(result.rules[rule])]
    if unread:
        raise RequestError(
            422,
            f"the model said neither yes nor no to {', '.join(map(quoted, unread))}",
            code="not_read",
            param="questions",
            extra=extra,
        )
    looks = {name: _diagnostics(result, rule) for name, rule in ids.items()}
    return SystemOneReply(
        id=f"sysone-{uuid.uuid4().hex}",
        created=int(time.time()),
        model=coverage.model,
        answers={name: _noul(result.rules[rule].score, looks[name]) for name, rule in ids.items()},
        diagnostics=looks,
        coverage=coverage,
    )


def _checked(asked: SystemOneRequest) -> dict[str, str]:
    """Return the rule that stands for each question. Raises `RequestError` for what is not done."""
    if asked.audio or asked.videos:
        raise RequestError(400, "audio and videos are not judged", code="unsupported")
    if len(asked.images or ()) != 1:
        raise RequestError(
            400,
            f"{len(asked.images or ())} images; questions are about one: `images` holds one",
            code="one_image",
            param="images",
        )
    check_all_read(asked.model_dump(), asked.images or ())
    if len(asked.questions) > MOST:
        raise RequestError(
            400,
            f"{len(asked.questions)} questions are more than {MOST}; send several requests",
            code="too_many_questions",
            param="questions",
        )
    for name, question in asked.questions.items():
        if not name:
            raise RequestError(400, "a question has no id", code="no_id", param="questions")
        if question.type != "noul":
            raise RequestError(
                400,
                f"question {quoted(name)}: {quoted(question.type)} is not answered; only noul is",
                code="unsupported_question",
                param="questions",
            )
        if question.criteria:
            raise RequestError(
                400,
                f"question {quoted(name)}: criteria are not read; write them into `instructions`",
                code="unsupported_criteria",
                param="questions",
            )
    return {name: f"question-{place}" for place, name in enumerate(asked.questions)}


def _state(asked: SystemOneRequest) -> str | None:
    state = asked.state
    text = state if isinstance(state, str) else "" if state is None else json.dumps(state)
    return "\n".join(filter(None, (asked.instructions, text))) or None


def _rules(asked: SystemOneRequest, ids: dict[str, str]) -> Constitution:
    """Make a rule of every question, so that it is asked as rules are."""
    return Constitution(
        name="systemone",
        rules=tuple(
            Rule(
                id=ids[name],
                category="question",
                severity=Severity.LOW,
                text=question.instructions,
                objective=question.instructions,
                condition=Precondition(statement=question.instructions),
            )
            for name, question in asked.questions.items()
        ),
    )


def _diagnostics(result: Judgment, rule: str) -> Diagnostics:
    reads = [
        read
        for answer in result.rules[rule].preconditions[0].answers
        for read in answer.reads
        if read.view == "full"
    ]
    mass = min((read.label_mass for read in reads), default=0.0)
    # More than half of the probability leaves no other token more than a label.
    return Diagnostics(label_mass=mass, argmax_is_label=mass > 0.5)


def _noul(score: float | None, look: Diagnostics) -> Noul:
    share = 0.0 if score is None else score
    return Noul(
        noul=share,
        probabilities={"yes": share, "no": 1.0 - share},
        confidence=max(share, 1.0 - share) * look.label_mass,
    )
