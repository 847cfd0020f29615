"""Options for engines beside the first: second opinions, and one for what stays open."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from safejudge.engines.open import AUTO
from safejudge.errors import InputError
from safejudge.method.debias import DECIDED, MARGIN_LIMIT

if TYPE_CHECKING:
    from collections.abc import Collection


def add_engines_beside(parser: argparse.ArgumentParser) -> None:
    """Add second opinions."""
    parser.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="URI",
        help="another engine that is asked everything; the mean of the log-odds of all decides; "
        "may be given several times",
    )
    parser.add_argument(
        "--escalate-to",
        metavar="URI",
        help="an engine that is asked what stays open, instead of reasoning about it; it reasons "
        "about what it leaves open itself",
    )
    parser.add_argument(
        "--escalate-below",
        type=_margin,
        metavar="M",
        help="ask it also about what is decided with log-odds between -M and M: above 1.1, the "
        "higher the more",
    )


def _margin(text: str) -> float:
    """Read a margin that something decided can have less of."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not DECIDED < number <= MARGIN_LIMIT:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number above {DECIDED:.1f} (what short answers decide has more), "
            f"{MARGIN_LIMIT:g} at most"
        )
    return number


def check_panel(also: Collection[str], escalate_to: str | None, below: float | None) -> None:
    """Refuse what cannot be asked beside an engine. Raises `InputError`."""
    if below is not None and escalate_to is None:
        raise InputError(
            "--escalate-below says what another engine is asked; name it with --escalate-to URI"
        )
    for option, uris in {"--also": also, "--escalate-to": (escalate_to,)}.items():
        if AUTO in uris:
            raise InputError(
                f"{option} auto: auto is one model, and may be the engine already; name the other: "
                "hf:ORG/MODEL, vllm:ORG/MODEL, server:http://HOST:PORT/v1#MODEL"
            )
