"""GIR-Bench from recorded reads: cases as somebody else worked them out, and bad ones by name."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from safejudge.cli import app as cli
from safejudge.errors import InputError
from safejudge.evals.gir_bench.cases import UnusableError, case_of, read_counts
from safejudge.evals.gir_bench.figures import relations, scores
from safejudge.evals.gir_bench.live import gather
from safejudge.evals.gir_bench.score import from_outputs
from safejudge.evals.gir_bench.suite import SUITE
from safejudge.programs import ocr
from safejudge.types import Box

DATA = Path(__file__).parent / "data" / "gir_bench"
TEXT, COUNTS, LAYOUT, SUDOKU = (
    json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    for name in ("text_cases", "count_replies", "layout_cases", "sudoku_cases")
)


def found(subset, record):
    return scores(case_of(subset, record))


@pytest.mark.parametrize("record", TEXT, ids=lambda record: record["reference"][:20])
def test_words(record):
    values = found("text", record)
    for name, value in record["is"].items():
        assert values[name] == (None if value is None else pytest.approx(value, abs=1e-9))


def test_words_published_and_ours_differ_where_they_should():
    repeated = found("text", {"reference": "go go go", "seen": "go go go"})
    assert (repeated["published"], repeated["whole_words"]) == (pytest.approx(1 / 3), 1)
    inside = found("text", {"reference": "art", "seen": "start"})
    assert (inside["published"], inside["whole_words"]) == (1, 0)
    signs = found("text", {"reference": "出口", "seen": "出口"})
    assert (signs["published"], signs["whole_words"], signs["words_and_signs"]) == (0, None, 1)


def test_counts():
    for record in COUNTS:
        case, expected = case_of("counts", record), record["is"]
        values = scores(case)
        if "unread" in expected:
            assert case.counts is None
            assert values["unread"] == 1
            assert values["right"] == values["published_right"] == 0
        else:
            assert case.counts.found == expected["counts"]
            assert [*case.counts.missing] == expected["missing"]
            assert values["right"] == expected["right"]
            assert values["published_right"] == expected["published_right"]


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (None, "no JSON object"),
        (4, "no JSON object"),
        ("{", "no JSON object"),
        ("} {", "JSON is broken"),
        ("{" * 5000 + "}", "JSON is broken"),
        ('{"counts": {"dog": "many"}}', "a count is no whole number"),
        ('{"counts": {"dog": -1}}', "a count is no whole number"),
        ('{"counts": ["dog"]}', "counts, bboxes or missing_objects are of another type"),
    ],
)
def test_a_reply_that_cannot_be_read_says_why(reply, says):
    assert read_counts(reply, ["dog"]) == says


@given(st.text())
def test_no_reply_ends_the_run(reply):
    read_counts(reply, ["dog"])


def test_layout():
    for record in LAYOUT:
        case, expected = case_of("layout", record), record["is"]
        assert relations(case) == expected["relations"]
        assert scores(case)["right"] == expected["right"]


def test_sudoku():
    for record in SUDOKU:
        values = found("sudoku", record)
        for name in ("published", "by_cell", "givens_kept"):
            assert values[name] == pytest.approx(record["is"][name], abs=1e-9)


def test_a_right_solution_of_another_size_is_right_by_cell():
    places = [(str((x + y) % 2 + 1), 50 + 100 * x, 50 + 100 * y) for y in (0, 1) for x in (0, 1)]
    answer = [[*digit] for digit in places]
    drawn = [[digit, x / 2, y / 2] for digit, x, y in places]
    record = {"grid_size": 2, "size": {"answer": 200, "drawn": 100}, "question": answer[:1],
              "answer": answer, "drawn": drawn}  # fmt: skip
    values = found("sudoku", record)
    assert values["by_cell"] == values["givens_kept"] == 1
    assert values["published"] < 1


BOX, LEFT = [0, 0, 10, 10], {"subject": "a", "direction": "left", "object": "b"}
LAY = {"objects": ["a", "b"], "boxes": {"a": [BOX], "b": [[90, 0, 99, 9]]}, "relations": [LEFT]}
GRID = {"grid_size": 1, "size": {"answer": 9, "drawn": 9}, "question": [], "answer": [["1", 4, 4]],
        "drawn": [["1", 4, 4]]}  # fmt: skip


@pytest.mark.parametrize(
    ("subset", "record", "why"),
    [
        ("text", {"reference": "", "seen": "x"}, "the reference has no words"),
        ("text", {"reference": "!?", "seen": "x"}, "the reference has no words"),
        ("text", {"reference": "a", "seen": 3}, "what was read is no text"),
        ("counts", {"objects": ["a"], "number": [1, 2], "reply": ""}, "no whole number for each"),
        ("counts", {"objects": ["a"], "number": [1.5], "reply": ""}, "no whole number for each"),
        ("counts", {"objects": ["a", "A"], "number": [1, 1], "reply": ""}, "no whole number"),
        ("counts", {"objects": True, "number": [1], "reply": ""}, "no whole number"),
        ("layout", LAY | {"relations": [LEFT | {"direction": "near"}]}, "a direction that is not"),
        ("layout", LAY | {"relations": [LEFT | {"object": "c"}]}, "no object of the case"),
        ("layout", LAY | {"relations": []}, "no objects or no relations"),
        ("layout", LAY | {"relations": ["left"]}, "a relation is no"),
        ("layout", LAY | {"boxes": [BOX]}, "boxes are no lists by name"),
        ("layout", LAY | {"boxes": {"a": [[0, 0, 10]]}}, "a box is not four numbers"),
        ("layout", LAY | {"boxes": {"a": [[9, 0, 1, 1]]}}, "a box ends before it begins"),
        ("sudoku", GRID | {"size": {"answer": 0, "drawn": 9}}, "no size of the grid"),
        ("sudoku", GRID | {"grid_size": 10**400}, "no size of the grid"),
        ("sudoku", GRID | {"answer": [["9" * 5000, 4, 4]]}, "does not fill a grid"),
        ("sudoku", GRID | {"size": {"answer": 5e-324, "drawn": 9}}, "does not fill a grid"),
        ("sudoku", GRID | {"size": None}, "no size of the pictures"),
        ("sudoku", GRID | {"grid_size": 2}, "does not fill a grid of this size"),
        ("sudoku", GRID | {"drawn": [["1", 4]]}, "a digit is no"),
        ("sudoku", GRID | {"drawn": "1"}, "digits are no list"),
    ],
)
def test_a_bad_case_is_no_score_and_says_why(subset, record, why):
    with pytest.raises(UnusableError, match=why):
        case_of(subset, record)


def test_a_picture_that_is_missing_is_wrong(tmp_path):
    for subset, record in [
        ("text", {"reference": "a", "seen": None}),
        ("counts", {"objects": ["a"], "number": [1], "reply": None}),
        ("layout", LAY | {"boxes": None}),
        ("sudoku", GRID | {"drawn": None}),
    ]:
        values = found(subset, record)
        assert values["missing"] == 1
        assert not values.get("right")
        assert not values.get("whole_words")
        assert not values.get("by_cell")
    assert found("layout", LAY)["right"] == found("sudoku", GRID)["by_cell"] == 1
    assert found("text", {"reference": "a", "seen": ""})["missing"] == 0  # no words, and no error


def put(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(records), encoding="utf-8")


def test_a_folder_of_generators(tmp_path):
    put(tmp_path / "ink" / "t.json", [*TEXT, {"reference": "", "seen": "x"}, {"colour": 1}])
    put(tmp_path / "ink" / "c.json", COUNTS)
    put(tmp_path / "ink" / "l.json", LAYOUT)
    put(tmp_path / "oil" / "s.json", SUDOKU)
    found = from_outputs(tmp_path)
    ink = found.numbers["ink"]
    assert ink["text.published"]["value"] == pytest.approx(0.823810, abs=5e-7)
    assert ink["text.whole_words"]["value"] == pytest.approx(0.659667, abs=5e-7)
    assert ink["text.repeated_words_counted"]["value"] == pytest.approx(0.885948, abs=5e-7)
    for name, count in {"right": 14, "published_right": 13, "unread": 9}.items():
        assert ink[f"counts.{name}"]["value"] * 43 == pytest.approx(count)
    assert ink["layout.right"]["value"] * 42 == pytest.approx(4)
    assert ink["layout.relations"]["value"] * 86 == pytest.approx(18)
    parts = [ink[name]["value"] for name in ("text.whole_words", "counts.right", "layout.right")]
    assert ink["text_to_image"]["value"] == pytest.approx(sum(parts) / 3)
    assert "text_to_image" not in found.numbers["oil"]
    assert found.numbers["oil"]["sudoku.by_cell"]["value"] == pytest.approx(0.663178, abs=5e-7)
    assert any("1 case left out, text: the reference has no words" in f for f in found.findings)
    assert any("ink/t.json: 1 of 53 records" in line for line in found.unread)
    for table in found.tables:
        assert all(len(row) == len(table.columns) for row in table.rows)


def test_the_command_scores_the_named_subsets(tmp_path, capsys):
    put(tmp_path / "in" / "l.json", [LAY])
    put(tmp_path / "in" / "s.json", [GRID])
    line = ["eval", "gir-bench", "--from-outputs", str(tmp_path / "in"), "--out"]
    assert cli.main([*line, str(tmp_path / "run"), "--suite-arg", "subset=sudoku"]) == 0
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert [*results["results"]["gir-bench"]["in"]] == [
        "sudoku.published", "sudoku.by_cell", "sudoku.givens_kept", "sudoku.missing",
    ]  # fmt: skip
    assert results["ranking"] == {"by": "sudoku.by_cell", "judge": ""}
    assert cli.main([*line, str(tmp_path / "no"), "--suite-arg", "subset=puzzle"]) == 2
    assert "subset" in capsys.readouterr().err
    with pytest.raises(InputError, match="--paper"):
        SUITE.from_outputs(tmp_path, paper=True, args={})


# --- live -----------------------------------------------------------------------------------------


class Reader:
    """Reads what it is told to."""

    def __init__(self, lines=(), rows=()):
        self.told, self.rows = lines, rows

    def lines(self, _):
        place = {"left": 0, "top": 0, "right": 1, "bottom": 1}
        return tuple(Box(word=word, confidence=sure, **place) for word, sure in self.told)

    def cells(self, *_):
        return [[(text, 0.9) for text in row] for row in self.rows]


def draw(path, pixels, size=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(pixels, np.uint8))
    (image if size is None else image.resize(size, Image.Resampling.NEAREST)).save(path)


@pytest.fixture
def pictures(tmp_path):
    """Two texts of which one has no picture, a puzzle, and three painted regions."""
    folder = tmp_path / "pictures"
    grey, green, white = [90, 90, 90], [0, 255, 0], [255, 255, 255]
    draw(folder / "text" / "sale.png", [[grey] * 8] * 8)
    draw(folder / "sudoku" / "two_drawn.png", [[grey] * 8] * 8)
    truth = [[white] * 4 + [[0, 0, 0]] * 4] * 8
    for name, painted in {
        "exact": [[green] * 4 + [grey] * 4] * 8,
        "half": [[green] * 4 + [grey] * 4] * 4 + [[grey] * 8] * 4,
        "nothing": [[grey] * 8] * 8,
    }.items():
        draw(folder / "masks" / f"{name}_truth.png", truth)
        draw(folder / "masks" / f"{name}_painted.png", painted)
    draw(folder / "masks" / "exact_painted.png", [[green] * 4 + [grey] * 4] * 8, (16, 16))
    cases = {
        "text": {"sale": "Summer SALE", "lost": "Hello", "empty": ""},
        "sudoku": [
            {"id": "two", "question": [[1, 0], [0, 0]], "answer": [[1, 2], [2, 1]]},
            {"id": "bad", "question": [[1, 0], [0, 0]], "answer": [[1, 2], [2, 0]]},
        ],
    }
    (folder / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
    return folder


def test_programs_look_at_pictures(pictures, tmp_path, monkeypatch, recwarn):
    reader = Reader([("summer", 0.9), ("sale", 0.4)], [["1", "2"], ["", "x"]])
    monkeypatch.setattr(ocr, "reader", lambda: reader)
    out = tmp_path / "run"
    line = ["eval", "gir-bench", "--data", str(pictures), "--out", str(out)]
    assert cli.main(line) == 4  # one picture is missing
    results = json.loads((out / "results.json").read_text())
    values = results["results"]["gir-bench"]["pictures"]
    assert values["text.whole_words"]["value"] == pytest.approx((0.5 + 0) / 2)  # faint: not read
    assert values["text.missing"]["value"] == 0.5
    assert values["sudoku.by_cell"]["value"] == pytest.approx(1 / 3)
    assert values["sudoku.givens_kept"]["value"] == 1
    rows = {row["item"]: row["scores"] for row in map(json.loads, lines_of(out))}
    assert [rows[f"perception/{name}"]["iou"] for name in ("exact", "half", "nothing")] == [
        1,
        0.5,
        0,
    ]
    assert rows["perception/nothing"]["precision"] is None
    said = "\n".join(results["findings"])
    assert "text/lost: no picture, which is wrong" in said
    assert "perception/exact: of another size" in said
    assert "1 case left out, text: the reference has no words" in said
    assert "1 case left out, sudoku" in said
    assert results["coverage"] == {"judged": 5, "unjudged": 1, "passed_over": 0}
    assert cli.main([*line, "--resume"]) == 4  # nothing is looked at twice
    assert json.loads((out / "results.json").read_text())["results"] == results["results"]


def lines_of(out):
    return (out / "samples_gir-bench.jsonl").read_text(encoding="utf-8").splitlines()


def test_without_an_ocr_there_is_one_message_before_the_run(
    pictures, tmp_path, monkeypatch, capsys
):
    def absent():
        raise InputError("text in pictures is read with rapidocr: pip install 'safejudge[ocr]'")

    monkeypatch.setattr(ocr, "reader", absent)
    (pictures / "text" / "lost.png").symlink_to(pictures / "text" / "sale.png")
    line = ["eval", "gir-bench", "--data", str(pictures), "--out"]
    assert cli.main([*line, str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err.count("safejudge[ocr]") == 1
    assert not (tmp_path / "run" / "records.jsonl").exists()
    # Masks need none.
    assert cli.main([*line, str(tmp_path / "masks"), "--suite-arg", "subset=perception"]) == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--suite-arg", "subset=counts"], "scored from recorded outputs only"),
        (["--engine", "fake:"], "asks no model; leave it out"),
    ],
)
def test_a_live_run_says_what_it_cannot(pictures, tmp_path, capsys, more, words):
    line = ["eval", "gir-bench", "--data", str(pictures), "--out", str(tmp_path / "run"), *more]
    assert cli.main(line) == 2
    assert words in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("cases", "words"),
    [("{", "is no JSON"), ("[]", "is no object"), ("{}", "holds no case of"), (None, "holds no")],
)
def test_a_folder_without_cases_is_refused(tmp_path, cases, words):
    if cases is not None:
        (tmp_path / "cases.json").write_text(cases)
    with pytest.raises(InputError, match=words):
        gather(tmp_path, ["text", "sudoku", "perception"])


def test_a_mask_that_is_not_black_and_white_is_told(pictures, tmp_path):
    draw(pictures / "masks" / "half_truth.png", [[[200, 200, 200]] * 4 + [[100, 100, 100]] * 4] * 8)
    out = tmp_path / "run"
    line = ["eval", "gir-bench", "--data", str(pictures), "--out", str(out)]
    assert cli.main([*line, "--suite-arg", "subset=perception"]) == 0
    results = json.loads((out / "results.json").read_text())
    assert any(f.startswith("perception/half: with a mask") for f in results["findings"])
    rows = {row["item"]: row["scores"] for row in map(json.loads, lines_of(out))}
    assert rows["perception/half"]["iou"] == 0.5  # lighter than 127 is the region


def test_a_mask_that_cannot_be_read_is_no_score(pictures, tmp_path):
    (pictures / "masks" / "half_truth.png").write_bytes(b"no picture")
    out = tmp_path / "run"
    line = ["eval", "gir-bench", "--data", str(pictures), "--out", str(out)]
    assert cli.main([*line, "--suite-arg", "subset=perception"]) == 4
    results = json.loads((out / "results.json").read_text())
    assert results["results"]["gir-bench"]["pictures"]["perception.iou"]["n"] == 2
    assert any("the mask" in finding for finding in results["findings"])
