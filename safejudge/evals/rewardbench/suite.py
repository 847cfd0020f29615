"""Multimodal RewardBench: which of two answers beside a picture experts prefer.

Name: multimodal-rewardbench
Data: the benchmark's triplets, in any files below a folder, and their pictures
Licence: CC-BY-NC
Paper: Multimodal RewardBench, arXiv 2502.14191

Judged live by any engine, or scored from outputs that somebody's judges left; both come to the same
tables. Live, two answers are scored apart and compared, and put to the judge as a pair, in both
orders; the verdicts of each protocol are also written as the leaderboard takes them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.evals import harness, recorded
from safejudge.evals.answers import longer, protocols, votes
from safejudge.evals.answers import run as answer_run
from safejudge.evals.answers.args import arguments
from safejudge.evals.answers.protocols import Sample
from safejudge.evals.rewardbench import records
from safejudge.evals.rewardbench.score import from_outputs, sample, score
from safejudge.evals.suite import Suite, scored_one_way
from safejudge.files.atomic import writing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from safejudge.evals.answers.args import Args
    from safejudge.evals.answers.protocols import Order, Protocol
    from safejudge.evals.answers.run import Judged
    from safejudge.evals.replies import Slot, Verdict
    from safejudge.evals.rewardbench.records import Output
    from safejudge.evals.suite import EvalResult, Run
    from safejudge.policy import Policy
    from safejudge.types import JSON

NAME = "multimodal-rewardbench"
_FIELDS = {"ID", "Output1", "Output2", "Better"}
"""What a record of the data has; one of recorded outputs has no answers."""


def judge(run: Run) -> JSON:
    """Judge every triplet that has no record yet, and write the answer files."""
    args = arguments(run.args)
    folder = answer_run.folder_of(run, NAME, "the triplets (ID, Text, Image, Output1, ...)")
    data = answer_run.gather(folder, _live_sample, "triplets with their answers", run.splits)
    chosen = partial(_protocols, args=args, policy=run.policy)
    description = answer_run.judge_samples(run, NAME, data, chosen, args)
    judged = answer_run.read_run(run.out)
    files = [
        file
        for setting in _settings(judged)
        for file in _write_answers(run.out, _outputs(judged, "AB", setting), setting)
    ]
    return description | {"answers": files}


def _live_sample(record: JSON) -> Sample | str | None:
    if not record.keys() >= _FIELDS:
        return None
    number = recorded.word(record["ID"])
    label = records.LABELS.get(recorded.word(record["Better"]))
    texts = [recorded.word(record.get(name)) for name in ("Text", "Output1", "Output2")]
    if not number or label is None:
        return "the id or the label is missing or unreadable"
    if not all(texts):
        return "the question or an answer is missing"
    category = recorded.word(record.get("Category")) or "(none)"
    facts = {"id": number, "category": category, "question": texts[0], "texts": texts[1:]}
    image, part = recorded.word(record.get("Image")), records.domain(category)
    return Sample(number, part, image, texts[0], tuple(texts[1:]), label, facts)


def _protocols(_: Sample, args: Args, policy: Policy) -> list[Protocol]:
    return [
        *args.protocols(lambda reading: protocols.scoring(reading, policy)),
        *args.protocols(lambda reading: protocols.comparing(reading, policy, tie=False)),
    ]


# --- records -> tables --------------------------------------------------------------------------


def report(out: Path) -> EvalResult:
    """Make the tables of a folder that `judge` wrote. Raises `InputError`."""
    judged = answer_run.read_run(out)
    files: dict[str, tuple[Output, ...]] = {}
    swapped: dict[str, tuple[str, str]] = {}
    for setting in _settings(judged):
        judge = ", ".join(filter(None, [judged.model, setting]))
        swapped[judge] = (judge, f"{judge}, second order")
        for name, order in zip(swapped[judge], protocols.ORDERS, strict=True):
            files[name] = _outputs(judged, order, setting)
    result = score(records.Recorded(files, judged.left_out, judged.unread), swapped)
    moved = longer.moves(out)
    unread = answer_run.unread_table(judged.records)
    return replace(
        result,
        tables=(
            *result.tables,
            *votes.table(judged.records),
            *longer.tables(moved),
            *unread,
        ),
        findings=(*judged.findings, *result.findings),
        coverage=judged.coverage,
        numbers=result.numbers
        | votes.numbers(judged.records, judged.model)
        | longer.numbers(moved, judged.model),
    )


def _settings(judged: Judged) -> list[str]:
    """What was asked before, in the order of the records; empty for the plain setting."""
    names = (name.split()[2:] for record in judged.records for name in record["said"])
    return list(dict.fromkeys(" ".join(setting) for setting in names))


def _outputs(judged: Judged, order: Order, setting: str) -> tuple[Output, ...]:
    """What was said of the triplets as they are, or with their answers turned round."""
    return tuple(_output(record, order, setting) for record in judged.records)


def _output(record: JSON, order: Order, setting: str) -> Output:
    """One record in the form of recorded outputs, as the answers were shown in one order."""
    facts = record["about"]
    entries = {
        " ".join(name.split()[:2]): said
        for name, said in record["said"].items()
        if " ".join(name.split()[2:]) == setting
    }
    verdicts: dict[str, Verdict | None] = {}
    scores: dict[str, tuple[float, float]] = {}
    text = None
    if order == "AB":
        verdicts, scores = _compared(entries)
    for name, protocol in _PAIRS.items():
        for entry in entries.get(name, ()):
            if entry["order"] != order:
                continue
            verdicts[protocol] = entry["said"]
            text = entry.get("text", text)
            if entry["said"] is not None and "p" in entry:
                scores[protocol] = (entry["p"][0], entry["p"][1])
    first_is_better = (record["truth"] == "A") == (order == "AB")
    label: Slot = "A" if first_is_better else "B"
    return records.Output(
        harness.RECORDS, facts["id"], facts["repeat"], facts["category"], record["picture"],
        label, verdicts, scores, text,
    )  # fmt: skip


_PAIRS = {"pair weighted": "letters", "pair written": "verdict", "pair voted": "vote"}
"""What recorded outputs call the protocols of pairs."""


def _compared(
    entries: Mapping[str, list[JSON]],
) -> tuple[dict[str, Verdict | None], dict[str, tuple[float, float]]]:
    """The better answer by the scores that each was given apart."""
    verdicts: dict[str, Verdict | None] = {}
    scores: dict[str, tuple[float, float]] = {}
    for protocol in ("weighted", "written", "voted"):
        pair = entries.get(f"score {protocol}")
        if pair is None:
            continue
        verdicts[protocol] = None
        first, second = (entry["score"] if "score" in entry else entry["said"] for entry in pair)
        if first is not None and second is not None:
            scores[protocol] = (float(first), float(second))
            verdicts[protocol] = records.compare(*scores[protocol])
    return verdicts, scores


# --- answer files -------------------------------------------------------------------------------


def _write_answers(out: Path, outputs: Sequence[Output], setting: str) -> list[str]:
    """One answer file for each protocol in a setting; their names."""
    names = []
    for protocol in dict.fromkeys(name for output in outputs for name in output.verdicts):
        samples = [
            sample(
                "", replace(output, verdicts={protocol: output.verdicts[protocol]}, scores={},
                            text=output.text if protocol == "verdict" else None)
            )
            for output in outputs
        ]  # fmt: skip
        name = "_".join(filter(None, [protocol, setting]))
        names.append(f"answers_{name}.jsonl")
        with writing(out / names[-1]):
            records.write_answers(samples, out / names[-1])
    return names


SUITE = Suite(
    "Multimodal RewardBench (arXiv 2502.14191), from its triplets or from recorded outputs",
    scored_one_way(from_outputs),
    judge=judge,
    report=report,
    texts=True,
)
