"""Progress of a run: a bar on the terminal while it goes on, and a line on what it came to."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from safejudge.show import terminal
from safejudge.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from safejudge.engines.meter import Meter, Tokens
    from safejudge.files.tally import Tally


def progress_bar() -> Progress:
    """Make the bar: done, rate, time left, and the counts so far (the task's field `counts`)."""
    return Progress(
        BarColumn(bar_width=None),  # takes what the numbers leave
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[counts]}", markup=False),
        console=Console(stderr=True),
        expand=True,
        transient=True,
        redirect_stdout=False,  # records in a pipe must stay there
        disable=not sys.stderr.isatty(),
    )


@contextmanager
def progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar up to `total`; yields what is to be told of every piece of work done."""
    with progress_bar() as bar:
        task = bar.add_task("", total=total, rate="", counts="")
        yield lambda count: bar.update(task, advance=count)


class ImageProgress:
    """The progress of judging many images, some of which may have records of earlier runs."""

    def __init__(self, tally: Tally, total: int, waiting: int) -> None:
        """Begin to count: `waiting` of `total` images are to be judged, and `tally` grows."""
        self._tally, self._total, self._waiting = tally, total, waiting
        self._earlier = tally.labels.total()
        self._begun = time.monotonic()
        self.bar = progress_bar()
        self._task = self.bar.add_task(
            "", total=total, completed=total - waiting, rate="", counts=""
        )

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._begun

    def update(self) -> None:
        """Move the bar to what the tally holds."""
        judged = self._tally.labels.total() - self._earlier
        self.bar.update(
            self._task,
            completed=self._total - self._waiting + judged,
            rate=f"{terminal.rate(judged, self.seconds)}/s",
            counts=terminal.counts(self._tally),
        )

    def sum_up(self, meter: Meter, tokens: Tokens | None, judges: int = 1) -> None:
        """Say what the run came to, and where the time of its `judges` went."""
        seconds = self.seconds
        terminal.say(terminal.summary(self._tally, self._earlier, seconds))
        if costs := terminal.costs(meter, tokens, seconds, judges):
            terminal.say(costs)

    def say_stopped(self, output: Path | str | None, unwritten: int = 0) -> None:
        """Say how far a run came that stops, and how it goes on; `unwritten` records are lost."""
        count = self._tally.labels.total() - unwritten
        if output is None:
            terminal.say(f"stopped after {count} of {counted(self._total, 'image')}")
        else:
            terminal.say(
                f"stopped: {counted(count, 'record')} in {output}"
                f"{f', {unwritten} more could not be written' if unwritten else ''}; the same "
                "command with --resume judges the rest"
            )
