"""A run of the suite `mllm-as-a-judge`: answers beside a picture scored, compared and ranked.

Any engine judges. The data are the benchmark's records (arXiv 2402.04788) in any files below a
folder, and their pictures. The tables are those of recorded outputs, made from the run's records
alone.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from safejudge.evals import harness, recorded
from safejudge.evals.answers import protocols as live
from safejudge.evals.answers import run as answer_run
from safejudge.evals.answers.protocols import Item
from safejudge.evals.mllm_judge.records import Asked, Output, Recorded, item_of
from safejudge.evals.mllm_judge.score import score
from safejudge.evals.stats import agreement as ag
from safejudge.evals.stats import order_bias as slots
from safejudge.evals.stats.intervals import estimate
from safejudge.show.figures import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from safejudge.evals.answers.protocols import Way
    from safejudge.evals.answers.run import Args
    from safejudge.evals.stats.intervals import Estimate
    from safejudge.evals.suite import EvalResult, Run
    from safejudge.policy import Policy
    from safejudge.types import JSON

SUITE = "mllm-as-a-judge"
SECOND = ", second order"
"""Stands behind a judge's name where it saw the two answers of a pair the other way round."""


def judge(run: Run) -> JSON:
    """Judge every item that has no record yet."""
    args = answer_run.arguments(run.args)
    folder = answer_run.folder_of(run, SUITE, "the records of scores, pairs or rankings")
    data = answer_run.gather(folder, _item, "scores, pairs or rankings", run.splits)
    return answer_run.judge_items(run, SUITE, data, partial(_ways, args=args, policy=run.policy))


def _item(record: JSON) -> Item | str | None:
    asked = item_of(record)
    if asked is None:
        return None
    question = recorded.word(record.get("instruction"))
    if not asked.human:
        return "people's answer is missing or unreadable"
    if not question or not asked.answers:
        return "the question or an answer is missing"
    if asked.kind == "batch" and len(asked.answers) < 2:
        return "a ranking of a single answer"
    about = {
        "kind": asked.kind, "task": asked.task, "question": question,
        "authors": list(asked.authors), "texts": list(asked.answers),
    }  # fmt: skip
    image = recorded.word(record.get("image_path"))
    return Item(f"{asked.kind}/{asked.key}", asked.kind, image, question, asked.answers,
                asked.human, about)  # fmt: skip


def _ways(item: Item, args: Args, policy: Policy) -> list[Way]:
    if item.part == "score":
        return [live.scoring(reading, policy) for reading in args.readings]
    if item.part == "pair":
        return [live.comparing(reading, policy, tie=True) for reading in args.readings]
    by = {"written": live.ranking(), "weighted": live.scoring("weighted", policy)}
    return [by[reading] for reading in args.readings]


# --- records -> tables --------------------------------------------------------------------------


def report(out: Path) -> EvalResult:
    """Make the tables of a folder that `judge` wrote. Raises `InputError`."""
    kept = answer_run.kept(out)
    asked = [_asked(record) for record in kept.judged]
    outputs = [
        output
        for record, one in zip(kept.judged, asked, strict=True)
        for output in _outputs(kept.model, record, one)
    ]
    scored = score(Recorded(tuple(asked), tuple(outputs), dict(kept.left_out), kept.unread))
    orders = {judge: _orders(pairs) for judge, pairs in _in_both_orders(outputs).items()}
    return replace(
        scored,
        tables=(*scored.tables, *_order_table(orders), *answer_run.unread_table(kept.judged)),
        findings=(
            *kept.findings,
            *scored.findings,
            *(
                f"{judge}: the same answer in both orders {some['pair.same_answer'].text()}."
                for judge, some in orders.items()
            ),
        ),
        numbers=scored.numbers
        | {
            f"{judge} (both orders)": {name: one.json() for name, one in some.items()}
            for judge, some in orders.items()
        },
    )


def _asked(record: JSON) -> Asked:
    about = record["about"]
    kind = about["kind"]
    return Asked(
        kind,
        record["image"].removeprefix(f"{kind}/"),
        PurePosixPath(record["picture"]).name,
        about["task"],
        tuple(about["authors"]),
        tuple(about["texts"]),
        record["truth"],
    )


def _outputs(model: str, record: JSON, asked: Asked) -> Iterator[Output]:
    """What a record says, in the form of recorded outputs."""
    for name, entries in record["said"].items():
        judge = f"{model}, {name.split()[1]}"
        if asked.kind == "batch":
            scores = [one.get("score") for one in entries]
            ranking = entries[0]["said"] if name == "rank written" else live.ranked(scores)
            yield Output(asked, judge, harness.RECORDS, ranking)
            continue
        for one in entries:
            first = one.get("order", "AB") == "AB"
            logprobs, letters = one.get("logprobs"), one.get("p")
            yield Output(
                asked if first else _turned(asked),
                judge if first else f"{judge}{SECOND}",
                harness.RECORDS,
                one["said"],
                None if logprobs is None else tuple(logprobs),
                None if letters is None else tuple(letters),
            )


def _turned(asked: Asked) -> Asked:
    """The same pair as it was shown the other way round."""
    return replace(
        asked,
        authors=asked.authors[::-1],
        answers=asked.answers[::-1],
        human=slots.TURNED[asked.human] or "",
    )


def _in_both_orders(outputs: Sequence[Output]) -> dict[str, list[tuple[Output, Output]]]:
    """By judge, what it said to each pair in the one and in the other order."""
    pairs = [one for one in outputs if one.asked.kind == "pair"]
    second = {
        (one.judge.removesuffix(SECOND), one.asked.key): one
        for one in pairs
        if one.judge.endswith(SECOND)
    }
    found: dict[str, list[tuple[Output, Output]]] = {}
    for one in pairs:
        if (one.judge, one.asked.key) in second:
            found.setdefault(one.judge, []).append((one, second[one.judge, one.asked.key]))
    return found


def _orders(pairs: Sequence[tuple[Output, Output]]) -> dict[str, Estimate]:
    """One judge, both orders: a tie is an answer here, and right where people say so."""
    said = [(one.said, other.said) for one, other in pairs]
    marks = [
        (ag.mark(one.asked.human, one.said), ag.mark(other.asked.human, other.said))
        for one, other in pairs
    ]
    rights = [both.count("right") / 2 for both in marks]
    images = [one.asked.image or one.asked.key for one, _ in pairs]
    found = {"right_unread_wrong": estimate(ag.mean, rights, groups=images)}
    found |= slots.figures(said, marks, {None})
    return {f"pair.{name}": one for name, one in found.items()}


def _order_table(orders: dict[str, dict[str, Estimate]]) -> list[Table]:
    heads = {"right, unread as wrong": "right_unread_wrong", **slots.HEADS, "unread": "unread"}
    rows = []
    for judge, some in orders.items():
        n = some["pair.right_unread_wrong"].n
        cells = (some[f"pair.{name}"].text(n) for name in heads.values())
        rows.append((judge, str(n), *cells))
    note = "A tie is an answer of its own. `unread`: in one order at least."
    title = "Both orders of the same pairs"
    return [Table(title, ("judge", "n", *heads), tuple(rows), note)] if rows else []
