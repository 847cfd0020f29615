"""Results for people: rows of a table, a line that sums up.

Takes results; gives renderables for a `rich` console, which decides on width and colour. Names,
captions and whatever a model said are untrusted: everything passes `clean`, nothing is markup.
How one image was judged is drawn in `trace`.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

from safejudge.show.actions import in_words
from safejudge.show.reasons import differs, reason
from safejudge.text import clean, clean_lines, counted, quoted
from safejudge.types import (
    Failure,
    Precondition,
    PreconditionVerdict,
    Result,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rich.console import RenderableType

    from safejudge.engines.meter import Meter, Tokens
    from safejudge.files.tally import Tally
    from safejudge.types import Intake

    Verdicts = Mapping[Precondition, PreconditionVerdict]
    TruthOf = Callable[[str], str | None]
    """Says of a path what is true there: "unsafe (armed-child)"; None where it is not known."""

STYLES = {
    "safe": "green",
    "unsafe": "bold red",
    "undecided": "yellow",
    "failed": "magenta",
    "violated": "bold red",
    "not_violated": "green",
    "not_relevant": "dim",
}
"""Colour of every label and outcome."""
ACTIONS = {"block": "bold red", "pass": "green", "person": "yellow"}
"""Colour of what is to be done."""

_LOOKED_AT = 1000
"""So many paths decide whether a table has a column for what is true."""
_COUNTABLE = 10**15
"""Tokens; nobody has read more, whatever an engine says."""


# --- text that others wrote -----------------------------------------------------------------------


def shorten(text: str, width: int) -> str:
    """Cut the middle out of `text`, so that it fills at most `width` cells of a terminal."""
    if cell_len(text) <= width:
        return text
    if width < 3:
        return set_cell_size(text, width)
    head = (width - 1) // 3
    tail = ""
    for sign in reversed(text):  # the end of a path says more than its beginning
        if cell_len(sign + tail) > width - 1 - head:
            break
        tail = sign + tail
    return set_cell_size(text, head).rstrip() + "…" + tail


def say(text: str) -> None:
    """Say something to the person at the terminal, beside the results."""
    lines = f"safejudge: {clean_lines(text)}".split("\n")
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns
        lines = [textwrap.fill(line, width, break_long_words=False) for line in lines]
    print("\n".join(lines), file=sys.stderr)  # noqa: T201 - what this is for


class _Console(Console):
    """A console that leaves a closed pipe to the command line, which has an exit code for it."""

    def on_broken_pipe(self) -> None:
        """Raise instead of ending the process with code 1, which would read as a verdict."""
        raise BrokenPipeError


def console() -> Console:
    """Return the console that results are printed on: no markup, no guesses about text."""
    return _Console(markup=False, highlight=False, emoji=False)


def print_trimmed(drawing: RenderableType) -> None:
    """Print in at most 100 columns, without the spaces that fill lines up."""
    screen = console()
    with screen.capture() as captured:
        screen.print(drawing, width=min(screen.width, 100))
    lines = captured.get().rstrip().split("\n")
    print("\n".join(line.rstrip() for line in lines))  # noqa: T201 - the same


# --- many images ----------------------------------------------------------------------------------


class Rows:
    """A table that is printed piece by piece: every piece has the same columns."""

    def __init__(
        self,
        names: Sequence[str],
        width: int,
        truth_of: TruthOf = lambda _: None,
        *,
        decided: bool = False,
    ) -> None:
        """Fit the columns into `width` cells; `names` are all the paths there will be.

        `truth_of` a path says what is true there; without any the table has no column for it.
        `decided`: there is one for what to do.
        """
        self._truth_of, self._decided = truth_of, decided
        truths = [words for name in names[:_LOOKED_AT] if (words := truth_of(name)) is not None]
        room = width - 9 - 5 - 3 * 2 - (8 if decided else 0)
        self._truth = min(max(5, *map(cell_len, truths)), room // 3) if truths else 0
        room -= self._truth + 2 if truths else 0
        longest = max((cell_len(clean(name)) for name in names), default=0)
        self._name = max(5, min(longest, room // 2))
        self._reason = max(5, room - self._name)
        self._begun = False

    def table(self, results: Iterable[tuple[str, Result]], action: str = "") -> Table:
        """Make a table of some more results, with their paths; the first piece has the header.

        `action` is what is to be done with them.
        """
        table = Table(
            box=None,
            padding=(0, 2, 0, 0),
            pad_edge=False,
            show_header=not self._begun,
            header_style="bold",
        )
        self._begun = True
        table.add_column("image", width=self._name, no_wrap=True)
        table.add_column("label", width=9)
        table.add_column("score", width=5, justify="right")
        if self._decided:
            table.add_column("action", width=6)
        if self._truth:
            table.add_column("truth", width=self._truth)
        table.add_column("violated, or why not safe", width=self._reason)
        for name, result in results:
            label = "failed" if isinstance(result, Failure) else result.label
            score = None if isinstance(result, Failure) else result.score
            number = "" if score is None else f"{score:.2f}"
            truth = self._truth_of(name) or ""
            is_other = truth and differs(result, truth)
            table.add_row(
                Text(shorten(clean(name), self._name)),
                Text(label, STYLES[label]),
                Text(number),
                *([Text(action, ACTIONS.get(action, ""))] if self._decided else []),
                *([Text(clean(truth), "bold yellow" if is_other else "")] if self._truth else []),
                Text(reason(result)),
            )
        return table


def kept_table(names: Sequence[str], columns: Sequence[Sequence[float]], threshold: float) -> Table:
    """Make the table of a calibration: per rule the mean similarity, and the share above."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("rule")
    table.add_column("mean", justify="right")
    table.add_column("asked", justify="right")
    for name, column in zip(names, columns, strict=True):
        count = sum(similarity > threshold for similarity in column)
        mean = sum(column) / len(column) if column else float("nan")
        share = f"{count / len(column):.0%}" if column else ""
        table.add_row(clean(name), f"{mean:.4f}", share)
    return table


def counts(tally: Tally) -> str:
    """Count labels, as in "3 safe, 1 unsafe, 0 undecided, 0 failed"."""
    labels = ("safe", "unsafe", "undecided", "failed")
    return ", ".join(f"{tally.labels[label]} {label}" for label in labels)


def summary(tally: Tally, earlier: int, seconds: float) -> str:
    """Sum up a run in one line; `earlier` images were recorded before its `seconds` began."""
    total = tally.labels.total()
    judged = total - tally.labels["failed"]
    images = counted(total, "image")
    earlier_note = f" ({earlier} from earlier runs)" if earlier else ""
    parts = [f"{images}{earlier_note}: {counts(tally)}"]
    if total > earlier and seconds > 0:
        parts.append(f"{rate(total - earlier, seconds)} images/s")
    if judged:
        averages = [f"{tally.probes / judged:.1f} questions"]
        if tally.detector_calls:
            averages.append(f"{tally.detector_calls / judged:.1f} searches")
        if tally.looks:
            averages.append(f"{tally.looks / judged:.1f} looks of programs")
        averages.append(f"{tally.reasoning_calls / judged:.1f} reasoning calls")
        parts.append(f"{', '.join(averages[:-1])} and {averages[-1]} per image")
    return "; ".join(parts)


def people(tally: Tally) -> str | None:
    """Say of how many images people decided, and what the judge had said; None of none."""
    if not tally.people:
        return None
    said = ", ".join(f"{count} {label}" for label, count in tally.people.most_common())
    images = counted(tally.people.total(), "image")
    return f"people decided about {images}, and that counts; the judge said: {said}"


def actions(tally: Tally) -> str | None:
    """Say what thresholds want done with images; None without any."""
    return f"actions: {in_words(tally.actions)}" if tally.actions else None


def coverage(given: Intake, tally: Tally) -> list[str]:
    """Say what nobody looked at, a line each: files, what the user named, frames."""
    lines = []
    if given.missed:
        kinds = ", ".join(f"{count} x {what}" for what, count in often(given.passed_over))
        first = f"; the first: {given.examples[0].partition(': ')[0]}" if given.examples else ""
        lines.append(
            f"passed over, not looked at: {counted(given.missed, 'file')} ({kinds}{first}); "
            "--ignore PATTERN says which need not be"
        )
    if failures := tally.failures:
        kinds = ", ".join(f"{count} x {reason}" for reason, count in often(failures))
        lines.append(f"failed: {kinds}; the first: {tally.first_failed}")
    if named := left_out(given):
        lines.append(f"left out: {named}")
    if given.repeated:
        lines.append(f"named more than once, judged once: {counted(given.repeated, 'path')}")
    if tally.frames["cut"]:
        lines.append(
            f"frames: {tally.frames['looked_at']} of {tally.frames['of']} looked at in "
            f"{counted(tally.frames['cut'], 'animation')}; --frames all looks at every one"
        )
    if hidden := tally.captions["hidden"]:
        lines.append(
            f"captions: {hidden} too long to be shown, so their images are safe to nobody; "
            "--cut-captions shows the beginning"
        )
    if cut := tally.captions["cut"]:
        lines.append(f"captions: only the beginning of {cut} was shown")
    if unanswered := tally.unanswered.total():
        (wanted, _), *_ = often(tally.unanswered)
        lines.append(
            f"answers: {unanswered} of {counted(tally.probes, 'question')} got neither yes nor no; "
            f"mostly the model wanted to say {quoted(wanted)}"
        )
    lines += [*programs(tally), *opinions(tally)]
    if skipped := tally.rules["not_relevant"]:
        rules = tally.rules.total()
        lines.append(
            f"rules: {rules - skipped} of {rules} asked, {skipped} skipped by the relevance filter"
        )
    return lines


def programs(tally: Tally) -> list[str]:
    """Say what programs settled without a question, and where one could not look."""
    lines = []
    if tally.by_programs:
        rules = counted(tally.rules.total(), "rule")
        lines.append(f"programs: {tally.by_programs} of {rules} settled without a question")
    if blind := tally.blind.total():
        (why, _), *_ = often(tally.blind)
        lines.append(
            f"programs: {counted(blind, 'time')} one could not look; mostly: {quoted(why, 200)}"
        )
    return lines


def opinions(tally: Tally) -> list[str]:
    """Say what each of several engines was asked, and how much went on to the last."""
    if not tally.engines:
        return []
    spent = [
        f"{name} {counted(counts['questions'], 'question')}, "
        f"{counted(counts['reasonings'], 'reasoning call')}"
        for name, counts in tally.engines.items()
    ]
    lines = [f"engines: {'; '.join(spent)}"]
    if escalated := tally.statements["escalated"]:
        answers = tally.statements["all"]
        lines.append(f"escalated: {escalated} of {counted(answers, 'answer')} to statements")
    lines += [
        f"no answer: {name} gave none to {counted(silent, 'statement')}"
        for name, counts in tally.engines.items()
        if (silent := counts["silent"])
    ]
    return lines


def left_out(given: Intake) -> str:
    """Name what the user, or a habit of systems, left out; empty where that is nothing."""
    named = [f"{count} by --ignore {pattern}" for pattern, count in often(given.ignored)]
    if given.companions:
        named.append(f"{counted(given.companions, 'file')} of labels or of macOS")
    if given.beyond_limit:
        named.append(f"{counted(given.beyond_limit, 'image')} beyond --limit")
    return ", ".join(named)


def often(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Order counts, the largest first."""
    return sorted(counts.items(), key=lambda pair: -pair[1])


def costs(meter: Meter, tokens: Tokens | None, seconds: float, judges: int = 1) -> str:
    """Say where the `seconds` of a run went, and what its engine read; empty if nothing was.

    Of several `judges` side by side the stages are the sum, which may be so many times as long.
    """
    stages = sorted(meter.seconds.items(), key=lambda pair: -pair[1])
    if not stages or seconds <= 0:
        return ""
    remainder = max(0.0, judges * seconds - sum(meter.seconds.values()))
    shares = [f"{name} {duration:.2f}" for name, duration in [*stages, ("the rest", remainder)]]
    times = "" if judges == 1 else f" x {judges} actors"
    parts = [f"{seconds:.2f} s{times}: {', '.join(shares)}"]
    questions = meter.questions
    if questions:
        parts.append(f"{rate(questions, seconds)} questions/s")
    if tokens is not None and 0 < tokens.prompt < _COUNTABLE:
        cached, share = tokens.cached, ""
        if cached is not None and 0 <= cached <= tokens.prompt:
            share = f", {cached / tokens.prompt:.0%} cached"
        parts.append(f"{tokens.prompt:,} prompt tokens{share}")
    return "; ".join(parts)


def rate(count: float, seconds: float) -> str:
    """Write a rate with two digits that mean something."""
    return f"{count / seconds:.3g}"
