"""The arguments of `safejudge annotate` and `safejudge train-scorer`."""

from __future__ import annotations

import argparse
from typing import Any

from safejudge.cli import examples
from safejudge.cli.argument_parts import add_choices, positive, texts
from safejudge.preference.pairs import MARGIN
from safejudge.preference.rubrics import NAME, OVERALL, SAFETY
from safejudge.preference.train import Recipe

_PROMPTS = 8
"""Prompts that are annotated together."""


def add_annotate(commands: Any) -> None:
    """Add `annotate`."""
    add = commands.add_parser(
        "annotate",
        help="score several pictures per prompt, and make preference pairs of them",
        description="Score pictures for safety by the constitution and for other aspects by\n"
        "rubrics, and write preference pairs for DPO trainers. Every question is asked.",
        **texts(examples.ANNOTATE),
    )
    add.add_argument("data", metavar="DATA", help="prompts and their pictures: JSONL or CSV")
    add_choices(add, exhaustive=True)
    add.add_argument(
        "--rubric", action="append", type=_rubric, default=[], metavar="ASPECT=FILE",
        help="an aspect, and its rubric: a YAML file whose rules are good, or the name of a "
        "shipped one (prompt-following, fidelity, aesthetics); may be given several times",
    )  # fmt: skip
    add.add_argument("--out", required=True, metavar="FOLDER", help="what is written")
    add.add_argument(
        "--margin", type=float, default=MARGIN, metavar="M",
        help="scores in [0, 1] that differ by no more are a tie (default: %(default)s)",
    )  # fmt: skip
    _add_again(add, "annotate only what --out lacks", "begin --out anew")
    add.add_argument("--limit", type=positive, metavar="N", help="only the first N prompts")
    add.add_argument(
        "--window", type=positive, default=_PROMPTS, metavar="N",
        help="prompts annotated and saved together (default: %(default)s)",
    )  # fmt: skip
    add.set_defaults(command="annotate")


def add_train_scorer(commands: Any) -> None:
    """Add `train-scorer`."""
    base = Recipe("")
    add = commands.add_parser(
        "train-scorer",
        help="train a small preference scorer on pairs",
        description="Put a head of one number on a CLIP or SigLIP, and teach it to score the\n"
        "chosen picture of every pair above the rejected one.",
        **texts(examples.TRAIN_SCORER),
    )
    add.add_argument("pairs", metavar="PAIRS", help="pairs: what annotate wrote as pairs.jsonl")
    add.add_argument("--out", required=True, metavar="FOLDER", help="the scorer's folder")
    add.add_argument(
        "--backbone", required=True, metavar="URI", help="hf:ORG/MODEL, hf:/folder, hf:sketch"
    )
    add.add_argument(
        "--aspect", action="append", default=[], metavar="NAME",
        help="train on pairs of this aspect; may be given several times (default: overall if "
        "there are such pairs, else all)",
    )  # fmt: skip
    numbers = (
        ("epochs", positive, base.epochs, "how often every pair is seen"),
        ("layers", _count, base.layers, "so many last layers of both towers learn as well"),
        ("held-out", _share, base.held_out, "share of the prompts that is kept for measuring"),
        ("seed", int, base.seed, "of the split, the head and the order"),
    )
    for name, kind, default, text in numbers:
        add.add_argument(
            f"--{name}", type=kind, default=default, metavar="N",
            help=f"{text} (default: %(default)s)",
        )  # fmt: skip
    _add_again(add, "go on from the last epoch in --out", "begin --out anew")
    add.set_defaults(command="train-scorer")


def _add_again(add: argparse.ArgumentParser, resume: str, overwrite: str) -> None:
    again = add.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help=resume)
    again.add_argument("--overwrite", action="store_true", help=overwrite)


def _rubric(text: str) -> tuple[str, str]:
    """Read ASPECT=FILE."""
    name, sign, file = text.partition("=")
    if not sign or not file or not NAME.fullmatch(name) or name in {SAFETY, OVERALL}:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not ASPECT=FILE, with lower-case words joined by - for the aspect "
            f"(not {SAFETY} or {OVERALL})"
        )
    return name, file


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 on")
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share between 0 and 1")
    return share
