"""What `safejudge judge` is about: the images under its paths, their captions, its thresholds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from safejudge.cli.pages import SUFFIXES, Pages
from safejudge.cli.series import Files, Folders
from safejudge.errors import InputError
from safejudge.images.listing import list_images
from safejudge.types import slots_of

if TYPE_CHECKING:
    from safejudge.cli.judge_options import Options
    from safejudge.decide.decision import Decider
    from safejudge.decide.thresholds import Thresholds
    from safejudge.images.listed import Listing
    from safejudge.images.pairs import Prompt
    from safejudge.judge import Judge
    from safejudge.types import Constitution, Intake


class Inputs(NamedTuple):
    """What a run is about."""

    sources: Files | Folders | Pages
    """What the names of images stand for."""
    pairs: list[tuple[str, Prompt | None]]
    """Every name with its caption, those beyond `--limit` included."""
    captions: str | None
    """Digest of the prompt file."""
    intake: Intake


def read_inputs(options: Options, rules: Constitution) -> Inputs:
    """List the images and find their captions. Raises `InputError`."""
    from safejudge.images.captions import captions_for
    from safejudge.show.terminal import say

    listing = list_images(
        options.paths,
        ignore=options.ignore,
        known=(options.prompts, options.out, options.report),
        shards=() if options.at is None else SUFFIXES,
        stores=True,
    )
    sources = _sources(options, listing)
    intake = listing.intake(options.batching.limit, len(sources.names))
    prompts, captions, unmatched = captions_for(options.prompts, sources.names, slots_of(rules))
    for problem in unmatched:
        say(f"warning: {problem}")
    return Inputs(sources, list(zip(sources.names, prompts, strict=True)), captions, intake)


def _sources(options: Options, listing: Listing) -> Files | Folders | Pages:
    """Say what the paths stand for: files, folders of pictures of one thing, or pages."""
    if options.series is not None and options.at is not None:
        raise InputError("--series puts pictures of a folder together, --at those of a page; "
                         "leave one of them out")  # fmt: skip
    if options.series is not None:
        return Folders.of(listing, options.series)
    return Files(listing) if options.at is None else Pages(listing, options.at)


def decider_of(thresholds: Thresholds | None, judge: Judge) -> Decider | None:
    """Hold thresholds against the judge, and tell which rules they leave to a person."""
    from safejudge.decide.decision import Decider
    from safejudge.show.terminal import say

    if thresholds is None:
        return None
    decider = Decider.of(thresholds, judge)
    for note in decider.notes:
        say(f"warning: thresholds: {note}")
    return decider
