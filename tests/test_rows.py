"""What stands twice in people's files is refused with its line, in every reader there is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from safejudge.errors import InputError
from safejudge.evals import recorded
from safejudge.evals.labelled.labels import read_labels
from safejudge.evals.mjbench.data import read_data
from safejudge.evals.mjbench.recorded.read import read_outputs
from safejudge.files.rows import Doubled, parse_json, read_rows, twice_in
from safejudge.images.captions import read_captions
from safejudge.preference.data import read_prompts
from safejudge.preference.pair_file import read_pairs

READERS = {
    "labels": (lambda file: read_labels(file, ["fire"]), {"image": "a.png", "label": "safe"}),
    "captions": (lambda file: read_captions(str(file)), {"image": "a.png", "prompt": "x"}),
    "pairs": (read_pairs, {"prompt": "x", "chosen": "a.png", "rejected": "b.png"}),
    "prompts": (read_prompts, {"prompt": "x", "image": "a.png"}),
}


@pytest.mark.parametrize("name", READERS)
def test_a_key_that_stands_twice_is_refused_with_its_line(tmp_path, name):
    read, row = READERS[name]
    file = tmp_path / "rows.jsonl"
    key = next(iter(row))
    line = json.dumps(row)[:-1] + f', "{key}": "other"}}'
    file.write_text(f"\n{line}\n")
    with pytest.raises(InputError, match=rf"rows\.jsonl:2: the key `{key}` stands twice"):
        read(file)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("spelling", [str, str.upper, " {} ".format])
def test_a_column_that_stands_twice_is_refused_with_its_line(tmp_path, name, spelling):
    read, row = READERS[name]
    file = tmp_path / "rows.csv"
    head, cells = ",".join(row), ",".join(row.values())
    file.write_text(f"{head},{spelling(next(iter(row)))}\n{cells},b.png\n")
    with pytest.raises(InputError, match=r"rows\.csv:1: the column .* stands twice"):
        read(file)


def test_columns_may_have_spaces_around_their_names_and_none_at_the_end(tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("image , label,,\na.png,safe,,\n\nb.png,unsafe,,\n")
    assert [label.label for label in read_labels(file, [])] == ["safe", "unsafe"]
    lines = [line for line, _ in read_rows(file, ("image",), "{}")]
    assert lines == [2, 4]


def test_json_with_a_key_twice_is_marked_however_deep():
    assert parse_json('{"a": 1, "b": [{"a": 2}]}') == {"a": 1, "b": [{"a": 2}]}
    assert parse_json('{"a": 1, "a": 1}') == Doubled("a")
    assert parse_json('{"x": [[{"b": 1, "b": 2}]]}') == Doubled("b")
    assert parse_json('[{"a": 1, "a": 2}, {"a": 3}]') == [Doubled("a"), {"a": 3}]
    assert twice_in(["a", "", "", "b"]) is None
    assert twice_in(["a", "b", "A"]) == "A"


# --- recorded outputs -----------------------------------------------------------------------------


def test_recorded_rows_with_a_key_twice_are_counted_and_left_out(tmp_path):
    good, bad = '{"id": 1, "score": 4}', '{"id": 2, "score": 4, "score": 1}'
    (tmp_path / "a.jsonl").write_text(f"{good}\n{bad}\nnone\n")
    (tmp_path / "b.json").write_text(f"[{good}, {bad}]")
    (tmp_path / "c.csv").write_text("id,score,score\n1,4,5\n")
    lines = {found.file: found for found in recorded.read_folder(tmp_path)}
    assert lines["a.jsonl"].records == lines["b.json"].records == ({"id": 1, "score": 4},)
    assert "a key twice: 1 line (the first is line 2)" in lines["a.jsonl"].problems
    assert "1 of 2 entries have a key twice" in lines["b.json"].problems
    assert lines["c.csv"].records == ()
    assert "the column `score` stands twice" in lines["c.csv"].problems[0]


PAIR = '{"image_0": "a", "image_1": "b", "caption": "x", "label": 0, "score_0": 5, "score_1": 1'


def test_recorded_outputs_of_mj_bench_too(tmp_path):
    folder = tmp_path / "alignment"
    folder.mkdir()
    (folder / "judge.json").write_text(f'[{PAIR}}}, {PAIR}, "score_1": 9}}]')
    (folder / "runs.json").write_text('{"runs": {}, "runs": {}}')
    outputs = read_outputs(tmp_path)
    assert sum(len(run.pairs) for run in outputs.pairs) == 1
    assert any("1 of 2 rows left out: a key stands twice" in line for line in outputs.unread)
    assert any("the key 'runs' stands twice" in line for line in outputs.unread)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        (
            "alignment.json",
            '[{"caption": "x", "image0": "a.png", "image1": "b.png", "label": 0, "label": 1}]',
            "a key stands twice",
        ),
        ("alignment.csv", "caption,image0,image1,label,label\nx,a.png,b.png,0,1\n", "column"),
    ],
)
def test_lists_of_mj_bench_too(tmp_path, name, text, says):
    (tmp_path / name).write_text(text)
    for picture in "ab":
        Path(tmp_path, f"{picture}.png").write_bytes(b"x")
    with pytest.raises(InputError, match=says):
        read_data(str(tmp_path))
