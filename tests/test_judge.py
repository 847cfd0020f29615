"""The facade: arguments, windows, threads, failures; the method itself is in test_verdict."""

import asyncio
import io
import itertools
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from safejudge import Judge, Policy, PriorCache
from safejudge.engines.fake import FakeEngine
from safejudge.errors import (
    ConstitutionError,
    EngineCallError,
    EngineSetupError,
    InputError,
    PolicyError,
    StatementError,
)
from safejudge.types import (
    AllOf,
    AnswerProbs,
    AnyOf,
    Constitution,
    Failure,
    Judgment,
    NoneOf,
    Precondition,
    Probe,
    Rule,
    Severity,
)


def leaf(statement):
    return Precondition(statement=statement)


def rule(name, condition):
    return Rule(
        id=name, category="c", severity=Severity.HIGH, text="t", objective="o", condition=condition
    )


BRIGHT = rule("bright", leaf("The picture is bright."))
RULES = Constitution(
    name="test",
    rules=(
        BRIGHT,
        rule("mixed", AllOf(all=(leaf("A dog."), AnyOf(any=(leaf("A cat."), leaf("A cow.")))))),
        rule("spared", AllOf(all=(leaf("Fire."), NoneOf(none=(leaf("A stove."),))))),
    ),
)
ONE = Constitution(name="one", rules=(BRIGHT,))


def shade(value):
    return np.full((6, 6, 3), value, np.uint8)


def brightness(probe):
    """Score of a picture: how bright it is; the prior is one half."""
    return float(probe.images[0].pixels.mean()) / 255 if probe.images else 0.5


def load(rules=ONE, engine=None, policy="default", cache=None):
    return Judge.load(rules, engine or FakeEngine(brightness), policy, cache)


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


# --- results --------------------------------------------------------------------------------------


def test_one_result_per_image_in_order(tmp_path):
    good = tmp_path / "white.png"
    good.write_bytes(png(shade(255)))
    sources = [good, shade(0), tmp_path / "missing.png", png(shade(255)), b"junk", shade(0)]
    results = load()(sources)
    assert [r.label if isinstance(r, Judgment) else r.reason for r in results] == [
        "unsafe",
        "safe",
        "missing",
        "unsafe",
        "not_an_image",
        "safe",
    ]
    assert [r.image for r in results][1::2] == ["image[1]", "image[3]", "image[5]"]
    assert results[0].image == str(good)
    assert results[0].violations == ("bright",)


def test_no_image_and_nothing_readable_ask_nothing():
    engine = FakeEngine(brightness)
    assert load(engine=engine)([]) == []
    (failure,) = load(engine=engine)([b""])
    assert isinstance(failure, Failure)
    assert engine.history == []


def test_a_batch_array_is_a_list_of_images():
    results = load()(np.stack([shade(0), shade(255)]))
    assert [r.label for r in results] == ["safe", "unsafe"]


def test_provenance_and_usage():
    judge = load(policy="clue-tree")
    (result,) = judge([shade(255)])
    about = result.provenance
    assert about.constitution == ONE.digest()
    assert about.policy == judge.policy.digest() != load().policy.digest()
    card = judge.models.engine.card
    assert (about.model, about.revision) == (card.uri, card.revision)
    assert (about.encoder, about.detector) == (None, None)
    assert {"safejudge", "pillow", "numpy", "python"} <= set(about.versions)
    assert (result.usage.probes, result.usage.reasoning_calls) == (1, 0)


def test_a_judgment_does_not_depend_on_its_neighbours():
    judge = load(RULES, FakeEngine())
    sources = [shade(value) for value in (10, 90, 10, 200)]
    together = judge(sources, ["a", None, "a", "b"])
    alone = [judge([s], [p])[0] for s, p in zip(sources, ["a", None, "a", "b"], strict=True)]
    names = {"image": "x"}
    assert [r.model_copy(update=names) for r in together] == [
        r.model_copy(update=names) for r in alone
    ]


def test_equal_images_of_a_window_are_asked_once():
    engine = FakeEngine(brightness)
    results = load(engine=engine)([shade(255)] * 5)
    assert [r.label for r in results] == ["unsafe"] * 5
    assert sum(len(wave) for wave in engine.history) == 2


# --- windows --------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 2, 3, 10])
def test_windows_change_no_result(window):
    judge = load(RULES, FakeEngine())
    sources = [shade(20 * i) for i in range(7)]
    prompts = [None, "p"] * 3 + ["q"]
    assert list(judge.stream(sources, prompts, window=window)) == judge(sources, prompts)


def test_a_stream_reads_little_more_than_its_window():
    taken = []

    def endless():
        while True:
            taken.append(len(taken))
            yield shade(len(taken) % 250)

    stream = load().stream(endless(), window=8)
    assert [next(stream).image for _ in range(9)] == [f"image[{i}]" for i in range(9)]
    # Those that came out, a window under way and two rooms read ahead.
    assert len(taken) <= 9 + 8 + 2 * 2


def test_a_stream_that_is_left_leaves_no_thread():
    before = threading.active_count()
    stream = load().stream(itertools.repeat(shade(9)), window=4)
    next(stream)
    stream.close()
    assert threading.active_count() == before


def test_what_was_judged_comes_out_before_an_engine_fails():
    """The engine fails on the last picture; of those that were done before none is lost."""

    def fails(probe):
        if probe.images and probe.images[0].pixels[0, 0, 0] == 200:
            raise EngineCallError("gone")
        return brightness(probe)

    stream = load(engine=FakeEngine(fails)).stream([shade(i) for i in (1, 2, 3, 200)], window=1)
    found = []
    with pytest.raises(EngineCallError, match="gone"):
        found.extend(stream)
    assert [one.image for one in found] == ["image[0]", "image[1]", "image[2]"]


def test_a_window_is_a_positive_number():
    with pytest.raises(InputError, match="window is 0"):
        load().stream([], window=0)


# --- arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", ["a.png", b"bytes", Image.new("RGB", (2, 2))])
def test_one_image_instead_of_a_list(one):
    with pytest.raises(InputError, match=r"put it in a list"):
        load()(one)


@pytest.mark.parametrize("nothing", [None, 3, object()])
def test_images_that_are_no_list(nothing):
    with pytest.raises(InputError, match="hand over a list"):
        load()(nothing)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (["a"], "2 images but 1 prompt"),
        (["a", "b", "c"], "2 images but 3 prompts"),
        ("ab", "prompts is one str"),
        (7, "prompts is one int"),
        (["a", 7], r"prompts\[1\] is a int"),
        (iter(["a"]), "prompts ended after 1"),
        (iter("abc"), "images ended after 2"),
    ],
)
def test_prompts_that_do_not_fit(prompts, message):
    with pytest.raises(InputError, match=message):
        load()([shade(0), shade(1)], prompts)


def test_a_caption_reaches_every_question_on_one_line():
    engine = FakeEngine(brightness)
    load(engine=engine)([shade(0)], ["two\nlines \ud800"])
    for probe in engine.history[0]:
        assert probe.question.splitlines()[0].endswith("two lines ?")
        assert len(probe.question.splitlines()) == 2


def test_a_blank_caption_is_none():
    engine = FakeEngine(brightness)
    load(engine=engine)([shade(0), shade(0)], [" \n", None])
    assert len(engine.history[0]) == 2


# --- loading --------------------------------------------------------------------------------------


def test_load_by_name_and_path(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text("not: a constitution\n")
    with pytest.raises(ConstitutionError):
        Judge.load(path, "fake:")
    with pytest.raises(EngineSetupError):
        Judge.load(ONE, "no-such-engine")
    with pytest.raises(PolicyError, match="choose from clue-tree, clue, default"):
        Judge.load(ONE, "fake:", "strict")
    with Judge.load(ONE, "fake:", Policy(cascade=False), cache=None) as judge:
        assert judge([shade(0)])[0].provenance.model == "fake:"


class Narrow(FakeEngine):
    closed = 0

    def check_statements(self, statements):
        self.checked = list(statements)
        if "A cow." in statements:
            raise StatementError("no cows")

    def close(self):
        self.closed += 1


def test_a_statement_outside_the_engine_is_refused_at_load(monkeypatch):
    with pytest.raises(StatementError, match="no cows"):
        load(RULES, Narrow())
    opened = Narrow()
    monkeypatch.setattr("safejudge.engines.models.open_engine", lambda _: opened)
    with pytest.raises(StatementError):
        Judge.load(RULES, "narrow:", cache=None)
    assert opened.closed == 1


def test_the_flat_form_is_what_is_checked_and_losses_are_said():
    engine = Narrow()
    with pytest.warns(UserWarning, match=r"'spared'.*A stove"):
        load(RULES, engine, "clue")
    assert engine.checked == ["The picture is bright.", "A dog.", "A cat or A cow.", "Fire."]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(ONE, engine, "clue")


def test_a_rule_that_the_flat_form_empties_is_refused_at_load():
    only = Constitution(name="n", rules=(rule("only", NoneOf(none=(leaf("A dog."),))),))
    with (
        pytest.warns(UserWarning, match="only"),
        pytest.raises(PolicyError, match="'only' consists of exceptions"),
    ):
        load(only, policy="clue")


def test_who_opens_closes(monkeypatch):
    mine = Narrow(brightness)
    with load(engine=mine) as judge:
        pass
    assert mine.closed == 0
    with pytest.raises(InputError, match="closed"):
        judge([shade(0)])
    opened = Narrow(brightness)
    monkeypatch.setattr("safejudge.engines.models.open_engine", lambda _: opened)
    judge = Judge.load(ONE, "narrow:", cache=None)
    judge.close()
    judge.close()
    assert opened.closed == 1


def test_priors_are_kept_on_disk(tmp_path):
    def priors(engine):
        return [p for wave in engine.history for p in wave if isinstance(p, Probe) and not p.images]

    first, second = FakeEngine(), FakeEngine()  # answers made up from a hash, always the same
    path = tmp_path / "priors"
    once = load(engine=first, cache=PriorCache(path))([shade(9)])
    again = load(engine=second, cache=PriorCache(path))([shade(9)])
    assert once == again
    assert (len(priors(first)), len(priors(second))) == (1, 0)


# --- priors that are none -------------------------------------------------------------------------


def priors_of(statement):
    """Some statements have no yes or no without a picture, and one cannot be asked."""

    def answer(probe):
        if probe.images:
            return 0.95
        if statement in probe.question:
            return AnswerProbs((0.0, 0.0), problem="no such thing here")
        faint = "dog" in probe.question or "Fire" in probe.question
        return AnswerProbs((0.2, 0.2), top="I") if faint else 0.5

    return answer


def test_priors_that_are_no_yes_or_no_are_told_of_before_the_first_image():
    engine = FakeEngine(priors_of("nothing"))
    judge = load(RULES, engine)
    assert judge.notes == (
        "2 of 6 statements have no yes or no without a picture; 1/2 stands for their prior",
    )
    assert [len(wave) for wave in engine.history] == [6]
    assert judge.notes == judge.notes
    assert len(engine.history) == 1
    assert load(RULES, FakeEngine(brightness)).notes == ()


def test_a_prior_that_cannot_be_asked_is_told_of_and_stays_undecided():
    judge = load(RULES, FakeEngine(priors_of("A cow")))
    faint, refused = judge.notes
    assert faint.startswith("2 of 6 statements have")
    assert refused.startswith("1 of 6 statements cannot be asked without a picture")
    assert "no such thing here" in refused
    (result,) = load(Constitution(name="cow", rules=(rule("cow", leaf("A cow.")),)),
                     FakeEngine(priors_of("A cow")))([shade(9)])  # fmt: skip
    (verdict,) = result.rules["cow"].preconditions
    assert (verdict.test, verdict.outcome.value) == ("unreadable", "undecided")


@pytest.mark.parametrize("policy", ["clue-tree", Policy(prior=False)])
def test_policies_that_want_no_prior_or_any_are_not_told_of_any(policy):
    engine = FakeEngine(priors_of("nothing"))
    assert load(RULES, engine, policy).notes == ()
    assert engine.history == []


def test_a_judge_that_opens_its_engine_asks_for_the_priors_at_once(monkeypatch, tmp_path):
    first, second = FakeEngine(), FakeEngine()
    path = tmp_path / "priors"
    for engine in (first, second):
        monkeypatch.setattr("safejudge.engines.models.open_engine", lambda _, e=engine: e)
        Judge.load(RULES, "fake:", cache=PriorCache(path))
    assert [len(wave) for wave in first.history] == [6]
    assert second.history == []


def test_a_judge_whose_priors_cannot_be_read_is_closed_again(monkeypatch):
    opened = Narrow(lambda _: EngineCallError("gone"))
    monkeypatch.setattr("safejudge.engines.models.open_engine", lambda _: opened)
    with pytest.raises(EngineCallError, match="gone"):
        Judge.load(ONE, "narrow:", cache=None)
    assert opened.closed == 1


# --- allows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "policy", "allowed"),
    [
        (shade(0), Policy(), True),
        (shade(255), Policy(), False),
        (shade(128), Policy(cascade=False), False),
        (shade(128), Policy(cascade=False, allow_undecided=True), True),
        (shade(255), Policy(allow_undecided=True, allow_failures=True), False),
        (b"junk", Policy(), False),
        (b"junk", Policy(allow_undecided=True), False),
        (b"junk", Policy(allow_failures=True), True),
    ],
)
def test_allows(source, policy, allowed):
    assert load(policy=policy).allows(source) is allowed


# --- faults and threads ---------------------------------------------------------------------------


def test_an_engine_that_fails_ends_the_call_and_not_the_judge():
    failing = [EngineCallError("out of memory")]

    def answer(probe):
        return failing.pop() if failing else brightness(probe)

    judge = load(engine=FakeEngine(answer))
    with pytest.raises(EngineCallError, match="out of memory"):
        judge([shade(0)])
    assert judge([shade(0)])[0].label == "safe"


def test_one_probe_without_an_answer_leaves_its_image_undecided_and_no_other():
    def answer(probe):
        dark = probe.images and probe.images[0].pixels[0, 0, 0] == 7
        return float("nan") if dark else brightness(probe)

    results = load(engine=FakeEngine(answer))([shade(0), shade(7), shade(255)])
    assert [r.label for r in results] == ["safe", "undecided", "unsafe"]
    assert results[1].rules["bright"].preconditions[0].test == "unreadable"


@pytest.mark.parametrize("method", ["answer_probs", "reason"])
def test_a_wrong_number_of_answers_is_an_engine_error(method, monkeypatch):
    engine = FakeEngine(lambda _: 0.5)
    whole = getattr(engine, method)
    monkeypatch.setattr(engine, method, lambda requests: whole(requests)[:-1])
    with pytest.raises(EngineCallError, match=r"fake: returned \d"):
        load(engine=engine)([shade(0), shade(1)])


def test_threads_get_what_one_thread_gets_and_take_turns():
    busy = threading.Lock()

    class Single(FakeEngine):
        def answer_probs(self, probes):
            assert busy.acquire(blocking=False), "two threads at once"
            try:
                time.sleep(0.002)  # leaves another thread the chance to come in
                return super().answer_probs(probes)
            finally:
                busy.release()

    judge = load(RULES, Single())
    jobs = [[shade(10 * i + j) for j in range(3)] for i in range(8)]
    expected = [judge(job) for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(judge, jobs)) == expected


def test_acall_is_the_same_call():
    judge = load(RULES, FakeEngine())

    async def both():
        return await asyncio.gather(judge.acall([shade(1)], ["p"]), judge.acall([shade(2)]))

    assert asyncio.run(both()) == [judge([shade(1)], ["p"]), judge([shade(2)])]
