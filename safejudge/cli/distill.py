"""`safejudge distill`: what a judge says of unlabelled images -> a relevance filter."""

from __future__ import annotations

import argparse
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.cli.exits import DONE, INTERRUPTED
from safejudge.cli.options import Batching, JudgeOptions, OutputMode, add_ignore, layout, runs
from safejudge.cli.values import inner_share, local_path, positive
from safejudge.distill.recipe import FilterRecipe
from safejudge.engines.models import DEFAULT
from safejudge.errors import InputError
from safejudge.judge import WINDOW
from safejudge.text import clean

if TYPE_CHECKING:
    from safejudge.distill.labels import Labels
    from safejudge.distill.recipe import Layers
    from safejudge.distill.run import Distilled

EXAMPLES = """\
examples:
  safejudge distill photos/ --constitution rules.yaml --engine hf:ORG/MODEL \\
      --backbone hf:openai/clip-vit-base-patch16 --out filter
  safejudge judge photos/ --constitution rules.yaml --engine hf:ORG/MODEL \\
      --exhaustive --no-relevance --out results.jsonl
  safejudge distill --records results.jsonl --backbone hf:google/siglip2-base-patch16-224 \\
      --out filter --layers 4
  safejudge judge other/ --constitution rules.yaml --engine hf:ORG/MODEL \\
      --encoder scorer:filter

Nobody has to label the images: the judge is asked everything about each, and the filter learns its
answers. Hundreds of images have to violate rules. A filter is of one constitution: a rule that is
edited later is asked of every picture until the filter is distilled again.

exit codes:
  0    distilled, and measured on the images held out
  2    the command or a file has to be changed first, or nothing can be learned
  3    the engine or the backbone cannot be opened, or failed; --resume goes on
  130  stopped by Ctrl-C; --resume goes on
"""


_IMPLIED = ("no-relevance", "exhaustive")
"""Switches that a judge is opened with here."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `safejudge distill`."""

    paths: tuple[str, ...]
    """Images, folders, patterns; none where there are records."""
    records: Path | None
    """What `judge --exhaustive` wrote about images."""
    judge: JudgeOptions
    ignore: tuple[str, ...]
    """Patterns of files that need not be looked at."""
    backbone: str
    """URI of the dual encoder that learns."""
    out: Path
    """The filter's folder."""
    layers: Layers
    epochs: int
    keep: float
    held_out: float
    seed: int
    mode: OutputMode
    batching: Batching

    def recipe(self) -> FilterRecipe:
        """Return the recipe, with its own defaults for all that has no option."""
        return FilterRecipe(
            self.backbone,
            self.layers,
            self.epochs,
            self.keep,
            self.held_out,
            self.seed,
        )


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "distill",
        help="teach a relevance filter what a judge would say, on images without labels",
        description="Ask a judge everything about images without labels, and teach a CLIP or\n"
        "SigLIP to say beforehand which rules are worth asking. The threshold is found on\n"
        "images that nothing was learned from; --encoder scorer:FOLDER uses it.",
        **layout(EXAMPLES),
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="an image, a folder or a pattern")
    parser.add_argument(
        "--records",
        type=local_path,
        metavar="FILE",
        help="learn from what judge --exhaustive --no-relevance --out wrote; no PATH, no --engine",
    )
    JudgeOptions.add(parser, exhaustive=True)
    add_ignore(parser)
    parser.add_argument(
        "--backbone", required=True, metavar="URI", help="hf:ORG/MODEL, hf:/folder, hf:sketch"
    )
    parser.add_argument(
        "--out", type=local_path, required=True, metavar="FOLDER", help="the filter's folder"
    )
    _add_recipe(parser)
    OutputMode.add(
        parser,
        resume="judge only what --out lacks, and go on from its last epoch",
        overwrite="begin --out anew",
    )
    Batching.add(
        parser,
        WINDOW,
        limited="judge only the first N of the images",
        windowed="images judged and saved together",
    )
    runs(parser, Options, run)


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    """Add the numbers of the recipe, with its own defaults."""
    defaults = FilterRecipe("")
    numbers: tuple[tuple[str, Any, object, str, str], ...] = (
        ("layers", _layers, defaults.layers, "N",
         "so many last layers of the vision tower learn; `all`, or 0 for the head alone"),
        ("epochs", positive, defaults.epochs, "N", "how often every picture is seen"),
        ("keep", inner_share, defaults.keep, "SHARE",
         "share of the rules that the judge finds violated that the filter keeps"),
        ("held-out", inner_share, defaults.held_out, "SHARE",
         "share of the images that is kept for the threshold"),
        ("seed", int, defaults.seed, "N", "of the split, the head and the order"),
    )  # fmt: skip
    for name, kind, default, metavar, text in numbers:
        parser.add_argument(
            f"--{name}",
            type=kind,
            default=default,
            metavar=metavar,
            help=f"{text} (default: %(default)s)",
        )


def _layers(text: str) -> Layers:
    """Read a whole number from 0 on, or `all`."""
    if text == "all":
        return "all"
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 on, and not all")
    return int(text)


def run(options: Options) -> int:
    """Judge the images, learn what was said, and print what the filter keeps and drops."""
    from safejudge.distill.labels import read_labels
    from safejudge.distill.run import CHECKPOINT, RECORDS, claim
    from safejudge.distill.tables import beside, by_rule, findings
    from safejudge.files.stored import open_stored
    from safejudge.show.tables import print_tables
    from safejudge.show.terminal import console, say

    _check(options)
    mode = options.mode
    with closing(claim(options.out, resume=mode.resume, overwrite=mode.overwrite)):
        source = options.records
        if source is None:
            source = options.out / RECORDS
            if _judge(options, source) == INTERRUPTED:
                return INTERRUPTED
        labels = read_labels(open_stored(source), options.judge.constitution)
        begun = options.mode.resume and (options.out / CHECKPOINT).is_file()
        distilled = _distilled(options, labels)
        if begun and len(distilled.losses) == options.epochs:
            say("note: labels or options are others than those of the checkpoint; learned anew")
        tables = (beside(distilled, options.backbone), by_rule(distilled))
        print_tables(console(), tables, findings(distilled, options.keep, labels))
    print(clean(f"{options.out} (scorer:{options.out})"))
    return DONE


def _check(options: Options) -> None:
    """Refuse what leaves open where the judge's answers come from."""
    if options.records is None:
        if not options.paths:
            raise InputError("name images to judge, or what was judged already with --records")
        options.judge.check()
        return
    judge = options.judge
    given = {
        "PATH": options.paths,
        "--engine": judge.engine,
        "--engine-arg": judge.engine_args,
        "--policy": judge.base != "default",
        "--set": judge.settings,
        "--detector": judge.detector != DEFAULT,
        "--frames": judge.frames,
        "--ignore": options.ignore,
        "--limit": options.batching.limit,
        **{f"--{name}": name not in _IMPLIED for name in judge.switches},
    }
    if stray := [name for name, value in given.items() if value]:
        raise InputError(
            f"{', '.join(stray)}: means nothing with --records, which hold what a judge said; "
            "leave it out"
        )


def _judge(options: Options, out: Path) -> int:
    """Judge what has no record yet, as `safejudge judge --exhaustive --no-relevance` does."""
    from safejudge.cli.batch import Batch
    from safejudge.cli.judge_outputs import head_of
    from safejudge.files.recordfile import RecordFile
    from safejudge.images.listing import list_images, standing_of

    listing = list_images(options.paths, ignore=options.ignore, known=(out,))
    intake = listing.intake(options.batching.limit)
    names = listing.images[: options.batching.limit]
    with ExitStack() as stack:
        judge = stack.enter_context(options.judge.open())
        file = RecordFile(
            out,
            head_of(judge, None, intake),
            resume=options.mode.resume,
            overwrite=options.mode.overwrite,
            standing=standing_of({name: listing.source(name) for name in names}),
        )
        stack.enter_context(file)
        batch = Batch(
            judge,
            [(name, None) for name in names],
            options.batching.window,
            file,
            None,
            source_of=listing.source,
        )
        return batch.run(intake, frames_named=True)


def _distilled(options: Options, labels: Labels) -> Distilled:
    """Learn behind a bar; a run that stops leaves its epochs."""
    from safejudge.distill.run import distill
    from safejudge.show.progress import progress
    from safejudge.show.terminal import say

    recipe = options.recipe()
    with progress(recipe.epochs) as advance:
        try:
            return distill(labels, options.out, recipe, advance)
        except KeyboardInterrupt:
            say(f"stopped; the same command with --resume goes on from what is in {options.out}")
            raise
