"""`safejudge judge`: many images, here or with Ray; a table, records, a page."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from safejudge.cli.estimate import add_estimate, run_estimate
from safejudge.cli.exits import OF_VERDICTS
from safejudge.cli.journal_open import check_people, ledger_of
from safejudge.cli.judge_inputs import decider_of, read_inputs
from safejudge.cli.judge_options import Options
from safejudge.cli.judge_outputs import (
    add_outputs,
    check_outputs,
    head_of,
    open_report,
    record_file,
)
from safejudge.cli.judge_ray import add_ray, judge_with_ray, refuse_ray_options
from safejudge.cli.options import Batching, JudgeOptions, OutputMode, add_ignore, layout, runs
from safejudge.cli.pages import add_pages
from safejudge.cli.series import add_series
from safejudge.cli.values import local_text
from safejudge.files.records import SHORT
from safejudge.judge import WINDOW, chosen_policy

if TYPE_CHECKING:
    from safejudge.cli.shadow import Comparison
    from safejudge.journal.ledger import Ledger
    from safejudge.judge import Judge

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
  safejudge judge in/ --constitution rules.yaml --engine hf:ORG/MODEL \\
      --record short --out results.jsonl.zst --estimate
  safejudge judge shards/ --constitution rules.yaml \\
      --engine vllm:ORG/MODEL --ray --actors 8 --out records --resume

With --ray, images are files, members of .tar shards (the .txt beside one is
its caption), or the column `image` of Parquet files (caption: the column
`prompt` or `caption`). Every machine of the cluster has to see them. --out is
a folder of Parquet files. It takes pip install 'safejudge[ray]'.

With --ray, and in a store (--out s3://bucket/run), records are Parquet files
with the fields of the JSON records; the trace, `rules`, is JSON.

s3:// and gs:// take pip install 'safejudge[remote]'. Keys and endpoints are
what s3fs, gcsfs and huggingface_hub find in the environment and their files.
"""


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
        type=local_text,
        metavar="FILE",
        help="captions: JSONL or CSV with image, prompt; further columns fill {NAME} in programs",
    )
    add_ignore(parser)
    add_series(parser)
    add_pages(parser)
    add_outputs(parser)
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
    add_ray(parser)
    add_estimate(parser)
    runs(parser, Options, run)


def run(options: Options) -> int:
    """Judge the images; the code counts earlier runs on the same output too."""
    options.judge.check()
    check_people(options.journal, {"--audit": options.audit, "--reviewers": options.reviewers != 1})
    if not options.ray:
        refuse_ray_options(options)
    if options.estimate:
        return run_estimate(options)
    if options.ray:
        return judge_with_ray(options)
    return _judge_here(options)


# --- here -----------------------------------------------------------------------------------------


def _judge_here(options: Options) -> int:
    from safejudge.cli.batch import Batch
    from safejudge.decide.thresholds import load
    from safejudge.evals.labelled.beside import Truths
    from safejudge.images.pairs import caption_of
    from safejudge.show.terminal import say

    check_outputs(options)
    rules = options.judge.rules()
    sources, pairs, captions, intake = read_inputs(options, rules)
    thresholds = None if options.thresholds is None else load(options.thresholds)
    with ExitStack() as stack:
        ledger = _ledger(options, stack)
        judge = stack.enter_context(options.judge.open(rules))
        if (note := sources.fit(judge)) is not None:
            say(f"note: {note}")
        decider = decider_of(thresholds, judge)
        truths = Truths(rule.id for rule in judge.constitution.rules)
        captioned = {name: caption_of(prompt) for name, prompt in pairs}
        pairs = pairs[: options.batching.limit]
        file = None
        if options.out is not None:
            standing = sources.standing([path for path, _ in pairs])
            if ledger is not None:
                standing = replace(standing, holds=partial(ledger.agrees, judge))
            short = options.record == SHORT
            head = head_of(judge, captions, intake, decider, short=short)
            file = record_file(options.out, options.mode, head, standing, stack)
        report = open_report(options, judge, intake, len(pairs), captions=captioned, truths=truths)
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
            short=options.record == SHORT,
        )
        return batch.run(intake, frames_named=options.judge.frames is not None)


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
