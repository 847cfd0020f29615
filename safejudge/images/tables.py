"""Parquet files, inside the process that `process` starts: what columns one has, and its cells.

Takes paths; gives row groups, and the image and the caption of one row at a time, so that no more
than a page of the file is in memory. Refusals are `ImageError`s.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from safejudge.errors import ImageError
from safejudge.images.entries import CAPTION_BYTES
from safejudge.text import cut, one_line

if TYPE_CHECKING:
    from safejudge.types import JSON

IMAGE = "image"
"""The column that holds the images: bytes, a struct of bytes and path as Hugging Face writes it, or
paths from the folder of the file."""
CAPTIONS = ("prompt", "caption")
"""The columns that may hold the captions; the first that is there and holds texts does."""
_BATCH_BYTES = 2**22
"""Rows are decoded together as long as all of them have fewer bytes."""
_MOST_ROWS = 1024


class Cell(NamedTuple):
    """What a row holds."""

    content: bytes | str | None
    """The image, or its path, or nothing."""
    caption: str | None
    """Its caption."""


class Tables:
    """Parquet files that are read row by row; the last row group stays open."""

    def __init__(self) -> None:
        self._at: tuple[str, int] | None = None
        self._next = 0
        self._rows: Iterator[Cell | Exception] = iter(())
        self._problem: ImageError | None = None

    def describe(self, path: str, name: str) -> JSON:
        """Say how many rows each row group has, and how many of them hold no image for certain."""
        with _reading(name), _opened(path) as file:
            leaves = _leaves(file, name)
            groups = [
                (group.num_rows, _without_image(group, leaves))
                for group in map(file.metadata.row_group, range(file.metadata.num_row_groups))
            ]
        return {"groups": groups}

    def cell(self, path: str, name: str, group: int, row: int, limit: int) -> Cell:
        """Return the image and the caption of a row; see `shards.read`."""
        if self._at != (path, group) or row < self._next:
            self._at, self._next, self._problem = (path, group), 0, None
            self._rows = _rows(path, name, group, limit)
        if self._problem is not None:  # the rest of the row group cannot be had either
            raise ImageError(self._problem.reason, f"{name}: {_told(self._problem)}")
        cell = self._advanced(name, row)
        if isinstance(cell.content, bytes) and len(cell.content) > limit:
            raise ImageError(
                "too_large",
                f"{name}: {len(cell.content)} bytes are more than Policy.max_bytes = {limit}; "
                "shrink the image or raise the limit",
            )
        return cell

    def _advanced(self, name: str, row: int) -> Cell:
        """Step to a row that is still to come."""
        try:
            with _reading(name):
                cell = next(self._rows)
                while self._next < row:
                    self._next += 1
                    cell = next(self._rows)
                self._next += 1
        except ImageError as error:
            self._problem = error
            raise
        with _reading(name):
            if isinstance(cell, Exception):
                raise cell
        return cell


def _told(error: ImageError) -> str:
    return str(error).partition(": ")[2]


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Turn whatever comes of a damaged file into an `ImageError`."""
    try:
        yield
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError("missing", f"{name}: cannot be read ({_described(error)})") from error
    except StopIteration as error:
        raise ImageError(
            "unreadable", f"{name}: cannot be read (the file has fewer rows than it says)"
        ) from error
    except MemoryError as error:
        raise ImageError(
            "too_large",
            f"{name}: cannot be read (a page of its row group needs too much memory); write "
            "smaller row groups",
        ) from error
    except Exception as error:  # untrusted bytes: Arrow and Python let many types through
        raise ImageError("unreadable", f"{name}: cannot be read ({_described(error)})") from error


def _described(error: Exception) -> str:
    return cut(one_line(str(error))) or type(error).__name__


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    from pyarrow import parquet  # type: ignore[import-untyped]

    # Buffered: else a whole column of a row group would be in memory at once.
    with parquet.ParquetFile(path, pre_buffer=False, buffer_size=2**20) as file:
        yield file


# --- columns --------------------------------------------------------------------------------------


def _leaves(file: Any, name: str) -> list[str]:
    """Return the paths of the columns that hold images: of bytes, of paths, or both."""
    schema = file.schema_arrow
    count = schema.names.count(IMAGE)
    if count > 1:
        raise ImageError("unreadable", f"{name}: has {count} columns `{IMAGE}`; keep one of them")
    leaves = _image_leaves(schema.field(IMAGE).type) if count else []
    if not leaves:
        columns = ", ".join(f"{field.name}: {field.type}" for field in schema)
        raise ImageError(
            "unreadable",
            f"{name}: has no column `{IMAGE}` of bytes or paths ({cut(columns)}); name the column "
            "of the images so",
        )
    return leaves


def _image_leaves(kind: Any) -> list[str]:
    from pyarrow import types

    if not types.is_struct(kind):
        return [IMAGE] if _holds_bytes(kind) or _holds_texts(kind) else []
    fields = [(field.name, field.type) for field in kind]
    inner = [name for name, type_ in fields if name == "bytes" and _holds_bytes(type_)]
    inner += [name for name, type_ in fields if name == "path" and _holds_texts(type_)]
    return [f"{IMAGE}.{name}" for name in inner] if inner in (["bytes"], ["bytes", "path"]) else []


def _holds_bytes(kind: Any) -> bool:
    from pyarrow import types

    kind = _plain(kind)
    tests = (
        types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary,
    )  # fmt: skip
    return any(test(kind) for test in tests)


def _holds_texts(kind: Any) -> bool:
    from pyarrow import types

    kind = _plain(kind)
    tests = (types.is_string, types.is_large_string, types.is_string_view)
    return any(test(kind) for test in tests)


def _plain(kind: Any) -> Any:
    """Return the type of the values themselves."""
    import pyarrow as pa

    if isinstance(kind, pa.BaseExtensionType):
        return _plain(kind.storage_type)
    return _plain(kind.value_type) if isinstance(kind, pa.DictionaryType) else kind


def _without_image(group: Any, leaves: list[str]) -> int:
    """How many rows hold no image, if the file counts that all of the group do not; else 0."""
    columns = [group.column(index) for index in range(group.num_columns)]
    counted = [
        column.statistics.null_count
        for column in columns
        if column.path_in_schema in leaves
        and column.is_stats_set
        and column.statistics.has_null_count
    ]
    empty = len(counted) == len(leaves) and min(counted) >= group.num_rows
    return int(group.num_rows) if empty else 0


# --- rows -----------------------------------------------------------------------------------------


def _rows(path: str, name: str, group: int, limit: int) -> Iterator[Cell | Exception]:
    """Yield the cells of a row group, in order; for one that makes no sense, why.

    Rows are decoded together, and one by one if that takes too much memory: where one value stands
    in many rows, nothing says how much they come to.
    """
    yielded = 0
    try:
        for cell in _decoded(path, name, group, limit, _MOST_ROWS):
            yield cell
            yielded += 1
    except MemoryError:
        yield from islice(_decoded(path, name, group, limit, 1), yielded, None)


def _decoded(
    path: str, name: str, group: int, limit: int, together: int
) -> Iterator[Cell | Exception]:
    """Yield the cells of a row group, at most so many of them `together` in memory."""
    with _opened(path) as file:
        leaves, schema = _leaves(file, name), file.schema_arrow
        texts = [text for text in CAPTIONS if schema.names.count(text) == 1]
        texts = [text for text in texts if _holds_texts(schema.field(text).type)][:1]
        about = file.metadata.row_group(group)
        size = _check_size(about, leaves, limit, name)
        together = max(1, min(together, _BATCH_BYTES * about.num_rows // (size + 1)))
        for batch in file.iter_batches(together, row_groups=[group], columns=[*leaves, *texts]):
            images = batch.column(batch.schema.get_field_index(IMAGE))
            captions = batch.column(batch.schema.get_field_index(texts[0])) if texts else None
            for index in range(batch.num_rows):
                try:
                    yield Cell(_content(images, index), _caption(captions, index))
                except ValueError as error:  # text that is none
                    yield error


def _check_size(group: Any, leaves: list[str], limit: int, name: str) -> int:
    """Return how many bytes the images of a row group are, as the file says.

    Refuses cells that are too large by that, before one of them is unpacked.
    """
    columns = [group.column(index) for index in range(group.num_columns)]
    size = sum(c.total_uncompressed_size for c in columns if c.path_in_schema in leaves)
    if size > (limit + 2**20) * max(1, group.num_rows):
        raise ImageError(
            "too_large",
            f"{name}: cannot be read (its row group of {group.num_rows} rows unpacks to {size} "
            f"bytes, more than Policy.max_bytes = {limit} for each); leave it out, or raise the "
            "limit",
        )
    return int(size)


def _content(images: Any, index: int) -> bytes | str | None:
    from pyarrow import types

    images = _stored(images)
    columns = [images]
    if types.is_struct(images.type):
        names = [field.name for field in images.type]
        fields = [images.field(names.index(name)) for name in ("bytes", "path") if name in names]
        columns = fields if images[index].is_valid else []
    values = (_stored(column)[index].as_py() for column in columns)
    content: bytes | str | None = next((value for value in values if value is not None), None)
    return content


def _caption(captions: Any, index: int) -> str | None:
    import pyarrow as pa

    if captions is None:
        return None
    scalar = _stored(captions)[index]
    scalar = scalar.value if isinstance(scalar, pa.DictionaryScalar) else scalar
    text = None if scalar is None or not scalar.is_valid else scalar.as_buffer().to_pybytes()
    return None if text is None or len(text) > CAPTION_BYTES else text.decode(errors="replace")


def _stored(column: Any) -> Any:
    """Return the values of a column of a type that somebody made up."""
    import pyarrow as pa

    return column.storage if isinstance(column, pa.ExtensionArray) else column
