"""A precondition whose program looks: picture -> `PreconditionVerdict`, without a question.

Takes a leaf with a program and a picture; gives a certain answer, or none where the program could
not look. It yields a request and knows neither the program nor who runs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.errors import EngineCallError
from safejudge.flow import NotAsked, request
from safejudge.method import debias
from safejudge.method.precondition import nothing_asked
from safejudge.types import Finding, Look, Outcome, PreconditionVerdict

if TYPE_CHECKING:
    from safejudge.flow import Flow
    from safejudge.method.precondition import Scene
    from safejudge.types import Precondition

_FOUND = {True: Outcome.YES, False: Outcome.NO, None: Outcome.UNDECIDED}


def program_flow(leaf: Precondition, scene: Scene) -> Flow[PreconditionVerdict]:
    """Let the program of a leaf look; its answer is certain, or there is none."""
    try:
        finding = yield from _finding_flow(leaf, scene)
    except NotAsked as missing:
        return nothing_asked(leaf, str(missing))
    outcome = _FOUND[finding.holds]
    score = debias.certain(outcome)
    return PreconditionVerdict(
        statement=leaf.statement,
        look_at=leaf.look_at,
        outcome=outcome,
        test="program",
        score=score,
        margin=debias.margin(score),
        reads=(),
        note=None if finding.holds is not None else finding.said,
        finding=finding,
    )


def _finding_flow(leaf: Precondition, scene: Scene) -> Flow[Finding]:
    call = leaf.program
    assert call is not None  # noqa: S101 - the callers have asked
    fields = tuple((name, value) for name, value in scene.fields if name in call.slots)
    (finding,) = yield from request(Look(scene.picture, call, fields))
    if not isinstance(finding, Finding):
        raise EngineCallError(f"a program answered with {type(finding).__name__}, not a finding")
    return finding


def settles(verdict: PreconditionVerdict, leaf: Precondition) -> bool:
    """Whether nothing is asked after a program has looked: it knows, or there is no statement."""
    return verdict.outcome is not Outcome.UNDECIDED or not leaf.is_asked
