"""What a check of golden images found, for people: what comes out otherwise, and by which edit.

Takes checks and moves; gives renderables for a `rich` console, and lines of text. What others wrote
passes `clean`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from safejudge.golden.moves import changes_outcomes
from safejudge.show.diff import changed_rules, marked
from safejudge.show.terminal import STYLES
from safejudge.text import clean, counted, cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from safejudge.constitution.diff import Change
    from safejudge.golden.moves import Move
    from safejudge.golden.outcomes import Check, Miss
    from safejudge.types import Constitution

_WORDS = {"differs": ("comes out otherwise", "bold red"), "open": ("not settled", "yellow")}


def unmet(checks: Sequence[Check]) -> RenderableType:
    """Show the examples that do not come out as expected: first those that differ."""
    order = ("differs", "open")
    chosen = [check for check in checks if check.misses]
    chosen.sort(key=lambda check: order.index(check.status))
    blocks: list[RenderableType] = []
    for check in chosen:
        heading = Text.assemble((clean(check.example.name), "bold"), "  ", _WORDS[check.status])
        blocks += [heading, marked("", [*_lines(check)]), Text()]
    return Group(*blocks)


def _lines(check: Check) -> Iterator[Text]:
    for miss in check.misses:
        yield _missed(miss)
        if miss.note:
            yield Text(clean(miss.note), "dim")
    for why in check.example.why:
        yield Text(f"why: {clean(why)}")
    yield Text(", ".join(map(clean, check.example.where)), "dim")


def _missed(miss: Miss) -> Text:
    score = "" if miss.score is None else f" ({miss.score:.2f})"
    found = Text(_plain(miss.found), STYLES.get(miss.found, "yellow"))
    subject = f"{clean(miss.rule)}: " if miss.rule is not None else ""
    return Text.assemble(subject, f"expected {_plain(miss.expected)}, is ", found, score)


def _plain(word: str) -> str:
    return word.replace("_", " ")


# --- which edit moved which image -----------------------------------------------------------------


def moved(edits: Sequence[Change], moves: Sequence[Move]) -> RenderableType:
    """Show the edits as `diff` does; under those of a rule the examples that it moved."""
    by_rule: defaultdict[str, list[Move]] = defaultdict(list)
    alone: list[Move] = []
    for move in moves:
        (by_rule[move.rule] if move.edits else alone).append(move)
    counts = Counter(edit.rule for edit in edits if changes_outcomes(edit))
    several = {rule for rule, count in counts.items() if count > 1}
    beside = {
        rule: [_move(move, several=rule in several) for move in by_rule[rule]]
        or [Text("moves no example", "dim")]
        for rule in dict.fromkeys(edit.rule for edit in edits)
        if rule
    }
    blocks: list[RenderableType] = []
    if edits:
        blocks.append(changed_rules(edits, beside))
    else:
        blocks.append(Text("the rules are the same, but for order or nesting"))
    if alone:
        blocks += [Text(), Text("without an edit of its rule: the model answers otherwise", "bold")]
        blocks.append(marked("  >", [_move(move, named=True) for move in alone]))
    return Group(*blocks, Text())


def _by(move: Move) -> str:
    """Say which of several edits of its rule moved an example."""
    named = "; ".join(f"{edit.kind}: {_brief(edit)}" for edit in move.edits)
    if len(move.edits) == 1:
        return f"by {named}"
    return f"by each of these alone: {named}" if move.alone else f"by several of these: {named}"


def _brief(edit: Change) -> str:
    """The new text of an edit, or the old one of what is gone, as far as one line holds it."""
    return cut(clean(edit.new or edit.old or ""), 60)


def _move(move: Move, *, named: bool = False, several: bool = False) -> Text:
    subject = f"{move.rule}, " if named else ""
    line = Text.assemble(
        f"{clean(subject)}{clean(move.example.name)}: {_plain(move.was)} -> ",
        (_plain(move.now), STYLES.get(move.now, "yellow")),
    )
    if move.expected is not None:
        met = _same(move.now, move.expected)
        words = "as expected" if met else f"expected {_plain(move.expected)}"
        line.append(f", {words}", "green" if met else "bold red")
    if several:
        line.append(f"\n{_by(move)}", "dim")
    return line


def _same(found: str, expected: str) -> bool:
    return found == expected or (
        expected == "not_violated" and found in ("not_relevant", "no rule")
    )


# --- in sentences ---------------------------------------------------------------------------------


def summary(checks: Sequence[Check]) -> str:
    """Count the examples: "12 examples: 10 as expected, 1 comes out otherwise, 1 not settled"."""
    counts = Counter(check.status for check in checks)
    told = [f"{counts['as expected']} as expected"]
    if number := counts["differs"]:
        told.append(f"{number} {'comes' if number == 1 else 'come'} out otherwise")
    if number := counts["open"]:
        told.append(f"{number} not settled")
    return f"{counted(len(checks), 'example')}: {', '.join(told)}"


def moved_summary(moves: Sequence[Move]) -> str:
    """Count what moved, and whether to what is expected."""
    met = sum(m.expected is not None and _same(m.now, m.expected) for m in moves)
    unknown = sum(m.expected is None for m in moves)
    told = f"{met} to what is expected, {len(moves) - met - unknown} away from it"
    return f"{counted(len(moves), 'outcome')} moved: {told}, {unknown} that nobody spoke of"


def untouched(constitution: Constitution, checks: Sequence[Check]) -> str:
    """Name the rules of which no example is a violation, or none is none; "" for no rule."""
    sides: defaultdict[str, set[bool]] = defaultdict(set)
    for check in checks:
        for rule, violated in check.example.violated.items():
            sides[rule].add(violated)
    lines = []
    for side, words in ((True, "violation"), (False, "image without a violation")):
        lacking = [rule.id for rule in constitution.rules if side not in sides[rule.id]]
        if lacking:
            lines.append(f"no example of {'a' if side else 'an'} {words}: {', '.join(lacking)}")
    return "\n".join(map(clean, lines))
