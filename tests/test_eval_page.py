"""The page of a benchmark: hostile names stay text, nothing is fetched, and what is undefined."""

from __future__ import annotations

import csv
import json
import re
import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from PIL import Image

from safejudge.constitution.load import load_constitution
from safejudge.evals.labelled.charts import MISTAKES
from safejudge.evals.labelled.labels import Label
from safejudge.evals.labelled.tables import score
from safejudge.evals.page import Made, page
from safejudge.evals.results import write_results
from safejudge.evals.suite import EvalResult
from safejudge.show.figures import Bar, Chart, Mistake, Series, Table
from safejudge.show.page.charts import drawing, svg

NAN = float("nan")
EVIL = '"><script>alert(1)</script>\x1b<img src=http://evil/x onerror=y>&'
EMPTY = EvalResult((), (), {}, ())
CONSTITUTION = load_constitution("sketch")
IDS = [rule.id for rule in CONSTITUTION.rules]

LINES = Chart("Curves", "line", "x", "y", (Series("a", ((0.0, 0.0), (1.0, 1.0))),))
BARS = Chart("Bars", "bars", "x", "y", (Series("a", bars=(Bar("recall", 0.5, 0.2, 0.8),)),))


def elements(text):
    """Every element with its attributes; a page whose elements are not closed in order fails."""
    found, opened = [], []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            found.append((tag, dict(attrs)))
            if tag not in ("meta", "img", "input"):
                opened.append(tag)

        def handle_startendtag(self, tag, attrs):
            found.append((tag, dict(attrs)))

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    Reader().feed(text)
    assert opened == []
    return found


def fetched(text):
    """Whatever a browser would ask anybody for."""
    names = ("src", "href", "xlink:href", "srcset", "data", "action", "poster")
    asked = [attrs[name] for _, attrs in elements(text) for name in names if name in attrs]
    asked += [at.get("style", "") for _, at in elements(text) if "url(" in at.get("style", "")]
    return [address for address in asked if not address.startswith("data:image/")]


# --- the page -------------------------------------------------------------------------------------


def test_hostile_names_stay_text(tmp_path):
    charts = (
        Chart(EVIL, "line", EVIL, EVIL, (Series(EVIL, ((0.0, 1.0),)),), EVIL),
        Chart(EVIL, "bars", EVIL, EVIL, (Series(EVIL, bars=(Bar(EVIL, 0.5, 0.1, 0.9),)),), EVIL),
    )
    mistake = Mistake(EVIL, (EVIL, EVIL), EVIL, EVIL, EVIL, (EVIL,))
    table = Table(EVIL, (EVIL, EVIL), ((EVIL, EVIL),), EVIL)
    found = EvalResult((table,), (EVIL,), {}, (), (EVIL,), charts, (mistake,))
    text = page(EVIL, found, {EVIL: {EVIL: EVIL}}, tmp_path)
    tags = {tag for tag, _ in elements(text)}
    assert not tags & {"script", "img", "link", "iframe", "object"}
    assert not any(name.startswith("on") for _, attrs in elements(text) for name in attrs)
    assert fetched(text) == []
    assert "\x1b" not in text
    assert "&lt;script&gt;" in text


def test_a_page_refers_to_nothing_outside_itself(tmp_path):
    Image.new("RGB", (300, 200), "red").save(tmp_path / "a.png")
    mistakes = (Mistake("a", ("a.png",), "safe", "unsafe", "Score 0.1.", ("x yes",)),)
    text = page("t", EvalResult((), (), {}, (), (), (LINES, BARS), mistakes), {}, tmp_path)
    assert fetched(text) == []
    assert not re.search(r"https?:|url\(|@import|<script|<link", text)
    assert [at["src"][:15] for tag, at in elements(text) if tag == "img"] == ["data:image/jpeg"]
    assert "default-src 'none'" in text


def test_nothing_found_gives_a_page_too():
    text = page("t", EMPTY, {}, None)
    assert "There is nothing to show" in text
    assert "<svg" not in text
    assert elements(text)[0][0] == "html"


@pytest.mark.parametrize("image", ["gone.png", "bad.png", "", "a\0b", "https://evil/x.png"])
def test_a_picture_that_cannot_be_read_says_why(tmp_path, image):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    found = EvalResult(
        (), (), {}, (), mistakes=(Mistake("a", (image,), "safe", "unsafe", "Why.", ()),)
    )
    text = page("t", found, {}, tmp_path)
    assert '<p class="missing">' in text
    assert "<img" not in text
    assert '<p class="missing">' not in page("t", found, {}, None)


def test_pictures_of_one_mistake_stand_side_by_side(tmp_path):
    Image.new("RGB", (300, 200), "red").save(tmp_path / "a.png")
    mistakes = (
        Mistake("pair", ("a.png", "gone.png"), "first", "second", "Why.", ()),
        Mistake("without", (), "first", "second", "Why.", ()),
    )
    text = page("t", EvalResult((), (), {}, (), mistakes=mistakes), {}, tmp_path)
    both, none = text.split("<article>")[1:]
    assert both.count("<img") == both.count('<p class="missing">') == 1
    assert both.index(">first</figcaption>") < both.index(">second</figcaption>")
    assert "<figure" not in none


def test_a_suite_that_kept_its_pictures_needs_no_other_folder(tmp_path):
    (tmp_path / "kept").mkdir()
    Image.new("RGB", (300, 200), "red").save(tmp_path / "kept/a.png")
    mistakes = (Mistake("a", ("a.png",), "safe", "unsafe", "Why.", ()),)
    found = EvalResult((), (), {}, (), mistakes=mistakes, pictures=tmp_path / "kept")
    write_results(tmp_path / "out", "mj-bench", found, {}, tmp_path / "nowhere")
    assert "<img" in (tmp_path / "out/report.html").read_text(encoding="utf-8")


def rules(**scores):
    return {name: {"outcome": "violated", "score": score} for name, score in scores.items()}


FLAT = EvalResult((), (), {}, (
    {"image": "a,b.png", "target": {"violations": ["x"]}, "rules": rules(x=0.1, y=None)},
    {"image": 'q".png', "target": {"violations": None}, "rules": rules(x=NAN)},
))  # fmt: skip


def test_scores_are_the_same_in_both_files(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    files = write_results(tmp_path, "labelled", FLAT, {})
    assert tmp_path / "scores.parquet" in files
    table = parquet.read_table(tmp_path / "scores.parquet")
    kinds = ["string", "string", "bool", "string", "double", "string"]
    assert list(map(str, table.schema.types)) == kinds
    rows = [list(row.values()) for row in table.to_pylist()]
    assert rows == [
        ["a,b.png", "x", True, "violated", 0.1, None],
        ["a,b.png", "y", False, "violated", None, None],
        ['q".png', "x", None, "violated", None, None],
    ]  # fmt: skip
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as stream:
        head, *lines = csv.reader(stream)
    assert head == table.column_names
    words = {None: "", True: "1", False: "0"}
    assert lines == [
        [image, rule, words[true], outcome, "" if score is None else str(score), ""]
        for image, rule, true, outcome, score, _ in rows
    ]


@pytest.mark.parametrize(
    "name",
    [
        "=HYPERLINK(1).png",
        "+1.png",
        "-1.png",
        "@SUM(1).png",
        "\t=1.png",
        " =1.png",
        "\r=1",
        "\uff1d1",
    ],
)
def test_no_name_begins_a_formula_or_steers_a_terminal(tmp_path, name):
    sample = {"image": f"{name}\x1b[31m\n", "target": {"violations": None}, "rules": rules(x=-0.5)}
    write_results(tmp_path, "labelled", EvalResult((), (), {}, (sample,)), {})
    text = (tmp_path / "scores.csv").read_text(encoding="utf-8")
    assert "\x1b" not in text
    _, line = csv.reader(text.splitlines())
    assert line[0].startswith("'")
    assert line[0].endswith("\\x1b[31m\\n")
    assert line[4] == "-0.5"  # a number is no formula


def test_scores_need_no_pyarrow(tmp_path, monkeypatch):
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    files = write_results(tmp_path, "labelled", FLAT, {})
    assert {path.name for path in files} & {"scores.csv", "scores.parquet"} == {"scores.csv"}


def test_results_hold_the_page(tmp_path):
    found = EvalResult((), ("Ærlig.",), {}, (), charts=(LINES,))
    files = write_results(tmp_path / "out", "labelled", found, {"tie": NAN}, tmp_path)
    assert tmp_path / "out" / "report.html" in files
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Ærlig." in text
    assert "NaN" not in text


# --- charts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [NAN, float("inf"), -float("inf")])
def test_what_is_undefined_is_not_drawn(value):
    points = ((0.0, 0.0), (value, 0.5), (0.5, value), (1.0, 1.0))
    lines = Chart("t", "line", "x", "y", (Series("a", points), Series("b", ((value, value),))))
    group = (Bar("p", value, value, value), Bar("q", 0.5, value, 0.7), Bar("r", 0.5))
    drawn = svg(lines) + svg(Chart("t", "bars", "x", "y", (Series("a", bars=group),)))
    assert not re.search(r"\b(nan|inf)", drawn, re.IGNORECASE)
    assert drawn.count("<polyline") == 1
    assert 'points="52.0,312.0 352.0,12.0"' in drawn


@pytest.mark.parametrize("kind", ["line", "bars"])
@pytest.mark.parametrize("count", [0, 1, 40])
def test_all_of_a_drawing_lies_inside_of_it(kind, count):
    points = ((-1.0, 0.0), (0.5, 0.5), (2.0, 3.0))
    series = tuple(
        Series("long name " * 9, points, (Bar("p", 2.0, -1.0, 9.0),)) for _ in range(count)
    )
    found = elements(svg(Chart("t", kind, "x", "y", series, diagonal=True, marked=True)))
    _, _, width, height = map(float, found[0][1]["viewbox"].split())
    for _, attrs in found:
        for name, most in [("x", width), ("y", height), ("cx", width), ("cy", height)]:
            assert 0 <= float(attrs.get(name, 0)) <= most
        for pair in attrs.get("points", "").split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= height


def test_a_bar_below_nothing_is_told_in_words():
    drawn = svg(Chart("t", "bars", "x", "y", (Series("a", bars=(Bar("p", -0.5, -0.7, -0.1),)),)))
    assert "below 0 (-0.50)" in drawn
    assert "<rect" not in drawn


def test_the_legend_is_a_list_of_names_with_looks_of_their_own():
    bars = tuple(Bar(f"a long name {n}", 0.5) for n in range(12))
    found = elements(drawing(Chart("t", "bars", "x", "y", (Series("a", bars=bars),))))
    start = [tag for tag, _ in found].index("ul")
    legend = [at for tag, at in found[start:] if tag == "rect"]
    assert len({(at["fill"], at.get("fill-opacity")) for at in legend}) == 12
    assert [tag for tag, _ in found].count("li") == 12
    lines = drawing(LINES)
    assert lines.count("<li>") == 1
    assert "</svg>a</li>" in lines
    assert "a</text>" not in lines  # letters that shrink with a drawing cannot be read


def test_long_names_keep_their_end():
    name = "a judge " * 9 + ", 1-5"
    drawn = svg(Chart("t", "bars", "x", "y", (Series(name, bars=(Bar("p", 0.5),)),)))
    assert "…" in drawn
    assert ", 1-5</text>" in drawn


def test_many_curves_differ_in_colour_or_dashes():
    series = tuple(Series(str(n), ((0.0, 0.0), (1.0, 1.0))) for n in range(28))
    found = elements(svg(Chart("t", "line", "x", "y", series)))
    looks = [(at["stroke"], at.get("stroke-dasharray")) for tag, at in found if tag == "polyline"]
    assert len(set(looks)) == 28


def test_steps_that_nobody_can_see_are_not_written():
    points = tuple((n / 100_000, 0.5) for n in range(100_001))
    drawn = svg(Chart("t", "line", "x", "y", (Series("a", points),)))
    assert 'points="52.0,162.0 352.0,162.0"' in drawn


def test_a_drawing_has_a_name():
    root = elements(svg(LINES))[0][1]
    assert root["role"] == "img"
    assert root["aria-label"] == "Curves"


# --- the suite `labelled` -------------------------------------------------------------------------

OUTCOMES = {"yes": "violated", "no": "not_violated", "?": "undecided", "-": "not_relevant"}


def verdict(outcome="no", score=0.1):
    found = {"yes": "yes", "no": "no", "?": "undecided", "-": "no"}[outcome]
    leaf = {
        "statement": "It burns.", "outcome": found, "test": "label_mass", "score": 0.25,
        "margin": -1.1,
    }  # fmt: skip
    asked = [] if outcome == "-" else [leaf]
    return SimpleNamespace(outcome=outcome, score=score, asked=asked)


def judged(label="safe", score=0.1, **rules):
    found = {name: verdict() for name in IDS}
    found |= {name.replace("_", "-"): verdict(*value) for name, value in rules.items()}
    plain = {
        name: {
            "outcome": OUTCOMES[one.outcome], "score": one.score, "bound": "exact",
            "preconditions": one.asked,
        }
        for name, one in found.items()
    }  # fmt: skip
    return {"label": label, "score": score, "violations": [], "rules": plain}


def test_lines_without_both_classes_have_no_curve():
    labels = [
        Label(image="a", violations=("armed-child",)),
        Label(image="b", violations=()),
    ]
    records = {"a": judged("unsafe", 0.9, armed_child=("yes", 0.9)), "b": judged()}
    found = score(CONSTITUTION, labels, records)
    named = {chart.title: [series.name for series in chart.series] for chart in found.charts}
    for title in ("ROC", "Precision and recall", "Reliability"):
        assert named[title] == ["images", "all rules"]
        assert f"{title}, rule by rule" not in named
    assert named["Rates"] == ["images", "all rules", *IDS]
    roc = next(chart for chart in found.charts if chart.title == "ROC")
    assert roc.series[0].points == ((0.0, 0.0), (0.0, 1.0), (1.0, 1.0))
    assert found.mistakes == ()
    drawn = "".join(map(svg, found.charts))
    assert not re.search(r"\bnan", drawn, re.IGNORECASE)  # rates of rules that never occur


def test_a_rule_has_curves_of_its_own_where_there_is_enough_to_see():
    rows = [(n, ("armed-child",) * (n < 12) + ("weapon-aimed",) * (n < 3)) for n in range(40)]
    labels = [Label(image=str(n), violations=truth) for n, truth in rows]
    records = {
        str(n): judged("unsafe", 0.9, armed_child=("yes", 0.9), weapon_aimed=("yes", n / 40))
        for n, _ in rows
    }
    found = score(CONSTITUTION, labels, records)
    named = {chart.title: chart for chart in found.charts}
    for title in ("ROC", "Precision and recall", "Reliability"):
        chart = named[f"{title}, rule by rule"]
        assert [series.name for series in chart.series] == ["armed-child"]
        assert "Left out: 1 rule of fewer than 30 images, or 10 of a kind." in chart.note


def test_the_one_number_comes_first():
    labels = [Label(image="a", violations=("armed-child",)), Label(image="b", violations=())]
    records = {"a": judged("unsafe", 0.9, armed_child=("yes", 0.9)), "b": judged()}
    found = score(CONSTITUTION, labels, records)
    assert found.headline == "F1 1.000 [0.104, 1.000] over 2 images"
    made = Made("hf:ORG/MODEL", "shop", "photos", "2026-11-29")
    text = page("labelled", found, {}, None, made)
    facts = ["headline", "model", "constitution", "data", "date", "judged", "Right and wrong"]
    words = [found.headline, "hf:ORG/MODEL", ">shop<", ">photos<", "2026-11-29", "2 samples judged",
             "Right and wrong"]  # fmt: skip
    places = [text.index(f"{word}", text.index("<h1>")) for word in words]
    assert places == sorted(places), facts
    assert f"<h1>{found.headline}</h1>" in text


def test_what_was_not_judged_is_told_at_the_top():
    label = [Label(image="a", label="safe"), Label(image="b", label="safe")]
    found = score(CONSTITUTION, label, {"a": judged()}, {"unlabelled": 3})
    text = page("labelled", found, {}, None)
    head = text[text.index("<h1>") : text.index("</header>")]
    assert "<li>1 sample judged</li>" in head
    assert '<li class="open">1 sample could not be judged</li>' in head
    assert '<li class="open">3 pictures passed over: no label says what is true there</li>' in head


def test_tables_tell_each_number_its_name_and_what_matters_most():
    table = Table("T", ("", "n", "F1"), (("a", "0", "0.5"), ("b", "7", "")), keys=("F1",))
    more = Table("More", ("", "n"), (("a", "0"),))
    text = page("t", EvalResult((table, more), (), {}, ()), {}, None)
    assert '<td data-head="n" class="minor nil">0</td><td data-head="F1">0.5</td>' in text
    assert '<td data-head="n" class="minor">7</td><td data-head="F1"></td>' in text
    assert '<td data-head="n">0</td>' in text
    assert text.index("<h2>T</h2>") < text.index("<summary>More</summary>")


def test_pictures_of_mistakes_are_blurred_until_somebody_asks(tmp_path):
    Image.new("RGB", (300, 200), "red").save(tmp_path / "a.png")
    mistakes = (Mistake("a", ("a.png",), "safe", "unsafe", "Why.", ()),)
    text = page("t", EvalResult((), (), {}, (), mistakes=mistakes), {}, tmp_path)
    found = elements(text)
    boxes = [at for tag, at in found if tag == "input"]
    assert [at["type"] for at in boxes] == ["checkbox"] * 2
    assert not any("checked" in at for at in boxes)
    assert ("label", {"class": "frame veiled"}) in found
    assert "<script" not in text


def test_results_say_what_made_them(tmp_path):
    config = {"date": "2026-11-29", "model": "hf:ORG/MODEL", "constitution": "shop", "data": "d"}
    found = EvalResult((), (), {}, (), headline="F1 0.5")
    write_results(tmp_path, "labelled", found, config)
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert results["headline"] == "F1 0.5"
    assert (results["model"], results["constitution"]) == ("hf:ORG/MODEL", "shop")
    assert results["date"] > 0
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h1>F1 0.5</h1>" in text
    assert "2026-11-29" in text


def test_labels_of_one_class_have_no_curves():
    found = score(CONSTITUTION, [Label(image="a", label="safe")], {"a": judged()})
    assert [chart.title for chart in found.charts] == ["Rates"]
    assert score(CONSTITUTION, [Label(image="a", label="safe")], {}).charts == ()


def test_the_surest_mistakes_come_first():
    rules = [("yes", 0.8), ("no", 0.1), ("?", 0.99), ("-", None), ("yes", 0.95), ("no", 0.3)]
    truths = [(), ("armed-child",), (), ("armed-child",), (), ("armed-child",)]
    labels = [Label(image=str(n), violations=truth) for n, truth in enumerate(truths)]
    records = {str(n): judged(armed_child=said) for n, said in enumerate(rules)}
    found = score(CONSTITUTION, labels, records).mistakes
    assert [one.title for one in found] == ["4", "1", "0", "5", "3", "2"]
    assert found[0].answer == "armed-child: violated"
    assert found[0].target == "not violated"
    assert found[0].reason == "Score 0.950; it hangs on the stage label mass."
    assert found[0].trace == ("It burns. yes (label mass, 0.250)",)
    assert found[4].reason == "No score; it hangs on the stage relevance."
    assert found[4].trace == ()


def test_mistakes_are_limited_and_of_images_only_where_no_rule_is_known():
    labels = [Label(image=str(n), label="safe") for n in range(MISTAKES + 5)]
    records = {
        str(n): judged("unsafe", (n + 50) / 100, armed_child=("yes", 0.9))
        for n in range(MISTAKES + 5)
    }
    found = score(CONSTITUTION, labels, records).mistakes
    assert [one.title for one in found] == [str(n) for n in range(MISTAKES + 4, 4, -1)]
    assert (found[0].answer, found[0].target) == ("unsafe", "safe")
    assert "the rule with the highest is armed-child" in found[0].reason
