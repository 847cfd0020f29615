"""A record as somebody who answers: what was read of an image, by what asks for it.

Takes a judgment and what made it; answers the requests of a flow from its trace, and says of a
request that the trace has no answer to that it was not asked. The picture is not at hand: a
stand-in has its place, and a view of it is told by how it was made. A flow that is made of
stand-ins takes the very steps that the one of the run took, so the same answers lead to the same
record.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from safejudge import prompts
from safejudge.flow import NotAsked
from safejudge.method import debias, views
from safejudge.method.regions import words_of
from safejudge.method.relevance import relevance_text
from safejudge.types import (
    AnswerProbs,
    CaptionUse,
    Locate,
    Look,
    NoReply,
    Picture,
    Probe,
    Read,
    Reasoning,
    ReasoningTrace,
    Similarity,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from safejudge.flow import Answer, Request
    from safejudge.policy import Policy
    from safejudge.types import (
        Box,
        Call,
        Confirmation,
        Constitution,
        Finding,
        Judgment,
        PreconditionVerdict,
        RuleVerdict,
        View,
    )

    Boxes = tuple[Box, ...]
    _Asked = tuple[int, str, str | None]
    """Which engine, which question, about which picture."""

CAPTION = "(the caption that was shown)"
"""Stands for the text of a caption, which no record holds."""
OTHER_CAPTION = "(as much of the caption as was not shown)"
"""Stands for a text that was not put into any question."""

_NO_PIXELS = np.zeros((1, 1, 3), np.uint8)
_UNTOLD = "the record does not say why it could not be read"


def stand_in(frame: int | None, background: Literal["white", "black"] | None) -> Picture:
    """Make what stands for one frame on one background."""
    return Picture(_NO_PIXELS, f"{frame}/{background}", frame, background)


class RecordedViews:
    """Views of stand-ins, each told by the places it was made of; knows which regions are small."""

    def __init__(self) -> None:
        self.views: dict[str, View] = {}
        """By the digest of a stand-in, which view it is."""
        self._shares: dict[tuple[str, Boxes], tuple[float, float]] = {}

    def note_share(self, picture: Picture, boxes: Boxes, area: float, *, small: bool) -> None:
        """Keep that boxes cover less than this share of a picture, or do not."""
        low, high = self._shares.get((picture.digest, boxes), (0.0, math.inf))
        known = (low, min(high, area)) if small else (max(low, area), high)
        self._shares[picture.digest, boxes] = known

    def is_small(self, picture: Picture, boxes: Sequence[Box], area: float) -> bool:
        """Whether boxes cover less than this share. Raises `NotAsked` where no record tells."""
        low, high = self._shares.get((picture.digest, tuple(boxes)), (0.0, math.inf))
        if high <= area:
            return True
        if area <= low:
            return False
        raise NotAsked("the records do not hold how much of the picture the region covers")

    def region_crop(self, picture: Picture, boxes: Sequence[Box]) -> Picture:
        """Stand in for a crop."""
        left, top = min(b.left for b in boxes), min(b.top for b in boxes)
        right, bottom = max(b.right for b in boxes), max(b.bottom for b in boxes)
        return self._view(picture, "region_crop", f"{left} {top} {right} {bottom}")

    def region_removed(
        self, picture: Picture, boxes: Sequence[Box], fill: Literal["surround", "grey"]
    ) -> Picture:
        """Stand in for the picture without its region."""
        places = dict.fromkeys((b.left, b.top, b.right, b.bottom) for b in boxes)
        return self._view(picture, "region_removed", f"{fill} {list(places)}")

    def mirrored(self, picture: Picture) -> Picture:
        """Stand in for the picture, left and right exchanged."""
        return self._view(picture, "mirrored", "")

    def _view(self, picture: Picture, view: View, made: str) -> Picture:
        digest = f"{picture.digest} {view} {made}"
        self.views[digest] = view
        return Picture(_NO_PIXELS, digest, picture.frame, picture.background)


class PixelViews:
    """Views of an image that is at hand after all; remembers which stand-ins each stands behind.

    Two views may have the same pixels; a model is asked about those once.
    """

    def __init__(self, pictures: Sequence[Picture]) -> None:
        self.stand_ins: dict[str, list[str]] = {}
        """Digests of stand-ins by the digest of what they stand for."""
        self._recorded = RecordedViews()
        for picture in pictures:
            self._note(picture, stand_in(picture.frame, picture.background))

    def is_small(self, picture: Picture, boxes: Sequence[Box], area: float) -> bool:
        """Whether boxes cover less than this share."""
        return views.is_small(picture, boxes, area)

    def region_crop(self, picture: Picture, boxes: Sequence[Box]) -> Picture:
        """Cut out the boxes."""
        whole = stand_in(picture.frame, picture.background)
        crop = views.region_crop(picture, boxes)
        return self._note(crop, self._recorded.region_crop(whole, boxes))

    def region_removed(
        self, picture: Picture, boxes: Sequence[Box], fill: Literal["surround", "grey"]
    ) -> Picture:
        """Fill the boxes."""
        whole = stand_in(picture.frame, picture.background)
        removed = views.region_removed(picture, boxes, fill)
        return self._note(removed, self._recorded.region_removed(whole, boxes, fill))

    def mirrored(self, picture: Picture) -> Picture:
        """Exchange left and right."""
        stands = self.stand_ins.get(picture.digest, [])[-1:]
        whole = stand_in(picture.frame, picture.background)
        of = replace(whole, digest=stands[0]) if stands else whole
        return self._note(views.mirrored(picture), self._recorded.mirrored(of))

    def _note(self, picture: Picture, stands: Picture) -> Picture:
        self.stand_ins.setdefault(picture.digest, []).append(stands.digest)
        return picture


@dataclass(frozen=True, slots=True)
class _Recorded(AnswerProbs):
    """An answer that gives back the numbers of a read as they are, to the last bit."""

    read: Read | None = field(default=None, kw_only=True)

    @property
    def label_mass(self) -> float:
        """P(yes) + P(no), as it was read."""
        return 0.0 if self.read is None else self.read.label_mass

    @property
    def score(self) -> float | None:
        """`M`, as it was read."""
        return None if self.read is None else self.read.score


class Reads:
    """What one record says of one image."""

    def __init__(
        self,
        judgment: Judgment,
        constitution: Constitution | None,
        policy: Policy,
        caption: str | None = CAPTION,
    ) -> None:
        """Take in a trace that this policy led to.

        `constitution` is the one of the run, for the texts that the encoder compared; None where it
        is not known. `caption` is the text that was shown, or what stands for it.
        """
        self.views = RecordedViews()
        self.pixels: PixelViews | None = None
        """Of an image that is at hand: what the requests show."""
        self._policy = policy
        self._caption = caption
        self._probes: dict[_Asked, AnswerProbs] = {}
        self._boxes: dict[tuple[str, tuple[str, ...]], Boxes] = {}
        self._traces: dict[_Asked, ReasoningTrace] = {}
        self._findings: dict[tuple[str, Call], Finding] = {}
        self._similar: dict[tuple[str, str], float] = {}
        self._unclear: set[_Asked] = set()
        """Reads without a number of which the record does not say why: no use to another policy."""
        if constitution is not None and policy.filters:
            self._add_similarities(judgment.rules, constitution)
        for verdict in judgment.rules.values():
            for look in (verdict, verdict.set_aside):
                for answer in () if look is None else look.preconditions:
                    self._add_finding(answer.finding, look or verdict)
                    for place, opinion in enumerate(answer.opinions):
                        self._add(opinion, look or verdict, place)
                    after = 0 if answer.engine is None else len(answer.opinions)
                    self._add(answer, look or verdict, after)

    def _add_finding(self, finding: Finding | None, look: RuleVerdict) -> None:
        """Take in what a program found, whatever filled its slots: one item has one image."""
        if finding is not None:
            picture = stand_in(look.frame, look.background)
            self._findings.setdefault((picture.digest, finding.call), finding)

    def _add_similarities(
        self, verdicts: Mapping[str, RuleVerdict], constitution: Constitution
    ) -> None:
        for rule in constitution.rules:
            if (verdict := verdicts.get(rule.id)) is not None:
                key = (stand_in(verdict.frame, verdict.background).digest, relevance_text(rule))
                number = verdict.similarity
                self._similar[key] = math.nan if number is None else number

    def _add(self, verdict: PreconditionVerdict, look: RuleVerdict, engine: int) -> None:
        """Take in one answer, of the engine at this place, and how it came about."""
        picture = stand_in(look.frame, look.background)
        question = self._question(verdict.statement, look)
        boxes = verdict.boxes
        crop = None
        if boxes is not None:
            self._boxes[picture.digest, words_of(verdict.look_at or "")] = boxes
        if boxes:
            crop = self.views.region_crop(picture, boxes)
            if self._policy.crop and verdict.reads:
                small = any(read.view == "region_crop" for read in verdict.reads)
                self.views.note_share(picture, boxes, self._policy.crop_area, small=small)
        asked: dict[View, str | None] = {"full": picture.digest, "no_image": None}
        if crop is not None and boxes is not None:
            removed = self.views.region_removed(picture, boxes, self._policy.fill)
            asked |= {"region_crop": crop.digest, "region_removed": removed.digest}
        problems = _problems(verdict)
        for read in verdict.reads:
            if read.view in asked:
                key = (engine, question, asked[read.view])
                answer = _recorded(read, problems.get(read.view))
                self._add_read(key, answer, unclear=_is_unclear(read, verdict))
        read_crop = any(
            read.view == "region_crop" and read.score is not None
            for read in verdict.answers[0].reads
        )
        nearest = crop if read_crop and crop is not None else picture
        if verdict.reasoning is not None:
            self._traces.setdefault((engine, question, nearest.digest), verdict.reasoning)
        for confirmation in verdict.confirmations:
            shown = picture if confirmation.shown is None or crop is None else crop
            self._add_confirmation(verdict.statement, confirmation, look, (engine, shown))

    def _add_confirmation(
        self, statement: str, said: Confirmation, look: RuleVerdict, asked: tuple[int, Picture]
    ) -> None:
        """Take in what an engine was asked beside a statement about a picture.

        The first unread look has the problem.
        """
        engine, picture = asked
        keys: list[_Asked] = []
        if said.by == "contrast":
            orders = ((statement, said.statement), (said.statement, statement))
            keys += [(engine, prompts.choice_question(*order), picture.digest) for order in orders]
        elif said.by == "mirrored":
            mirrored = self.views.mirrored(picture)
            keys += [(engine, self._question(statement, look), mirrored.digest)]
        else:
            question = self._question(said.statement, look)
            keys += [(engine, question, picture.digest), (engine, question, None)]
        problem = said.problem
        for key, read in zip(keys, said.reads, strict=False):
            told = None
            if problem is not None and read.score is None:
                told, problem = problem.removeprefix(f"view {read.view}: "), None
            self._add_read(key, _recorded(read, told), unclear=False)

    def _add_read(self, key: _Asked, answer: AnswerProbs, *, unclear: bool) -> None:
        """Take in a read, which may stand in several traces; the one that says most counts."""
        if key not in self._probes or (key in self._unclear and not unclear):
            self._probes[key] = answer
            self._unclear.discard(key)
            if unclear:
                self._unclear.add(key)

    def _question(self, statement: str, look: RuleVerdict) -> str:
        return prompts.statement_question(statement, self._caption if look.captioned else None)

    def answer(self, request: Request, policy: Policy) -> Answer | None:
        """Answer a request of a flow of this policy; None: it was not asked."""
        if isinstance(request, Probe) and not request.images:
            return self._probes.get((request.engine, request.question, None))
        shown = request.images[0] if isinstance(request, Probe | Reasoning) else request.picture
        found = (self._about(digest, request, policy) for digest in self._digests(shown))
        return next((answer for answer in found if answer is not None), None)

    def _digests(self, picture: Picture) -> Sequence[str]:
        """What a picture is called in the record; the same pixels may have several names."""
        if self.pixels is None:
            return (picture.digest,)
        return self.pixels.stand_ins.get(picture.digest, ())

    def _about(self, digest: str, request: Request, policy: Policy) -> Answer | None:
        match request:
            case Probe():
                key = (request.engine, request.question, digest)
                unclear = key in self._unclear and policy != self._policy
                return None if unclear else self._probes.get(key)
            case Reasoning():
                return self._reply(digest, request)
            case Look():
                return self._findings.get((digest, request.call))
            case Similarity():
                return self._similar.get((digest, request.text))
            case Locate():
                return self._located(digest, request.words, policy)

    def _located(self, digest: str, words: tuple[str, ...], policy: Policy) -> Boxes | None:
        """The boxes that were kept, unless this policy would keep others as well."""
        boxes = self._boxes.get((digest, words))
        least = self._policy.minimum_confidence
        if boxes is None or policy.minimum_confidence >= least:
            return boxes
        best = dict.fromkeys(words, 0.0)
        best |= {box.word: max(b.confidence for b in boxes if b.word == box.word) for box in boxes}
        return boxes if all(confidence / 2 > least for confidence in best.values()) else None

    def _reply(self, digest: str, request: Reasoning) -> str | None:
        """What was said in a reasoning of this length, or the JSON that ended it."""
        trace = self._traces.get((request.engine, request.messages[0].text, digest))
        if trace is None:
            return None
        if request.schema is None:
            if request.max_tokens != self._policy.max_reasoning_tokens:
                return None
            return trace.text or NoReply(trace.problem or "")
        if trace.rating is None:
            return NoReply(trace.problem or "")
        return json.dumps({"rationale": trace.rationale, "rating": trace.rating})


def _recorded(read: Read, problem: str | None) -> AnswerProbs:
    return _Recorded((1.0, 0.0), read.top, read.exact, problem, read=read)


def _is_unclear(read: Read, verdict: PreconditionVerdict) -> bool:
    """Whether nothing tells if a view was not answered, or with neither yes nor no at all.

    The note that told was taken by a reasoning that could not be read.
    """
    reasoning = verdict.reasoning
    return read.score is None and reasoning is not None and reasoning.problem is not None


def _problems(verdict: PreconditionVerdict) -> dict[View, str]:
    """Why some views could not be read, as far as the note of a verdict tells.

    A reasoning that could not be read has a note of its own, in the place of theirs.
    """
    note = verdict.note or ""
    unread: list[View] = [
        read.view
        for read in verdict.reads
        if read.score is None and read.label_mass == 0.0 and _too_faint(read.view) not in note
    ]
    if not unread:
        return {}
    stopped = verdict.test == "unreadable" and verdict.reasoning is None
    told = _told(note, unread, one=stopped)
    for view in unread:
        gave_way = view == "region_crop" and _gave_way(verdict)
        if view not in told and (gave_way or (stopped and not told)):
            told[view] = _UNTOLD
    return told


def _too_faint(view: View) -> str:
    """What a note says of a view whose answer was neither yes nor no (`debias.decide`)."""
    return f"of the view {view} is "


def _gave_way(verdict: PreconditionVerdict) -> bool:
    """Whether the full view was put to the first tests in the place of a crop without a number.

    That happens where the crop could not be read. One that got neither yes nor no at all was put to
    them, and left the score of what is not read.
    """
    names = [read.view for read in verdict.reads]
    if "full" not in names[names.index("region_crop") :]:
        return False
    if verdict.reasoning is None or verdict.reasoning.problem is None:
        return True  # the note would tell of a crop that was put to the tests
    return verdict.score != debias.moved(debias.UNREAD_SCORE, verdict.outcome)


def _told(note: str, unread: Sequence[View], *, one: bool) -> dict[View, str]:
    """Return the problem of each unread view that a note speaks of; all of it is about `one`."""
    starts: dict[View, re.Match[str]] = {}
    for match in re.finditer(rf"(?:^|; )view ({'|'.join(unread)}): ", note):
        starts.setdefault(cast("View", match[1]), match)
    found = list(starts.items())[: 1 if one else None]
    ends = [match.start() for _, match in found[1:]] + [len(note)]
    return {view: note[match.end() : end] for (view, match), end in zip(found, ends, strict=False)}


def caption_now(
    use: CaptionUse | None, then: Policy, now: Policy
) -> tuple[str | None, CaptionUse | None]:
    """Say what of a caption a policy shows, and how much that is; see `captions.shown_caption`.

    `CAPTION` where it is what the run showed, `OTHER_CAPTION` where it is something else.
    """
    if use is None:
        return None, None
    if use.tokens <= now.max_caption_tokens:
        shown = CAPTION if use.shown == use.tokens else OTHER_CAPTION
        return shown, CaptionUse(tokens=use.tokens, shown=use.tokens)
    if not now.cut_captions:
        return None, CaptionUse(tokens=use.tokens, shown=0)
    same = then.cut_captions and then.max_caption_tokens == now.max_caption_tokens
    if same:
        return (CAPTION if use.shown else None), use
    return OTHER_CAPTION, CaptionUse(tokens=use.tokens, shown=now.max_caption_tokens)
