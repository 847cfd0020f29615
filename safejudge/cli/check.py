"""`safejudge check`: whether the golden images of a constitution come out as expected."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.cli.exits import OF_CHECK, of_check
from safejudge.cli.options import JudgeOptions, layout, runs
from safejudge.cli.values import local_path, local_text
from safejudge.constitution.load import load_constitution
from safejudge.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.engines.cached import CachedEngine
    from safejudge.files.tally import Tally
    from safejudge.golden.examples import Example
    from safejudge.golden.moves import Move
    from safejudge.golden.outcomes import Check
    from safejudge.judge import Judge
    from safejudge.types import Constitution, Result

EXAMPLES = """\
examples:
  safejudge check sketch --engine hf:sketch
  safejudge check rules.yaml --engine hf:ORG/MODEL
  git show main:rules.yaml > /tmp/old.yaml
  safejudge check rules.yaml --against /tmp/old.yaml --engine hf:ORG/MODEL

Examples stand in the constitution: `golden: FOLDER` names a folder of images
with labels.csv, `examples:` under a rule names images of it. Answers are kept
in the cache folder ($SAFEJUDGE_CACHE), so that only edited statements and
new pictures are asked about.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `safejudge check`."""

    judge: JudgeOptions
    against: str | None
    """The constitution as it was: a path, or the name of a shipped one."""
    out: Path | None
    """A file of results."""
    overwrite: bool
    """Begin it anew."""


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "check",
        help="judge the golden images of a constitution: does each come out as expected?",
        description="Judge the examples that a constitution names, and show those that do not\n"
        "come out as expected; with --against, which edit moved which image.",
        **layout(EXAMPLES, OF_CHECK),
    )
    parser.add_argument(
        "constitution",
        type=local_text,
        metavar="FILE",
        help="the rules: a YAML file, or the name of a shipped one",
    )
    parser.add_argument(
        "--against",
        type=local_text,
        metavar="OLD.yaml",
        help="the rules as they were: show what moved, and by which edit",
    )
    parser.add_argument(
        "--out",
        type=local_path,
        metavar="FILE.jsonl",
        help="write one line per example to this file",
    )
    parser.add_argument("--overwrite", action="store_true", help="begin --out anew")
    JudgeOptions.add(parser, rules=False)
    runs(parser, Options, run)


def run(options: Options) -> int:
    """Judge the examples and hold them against what is expected."""
    from safejudge.constitution.diff import changes
    from safejudge.files.recordfile import check_output
    from safejudge.golden.answers import kept
    from safejudge.golden.examples import load_examples
    from safejudge.golden.moves import moves
    from safejudge.golden.outcomes import check
    from safejudge.golden.single_edits import by_single_edits
    from safejudge.judge import Judge
    from safejudge.show.terminal import say

    options.judge.check()
    rules = options.judge.rules()
    found = load_examples(options.judge.constitution or "")
    for finding in found.findings:  # an error has been raised
        say(f"warning: {finding.problem}")
    old = None if options.against is None else load_constitution(options.against)
    if options.out is not None:
        check_output(options.out, overwrite=options.overwrite)
    with ExitStack() as stack:
        judge = stack.enter_context(options.judge.open(rules))
        engine, forgets = stack.enter_context(kept(judge.models.engine))
        judge.models.engine = engine
        if forgets:
            say(f"note: answers are not kept for the next check: {forgets}")
        results, tally = _judged(judge, found.examples)
        checks = [*map(check, found.examples, results)]
        moved, edits = None, []
        if old is not None:

            def judged_by(other: Constitution, examples: Sequence[Example]) -> list[Result]:
                return _judged(Judge(other, judge.models, options.judge.policy()), examples)[0]

            edits = changes(old, rules)
            moved = moves(found.examples, judged_by(old, found.examples), results, edits)
            moved = by_single_edits(moved, old, rules, judged_by)
        _show(checks, edits, moved, judge, engine)
        if options.out is not None:
            _write(options, judge, checks, moved)
    return of_check(
        {check.status for check in checks},
        tally,
        unlabelled=bool(found.unlabelled),
        frames_named=options.judge.frames is not None,
    )


def _judged(judge: Judge, examples: Sequence[Example]) -> tuple[list[Result], Tally]:
    """Judge the examples, with a bar on a terminal."""
    from safejudge.files.records import record
    from safejudge.files.tally import Tally
    from safejudge.show.progress import ImageProgress

    results: list[Result] = []
    tally = Tally()
    progress = ImageProgress(tally, len(examples), len(examples))
    paths = [str(example.path) for example in examples]
    with progress:
        for example, result in zip(examples, judge.stream(paths), strict=True):
            results.append(result)
            tally.add(record(example.name, result))
            progress.update()
    return results, tally


def _show(
    checks: Sequence[Check],
    edits: Sequence[Any],
    moved: Sequence[Move] | None,
    judge: Judge,
    engine: CachedEngine,
) -> None:
    """Print what moved, what does not come out as expected, and how many of each."""
    from safejudge.golden import outline
    from safejudge.show.terminal import print_trimmed, say

    if moved is not None:
        print_trimmed(outline.moved(edits, moved))
        print(f"{outline.moved_summary(moved)}\n")
    if any(check.misses for check in checks):
        print_trimmed(outline.unmet(checks))
        print()
    if lacking := outline.untouched(judge.constitution, checks):
        say(f"note: {lacking}")
    answers = f"{counted(engine.known, 'answer')} kept from before, {engine.asked} asked"
    say(answers)
    print(outline.summary(checks))


def _write(
    options: Options, judge: Judge, checks: Sequence[Check], moved: Sequence[Move] | None
) -> None:
    """Write a line about the run and one per example."""
    from safejudge.files import records
    from safejudge.files.atomic import replacing, writing

    if options.out is None:
        return
    head = records.header(metadata.version("safejudge"), judge.provenance, None)
    lines = [records.to_line(head | {"check": options.judge.constitution})]
    for one in checks:
        line = one.record()
        if moved is not None:
            line["moved"] = [move.record() for move in moved if move.example is one.example]
        line["judged"] = records.record(one.example.name, one.result)
        lines.append(records.to_line(line))
    with writing(options.out), replacing(options.out) as new:
        new.write_text("".join(lines), encoding="utf-8")
