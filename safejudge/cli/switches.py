"""Options without a value that change the policy, and the policies that they lead to."""

from __future__ import annotations

from itertools import chain, combinations
from typing import TYPE_CHECKING, NamedTuple

from safejudge.policy import EARLIER

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping

    from safejudge.policy import Policy


class Switch(NamedTuple):
    """An option without a value that changes the policy."""

    help: str
    changes: Mapping[str, bool | str]
    """Fields of the policy, and what they become."""


SWITCHES = {
    "no-relevance": Switch("ask every rule, however unlike the picture", {"relevance": False}),
    "no-regions": Switch(
        "no crops, and no comparison with the picture without the central object",
        {"crop": False, "region": False},
    ),
    "no-prior": Switch(
        "do not ask every statement without the picture too; compare with 1/2 instead",
        {"prior": False},
    ),
    "no-cascade": Switch(
        "no reasoning: what the short answers leave open is undecided",
        {"open_means": "undecided"},
    ),
    "exhaustive": Switch(
        "ask every question of every rule, so that scores are exact", {"exhaustive": True}
    ),
    "no-second-look": Switch(
        "trust captions: do not look without its caption at what an image does not violate with it",
        {"second_look": False},
    ),
    "cut-captions": Switch(
        "show the beginning of a caption that is too long; else the image is undecided",
        {"cut_captions": True},
    ),
    "every-frame": Switch(
        "an animation is never safe while some of its frames were not looked at",
        {"every_frame": True},
    ),
}
"""What switches one stage off, or early stopping."""


def variants(policies: Iterable[Policy]) -> Iterator[Policy]:
    """Yield some policies, each with every set of switches, the fewest first.

    Presets also as they were before.
    """
    now = list(policies)
    bases = [*now, *chain.from_iterable(EARLIER.get(policy.name, ()) for policy in now)]
    sets = chain.from_iterable(combinations(SWITCHES, n) for n in range(len(SWITCHES) + 1))
    for switches in sets:
        changes = {name: on for switch in switches for name, on in SWITCHES[switch].changes.items()}
        for base in bases:
            yield base.model_copy(update=changes)


def add_switches(parser: argparse.ArgumentParser, implied: list[str]) -> None:
    """Add all of them but the implied ones, which count as given."""
    for name, switch in SWITCHES.items():
        if name not in implied:
            parser.add_argument(
                f"--{name}",
                dest="switches",
                action="append_const",
                const=name,
                default=implied,
                help=switch.help,
            )
