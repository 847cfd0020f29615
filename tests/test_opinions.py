"""Second opinions: the mean of several engines, and the one that is asked what they leave open."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge.engines.fake import FakeEngine
from safejudge.engines.models import Models
from safejudge.errors import EngineCallError, EngineSetupError
from safejudge.judge import Judge
from safejudge.method import debias
from safejudge.method.opinions import mean_verdict
from safejudge.policy import Policy
from safejudge.types import (
    AllOf,
    AnswerProbs,
    AnyOf,
    Constitution,
    Outcome,
    Precondition,
    PreconditionVerdict,
    Probe,
    Rule,
    Severity,
)

GUN, CHILD = (Precondition(statement=f"a {thing} is visible") for thing in ("gun", "child"))
IMAGE = np.full((8, 8, 3), 7, np.uint8)
ALONE = Policy(relevance=False)
SILENT = AnswerProbs((0.0, 0.0), problem="the server said: 500")
FAINT = AnswerProbs((0.1, 0.1), "Perhaps")


class Speaker:
    """An engine that says one number for each statement; its prior is a half unless it is told."""

    def __init__(self, name, says, *, prior=0.5, rates="No"):
        self.says, self.prior, self.rates = says, prior, rates
        self.engine = FakeEngine(self.answer, replies=self.reply, uri=f"fake:{name}")

    def answer(self, probe):
        if not probe.images:
            return self.prior
        return next(number for word, number in self.says.items() if word in probe.question)

    def reply(self, request):
        if request.schema is None:
            return f"{self.engine.card.uri} thinks"
        return json.dumps({"rationale": "because", "rating": self.rates})

    @property
    def asked(self):
        """Statements that a picture was shown with, in order; reasonings as `reason`."""
        requests = [request for wave in self.engine.history for request in wave]
        return [
            (r.question.removeprefix("Statement: ") if isinstance(r, Probe) else "reason")
            for r in requests
            if r.images
        ]


def constitution(condition):
    rule = Rule(id="r", category="c", severity=Severity.LOW, text="t", objective="o",
                condition=condition)  # fmt: skip
    return Constitution(name="c", rules=(rule,))


def judged(condition, *speakers, last=None, policy=ALONE):
    first, *others = (speaker.engine for speaker in speakers)
    models = Models(first, also=tuple(others), escalation=None if last is None else last.engine)
    (judgment,) = Judge(constitution(condition), models, policy)([IMAGE])
    return judgment


def answer(judgment):
    (found,) = judgment.rules["r"].preconditions
    return found


def opinion(score, outcome=None, test=None, engine="fake:"):
    sides = {"yes": "accept", "no": "reject", "undecided": "open"}
    outcome = outcome or ("yes" if score > 0.75 else "no" if score < 0.25 else "undecided")
    return PreconditionVerdict(
        statement="s", outcome=Outcome(outcome), test=test or sides[outcome], score=score,
        margin=debias.margin(score), reads=(), engine=engine,
    )  # fmt: skip


# --- the mean -------------------------------------------------------------------------------------

scores = st.floats(0, 1)


@given(st.lists(scores, min_size=2, max_size=4))
def test_no_order_makes_a_difference_and_no_side_contradicts_its_score(numbers):
    opinions = [opinion(number) for number in numbers]
    means = [mean_verdict(order) for order in itertools.permutations(opinions)]
    told = {(mean.outcome, mean.test, mean.score, mean.margin) for mean in means}
    assert len(told) == 1
    mean = means[0]
    assert min(numbers) - 1e-8 <= mean.score <= max(numbers) + 1e-8
    assert mean.margin == pytest.approx(
        np.mean([opinion.margin for opinion in opinions]), rel=1e-6, abs=1e-6
    )
    sides = {Outcome.YES: (0.75, 1), Outcome.NO: (0, 0.25), Outcome.UNDECIDED: (0.25, 0.75)}
    low, high = sides[mean.outcome]
    assert low - 1e-9 <= mean.score <= high + 1e-9


@given(scores, st.integers(2, 5))
def test_one_answer_many_times_is_that_answer(number, times):
    (alone,) = {opinion(number)}
    mean = mean_verdict([alone] * times)
    assert (mean.outcome, mean.test, mean.score, mean.margin) == (
        alone.outcome, alone.test, alone.score, alone.margin,
    )  # fmt: skip


@given(st.lists(scores, min_size=1, max_size=3), st.sampled_from(["unreadable", "label_mass"]),
       st.randoms())  # fmt: skip
def test_a_missing_answer_leaves_it_undecided_and_is_told(numbers, test, random):
    opinions = [opinion(number) for number in numbers]
    opinions.append(opinion(0.5, "undecided", test, engine="fake:mute"))
    random.shuffle(opinions)
    mean = mean_verdict(opinions)
    assert (mean.outcome, mean.test, mean.score) == (Outcome.UNDECIDED, test, 0.5)
    assert f"1 of {len(opinions)} engines gave no answer (fake:mute: " in mean.note


def test_each_prior_is_taken_out_on_its_own_scale():
    # 0.9 is a plain yes of one who seldom says so, and nothing of one who always does.
    shy, eager = Speaker("shy", {"gun": 0.9}, prior=0.1), Speaker("eager", {"gun": 0.9}, prior=0.9)
    found = answer(judged(GUN, shy, eager, policy=ALONE.model_copy(update={"open_means": "no"})))
    first, second = found.opinions
    assert (first.outcome, second.outcome) == ("yes", "undecided")
    assert [read.view for read in first.reads] == ["full", "no_image"]
    assert found.margin == pytest.approx((first.margin + second.margin) / 2)
    assert found.reads == ()
    assert (first.engine, second.engine, found.engine) == ("fake:shy", "fake:eager", None)


# --- whole judgments ------------------------------------------------------------------------------

TREES = [GUN, AllOf(all=(GUN, CHILD)), AnyOf(any=(GUN, CHILD))]
numbers = st.sampled_from([0.02, 0.3, 0.5, 0.8, 0.97]) | st.just(FAINT) | st.just(SILENT)


def told(judgment):
    """What a judgment says, whoever said it."""
    verdict = judgment.rules["r"]
    answers = [(a.statement, a.outcome, a.test, a.score) for a in verdict.preconditions]
    return judgment.label, verdict.outcome, verdict.score, verdict.bound, answers


@given(st.sampled_from(TREES), numbers, numbers, st.sampled_from(["reason", "undecided", "no"]),
       st.integers(1, 2), st.booleans(), st.sampled_from(["Yes", "No", "Unsure"]))  # fmt: skip
def test_the_same_engine_again_changes_nothing(  # noqa: PLR0917 - drawn things
    condition, gun, child, means, times, every, rates
):
    policy = ALONE.model_copy(update={"open_means": means, "exhaustive": every})
    speaker = Speaker("a", {"gun": gun, "child": child}, rates=rates)
    alone = judged(condition, speaker, policy=policy)
    again = judged(condition, *[speaker] * (1 + times), policy=policy)
    assert told(again) == told(alone)
    assert again.usage.reasoning_calls == alone.usage.reasoning_calls
    assert again.usage.probes == (1 + times) * alone.usage.probes
    assert alone.usage.by_engine == {}


@given(st.sampled_from(TREES), st.lists(st.tuples(numbers, numbers), min_size=2, max_size=3))
def test_the_order_of_the_engines_beside_the_first_makes_no_difference(condition, said):
    speakers = [
        Speaker(str(n), {"gun": gun, "child": child}) for n, (gun, child) in enumerate(said)
    ]
    first, *others = (speaker.engine for speaker in speakers)
    judges = [
        Judge(constitution(condition), Models.opened(first, None, None, None, also=order), ALONE)
        for order in itertools.permutations(others)
    ]
    assert len({judge.provenance.model_dump_json() for judge in judges}) == 1
    (found,) = {judge([IMAGE])[0].model_dump_json() for judge in judges}
    assert found


@pytest.mark.parametrize("mute", [SILENT, FAINT, float("nan")])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("means", ["reason", "undecided", "no"])
def test_an_engine_without_an_answer_makes_nothing_safe(mute, place, means):
    clear, dumb = Speaker("clear", {"gun": 0.01}), Speaker("dumb", {"gun": mute}, rates="No")
    speakers = [clear, dumb] if place else [dumb, clear]
    judgment = judged(GUN, *speakers, policy=ALONE.model_copy(update={"open_means": means}))
    assert judgment.label == "undecided"
    assert "fake:dumb: " in answer(judgment).note
    assert "reason" not in clear.asked + dumb.asked
    assert judgment.usage.by_engine["fake:dumb"].probes == 1


def test_what_the_mean_leaves_open_the_first_reasons_about():
    first, other = Speaker("a", {"gun": 0.97}, rates="Yes"), Speaker("b", {"gun": 0.03})
    found = answer(judgment := judged(GUN, first, other))
    assert [each.outcome for each in found.opinions] == ["yes", "no"]
    assert (found.outcome, found.test, found.reasoning.text) == (
        "yes",
        "reasoning",
        "fake:a thinks",
    )
    assert "reason" not in other.asked
    assert judgment.usage.by_engine["fake:a"].reasoning_calls == 2
    assert judgment.usage.by_engine["fake:b"].reasoning_calls == 0


# --- the engine after them ------------------------------------------------------------------------


@pytest.mark.parametrize("means", ["reason", "undecided", "no"])
def test_exactly_what_is_open_goes_on(means):
    small = Speaker("small", {"gun": 0.5, "child": 0.97}, rates="Yes")
    large = Speaker("large", {"gun": 0.97, "child": 0.01})
    policy = ALONE.model_copy(update={"open_means": means, "exhaustive": True})
    judgment = judged(AllOf(all=(GUN, CHILD)), small, last=large, policy=policy)
    assert large.asked == [GUN.statement]
    assert small.asked == [GUN.statement, CHILD.statement]
    assert judgment.label == "unsafe"
    found = {a.statement: a for a in judgment.rules["r"].preconditions}
    gun, child = found[GUN.statement], found[CHILD.statement]
    assert (gun.outcome, gun.test, gun.engine) == ("yes", "accept", "fake:large")
    (before,) = gun.opinions
    assert (before.outcome, before.test, before.engine) == ("undecided", "open", "fake:small")
    assert (child.engine, child.opinions) == (None, ())


def test_what_settles_the_rule_without_it_does_not_go_on():
    small = Speaker("small", {"gun": 0.5, "child": 0.01})
    large = Speaker("large", {"gun": 0.97})
    judgment = judged(AllOf(all=(GUN, CHILD)), small, last=large)
    assert judgment.label == "safe"
    assert large.asked == []


@pytest.mark.parametrize(("number", "means", "outcome", "test"), [
    (0.97, "reason", "yes", "accept"), (0.02, "reason", "no", "reject"),
    (0.5, "reason", "yes", "reasoning"), (0.5, "no", "no", "open_no"),
    (0.5, "undecided", "undecided", "open"), (SILENT, "reason", "undecided", "unreadable"),
    (FAINT, "no", "undecided", "label_mass"),
])  # fmt: skip
def test_its_answer_and_its_silence_replace_theirs(number, means, outcome, test):
    small = Speaker("small", {"gun": 0.5}, rates="No")
    large = Speaker("large", {"gun": number}, rates="Yes")
    policy = ALONE.model_copy(update={"open_means": means})
    found = answer(judged(GUN, small, last=large, policy=policy))
    assert (found.outcome, found.test) == (outcome, test)
    assert "reason" not in small.asked
    assert large.asked == [GUN.statement, *(["reason"] * 2 if test == "reasoning" else [])]
    lone = answer(judged(GUN, Speaker("large", {"gun": number}, rates="Yes"), policy=policy))
    without = found.model_copy(update={"engine": None, "opinions": ()})
    assert without == lone


@pytest.mark.parametrize("mute", [SILENT, FAINT])
def test_what_the_first_cannot_answer_another_may(mute):
    judgment = judged(GUN, Speaker("small", {"gun": mute}), last=Speaker("large", {"gun": 0.02}))
    assert judgment.label == "safe"
    assert answer(judgment).opinions[0].test in ("unreadable", "label_mass")


@given(st.floats(0.001, 0.999), st.floats(0.1, 8))
def test_what_is_decided_by_less_than_a_bound_goes_on(number, bound):
    small, large = Speaker("small", {"gun": number}), Speaker("large", {"gun": 0.97})
    policy = ALONE.model_copy(update={"escalate_below": bound})
    alone = answer(judged(GUN, Speaker("small", {"gun": number}), policy=ALONE.model_copy(
        update={"open_means": "undecided"}
    )))  # fmt: skip
    judged(GUN, small, last=large, policy=policy)
    goes_on = alone.outcome == "undecided" or abs(alone.margin) < bound
    assert (large.asked == [GUN.statement]) is goes_on


def test_several_engines_and_one_after_them():
    speakers = [Speaker("a", {"gun": 0.97}), Speaker("b", {"gun": 0.03})]
    large = Speaker("large", {"gun": 0.5}, rates="Yes")
    judgment = judged(GUN, *speakers, last=large)
    found = answer(judgment)
    assert (found.outcome, found.engine) == ("yes", "fake:large")
    assert [each.engine for each in found.opinions] == ["fake:a", "fake:b"]
    assert found.reasoning.text == "fake:large thinks"
    spent = {
        name: (u.probes, u.reasoning_calls) for name, u in judgment.usage.by_engine.items()
    }  # fmt: skip
    assert spent == {"fake:a": (1, 0), "fake:b": (1, 0), "fake:large": (1, 2)}
    assert (judgment.usage.probes, judgment.usage.reasoning_calls) == (3, 2)


# --- models ---------------------------------------------------------------------------------------


def test_an_engine_is_never_told_that_there_are_others():
    speakers = [Speaker("a", {"gun": 0.5}), Speaker("b", {"gun": 0.5})]
    large = Speaker("large", {"gun": 0.5})
    judged(GUN, *speakers, last=large)
    for speaker in (*speakers, large):
        assert speaker.engine.history
        assert {r.engine for wave in speaker.engine.history for r in wave} == {0}


def test_a_bound_without_an_engine_does_nothing_and_the_provenance_names_all():
    speaker, other = Speaker("a", {"gun": 0.5}), Speaker("b", {"gun": 0.5})
    policy = ALONE.model_copy(update={"escalate_below": 3.0})
    alone = Judge(constitution(GUN), Models(speaker.engine), policy)
    assert alone.policy.escalate_below is None
    assert alone.provenance.policy == Judge(constitution(GUN), Models(speaker.engine), ALONE)\
        .provenance.policy  # fmt: skip
    models = Models(speaker.engine, also=(other.engine,), escalation=other.engine)
    both = Judge(constitution(GUN), models, policy)
    assert both.policy.escalate_below == 3.0
    assert both.provenance.policy != alone.provenance.policy
    assert [ref.uri for ref in both.provenance.also] == ["fake:b"]
    assert both.provenance.escalate_to.uri == "fake:b"


def test_an_engine_that_fails_altogether_ends_the_call():
    broken = Speaker("b", {"gun": EngineCallError("no connection")})
    with pytest.raises(EngineCallError, match="no connection"):
        judged(GUN, Speaker("a", {"gun": 0.5}), broken)


class Closed(FakeEngine):
    closed = 0

    def close(self):
        self.closed += 1


def test_what_is_opened_is_closed_and_what_is_handed_in_is_not(monkeypatch):
    opened = []

    def open_engine(uri, **_):
        if uri == "fake:none":
            raise EngineSetupError("there is no such engine")
        opened.append(Closed(uri=uri))
        return opened[-1]

    monkeypatch.setattr("safejudge.engines.models.open_engine", open_engine)
    mine = Closed(uri="fake:mine")
    with pytest.raises(EngineSetupError):
        Models.opened("fake:a", None, None, None, also=["fake:b", mine], escalate_to="fake:none")
    assert [engine.closed for engine in opened] == [1, 1]
    models = Models.opened("fake:c", None, None, None, also=[mine], escalate_to="fake:d")
    assert models.panel.names == ("fake:c", "fake:mine", "fake:d")
    models.close()
    assert [engine.closed for engine in opened] == [1, 1, 1, 1]
    assert mine.closed == 0


def test_captions_fit_every_engine():
    class Wordy(FakeEngine):
        def text_tokens(self, texts):
            return [2 * len(text) for text in texts]

        def cut_text(self, text, tokens):
            return text[: tokens // 2]

    models = Models(FakeEngine(), also=(Wordy(),))
    assert models.text_tokens(["abcd"]) == [8]
    assert models.cut_text("abcdefgh", 4) == "ab"


def test_log_odds_of_three_quarters_are_the_bound():
    assert debias.margin(0.75) == pytest.approx(math.log(3))


# --- what is asked once more ----------------------------------------------------------------------

HELD = Precondition(statement="a gun is visible", contrast=("a toy is visible",))


class Doubter(Speaker):
    """Says of a choice how much likelier the first is named as the statement."""

    def __init__(self, name, number, choice, **more):
        super().__init__(name, {"gun": number}, **more)
        self.choice = choice

    def answer(self, probe):
        if not probe.images or probe.labels == ("yes", "no"):
            return super().answer(probe)
        statement_first = probe.question.index("gun") < probe.question.index("toy")
        return self.choice if statement_first else 1 - self.choice


@pytest.mark.parametrize(("choice", "outcome", "test"), [(0.9, "yes", "accept"),
                                                         (0.05, "no", "contrast")])  # fmt: skip
def test_the_engine_that_would_reason_is_asked_once_more(choice, outcome, test):
    first, other = Doubter("a", 0.97, choice), Doubter("b", 0.99, 0.5)
    found = answer(judged(HELD, first, other))
    assert (found.outcome, found.test) == (outcome, test)
    assert len(found.opinions) == 2
    assert len(first.asked) == 3
    assert len(other.asked) == 1
    small, large = Doubter("small", 0.5, 0.5), Doubter("large", 0.97, choice)
    found = answer(judged(HELD, small, last=large))
    assert (found.outcome, found.test, found.engine) == (outcome, test, "fake:large")
    assert len(small.asked) == 1
    assert len(large.asked) == 3


@pytest.mark.parametrize("also", [False, True])
def test_a_yes_that_is_taken_back_by_little_goes_on(also):
    first, other = Doubter("a", 0.99999, 0.2), Doubter("b", 0.99999, 0.5)
    large = Doubter("large", 0.98, 0.9)
    policy = ALONE.model_copy(update={"escalate_below": 3.0})
    speakers = [first, other] if also else [first]
    alone = answer(judged(HELD, *speakers, policy=policy))
    assert (alone.outcome, alone.test) == ("no", "contrast")
    found = answer(judged(HELD, *speakers, last=large, policy=policy))
    assert (found.outcome, found.engine) == ("yes", "fake:large")
    assert [said.outcome for said in found.confirmations] == ["yes"]
    assert len(large.asked) == 3
    assert [len(each.confirmations) for each in found.opinions] == [1, *[0] * also]
