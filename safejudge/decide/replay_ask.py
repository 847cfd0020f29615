"""Ask what records do not say: exactly the missing questions, of the images that are still there.

Takes records and a judge of the same model; gives what a run would give. The flows are made of
stand-ins, as in a replay; a request that a record has no answer to is put to the models about the
real pixels and the real caption. An image that is gone or changed stays open.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from safejudge.decide.replay_reads import Reads
from safejudge.errors import ImageError, InputError
from safejudge.flow import pool
from safejudge.images.load import load_image
from safejudge.images.named import find_bytes
from safejudge.judge import WINDOW
from safejudge.method.captions import plain_caption, shown_caption
from safejudge.types import Failure, ImageInput, Probe, Reasoning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from safejudge.decide.replay import Replay, Replayed
    from safejudge.files.stored import StoredRecord
    from safejudge.flow import Flow, Request
    from safejudge.judge import Judge
    from safejudge.types import Judgment, Provenance, Result

T = TypeVar("T")


@dataclass(slots=True)
class Asking:
    """Replays records, and asks a judge what they do not say."""

    replay: Replay
    judge: Judge
    """Of the same model, with the rules and the policy of the replay."""
    captions: Mapping[str, str | None]
    """Texts by the names of images."""
    not_asked: Counter[str] = field(default_factory=Counter)
    """Images that could not be asked about, by the reason."""

    def __call__(self, records: Iterable[tuple[StoredRecord, Result]]) -> Iterator[Replayed]:
        """Replay every record, in order. Raises `EngineCallError`."""
        flows = (self._flow(record, result) for record, result in records)
        yield from pool(flows, self.judge.models.answer, WINDOW)

    def _flow(self, record: StoredRecord, result: Result) -> Flow[Replayed]:
        replayed = self.replay(result)
        if replayed.whole or isinstance(result, Failure):
            return replayed
        caption = self.captions.get(result.image)
        image = self._image(record, result, caption)
        if isinstance(image, str):
            self.not_asked[image] += 1
            return replayed
        return (yield from self._asked(result, image, caption))

    def _image(
        self, record: StoredRecord, result: Judgment, caption: str | None
    ) -> ImageInput | str:
        """Find and decode what was judged, or say why it cannot be asked about."""
        if (result.caption is None) != (caption is None):
            return "without its caption (--prompts FILE)"
        policy = self.judge.policy
        content = find_bytes(result.image, record.folder, result.id, policy.max_bytes)
        if isinstance(content, str):
            return content
        try:
            return load_image(content, name=result.image, policy=policy)
        except ImageError:
            return "unreadable"

    def _asked(self, result: Judgment, image: ImageInput, caption: str | None) -> Flow[Replayed]:
        """Go through an image once more, with its pixels."""
        then = self.replay.then
        text = None if caption is None else plain_caption(caption)
        models = self.judge.models
        before, _ = shown_caption(text, models, then.policy)
        now = shown_caption(text, models, self.judge.policy)
        reads = Reads(result, then.constitution, then.policy, before)
        flow = self.replay.asked_flow(result, image, reads, now)
        return (yield from _of_pixels(flow, reads))


def _of_pixels(flow: Flow[T], reads: Reads) -> Flow[T]:
    """Yield the requests of a flow with real pictures in the place of stand-ins."""
    try:
        wave = next(flow)
        while True:
            wave = flow.send((yield tuple(_real(request, reads) for request in wave)))
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        flow.close()


def _real(request: Request, reads: Reads) -> Request:
    if isinstance(request, Probe | Reasoning):
        return replace(request, images=tuple(map(reads.views.real, request.images)))
    return replace(request, picture=reads.views.real(request.picture))


def check_same_model(then: Provenance, judge: Judge) -> None:
    """Raise `InputError` unless a judge is of the model that made some records."""
    now = judge.provenance
    pairs = {
        "engine": ((then.model, then.revision), (now.model, now.revision)),
        "encoder": (then.encoder, now.encoder),
        "detector": (then.detector, now.detector),
    }
    for name, (before, after) in pairs.items():
        old, new = (None if made is None else _revision(made) for made in (before, after))
        if old is not None and new is not None and old != new:
            raise InputError(
                f"--{name}: its revision is {new[:12]}..., and the records were made with "
                f"{old[:12]}...; answers of two models make no judgment; name the one of then, "
                f"{before[0] if isinstance(before, tuple) else before.uri if before else ''}"
            )


def _revision(made: object) -> str:
    return str(made[1]) if isinstance(made, tuple) else str(getattr(made, "revision", ""))
