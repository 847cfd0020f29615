"""What an engine refuses is said once: in the table, in a trace, on a page."""

import numpy as np
import pytest
from test_report import read
from test_show import drawn, leaf, rule

from safejudge import Judge, Policy
from safejudge.engines.fake import FakeEngine
from safejudge.show import reasons, terminal, trace
from safejudge.show.page.judged import About, Report
from safejudge.types import AllOf, AnswerProbs, AnyOf, Constitution, NoneOf

WHY = "no drawn scene, and this judge knows nothing else (distance 94.6 > 17.5)"
RULES = (
    rule("a", AllOf(all=(leaf("A."), leaf("B.")))),
    rule("b", AnyOf(any=(leaf("C."), NoneOf(none=(leaf("D."),))))),
    rule("c", leaf("E.")),
)


@pytest.fixture
def judged():
    """Judge one image; the scores by statement, and what has none is refused for `WHY`."""

    def run(**scores):
        def answer(probe):
            if not probe.images:
                return 0.3
            statement = probe.question.removeprefix("Statement: ").rstrip(".")
            return scores.get(statement, AnswerProbs((0.0, 0.0), problem=WHY))

        judge = Judge.load(
            Constitution(name="n", rules=RULES), FakeEngine(answer), Policy(cascade=False), None
        )
        return judge, judge([np.zeros((8, 8, 3), np.uint8)])[0]

    return run


def explained(judge, result, rules=RULES):
    text = drawn(trace.explanation(result, rules, judge.policy))
    return " ".join(text.replace("│", " ").split())


def page_of(judge, result, tmp_path):
    report = Report(
        tmp_path / "p.html",
        About(judge.constitution, judge.policy, judge.provenance),
        replace=True,
    )
    report.add("a.png", result)
    report.write()
    return read(tmp_path / "p.html").one("article")


def test_an_image_that_is_declined_is_one_line(judged, tmp_path):
    judge, result = judged()
    assert reasons.reason(result) == WHY
    rows = terminal.Rows(["a.png"], 200)
    assert drawn(rows.table([("a.png", result)]), 200).count(WHY) == 1
    text = explained(judge, result)
    assert text.count(WHY) == 1
    assert "undecided a, b, c no answer: " in text
    assert len(drawn(trace.explanation(result, RULES, judge.policy)).splitlines()) < 10
    assert explained(judge, result, RULES[:1]).count(WHY) == 1
    article = page_of(judge, result, tmp_path)
    assert article.one("summary", class_="about").text.count(WHY) == 1
    body = article.one("div", class_="trace")
    assert body.text.count(WHY) == 1
    assert [h.text for h in body.all("h3")] == ["undecided a, b, c"]
    assert "No question about this picture was answered" in body.text


def test_rules_that_are_refused_stand_together(judged, tmp_path):
    judge, result = judged(E=0.5)
    assert reasons.declined(result) is None
    assert reasons.reason(result) == f"a, b ({WHY}); c (between the bounds)"
    text = explained(judge, result)
    assert text.count(WHY) == 1
    assert "undecided c score" in text
    body = page_of(judge, result, tmp_path).one("div", class_="trace")
    assert [h.text for h in body.all("h3")] == ["undecided a, b", "undecided c"]
    assert "No question of these rules was answered" in body.text
    assert body.text.count(WHY) == 1


def test_a_note_within_a_rule_is_written_out_once(judged):
    judge, result = judged(A=0.99, C=0.01, E=0.01)
    assert reasons.reason(result) == "a, b (no readable answer)"
    text = explained(judge, result)
    assert text.count(WHY) == 1
    assert text.count("note: as above") == 1


def test_a_reply_that_cannot_be_read_is_no_refusal():
    engine = FakeEngine(lambda probe: 0.5 if probe.images else 0.3, replies=["hm", "no JSON"])
    judge = Judge.load(Constitution(name="n", rules=RULES[2:]), engine, Policy(), None)
    (result,) = judge([np.zeros((8, 8, 3), np.uint8)])
    assert result.rules["c"].preconditions[0].test == "unreadable"
    assert reasons.reason(result) == "c (no readable answer)"
    assert reasons.declined(result) is None
