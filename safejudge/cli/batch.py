"""One run of the command line over many images: results go to file, pipe, table and page.

Takes a judge and paths with their captions; judges them all, and puts every result on disk, into
the pipe and on the terminal as soon as it is known. Ctrl-C or an engine that fails loses only what
is under way.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from safejudge.cli.exits import INTERRUPTED, of_run
from safejudge.errors import EngineError, StoreError
from safejudge.files import records
from safejudge.files.short import shortened
from safejudge.files.tally import Tally
from safejudge.images.listing import key_of
from safejudge.images.pairs import caption_of
from safejudge.show import terminal
from safejudge.show.progress import ImageProgress
from safejudge.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from safejudge.cli.shadow import Comparison
    from safejudge.decide.decision import Decider
    from safejudge.files.partfile import PartFile
    from safejudge.files.recordfile import RecordFile
    from safejudge.images.load import ImageSource
    from safejudge.images.pairs import Prompt
    from safejudge.journal.ledger import Ledger
    from safejudge.judge import Judge
    from safejudge.show.page.judged import Report
    from safejudge.show.terminal import TruthOf
    from safejudge.types import Decision, Intake, People, Result


CLIENT = "judge"
"""What a journal calls a run of the command line."""


class Batch:
    """One run over many images: results go to file, pipe or table, one by one."""

    def __init__(  # noqa: PLR0913 - what is judged, and where each result goes
        self,
        judge: Judge,
        pairs: list[tuple[str, Prompt | None]],
        window: int,
        file: RecordFile | PartFile | None,
        report: Report | None,
        *,
        truth_of: TruthOf = lambda _: None,
        decider: Decider | None = None,
        ledger: Ledger | None = None,
        source_of: Callable[[str], ImageSource] = str,
        shadow: Comparison | None = None,
        short: bool = False,
    ) -> None:
        """Find out which of the pairs, paths with captions, have no record in `file` yet."""
        self._judge, self._window, self._file, self._report = judge, window, file, report
        self._decider, self._ledger, self._shadow = decider, ledger, shadow
        self._source_of, self._short = source_of, short
        total = len(pairs)
        if file is not None:
            pairs = [pair for pair in pairs if not file.recorded[key_of(pair[0])]]
        self._images = [path for path, _ in pairs]
        self._captions = {path: caption_of(prompt) for path, prompt in pairs}
        self._prompts = [prompt for _, prompt in pairs]
        self._reported_before = 0 if report is None else report.count
        self._tally = Tally() if file is None else file.tally
        self._progress = ImageProgress(self._tally, total, len(pairs))
        # While a bar stands on the terminal, the table has to be printed above it by the bar.
        tty = sys.stderr.isatty()
        self._console = self._progress.bar.console if tty else terminal.console()
        self._rows = terminal.Rows(
            self._images, self._console.width, truth_of, decided=decider is not None
        )

    def run(self, intake: Intake, *, frames_named: bool) -> int:
        """Judge and print; return the exit code, which counts earlier runs on the file too.

        `intake` is what came in; `frames_named`: the user said how many frames are enough.
        """
        try:
            with self._progress:
                self._judge_all()
                if self._file is not None:
                    self._file.flush()
            self._sum_up(intake)
        except (KeyboardInterrupt, SystemExit, EngineError, StoreError) as error:
            if self._file is None:
                self._progress.say_stopped(None)
            else:
                with suppress(StoreError):  # of this run's images or records; the first is told
                    self._file.flush()
                self._progress.say_stopped(self._file.path, self._file.waiting)
            if not isinstance(error, KeyboardInterrupt):
                raise
            return INTERRUPTED
        finally:
            if self._report is not None and self._report.count:
                self._report.write(expected=self._reported_before + len(self._images))
        return of_run(self._tally, intake, frames_named=frames_named)

    def _sum_up(self, intake: Intake) -> None:
        """Say what came of it, before a page that cannot be written ends the run."""
        models = self._judge.models
        self._progress.sum_up(models.meter, models.tokens)
        if self._file is not None and self._file.others:
            others = counted(self._file.others, "record")
            terminal.say(f"{others} of other images in {self._file.path}: not counted here")
        if (people := terminal.people(self._tally)) is not None:
            terminal.say(people)
        if (actions := terminal.actions(self._tally)) is not None:
            terminal.say(actions)
        for line in terminal.coverage(intake, self._tally):
            terminal.say(line)
        if self._shadow is not None and self._images:
            self._shadow.say()

    def _judge_all(self) -> None:
        """Put each result where it goes; beside it, what a shadow says of the same image."""
        sources = map(self._source_of, self._images)
        results = self._judge.stream(sources, self._prompts, window=self._window)
        if self._shadow is None:
            for path, result in zip(self._images, results, strict=True):
                self._output(path, result)
            return
        again = map(self._source_of, self._images)
        others = self._shadow.results(again, self._prompts, self._window)
        for path, result, other in zip(self._images, results, others, strict=True):
            self._output(path, result)
            self._shadow.add(path, result, other)
            if self._ledger is not None:
                self._shadow.keep(self._ledger, self._captions[path], result, other)

    def _output(self, path: str, result: Result) -> None:
        piped = self._file is None and not sys.stdout.isatty()
        told, decided, people = self._settled(result, self._captions[path])
        decision = None if decided is None else decided.record()
        said = None if people is None else people.model_dump(mode="json")
        made_by = self._judge.provenance if piped else None
        line = records.record(path, result, made_by, decision, said)
        kept = shortened(line) if self._short else line
        if self._file is not None:
            self._file.add(kept)
        elif piped:
            sys.stdout.write(records.to_line(kept))
            sys.stdout.flush()
        self._tally.add(line)
        if self._report is not None:
            shown = self._source_of(path)
            self._report.add_file(path, result, self._captions[path], decided, people, shown)
        if sys.stdout.isatty():
            self._console.print(
                self._rows.table([(path, told)], "" if decision is None else decision["action"])
            )
        self._progress.update()

    def _settled(
        self, result: Result, caption: str | None
    ) -> tuple[Result, Decision | None, People | None]:
        """Return what an image comes to with what people decided, what to do, and what they said.

        It is in the journal by then.
        """
        if self._ledger is None:
            return result, None if self._decider is None else self._decider(result), None
        from safejudge.journal.held import people_of, settled_actions, with_people

        kept = [(None, caption, result)]
        (held,) = self._ledger.settle(self._judge, self._decider, kept, CLIENT)
        told = with_people(result, held, self._judge.policy)
        decided = None if self._decider is None else self._decider(told, settled_actions(held))
        return told, decided, people_of(told, held)
