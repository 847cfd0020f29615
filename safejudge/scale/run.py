"""`safejudge judge --ray`: many images on many machines; Ray moves them, each actor has a judge.

Takes the options of the command; lists the images, hands their places window by window to a pool
of actors (`actors`), and writes the records that come back as Parquet. Actors read the images
themselves, so files have to lie where every machine sees them. A record that came twice would
count once, and one that did not come is an error. Knows nothing of rules.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from contextlib import redirect_stdout
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from safejudge.engines.meter import together
from safejudge.errors import EngineCallError, EngineError, InputError, SafejudgeError
from safejudge.files import records
from safejudge.images.captions import captions_for
from safejudge.images.shards import PARQUET, Place, find_places
from safejudge.scale.actors import ABOUT, Choices, Pool, cluster, judged
from safejudge.show import terminal as show
from safejudge.show.terminal import INTERRUPTED
from safejudge.types import Provenance

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    import pyarrow as pa  # type: ignore[import-untyped]
    from rich.progress import TaskID

    from safejudge.files.parquet import Parts
    from safejudge.opening import JudgeSpec
    from safejudge.types import JSON


def wanted(options: argparse.Namespace) -> bool:
    """Whether Ray is to judge. Raises `InputError` where only the options for it are given."""
    given = {
        "--actors": options.actors,
        "--gpus-per-actor": options.gpus_per_actor,
        "--ray-address": options.ray_address,
    }
    stray = [name for name, value in given.items() if value is not None]
    if stray and not options.ray:
        raise InputError(
            f"{', '.join(stray)}: means nothing without --ray; add it, or leave it out"
        )
    return bool(options.ray)


def judge(options: argparse.Namespace, opening: JudgeSpec) -> int:
    """Judge with Ray and write `--out`; return the exit code, which counts earlier runs too."""
    if options.report is not None:
        raise InputError(
            "--report makes a page for people, --ray judges more than a page holds; leave one out, "
            "or judge the images you want to see without --ray"
        )
    if options.out is None:
        raise InputError("--ray writes Parquet files into a folder; name it with --out DIR")
    _need_ray()
    from safejudge.files.parquet import Parts

    choices = Choices(
        opening=opening,
        window=options.window,
        captions=options.prompts is None,
        folder=str(Path.cwd()),
    )
    places = find_places(options.paths)
    prompts, captions, unmatched = captions_for(options.prompts, [p.name for p in places])
    for problem in unmatched:
        show.say(f"warning: {problem}")
    places = [
        place._replace(caption=prompt) for place, prompt in zip(places, prompts, strict=True)
    ][: options.limit]
    out = Path(options.out)
    _check_apart(out, places)
    with Parts(out, resume=options.resume, overwrite=options.overwrite) as parts:
        return _Run(places, captions, parts).go(choices, options)


def _need_ray() -> None:
    try:
        import pyarrow as pa  # noqa: F401
        import ray.data  # noqa: F401
    except ImportError as error:
        raise InputError(f"--ray needs Ray ({error}): pip install 'safejudge[ray]'") from error


def _check_apart(out: Path, places: Sequence[Place]) -> None:
    """Refuse to judge what this command writes."""
    shards = {p.path for p in places if p.where is not None and Path(p.path).suffix == PARQUET}
    inside = [path for path in shards if out.resolve() in Path(path).resolve().parents]
    if inside:
        raise InputError(f"{out}: --out lies among the images ({inside[0]}); name a folder apart")


# --- the run --------------------------------------------------------------------------------------


class _Run:
    """One run: what comes back from the actors is counted, kept and shown."""

    def __init__(self, places: Sequence[Place], captions: str | None, parts: Parts) -> None:
        self._parts, self._captions = parts, captions
        self._all = len(places)
        lacking = records.missing([place.name for place in places], parts.recorded)
        self._places = [places[index] for index in lacking]
        self._left = Counter(place.name for place in self._places)
        self._earlier = parts.tally.labels.total()
        self._head: JSON | None = None
        self._spent: dict[str, JSON] = {}
        self._begun = time.monotonic()
        self._bar = show.progress_bar(Console(stderr=True), shown=sys.stderr.isatty())

    def go(self, choices: Choices, options: argparse.Namespace) -> int:
        """Judge what has no record; return the exit code."""
        try:
            # Ray prints what happened to its actors.
            with redirect_stdout(sys.stderr), cluster(options.ray_address), self._bar:
                pool = Pool.of(options)
                done = self._all - len(self._places)
                task = self._bar.add_task("", total=self._all, completed=done, rate="", counts="")
                for table in judged(self._places, choices, pool):
                    self._take(table)
                    self._advance(task)
            if left := +self._left:
                first = f"{left.total()} images (the first: {next(iter(left))})"
                raise EngineCallError(f"{first} came back without a record")
        except (KeyboardInterrupt, SafejudgeError) as error:
            self._parts.flush()
            stopped = isinstance(error, KeyboardInterrupt)
            if stopped or self._head is not None:
                self._say_where_it_stopped()
            if stopped:
                return INTERRUPTED
            raise
        self._parts.flush()
        seconds = time.monotonic() - self._begun
        show.say(show.summary(self._parts.tally, self._earlier, seconds))
        if spent := show.costs(*together(self._spent.values()), seconds, pool.actors):
            show.say(spent)
        return self._parts.tally.exit_code

    def _take(self, table: pa.Table) -> None:
        import pyarrow as pa

        told = [json.loads(text) for text in table[ABOUT].drop_null().unique().to_pylist()]
        for about in told:
            if "provenance" in about:
                self._know(about)
            if "spent" in about:
                self._keep(about["actor"], about["spent"])
        found = table.filter(table[ABOUT].is_null()).drop_columns([ABOUT])
        new = pa.array([self._is_new(name) for name in found["image"].to_pylist()], pa.bool_())
        self._parts.add(found.filter(new))
        for about in told:
            if "error" in about:
                raise (EngineError if about["engine"] else InputError)(about["error"])

    def _keep(self, actor: str, spent: JSON) -> None:
        """Keep the latest that an actor told, whatever order its windows come back in."""
        known = self._spent.get(actor)
        if known is None or sum(known["seconds"].values()) < sum(spent["seconds"].values()):
            self._spent[actor] = spent

    def _is_new(self, name: str) -> bool:
        lacking = self._left[name] > 0
        self._left[name] -= lacking
        return lacking

    def _know(self, about: JSON) -> None:
        """Learn what an actor judges with, which must be the same for all."""
        provenance = Provenance.model_validate(about["provenance"])
        head = records.header(metadata.version("safejudge"), provenance, self._captions)
        if self._head is not None:
            records.compare(self._parts.folder, self._head, head)
            return
        self._head = head
        for note in about["notes"]:
            show.say(note)
        self._parts.begin(head)

    def _advance(self, task: TaskID) -> None:
        done = self._parts.tally.labels.total() - self._earlier
        self._bar.update(
            task,
            completed=self._all - len(self._places) + done,
            rate=f"{show.rate(done, time.monotonic() - self._begun)}/s",
            counts=show.counts(self._parts.tally),
        )

    def _say_where_it_stopped(self) -> None:
        done = self._parts.tally.labels.total()
        show.say(
            f"stopped: {done} records are in {self._parts.folder}; "
            "the same command with --resume judges the rest"
        )
