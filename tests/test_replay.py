"""Records judged again without a model: what is known comes out as a run would have it."""

import hashlib
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from safejudge.decide.replay import Made, Replay, made_now
from safejudge.decide.replay_ask import Asking
from safejudge.decide.replay_reads import CAPTION, OTHER_CAPTION, Reads, caption_now, stand_in
from safejudge.engines.fake import FakeDetector, FakeEncoder, FakeEngine
from safejudge.engines.models import Models
from safejudge.errors import InputError
from safejudge.files.records import record, to_line
from safejudge.flow import drive
from safejudge.images.load import load_image
from safejudge.judge import Judge
from safejudge.method import opinions
from safejudge.method.precondition import Scene, not_asked
from safejudge.method.rule import is_open
from safejudge.policy import Policy
from safejudge.show import wording
from safejudge.types import (
    AllOf,
    AnswerProbs,
    AnyOf,
    Box,
    CaptionUse,
    Constitution,
    NoneOf,
    Precondition,
    Probe,
    Rule,
    Severity,
)

SIDE = 24
POOL = [
    Precondition(statement="a gun is visible", look_at="gun", contrast=("a toy is visible",),
                 reworded="there is a gun"),
    Precondition(statement="a knife is visible", look_at="knife and gun",
                 contrast=("a toy is visible", "a gun is visible")),
    Precondition(statement="a child is visible", look_at="child", reworded="there is a child"),
    Precondition(statement="it is night"),
    Precondition(statement="a gun is visible", look_at="knife"),
]  # fmt: skip


# --- a world that a seed decides ------------------------------------------------------------------


def draw(seed, *things, most):
    told = json.dumps([seed, *map(str, things)])
    return int.from_bytes(hashlib.sha256(told.encode()).digest()[:6]) % most


ANSWERS = [
    AnswerProbs((0.97, 0.02), "Yes"), AnswerProbs((0.03, 0.95), "No"), AnswerProbs((0.6, 0.4)),
    AnswerProbs((0.55, 0.42), "Yes"), AnswerProbs((0.8, 0.15)), AnswerProbs((0.4, 0.59), "No"),
    AnswerProbs((0.1, 0.1), "Perhaps"), AnswerProbs((0.0, 0.0), "Sorry"), AnswerProbs((0.61, 0.3)),
    AnswerProbs((0.0, 0.0), problem="the server said: 5; view full: no"),
]  # fmt: skip
RATINGS = ["Yes", "No", "Unsure", "none", ""]


class World:
    """Models whose answers a seed decides; `asked` are their requests.

    `also` engines count beside the first, and `last`: one is asked after them.
    """

    def __init__(self, seed, also=0, *, last=False):
        self.seed, self.asked = seed, []
        self.models = Models(
            self.engine(""),
            FakeEncoder(self.similar),
            FakeDetector(self.located),
            also=tuple(self.engine(f"{number}") for number in range(also)),
            escalation=self.engine("last") if last else None,
        )

    def engine(self, name):
        return FakeEngine(
            lambda request: self.probed(request, name),
            replies=lambda request: self.replied(request, name),
            uri=f"fake:{name}",
        )

    def of(self, request, most, name=""):
        self.asked.append(request)
        pictures = getattr(request, "images", None)
        pictures = [request.picture] if pictures is None else pictures
        words = [v for n in ("question", "text", "words") if (v := getattr(request, n, None))]
        return draw(f"{self.seed}{name}", [p.digest for p in pictures], words, most=most)

    def probed(self, request, name):
        return ANSWERS[self.of(request, len(ANSWERS) if request.images else 4, name)]

    def replied(self, request, name):
        told = draw(f"{self.seed}{name}", request.messages[0].text, most=len(RATINGS))
        rating = RATINGS[told]
        self.asked.append(request)
        if request.schema is None:
            return "" if rating == "" else f"thoughts on {request.messages[0].text}"
        return json.dumps({"rationale": "because", "rating": rating})

    def similar(self, request):
        return [0.1, 0.3, 0.5, float("nan")][self.of(request, 4)]

    def located(self, request):
        found = self.of(request, 5)
        sizes = [(), (2,), (3, 9), (12,), (2, 2)][found]
        return [
            Box(word=request.words[n % len(request.words)], confidence=0.9 / (n + found),
                left=n, top=n, right=n + size, bottom=n + size)
            for n, size in enumerate(sizes)
        ]  # fmt: skip

    def judge(self, rules, policy):
        self.asked = []
        return Judge(rules, self.models, policy)


def node(parts):
    return st.one_of(
        st.builds(lambda p: AllOf(all=tuple(p)), parts),
        st.builds(lambda p: AnyOf(any=tuple(p)), parts),
        st.builds(lambda p: NoneOf(none=tuple(p)), parts),
    )


trees = st.recursive(
    st.sampled_from(POOL), lambda part: node(st.lists(part, min_size=1, max_size=3)), max_leaves=5
).map(lambda tree: AllOf(all=(POOL[3], tree)))  # so that its flat form holds something


def constitution(conditions):
    return Constitution(
        name="c",
        rules=tuple(
            Rule(id=f"rule-{n}", category="c", severity=Severity.LOW, text="t",
                 objective=f"objective {n}", condition=condition)
            for n, condition in enumerate(conditions)
        ),
    )  # fmt: skip


constitutions = st.lists(trees, min_size=1, max_size=4).map(constitution)
policies = st.builds(
    lambda base, changes: base().model_copy(update={"relevance_threshold": 0.25, **changes}),
    st.sampled_from([Policy, Policy.clue, Policy.clue_tree]),
    st.fixed_dictionaries(
        {},
        optional={
            "open_means": st.sampled_from(["reason", "undecided", "no"]),
            "relevance": st.booleans(),
            "always_asked": st.integers(0, 2),
            "prior": st.booleans(),
            "crop": st.booleans(),
            "region": st.booleans(),
            "second_look": st.booleans(),
            "confirm": st.booleans(),
            "mirror": st.booleans(),
            "reason_last": st.booleans(),
            "exhaustive": st.booleans(),
            "crop_area": st.sampled_from([0.01, 0.05]),
            "minimum_confidence": st.sampled_from([0.05, 0.2]),
            "minimum_label_mass": st.sampled_from([0.0, 0.5]),
            "reject_factor": st.sampled_from([0.0, 0.3, 0.6]),
            "accept_factor": st.sampled_from([0.0, 0.5, 0.8]),
            "region_margin": st.sampled_from([0.0, 0.6]),
            "fill": st.sampled_from(["surround", "grey"]),
            "max_reasoning_tokens": st.sampled_from([64, 256]),
            "unreadable_reasoning": st.sampled_from(["undecided", "no"]),
            "max_caption_tokens": st.sampled_from([8, 512]),
            "cut_captions": st.booleans(),
            "max_frames": st.sampled_from([2, 8]),
            "every_frame": st.booleans(),
            "background": st.sampled_from(["worst", "white"]),
        },
    ),
)
panels = st.sampled_from([(0, False)] * 3 + [(1, False), (2, False), (0, True), (1, True)])
bounds = st.sampled_from([None, None, 1.5, 4.0])
captions = st.sampled_from([None, None, "a toy", "a toy gun in a shop window"])


def still(shade=0, channels=3):
    pixels = np.random.default_rng(shade).integers(0, 255, (SIDE, SIDE, channels), np.uint8)
    if channels == 4:
        pixels[:5, :, 3] = 90  # what is clear throughout has views that are one
    return saved(Image.fromarray(pixels))


def animation():
    frames = [Image.open(io.BytesIO(still(shade))) for shade in (1, 2, 3)]
    return saved(frames[0], "GIF", save_all=True, append_images=frames[1:])


def saved(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


IMAGES = {"still": still(), "clear": still(4, 4), "moving": animation(), "broken": b"no image"}
STILL = IMAGES["still"]


def line(result):
    return to_line(record(result.image, result))


def replaying(first, second):
    """Replay what one judge did as another would do it."""
    then = Made(first.constitution, first.policy, first.provenance)
    now = made_now(then, second.constitution, second.policy)
    return Replay(then, now)


several = settings(
    max_examples=50, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


# --- the run's own policy -------------------------------------------------------------------------


@several
@given(st.integers(0, 9999), constitutions, policies, captions,
       st.sampled_from(sorted(IMAGES)), panels, bounds)  # fmt: skip
def test_its_own_policy_gives_the_record_back(  # noqa: PLR0917 - drawn things
    seed, rules, policy, caption, image, panel, below
):
    policy = policy.model_copy(update={"escalate_below": below})
    judge = World(seed, panel[0], last=panel[1]).judge(rules, policy)
    (result,) = judge([IMAGES[image]], [caption])
    replayed = replaying(judge, judge)(result)
    assert line(replayed.result) == line(result)
    assert replayed.result == result
    assert replayed.whole
    assert not replayed.missing


@pytest.mark.parametrize("said", [0.97, 0.6, 0.03])
@pytest.mark.parametrize("mirror", [False, True])
def test_a_crop_looked_at_after_a_confirmation_is_not_what_that_was_about(said, mirror):
    def answer(request):
        if not request.images:
            return 0.5
        if request.images[0].pixels.shape[0] < SIDE:
            return said  # the crop
        return 0.97 if "a gun is visible" in request.question else 0.6

    box = Box(word="gun", confidence=0.9, left=1, top=1, right=3, bottom=3)
    reply = json.dumps({"rationale": "because", "rating": "Yes"})
    engine = FakeEngine(answer, replies=lambda r: "x" if r.schema is None else reply)
    models = Models(engine, None, FakeDetector(lambda _: [box]))
    gun = Precondition(statement="a gun is visible", look_at="gun", reworded="there is a gun")
    judge = Judge(constitution([gun]), models, Policy(mirror=mirror, crop_area=0.05))
    (result,) = judge([STILL])
    (found,) = result.rules["rule-0"].preconditions
    assert {c.shown for c in found.confirmations} == {None}
    assert "region_crop" in {read.view for read in found.reads}
    first, *_ = wording.tests_in_words(found, judge.policy)
    assert first == "accept: M 0.97 > 0.80 + 0.20·p0 = 0.90"
    replayed = replaying(judge, judge)(result)
    assert (line(replayed.result), replayed.missing) == (line(result), frozenset())


def test_what_was_confirmed_stays_when_an_engine_looks_closer_after_it():
    def engine(whole, near):
        def answer(request):
            if not request.images:
                return 0.5
            if request.question == "Statement: there is a gun":
                return 0.6
            return near if request.images[0].pixels.shape[0] < SIDE else whole

        reply = json.dumps({"rationale": "because", "rating": "No"})
        return FakeEngine(answer, replies=lambda r: "x" if r.schema is None else reply,
                          uri=f"fake:{whole}")  # fmt: skip

    box = Box(word="gun", confidence=0.9, left=1, top=1, right=3, bottom=3)
    models = Models(
        engine(0.6, 0.7), None, FakeDetector(lambda _: [box]), also=(engine(0.999, 0.999),)
    )
    gun = Precondition(statement="a gun is visible", look_at="gun", reworded="there is a gun")
    judge = Judge(constitution([gun]), models, Policy(crop_area=0.05))
    (result,) = judge([STILL])
    (found,) = result.rules["rule-0"].preconditions
    assert "region_crop" in {read.view for read in found.opinions[0].reads}
    assert [(c.shown, c.outcome) for c in found.confirmations] == [(None, "undecided")]
    assert (found.test, found.outcome) == ("reasoning", "no")
    replayed = replaying(judge, judge)(result)
    assert (line(replayed.result), replayed.missing) == (line(result), frozenset())


@pytest.mark.parametrize("last", [False, True])
def test_what_several_engines_were_not_asked_once_more_ends_there(last):
    engines = [FakeEngine(lambda r: 0.97 if r.images else 0.5, uri=f"fake:{n}") for n in range(3)]
    models = Models(engines[0], None, None, also=(engines[1],),
                    escalation=engines[2] if last else None)  # fmt: skip
    rules = constitution([Precondition(statement="a gun is visible")])
    before, after = (Judge(rules, models, Policy(mirror=mirror)) for mirror in (False, True))
    (result,) = before([STILL])
    (found,) = result.rules["rule-0"].preconditions
    scene = Scene(stand_in(None, None), None, after.policy, panel=after.panel)
    assert opinions.next_step(not_asked(found, "the mirrored view"), scene) is None
    replayed = replaying(before, after)(result)
    assert replayed.result.undecided_by == ("not_asked",)
    assert [request.images[0].digest for request in replayed.missing] == ["None/None mirrored "]


# --- another policy -------------------------------------------------------------------------------


def check_like(replayed, real):
    """What is said is what the run says; what is not known is said to be so."""
    if replayed.whole:
        assert line(replayed.result) == line(real)
        return
    result = replayed.result
    for rule, verdict in result.rules.items():
        if not is_open(verdict):
            assert verdict.outcome == real.rules[rule].outcome or (
                {verdict.outcome, real.rules[rule].outcome} == {"not_violated", "not_relevant"}
            )
    if "not_asked" not in result.undecided_by:
        assert result.label == real.label


@several
@given(st.integers(0, 9999), constitutions, policies, policies, captions,
       st.sampled_from(["still", "clear", "moving"]), panels,
       st.tuples(bounds, bounds))  # fmt: skip
def test_another_policy_gives_what_a_run_gives(  # noqa: PLR0917 - drawn things
    seed, rules, first, second, caption, image, panel, below
):
    first, second = (
        policy.model_copy(update={"escalate_below": bound})
        for policy, bound in zip((first, second), below, strict=True)
    )
    world = World(seed, panel[0], last=panel[1])
    before = world.judge(rules, first)
    (result,) = before([IMAGES[image]], [caption])
    models = replace(
        world.models,
        encoder=world.models.encoder if before.policy.filters else None,
        detector=world.models.detector if before.policy.locates else None,
    )
    after = Judge(rules, models, second)
    (real,) = after([IMAGES[image]], [caption])
    check_like(replaying(before, after)(result), real)


@several
@given(st.integers(0, 9999), constitutions, constitutions, policies, captions)
def test_another_constitution_gives_what_a_run_gives(seed, rules, others, policy, caption):
    world = World(seed)
    (result,) = (before := world.judge(rules, policy))([STILL], [caption])
    (real,) = (after := world.judge(others, policy))([STILL], [caption])
    check_like(replaying(before, after)(result), real)


def test_rules_removed_and_in_another_order_are_known():
    world = World(3)
    rules = constitution([AllOf(all=(POOL[0], POOL[3])), POOL[2], AnyOf(any=(POOL[1], POOL[3]))])
    before = world.judge(rules, Policy(relevance=False, exhaustive=True))
    fewer = Constitution(name="c", rules=(rules.rules[2], rules.rules[0]))
    edited = constitution([NoneOf(none=(POOL[0],)), AllOf(all=(POOL[3], POOL[1]))])
    (result,) = before([STILL])
    for changed in (fewer, edited):
        after = world.judge(changed, before.policy)
        replayed = replaying(before, after)(result)
        assert replayed.whole
        assert replayed.result == after([STILL])[0]
    new = Precondition(statement="a dog is visible")
    unread = replaying(before, world.judge(constitution([new]), before.policy))(result)
    (answer,) = unread.result.rules["rule-0"].preconditions
    assert (answer.test, answer.outcome, answer.score) == ("not_asked", "undecided", 0.5)
    assert (unread.result.label, unread.result.undecided_by) == ("undecided", ("not_asked",))
    assert {r.question for r in unread.missing} == {"Statement: a dog is visible"}
    assert sorted(len(r.images) for r in unread.missing) == [0, 1]


# --- to ask ---------------------------------------------------------------------------------------


def asked_anew(world, replay, after, result, shown):
    image, caption = shown
    asking = Asking(replay, after, {})
    world.asked = []
    loaded = load_image(IMAGES[image], name=result.image, policy=after.policy)
    (done,) = [drive(asking._asked(result, loaded, caption), after.models.answer)]
    return done.result, list(world.asked)


@several
@given(st.integers(0, 9999), constitutions, policies, policies, captions,
       st.sampled_from(["still", "clear", "moving"]))  # fmt: skip
def test_exactly_what_is_missing_is_asked(  # noqa: PLR0917 - drawn things
    seed, rules, first, second, caption, image
):
    reading = {"max_frames": 8, "background": "worst"}
    first, second = (p.model_copy(update=reading) for p in (first, second))
    world = World(seed)
    before = world.judge(rules, first)
    (result,) = before([IMAGES[image]], [caption])
    known = set(world.asked)
    after = Judge(rules, Models(world.models.engine,
                                world.models.encoder if before.policy.filters else None,
                                world.models.detector if before.policy.locates else None),
                  second)  # fmt: skip
    world.asked = []
    (real,) = after([IMAGES[image]], [caption])
    wanted = set(world.asked)
    now, asked = asked_anew(world, replaying(before, after), after, result, (image, caption))
    assert line(now) == line(real)
    assert len(asked) == len(set(asked))
    assert set(asked) <= wanted
    if image == "still" and before.policy.minimum_confidence == after.policy.minimum_confidence:
        # Of a view without a number a record may not say why it has none.
        blank = {
            r for r in wanted if isinstance(r, Probe) and not sum(world.probed(r, "").p_labels)
        }
        assert set(asked) - blank == wanted - known - blank


# --- captions and views -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("use", "then", "now", "shown"),
    [
        ((5, 5), {}, {}, CAPTION),
        ((600, 0), {}, {}, None),
        ((600, 0), {}, {"max_caption_tokens": 700}, OTHER_CAPTION),
        ((600, 512), {"cut_captions": True}, {"cut_captions": True}, CAPTION),
        ((600, 512), {"cut_captions": True}, {}, None),
        ((600, 512), {"cut_captions": True}, {"cut_captions": True, "max_caption_tokens": 9},
         OTHER_CAPTION),
        ((600, 0), {}, {"cut_captions": True}, OTHER_CAPTION),
        ((20, 20), {}, {"max_caption_tokens": 9}, None),
    ],
)  # fmt: skip
def test_what_of_a_caption_is_shown_now(use, then, now, shown):
    text, again = caption_now(
        CaptionUse(tokens=use[0], shown=use[1]), Policy(**then), Policy(**now)
    )
    assert text == shown
    assert again.tokens == use[0]
    assert (again.shown == 0) == (shown is None)


def test_a_limit_on_images_is_not_guessed_about():
    judge = World(0).judge(constitution([POOL[3]]), Policy(relevance=False))
    then = Made(judge.constitution, judge.policy, judge.provenance)
    with pytest.raises(InputError, match="max_pixels is 5 and was 40000000"):
        made_now(then, judge.constitution, Policy(max_pixels=5))


def test_reads_serve_many_replays():
    world = World(1)
    judge = world.judge(constitution(POOL), Policy(relevance=False))
    (result,) = judge([STILL])
    reads = Reads(result, judge.constitution, judge.policy)
    for factor in (0.1, 0.5, 0.9):
        after = world.judge(judge.constitution, Policy(relevance=False, accept_factor=factor))
        replay = replaying(judge, after)
        assert replay(result, reads).result == replay(result).result
