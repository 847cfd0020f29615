"""Judge: the facade. Images in, judgments out.

Takes a constitution, an engine and a policy once; then images, with or without the prompt or
caption that belongs to each. Gives one `Judgment` or `Failure` per image, in order. Images pass
in windows: those of one window share the engine's batches, and only one window is in memory.
"""

from __future__ import annotations

import asyncio
import os
import platform
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence, Sized
from importlib import metadata
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any, Literal, Self

from PIL import Image

from safejudge import prompts as prompt_texts
from safejudge.arrays import is_array
from safejudge.constitution import load_constitution
from safejudge.engines import open_engine
from safejudge.errors import EngineCallError, InputError, PolicyError
from safejudge.flow import Answer, Request, drive, gather
from safejudge.images import load_images, split_batch
from safejudge.logic import flatten
from safejudge.policy import POLICIES, Policy
from safejudge.probe import PriorCache, answer_probes, printable
from safejudge.types import (
    Constitution,
    Failure,
    ImageInput,
    Probe,
    Provenance,
    Reasoning,
    Result,
    leaves,
)
from safejudge.verdict import asked_condition, conclude, image_flow

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

    from safejudge.engines.base import Engine
    from safejudge.images import ImageSource

    Images = Iterable[ImageSource] | npt.NDArray[Any] | torch.Tensor
    Prompts = Iterable[str | None]

WINDOW = 32
"""Images judged together, unless the caller says otherwise."""


_MISSING: Any = object()


class Judge:
    """Decides for images which rules of a constitution they violate.

    Thread-safe: several threads may judge at once; their questions take turns at the engine. Two
    judges may share one engine object only if the engine itself allows it. A judge is a context
    manager and closes the engine that it opened; an engine handed in stays the caller's.
    """

    def __init__(
        self, constitution: Constitution, engine: Engine, policy: Policy, cache: PriorCache | None
    ) -> None:
        """Check that this engine can be asked every statement; see `load` for names and URIs.

        Raises `StatementError` for a statement outside what the engine was made for, `PolicyError`
        for a rule that the policy leaves nothing of.
        """
        self.constitution = constitution
        self.engine = engine
        self.policy = policy
        self._cache = cache
        self._lock = threading.Lock()
        self._closed = False
        self._owns_engine = False
        asked = (asked_condition(rule, policy) for rule in constitution.rules)
        statements = dict.fromkeys(leaf.statement for tree in asked for leaf in leaves(tree))
        engine.check_statements(list(statements))
        self.provenance = _provenance(constitution, engine, policy)

    @classmethod
    def load(
        cls,
        constitution: str | os.PathLike[str] | Constitution,
        engine: str | Engine,
        policy: str | Policy = "default",
        cache: PriorCache | Literal["default"] | None = "default",
    ) -> Judge:
        """Load a judge.

        `constitution` is a path, the name of a shipped one, or an object; `engine` a URI such as
        `hf:ORG/MODEL`, or an object; `policy` one of `POLICIES`, or an object; `cache` keeps the
        language priors on disk (`default`: under the user's cache folder; None: nowhere).
        Raises `ConstitutionError`, `EngineSetupError`, `PolicyError`, `StatementError`.
        """
        rules = (
            constitution
            if isinstance(constitution, Constitution)
            else load_constitution(constitution)
        )
        chosen = _policy(policy)
        if not chosen.tree:
            _warn_of_losses(rules)
        store = PriorCache(PriorCache.default_path()) if cache == "default" else cache
        if not isinstance(engine, str):
            return cls(rules, engine, chosen, store)
        opened = open_engine(engine)
        try:
            judge = cls(rules, opened, chosen, store)
        except BaseException:
            opened.close()
            raise
        judge._owns_engine = True
        return judge

    def __call__(self, images: Images, prompts: Prompts | None = None) -> list[Result]:
        """Judge a list of sources, or a batch (array or tensor, N x H x W x C or N x C x H x W).

        `prompts` holds one caption, or None, per image. An image that cannot be read is a
        `Failure` in its place. Raises `InputError` for arguments that fit nothing, and
        `EngineCallError` when the engine fails: then no image of the call was judged.
        """
        return list(self.stream(images, prompts))

    async def acall(self, images: Images, prompts: Prompts | None = None) -> list[Result]:
        """Judge images in a thread, so that an event loop goes on; the rest is as in a call."""
        return await asyncio.to_thread(self, images, prompts)

    def stream(
        self, images: Images, prompts: Prompts | None = None, window: int = WINDOW
    ) -> Iterator[Result]:
        """Judge images and yield each result in order, holding `window` images in memory.

        Images and prompts may be endless. Images of one window with equal pixels and captions are
        asked once. Raises as a call does, where the fault is met.
        """
        if window < 1:
            raise InputError(f"window is {window}; it must be at least 1")
        return self._windows(_paired(_sources(images), prompts), window)

    def allows(self, image: ImageSource, prompt: str | None = None) -> bool:
        """Whether an image may pass: only if it is safe.

        Undecided images and failures pass only where the policy says so by name
        (`allow_undecided`, `allow_failures`).
        """
        (result,) = self([image], [prompt])
        if isinstance(result, Failure):
            return self.policy.allow_failures
        return result.label == "safe" or (
            result.label == "undecided" and self.policy.allow_undecided
        )

    def close(self) -> None:
        """Close the engine if this judge opened it. Calling it twice is fine."""
        with self._lock:
            if self._owns_engine and not self._closed:
                self.engine.close()
            self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _windows(
        self, pairs: Iterator[tuple[ImageSource, str | None]], window: int
    ) -> Iterator[Result]:
        first = 0
        while batch := list(islice(pairs, window)):
            yield from self._judge_window(batch, first)
            first += len(batch)

    def _judge_window(
        self, batch: Sequence[tuple[ImageSource, str | None]], first: int
    ) -> list[Result]:
        loaded = load_images([source for source, _ in batch], self.policy, first=first)
        flows = [
            image_flow(image, self.constitution, self.policy, caption)
            for image, (_, caption) in zip(loaded, batch, strict=True)
            if isinstance(image, ImageInput)
        ]
        found = iter(drive(gather(flows), self._answer))
        return [
            conclude(image, *next(found), self.provenance)
            if isinstance(image, ImageInput)
            else image
            for image in loaded
        ]

    def _answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Put one wave to the engine; two threads never ask it at once."""
        probes = [request for request in requests if isinstance(request, Probe)]
        reasonings = [request for request in requests if isinstance(request, Reasoning)]
        with self._lock:
            if self._closed:
                raise InputError("this judge is closed; load another")
            read = answer_probes(self.engine, self._cache, probes)
            replies = self.engine.reason(reasonings) if reasonings else []
        if len(replies) != len(reasonings):
            raise EngineCallError(
                f"{self.engine.card.uri} returned {len(replies)} replies to {len(reasonings)} "
                "requests; an engine must answer each request once, in order"
            )
        answers: dict[Request, Answer] = {}
        answers.update(zip(probes, read, strict=True))
        answers.update(zip(reasonings, replies, strict=True))
        return [answers[request] for request in requests]


def _sources(images: Images) -> Iterable[ImageSource]:
    if isinstance(images, str | bytes | bytearray | memoryview | os.PathLike | Image.Image):
        raise InputError(
            f"images is one {type(images).__name__}; put it in a list: judge([image]), "
            "or ask judge.allows(image)"
        )
    if is_array(images):
        return split_batch(images)
    if not isinstance(images, Iterable):
        raise InputError(
            f"images is a {type(images).__name__}; hand over a list of paths, bytes, PIL images "
            "or arrays, or one array of a batch"
        )
    return images


def _paired(
    images: Iterable[ImageSource], prompts: Prompts | None
) -> Iterator[tuple[ImageSource, str | None]]:
    """Put each image beside its caption; both sides must be equally long."""
    if prompts is None:
        return ((image, None) for image in images)
    if isinstance(prompts, str) or not isinstance(prompts, Iterable):
        raise InputError(
            f"prompts is one {type(prompts).__name__}; hand over a list with one text, or None, "
            "per image"
        )
    if isinstance(images, Sized) and isinstance(prompts, Sized) and len(images) != len(prompts):
        raise InputError(
            f"{len(images)} images but {len(prompts)} prompts; hand over one text, or None, "
            "per image"
        )
    return _zipped(images, prompts)


def _zipped(
    images: Iterable[ImageSource], prompts: Prompts
) -> Iterator[tuple[ImageSource, str | None]]:
    pairs = zip_longest(images, prompts, fillvalue=_MISSING)
    for index, (image, prompt) in enumerate(pairs):
        if image is _MISSING or prompt is _MISSING:
            short = "images" if image is _MISSING else "prompts"
            raise InputError(f"{short} ended after {index} items; both must be equally long")
        if prompt is not None and not isinstance(prompt, str):
            raise InputError(
                f"prompts[{index}] is a {type(prompt).__name__}; hand over text or None"
            )
        yield image, None if prompt is None else _caption(prompt)


def _caption(prompt: str) -> str | None:
    """Put a caption on one line, so that it cannot write a line of the question; blank is none."""
    return " ".join(printable(prompt).split()) or None


def _policy(policy: str | Policy) -> Policy:
    if isinstance(policy, Policy):
        return policy
    if policy not in POLICIES:
        raise PolicyError(f"there is no policy {policy!r}; choose from {', '.join(POLICIES)}")
    return POLICIES[policy]()


def _warn_of_losses(constitution: Constitution) -> None:
    for rule in constitution.rules:
        for loss in flatten(rule.condition)[1]:
            warnings.warn(f"rule {rule.id!r}: {loss}", UserWarning, stacklevel=3)


def _provenance(constitution: Constitution, engine: Engine, policy: Policy) -> Provenance:
    card = engine.card
    own = {name: _version(name) for name in ("safejudge", "numpy", "pillow", "pydantic")}
    return Provenance(
        constitution=constitution.digest(),
        prompts=prompt_texts.digest(),
        policy=policy.digest(),
        model=card.uri,
        revision=card.revision,
        versions={"python": platform.python_version(), **own, **card.versions},
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # run from a source tree that is not installed
        return "unknown"
