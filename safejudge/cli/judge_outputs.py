"""What `safejudge judge` writes: its options, what is refused before any work, what is begun."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.cli.journal_open import add_people
from safejudge.cli.values import local_path, path_or_address
from safejudge.errors import InputError
from safejudge.files.records import FULL, SHORT

if TYPE_CHECKING:
    import argparse
    from contextlib import ExitStack

    from safejudge.cli.judge_options import Options
    from safejudge.cli.options import OutputMode
    from safejudge.decide.decision import Decider
    from safejudge.evals.labelled.beside import Truths
    from safejudge.files.partfile import PartFile
    from safejudge.files.recordfile import RecordFile
    from safejudge.files.standing import Standing
    from safejudge.judge import Judge
    from safejudge.show.page.judged import Report
    from safejudge.types import JSON, Intake


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """Add the outputs, and what is written into them."""
    parser.add_argument(
        "--out",
        type=path_or_address,
        metavar="FILE.jsonl",
        help="write the records to this file; FILE.jsonl.zst is packed, "
        "which takes pip install 'safejudge[zstd]'; s3://BUCKET/FOLDER gets Parquet files",
    )
    parser.add_argument(
        "--record",
        choices=(FULL, SHORT),
        default=FULL,
        help="short records keep labels, scores, outcomes and decisions, and drop the answers: no "
        "page and no replay can be made of them (default: %(default)s)",
    )
    parser.add_argument(
        "--report",
        type=local_path,
        metavar="FILE.html",
        help="write a page with the images and their traces",
    )
    parser.add_argument(
        "--thresholds",
        type=local_path,
        metavar="FILE.yaml",
        help="say what to do with each image: block, pass or ask a person; calibrate makes the "
        "file",
    )
    parser.add_argument(
        "--journal",
        metavar="FILE",
        help="keep every judgment in this journal, too: an SQLite file, or "
        "postgresql://USER@HOST/DATABASE; what people decided there counts",
    )
    add_people(parser)
    parser.add_argument(
        "--shadow",
        type=local_path,
        metavar="OTHER.yaml",
        help="judge by another version, too, and say what would change; the file has what is "
        "different: constitution, policy, set, engine",
    )


def check_outputs(options: Options) -> None:
    """Refuse before any work what could not be written at its end."""
    from safejudge.files.partfile import check_parts
    from safejudge.files.recordfile import check_output
    from safejudge.show.page.judged import check

    out, mode = options.out, options.mode
    if out is None and (mode.resume or (mode.overwrite and options.report is None)):
        raise InputError("--resume and --overwrite speak of a file; name it with --out FILE.jsonl")
    if isinstance(out, str):
        _check_stored(options, out)
        check_parts(out, resume=mode.resume, overwrite=mode.overwrite)
    elif out is not None:
        check_output(out, resume=mode.resume, overwrite=mode.overwrite)
    if options.report is not None and options.record == SHORT and mode.resume:
        raise InputError(
            "--report with --resume shows earlier records too, and short ones hold no answers to "
            "show; leave --report out, or write --record full"
        )
    if options.report is not None:
        file = out if isinstance(out, Path) else None
        check(options.report, out=file, resume=mode.resume, overwrite=mode.overwrite)


def _check_stored(options: Options, out: str) -> None:
    """Refuse what records in a store have no room for."""
    if options.journal is not None:
        raise InputError(
            f"--journal with --out {out}: Parquet files have no column for what people decided; "
            "leave one of them out, or write to a file of this machine"
        )
    if options.report is not None and options.mode.resume:
        raise InputError(
            f"--report with --resume shows earlier records too, and those of {out} lie in a store; "
            "leave --report out, copy the records when they are done, and make the page of them: "
            "safejudge report FOLDER"
        )
    for path in options.paths:
        folder = f"{path.rstrip('/')}/"
        if out.startswith(folder) or out.rstrip("/") == path.rstrip("/"):
            raise InputError(f"{out}: --out lies among the images ({path}); name a folder apart")


def head_of(
    judge: Judge,
    captions: str | None,
    intake: Intake,
    decider: Decider | None = None,
    *,
    short: bool = False,
) -> JSON:
    """Say what makes the records; `captions` is the digest of the prompt file."""
    from safejudge.files import records

    return records.header(
        metadata.version("safejudge"),
        judge.provenance,
        captions,
        folder=str(Path.cwd()),
        intake=intake,
        judged_by=judge.described(),
        thresholds=None if decider is None else decider.digest,
        short=short,
    )


def record_file(
    out: Path | str, mode: OutputMode, head: JSON, standing: Standing, stack: ExitStack
) -> RecordFile | PartFile:
    """Open the file of records, or their folder in a store."""
    from safejudge.files.partfile import PartFile
    from safejudge.files.recordfile import RecordFile

    resume, overwrite = mode.resume, mode.overwrite
    if isinstance(out, str):
        parts = PartFile(out, head, resume=resume, overwrite=overwrite, standing=standing)
        return stack.enter_context(parts)
    file = RecordFile(out, head, resume=resume, overwrite=overwrite, standing=standing)
    return stack.enter_context(file)


def open_report(  # noqa: PLR0913 - what a page is begun with
    options: Options,
    judge: Judge,
    intake: Intake,
    expected: int,
    *,
    captions: dict[str, str | None],
    truths: Truths,
) -> Report | None:
    """Begin the page that was asked for; with --resume, with what the records hold already."""
    from safejudge.files import records
    from safejudge.files.stored import open_stored
    from safejudge.show.page.judged import About, Report
    from safejudge.show.page.recorded import add_all

    mode = options.mode
    if options.report is None:
        return None
    about = About(
        judge.constitution, judge.policy, judge.provenance, date=records.today(), intake=intake
    )
    replace = mode.resume or mode.overwrite
    report = Report(
        options.report,
        about,
        replace=replace,
        expected=expected,
        truth_of=truths.of,
        seek=None if judge.models.detector is None else judge.models.answer,
    )
    if mode.resume and isinstance(options.out, Path):
        add_all(report, open_stored(options.out), captions)
    return report
