"""What a suite of `safejudge eval` is, what it is handed when it is to judge, and what it returns.

How these fit together, and the smallest suite there can be, stand in README.md beside this file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from safejudge.errors import InputError
from safejudge.files.atomic import writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from safejudge.engines.models import Models
    from safejudge.policy import Policy
    from safejudge.show.figures import Chart, Mistake, Table
    from safejudge.types import JSON, Constitution, Picture

T = TypeVar("T")
Tick = Callable[[int], None]
"""Is told how many more pieces of work are done."""


# --- what a suite is handed ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Run:
    """What to judge, with what, and where the records go."""

    out: Path
    """The folder of records and results; it exists when a suite is called."""
    models: Models
    """Engine, and encoder and detector where there are any. They may be opened by the first use, so
    read and check the data before."""
    policy: Policy
    """How a judge weighs answers; every question is asked."""
    constitution: Constitution | None = None
    """The rules of a constitutional judge, if one is to judge."""
    data: str | None = None
    """A folder, a file, or a data set of the Hugging Face hub."""
    labels: Path | None = None
    """The file of labels, where it is not in `data`."""
    ignore: tuple[str, ...] = ()
    """Patterns of files in `data` that need no label."""
    splits: tuple[str, ...] = ()
    """Only these parts of the data; all of them if empty."""
    change: Callable[[Picture], Picture] | None = None
    """What is done to every picture before anybody sees it (`evals.variants`)."""
    rewrite: Callable[[str], str] | None = None
    """What is done to one answer of every sample before anybody judges it, where answers are texts
    (`Suite.texts`)."""
    plain: Path | None = None
    """The folder of the run that this one repeats with a change; None if it repeats none."""
    limit: int | None = None
    """Only so many samples (of each part, where the data has parts)."""
    seed: int | None = None
    """Which samples those are: drawn with this seed, or the first ones if None."""
    window: int = 64
    """Samples that are judged and saved together."""
    resume: bool = False
    overwrite: bool = False
    args: Mapping[str, Any] = field(default_factory=dict)
    """Options of the suite's own (`--suite-arg`)."""
    progress: Callable[[int], Tick] = lambda _: lambda _: None
    """Is told how much work there is, and returns what is to be told of work done."""

    def write(self, name: str, text: str) -> None:
        """Write one file into the run's folder. Raises `OutputError`."""
        path = self.out / name
        with writing(path):
            path.write_text(text, encoding="utf-8")

    def write_json(self, name: str, value: JSON) -> None:
        """Write one file of JSON into the run's folder. Raises `OutputError`."""
        self.write(name, json.dumps(value, indent=1))


def check_args(
    args: Mapping[str, Any],
    names: Iterable[str] = (),
    taker: str = "this suite does not know it; it",
) -> None:
    """Raise `InputError` for an option (`--suite-arg`) that is none of these."""
    names = list(names)
    if unknown := [name for name in args if name not in names]:
        listing = ", ".join(names) or "none"
        raise InputError(f"--suite-arg {unknown[0]}: {taker} takes {listing}")


def options_of(kind: type[T], values: Mapping[str, Any]) -> T:
    """Check the options of a suite (`--suite-arg`). Raises `InputError` for a wrong one."""
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        raise InputError(f"--suite-arg {name}={first['input']}: {first['msg']}") from error


# --- what a suite can do ------------------------------------------------------------------------


class FromOutputs(Protocol):
    """Scores a folder of recorded outputs, without a model."""

    def __call__(self, folder: Path, *, paper: bool, args: Mapping[str, Any]) -> EvalResult:
        """Score a folder.

        `paper`: with the choices of the published tables, where the suite knows some; `args`:
        options of the suite's own. Raises `InputError` for one that it does not know.
        """


class Judging(Protocol):
    """Judges, and appends a record of each sample to the run's folder as it goes."""

    def __call__(self, run: Run, /) -> JSON:
        """Judge everything that has no record yet; return what made the answers (provenance).

        Raises `InputError` for data or options that do not fit, `OutputError` where the folder
        holds another run, and `EngineCallError` where the engine fails; what was recorded stays.
        """


@dataclass(frozen=True, slots=True)
class Suite:
    """What a suite can do."""

    summary: str
    """One line for people."""
    from_outputs: FromOutputs | None = None
    """Scores recorded outputs; None if it has none to score."""
    judge: Judging | None = None
    """Judges live; None if it only scores recorded outputs."""
    report: Callable[[Path], EvalResult] | None = None
    """Makes the tables of a folder that `judge` wrote, and asks no model."""
    constitution: bool = False
    """Whether `judge` cannot do without a constitution."""
    asks: bool = True
    """Whether `judge` asks models; where programs alone look, no engine is named."""
    texts: bool = False
    """Whether what `judge` judges are answers that are texts, so that `--variant longer` can blow
    them up (`Run.rewrite`)."""
    panel: bool = False
    """Whether all that `judge` asks are the questions of rules, so that several engines can be
    asked them."""


def scored_one_way(score: Callable[[Path], EvalResult]) -> FromOutputs:
    """Make `Suite.from_outputs` of a suite whose scoring takes no options."""

    def from_outputs(folder: Path, *, paper: bool, args: Mapping[str, Any]) -> EvalResult:
        check_args(args)
        if paper:
            raise InputError("--paper: this suite scores in one way, the published one")
        return score(folder)

    return from_outputs


# --- what a suite returns -----------------------------------------------------------------------


class Prediction(NamedTuple):
    """One answer of a judge, in a form in which two runs can be compared."""

    protocol: str
    """Who judged, how: rows of one protocol are compared with one another."""
    sample: str
    """What was asked about; the same in every run on the same data."""
    answer: str | None
    """What was said; None where there is no answer (refused, unreadable, undecided)."""
    right: bool | None = None
    """Whether that is true; None where the truth is not known, or is a tie."""
    score: float | None = None
    """How strongly, where there is a number; any scale that is the same in both runs."""
    confidence: float | None = None
    """How probable the judge held its answer, where it tells; in [0, 1]."""
    group: str = ""
    """Samples of one group are resampled together; empty for a sample by itself."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of what there is was judged."""

    judged: int
    """Samples that somebody was asked about."""
    unjudged: int
    """Samples that could not be judged: a picture that is missing or cannot be read."""
    passed_over: int = 0
    """Pictures beside the samples that nobody asked about, since nothing is known of them."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """What the entries of some results are ranked by, beside those of another run."""

    by: str
    """The name of a figure of `EvalResult.numbers`; a higher value is better."""
    judge: str | None = None
    """Who gave the marks, empty where nothing tells; None where the entries are judges."""


@dataclass(frozen=True, slots=True)
class EvalResult:
    """What records, or recorded outputs, come to."""

    tables: tuple[Table, ...]
    """For people."""
    findings: tuple[str, ...]
    """What stands out, as sentences with their numbers."""
    numbers: JSON
    """Every figure under a stable name, unrounded: {judge: {metric: {"value": ..., "n": ...}}}."""
    samples: tuple[JSON, ...]
    """One record per output: what was asked, what was read, what is true, what came of it."""
    unread: tuple[str, ...] = ()
    """Files that were looked at and not understood, with the reason."""
    charts: tuple[Chart, ...] = ()
    """For people who read the page."""
    mistakes: tuple[Mistake, ...] = ()
    """Wrong verdicts, the worst first."""
    pictures: Path | None = None
    """The folder of the mistakes' pictures; None where whoever asked for the results knows it."""
    predictions: tuple[Prediction, ...] = ()
    """Every answer, for comparison with another run (`evals.reliability`)."""
    coverage: Coverage | None = None
    """What was judged; None where nothing was to be judged, as of recorded outputs."""
    headline: str = ""
    """The one number that the suite is about, with its interval, in a phrase."""
    ranking: Ranking | None = None
    """By what `safejudge compare` ranks the entries; None where no figure is the one."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Further files of the run's folder: name and text."""
