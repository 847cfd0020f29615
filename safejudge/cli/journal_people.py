"""`safejudge journal labels`: what people decided, for whoever measures the judge by it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.cli.exits import DONE
from safejudge.cli.journal_open import action, opened
from safejudge.cli.options import runs
from safejudge.cli.values import local_path, positive
from safejudge.errors import InputError

if TYPE_CHECKING:
    from safejudge.types import Constitution

_LABELS = """\
`calibrate --records JOURNAL --labels FILE` and `eval labelled --labels FILE` read the file. It has
one row an image: `image`, `label` (empty where the answers do not say it), `violations`, `unknown`
(rules that nobody settled: these are neither violated nor kept) and `id` (sha256 of the file, by
which the image is found). What gives no label is left out, and counted on standard error."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Options of `safejudge journal labels`."""

    journal: str
    out: Path
    overwrite: bool
    reviewers: int
    head: int | None


def add(actions: Any) -> None:
    """Add the command."""
    parser = action(actions, "labels", "write what people agreed on as labels", _LABELS)
    parser.add_argument("--out", type=local_path, required=True, metavar="FILE.csv")
    parser.add_argument("--overwrite", action="store_true", help="begin the file anew")
    add_agreement(parser)
    runs(parser, Labels, labels)


def add_agreement(parser: Any) -> None:
    """Add whose word counts, and about which rules."""
    parser.add_argument(
        "--reviewers",
        type=positive,
        default=1,
        metavar="N",
        help="people who have to agree, with nobody against them (default: %(default)s)",
    )
    parser.add_argument(
        "--head",
        type=positive,
        metavar="N",
        help="by the rules of this version; answers about another wording count no more "
        "(default: the latest)",
    )


def labels(options: Labels) -> int:
    """Write what is agreed on."""
    from safejudge.files.atomic import replacing, writing
    from safejudge.files.recordfile import check_output
    from safejudge.journal.labels import agreed_labels, as_csv
    from safejudge.show.terminal import say
    from safejudge.text import counted

    check_output(options.out, overwrite=options.overwrite)
    with opened(options.journal) as journal:
        rules = rules_of(options.journal, options.head)
        found = agreed_labels(journal, rules, reviewers=options.reviewers)
    for note in found.notes():
        say(note)
    if not found.labels:
        raise InputError(
            f"{options.journal}: holds no answer of people that counts; let people decide first"
        )
    with writing(options.out), replacing(options.out) as new:
        new.write_text(as_csv(found.labels), encoding="utf-8")
    print(f"{counted(len(found.labels), 'label')} in {options.out}")
    return DONE


def rules_of(journal: str, head: int | None) -> Constitution:
    """Return the rules of one version of a journal, or of the latest. Raises `InputError`."""
    from safejudge.journal.stored import JournalRecords
    from safejudge.show.page import made_by

    return made_by.about(JournalRecords(journal, head), None, ()).constitution
