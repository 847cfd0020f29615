"""The drawn world in MJ-Bench's schema: columns, balance, truth of the pairs, and files."""

import io
import itertools
import sys
from collections import Counter, defaultdict

import numpy as np
import pytest
from PIL import Image

from safejudge.constitution.load import load_constitution
from safejudge.errors import InputError, OutputError
from safejudge.evals.mjbench.prompts import statement_of
from safejudge.sketch import mjbench
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.mjbench import DAMAGES, HEADS, KINDS, kind_of, safety_scenes, write_mjbench
from safejudge.sketch.scenes import truth_of
from safejudge.sketch.world.describe import is_reserved
from safejudge.sketch.world.scene import AGES, OCCUPATIONS, SKINS
from safejudge.sketch.world.statements import grammar

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

COUNT = 24
PAIRS = ("alignment", "safety", "quality")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("mjbench") / "set"
    return out, write_mjbench(out, COUNT, seed=3)


def _table(out, perspective):
    return parquet.read_table(out / "data" / f"{perspective}.parquet")


def _rows(out, perspective):
    return _table(out, perspective).to_pylist()


def _pixels(image):
    return np.asarray(Image.open(io.BytesIO(image["bytes"])))


@pytest.fixture
def scenes_of(monkeypatch):
    """Pairs with the scenes that were drawn for them, better first."""

    def pairs(stream, count):
        drawn = []

        def remembering(scene):
            drawn.append(scene)
            return draw(scene)

        monkeypatch.setattr(mjbench, "draw", remembering)
        for pair in itertools.islice(stream, count):
            yield pair, *drawn[-2:]

    return pairs


def test_files_have_the_columns_of_the_public_data(written):
    out, counts = written
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    assert counts == {"alignment": 24, "safety": 24, "quality": 24, "bias": 36}
    assert sorted(p.name for p in out.rglob("*.parquet")) == sorted(f"{n}.parquet" for n in counts)
    for perspective, count in counts.items():
        table = _table(out, perspective)
        assert dict(zip(table.schema.names, table.schema.types, strict=True)) == {
            "caption": pa.string(), "image0": picture, "image1": picture,
            "label": pa.int64(), "info": pa.string(),
        }  # fmt: skip
        assert table.num_rows == count
        for row in table.to_pylist():
            assert row["caption"]
            assert row["info"]
            assert _pixels(row["image0"]).shape == _pixels(row["image1"]).shape == (96, 96, 3)


@pytest.mark.parametrize("perspective", PAIRS)
def test_the_better_picture_is_first_in_exactly_half_and_no_name_tells(written, perspective):
    rows = _rows(written[0], perspective)
    labels = [row["label"] for row in rows]
    assert Counter(labels) == {0: COUNT // 2, 1: COUNT // 2}
    assert labels not in ([0, 1] * (COUNT // 2), sorted(labels))
    names = [(row["image0"]["path"], row["image1"]["path"]) for row in rows]
    assert names == [(f"{perspective}_{n:04d}_a.png", f"{perspective}_{n:04d}_b.png")
                     for n in range(COUNT)]  # fmt: skip


def test_datasets_sees_pictures(written):
    datasets = pytest.importorskip("datasets")
    schema = _table(written[0], "safety").schema
    features = datasets.Features.from_arrow_schema(schema)
    assert features["image0"] == features["image1"] == datasets.Image()


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(written, tmp_path):
    write_mjbench(tmp_path / "again", COUNT, seed=3)
    write_mjbench(tmp_path / "other", COUNT, seed=4)
    for perspective in (*PAIRS, "bias"):
        first, again, other = (
            (out / "data" / f"{perspective}.parquet").read_bytes()
            for out in (written[0], tmp_path / "again", tmp_path / "other")
        )
        assert first == again
        assert first != other


def test_alignment_captions_hold_of_the_better_picture_and_not_of_the_worse(scenes_of):
    for pair, better, worse in scenes_of(mjbench.alignment(3), 40):
        texts = pair.caption.split(", and ")
        said = [grammar()[text] for text in texts]
        assert 1 <= len(said) <= 3
        assert all(s.holds(better) == 1 for s in said)
        assert pair.info in {kind_of(s) for s in said if s.holds(worse) == 0}
        assert not is_reserved(texts)


def test_alignment_covers_every_sub_category_evenly(written):
    counted = Counter(row["info"] for row in _rows(written[0], "alignment"))
    assert set(counted) == set(KINDS)
    assert max(counted.values()) - min(counted.values()) <= 1


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a dog is visible", "object"),
        ("a red car is visible", "attribute"),
        ("a child is holding a ball", "action"),
        ("a child is next to a dog", "spatial"),
        ("exactly two people are visible", "count"),
        ("the scene is violent", None),
        ("the picture is blurred", None),
    ],
)
def test_a_statement_has_a_sub_category(text, kind):
    assert kind_of(grammar()[text]) == kind


def test_safety_pairs_are_a_near_miss_and_a_violation_of_the_same_rule():
    constitution = load_constitution("sketch")
    rules = []
    for rule, safe, unsafe in itertools.islice(safety_scenes(3), 24):
        rules.append(rule)
        near = truth_of(safe, constitution)
        assert near.violations == ()
        assert rule in near.borderline
        assert rule in truth_of(unsafe, constitution).violations
        assert safe.flaw is unsafe.flaw is None
    assert rules == [rule.id for rule in constitution.rules] * 2


def test_safety_files_show_those_scenes_by_category(written):
    categories = {rule.id: rule.category for rule in load_constitution("sketch").rules}
    for row, (rule, safe, unsafe) in zip(
        _rows(written[0], "safety"), safety_scenes(3), strict=False
    ):
        better, worse = f"image{row['label']}", f"image{1 - row['label']}"
        assert np.array_equal(_pixels(row[better]), draw(safe).pixels)
        assert np.array_equal(_pixels(row[worse]), draw(unsafe).pixels)
        assert row["info"] == categories[rule]


def test_a_damage_is_seen_and_leaves_the_scene():
    for pair in itertools.islice(mjbench.quality(3), 12):
        far = np.abs(pair.better.astype(int) - pair.worse).mean()
        assert mjbench.SEEN < far < 40


def test_quality_damages_take_turns_and_the_clean_picture_is_the_sharper_one(written):
    rows = _rows(written[0], "quality")
    assert Counter(row["info"] for row in rows) == dict.fromkeys(DAMAGES, COUNT // 3)
    for row in rows:
        edges = [
            np.abs(np.diff(_pixels(row[name]).astype(int), axis=1)).mean()
            for name in (f"image{row['label']}", f"image{1 - row['label']}")
        ]
        assert row["info"] == "distortion" or edges[0] > edges[1]


@pytest.mark.parametrize(("count", "heads"), [(2, 1), (60, 2), (1000, len(HEADS))])
def test_bias_groups_are_occupations_with_the_same_combinations(count, heads):
    groups = defaultdict(list)
    for pair in mjbench.bias(3, count):
        groups[pair.caption].append(pair)
        assert pair.better is pair.worse
    assert list(groups) == [f"a {o}" for o in OCCUPATIONS]
    asked = {statement_of("bias", caption) for caption in groups}
    assert asked <= set(grammar())
    looks = [f"{a}_{s}_{h}" for a, s, h in itertools.product(AGES, SKINS, HEADS[:heads])]
    for group in groups.values():
        assert [pair.info for pair in group] == looks
        assert len({pair.better.tobytes() for pair in group}) == len(looks)
        same = np.all([pair.better[:24] == group[0].better[:24] for pair in group], axis=0)
        assert same.mean() > 0.9  # sky or wall: setting and look are one


def test_bias_rows_show_one_picture_twice_under_label_zero(written):
    for number, row in enumerate(_rows(written[0], "bias")):
        assert row["label"] == 0
        assert row["image0"] == row["image1"]
        assert row["image0"]["path"] == f"bias_{number:04d}_a.png"


def test_nothing_is_overwritten_without_leave_and_strangers_never(tmp_path):
    out = tmp_path / "set"
    write_mjbench(out, 2)
    with pytest.raises(OutputError, match="holds pairs already"):
        write_mjbench(out, 2)
    assert write_mjbench(out, 4, overwrite=True)["safety"] == 4
    (out / "data" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"'data/notes\.txt', which is not ours"):
        write_mjbench(out, 2, overwrite=True)
    with pytest.raises(OutputError, match="is a file"):
        write_mjbench(out / "data" / "notes.txt", 2)


@pytest.mark.parametrize("count", [-2, 0, 7])
def test_counts_that_cannot_be_balanced_are_refused(tmp_path, count):
    with pytest.raises(InputError, match="even number"):
        write_mjbench(tmp_path / "set", count)
    assert not (tmp_path / "set").exists()


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install 'safejudge\[eval\]'"):
        write_mjbench(tmp_path / "set", 2)
    assert not (tmp_path / "set").exists()
