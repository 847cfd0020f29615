"""`safejudge train-scorer`: pairs -> a small preference scorer, measured on prompts held out."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.cli.exits import DONE
from safejudge.cli.options import OutputMode, layout, runs
from safejudge.cli.values import inner_share, local_path, positive
from safejudge.preference.recipe import Recipe
from safejudge.text import clean, counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.preference.train import Ranked, Trained
    from safejudge.show.figures import Table

EXAMPLES = """\
examples:
  safejudge train-scorer pairs/pairs.jsonl --backbone hf:google/siglip2-base-patch16-224 \\
      --out scorer
  safejudge eval preference --data other-pairs/pairs.jsonl --engine hf:ORG/MODEL \\
      --encoder scorer:scorer --out run

Some prompts are held out, and accuracy is measured on their pairs alone.

exit codes:
  0    trained, and measured on the prompts held out
  2    the command or a file has to be changed first
  3    the backbone cannot be opened, or failed
  130  stopped by Ctrl-C; --resume goes on
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `safejudge train-scorer`."""

    pairs: Path
    """What `annotate` wrote as pairs.jsonl."""
    out: Path
    """The scorer's folder."""
    backbone: str
    """URI of the dual encoder under the head."""
    aspects: tuple[str, ...]
    """Of the pairs to train on."""
    epochs: int
    layers: int
    held_out: float
    seed: int
    mode: OutputMode

    def recipe(self) -> Recipe:
        """Return the recipe, with its own defaults for all that has no option."""
        return Recipe(
            self.backbone, self.aspects, self.epochs, self.layers, self.held_out, self.seed
        )


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "train-scorer",
        help="train a small preference scorer on pairs",
        description="Put a head of one number on a CLIP or SigLIP, and teach it to score the\n"
        "chosen picture of every pair above the rejected one.",
        **layout(EXAMPLES),
    )
    parser.add_argument(
        "pairs", type=local_path, metavar="PAIRS", help="pairs: what annotate wrote as pairs.jsonl"
    )
    parser.add_argument(
        "--out", type=local_path, required=True, metavar="FOLDER", help="the scorer's folder"
    )
    parser.add_argument(
        "--backbone", required=True, metavar="URI", help="hf:ORG/MODEL, hf:/folder, hf:sketch"
    )
    parser.add_argument(
        "--aspect",
        dest="aspects",
        action="append",
        default=[],
        metavar="NAME",
        help="train on pairs of this aspect; may be given several times (default: overall if "
        "there are such pairs, else all)",
    )
    _add_recipe(parser)
    OutputMode.add(
        parser, resume="go on from the last epoch in --out", overwrite="begin --out anew"
    )
    runs(parser, Options, run)


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    """Add the numbers of the recipe, with its own defaults."""
    defaults = Recipe("")
    numbers = (
        ("epochs", positive, defaults.epochs, "how often every pair is seen"),
        ("layers", _count, defaults.layers, "so many last layers of both towers learn as well"),
        (
            "held-out",
            inner_share,
            defaults.held_out,
            "share of the prompts kept for measuring",
        ),
        ("seed", int, defaults.seed, "of the split, the head and the order"),
    )
    for name, kind, default, text in numbers:
        parser.add_argument(
            f"--{name}",
            type=kind,
            default=default,
            metavar="SHARE" if kind is inner_share else "N",
            help=f"{text} (default: %(default)s)",
        )


def _count(text: str) -> int:
    """Read a whole number from 0 on."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 on")
    return int(text)


def run(options: Options) -> int:
    """Train, and print how often the scorer is right on prompts it has not seen."""
    from safejudge.preference.train import train
    from safejudge.show.progress import progress
    from safejudge.show.tables import print_tables
    from safejudge.show.terminal import console

    out, recipe, mode = options.out, options.recipe(), options.mode
    with progress(recipe.epochs) as advance:
        trained = train(
            options.pairs,
            out,
            recipe,
            resume=mode.resume,
            overwrite=mode.overwrite,
            tick=advance,
        )
    findings = [f"Learned from {trained.pairs} pairs of {trained.prompts} prompts."]
    findings += [
        f"{counted(count, 'pair')} left out: {reason}."
        for reason, count in trained.left_out.items()
    ]
    print_tables(console(), (_accuracies(trained),), findings)
    print(clean(f"{out} (scorer:{out})"))
    return DONE


def _accuracies(trained: Trained) -> Table:
    """How often the chosen picture scores above the rejected one, by aspect."""
    from safejudge.evals.stats.intervals import FEW
    from safejudge.show.figures import Table

    groups: dict[str, list[Ranked]] = {}
    for pair in trained.held_out:
        groups.setdefault(pair.aspect, []).append(pair)
    if len(groups) > 1:
        groups["all"] = list(trained.held_out)
    rows = tuple(
        (aspect, str(len(pairs)), str(len({pair.prompt for pair in pairs})), _accuracy(pairs))
        for aspect, pairs in groups.items()
    )
    return Table(
        "Held-out pairs",
        ("aspect", "pairs", "prompts", "accuracy"),
        rows,
        "Prompts that the scorer has not seen; equal scores are wrong. Intervals are 95 %, over "
        f"prompts. {FEW}",
    )


def _accuracy(pairs: Sequence[Ranked]) -> str:
    """Write the accuracy, with its interval where there are enough prompts."""
    from safejudge.evals.stats.intervals import share_of

    right = [pair.margin > 0 for pair in pairs]
    return share_of(right, [pair.prompt for pair in pairs]).text(len(pairs))
