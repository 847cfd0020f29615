"""MLLM-as-a-Judge: answers beside a picture scored, compared and ranked as people did.

Name: mllm-as-a-judge
Data: the benchmark's records, in any files below a folder, and their pictures
Licence: its page on the Hugging Face hub says MIT, arXiv 2604.25235 says CC-BY-NC
Paper: MLLM-as-a-Judge, arXiv 2402.04788

Judged live by any engine, or scored from outputs that somebody's judges left; both come to the same
tables.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from safejudge.evals import harness, recorded
from safejudge.evals.answers import longer, protocols, votes
from safejudge.evals.answers import run as answer_run
from safejudge.evals.answers.args import arguments
from safejudge.evals.mllm_judge.records import Output, Recorded, Sample, sample_of
from safejudge.evals.mllm_judge.score import from_outputs, score
from safejudge.evals.stats import agreement, order_bias
from safejudge.evals.stats.intervals import share_of
from safejudge.evals.suite import Suite, scored_one_way
from safejudge.show.figures import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from safejudge.evals.answers.args import Args
    from safejudge.evals.answers.protocols import Protocol
    from safejudge.evals.mllm_judge.figures import Estimates
    from safejudge.evals.suite import EvalResult, Run
    from safejudge.policy import Policy
    from safejudge.types import JSON

NAME = "mllm-as-a-judge"
SECOND = ", second order"
"""Stands behind a judge's name where it saw the two answers of a pair the other way round."""


def judge(run: Run) -> JSON:
    """Judge every sample that has no record yet."""
    args = arguments(run.args)
    folder = answer_run.folder_of(run, NAME, "the records of scores, pairs or rankings")
    data = answer_run.gather(folder, _live_sample, "scores, pairs or rankings", run.splits)
    chosen = partial(_protocols, args=args, policy=run.policy)
    return answer_run.judge_samples(run, NAME, data, chosen, args)


def _live_sample(record: JSON) -> protocols.Sample | str | None:
    sample = sample_of(record)
    if sample is None:
        return None
    question = recorded.word(record.get("instruction"))
    if not sample.human:
        return "people's answer is missing or unreadable"
    if not question or not sample.answers:
        return "the question or an answer is missing"
    if sample.kind == "batch" and len(sample.answers) < 2:
        return "a ranking of a single answer"
    facts = {
        "kind": sample.kind, "task": sample.task, "question": question,
        "authors": list(sample.authors), "texts": list(sample.answers),
    }  # fmt: skip
    key, image = f"{sample.kind}/{sample.key}", recorded.word(record.get("image_path"))
    return protocols.Sample(key, sample.kind, image, question, sample.answers, sample.human, facts)


def _protocols(sample: protocols.Sample, args: Args, policy: Policy) -> list[Protocol]:
    if sample.part == "score":
        return args.protocols(lambda reading: protocols.scoring(reading, policy))
    if sample.part == "pair":
        return args.protocols(lambda reading: protocols.comparing(reading, policy, tie=True))
    by_reading = {
        "written": protocols.ranking(),
        "weighted": protocols.scoring("weighted", policy),
    }
    return args.protocols(by_reading.__getitem__)


# --- records -> tables --------------------------------------------------------------------------


def report(out: Path) -> EvalResult:
    """Make the tables of a folder that `judge` wrote. Raises `InputError`."""
    judged = answer_run.read_run(out)
    samples = [_sample(record) for record in judged.records]
    outputs = [
        output
        for record, sample in zip(judged.records, samples, strict=True)
        for output in _outputs(judged.model, record, sample)
    ]
    result = score(Recorded(tuple(samples), tuple(outputs), dict(judged.left_out), judged.unread))
    orders = {judge: _orders(pairs) for judge, pairs in _in_both_orders(outputs).items()}
    lines = [
        f"{judge}: the same answer in both orders {estimates['pair.same_answer'].text()}."
        for judge, estimates in orders.items()
    ]
    numbers = {
        f"{judge} (both orders)": {name: value.json() for name, value in estimates.items()}
        for judge, estimates in orders.items()
    }
    unread = answer_run.unread_table(judged.records)
    moved = longer.moves(out)
    numbers |= longer.numbers(moved, judged.model) | votes.numbers(judged.records, judged.model)
    return replace(
        result,
        tables=(
            *result.tables,
            *_order_table(orders),
            *votes.table(judged.records),
            *longer.tables(moved),
            *unread,
        ),
        findings=(*judged.findings, *result.findings, *lines),
        coverage=judged.coverage,
        numbers=result.numbers | numbers,
    )


def _sample(record: JSON) -> Sample:
    facts = record["about"]
    kind = facts["kind"]
    return Sample(
        kind,
        record["image"].removeprefix(f"{kind}/"),
        PurePosixPath(record["picture"]).name,
        facts["task"],
        tuple(facts["authors"]),
        tuple(facts["texts"]),
        record["truth"],
    )


def _outputs(model: str, record: JSON, sample: Sample) -> Iterator[Output]:
    """What a record says, in the form of recorded outputs."""
    for name, entries in record["said"].items():
        form, *setting = name.split()
        judge = ", ".join([model, *setting])
        if sample.kind == "batch":
            scores = [entry.get("score") for entry in entries]
            order = entries[0]["said"] if form == "rank" else protocols.ranked(scores)
            yield Output(sample, judge, harness.RECORDS, order)
            continue
        for entry in entries:
            turned = entry.get("order", "AB") != "AB"
            logprobs, letters = entry.get("logprobs"), entry.get("p")
            yield Output(
                _turned(sample) if turned else sample,
                f"{judge}{SECOND}" if turned else judge,
                harness.RECORDS,
                entry["said"],
                None if logprobs is None else tuple(logprobs),
                None if letters is None else tuple(letters),
            )


def _turned(sample: Sample) -> Sample:
    """The same pair as it was shown the other way round."""
    return replace(
        sample,
        authors=sample.authors[::-1],
        answers=sample.answers[::-1],
        human=order_bias.TURNED[sample.human] or "",
    )


# --- both orders --------------------------------------------------------------------------------


def _in_both_orders(outputs: Sequence[Output]) -> dict[str, list[tuple[Output, Output]]]:
    """By judge, what it said to each pair in the one and in the other order."""
    pairs = [output for output in outputs if output.sample.kind == "pair"]
    second = {
        (output.judge.removesuffix(SECOND), output.sample.key): output
        for output in pairs
        if output.judge.endswith(SECOND)
    }
    by_judge: dict[str, list[tuple[Output, Output]]] = {}
    for output in pairs:
        key = (output.judge, output.sample.key)
        if key in second:
            by_judge.setdefault(output.judge, []).append((output, second[key]))
    return by_judge


def _orders(pairs: Sequence[tuple[Output, Output]]) -> Estimates:
    """One judge, both orders: a tie is an answer here, and right where people say so."""
    answers = [(first.answer, second.answer) for first, second in pairs]
    marks = [
        (
            agreement.mark(first.sample.human, first.answer),
            agreement.mark(second.sample.human, second.answer),
        )
        for first, second in pairs
    ]
    rights = [pair.count("right") / 2 for pair in marks]
    images = [first.sample.image or first.sample.key for first, _ in pairs]
    estimates = {"right_unread_wrong": share_of(rights, images)}
    estimates |= order_bias.estimates(answers, marks, {None}, images)
    return {f"pair.{name}": value for name, value in estimates.items()}


def _order_table(orders: Mapping[str, Estimates]) -> list[Table]:
    heads = {
        "right, unread as wrong": "right_unread_wrong", **order_bias.HEADS, "unread": "unread",
    }  # fmt: skip
    rows = []
    for judge, estimates in orders.items():
        n = estimates["pair.right_unread_wrong"].n
        cells = (estimates[f"pair.{name}"].text(n) for name in heads.values())
        rows.append((judge, str(n), *cells))
    note = "A tie is an answer of its own. `unread`: in one order at least."
    title = "Both orders of the same pairs"
    return [Table(title, ("judge", "n", *heads), tuple(rows), note)] if rows else []


SUITE = Suite(
    "MLLM-as-a-Judge (arXiv 2402.04788), from its records or from recorded outputs",
    scored_one_way(from_outputs),
    judge=judge,
    report=report,
    texts=True,
)
