"""Any OpenAI-compatible chat-completions server, as an `Engine`.

Takes an address; answers probes from the log-probabilities of the first token and asks for greedy
replies, free or forced into a JSON schema. vLLM first; what else a server can do is found out at
the start. It knows nothing of rules, and not whether the model is any good: low `label_mass` is
the caller's to notice.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from safejudge.engines import dialects, tokens, trivial
from safejudge.engines.guide import check_bounded
from safejudge.engines.local.place import LEAST_MASS
from safejudge.engines.meter import Tokens
from safejudge.engines.requests import batch_order, no_answer
from safejudge.engines.server import handshake, topk
from safejudge.engines.server.abilities import CONTINUED, PLAIN, Asking
from safejudge.engines.server.address import parts_of
from safejudge.engines.server.faults import (
    DoubledError,
    FailedError,
    RefusedError,
    UnlabelledError,
    UnreadableError,
)
from safejudge.engines.server.http import PATIENCE
from safejudge.engines.server.lengths import TOO_LONG, TextLengths
from safejudge.engines.server.line import Line
from safejudge.engines.server.messages import Messages
from safejudge.engines.server.sender import Sender
from safejudge.engines.server.uploads import Uploads
from safejudge.errors import EngineCallError, EngineSetupError
from safejudge.types import YES_NO, AnswerProbs, EngineCard, NoReply, Probe, Reasoning

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from safejudge.engines.dialects import Dialect
    from safejudge.engines.server.http import Retry
    from safejudge.engines.server.topk import Reading
    from safejudge.engines.streaming import Tell
    from safejudge.types import JSON

_LONGEST_TOKEN = 64
"""Characters. A reply that is longer than that by its tokens was not cut where it was to be."""


class ServerEngine:
    """One model behind an address such as `http://HOST:PORT/v1#MODEL`.

    `#MODEL` may be left out where the server has only one. At most `concurrency` requests are
    under way at once, each at most `timeout` seconds per attempt; none is tried again `patience`
    seconds after its first attempt. `dialect` is one of `DIALECTS`,
    or "none"; None finds it by the model's name. Raises `EngineSetupError`. Calls may come from
    several threads, with or without a running event loop.

    `card.revision` is empty: nothing that such a server tells pins its weights (a folder may be
    trained further, a name may move), so its answers are not kept for later runs.
    """

    def __init__(  # noqa: PLR0913 - one argument for each option of a user's
        self,
        address: str,
        *,
        uri: str,
        concurrency: int = 16,
        timeout: float = 120.0,
        patience: float = PATIENCE,
        retry: Retry | None = None,
        dialect: str | None = None,
    ) -> None:
        self._base, self._root, model = parts_of(address)
        self._uri = uri
        self.tokens = Tokens()
        self._readings: dict[tuple[str, ...], Reading | str] = {}
        self._line = Line(
            uri,
            self._base,
            concurrency=concurrency,
            timeout=timeout,
            patience=patience,
            retry=retry,
            renewed=self._begin_to_ask,
        )
        try:
            self._card = self._start(model, dialect)
            self._begin_to_ask()
            if self._dialect is not None:
                self._card = replace(self._card, notes=self._proved_form(self._dialect))
        except BaseException:
            self.close()
            raise

    def _begin_to_ask(self) -> None:
        """Ask over the connections of this process, as the start found out."""
        uploads = Uploads() if self._keeps else None
        self._messages = Messages(None if uploads is None else uploads.name, self._dialect)
        self._sender = Sender(
            self._uri,
            f"{self._base}/chat/completions",
            self._line.wire,
            trivial=handshake.trivial_body(self._abilities, self._yes_no, self._asking),
            tokens=self.tokens,
            uploads=uploads,
        )

    @property
    def card(self) -> EngineCard:
        """What this engine is; `label_tokens` are the spellings of yes and no that are read."""
        return self._card

    def check_statements(self, statements: Sequence[str]) -> None:
        """Accept every statement: a general model can be asked anything."""

    def answer_probs(self, probes: Sequence[Probe]) -> list[AnswerProbs]:
        """Read each probe's label probabilities; see `Engine.answer_probs`.

        A request that the server refuses or cannot answer, while it answers others, is a
        `problem` of that probe alone.
        """
        distinct = sorted(set(probes), key=batch_order)
        answers = self._refused(distinct)
        asked = [probe for probe in distinct if probe not in answers]
        answers.update(zip(asked, self._line.ask_all(self._read, asked), strict=True))
        return [answers[probe] for probe in probes]

    def begin(self, requests: Sequence[Probe | Reasoning], tell: Tell) -> Callable[[], None]:
        """Ask, and tell each answer when it is there; see `Streaming.begin`."""
        probes = [request for request in requests if isinstance(request, Probe)]
        reasonings = [request for request in requests if isinstance(request, Reasoning)]
        answers, replies = self._refused(probes), self._unwritten(reasonings)

        async def ask(request: Probe | Reasoning) -> AnswerProbs | str:
            if isinstance(request, Probe):
                return await self._read(request)
            return await self._write(request)

        asked = [r for r in requests if r not in answers and r not in replies]
        give_up = self._line.begin(ask, asked, tell)
        for probe, answer in answers.items():
            tell(probe, answer)
        for reasoning, reply in replies.items():
            tell(reasoning, reply)
        return give_up

    def _refused(self, probes: Sequence[Probe]) -> dict[Probe, AnswerProbs]:
        """Answer what is not put to the server; how labels are read is known after this."""
        for labels in dict.fromkeys(probe.labels for probe in probes):
            self._resolve(labels)
        return {p: no_answer(p, why) for p in probes if (why := self._refusal(p))}

    def _refusal(self, probe: Probe) -> str | None:
        """Say why a probe is not put to the server at all; None if it is."""
        if self._dialect is not None and (why := self._dialect.refuses(probe)):
            return why
        form = self._messages.form(probe)
        words = (probe.instruction, probe.question)
        too_long = self._lengths.too_long(
            words if form is None else (form.system, form.before, form.after)
        )
        return f"{TOO_LONG}: {too_long}" if too_long else None

    def reason(self, requests: Sequence[Reasoning]) -> list[str]:
        """Ask for one reply per request, greedy or drawn by its seed; see `Engine.reason`.

        A request that the server refuses or cannot answer, while it answers others, is a
        `NoReply`.
        """
        self._line.check_open()
        distinct = sorted(set(requests), key=batch_order)
        replies = self._unwritten(distinct)
        asked = [request for request in distinct if request not in replies]
        replies.update(zip(asked, self._line.ask_all(self._write, asked), strict=True))
        return [replies[request] for request in requests]

    def _unwritten(self, requests: Sequence[Reasoning]) -> dict[Reasoning, str]:
        """Reply to what is not put to the server."""
        if self._dialect is not None:
            return {r: NoReply(self._dialect.refuses(r) or "") for r in requests}
        for schema in {request.schema for request in requests if request.schema is not None}:
            check_bounded(schema)
        long = {r: self._lengths.too_long(_texts(r)) for r in requests}
        return {r: NoReply(f"{TOO_LONG}: {why}") for r, why in long.items() if why}

    def text_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count by the server's tokenizer, or bytes where it shows none."""
        self._line.check_open()
        return self._lengths.tokens(texts)

    def cut_text(self, text: str, tokens: int) -> str:
        """Cut by the server's tokenizer, or by bytes where it shows none."""
        self._line.check_open()
        return self._lengths.cut(text, tokens)

    def close(self) -> None:
        """Close every connection; calls under way and later ones raise `EngineCallError`."""
        self._line.close()

    def _start(self, model: str | None, dialect: str | None) -> EngineCard:
        """Find out what the server can do, and prove yes and no; see `handshake`."""
        send = self._line.send
        served = handshake.find_model(send, self._base, model)
        name = served.name
        self._dialect = dialects.choose(dialect, [name])
        if self._dialect is not None and not self._dialect.is_served:
            raise EngineSetupError(
                f"{name} at {self._base}: in the dialect {self._dialect.name} the statement is a "
                "variable of the template, and a server is told such once for all; run it by "
                f"hf:MODEL or vllm:MODEL. --dialect {dialects.NONE} asks it as any other model"
            )
        messages = Messages(None, self._dialect)
        self._asking = _asking(messages, self._dialect)
        self._vocabulary = handshake.find_vocabulary(send, self._root, name, self._asking)
        self._lengths = TextLengths(self._vocabulary, served.context)
        proof = handshake.find_abilities(send, self._base, name, self._vocabulary, self._asking)
        self._abilities = proof.abilities
        self._readings[YES_NO] = self._yes_no = proof.reading
        if self._dialect is None:  # no other one reasons
            self._abilities = handshake.prove_schema(send, self._base, self._abilities)
        body = self._abilities.read_body(messages.of_probe(trivial.PICTURED), proof.reading)
        pictures = handshake.takes_pictures(send, self._base, body)
        versions = handshake.find_version(send, self._root)
        self._keeps = bool(pictures and versions) and self._keeps_pictures(proof.reading)
        return EngineCard(
            uri=self._uri,
            model=name,
            revision="",
            label_tokens=dict(zip(YES_NO, proof.spellings, strict=True)),
            versions=versions,
            pictures=pictures,
            dialect="" if self._dialect is None else self._dialect.name,
            samples=self._dialect is None,
        )

    def _proved_form(self, dialect: Dialect) -> tuple[str, ...]:
        """Say what a person should know; raise `EngineSetupError` where it does not answer."""
        answers = self.answer_probs(dialects.SEEN)
        if not any(a.problem is None and a.label_mass >= LEAST_MASS for a in answers):
            told = [a.problem or f"{a.label_mass:.2g} (it wants {a.top!r})" for a in answers]
            raise EngineSetupError(
                f"{self._card.model} at {self._base} does not answer as the dialect "
                f"{dialect.name} says: {' and '.join(dialect.labels)} have of the probability "
                f"together: {' and '.join(told)}. --dialect {dialects.NONE} asks it as any other"
            )
        return dialects.notes(dialect, answers)

    def _keeps_pictures(self, reading: Reading) -> bool:
        """Whether the server keeps pictures by a name, so that each is sent once."""
        messages = Messages(Uploads().name, self._dialect)
        first, again = (
            self._abilities.read_body(messages.of_probe(trivial.PICTURED, uploaded), reading)
            for uploaded in ((), (trivial.PICTURED.images[0].digest,))
        )
        return handshake.keeps_pictures(self._line.send, self._base, first, again)

    def _resolve(self, labels: tuple[str, ...]) -> None:
        """Find out once how a label set is read, or why it cannot be."""
        self._line.check_open()
        if labels in self._readings:
            return
        try:
            self._readings[labels] = (
                self._vocabulary.reading(labels) if self._vocabulary else topk.assumed(labels)
            )
        except tokens.LabelsError as error:
            self._readings[labels] = f"labels {labels!r}: {error}"
        except (RefusedError, FailedError) as error:
            raise EngineCallError(f"{self._uri}: the tokenizer failed. {error}") from error

    async def _read(self, probe: Probe) -> AnswerProbs:
        reading = self._readings[probe.labels]
        if isinstance(reading, str):
            return no_answer(probe, reading)

        def body(uploaded: Collection[str]) -> JSON:
            return self._abilities.read_body(self._messages.of_probe(probe, uploaded), reading)

        try:
            reply = await self._sender.send(probe.images, body)
            answer = self._abilities.read(reply, reading)
            return replace(answer, prompt_tokens=topk.tokens_used(reply)[0] or None)
        except RefusedError as error:
            return no_answer(probe, f"the server refused this request: {error}")
        except UnreadableError as error:
            return _unread(probe, error)
        except DoubledError as error:
            return no_answer(probe, str(error))
        except FailedError as error:
            return no_answer(probe, f"the server failed on this request: {error}")

    async def _write(self, request: Reasoning) -> str:
        def body(uploaded: Collection[str]) -> JSON:
            messages = self._messages.of_reasoning(request, uploaded)
            return self._abilities.write_body(
                messages, request.schema, request.max_tokens, request.sampling
            )

        try:
            text = topk.reply_text(await self._sender.send(request.images, body)).strip()
        except RefusedError as error:
            return NoReply(f"the server refused this request: {error}")
        except (UnreadableError, DoubledError) as error:
            return NoReply(str(error))
        except FailedError as error:
            return NoReply(f"the server failed on this request: {error}")
        return text[: _LONGEST_TOKEN * request.max_tokens]


def _asking(messages: Messages, dialect: Dialect | None) -> Asking:
    """How the trivial questions are put."""
    if dialect is None:
        return PLAIN
    asked = tuple(messages.of_probe(probe) for probe in trivial.PROBES)
    return Asking(asked, dialect.labels, CONTINUED if dialect.reply_prefix else {})


def _texts(request: Reasoning) -> list[str]:
    return [request.instruction, *(message.text for message in request.messages)]


def _unread(probe: Probe, error: UnreadableError) -> AnswerProbs:
    """Turn a reply without the labels into no answer; to none of a picture it is one.

    Asked to compare a picture that it does not have, a model may well say something else: that is
    a language prior of no label mass, as a server with exact numbers gives it.
    """
    if isinstance(error, UnlabelledError) and not probe.images:
        return AnswerProbs((0.0,) * len(probe.labels), top=error.top, exact=False)
    return no_answer(probe, str(error))
