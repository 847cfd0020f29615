"""Multimodal RewardBench from recorded outputs: how often a judge prefers what experts prefer.

The leaderboard's overall figure is over triplets, not over domains. A tie and an answer that could
not be read are outcomes of their own, never a coin: every accuracy is given with them as wrong, as
one half (what a coin would come to), and left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.evals.headline import of_best
from safejudge.evals.rewardbench import records
from safejudge.evals.stats import agreement, order_bias
from safejudge.evals.stats.curves import auroc
from safejudge.evals.stats.intervals import Estimate, ratio, share_of
from safejudge.evals.suite import EvalResult, Prediction
from safejudge.show.figures import Table
from safejudge.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from safejudge.evals.rewardbench.records import Output, Recorded
    from safejudge.types import JSON

Estimates = dict[str, Estimate]
_OPEN_AS = {"at_zero": 0.0, "at_half": 0.5, "left_out": None}
"""What a tie or an unread answer counts."""
TIE = "C"
_PROTOCOLS = {
    "weighted": "scores weighted by the probabilities of their tokens",
    "written": "written scores",
    "verdict": "verdicts",
    "letters": "verdicts by the probabilities of their letters",
    "voted": "scores, each the vote of several samples",
    "vote": "verdicts, each the vote of several samples",
}


def from_outputs(folder: Path) -> EvalResult:
    """Score every file of triplets or answers below a folder."""
    recorded = records.read(folder)
    return score(recorded, records.swapped_files(recorded.files))


def score(recorded: Recorded, swapped: Mapping[str, tuple[str, str]]) -> EvalResult:
    """Score what was read; `swapped`: under one name, two judges that saw either order."""
    files = recorded.files
    numbers = {judge: _estimates(outputs) for judge, outputs in files.items()}
    orders = {
        f"{base} (both orders)": _orders(records.in_either_order(files[first], files[second]))
        for base, (first, second) in swapped.items()
    }
    outputs = [(judge, output) for judge, rows in files.items() for output in rows]
    return EvalResult(
        tables=_tables(numbers, orders),
        findings=_findings(numbers, orders, recorded),
        numbers={
            judge: {name: value.json() for name, value in estimates.items()}
            for judge, estimates in (numbers | orders).items()
        },
        samples=tuple(sample(judge, output) for judge, output in outputs),
        unread=recorded.unread,
        predictions=tuple(
            prediction for judge, output in outputs for prediction in _predictions(judge, output)
        ),
        headline=of_best(numbers, {f"overall.{name}.at_half": "right" for name in _PROTOCOLS}),
    )


def over_triplets(domains: Mapping[str, tuple[float, int]]) -> Estimate:
    """The overall figure of (share, triplets) by domain: weighted by how many there are."""
    n = sum(count for _, count in domains.values())
    return Estimate(ratio(sum(value * count for value, count in domains.values()), n), n)


def sample(judge: str, output: Output) -> JSON:
    """What came of one triplet, as a record."""
    main = next(iter(output.verdicts))
    return {
        "judge": judge,
        "file": output.file,
        "id": output.id,
        "repeat": output.repeat,
        "category": output.category,
        "domain": records.domain(output.category),
        "part": records.part(output.category, output.id),
        "image": output.image or None,
        "label": output.label,
        "said": output.verdicts[main],
        "outcome": agreement.mark(output.label, output.verdicts[main], TIE),
        "read": {
            name: {"said": verdict, "outcome": agreement.mark(output.label, verdict, TIE),
                   "scores": list(output.scores[name]) if name in output.scores else None}
            for name, verdict in output.verdicts.items()
        },
        "output": output.text,
    }  # fmt: skip


def _predictions(judge: str, output: Output) -> Iterator[Prediction]:
    """What was said by every protocol; a tie is none of the two answers."""
    for name, verdict in output.verdicts.items():
        scores = output.scores.get(name)
        yield Prediction(
            protocol=f"{judge}, {_PROTOCOLS[name]}",
            sample=f"{output.id} ({output.repeat + 1})" if output.repeat else output.id,
            answer=None if verdict == TIE else verdict,
            right=verdict == output.label,
            score=None if scores is None else scores[0] - scores[1],
            confidence=max(scores) if scores and name == "letters" and verdict != TIE else None,
            group=output.image or output.id,
        )


# --- estimates ----------------------------------------------------------------------------------


def _estimates(outputs: Sequence[Output]) -> Estimates:
    """Everything of one file: overall, by domain and by part, for every protocol."""
    protocols = list(dict.fromkeys(name for output in outputs for name in output.verdicts))
    groups = _groups(outputs)
    results: Estimates = {}
    for group, part in sorted(groups.items()):
        better_first = [output.label == "A" for output in part]
        results[f"{group}.better_first"] = share_of(better_first, _ids(part))
        for protocol in protocols:
            read = [output for output in part if protocol in output.verdicts]
            results |= {
                f"{group}.{protocol}.{name}": value
                for name, value in _accuracies(read, protocol).items()
            }
    domains = [group for group in groups if group in records.DOMAINS]
    for protocol in protocols:
        shares = [results[f"{group}.{protocol}.at_half"].value for group in domains]
        mean = Estimate(agreement.mean(shares), len(shares))
        results[f"mean_of_domains.{protocol}.at_half"] = mean
        results |= _margins(outputs, protocol)
    texts = [output.text or "" for output in outputs]
    if any(output.text is not None for output in outputs):
        two = ["[[A]]" in text and "[[B]]" in text for text in texts]
        results["overall.verdict.names_both"] = share_of(two, _ids(outputs))
    return results


def _groups(outputs: Sequence[Output]) -> dict[str, list[Output]]:
    """Overall, by domain, and by part of a domain."""
    groups: dict[str, list[Output]] = {"overall": list(outputs)}
    for output in outputs:
        groups.setdefault(records.domain(output.category), []).append(output)
        if (part := records.part(output.category, output.id)) is not None:
            groups.setdefault(part, []).append(output)
    return groups


def _accuracies(outputs: Sequence[Output], protocol: str) -> Estimates:
    verdicts = [output.verdicts[protocol] for output in outputs]
    marks = [agreement.mark(o.label, v, TIE) for o, v in zip(outputs, verdicts, strict=True)]
    ids = _ids(outputs)
    results = {name: agreement.accuracy(marks, open_as, ids) for name, open_as in _OPEN_AS.items()}
    picked = [verdict in {"A", "B"} for verdict in verdicts]
    return results | {
        "tie": share_of([mark == "tie" for mark in marks], ids),
        "unread": share_of([mark == "unread" for mark in marks], ids),
        "picks_first": share_of([verdict == "A" for verdict in verdicts], ids, picked),
    }


def _ids(outputs: Sequence[Output]) -> list[str]:
    """What belongs together: one picture and question, of which there are sometimes several."""
    return [output.id for output in outputs]


def _margins(outputs: Sequence[Output], protocol: str) -> Estimates:
    """Whether a small difference of scores points to an error."""
    decided = [output for output in outputs
               if protocol in output.scores and output.verdicts[protocol] != TIE]  # fmt: skip
    if not decided:
        return {}
    pairs = [output.scores[protocol] for output in decided]
    close = [1 - abs(first - second) / 4 for first, second in pairs]
    value = auroc(close, [output.verdicts[protocol] != output.label for output in decided])
    return {f"overall.{protocol}.error_from_small_margin": Estimate(value, len(decided))}


def _orders(pairs: Sequence[tuple[Output, Output]]) -> Estimates:
    """One judge, both orders of the same two answers."""
    worth = {"right": 1.0, "wrong": 0.0, "tie": 0.5, "unread": 0.5}
    ids = _ids([first for first, _ in pairs])
    protocols = dict.fromkeys(
        name for first, second in pairs for name in first.verdicts if name in second.verdicts
    )
    results: Estimates = {}
    for protocol in protocols:
        verdicts = [(a.verdicts.get(protocol), b.verdicts.get(protocol)) for a, b in pairs]
        marks = [
            (agreement.mark(a.label, first, TIE), agreement.mark(b.label, second, TIE))
            for (a, b), (first, second) in zip(pairs, verdicts, strict=True)
        ]
        values = [(worth[first] + worth[second]) / 2 for first, second in marks]
        results[f"overall.{protocol}.at_half"] = share_of(values, ids)
        orders = order_bias.estimates(verdicts, marks, {None, TIE}, ids)
        results |= {f"overall.{protocol}.{name}": value for name, value in orders.items()}
    return results


# --- tables and findings ------------------------------------------------------------------------


def _tables(numbers: Mapping[str, Estimates], orders: Mapping[str, Estimates]) -> tuple[Table, ...]:
    tables = [
        _accuracy_table(judge, estimates, protocol)
        for judge, estimates in numbers.items()
        for protocol in _overall(estimates)
    ]
    heads = {
        "right": "at_half", **order_bias.HEADS, "a tie or unread": "tie_or_unread",
    }  # fmt: skip
    rows = []
    for judge, estimates in orders.items():
        for protocol in _overall(estimates, sort=True):
            n = estimates[f"overall.{protocol}.at_half"].n
            cells = (estimates[f"overall.{protocol}.{name}"].text(n) for name in heads.values())
            rows.append((f"{judge}, {_PROTOCOLS[protocol]}", str(n), *cells))
    if rows:
        tables.append(Table("Both orders of the same answers", ("judge", "n", *heads), tuple(rows)))
    return tuple(tables)


def _overall(estimates: Estimates, *, sort: bool = False) -> list[str]:
    """Protocols with an overall figure: in the order of the estimates, or of all protocols."""
    start, end = "overall.", ".at_half"
    names = [
        name[len(start) : -len(end)]
        for name in estimates
        if name.startswith(start) and name.endswith(end)
    ]
    return [name for name in _PROTOCOLS if name in names] if sort else names


def _accuracy_table(judge: str, estimates: Estimates, protocol: str) -> Table:
    heads = {
        "as one half": "at_half", "as wrong": "at_zero", "left out": "left_out", "ties": "tie",
        "unread": "unread", "picks the first": "picks_first",
    }  # fmt: skip
    end = f".{protocol}.at_zero"
    groups = [name.removesuffix(end) for name in estimates if name.endswith(end)]
    groups.sort(key=lambda group: (group == "overall", group))
    return Table(
        f"{judge}: {_PROTOCOLS[protocol]}",
        ("domain", "n", *heads, "the better is first"),
        tuple(_row(estimates, group, protocol, [*heads.values()]) for group in groups),
        "Right, with ties and unread answers as one half, as wrong, and left out. "
        "Overall is over triplets, as on the leaderboard.",
    )


def _row(estimates: Estimates, group: str, protocol: str, names: Sequence[str]) -> tuple[str, ...]:
    n = estimates[f"{group}.{protocol}.at_half"].n
    cells = [estimates[f"{group}.{protocol}.{name}"].text(n) for name in names]
    return (group, str(n), *cells, estimates[f"{group}.better_first"].text(n))


def _findings(
    numbers: Mapping[str, Estimates], orders: Mapping[str, Estimates], recorded: Recorded
) -> tuple[str, ...]:
    lines = [
        f"{counted(n, 'record')} left out: {reason}." for reason, n in recorded.left_out.items()
    ]
    for judge, outputs in recorded.files.items():
        lines += _notes(judge, outputs)
        for protocol, text in _PROTOCOLS_BY_EFFORT.items():
            start = f"overall.{protocol}"
            tie = numbers[judge].get(f"{start}.tie")
            unread = numbers[judge].get(f"{start}.unread")
            if tie is not None and unread is not None:
                lines.append(
                    f"{judge}, {text}: {tie.value:.1%} ties and {unread.value:.1%} unread "
                    f"(n={tie.n}); right with these at one half "
                    f"{numbers[judge][f'{start}.at_half'].text()}."
                )
    for judge, estimates in orders.items():
        protocols = _overall(estimates, sort=True)
        for protocol in protocols:
            name = f", {_PROTOCOLS[protocol]}" if len(protocols) > 1 else ""
            same = estimates[f"overall.{protocol}.same_answer"]
            lines.append(f"{judge}{name}: the same answer in both orders {same.text()}.")
    return tuple(lines)


_PROTOCOLS_BY_EFFORT = {
    name: _PROTOCOLS[name]
    for name in ("written", "voted", "weighted", "verdict", "vote", "letters")
}
"""As the findings speak of them: what was written before what was computed from it."""


def _notes(judge: str, outputs: Sequence[Output]) -> Iterator[str]:
    """What is odd about one file."""
    twice = len({output.id for output in outputs if output.repeat})
    if twice:
        yield f"{judge}: {twice} ids stand more than once; each row is one triplet."
    domains = {records.domain(output.category) for output in outputs}
    foreign = ", ".join(sorted(domains.difference(records.DOMAINS)))
    if foreign:
        yield f"{judge}: domains that the benchmark does not have: {foreign}."
