"""The command line in front of vLLM's server on a bad day: every image judged, once.

Drawn scenes are judged by `safejudge judge` over `server:`, with `proxy.py` between the two giving
a fault to every so many requests; then once more without faults. Every image has to be in the
result file once. A fault that passes may move no label; one that lasts (a refusal, a reply without
log-probabilities) has to leave its reason in the record of its image.

`python benchmarks/faults.py [--count 2000] [--every 200]`, where vLLM is (`.venv-vllm`)
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from measure import record
from PIL import Image
from proxy import KINDS, LASTING, Proxy
from serve import Serve

from safejudge.prompts import REASON, statement_question
from safejudge.show.markdown import table
from safejudge.sketch.scenes import write_scenes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    from proxy import Fault

    Pixels = npt.NDArray[np.uint8]
    Answer = tuple[str, str, str | None]

Records = dict[str, list[dict[str, Any]]]
"""The records of a result file, by the names of the images."""

MISSING = "missing"
TIMEOUT = 30
"""Seconds the engine waits for a reply; each one that comes too late costs as much."""
FATES = ("as without it", "undecided", "settled otherwise")
"""What may become of a statement that met a fault."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One fault, with the image that it fell on."""

    place: int
    """The place of the request among all with a picture."""
    kind: str
    """The kind of fault."""
    image: str
    """The name of the image."""
    statement: str
    """What was asked of it."""
    reasoning: bool
    """Whether reasoning was asked for, not a probability."""
    fate: str
    """What became of the statement."""
    named: bool
    """Whether the record of the image tells of the fault."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run and one without faults came to."""

    names: list[str]
    """All images."""
    requests: int
    """How many had a picture, with the faults."""
    hits: list[Hit]
    """Every fault."""
    found: Records
    """With the faults."""
    plain: Records
    """Without."""

    def once(self) -> int:
        """How many images have exactly one record, with a label or the reason of an error."""
        return sum(
            len(self.found.get(name, ())) == 1 and label(self.found, name) != MISSING
            for name in self.names
        )

    def moved(self) -> list[str]:
        """The images whose label the faults have changed."""
        return [n for n in self.names if label(self.found, n) != label(self.plain, n)]

    def met(self, name: str) -> list[Hit]:
        """The faults that fell on an image."""
        return [hit for hit in self.hits if hit.image == name]


# --- running --------------------------------------------------------------------------------------


def run(count: int, every: int, folder: Path) -> Run:
    """Draw, judge with faults, judge without, and compare."""
    tell("drawing scenes, starting the server")
    drawn = folder / "scenes"
    write_scenes(drawn, count, seed=1)
    with Serve(folder / "vllm.log") as server, Proxy(server.address, every) as proxy:
        tell(f"judging {count} images, a fault every {every} requests")
        records = judge(drawn, proxy.base, folder / "faults.jsonl")
        requests, proxy.every = proxy.count, 0
        tell("judging them without faults")
        plain = judge(drawn, proxy.base, folder / "plain.jsonl")
    pixels = {path.name: _pixels(path) for path in sorted(drawn.glob("*.png"))}
    hits = [_hit(fault, pixels, records, plain) for fault in proxy.given]
    return Run(list(pixels), requests, hits, records, plain)


def judge(scenes: Path, base: str, out: Path) -> Records:
    """Run the command line over a folder and read what it wrote."""
    command = [
        sys.executable, "-m", "safejudge", "judge", str(scenes), "--constitution", "sketch",
        "--engine", f"server:{base}#sketch", "--engine-arg", f"timeout={TIMEOUT}",
        "--encoder", "hf:sketch", "--detector", "hf:sketch", "--out", str(out),
    ]  # fmt: skip
    begun = time.monotonic()
    # Its progress bar goes to the terminal; its table of all images nowhere.
    code = subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode
    tell(f"exit code {code} after {time.monotonic() - begun:.0f} s")
    records: Records = {}
    for line in out.read_text(encoding="utf-8").splitlines()[1:]:
        entry = json.loads(line)
        records.setdefault(Path(entry["image"]).name, []).append(entry)
    return records


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# --- accounting -----------------------------------------------------------------------------------


def label(records: Records, name: str) -> str:
    """What an image was judged to be; the reason of its error where it was not judged."""
    entry = records.get(name, [{}])[0]
    return str(entry.get("label") or entry.get("error", {}).get("reason", MISSING))


def _hit(fault: Fault, pixels: Mapping[str, Pixels], records: Records, plain: Records) -> Hit:
    """Find the image that a fault fell on: by its pixels, perhaps without an object."""
    parts = fault.body["messages"][0]["content"]
    texts = [part["text"] for part in parts if part["type"] == "text"]
    url = next(part["image_url"]["url"] for part in parts if part["type"] == "image_url")
    sent = _pixels(io.BytesIO(base64.b64decode(url.split(",", 1)[1])))
    name = max(pixels, key=lambda name: _equal(pixels[name], sent))
    statement = texts[-1].removeprefix(statement_question(""))
    ours, theirs = (_answers(records, name, statement) for records in (records, plain))
    return Hit(
        place=fault.place,
        kind=fault.kind,
        image=name,
        statement=statement,
        reasoning=texts[0] == REASON,
        fate=fate(ours, theirs),
        named=fault.kind in LASTING and any(LASTING[fault.kind] in (n or "") for *_, n in ours),
    )


def _pixels(source: Path | io.BytesIO) -> Pixels:
    with Image.open(source) as image:
        return np.asarray(image.convert("RGB"))


def _equal(left: Pixels, right: Pixels) -> int:
    return int(np.count_nonzero(left == right)) if left.shape == right.shape else 0


def _answers(records: Records, name: str, statement: str) -> list[Answer]:
    """Outcome, test and note of a statement, in every rule that it stands in."""
    rules = records.get(name, [{}])[0].get("rules", {}).values()
    return [
        (verdict["outcome"], verdict["test"], verdict["note"])
        for rule in rules
        for verdict in rule["preconditions"]
        if verdict["statement"] == statement
    ]


def fate(answers: list[Answer], plain: list[Answer]) -> str:
    """What became of a statement, against the run without faults; one of `FATES`."""
    if answers == plain:
        return FATES[0]
    return FATES[1] if {outcome for outcome, _, _ in answers} == {"undecided"} else FATES[2]


def wrong(done: Run) -> list[str]:
    """Say what should not have happened."""
    verdicts = [
        f"{hit.image} does not tell of {hit.kind} at {hit.statement!r}"
        for hit in done.hits
        if hit.kind in LASTING and not hit.named
    ]
    verdicts += [
        f"{name} has another label, and no fault that lasts"
        for name in done.moved()
        if not any(hit.kind in LASTING for hit in done.met(name))
    ]
    if done.once() < len(done.names):
        verdicts.append(f"{len(done.names) - done.once()} images are not once in the file")
    return verdicts


# --- what is recorded -----------------------------------------------------------------------------


def summary(done: Run) -> str:
    """The figures as a person reads them."""
    labels = Counter(label(done.found, name) for name in done.names)
    counted = ", ".join(f"{count:,} {name}" for name, count in sorted(labels.items()))
    lines = [
        f"{done.once():,} of {len(done.names):,} images once: {counted}.",
        f"{len(done.hits)} faults in {done.requests:,} requests with a picture.",
        "",
        kinds_table(done),
        "",
        f"Labels that differ from the run without faults: {len(done.moved())}.",
        *(f"- {difference(name, done)}" for name in done.moved()),
    ]
    return "\n".join(lines + [f"- WRONG: {line}" for line in wrong(done)])


def kinds_table(done: Run) -> str:
    """How often each kind was given, and what became of statements and labels."""
    rows = []
    for kind in KINDS:
        hits = [hit for hit in done.hits if hit.kind == kind]
        fates = Counter(hit.fate for hit in hits)
        moved = {hit.image for hit in hits}.intersection(done.moved())
        counts = [len(hits), sum(hit.reasoning for hit in hits), *(fates[f] for f in FATES)]
        counts += [sum(hit.named for hit in hits), len(moved)]
        rows.append([kind, *map(str, counts)])
    head = ["fault", "times", "of them in reasoning", *FATES, "told in the record"]
    return table([*head, "labels that differ"], rows)


def difference(name: str, done: Run) -> str:
    """One label that differs, with the faults that its image met."""
    met = [
        f"{hit.kind} while {'reasoning about' if hit.reasoning else 'reading'} {hit.statement!r}"
        for hit in done.met(name)
    ]
    change = f"{label(done.plain, name)} without faults, {label(done.found, name)} with"
    return f"{name}: {change}; {'; '.join(met) or 'it met none'}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="scenes")
    parser.add_argument("--every", type=int, default=200, help="requests from fault to fault")
    args = parser.parse_args()
    with TemporaryDirectory() as folder:
        done = run(args.count, args.every, Path(folder))
    numbers = {
        "images": len(done.names),
        "once": done.once(),
        "requests": done.requests,
        "labels that differ": done.moved(),
        "wrong": wrong(done),
        "faults": [asdict(hit) for hit in done.hits],
    }
    record("faults", numbers, summary(done))
    return 1 if wrong(done) else 0


if __name__ == "__main__":
    sys.exit(main())
