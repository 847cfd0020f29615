"""Rows of public preference sets become pairs; what gives none is counted, never guessed."""

import io
import json

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from safejudge import InputError
from safejudge.preference.public_pairs import read_any, read_public


def png(shade):
    stream = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), shade, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


A, B = png(10), png(240)


def pick(tmp_path, rows):
    file = tmp_path / "pick.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), file)
    return file


def row(label, first=A, second=B, has=True, caption="a cat"):
    return {"caption": caption, "jpg_0": first, "jpg_1": second, "label_0": label,
            "has_label": has}  # fmt: skip


def test_pick_a_pic_holds_its_pictures(tmp_path):
    rows = [row(1.0), row(0.0), row(0.5), row(1.0, has=False), row(1.0, second=A),
            row(None), row(1.0, first=b"")]  # fmt: skip
    found = read_public(pick(tmp_path, rows))
    assert [pair.content for pair in found.pairs] == [(A, B), (B, A)]
    assert {pair.prompt for pair in found.pairs} == {"a cat"}
    assert found.left_out == {
        "a tie": 1, "no label": 2, "the same picture twice": 1, "a picture is not there": 1,
    }  # fmt: skip
    with pytest.warns(UserWarning, match="2 x no label"):
        assert len(read_any(pick(tmp_path, rows))) == 2


def put(tmp_path, rows, name="set.json"):
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(rows), encoding="utf-8")
    return file


def test_hpd_by_label_and_by_rank(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / "test").mkdir(exist_ok=True)
        (tmp_path / "test" / f"{name}.jpg").write_bytes(A)
    rows = [
        {"prompt": "x", "image_path": ["a.jpg", "b.jpg"], "human_preference": [0, 1]},
        {"prompt": "y", "image_path": ["a.jpg", "b.jpg", "c.jpg"], "rank": [2, 1, 1]},
        {"prompt": "z", "image_path": ["a.jpg"], "rank": [1, 2]},
        {"prompt": "z", "image_path": ["../../secret.jpg", "b.jpg"], "human_preference": [1, 0]},
        {"prompt": "z", "image_path": ["a.jpg", "b.jpg"], "human_preference": [True, None]},
    ]
    found = read_public(put(tmp_path, rows, "test/test.json"))
    named = [(p.prompt, p.paths[0].name, p.paths[1].name) for p in found.pairs]
    assert named == [("x", "b.jpg", "a.jpg"), ("y", "b.jpg", "a.jpg"), ("y", "c.jpg", "a.jpg")]
    assert all(path.is_file() for pair in found.pairs for path in pair.paths)
    assert found.left_out == {
        "a tie": 1, "pictures and labels do not go together": 1,
        "a path that leads out of the folder": 1, "a picture without a name or a rank": 2,
    }  # fmt: skip


def test_image_reward_ranks_the_pictures_of_a_prompt(tmp_path):
    folder = tmp_path / "images" / "train" / "train_1"
    rows = [
        {"image_path": f"images/train/train_1/{name}.webp", "prompt_id": key, "prompt": key,
         "rank": rank}
        for name, key, rank in (("a", "p", 2), ("b", "p", 1), ("c", "q", 1), ("d", "q", 1))
    ]  # fmt: skip
    file = put(tmp_path, rows, "images/train/train_1/train_1.json")
    for name in "abcd":
        (folder / f"{name}.webp").write_bytes(A)
    found = read_public(file)
    assert [(p.prompt, p.paths[0].name, p.paths[1].name) for p in found.pairs] == [
        ("p", "b.webp", "a.webp")
    ]
    assert all(path.is_file() for path in found.pairs[0].paths)
    assert found.left_out == {"a tie": 1}


def test_odd_rows_of_a_ranking_are_counted(tmp_path):
    rows = [
        {"image_path": name, "prompt_id": key, "prompt": key, "rank": rank}
        for name, key, rank in (
            ("a.png", "p", 1), ("b.png", "p", 10**400), (" ", "p", 3), ("c" * 5000, "p", 4),
            ("a.png", "q", 1),
        )
    ]  # fmt: skip
    doubled = '{"prompt_id": "p", "image_path": "d.png", "rank": 1, "rank": 2}'
    file = tmp_path / "set.json"
    file.write_text(f"{json.dumps(rows)[:-1]}, {doubled}]", encoding="utf-8")
    found = read_public(file)
    better = [(p.paths[0].name[:5], p.paths[1].name[:5]) for p in found.pairs]
    assert better == [("a.png", "b.png"), ("a.png", "ccccc"), ("ccccc", "b.png")]
    assert found.left_out == {
        "a row with a key twice": 1, "a picture without a name or a rank": 1,
        "a prompt with one picture": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    "content", ["[1]", "{}", "nonsense", '[{"a": 1}]', "[]", "[" * 9000, '[{"prompt": "x"}]']
)
def test_what_is_no_public_set_is_refused(tmp_path, content):
    file = tmp_path / "x.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"x\.json"):
        read_any(file)


def test_a_table_of_something_else_is_refused(tmp_path):
    with pytest.raises(InputError, match="no column"):
        read_any(pick(tmp_path, [{"caption": "a"}]))
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match="cannot be read"):
        read_any(tmp_path / "broken.parquet")
    with pytest.raises(InputError, match="holds no pair"):
        read_any(pick(tmp_path, [row(0.5)]))
    with pytest.raises(InputError, match="aspect"):
        read_any(pick(tmp_path, [row(1.0)]), ("safety",))
