"""`safejudge relevance`: a threshold for an encoder, from images without labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safejudge.cli.exits import DONE
from safejudge.cli.options import layout, runs
from safejudge.cli.values import local_text
from safejudge.constitution.load import load_constitution
from safejudge.engines.base import survey
from safejudge.engines.open import open_encoder
from safejudge.images.listing import find_images
from safejudge.images.load import load_images
from safejudge.judge import WINDOW
from safejudge.method.relevance import calibrated, relevance_text
from safejudge.policy import Policy
from safejudge.text import clean, counted
from safejudge.types import Failure, ImageInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.engines.base import Encoder

EXAMPLES = """\
example:
  safejudge relevance some-images/ --constitution rules.yaml --encoder hf:ORG/MODEL --keep 0.4
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `safejudge relevance`."""

    paths: tuple[str, ...]
    """Images, folders, patterns."""
    constitution: str
    encoder: str
    """URI of the encoder."""
    keep: float
    """The share of (image, rule) pairs to ask about."""


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "relevance",
        help="find a threshold for an encoder on images without labels",
        description="Compare every rule with every image, and say above which similarity a share\n"
        "of the pairs lies. It says how much would be asked, not how much would be missed.",
        **layout(EXAMPLES),
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="an image, a folder or a pattern")
    parser.add_argument(
        "--constitution", type=local_text, required=True, metavar="C", help="the rules"
    )
    parser.add_argument("--encoder", required=True, metavar="URI", help="hf:ORG/MODEL")
    parser.add_argument(
        "--keep",
        type=float,
        default=0.4,
        metavar="SHARE",
        help="the share of (image, rule) pairs to ask about (default: %(default)s)",
    )
    runs(parser, Options, run)


def run(options: Options) -> int:
    """Compare rules with images, and print the threshold and what it does to each rule."""
    from safejudge.show.reasons import reason
    from safejudge.show.terminal import console, kept_table, say

    rules = load_constitution(options.constitution).rules
    texts = [relevance_text(rule) for rule in rules]
    paths = find_images(options.paths)
    columns, failures = _similarities(open_encoder(options.encoder), texts, paths)
    if failures:
        say(
            f"warning: {len(failures)} of {len(paths)} images could not be read (the first: "
            f"{clean(failures[0].image)}: {reason(failures[0])})"
        )
    pairs = [similarity for column in columns for similarity in column]
    threshold = calibrated(pairs, options.keep)
    console().print(kept_table([rule.id for rule in rules], columns, threshold))
    print(
        f"--relevance-threshold {threshold:.4f}: above it lie {options.keep:.0%} of "
        f"{len(pairs)} pairs of {counted(len(columns[0]), 'image')} and "
        f"{counted(len(rules), 'rule')}"
    )
    return DONE


def _similarities(
    encoder: Encoder, texts: Sequence[str], paths: Sequence[str]
) -> tuple[list[list[float]], list[Failure]]:
    """Compare each text with each image: a column of cosines per text, and what was no image."""
    from safejudge.show.progress import progress

    columns: list[list[float]] = [[] for _ in texts]
    failures: list[Failure] = []
    with progress(len(paths)) as advance:
        for start in range(0, len(paths), WINDOW):
            images = load_images(paths[start : start + WINDOW], Policy())
            failures += [image for image in images if isinstance(image, Failure)]
            pictures = [image.pictures[0] for image in images if isinstance(image, ImageInput)]
            cosines = survey(encoder, texts, pictures)
            for index, column in enumerate(columns):
                column += [c for c in cosines[index :: len(texts)] if math.isfinite(c)]
            advance(len(images))
    return columns, failures
