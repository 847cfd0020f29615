"""One image's flow: relevance -> preconditions -> rules -> what the image is judged to be.

Takes an image's pictures, a constitution and a policy; gives a verdict per rule with its whole
trace, and from those a `Judgment`. It yields requests and never calls a model.

Within an image nothing is asked twice: `gather` answers equal requests of several rules once, the
reasoning included, so a precondition that stands in three rules costs one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from safejudge.flow import gather
from safejudge.method import debias
from safejudge.method.alike import same_looks
from safejudge.method.counting import counted_flow
from safejudge.method.precondition import Scene, not_asked
from safejudge.method.relevance import compared_rules, doubtful, relevance_flow, relevant
from safejudge.method.rule import (
    WORSE,
    asked_condition,
    badness,
    bound_of,
    interval_of,
    is_open,
    rule_flow,
)
from safejudge.types import (
    ALONE,
    CaptionUse,
    Condition,
    Constitution,
    ImageInput,
    Judgment,
    Panel,
    Provenance,
    RuleVerdict,
    UndecidedBy,
    Usage,
    leaves,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.flow import Flow
    from safejudge.policy import Policy


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
    if policy.shared_reasoning and policy.reasons:
        alike = same_looks(image.pictures)
        scenes[: len(alike)] = [
            replace(scene, alike=same) for scene, same in zip(scenes, alike, strict=False)
        ]
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
        compared = compared_rules(constitution.rules, policy)
        found_similar = yield from relevance_flow(compared, picture)
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
    worst = max(verdicts, key=badness)
    if worst.score is None or len(verdicts) == 1:
        return worst
    intervals = [
        interval_of(condition, verdict, scene)
        for verdict, scene in zip(verdicts, scenes, strict=True)
        if verdict.outcome == worst.outcome
    ]
    low, high = (max(ends) for ends in zip(*intervals, strict=True))
    changed: dict[str, object] = {"bound": bound_of(worst.outcome, low, high)}
    if worst.unfiltered is not None:
        outcomes = (verdict.unfiltered or verdict.outcome for verdict in verdicts)
        changed["unfiltered"] = max(outcomes, key=WORSE.index)
    return worst.model_copy(update=changed)


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
