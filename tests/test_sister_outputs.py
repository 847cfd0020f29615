"""Recorded outputs of two benchmarks: made-up files in their formats, orderly and not."""

import csv
import io
import json
import math
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from safejudge.errors import OutputError
from safejudge.evals.mllm_judge import score as mllm_judge_outputs
from safejudge.evals.mllm_judge.records import read
from safejudge.evals.recorded import integer, logprobs, number, word
from safejudge.evals.replies import read_choice, read_ranking, read_score
from safejudge.evals.rewardbench import records as rewardbench_records
from safejudge.evals.rewardbench import score as rewardbench_outputs
from safejudge.evals.stats import agreement as ag
from safejudge.evals.stats.intervals import Estimate, share_of

FLOOR = -11.512925464970229
LPS = [f"s2_lp{k}" for k in ag.LEVELS]


def put(folder, name, content):
    """Write records as JSON lines, rows as CSV, text as it is."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        text = content
    elif name.endswith(".csv"):
        out = io.StringIO()
        writer = csv.DictWriter(out, list(content[0]))
        writer.writeheader()
        writer.writerows(content)
        text = out.getvalue()
    else:
        text = "".join(f"{json.dumps(one)}\n" for one in content)
    path.write_text(text, encoding="utf-8")


def scored(module, folder):
    found = module.from_outputs(folder)
    json.dumps([found.numbers, found.samples], allow_nan=False).encode()  # can be written
    for judge in found.numbers.values():
        for figure in judge.values():
            assert {"value", "n"} <= figure.keys()
    for table in found.tables:
        assert all(len(row) == len(table.columns) for row in table.rows)
    return found


def score_row(item, human, said, lps=None):
    lps = lps or [math.log(0.9 if k == said else 0.025) for k in ag.LEVELS]
    return {"sample_id": item, **dict(zip(LPS, lps, strict=True)), "gt_score": f"{human}.0",
            "parsed_score": said}  # fmt: skip


def score_record(item, human, **more):
    return {"score_id": item, "name": "drawer", "answer": "a red ball", "id": item // 4,
            "instruction": "what is shown?", "image_path": f"{item // 4}.jpg",
            "original_dataset": "shapes", "human": human} | more  # fmt: skip


def pair_record(item, **more):
    return {"id": 7, "pair_id": item, "image_path": "image/7.jpg", "original_dataset": "shapes",
            "answer1": {"name": "drawer", "answer": "a ball"},
            "answer2": {"name": "painter", "answer": "a big red ball"}} | more  # fmt: skip


def batch_record(item, human, **more):
    answers = [{"name": name} for name in ("drawer", "painter", "potter", "weaver")]
    return {"id": item, "image_path": f"{item}.jpg", "original_dataset": "shapes",
            "answers": answers, "human_answer": human} | more  # fmt: skip


# --- MLLM-as-a-Judge: what a judge wrote --------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        (4, "4"), ("4", "4"), (4.0, "4"), ("4.0", "4"), (" 4 ", "4"), ("[[4]]", "4"),
        ("Judgement: 3", "3"), ("fine. Judgement: 3", "3"), ("[[3]] yes, [[3]]", "3"),
        (-1, None), ("-1", None), (0, None), (6, None), ("[[7]]", None), ("[[45]]", None),
        (4.5, None), ("4.5", None), ("[[4.5]]", None), ("[[3]] or [[4]]", None), ("", None),
        (None, None), (True, None), ("five", None), ([4], None), (math.nan, None), ("nan", None),
        ("Judgement: 45", None), (math.inf, None), (10**30, None),
    ],
)  # fmt: skip
def test_scores_as_they_are_written(written, read_as):
    assert read_score(written) == read_as


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("A", "A"), (" b ", "B"), ("C", "C"), ("[[A]]", "A"), ("so [[C]].", "C"),
        ("[[A]] and again [[A]]", "A"), ("[[A]] or [[B]]", None), ("[[D]]", None), ("D", None),
        ("", None), (1, None), (None, None), ("A is better", None), ({"A": 1}, None),
    ],
)  # fmt: skip
def test_choices_as_they_are_written(written, read_as):
    assert read_choice(written) == read_as


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("CDAB", "CDAB"),
        ("Judgement: Rank: [[C], [D], [A], [B]] }}", "CDAB"),
        ("[[C]], [[D]], [[A]], [[B]]", "CDAB"),
        ("as follows:[[C]], [[D]], [[A]], [[B]]Assistant C is best", "CDAB"),
        ("C, D, A, B", "CDAB"),
        ("C > D > A > B", "CDAB"),
        ("[[C]] > [[D]] > [[A]] > [[B]], that is [[C]], [[D]], [[A]], [[B]]", "CDAB"),
        ("[[C]], [[D]], [[A]]", None),
        ("[[C]], [[D]], [[A]], [[A]]", None),
        ("[[C]], [[D]], [[A]], [[E]]", None),
        ("[[A]], [[B]], [[C]], [[D]] or [[C]], [[D]], [[A]], [[B]]", None),
        ("the best is C", None), ("", None), (None, None), (3, None),
    ],
)  # fmt: skip
def test_rankings_as_they_are_written(written, read_as):
    assert read_ranking(written, 4) == read_as
    assert read_ranking(written, 0) is None


@given(st.text(max_size=60) | st.integers() | st.floats() | st.none() | st.booleans())
def test_reading_never_fails_and_never_makes_things_up(text):
    assert read_score(text) in {None, "1", "2", "3", "4", "5"}
    assert read_choice(text) in {None, "A", "B", "C"}
    ranking = read_ranking(text, 4)
    assert ranking is None or sorted(ranking) == list("ABCD")
    assert integer(text) is None or isinstance(integer(text), int)
    assert number(text) is None or math.isfinite(number(text))
    word(text).encode()


@pytest.mark.parametrize("nothing", ["", "nan", None, "-inf", -math.inf, math.nan])
def test_a_token_that_was_not_returned_is_missing(nothing):
    assert logprobs({"a": nothing, "b": "-1.5"}, ["a", "b"]) == (None, -1.5)


@pytest.mark.parametrize("wrong", ["x", "inf", 0.5, True, [1], {}])
def test_what_is_no_log_probability_spoils_its_row(wrong):
    assert logprobs({"a": wrong, "b": -1.5}, ["a", "b"]) is None
    assert logprobs({"b": -1.5}, ["a", "b"]) is None


# --- MLLM-as-a-Judge: folders -------------------------------------------------------------------


def test_scores_with_log_probabilities(tmp_path):
    rng = random.Random(2)
    human = [rng.randint(1, 5) for _ in range(60)]
    said = [min(5, max(1, one + rng.randint(-1, 2))) for one in human]
    rows = [score_row(i, a, b) for i, (a, b) in enumerate(zip(human, said, strict=True))]
    unparsed = score_row(60, 3, -1, [FLOOR] * 5)
    put(tmp_path, "score_shiny.csv", [*rows, unparsed])
    put(tmp_path, "tasks.csv", [
        {"sample_id": i, "gt_score": f"{a}.0", "orig_dataset": "shapes" if i % 2 else "maps"}
        for i, a in enumerate(human)
    ])  # fmt: skip
    found = scored(mllm_judge_outputs, tmp_path)
    ours = found.numbers["shiny"]
    for name, statistic in (("pearson", ag.pearson), ("kendall", ag.kendall),
                            ("bias", ag.signed_error)):  # fmt: skip
        assert ours[f"score.{name}"]["value"] == pytest.approx(statistic(human, said))
        assert ours[f"score.{name}"]["n"] == 60
    assert ours["score.unread"] == pytest.approx(share_of([1, *[0] * 60]).json())
    # Where nothing was read the tokens say nothing, though the floor's mean would be 3.
    assert ours["score.weighted.pearson"]["n"] == 60
    assert ours["score.top_probability_all_rows"]["n"] == 61
    weighted = [0.9 * one + 0.025 * (15 - one) for one in said]
    assert ours["score.weighted.pearson"]["value"] == pytest.approx(ag.pearson(human, weighted))
    assert ours["score.task.maps.accuracy"]["n"] == 30
    assert ours["score.task.maps.accuracy"]["value"] == pytest.approx(
        ag.within(human[::2], said[::2])
    )
    assert found.samples[-1]["said"] is None
    assert found.samples[-1]["outcome"] == "unread"
    assert found.samples[-1]["weighted"] is None
    assert any("1 of 61 score answers could not be read" in one for one in found.findings)
    assert found.unread == ()


def test_ids_and_labels_of_every_type_meet(tmp_path):
    # People's answers in one file, the judge's in another; ids are text here and numbers there.
    put(tmp_path, "score.jsonl", [
        score_record(0, 4), score_record(1, "4"), score_record(2, "2.0", name="painter"),
    ])  # fmt: skip
    result = {"name": "painter", "judge": "5"}
    put(tmp_path, "step/judged.jsonl", [
        {k: v for k, v in score_record(i, 0, score_id=str(i), name=name, result=result,
                                       image_path=f"image/{i // 4}.jpg").items() if k != "human"}
        for i, name in enumerate(["drawer", "drawer", "painter"])
    ])  # fmt: skip
    ours = scored(mllm_judge_outputs, tmp_path).numbers["painter"]
    assert ours["score.bias"]["value"] == pytest.approx(5 / 3)
    assert ours["score.own.bias"] == Estimate(3, 1).json()
    assert ours["score.others.bias"] == Estimate(1, 2).json()
    assert ours["score.author.drawer.people_mean"]["value"] == 4
    assert ours["score.length.middle.bias"]["n"] == 3


def test_another_text_under_the_same_number_is_another_item(tmp_path):
    put(tmp_path, "score.jsonl", [score_record(0, 4)])
    blown_up = score_record(0, None, answer="a very red ball", result={"name": "x", "judge": 5})
    del blown_up["human"]
    put(tmp_path, "verbose.jsonl", [blown_up])
    found = scored(mllm_judge_outputs, tmp_path)
    assert found.samples == ()
    assert any("1 answers were left out" in one for one in found.findings)


def test_people_of_two_minds_are_no_truth(tmp_path):
    put(tmp_path, "one.jsonl", [pair_record(1, human="A")])
    put(tmp_path, "two.jsonl", [pair_record(1, human_answer="B")])
    put(tmp_path, "judge.jsonl", [pair_record(1, result={"name": "x", "judge": "A"})])
    assert scored(mllm_judge_outputs, tmp_path).samples == ()


def test_pairs_with_and_without_ties(tmp_path):
    human = ["A", "B", "C", "A", "B"]
    said = ["[[A]]", "C", "A", "either", "B"]
    put(tmp_path, "pairs.jsonl", [
        pair_record(i, human_answer=a, result={"name": "x", "judge": b, "analysis": "hm"})
        for i, (a, b) in enumerate(zip(human, said, strict=True))
    ])  # fmt: skip
    ours = scored(mllm_judge_outputs, tmp_path).numbers["x"]
    shares = {name: (one["value"], one["n"]) for name, one in ours.items()}
    assert shares["pair.accuracy_with_ties"] == (2 / 4, 4)
    assert shares["pair.accuracy_with_ties_unread_wrong"] == (2 / 5, 5)
    assert shares["pair.accuracy_without_ties"] == (2 / 3, 3)
    assert shares["pair.unread"] == (1 / 5, 5)
    assert shares["pair.says_A"] == (2 / 4, 4)
    assert shares["pair.people_say_A"] == (1 / 4, 4)
    assert shares["pair.longer_wins"] == (1 / 3, 3)  # the judge's A, A, B; B is longer
    assert shares["pair.people_longer_wins"] == (2 / 3, 3)


def test_rankings_in_words_and_letters(tmp_path):
    tail = "Rank: [[A], [C], [D], [B]] }}"
    put(tmp_path, "batch.jsonl", [
        batch_record("11", "ACDB", evaluator={"name": "x", "judge_human": 1, "judge_tail": tail}),
        batch_record(12, "ABCD", evaluator={"name": "x", "judge_evaluator": "BACD"}),
        batch_record(13, "ABCD", evaluator={"name": "x", "judge_evaluator": "unsure"}),
        batch_record(14, "DCBA", evaluator={"name": "x", "judge_human": 1}),  # named, not asked
        batch_record(15, "AB", evaluator={"name": "x", "judge_evaluator": "ABCD"}),
    ])  # fmt: skip
    found = scored(mllm_judge_outputs, tmp_path)
    assert [one["distance"] for one in found.samples] == [0, 0.5, None]
    ours = found.numbers["x"]
    assert (ours["batch.distance"]["value"], ours["batch.distance"]["n"]) == (0.25, 2)
    assert ours["batch.distance_unread_as_1"]["value"] == 0.5
    everyone = found.numbers[mllm_judge_outputs.PEOPLE]["batch.distance_of_order_shown"]
    assert (everyone["value"], everyone["n"]) == ((0.5 + 0 + 0 + 1) / 4, 4)


def test_the_same_item_asked_again(tmp_path):
    said = [*"AAAABB", *"AAABBB", *["A", "A", "A", "A", "?", "?"], "B"]
    put(tmp_path, "pairs.jsonl", [
        pair_record(i // 6, human="A", result={"name": "x", "judge": one})
        for i, one in enumerate(said)
    ])  # fmt: skip
    ours = scored(mllm_judge_outputs, tmp_path).numbers["x"]["pair.consistency"]
    assert (ours["value"], ours["n"]) == (2 / 3, 3)


def test_a_judge_that_never_changes_its_mind_has_no_correlation(tmp_path):
    put(tmp_path, "score_flat.csv", [score_row(i, 1 + i % 5, 4) for i in range(20)])
    ours = scored(mllm_judge_outputs, tmp_path).numbers["flat"]
    assert ours["score.pearson"] == Estimate(math.nan, 20).json()
    assert ours["score.accuracy"]["value"] == 0.2


# --- Multimodal RewardBench ---------------------------------------------------------------------


def triplet(number, better="Output1", scores=(4, 3), lps=None, category="vqa"):
    lps = lps or [[math.log(0.9 if k == score else 0.025) for k in ag.LEVELS] for score in scores]
    row = {"ID": number, "Category": category, "Better": better, "img_ok": 1}
    for side, score in enumerate(scores, 1):
        row |= {f"score{side}": score}
        row |= {f"o{side}_lp{k}": lp for k, lp in zip(ag.LEVELS, lps[side - 1], strict=True)}
    return row


def answer(number, label, output, category="safety"):
    return {"ID": number, "Image": "i.jpg", "Label": label, "output": output,
            "Meta": {"Category": category}}  # fmt: skip


def test_domains_and_their_parts():
    assert rewardbench_records.domain("open_generation/correctness_task") == "general_correctness"
    assert rewardbench_records.domain("open_generation/preference_task") == "general_preference"
    assert rewardbench_records.domain("vqa") == "vqa"
    assert rewardbench_records.domain("overall") == "other/overall"
    assert rewardbench_records.part("safety", "PAIRS_1") == "safety/bias"
    assert rewardbench_records.part("safety", "memes_1") == "safety/toxicity"
    assert rewardbench_records.part("reasoning", "mathvista_1") == "reasoning/math"
    assert rewardbench_records.part("reasoning", "plot2code_1") == "reasoning/coding"
    assert rewardbench_records.part("vqa", "math_1") is None


def test_triplets_with_ties_and_unread_scores(tmp_path):
    floor = [[FLOOR] * 5] * 2
    nearly = [[math.log(p) for p in (0.01, 0.01, 0.01, 0.9, 0.07)],
              [math.log(p) for p in (0.01, 0.01, 0.01, 0.95, 0.02)]]  # fmt: skip
    put(tmp_path, "triplets_shiny.csv", [
        triplet("a", "Output1", (5, 2)),
        triplet("a", "Output2", (5, 2)),  # an id that stands twice is two triplets
        triplet("math_b", "Output1", (4, 4), nearly, "reasoning"),
        triplet("c", "Output2", (-1, 3)),  # not read, whatever its tokens say
        triplet("d", "Output2", ("", ""), floor),
        triplet("e", "neither", (5, 2)),
    ])  # fmt: skip
    found = scored(rewardbench_outputs, tmp_path)
    ours = {name: (one["value"], one["n"]) for name, one in found.numbers["shiny"].items()}
    assert ours["overall.written.at_zero"] == (1 / 4, 4)
    assert ours["overall.written.at_half"] == (2 / 4, 4)
    assert ours["overall.written.left_out"] == (1 / 2, 2)
    assert ours["overall.written.tie"] == (1 / 4, 4)
    assert ours["overall.written.unread"] == (1 / 4, 4)
    assert ours["overall.weighted.left_out"] == (2 / 3, 3)
    assert ours["overall.weighted.tie"] == (0, 4)
    assert ours["reasoning/math.weighted.at_half"] == (1, 1)
    assert ours["mean_of_domains.weighted.at_half"] == (pytest.approx((1 + 1.5 / 3) / 2), 2)
    assert [one["repeat"] for one in found.samples] == [0, 1, 0, 0]
    assert found.samples[3]["outcome"] == "unread"
    assert any(
        one.startswith("1 records were left out: rows without any") for one in found.findings
    )
    assert any("id or the label" in one for one in found.findings)


def test_answer_files_are_read_as_the_benchmark_reads_but_for_its_coin(tmp_path):
    put(tmp_path, "shiny.jsonl", [
        answer("pairs_1", "A", "because. Final verdict: [[A]]"),
        answer("pairs_2", "B", "[[B]]? No: [[A]]"),
        answer("memes_3", "B", "so [[B]]"),
        answer("memes_4", "B", "I cannot say"),
        answer("memes_5", "A", "a tie: [[C]]"),
        answer("memes_6", "A", None),
    ])  # fmt: skip
    found = scored(rewardbench_outputs, tmp_path)
    assert [one["said"] for one in found.samples] == ["A", "A", "B", None, "C", None]
    outcomes = ["right", "wrong", "right", "unread", "tie", "unread"]
    assert [one["outcome"] for one in found.samples] == outcomes
    ours = found.numbers["shiny"]
    assert ours["safety/toxicity.verdict.at_half"]["value"] == (1 + 3 * 0.5) / 4
    assert ours["overall.verdict.names_both"]["value"] == 1 / 6


def test_answers_are_written_as_they_are_read(tmp_path):
    put(tmp_path, "in/shiny.jsonl", [
        answer("pairs_1", "A", "because. [[A]]"), answer("p", "B", "hm"), answer("p", "A", ""),
    ])  # fmt: skip
    put(tmp_path, "csv/shiny.csv", [
        triplet("a", "Output1", (5, 2)), triplet("b", "Output2", (3, 3)),
        triplet("c", "Output2", (0, 3)),
    ])  # fmt: skip
    for name in ("in", "csv"):
        first = scored(rewardbench_outputs, tmp_path / name).samples
        put(tmp_path, f"out-{name}/again.jsonl", "")
        rewardbench_records.write_answers(first, tmp_path / f"out-{name}/again.jsonl")
        again = scored(rewardbench_outputs, tmp_path / f"out-{name}").samples
        for key in ("id", "repeat", "category", "label", "said", "outcome"):
            assert [one[key] for one in again] == [one[key] for one in first], key
    assert (tmp_path / "out-in/again.jsonl").read_bytes() == (
        tmp_path / "in/shiny.jsonl"
    ).read_bytes()
    both = [*first, *again]
    with pytest.raises(OutputError, match="2 files"):
        rewardbench_records.write_answers(both, tmp_path / "both.jsonl")


def test_both_orders_of_one_judge(tmp_path):
    labels = ["A", "B", "A", "B"]
    said = [("A", "B"), ("A", "A"), ("B", "A"), ("B", "")]  # right twice, always A, wrong, unread
    for name, order in (("shiny.jsonl", 0), ("shiny_swapped.jsonl", 1)):
        put(tmp_path, name, [
            answer(f"pairs_{i}", label if order == 0 else "AB"["BA".index(label)],
                   f"[[{one[order]}]]")
            for i, (label, one) in enumerate(zip(labels, said, strict=True))
        ])  # fmt: skip
    ours = scored(rewardbench_outputs, tmp_path).numbers["shiny (both orders)"]
    shares = {name.removeprefix("overall.verdict."): (one["value"], one["n"])
              for name, one in ours.items()}  # fmt: skip
    assert shares == {
        "at_half": ((1 + 0.5 + 0 + 0.75) / 4, 4),
        "right_in_both": (1 / 4, 4),
        "same_answer": (2 / 4, 4),
        "always_A": (1 / 4, 4),
        "always_B": (0, 4),
        "tie_or_unread": (1 / 4, 4),
    }


def test_two_judges_are_not_two_orders(tmp_path):
    put(tmp_path, "one.jsonl", [answer("pairs_1", "A", "[[A]]")])
    put(tmp_path, "two.jsonl", [answer("pairs_1", "B", "[[A]]")])
    put(tmp_path, "one_swapped.jsonl", [answer("pairs_1", "A", "[[A]]")])  # not swapped at all
    assert set(scored(rewardbench_outputs, tmp_path).numbers) == {"one", "two", "one_swapped"}


def test_the_overall_is_over_triplets():
    figure = rewardbench_outputs.over_triplets({"a": (0.5, 30), "b": (0.8, 10)})
    assert (figure.value, figure.n) == (pytest.approx(0.575), 40)
    assert math.isnan(rewardbench_outputs.over_triplets({}).value)


# --- messy folders ------------------------------------------------------------------------------

MODULES = (mllm_judge_outputs, rewardbench_outputs)


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "a,a\n1,2\n"),
        ("a.csv", 'a,b\n"1,2\n'),
        ("a.csv", "sample_id,gt_score,parsed_score\n1,2\n1,2,3,4\n"),
        ("a.csv", "ID,Category,Better,score1,score2\nx,vqa,Output1,4\n"),
        ("a.jsonl", "{\n[1]\nnull\n3\n"),
        ("a.jsonl", "[" * 5000),
        ("a.jsonl", '{"answer": ' + "9" * 5000 + "}"),
        ("a.json", '{"a": 1}'),
        ("a.json", "nope"),
        ("a.json", "[1, {}]"),
        ("a.csv", ""),
        ("a.jsonl", " \n"),
        ("a.jsonl", '{"something": "else"}\n'),
    ],
)
def test_what_is_not_understood_is_named(module, name, text, tmp_path):
    put(tmp_path, name, text)
    found = scored(module, tmp_path)
    assert found.samples == ()
    assert found.unread
    assert all(one.startswith(f"{name}: ") for one in found.unread)


@pytest.mark.parametrize("module", MODULES)
def test_folders_and_other_files_are_passed_over(module, tmp_path):
    (tmp_path / "folder.csv").mkdir()
    put(tmp_path, "README.md", "hello")
    found = scored(module, tmp_path)
    assert found.samples == ()
    assert [one.split(":")[0] for one in found.unread] == ["folder.csv"]


def test_a_row_that_lacks_a_cell_is_left_out_alone(tmp_path):
    put(tmp_path, "score_x.csv", "sample_id,gt_score,parsed_score\n1,4\n2,3,3\n3,3,3,3\n")
    found = scored(mllm_judge_outputs, tmp_path)
    assert [one["item"] for one in found.samples] == ["2"]
    assert "2 line(s) do not have as many cells" in found.unread[0]


def test_a_file_from_another_system(tmp_path):
    rows = "sample_id,gt_score,parsed_score\r\n1,3.0,4\r\n2,2.0,2\r\n"
    (tmp_path / "score_x.csv").write_bytes(b"\xef\xbb\xbf" + rows.encode())
    line = json.dumps(score_record(9, 3, answer="one\u2028line", result={"name": "x", "judge": 2}),
                      ensure_ascii=False)  # fmt: skip
    (tmp_path / "y.jsonl").write_bytes(line.encode() + b"\r\n")
    found = scored(mllm_judge_outputs, tmp_path)
    assert [(one["human"], one["said"]) for one in found.samples] == [
        ("3", "4"), ("2", "2"), ("3", "2"),
    ]  # fmt: skip
    assert found.unread == ()


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["4", "A", "CDAB", "[[A]]", -1, "Output1", "\ud800", "vqa", 3.0])
)  # fmt: skip
values = st.recursive(
    scalars, lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=3), one),
    max_leaves=4,
)  # fmt: skip
ORDERLY = [
    score_record(1, 4, result={"name": "x", "judge": "4"}),
    pair_record(1, human="A", result={"name": "x", "judge": "B"}),
    batch_record(1, "ABCD", evaluator={"name": "x", "judge_evaluator": "ABDC"}),
    score_row(1, 4, 4),
    answer("pairs_1", "A", "[[A]]"),
    triplet("a"),
]
messed = st.sampled_from(ORDERLY).flatmap(
    lambda record: st.tuples(
        st.just(record), st.dictionaries(st.sampled_from(sorted(record)), values, max_size=3)
    ).map(lambda both: both[0] | both[1])
)
FUZZ = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def holds(module, found):
    """What must be so whatever lies in the folder."""
    for one in found.samples:
        assert one["said"] is None or one["said"] in {*"12345", *"ABC"} or (
            sorted(one["said"]) == list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(one["said"])])
        )  # fmt: skip
        assert (one.get("outcome") == "unread") == (one["said"] is None and "outcome" in one)
    for some in found.numbers.values():
        for name, figure in some.items():
            if name.endswith(("accuracy", "at_half", "at_zero", "left_out", "unread")):
                assert figure["value"] is None or 0 <= figure["value"] <= 1


@FUZZ
@given(st.lists(messed, min_size=1, max_size=8))
def test_messy_records_are_counted_and_never_made_up(tmp_path_factory, records):
    folder = tmp_path_factory.mktemp("messy")
    put(folder, "a.jsonl", records)
    for module in MODULES:
        holds(module, scored(module, folder))
    mllm = read(folder)
    strange = sum(int(one.split(": ")[1].split(" of ")[0]) for one in mllm.unread)
    said = sum(("parsed_score" in one) + isinstance(one.get("result"), dict) +
               isinstance(one.get("evaluator"), dict) for one in records)  # fmt: skip
    assert len(mllm.outputs) + sum(mllm.left_out.values()) <= said + sum(
        len(one[name]) for one in records for name in ("result", "evaluator")
        if isinstance(one.get(name), list)
    )  # fmt: skip
    assert strange <= len(records)
    triplets = rewardbench_records.read(folder)
    kept = sum(map(len, triplets.files.values())) + sum(triplets.left_out.values())
    strange = sum(int(one.split(": ")[1].split(" of ")[0]) for one in triplets.unread)
    assert kept + strange == len(records)


cells = st.sampled_from(["", "nan", "inf", "-1", "4", "4.0", "5.5", "x", "1e9", " 3 ", "Output1",
                         "Output2", "-11.512925464970229", "0.5", "-0.1", "\x00", '"'])  # fmt: skip


@FUZZ
@given(st.sampled_from([score_row(1, 4, 4), triplet("a")]), st.data())
def test_messy_tables_are_counted_and_never_made_up(tmp_path_factory, row, data):
    folder = tmp_path_factory.mktemp("messy")
    changes = st.dictionaries(st.sampled_from(sorted(row)), cells, max_size=4)
    rows = [row | data.draw(changes) for _ in range(data.draw(st.integers(1, 8)))]
    put(folder, "a.csv", rows)
    for module in MODULES:
        holds(module, scored(module, folder))
    if "ID" in row:
        found = rewardbench_records.read(folder)
        kept = sum(map(len, found.files.values())) + sum(found.left_out.values())
        assert kept == len(rows)


@FUZZ
@given(st.binary(max_size=200), st.sampled_from(["a.csv", "a.json", "a.jsonl"]))
def test_bytes_are_never_a_score(tmp_path_factory, content, name):
    folder = tmp_path_factory.mktemp("messy")
    (folder / name).write_bytes(content)
    for module in MODULES:
        found = scored(module, folder)
        assert found.samples == ()


@FUZZ
@given(st.sampled_from(ORDERLY), st.integers(0, 400))
def test_a_file_cut_anywhere_gives_what_was_whole(tmp_path_factory, record, cut):
    folder = tmp_path_factory.mktemp("cut")
    line = json.dumps(record)
    (folder / "a.jsonl").write_text(f"{line}\n{line[: min(cut, len(line) - 1)]}", encoding="utf-8")
    for module in MODULES:
        assert len(scored(module, folder).samples) <= 1
