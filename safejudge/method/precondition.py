"""One precondition's flow: views -> tests -> cascade -> `PreconditionVerdict`.

Takes a precondition and a picture; asks the cheap questions first and goes on only while the
answer is open: full view and language prior; then, where the central object was found, a crop and
the picture without it; then reasoning. It yields requests and never calls a model; which rules a
precondition belongs to it does not know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from safejudge.flow import Flow, NotAsked, ask
from safejudge.method import debias, questions, reasoning, views
from safejudge.method.regions import region_flow
from safejudge.types import ALONE, Outcome, Panel, Precondition, PreconditionVerdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from safejudge.policy import Policy
    from safejudge.types import Box, Picture, Precondition, Read, View


class Views(Protocol):
    """What makes the views of a picture; the module `views` does so by its pixels."""

    def is_small(self, picture: Picture, boxes: Sequence[Box], area: float) -> bool:
        """Whether the boxes cover less than this share of the picture."""

    def region_crop(self, picture: Picture, boxes: Sequence[Box]) -> Picture:
        """The boxes, with some of what is around them."""

    def region_removed(
        self, picture: Picture, boxes: Sequence[Box], fill: Literal["surround", "grey"]
    ) -> Picture:
        """The picture without what is in the boxes."""

    def mirrored(self, picture: Picture) -> Picture:
        """The picture with left and right exchanged."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What every question about one picture shares."""

    picture: Picture
    """The frame on the background that is looked at."""
    caption: str | None
    """The caption or prompt that came with the image."""
    policy: Policy
    """The choices that can change a verdict."""
    views: Views = views
    """What makes the other views of the picture."""
    panel: Panel = ALONE
    """Who is asked; the steps of this module ask one engine, those of `opinions` all."""
    fields: tuple[tuple[str, str], ...] = ()
    """What the item has to fill slots of programs with, by name, as JSON."""
    alike: Picture | None = None
    """An earlier frame that looks the same, whose reasoning stands for this one's."""


@dataclass(frozen=True, slots=True)
class Look:
    """One view as it was read."""

    read: Read
    """The numbers."""
    problem: str | None
    """Why they cannot be used."""


Step: TypeAlias = Callable[["Precondition", PreconditionVerdict, Scene], Flow[PreconditionVerdict]]
"""What can still be done about a precondition whose answer is open."""


def unless_not_asked(step: Step) -> Step:
    """Let a verdict say so where a step wants what nobody was asked."""

    @wraps(step)
    def flow(
        leaf: Precondition, verdict: PreconditionVerdict, scene: Scene
    ) -> Flow[PreconditionVerdict]:
        try:
            return (yield from step(leaf, verdict, scene))
        except NotAsked as missing:
            return not_asked(verdict, str(missing))

    return flow


def not_asked(verdict: PreconditionVerdict, note: str) -> PreconditionVerdict:
    """Take back what a verdict says: what it hangs on was not asked."""
    return settled(verdict, Outcome.UNDECIDED, "not_asked", debias.UNREAD_SCORE, {"note": note})


def nothing_asked(leaf: Precondition, note: str) -> PreconditionVerdict:
    """Say of a precondition that it was not asked; `note` says what is missing."""
    unread = debias.Decision(Outcome.UNDECIDED, "unreadable", debias.UNREAD_SCORE)
    return not_asked(_first_verdict(leaf, unread, (), None), note)


def precondition_flow(leaf: Precondition, scene: Scene) -> Flow[PreconditionVerdict]:
    """Ask one precondition, step by step until it is settled or nothing is left to do."""
    verdict = yield from read_flow(leaf, scene)
    return (yield from finished_flow(leaf, verdict, scene))


def finished_flow(
    leaf: Precondition, verdict: PreconditionVerdict, scene: Scene
) -> Flow[PreconditionVerdict]:
    """Go on step by step until a precondition is settled or nothing is left to do."""
    while (step := next_step(verdict, scene.policy)) is not None:
        verdict = yield from step(leaf, verdict, scene)
    return verdict


def next_step(verdict: PreconditionVerdict, policy: Policy) -> Step | None:
    """Return what the policy still does about a verdict; None if it is final.

    Nothing where the engine could not answer at all: its reasoning would be about nothing. Nor is
    there any where no picture was answered with yes or no (label mass): a word that was forced
    would then be all that decides.
    """
    if verdict.test not in {"open", "label_mass"}:
        return None
    if verdict.look_at is not None and policy.locates:
        without = any(read.view == "region_removed" for read in verdict.reads)
        if verdict.boxes is None or (policy.region and verdict.boxes and not without):
            return closer_flow
    if not policy.reasons or verdict.reasoning is not None:
        return None
    return reasoned_flow if _answered_a_picture(verdict, policy) else None


# --- the first look -----------------------------------------------------------------------------


def read_flow(leaf: Precondition, scene: Scene) -> Flow[PreconditionVerdict]:
    """Ask the cheap way; what nobody was asked is said to be so."""
    try:
        verdict = yield from _read_flow(leaf, scene)
    except NotAsked as missing:
        return nothing_asked(leaf, str(missing))
    return taken_for_no(verdict, scene.policy)


def taken_for_no(verdict: PreconditionVerdict, policy: Policy) -> PreconditionVerdict:
    """Where the policy says so, count what is open as not satisfied once no look is left."""
    if policy.open_means != "no" or verdict.test != "open" or next_step(verdict, policy):
        return verdict
    return settled(verdict, Outcome.NO, "open_no", debias.moved(verdict.score, Outcome.NO), {})


def _read_flow(leaf: Precondition, scene: Scene) -> Flow[PreconditionVerdict]:
    """Ask the cheap way: full view and language prior, in one wave.

    Algorithm 1 (`locate_first`) looks for the object before, and shows a small one in a crop
    instead of the full view; a crop that cannot be read gives way to the full view.
    """
    policy = scene.policy
    boxes = None
    if policy.locate_first and policy.locates and leaf.look_at is not None:
        boxes = yield from region_flow(leaf.look_at, scene.picture, policy)
    crop = _crop(boxes, scene)
    first: dict[View, Picture | None] = (
        {"full": scene.picture} if crop is None else {"region_crop": crop}
    )
    if policy.prior:
        first["no_image"] = None
    looks = yield from _look(leaf, first, scene)
    if crop is not None and looks["region_crop"].problem:
        looks |= yield from _look(leaf, {"full": scene.picture}, scene)
    look = looks["full"] if "full" in looks else looks["region_crop"]
    prior = looks.get("no_image")
    problem = look.problem or (None if prior is None else prior.problem)
    decision = (
        debias.Decision(Outcome.UNDECIDED, "unreadable", debias.UNREAD_SCORE, problem)
        if problem
        else debias.decide(look.read, None if prior is None else prior.read, policy)
    )
    return _first_verdict(leaf, decision, tuple(look.read for look in looks.values()), boxes)


def _first_verdict(
    leaf: Precondition,
    decision: debias.Decision,
    reads: tuple[Read, ...],
    boxes: tuple[Box, ...] | None,
) -> PreconditionVerdict:
    return PreconditionVerdict(
        statement=leaf.statement,
        look_at=leaf.look_at,
        outcome=decision.outcome,
        test=decision.test,
        score=decision.score,
        margin=debias.margin(decision.score),
        reads=reads,
        boxes=boxes,
        note=decision.note,
    )


def _look(
    leaf: Precondition, pictures: Mapping[View, Picture | None], scene: Scene
) -> Flow[dict[View, Look]]:
    """Put the question to several views in one wave; no picture is the language prior."""
    answers = yield from ask(*(
        questions.prior_probe(leaf, scene.caption)
        if picture is None
        else questions.picture_probe(leaf, picture, scene.caption)
        for picture in pictures.values()
    ))  # fmt: skip
    reads = (questions.read_answer(view, a) for view, a in zip(pictures, answers, strict=True))
    return {view: Look(*read) for view, read in zip(pictures, reads, strict=True)}


def _crop(boxes: tuple[Box, ...] | None, scene: Scene) -> Picture | None:
    """Cut out the central object if it was found and is small."""
    if not (scene.policy.crop and boxes):
        return None
    small = scene.views.is_small(scene.picture, boxes, scene.policy.crop_area)
    return scene.views.region_crop(scene.picture, boxes) if small else None


# --- while it is open ---------------------------------------------------------------------------


@unless_not_asked
def closer_flow(
    leaf: Precondition, verdict: PreconditionVerdict, scene: Scene
) -> Flow[PreconditionVerdict]:
    """Look closer (`_closer_flow`); then nothing is left to look at."""
    closer = yield from _closer_flow(leaf, verdict, scene)
    return taken_for_no(closer, scene.policy)


def _closer_flow(
    leaf: Precondition, verdict: PreconditionVerdict, scene: Scene
) -> Flow[PreconditionVerdict]:
    """Find the central object, and look at it from near and at the picture without it.

    The crop is put to the first two tests like the full view before; then the region test. What
    they leave open keeps its score.
    """
    policy = scene.policy
    boxes = verdict.boxes
    if boxes is None:
        boxes = yield from region_flow(leaf.look_at or "", scene.picture, policy)
    reads = {read.view: read for read in verdict.reads}
    pictures = _closer_views(boxes, reads, scene)
    looks = (yield from _look(leaf, pictures, scene)) if pictures else {}
    reads |= {view: look.read for view, look in looks.items()}
    problems = [look.problem for look in looks.values() if look.problem]
    changed: dict[str, object] = {"boxes": boxes, "reads": tuple(reads.values())}
    if problems:
        changed["note"] = "; ".join(filter(None, [verdict.note, *problems]))
    if "region_crop" in looks:
        crop = debias.decide(reads["region_crop"], reads.get("no_image"), policy)
        if crop.outcome is not Outcome.UNDECIDED:
            notes = dict.fromkeys(filter(None, [verdict.note, *problems, crop.note]))
            changed["note"] = "; ".join(notes) or None
            return settled(verdict, crop.outcome, crop.test, crop.score, changed)
    if "region_removed" in looks and debias.hangs_on_region(
        reads["full"], reads["region_removed"], policy
    ):
        score = debias.moved(verdict.score, Outcome.YES)
        return settled(verdict, Outcome.YES, "region", score, changed)
    return verdict.model_copy(update=changed)


def _closer_views(
    boxes: tuple[Box, ...], reads: Mapping[View, Read], scene: Scene
) -> dict[View, Picture | None]:
    """Return the views that are worth a look and were not read yet."""
    pictures: dict[View, Picture | None] = {}
    crop = _crop(boxes, scene)
    if crop is not None:
        pictures["region_crop"] = crop
    if boxes and scene.policy.region:
        pictures["full"] = scene.picture
        removed = scene.views.region_removed(scene.picture, boxes, scene.policy.fill)
        pictures["region_removed"] = removed
    return {view: picture for view, picture in pictures.items() if view not in reads}


def settled(
    verdict: PreconditionVerdict,
    outcome: Outcome,
    test: str,
    score: float,
    changed: dict[str, object],
) -> PreconditionVerdict:
    """Decide a precondition anew, with whatever else changed."""
    decision = {"outcome": outcome, "test": test, "score": score, "margin": debias.margin(score)}
    return verdict.model_copy(update=changed | decision)


def shown_picture(verdict: PreconditionVerdict, scene: Scene) -> Picture:
    """Return what a dearer question is about: the crop where that was read, else the full view."""
    read_crop = any(r.view == "region_crop" and r.score is not None for r in verdict.reads)
    crop = _crop(verdict.boxes, scene) if read_crop else None
    return scene.picture if crop is None else crop


@unless_not_asked
def reasoned_flow(
    leaf: Precondition, verdict: PreconditionVerdict, scene: Scene
) -> Flow[PreconditionVerdict]:
    """Reason about a precondition that the numbers left open; about the crop where there is one."""
    picture = shown_picture(verdict, scene)
    borrowed = None
    if scene.alike is not None and picture is scene.picture:
        picture = scene.alike
        borrowed = f"reasoned about frame {picture.frame}, which looks the same"
    trace = yield from reasoning.reason_flow(leaf, picture, scene.caption, scene.policy)
    outcome = reasoning.outcome_of(trace, scene.policy)
    unread = trace.problem is not None and outcome is Outcome.UNDECIDED
    return settled(
        verdict,
        outcome,
        "unreadable" if unread else "reasoning",
        debias.moved(verdict.score, outcome),
        {"reasoning": trace, "note": trace.problem or borrowed or verdict.note},
    )


def was_read(verdict: PreconditionVerdict, policy: Policy) -> bool:
    """Whether a precondition's score rests on an answer, not on the convention for none.

    Reasoning that reached an outcome is an answer. Reasoning that could not be read leaves the
    score of what was read before, if that was usable: the question with a picture, and a prior or
    the 1/2 that stands for one.
    """
    if verdict.test not in {"label_mass", "unreadable"}:
        return verdict.test != "program" or verdict.outcome is not Outcome.UNDECIDED
    # Where the engine could not answer one of the two, nobody went on to reason.
    reasoned = verdict.test == "unreadable" and verdict.reasoning is not None
    return reasoned and all(
        _has_prior(answer, policy) and _answered_a_picture(answer, policy)
        for answer in verdict.answers
    )


def _answered_a_picture(verdict: PreconditionVerdict, policy: Policy) -> bool:
    """Whether yes and no had the label mass that the policy asks for, in one of the pictures."""
    return any(
        read.view != "no_image"
        and read.score is not None
        and read.label_mass >= policy.minimum_label_mass
        for read in verdict.reads
    )


def _has_prior(verdict: PreconditionVerdict, policy: Policy) -> bool:
    priors = (read for read in verdict.reads if read.view == "no_image")
    return all(p.score is not None or p.label_mass < policy.minimum_label_mass for p in priors)
