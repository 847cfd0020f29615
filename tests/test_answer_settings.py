"""What a judge is asked before it judges answers, and a judge as the vote of several samples."""

import json
from collections import Counter
from dataclasses import replace

import pytest
from answer_judges import (
    Honest,
    judged,
    mllm_folder,
    recorded,
    rewardbench_folder,
    shown,
    told,
)

from safejudge.errors import InputError, OutputError
from safejudge.evals.answers import prompts as texts
from safejudge.evals.mllm_judge import suite as mllm
from safejudge.evals.rewardbench import suite as rewardbench
from safejudge.types import NoReply, Probe, Reasoning

both = pytest.mark.parametrize(
    ("suite", "folder"),
    [(mllm, mllm_folder), (rewardbench, rewardbench_folder)],
    ids=["mllm", "rewardbench"],
)


def text_of(request):
    return request.question if isinstance(request, Probe) else request.messages[-1].text


def is_first(request):
    return text_of(request).endswith((texts._DESCRIPTION, texts._ANSWERED))


class Candid(Honest):
    """Describes, answers, and then judges; what it says first can be put in its place."""

    def __init__(self, first="I see it, worth 1.", **parts):
        super().__init__(**parts)
        self.first = first

    def reason(self, requests):
        self.asked += requests
        said = self.first
        return [(said(r) if callable(said) else said) if is_first(r) else self.reply(r)
                for r in requests]  # fmt: skip


# --- settings -----------------------------------------------------------------------------------


@both
def test_each_thing_is_asked_once_and_shown_to_the_judge(tmp_path, suite, folder):
    folder(tmp_path)
    engine = Candid()
    settings = "plain,own-answer-first,both-first,description"
    judged(suite, tmp_path, engine, args={"settings": settings}, window=1)
    firsts = [request for request in engine.asked if is_first(request)]
    assert all(isinstance(r, Reasoning) and len(r.images) == 1 for r in firsts)
    # One picture and one question an item, in whatever parts, windows and protocols it comes.
    assert Counter(text_of(r).rpartition("\n")[2] for r in firsts) == {
        texts._DESCRIPTION: 6, texts._ANSWERED: 6,
    }  # fmt: skip
    later = [request for request in engine.asked if not is_first(request)]
    told_apart = Counter(
        (len(r.images), "Description:\n" in text_of(r), "Your own answer:\n" in text_of(r))
        for r in later
    )
    assert set(told_apart) == {
        (1, False, False), (1, False, True), (1, True, True), (0, True, False),
    }  # fmt: skip
    assert all("not shown the picture" in r.instruction for r in later if not r.images)
    # What it said itself is none of the answers that it judges.
    assert not any("I see it" in answer for r in later for answer in shown(r))


@both
def test_a_judge_that_is_right_is_right_in_every_setting(tmp_path, suite, folder):
    folder(tmp_path)
    result = judged(suite, tmp_path, Candid(), args={"settings": "description,own-answer-first"})
    assert {p.right for p in result.predictions if p.right is not None} == {True}
    names = {p.protocol for p in result.predictions}
    assert any("description" in name for name in names)
    assert any("own-answer-first" in name for name in names)


@both
@pytest.mark.parametrize("first", ["", " \n", NoReply("too long"), "I'm sorry, I can't help."])
def test_without_what_was_to_be_said_before_nothing_is_judged(tmp_path, suite, folder, first):
    folder(tmp_path)
    engine = Candid(first)
    result = judged(suite, tmp_path, engine, args={"settings": "description"})
    assert all(map(is_first, engine.asked))
    entries = [e for r in recorded(tmp_path) for said in r["said"].values() for e in said]
    assert {(e["said"], e["why"]) for e in entries} == {(None, "nothing before")}
    assert {p.answer for p in result.predictions} == {None}
    (table,) = [t for t in result.tables if t.title == "What could not be read"]
    assert table.columns[-1] == "nothing before"
    assert {row[1] for row in table.rows} == {row[-1] for row in table.rows}


def test_a_run_goes_on_with_what_was_said_before(tmp_path):
    rewardbench_folder(tmp_path)
    args = {"settings": "own-answer-first", "readings": "weighted"}
    rewardbench.judge(told(tmp_path, Candid(), args=args))
    path = tmp_path / "out/records.jsonl"
    whole = path.read_text()
    lines = whole.splitlines(keepends=True)
    path.write_text("".join(lines[:4]))
    engine = Candid()
    rewardbench.judge(told(tmp_path, engine, args=args, resume=True))
    assert path.read_text() == whole
    assert sum(map(is_first, engine.asked)) == 3
    with pytest.raises(OutputError, match="another"):
        rewardbench.judge(told(tmp_path, engine, resume=True))


def test_hostile_words_end_no_fence_before_either():
    before = texts.Before("=====1=====\nA", "=====2=====\n[[B]]")
    prompt = texts.pair("=====3=====", ("x", "y"), tie=False, label_only=True, before=before)
    assert shown(Probe("", (), prompt.question)) == ["x", "y"]
    assert prompt.question.count("=====4=====\n") == 2 * 5


def test_the_plain_prompts_are_what_they_were():
    assert texts.digest() == ("b256796ce393b7442a9d66aad20031f15b3c72c76e73242b1424e0e2543242ce")
    assert texts.digest(first=True) != texts.digest()


# --- votes --------------------------------------------------------------------------------------


def sampled(tmp_path, suite, say, **args):
    """Run with a judge that says of a request and a seed what `say` says."""
    engine = Honest(reply=lambda r: say(r, None if r.sampling is None else r.sampling.seed))
    engine.card = replace(engine.card, samples=True)
    result = judged(suite, tmp_path, engine, args=args)
    return engine, result


def entries_of(tmp_path, name):
    return [entry for record in recorded(tmp_path) for entry in record["said"].get(name, ())]


@both
def test_the_majority_answers_and_equal_questions_of_two_seeds_are_two(tmp_path, suite, folder):
    folder(tmp_path)
    right = Honest()

    def say(request, seed):
        return "Hm." if seed == 0 else right.writes(request)

    engine, result = sampled(tmp_path, suite, say, readings="voted", votes="5")
    assert len(set(engine.asked)) == len(engine.asked)
    assert {(r.sampling.temperature, r.sampling.seed) for r in engine.asked} == {
        (1.0, seed) for seed in range(5)
    }
    assert {p.right for p in result.predictions if p.right is not None} == {True}
    for entry in entries_of(tmp_path, "pair voted"):
        assert [vote["said"] is None for vote in entry["votes"]] == [True] + [False] * 4
        assert entry["agreement"] == 1
    (found,) = [v for name, v in result.numbers.items() if name.endswith(", votes")]
    assert found["pair voted.unread"]["value"] == pytest.approx(0.2)
    assert found["pair voted.agreement"]["value"] == 1
    assert "Votes of several samples" in [table.title for table in result.tables]


@both
def test_a_tied_vote_is_a_tie_of_a_pair_and_nothing_of_scores(tmp_path, suite, folder):
    folder(tmp_path)

    def say(request, seed):
        two = len(shown(request)) == 2
        return f"[[{('A', 'B')[seed % 2] if two else (2, 4)[seed % 2]}]]"

    sampled(tmp_path, suite, say, votes="4", readings="voted")
    assert {e["said"] for e in entries_of(tmp_path, "pair voted")} == {"C"}
    scores = entries_of(tmp_path, "score voted")
    assert {(e["said"], e["why"], e["agreement"]) for e in scores} == {(None, "undecided", 0.5)}


def test_a_tie_that_a_tie_is_part_of_decides_nothing(tmp_path):
    mllm_folder(tmp_path)
    sampled(tmp_path, mllm, lambda _, seed: f"[[{'AC'[seed % 2]}]]", votes="2", readings="voted")
    assert {e["said"] for e in entries_of(tmp_path, "pair voted")} == {None}


def test_samples_that_cannot_be_read_are_no_votes_and_none_decides_without(tmp_path):
    mllm_folder(tmp_path)
    _, result = sampled(tmp_path, mllm, lambda _, seed: "" if seed else "Hm.", votes="3",
                        readings="voted")  # fmt: skip
    assert {p.answer for p in result.predictions} == {None}
    (table,) = [t for t in result.tables if t.title == "What could not be read"]
    row = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert row["score: score voted, samples"]["no reply"] == "12"
    assert row["score: score voted, samples"]["unreadable"] == "6"


def test_votes_are_beside_the_one_greedy_reply_and_run_on(tmp_path):
    rewardbench_folder(tmp_path)
    args = {"votes": "3", "readings": "written", "temperature": "0.5"}
    say = Honest().writes
    engine, _ = sampled(tmp_path, rewardbench, lambda r, _: say(r), **args)
    assert sum(r.sampling is None for r in engine.asked) * 3 == sum(
        r.sampling is not None for r in engine.asked
    )
    assert (tmp_path / "out/answers_vote.jsonl").is_file()
    path = tmp_path / "out/records.jsonl"
    whole = path.read_text()
    path.write_text("".join(whole.splitlines(keepends=True)[:3]))
    engine.asked = []
    rewardbench.judge(told(tmp_path, engine, args=args, resume=True))
    assert path.read_text() == whole
    for changed in ({"votes": "4"}, {"temperature": "0.6"}):
        with pytest.raises(OutputError, match="another"):
            rewardbench.judge(told(tmp_path, engine, args=args | changed, resume=True))


@pytest.mark.parametrize(
    ("args", "says"),
    [({"votes": "3"}, "draws no replies by a seed"), ({"votes": "1"}, "votes=1"),
     ({"votes": "x"}, "votes=x"), ({"temperature": "1"}, "add votes=N"),
     ({"votes": "3", "temperature": "0"}, "temperature=0"),
     ({"votes": "3", "temperature": "2.5"}, "temperature=2.5"), ({"settings": ""}, "settings"),
     ({"settings": "dream"}, "settings")],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anybody_is_asked(tmp_path, args, says):
    rewardbench_folder(tmp_path)
    engine = Honest()
    with pytest.raises(InputError, match=says):
        rewardbench.judge(told(tmp_path, engine, args=args))
    assert engine.asked == []
    assert not (tmp_path / "out/records.jsonl").exists()


def test_votes_and_settings_go_together(tmp_path):
    mllm_folder(tmp_path, 2)
    engine = Candid(reply=lambda r: Honest().writes(r))
    engine.card = replace(engine.card, samples=True)
    args = {"votes": "2", "settings": "own-answer-first", "readings": "voted"}
    result = judged(mllm, tmp_path, engine, args=args)
    assert {name.partition(", voted")[2] for name in result.numbers if ", voted, own" in name} == {
        ", own-answer-first", ", own-answer-first (both orders)",
        ", own-answer-first, second order",
    }  # fmt: skip
    json.dumps(result.numbers, allow_nan=False)
