"""Pages: well-formed, self-contained, nothing of others is markup, filters and boxes are right."""

import base64
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from safejudge import Judge, Policy
from safejudge.cli import app as cli
from safejudge.engines.fake import FakeEngine
from safejudge.errors import EngineCallError, OutputError
from safejudge.show.page import judged as report
from safejudge.show.page import thumbnail
from safejudge.show.page.card import Beside
from safejudge.types import (
    AllOf,
    AnyOf,
    Box,
    Constitution,
    Failure,
    ImageInput,
    ModelRef,
    NoneOf,
    Picture,
    Precondition,
    Rule,
    RuleVerdict,
    Severity,
)

NASTY = "<script>alert(1)</script>\"'&amp;\x1b[31m\u202e</article><img src=x onerror=alert(1)>"
VOID = {"meta", "img", "br", "input", "line", "circle", "rect"}


# --- reading a page -------------------------------------------------------------------------------


class Element:
    def __init__(self, tag, attributes):
        self.tag, self.attributes = tag, dict(attributes)
        self.parts = []

    def __getitem__(self, name):
        return self.attributes[name]

    def all(self, tag, **wanted):
        """Elements inside, by tag and attributes; `class_` asks for one class of several."""
        found = []
        for part in self.parts:
            if isinstance(part, Element):
                classes = (part.attributes.get("class") or "").split()
                fits = all(
                    value in classes if name == "class_" else part.attributes.get(name) == value
                    for name, value in wanted.items()
                )
                found += [part] if fits and part.tag == tag else []
                found += part.all(tag, **wanted)
        return found

    def one(self, tag, **wanted):
        (found,) = self.all(tag, **wanted)
        return found

    @property
    def text(self):
        parts = (part if isinstance(part, str) else part.text for part in self.parts)
        return " ".join("".join(parts).split())


class Reader(HTMLParser):
    """Builds a tree, and fails for an end tag that closes nothing or something else."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.root = Element("root", [])
        self._open = [self.root]
        self.feed(text)
        self.close()
        assert self._open == [self.root], f"never closed: {[e.tag for e in self._open[1:]]}"

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), (tag, names)
        element = Element(tag, attributes)
        self._open[-1].parts.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag, attributes):
        self._open[-1].parts.append(Element(tag, attributes))

    def handle_endtag(self, tag):
        assert self._open[-1].tag == tag, f"</{tag}> closes <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data):
        self._open[-1].parts.append(data)


def read(path):
    return Reader(Path(path).read_text(encoding="utf-8")).root


# --- making one -----------------------------------------------------------------------------------


def leaf(statement):
    return Precondition(statement=statement, look_at="knife")


def rule(name, condition, text="Text.", objective="Objective."):
    return Rule(
        id=name,
        category="c",
        severity=Severity.HIGH,
        text=text,
        objective=objective,
        condition=condition,
    )


def judged(rules, scores, pictures=None, policy=None, replies=()):
    """A constitution, policy, image and judgment; the engine gives these scores by statement."""

    def answer(probe):
        return scores[probe.question.split("Statement: ")[-1]] if probe.images else 0.3

    pictures = pictures or (Picture.of(np.full((8, 8, 3), 90, np.uint8)),)
    judge = Judge.load(
        Constitution(name="n", description="About n.", rules=tuple(rules)),
        FakeEngine(answer, replies=replies),
        policy or Policy(cascade=bool(replies)),
        None,
    )
    (result,) = judge([pictures[0].pixels])
    return judge, ImageInput("id", "name", tuple(pictures)), result


@pytest.fixture
def page(tmp_path):
    """Puts results on a page and reads it back: give a judge and the arguments of `add`."""

    def written(judge, *entries, wanted=0, **known):
        about = report.About(judge.constitution, judge.policy, judge.provenance, **known)
        made = report.Report(tmp_path / "page.html", about, replace=True)
        for name, result, *beside in entries:
            image, caption, *_ = (*beside, None, None)
            made.add(name, result, Beside(image, caption=caption))
        made.write(wanted)
        return read(tmp_path / "page.html")

    return written


TREE = AllOf(all=(AnyOf(any=(leaf("A."), leaf("B."))), NoneOf(none=(leaf("C."),))))
SCORES = {"A.": 0.97, "C.": 0.02, "D.": 0.5, "E.": 0.05}
RULES = (rule("bad", TREE), rule("open", leaf("D.")), rule("fine", leaf("E.")))


# --- structure ------------------------------------------------------------------------------------


def test_one_article_per_image_with_its_trace(page):
    judge, image, result = judged(RULES, SCORES)
    failure = Failure(image="b.png", reason="missing", message="b.png: no such file")
    root = page(judge, ("in/a.png", result, image, "a day out"), ("b.png", failure))
    first, second = root.all("article")
    assert first.one("h2").text == "in/a.png"
    assert [h.text for h in first.all("h3")] == ["violated bad", "undecided open"]
    signs = [re.sub(" +", " ", p.text) for p in first.all("p", class_="condition")]
    assert signs == ["✓ all of", "✓ any of", "✓ A.", "· B.", "✓ none of", "✗ C.", "? D."]
    text = first.text
    assert "M 0.97 (label mass 1.00), p0 0.30 (label mass 1.00)" in text
    assert "accept: M 0.97 > 0.80 + 0.20·p0 = 0.86" in text
    assert "open: 0.70·p0 = 0.21 ≤ M 0.50 ≤ 0.80 + 0.20·p0 = 0.86" in text
    assert "not asked (already settled)" in text
    assert "a day out" in text
    (row,) = first.one("tbody").all("tr")
    assert row.text == "fine not violated ✗ E. 0.06"
    assert second.all("details") == []
    assert "failed missing: no such file" in second.text


def test_the_head_says_what_made_it_and_how_much_is_missing(page):
    judge, image, result = judged(RULES, SCORES)
    encoder = ModelRef(uri="hf:an-encoder", revision="e" * 64)
    judge.provenance = judge.provenance.model_copy(update={"encoder": encoder})
    head = page(judge, ("a.png", result, image), wanted=3, date="2026-11-29").one("header")
    assert head.one("h1").text == "1 image: 1 unsafe"
    said_first = head.all("p", class_="facts")[0].text
    assert said_first == "constitution n model fake: policy default 2026-11-29"
    for said in ("About n.", "hf:an-encoder", "What came in beside these images was not recorded."):
        assert said in head.text
    assert judge.provenance.policy in head.text
    assert "2 images are not on this page" in head.text
    assert all("open" not in details.attributes for details in head.all("details"))
    assert "stopped" not in page(judge, ("a.png", result, image)).one("header").text


def test_filters_have_counts_and_articles_the_data_they_ask_for(page):
    judge, image, result = judged(RULES, SCORES)
    _, _, safe = judged(RULES, SCORES | {"A.": 0.01, "B.": 0.01, "D.": 0.01})
    _, _, undecided = judged(RULES, SCORES | {"A.": 0.01, "B.": 0.01})
    failure = Failure(image="x", reason="empty", message="x: holds no bytes")
    root = page(
        judge,
        ("in/A.png", result, image),
        ("b", safe, image),
        ("c", undecided, image),
        ("x", failure),
    )
    data = [(a["data-label"], a["data-rules"], a["data-name"]) for a in root.all("article")]
    assert data == [
        ("unsafe", "0 1", "in/A.png"),
        ("undecided", "1", "c"),
        ("failed", "", "x"),
        ("safe", "", "b"),
    ]
    labels = [label.text for label in root.one("div", class_="filters").one("ul").all("label")]
    assert labels == ["unsafe 1", "undecided 1", "failed 1", "safe 1"]
    options = [
        (option["value"], option.text) for option in root.one("select", id="rule").all("option")
    ]
    assert options == [
        ("", "every rule"),
        ("0", "bad (1 violated, 0 undecided)"),
        ("1", "open (0 violated, 2 undecided)"),
    ]


def test_rules_that_nobody_asked_about_have_no_score(page):
    judge, image, result = judged(RULES, SCORES)
    skipped = RuleVerdict(outcome="not_relevant", score=None, margin=None, similarity=0.125)
    nothing = {
        "rules": dict.fromkeys(result.rules, skipped),
        "label": "safe",
        "score": None,
        "margin": None,
        "violations": (),
    }
    root = page(judge, ("a.png", result.model_copy(update=nothing), image))
    article = root.one("article")
    assert "safe no rule is relevant" in article.one("summary", class_="about").text
    assert "3 rules not violated or not relevant" in article.text
    row = article.one("tbody").all("tr")[0]
    reason = "not asked: the relevance filter skipped this rule"
    assert row.text == f"bad not relevant {reason} \N{EN DASH} 0.125"


def test_reasoning_stands_in_full(page):
    replies = ["I look.\nThen I see.", '{"rationale": "it is there", "rating": "Yes"}']
    judge, image, result = judged([rule("r", leaf("D."))], SCORES, replies=replies)
    article = page(judge, ("a.png", result, image)).one("article")
    assert "I look.\nThen I see." in article.one("blockquote").one("p").parts
    assert "rated Yes: it is there" in article.text
    assert "→ yes, score 0.7" in article.text


def test_the_flat_form_is_shown_as_it_was_asked(page):
    with pytest.warns(UserWarning, match="exceptions"):
        judge, image, result = judged([rule("r", TREE)], {"A or B.": 0.99}, policy=Policy.clue())
    text = page(judge, ("a.png", result, image)).one("article").text
    assert "✓ A or B." in text
    assert "the flat form has no exceptions, so it drops: C." in text


# --- what others wrote ----------------------------------------------------------------------------


def test_nothing_that_others_wrote_is_markup(page, tmp_path):
    rules = [
        rule(f"r{NASTY}", leaf(f"{NASTY}."), text=NASTY, objective=f"o {NASTY}"),
        rule("s", leaf("E.")),
    ]
    reply = json.dumps({"rationale": NASTY, "rating": "Unsure"})
    scores = {f"{NASTY}.": 0.5, "E.": 0.05}
    judge, image, result = judged(rules, scores, replies=[NASTY, reply])
    assert result.label == "undecided"
    box = Box(word=NASTY, confidence=0.5, left=0, top=0, right=4, bottom=4)
    verdict = result.rules[rules[0].id]
    found = verdict.preconditions[0].model_copy(update={"boxes": (box,), "note": NASTY})
    verdict = verdict.model_copy(update={"preconditions": (found,)})
    result = result.model_copy(update={"rules": {**result.rules, rules[0].id: verdict}})
    failure = Failure(image=NASTY, reason="missing", message=NASTY)
    root = page(judge, (f"in/{NASTY}", result, image, NASTY), (NASTY, failure))
    assert len(root.all("article")) == 2
    assert len(root.all("img")) == 1
    text = root.one("main").text
    assert text.count("<script>alert(1)</script>\"'&amp;\\x1b[31m\\u202e</article>") >= 12
    whole = (tmp_path / "page.html").read_text()
    assert not set("\x1b\u202e") & set(whole)
    assert root.one("script").text.startswith("(() =>")
    assert not any(name.startswith("on") for e in every(root) for name in e.attributes)


def every(element):
    for part in element.parts:
        if isinstance(part, Element):
            yield part
            yield from every(part)


def test_nothing_is_fetched(page, tmp_path):
    judge, image, result = judged(RULES, SCORES)
    root = page(judge, ("<script>.png", result, image, "<script>"))
    whole = (tmp_path / "page.html").read_text()
    for outside in ("http://", "https://", "url(", "@import", "<link", "<iframe", "srcset", "//"):
        assert outside not in re.sub(r"base64,[^\"]*", "", whole), outside
    for element in every(root):
        for name in ("src", "href", "action", "data", "poster", "xlink:href"):
            assert element.attributes.get(name, "data:image/").startswith("data:image/")
    assert root.one("meta", **{"http-equiv": "Content-Security-Policy"})["content"] == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    )


# --- pictures -------------------------------------------------------------------------------------


def test_boxes_lie_where_they_were_found(page):
    scene = Picture.of(np.full((80, 160, 3), 90, np.uint8))
    judge, image, result = judged(RULES, SCORES, [scene])
    box = Box(word="knife", confidence=0.876, left=40, top=20, right=120, bottom=60)
    result = with_boxes(result, "bad", (box, box))
    svg = page(judge, ("a.png", result, image)).one("svg", class_="boxes")
    drawn = svg.one("rect")  # once, though it was found for two statements
    places = [drawn[name] for name in ("x", "y", "width", "height")]
    assert places == ["25.00%", "25.00%", "50.00%", "50.00%"]
    assert svg.one("text").text == "knife 0.88"


def test_a_page_looks_for_what_a_violation_rests_on_and_a_record_does_not_hold_it(tmp_path):
    knife = Precondition(statement="A.", look_at="knife")
    other = Precondition(statement="C.", look_at="cat")
    tree = AllOf(all=(knife, NoneOf(none=(other,))))
    judge, image, result = judged((rule("bad", tree), rule("fine", leaf("E."))), SCORES)
    asked = []

    def seek(requests):
        asked.extend(requests)
        box = Box(word="knife", confidence=0.9, left=2, top=2, right=6, bottom=6)
        faint = box.model_copy(update={"confidence": 0.01, "left": 0})
        return [(box, faint) for _ in requests]

    def rects(seek):
        about = report.About(judge.constitution, judge.policy, judge.provenance)
        made = report.Report(tmp_path / "page.html", about, replace=True, seek=seek)
        made.add("a.png", result, Beside(image))
        made.write()
        return read(tmp_path / "page.html").one("article").all("rect", x="25.00%")

    assert len(rects(seek)) == 1
    assert [request.words for request in asked] == [("knife",)]
    assert rects(None) == []

    def broken(_):
        raise EngineCallError("the detector is gone")

    assert rects(broken) == []
    assert result.rules["bad"].preconditions[0].boxes is None


def test_only_the_surest_boxes_have_names(page):
    scene = Picture.of(np.full((80, 160, 3), 90, np.uint8))
    judge, image, result = judged(RULES, SCORES, [scene])
    boxes = [
        Box(word="knife", confidence=n / 100, left=n, top=0, right=n + 9, bottom=9)
        for n in (7, 9, 6, 8, 5)
    ]
    result = with_boxes(result, "bad", tuple(boxes))
    article = page(judge, ("a.png", result, image)).one("article")
    svg = article.one("svg", class_="boxes")
    assert len(svg.all("rect")) == 5
    assert len(svg.all("rect", class_="named")) == 3
    assert [text.text for text in svg.all("text")] == ["knife 0.07", "knife 0.08", "knife 0.09"]
    folded = article.all("details", class_="numbers")[0]
    assert "open" not in folded.attributes
    assert "knife 0.07 at 7,0 to 16,9" in folded.text


def test_what_was_answered_is_said_in_plain_words(page):
    judge, image, result = judged(RULES, SCORES)
    article = page(judge, ("a.png", result, image)).one("article")
    assert [p.text for p in article.all("p", class_="plain")] == [
        "sure: yes, because the model says yes to this picture far more than without it",
        "sure: no, because the model says yes to this picture far less than without it",
        "unsure: the model says neither clearly yes nor clearly no",
    ]
    for numbers in article.all("details", class_="numbers"):
        assert "label mass" in numbers.text
    assert "label mass" not in "".join(p.text for p in article.all("p", class_="plain"))


def test_pictures_are_blurred_unless_the_image_is_safe(page):
    judge, image, result = judged(RULES, SCORES)
    _, _, safe = judged(RULES, SCORES | {"A.": 0.01, "B.": 0.01, "D.": 0.01})
    _, _, undecided = judged(RULES, SCORES | {"A.": 0.01, "B.": 0.01})
    root = page(judge, ("a", result, image), ("b", safe, image), ("c", undecided, image))
    veiled = {a["data-label"]: len(a.all("label", class_="veiled")) for a in root.all("article")}
    assert veiled == {"unsafe": 1, "undecided": 1, "safe": 0}
    for label in root.all("label", class_="veiled"):
        box = label.one("input", type="checkbox")  # works without a script
        assert "checked" not in box.attributes
    assert "checked" not in root.one("input", id="pictures").attributes


def with_boxes(result, name, boxes, **changed):
    verdict = result.rules[name]
    first, *others = verdict.preconditions
    first = first.model_copy(update={"boxes": boxes})
    verdict = verdict.model_copy(update={"preconditions": (first, *others), **changed})
    return result.model_copy(update={"rules": {**result.rules, name: verdict}})


def test_of_an_animation_the_frame_that_decided_is_shown(page):
    shades = (10, 120, 240)
    frames = [
        Picture.of(np.full((8, 8, 3), shade, np.uint8), frame=number)
        for number, shade in enumerate(shades)
    ]
    judge, image, result = judged(RULES, SCORES, frames)
    box = Box(word="knife", confidence=0.9, left=0, top=0, right=4, bottom=4)
    result = with_boxes(result, "bad", (box,), frame=2)
    result = with_boxes(result, "open", (box.model_copy(update={"left": 2}),), frame=1)
    article = page(judge, ("a.gif", result, image)).one("article")
    assert shade_of(article.one("img")) == 240
    assert len(article.one("svg", class_="boxes").all("rect")) == 1  # not of the other frame
    assert "frame 2" in article.one("summary", class_="about").text


def decoded(source):
    kind, data = re.fullmatch(r"data:image/(png|jpeg);base64,(.+)", source).groups()
    return kind, Image.open(io.BytesIO(base64.b64decode(data)))


def shade_of(img):
    return decoded(img["src"])[1].convert("L").getpixel((4, 4))


NOISE = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), np.uint8)


@pytest.mark.parametrize(
    ("shape", "shown", "drawn"),
    [
        ((96, 96), (192, 192), True),
        ((4, 4), (200, 200), True),
        ((1, 100), (200, 2), True),
        ((128, 64), (64, 128), True),
        ((600, 900), (200, 133), False),
        ((150, 150), (150, 150), False),
        ((1500, 20), (3, 200), False),
        ((1, 1500), (200, 1), False),
        ((1500, 1500), (200, 200), False),
    ],
)
def test_pictures_stay_small(shape, shown, drawn):
    height, width = shape
    smooth = np.linspace(0, 255, height * width * 3).reshape(height, width, 3).astype(np.uint8)
    for pixels in (NOISE[:height, :width], smooth):
        made = thumbnail.Thumbnail.of(Picture.of(pixels), [])
        assert (made.width, made.height) == shown
        assert made.drawn is drawn
        assert len(made.source) <= 15_000
        kind, image = decoded(made.source)
        assert kind == "png" or not drawn or pixels is not smooth
        assert max(image.size) <= 320


def test_a_page_keeps_no_pixels(page, tmp_path):
    judge, image, result = judged(RULES, SCORES, [Picture.of(NOISE)])
    page(judge, *[(f"{number}.png", result, image) for number in range(20)])
    assert (tmp_path / "page.html").stat().st_size < 40_000 + 20 * 25_000


# --- files ----------------------------------------------------------------------------------------


def test_a_page_replaces_only_what_it_may(tmp_path):
    judge, image, result = judged(RULES, SCORES)
    path = tmp_path / "page.html"
    about = report.About(judge.constitution, judge.policy, judge.provenance)
    made = report.Report(path, about)
    made.add("a.png", result, Beside(image))
    path.write_text("mine")
    with pytest.raises(OutputError, match="left as it is"):
        made.write()
    assert path.read_text() == "mine"
    assert os.listdir(tmp_path) == ["page.html"]  # noqa: PTH208
    report.Report(path, about, replace=True).write()
    assert read(path).all("article") == []
    with pytest.raises(OutputError, match="cannot be written"):
        report.Report(tmp_path / "no" / "page.html", about).write()


def test_a_page_that_cannot_be_made_leaves_the_old_one(tmp_path, monkeypatch):
    judge, image, result = judged(RULES, SCORES)
    path = tmp_path / "page.html"
    path.write_text("old")
    about = report.About(judge.constitution, judge.policy, judge.provenance)
    made = report.Report(path, about, replace=True)
    made.add("a.png", result, Beside(image))
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OutputError, match="full"):
        made.write()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["page.html"]  # noqa: PTH208


# --- the command ----------------------------------------------------------------------------------

YAML = """\
name: test
rules:
  - id: bright
    category: light
    severity: low
    text: No glare.
    objective: The picture is bright.
    condition: The picture is bright
"""
CHOICES = ["--constitution", "rules.yaml", "--engine", "fake:", "--no-cascade"]


def brightness(probe):
    return float(probe.images[0].pixels.mean()) / 255 if probe.images else 0.5


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of shades and of drawn scenes, with a rule against bright ones."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yaml").write_text(YAML)
    (tmp_path / "in").mkdir()
    for value in (0, 128, 255):
        Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(f"in/{value:03d}.png")
    (tmp_path / "broken.png").write_bytes(b"junk")
    return tmp_path


@pytest.fixture
def engine(monkeypatch):
    fake = FakeEngine(brightness)
    monkeypatch.setattr("safejudge.engines.models.open_engine", lambda _: fake)
    return fake


def judge_files(*arguments):
    return cli.main(["judge", *arguments, *CHOICES])


def articles(path="p.html"):
    found = read(path).all("article")
    return [(a["data-name"], a["data-label"], len(a.all("img"))) for a in found]


def test_a_run_writes_a_page_beside_its_records(place, engine, capsys):
    assert cli.main(["sketch", "scenes", "--out", "scenes", "--count", "2"]) == 0
    (place / "captions.csv").write_text("image,prompt\n255.png,a <b>lamp</b>\n")
    paths = ["in", "broken.png", "scenes"]
    assert judge_files(*paths, "--report", "p.html", "--prompts", "captions.csv") == 1
    assert len(capsys.readouterr().out.splitlines()) == 1 + 6
    found = articles()
    assert {("in/000.png", "safe", 1), ("in/128.png", "undecided", 1)} < set(found)
    assert found[0] == ("in/255.png", "unsafe", 1)
    assert ("broken.png", "failed", 0) in found
    assert sorted(name for name, _, images in found if name.startswith("scenes") * images) == [
        "scenes/scene-0000.png",
        "scenes/scene-0001.png",
    ]
    root = read("p.html")
    drawn = root.all("img", class_="drawn")[-1]
    assert decoded(drawn["src"])[0] == "png"
    assert "a <b>lamp</b>" in root.all("article")[0].text
    assert "bright" in root.all("article")[0].one("h3").text
    head = root.one("header").text
    assert "not on this page" not in head
    assert "All 6 images that came in are here." in head


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--report", "rules.yaml"], "rules.yaml: exists already; --overwrite"),
        (["--report", "in"], "in: is no regular file"),
        (["--report", "no/p.html"], "no folder no"),
        (["--report", "r.jsonl", "--out", "r.jsonl"], "name the same file"),
        (["--report", "in/../r.jsonl", "--out", "r.jsonl", "--overwrite"], "name the same file"),
        (["--report", "rules.yaml", "--out", "r.jsonl", "--resume"], "is no report of safejudge"),
        (["--report", "p.html", "--resume"], "--out FILE.jsonl"),
    ],
)
def test_a_page_that_must_not_be_written_is_refused_first(place, engine, capsys, arguments, said):
    assert judge_files("in", *arguments) == 2
    assert said in capsys.readouterr().err
    assert engine.history == []
    assert (place / "rules.yaml").read_text() == YAML
    assert not (place / "r.jsonl").exists()


def test_overwrite_begins_a_page_anew(place, engine):
    assert judge_files("in", "--report", "p.html") == 1
    assert judge_files("in/000.png", "--report", "p.html") == 2
    assert judge_files("in/000.png", "--report", "p.html", "--overwrite") == 0
    assert articles() == [("in/000.png", "safe", 1)]


def test_resume_shows_what_earlier_runs_recorded(place, engine, capsys):
    odd = "in/\x1b[31mé.png"
    (place / odd).write_bytes((place / "in/255.png").read_bytes())
    (place / "captions.csv").write_text("image,prompt\n000.png,a night\n")
    run = ["--out", "r.jsonl", "--report", "p.html", "--prompts", "captions.csv"]
    first = ["in/000.png", "in/128.png", odd, "broken.png"]
    assert judge_files(*first, *run) == 1
    (place / "in/128.png").write_bytes((place / "in/000.png").read_bytes())  # another by now
    assert judge_files("in", "broken.png", *run, "--resume") == 1
    assert articles() == [
        ("in/\\x1b[31mé.png", "unsafe", 1),
        ("in/255.png", "unsafe", 1),
        ("broken.png", "failed", 0),
        ("in/000.png", "safe", 1),
        ("in/128.png", "safe", 1),
    ]
    assert "a night" in read("p.html").all("article")[3].text
    asked = len(shown(engine))
    assert judge_files("in/000.png", *run, "--resume") == 0
    assert len(articles()) == 5
    assert len(shown(engine)) == asked


def shown(engine):
    """The questions with a picture; the priors are asked by every run that keeps them nowhere."""
    return [probe for wave in engine.history for probe in wave if probe.images]


def test_records_of_another_form_are_refused_before_anything_is_judged(place, engine, capsys):
    assert judge_files("in/000.png", "--out", "r.jsonl") == 0
    text = (place / "r.jsonl").read_text()
    (place / "r.jsonl").write_text(text.replace('"bound"', '"border"'))
    asked = len(shown(engine))
    assert judge_files("in", "--out", "r.jsonl", "--resume", "--report", "p.html") == 2
    assert "r.jsonl:2: is not as this version of safejudge writes" in capsys.readouterr().err
    assert len(shown(engine)) == asked
    assert not (place / "p.html").exists()


def test_an_engine_that_fails_leaves_a_page_of_what_was_judged(place, engine):
    whole = FakeEngine(brightness)
    engine._answers = lambda probe, text: (
        EngineCallError("out of memory")
        if probe.images and brightness(probe) == 1
        else whole._answers(probe, text)
    )
    assert judge_files("in", "--report", "p.html", "--window", "1") == 3
    assert len(articles()) == 2
    assert "1 image is not on this page" in read("p.html").one("header").text
    assert judge_files("in/255.png", "--report", "q.html") == 3
    assert not (place / "q.html").exists()


SLOW = """
import itertools, signal, time
# a job started in the background inherits deafness to Ctrl-C
signal.signal(signal.SIGINT, signal.default_int_handler)
from safejudge.engines.fake import FakeEngine
answer = FakeEngine.answer_probs
calls = itertools.count(1)
def slowly(self, probes):
    time.sleep(3600 if next(calls) > 4 else 0.02)
    return answer(self, probes)
FakeEngine.answer_probs = slowly
from safejudge.cli.app import entry
entry()
"""


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_leaves_a_page_of_what_was_judged(place):
    command = ["judge", "in", "--window", "1", "--out", "r.jsonl", "--report", "p.html", *CHOICES]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    records = place / "r.jsonl"
    while process.poll() is None and not (
        records.exists() and records.read_bytes().count(b"\n") >= 3
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    # The signal may come between a record and the page, which tells what it lacks.
    (missing,) = re.findall(r"(\d) images? (?:is|are) not on", read("p.html").one("header").text)
    assert ("in/000.png", "undecided", 1) in articles()
    assert len(articles()) + int(missing) == 3


# --- a browser ------------------------------------------------------------------------------------

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
TRY = """<script>
const shown = () => [...document.querySelectorAll("article")]
  .filter((a) => a.offsetParent).map((a) => a.dataset.name).join("+");
const said = [shown()];
const act = (query, change) => { change(document.querySelector(query)); said.push(shown()); };
act("input[value=unsafe]", (e) => e.click());
act("input[value=failed]", (e) => e.click());
act("#name", (e) => { e.value = "B.P"; e.dispatchEvent(new Event("input")); });
act("#name", (e) => { e.value = ""; e.dispatchEvent(new Event("input")); });
act("input[value=unsafe]", (e) => e.click());
act("input[value=failed]", (e) => e.click());
act("#rule", (e) => { e.value = "1"; e.dispatchEvent(new Event("change")); });
document.getElementById("open").click();
said.push(document.querySelectorAll("article > details[open]").length);
act("#rule", (e) => { e.value = ""; e.dispatchEvent(new Event("change")); });
act("#order", (e) => { e.value = "name"; e.dispatchEvent(new Event("change")); });
const veiled = () => [...document.querySelectorAll("article img")]
  .map((img) => getComputedStyle(img).filter !== "none").join("+");
const style = document.createElement("style");
style.textContent = "* { transition: none !important }";
document.head.append(style);
said.push(veiled());
document.querySelector(".veiled input").click();
said.push(veiled());
document.dispatchEvent(new KeyboardEvent("keydown", {key: "b", bubbles: true}));
said.push(veiled());
document.title = JSON.stringify(said);
</script>"""


@pytest.mark.skipif(BROWSER is None, reason=f"no browser: none of {', '.join(BROWSERS)}")
def test_the_filters_work_in_a_browser(page, tmp_path):
    judge, image, result = judged(RULES, SCORES)
    _, _, safe = judged(RULES, SCORES | {"A.": 0.01, "B.": 0.01, "D.": 0.01})
    _, _, undecided = judged(RULES, SCORES | {"A.": 0.01, "B.": 0.01})
    failure = Failure(image="b.png", reason="empty", message="b.png: holds no bytes")
    page(judge, ("a", result, image), ("s", safe, image), ("u", undecided), ("b.png", failure))
    text = (tmp_path / "page.html").read_text().replace("</body>", f"{TRY}</body>")
    (tmp_path / "tried.html").write_text(text)
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'b'}"]
    done = subprocess.run(
        [BROWSER, *options, "--dump-dom", f"file://{tmp_path / 'tried.html'}"],
        capture_output=True,
        text=True,
        timeout=900,
        check=True,
    )
    title = re.search("<title>(.*?)</title>", done.stdout)[1]
    assert json.loads(title) == ["a+u+b.png+s", "a", "a+b.png", "b.png", "a+b.png", "b.png",
                                 "a+u+b.png+s", "a+u", 2, "a+u+b.png+s", "a+b.png+s+u",
                                 "true+false", "false+false", "false+false"]  # fmt: skip
    assert "4 of 4 shown" in done.stdout


def test_the_seed_of_the_frames_stays_secret(page):
    judge, _, result = judged(
        [rule("r", leaf("a"))], {"a": 0.1}, policy=Policy(frame_seed="s3cret")
    )
    assert "s3cret" not in page(judge, ("a.png", result)).text
    assert "s3cret" not in repr(judge.policy)
