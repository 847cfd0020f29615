"""Any chat model of transformers, for pictures and text or for text alone, as an `Engine`.

Takes a model id or folder; answers probes from the raw distribution of the next token(s) and
writes replies, greedy or drawn by a seed, free or forced into a JSON schema. It knows nothing of
rules, and does not know whether the model is any good: low `label_mass` is the caller's to notice.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from safejudge.engines import tokens
from safejudge.engines.guide import SchemaGuides
from safejudge.engines.local.chat import ChatSettings
from safejudge.engines.local.checkpoint import Checkpoint
from safejudge.engines.local.draws import SeededDraw
from safejudge.engines.local.identity import picture_identity
from safejudge.engines.local.pixels import PixelRange
from safejudge.engines.local.place import LEAST_MASS, prove_place
from safejudge.engines.local.prefix import PrefixReader, open_sharing
from safejudge.engines.local.quirks import scale_logits
from safejudge.engines.local.readers import PlainReader
from safejudge.engines.local.running import (
    LocalModel,
    check_options,
    is_lasting,
    pin_generation,
    positions_of,
)
from safejudge.engines.requests import batch_order, no_answer
from safejudge.errors import EngineCallError
from safejudge.text import first_line
from safejudge.types import AnswerProbs, EngineCard, NoReply, Probe, Reasoning

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    from safejudge.engines.tokens import LabelBook, LabelPaths

Request = TypeVar("Request", Probe, Reasoning)
T = TypeVar("T")

_REFUSED = "the model cannot take this request"
_UNSHARED = (
    "this model cannot go on from a picture that it has read, so every question reads it again"
)


class HFEngine(LocalModel):
    """One model in this process.

    `model` is a folder or a hub id, `uri` what the card calls it. `device` None takes CUDA where
    there is one; `dtype` (`float32`, `bfloat16`, `float16`) None is float32 on a CPU and the
    checkpoint's own type elsewhere. At most `batch_size` prompts run at once. Pictures of more than
    `max_pixels` are scaled down before the model's own processor sees them, those of fewer than
    `min_pixels` up; None leaves both to the processor. `revision` is the branch, tag or commit of a
    model of the hub; None its main one. `template_args`, `reply_prefix` and `line_break` are of
    `ChatSettings`, `backend` is of `Checkpoint`; `least_mass` is what `prove_place` asks.
    `dialect` is one of `DIALECTS`, or "none"; None finds it by the model's name. Raises
    `EngineSetupError`. Calls may come from several threads; they run one after the other.
    """

    tokens = None

    def __init__(  # noqa: PLR0913 - one argument for each option of a user's
        self,
        model: str,
        *,
        uri: str,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int = 16,
        max_pixels: int | None = None,
        min_pixels: int | None = None,
        revision: str | None = None,
        template_args: Mapping[str, Any] | None = None,
        reply_prefix: str | None = None,
        line_break: bool = True,
        backend: str | None = None,
        least_mass: float = LEAST_MASS,
        dialect: str | None = None,
    ) -> None:
        check_options(batch_size, dtype)
        sizes = PixelRange(min_pixels, max_pixels)
        sizes.check()
        settings = ChatSettings.checked(template_args, reply_prefix, line_break=line_break)
        checkpoint = Checkpoint(model, uri, revision, backend)
        checkpoint.config()
        settings = replace(settings, dialect=checkpoint.dialect(dialect))
        self._chat = checkpoint.chat(settings)
        loaded = checkpoint.load(checkpoint.loader(self._chat), device, dtype)
        scaled = scale_logits(loaded)
        self._ends = pin_generation(loaded, self._chat.tokenizer)
        self._positions = positions_of(loaded.config)
        self._reader = open_sharing(loaded, self._chat, sizes)
        self._plain = PlainReader(loaded, self._chat, sizes)
        self._guides = SchemaGuides(self._chat.tokenizer, self._ends, model)
        super().__init__(loaded, EngineCard(uri, model, ""), batch_size)
        self._labels = prove_place(self._read_by, self._chat, model, least_mass=least_mass)
        identity = {"dtype": str(loaded.dtype), **sizes.identity(), **scaled}
        identity |= picture_identity(self._chat.processor)
        card = checkpoint.chat_card(self._chat, self._labels, identity)
        shares = isinstance(self._reader, PrefixReader) or not self._chat.pictures
        self._card = card if shares else replace(card, notes=(*card.notes, _UNSHARED))

    def _read_by(self, labels: LabelBook) -> list[AnswerProbs]:
        """Ask the trivial questions by these labels."""
        self._labels = labels
        return self.answer_probs(self._chat.trivial)

    def check_statements(self, statements: Sequence[str]) -> None:
        """Accept every statement: a general model can be asked anything."""

    def answer_probs(self, probes: Sequence[Probe]) -> list[AnswerProbs]:
        """Read each probe's label probabilities; see `Engine.answer_probs`."""
        answers: dict[Probe, AnswerProbs] = {}
        with self._running():
            for batch in self._batches(probes, self._probe_kind):
                answers.update(zip(batch, self._answer(batch), strict=True))
        return [answers[probe] for probe in probes]

    def reason(self, requests: Sequence[Reasoning]) -> list[str]:
        """Write one reply per request, greedy or drawn by its seed; see `Engine.reason`.

        A request whose pictures the model's image processing refuses gets a `NoReply`.
        """
        replies: dict[Reasoning, str] = {}
        with self._running():
            for batch in self._batches(requests, _reasoning_kind):
                replies.update(zip(batch, self._write(batch), strict=True))
        return [replies[request] for request in requests]

    def text_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count by the model's own tokenizer."""
        return self._chat.text_tokens(texts)

    def cut_text(self, text: str, tokens: int) -> str:
        """Cut by the model's own tokenizer."""
        return self._chat.cut_text(text, tokens)

    def close(self) -> None:
        """Let go of the model; calls after this raise `EngineCallError`."""
        with self._lock:
            self._model = self._reader = self._plain = None  # type: ignore[assignment]

    def _probe_kind(self, probe: Probe) -> Hashable:
        shapes = tuple(picture.pixels.shape for picture in probe.images)
        return probe.labels, shapes, self._chat.refuses(probe)

    def _batches(
        self, requests: Iterable[Request], kind: Callable[[Request], Hashable]
    ) -> Iterator[list[Request]]:
        """Distinct requests in bounded batches of one kind, equal pictures next to each other.

        Sorted, so that neither the order nor a repetition in the caller's list can move a number.
        """
        kinds: dict[Hashable, list[Request]] = {}
        for request in set(requests):
            kinds.setdefault(kind(request), []).append(request)
        for unsorted in kinds.values():
            alike = sorted(unsorted, key=batch_order)
            for start in range(0, len(alike), self._batch_size):
                yield alike[start : start + self._batch_size]

    def _answer(self, probes: list[Probe]) -> list[AnswerProbs]:
        """One batch; a picture that the model refuses costs only the probes that show it."""
        labels = self._chat.refuses(probes[0]) or self._labels.paths(probes[0].labels)
        if isinstance(labels, str):
            return [no_answer(probes[0], labels)] * len(probes)
        return self._parted(probes, lambda batch: self._read(batch, labels), no_answer)

    def _parted(
        self,
        requests: list[Request],
        answer: Callable[[list[Request]], list[T]],
        refusal: Callable[[Request, str], T],
    ) -> list[T]:
        """Answer a batch; one that fails is halved, down to the requests that fail by themselves.

        Whatever the model and its processor raise for a picture costs that picture. What would
        fail again for every other one (no memory, no device, a model that does not even answer a
        trivial question any more) ends the call with an `EngineCallError`.
        """
        try:
            return answer(requests)
        except Exception as error:
            if is_lasting(error):
                raise
            if len(requests) == 1:
                self._check_alive(error)
                return [refusal(requests[0], f"{_REFUSED}: {first_line(error)}")]
        middle = len(requests) // 2
        return [
            done
            for half in (requests[:middle], requests[middle:])
            for done in self._parted(half, answer, refusal)
        ]

    def _check_alive(self, error: Exception) -> None:
        """Raise `EngineCallError` where a model fails on what it answered at its start, too."""
        if isinstance(error, ValueError):
            return  # a refusal of what was asked, and not a failure of the model
        try:
            self._read([self._chat.trivial[0]], self._labels.yes_no)
        except Exception:  # noqa: BLE001 - whatever it is, it has nothing to do with the request
            raise EngineCallError(
                f"{self._card.uri}: the model failed, and fails on a trivial question as well. "
                f"({first_line(error)})"
            ) from error

    def _read(self, probes: list[Probe], labels: LabelPaths) -> list[AnswerProbs]:
        """Read what follows each prompt and each continuation that the labels need."""
        import torch

        columns = sorted({*self._ends, *(t for paths in labels.paths for p in paths for t in p)})
        logs: list[dict[tokens.Path, dict[int, float]]] = [{} for _ in probes]
        top: list[int] = []
        usable = torch.ones(len(probes), dtype=torch.bool)
        prepared = self._reader.prepare(probes)
        self._refuse_long(self._reader.lengths(prepared), max(map(len, labels.continuations())))
        for path in labels.continuations():
            logits = self._reader.next_logits(prepared, path)
            usable &= torch.isfinite(logits).all(-1).cpu()
            if not path:
                top = logits.nan_to_num(nan=-math.inf).argmax(-1).tolist()
            # Of a whole vocabulary only these columns are kept, so memory stays bounded.
            rows = torch.log_softmax(logits, -1)[:, columns].tolist()
            for log, row in zip(logs, rows, strict=True):
                log[path] = dict(zip(columns, row, strict=True))
        decode = self._chat.tokenizer.decode
        return [
            AnswerProbs(tokens.label_probabilities(labels, log, self._ends), top=decode([best]))
            if good
            else no_answer(probe, "the model gave NaN or infinite logits")
            for probe, log, best, good in zip(probes, logs, top, usable.tolist(), strict=True)
        ]

    def _refuse_long(self, lengths: Sequence[int], more: int) -> int:
        """Return the length of the longest prompt.

        Raises `ValueError` where it and so many tokens `more` are too many for the model: beyond
        its positions it would answer, and mean nothing by it.
        """
        longest = max(lengths)
        if self._positions is not None and longest + more > self._positions:
            raise ValueError(
                f"the prompt is {longest:,} tokens long, its pictures included, and the model has "
                f"{self._positions:,} positions"
            )
        return longest

    def _write(self, requests: list[Reasoning]) -> list[str]:
        """One batch of replies; what cannot be replied to costs itself."""
        if problem := self._chat.refuses(requests[0]):
            return [NoReply(problem)] * len(requests)
        return self._parted(requests, self._generate, lambda _, problem: NoReply(problem))

    def _generate(self, requests: list[Reasoning]) -> list[str]:
        from transformers import LogitsProcessorList, StoppingCriteriaList

        first = requests[0]
        inputs = self._plain.inputs(
            [self._chat.reasoning_text(request) for request in requests],
            [request.images for request in requests],
        )
        longest = self._refuse_long(self._plain.lengths(inputs), 1)
        room = first.max_tokens
        if self._positions is not None and longest + room > self._positions:
            if len(requests) > 1:  # one that is short is not cut for the sake of a long one
                return [self._write([request])[0] for request in requests]
            room = self._positions - longest
        form = None if first.schema is None else self._guides.processor(first.schema)
        guides: list[Any] = [] if form is None else [form]
        if first.sampling is not None:  # after the form, so that only what fits it is drawn
            guides.append(SeededDraw([request.sampling for request in requests]))
        output = self._model.generate(
            **inputs,
            max_new_tokens=room,
            logits_processor=LogitsProcessorList(guides),
            stopping_criteria=StoppingCriteriaList([] if form is None else [form.ended]),
        )
        replies = output[:, inputs["input_ids"].shape[1] :]
        texts = self._chat.tokenizer.batch_decode(
            replies, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        endings = {} if form is None else form.endings
        return [(text + endings.get(row, "")).strip() for row, text in enumerate(texts)]


def _reasoning_kind(request: Reasoning) -> Hashable:
    shapes = tuple(picture.pixels.shape for picture in request.images)
    return request.schema, request.max_tokens, shapes, request.sampling is None
