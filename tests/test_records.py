"""Result files: lines that hold, files that survive a kill at any byte, files that are refused."""

import io
import json
import math
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from safejudge import Judge
from safejudge.engines.fake import FakeEngine
from safejudge.errors import OutputError
from safejudge.files import records
from safejudge.files.recordfile import RecordFile, check_output
from safejudge.files.tally import Tally
from safejudge.types import Constitution, Precondition, Rule, Severity

RULE = Rule(
    id="r",
    category="c",
    severity=Severity.LOW,
    text="t",
    objective="o",
    condition=Precondition(statement="A dog."),
)
JUDGE = Judge.load(Constitution(name="n", rules=(RULE,)), FakeEngine(), cache=None)
HEAD = records.header("1", JUDGE.provenance, None)


def png(value):
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def rows():
    paths = ["a.png", "b.png", "a.png", "nothing.png", "ü.png"]
    results = JUDGE([png(1), png(60), png(1), b"", png(200)])
    return paths, [
        records.record(path, result) for path, result in zip(paths, results, strict=True)
    ]


def opened(path, *, head=HEAD, resume=False, overwrite=False):
    return RecordFile(path, head, resume=resume, overwrite=overwrite)


def written(path):
    paths, found = rows()
    with opened(path) as file:
        file.append(found)
    return paths, found, path.read_bytes()


# --- lines ----------------------------------------------------------------------------------------


def test_a_record_holds_the_trace_in_a_fixed_order():
    _, found = rows()
    keys = ["image", "id", "label", "violations", "score", "margin", "rules", "usage"]
    keys += ["frames", "caption", "undecided_by"]
    assert list(found[0]) == keys
    (leaf,) = found[0]["rules"]["r"]["preconditions"]
    assert [read["view"] for read in leaf["reads"]] == ["full", "no_image"]
    assert {"test", "reasoning", "note", "outcome", "margin"} <= set(leaf)
    assert list(found[3]) == ["image", "id", "error"]
    assert found[3]["error"]["reason"] == "empty"


def test_a_record_alone_says_what_made_it():
    (result,) = JUDGE([png(1)])
    about = records.record("a.png", result, JUDGE.provenance)["provenance"]
    assert list(about) == list(records.COMPARED)


@given(st.text() | st.text(alphabet="\x1b\x9b\u202e\u2028\x85\n\ud800\udcff\U000e0001é猫"))
def test_a_line_is_one_harmless_line(text):
    line = records.to_line({"image": text})
    assert line[:-1].isprintable()
    assert line.isascii() or "�" in line or not text.isascii()
    whole = "".join("�" if "\ud800" <= c <= "\udfff" else c for c in text)
    assert json.loads(line.encode()) == {"image": whole}


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_nan_is_never_written(number):
    with pytest.raises(ValueError, match="JSON"):
        records.to_line({"score": number})


def test_names_that_are_no_text_stay_apart():
    first, second = os.fsdecode(b"caf\xe9.png"), os.fsdecode(b"caf\xe8.png")
    assert records.image_name(first) != records.image_name(second)
    assert records.image_name("größe\n.png") == "größe\n.png"


# --- files ----------------------------------------------------------------------------------------


def test_a_file_holds_header_and_records(tmp_path):
    _, found, content = written(tmp_path / "r.jsonl")
    lines = [json.loads(line) for line in content.decode().splitlines()]
    assert lines == [HEAD, *found]


def unrecorded(paths, recorded):
    """Places of the images without a record; a path that is listed twice needs two."""
    left = recorded.copy()
    places = []
    for place, path in enumerate(paths):
        if left[path]:
            left[path] -= 1
        else:
            places.append(place)
    return places


@settings(max_examples=40)
@given(share=st.floats(0, 1))
def test_a_file_cut_anywhere_is_completed_to_the_same_bytes(tmp_path_factory, share):
    folder = tmp_path_factory.mktemp("cut")
    paths, found, content = written(folder / "whole")
    cut = folder / "cut"
    cut.write_bytes(content[: round(share * len(content))])
    with opened(cut, resume=True) as file:
        places = unrecorded(map(records.image_name, paths), file.recorded)
        assert file.tally.labels.total() == len(paths) - len(places)
        file.append([found[place] for place in places])
    assert cut.read_bytes() == content


def test_resume_counts_what_is_there(tmp_path):
    _, found, _ = written(tmp_path / "r")
    with opened(tmp_path / "r", resume=True) as file:
        expected = Tally()
        for record in found:
            expected.add(record)
        assert file.tally == expected
        assert file.recorded == {"a.png": 2, "b.png": 1, "nothing.png": 1, "ü.png": 1}
    assert expected.labels["failed"] == 1


def test_resume_without_a_file_begins_one(tmp_path):
    with opened(tmp_path / "r", resume=True) as file:
        assert not file.recorded
    assert json.loads((tmp_path / "r").read_bytes()) == HEAD


def test_overwrite_begins_anew(tmp_path):
    written(tmp_path / "r")
    with opened(tmp_path / "r", overwrite=True):
        pass
    assert json.loads((tmp_path / "r").read_bytes()) == HEAD


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("constitution", "constitution"),
        ("policy", "policy"),
        ("prompts", "wording of the questions"),
        ("model", "model"),
        ("revision", "model revision"),
        ("captions", "prompt file"),
    ],
)
def test_a_file_made_with_something_else_is_refused_by_name(tmp_path, key, named):
    _, _, content = written(tmp_path / "r")
    other = HEAD | {"provenance": HEAD["provenance"] | {key: "0" * 64}}
    if key == "captions":
        other = HEAD | {key: "0" * 64}
    with pytest.raises(OutputError, match=f"made with another {named}.*now 000000000000"):
        opened(tmp_path / "r", head=other, resume=True)
    assert (tmp_path / "r").read_bytes() == content


def test_other_versions_are_not_refused(tmp_path):
    written(tmp_path / "r")
    newer = HEAD | {"safejudge": "2", "provenance": HEAD["provenance"] | {"versions": {"x": "9"}}}
    with opened(tmp_path / "r", head=newer, resume=True) as file:
        assert file.tally.labels.total() == 5


@pytest.mark.parametrize(
    "content", [b"my notes", b"my notes\n", b'{"image": "a", "label": "safe"}\n', b"[1]\n", b"\0\0"]
)
def test_a_file_of_somebody_else_is_not_touched(tmp_path, content):
    (tmp_path / "r").write_bytes(content)
    with pytest.raises(OutputError):
        opened(tmp_path / "r", resume=True)
    assert (tmp_path / "r").read_bytes() == content


@pytest.mark.parametrize(
    "line", [b"{broken\n", b"3\n", b'{"image": "a"}\n', b'{"label": "safe"}\n']
)
def test_a_damaged_line_in_the_middle_is_named_and_kept(tmp_path, line):
    _, _, content = written(tmp_path / "r")
    (tmp_path / "r").write_bytes(content + line + content.splitlines(keepends=True)[1])
    with pytest.raises(OutputError, match=":7: is no record"):
        opened(tmp_path / "r", resume=True)
    assert (tmp_path / "r").read_bytes().startswith(content + line)


def test_two_runs_on_one_file(tmp_path):
    with (
        opened(tmp_path / "r"),
        pytest.raises(OutputError, match=r"r: another run is writing to it$"),
    ):
        opened(tmp_path / "r", overwrite=True)
    assert json.loads((tmp_path / "r").read_bytes()) == HEAD


def test_a_full_disk_is_an_output_error(tmp_path, monkeypatch):
    with opened(tmp_path / "r") as file:
        monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space")))
        with pytest.raises(OutputError, match=r"No space.*--resume"):
            file.append([{"image": "a"}])


def test_places_that_cannot_be_written(tmp_path):
    def check(path, **kinds):
        check_output(path, **({"resume": False, "overwrite": False} | kinds))

    (tmp_path / "there").touch()
    check(tmp_path / "new")
    check(tmp_path / "there", resume=True)
    with pytest.raises(OutputError, match=r"--resume.*--overwrite"):
        check(tmp_path / "there")
    with pytest.raises(OutputError, match="no folder"):
        check(tmp_path / "none" / "r")
    with pytest.raises(OutputError, match="no regular file"):
        check(tmp_path, overwrite=True)
    with pytest.raises(OutputError, match=r"--resume.*--overwrite"):
        opened(tmp_path / "there")
