"""Judge again from what the reads of records say; no model is opened.

Takes a judgment, what made it, and another constitution or policy; gives the judgment that these
lead to, and the requests that the record has no answer to. The flows are those of a run
(`method.verdict`). A statement that nobody was asked about is `not_asked`; a rule that hangs on one
is undecided, and so is a label.

Of an image with several pictures (frames, backgrounds) a record holds, by rule, the picture that
decided. So what is judged alike keeps its verdict, and what is judged otherwise is known only where
that picture violates it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from safejudge.decide.replay_reads import PixelViews, Reads, caption_now, stand_in
from safejudge.engines.effect import asking_unlearned, policy_beside
from safejudge.engines.open import SCORER
from safejudge.errors import InputError
from safejudge.flow import NotAsked, drive, gather
from safejudge.method.counting import counted_flow
from safejudge.method.precondition import Scene
from safejudge.method.relevance import relevance_text
from safejudge.method.rule import asked_condition, rule_flow, rule_not_asked
from safejudge.method.verdict import conclude, scenes_flow
from safejudge.types import (
    Failure,
    ImageInput,
    Learned,
    Locate,
    Look,
    Probe,
    Reasoning,
    RuleVerdict,
    Similarity,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from safejudge.flow import Answer, Flow, Request
    from safejudge.policy import Policy
    from safejudge.types import (
        CaptionUse,
        Condition,
        Constitution,
        Judgment,
        ModelRef,
        Picture,
        Provenance,
        Result,
        Rule,
    )

    Rules = dict[str, RuleVerdict]
    Shown = tuple[str | None, CaptionUse | None]

T = TypeVar("T")

_READING = ("background", "max_frames", "frame_seed")
"""Settings that decide which pictures an image is looked at in."""
_LIMITS = ("max_pixels", "max_bytes")
"""Settings by which an image is a failure."""
_PREFERENCES = ("name", "allow_undecided", "allow_failures")
"""Settings that change no verdict."""


@dataclass(frozen=True, slots=True)
class Made:
    """What judgments were, or are, made by."""

    constitution: Constitution | None
    """None where it is not known, of old records."""
    policy: Policy
    """As it takes effect."""
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Replayed:
    """What one record comes to."""

    result: Result
    missing: frozenset[Request] = field(default_factory=frozenset)
    """Requests that a run would make next and the record has no answer to."""
    whole: bool = True
    """Whether this is what a run would give; else something was not asked, or not kept."""


def made_now(
    then: Made,
    constitution: Constitution,
    policy: Policy,
    *,
    encoder: ModelRef | None = None,
    detector: ModelRef | None = None,
) -> Made:
    """Say what replayed judgments are made by: the models of the records, and what is new.

    `encoder` and `detector` are models that the records do not have. Raises `PolicyError` for a
    rule that the policy leaves nothing of, and `InputError` for a limit that records say nothing
    about.
    """
    made_by = then.provenance
    encoder, detector = encoder or made_by.encoder, detector or made_by.detector
    uri = None if encoder is None else encoder.uri
    learned = learned_then(then) if policy.relevance and encoder == made_by.encoder else None
    policy = policy_beside(
        still_there(policy, then, constitution),
        uri,
        locates=detector is not None,
        escalates=made_by.escalate_to is not None,
        learned=learned,
    )
    if learned is not None:
        policy = asking_unlearned(policy, learned, constitution)
    for name in _LIMITS:
        before, after = getattr(then.policy, name), getattr(policy, name)
        if after != before:
            raise InputError(
                f"{name} is {after} and was {before}: records do not say how large their images "
                f"are, so which would be refused is not known; --set {name}={before} keeps it"
            )
    for rule in constitution.rules:
        asked_condition(rule, policy)
    changed: dict[str, object] = {
        "constitution": constitution.digest(),
        "encoder": encoder if policy.filters else None,
        "detector": detector if policy.locates else None,
    }
    if policy != then.policy:
        changed["policy"] = policy.digest()
    return Made(constitution, policy, made_by.model_copy(update=changed))


def learned_then(then: Made) -> Learned | None:
    """What a distilled filter of the records had learned; None where there was none."""
    encoder, threshold = then.provenance.encoder, then.policy.relevance_threshold
    if encoder is None or not encoder.uri.startswith(SCORER):
        return None
    if then.constitution is None or threshold is None:
        return None
    never = then.policy.never_skipped
    rules = (rule for rule in then.constitution.rules if rule.id not in never)
    return Learned(threshold, {relevance_text(rule): rule.digest() for rule in rules})


def still_there(policy: Policy, then: Made, constitution: Constitution) -> Policy:
    """Leave out rules that are never skipped and that the records have, and these rules have not.

    What neither has is left for a judge to refuse.
    """
    gone = {rule.id for rule in (then.constitution.rules if then.constitution else ())}
    gone -= {rule.id for rule in constitution.rules}
    kept = tuple(rule for rule in policy.never_skipped if rule not in gone)
    return policy.model_copy(update={"never_skipped": kept})


class Replay:
    """Judges records again, under one constitution and policy."""

    def __init__(self, then: Made, now: Made) -> None:
        """Compare what made the records with what is to judge them now (`made_now`)."""
        if now.constitution is None:
            raise ValueError("records are replayed by a constitution that is known")
        self.then, self.now = then, now
        self.constitution = now.constitution
        self._conditions = {
            rule.id: asked_condition(rule, now.policy) for rule in now.constitution.rules
        }
        self._kept = _alike(then, now)
        self._is_same = len(self._kept) == len(self._conditions)
        self._panel = then.provenance.panel

    def reads_of(self, judgment: Judgment) -> Reads:
        """Take in what a record says, for as many replays as one likes."""
        return Reads(judgment, self.then.constitution, self.then.policy)

    def __call__(self, result: Result, reads: Reads | None = None) -> Replayed:
        """Judge one record again."""
        if isinstance(result, Failure):
            return Replayed(result)
        reads = reads or self.reads_of(result)
        missing: set[Request] = set()

        def unanswered(wave: Sequence[Request]) -> list[Answer]:
            missing.update(wave)
            return [NotAsked(what_is_missing(request, reads)) for request in wave]

        pictures = _pictures(result, self.then.policy, self.now.policy)
        flow = (
            self._some_pictures_flow(result, reads)
            if pictures is None
            else self._flow(pictures, reads, caption_now(result.caption, *self._policies)[0])
        )
        rules, usage = drive(self.answered(flow, reads), unanswered)
        if rules == result.rules and self._is_same:  # two views may have had the same pixels
            usage = result.usage
        judgment = self._concluded(result, rules, usage)
        kept = pictures is not None or judgment.usage is result.usage
        whole = kept and not missing and not _is_lacking(judgment)
        return Replayed(judgment, frozenset(missing), whole)

    @property
    def _policies(self) -> tuple[Policy, Policy]:
        return self.then.policy, self.now.policy

    def answered(self, flow: Flow[T], reads: Reads) -> Flow[T]:
        """Run a flow by what was read; yield on what was not."""
        return answered(flow, lambda request: reads.answer(request, self.now.policy))

    def asked_flow(
        self,
        before: Judgment,
        image: ImageInput,
        reads: Reads,
        shown: Shown,
        fields: tuple[tuple[str, str], ...],
    ) -> Flow[Replayed]:
        """Judge an image that is at hand; yield what the record has no answer to.

        `shown` is what is shown of its caption, and how much that is; `fields` is what fills slots.
        """
        reads.pixels = PixelViews(image.pictures)
        flow = self._flow(image.pictures, reads, shown[0], fields)
        rules, usage = yield from self.answered(flow, reads)
        now, seen = self.now, ImageInput(before.id, before.image, (), image.frames)
        return Replayed(conclude(seen, rules, usage, now.provenance, now.policy, caption=shown[1]))

    def _flow(
        self,
        pictures: Sequence[Picture],
        reads: Reads,
        caption: str | None,
        fields: tuple[tuple[str, str], ...] = (),
    ) -> Flow[tuple[Rules, Usage]]:
        policy, looked = self.now.policy, reads.pixels or reads.views
        scenes = [
            Scene(picture, caption, policy, looked, self._panel, fields) for picture in pictures
        ]
        return scenes_flow(scenes, self.constitution, policy)

    def _concluded(self, before: Judgment, rules: Rules, usage: Usage) -> Judgment:
        _, use = caption_now(before.caption, *self._policies)
        image = ImageInput(before.id, before.image, (), before.frames)
        now = self.now
        return conclude(image, rules, usage, now.provenance, now.policy, caption=use)

    # --- several pictures -------------------------------------------------------------------------

    def _some_pictures_flow(self, before: Judgment, reads: Reads) -> Flow[tuple[Rules, Usage]]:
        """Judge an image of which only the pictures that decided are known, each by its rules."""
        same = _same_pictures(before, *self._policies)
        kept = {rule: before.rules[rule] for rule in self._kept if rule in before.rules and same}
        if len(kept) == len(self._conditions) == len(before.rules):
            return {rule: kept[rule] for rule in self._conditions}, before.usage
        others = [rule for rule in self.constitution.rules if rule.id not in kept]
        flows = (self._deciding_flow(rule, before, reads, same=same) for rule in others)
        judged, usage = yield from counted_flow(gather(flows), self._panel)
        found = kept | {rule.id: verdict for rule, verdict in zip(others, judged, strict=True)}
        return {rule: found[rule] for rule in self._conditions}, usage

    def _deciding_flow(
        self, rule: Rule, before: Judgment, reads: Reads, *, same: bool
    ) -> Flow[RuleVerdict]:
        """Judge a rule on the picture that decided about it; violated there is violated."""
        condition, policy = self._conditions[rule.id], self.now.policy
        old = before.rules.get(rule.id)
        if old is None or not same:
            return rule_not_asked(condition, "what its frames and backgrounds show")
        picture = stand_in(old.frame, old.background)
        verdict = rule_not_asked(condition, "what its other frames and backgrounds show")
        if not self._is_asked(rule, picture, reads):
            return verdict
        caption, _ = caption_now(before.caption, *self._policies)
        scene = Scene(picture, caption, policy, reads.views, self._panel)
        found = yield from rule_flow(condition, scene)
        if found.outcome != "violated":
            return verdict
        return found.model_copy(update={"bound": "lower", "similarity": old.similarity})

    def _is_asked(self, rule: Rule, picture: Picture, reads: Reads) -> bool:
        """Whether the filter lets a rule through on this picture alone."""
        policy = self.now.policy
        if not policy.filters or policy.relevance_threshold is None:
            return True
        if rule.id in policy.never_skipped:
            return True
        similar = reads.answer(Similarity(picture, relevance_text(rule)), policy)
        return isinstance(similar, float) and not similar <= policy.relevance_threshold


def answered(flow: Flow[T], known: Callable[[Request], Answer | None]) -> Flow[T]:
    """Run a flow by what is known; yield only what is not, and send that in with the rest."""
    answers: tuple[Answer, ...] | None = None
    try:
        while True:
            try:
                wave = next(flow) if answers is None else flow.send(answers)
            except StopIteration as end:
                result: T = end.value
                return result
            found = {r: answer for r in wave if (answer := known(r)) is not None}
            unknown = tuple(dict.fromkeys(request for request in wave if request not in found))
            if unknown:
                found |= zip(unknown, (yield unknown), strict=True)
            answers = tuple(found[request] for request in wave)
    finally:
        flow.close()


# --- what is alike ----------------------------------------------------------------------------


def _alike(then: Made, now: Made) -> frozenset[str]:
    """Return the ids of rules that are judged now as they were then, whatever the picture."""
    if then.constitution is None or now.constitution is None:
        return frozenset()
    same_policy = _verdicts_of(then.policy) == _verdicts_of(now.policy)
    texts = [
        {rule.id: relevance_text(rule) for rule in made.constitution.rules}
        for made in (then, now)
        if made.constitution is not None
    ]
    if not same_policy or (now.policy.filters and texts[0] != texts[1]):
        return frozenset()
    before: dict[str, Condition] = {rule.id: rule.condition for rule in then.constitution.rules}
    return frozenset(
        rule.id for rule in now.constitution.rules if before.get(rule.id) == rule.condition
    )


def _verdicts_of(policy: Policy) -> dict[str, object]:
    """The settings that decide about verdicts, once the pictures are there."""
    return policy.model_dump(exclude={*_PREFERENCES, *_READING, *_LIMITS, "every_frame"})


def _same_pictures(judgment: Judgment, then: Policy, now: Policy) -> bool:
    """Whether an image is looked at in the same pictures."""
    clear = any(verdict.background is not None for verdict in judgment.rules.values())
    if clear and then.background != now.background:
        return False
    if judgment.frames is None or (then.max_frames, then.frame_seed) == (
        now.max_frames,
        now.frame_seed,
    ):
        return True
    most = now.max_frames
    return judgment.frames.all and (most is None or judgment.frames.of <= most)


def _pictures(judgment: Judgment, then: Policy, now: Policy) -> list[Picture] | None:
    """Stand-ins for the pictures of an image; None where a record does not tell which there are."""
    places = {(verdict.frame, verdict.background) for verdict in judgment.rules.values()}
    still = judgment.frames is None or judgment.frames.of == 1
    opaque = all(background is None for _, background in places)
    one = still and (opaque or then.background != "worst")
    if not (one and len(places) == 1 and _same_pictures(judgment, then, now)):
        return None
    return [stand_in(*place) for place in places]


def _is_lacking(judgment: Judgment) -> bool:
    """Whether anything in a trace was not asked."""
    looks = (look for v in judgment.rules.values() for look in (v, v.set_aside) if look)
    return any(answer.test == "not_asked" for look in looks for answer in look.preconditions)


# --- what is missing ----------------------------------------------------------------------------

_KINDS: dict[type[Request], str] = {
    Look: "findings of programs",
    Similarity: "similarities",
    Probe: "questions",
    Locate: "searches",
    Reasoning: "reasonings",
}


def what_is_missing(request: Request, reads: Reads) -> str:
    """Say what a record lacks, for the note of a verdict."""
    match request:
        case Probe(images=()):
            return "the records do not hold the view no_image"
        case Probe():
            view = reads.views.views.get(request.images[0].digest, "full")
            return f"the records do not hold the view {view}"
        case Locate():
            return f"the records do not hold where {', '.join(request.words)} may be"
        case Look():
            return f"the records do not hold what the program found ({request.call.text})"
        case Reasoning():
            return "the records do not hold a reasoning"
        case Similarity():
            return "the records do not hold the similarity of the rule"


def count_missing(missing: frozenset[Request]) -> dict[str, int]:
    """Count requests by their kind: questions, reasonings and so on; none of which there are 0."""
    counts = {name: sum(isinstance(r, kind) for r in missing) for kind, name in _KINDS.items()}
    return {name: count for name, count in counts.items() if count}
