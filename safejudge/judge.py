"""Judge: the facade. Images in, judgments out.

Takes a constitution, an engine and a policy once, perhaps an encoder for the relevance filter and
a detector for the regions; then images, with or without the prompt or
caption that belongs to each. Gives one `Judgment` or `Failure` per image, in order. A window of
images shares the engine's batches; one that is done makes room for the next.
"""

from __future__ import annotations

import asyncio
import os
import platform
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal, Self

from safejudge.constitution.load import load_constitution
from safejudge.constitution.policy_file import load_policy
from safejudge.engines.dialects import prompts_digest
from safejudge.engines.effect import (
    always_asked,
    check_rules,
    policy_in_effect,
    refused_choices,
    too_many_together,
    unread_priors,
)
from safejudge.engines.meter import IMAGES
from safejudge.engines.models import DEFAULT, Models, reference
from safejudge.engines.priors import PriorCache
from safejudge.engines.programs import (
    has_programs,
    idle_programs,
    judged_by_programs,
    program_references,
)
from safejudge.engines.together import refuse_more
from safejudge.errors import EngineSetupError, InputError
from safejudge.flow import drive, pool, room
from safejudge.images.ahead import HELD, Budget, ReadAhead
from safejudge.images.beside import shown_beside
from safejudge.images.hashes import HashList, need_pdqhash
from safejudge.images.load import load_images
from safejudge.images.pairs import caption_of, fields_of, paired
from safejudge.method.captions import plain_caption, shown_caption
from safejudge.method.logic import flatten
from safejudge.method.steps import Solution, check_texts, steps_flow, unseen
from safejudge.method.verdict import conclude, image_flow
from safejudge.policy import Policy
from safejudge.queueing import Front, Limits
from safejudge.types import Constitution, Failure, ImageInput, Provenance, Result
from safejudge.types.pictures import LISTED

if TYPE_CHECKING:
    from threading import Event

    from safejudge.engines.base import Detector, Encoder, Engine
    from safejudge.flow import Flow
    from safejudge.images.load import ImageSource
    from safejudge.images.pairs import Images, Pair, Prompt, Prompts
    from safejudge.types import JSON, StepVerdict

WINDOW = 32
"""Images judged together, unless the caller says otherwise."""


class Judge:
    """Decides for images which rules of a constitution they violate.

    Thread-safe: several threads may judge at once; their questions take turns at the engine. Two
    judges may share one engine object only if the engine itself allows it. A judge is a context
    manager and closes the engine that it opened; an engine handed in stays the caller's.
    """

    def __init__(self, constitution: Constitution, models: Models, policy: Policy) -> None:
        """Check that these models can be asked every rule; see `load` for names and URIs.

        `self.policy` is the policy as it takes effect: without an encoder nothing is filtered,
        without a detector no regions are looked at. Raises `StatementError` for a statement
        outside what a model was made for, `PolicyError` for a rule that the policy leaves nothing
        of and for an encoder without a threshold, `EngineSetupError` for an engine without eyes,
        `InputError` for a program that cannot look and has no statement beside it.
        """
        for engine in models.engines:
            if not engine.card.pictures:
                raise EngineSetupError(
                    f"{engine.card.uri} takes text alone, no pictures. Judging needs a "
                    "vision-language model; this one can compile constitutions."
                )
        self.constitution = constitution
        self.models = models
        self.policy = policy_in_effect(policy, models, constitution)
        check_rules(constitution, models, self.policy)
        self._idle = idle_programs(constitution, models, self.policy)
        if models.skip is not None:
            need_pdqhash()
        self.skip = models.skip
        """Hashes of pictures that no model is shown."""
        self.provenance = _provenance(constitution, models, self.policy)
        self.panel = models.panel

    @classmethod
    def load(  # noqa: PLR0913 - the facade: one argument for each thing a user chooses
        cls,
        constitution: str | os.PathLike[str] | Constitution,
        engine: str | Engine,
        policy: str | Policy = "default",
        cache: PriorCache | Literal["default"] | None = "default",
        *,
        encoder: str | Encoder | None = DEFAULT,
        detector: str | Detector | None = DEFAULT,
        engine_args: Mapping[str, Any] | None = None,
        also: Sequence[str | Engine] = (),
        escalate_to: str | Engine | None = None,
        skip: str | os.PathLike[str] | HashList | None = None,
    ) -> Judge:
        """Load a judge.

        `constitution` is a path, the name of a shipped one, or an object; `engine` a URI such as
        `hf:ORG/MODEL`, `auto` (which fetches nothing unless `engine_args` has `download`), or an
        object; `policy` one of `POLICIES`, the path of a policy file, or an object; `cache` keeps
        the language priors on disk (`default`: under the user's cache folder; None: nowhere).
        `encoder` (relevance filter) and `detector` (regions) are URIs or objects, "default" what
        the engine comes with: `hf:sketch` has both, others none. None leaves their stage out,
        whatever the policy says; what the policy does not want is not opened. `engine_args` are
        options of the engine, such as vLLM's `max_model_len` (see `open_engine`).
        `also` are engines whose answers count as much as those of `engine` (the mean of their
        log-odds decides); `escalate_to` is the engine that is asked what these leave open, and
        what `policy.escalate_below` says. They are opened with no options.
        `skip` are hashes of pictures that no model may be shown: a file (`images.hashes`), or what
        was read of one. An image that matches is a `Failure` with the reason `listed`.
        Raises `ConstitutionError`, `EngineSetupError`, `PolicyError`, `StatementError`.
        """
        rules = (
            constitution
            if isinstance(constitution, Constitution)
            else load_constitution(constitution)
        )
        listed = skip if skip is None or isinstance(skip, HashList) else HashList.read(skip)
        chosen = chosen_policy(policy)
        if not chosen.tree:
            _warn_of_losses(rules)
        store = PriorCache(PriorCache.default_path()) if cache == "default" else cache
        models = Models.opened(
            engine,
            encoder if chosen.relevance else None,
            detector if chosen.locates or has_programs(rules) else None,
            store,
            engine_args,
            also=also,
            escalate_to=escalate_to,
            skip=listed,
        )
        try:
            judge = cls(rules, models, chosen)
            if isinstance(engine, str):
                _ = judge.notes  # a model that is opened here is asked for its priors at once
        except BaseException:
            models.close()
            raise
        return judge

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What a person should know before the first image; see `unread_priors`.

        Asks for the language prior of every statement, which the disk keeps, when it is looked at
        for the first time: by `load` where that opens the engine. Raises `EngineCallError`.
        """
        made = (self.constitution, self.models, self.policy)
        return (
            *self._idle,
            *judged_by_programs(self.constitution, self.policy),
            *always_asked(*made),
            *refused_choices(*made),
            *unread_priors(*made),
        )

    def __call__(self, images: Images, prompts: Prompts | None = None) -> list[Result]:
        """Judge a list of sources, or a batch (array or tensor, N x H x W x C or N x C x H x W).

        `prompts` holds one caption, or None, per image; or an item: a mapping with the caption as
        `prompt` and whatever else fills the slots of programs (`{text}`). An image that cannot be
        read is a `Failure` in its place. Raises `InputError` for arguments that fit nothing, and
        `EngineCallError` when the engine fails: then no image of the call was judged.
        """
        return list(self.stream(images, prompts))

    async def acall(self, images: Images, prompts: Prompts | None = None) -> list[Result]:
        """Judge images in a thread, so that an event loop goes on; the rest is as in a call."""
        return await asyncio.to_thread(self, images, prompts)

    def stream(
        self, images: Images, prompts: Prompts | None = None, window: int = WINDOW
    ) -> Iterator[Result]:
        """Judge images and yield each result in order; `window` images are judged at a time.

        Images and prompts may be endless; half a window more is read ahead. A result that is known
        before an earlier one waits for it, within two windows. Fewer images are judged at a time
        while their pictures fill `HELD` bytes. Images with equal pixels and captions that are
        judged at the same time are asked once. Raises as a call does, where the fault is met.
        """
        if window < 1:
            raise InputError(f"window is {window}; it must be at least 1")
        return self._judged(paired(images, prompts), window)

    def front(self, limits: Limits | None = None) -> Front:
        """Open the front that many callers may put images to at once, also from an event loop.

        Close it before the judge; it is a context manager. See `queueing`.
        """
        return Front(self, Limits() if limits is None else limits)

    def allows(self, image: ImageSource, prompt: Prompt | None = None) -> bool:
        """Whether an image may pass: only if it is safe.

        Undecided images and failures pass only where the policy says so by name
        (`allow_undecided`, `allow_failures`); what matches a hash of `skip` never does.
        """
        (result,) = self([image], [prompt])
        return self.passes(result)

    def steps(
        self, question: str, pictures: Sequence[ImageSource], steps: Sequence[str]
    ) -> list[StepVerdict]:
        """Judge every step of an answer to a question about pictures, of which there may be none.

        The rules have no say. A picture that cannot be read leaves every step undecided. Raises
        `StatementError` for a model made for other questions, `InputError` for what is no text, a
        judge with several engines or an engine that cannot be shown so many pictures, and
        `EngineCallError`.
        """
        if len(self.models.engines) > 1:
            raise InputError("steps are put to one engine; load a judge without also, escalate_to")
        for things in (pictures, steps):
            if isinstance(things, str | bytes | os.PathLike) or not isinstance(things, Sequence):
                raise InputError("pictures and steps are lists, also where there is one: [...]")
        check_texts(question, steps)
        shown, note = shown_beside(pictures, self.policy, self.skip)
        solution = Solution.of(question, shown, steps)
        self.models.engine.check_statements([solution.text])
        if isinstance(note, Failure):
            return unseen(solution.steps, note.message)
        refuse_more(self.models.engines, len(shown), "the question", "show fewer")
        verdicts = drive(steps_flow(solution, self.policy), self.models.answer)
        return [v.model_copy(update={"note": v.note or note or None}) for v in verdicts]

    def described(self) -> JSON:
        """Constitution and policy in full, for the head of a file of records.

        The seed of the frames is left out: it is a secret.
        """
        return {
            "constitution": self.constitution.model_dump(mode="json"),
            "policy": self.policy.model_dump(mode="json", exclude={"frame_seed"}),
        }

    def passes(self, result: Result) -> bool:
        """Whether an image that was judged may pass; see `allows`."""
        if isinstance(result, Failure):
            return self.policy.allow_failures and result.reason != LISTED
        return result.label == "safe" or (
            result.label == "undecided" and self.policy.allow_undecided
        )

    def close(self) -> None:
        """Close the models that this judge opened. Calling it twice is fine."""
        self.models.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _judged(self, pairs: Iterator[Pair], window: int) -> Iterator[Result]:
        budget = Budget(HELD)
        with closing(self._flows(pairs, room(window), budget)) as flows:  # so that reading ends
            yield from pool(
                flows, self.models.answer, window, budget.has_room, self.models.stream()
            )

    def _flows(
        self, pairs: Iterator[Pair], ahead: int, budget: Budget
    ) -> Generator[Flow[Result], None, None]:
        """Read images, and some of those to come while models answer about others."""
        reading = ReadAhead(budget, ahead)

        def read(place: int, pair: Pair) -> Flow[Result]:
            return self.reading(*pair, place=place, budget=budget, stop=reading.stopped)

        return reading.read(pairs, read)

    def reading(
        self,
        image: ImageSource,
        prompt: Prompt | None,
        *,
        place: int = 0,
        budget: Budget | None = None,
        stop: Event | None = None,
    ) -> Flow[Result]:
        """Read one image now, in this thread; return the flow that judges it.

        `place` names an image without a path, `budget` counts its pixels, and a file that takes
        long is given up when another thread sets `stop`.
        """
        with self.models.meter.stage(IMAGES, 1):
            (read,) = load_images([image], self.policy, first=place, stop=stop)
            if self.skip is not None and not isinstance(read, Failure):
                read = self.skip.refusal(read) or read
            read = too_many_together(read, self.models) or read
        return self._flow(read if budget is None else budget.holding(read), prompt)

    def _flow(self, image: ImageInput | Failure, prompt: Prompt | None) -> Flow[Result]:
        if isinstance(image, Failure):
            return image
        caption = caption_of(prompt)
        plain = None if caption is None else plain_caption(caption)
        shown, use = shown_caption(plain, self.models, self.policy)
        rules, usage = yield from image_flow(
            image, self.constitution, self.policy, shown, self.panel, fields=fields_of(prompt)
        )
        return conclude(image, rules, usage, self.provenance, self.policy, caption=use)


def chosen_policy(policy: str | Policy) -> Policy:
    """Return the policy of a name or of a file, or the one given. Raises `PolicyError`."""
    return policy if isinstance(policy, Policy) else load_policy(policy)


def _warn_of_losses(constitution: Constitution) -> None:
    for rule in constitution.rules:
        for loss in flatten(rule.condition)[1]:
            warnings.warn(f"rule {rule.id!r}: {loss}", UserWarning, stacklevel=3)


def _provenance(constitution: Constitution, models: Models, policy: Policy) -> Provenance:
    card = models.engine.card
    programs = program_references(constitution, models, policy)
    versions = {name: _version(name) for name in ("safejudge", "numpy", "pillow", "pydantic")}
    return Provenance(
        constitution=constitution.digest(),
        prompts=prompts_digest(card.dialect),
        policy=policy.digest(),
        model=card.uri,
        revision=card.revision,
        encoder=reference(models.encoder) if policy.filters else None,
        detector=reference(models.detector) if policy.locates or programs else None,
        also=tuple(ref for engine in models.also if (ref := reference(engine)) is not None),
        escalate_to=reference(models.escalation),
        skip_hashes=None if models.skip is None else models.skip.digest,
        programs=programs,
        versions={"python": platform.python_version(), **versions, **models.versions()},
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # run from a source tree that is not installed
        return "unknown"
