"""MJ-Bench's data to judge: what is known by its columns, what is left out, what is drawn."""

from __future__ import annotations

import csv
import io
import json
import sys

import pytest
from PIL import Image

from safejudge.errors import InputError
from safejudge.evals.mjbench.data import read_data
from safejudge.evals.stats.preference import Answer

datasets = pytest.importorskip("datasets")
pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def png(shade):
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (shade % 256, 7, 7)).save(file, "PNG")
    return file.getvalue()


def embedded(shade):
    return {"bytes": png(shade), "path": "image.png"}


def released(n, **fields):
    row = {"caption": f"c{n}", "image0": embedded(2 * n), "image1": embedded(2 * n + 1)}
    return row | {"label": n % 2, "info": "Crime"} | fields


def table(file, rows):
    file.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows), file, row_group_size=5)


def pictures(folder, *paths):
    for shade, path in enumerate(paths):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(png(shade))


def listed(file, rows):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(rows), encoding="utf-8")


def keys(data):
    return [item.key for item in data.samples]


# --- Parquet --------------------------------------------------------------------------------------


def test_released_files_are_known_by_info(tmp_path):
    table(tmp_path / "data" / "safety.parquet", [released(n) for n in range(20)])
    region = {"bytes": png(1), "path": "human_1_edited_face.jpg"}
    table(tmp_path / "data" / "quality.parquet", [released(0, info="human", image1=region)])
    data = read_data(str(tmp_path))
    items = list(data.samples)
    assert data.generation == "MJ-Bench (info)"
    assert data.left_out == []
    assert [item.key for item in items] == ["quality/0", *(f"safety/{n}" for n in range(20))]
    assert {(item.perspective, item.subset) for item in items} == {
        ("quality", "face"), ("safety", "crime"),
    }  # fmt: skip
    assert [item.label for item in items[1:3]] == [Answer.FIRST, Answer.SECOND]
    assert items[1].images[1].data == png(1)
    # All of them are called image.png, and still told apart.
    assert len({source.name for item in items[1:] for source in item.images}) == 40


def test_a_bias_row_is_one_picture_of_an_occupation(tmp_path):
    rows = [released(n, caption="A nurse.", info="young_male_asian", label=0) for n in (1, 2)]
    table(tmp_path / "bias.parquet", rows)
    for item in read_data(str(tmp_path)).samples:
        assert (item.perspective, item.group, item.caption) == ("bias", "nurse", "A nurse.")
        assert item.demographic == "young_male_asian"
        assert item.label is None
        assert len(item.images) == 1


def test_rewritten_files_are_known_by_category(tmp_path):
    rows = [
        released(n, label=0, category=kind, subcategory=sub, model="m")
        for n, (kind, sub) in enumerate(
            [("composition", "object"), ("quality", ""), ("visualization", "chart"), ("odd", "")]
        )
    ]
    for row in rows:
        del row["info"]
    table(tmp_path / "train-00000-of-00001.parquet", rows)
    data = read_data(str(tmp_path))
    found = [(item.key, item.perspective, item.subset) for item in data.samples]
    assert data.generation == "MJ-Bench rewritten (category)"
    assert found == [
        ("alignment/0", "alignment", "object"),
        ("quality/1", "quality", "quality"),
        ("quality/2", "quality", "chart"),
    ]
    assert "1 row left out: an unknown category" in data.left_out[0]
    assert keys(read_data(str(tmp_path), ["alignment"])) == ["alignment/0"]


def test_rows_without_label_or_picture_are_counted(tmp_path):
    rows = [
        released(0),
        released(1, label=None),
        released(2, label=-1),
        released(3, image0=None),
        released(4, image0={"bytes": None, "path": "../x.png"}),
        released(5, image0={"bytes": None, "path": "in/x.png"}),
        released(6, caption=None, info=None),
    ]
    table(tmp_path / "safety.parquet", rows)
    pictures(tmp_path, "in/x.png")
    data = read_data(str(tmp_path))
    items = list(data.samples)
    assert [item.key for item in items] == ["safety/0", "safety/5", "safety/6"]
    assert items[1].images[0].name == "in/x.png"
    assert (items[2].caption, items[2].subset) == ("", "")
    said = "\n".join(data.left_out)
    assert "safety.parquet: 2 rows left out: no label" in said
    assert "1 row left out: no picture" in said
    assert "a picture outside the folder (such as ../x.png)" in said


def test_plain_bytes_are_pictures_too_and_a_file_may_be_named(tmp_path):
    table(tmp_path / "safety.parquet", [released(0, image0=png(1), image1=png(2))])
    (item,) = read_data(str(tmp_path / "safety.parquet")).samples
    assert [source.data for source in item.images] == [png(1), png(2)]


def test_limit_takes_the_first_and_seed_a_sample_with_the_same_keys(tmp_path):
    for part in (0, 1):
        rows = [released(20 * part + n) for n in range(20)]
        table(tmp_path / f"safety-0000{part}-of-00002.parquet", rows)
    table(tmp_path / "alignment.parquet", [released(n) for n in range(3)])
    every = {item.key: item for item in read_data(str(tmp_path)).samples}
    assert len(every) == 43
    assert "safety/safety-00001-of-00002/19" in every
    first = keys(read_data(str(tmp_path), limit=2))
    head = "safety/safety-00000-of-00002"
    assert first == ["alignment/0", "alignment/1", f"{head}/0", f"{head}/1"]
    some = list(read_data(str(tmp_path), ["safety"], limit=10, seed=4).samples)
    assert len(some) == 10
    assert all(every[item.key] == item for item in some)
    assert some == list(read_data(str(tmp_path), limit=10, seed=4).samples)[3:]
    assert some != list(read_data(str(tmp_path), ["safety"], limit=10, seed=5).samples)


# --- lists ----------------------------------------------------------------------------------------


def test_lists_name_their_pictures(tmp_path):
    pictures(tmp_path, "alignment/a.png", "alignment/b.png", "img/c.png")
    rows = [
        {"id": "x1", "caption": "c", "image_0": "a.png", "image_1": "b.png", "label_0": 1},
        {"id": "x2", "caption": "c", "image0": "a.png", "image1": "img/c.png", "label": "1"},
        {"caption": "tie", "image0": "a.png", "image1": "b.png", "label": 0.5},
        {"id": "x1", "caption": "c", "image_0": "a.png", "image_1": "b.png", "label_0": 1},
    ]
    listed(tmp_path / "alignment" / "counts.json", rows)
    data = read_data(str(tmp_path))
    items = list(data.samples)
    assert data.generation == "repository lists"
    assert [item.key for item in items] == ["x1", "x2", "alignment/2"]
    assert [item.label for item in items] == [Answer.FIRST, Answer.SECOND, Answer.TIE]
    assert {item.subset for item in items} == {"count"}
    assert [source.name for source in items[1].images] == ["alignment/a.png", "img/c.png"]
    assert data.left_out == [
        "alignment/counts.json: 1 row left out: the same as an earlier one",
    ]


def test_an_id_that_several_rows_have_is_no_key(tmp_path):
    pictures(tmp_path, "a.png", "b.png")
    row = {"id": "pap_0", "caption": "c", "image0": "a.png", "image1": "b.png", "label": 0}
    for name in ("object", "count"):
        listed(tmp_path / "alignment" / f"{name}.json", [row])
    assert keys(read_data(str(tmp_path))) == ["alignment/count/0", "alignment/object/0"]
    assert keys(read_data(str(tmp_path), limit=1)) == ["alignment/count/0"]


def test_csv_and_bias_rows(tmp_path):
    pictures(tmp_path, "eval/nurse/young_male.jpg", "eval/nurse/old_male.jpg")
    fields = ["demographic", "occupation", "images_dir", "image", "prompt", "age", "gender"]
    with (tmp_path / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(fields)
        folder = "eval/nurse"
        writer.writerow(
            ["young_male", "Nurse", f"{folder}/young_male.jpg", "", "A Nurse.", "True", "False"]
        )
        writer.writerow(["old_male", "Nurse", folder, "old_male.jpg", "A Nurse.", "True", ""])
        writer.writerow(["old_male", "", folder, "old_male.jpg", "A Nurse.", "True", "", "more"])
    data = read_data(str(tmp_path), ["bias"])
    one, two = data.samples
    assert (one.group, one.demographic, one.caption) == ("Nurse", "young_male", "A Nurse.")
    assert one.flags == {"age"}
    assert one.label is None
    assert [source.name for source in two.images] == ["eval/nurse/old_male.jpg"]
    assert data.left_out == ["rows.csv: 1 row left out: no occupation"]


def test_pairs_say_what_was_chosen(tmp_path):
    pictures(tmp_path, "i/a.jpg", "i/b.jpg")
    pair = {"id": "p1", "chosen": "i/a.jpg", "rejected": "i/b.jpg", "caption": "c"}
    rows = [
        pair | {"subset": "mpii", "edited_region": "hands"},
        pair | {"id": "p2", "rejected": "i/none.jpg"},
        pair | {"id": "p3", "subset": "objects_indoor"},
    ]
    text = "\n".join([*map(json.dumps, rows), "{broken"])
    (tmp_path / "pairs.jsonl").write_text(text, encoding="utf-8")
    data = read_data(str(tmp_path))
    first, second = data.samples
    assert data.generation == "pairs"
    assert (first.key, first.perspective, first.subset) == ("p1", "quality", "limb")
    assert (second.key, second.subset) == ("p3", "object")
    assert first.label is Answer.FIRST
    assert [source.name for source in first.images] == ["i/a.jpg", "i/b.jpg"]
    assert "pairs.jsonl: 1 row left out: no such picture (such as i/none.jpg)" in data.left_out
    assert len(data.left_out) == 2


@pytest.mark.parametrize(
    "path",
    ["../secret.png", "{tmp}/secret.png", "a/../../secret.png", "", "x\0y", "y" * 5000, "\ud800"],
)
def test_no_picture_outside_the_folder_is_read(tmp_path, path):
    pictures(tmp_path, "secret.png", "data/safety/a.png")
    path = path.format(tmp=tmp_path)
    rows = [
        {"image0": "a.png", "image1": path, "label": 0},
        {"image0": "a.png", "image1": "a.png", "label": 0},
    ]
    listed(tmp_path / "data" / "safety" / "nsfw.json", rows)
    data = read_data(str(tmp_path / "data"))
    assert keys(data) == ["safety/1"]
    assert len(data.left_out) == 1


def test_no_bad_row_or_file_stops_the_reading(tmp_path):
    pictures(tmp_path, "a.png", "b.png")
    good = {"image0": "a.png", "image1": "b.png", "label": 0}
    bad = [None, 3, [], {}, {"image0": 4}, good | {"label": {}}, good | {"label": 10**400}]
    bad += [{"chosen": 3, "rejected": None}, {"occupation": [], "demographic": 1}]
    listed(tmp_path / "safety.json", [*bad, good | {"id": 7, "caption": 9, "score_0": []}])
    (tmp_path / "nothing.json").write_text("{")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "latin.csv").write_bytes(b"\xff\xe9")
    (tmp_path / "object.json").write_text("{}")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "quality.parquet").write_bytes(b"no parquet")
    table(tmp_path / "bias.parquet", [{"other": 1}])
    data = read_data(str(tmp_path))
    assert keys(data) == [f"safety/{len(bad)}"]
    said = "\n".join(data.left_out)
    for name in ("nothing.json", "deep.json", "latin.csv", "object.json", "folder.json"):
        assert f"{name}: " in said
    assert "quality.parquet: " in said
    assert "bias.parquet: its columns are not those of MJ-Bench: other" in said


# --- what to do -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "more", "says"),
    [
        ("MJ-Bench/MJ-Bench", {}, "--suite-arg revision=COMMIT"),
        ("no/such/folder", {}, "there is no such folder"),
        ("tests", {"splits": ["safty"]}, "no split 'safty'; choose from alignment, safety"),
        ("tests", {"limit": 0}, "limit=0"),
    ],
)
def test_what_cannot_be_meant_is_said(data, more, says):
    with pytest.raises(InputError) as caught:
        read_data(data, **more)
    assert says in str(caught.value)


def test_a_folder_with_nothing_to_judge_says_what_is_expected(tmp_path):
    with pytest.raises(InputError, match=r"nothing to judge.*alignment, safety.*pairs\.jsonl"):
        read_data(str(tmp_path))
    table(tmp_path / "safety.parquet", [released(0)])
    with pytest.raises(InputError, match="nothing to judge in it for bias"):
        read_data(str(tmp_path), ["bias"])


def test_without_the_extra_it_is_named(tmp_path, monkeypatch):
    table(tmp_path / "safety.parquet", [released(0)])
    for name in ("datasets", "pyarrow"):
        monkeypatch.setitem(sys.modules, name, None)
    for data in (str(tmp_path), "a/b"):
        with pytest.raises(InputError, match=r"pip install 'safejudge\[eval\]'"):
            read_data(data, revision="1")


# --- the hub --------------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Stands in for the hub: its splits are the Parquet files of a folder."""
    load = datasets.load_dataset

    def names(name, revision):
        return sorted(file.stem for file in tmp_path.glob("*.parquet"))

    def loaded(name, split, streaming, revision):
        assert (name, streaming, revision) == ("a/b", True, "c0ffee")
        files = {split: str(tmp_path / f"{split}.parquet")}
        cache = str(tmp_path / "cache")
        return load("parquet", data_files=files, split=split, streaming=True, cache_dir=cache)

    monkeypatch.setattr(datasets, "get_dataset_split_names", names)
    monkeypatch.setattr(datasets, "load_dataset", loaded)
    return tmp_path


def from_hub(**more):
    return read_data("a/b", revision="c0ffee", **more)


def test_the_hub_holds_the_same_as_its_files(hub):
    table(hub / "safety.parquet", [released(n, label=n % 3 or None) for n in range(12)])
    table(hub / "bias.parquet", [released(n, caption="A nurse.") for n in range(3)])
    data = from_hub()
    items = list(data.samples)
    assert data.generation == "MJ-Bench (info)"
    assert items == list(read_data(str(hub)).samples)
    assert data.left_out == ["safety: 8 rows left out: no label"]
    assert keys(from_hub(limit=1)) == ["bias/0", "safety/1"]
    some = list(from_hub(splits=["bias"], limit=2, seed=1).samples)
    assert len(some) == 2
    assert all(item in items for item in some)


def test_a_rewritten_data_set_has_its_perspectives_in_one_split(hub):
    kinds = ["composition", "quality", "visualization", "quality"]
    rows = [released(n, label=0, category=kind) for n, kind in enumerate(kinds)]
    for row in rows:
        del row["info"]
    table(hub / "train.parquet", rows)
    assert keys(from_hub(limit=2)) == ["alignment/train/0", "quality/train/1", "quality/train/2"]
    assert keys(from_hub(splits=["alignment"])) == ["alignment/train/0"]
    assert len(keys(from_hub(limit=1, seed=3))) == 2


def test_the_hub_may_refuse_or_have_nothing(hub):
    with pytest.raises(InputError, match="has no split"):
        from_hub()
    table(hub / "safety.parquet", [{"other": 1}])
    with pytest.raises(InputError, match=r"a/b: cannot be read at revision c0ffee .*columns"):
        from_hub()
