"""`safejudge report`: a page of stored records, or the tables of an eval anew; without a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.cli.exits import DONE
from safejudge.cli.journal_open import add_reviewers
from safejudge.cli.options import layout, runs
from safejudge.cli.switches import variants
from safejudge.cli.values import local_path, local_text, path_or_journal, positive
from safejudge.constitution.policy_file import load_policy
from safejudge.errors import InputError
from safejudge.files.packed import plain_stem
from safejudge.files.stored import holds_parts
from safejudge.policy import POLICIES
from safejudge.show.page.sheets import MOST, PAGE
from safejudge.text import clean

if TYPE_CHECKING:
    from safejudge.files.stored import Stored

EXAMPLES = """\
examples:
  safejudge report results.jsonl --out page.html
  safejudge report verdicts/
  safejudge report old.jsonl --constitution rules.yaml
  safejudge report run --write
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `safejudge report`."""

    path: Path
    """Records of `judge`, or what `eval --out` wrote."""
    out: Path | None
    """Of records: the page."""
    constitution: str | None
    """Of records that do not hold their rules: the rules."""
    preset: str | None
    """Of records that do not hold their policy: its name or its file; None: whichever has the
    digest."""
    limit: int | None
    """Of records: most images on the pages, the worst."""
    reviewers: int
    """Of a journal: people who have to agree."""
    write: bool
    """Of an eval: make the files of results anew, also where they are there."""


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "report",
        help="make a page of stored records, or the tables of an eval anew",
        description="Without a model: make a page of the records that judge wrote (--out: a file\n"
        "of lines, or with --ray a folder of Parquet files), the worst images first,\n"
        f"{PAGE} on a page. Or make the tables of a folder that eval wrote; its files\n"
        "(results.json, report.html, ...) are made where they are missing.",
        **layout(EXAMPLES),
    )
    parser.add_argument(
        "path", type=path_or_journal, metavar="PATH", help="what --out named, or a journal"
    )
    records = parser.add_argument_group("of records")
    records.add_argument(
        "--out",
        type=local_path,
        metavar="FILE.html",
        help="the page (default: beside the records, by their name)",
    )
    records.add_argument(
        "--constitution",
        type=local_text,
        metavar="C",
        help="the rules, where the records do not hold them (version 0.1.0, or a pipe)",
    )
    records.add_argument(
        "--policy",
        dest="preset",
        type=local_text,
        metavar="POLICY",
        help="the policy, a name or a YAML file, where the records do not hold it (default: the "
        "one with their digest)",
    )
    records.add_argument(
        "--limit",
        type=positive,
        metavar="N",
        help=f"show only the N worst images; all are counted (default: {MOST})",
    )
    add_reviewers(records, "of a journal: people who have to agree")
    measured = parser.add_argument_group("of an eval")
    measured.add_argument("--write", action="store_true", help="make its files anew in any case")
    runs(parser, Options, run)


def run(options: Options) -> int:
    """Tell what the path holds, and report it."""
    from safejudge.evals import suites

    if options.path.is_dir() and (options.path / suites.MARK).exists():
        _refuse(options, ("out", "constitution", "preset", "limit"), "is for records of judge")
        return _report_eval(options)
    _refuse(options, ("write",), "is for a folder that eval wrote")
    return _report_records(options)


def _refuse(options: Options, names: tuple[str, ...], why: str) -> None:
    """Raise `InputError` for an option that means nothing here."""
    for name in names:
        if getattr(options, name) not in (None, False):
            option = "policy" if name == "preset" else name
            raise InputError(f"--{option} {why}, and {options.path} is none; leave it out")


# --- records --------------------------------------------------------------------------------------


def _report_records(options: Options) -> int:
    from safejudge.evals.labelled.beside import Truths
    from safejudge.evals.suites import MARK
    from safejudge.journal.source import open_records
    from safejudge.show.page import made_by, recorded, sheets
    from safejudge.show.page.judged import Report
    from safejudge.show.terminal import say

    path = options.path
    if (path.parent / MARK).exists():
        raise InputError(f"{path}: is part of an eval; name its folder: report {path.parent}")
    stored = open_records(path, options.reviewers)
    _check_policy(options, stored)
    names = [options.preset] if options.preset is not None else list(POLICIES)
    about = made_by.about(stored, options.constitution, variants(map(load_policy, names)))
    if about.policy is None:
        hint = "it is none of --policy with the switches of judge"
        named = f"--policy {options.preset} is not the one" if options.preset else hint
        say(f"warning: {path}: its policy is not known ({named}); the page shows no bounds")
    page = options.out or _beside(path)
    if holds_parts(page.parent):
        raise InputError(f"{page}: lies among the parts of judge --ray; name a page elsewhere")
    sheets.check_own(page)
    most = options.limit or MOST
    truths = Truths(rule.id for rule in about.constitution.rules)
    report = Report(page, about, replace=True, most=most, truth_of=truths.of)
    recorded.add_worst(report, stored, most)
    if not report.count:
        raise InputError(f"{path}: holds no record yet; judge something first")
    report.write(0 if about.intake is None else about.intake.wanted)
    print(f"{report.counts.finding()}; {clean(str(page))}")
    if to_do := report.counts.to_do():
        print(f"actions: {to_do}")
    return DONE


def _beside(path: Path) -> Path:
    """Name the page after the records; what is among parts has its page beside their folder."""
    folder = path.resolve().parent
    if path.is_file() and holds_parts(folder):
        return folder.with_name(f"{folder.name}-{path.stem}.html")
    return path.with_name(f"{plain_stem(path) if path.is_file() else path.resolve().name}.html")


def _check_policy(options: Options, stored: Stored) -> None:
    held = stored.head.get("policy")
    if options.preset is None:
        return
    name = load_policy(options.preset).name
    if isinstance(held, dict) and held.get("name") != name:
        raise InputError(
            f"--policy {options.preset}: these records hold their policy, {held.get('name')}; "
            "leave it out"
        )


# --- evals ----------------------------------------------------------------------------------------


def _report_eval(options: Options) -> int:
    """Make the files that are missing, and print the tables."""
    from safejudge.evals import reliability, results, suites
    from safejudge.show.tables import print_end, print_tables
    from safejudge.show.terminal import console

    folder = options.path
    name = suites.suite_of(folder)
    result = reliability.read(suites.find_suite(name), folder)
    files: list[Path] = []
    if options.write or not all((folder / file).exists() for file in results.SHOWN):
        config = results.read_config(folder, name)
        files = results.write_results(folder, name, result, config)
    print_tables(console(), result.tables, result.findings, result.unread)
    print_end(console(), result.headline, files)
    return DONE
