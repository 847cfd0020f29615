"""What comes of pages: whether pictures are the same in every run, and what hostile pages can do.

Renders the made-up pages of `data/pages` and pages that move (`moving_pages.py`), each several
times, and compares the pictures. Then pages that mean no good (`hostile_pages.py`): how long each
takes, how much memory, what is left of it. Last, pages that show files of the machine: each is
compared with its twin that names files that are not there, and opened as a file beside it.

`python benchmarks/render.py [--runs 3] [--browser PATH]`
"""

from __future__ import annotations

import argparse
import io
import json
import re
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from hostile_pages import HOSTILE, INNER, MARK, inner, local, write_marks
from measure import record
from moving_pages import MOVING
from PIL import Image

from safejudge.render import Browser, Rendered, Stage, read_page, render
from safejudge.render.browser import is_root
from safejudge.show.markdown import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PAGES = Path(__file__).parent / "data" / "pages"
COLOURS = {
    "red": (208, 32, 32),
    "green": (32, 160, 32),
    "blue": (32, 32, 208),
    "white": (255, 255, 255),
}
NEAR = 12
"""How far a channel of a pixel may be from `MARK`."""
FRAME = 8
"""Pixels by which a part may be elsewhere that is drawn frame by frame."""
SECONDS = 10.0
"""What a hostile page is given."""
SHORT = Stage(at=(0.0, 1.0))


# --- what is expected of a page -------------------------------------------------------------------


def differences(expected: dict[str, Any], rendered: Rendered, frame: int = 1) -> list[str]:
    """What of a page is not as `expected.json` has it; edges may be `frame` pixels off."""
    found = []
    page = None if rendered.page is None else list(rendered.page)
    blocked = sorted(
        {f.what for f in rendered.of("request", "websocket", "local file", "navigation")}
    )
    measures = {
        "status": rendered.status,
        "page": page,
        "blocked": blocked,
        "errors": [f.what.partition(":")[0] for f in rendered.of("error")],
        "dialogs": [f.what.partition(":")[0] for f in rendered.of("dialog")],
        "popups": sum(f.count for f in rendered.of("popup")),
    }
    for name, value in measures.items():
        if value != expected[name]:
            found.append(f"{name}: {value}")
    if len(rendered.shots) != len(expected["shots"]):
        return [*found, f"pictures: {len(rendered.shots)}"]
    for shot, wanted in zip(rendered.shots, expected["shots"], strict=True):
        problems = _unlike(wanted, shot.image, frame)
        if (shot.one_colour is not None) != wanted["one_colour"]:
            problems.append(f"one colour: {shot.one_colour}")
        found += [f"{shot.caption}: {problem}" for problem in problems]
    return found


def _unlike(wanted: dict[str, Any], image: Image.Image, frame: int) -> list[str]:
    if list(image.size) != wanted["size"]:
        return [f"size: {image.size}"]
    pixels = np.asarray(image).astype(int)
    found = []
    for name, share in wanted["share"].items():
        near = (pixels == np.array(COLOURS[name])).all(-1)
        if abs(near.mean() - share) > 0.002:
            found.append(f"{name} covers {near.mean():.3f}, not {share}")
        columns = np.flatnonzero(near.any(0))
        edges = [int(columns[0]), int(columns[-1])] if len(columns) else None
        wanted_edges = wanted["edges"].get(name)
        if wanted_edges and (
            edges is None
            or max(abs(a - b) for a, b in zip(edges, wanted_edges, strict=True)) > frame
        ):
            found.append(f"{name} from and to {edges}, not {wanted_edges}")
    return found


# --- the same in every run ------------------------------------------------------------------------


def repeated(
    pages: dict[str, str], runs: int, browser: Browser
) -> Iterator[tuple[str, list[Rendered], float]]:
    """Render each page `runs` times; yield its name, what came of it, and seconds of a run."""
    for name, page in pages.items():
        begun = time.monotonic()
        results = [render(page, Stage(seconds=SECONDS), browser) for _ in range(runs)]
        yield name, results, (time.monotonic() - begun) / runs
        print(name, results[0].status, flush=True)


def equal(results: Sequence[Rendered]) -> str:
    """How many pictures are the same in all runs, as "3 of 3"."""
    first, *others = results
    if any(len(other.shots) != len(first.shots) for other in others):
        return "not as many"
    same = sum(
        all(other.shots[i].image.tobytes() == shot.image.tobytes() for other in others)
        for i, shot in enumerate(first.shots)
    )
    return f"{same} of {len(first.shots)}"


def steady(runs: int, browser: Browser) -> tuple[str, dict[str, Any]]:
    """The table of pages that are rendered several times."""
    expected = json.loads((PAGES / "expected.json").read_text(encoding="utf-8"))
    made_up = {name: read_page(PAGES / name) for name in expected}
    rows, numbers = [], {}
    for name, results, seconds in repeated(made_up, runs, browser):
        frame = FRAME if name == "frames.html" else 1
        unlike = differences(expected[name], results[0], frame)
        as_expected = "; ".join(unlike) if unlike else "as expected"
        rows.append([name, results[0].status, equal(results), as_expected, f"{seconds:.1f}"])
        numbers[name] = {"status": results[0].status, "equal": equal(results), "unlike": unlike}
    for name, results, seconds in repeated(MOVING, runs, browser):
        moved = len({shot.image.tobytes() for shot in results[0].shots})
        rows.append(
            [name, results[0].status, equal(results), f"{moved} different", f"{seconds:.1f}"]
        )
        numbers[name] = {"status": results[0].status, "equal": equal(results), "unlike": moved}
    head = ["page", "status", f"equal in {runs} runs", "pictures", "seconds"]
    return table(head, rows), numbers


# --- pages that mean no good ----------------------------------------------------------------------


class Memory(threading.Thread):
    """Looks four times a second how much memory the processes of a page hold together."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0
        self._over = threading.Event()

    def run(self) -> None:
        """Look until `stop`."""
        while not self._over.wait(0.25):
            self.most = max(self.most, sum(map(_held, processes())))

    def stop(self) -> int:
        """Stop, and return the most that was seen, in MiB."""
        self._over.set()
        self.join()
        return self.most // 2**20


def processes() -> list[Path]:
    """Processes that live and were started for a page, by the folder that they are told of."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"safejudge-page-" in (folder / "cmdline").read_bytes():
                found.append(folder)
        except OSError:
            continue
    return found


def left() -> int:
    """How many of them are there still, a while after a page is done."""
    until = time.monotonic() + 2
    while processes() and time.monotonic() < until:
        time.sleep(0.05)
    return len(processes())


def _held(folder: Path) -> int:
    """Bytes of a process, its share of what several hold."""
    try:
        text = (folder / "smaps_rollup").read_text(encoding="utf-8")
    except OSError:
        return 0
    sizes = [line.split()[1] for line in text.splitlines() if line.startswith("Pss:")]
    return 1024 * int(sizes[0]) if sizes else 0


def hostile(browser: Browser) -> tuple[str, dict[str, Any]]:
    """The table of pages that mean no good."""
    rows, numbers = [], {}
    for name, page in HOSTILE.items():
        memory = Memory()
        memory.start()
        begun = time.monotonic()
        done = render(page, Stage(seconds=SECONDS), browser)
        seconds, most = time.monotonic() - begun, memory.stop()
        kinds = {f.kind for f in done.findings} - {"one colour"}
        refused = sum(f.count for f in done.refused)
        cells = [name, done.status, str(len(done.shots)), f"{seconds:.1f}", str(most)]
        rows.append([*cells, str(refused), ", ".join(sorted(kinds)), str(left())])
        numbers[name] = {"status": done.status, "seconds": seconds, "mib": most, "refused": refused}
        print(name, done.status, f"{seconds:.1f}", flush=True)
    head = ["page", "status", "pictures", "seconds", "MiB", "refused", "findings", "left"]
    return table(head, rows), numbers


# --- the machine's own files ----------------------------------------------------------------------


def is_marked(image: Image.Image) -> bool:
    """Whether one pixel at least has the colour of the files."""
    return bool((abs(np.asarray(image).astype(int) - np.array(MARK)) <= NEAR).all(-1).any())


def shown(one: Rendered, twin: Rendered) -> str:
    """Whether anything of the files is seen: their colour, or a picture unlike the twin's."""
    pictures = [shot.image for shot in one.shots]
    unlike = [
        a.image.tobytes() != b.image.tobytes() for a, b in zip(one.shots, twin.shots, strict=False)
    ]
    return "shown" if any(map(is_marked, pictures)) or any(unlike) else "nothing"


def opened_as_file(pages: Sequence[Path], browser: Browser) -> list[bool]:
    """Whether the files' colour is seen where each page is opened as a file, as was published."""
    from playwright.sync_api import Error, sync_playwright  # noqa: PLC0415 - tests read this file

    seen = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=browser.path, chromium_sandbox=not is_root()
        )
        for path in pages:
            window = chromium.new_page()
            png = b""
            try:
                window.goto(path.as_uri(), timeout=5000)
                window.wait_for_timeout(300)
                png = window.screenshot(timeout=5000)
            except Error:
                pass  # it left, or never came to rest
            seen.append(_is_marked_png(png))
            window.close()
        chromium.close()
    return seen


def _is_marked_png(png: bytes) -> bool:
    return bool(png) and is_marked(Image.open(io.BytesIO(png)).convert("RGB"))


def files(browser: Browser) -> tuple[str, dict[str, Any]]:
    """The table of pages that show files of the machine, and of the browser's own pages."""
    rows, numbers = [], {}
    with TemporaryDirectory() as folder:
        own = Path(folder)
        write_marks(own)
        (own / "words.txt").write_text("what lies on the machine\n" * 20, encoding="utf-8")
        pages = local(own.as_uri(), f"{own.as_uri()}/words.txt")
        twins = local(f"{own.as_uri()}/none", f"{own.as_uri()}/none/words.txt")
        paths = [own / f"{number}.page.html" for number in range(len(pages))]
        for path, page in zip(paths, pages.values(), strict=True):
            path.write_text(page, encoding="utf-8")
        published = opened_as_file(paths, browser)
        for (name, page), as_file in zip(pages.items(), published, strict=True):
            one, twin = (render(text, SHORT, browser) for text in (page, twins[name]))
            rows.append(_of_file(name, "shown" if as_file else "nothing", one, twin))
            print(*rows[-1], flush=True)
    for address in INNER:
        one, twin = (render(inner(text), SHORT, browser) for text in (address, nowhere(address)))
        rows.append(_of_file(address, "", one, twin))
        print(*rows[-1], flush=True)
    numbers = {row[0]: {"as_file": row[1], "here": row[2]} for row in rows}
    head = ["page", "opened as a file", "here", "status", "refused"]
    return table(head, rows), numbers


def nowhere(address: str) -> str:
    """An address of the same kind at which there is nothing."""
    return re.sub(r"(?<=:)[^/].*|(?<=//).*", "none/none", address)


def _of_file(name: str, as_file: str, one: Rendered, twin: Rendered) -> list[str]:
    refused = sorted({finding.kind for finding in one.refused})
    return [name, as_file, shown(one, twin), one.status, ", ".join(refused)]


# --- all of it ------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--browser", type=Path)
    options = parser.parse_args()
    browser = Browser.find(options.browser)
    blank = render("<p>x", SHORT, browser)
    texts, numbers = [f"{blank.browser}; a network of its own: {blank.sealed}."], {}
    parts = {
        "The same in every run": lambda: steady(options.runs, browser),
        f"Pages that mean no good, {SECONDS:g} s each": lambda: hostile(browser),
        "The machine's own files": lambda: files(browser),
    }
    for title, part in parts.items():
        text, numbers[title] = part()
        texts.append(f"## {title}\n\n{text}")
    record("render", numbers, "\n\n".join(texts))


if __name__ == "__main__":
    main()
