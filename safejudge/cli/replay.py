"""`safejudge replay`: judge again from what records say, without a model."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.cli.exits import CHANGED, DONE, OPEN
from safejudge.cli.journal_open import add_reviewers
from safejudge.cli.options import add_engine_args, add_policy, layout, runs
from safejudge.cli.switches import variants
from safejudge.cli.values import local_path, local_text, path_or_journal, positive
from safejudge.constitution.load import load_constitution
from safejudge.constitution.policy_file import load_policy
from safejudge.errors import InputError
from safejudge.policy import POLICIES
from safejudge.show.page.sheets import MOST
from safejudge.text import counted
from safejudge.types import slots_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from safejudge.decide.replay import Made, Replay, Replayed
    from safejudge.decide.replay_ask import Asking
    from safejudge.decide.replay_changes import Changes
    from safejudge.files.stored import Stored, StoredRecord
    from safejudge.judge import Judge
    from safejudge.policy import Policy
    from safejudge.types import Constitution, Result

    _Replayer = Callable[[Iterable[tuple[StoredRecord, Result]]], Iterator[Replayed]]

EXAMPLES = """\
examples:
  safejudge replay results.jsonl --set reject_factor=0.2
  safejudge replay verdicts/ --policy strict.yaml --out strict.jsonl
  safejudge replay results.jsonl --constitution rules-new.yaml --report flips.html
  safejudge replay results.jsonl --policy clue-tree --ask --engine hf:ORG/MODEL
  safejudge replay journal.db --thresholds thresholds.yaml --out decided.jsonl

What the records do not say is not asked, and never guessed: a label that
hangs on it is open. --ask puts exactly the missing questions to the model
that made the records, about the images where they lie unchanged.

exit codes:
  0    no label and no outcome of a rule is another
  1    something changes
  2    the command, a policy, a constitution or the records have to be changed
       first
  3    the engine failed
  4    nothing is known to change, but something is open
  130  stopped by Ctrl-C
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `safejudge replay`."""

    path: Path
    """Records of `judge`."""
    constitution: str | None
    """The new rules; None: those of the records."""
    base: str | None
    """The new policy; None: that of the records."""
    settings: tuple[tuple[str, str], ...]
    thresholds: Path | None
    """A file that `calibrate` wrote."""
    reviewers: int
    """Of a journal: people who have to agree."""
    out: Path | None
    """A file of the new records."""
    report: Path | None
    """A page of the images that change."""
    overwrite: bool
    limit: int | None
    """Most images on the page."""
    ask: bool
    """Whether missing questions are asked."""
    engine: str | None
    engine_args: tuple[tuple[str, Any], ...]
    encoder: str | None
    detector: str | None
    prompts: str | None
    """A file of captions."""


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "replay",
        help="judge again from records, without a model: what would another policy change?",
        description="Judge again from what the reads of records say, by another constitution or\n"
        "policy, and show what changes. No model is opened, unless --ask says so.",
        **layout(EXAMPLES),
    )
    parser.add_argument(
        "path",
        type=path_or_journal,
        metavar="RECORDS",
        help="what judge --out wrote: a file of lines, or with --ray a folder of Parquet files; or "
        "a journal",
    )
    parser.add_argument(
        "--constitution",
        type=local_text,
        metavar="C",
        help="the rules: a YAML file, or the name of a shipped one (default: those of the records)",
    )
    add_policy(parser, default=None)
    parser.add_argument(
        "--thresholds",
        type=local_path,
        metavar="FILE.yaml",
        help="say what these would do with each image: block, pass or ask a person",
    )
    add_reviewers(parser, "of a journal: people who have to agree")
    parser.add_argument(
        "--out", type=local_path, metavar="FILE.jsonl", help="write the new records to this file"
    )
    parser.add_argument(
        "--report",
        type=local_path,
        metavar="FILE.html",
        help="write a page with the images that change, the worst first",
    )
    parser.add_argument(
        "--limit",
        type=positive,
        metavar="N",
        help=f"show only N images on the page (default: {MOST})",
    )
    parser.add_argument("--overwrite", action="store_true", help="begin --out and --report anew")
    _add_asking(parser)
    runs(parser, Options, run)


def _add_asking(parser: Any) -> None:
    asking = parser.add_argument_group("to ask what the records do not say")
    asking.add_argument(
        "--ask", action="store_true", help="ask the missing questions, and no other"
    )
    asking.add_argument("--engine", metavar="URI", help="the model that made the records")
    add_engine_args(asking)
    asking.add_argument(
        "--encoder", metavar="URI", help="the relevance filter (default: that of the records)"
    )
    asking.add_argument(
        "--detector", metavar="URI", help="the regions (default: that of the records)"
    )
    asking.add_argument(
        "--prompts", metavar="FILE", help="the captions that the records were made with"
    )


def run(options: Options) -> int:
    """Replay the records, and say what changes."""
    from safejudge.cli.replay_sink import Again, Decided, Outputs, Sink
    from safejudge.decide.replay_changes import Changes
    from safejudge.decide.replay_records import made_then, results
    from safejudge.journal.source import open_records

    _check(options)
    stored = open_records(options.path, options.reviewers)
    then = made_then(
        stored, options.constitution, variants(factory() for factory in POLICIES.values())
    )
    changes = Changes()
    outputs = Outputs(options.out, options.report, options.overwrite, options.limit)
    with ExitStack() as stack:
        now, replay = _replayer(options, stored, then, stack)
        decided = Decided(options.thresholds, then, now)
        sink = Sink(stack, outputs, stored, then, now, decided.digest)
        reading, asked = tee(results(stored, then.provenance))
        for (record, before), after in zip(reading, replay(asked), strict=True):
            moved = changes.add(before, after)
            decision, people = decided.about(record, before, after.result)
            sink.put(Again(record, before, after.result, decision, people, changes=moved))
        if changes.images:
            sink.close(changes)
    if not changes.images:
        raise InputError(f"{options.path}: holds no record yet; judge something first")
    _say(changes, replay)
    decided.say()
    return CHANGED if changes.changed else OPEN if changes.open else DONE


def _replayer(
    options: Options, stored: Stored, then: Made, stack: ExitStack
) -> tuple[Made, _Replayer]:
    """Say what the records are judged by now, and what does so."""
    from safejudge.decide.replay import Replay, made_now, still_there

    rules = load_constitution(options.constitution) if options.constitution else then.constitution
    if rules is None:  # `made_then` has refused such records
        raise InputError("name the rules with --constitution")
    policy = load_policy(options.base or then.policy, options.settings)
    if not options.ask:
        now = made_now(then, rules, policy)
        replay = Replay(then, now)
        return now, lambda records: (replay(result) for _, result in records)
    policy = still_there(policy, then, rules)
    judge = stack.enter_context(_judge(options, then, rules, policy))
    beside = judge.provenance
    now = made_now(then, rules, judge.policy, encoder=beside.encoder, detector=beside.detector)
    return now, _asking(options, stored, Replay(then, now), judge)


def _say(changes: Changes, replay: _Replayer) -> None:
    """Print what changes, and what could not be asked about."""
    from safejudge.decide.replay_ask import Asking
    from safejudge.show.tables import print_tables
    from safejudge.show.terminal import console, say

    if isinstance(replay, Asking):
        for reason, count in replay.not_asked.items():
            say(f"warning: {counted(count, 'image')} not asked about: {reason}")
    table = changes.table()
    print_tables(console(), [table] if table.rows else [])
    for line in changes.lines():
        print(line)


def _check(options: Options) -> None:
    """Refuse before any work what means nothing, or could not be written at its end."""
    from safejudge.files.recordfile import check_output
    from safejudge.show.page.judged import check

    asked = ("engine", "engine_args", "encoder", "detector", "prompts")
    stray = [f"--{name.replace('_args', '-arg')}" for name in asked if getattr(options, name)]
    if stray and not options.ask:
        raise InputError(
            f"{', '.join(stray)}: means nothing without --ask; add it, or leave it out"
        )
    if options.ask and options.engine is None:
        raise InputError("--ask puts questions to a model; name it with --engine URI")
    if options.out is not None:
        if options.out.exists() and options.path.exists() and options.out.samefile(options.path):
            raise InputError(
                f"--out {options.out}: these are the records that are read; name another"
            )
        check_output(options.out, overwrite=options.overwrite)
    if options.report is not None:
        check(options.report, out=options.out, resume=False, overwrite=options.overwrite)


# --- asking ---------------------------------------------------------------------------------------


def _judge(options: Options, then: Made, constitution: Constitution, policy: Policy) -> Judge:
    """Open the model that made the records; only what the policy has work for beside it."""
    from safejudge.decide.replay_ask import check_same_model
    from safejudge.judge import Judge

    made_by = then.provenance
    encoder = options.encoder or (made_by.encoder.uri if made_by.encoder else None)
    detector = options.detector or (made_by.detector.uri if made_by.detector else None)
    judge = Judge.load(
        constitution,
        options.engine or "",
        policy,
        encoder=encoder,
        detector=detector,
        engine_args=dict(options.engine_args),
        also=[ref.uri for ref in made_by.also],
        escalate_to=None if made_by.escalate_to is None else made_by.escalate_to.uri,
    )
    try:
        check_same_model(made_by, judge)
    except BaseException:
        judge.close()
        raise
    return judge


def _asking(options: Options, stored: Stored, replay: Replay, judge: Judge) -> Asking:
    from safejudge.decide.replay_ask import Asking
    from safejudge.images.captions import captions_for

    if options.prompts is None:
        return Asking(replay, judge, {})
    names = [record.content["image"] for record in stored]
    then = replay.then.constitution
    slots = () if then is None else slots_of(then)
    texts, digest, _ = captions_for(options.prompts, names, slots)
    if digest != stored.head.get("captions"):
        raise InputError(
            f"--prompts {options.prompts}: is not the prompt file that the records were made with; "
            "name that one"
        )
    return Asking(replay, judge, dict(zip(names, texts, strict=True)))
