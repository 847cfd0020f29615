"""MLLM-as-a-Judge from recorded outputs: how far judges agree with people, and where they lean.

Judges and files are those that lie in the folder. Runs in different settings (without the picture,
on blown-up answers) belong into folders of their own: a judge is told by its name alone.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.evals.mllm_judge.figures import TIE, Figures, figures, people
from safejudge.evals.mllm_judge.records import Asked, Output, Recorded, read
from safejudge.evals.stats import agreement as ag
from safejudge.evals.stats.intervals import grouped
from safejudge.evals.suite import EvalResult, Prediction
from safejudge.show.figures import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from safejudge.types import JSON

PEOPLE = "(people)"
"""Stands among the judges for what people's own answers come to."""


def from_outputs(folder: Path, draws: int = 1000) -> EvalResult:
    """Score every judge whose answers lie below a folder; `draws` is for the intervals."""
    return score(read(folder), draws)


def score(found: Recorded, draws: int = 1000) -> EvalResult:
    """Score what was read."""
    numbers = {
        judge: figures([found.outputs[row] for row in rows], draws)
        for judge, rows in sorted(grouped(one.judge for one in found.outputs).items())
    }
    everyone = {PEOPLE: people(found.asked), **numbers}
    return EvalResult(
        tables=_tables(numbers, everyone[PEOPLE]),
        findings=_findings(numbers, found),
        numbers={
            judge: {name: one.json() for name, one in some.items()}
            for judge, some in everyone.items()
        },
        samples=tuple(_sample(one) for one in found.outputs),
        unread=found.unread,
        said=tuple(_said(found.outputs)),
    )


def _said(outputs: Sequence[Output]) -> Iterator[Prediction]:
    """Every answer by judge and kind; one that is asked again has a number."""
    seen: Counter[tuple[str, Asked]] = Counter()
    for one in outputs:
        asked = one.asked
        seen[one.judge, asked] += 1
        times = seen[one.judge, asked]
        strength, confidence = _strength(one)
        tie = asked.kind == "pair" and asked.human == TIE
        yield Prediction(
            way=f"{one.judge}, {asked.kind}",
            item=f"{asked.kind}/{asked.key}" + (f" ({times})" if times > 1 else ""),
            answer=one.said,
            right=None if tie else one.said == asked.human,
            score=strength,
            confidence=confidence,
            group=asked.image,
        )


def _strength(one: Output) -> tuple[float | None, float | None]:
    """An answer as a number, and how probable the judge held it, where it tells."""
    if one.said is None or one.asked.kind == "batch":
        return None, None
    if one.letters is not None:  # a tie is half of the way to the first
        place = "ABC".index(one.said)
        tie = one.letters[2] if len(one.letters) > 2 else 0.0
        return one.letters[0] + tie / 2, one.letters[place]
    if one.logprobs is None or one.asked.kind == "pair":
        return (float(one.said) if one.asked.kind == "score" else None), None
    weighted = ag.weighted_score(one.logprobs)
    if weighted.missing == len(ag.LEVELS):
        return float(one.said), None
    return weighted.score, weighted.probabilities[int(one.said) - 1]


def _sample(one: Output) -> JSON:
    asked = one.asked
    made: JSON = {
        "judge": one.judge,
        "file": one.file,
        "kind": asked.kind,
        "item": asked.key,
        "image": asked.image or None,
        "task": asked.task or None,
        "authors": list(asked.authors) or None,
        "human": asked.human,
        "said": one.said,
    }
    if asked.kind == "batch":
        made["distance"] = None if one.said is None else ag.ranking_distance(asked.human, one.said)
    else:
        made["outcome"] = ag.mark(asked.human, one.said)
    if one.logprobs is not None:
        weighted = ag.weighted_score(one.logprobs)
        known = weighted.missing < len(ag.LEVELS)
        made |= {"weighted": weighted.score if known else None, "tokens_missing": weighted.missing}
    return made


# --- tables -------------------------------------------------------------------------------------


def _tables(numbers: Mapping[str, Figures], everyone: Figures) -> tuple[Table, ...]:
    made = [
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
            f"answers are shown is {everyone['batch.distance_of_order_shown'].text()} away.",
        ),
        *(
            _table(f"The same {kind} asked again", f"{kind}.consistency", columns, numbers)
            for kind in ("score", "pair", "batch")
            if (columns := {"one answer more than half of the time": f"{kind}.consistency"})
        ),
    ]
    return tuple(table for table in made if table.rows)


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
    "people. Intervals draw answers to one picture together where the picture is known; else "
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
    f"{who}{n}": f"score.{says}_{n}"
    for who, says in (("judge: ", "says"), ("people: ", "people_say"))
    for n in ag.LEVELS
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
    numbers: Mapping[str, Figures],
    note: str = "",
) -> Table:
    """One row a judge that has the figure `present`; columns that no judge has are left out."""
    judges = [judge for judge, some in numbers.items() if present in some]
    kept = {
        head: name
        for head, name in columns.items()
        if any(name in numbers[judge] for judge in judges)
    }
    rows = tuple(_row(judge, numbers[judge], [*kept.values()]) for judge in judges)
    return Table(title, ("judge", "n", *(head.strip() for head in kept)), rows, note)


def _row(head: str, some: Figures, names: Sequence[str]) -> tuple[str, ...]:
    """Name, n of the first figure, and the figures; a figure of other rows says of how many."""
    first = some[names[0]].n
    return (head, str(first), *(some[n].text(first) if n in some else "" for n in names))


def _by_part(title: str, part: str, numbers: Mapping[str, Figures]) -> Table:
    """One row for each judge and part."""
    names = ("pearson", "weighted.pearson", "accuracy", "people_mean", "mean", "bias")
    rows = []
    for judge, some in numbers.items():
        start, end = f"score.{part}.", ".bias"
        parts = [name[len(start) : -len(end)] for name in some
                 if name.startswith(start) and name.endswith(end)]  # fmt: skip
        rows += [
            _row(f"{judge}, {one}", some, [f"{start}{one}.{name}" for name in names])
            for one in sorted(parts)
        ]
    heads = ("Pearson", "weighted", "the same", "people's mean", "judge's mean", "signed error")
    return Table(title, (f"judge, {part}", "n", *heads), tuple(rows))


# --- findings -----------------------------------------------------------------------------------


def _findings(numbers: Mapping[str, Figures], found: Recorded) -> tuple[str, ...]:
    said = [f"{n} answers were left out: {why}." for why, n in found.left_out.items()]
    for judge, some in numbers.items():
        said += [line for line in (_leaning(judge, some), _degrees(judge, some)) if line]
        for kind in ("score", "pair", "batch"):
            unread = some.get(f"{kind}.unread")
            if unread is not None and unread.value > 0:
                said.append(
                    f"{judge}: {round(unread.value * unread.n)} of {unread.n} {kind} answers "
                    "could not be read; they are no score and no guess."
                )
    return tuple(said)


def _leaning(judge: str, some: Figures) -> str:
    """Whether a judge is kinder or sterner than people, where the interval says so."""
    bias = some.get("score.bias")
    if bias is None or not (bias.low > 0 or bias.high < 0):
        return ""
    kind = "kinder" if bias.value > 0 else "sterner"
    own, others = some.get("score.own.bias"), some.get("score.others.bias")
    beside = "" if own is None or others is None else (
        f" To its own answers it is {own.value:+.3f} (n={own.n}), to others' "
        f"{others.value:+.3f} (n={others.n})."
    )  # fmt: skip
    return f"{judge} is {kind} than people: {bias.value:+.3f} on average (n={bias.n}).{beside}"


def _degrees(judge: str, some: Figures) -> str:
    """What the probabilities of the tokens are worth beside the written score."""
    gain = some.get("score.weighted.pearson_gain")
    if gain is None or math.isnan(gain.low):
        return ""
    told = "better" if gain.low > 0 else "worse" if gain.high < 0 else "no better and no worse"
    return (
        f"{judge}: scores weighted by probability agree {told} with people than written ones: "
        f"Pearson {some['score.weighted.pearson'].value:.4f} against "
        f"{some['score.pearson'].value:.4f}, difference {gain.text()}."
    )
