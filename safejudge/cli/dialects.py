"""`safejudge dialects`: the forms of question of guard models, a line each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from safejudge.cli.exits import DONE
from safejudge.cli.options import layout, runs


@dataclass(frozen=True, slots=True)
class Options:
    """None: `safejudge dialects` takes no options."""


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "dialects",
        help="list the dialects of guard models",
        description="List the forms of question that guard models are trained on, one a line: its "
        "name, its models, the words that are read for yes and no, and whether it has a place for "
        "captions. A model with such a name is asked so; --dialect NAME or none says otherwise.",
        **layout(),
    )
    runs(parser, Options, run)


def run(_: Options) -> int:
    """Print every dialect."""
    from safejudge.engines.dialects import DIALECTS

    for dialect in DIALECTS.values():
        yes, no = dialect.labels
        captions = "captions" if dialect.captions else "no captions"
        runners = [("hf:", True), ("vllm:", not dialect.classifies), ("server:", dialect.is_served)]
        where = ", ".join(scheme for scheme, able in runners if able)
        words = f"{yes} / {no}"
        print(f"{dialect.name:14}{dialect.of:32}{words:16}{captions:13}{where}")
    return DONE
