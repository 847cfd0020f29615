"""What lies in folders: pictures under any name, links, others, animations."""
# ruff: noqa: ARG001 - every try has the same arguments

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

from PIL import Image

from benchmarks.unseen.tries import SKETCH, beside, marked, tar, tried

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.unseen.tries import Run, Scenes


NAMES = ["0f3a9c", "photo.jpg_large", "x.png?size=large", "y.png.part", "i.webp~", ".hidden", "x "]
for _name in NAMES:

    @tried("a picture without a suffix for one", f"the unsafe scene as `{_name}`", "1")
    def _(folder: Path, scenes: Scenes, run: Run, name: str = _name) -> str:
        inside = beside(folder, scenes)
        (inside / name).write_bytes(scenes.unsafe_png)
        return run("judge", "in", *SKETCH)


@tried("links", "an unsafe scene in a linked folder", "1")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    for name in ("in", "album"):
        (folder / name).mkdir()
    (folder / "in/safe.png").write_bytes(scenes.safe_png)
    (folder / "album/a.png").write_bytes(scenes.unsafe_png)
    (folder / "in/album").symlink_to("../album")
    return run("judge", "in", *SKETCH)


@tried("links", "links that lead in a circle", "0")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    (folder / "in/deep").mkdir(parents=True)
    (folder / "in/safe.png").write_bytes(scenes.safe_png)
    (folder / "in/deep/back").symlink_to("..")
    return run("judge", "in", *SKETCH)


@tried("links", "a link to nothing", "4")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    inside = beside(folder, scenes)
    (inside / "gone").symlink_to("nowhere")
    return run("judge", "in", *SKETCH)


def _zip(data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.png", data)
    return stream.getvalue()


BESIDE: dict[str, Callable[[bytes], bytes]] = {
    "u.pdf": lambda _: b"%PDF-1.7\n%binary",
    "u.mov": lambda _: b"\x00\x00\x00\x14ftypqt  \x00\x00\x02\x00qt  ",
    "u.zip": _zip,
    "u.tar": lambda data: tar(("a.png", data)),
    "u.hif": lambda _: b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic",
    "notes.txt": lambda _: b"nothing to see",
    "empty": lambda _: b"",
}
for _name, _content in BESIDE.items():

    @tried("files that are no picture", f"`{_name}` beside a safe scene", "4")
    def _(
        folder: Path, scenes: Scenes, run: Run, name: str = _name,
        content: Callable[[bytes], bytes] = _content,
    ) -> str:  # fmt: skip
        inside = beside(folder, scenes)
        (inside / name).write_bytes(content(scenes.unsafe_png))
        return run("judge", "in", *SKETCH)


@tried("files that are no picture", "`notes.txt`, named with --ignore", "0")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    inside = beside(folder, scenes)
    (inside / "notes.txt").write_text("x")
    return run("judge", "in", *SKETCH, "--ignore", "*.txt")


@tried("files of macOS", "`._safe.png` with attributes, `.DS_Store`", "0")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    inside = beside(folder, scenes)
    (inside / "._safe.png").write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X")
    (inside / ".DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1")
    return run("judge", "in", *SKETCH)


@tried("files of macOS", "the unsafe scene as `._safe.png`", "1")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    inside = beside(folder, scenes)
    (inside / "._safe.png").write_bytes(scenes.unsafe_png)
    return run("judge", "in", *SKETCH)


@tried("nothing judged", "a file that is missing", "2")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    return run("judge", "none.png", *SKETCH)


@tried("nothing judged", "a folder of text", "2")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    (folder / "in").mkdir()
    (folder / "in/a.txt").write_text("x")
    return run("judge", "in", *SKETCH)


for _place in (2, 3, 6, 8, 10):

    @tried("frames", f"GIF of 12 frames, frame {_place} unsafe", "[14]")
    def _(folder: Path, scenes: Scenes, run: Run, place: int = _place) -> str:
        frames = [Image.fromarray(scenes.unsafe if i == place else marked(scenes.safe, i))
                  for i in range(12)]  # fmt: skip
        frames[0].save(folder / "a.gif", save_all=True, append_images=frames[1:], duration=100)
        return run("judge", "a.gif", *SKETCH)


@tried("frames", "TIFF of 12 pages, page 10 unsafe", "[14]")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    pages = [Image.fromarray(scenes.unsafe if i == 10 else marked(scenes.safe, i))
             for i in range(12)]  # fmt: skip
    pages[0].save(folder / "a.tiff", save_all=True, append_images=pages[1:])
    return run("judge", "a.tiff", *SKETCH)


@tried("frames", "GIF of 12 frames, frame 3 unsafe, --frames all", "1")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    frames = [Image.fromarray(scenes.unsafe if i == 3 else marked(scenes.safe, i))
              for i in range(12)]  # fmt: skip
    frames[0].save(folder / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    return run("judge", "a.gif", *SKETCH, "--frames", "all")


@tried("links", "one unsafe scene behind two links and under its own name", "1")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    inside = beside(folder, scenes, **{"a.png": scenes.unsafe_png})
    (inside / "b.png").symlink_to("a.png")
    (inside / "c").symlink_to("b.png")
    return run("judge", "in", *SKETCH)


@tried("links", "the folder itself is a link, and a link in it leads outside", "1")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    inside = beside(folder, scenes)
    (folder / "outside.png").write_bytes(scenes.unsafe_png)
    (inside / "x").symlink_to("../outside.png")
    (folder / "album").symlink_to("in")
    return run("judge", "album", *SKETCH)


@tried("files of macOS", "the unsafe scene below `__MACOSX`", "1")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    beside(folder, scenes, **{"__MACOSX/a.png": scenes.unsafe_png})
    return run("judge", "in", *SKETCH)


@tried("files of macOS", "a text named `.DS_Store`", "0")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    beside(folder, scenes, **{".DS_Store": b"no store of any finder"})
    return run("judge", "in", *SKETCH)


@tried("nothing judged", "an empty folder", "2")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    (folder / "in").mkdir()
    return run("judge", "in", *SKETCH)


@tried("nothing judged", "two damaged pictures", "2")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(scenes.unsafe_png[:60])
    return run("judge", "a.png", "b.png", *SKETCH)


@tried("nothing judged", "all that is there is ignored", "2")
def _(folder: Path, scenes: Scenes, run: Run) -> str:
    beside(folder, scenes)
    return run("judge", "in", *SKETCH, "--ignore", "*.png")
