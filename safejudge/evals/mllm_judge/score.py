"""MLLM-as-a-Judge from recorded outputs: how far judges agree with people, and where they lean.

Judges and files are those that lie in the folder. Runs in different settings (without the picture,
on blown-up answers) belong into folders of their own: a judge is told by its name alone.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.evals.headline import of_best
from safejudge.evals.mllm_judge.figures import TIE, Estimates, figures, people
from safejudge.evals.mllm_judge.records import Output, Recorded, Sample, read
from safejudge.evals.stats.agreement import LEVELS, mark, ranking_distance, weighted_score
from safejudge.evals.stats.intervals import grouped
from safejudge.evals.suite import EvalResult, Prediction
from safejudge.show.figures import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from safejudge.types import JSON

PEOPLE = "(people)"
"""Stands among the judges for what people's own answers come to."""


def from_outputs(folder: Path) -> EvalResult:
    """Score every judge whose answers lie below a folder."""
    return score(read(folder))


def score(recorded: Recorded) -> EvalResult:
    """Score what was read."""
    outputs = recorded.outputs
    numbers = {
        judge: figures([outputs[row] for row in rows])
        for judge, rows in sorted(grouped(output.judge for output in outputs).items())
    }
    with_people = {PEOPLE: people(recorded.samples), **numbers}
    return EvalResult(
        tables=_tables(numbers, with_people[PEOPLE]),
        findings=_findings(numbers, recorded),
        numbers={
            judge: {name: estimate.json() for name, estimate in estimates.items()}
            for judge, estimates in with_people.items()
        },
        samples=tuple(_sample(output) for output in outputs),
        unread=recorded.unread,
        predictions=tuple(_predictions(outputs)),
        headline=of_best(numbers, _HEADLINES),
    )


_HEADLINES = {
    "score.pearson": "scores: Pearson with people",
    "pair.accuracy_with_ties": "pairs: right, with ties,",
    "batch.identical": "rankings: identical with people's",
}


def _predictions(outputs: Sequence[Output]) -> Iterator[Prediction]:
    """Every answer by judge and kind; one that is asked again has a number."""
    counts: Counter[tuple[str, Sample]] = Counter()
    for output in outputs:
        sample = output.sample
        counts[output.judge, sample] += 1
        count = counts[output.judge, sample]
        strength, confidence = _strength(output)
        tie = sample.kind == "pair" and sample.human == TIE
        yield Prediction(
            protocol=f"{output.judge}, {sample.kind}",
            sample=f"{sample.kind}/{sample.key}" + (f" ({count})" if count > 1 else ""),
            answer=output.answer,
            right=None if tie else output.answer == sample.human,
            score=strength,
            confidence=confidence,
            group=sample.image,
        )


def _strength(output: Output) -> tuple[float | None, float | None]:
    """An answer as a number, and how probable the judge held it, where it tells."""
    answer, kind = output.answer, output.sample.kind
    if answer is None or kind == "batch":
        return None, None
    if output.letters is not None:  # a tie is half of the way to the first
        tie = output.letters[2] if len(output.letters) > 2 else 0.0
        return output.letters[0] + tie / 2, output.letters["ABC".index(answer)]
    if output.logprobs is None or kind == "pair":
        return (float(answer) if kind == "score" else None), None
    weighted = weighted_score(output.logprobs)
    if weighted.missing == len(LEVELS):
        return float(answer), None
    return weighted.score, weighted.probabilities[int(answer) - 1]


def _sample(output: Output) -> JSON:
    sample, answer = output.sample, output.answer
    row: JSON = {
        "judge": output.judge,
        "file": output.file,
        "kind": sample.kind,
        "item": sample.key,
        "image": sample.image or None,
        "task": sample.task or None,
        "authors": list(sample.authors) or None,
        "human": sample.human,
        "said": answer,
    }
    if sample.kind == "batch":
        row["distance"] = None if answer is None else ranking_distance(sample.human, answer)
    else:
        row["outcome"] = mark(sample.human, answer)
    if output.logprobs is not None:
        weighted = weighted_score(output.logprobs)
        defined = weighted.missing < len(LEVELS)
        row["weighted"] = weighted.score if defined else None
        row["tokens_missing"] = weighted.missing
    return row


# --- tables -------------------------------------------------------------------------------------


def _tables(numbers: Mapping[str, Estimates], by_people: Estimates) -> tuple[Table, ...]:
    tables = [
        _table("Scores against people's", "score.pearson", _SCORES, numbers, _SCORES_NOTE),
        _table(
            "Scores weighted by the probabilities of their tokens",
            "score.weighted.pearson",
            _WEIGHTED,
            numbers,
            "Beside the written ones. `token missing`: answers with a token that was not "
            "among those returned and stands at ln(0.00001), a bound.",
        ),
        _table("How often each score is given", "score.says_1", _SPREAD, numbers, _PEOPLE_NOTE),
        _by_part("Scores by task", "task", numbers),
        _by_part("Scores by who wrote the answer", "author", numbers),
        _by_part("Scores by length of the answer, in thirds", "length", numbers),
        _table("Pairs", "pair.accuracy_with_ties", _PAIRS, numbers, _PAIRS_NOTE),
        _table(
            "Rankings",
            "batch.distance",
            _RANKINGS,
            numbers,
            "Distance: Levenshtein over length, 0 is the same ranking. The order in which the "
            f"answers are shown is {by_people['batch.distance_of_order_shown'].text()} away.",
        ),
        *(
            _table(f"The same {kind} asked again", f"{kind}.consistency", columns, numbers)
            for kind in ("score", "pair", "batch")
            if (columns := {"one answer more than half of the time": f"{kind}.consistency"})
        ),
    ]
    return tuple(table for table in tables if table.rows)


_SCORES = {
    "Pearson": "score.pearson",
    "Spearman": "score.spearman",
    "Kendall's tau-b": "score.kendall",
    "the same": "score.accuracy",
    "1 apart at most": "score.within_1",
    "mean error": "score.mae",
    "signed error": "score.bias",
    "unread": "score.unread",
}
_SCORES_NOTE = (
    "Over the answers that were read. Signed error: above 0 for a judge that is kinder than "
    "people. Intervals take answers to one picture together where the picture is known; else "
    "they take answers as independent and are somewhat narrow."
)
_WEIGHTED = {
    "Pearson": "score.weighted.pearson",
    "written": "score.pearson",
    "mean error": "score.weighted.mae",
    "written ": "score.mae",
    "finds 1 and 2 (AUROC)": "score.weighted.auroc_low",
    "written  ": "score.auroc_low",
    "likeliest token": "score.top_probability",
    "over 0.99": "score.top_over_0_99",
    "token missing": "score.weighted.token_missing",
}
_SPREAD = {
    f"{head}{n}": f"score.{says}_{n}"
    for head, says in (("judge: ", "says"), ("people: ", "people_say"))
    for n in LEVELS
}
_PEOPLE_NOTE = "People's, of the same answers."
_PAIRS = {
    "right, with ties": "pair.accuracy_with_ties",
    "right, without": "pair.accuracy_without_ties",
    "with ties, unread as wrong": "pair.accuracy_with_ties_unread_wrong",
    "unread": "pair.unread",
    "first wins": "pair.says_A",
    "people": "pair.people_say_A",
    "tie": "pair.says_C",
    "people ": "pair.people_say_C",
    "longer wins": "pair.longer_wins",
    "people  ": "pair.people_longer_wins",
    "own wins": "pair.own_wins",
    "people   ": "pair.people_own_wins",
}
_PAIRS_NOTE = (
    "With ties: A, B and tie are three answers. Without: people's ties are dropped, and a "
    "judge's tie is wrong."
)
_RANKINGS = {
    "distance": "batch.distance",
    "unread as 1": "batch.distance_unread_as_1",
    "identical": "batch.identical",
    "unread": "batch.unread",
    "first on top": "batch.slot_1_on_top",
    "people": "batch.people_slot_1_on_top",
}


def _table(
    title: str,
    present: str,
    columns: Mapping[str, str],
    numbers: Mapping[str, Estimates],
    note: str = "",
) -> Table:
    """One row a judge that has the figure `present`; columns that no judge has are left out."""
    judges = {judge: estimates for judge, estimates in numbers.items() if present in estimates}
    filled = {
        head: name
        for head, name in columns.items()
        if any(name in estimates for estimates in judges.values())
    }
    rows = tuple(_row(judge, row, [*filled.values()]) for judge, row in judges.items())
    return Table(title, ("judge", "n", *(head.strip() for head in filled)), rows, note)


def _row(head: str, estimates: Estimates, names: Sequence[str]) -> tuple[str, ...]:
    """Name, n of the first figure, and the figures; a figure of other rows says of how many."""
    n = estimates[names[0]].n
    return (head, str(n), *(estimates[x].text(n) if x in estimates else "" for x in names))


def _by_part(title: str, part: str, numbers: Mapping[str, Estimates]) -> Table:
    """One row for each judge and part."""
    names = ("pearson", "weighted.pearson", "accuracy", "people_mean", "mean", "bias")
    start, end = f"score.{part}.", ".bias"
    rows = []
    for judge, estimates in numbers.items():
        parts = [name[len(start) : -len(end)] for name in estimates
                 if name.startswith(start) and name.endswith(end)]  # fmt: skip
        rows += [
            _row(f"{judge}, {value}", estimates, [f"{start}{value}.{name}" for name in names])
            for value in sorted(parts)
        ]
    heads = ("Pearson", "weighted", "the same", "people's mean", "judge's mean", "signed error")
    return Table(title, (f"judge, {part}", "n", *heads), tuple(rows))


# --- findings -----------------------------------------------------------------------------------


def _findings(numbers: Mapping[str, Estimates], recorded: Recorded) -> tuple[str, ...]:
    lines = [f"{n} answers were left out: {reason}." for reason, n in recorded.left_out.items()]
    for judge, estimates in numbers.items():
        lines += filter(None, (_leaning(judge, estimates), _degrees(judge, estimates)))
        for kind in ("score", "pair", "batch"):
            unread = estimates.get(f"{kind}.unread")
            if unread is not None and unread.value > 0:
                lines.append(
                    f"{judge}: {round(unread.value * unread.n)} of {unread.n} {kind} answers "
                    "could not be read; they are no score and no guess."
                )
    return tuple(lines)


def _leaning(judge: str, estimates: Estimates) -> str:
    """Whether a judge is kinder or sterner than people, where the interval says so."""
    bias = estimates.get("score.bias")
    if bias is None or not (bias.low > 0 or bias.high < 0):
        return ""
    kind = "kinder" if bias.value > 0 else "sterner"
    mine, theirs = estimates.get("score.own.bias"), estimates.get("score.others.bias")
    addition = "" if mine is None or theirs is None else (
        f" To its own answers it is {mine.value:+.3f} (n={mine.n}), to others' "
        f"{theirs.value:+.3f} (n={theirs.n})."
    )  # fmt: skip
    return f"{judge} is {kind} than people: {bias.value:+.3f} on average (n={bias.n}).{addition}"


def _degrees(judge: str, estimates: Estimates) -> str:
    """What the probabilities of the tokens are worth beside the written score."""
    gain = estimates.get("score.weighted.pearson_gain")
    if gain is None or math.isnan(gain.low):
        return ""
    verdict = "better" if gain.low > 0 else "worse" if gain.high < 0 else "no better and no worse"
    return (
        f"{judge}: scores weighted by probability agree {verdict} with people than written ones: "
        f"Pearson {estimates['score.weighted.pearson'].value:.4f} against "
        f"{estimates['score.pearson'].value:.4f}, difference {gain.text()}."
    )
