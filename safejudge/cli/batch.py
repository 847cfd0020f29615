"""One run of the command line over many images: results go to file, pipe, table and page.

Takes a judge and paths with their captions; judges them all, and puts every window of results on
disk, into the pipe and on the terminal. Ctrl-C or an engine that fails loses only what is under
way.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from safejudge.cli.exits import INTERRUPTED, of_tally
from safejudge.errors import EngineError
from safejudge.files import records
from safejudge.show import terminal
from safejudge.show.progress import ImageProgress

if TYPE_CHECKING:
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
        """Find out which of the pairs, paths with captions, have no record in `file` yet."""
        self._judge, self._window, self._file, self._report = judge, window, file, report
        total = len(pairs)
        if file is not None:
            indices = records.missing([path for path, _ in pairs], file.recorded)
            pairs = [pairs[index] for index in indices]
        self._images = [path for path, _ in pairs]
        self._captions = dict(pairs)
        self._prompts = [prompt for _, prompt in pairs]
        self._reported_before = 0 if report is None else report.count
        self._tally = records.Tally() if file is None else file.tally
        self._progress = ImageProgress(self._tally, total, len(pairs))
        # While a bar stands on the terminal, the table has to be printed above it by the bar.
        tty = sys.stderr.isatty()
        self._console = self._progress.bar.console if tty else terminal.console()
        self._rows = terminal.Rows(self._images, self._console.width)

    def run(self) -> int:
        """Judge and print; return the exit code, which counts earlier runs on the file too."""
        try:
            with self._progress:
                self._judge_all()
        except (KeyboardInterrupt, EngineError) as error:
            self._progress.say_stopped(None if self._file is None else self._file.path)
            if isinstance(error, EngineError):
                raise
            return INTERRUPTED
        finally:
            if self._report is not None and self._report.count:
                self._report.write(expected=self._reported_before + len(self._images))
        models = self._judge.models
        self._progress.sum_up(models.meter, models.engine.tokens)
        return of_tally(self._tally)

    def _judge_all(self) -> None:
        """Put results where they go, by windows; before a failure or Ctrl-C, all there are."""
        judged: list[tuple[str, Result]] = []
        results = self._judge.stream(self._images, self._prompts, window=self._window)
        try:
            for pair in zip(self._images, results, strict=True):
                judged.append(pair)
                if len(judged) == self._window:
                    full, judged = judged, []
                    self._output(full)
        finally:
            if judged:
                self._output(judged)

    def _output(self, pairs: list[tuple[str, Result]]) -> None:
        piped = self._file is None and not sys.stdout.isatty()
        provenance = self._judge.provenance if piped else None
        lines = [records.record(path, result, provenance) for path, result in pairs]
        if self._file is not None:
            self._file.append(lines)
        elif piped:
            sys.stdout.write("".join(map(records.to_line, lines)))
            sys.stdout.flush()
        for line in lines:
            self._tally.add(line)
        if self._report is not None:
            for path, result in pairs:
                self._report.add_file(path, result, self._captions[path])
        if sys.stdout.isatty():
            self._console.print(self._rows.table(pairs))
        self._progress.update()
