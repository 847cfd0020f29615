"""What a language model makes of the shipped rules, against what people made of them.

Every rule of the shipped constitutions is compiled twice. From its text alone, as people write
rules: wording and tree. And from its objective, with only the condition taken away: the tree alone,
which is what can be compared, for it has to use the objective's words. A tree is compared with the
condition that ships by a truth table over their statements; a statement is the same as another if
they share most of their words and all that count and relate (`paired`). Where a statement has no
partner, no table can be drawn, and the record says so.

    python benchmarks/compile_real.py hf:FOLDER --name smollm2 --kept smollm2.kept --minutes 60

A run that stopped goes on with the same `--kept`. A partial run says how many of the rules it had.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from kept import Kept
from measure import record
from mutations import shipped

from safejudge.compile.prompts import digest
from safejudge.compile.run import compile_constitution
from safejudge.compile.trial import trial_flow
from safejudge.constitution.lint.rewording import loses_rule
from safejudge.constitution.lint.stems import is_count, is_relation, said_words, stem, tokens
from safejudge.engines.open import open_engine
from safejudge.flow import drive
from safejudge.show.markdown import table
from safejudge.text import cut
from safejudge.types import AllOf, AnyOf, NoneOf, Precondition, leaves

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from safejudge.engines.base import Engine
    from safejudge.types import Condition, Rule

Start = Literal["text", "objective"]
STARTS: tuple[Start, ...] = ("text", "objective")
TOGETHER = 4
"""Rules compiled side by side; what a kill loses."""
SAME = 0.6
"""Words that two statements share, of all that either has: more, and they are the same one."""
MOST = 14
"""Statements of a truth table."""
MEANINGS = ("equal", "weaker", "stricter", "other", "no table")


# --- comparing ------------------------------------------------------------------------------------


class Compared(NamedTuple):
    """What a compiled tree means beside the one that ships."""

    meaning: str
    """One of `MEANINGS`: `weaker` lets something pass that ours forbids, `stricter` forbids more,
    `other` does both; `no table`: a statement has no partner."""
    lost: tuple[str, ...] = ()
    """Statements of ours without a partner."""
    added: tuple[str, ...] = ()
    """Statements of theirs without one."""


def compare(ours: Condition, theirs: Condition) -> Compared:
    """Compare two trees by a truth table over their paired statements."""
    our_words = list(dict.fromkeys(leaf.statement for leaf in leaves(ours)))
    their_words = list(dict.fromkeys(leaf.statement for leaf in leaves(theirs)))
    pairs = paired(our_words, their_words)
    lost = tuple(words for words in our_words if words not in pairs.values())
    added = tuple(words for words in their_words if words not in pairs)
    if lost or added or len(our_words) > MOST:
        return Compared("no table", lost, added)
    less = more = False
    for values in itertools.product((False, True), repeat=len(our_words)):
        shown = dict(zip(our_words, values, strict=True))
        wanted = holds(ours, shown)
        given = holds(theirs, {words: shown[pairs[words]] for words in their_words})
        less, more = less or (wanted and not given), more or (given and not wanted)
    names = {(False, False): "equal", (True, False): "weaker", (False, True): "stricter"}
    return Compared(names.get((less, more), "other"))


def paired(ours: Sequence[str], theirs: Sequence[str]) -> dict[str, str]:
    """Give statements of theirs the one of ours that says the same, the likest first."""
    likeness = {
        (one, other): likeness_of(one, other) for one, other in itertools.product(theirs, ours)
    }
    pairs: dict[str, str] = {}
    for (one, other), value in sorted(likeness.items(), key=lambda item: -item[1]):
        if value >= SAME and one not in pairs and other not in pairs.values():
            pairs[one] = other
    return pairs


def likeness_of(one: str, other: str) -> float:
    """Words that two statements share, of all; 0 where one counts or relates otherwise."""
    words, others = said_words(one), said_words(other)
    if exact_words(one) != exact_words(other) or not words | others:
        return 0.0
    return len(words & others) / len(words | others)


def exact_words(statement: str) -> frozenset[str]:
    words = (word for word in tokens(statement) if is_count(word) or is_relation(word))
    return frozenset(map(stem, words))


def holds(condition: Condition, shown: Mapping[str, bool]) -> bool:
    """Whether a condition is met where these statements are true."""
    match condition:
        case Precondition(statement=statement):
            return shown[statement]
        case AllOf(all=parts):
            return all(holds(part, shown) for part in parts)
        case AnyOf(any=parts):
            return any(holds(part, shown) for part in parts)
        case NoneOf(none=parts):
            return not any(holds(part, shown) for part in parts)


# --- compiling ------------------------------------------------------------------------------------


def compiled(rules: Sequence[Rule], start: Start, engine: Engine) -> list[dict[str, Any]]:
    """Compile rules whose condition, or objective too, is taken away; a row for each."""
    listed = [
        {"id": f"rule-{number}", "category": "test", "severity": "low", "text": rule.text}
        | ({"objective": rule.objective} if start == "objective" else {})
        for number, rule in enumerate(rules)
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rules.yaml"
        file.write_text(json.dumps({"name": "test", "rules": listed}), encoding="utf-8")
        results = compile_constitution(file, engine, self_test=False)
    rows: list[dict[str, Any]] = []
    for rule, result in zip(rules, results, strict=True):
        row: dict[str, Any] = {"text": rule.text, "ours": rule.objective}
        if result.entry is None:
            rows.append(row | {"state": "failed", "problem": result.problem})
            continue
        compared = compare(rule.condition, result.entry.condition)
        rows.append(
            row
            | {
                "state": "review" if result.entry.review else "clean",
                "objective": result.entry.objective,
                "condition": result.entry.condition.model_dump(exclude_none=True),
                "review": result.entry.review,
                **compared._asdict(),
            }
        )
    return rows


def windows(rules: Sequence[tuple[str, Rule]]) -> Iterator[tuple[str, Start, list[Rule]]]:
    """Pieces of work, both starts in turn, so that a run that stops has as much of either."""
    for begin in range(0, len(rules), TOGETHER):
        piece = [rule for _, rule in rules[begin : begin + TOGETHER]]
        for start in STARTS:
            yield f"{start} {begin}", start, piece


# --- the record -----------------------------------------------------------------------------------


def summary(start: Start, rows: Sequence[dict[str, Any]], total: int) -> list[list[str]]:
    """Rows of the table: how many rules came to what, and what their trees mean."""
    states = Counter(row["state"] for row in rows)
    whole = [start, f"{len(rows)} of {total}", *(str(states[n]) for n in ("clean", "review"))]
    lines = []
    for state in ("clean", "review"):
        meanings = Counter(row["meaning"] for row in rows if row["state"] == state)
        lines.append([start, state, str(states[state]), *(str(meanings[m]) for m in MEANINGS)])
    return [[*whole, str(states["failed"])], *lines]


def lines_of(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Everything without `review`: what nobody would look at again."""
    for row in rows:
        if row["state"] == "clean":
            yield f"- {row['text']} → {row['objective']} ({row['meaning']})"


def failures(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Why rules failed, most often first."""
    failed = [row["problem"] for row in rows if row["state"] == "failed"]
    kinds = Counter(cut(problem.split("; got")[0], 80) for problem in failed)
    yield from (f"- {problem}: {count}" for problem, count in kinds.most_common())


def text_of(kept: Mapping[Start, list[dict[str, Any]]], total: int, test: str) -> str:
    made = {start: summary(start, rows, total) for start, rows in kept.items()}
    heads = ["from", "rules", "compiled", "compiled, to review", "failed"]
    text = table(heads, [lines[0] for lines in made.values()])
    meaning_heads = ["from", "left as", "rules", *MEANINGS]
    text += "\n\nWhat the trees mean beside those that ship:\n\n"
    text += table(meaning_heads, [line for lines in made.values() for line in lines[1:]])
    text += f"\n\nThe self-test, which the command begins with: {test}"
    for start, rows in kept.items():
        text += f"\n\nFrom the {start}, without `review`:\n"
        text += "\n".join(lines_of(rows)) or "none"
        text += f"\n\nFrom the {start}, why rules failed:\n"
        text += "\n".join(failures(rows)) or "none"
    lost = sum(row["state"] == "clean" and loses_rule(row["text"], row["objective"])
               for row in kept["text"])  # fmt: skip
    weaker = sum(row["state"] == "clean" and row["meaning"] in ("weaker", "other")
                 for rows in kept.values() for row in rows)  # fmt: skip
    text += f"\n\nWithout `review`, and weaker than ours by the table: {weaker}; "
    return text + f"without a word of the rule: {lost}"


def self_test(engine: Engine) -> str:
    problem = drive(trial_flow(), lambda requests: engine.reason(list(requests)))  # type: ignore[arg-type]
    return "passed" if problem is None else f"failed: {problem}"


class OverError(Exception):
    """The time that was given is over."""


def measured(rules: Sequence[Rule], start: Start, engine: Engine, until: float) -> Any:
    """Compile rules, and return their rows and the seconds of CPU that it took."""
    if time.monotonic() > until:
        raise OverError
    before = time.process_time()
    return compiled(rules, start, engine), time.process_time() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("uri")
    parser.add_argument("--name", required=True, help="of the record: compile-real-NAME")
    parser.add_argument("--kept", type=Path, help="keep here what is measured, and go on from it")
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="begin nothing new after so many"
    )
    args = parser.parse_args()
    until, rules = time.monotonic() + 60 * args.minutes, list(shipped())
    engine = open_engine(args.uri)
    made_by = f"{engine.card.revision} {digest()}"
    kept = Kept(args.kept)
    rows: dict[Start, list[dict[str, Any]]] = {start: [] for start in STARTS}
    seconds = 0.0
    test = kept.row(f"{made_by} test", lambda: self_test(engine))
    for name, start, piece in windows(rules):
        try:
            new, spent = kept.row(
                f"{made_by} {name}", partial(measured, piece, start, engine, until)
            )
        except OverError:
            continue  # a later one may be kept
        rows[start] += new
        seconds += spent
    engine.close()
    text = f"{text_of(rows, len(rules), test)}\n\n{seconds / 60:.0f} minutes of CPU."
    record(f"compile-real-{args.name}", {"seconds": seconds, "test": test, "rules": rows}, text)


if __name__ == "__main__":
    main()
