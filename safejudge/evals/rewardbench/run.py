"""A run of the suite `multimodal-rewardbench`: any engine says which of two answers is better.

The data are the benchmark's triplets (arXiv 2502.14191) in any files below a folder, and their
pictures. Two answers are scored apart and compared, and put to the judge as a pair, in both
orders. The tables are those of recorded outputs, made from the run's records alone; the verdicts of
each way are also written as the leaderboard takes them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.evals import harness, recorded
from safejudge.evals.answers import protocols as live
from safejudge.evals.answers import run as answer_run
from safejudge.evals.answers.protocols import Item
from safejudge.evals.rewardbench import records as rb
from safejudge.evals.rewardbench import score as rewardbench_outputs
from safejudge.files.atomic import writing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from safejudge.evals.answers.protocols import Order, Way
    from safejudge.evals.answers.run import Args, Kept
    from safejudge.evals.replies import Slot, Verdict
    from safejudge.evals.rewardbench.records import Output
    from safejudge.evals.suite import EvalResult, Run
    from safejudge.policy import Policy
    from safejudge.types import JSON

SUITE = "multimodal-rewardbench"
_FIELDS = {"ID", "Output1", "Output2", "Better"}
"""What a record of the data has; one of recorded outputs has no answers."""


def judge(run: Run) -> JSON:
    """Judge every triplet that has no record yet, and write the answer files."""
    args = answer_run.arguments(run.args)
    folder = answer_run.folder_of(run, SUITE, "the triplets (ID, Text, Image, Output1, ...)")
    data = answer_run.gather(folder, _item, "triplets with their answers", run.splits)
    about = answer_run.judge_items(run, SUITE, data, partial(_ways, args=args, policy=run.policy))
    forward, _ = _judges(answer_run.kept(run.out))
    return about | {"answers": _write_answers(run.out, forward)}


def _item(record: JSON) -> Item | str | None:
    if not record.keys() >= _FIELDS:
        return None
    number = recorded.word(record["ID"])
    label = rb.LABELS.get(recorded.word(record["Better"]))
    texts = [recorded.word(record.get(name)) for name in ("Text", "Output1", "Output2")]
    if not number or label is None:
        return "the id or the label is missing or unreadable"
    if not all(texts):
        return "the question or an answer is missing"
    category = recorded.word(record.get("Category")) or "(none)"
    about = {"id": number, "category": category, "question": texts[0], "texts": texts[1:]}
    image = recorded.word(record.get("Image"))
    return Item(number, rb.domain(category), image, texts[0], tuple(texts[1:]), label, about)


def _ways(_: Item, args: Args, policy: Policy) -> list[Way]:
    return [
        *(live.scoring(reading, policy) for reading in args.readings),
        *(live.comparing(reading, policy, tie=False) for reading in args.readings),
    ]


# --- records -> tables --------------------------------------------------------------------------


def report(out: Path) -> EvalResult:
    """Make the tables of a folder that `judge` wrote. Raises `InputError`."""
    kept = answer_run.kept(out)
    forward, back = _judges(kept)
    second = f"{kept.model}, second order"
    files = {kept.model: forward, second: back}
    found = rb.Recorded({name: some for name, some in files.items() if some}, kept.left_out,
                        kept.unread)  # fmt: skip
    swapped = {kept.model: (kept.model, second)} if back else {}
    scored = rewardbench_outputs.score(found, swapped)
    return replace(
        scored,
        tables=(*scored.tables, *answer_run.unread_table(kept.judged)),
        findings=(*kept.findings, *scored.findings),
    )


def _judges(kept: Kept) -> tuple[tuple[Output, ...], tuple[Output, ...]]:
    """What was said of the triplets as they are, and with their answers turned round."""
    forward = tuple(_output(record, "AB") for record in kept.judged)
    return forward, tuple(_output(record, "BA") for record in kept.judged)


def _output(record: JSON, order: Order) -> Output:
    """One record in the form of recorded outputs, as the answers were shown in one order."""
    about, entries = record["about"], record["said"]
    said: dict[str, Verdict | None] = {}
    scores: dict[str, tuple[float, float]] = {}
    text = None
    if order == "AB":
        said, scores = _compared(entries)
    for name, way in (("pair weighted", "letters"), ("pair written", "verdict")):
        for one in entries.get(name, ()):
            if one["order"] != order:
                continue
            said[way] = one["said"]
            text = one.get("text", text)
            if one["said"] is not None and "p" in one:
                scores[way] = (one["p"][0], one["p"][1])
    first_is_better = (record["truth"] == "A") == (order == "AB")
    label: Slot = "A" if first_is_better else "B"
    return rb.Output(
        harness.RECORDS, about["id"], about["repeat"], about["category"], record["picture"],
        label, said, scores, text,
    )  # fmt: skip


def _compared(
    entries: Mapping[str, list[JSON]],
) -> tuple[dict[str, Verdict | None], dict[str, tuple[float, float]]]:
    """The better answer by the scores that each was given apart."""
    said: dict[str, Verdict | None] = {}
    scores: dict[str, tuple[float, float]] = {}
    for way in ("weighted", "written"):
        found = entries.get(f"score {way}")
        if found is None:
            continue
        said[way] = None
        first, second = (one["score"] if "score" in one else one["said"] for one in found)
        if first is not None and second is not None:
            scores[way] = (float(first), float(second))
            said[way] = rb.compare(*scores[way])
    return said, scores


# --- answer files -------------------------------------------------------------------------------


def _write_answers(out: Path, outputs: tuple[Output, ...]) -> list[str]:
    """One answer file for each way of judging; their names."""
    names = []
    for way in dict.fromkeys(way for one in outputs for way in one.said):
        samples = [
            rewardbench_outputs.sample(
                "", replace(one, said={way: one.said[way]}, scores={},
                            text=one.text if way == "verdict" else None)
            )
            for one in outputs
        ]  # fmt: skip
        names.append(f"answers_{way}.jsonl")
        with writing(out / names[-1]):
            rb.write_answers(samples, out / names[-1])
    return names
