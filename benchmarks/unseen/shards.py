"""Members of tars and rows of tables, as `judge --ray` meets them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa  # type: ignore[import-untyped]
from pyarrow import parquet

from benchmarks.unseen.tries import SKETCH, tar, tried

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.unseen.tries import Run, Scenes

RAY = (*SKETCH, "--ray", "--out", "out")
RIGHT = {
    "the unsafe scene under a name without a suffix": "1",
    "cut off within its second member": "[24]",
    "a size that is no number": "2",
    "one name twice": "1",
    "pictures in a dictionary": "1",
    "pictures as views": "1",
    "one column twice": "2",
    "no column of pictures": "2",
}
"""Exit codes; of everything else 4."""


TARS: dict[str, Callable[[Scenes], bytes]] = {
    "the unsafe scene under a name without a suffix": lambda scenes: tar(
        ("a.png", scenes.safe_png), ("0f3a9c", scenes.unsafe_png)
    ),
    "a ZIP archive beside the safe scene": lambda scenes: tar(
        ("a.png", scenes.safe_png), ("u.zip", b"PK\x03\x04" + bytes(400))
    ),
    "a tar in the tar": lambda scenes: tar(
        ("a.png", scenes.safe_png), ("u.tar", tar(("b.png", scenes.unsafe_png)))
    ),
    "a damaged member": lambda scenes: tar(
        ("a.png", scenes.safe_png), ("b.png", scenes.unsafe_png[:80])
    ),
    "cut off within its second member": lambda scenes: tar(
        ("a.png", scenes.safe_png), ("b.png", scenes.unsafe_png)
    )[:-12_000],
    "a size that is no number": lambda scenes: _damaged(scenes.safe_png),
    "one name twice": lambda scenes: tar(
        ("a.png", scenes.safe_png), ("a.png", scenes.unsafe_png)
    ),
}  # fmt: skip


def _blocks(content: bytes) -> int:
    """Bytes of one member of a tar, with its header."""
    return 512 + -(-len(content) // 512) * 512


def _damaged(content: bytes) -> bytes:
    """A tar whose second header holds letters where a size should be."""
    second = _blocks(content)
    whole = bytearray(tar(("a.png", content), ("b.png", content)))
    whole[second + 124 : second + 136] = b"zzzzzzzzzzz\0"
    return bytes(whole)


for _what, _packed in TARS.items():

    @tried("tars", _what, RIGHT.get(_what, "4"))
    def _(
        folder: Path, scenes: Scenes, run: Run, packed: Callable[[Scenes], bytes] = _packed
    ) -> str:
        (folder / "in.tar").write_bytes(packed(scenes))
        return run("judge", "in.tar", *RAY)


TABLES: dict[str, Callable[[Scenes], pa.Table]] = {
    "a row without a picture": lambda scenes: pa.table({"image": [scenes.safe_png, None]}),
    "a row whose bytes are text": lambda scenes: pa.table(
        {"image": [scenes.safe_png, b"no picture"]}
    ),
    "pictures in a dictionary": lambda scenes: pa.table(
        {"image": pa.array([scenes.safe_png, scenes.unsafe_png]).dictionary_encode()}
    ),
    "pictures as views": lambda scenes: pa.table(
        {"image": pa.array([scenes.safe_png, scenes.unsafe_png], pa.binary_view())}
    ),
    "one column twice": lambda scenes: pa.Table.from_arrays(
        [pa.array([scenes.unsafe_png]), pa.array([scenes.safe_png])], names=["image", "image"]
    ),
    "no column of pictures": lambda _: pa.table({"text": ["a room"]}),
}
for _what, _made in TABLES.items():

    @tried("tables", _what, RIGHT.get(_what, "4"))
    def _(
        folder: Path, scenes: Scenes, run: Run, made: Callable[[Scenes], pa.Table] = _made
    ) -> str:
        parquet.write_table(made(scenes), folder / "in.parquet")
        return run("judge", "in.parquet", *RAY)


@tried("tables", "cut off in its midst", "2")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    parquet.write_table(pa.table({"image": [scenes.unsafe_png] * 3}), folder / "in.parquet")
    content = (folder / "in.parquet").read_bytes()
    (folder / "in.parquet").write_bytes(content[: len(content) // 2])
    return run("judge", "in.parquet", *RAY)
