"""What of a model's answer is rendered: the last whole page, its files put in, else a drawing."""

import json
import re
from pathlib import Path

import pytest

from safejudge.render.answers import extract, framed, is_cut
from safejudge.render.blocks import blocks_of

ANSWERS = Path(__file__).parents[1] / "benchmarks" / "data" / "answers"
EXPECTED = json.loads((ANSWERS / "expected.json").read_text(encoding="utf-8"))


def title(page):
    found = re.search("<title>(.*?)</title>", page or "")
    return found and found[1]


@pytest.mark.parametrize("name", EXPECTED)
def test_the_made_up_answers(name):
    found = extract((ANSWERS / name).read_text(encoding="utf-8"))
    assert [found.kind, title(found.page)] == EXPECTED[name]


def fenced(*blocks):
    return "\n".join(f"{before}\n```{kind}\n{text}\n```" for before, kind, text in blocks)


PAGE = "<!DOCTYPE html>\n<html><head><title>a</title></head><body>x</body></html>"


@pytest.mark.parametrize(
    ("answer", "kind", "expected"),
    [
        (PAGE.upper(), "page", PAGE.upper()),
        ("Write <html> and </html> around it.\n" + fenced(("", "html", PAGE)), "page", PAGE),
        (fenced(("", "html", PAGE)) + "\nwhere `</html>` ends <html> and </html>", "page", PAGE),
        # tags in strings of a script are no tags
        (
            "<html><script>s='</html>';t='<html>'</script>one</html>",
            "page",
            "<html><script>s='</html>';t='<html>'</script>one</html>",
        ),
        ("<html><iframe srcdoc='<html></html>'></iframe></html>", "page", None),
        (f"<html><body>cut\n{PAGE}", "page", PAGE),
        ("<svg><svg></svg><g/></svg>", "drawing", "<svg><svg></svg><g/></svg>"),
        ("```svg\n<svg><g>", "cut page", None),
        ("<think>" + PAGE, "nothing", None),
        (f"<think>{PAGE}</think>", "nothing", None),
        (f"{PAGE}</THINK ><svg></svg>", "drawing", "<svg></svg>"),
        ("<HTML><BODY><SVG></SVG>", "cut page", None),
        ("Use an <svg> here.", "nothing", None),
    ],
)
def test_what_is_found(answer, kind, expected):
    found = extract(answer)
    assert found.kind == kind
    if kind == "page" and expected is None:
        expected = answer
    assert found.page == expected


def linked(*tags):
    return f"<html><head>{''.join(tags)}</head><body><p></p></body></html>"


@pytest.mark.parametrize(
    ("before", "kind"),
    [
        ("**styles.css**", "css"),
        ("### `css/styles.css`", "css"),
        ("", "css styles.css"),
        ("", "css:styles.css"),
        ("", 'css title="./styles.css"'),
    ],
)
def test_a_style_sheet_is_put_in_by_its_name(before, kind):
    page = linked("<link href='css/styles.css?v=1' rel=stylesheet media=screen>")
    answer = fenced(("index.html", "html", page), (before, kind, "p{}"))
    assert '<style media="screen">p{}</style>' in extract(answer).page


def test_a_name_may_stand_in_the_first_line():
    page = linked('<script src="./app.js"></script>')
    answer = fenced(("", "html", page), ("", "js", "// app.js\nlet a"))
    assert "<script>// app.js\nlet a</script>" in extract(answer).page


def test_a_script_that_waits_goes_to_the_end_and_cannot_close_its_tag():
    page = linked(
        '<script defer src="app.js"></script>', '<script src="m.js" type="module"></script>'
    )
    answer = fenced(("", "html", page), ("app.js", "js", "'</script>'"), ("m.js", "js", "let m"))
    assert extract(answer).page == linked('<script type="module">let m</script>').replace(
        "</body>", r"<script>'<\/script>'</script></body>"
    )


@pytest.mark.parametrize(
    "tag",
    [
        '<script src="https://example.invalid/app.js"></script>',
        '<script src="//example.invalid/app.js"></script>',
        '<script src="other.js"></script>',
        '<link rel="icon" href="app.js">',
    ],
)
def test_what_is_no_file_of_the_answer_stays(tag):
    answer = fenced(("", "html", linked(tag)), ("app.js", "js", "1"))
    assert extract(answer).page == linked(tag)


def test_blocks_may_hold_shorter_fences_and_be_open():
    text = "````md a.css\n```\n````\n~~~js\nlet a"
    assert [tuple(block) for block in blocks_of(text)] == [("a.css", "```"), (None, "let a")]


PARTS = [
    "<html>",
    "<html",
    "<svg><script>",
    "<script src=",
    "<!doctype html>",
    "<!--",
    " ",
    "<link ",
    "<think>",
    "a",
    "// ",
    "<?",
    "</html>",
]


@pytest.mark.parametrize("part", [*PARTS, "```\n", "\n", "```a.css\n<html></html>\n```\n"])
def test_no_answer_takes_long(part):
    for text in (part * 50_000, f"<html>{part * 50_000}</html>", f"```css\n{part * 50_000}"):
        extract(text)
        is_cut(text)
        framed(text)


def test_a_drawing_is_put_into_a_page():
    assert "<body" in framed('<?xml version="1.0"?>\n<!-- a -->\n<svg></svg>')
    assert "<?xml" not in framed('<?xml version="1.0"?>\n<svg></svg>')
    assert framed("<p>a <svg></svg>") == "<p>a <svg></svg>"
    assert framed(PAGE) == PAGE


@pytest.mark.parametrize(
    ("page", "cut"),
    [
        (PAGE, False),
        (PAGE[:-8], True),
        ("<p>a", False),
        ("<svg><g>", True),
        ("<svg></SVG >", False),
    ],
)
def test_what_is_cut(page, cut):
    assert is_cut(page) is cut
