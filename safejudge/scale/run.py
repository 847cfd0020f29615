"""Many images on many machines: Ray moves them, each actor has a judge.

Takes what a judge is opened from and options of its own; lists the images on the disk (`manifest`),
hands them window by window to a pool of actors (`actors`), and writes the records that come back as
Parquet. What it holds in memory does not grow with the number of images.
Actors read the images themselves, so files have to lie where every machine sees them. A record that
came twice would count once, and one that did not come is an error. Knows nothing of rules.
"""

from __future__ import annotations

import json
import sys
from contextlib import closing, redirect_stdout
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.engines.meter import together
from safejudge.errors import EngineCallError, EngineError, InputError, SafejudgeError
from safejudge.files import records
from safejudge.files.remote import is_remote
from safejudge.images.captions import captions_for
from safejudge.images.copies import COPIES
from safejudge.images.listing import list_images
from safejudge.images.shards import PARQUET, TAR
from safejudge.judge import chosen_policy
from safejudge.scale.actors import MESSAGE, ActorOptions, judge_windows
from safejudge.scale.cluster import Pool, cluster
from safejudge.scale.manifest import Manifest
from safejudge.show import terminal
from safejudge.show.progress import ImageProgress
from safejudge.show.terminal import say
from safejudge.text import counted
from safejudge.types import Provenance, slots_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa  # type: ignore[import-untyped]

    from safejudge.decide.thresholds import Thresholds
    from safejudge.files.folders import Where
    from safejudge.files.parquet import Parts
    from safejudge.files.tally import Tally
    from safejudge.opening import JudgeSpec
    from safejudge.types import JSON, Intake


@dataclass(frozen=True, slots=True)
class RayOptions:
    """What is judged, where the records go, and on what."""

    paths: tuple[str, ...]
    """Images, tar shards, Parquet files, folders of them, patterns."""
    out: Where
    """The folder of Parquet files."""
    window: int
    """Images judged together."""
    ignore: tuple[str, ...] = ()
    """Patterns of files that need not be looked at."""
    thresholds: Thresholds | None = None
    """What decides about each image; None: nothing does."""
    short: bool = False
    """Whether records are kept without their traces."""
    prompts: str | None = None
    """A file of captions; None: those that lie beside the images."""
    limit: int | None = None
    """Only the first so many images; None: all."""
    resume: bool = False
    """Judge only what `out` lacks."""
    overwrite: bool = False
    """Begin `out` anew."""
    actors: int | None = None
    """Engines to open; None: one per GPU, or one."""
    gpus_per_actor: float | None = None
    """GPUs for each of them; None: 1 if there are any."""
    address: str | None = None
    """HOST:PORT of a cluster; None: of $RAY_ADDRESS, or this machine alone."""


def judge(spec: JudgeSpec, options: RayOptions) -> tuple[Tally | None, Intake]:
    """Judge with Ray and write records; return the tally of these images, and what came in.

    The tally counts earlier runs too; it is None if Ctrl-C stopped this one. Raises `InputError`
    without Ray, and where images or cluster do not fit the options, `OutputError` for the folder,
    `EngineError` where an actor fails; what was judged before is written.
    """
    _need_ray()
    from safejudge.files.parquet import Parts
    from safejudge.files.partfile import check_parts

    if isinstance(options.out, str):
        check_parts(options.out, resume=options.resume, overwrite=options.overwrite)
    with Manifest() as manifest:
        intake, captions = _filled(manifest, spec, options)
        _check_apart(options.out, manifest.shards)
        actor_options = ActorOptions(
            spec=spec,
            window=options.window,
            captions=options.prompts is None,
            folder=str(Path.cwd()),
            thresholds=options.thresholds,
        )
        with Parts(
            options.out,
            resume=options.resume,
            overwrite=options.overwrite,
            standing=manifest.standing(chosen_policy(spec.policy).max_bytes),
            recorded=manifest.recorded,
            short=options.short,
        ) as parts:
            COPIES.forget()  # of shards that were read to tell which records stand
            digest = None if options.thresholds is None else options.thresholds.digest()
            tally = _Run(manifest, captions, intake, parts, digest).run(actor_options, options)
    if tally is not None:
        if (actions := terminal.actions(tally)) is not None:
            say(actions)
        for line in terminal.coverage(intake, tally):
            say(line)
    return tally, intake


def _filled(manifest: Manifest, spec: JudgeSpec, options: RayOptions) -> tuple[Intake, str | None]:
    """List the images of a run; return what came in, and the digest of the prompt file."""
    listing = manifest.listing(options.ignore)
    list_images(
        options.paths,
        ignore=options.ignore,
        known=[options.prompts],
        shards=(TAR, PARQUET),
        stores=True,
        listing=listing,
    )
    intake = listing.intake(options.limit, len(manifest))
    names = [] if options.prompts is None else manifest.names()
    prompts, captions, unmatched = captions_for(options.prompts, names, slots_of(spec.constitution))
    for problem in unmatched:
        say(f"warning: {problem}")
    manifest.caption(prompts)
    manifest.limit(options.limit)
    return intake, captions


def _need_ray() -> None:
    try:
        import pyarrow as pa  # noqa: F401
        import ray  # noqa: F401
    except ImportError as error:
        raise InputError(f"--ray needs Ray ({error}): pip install 'safejudge[ray]'") from error


def _check_apart(out: Where, shards: Iterable[str]) -> None:
    """Refuse to judge what this command writes."""
    inside = [path for path in shards if _lies_in(path, out)]
    if inside:
        raise InputError(f"{out}: --out lies among the images ({inside[0]}); name a folder apart")


def _lies_in(path: str, out: Where) -> bool:
    if isinstance(out, str):
        return path.startswith(out.rstrip("/") + "/")
    return not is_remote(path) and out.resolve() in Path(path).resolve().parents


# --- the run --------------------------------------------------------------------------------------


class _Run:
    """One run: what comes back from the actors is counted, kept and shown."""

    def __init__(
        self,
        manifest: Manifest,
        captions: str | None,
        intake: Intake,
        parts: Parts,
        thresholds: str | None,
    ) -> None:
        self._parts, self._captions, self._intake = parts, captions, intake
        self._thresholds = thresholds
        self._manifest = manifest
        self._head: JSON | None = None
        self._spent: dict[str, JSON] = {}
        self._progress = ImageProgress(parts.tally, len(manifest), manifest.waiting())

    def run(self, actor_options: ActorOptions, options: RayOptions) -> Tally | None:
        """Judge what has no record; return the tally, or None after Ctrl-C."""
        try:
            # Ray prints what happened to its actors.
            with redirect_stdout(sys.stderr), cluster(options.address), self._progress:
                pool = Pool.fitted(options.actors, options.gpus_per_actor)
                windows = self._manifest.windows(options.window)
                with closing(judge_windows(windows, actor_options, pool)) as tables:
                    for table in tables:
                        self._add(table)
                        self._progress.update()
            if waiting := self._manifest.waiting():
                first = self._manifest.first_waiting()
                images = f"{counted(waiting, 'image')} (the first: {first})"
                raise EngineCallError(f"{images} came back without a record")
        except (KeyboardInterrupt, SystemExit, SafejudgeError) as error:  # Ray exits on SIGTERM
            self._parts.flush()
            interrupted = isinstance(error, KeyboardInterrupt)
            if interrupted or self._head is not None:
                self._progress.say_stopped(self._parts.folder)
            if interrupted:
                return None
            raise
        self._parts.flush()
        self._progress.sum_up(*together(self._spent.values()), pool.actors)
        return self._parts.tally

    def _add(self, table: pa.Table) -> None:
        """Add the records of one table, and act on what its actor says."""
        import pyarrow as pa

        messages = [json.loads(text) for text in table[MESSAGE].drop_null().unique().to_pylist()]
        for message in messages:
            if "provenance" in message:
                self._begin(message)
            if "spent" in message:
                self._account(message["actor"], message["spent"])
        rows = table.filter(table[MESSAGE].is_null()).drop_columns([MESSAGE])
        new = pa.array(
            [self._manifest.judge(name) for name in rows["image"].to_pylist()], pa.bool_()
        )
        self._parts.add(rows.filter(new))
        for message in messages:
            if "error" in message:
                raise (EngineError if message["engine"] else InputError)(message["error"])

    def _account(self, actor: str, spent: JSON) -> None:
        """Keep the latest that an actor spent, whatever order its windows come back in."""
        earlier = self._spent.get(actor)
        if earlier is None or sum(earlier["seconds"].values()) < sum(spent["seconds"].values()):
            self._spent[actor] = spent

    def _begin(self, message: JSON) -> None:
        """Learn from an actor what it judges with, which must be the same for all."""
        provenance = Provenance.model_validate(message["provenance"])
        head = records.header(
            metadata.version("safejudge"),
            provenance,
            self._captions,
            folder=str(Path.cwd()),
            intake=self._intake,
            judged_by=message["judged_by"],
            thresholds=self._thresholds,
            short=self._parts.short,
        )
        if self._head is not None:
            records.compare(self._parts.folder, self._head, head)
            return
        for note in message["notes"]:
            say(note)
        self._parts.begin(head)
        self._head = head
