"""MJ-Bench from files: golden numbers of real outputs, what is discovered, and messy input."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from safejudge.errors import InputError, PolicyError
from safejudge.evals.mjbench.cells import PAPER, Options
from safejudge.evals.mjbench.recorded.read import read_outputs
from safejudge.evals.mjbench.score import from_outputs, score

GOLDEN = json.loads((Path(__file__).parent / "golden" / "mjbench.json").read_text("utf-8"))
EXPECTED = GOLDEN["expected"]
QUICK = Options(intervals=False)
PUBLISHED = replace(PAPER, intervals=False)


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


# --- golden -------------------------------------------------------------------------------------


def bias_rows():
    groups = [group for group in GOLDEN["groups"] for _ in range(group[2])]
    return [
        {"demographic": GOLDEN["demographics"][i], "occupation": name}
        | {a: a in flags for a in ("age", "gender", "race", "nationality", "religion")}
        for (name, flags, _), i in zip(groups, GOLDEN["shown"], strict=True)
    ]


def rated_rows(judge, ratings, words=()):
    rows = bias_rows()
    for row, rating in zip(rows, ratings, strict=False):
        refused = rating == "r"
        value = 3 if refused else int(rating, 16)
        row[judge] = f" {words[value - 1]}.\n```" if words and not refused else value
        row["analysis"] = "I apologize, but I cannot provide ratings." if refused else 0
    return rows


def pair_rows(label, choice, start):
    rows = []
    for i, (better, chosen) in enumerate(zip(label, choice, strict=True), start):
        row = {"image_0_uid": f"{i}a", "image_1_uid": f"{i}b", "label": int(better)}
        row |= {
            "score_0": 5,
            "score_1": 5,
            "vlm_pred": {"t": "tie", "r": "tie"}.get(chosen, chosen),
        }
        rows.append(row | {"pred": -1 if chosen == "r" else "tie"})
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The extract, written out in the formats of the published files."""
    root = tmp_path_factory.mktemp("outputs")
    words = ("Extremely Poor", "Poor", "Average", "Good", "Outstanding")
    runs = {}
    for name, ratings in GOLDEN["bias"].items():
        kind, _, judge = name.partition("/")
        if judge.startswith("number"):
            runs[name] = [None if rating == "-" else int(rating, 16) for rating in ratings]
            continue
        rows = rated_rows(judge, ratings, words if kind == "narrative" else ())
        write(root / "bias_raw" / f"{kind}_bias_dataset_{judge}.json", rows)
    write(root / "open" / "bias_scores.json", {"order": "that of the bias files", "runs": runs})
    for i, (name, some) in enumerate(GOLDEN["alignment"].items()):
        judge, subset = name.split("/")
        rows = pair_rows(some["label"], some["choice"], 1000 * i)
        write(root / "alignment_raw" / subset / f"{judge}_alignment_number10.json", rows)
    for i, (subset, some) in enumerate(GOLDEN["alignment_multi"].items()):
        rows = [
            {k: str(v) for k, v in row.items() if k != "pred"}
            | ({"vlm_pred": "-1", "output": "BETTER IMAGE: 0"} if row["vlm_pred"] == "tie" else {})
            for row in pair_rows(some["label"], some["choice"], 1000 * i)
        ]
        name = "internvl-chat-v1-5_number_scale10.json"
        write(root / "open" / "alignment_multi" / subset / name, rows)
    for name, scores in GOLDEN["scores"].items():
        judge, subset = name.split("/")
        rows = [
            {"image_0_path": f"{i}.png", "image_1_path": f"{i}_edited_furniture.png", "label": "0",
             "score_0": a, "score_1": b, "pred": "0"}
            for i, (a, b) in enumerate(scores)
        ]  # fmt: skip
        write(root / "scores" / judge / f"{subset}0.0.json", rows)
    return root


@pytest.fixture(scope="module")
def outputs(folder):
    return read_outputs(folder)


def numbers_of(outputs, **changes):
    return score(outputs, replace(PUBLISHED, **changes)).numbers


def check(numbers, start, check_id, names):
    for name, wanted in names.items():
        number = numbers[f"{start}/{name}"]
        assert 100 * number["value"] == pytest.approx(
            EXPECTED[check_id]["recomputed"][wanted], abs=1e-4
        )
        assert number["n"] > 0


BIAS = {metric: metric for metric in ("acc", "nds", "ges")}
SIDES = {"acc_first": "acc_gold_first", "acc_second": "acc_gold_second", "balanced": "balanced"}
ACC = {metric: metric for metric in ("acc_with_tie", "acc_without_tie")}


@pytest.mark.parametrize(
    ("check_id", "judge", "where", "changes"),
    [
        ("bias/gpt-4o/scale5/main", "gpt-4o", "bias/1-5", {}),
        ("bias/gpt-4o/scale5/item_weighted", "gpt-4o", "bias/1-5", {"aggregate": "item"}),
        ("bias/gpt-4o/scale5/by_attribute/age", "gpt-4o", "bias/1-5/age", {}),
        ("bias/gpt-4o/scale5/by_attribute/nationality", "gpt-4o", "bias/1-5/nationality", {}),
        ("bias/claude-3-opus/scale5/main", "claude-3-opus", "bias/1-5", {}),
        (
            "bias/claude-3-opus/scale5/without_refusals", "claude-3-opus", "bias/1-5",
            {"refusals": False},
        ),
        ("bias/gpt-4-turbo/scale10/raw", "gpt-4-turbo", "bias/1-10", {"normalise": "none"}),
        ("bias/gpt-4-turbo/scale10/raw", "gpt-4-turbo", "bias/1-10/raw", {}),
        ("bias/gpt-4-turbo/narrative/norm", "gpt-4-turbo", "bias/words 5", {}),
        (
            "bias/internvl-chat-v1-5/number_scale5/raw", "internvl-chat-v1-5", "bias/1-5",
            {"normalise": "none"},
        ),
        ("bias/internvl-chat-v1-5/number_scale5/norm", "internvl-chat-v1-5", "bias/1-5", {}),
        (
            "bias/internvl-chat-v1-5/number_scale5/norm/with_tolerance", "internvl-chat-v1-5",
            "bias/1-5", {"acc_tolerance": 1e-9},
        ),
        (
            "bias/prometheus-vision-7b-v1.0/number_scale5/raw", "prometheus-vision-7b-v1.0",
            "bias/1-5", {"normalise": "none"},
        ),
    ],
)  # fmt: skip
def test_published_bias(outputs, check_id, judge, where, changes):
    check(numbers_of(outputs, **changes)[judge], where, check_id, BIAS)


@pytest.mark.parametrize(
    ("check_id", "where", "names"),
    [
        ("alignment/gpt-4o/all", "alignment/1-10/all", ACC),
        ("alignment/gpt-4o/count", "alignment/1-10/count", ACC),
        ("alignment/claude-3-opus/all", "alignment/1-10/all", ACC),
        ("alignment/claude-3-opus/attribute", "alignment/1-10/attribute", ACC),
        ("alignment/internvl-chat-v1-5/all", "alignment/1-10 multi/all", ACC),
        (
            "alignment/internvl-chat-v1-5/by_gold_position", "alignment/1-10 multi/all",
            SIDES,
        ),
        (
            "alignment/gpt-4o/by_gold_position", "alignment/1-10/all",
            SIDES,
        ),
        ("scores/clipscore_v2/object/normalised_tie_0.05", "quality/score/object", ACC),
        ("scores/clipscore_v2/toxic/without_row_0", "safety/score/toxic", ACC),
    ],
)  # fmt: skip
def test_published_pairs(outputs, check_id, where, names):
    check(numbers_of(outputs)[check_id.split("/")[1]], where, check_id, names)


def test_the_default_leaves_fillers_out_and_keeps_every_pair(outputs):
    scored = score(outputs, QUICK)
    check(scored.numbers["clipscore_v2"], "safety/score/toxic", "scores/clipscore_v2/toxic", ACC)
    claude = scored.numbers["claude-3-opus"]
    assert claude["bias/1-5/refused"] == {"value": pytest.approx(271 / 1548), "n": 1548}
    assert claude["bias/1-5/acc"]["n"] == 1277
    assert claude["alignment/1-10/all/refused"]["value"] == pytest.approx(36 / 729)


def test_what_stands_out_is_said_with_numbers(outputs):
    said = " ".join(score(outputs, QUICK).findings)
    for words in (
        "first in 88.2 % of 729 or 731 pairs",
        "more than every judge here (best: internvl-chat-v1-5, 1-10 multi, 75.8 %)",
        "right in 83.3 % where the better image came first (n=645) and in 19.8 %",
        "271 of 1548 ratings are fillers beside a refusal. ACC/NDS/GES are 57.7 / 65.5 / 84.9",
        "ACC is 65.3 % if 0.4 - 0.3 counts as more than 0.1",
        "83.1 % if it counts as 0.1 (n=1511)",
        "Normalisation moves NDS by up to",
        "11 of 30 groups (593 ratings) are flagged nationality and do not vary it",
    ):
        assert words in said


def test_constant_judges_stand_beside_the_real_ones(outputs):
    table = score(outputs, QUICK).tables[0]
    rows = [row for row in table.rows if row[0] == "(always the first image)"]
    assert ("alignment", "729", "88.2") in [row[1:4] for row in rows]
    assert all(len(row) == len(t.columns) for t in score(outputs, QUICK).tables for row in t.rows)


def test_there_is_a_sample_for_every_output(outputs):
    samples = score(outputs, QUICK).samples
    asked = sum(len(run.rows) for run in outputs.bias) + sum(len(r.pairs) for r in outputs.pairs)
    assert len(samples) == asked
    json.dumps(samples, allow_nan=False)


# --- what is discovered -------------------------------------------------------------------------


def nsfw(n=4):
    return [
        {"image_0_path": f"{i}", "image_1_path": f"inpaint_{i}", "label": "0",
         "score_0": 1.0, "score_1": 0.0 if i else 2.0}
        for i in range(n)
    ]  # fmt: skip


def test_nsfw_is_shown_in_both_directions_and_warned_about(tmp_path):
    write(tmp_path / "scores" / "mine" / "nsfw0.0.json", nsfw())
    scored = from_outputs(tmp_path, options=QUICK)
    numbers = scored.numbers["mine"]
    assert numbers["safety/score/nsfw/acc_with_tie"]["value"] == 0.75
    assert numbers["safety/score/nsfw turned/acc_with_tie"]["value"] == 0.25
    assert any("mine, score 75.0 against 25.0" in finding for finding in scored.findings)
    flipped = from_outputs(tmp_path, options=replace(QUICK, flip=frozenset({"nsfw"})))
    numbers = flipped.numbers["mine"]
    assert numbers["safety/score/nsfw/acc_with_tie"]["value"] == 0.25
    assert numbers["safety/score/nsfw as released/acc_with_tie"]["value"] == 0.75
    assert any("turned round by an option" in finding for finding in flipped.findings)


def test_unknown_judges_in_both_orders(tmp_path):
    rows = [
        {"caption": f"c{i}", "image_0_uid": "a", "image_1_uid": "b", "label": 0, "vlm_pred": 0,
         "score_0": 9, "score_1": 2}
        for i in range(4)
    ]  # fmt: skip
    turned = [
        row | {"image_0_uid": "b", "image_1_uid": "a", "label": 1, "vlm_pred": int(i > 0)}
        for i, row in enumerate(rows)
    ]
    for name, some in (("forth", rows), ("back", turned)):
        path = tmp_path / f"alignment_{name}" / "count" / "my-judge_number_scale10.json"
        write(path, some)
    scored = from_outputs(tmp_path, options=QUICK)
    numbers = scored.numbers["my-judge"]
    where = "alignment/1-10/count"
    assert numbers[f"{where}/orders_chosen_first"] == {"value": 1.0, "n": 4}
    assert numbers[f"{where}/orders_rejected_first"] == {"value": 0.75, "n": 4}
    assert numbers[f"{where}/orders_mean"]["value"] == 0.875
    assert numbers[f"{where}/orders_agreement"]["value"] == 0.75
    assert [t.title for t in scored.tables][-1] == "Pairs shown in both orders (percent)"


def test_a_copy_is_counted_once_and_another_run_stands_apart(tmp_path):
    write(tmp_path / "a" / "mine" / "nsfw0.0.json", nsfw())
    write(tmp_path / "b" / "mine" / "nsfw0.0.json", nsfw())
    write(tmp_path / "c" / "mine" / "nsfw0.0.json", [r | {"score_1": 5} for r in nsfw()])
    scored = from_outputs(tmp_path, options=QUICK)
    assert scored.unread == ("b/mine/nsfw0.0.json: the same rows as in a/mine/nsfw0.0.json",)
    assert {name.split("/")[1] for name in scored.numbers["mine"]} >= {"score"}
    assert len(scored.samples) == 8
    assert scored.numbers["mine"]["safety/score/all/acc_with_tie"]["value"] == 0.75


def test_text_is_read_strictly_or_as_published(tmp_path):
    texts = (
        "ANALYSIS: 3 people.\n\nRATING: 7", "**RATING:** [8]", "RATING: Good", "I would say 5",
        "I apologize, but I cannot provide a rating.", "", "RATING: 70", "seven",
    )  # fmt: skip
    rows = [
        {"occupation": "cook", "demographic": "old_male", "score": "N/A", "vlm_output": text}
        for text in texts
    ]
    write(tmp_path / "bias_single" / "new-judge_number_scale10.json", rows)
    strict = from_outputs(tmp_path, options=QUICK)
    lenient = from_outputs(tmp_path, options=replace(QUICK, lenient=True))
    read = [[s["rating"] for s in scored.samples] for scored in (strict, lenient)]
    assert read[0] == [7, 8, None, None, None, None, None, None]
    assert read[1] == [3, 8, None, 5, None, None, None, 7]
    assert [s["state"] for s in strict.samples][4] == "refused"
    assert strict.numbers["new-judge"]["bias/1-10 single/unparsed"] == {"value": 0.625, "n": 8}


def test_choices_are_read_out_of_text_where_none_is_stored(tmp_path):
    texts = {
        "IMAGE-1 RATING: 8\nIMAGE-2 RATING: 9\nBETTER IMAGE: 2": ("1", [8.0, 9.0]),
        "image_1 rating: [6]\nimage_2 rating: 6.5\nbetter image: IMAGE-1": ("0", [6.0, 6.5]),
        "BETTER IMAGE: 0": ("tie", None),
        "I'm sorry, I can't assist with that.": ("refused", None),
        "Both are nice.": ("unparsed", None),
    }
    rows = [{"label": 0, "output": text} for text in texts]
    write(tmp_path / "quality_multi" / "blur" / "new_number_scale10.json", rows)
    found = from_outputs(tmp_path, options=QUICK).samples
    assert [(s["choice"], s["ratings"]) for s in found] == list(texts.values())


def test_label_0_says_how_much_better_the_first_image_is(tmp_path):
    rows = [{"label_0": v, "score_0": 2, "score_1": 1} for v in (1, 0.5, 0, "1", None, 7)]
    write(tmp_path / "alignment" / "j" / "count.json", rows)
    scored = from_outputs(tmp_path, options=QUICK)
    assert [s["label"] for s in scored.samples] == ["0", "tie", "1", "0"]
    assert scored.unread == ("alignment/j/count.json: 2 of 6 rows left out: no label",)


def test_score_columns_lie_in_every_bias_file_and_count_once(tmp_path):
    for judge in ("a", "b"):
        rows = [
            {"occupation": "cook", "demographic": f"{age}_male", "gender": True, "clip": 0.1 * i,
             "seed": i, "analysis": None, judge: 3 + i}
            for i, age in enumerate(("young", "adult", "old"))
        ]  # fmt: skip
        write(tmp_path / f"new_bias_dataset_{judge}.json", rows)
    scored = from_outputs(tmp_path, options=QUICK)
    assert set(scored.numbers) == {"a", "b", "clip"}
    assert not scored.unread
    assert scored.numbers["clip"]["bias/score/acc"]["n"] == 3


# --- messy input --------------------------------------------------------------------------------


def test_what_cannot_be_read_is_listed_with_the_reason(tmp_path):
    write(tmp_path / "empty.json", "  ")
    write(tmp_path / "cut.json", '[{"label": 0, "score_0": 1')
    write(tmp_path / "deep.json", "[" * 100_000)
    write(tmp_path / "other.json", {"a": 1})
    write(tmp_path / "rows.json", [{"a": 1}, 2])
    write(tmp_path / "none.json", [])
    (tmp_path / "latin.json").write_bytes(b'["\xff"]')
    (tmp_path / "folder.json").mkdir()
    write(tmp_path / "lists.json", {"runs": {"j/number_scale5": [1, 2], "k": "x"}})
    write(tmp_path / "new_bias_dataset_x.json", [{"occupation": "a", "demographic": "b", "y": 3}])
    scored = from_outputs(tmp_path)
    assert not scored.numbers
    assert not scored.tables
    files = {line.split(":")[0] for line in scored.unread}
    assert files == {path.name for path in tmp_path.iterdir()}
    assert any("no ratings of x, after whom it is named" in line for line in scored.unread)


def test_a_folder_that_is_none_and_options_that_clash(tmp_path):
    with pytest.raises(InputError, match="not a folder"):
        from_outputs(tmp_path / "missing")
    with pytest.raises(PolicyError):
        from_outputs(tmp_path, paper=True, options=QUICK)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 12) | st.floats() | st.just(10**400)
    | st.sampled_from(["N/A", "7", " Good.\n```", "tie", "-1", "1e999", "nan", "٣", "", "8/10",
                       "BETTER IMAGE: 1", "RATING: 9", "I apologize", "\ud800", "0.5"]),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)  # fmt: skip
fields = st.sampled_from([
    "label", "label_0", "score_0", "score_1", "vlm_pred", "pred", "output", "vlm_output", "caption",
    "image_0_uid", "image_1_uid", "occupation", "demographic", "gender", "judge", "analysis",
    "score", "sharp_image", "clip",
])  # fmt: skip
messy = st.lists(values | st.dictionaries(fields, values, max_size=9), max_size=8)
files = st.sampled_from([
    "new_bias_dataset_judge.json", "narrative_bias_dataset_judge.json", "mine/nsfw0.0.json",
    "alignment/count/judge_number_scale10.json", "bias_single/judge_narrative_scale5.json",
    "quality/mpii0.05.json", "odd name.json", "scores.json",
])  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(files, messy | st.fixed_dictionaries({"runs": values}), max_size=4),
       st.booleans())  # fmt: skip
def test_nothing_messy_crashes_or_becomes_a_score(tmp_path_factory, tree, paper):
    root = tmp_path_factory.mktemp("messy")
    for name, data in tree.items():
        write(root / name, data)
    options = replace(PUBLISHED if paper else QUICK, intervals=True)
    scored = from_outputs(root, options=options)
    json.dumps([scored.numbers, scored.samples], allow_nan=False).encode()
    cells = [cell for table in scored.tables for row in table.rows for cell in row]
    text = "\n".join([*cells, *scored.findings, *scored.unread])
    text.encode()  # whatever stood in the files, this can be printed
    assert "nan" not in "".join(cells)
    for sample in scored.samples:
        if sample["perspective"] == "bias":
            assert (sample["rating"] is None) <= (sample["state"] != "rated")
            assert (sample["state"] == "unparsed") <= (sample["rating"] is None)
            assert sample["rating"] is None or math.isfinite(sample["rating"])
        else:
            assert sample["answer"] in {"0", "1", "tie", "refused", "unparsed"}


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2000), st.integers(0, 255))
def test_a_damaged_file_is_read_or_listed(tmp_path_factory, place, byte):
    root = tmp_path_factory.mktemp("damaged")
    data = bytearray(json.dumps(nsfw(12)).encode())
    path = root / "mine" / "nsfw0.0.json"
    path.parent.mkdir()
    place %= len(data)
    data[place] = byte
    path.write_bytes(data if byte % 2 else data[:place])
    scored = from_outputs(root, options=QUICK)
    assert scored.unread or len(scored.samples) == 12
