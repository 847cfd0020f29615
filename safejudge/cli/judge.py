"""`safejudge judge`: many images, here or with Ray; a table, records, a page."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.cli.exits import INTERRUPTED, OF_VERDICTS, of_run
from safejudge.cli.journal_open import add_people, check_people, ledger_of
from safejudge.cli.options import Batching, JudgeOptions, OutputMode, add_ignore, layout, runs
from safejudge.cli.pages import SUFFIXES, Pages, add_pages
from safejudge.cli.series import Files, Folders, add_series
from safejudge.cli.values import amount, path_or_address, positive
from safejudge.engines.open import AUTO
from safejudge.errors import InputError
from safejudge.images.listing import list_images
from safejudge.judge import WINDOW, chosen_policy
from safejudge.types import slots_of

if TYPE_CHECKING:
    from safejudge.cli.series import How
    from safejudge.cli.shadow import Comparison
    from safejudge.decide.decision import Decider
    from safejudge.decide.thresholds import Thresholds
    from safejudge.evals.labelled.beside import Truths
    from safejudge.files.recordfile import RecordFile
    from safejudge.files.standing import Standing
    from safejudge.images.listed import Listing
    from safejudge.journal.ledger import Ledger
    from safejudge.judge import Judge
    from safejudge.scale.run import RayOptions
    from safejudge.show.page.judged import Report
    from safejudge.types import JSON, Intake

EXAMPLES = """\
examples:
  safejudge judge scenes/ --constitution sketch --engine hf:sketch
  safejudge judge photos/ --constitution default --engine auto
  safejudge judge a.png 'in/**/*.jpg' --constitution rules.yaml \\
      --engine hf:ORG/MODEL --out results.jsonl --resume
  safejudge judge scenes/ --constitution sketch --engine hf:sketch \\
      --report page.html --ignore '*.txt' --ignore old/
  safejudge judge s3://bucket/in 'gs://bucket/**/*.jpg' hf://datasets/ORG/NAME \\
      --constitution default --engine auto --out results.jsonl
  safejudge judge in/ --constitution rules.yaml --engine hf:ORG/MODEL \\
      | jq -r 'select(.label != "safe") | .image'
  safejudge judge shards/ --constitution rules.yaml \\
      --engine vllm:ORG/MODEL --ray --actors 8 --out records --resume

With --ray, images are files, members of .tar shards (the .txt beside one is
its caption), or the column `image` of Parquet files (caption: the column
`prompt` or `caption`). Every machine of the cluster has to see them. --out is
a folder of Parquet files with the fields of the JSON records; the trace,
`rules`, is JSON; it may lie in a store: s3://bucket/run. It takes pip install
'safejudge[ray]'.

s3:// and gs:// take pip install 'safejudge[remote]'. Keys and endpoints are
what s3fs, gcsfs and huggingface_hub find in the environment and their files.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `safejudge judge`."""

    paths: tuple[str, ...]
    """Images, folders, patterns."""
    judge: JudgeOptions
    prompts: str | None
    """A file of captions."""
    ignore: tuple[str, ...]
    """Patterns of files that need not be looked at."""
    series: How | None
    """Whether the pictures of a folder are one image, and how they are looked at."""
    at: tuple[float, ...] | None
    """When pages are looked at, in seconds on their own clock."""
    out: Path | str | None
    """A file of records; with Ray, a folder, which may be the address of one in a store."""
    report: Path | None
    """A page."""
    thresholds: Path | None
    """A file that `calibrate` wrote."""
    journal: str | None
    """A journal that every judgment is kept in."""
    audit: float
    """The share of all images that people see anyway."""
    reviewers: int
    """People who have to agree."""
    shadow: Path | None
    """A file that says what another version of the rules does otherwise."""
    mode: OutputMode
    batching: Batching
    ray: bool
    actors: int | None
    gpus_per_actor: float | None
    ray_address: str | None


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "judge",
        help="judge files and folders; a table, or one JSON line per image",
        description="Judge images. A terminal gets a table; a pipe and --out get one JSON line\n"
        "per image, with the whole trace of how it came about.",
        **layout(EXAMPLES, OF_VERDICTS),
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="an image, a folder or a pattern")
    JudgeOptions.add(parser, skips=True)
    parser.add_argument(
        "--prompts",
        metavar="FILE",
        help="captions: JSONL or CSV with image, prompt; further columns fill {NAME} in programs",
    )
    add_ignore(parser)
    add_series(parser)
    add_pages(parser)
    parser.add_argument(
        "--out",
        type=path_or_address,
        metavar="FILE.jsonl",
        help="write the records to this file",
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE.html",
        help="write a page with the images and their traces",
    )
    parser.add_argument(
        "--thresholds",
        type=Path,
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
        type=Path,
        metavar="OTHER.yaml",
        help="judge by another version, too, and say what would change; the file has what is "
        "different: constitution, policy, set, engine",
    )
    OutputMode.add(
        parser,
        resume="judge only what --out lacks",
        overwrite="begin --out and --report anew",
    )
    Batching.add(
        parser,
        WINDOW,
        limited="judge only the first N of the images",
        windowed="images judged, shown and saved together",
    )
    _add_ray(parser)
    runs(parser, Options, run)


def _add_ray(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ray",
        action="store_true",
        help="judge with Ray: PATH may be or hold .tar and .parquet files, --out is a folder "
        "of Parquet files",
    )
    parser.add_argument(
        "--actors",
        type=positive,
        metavar="N",
        help="with --ray: how many engines to open (default: one per GPU, or one)",
    )
    parser.add_argument(
        "--gpus-per-actor",
        type=amount,
        metavar="G",
        help="with --ray: GPUs for each of them; 0.5 lets two share one (default: 1 if there are "
        "any)",
    )
    parser.add_argument(
        "--ray-address",
        metavar="HOST:PORT",
        help="with --ray: a cluster that runs; auto: the one of this machine (default: "
        "$RAY_ADDRESS, or this machine alone)",
    )


def run(options: Options) -> int:
    """Judge the images; the code counts earlier runs on the same output too."""
    options.judge.check()
    check_people(options.journal, {"--audit": options.audit, "--reviewers": options.reviewers != 1})
    if not options.ray:
        _refuse_ray_options(options)
        return _judge_here(options)
    from safejudge.scale.run import judge

    if options.judge.engine == AUTO:
        raise InputError(
            "--engine auto looks at the memory of this machine, and --ray may use others; name the "
            "model: --engine hf:ORG/MODEL or vllm:ORG/MODEL"
        )
    spec = options.judge.spec()
    tally, intake = judge(spec, _ray_options(options))
    if tally is None:
        return INTERRUPTED
    return of_run(tally, intake, frames_named=options.judge.frames is not None)


# --- here -----------------------------------------------------------------------------------------


def _judge_here(options: Options) -> int:
    from safejudge.cli.batch import Batch
    from safejudge.decide.thresholds import load
    from safejudge.evals.labelled.beside import Truths
    from safejudge.images.captions import captions_for
    from safejudge.images.pairs import caption_of
    from safejudge.show.terminal import say

    _check_outputs(options)
    listing = _listed(options)
    sources = _sources(options, listing)
    intake = listing.intake(options.batching.limit, len(sources.names))
    rules = options.judge.rules()
    prompts, captions, unmatched = captions_for(options.prompts, sources.names, slots_of(rules))
    for problem in unmatched:
        say(f"warning: {problem}")
    pairs = list(zip(sources.names, prompts, strict=True))
    thresholds = None if options.thresholds is None else load(options.thresholds)
    with ExitStack() as stack:
        ledger = _ledger(options, stack)
        judge = stack.enter_context(options.judge.open(rules))
        if (note := sources.fit(judge)) is not None:
            say(f"note: {note}")
        decider = _decider(thresholds, judge)
        truths = Truths(rule.id for rule in judge.constitution.rules)
        captioned = {name: caption_of(prompt) for name, prompt in pairs}
        pairs = pairs[: options.batching.limit]
        file = None
        if (out := _out_file(options)) is not None:
            standing = sources.standing([path for path, _ in pairs])
            if ledger is not None:
                standing = replace(standing, holds=partial(ledger.agrees, judge))
            head = head_of(judge, captions, intake, decider)
            file = _record_file(out, options.mode, head, standing, stack)
        report = _open_report(options, judge, intake, len(pairs), captions=captioned, truths=truths)
        batch = Batch(
            judge,
            pairs,
            options.batching.window,
            file,
            report,
            truth_of=truths.of,
            decider=decider,
            ledger=ledger,
            source_of=sources.source,
            shadow=_shadow(options, judge, stack),
        )
        return batch.run(intake, frames_named=options.judge.frames is not None)


def head_of(
    judge: Judge, captions: str | None, intake: Intake, decider: Decider | None = None
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
    )


def _record_file(
    out: Path, mode: OutputMode, head: JSON, standing: Standing, stack: ExitStack
) -> RecordFile:
    """Open the file of records."""
    from safejudge.files.recordfile import RecordFile

    made = RecordFile(out, head, resume=mode.resume, overwrite=mode.overwrite, standing=standing)
    return stack.enter_context(made)


def _listed(options: Options) -> Listing:
    """List what is to be judged."""
    return list_images(
        options.paths,
        ignore=options.ignore,
        known=(options.prompts, options.out, options.report),
        shards=() if options.at is None else SUFFIXES,
        stores=True,
    )


def _sources(options: Options, listing: Listing) -> Files | Folders | Pages:
    """Say what the paths stand for: files, folders of pictures of one thing, or pages."""
    if options.series is not None and options.at is not None:
        raise InputError("--series puts pictures of a folder together, --at those of a page; "
                         "leave one of them out")  # fmt: skip
    if options.series is not None:
        return Folders.of(listing, options.series)
    return Files(listing) if options.at is None else Pages(listing, options.at)


def _shadow(options: Options, judge: Judge, stack: ExitStack) -> Comparison | None:
    """Open the judge of another version; with the same models, where it has none of its own."""
    if options.shadow is None:
        return None
    from safejudge.cli.shadow import Comparison, name_of, options_of
    from safejudge.judge import Judge

    spec = options.judge.spec()
    other = options_of(options.shadow, options.judge).spec()
    if other.shares_models(spec):
        beside = Judge(other.constitution, judge.models, chosen_policy(other.policy))
    else:
        beside = stack.enter_context(other.open())
    return Comparison(name_of(options.shadow), beside)


def _ledger(options: Options, stack: ExitStack) -> Ledger | None:
    """Open the journal that was named."""
    if options.journal is None:
        return None
    return ledger_of(options.journal, stack, audit=options.audit, reviewers=options.reviewers)


def _open_report(  # noqa: PLR0913 - what a page is begun with
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
    if mode.resume and (out := _out_file(options)) is not None:
        add_all(report, open_stored(out), captions)
    return report


def _decider(thresholds: Thresholds | None, judge: Judge) -> Decider | None:
    """Hold thresholds against the judge, and tell which rules they leave to a person."""
    from safejudge.decide.decision import Decider
    from safejudge.show.terminal import say

    if thresholds is None:
        return None
    decider = Decider.of(thresholds, judge)
    for note in decider.notes:
        say(f"warning: thresholds: {note}")
    return decider


def _out_file(options: Options) -> Path | None:
    """Return the file of records. Raises `InputError` for one in a store, which cannot grow."""
    if isinstance(options.out, str):
        raise InputError(
            f"--out {options.out}: lies in a store, where no file grows line by line; name a file "
            "of this machine and copy it afterwards, or use --ray, which writes parts there"
        )
    return options.out


def _check_outputs(options: Options) -> None:
    """Refuse before any work what could not be written at its end."""
    from safejudge.files.recordfile import check_output
    from safejudge.show.page.judged import check

    out, mode = _out_file(options), options.mode
    if out is None and (mode.resume or (mode.overwrite and options.report is None)):
        raise InputError("--resume and --overwrite speak of a file; name it with --out FILE.jsonl")
    if out is not None:
        check_output(out, resume=mode.resume, overwrite=mode.overwrite)
    if options.report is not None:
        check(options.report, out=out, resume=mode.resume, overwrite=mode.overwrite)


# --- with Ray -------------------------------------------------------------------------------------


def _refuse_ray_options(options: Options) -> None:
    values = {
        "--actors": options.actors,
        "--gpus-per-actor": options.gpus_per_actor,
        "--ray-address": options.ray_address,
    }
    stray = [name for name, value in values.items() if value is not None]
    if stray:
        raise InputError(
            f"{', '.join(stray)}: means nothing without --ray; add it, or leave it out"
        )


def _ray_options(options: Options) -> RayOptions:
    from safejudge.decide.thresholds import load
    from safejudge.scale.run import RayOptions

    if options.series is not None or options.at is not None:
        raise InputError("--series and --at go without --ray; leave --ray out")
    if options.shadow is not None:
        raise InputError("--shadow goes without --ray; replay --ask does the same with its records")
    if options.journal is not None:
        raise InputError(
            "--journal goes without --ray; leave it out, and take the records in afterwards: "
            f"safejudge journal import JOURNAL {options.out or 'DIR'}"
        )
    if options.report is not None:
        raise InputError(
            "--report goes without --ray; leave it out, and make the page of the records "
            f"afterwards: safejudge report {options.out or 'DIR'}"
        )
    if options.out is None:
        raise InputError("--ray writes Parquet files into a folder; name it with --out DIR")
    return RayOptions(
        paths=options.paths,
        out=options.out,
        thresholds=None if options.thresholds is None else load(options.thresholds),
        prompts=options.prompts,
        ignore=options.ignore,
        limit=options.batching.limit,
        window=options.batching.window,
        resume=options.mode.resume,
        overwrite=options.mode.overwrite,
        actors=options.actors,
        gpus_per_actor=options.gpus_per_actor,
        address=options.ray_address,
    )
