"""Retrieval from recorded scores and replies: figures, tables, findings and rows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.evals import recorded
from safejudge.evals.headline import of_best
from safejudge.evals.retrieval import figures
from safejudge.evals.retrieval.records import WHAT, Case, Matrix, Mining, Rerank, Soft, case_of
from safejudge.evals.stats.retrieval import CUTS, TIES
from safejudge.evals.suite import EvalResult, Prediction, Ranking
from safejudge.matching.replies import read_published
from safejudge.show.figures import Table
from safejudge.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from safejudge.evals.retrieval.figures import Estimates
    from safejudge.types import JSON

Entries = dict[str, list[Case]]
"""Cases by the name of their file, and of their matrix."""
MAIN = "image_to_text.recall_at_1.ties_against"
"""What encoders are ranked by."""


def from_outputs(folder: Path) -> EvalResult:
    """Score every case below a folder."""
    cases: recorded.Cases[Case] = recorded.read_cases(folder, case_of, WHAT)
    left_out = [f"{counted(n, 'record')} left out, {why}." for why, n in cases.left_out.items()]
    return score(entries_of(cases.found), left_out, cases.unread)


def entries_of(found: Sequence[tuple[str, int, Case]]) -> Entries:
    """Cases by file; a matrix is an entry of its own."""
    judges = recorded.judges_of(dict.fromkeys(file for file, _, _ in found))
    entries: Entries = {}
    for file, number, case in found:
        name = judges[file]
        if isinstance(case, Matrix):
            name = f"{name}, {case.name or number}"
            name = name if name not in entries else f"{name} ({number})"
        entries.setdefault(name, []).append(case)
    return entries


def score(entries: Entries, findings: Sequence[str], unread: Sequence[str]) -> EvalResult:
    """Score what was read."""
    numbers = {name: _estimates(cases) for name, cases in entries.items()}
    ranked = any(MAIN in estimates for estimates in numbers.values())
    return EvalResult(
        tables=_tables(numbers),
        findings=(*findings, *(line for e in entries.items() for line in _findings(*e))),
        numbers={
            name: {figure: value.json() for figure, value in estimates.items()}
            for name, estimates in numbers.items()
        },
        samples=tuple(row for entry in entries.items() for row in _samples(*entry)),
        unread=tuple(unread),
        predictions=tuple(p for entry in entries.items() for p in _predictions(*entry)),
        headline=of_best(numbers, _HEADLINES),
        ranking=Ranking(MAIN) if ranked else None,
    )


_HEADLINES = {
    MAIN: "a right caption first, ties against it:",
    "rerank.right": "the right candidate chosen:",
    "soft.positive_on_top": "the positive scored above every negative:",
    "mining.none": "queries without a negative:",
}


def _estimates(cases: Sequence[Case]) -> Estimates:
    results = figures.of_matrix(cases[0]) if isinstance(cases[0], Matrix) else {}
    if soft := [case for case in cases if isinstance(case, Soft)]:
        results |= figures.of_soft(soft)
    if mining := [case for case in cases if isinstance(case, Mining)]:
        results |= figures.of_mining(mining)
    if reranks := [case for case in cases if isinstance(case, Rerank)]:
        results |= figures.of_reranks(reranks)
    return results


# --- tables ---------------------------------------------------------------------------------------

_RECALLS = {
    f"R@{k}{label}": f"recall_at_{k}.{ties}"
    for k in CUTS
    for ties, label in zip(TIES, ("", ", ties for", ", file order"), strict=True)
}
_COLUMNS = {
    "Soft scores": {
        "positive on top": "soft.positive_on_top",
        "a negative too near": "soft.negative_above_threshold",
        "positives of 0.5 or more": "soft.positives_at_least_half",
        "negatives of 0.5 or more": "soft.negatives_at_least_half",
        "mean positive": "soft.mean_positive",
        "mean negative": "soft.mean_negative",
        "unread": "soft.unread",
    },
    "Mining": {
        "without a negative": "mining.none",
        "with repeats": "mining.padded",
        "kept of near": "mining.kept_of_near",
        "with unread scores": "mining.unread",
    },
    "Reranks": {
        "right": "rerank.right",
        "published reader": "rerank.published_right",
        "the nearest is right": "rerank.nearest_right",
        "right one among them": "rerank.answer_among",
        "right where among": "rerank.right_where_among",
        "unread": "rerank.unread",
    },
    "Pictures to texts": {n: f"image_to_text.{f}" for n, f in _RECALLS.items()}
    | {"no rank": "image_to_text.without_a_rank"},
    "Texts to pictures": {n: f"text_to_image.{f}" for n, f in _RECALLS.items()}
    | {"no rank": "text_to_image.without_a_rank"},
}
_RECALL_NOTE = (
    "Any right candidate among the first k. Where a right and a wrong one score the same, "
    "the first column of each k has the right one last. A query without a rank is not found."
)
_NOTES = {
    "Soft scores": "Too near: above the positive less 0.01, so mining would have left it out.",
    "Mining": (
        "Ten of those below delta that score less than the positive. Where none does the published "
        "code takes ten at random and scores them 1.0; here there are none."
    ),
    "Reranks": (
        "Of all queries, also where the right one is not among the candidates. The published "
        "reader takes the first digits in brackets anywhere in a reply."
    ),
    "Pictures to texts": _RECALL_NOTE,
    "Texts to pictures": _RECALL_NOTE,
}


def _tables(numbers: Mapping[str, Estimates]) -> tuple[Table, ...]:
    tables = (_table(title, columns, numbers) for title, columns in _COLUMNS.items())
    return tuple(table for table in tables if table.rows)


def _table(title: str, columns: Mapping[str, str], numbers: Mapping[str, Estimates]) -> Table:
    """A row for each entry that has the first figure."""
    first, rows = next(iter(columns.values())), []
    for name, estimates in numbers.items():
        if first in estimates:
            n = estimates[first].n
            cells = (estimates[x].text(n) if x in estimates else "" for x in columns.values())
            rows.append((name, str(n), *cells))
    return Table(title, ("entry", "n", *columns), tuple(rows), _NOTES[title])


# --- findings -------------------------------------------------------------------------------------


def _findings(name: str, cases: Sequence[Case]) -> Iterator[str]:
    problems = Counter(problem for case in cases for problem in _problems(case))
    for problem, n in problems.items():
        yield f"{name}: {problem}: {n}."
    soft = [case for case in cases if isinstance(case, Soft)]
    scores = {s for case in soft for s in (case.positive, *case.negatives) if s is not None}
    grid = figures.grid_of(sorted(scores))
    if grid is not None and grid.penalty != 1:
        yield (
            f"{name}: the log-odds of all {counted(len(scores), 'distinct score')} are whole "
            f"multiples of {figures.SPACING:g} / {grid.penalty:g}: a repetition penalty was on "
            "while they were read. Read them from raw logits."
        )


def _problems(case: Case) -> list[str]:
    """Why a case, or some query of it, comes to nothing."""
    if isinstance(case, Soft):
        if case.positive is None:
            return ["soft scores, the positive has no score"]
        return [] if figures.is_read(case) else ["soft scores, a negative has no score"]
    if isinstance(case, Mining):
        problem = figures.mined(case).problem
        return [f"nothing mined, {problem}"] if problem else []
    if isinstance(case, Rerank):
        why = figures.chosen(case).why
        return [f"reply unread, {why}"] if why else []
    found = figures.ranks(case)
    return [
        f"{figures.WAYS[way]}, a query without a rank, {rank.problem}"
        for way in found
        for rank in found[way]
        if rank.problem
    ]


# --- rows -----------------------------------------------------------------------------------------


def _samples(name: str, cases: Sequence[Case]) -> Iterator[JSON]:
    for number, case in enumerate(cases):
        row: JSON = {"entry": name, "number": number}
        if isinstance(case, Soft):
            yield row | {
                "kind": "soft", "query": case.query, "positive": case.positive,
                "negatives": list(case.negatives), "on_top": figures.on_top(case),
                "above_threshold": figures.above_threshold(case),
            }  # fmt: skip
        elif isinstance(case, Mining):
            found = figures.mined(case)
            yield row | {
                "kind": "mining", "query": case.query, "near": found.near, "kept": found.kept,
                "picked": [case.names[place] for place in found.picked], "padded": found.padded,
                "unread": found.unread, "problem": found.problem or None,
            }  # fmt: skip
        elif isinstance(case, Rerank):
            said = figures.chosen(case)
            yield row | {
                "kind": "rerank", "query": case.query, "candidates": case.candidates,
                "answer": case.answer, "said": said.number, "why": said.why or None,
                "published": read_published(case.reply), "reply": case.reply,
                "scores": case.scores and list(case.scores), "right": figures.is_right(case),
            }  # fmt: skip
        else:
            for way, found_ranks in figures.ranks(case).items():
                for query, rank in enumerate(found_ranks):
                    places = {str(ties): getattr(rank, ties) for ties in TIES}
                    about = {"kind": way, "query": query, "problem": rank.problem or None}
                    yield row | about | places


def _predictions(name: str, cases: Sequence[Case]) -> Iterator[Prediction]:
    """What was said of each query, in a form in which two runs can be compared."""
    for row in _samples(name, cases):
        kind = row["kind"]
        if kind == "soft" and row["positive"] is not None:
            best = "positive" if row["on_top"] else "negative"
            protocol, sample = f"{name}, soft scores", str(row["number"])
            yield Prediction(protocol, sample, best, row["on_top"], row["positive"])
        elif kind == "rerank":
            said = None if row["said"] is None else str(row["said"])
            yield Prediction(f"{name}, reranks", row["query"], said, row["right"])
        elif kind in figures.WAYS:
            place = row["ties_against"]
            first = None if place is None else str(place)
            yield Prediction(f"{name}, {figures.WAYS[kind]}", str(row["query"]), first, place == 1)
