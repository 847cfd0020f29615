"""One run of the command line over many images: results go to file, pipe, table and page.

Takes a judge and paths with their captions; judges them all, and puts every window of results on
disk, into the pipe and on the terminal. Ctrl-C or an engine that fails loses only what is under
way.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console

from safejudge.errors import EngineError
from safejudge.files import records
from safejudge.show import terminal as show
from safejudge.show.terminal import INTERRUPTED

if TYPE_CHECKING:
    from rich.progress import TaskID

    from safejudge.judge import Judge
    from safejudge.show.page.judged import Report
    from safejudge.types import Result


class Batch:
    """One run over many images: results go to file, pipe or table, window by window."""

    def __init__(
        self,
        judge: Judge,
        pairs: list[tuple[str, str | None]],
        window: int,
        file: records.RecordFile | None,
        report: Report | None,
    ) -> None:
        self._judge, self._window, self._file, self._report = judge, window, file, report
        self._all = len(pairs)
        if file is not None:
            places = records.missing([path for path, _ in pairs], file.recorded)
            pairs = [pairs[place] for place in places]
        self._images = [path for path, _ in pairs]
        self._prompts = [prompt for _, prompt in pairs]
        self._captions = dict(pairs)
        self._shown_before = 0 if report is None else report.count
        self._tally = records.Tally() if file is None else file.tally
        self._earlier = self._tally.labels.total()
        self._begun = time.monotonic()
        self._bar = show.progress_bar(Console(stderr=True), shown=sys.stderr.isatty())
        # While a bar stands on the terminal, the table has to be printed above it by the bar.
        self._table = self._bar.console if sys.stderr.isatty() else show.console()
        self._rows = show.Rows(self._images, self._table.width)

    def go(self) -> int:
        """Judge and print; return the exit code, which counts earlier runs on the file too."""
        try:
            with self._bar:
                task = self._bar.add_task(
                    "", total=self._all, completed=self._all - len(self._images), rate="", counts=""
                )
                self._judge_all(task)
        except (KeyboardInterrupt, EngineError) as error:
            self._say_where_it_stopped()
            if isinstance(error, EngineError):
                raise
            return INTERRUPTED
        finally:
            if self._report is not None and self._report.count:
                self._report.write(wanted=self._shown_before + len(self._images))
        seconds, models = time.monotonic() - self._begun, self._judge.models
        show.say(show.summary(self._tally, self._earlier, seconds))
        if spent := show.costs(models.meter, models.engine.tokens, seconds):
            show.say(spent)
        return self._tally.exit_code

    def _judge_all(self, task: TaskID) -> None:
        """Put results where they go, by windows; before a failure or Ctrl-C, all there are."""
        found: list[tuple[str, Result]] = []
        results = self._judge.stream(self._images, self._prompts, window=self._window)
        try:
            for pair in zip(self._images, results, strict=True):
                found.append(pair)
                if len(found) == self._window:
                    full, found = found, []
                    self._put(full, task)
        finally:
            if found:
                self._put(found, task)

    def _put(self, pairs: list[tuple[str, Result]], task: TaskID) -> None:
        piped = self._file is None and not sys.stdout.isatty()
        about = self._judge.provenance if piped else None
        found = [records.record(path, result, about) for path, result in pairs]
        if self._file is not None:
            self._file.append(found)
        elif piped:
            sys.stdout.write("".join(map(records.to_line, found)))
            sys.stdout.flush()
        for record in found:
            self._tally.add(record)
        if self._report is not None:
            for path, result in pairs:
                self._report.add_file(path, result, self._captions[path])
        if sys.stdout.isatty():
            self._table.print(self._rows.table(pairs))
        self._advance(task, len(pairs))

    def _advance(self, task: TaskID, count: int) -> None:
        seconds = time.monotonic() - self._begun
        new = self._tally.labels.total() - self._earlier
        self._bar.update(
            task,
            advance=count,
            rate=f"{show.rate(new, seconds)}/s",
            counts=show.counts(self._tally),
        )

    def _say_where_it_stopped(self) -> None:
        done = self._tally.labels.total()
        if self._file is None:
            show.say(f"stopped after {done} of {self._all} images")
        else:
            show.say(
                f"stopped: {done} records are in {self._file.path}; "
                "the same command with --resume judges the rest"
            )
