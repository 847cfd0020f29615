"""MJ-Bench's data to judge: a folder, a file or a data set of the Hugging Face hub -> samples.

Four kinds are known by their columns: the released Parquet files (`info`), those that replaced
them (`category`), the repository's lists, which name their pictures, and pairs that say what was
`chosen` and what `rejected`. A row without a label or a picture is left out and counted; pictures
are handed on undecoded.
"""

from __future__ import annotations

import csv
import io
import random
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.errors import InputError
from safejudge.evals.harness import check_limit, draw
from safejudge.evals.mjbench.data_rows import (
    CATEGORIES,
    CATEGORY,
    LeftOutError,
    Lost,
    generation_of,
    listed,
    perspective_of,
    released,
    tried,
)
from safejudge.evals.mjbench.recorded import names
from safejudge.evals.mjbench.recorded.names import printable
from safejudge.evals.mjbench.samples import PERSPECTIVES, Sample
from safejudge.files.rows import parse_json, twice_in
from safejudge.text import counted

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Iterable,
        Iterator,
        Sequence,
    )
    from collections.abc import (
        Set as AbstractSet,
    )


LISTS, PAIRS = "repository lists", "pairs"
_EXPECTED = (
    f"expected are Parquet files named after {', '.join(PERSPECTIVES)}, lists (.json, .jsonl, "
    ".csv) in folders or files so named, or pairs.jsonl, with the pictures that they name"
)
_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_BATCH = 16
"""Rows of a Parquet file in memory at once, with their pictures."""
_LARGEST = 200_000_000
"""Bytes of a list."""


@dataclass(frozen=True, slots=True)
class Data:
    """What was found to judge."""

    generation: str
    """The kinds of data, for people."""
    samples: Iterable[Sample]
    """Read while they are asked for, once."""
    left_out: list[str]
    """Files and rows that were not understood, and why; complete when the samples are read."""


@dataclass(frozen=True, slots=True)
class _Choice:
    splits: tuple[str, ...]
    limit: int | None
    seed: int | None

    def rows(self, files: Sequence[_File]) -> list[set[int]]:
        """Which rows of each file are read: by number, so that the others need not be."""
        chosen: list[set[int]] = [set() for _ in files]
        for perspective in self.splits:
            rows = [(f, row) for f, file in enumerate(files) for row in file.of(perspective)]
            for f, row in draw(rows, self.limit, self.seed):
                chosen[f].add(row)
        return chosen


@dataclass(slots=True)
class _File:
    """A file whose rows are known, but perhaps not read."""

    name: str
    generation: str
    kinds: dict[int, str]
    """The perspective of every row that may be read."""
    read: Callable[[AbstractSet[int], Lost], Iterator[tuple[int, Sample]]]
    """Reads some rows; a list's samples still have the row's `id` as their key, or none."""
    heads: dict[str, str] = field(default_factory=dict)
    """How the keys of each perspective begin."""

    def of(self, perspective: str) -> list[int]:
        return [row for row, kind in self.kinds.items() if kind == perspective]


def read_data(
    data: str,
    splits: Sequence[str] = (),
    *,
    limit: int | None = None,
    seed: int | None = None,
    revision: str | None = None,
) -> Data:
    """Find out what is there; `splits` names the perspectives that are wanted, none means all.

    `limit` counts per perspective: the first ones, or with `seed` a sample of that size. A data
    set of the hub is read at `revision`, since what it holds has changed before.
    """
    if unknown := [name for name in splits if name not in PERSPECTIVES]:
        raise InputError(f"no split {unknown[0]!r}; choose from {', '.join(PERSPECTIVES)}")
    check_limit(limit)
    choice = _Choice(tuple(p for p in PERSPECTIVES if not splits or p in splits), limit, seed)
    if Path(data).exists():
        return _local(Path(data), choice)
    if _HUB.fullmatch(data):
        if revision is None:
            raise InputError(
                f"{data}: what a data set of the hub holds may change; pin a commit with "
                "--suite-arg revision=COMMIT"
            )
        return _hub(data, choice, revision)
    raise InputError(f"{data}: there is no such folder or file, and it is no ORG/NAME of the hub")


# --- files --------------------------------------------------------------------------------------


def _local(path: Path, choice: _Choice) -> Data:
    folder, left_out = (path if path.is_dir() else path.parent), list[str]()
    paths = sorted(path.rglob("*")) if path.is_dir() else [path]
    tables = [p for p in paths if p.suffix == ".parquet"]
    files = [file for p in tables if (file := _opened(_table, p, folder, left_out))]
    lists = [p for p in paths if p.suffix in {".json", ".jsonl", ".csv"}]
    if files:  # lists beside Parquet files tell the same rows
        left_out += [f"{_inside(p, folder)}: not read beside Parquet files" for p in lists]
    else:
        contents: set[tuple[object, ...]] = set()
        opened = [_opened(_list, p, folder, left_out, contents) for p in lists]
        files = [file for file in opened if file]
    _name(files)
    chosen = choice.rows(files)
    if not any(chosen):
        reason = f"; {left_out[0]}" if left_out else ""
        splits = ", ".join(choice.splits)
        raise InputError(f"{path}: nothing to judge in it for {splits}; {_EXPECTED}{reason}")
    generations = dict.fromkeys(
        file.generation for file, rows in zip(files, chosen, strict=True) if rows
    )
    return Data(" + ".join(generations), _items(files, chosen, left_out), left_out)


def _opened(
    open_: Callable[..., _File], path: Path, folder: Path, left_out: list[str], *contents: Any
) -> _File | None:
    """Open a file, or say why it is not one of ours."""
    try:
        return open_(path, folder, left_out, *contents)
    except RecursionError:
        left_out.append(f"{_inside(path, folder)}: nested too deeply")
    except (OSError, ValueError, csv.Error, LeftOutError) as error:
        left_out.append(f"{_inside(path, folder)}: {printable(str(error))}")
    return None


def _items(
    files: Sequence[_File], chosen: Sequence[set[int]], left_out: list[str]
) -> Iterator[Sample]:
    ids = Counter(sample.key for file in files if file.generation in {LISTS, PAIRS}
                  for _, sample in file.read(file.kinds.keys(), Lost()))  # fmt: skip
    for file, rows in zip(files, chosen, strict=True):
        lost = Lost()
        for row, sample in file.read(rows, lost):
            # An id that looks like a number of a row could be taken for one.
            key = sample.key if ids[sample.key] == 1 and "/" not in sample.key else ""
            yield replace(sample, key=key or f"{file.heads[sample.perspective]}/{row}")
        left_out += lost.lines(file.name)


def _name(files: Sequence[_File]) -> None:
    """Let keys begin with the perspective, and the file where a perspective has several."""
    for perspective in PERSPECTIVES:
        having = [file for file in files if perspective in file.kinds.values()]
        stems = Counter(Path(file.name).stem for file in having)
        for file in having:
            stem = Path(file.name).stem
            name = stem if stems[stem] == 1 else file.name
            file.heads[perspective] = perspective if len(having) == 1 else f"{perspective}/{name}"


def _table(path: Path, folder: Path, left_out: list[str]) -> _File:
    """Open a Parquet file."""
    try:
        from pyarrow import parquet  # type: ignore[import-untyped]  # noqa: PLC0415
    except ImportError as error:
        raise _lacking(f"{path}") from error
    origin, folders = names.origin_of(path, folder), (path.parent, folder)
    with parquet.ParquetFile(path) as file:
        generation = generation_of(file.schema_arrow.names)
        if (twice := twice_in(file.schema_arrow.names)) is not None:
            raise LeftOutError("a column stands twice", twice)
        kinds = dict.fromkeys(range(file.metadata.num_rows), origin.perspective)
        if generation == CATEGORY:
            perspectives = map(
                perspective_of, file.read(columns=["category"])["category"].to_pylist()
            )
            kinds = {i: perspective for i, perspective in enumerate(perspectives) if perspective}
            if unknown := file.metadata.num_rows - len(kinds):
                left_out.append(
                    f"{origin.file}: {counted(unknown, 'row')} left out: an unknown category"
                )
        elif origin.perspective not in PERSPECTIVES:
            raise LeftOutError("its name is no perspective's")

    def read(chosen: AbstractSet[int], lost: Lost) -> Iterator[tuple[int, Sample]]:
        for number, row in _table_rows(path, chosen, lost):
            if sample := tried(released, origin, row, folders, lost):
                yield number, sample

    return _File(origin.file, generation, kinds, read)


def _table_rows(
    path: Path, chosen: AbstractSet[int], lost: Lost
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Some rows of a Parquet file; others are not turned into objects."""
    from pyarrow import ArrowException, parquet  # noqa: PLC0415

    start, last = 0, max(chosen, default=-1)
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                if start > last:
                    return
                for number in sorted(chosen & set(range(start, start + len(batch)))):
                    yield number, batch.slice(number - start, 1).to_pylist()[0]
                start += len(batch)
    except (OSError, ValueError, ArrowException) as error:
        lost.add(LeftOutError(f"all from row {start} on cannot be read", str(error)))


def _list(
    path: Path, folder: Path, left_out: list[str], contents: set[tuple[object, ...]]
) -> _File:
    """Read a list; its pictures only have to be there."""
    origin, folders, lost = names.origin_of(path, folder), (path.parent, folder), Lost()
    samples: dict[int, Sample] = {}
    rows = _loaded(path)
    for number, row in enumerate(rows):
        sample = tried(listed, origin, row, folders, lost)
        if sample is None:
            continue
        content = (
            *(source.name for source in sample.images),
            sample.caption,
            sample.subset,
            sample.group,
        )
        if content in contents:  # such as the same pairs for another judge
            lost.add(LeftOutError("the same as an earlier one"))
        else:
            samples[number] = sample
            contents.add(content)
    left_out += lost.lines(origin.file)

    def read(chosen: AbstractSet[int], _lost: Lost) -> Iterator[tuple[int, Sample]]:
        return ((number, sample) for number, sample in samples.items() if number in chosen)

    pairs = any(isinstance(row, dict) and "chosen" in row for row in rows)
    kinds = {number: sample.perspective for number, sample in samples.items()}
    return _File(origin.file, PAIRS if pairs else LISTS, kinds, read)


def _loaded(path: Path) -> list[Any]:
    if path.stat().st_size > _LARGEST:
        raise LeftOutError(f"larger than {_LARGEST} bytes")
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix == ".csv":
        rows = csv.DictReader(io.StringIO(text, newline=""), restkey="", strict=True)
        if (twice := twice_in(rows.fieldnames or ())) is not None:
            raise LeftOutError("a column stands twice", twice)
        return list(rows)
    if path.suffix == ".jsonl":
        return [_parsed(line) for line in text.split("\n") if line.strip()]
    rows = parse_json(text)
    if not isinstance(rows, list):
        raise LeftOutError("not a list of rows")
    return rows


def _parsed(line: str) -> Any:
    try:
        return parse_json(line)
    except (ValueError, RecursionError):
        return None


def _inside(path: Path, folder: Path) -> str:
    return printable(path.relative_to(folder).as_posix())


def _lacking(data: str) -> InputError:
    return InputError(
        f"{data}: reading it needs pyarrow and datasets; pip install 'safejudge[eval]'"
    )


# --- the hub ------------------------------------------------------------------------------------


def _hub(data: str, choice: _Choice, revision: str) -> Data:
    try:
        import datasets  # type: ignore[import-untyped]  # noqa: PLC0415
    except ImportError as error:
        raise _lacking(data) from error
    streams: dict[str, Any] = {}
    generation = ""
    try:
        for split in datasets.get_dataset_split_names(data, revision=revision):
            if split in PERSPECTIVES and split not in choice.splits:
                continue
            rows = datasets.load_dataset(data, split=split, streaming=True, revision=revision)
            columns = rows.column_names
            for name in {"image0", "image1"} & set(columns or ()):
                rows = rows.cast_column(name, datasets.Image(decode=False))
            # Without types a stream says nothing of its columns, and decodes nothing either.
            generation = generation or generation_of(columns or list(next(iter(rows), {})))
            streams[split] = rows
    except Exception as error:  # of half a dozen libraries, without a common base
        raise InputError(
            f"{data}: cannot be read at revision {revision} ({printable(str(error))}); check both, "
            "and whether its terms have to be accepted first on its page (then: hf auth login)"
        ) from error
    if not streams:
        raise InputError(f"{data}: has no split for {', '.join(choice.splits)}; {_EXPECTED}")
    left_out: list[str] = []
    return Data(generation, _drawn(data, streams, choice, left_out), left_out)


def _drawn(
    data: str, streams: dict[str, Any], choice: _Choice, left_out: list[str]
) -> Iterator[Sample]:
    """The first samples of each perspective, or a sample: by reservoir, so that keys stay true."""
    sampled = choice.limit is not None and choice.seed is not None
    reservoir: dict[str, list[tuple[int, Sample]]] = defaultdict(list)
    counts: Counter[str] = Counter()
    chance = random.Random(choice.seed)  # noqa: S311
    for split, rows in streams.items():
        perspectives = (
            {split} if split in PERSPECTIVES else {*CATEGORIES.values()} & {*choice.splits}
        )
        for sample in _streamed(data, split, rows, left_out):
            if (perspective := sample.perspective) not in perspectives:
                continue
            counts[perspective] += 1
            number = counts[perspective] - 1
            if sampled:
                _hold(reservoir[perspective], (number, sample), choice.limit or 1, chance)
            elif choice.limit is None or number < choice.limit:
                yield sample
            if (
                not sampled
                and choice.limit
                and all(counts[p] >= choice.limit for p in perspectives)
            ):
                break
    for rows in reservoir.values():
        yield from (sample for _, sample in sorted(rows, key=lambda row: row[0]))


def _hold(
    reservoir: list[tuple[int, Sample]], row: tuple[int, Sample], size: int, chance: random.Random
) -> None:
    """Let one more into a sample, such that all so far are in it with equal chances."""
    if len(reservoir) < size:
        reservoir.append(row)
    elif (slot := chance.randrange(row[0] + 1)) < size:
        reservoir[slot] = row


def _streamed(data: str, split: str, rows: Any, left_out: list[str]) -> Iterator[Sample]:
    perspective = split if split in PERSPECTIVES else "other"
    origin, lost = names.Origin(split, split, "", "", perspective, ""), Lost()
    try:
        for number, row in enumerate(rows):
            if sample := tried(released, origin, row, (), lost):
                prefix = "" if split == sample.perspective else f"{split}/"
                yield replace(sample, key=f"{sample.perspective}/{prefix}{number}")
    except Exception as error:  # see above; GeneratorExit is none of these
        raise InputError(f"{data}, split {split}: broke off ({error}); start again") from error
    finally:
        left_out += lost.lines(split)
