"""What several commands take: models, policies, numbers. The parts of `arguments`."""

from __future__ import annotations

import argparse
from typing import Any

import yaml

from safejudge.engines.models import DEFAULT
from safejudge.policy import POLICIES


def texts(*epilog: str) -> dict[str, Any]:
    """Say how a command's help is laid out, and what stands below its options."""
    return {
        "epilog": "\n".join(epilog),
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,  # an option added later must not change what an old script means
    }


def add_choices(add: argparse.ArgumentParser, *, exhaustive: bool = False) -> None:
    """Add what decides about a verdict; no default for the two that matter most.

    `exhaustive`: the command asks every question, so nothing is offered that would leave some out.
    """
    add.add_argument(
        "--constitution", metavar="C", help="the rules: a YAML file, or the name of a shipped one"
    )
    add.add_argument(
        "--engine",
        metavar="URI",
        help="the model: hf:ORG/MODEL, vllm:ORG/MODEL, server:http://HOST:PORT/v1#MODEL, hf:sketch",
    )
    add_engine_arg(add)
    add.add_argument(
        "--policy",
        choices=POLICIES,
        default="default",
        help="how answers are weighed (default: %(default)s)",
    )
    if exhaustive:
        _add_model(add, "detector")
        add.set_defaults(encoder=None, relevance_threshold=None, no_relevance=True, exhaustive=True)
    else:
        add_kit(add)
        add.add_argument(
            "--relevance-threshold",
            type=float,
            metavar="T",
            help="ask a rule above this similarity (default: what is stated for the encoder)",
        )
    for name, text in SWITCHES.items():
        if not (exhaustive and name in {"no-relevance", "exhaustive"}):
            add.add_argument(f"--{name}", action="store_true", help=text)


SWITCHES = {
    "no-relevance": "ask every rule, however unlike the picture",
    "no-regions": "no crops, and no comparison with the picture without the central object",
    "no-prior": "take 1/2 for every language prior",
    "no-cascade": "leave open answers undecided: no reasoning",
    "exhaustive": "ask every question of every rule, so that scores are exact",
}
"""What switches one stage off, or early stopping."""


def add_engine_arg(add: argparse.ArgumentParser) -> None:
    """Add options of the engine."""
    add.add_argument(
        "--engine-arg",
        action="append",
        type=setting,
        default=[],
        metavar="NAME=VALUE",
        help="an option of the engine, such as max_model_len=4096; may be given several times",
    )


def add_kit(add: argparse.ArgumentParser) -> None:
    """Add the models beside the engine."""
    for name in _KIT:
        _add_model(add, name)


def _add_model(add: argparse.ArgumentParser, name: str) -> None:
    add.add_argument(
        f"--{name}",
        default=DEFAULT,
        metavar="URI",
        help=f"{_KIT[name]}, hf:ORG/MODEL (default: what the engine comes with; only sketch has "
        "one)",
    )


_KIT = {
    "encoder": "the relevance filter: a CLIP or SigLIP",
    "detector": "the regions: an OWLv2 or Grounding DINO",
}
"""What may stand beside the engine."""


def setting(text: str) -> tuple[str, Any]:
    """Read NAME=VALUE; the value as YAML reads it (number, true, text, {a: 1})."""
    name, sign, value = text.partition("=")
    name = name.strip().lstrip("-").replace("-", "_")
    if not sign or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: the value cannot be read") from error


def positive(text: str) -> int:
    """Read a whole number above 0."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return number


def amount(text: str) -> float:
    """Read a number that is not negative."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 on")
    return number
