"""What people see: nothing that others wrote steers the terminal, tables fit, traces are right."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from safejudge import Judge, Policy
from safejudge.engines.fake import FakeEngine
from safejudge.files.tally import Tally
from safejudge.show import compiled, trace
from safejudge.show import terminal as show
from safejudge.text import clean, clean_lines
from safejudge.types import (
    AllOf,
    AnswerProbs,
    AnyOf,
    Constitution,
    Failure,
    Intake,
    NoneOf,
    Precondition,
    Rule,
    RuleVerdict,
    Severity,
)

NASTY = "\x1b[31mred\x1b]0;title\x07\u202e[bold]x[/bold]\n:smile:"


def leaf(statement):
    return Precondition(statement=statement)


def rule(name, condition, text="Text."):
    return Rule(
        id=name,
        category="c",
        severity=Severity.HIGH,
        text=text,
        objective="o",
        condition=condition,
    )


def judge(*rules, scores, policy=None):
    """A judge whose engine gives these scores by statement; the prior is 0.3 for all."""

    def answer(probe):
        if not probe.images:
            return 0.3
        return scores[probe.question.removeprefix("Statement: ")]

    engine = FakeEngine(answer)
    return Judge.load(Constitution(name="n", rules=rules), engine, policy or Policy(), None)


def judged(subject):
    return subject([np.zeros((8, 8, 3), np.uint8)])[0]


def drawn(renderable, width=80, *, colour=False):
    stream = io.StringIO()
    Console(
        file=stream, width=width, force_terminal=colour, markup=False, highlight=False, emoji=False
    ).print(renderable)
    return "\n".join(line.rstrip() for line in stream.getvalue().split("\n"))


def explained(subject, rules=None):
    result = judged(subject)
    return drawn(trace.explanation(result, rules or subject.constitution.rules, subject.policy))


# --- what the numbers of a trace say --------------------------------------------------------------


def test_a_trace_says_what_its_numbers_mean():
    subject = judge(rule("r", leaf("A.")), rule("s", leaf("B.")), scores={"A.": 0.99, "B.": 0.01})
    assert explained(subject).count("p0: the same without") == 1
    clean_one = judge(rule("r", leaf("A.")), rule("s", leaf("B.")), scores={"A.": 0.01, "B.": 0.01})
    assert "p0" not in explained(clean_one)  # no number is shown there


def test_a_trace_says_what_the_filter_compared_with():
    subject = judge(rule("r", leaf("A.")), rule("s", leaf("B.")), scores={"A.": 0.99, "B.": 0.01})
    result = judged(subject)
    skipped = RuleVerdict(outcome="not_relevant", score=None, margin=None, similarity=0.1)
    result = result.model_copy(update={"rules": result.rules | {"s": skipped}})
    policy = subject.policy.model_copy(update={"relevance": True, "relevance_threshold": 0.22})
    text = drawn(trace.explanation(result, subject.constitution.rules, policy))
    assert "not relevant s  (c, high)  similarity 0.10" in text
    assert "similarity to the picture is 0.22 or less is" in text
    assert "0.22" not in explained(subject)


# --- text -----------------------------------------------------------------------------------------


@given(st.text())
def test_clean_text_is_visible_and_loses_nothing_visible(text):
    assert clean(text).isprintable()
    assert clean_lines(text).replace("\n", "").isprintable()
    if text.isprintable():
        assert clean(text) == text


def test_clean_spells_out():
    assert clean("a\x1b[0m\u202eb\udc80") == "a\\x1b[0m\\u202eb\\udc80"


@given(st.text(alphabet="ab/猫é", max_size=40), st.integers(1, 30))
def test_shortened_text_fits_and_keeps_its_ends(text, width):
    short = show.shorten(text, width)
    assert cell_len(short) <= width
    if cell_len(text) <= width:
        assert short == text
    elif width >= 8:
        head, tail = short.split("…")
        assert tail
        assert text.endswith(tail)
        assert text.startswith(head)


# --- tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_table_keeps_its_columns_whatever_it_holds(width):
    subject = judge(rule("r", leaf("A.")), scores={"A.": 0.99})
    failure = Failure(image=NASTY, reason="missing", message=f"{NASTY}: {NASTY}")
    names = ["a.png", "long/" * 50 + "end.png", NASTY]
    rows = show.Rows(names, width)
    pieces = [rows.table([(name, judged(subject))]) for name in names[:2]]
    pieces.append(rows.table([(names[2], failure)]))
    text = "".join(drawn(piece, width) for piece in pieces)
    lines = text.split("\n")
    assert all(cell_len(line) <= width for line in lines)
    assert text.count("label") == 1
    head = next(number for number, line in enumerate(lines) if "label" in line)
    column = lines[head].index("label")
    labels = [
        line[column:].split()[0] for line in lines[head + 1 :] if line[column : column + 9].strip()
    ]
    assert labels == ["unsafe", "unsafe", "failed"]
    assert "nd.png" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_why():
    open_rule = rule("r", AllOf(all=(leaf("A."), leaf("B."))))
    half = judge(open_rule, scores={"A.": 0.5, "B.": 0.99}, policy=Policy(cascade=False))
    assert show.reason(judged(half)) == "r (between the bounds)"
    nan = judge(open_rule, scores={"A.": float("nan"), "B.": 0.99})
    assert show.reason(judged(nan)) == "r (no readable answer)"
    clear = judge(rule("r", leaf("A.")), rule("s", leaf("A.")), scores={"A.": 0.99})
    assert show.reason(judged(clear)) == "r, s"
    assert show.reason(judged(judge(rule("r", leaf("A.")), scores={"A.": 0.01}))) == ""
    failure = Failure(image="a.png", reason="missing", message="a.png: no such file")
    assert show.reason(failure) == "missing: no such file"


def test_summary():
    tally = Tally()
    assert show.summary(tally, 0, 1.0).startswith("0 images: 0 safe")
    tally.add({"label": "unsafe", "usage": {"probes": 4, "reasoning_calls": 1}})
    tally.add({"error": {}})
    tally.add({"label": "safe", "usage": {"probes": 6, "reasoning_calls": 0}})
    line = show.summary(tally, 1, 4.0)
    assert line.startswith(
        "3 images (1 from earlier runs): 1 safe, 1 unsafe, 0 undecided, 1 failed"
    )
    assert line.endswith("0.5 images/s; 5.0 questions and 0.5 reasoning calls per image")


# --- traces ---------------------------------------------------------------------------------------


def test_a_trace_shows_tests_in_numbers_and_what_was_not_asked():
    tree = AllOf(all=(AnyOf(any=(leaf("A."), leaf("B."))), NoneOf(none=(leaf("C."), leaf("D.")))))
    text = explained(judge(rule("r", tree), scores={"A.": 0.97, "C.": 0.99}))
    assert "M 0.97 (label mass 1.00), p0 0.30 (label mass 1.00)" in text
    assert "accept: M 0.97 > 0.80 + 0.20·p0 = 0.86" in text
    lines = [line.strip("│├└─ ") for line in text.split("\n")]
    signs = [line for line in lines if line[:1] in "✓✗?·" and line[1:2] == " "]
    assert signs == ["✗ all of", "✓ any of", "✓ A.", "· B.", "✗ none of", "✓ C.", "· D."]
    assert lines.count("not asked (already settled)") == 2


def test_a_trace_shows_reject_open_and_close_calls():
    rules = [rule(name, leaf(f"{name}.")) for name in ("low", "mid", "edge")]
    scores = {"low.": 0.1, "mid.": 0.5, "edge.": 0.86001}
    text = explained(judge(*rules, scores=scores, policy=Policy(cascade=False)), rules[:2])
    assert "open: 0.70·p0 = 0.21 ≤ M 0.50 ≤ 0.80 + 0.20·p0 = 0.86\n" in text
    text = explained(judge(rules[0], scores=scores))
    assert "reject: M 0.10 < 0.70·p0 = 0.21" in text
    text = explained(judge(rules[2], scores=scores))
    assert "accept: M 0.860010 > 0.80 + 0.20·p0 = 0.860000" in text


def test_rules_stand_in_the_order_of_their_weight():
    rules = [rule(name, leaf(f"{name}.")) for name in ("fine", "open", "bad")]
    scores = {"fine.": 0.01, "open.": 0.5, "bad.": 0.99}
    text = explained(judge(*rules, scores=scores, policy=Policy(cascade=False)))
    starts = [text.index(f"\n{label}") for label in ("violated bad", "undecided open")]
    assert starts == sorted(starts)
    assert text.rstrip().endswith("not violated fine  score 0.01  (c, high)")
    alone = explained(judge(*rules, scores=scores, policy=Policy(cascade=False)), rules[:1])
    assert "reject: M" in alone
    assert "violated bad" not in alone


def test_reasoning_and_notes_are_shown():
    engine = FakeEngine(
        lambda probe: 0.5 if probe.images else AnswerProbs((0.1, 0.2), top=NASTY),
        replies=[NASTY, '{"rationale": "I see \\u001b[31m", "rating": "Unsure"}'],
    )
    subject = Judge.load(Constitution(name="n", rules=(rule("r", leaf("A.")),)), engine, cache=None)
    text = explained(subject)
    assert "open: 0.70·0.5 = 0.35 ≤ M 0.50 ≤ 0.80 + 0.20·0.5 = 0.90" in text
    assert "label mass 0.30" in text
    assert "reasoning: \\x1b[31mred" in text
    assert "rated Unsure: I see \\x1b[31m" in text
    assert "note: P(yes) + P(no) of the view no_image is 0.3" in text
    assert "1/2 stands for the prior" in " ".join(text.split())
    assert "→ undecided, score 0.39" in text
    assert "\x1b" not in text


def test_an_open_leaf_that_needed_no_reasoning_says_so():
    both = rule("r", AllOf(all=(leaf("A."), leaf("B."))))
    text = explained(judge(both, scores={"A.": 0.5, "B.": 0.01}))
    assert "not reasoned through (already settled)" in " ".join(text.replace("│", "").split())


def test_the_flat_form_is_shown_as_it_was_asked():
    tree = AllOf(all=(AnyOf(any=(leaf("A."), leaf("B."))), NoneOf(none=(leaf("C."),))))
    with pytest.warns(UserWarning, match="exceptions"):
        subject = judge(rule("r", tree), scores={"A or B.": 0.99}, policy=Policy.clue())
    text = explained(subject)
    assert "✓ A or B." in text
    assert "it drops: C." in text


@pytest.mark.parametrize("width", [30, 80])
def test_traces_fit_and_text_of_rules_is_no_markup(width):
    nasty = rule("r", leaf(NASTY.replace("\n", "") * 5), text=NASTY * 3)
    subject = judge(nasty, scores={})
    subject.models.engine._answers = lambda *_: 0.99
    text = drawn(trace.explanation(judged(subject), [nasty], subject.policy), width, colour=True)
    assert "[bold]x[/bold]" in text.replace("\n", "").replace(" ", "") or width < 80
    for code in ("\x1b[31mred", "\x1b]0;", "\u202e", "\x07"):
        assert code not in text


def test_one_of_something_is_not_plural(tmp_path):
    one = SimpleNamespace(state="failed", clean=False)
    (tmp_path / "rules.lock.yaml").touch()
    said = compiled.summary([one], tmp_path / "rules.lock.yaml")
    assert said.startswith("1 rule without a condition of its own: 0 ready, 0 review, 1 failed")
    said = compiled.summary([one, one], tmp_path / "rules.lock.yaml")
    assert said.startswith("2 rules without a condition of their own: ")
    tally = Tally()
    tally.add({"label": "safe"})
    intake = Intake(found=2, beyond_limit=1, companions=1)
    assert show.coverage(intake, tally) == [
        "left out: 1 file of labels or of macOS, 1 image beyond --limit"
    ]


def test_what_failed_is_told_by_reason_with_the_first_name():
    tally = Tally()
    for name, reason in (("a", "truncated"), ("b", "missing"), ("c", "truncated")):
        tally.add({"image": name, "error": {"reason": reason, "message": "no"}})
    (line,) = show.coverage(Intake(found=3), tally)
    assert line == "failed: 2 x truncated, 1 x missing; the first: a"


def test_frames_are_counted_of_animations_that_were_not_looked_at_whole():
    tally = Tally()
    for looked_at, of in ((8, 12), (3, 3)):
        tally.add({"label": "safe", "frames": {"looked_at": looked_at, "of": of}})
    (line,) = show.coverage(Intake(found=2), tally)
    assert line.startswith("frames: 8 of 12 looked at in 1 animation; ")
