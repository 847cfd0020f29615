"""`safejudge mine` and `rerank`: whole runs with made-up models, resumed ones, and bad input."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from safejudge.cli import app as cli
from safejudge.engines.fake import FakeEncoder, FakeEngine
from safejudge.engines.models import Models
from safejudge.errors import EngineCallError, InputError, OutputError
from safejudge.evals.retrieval.score import from_outputs
from safejudge.matching.pool import read_pool, similarities
from safejudge.matching.prompts import RANK
from safejudge.matching.run import Task, mine, rerank
from safejudge.policy import Policy
from safejudge.types import NoReply

TEXTS = [f"thing {n}" for n in range(6)]


def shade(picture):
    """Which picture it is: they differ in their grey."""
    return int(picture.pixels[0, 0, 0]) // 20


def number(text):
    return int(text.split()[-1])


def nearness(request):
    """Neighbours are alike, and everything before more than everything after."""
    return (
        0.9
        - 0.1 * abs(shade(request.picture) - number(request.text))
        - 0.001 * number(request.text)
    )


def meets(probe):
    """Equal numbers meet; the next one does by half."""
    away = abs(shade(probe.images[0]) - number(probe.question))
    return {0: 0.9, 1: 0.895, 2: 0.3}.get(away, 0.05)


@pytest.fixture
def pairs(tmp_path):
    for n in range(6):
        Image.fromarray(np.full((8, 8, 3), 20 * n, np.uint8)).save(tmp_path / f"{n}.png")
    rows = [{"image": f"{n}.png", "text": text} for n, text in enumerate(TEXTS)]
    return written(tmp_path, rows)


def written(folder, rows):
    file = folder / "pairs.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return file


def task(file, out="out.jsonl", query="image", script=meets, replies=None, **fields):
    engine = FakeEngine(script, replies=replies)
    models = Models(engine, FakeEncoder(nearness))
    return Task(read_pool(file, query), models, Policy(), file.parent / out, **fields)


def records(task):
    head, *rows = map(json.loads, task.out.read_text(encoding="utf-8").splitlines())
    assert head["provenance"]["encoder"]["uri"] == "fake:encoder"
    return {row["image"]: row for row in rows}


# --- mining ---------------------------------------------------------------------------------------


def test_negatives_are_near_and_do_not_meet_the_query(pairs):
    run = task(pairs)
    mine(run)
    row = records(run)["2.png"]
    assert (row["label"], row["query_image"], row["pos_text"]) == ("mined", "2.png", "thing 2")
    assert row["query_pos_scores"] == 0.9
    # The two beside it score within the margin, and are no negatives; the others repeat.
    names = [text for text, image in row["hard_negatives"] if not image]
    assert names == ["thing 0", "thing 4", "thing 5"] * 3 + ["thing 0"]
    assert (row["near"], row["kept"], row["padded"]) == (5, 3, 7)
    assert row["hard_negatives_scores"][:3] == [0.3, 0.3, 0.05]
    found = from_outputs(pairs.parent).numbers["out"]
    figure = found["soft.positive_on_top"]
    assert (figure["value"], figure["n"]) == (1, 6)


def test_a_text_may_be_the_query(pairs):
    run = task(pairs, query="text")
    mine(run)
    row = records(run)["thing 2"]
    assert (row["query_text"], row["pos_image"]) == ("thing 2", "2.png")
    assert row["hard_negatives"][0] == ["", "0.png"]


def test_what_is_right_too_is_no_negative(pairs):
    rows = [{"image": "2.png", "text": text} for text in TEXTS[:3]] + [
        {"image": "5.png", "text": text} for text in TEXTS[3:]
    ]
    run = task(written(pairs.parent, rows))
    mine(run)
    assert {text for text, _ in records(run)["5.png"]["hard_negatives"]} <= {*TEXTS[:3]}


def test_what_is_too_near_is_the_positive_again(pairs):
    run = task(pairs)
    mine(run, delta=0.65)
    row = records(run)["0.png"]
    assert row["near"] == 3
    assert {text for text, _ in row["hard_negatives"]} == {"thing 3", "thing 4", "thing 5"}


def test_where_nothing_stays_there_is_nothing_and_it_says_why(pairs):
    run = task(pairs, script=lambda _: 0.9)
    mine(run)
    row = records(run)["2.png"]
    assert (row["label"], row["hard_negatives"]) == ("none", [])
    assert row["why"] == "no candidate near it scores below the positive"


def test_a_run_that_was_stopped_goes_on_and_asks_nothing_twice(pairs):
    asked = []

    def script(probe):
        if len(asked) == 14:
            raise EngineCallError("gone")
        asked.append(probe)
        return meets(probe)

    with pytest.raises(EngineCallError):
        mine(task(pairs, script=script, window=2))
    later = task(pairs, window=2, resume=True)
    mine(later)
    assert len(records(later)) == 6
    shown = {shade(p.images[0]) for wave in later.models.engine.history for p in wave}
    assert shown == {2, 3, 4, 5}
    whole = task(pairs, "whole.jsonl")
    mine(whole)
    assert records(later) == records(whole)
    with pytest.raises(OutputError, match="exists already"):
        mine(task(pairs))


def test_what_was_not_read_is_told_and_asked_again(pairs):
    def silent(probe):
        return float("nan") if number(probe.question) == 4 else meets(probe)

    run = task(pairs, script=silent)
    mine(run)
    rows = records(run)
    assert all([*row["unread"]] == ["thing 4"] for row in rows.values())
    assert rows["4.png"]["why"] == "the positive has no score"
    assert all("thing 4" not in [t for t, _ in row["hard_negatives"]] for row in rows.values())
    again = task(pairs, resume=True)
    mine(again)
    assert not any(row["unread"] for row in records(again).values())


def test_another_picture_under_the_same_name_is_another_run(pairs):
    mine(task(pairs))
    Image.fromarray(np.full((8, 8, 3), 77, np.uint8)).save(pairs.parent / "3.png")
    with pytest.raises(OutputError, match="data"):
        mine(task(pairs, resume=True))


def test_a_picture_that_cannot_be_read_is_an_error_and_nobodys_candidate(pairs):
    (pairs.parent / "3.png").write_bytes(b"no picture")
    for query, name in (("image", "3.png"), ("text", "thing 3")):
        run = task(pairs, f"{query}.jsonl", query=query)
        mine(run)
        row = records(run)[name]
        assert row["hard_negatives"] == []
        assert ("error" in row) == (query == "image")
        others = [row for key, row in records(run).items() if key != name]
        assert all(["", "3.png"] not in row["hard_negatives"] for row in others)
        assert {row["without_similarity"] for row in others} == {0 if query == "image" else 1}


def test_similarities_have_no_number_for_what_was_not_compared(pairs):
    run = task(pairs)
    run.models.encoder = FakeEncoder(nearness, longest=6)
    assert np.isnan(similarities(run.pool, run.models, run.policy)).all()
    run.models.encoder = None
    with pytest.raises(InputError, match="--encoder"):
        similarities(run.pool, run.models, run.policy)


# --- reranking ------------------------------------------------------------------------------------


def test_reranking_by_scores(pairs):
    run = task(pairs)
    rerank(run)
    row = records(run)["3.png"]
    assert row["nearest"][:2] == ["thing 3", "thing 2"]
    assert (row["answer"], row["right"], row["candidates"]) == (1, [1], 6)
    assert row["order"][0] == "thing 3"
    found = from_outputs(pairs.parent).numbers["out"]
    assert (found["rerank.right"]["value"], found["rerank.nearest_right"]["value"]) == (1, 1)


def test_reranking_by_choice(pairs):
    replies = iter(
        ["Ans: (2)", "Ans: (1) or (2)", "(1)", "Ans: (9)", "Ans: (1)", NoReply("too long")]
    )
    asked = []

    class Reranker(FakeEngine):
        def reason(self, requests):
            asked.extend(requests)
            return [next(replies) for _ in requests]

    run = task(pairs)
    run.models.engine = Reranker()
    rerank(run, "choice")
    rows = list(records(run).values())
    assert {request.instruction for request in asked} == {RANK}
    assert asked[0].messages[0].text.split("\n")[:2] == ["Query: picture 1", "(1) thing 0"]
    assert [row["choice"] for row in rows] == [2, None, None, None, 1, None]
    assert [row["why"] for row in rows][1:4] == ["two answers", "no answer", "not a candidate"]
    assert rows[0]["order"][:2] == ["thing 1", "thing 0"]
    assert rows[1]["order"] == rows[1]["nearest"]
    assert rows[5]["unread"] == ["too long"]
    found = from_outputs(pairs.parent).numbers["out"]
    figure = found["rerank.right"]
    assert (figure["value"], figure["n"]) == (pytest.approx(1 / 6), 6)


def test_a_query_that_cannot_be_shown_counts_as_not_right(pairs):
    (pairs.parent / "3.png").write_bytes(b"no picture")
    for by in ("scores", "choice"):
        run = task(pairs, f"{by}.jsonl", replies=lambda _: "Ans: (1)")
        rerank(run, by)
        assert records(run)["3.png"]["error"]["reason"] == "unreadable"
        found = from_outputs(pairs.parent).numbers[by]
        assert found["rerank.right"]["n"] == 6
        assert found["rerank.right"]["value"] == pytest.approx(5 / 6)


# --- files and the commands -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"image": "0.png"}, "write one"),
        ({"image": "0.png", "text": " "}, "`text` is no text"),
        ({"image": 3, "text": "x"}, "`image` is no text"),
        ({"image": "../0.png", "text": "x"}, "outside the folder"),
    ],
)
def test_a_file_that_cannot_be_meant_so_is_refused_by_its_line(tmp_path, row, says):
    with pytest.raises(InputError, match=rf"pairs.jsonl:1: .*{says}"):
        read_pool(written(tmp_path, [row]), "image")


def test_an_empty_file_holds_no_pairs(tmp_path):
    (tmp_path / "pairs.csv").write_text("image,text\n")
    with pytest.raises(InputError, match="holds no pairs"):
        read_pool(tmp_path / "pairs.csv", "image")


@pytest.mark.parametrize("command", ["mine", "rerank"])
def test_the_commands(pairs, monkeypatch, capsys, command):
    scripts = [meets, lambda p: float("nan") if number(p.question) == 4 else meets(p)]

    def opened(engine, encoder, *_):
        assert (engine, encoder) == ("fake:", "hf:clip")
        return Models(FakeEngine(scripts.pop()), FakeEncoder(nearness))

    monkeypatch.setattr(Models, "opened", staticmethod(opened))
    out = pairs.parent / "out.jsonl"
    line = [command, "--queries", str(pairs), "--encoder", "hf:clip", "--engine", "fake:",
            "--out", str(out)]  # fmt: skip
    assert cli.main([*line, "--limit", "5"]) == 4
    assert "5 answers not read; the first: " in capsys.readouterr().out
    assert cli.main([*line, "--resume"]) == 0
    assert f"queries {'mined' if command == 'mine' else 'ranked'}: 6" in capsys.readouterr().out
    assert cli.main(line) == 2
    assert "exists already" in capsys.readouterr().err


def test_no_encoder_is_assumed(pairs, capsys):
    out = str(pairs.parent / "out.jsonl")
    code = cli.main(["mine", "--queries", str(pairs), "--engine", "fake:", "--out", out])
    assert code == 2
    assert "no encoder is assumed" in capsys.readouterr().err
    assert not Path(out).exists()


def test_half_a_sign_in_a_text_or_a_name_ends_no_run(pairs, monkeypatch, capsys):
    rows = [json.loads(line) for line in pairs.read_text(encoding="utf-8").splitlines()]
    rows += [
        {"image": "0.png", "text": "thing 7 \ud83d"},
        {"image": "\udc80.png", "text": "thing 1"},
    ]
    written(pairs.parent, rows)
    pool = read_pool(pairs, "image")
    assert all(text == text.encode("utf-8").decode() for text in pool.texts)

    def opened(*_):
        return Models(FakeEngine(lambda _: 0.5), FakeEncoder(lambda _: 0.5))

    monkeypatch.setattr(Models, "opened", staticmethod(opened))
    line = ["rerank", "--queries", str(pairs), "--encoder", "hf:clip", "--engine", "fake:",
            "--out", str(pairs.parent / "out.jsonl")]  # fmt: skip
    assert cli.main(line) == 4
    said = capsys.readouterr().out
    assert "queries ranked: 6" in said
    assert "1 not asked about: " in said


@pytest.mark.parametrize("below", ["nan", "-1", "x"])
def test_a_similarity_that_leaves_no_candidate_is_refused(pairs, capsys, below):
    line = ["mine", "--queries", str(pairs), "--engine", "fake:", "--out", "out.jsonl"]
    assert cli.main([*line, f"--below={below}"]) == 2
    assert "is no cosine above -1" in capsys.readouterr().err
