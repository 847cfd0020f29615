"""`safejudge journal export`, `import` and `prune`: judgments out, in, and away."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from safejudge.cli.exits import DONE
from safejudge.cli.journal_open import action, batches, opened, user
from safejudge.cli.options import runs
from safejudge.cli.values import amount, local_path, positive
from safejudge.errors import InputError

if TYPE_CHECKING:
    from safejudge.journal.rows import Row
    from safejudge.types import JSON


Format: TypeAlias = Literal["records", "label-studio", "steps", "inspect"]
_EXPORT = """\
`records` is what judge --out writes. `label-studio` is a JSON file of tasks with the judge's
verdicts as predictions, and beside it, named .xml, the labeling config: import both into a project,
label, and export as JSON; `journal import --label-studio` takes it in. `steps` is a task for each
statement that was asked, and for what each rule came to, to be marked right or wrong; put Label
Studio's export into a folder, and `eval traces --from-outputs FOLDER` says which stage goes wrong.
`inspect` is JSON lines for
inspect_ai's precomputed_scores: `id` is the image's name (its sha256 where several share the name),
`value` the score of the worst rule, `answer` the label. Images that could not be judged have no
task and no score; they are counted on standard error."""


@dataclass(frozen=True, slots=True)
class Export:
    """Options of `safejudge journal export`."""

    journal: str
    out: Path
    overwrite: bool
    head: int | None
    format: Format
    open: bool
    images: str | None


@dataclass(frozen=True, slots=True)
class Import:
    """Options of `safejudge journal import`."""

    journal: str
    records: Path
    label_studio: bool
    reviewers: int


@dataclass(frozen=True, slots=True)
class Prune:
    """Options of `safejudge journal prune`."""

    journal: str
    days: float


def add(actions: Any) -> None:
    """Add the commands."""
    parser = action(actions, "export", "write judgments: records, or for other tools", _EXPORT)
    parser.add_argument("--out", type=local_path, required=True, metavar="FILE")
    parser.add_argument("--overwrite", action="store_true", help="begin the file anew")
    parser.add_argument(
        "--head",
        type=positive,
        metavar="N",
        help="those of this version of rules, policy and models (default: the latest)",
    )
    parser.add_argument(
        "--format",
        choices=("records", "label-studio", "steps", "inspect"),
        default="records",
        help="(default: %(default)s)",
    )
    parser.add_argument(
        "--open",
        action="store_true",
        help="for label-studio and steps: only images of which people are asked something",
    )
    parser.add_argument(
        "--images",
        metavar="PREFIX",
        help="for label-studio and steps: the address before the name of each picture, such as "
        "https://pictures.example.com/ (default: the small picture of the journal, else the name)",
    )
    runs(parser, Export, export)
    parser = action(actions, "import", "take in records, or what people said in Label Studio")
    parser.add_argument(
        "records",
        type=local_path,
        metavar="FILE",
        help="what judge --out wrote, or with --label-studio an export of it (JSON)",
    )
    parser.add_argument(
        "--label-studio",
        action="store_true",
        help="take annotations in as decisions of whoever made them",
    )
    parser.add_argument(
        "--reviewers",
        type=positive,
        default=1,
        metavar="N",
        help="with --label-studio: people after whom a question is closed (default: %(default)s)",
    )
    runs(parser, Import, take_in)
    parser = action(actions, "prune", "delete judgments that are older; decisions stay")
    parser.add_argument("--days", type=amount, required=True, metavar="N", help="older than this")
    runs(parser, Prune, prune)


def export(options: Export) -> int:
    """Write the judgments of one head."""
    from safejudge.cli import journal_formats
    from safejudge.files.recordfile import RecordFile, check_output
    from safejudge.journal.stored import JournalRecords
    from safejudge.text import counted

    tasks = options.format in ("label-studio", "steps")
    if not tasks and (options.open or options.images is not None):
        raise InputError(
            "--open and --images are for --format label-studio or steps; leave them out"
        )
    check_output(options.out, overwrite=options.overwrite)
    if options.format == "inspect":
        return journal_formats.inspect(options.journal, options.head, options.out)
    if tasks:
        wanted = journal_formats.Tasks(
            options.open, options.images, options.overwrite, steps=options.format == "steps"
        )
        return journal_formats.label_studio(options.journal, options.head, options.out, wanted)
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
    """Keep the records of a file, or people's annotations."""
    if options.label_studio:
        return _take_annotations(options)
    from safejudge.files.stored import need_full, open_stored
    from safejudge.journal.rows import made_of
    from safejudge.journal.store import Journal
    from safejudge.show.page import made_by
    from safejudge.show.page.recorded import results
    from safejudge.text import counted

    stored = open_stored(options.records)
    need_full(stored, "keep")
    about = made_by.about(stored, None, ())
    made = made_of(stored.head)
    count = added = 0
    with Journal(options.journal) as journal:
        found = results(stored, about.constitution, about.provenance)
        for batch in batches(_row(record.content, result) for record, result in found):
            count += len(batch)
            added += journal.add_made(made, batch)
    print(f"{counted(count, 'record')}, {added} of them new in {options.journal}")
    return DONE


def _take_annotations(options: Import) -> int:
    from safejudge.journal.label_studio import read_annotations
    from safejudge.journal.label_studio import take_in as take
    from safejudge.show.terminal import say
    from safejudge.text import counted

    found = read_annotations(options.records)
    with opened(options.journal) as journal:
        count = take(journal, found, reviewers=options.reviewers)
    for note in found.notes():
        say(note)
    print(f"{counted(count, 'decision')} in {options.journal}")
    return DONE


def _row(content: JSON, result: Any) -> Row:
    from safejudge.files.records import DECISION
    from safejudge.journal.rows import Row
    from safejudge.types import Decision

    held = content.get(DECISION)
    return Row(result, None if held is None else Decision.model_validate(held), client="import")


def prune(options: Prune) -> int:
    """Delete what is old."""
    from safejudge.journal.retention import prune as let_go
    from safejudge.text import counted

    with opened(options.journal) as journal:
        gone = let_go(journal, options.days, user())
    print(f"{counted(gone, 'judgment')} deleted")
    return DONE
