"""What serving costs: the server under load against the offline pool on the same pictures.

Starts `safejudge serve` as users do and asks it over HTTP, one picture a request: 1, 8 and 64
clients at once, each waiting for its answer before it asks again; a client that sends slowly beside
fast ones; more than may wait; a reload, a kill and SIGTERM under load; and many requests in a row,
while its memory is looked at. The offline pool (`Judge.stream`) is measured before and after, so
that ratios are of one run.

`python benchmarks/serving.py [hf:sketch] [--images 256] [--requests 50000]`; with `--vllm`, in the
environment of vLLM, everything goes through `server:` to vLLM's own server.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import multiprocessing
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

import httpx2
import psutil
from measure import record
from PIL import Image
from serve import Serve

from safejudge import Judge, load_constitution
from safejudge.show.markdown import table
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.scenes import mixed_scenes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

SEED = "serving-report"
"""Pictures of the record; others were used while this was written."""
LOADS = (1, 8, 64)
WARM = 16
"""Pictures that are judged before anything is measured."""
PATIENCE = 300
_LISTENING = re.compile(r"http://127\.0\.0\.1:(\d+)")


def pictures(count: int, seed: str) -> list[bytes]:
    """Draw scenes, as PNG files."""
    drawn = []
    for scene, _ in mixed_scenes(load_constitution("sketch"), seed):
        stream = io.BytesIO()
        Image.fromarray(draw(scene).pixels).save(stream, "PNG")
        drawn.append(stream.getvalue())
        if len(drawn) == count:
            return drawn
    raise AssertionError


# --- the two sides --------------------------------------------------------------------------------


def offline(engine: str, images: Sequence[bytes]) -> float:
    """Pictures per second of the offline pool, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as one:
        return one.apply(_offline, (engine, list(images)))


def _offline(engine: str, images: list[bytes]) -> float:
    with Judge.load("sketch", engine) as judge:
        judge(images[:WARM])
        begun = time.perf_counter()
        for _ in judge.stream(images):
            pass
        return len(images) / (time.perf_counter() - begun)


class Server:
    """One `safejudge serve`."""

    def __init__(self, engine: str, folder: Path, *options: str) -> None:
        self._log = folder / f"serve-{time.monotonic_ns()}.log"
        self._command = [
            *(sys.executable, "-m", "safejudge", "serve", "--engine", engine, "--port", "0"),
            *("--encoder", "hf:sketch", "--detector", "hf:sketch"),
            *(() if "--access-log" in options else ("--access-log", "none")),
            *(() if "--constitution" in options else ("--constitution", "sketch")),
            *options,
        ]

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log)
        begun = time.monotonic()
        while (found := _LISTENING.search(self._log.read_text(encoding="utf-8"))) is None:
            if self.process.poll() is not None or time.monotonic() - begun > PATIENCE:
                self.__exit__()
                raise RuntimeError(self._log.read_text(encoding="utf-8")[-2000:])
            time.sleep(0.1)
        self.base = f"http://127.0.0.1:{found[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PATIENCE)

    @property
    def resident(self) -> float:
        """MiB of memory."""
        return psutil.Process(self.process.pid).memory_info().rss / 2**20


@dataclass
class Load:
    """What clients were answered."""

    seconds: list[float] = field(default_factory=list)
    """From sending to the answer, of answers with a judgment."""
    statuses: Counter[str] = field(default_factory=Counter)
    labels: list[tuple[int, str]] = field(default_factory=list)
    constitutions: Counter[str] = field(default_factory=Counter)
    mixed: int = 0
    """Answers of several versions of the rules."""
    took: float = 0.0

    def cells(self) -> list[str]:
        """Latency at the median and at 99 %."""
        ordered = sorted(self.seconds)
        return [f"{_at(ordered, 0.5):.2f}", f"{_at(ordered, 0.99):.2f}"]


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


async def ask(client: httpx2.AsyncClient, image: bytes, load: Load, place: int = 0) -> int:
    """Ask about one picture; return the status, 0 where the connection broke."""
    begun = time.perf_counter()
    try:
        reply = await client.post("/v1/judge", files=[("image", ("scene.png", image))])
    except httpx2.HTTPError as error:
        load.statuses[type(error).__name__] += 1
        return 0
    load.statuses[str(reply.status_code)] += 1
    if reply.status_code == 200:
        said = reply.json()
        (one,) = said["results"]
        load.seconds.append(time.perf_counter() - begun)
        load.labels.append((place, one["label"]))
        digest = said["coverage"]["constitution"]
        load.constitutions[digest[:8]] += 1
        load.mixed += one["provenance"]["constitution"] != digest
    return reply.status_code


def opened(server: Server) -> httpx2.AsyncClient:
    """Open a client with a connection for everybody."""
    return httpx2.AsyncClient(
        base_url=server.base, timeout=PATIENCE, limits=httpx2.Limits(max_connections=200)
    )


async def closed_loop(
    server: Server,
    images: Sequence[bytes],
    clients: int,
    *,
    retries: bool = False,
    until: Callable[[], bool] = lambda: False,
) -> Load:
    """Let so many clients ask about all pictures, each the next one as soon as it may."""
    load = Load()
    supply = iter(enumerate(images))

    async def one(client: httpx2.AsyncClient) -> None:
        for place, image in supply:
            if until():
                return
            while await ask(client, image, load, place) == 429 and retries:
                await asyncio.sleep(0.2)

    begun = time.perf_counter()
    async with opened(server) as client:
        await asyncio.gather(*(one(client) for _ in range(clients)))
    load.took = time.perf_counter() - begun
    return load


# --- what is measured -----------------------------------------------------------------------------


def loads(engine: str, images: Sequence[bytes], folder: Path) -> tuple[str, dict[str, Any]]:
    """Measure throughput and latency by load, against the offline pool."""
    before = offline(engine, images)
    found: dict[int, Load] = {}
    with Server(engine, folder) as server:
        asyncio.run(closed_loop(server, images[:WARM], 8))
        for clients in reversed(LOADS):
            found[clients] = asyncio.run(closed_loop(server, images, clients))
    after = offline(engine, images)
    floor = (before + after) / 2
    rows = []
    for clients in LOADS:
        load = found[clients]
        rate = len(images) / load.took
        labels = sorted(load.labels) == sorted(found[LOADS[-1]].labels)
        rows.append([
            str(clients), f"{rate / floor:.2f}", f"{rate:.1f}", *load.cells(),
            _counts(load.statuses), "as at 64" if labels else "differ",
        ])  # fmt: skip
    head = ("clients", "ratio to offline", "pictures/s", "p50 (s)", "p99 (s)", "answers", "labels")
    text = (
        f"The offline pool (`Judge.stream`) judged {before:.1f} pictures/s before and {after:.1f} "
        f"after; ratios are to their mean. {len(images)} scenes, one a request.\n\n"
        + table(head, rows)
    )
    return text, {
        "offline": [before, after],
        "loads": {
            str(n): {"rate": len(images) / one.took, "seconds": sorted(one.seconds)}
            for n, one in found.items()
        },
    }


def slow(engine: str, images: Sequence[bytes], folder: Path) -> tuple[str, dict[str, Any]]:
    """Let a client that sends a byte at a time ask beside eight fast ones."""

    async def drip(image: bytes, gate: asyncio.Event) -> AsyncIterator[bytes]:
        for place in range(0, len(image), 64):
            yield image[place : place + 64]
            await asyncio.sleep(0.05)
        await gate.wait()  # the last byte comes when the others are done
        yield b"\r\n--x--\r\n"

    async def both(server: Server) -> tuple[Load, int]:
        gate = asyncio.Event()
        head = (
            b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n'
            b"Content-Type: image/png\r\n\r\n"
        )
        async with opened(server) as client:
            waiting = asyncio.ensure_future(
                client.post(
                    "/v1/judge",
                    content=drip(head + images[0], gate),
                    headers={"Content-Type": "multipart/form-data; boundary=x"},
                )
            )
            fast = await closed_loop(server, images, 8)
            gate.set()
            return fast, (await waiting).status_code

    with Server(engine, folder) as server:
        asyncio.run(closed_loop(server, images[:WARM], 8))
        alone = asyncio.run(closed_loop(server, images, 8))
        beside, status = asyncio.run(both(server))
    ratio = alone.took / beside.took
    text = (
        f"Eight fast clients beside one that sends 64 bytes every 50 ms: {ratio:.2f} of their "
        f"throughput without it, p99 {beside.cells()[1]} s for {alone.cells()[1]} s; the slow one "
        f"was answered {status} when its last byte came."
    )
    return text, {"ratio": ratio, "slow": status}


def full(engine: str, images: Sequence[bytes], folder: Path) -> tuple[str, dict[str, Any]]:
    """Ask more than may wait, with clients that give up and with such that try again."""
    few = ("--max-waiting", "8", "--window", "8")
    with Server(engine, folder, *few) as server:
        asyncio.run(closed_loop(server, images[:WARM], 4))
        given_up = asyncio.run(closed_loop(server, images, 64))
        tried = asyncio.run(closed_loop(server, images, 64, retries=True))
        after = asyncio.run(closed_loop(server, images[:WARM], 4))
    text = (
        f"With room for 8 that wait and 8 under way, 64 clients that give up were answered "
        f"{_counts(given_up.statuses)}; 64 that try again {_counts(tried.statuses)}: "
        f"{tried.statuses['200']} of {len(images)} pictures were judged. Four clients after it: "
        f"{_counts(after.statuses)}."
    )
    return text, {
        "given_up": dict(given_up.statuses),
        "retried": dict(tried.statuses),
        "after": dict(after.statuses),
    }


def changes(engine: str, images: Sequence[bytes], folder: Path) -> tuple[str, dict[str, Any]]:
    """Reload the rules under load, then end the server by SIGTERM under load."""
    rules = folder / "rules.yaml"
    shipped = (Path(__file__).parents[1] / "constitutions" / "sketch.yaml").read_text("utf-8")
    shipped = re.sub(r"(?m)^golden:.*\n", "", shipped)
    rules.write_text(shipped, encoding="utf-8")
    reloads = 0

    async def reloading(server: Server) -> Load:
        nonlocal reloads
        task = asyncio.ensure_future(closed_loop(server, images, 16))
        async with opened(server) as client:
            while not task.done():
                reloads += 1
                title = f"sketch-{reloads % 2}"
                changed = re.sub(r"(?m)^name: .*$", f"name: {title}", shipped, count=1)
                rules.write_text(changed, encoding="utf-8")
                (await client.post("/admin/reload")).raise_for_status()
                await asyncio.sleep(0.5)
        return await task

    async def ending(server: Server) -> Load:
        task = asyncio.ensure_future(closed_loop(server, images, 16))
        await asyncio.sleep(2.0)
        server.process.send_signal(signal.SIGTERM)
        return await task

    log = folder / "access.jsonl"
    options = ("--constitution", str(rules), "--access-log", str(log))
    with Server(engine, folder, *options) as server:
        reloaded = asyncio.run(reloading(server))
        ended = asyncio.run(ending(server))
        code = server.process.wait(PATIENCE)
    lines = map(json.loads, log.read_text(encoding="utf-8").splitlines())
    read = Counter(line["status"] for line in lines if line["path"] == "/v1/judge")
    answered = reloaded.statuses["200"] + ended.statuses["200"]
    text = (
        f"{reloads} reloads under a load of 16 clients: {_counts(reloaded.statuses)}; every answer "
        f"names one version of the rules ({len(reloaded.constitutions)} were seen, {reloaded.mixed}"
        f" mixed). SIGTERM under the same load: {_counts(ended.statuses)}; the process ended with "
        f"{code}. Its log has {read.total()} requests that it read, of which {read[200]} were "
        f"answered 200; the clients have {answered} such answers. Errors of connections are of "
        "requests that it had not read when it closed them."
    )
    return text, {
        "reloads": reloads,
        "reloaded": dict(reloaded.statuses),
        "mixed": reloaded.mixed,
        "ended": dict(ended.statuses),
        "read": read.total(),
        "code": code,
    }


def memory(
    engine: str, images: Sequence[bytes], folder: Path, requests: int
) -> tuple[str, dict[str, Any]]:
    """Send many requests and look at the server's memory.

    Equal pictures that are under way together are asked once, so each picture is sent `SAME` times
    in a row: every request is received, read and answered, and the model is asked less often.
    """
    same = 32

    def supply() -> Iterator[bytes]:
        for place in range(requests):
            yield images[(place // same) % len(images)]

    points: list[tuple[int, float]] = []
    load = Load()

    async def run(server: Server) -> None:
        everything = enumerate(supply())

        async def one(client: httpx2.AsyncClient) -> None:
            for place, image in everything:
                await ask(client, image, load)
                load.labels.clear()
                if place % max(1, requests // 50) == 0:
                    points.append((place, server.resident))

        async with opened(server) as client:
            await asyncio.gather(*(one(client) for _ in range(64)))

    with Server(engine, folder) as server:
        begun = time.perf_counter()
        asyncio.run(run(server))
        took = time.perf_counter() - begun
    points.sort()
    early = statistics.median(m for place, m in points if requests * 0.1 <= place < requests * 0.3)
    late = statistics.median(m for place, m in points if place >= requests * 0.8)
    most = max(m for _, m in points)
    text = (
        f"{requests} requests by 64 clients (each of {len(images)} pictures {same} times in a "
        f"row): {_counts(load.statuses)}; {requests / took:.0f} requests/s. Resident memory: "
        f"{early:.0f} MiB between 10 % and 30 % of the way, {late:.0f} MiB over the last fifth "
        f"({late - early:+.0f} MiB), {most:.0f} MiB at most."
    )
    return text, {"points": points, "statuses": dict(load.statuses), "seconds": took}


def killed(vllm: Serve, images: Sequence[bytes], folder: Path) -> tuple[str, dict[str, Any]]:
    """Kill vLLM's server under load, and start it again."""
    states: list[int] = []

    async def run(server: Server) -> Load:
        task = asyncio.ensure_future(closed_loop(server, images * 50, 16, until=lambda: over))
        over = False
        async with opened(server) as client:
            await asyncio.sleep(3.0)
            await asyncio.to_thread(vllm.kill)
            while (await client.get("/ready")).status_code == 200:
                await asyncio.sleep(0.1)
            states.append(503)
            await asyncio.sleep(2.0)
            starting = asyncio.ensure_future(asyncio.to_thread(vllm.start))
            while (await client.get("/ready")).status_code != 200:
                await asyncio.sleep(0.5)
            await starting
            states.append(200)
            await asyncio.sleep(3.0)
            over = True
            return await task

    with Server(f"server:{vllm.uri}", folder) as server:
        load = asyncio.run(run(server))
        after = asyncio.run(closed_loop(server, images[:WARM], 4))
    text = (
        f"vLLM's server killed (SIGKILL) under 16 clients and started again: "
        f"{_counts(load.statuses)}. `/ready` went to 503 and back to 200; after it "
        f"{_counts(after.statuses)}. No answer but 200 holds a verdict."
    )
    return text, {"statuses": dict(load.statuses), "ready": states}


def _counts(statuses: Counter[str]) -> str:
    return ", ".join(f"{n} x {name}" for name, n in sorted(statuses.items())) or "nothing"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", nargs="?", default="hf:sketch")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--seed", default=SEED)
    parser.add_argument("--vllm", action="store_true")
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    images = pictures(options.images, options.seed)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        engine = options.engine
        vllm = stack.enter_context(Serve(folder / "vllm.log")) if options.vllm else None
        if vllm is not None:
            engine = f"server:{vllm.uri}"
        parts: dict[str, Callable[[], tuple[str, dict[str, Any]]]] = {
            "Load": lambda: loads(engine, images, folder),
            "A slow client": lambda: slow(engine, images[:96], folder),
            "A full queue": lambda: full(engine, images[:96], folder),
            "Changes": lambda: changes(engine, images, folder),
        }
        if vllm is not None:
            parts["The engine is killed"] = lambda: killed(vllm, images, folder)
        if options.requests:
            parts["Memory"] = lambda: memory(engine, images, folder, options.requests)
        texts, numbers = [], {}
        for name, part in parts.items():
            if not options.only or name in options.only:
                text, found = part()
                texts.append(f"## {name}\n\n{text}")
                numbers[name] = found
                print(texts[-1], flush=True)
    name = "serving-vllm" if options.vllm else f"serving-{options.engine.partition(':')[2]}"
    name += "".join(f"-{part.split()[-1].lower()}" for part in options.only)
    title = "vLLM's own server (CPU), by `server:`" if options.vllm else options.engine
    numbers |= {"seed": options.seed, "images": options.images}
    record(name, numbers, f"# Serving {title}\n\n" + "\n\n".join(texts))


if __name__ == "__main__":
    main()
