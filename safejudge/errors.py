"""Every exception the package raises, and who has to act on it.

    SafejudgeError
    ├── InputError               fix what you handed in; trying again changes nothing
    │   ├── ConstitutionError      a constitution file, with file and line
    │   ├── ArgumentError          what a rule asks of a program
    │   ├── StatementError         a statement that this judge cannot be asked
    │   ├── ImageError             one image; a batch turns it into a `Failure` and goes on
    │   ├── PolicyError            an unknown or contradictory setting
    │   └── OutputError            an output file that may not be written or continued
    ├── EngineError              the model side
    │   ├── EngineSetupError       it cannot be started: a URI, an extra, a model, its label tokens
    │   └── EngineCallError        it failed while answering; the same call may succeed later
    └── BusyError                nobody's fault; the same call may succeed later
        ├── QueueFullError         too much waits already
        ├── DeadlineError          it took longer than the caller would wait
        ├── JournalError           what has to be kept cannot be kept now
        ├── StoreError             a store of files, such as S3, cannot be asked
        └── ClosingError           whoever judges is about to end

A message names the thing, the value and the next step. Nothing here is ever turned into a score.
"""

from __future__ import annotations


class SafejudgeError(Exception):
    """Base of everything raised on purpose by safejudge."""


class InputError(SafejudgeError):
    """The caller handed in something that has to be changed first."""


class ConstitutionError(InputError):
    """A constitution file was refused.

    `file` and `line` (1-based, None where the whole file is meant) say where,
    `problem` what is wrong and `instead` what to write.
    """

    def __init__(self, file: str, line: int | None, problem: str, instead: str) -> None:
        self.file = file
        self.line = line
        self.problem = problem
        self.instead = instead
        where = f"{file}:{line}" if line is not None else file
        super().__init__(f"{where}: {problem}\n  instead: {instead}")


class ArgumentError(InputError):
    """A program cannot be asked what a rule asks of it.

    `problem` says what is wrong, `instead` what to write.
    """

    def __init__(self, problem: str, instead: str = "") -> None:
        self.problem = problem
        self.instead = instead
        super().__init__(f"{problem}; write {instead}" if instead else problem)


class StatementError(InputError):
    """A statement lies outside what this judge was made for."""


class ImageError(InputError):
    """One image could not be read; `reason` is a stable word for machines (see `types.Failure`)."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class PolicyError(InputError):
    """A policy or option that does not exist or contradicts another."""


class OutputError(InputError):
    """An output file that exists, cannot be written, or was made by a different run."""


class EngineError(SafejudgeError):
    """The model side failed."""


class EngineSetupError(EngineError):
    """An engine could not be started."""


class EngineCallError(EngineError):
    """A running engine failed on a call."""


class BusyError(SafejudgeError):
    """Nobody's fault, and nothing was judged: ask again later."""


class QueueFullError(BusyError):
    """Too much waits to be judged already."""


class DeadlineError(BusyError):
    """An image was not judged in the time that its caller gives it."""


class JournalError(BusyError):
    """The journal cannot be read or written: nothing is answered that cannot be kept."""


class StoreError(BusyError):
    """A store of files cannot be asked, which is no fault of the file that was wanted."""


class ClosingError(BusyError):
    """Whoever judges is about to end, and takes no more."""
