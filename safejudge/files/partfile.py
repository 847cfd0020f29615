"""The records of a run without Ray in a store: parts there, behind the door of a file of records.

No file of a store grows line by line, so records go into parts (`parquet`), each whole or not there
at all. A run that is killed loses what waits for its part: what came in the ten seconds after the
part before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from safejudge.errors import InputError, OutputError
from safejudge.files import records
from safejudge.files.folders import opened, parts_of

if TYPE_CHECKING:
    from safejudge.files.parquet import Counts
    from safejudge.files.standing import Stands
    from safejudge.files.tally import Tally
    from safejudge.types import JSON


def check_parts(address: str, *, resume: bool, overwrite: bool) -> None:
    """Raise `OutputError` where it is clear before any work that no parts can be written there.

    Raises `InputError` without the library, or for an address that is none, and `StoreError`.
    """
    try:
        import pyarrow as pa  # type: ignore[import-untyped]  # noqa: F401, PLC0415 - an extra
    except ImportError as error:
        raise InputError(
            f"{address}: records in a store are Parquet, which takes pyarrow ({error}): "
            "pip install 'safejudge[eval]'"
        ) from error
    if address.rstrip("/").lower().endswith((".jsonl", ".zst")):
        raise OutputError(
            f"{address}: no file of a store grows line by line; name a folder there, which gets "
            "Parquet files, or a file of this machine"
        )
    parts_of(opened(address), address, known=resume or overwrite)


class PartFile:
    """The parts of one run, taken record by record."""

    def __init__(
        self,
        address: str,
        head: JSON,
        *,
        resume: bool,
        overwrite: bool,
        standing: Stands | None = None,
    ) -> None:
        """Open a new folder, or continue one (`resume`), or begin it again (`overwrite`).

        Raises `OutputError` as `Parts` does, and where something else than `head` made the parts.
        """
        from safejudge.files.parquet import Parts, to_table  # noqa: PLC0415 - an extra

        self.path = address
        self._to_table = to_table
        self._failing = False
        self._parts = Parts(address, resume=resume, overwrite=overwrite, standing=standing)
        self._parts.begin(head)

    @property
    def recorded(self) -> Counts:
        """Records that stand, by key."""
        return self._parts.recorded

    @property
    def others(self) -> int:
        """Records of images that are none of this run's."""
        return self._parts.others

    @property
    def tally(self) -> Tally:
        """What the records that stand come to; who adds one counts it."""
        return self._parts.tally

    @property
    def waiting(self) -> int:
        """Records that were taken and are not in the store yet."""
        return self._parts.waiting

    def add(self, record: JSON) -> None:
        """Take one record; it is in the store when its part is."""
        if records.PEOPLE in record:
            raise ValueError("parts have no column for what people decided")
        self._parts.put(self._to_table([record]))

    def flush(self) -> None:
        """Write what waits as one part. Raises `OutputError` and `StoreError`."""
        self._failing = True
        self._parts.flush()
        self._failing = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if not self._failing:  # else the store is asked once more, for as long as it was
                self.flush()
                if kind is None:
                    self._parts.check_alone()
        finally:
            self._parts.close()
