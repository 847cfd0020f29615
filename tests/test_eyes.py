"""Models that do not see: refused when a judge is opened, found out while it judges."""

import sys
import warnings
from threading import Thread

import numpy as np
import pytest

from safejudge import Judge
from safejudge.engines import eyes
from safejudge.engines.eyes import Eyes, prove_sight
from safejudge.engines.fake import FakeEngine
from safejudge.engines.meter import Tokens
from safejudge.engines.models import Models
from safejudge.engines.wrapped import WrappedEngine
from safejudge.errors import EngineCallError, EngineSetupError
from safejudge.evals.variants import Blind
from safejudge.types import (
    AllOf,
    AnswerProbs,
    Constitution,
    EngineCard,
    Message,
    NoReply,
    Picture,
    Precondition,
    Probe,
    Reasoning,
    Rule,
    Severity,
)


def shade(value):
    return np.full((8, 8, 3), value, np.uint8)


def brightness(images):
    """A number that hangs on every picture, and another for none."""
    return sum(float(image.pixels.mean()) for image in images) / 300 if images else 0.44


class Stub(FakeEngine):
    """An engine that is no `fake:`: it has to see."""

    def __init__(self, script, uri="stub:", length=None, **more):
        super().__init__(script, uri=uri, **more)
        self.tokens = None if length is None else Tokens()
        self._length = length
        self.closed = 0

    def answer_probs(self, probes):
        for probe in probes:
            if self._length is not None:
                self.tokens.add(self._length(probe), None)
        return super().answer_probs(probes)

    def close(self):
        self.closed += 1


def sees(probe):
    return brightness(probe.images)


# --- when a judge is opened -----------------------------------------------------------------------

BLIND = {
    "drops pictures": (lambda _: 0.7618, None, "light grey picture and a dark coloured one"),
    "drops them, and counts tokens": (lambda _: 0.76, lambda _: 31, "and 31 prompt tokens"),
    "a word stands for each": (lambda probe: 0.8 if probe.images else 0.3, None, "and a dark"),
    "a word stands for each, and is counted": (
        lambda probe: 0.8 if probe.images else 0.3,
        lambda probe: 31 + len(probe.images),
        "and a dark coloured one",
    ),
    "the same twice in another batch": (
        lambda probe: 0.7 + 0.01 * brightness(probe.images),
        lambda _: 31,
        "light grey picture and nothing",
    ),
}


@pytest.mark.parametrize("name", BLIND)
def test_an_engine_that_does_not_see_is_refused(name):
    script, length, says = BLIND[name]
    with pytest.raises(EngineSetupError, match="stub: does not see pictures") as caught:
        prove_sight(Stub(script, length=length))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "length", [None, lambda _: 31, lambda probe: 31 + 64 * len(probe.images), lambda _: 0]
)
def test_one_that_sees_is_not(length):
    engine = Stub(sees, length=length)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prove_sight(engine)
    assert [len(wave) for wave in engine.history] == [1, 1, 1]


def test_numbers_that_are_rounded_alike_are_asked_for_in_other_words():
    def certain_at_first(probe):
        return 1.0 if probe.instruction == eyes.INSTRUCTIONS[0] else sees(probe)

    prove_sight(Stub(certain_at_first))
    with pytest.raises(EngineSetupError, match="does not see"):
        prove_sight(Stub(lambda _: 1.0))


def test_tokens_show_that_a_picture_was_read_where_its_numbers_say_nothing():
    prove_sight(Stub(lambda _: 1.0, length=lambda p: sum(i.pixels.sum() for i in p.images) + 1))


DECLINED = AnswerProbs((0.0, 0.0), problem="no drawn scene")


def declines(probe):
    return DECLINED if probe.images else 0.4


NO_NUMBERS = [AnswerProbs((float("nan"), 0.1)), AnswerProbs((2.0, 0.1)), AnswerProbs((0.1,))]


@pytest.mark.parametrize("script", [declines, *(lambda _, a=a: a for a in NO_NUMBERS)])
def test_what_cannot_be_found_out_is_told(script):
    with pytest.warns(UserWarning, match="could not be found out"):
        prove_sight(Stub(script))


class Door(WrappedEngine):
    """Declines every picture, as `sketch` does with what is no drawn scene."""

    def answer_probs(self, probes):
        return [
            DECLINED if probe.images else self.engine.answer_probs([probe])[0] for probe in probes
        ]


def test_behind_a_door_that_declines_the_trial_the_model_is_asked():
    prove_sight(Door(Stub(sees)))
    with pytest.raises(EngineSetupError, match="does not see"):
        prove_sight(Door(Stub(lambda _: 0.6)))


def test_a_wrapper_that_takes_the_pictures_away_is_blind():
    with pytest.raises(EngineSetupError, match="does not see"):
        prove_sight(Blind(Stub(sees)))


def test_text_alone_and_made_up_answers_are_not_tried():
    reader = Stub(lambda _: 0.5)
    reader._card = EngineCard("stub:", "m", "", pictures=False)
    prove_sight(reader)
    prove_sight(FakeEngine(lambda _: 0.5))
    assert reader.history == []


def test_a_trial_that_fails_is_an_error_of_the_start():
    with pytest.raises(EngineSetupError, match=r"first questions about a picture failed.*gone"):
        prove_sight(Stub(lambda _: EngineCallError("gone")))


def test_the_trial_pictures_are_unlike_and_small():
    light, dark = eyes._trial_pictures()
    assert light.pixels.shape == dark.pixels.shape == (224, 224, 3)
    assert light.pixels.mean() > 2 * dark.pixels.mean()
    assert (light.pixels == light.pixels[..., :1]).all()


RULES = Constitution(
    name="one",
    rules=(
        Rule(
            id="r", category="c", severity=Severity.HIGH, text="t", objective="o",
            condition=AllOf(all=(Precondition(statement="a"), Precondition(statement="b"))),
        ),
    ),
)  # fmt: skip


def test_judge_and_models_refuse_it_and_close_what_they_opened(monkeypatch):
    engine = Stub(lambda _: 0.6)
    with pytest.raises(EngineSetupError, match="does not see"):
        Judge.load(RULES, engine, cache=None)
    assert engine.closed == 0
    monkeypatch.setattr("safejudge.engines.models.open_engine", lambda _uri: engine)
    with pytest.raises(EngineSetupError, match="does not see"):
        Models.opened("stub:", None, None, None)
    assert engine.closed == 1


# --- while it judges ------------------------------------------------------------------------------


class Failing(Stub):
    """Sees until `blind` is set, then answers from the text alone."""

    def __init__(self, **more):
        super().__init__(self.score, **more)
        self.blind = False

    def score(self, probe):
        if self.blind or not probe.images:
            return 0.6 if probe.question.endswith("a") else 0.45
        return sees(probe)


def judge_of(engine, policy="default"):
    return Judge.load(RULES, engine, policy, cache=None)


def test_the_third_picture_is_told_of_and_the_tenth_ends_the_run():
    engine = Failing(replies=lambda _: "?")
    judge = judge_of(engine)
    engine.blind = True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        judge([shade(1), shade(2)])
    with pytest.warns(UserWarning, match="3 pictures got the numbers"):
        judge([shade(3)])
    with warnings.catch_warnings():  # once
        warnings.simplefilter("error")
        judge([shade(value) for value in range(4, 10)])
        with pytest.raises(EngineCallError, match="of the last 10 it looked at, 10 got the"):
            judge([shade(10)])


def test_a_window_of_unseen_pictures_gives_no_judgment_at_all():
    engine = Failing(replies=lambda _: "?")
    judge = judge_of(engine)
    engine.blind = True
    results = judge.stream([shade(value) for value in range(80)], window=64)
    with pytest.raises(EngineCallError, match="does not see pictures"):
        next(results)


@pytest.mark.parametrize("policy", ["default", "clue-tree"])
def test_nobody_reasons_about_a_picture_that_is_not_seen(policy):
    replies = []
    engine = Failing(replies=lambda request: replies.append(request) or "No, nothing of it.")
    judge = judge_of(engine, policy)
    engine.blind = True
    (result,) = judge([shade(7)])
    assert replies == []
    assert result.label == "undecided"
    for verdict in result.rules["r"].preconditions:
        if verdict.reasoning is not None:
            assert "does not see it" in verdict.note
            assert verdict.test == "unreadable" or policy == "clue-tree"
    assert any(verdict.reasoning for verdict in result.rules["r"].preconditions)


def test_pictures_seen_long_ago_do_not_hide_that_the_last_are_not():
    engine = Failing(replies=lambda _: "?")
    judge = judge_of(engine)
    judge([shade(value) for value in range(200)])
    engine.blind = True
    new = (judge([shade(205 + value)]) for value in range(40))
    with (
        pytest.warns(UserWarning, match="3 pictures"),
        pytest.raises(EngineCallError, match="of the last 20"),
    ):
        list(new)


PICTURES = [Picture.of(shade(value)) for value in range(40)]


def wave(pairs, total=0.98):
    """Probes about pictures and their questions without, and the scores of both."""
    probes, answers = [], []
    for picture, question, score, prior in pairs:
        probes += [Probe("i", (picture,), question), Probe("i", (), question)]
        answers += [AnswerProbs((p, total - p)) for p in (score, prior)]
    return probes, answers


def test_one_answer_that_differs_shows_that_a_picture_is_seen():
    watched = Eyes("stub:")
    request = Reasoning("i", (PICTURES[0],), (Message("user", "?"),))
    watched.watch(*wave([(PICTURES[0], "q", 0.4, 0.4)]))
    assert watched.unseen(request) is not None
    watched.watch(*wave([(PICTURES[0], "r", 0.4000001, 0.4)]))
    assert watched.unseen(request) is None
    watched.watch(*wave([(PICTURES[0], "s", 0.4, 0.4)]))
    assert watched.unseen(request) is None


SERVER = "server:http://127.0.0.1:1/v1#m"


def reads(*pairs, uri=SERVER, total=0.98):
    """Whether a picture is unseen whose questions got these scores, with it and without."""
    watched = Eyes(uri)
    shown = [(PICTURES[0], f"q{i}", *pair) for i, pair in enumerate(pairs)]
    watched.watch(*wave(shown, total))
    return watched.unseen(Reasoning("i", (PICTURES[0],), (Message("user", "?"),))) is not None


def test_three_questions_of_a_server_that_are_nearly_alike_are_none_about_the_picture():
    near = [(0.4, 0.4004), (0.3, 0.2998), (0.6, 0.6003)]
    assert reads(*near)
    assert not reads(*near, uri="stub:")  # its numbers of one prompt are equal
    assert not reads(*near[:2])
    assert not reads(*near[:2], (0.6, 0.602))
    assert not reads(*near, (0.2, 0.3))
    assert not reads(*near[:2], (0.99, 0.9904))  # near certainty this says nothing,
    assert reads(*near, (0.99, 0.9904))  # in neither way
    assert reads((0.4, 0.4))


def test_one_question_that_is_nearly_alike_counts_if_many_pictures_have_one():
    watched = Eyes(SERVER)
    watched.watch(*wave((p, "q", 0.4 + 1e-4, 0.4) for p in PICTURES[:9]))
    with pytest.raises(EngineCallError, match="of the last 10"):
        watched.watch(*wave([(PICTURES[9], "q", 0.4 - 1e-4, 0.4)]))


def test_the_same_score_of_another_label_mass_is_another_answer():
    watched = Eyes("stub:")
    probe = Probe("i", (PICTURES[0],), "q")
    answers = [AnswerProbs((0.4, 0.4)), AnswerProbs((0.2, 0.2))]
    watched.watch([probe, Probe("i", (), "q")], answers)
    assert watched.unseen(Reasoning("i", (PICTURES[0],), (Message("user", "?"),))) is None


def test_what_was_read_without_a_picture_earlier_counts():
    watched = Eyes("stub:")
    watched.watch([Probe("i", (), "q")], [AnswerProbs((0.4, 0.5))])
    watched.watch([Probe("i", (PICTURES[0],), "q")], [AnswerProbs((0.4, 0.5))])
    assert watched.unseen(Reasoning("i", (PICTURES[0],), (Message("user", "?"),))) is not None


def test_certain_answers_and_such_as_are_none_say_nothing():
    watched = Eyes("stub:")
    none = AnswerProbs((0.0, 0.0), problem="refused")
    for answer in (AnswerProbs((1.0, 0.0)), AnswerProbs((1e-6, 0.9)), none):
        for picture in PICTURES:
            watched.watch([Probe("i", (picture,), "q"), Probe("i", (), "q")], [answer, answer])


def test_less_than_half_is_no_end():
    watched = Eyes("stub:")
    read = [(p, "q", 0.4 if i % 3 == 0 else 0.3, 0.4) for i, p in enumerate(PICTURES)]
    with pytest.warns(UserWarning, match="14 pictures"):
        watched.watch(*wave(read))


def counted(number, score, tokens):
    """One wave: a picture and its question without, as a server counts them."""
    probes = [Probe("i", (PICTURES[number],), "q"), Probe("i", (), "q")]
    answers = [
        AnswerProbs((p, 1 - p), prompt_tokens=length) for p, length in ((score, tokens), (0.4, 31))
    ]
    return probes, answers


def test_a_picture_that_takes_no_tokens_is_not_seen_whatever_the_noise():
    watched = Eyes("stub:", takes_tokens=True)
    request = Reasoning("i", (PICTURES[0],), (Message("user", "?"),))
    watched.watch(*counted(0, 0.4000001, 31))
    assert watched.unseen(request) is not None
    new = (watched.watch(*counted(number, 0.4 + 1e-6 * number, 31)) for number in range(20))
    with (
        pytest.warns(UserWarning, match="took no more tokens"),
        pytest.raises(EngineCallError, match="does not see pictures"),
    ):
        list(new)


@pytest.mark.parametrize(("takes_tokens", "tokens"), [(False, 31), (True, 300), (True, None)])
def test_tokens_say_nothing_where_pictures_take_none_or_are_there(takes_tokens, tokens):
    watched = Eyes("stub:", takes_tokens=takes_tokens)
    for number in range(20):
        watched.watch(*counted(number, 0.4000001, tokens))
    assert watched.unseen(Reasoning("i", (PICTURES[0],), (Message("user", "?"),))) is None


def test_the_start_says_whether_pictures_take_tokens():
    assert prove_sight(Stub(sees, length=lambda probe: 31 + 256 * len(probe.images)))
    assert not prove_sight(Stub(sees, length=lambda _: 31))
    assert not prove_sight(Stub(sees))


def test_no_reply_is_what_a_flow_is_sent():
    engine = Stub(lambda _: 0.4)
    models = Models(engine, eyes=Eyes("stub:"))
    picture = PICTURES[0]
    models.answer([Probe("i", (picture,), "q"), Probe("i", (), "q")])
    asked = Reasoning("i", (picture,), (Message("user", "?"),))
    without = Reasoning("i", (), (Message("user", "?"),))
    blind, fine = models.answer([asked, without])
    assert isinstance(blind, NoReply)
    assert fine
    assert not isinstance(fine, NoReply)


DECISIONS = "decisions:http://127.0.0.1:1/v1#m"


def test_numbers_of_two_decimals_tie_by_chance_where_a_server_may_round():
    def rounded(*pairs):
        return reads(*pairs, uri=DECISIONS, total=1.0)

    ties = [(0.4, 0.4), (0.3, 0.3), (0.6, 0.6)]
    assert not rounded(*ties[:2])
    assert rounded(*ties)
    assert not rounded(*ties, (0.5, 0.51))
    assert not rounded(*[(0.05, 0.05), (0.005, 0.005), (0.93, 0.93)] * 9)
    assert reads((0.4, 0.4), total=1.0)  # other engines do not
    assert rounded((0.41234, 0.41271), (0.3, 0.2998), (0.6123, 0.6121))
    assert rounded((0.412345, 0.412345))


def test_many_pictures_with_the_rounded_number_of_none_end_no_run():
    watched = Eyes(DECISIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watched.watch(
            *([Probe("i", (p,), "q") for p in PICTURES] + [Probe("i", (), "q")],
              [AnswerProbs((0.03, 0.97))] * 41)
        )  # fmt: skip


def test_two_runs_of_one_judge_may_be_watched_at_once():
    """Each streams in a thread of its own."""
    watched = Eyes("stub:")
    noise = np.random.default_rng(3).integers(0, 256, (2000, 2, 2, 3), dtype=np.uint8)
    several = [Picture.of(pixels) for pixels in noise]
    failures = []

    def run(shown):
        try:
            for number, picture in enumerate(shown):
                watched.watch(*wave([(picture, f"q{number % 9}", 0.4, 0.5)]))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            failures.append(error)

    threads = [Thread(target=run, args=(several[n::4],)) for n in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not failures
