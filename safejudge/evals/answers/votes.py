"""A judge as the vote of several samples: the same question with seeds 0 to N - 1, and a majority.

Takes a protocol of written replies; gives the one that asks it N times and counts. A reply that
cannot be read is no vote. Two scores or rankings with as many votes decide nothing; two answers of
a pair with as many votes are a tie, as two letters of equal probability are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from safejudge.errors import InputError
from safejudge.evals.stats.intervals import FEW, Estimate, mean_of, share_of
from safejudge.show.figures import Table
from safejudge.types import Reasoning, Sampling

if TYPE_CHECKING:
    from safejudge.engines.base import Engine
    from safejudge.evals.answers.prompts import Before
    from safejudge.evals.answers.protocols import Protocol, Request, Sample
    from safejudge.types import JSON, Picture

NAME = "voted"
"""What stands in a protocol's name for `written`."""


@dataclass(frozen=True, slots=True)
class Votes:
    """How often is asked, and how hot."""

    count: int
    temperature: float

    def check(self, engine: Engine) -> None:
        """Raise `InputError` for an engine whose replies are the same every time."""
        if not engine.card.samples:
            raise InputError(
                f"--suite-arg votes={self.count}: {engine.card.uri} draws no replies by a seed, so "
                "all votes would be one; choose hf:, vllm: or server:, or readings=written"
            )

    def __str__(self) -> str:
        return f"{self.count} votes at {self.temperature:g}"


def voted(protocol: Protocol, votes: Votes) -> Protocol:
    """Ask a protocol of written replies so often, and take the majority."""

    def requests(sample: Sample, picture: Picture, before: Before) -> list[tuple[JSON, Request]]:
        return [
            (head | {"seed": seed}, _drawn(request, votes.temperature, seed))
            for head, request in protocol.requests(sample, picture, before)
            for seed in range(votes.count)
        ]

    def combine(entries: Sequence[JSON]) -> list[JSON]:
        return [
            _counted(entries[start : start + votes.count])
            for start in range(0, len(entries), votes.count)
        ]

    name = protocol.name.replace("written", NAME)
    return replace(protocol, name=name, requests=requests, combine=combine)


def _drawn(request: Request, temperature: float, seed: int) -> Request:
    assert isinstance(request, Reasoning)  # noqa: S101 - what is written is no probe
    return replace(request, sampling=Sampling(temperature, seed))


_HEAD = ("answer", "order")


def _counted(votes: Sequence[JSON]) -> JSON:
    """One answer of several samples."""
    head = {name: votes[0][name] for name in _HEAD if name in votes[0]}
    samples = [{k: v for k, v in vote.items() if k not in _HEAD} for vote in votes]
    counts = Counter(vote["said"] for vote in votes if vote["said"] is not None)
    entry: JSON = head | {"votes": samples, "agreement": None}
    if not counts:
        # Where all of them have one reason, it is this answer's.
        reasons = {vote["why"] for vote in votes}
        return entry | {"said": None, "why": reasons.pop() if len(reasons) == 1 else "unreadable"}
    most = max(counts.values())
    entry["agreement"] = most / counts.total()
    winners = sorted(said for said, count in counts.items() if count == most)
    if len(winners) == 1:
        return entry | {"said": winners[0]}
    if "order" in head and winners == ["A", "B"]:
        return entry | {"said": "C"}
    return entry | {"said": None, "why": "undecided"}


# --- what the votes are worth -------------------------------------------------------------------


def figures(judged: Sequence[JSON]) -> dict[str, dict[str, Estimate]]:
    """By protocol: how far votes agree, how often all do, how many are unread or tied."""
    rows: dict[str, list[tuple[str, JSON]]] = {}
    for record in judged:
        kind = record["about"].get("kind")
        for name, entries in record["said"].items():
            voted_entries = [(record["picture"], entry) for entry in entries if "votes" in entry]
            if voted_entries:
                protocol = name if kind in {None, name.split()[0]} else f"{kind}: {name}"
                rows.setdefault(protocol, []).extend(voted_entries)
    return {name: _figures(entries) for name, entries in rows.items()}


def _figures(rows: Sequence[tuple[str, JSON]]) -> dict[str, Estimate]:
    read = [(group, float(e["agreement"])) for group, e in rows if e["agreement"] is not None]
    groups = [group for group, _ in read]
    votes = [(group, vote["said"] is None) for group, e in rows for vote in e["votes"]]
    return {
        "agreement": mean_of([share for _, share in read], groups),
        "unanimous": share_of([share == 1 for _, share in read], groups),
        "undecided": share_of([_is_tied(e) for _, e in rows], [group for group, _ in rows]),
        "unread": share_of([none for _, none in votes], [group for group, _ in votes]),
    }


def _is_tied(entry: JSON) -> bool:
    """Whether several answers had the most votes."""
    counts = Counter(vote["said"] for vote in entry["votes"] if vote["said"] is not None)
    best = counts.most_common(2)
    return len(best) == 2 and best[0][1] == best[1][1]


def table(judged: Sequence[JSON]) -> list[Table]:
    """For people; nothing where nobody voted."""
    heads = {"agreement": "votes for the answer", "unanimous": "all alike", "undecided": "tied",
             "unread": "unread samples"}  # fmt: skip
    rows = tuple(
        (name, str(estimates["undecided"].n), *(_cell(estimates, head) for head in heads))
        for name, estimates in sorted(figures(judged).items())
    )
    note = (
        "Over what was asked. Votes for the answer: of the samples that were read, those that say "
        "what most of them say. Tied: several answers have the most votes; of a pair that is a "
        f"tie, else no answer. Unread samples are no votes. {FEW}"
    )
    return (
        [Table("Votes of several samples", ("", "n", *heads.values()), rows, note)] if rows else []
    )


def _cell(estimates: dict[str, Estimate], name: str) -> str:
    value: Any = estimates[name]
    text: str = value.cell()
    return text if value.n == estimates["undecided"].n else f"{text} n={value.n}"


def numbers(judged: Sequence[JSON], judge: str) -> JSON:
    """Every figure under a stable name, as `EvalResult.numbers`."""
    named = {
        f"{protocol}.{name}": estimate.json()
        for protocol, estimates in figures(judged).items()
        for name, estimate in estimates.items()
    }
    return {f"{judge}, votes": named} if named else {}
