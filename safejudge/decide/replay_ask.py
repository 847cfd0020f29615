"""Ask what records do not say: exactly the missing questions, of the images that are still there.

Takes records and a judge of the same model; gives what a run would give. The flows are those of a
run, about the real pixels and the real caption; what a record answers is not asked again. An image
that is gone or changed stays open.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safejudge.decide.replay_reads import Reads
from safejudge.errors import ImageError, InputError
from safejudge.flow import pool
from safejudge.images.load import load_image
from safejudge.images.named import find_bytes
from safejudge.images.pairs import caption_of, fields_of
from safejudge.judge import WINDOW
from safejudge.method.captions import plain_caption, shown_caption
from safejudge.types import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from safejudge.decide.replay import Replay, Replayed
    from safejudge.files.stored import StoredRecord
    from safejudge.flow import Flow
    from safejudge.images.pairs import Prompt
    from safejudge.judge import Judge
    from safejudge.types import ImageInput, Judgment, Provenance, Result


@dataclass(slots=True)
class Asking:
    """Replays records, and asks a judge what they do not say."""

    replay: Replay
    judge: Judge
    """Of the same model, with the rules and the policy of the replay."""
    captions: Mapping[str, Prompt | None]
    """Captions, or whole items, by the names of images."""
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
        item = self.captions.get(result.image)
        caption = caption_of(item)
        image = self._image(record, result, caption)
        if isinstance(image, str):
            self.not_asked[image] += 1
            return replayed
        return (yield from self._asked(result, image, item))

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

    def _asked(self, result: Judgment, image: ImageInput, item: Prompt | None) -> Flow[Replayed]:
        """Go through an image once more, with its pixels."""
        caption = caption_of(item)
        then = self.replay.then
        text = None if caption is None else plain_caption(caption)
        models = self.judge.models
        before, _ = shown_caption(text, models, then.policy)
        now = shown_caption(text, models, self.judge.policy)
        reads = Reads(result, then.constitution, then.policy, before)
        return (yield from self.replay.asked_flow(result, image, reads, now, fields_of(item)))


def check_same_model(then: Provenance, judge: Judge) -> None:
    """Raise `InputError` unless a judge is of the model that made some records."""
    now = judge.provenance
    if then.prompts != now.prompts:
        raise InputError(
            "--engine: the records were asked in another dialect; name that one with --dialect"
        )
    if (len(then.also), then.escalate_to is None) != (len(now.also), now.escalate_to is None):
        raise InputError(
            f"the records were made with the engines {', '.join(then.panel.names)}, and this judge "
            f"asks {', '.join(now.panel.names)}; open it with the same"
        )
    pairs = {
        "engine": ((then.model, then.revision), (now.model, now.revision)),
        "encoder": (then.encoder, now.encoder),
        "detector": (then.detector, now.detector),
        "escalate-to": (then.escalate_to, now.escalate_to),
    } | {
        f"also {before.uri}": (before, after)
        for before, after in zip(then.also, now.also, strict=True)
    }
    programs = {ref.uri: ref for ref in now.programs}
    pairs |= {ref.uri: (ref, programs.get(ref.uri)) for ref in then.programs}
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
