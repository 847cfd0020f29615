"""`safejudge journal export`, `import` and `prune`: judgments out, in, and away."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.cli.exits import DONE
from safejudge.cli.journal_open import action, batches, opened, user
from safejudge.cli.options import runs
from safejudge.cli.values import amount, positive

if TYPE_CHECKING:
    from safejudge.journal.store import Row
    from safejudge.types import JSON


@dataclass(frozen=True, slots=True)
class Export:
    """Options of `safejudge journal export`."""

    journal: str
    out: Path
    overwrite: bool
    head: int | None


@dataclass(frozen=True, slots=True)
class Import:
    """Options of `safejudge journal import`."""

    journal: str
    records: Path


@dataclass(frozen=True, slots=True)
class Prune:
    """Options of `safejudge journal prune`."""

    journal: str
    days: float


def add(actions: Any) -> None:
    """Add the commands."""
    parser = action(actions, "export", "write judgments as judge --out does")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument("--overwrite", action="store_true", help="begin the file anew")
    parser.add_argument(
        "--head",
        type=positive,
        metavar="N",
        help="those of this version of rules, policy and models (default: the latest)",
    )
    runs(parser, Export, export)
    parser = action(actions, "import", "take judgments from a file of records")
    parser.add_argument("records", type=Path, metavar="RECORDS", help="what judge --out wrote")
    runs(parser, Import, take_in)
    parser = action(actions, "prune", "delete judgments that are older; decisions stay")
    parser.add_argument("--days", type=amount, required=True, metavar="N", help="older than this")
    runs(parser, Prune, prune)


def export(options: Export) -> int:
    """Write the judgments of one head."""
    from safejudge.files.recordfile import RecordFile, check_output
    from safejudge.journal.stored import JournalRecords
    from safejudge.text import counted

    check_output(options.out, overwrite=options.overwrite)
    opened(options.journal).close()
    stored = JournalRecords(options.journal, options.head)
    count = 0
    with RecordFile(options.out, stored.head, resume=False, overwrite=options.overwrite) as file:
        for batch in batches(record.content for record in stored):
            file.append(batch)
            count += len(batch)
    print(f"{counted(count, 'record')} in {options.out}")
    return DONE


def take_in(options: Import) -> int:
    """Keep the records of a file."""
    from safejudge.files.stored import open_stored
    from safejudge.journal.store import Journal
    from safejudge.show.page import made_by
    from safejudge.show.page.recorded import results
    from safejudge.text import counted

    stored = open_stored(options.records)
    about = made_by.about(stored, None, ())
    count = added = 0
    with Journal(options.journal) as journal:
        found = results(stored, about.constitution, about.provenance)
        for batch in batches(_row(record.content, result) for record, result in found):
            count += len(batch)
            added += journal.add_made(stored.head, journal_digests(stored.head), batch)
    print(f"{counted(count, 'record')}, {added} of them new in {options.journal}")
    return DONE


def _row(content: JSON, result: Any) -> Row:
    from safejudge.files.records import DECISION
    from safejudge.journal.store import Row
    from safejudge.types import Decision

    held = content.get(DECISION)
    return Row(result, None if held is None else Decision.model_validate(held), client="import")


def journal_digests(head: JSON) -> dict[str, str]:
    """Return the digests of the rules that a head of records holds."""
    from safejudge.journal.store import rule_digest
    from safejudge.types import Constitution

    rules = Constitution.model_validate(head["constitution"])
    return {rule.id: rule_digest(rule) for rule in rules.rules}


def prune(options: Prune) -> int:
    """Delete what is old."""
    from safejudge.text import counted

    with opened(options.journal) as journal:
        gone = journal.prune(options.days, user())
    print(f"{counted(gone, 'judgment')} deleted")
    return DONE
