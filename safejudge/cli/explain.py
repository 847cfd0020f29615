"""`safejudge explain`: one image, and how each rule was judged."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from safejudge.cli.exits import OF_VERDICTS, of_run
from safejudge.cli.options import JudgeOptions, layout, runs
from safejudge.errors import InputError
from safejudge.images.pairs import CAPTION
from safejudge.text import clean
from safejudge.types import Failure, Intake

EXAMPLES = """\
examples:
  safejudge explain photo.png --constitution rules.yaml --engine hf:ORG/MODEL
  safejudge explain scene.png --constitution sketch --engine hf:sketch \\
      --rule armed-child
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `safejudge explain`."""

    image: str
    judge: JudgeOptions
    rule: str | None
    """Id of the only rule to show; None: all."""
    prompt: str | None
    """The image's prompt or caption."""
    item: tuple[tuple[str, str], ...]
    """What fills slots of programs, by name."""


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "explain",
        help="show for one image how each rule was judged",
        description="Judge one image and show the trace: every rule's condition as a tree,\n"
        "what was read, and which test decided.",
        **layout(EXAMPLES, OF_VERDICTS),
    )
    parser.add_argument("image", metavar="IMAGE", help="the image")
    JudgeOptions.add(parser, skips=True)
    parser.add_argument("--rule", metavar="ID", help="show only this rule, in full")
    parser.add_argument("--prompt", metavar="TEXT", help="the prompt or caption of the image")
    parser.add_argument(
        "--item",
        action="append",
        type=_field,
        default=[],
        metavar="NAME=VALUE",
        help="fill {NAME} in programs of the rules; may be given again",
    )
    runs(parser, Options, run)


def _field(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE, such as text=SALE")
    return name, value


def run(options: Options) -> int:
    """Judge the image and print the trace."""
    from safejudge.evals.labelled.beside import Truths
    from safejudge.files import records
    from safejudge.files.tally import Tally
    from safejudge.show import trace
    from safejudge.show.reasons import reason
    from safejudge.show.terminal import print_trimmed

    options.judge.check()
    constitution = options.judge.rules()
    ids = [rule.id for rule in constitution.rules]
    if options.rule is not None and options.rule not in ids:
        raise InputError(f"--rule {options.rule}: there is no such rule; choose {', '.join(ids)}")
    with options.judge.open(constitution) as judge:
        item = {CAPTION: options.prompt} | dict(options.item)
        (result,) = judge([options.image], [item if options.item else options.prompt])
        policy = judge.policy
    if isinstance(result, Failure):
        print(f"{clean(result.image)}: failed\n{reason(result)}")
    else:
        rules = [rule for rule in constitution.rules if options.rule in (None, rule.id)]
        truth = Truths(ids).of(options.image)
        print_trimmed(trace.explanation(result, rules, policy, truth))
    tally = Tally()
    tally.add(records.record(options.image, result))
    return of_run(tally, Intake(found=1), frames_named=options.judge.frames is not None)
