"""`safejudge winrates`: two generators against each other, by people's votes or a judge's."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.cli.exits import DONE, OPEN
from safejudge.cli.options import layout, runs
from safejudge.cli.values import local_path
from safejudge.errors import InputError, OutputError
from safejudge.text import clean, counted

if TYPE_CHECKING:
    from safejudge.evals.winrates.rates import Comparison
    from safejudge.evals.winrates.study import Study
    from safejudge.show.figures import Table

EXAMPLES = """\
examples:
  safejudge winrates page old new --prompts prompts.jsonl --out study
  safejudge winrates judge study --engine hf:ORG/MODEL
  safejudge winrates figures study

exit codes:
  0    done
  2    the command or a file has to be changed first
  3    the engine failed
  4    figures: some votes are unread, unknown or given twice
  130  stopped by Ctrl-C
"""


def add(commands: Any) -> None:
    """Add the command and its own commands."""
    parser = commands.add_parser(
        "winrates",
        help="compare two generators by votes on their pictures",
        description="Two generators drew the same prompts: which is liked better?",
        **layout(EXAMPLES),
    )
    subcommands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_page(subcommands)
    _add_judge(subcommands)
    _add_figures(subcommands)


# --- page -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PageOptions:
    """Options of `safejudge winrates page`."""

    first: Path
    """A folder of pictures of the first generator."""
    second: Path
    """The same of the second."""
    prompts: Path
    out: Path
    """A folder."""
    seed: int
    overwrite: bool


def _add_page(commands: Any) -> None:
    parser = commands.add_parser(
        "page",
        help="make a study, and a page on which people vote",
        description="Make a study of two folders, and a page that needs no network and does not\n"
        "say which picture is whose.",
        **layout(EXAMPLES),
    )
    parser.add_argument("first", type=local_path, metavar="A", help="pictures of one generator")
    parser.add_argument("second", type=local_path, metavar="B", help="pictures of the other")
    parser.add_argument(
        "--prompts",
        type=local_path,
        required=True,
        metavar="FILE",
        help="image and prompt: JSONL or CSV",
    )
    parser.add_argument(
        "--out", type=local_path, required=True, metavar="DIR", help="the study's folder"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="draws sides and order (default: 0)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the study made before")
    runs(parser, PageOptions, page)


def page(options: PageOptions) -> int:
    """Write the study and its page."""
    from safejudge.evals.winrates import study as studies
    from safejudge.evals.winrates.page import page_of
    from safejudge.files.atomic import check_parent, replacing, writing
    from safejudge.policy import Policy

    check_parent(options.out)
    if (options.out / studies.FILE).exists() and not options.overwrite:
        raise OutputError(f"{options.out}: holds a study; name another, or --overwrite")
    study = studies.plan((options.first, options.second), options.prompts, options.seed)
    text, study = page_of(study, Policy())
    with writing(options.out):
        options.out.mkdir(exist_ok=True)
        with replacing(options.out / "page.html") as new:
            new.write_text(text, encoding="utf-8")
    studies.write(study, options.out)
    print(clean(f"{counted(len(study.pairs), 'pair')} in {options.out / 'page.html'}"))
    return DONE


# --- judge ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """Options of `safejudge winrates judge`."""

    study: Path
    engine: str
    """URI of the engine."""
    aspect: str
    overwrite: bool


def _add_judge(commands: Any) -> None:
    from safejudge.evals.mjbench.prompts import ASPECTS

    parser = commands.add_parser(
        "judge",
        help="let a model vote on every pair, in both orders",
        description="Ask a model which of two pictures is better, in both orders.",
        **layout(EXAMPLES),
    )
    parser.add_argument("study", type=local_path, metavar="STUDY", help="the study's folder")
    parser.add_argument("--engine", required=True, metavar="URI", help="the model")
    parser.add_argument(
        "--aspect",
        choices=ASPECTS,
        default="overall",
        help="what better means (default: %(default)s)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace this model's votes")
    runs(parser, JudgeOptions, judge)


def judge(options: JudgeOptions) -> int:
    """Write a model's votes beside the study."""
    from safejudge.engines.models import Models
    from safejudge.evals.winrates import judging
    from safejudge.evals.winrates import study as studies
    from safejudge.policy import Policy
    from safejudge.show.progress import progress

    study = studies.read(options.study)
    file = options.study / judging.file_of(options.engine)
    if file.exists() and not options.overwrite:
        raise OutputError(f"{file}: this model has voted; --overwrite asks it again")
    with (
        closing(Models.opened(options.engine, None, None, None)) as models,
        progress(len(study.pairs)) as advance,
    ):
        votes = judging.judge(study, models, Policy(), options.aspect, advance)
    studies.write_votes(votes, file)
    print(clean(f"{counted(len(votes), 'vote')} in {file}"))
    return DONE


# --- figures --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FiguresOptions:
    """Options of `safejudge winrates figures`."""

    study: Path
    votes: tuple[Path, ...]
    """Files of votes; none: those in the study's folder."""


def _add_figures(commands: Any) -> None:
    parser = commands.add_parser(
        "figures",
        help="say who wins, how far raters agree, and whether the side decides",
        description="Count the votes of a study.",
        **layout(EXAMPLES),
    )
    parser.add_argument("study", type=local_path, metavar="STUDY", help="the study's folder")
    parser.add_argument(
        "votes",
        nargs="*",
        type=local_path,
        metavar="VOTES",
        help="(default: votes-*.jsonl in STUDY)",
    )
    runs(parser, FiguresOptions, figures)


def figures(options: FiguresOptions) -> int:
    """Print the figures of a study."""
    from safejudge.evals.winrates import study as studies
    from safejudge.evals.winrates.rates import compare
    from safejudge.show.tables import print_tables
    from safejudge.show.terminal import console

    study = studies.read(options.study)
    files = options.votes or tuple(sorted(options.study.glob(studies.VOTES)))
    votes = studies.read_votes(files)
    if not votes:
        raise InputError(
            f"{options.study}: nobody has voted; put {studies.VOTES} there, which page.html hands "
            "out, or let a model vote: safejudge winrates judge"
        )
    found = compare(study, votes)
    notes = _notes(found)
    print_tables(console(), _tables(study, found), (), notes)
    return OPEN if notes else DONE


def _tables(study: Study, found: Comparison) -> tuple[Table, ...]:
    from safejudge.evals.winrates.tables import tables

    return tables(study, found)


def _notes(found: Comparison) -> list[str]:
    unread = sum(rates.unread for rates in found.rates.values())
    return [
        text
        for count, text in (
            (unread, f"{counted(unread, 'answer')} that could not be read"),
            (found.unknown, f"{counted(found.unknown, 'vote')} on pairs of another study"),
            (found.repeated, f"{counted(found.repeated, 'vote')} given twice; the first counts"),
        )
        if count
    ]
