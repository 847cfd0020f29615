"""Text in pictures, read for real; and programs on the command line, in records and on pages."""

import json
import socket

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from safejudge.cli import app as cli
from safejudge.files import parquet as parts
from safejudge.files.part_rows import record_of
from safejudge.files.records import read_records
from safejudge.programs import ocr
from safejudge.programs.registry import call_of
from safejudge.programs.running import Programs
from safejudge.types import Look, Picture

DIGITS = ("2314", "1423", "3241", "4132")


def written(text, size=(360, 120), *, height=36, at=(12, 12)):
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).multiline_text(at, text, "black", ImageFont.load_default(height))
    return np.asarray(image)


def grid(rows, side=200):
    image = Image.new("RGB", (side, side), "white")
    pen, cell = ImageDraw.Draw(image), side / len(rows)
    for n in range(len(rows) + 1):
        line = min(side - 1, round(n * cell))
        pen.line((0, line, side, line), "black")
        pen.line((line, 0, line, side), "black")
    for y, row in enumerate(rows):
        for x, digit in enumerate(row):
            place = ((x + 0.5) * cell, (y + 0.5) * cell)
            font = ImageFont.load_default(cell * 0.6)
            pen.text(place, digit if digit != "0" else "", "black", font, anchor="mm")
    return np.asarray(image)


def found(pixels, **program):
    call = call_of(program)
    programs = Programs()
    assert programs.problem(call, detects=False) is None
    (finding,) = programs.look([Look(Picture.of(pixels), call)], None)
    return finding


# --- words ----------------------------------------------------------------------------------------

SIGN = written("HAPPY BIRTDAY\nANNA $19.99")


@pytest.mark.parametrize(
    ("words", "holds", "value"),
    [
        ("anna happy", True, 1.0),
        ("HAPPY BIRTHDAY ANNA", False, 2 / 3),
        ({"kind": "price"}, True, 1.0),
        ({"kind": "percentage"}, False, 0.0),
    ],
)
def test_words_are_read(words, holds, value):
    finding = found(SIGN, words=words)
    assert (finding.holds, finding.value) == (holds, pytest.approx(value))
    assert "BIRTDAY" in finding.said
    assert finding.boxes[0].word.startswith("HAPPY")
    assert all(b.right <= SIGN.shape[1] and b.confidence > 0.8 for b in finding.boxes)


def test_what_is_missing_is_told_and_less_may_be_enough():
    finding = found(SIGN, words="HAPPY BIRTHDAY ANNA", at_least=0.6)
    assert finding.holds
    assert "without `birthday`" in finding.said
    assert found(SIGN, words="BIRT", by="published").holds  # inside another word
    assert not found(SIGN, words="BIRT").holds


def test_a_picture_without_text_is_read_as_that():
    for pixels in (np.full((120, 120, 3), 255, np.uint8), np.zeros((1, 1, 3), np.uint8)):
        finding = found(pixels, words="SALE")
        assert (finding.holds, finding.value, finding.boxes) == (False, 0.0, ())
        assert "read no words" in finding.said


@pytest.mark.parametrize(
    ("text", "kind", "count"),
    [
        ("now $19.99", "price", 1), ("1.299,00 € statt 1,500 EUR", "price", 2),
        ("CHF 5.-", "price", 1), ("20% off", "percentage", 1), ("room 24", "price", 0),
        ("24 hours", "percentage", 0),
        ("12" * 5000, "price", 0),
    ],
)  # fmt: skip
def test_what_looks_like_a_price(text, kind, count):
    from safejudge.programs.words import KINDS

    assert len(KINDS[kind].findall(text)) == count


# --- a grid ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [120, 300])
def test_a_grid_is_read_cell_by_cell_at_any_size(side):
    solution = " ".join(DIGITS)
    whole = found(grid(DIGITS, side), grid=solution)
    assert (whole.holds, whole.facts["rows"]) == (True, solution)
    wrong = ("2314", "1023", "3241", "4131")
    finding = found(grid(wrong, side), grid=solution, given="2000 0000 0000 0002")
    assert finding.holds is False
    assert (finding.facts["right"], finding.facts["empty"]) == (13, 14)
    assert (finding.facts["givens_kept"], finding.facts["givens"]) == (1, 2)


def test_switches_of_one_call_do_not_stay_for_the_next():
    reader = ocr.reader()
    before = reader.lines(Picture.of(SIGN))
    reader.cells(Picture.of(grid(DIGITS)), 4)
    again = reader.lines(Picture.of(written("HAPPY BIRTDAY\nANNA $19.99", at=(13, 12))))
    assert [line.word for line in again] == [line.word for line in before]


def test_opening_fetches_nothing(monkeypatch):
    def refuse(*_, **__):
        raise OSError("no network here")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert ocr.Reader().lines(Picture.of(SIGN))


def test_a_model_file_that_is_not_there_stops_the_run(monkeypatch):
    monkeypatch.setattr(ocr, "_FILES", {"Det": "another.onnx"})
    monkeypatch.setattr(ocr, "reader", ocr.Reader)
    problem = Programs().problem(call_of({"grid": "12 21"}), detects=False)
    assert "another.onnx is not in" in problem
    assert "safejudge[ocr]" in problem


# --- the command line -----------------------------------------------------------------------------

RULES = """
name: window
rules:
  - id: wrong-sign
    category: signs
    severity: low
    text: The sign says what was ordered.
    objective: The ordered words are not visible.
    condition:
      none:
        - program: {words: "{text}"}
  - id: armed
    category: weapons
    severity: high
    text: No guns beside prices.
    objective: A gun is visible beside a price.
    condition:
      all:
        - a gun is visible
        - statement: a person is visible
          program: {words: {kind: price}}
"""


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "window.yaml").write_text(RULES, encoding="utf-8")
    (tmp_path / "signs").mkdir()
    Image.fromarray(written("OPEN")).save(tmp_path / "signs" / "open.png")
    Image.fromarray(written("CLOSED $5.50")).save(tmp_path / "signs" / "closed.png")
    (tmp_path / "items.csv").write_text(
        "image,prompt,text,other\nopen.png,,OPEN,x\nclosed.png,,OPEN,y\n", encoding="utf-8"
    )
    return tmp_path


def test_explain_shows_the_words_that_were_read(shop, capsys):
    alone = RULES[: RULES.index("  - id: armed")]
    (shop / "window.yaml").write_text(alone, encoding="utf-8")
    words = ["explain", "signs/closed.png", "--constitution", "window.yaml"]
    assert cli.main([*words, "--engine", "hf:sketch", "--item", "text=OPEN"]) == 1
    out, err = capsys.readouterr()
    assert "✗ words: {text}" in out
    assert "CLOSED" in " ".join(out.split())
    assert "without `open`" in " ".join(out.split())
    assert "decided by: program" in out
    assert "0 questions, 0 reasoning calls, 1 look of programs" in " ".join(out.split())
    assert "wrong-sign: needs no judge" in err
    assert cli.main([*words, "--engine", "hf:sketch", "--item", "OPEN"]) == 2


def run(*more):
    words = ["judge", "signs", "--constitution", "window.yaml", "--engine", "fake:"]
    return cli.main([*words, "--prompts", "items.csv", "--out", "out.jsonl", "--no-prior", *more])


def test_judge_records_replay_and_page(shop, capsys, monkeypatch):
    run("--report", "page.html")
    _, err = capsys.readouterr()
    assert "looks of programs" in err
    assert "settled without a question" in err
    read = {
        name.rpartition("/")[2]: line for name, line in read_records(shop / "out.jsonl").items()
    }
    closed, opened = read["closed.png"], read["open.png"]
    assert closed["rules"]["wrong-sign"]["outcome"] == "violated"
    assert opened["rules"]["wrong-sign"]["outcome"] == "not_violated"
    assert opened["rules"]["armed"]["outcome"] == "not_violated"  # no price, so nothing was asked
    assert opened["usage"]["probes"] == 0
    finding = closed["rules"]["wrong-sign"]["preconditions"][0]["finding"]
    assert finding["call"] == {"words": "{text}", "at_least": 1.0}
    assert finding["boxes"][0]["word"].startswith("CLOSED")
    page = (shop / "page.html").read_text(encoding="utf-8")
    assert "No judge is needed for wrong-sign" in page
    assert "by a program: read `CLOSED" in page
    assert page.count("<rect") >= 1

    def blind():
        raise AssertionError("a program ran in a replay")

    with monkeypatch.context() as without:
        without.setattr(ocr, "reader", blind)
        assert cli.main(["replay", "out.jsonl", "--out", "again.jsonl"]) == 0
    assert read_records(shop / "again.jsonl") == read_records(shop / "out.jsonl")
    assert run("--resume") == 1
    assert cli.main(["report", "out.jsonl", "--out", "later.html"]) == 0
    assert "CLOSED" in (shop / "later.html").read_text(encoding="utf-8")


def test_a_column_that_lacks_is_told_and_undecided(shop, capsys):
    (shop / "items.csv").write_text("image,prompt\nopen.png,OPEN\n", encoding="utf-8")
    run()
    _, err = capsys.readouterr()
    assert "programs of the rules want {text}, and no image has it" in err
    assert "programs: 2 times one could not look; mostly: `this image has no {text}`" in err
    for line in read_records(shop / "out.jsonl").values():
        assert line["rules"]["wrong-sign"]["outcome"] == "undecided"


def test_another_version_of_a_program_is_another_run(shop, capsys, monkeypatch):
    run()
    monkeypatch.setattr("safejudge.programs.words.Words.version", "2")
    assert run("--resume") == 2
    assert "another program, or version of one" in capsys.readouterr().err


def test_other_items_are_another_run(shop, capsys):
    run()
    text = (shop / "items.csv").read_text(encoding="utf-8")
    (shop / "items.csv").write_text(text.replace("closed.png,,OPEN", "closed.png,,CLOSED"))
    assert run("--resume") == 2
    (shop / "items.csv").write_text(text.replace(",x", ",z"), encoding="utf-8")
    assert run("--resume") != 2  # no rule asks for that column
    capsys.readouterr()


def test_parquet_keeps_the_looks(shop, capsys):
    run()
    for line in read_records(shop / "out.jsonl").values():
        (row,) = parts.to_table([json.loads(json.dumps(line))]).to_pylist()
        again = record_of(row)
        assert again["usage"] == line["usage"]
        assert again["rules"] == line["rules"]
    capsys.readouterr()
