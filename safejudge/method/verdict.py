"""One image's flow: relevance -> preconditions -> rules -> what the image is judged to be.

Takes an image's pictures, a constitution and a policy; gives a verdict per rule with its whole
trace, and from those a `Judgment`. It yields requests and never calls a model.

Within an image nothing is asked twice: `gather` answers equal requests of several rules once, the
reasoning included, so a precondition that stands in three rules costs one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from safejudge.errors import PolicyError
from safejudge.flow import gather
from safejudge.method import debias, logic
from safejudge.method.confirm import unconfirmed
from safejudge.method.counting import counted_flow
from safejudge.method.opinions import (
    closer_flow,
    confirm_flow,
    escalated_flow,
    next_step,
    precondition_flow,
    read_flow,
    reasoned_flow,
)
from safejudge.method.precondition import (
    Scene,
    Step,
    not_asked,
    nothing_asked,
)
from safejudge.method.programs import program_flow, settles
from safejudge.method.relevance import doubtful, relevance_flow, relevant
from safejudge.types import (
    ALONE,
    AllOf,
    CaptionUse,
    Condition,
    Constitution,
    ImageInput,
    Judgment,
    Outcome,
    Panel,
    Precondition,
    PreconditionVerdict,
    Provenance,
    Rule,
    RuleVerdict,
    UndecidedBy,
    Usage,
    leaves,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.flow import Flow
    from safejudge.policy import Policy

    Verdicts = Mapping[Precondition, PreconditionVerdict]
    Scenes = Mapping[Precondition, Scene]
    """How each precondition of a rule is looked at."""

_RULE_OUTCOME = {
    Outcome.YES: "violated",
    Outcome.UNDECIDED: "undecided",
    Outcome.NO: "not_violated",
}
_WORSE = ("not_relevant", "not_violated", "undecided", "violated")


# --- one rule -----------------------------------------------------------------------------------


def asked_condition(rule: Rule, policy: Policy) -> Condition:
    """Return the condition as the policy evaluates it: the tree, or the published flat list.

    Raises `PolicyError` for a rule of nothing but exceptions, whose flat form would always hold.
    """
    if policy.tree:
        return rule.condition
    flat, _ = logic.flatten(rule.condition)
    if not flat:
        raise PolicyError(
            f"policy {policy.name!r}: the rule {rule.id!r} consists of exceptions, which the flat "
            "form drops, so nothing is left to ask; use a policy with tree=True, e.g. 'clue-tree'"
        )
    return AllOf(all=flat)


def looked_at(condition: Condition, scene: Scene) -> dict[Precondition, Scene]:
    """Say how each precondition of a rule is looked at: exceptions without the region test.

    A precondition that stands under `none` and elsewhere too counts as an exception.
    """
    scenes = dict.fromkeys(leaves(condition), scene)
    policy = scene.policy
    if policy.region and not policy.region_under_none:
        signs = logic.polarities(condition)
        exceptions = [leaf for leaf in scenes if not signs.get(leaf, False)]
        without = replace(scene, policy=policy.model_copy(update={"region": False}))
        scenes |= dict.fromkeys(exceptions, without)
    return scenes


def rule_flow(condition: Condition, scene: Scene) -> Flow[RuleVerdict]:
    """Judge one rule on one picture, and where its caption may have bought it off, without.

    A caption is the uploader's own text. What is violated with it needs no second look; of two
    looks the worse counts, and the other is kept beside it.
    """
    captioned = yield from look_flow(condition, scene)
    policy = scene.policy
    if scene.caption is None or not policy.second_look:
        return captioned
    if captioned.outcome == "violated" and not policy.exhaustive:
        # Without the caption it could only score higher.
        bound = _bound(captioned.outcome, *_interval(condition, captioned, scene))
        return captioned.model_copy(update={"bound": bound})
    bare = replace(scene, caption=None)
    without = (yield from look_flow(condition, bare)).model_copy(update={"captioned": False})
    looks = [captioned, without]
    worst = max(looks, key=_badness)
    other = without if worst is captioned else captioned
    both = worst.model_copy(update={"set_aside": other})
    bound = _bound(both.outcome, *_interval(condition, both, scene))
    return both.model_copy(update={"bound": bound})


def look_flow(condition: Condition, scene: Scene) -> Flow[RuleVerdict]:
    """Judge one rule on one picture, with the caption of the scene or without one."""
    scenes = looked_at(condition, scene)
    policy = scene.policy
    verdicts = yield from looks_flow(condition, scenes)
    if policy.exhaustive:
        asked = _unsettled(condition, verdicts)
        answers = yield from gather(precondition_flow(leaf, scenes[leaf]) for leaf in asked)
        verdicts.update(zip(asked, answers, strict=True))
    while True:
        if not policy.exhaustive:
            yield from settle_flow(condition, scenes, verdicts, reason_last=policy.reason_last)
        doubted = unconfirmed(condition, verdicts, policy)
        if not doubted:
            return rule_verdict(condition, verdicts, scene)
        answers = yield from gather(
            confirm_flow(leaf, verdicts[leaf], scenes[leaf]) for leaf in doubted
        )
        verdicts.update(zip(doubted, answers, strict=True))


def looks_flow(
    condition: Condition, scenes: Scenes
) -> Flow[dict[Precondition, PreconditionVerdict]]:
    """Let programs look before anything is asked, in listed order, until the rule is settled.

    A leaf whose program cannot look is left to its statement, where it has one.
    """
    verdicts: dict[Precondition, PreconditionVerdict] = {}
    passed_over = {leaf for leaf in scenes if leaf.program is None}

    def outcomes() -> dict[Precondition, Outcome]:
        return {leaf: v.outcome for leaf, v in verdicts.items() if v.test != "not_asked"}

    while (leaf := logic.next_leaf(condition, outcomes(), skip=passed_over)) is not None:
        passed_over.add(leaf)
        verdict = yield from program_flow(leaf, scenes[leaf])
        if settles(verdict, leaf):
            verdicts[leaf] = verdict
    return verdicts


def _unsettled(condition: Condition, verdicts: Verdicts) -> list[Precondition]:
    """List the preconditions whose answers can still move a score: programs score 0 or 1."""
    known = {leaf: verdict.outcome for leaf, verdict in verdicts.items()}
    asked: list[Precondition] = []
    while (leaf := logic.next_leaf(condition, known, skip=asked)) is not None:
        asked.append(leaf)
    return asked


def settle_flow(
    condition: Condition,
    scenes: Scenes,
    verdicts: dict[Precondition, PreconditionVerdict],
    *,
    reason_last: bool,
) -> Flow[None]:
    """Ask in listed order until the condition is settled; reason last, or at once (Algorithm 1).

    Goes on from `verdicts`, and adds to them. A precondition whose next step is still to come
    settles nothing: with `reason_last` the cheap questions go on past it, and often make the dearer
    steps needless.
    """
    first = read_flow if reason_last else precondition_flow

    def outcomes() -> dict[Precondition, Outcome]:
        return {leaf: verdicts[leaf].outcome for leaf in _final(verdicts, scenes)}

    while (leaf := logic.next_leaf(condition, outcomes(), skip=verdicts)) is not None:
        verdicts[leaf] = yield from first(leaf, scenes[leaf])
    for step in (closer_flow, escalated_flow, reasoned_flow):
        while True:
            passed_over = [
                leaf for leaf, v in verdicts.items() if _step(v, scenes[leaf]) is not step
            ]
            leaf = logic.next_leaf(condition, outcomes(), skip=passed_over)
            if leaf is None:
                break
            verdicts[leaf] = yield from step(leaf, verdicts[leaf], scenes[leaf])


def _step(verdict: PreconditionVerdict, scene: Scene) -> Step | None:
    return next_step(verdict, scene)


def _final(verdicts: Verdicts, scenes: Scenes) -> list[Precondition]:
    """Those about which nothing is left to do, but for what was not asked."""
    return [
        leaf
        for leaf, verdict in verdicts.items()
        if verdict.test != "not_asked" and not _step(verdict, scenes[leaf])
    ]


def rule_verdict(condition: Condition, verdicts: Verdicts, scene: Scene) -> RuleVerdict:
    """Sum up the answers to one rule.

    Where evaluation stopped early the score is the bound on the side of the outcome: what is
    unasked, or was left unreasoned, could only make a violation score higher and a rule that is
    not violated lower.
    """
    outcome = _RULE_OUTCOME[
        logic.evaluate(condition, {leaf: v.outcome for leaf, v in verdicts.items()})
    ]
    low, high = _score_interval(condition, verdicts, scene)
    score = low if outcome == "violated" else high
    return RuleVerdict(
        outcome=outcome,
        score=score,
        margin=debias.margin(score),
        bound=_bound(outcome, low, high),
        frame=scene.picture.frame,
        background=scene.picture.background,
        preconditions=tuple(verdicts.values()),
        captioned=None if scene.caption is None else True,
    )


def _score_interval(condition: Condition, verdicts: Verdicts, scene: Scene) -> tuple[float, float]:
    """The bounds of a rule's score, whatever may still be asked or reasoned about."""
    final = _final(verdicts, looked_at(condition, scene))
    return logic.score_interval(condition, {leaf: verdicts[leaf].score for leaf in final})


def _interval(condition: Condition, verdict: RuleVerdict, scene: Scene) -> tuple[float, float]:
    """The bounds of a rule's score over both looks, with the caption and without."""
    low, high = _score_interval(condition, logic.answered(condition, verdict.preconditions), scene)
    if verdict.set_aside is not None:
        other_answers = logic.answered(condition, verdict.set_aside.preconditions)
        other = _score_interval(condition, other_answers, scene)
        return max(low, other[0]), max(high, other[1])
    return (low, 1.0) if verdict.captioned and scene.policy.second_look else (low, high)


def _bound(outcome: str, low: float, high: float) -> Literal["exact", "lower", "upper"]:
    """Which bound the reported score is, of a rule with this outcome."""
    if low == high:
        return "exact"
    return "lower" if outcome == "violated" else "upper"


# --- one image ----------------------------------------------------------------------------------


def image_flow(  # noqa: PLR0913 - what belongs to an image
    image: ImageInput,
    constitution: Constitution,
    policy: Policy,
    caption: str | None = None,
    panel: Panel = ALONE,
    *,
    fields: tuple[tuple[str, str], ...] = (),
) -> Flow[tuple[dict[str, RuleVerdict], Usage]]:
    """Judge every rule on every picture of one image; per rule the worst picture counts.

    The questions about one picture stand together in each wave, for the engine's prefix cache.
    """
    pictures = (*image.pictures, *image.together)
    scenes = [Scene(picture, caption, policy, panel=panel, fields=fields) for picture in pictures]
    return (yield from scenes_flow(scenes, constitution, policy))


def scenes_flow(
    scenes: Sequence[Scene], constitution: Constitution, policy: Policy
) -> Flow[tuple[dict[str, RuleVerdict], Usage]]:
    """Judge every rule on every picture of one image, as they are looked at."""
    conditions = {rule.id: asked_condition(rule, policy) for rule in constitution.rules}
    flow = _looks_flow(scenes, constitution, conditions)
    verdicts, usage = yield from counted_flow(flow, scenes[0].panel)
    looks = [together_scene(scene) if scene.picture.parts else scene for scene in scenes]
    worst = {
        rule: _worst(condition, [rules[rule] for rules in verdicts], looks)
        for rule, condition in conditions.items()
    }
    return worst, usage


def _looks_flow(
    scenes: Sequence[Scene], constitution: Constitution, conditions: Mapping[str, Condition]
) -> Flow[list[dict[str, RuleVerdict]]]:
    """Judge each picture, and then all of them together; a verdict of every scene, in order."""
    apart = [scene for scene in scenes if not scene.picture.parts]
    found = yield from gather(scene_flow(constitution, conditions, scene) for scene in apart)
    together = [together_scene(scene) for scene in scenes if scene.picture.parts]
    if not together:
        return found
    asked = [
        rule
        for rule, condition in conditions.items()
        if any(verdicts[rule].outcome != "not_relevant" for verdicts in found)
        and all(leaf.program is None for leaf in leaves(condition))  # which looks at one picture
    ]
    looks = yield from gather(together_flow(conditions, scene, asked) for scene in together)
    return [*found, *looks]


def together_scene(scene: Scene) -> Scene:
    """Look at several pictures in one question: nothing is cut out, mirrored or asked otherwise."""
    without = {"crop": False, "region": False, "confirm": False, "mirror": False}
    return replace(scene, policy=scene.policy.model_copy(update=without))


def together_flow(
    conditions: Mapping[str, Condition], scene: Scene, asked: Sequence[str]
) -> Flow[dict[str, RuleVerdict]]:
    """Judge several pictures in one look by the rules that are relevant to one of them."""
    judged = yield from gather(rule_flow(conditions[rule], scene) for rule in asked)
    skipped = RuleVerdict(
        outcome="not_relevant", score=None, margin=None, background=scene.picture.background
    )
    return dict.fromkeys(conditions, skipped) | dict(zip(asked, judged, strict=True))


def scene_flow(
    constitution: Constitution, conditions: Mapping[str, Condition], scene: Scene
) -> Flow[dict[str, RuleVerdict]]:
    """Judge the rules that are relevant to one picture.

    `exhaustive` asks the others as well, and notes what they would come to.
    """
    policy, picture = scene.policy, scene.picture
    similar: dict[str, float | None] = dict.fromkeys(conditions)
    in_doubt: frozenset[str] = frozenset()
    if policy.filters:
        found_similar = yield from relevance_flow(constitution.rules, picture)
        in_doubt = doubtful(conditions, found_similar, policy)
        similar |= found_similar
    chosen = relevant(similar, policy)
    asked = list(conditions) if policy.exhaustive else chosen
    judged = yield from gather(rule_flow(conditions[rule], scene) for rule in asked)
    verdicts = dict(zip(asked, judged, strict=True))
    skipped = RuleVerdict(
        outcome="not_relevant", score=None, margin=None,
        frame=picture.frame, background=picture.background,
    )  # fmt: skip
    found: dict[str, RuleVerdict] = {}
    for rule in conditions:
        verdict = verdicts.get(rule, skipped)
        changed: dict[str, object] = {"similarity": similar[rule]}
        if policy.filters and policy.exhaustive:
            changed["unfiltered"] = verdict.outcome
        if rule not in chosen:
            changed["outcome"] = "not_relevant"
        elif rule in in_doubt and verdict.outcome in ("violated", "undecided"):
            changed |= _doubted(verdict)
        found[rule] = verdict.model_copy(update=changed)
    return found


def rule_not_asked(condition: Condition, note: str) -> RuleVerdict:
    """Say of a rule that nothing about it was asked; `note` says what is missing."""
    return RuleVerdict(
        outcome="undecided",
        score=debias.UNREAD_SCORE,
        margin=0.0,
        bound="upper",
        preconditions=tuple(nothing_asked(leaf, note) for leaf in dict.fromkeys(leaves(condition))),
    )


def _doubted(verdict: RuleVerdict) -> dict[str, object]:
    """Take back what was found of a rule that the relevance filter may skip."""
    why = "the similarity of the rule to the picture"
    answers = tuple(not_asked(answer, why) for answer in verdict.preconditions)
    return {
        "outcome": "undecided",
        "score": debias.UNREAD_SCORE,
        "margin": 0.0,
        "bound": "upper",
        "preconditions": answers,
        "set_aside": None,
    }


def _worst(
    condition: Condition, verdicts: Sequence[RuleVerdict], scenes: Sequence[Scene]
) -> RuleVerdict:
    """What one rule comes to over several pictures: its verdict on the worst of them.

    Its score is exact only if that of no other picture can pass it.
    """
    worst = max(verdicts, key=_badness)
    if worst.score is None or len(verdicts) == 1:
        return worst
    intervals = [
        _interval(condition, verdict, scene)
        for verdict, scene in zip(verdicts, scenes, strict=True)
        if verdict.outcome == worst.outcome
    ]
    low, high = (max(ends) for ends in zip(*intervals, strict=True))
    changed: dict[str, object] = {"bound": _bound(worst.outcome, low, high)}
    if worst.unfiltered is not None:
        outcomes = (verdict.unfiltered or verdict.outcome for verdict in verdicts)
        changed["unfiltered"] = max(outcomes, key=_WORSE.index)
    return worst.model_copy(update=changed)


def _badness(verdict: RuleVerdict) -> tuple[int, int, float]:
    outcomes = (verdict.outcome, verdict.unfiltered or verdict.outcome)
    first, second = map(_WORSE.index, outcomes)
    return first, second, -1.0 if verdict.score is None else verdict.score


def is_open(verdict: RuleVerdict) -> bool:
    """Whether a rule is undecided, and something about it was not asked."""
    looks = (verdict, verdict.set_aside)
    return verdict.outcome == "undecided" and any(
        answer.test == "not_asked" for look in looks if look for answer in look.preconditions
    )


def conclude(  # noqa: PLR0913 - what a judgment is made of
    image: ImageInput,
    rules: dict[str, RuleVerdict],
    usage: Usage,
    provenance: Provenance,
    policy: Policy,
    *,
    caption: CaptionUse | None = None,
) -> Judgment:
    """Make the judgment: unsafe if a rule is violated, else undecided if one is, else safe.

    Rules that are not relevant have no say, also where they were asked (`exhaustive`). An image
    that is not unsafe is undecided too if its caption was too long to be shown at all, or if the
    policy wants `every_frame` looked at and some were not.
    """
    violations = tuple(rule for rule, v in rules.items() if v.outcome == "violated")
    counting = (v.score for v in rules.values() if v.outcome != "not_relevant")
    score = max((score for score in counting if score is not None), default=None)
    causes: dict[UndecidedBy, bool] = {
        "rules": any(v.outcome == "undecided" and not is_open(v) for v in rules.values()),
        "frames": policy.every_frame and image.frames is not None and not image.frames.all,
        "caption": caption is not None and caption.tokens > 0 and caption.shown == 0,
        "not_asked": any(map(is_open, rules.values())),
    }
    undecided_by = () if violations else tuple(cause for cause, holds in causes.items() if holds)
    return Judgment(
        image=image.name,
        id=image.id,
        label="unsafe" if violations else "undecided" if undecided_by else "safe",
        violations=violations,
        score=score,
        margin=None if score is None else debias.margin(score),
        rules=rules,
        provenance=provenance,
        usage=usage,
        frames=image.frames,
        caption=caption,
        undecided_by=undecided_by,
    )
