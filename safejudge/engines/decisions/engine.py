"""A server that answers closed questions with probabilities, as an `Engine`.

Takes an address; puts all questions about the same pictures in one request, so that a picture is
sent, and read, once. Two protocols are known (`protocols`); which of them a server speaks is found
out at the start. It writes no text, so it does not reason. It knows nothing of rules.

**Label mass.** System One may tell how much probability the labels had among all tokens; that is
taken. Decisions does not: yes and no then share all of 1, whatever the model would rather have
said. So `label_mass` is 1 there, an upper bound, and `exact` is False; `Policy.minimum_label_mass`
finds nothing, and a refusal, which is no answer, is all that tells of an unfit question.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safejudge.engines.decisions import handshake
from safejudge.engines.decisions.handshake import SCHEME
from safejudge.engines.decisions.numbers import Answer
from safejudge.engines.decisions.rounding import Rounding, meaning, within
from safejudge.engines.meter import Tokens
from safejudge.engines.requests import batch_order, no_answer
from safejudge.engines.server import topk
from safejudge.engines.server.address import parts_of
from safejudge.engines.server.faults import DoubledError, FailedError, RefusedError, UnreadableError
from safejudge.engines.server.handshake import find_version, find_vocabulary
from safejudge.engines.server.http import PATIENCE
from safejudge.engines.server.lengths import TOO_LONG, TextLengths
from safejudge.engines.server.line import Line
from safejudge.engines.server.messages import DataUrls
from safejudge.engines.server.sender import Sender
from safejudge.types import YES_NO, AnswerProbs, EngineCard, NoReply, Probe, Reasoning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.engines.decisions.protocols import Read
    from safejudge.engines.server.http import Retry
    from safejudge.types import JSON

_PROMPT = "input"
"""What both protocols call a prompt where they count its tokens."""
_ALONE = 3
"""So many questions of one request that are refused alone, and none taken: it is not for them."""
_WRITES_NOTHING = (
    "this server answers closed questions and writes no text, so it does not reason; --no-cascade "
    "(open_means in a policy) does not ask it to, --escalate-to URI asks another engine"
)
_NO_MASS = (
    "the server does not tell the label mass: 1 stands for it, so minimum_label_mass in a policy "
    "finds no answer that is neither yes nor no"
)
_NOT_PLAIN = "the server takes no question without a picture"


@dataclass(frozen=True, slots=True)
class _Told:
    """What became of one question."""

    read: Read | str
    """Its answer, or why there is none."""
    prompt_tokens: int | None = None
    """How long its prompt was; None where it was one of several."""


@dataclass(slots=True)
class _Split:
    """What was found out about the parts of one request that was refused."""

    refused: int = 0
    """Questions that were refused alone."""
    taken: bool = False
    """Whether any part was answered."""


class DecisionsEngine:
    """One model behind an address such as `http://HOST:PORT/v1#MODEL`.

    `#MODEL` may be left out where the server has only one. At most `concurrency` requests are
    under way at once, each at most `timeout` seconds per attempt; none is tried again `patience`
    seconds after its first attempt. Raises `EngineSetupError`. Calls
    may come from several threads, with or without a running event loop.

    `card.revision` is empty, as `ServerEngine`'s is: nothing pins the weights behind an address.
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
    ) -> None:
        self._base, self._root, model = parts_of(address, SCHEME)
        self._uri = uri
        self.tokens = Tokens()
        self._rounding = Rounding()
        self._warned = False
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
            self._card = self._start(model)
            self._begin_to_ask()
        except BaseException:
            self.close()
            raise
        self._warn_of_rounding()

    def _start(self, model: str | None) -> EngineCard:
        """Find out what the server can do; see `handshake`."""
        send = self._line.send
        served = handshake.find_model(send, self._base, model)
        self._model = served.name
        self._spoken = handshake.find_protocol(send, self._base, self._model, DataUrls())
        vocabulary = find_vocabulary(send, self._root, self._model)
        self._lengths = TextLengths(vocabulary, served.context)
        for answer in (*self._spoken.proof, *self._spoken.open):
            self._rounding.see(answer.told)
        return EngineCard(
            uri=self._uri,
            model=self._model,
            revision="",
            label_tokens={label: (label,) for label in YES_NO},
            versions=find_version(send, self._root),
            pictures=self._spoken.pictures,
            most_together=1,
            notes=tuple(self._notes()),
        )

    def _notes(self) -> list[str]:
        """Say what a person should know of how this server answers."""
        notes = [f"it is asked in the protocol {self._spoken.protocol.name}"]
        if not self._spoken.tells_mass:
            notes.append(_NO_MASS)
        if not self._spoken.plain:
            notes.append(f"{_NOT_PLAIN}, so it has no language priors; --no-prior does not ask")
        if self._spoken.unsure:
            yes, no = (answer.shares[0] for answer in self._spoken.proof)
            notes.append(
                f"it is not sure of trivial questions: that one plus one is two it believes with "
                f"{yes:.2g}, that it is three with {no:.2g}"
            )
        if (step := self._rounding.step) is not None:
            notes.append(meaning(step))
        return notes

    def _begin_to_ask(self) -> None:
        """Ask over the connections of this process, as the start found out."""
        self._urls = DataUrls()
        self._sender = Sender(
            self._uri,
            f"{self._base}/{self._spoken.protocol.path}",
            self._line.wire,
            trivial=self._spoken.trivial,
            tokens=self.tokens,
            uploads=None,
            prompt=_PROMPT,
        )

    @property
    def card(self) -> EngineCard:
        """What this engine is; no tokens are known, so `label_tokens` are the labels."""
        return self._card

    def check_statements(self, statements: Sequence[str]) -> None:
        """Accept every statement: a general model can be asked anything."""

    def answer_probs(self, probes: Sequence[Probe]) -> list[AnswerProbs]:
        """Read each probe's label probabilities; see `Engine.answer_probs`.

        Probes with the same instruction and pictures go in one request. What the server refuses,
        or answers with what is no probability, is a `problem` of that probe alone.
        """
        self._line.check_open()
        distinct = sorted(set(probes), key=batch_order)
        told = {probe: _Told(why) for probe in distinct if (why := self._refusal(probe))}
        groups = self._groups([probe for probe in distinct if probe not in told])
        for found in self._line.ask_all(self._ask, groups):
            told |= found
        # All of a call is looked at before any of it is read, so that no order of arrival counts.
        for one in told.values():
            if isinstance(one.read, Answer):
                self._rounding.see(one.read.told)
        self._warn_of_rounding()
        step = self._rounding.step
        answers = {probe: _answer(probe, told[probe], step) for probe in distinct}
        return [answers[probe] for probe in probes]

    def reason(self, requests: Sequence[Reasoning]) -> list[str]:
        """Say of each request that there is no reply; the protocol has no text."""
        self._line.check_open()
        return [NoReply(_WRITES_NOTHING) for _ in requests]

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

    def _refusal(self, probe: Probe) -> str | None:
        """Say why a probe is not put to the server at all; None if it is."""
        most = self._spoken.protocol.most_labels
        if probe.labels != YES_NO and not 2 <= len(set(probe.labels)) == len(probe.labels) <= most:
            return f"labels {probe.labels!r}: the server chooses between 2 to {most} different ones"
        if not (probe.images or self._spoken.plain):
            return _NOT_PLAIN
        too_long = self._lengths.too_long((probe.instruction, probe.question))
        return f"{TOO_LONG}: {too_long}" if too_long else None

    def _groups(self, probes: Sequence[Probe]) -> list[list[Probe]]:
        """Put together what can be asked in one request: same instruction, same pictures."""
        shared: dict[tuple[str, ...], list[Probe]] = {}
        for probe in probes:
            key = (probe.instruction, *(picture.digest for picture in probe.images))
            shared.setdefault(key, []).append(probe)
        most = self._spoken.protocol.most_questions
        return [
            group[start : start + most]
            for group in shared.values()
            for start in range(0, len(group), most)
        ]

    async def _ask(self, group: Sequence[Probe]) -> dict[Probe, _Told]:
        """Ask one group."""
        return await self._isolated(group, _Split())

    async def _isolated(self, group: Sequence[Probe], split: _Split) -> dict[Probe, _Told]:
        """Ask a group in one request; one that is refused is halved until the culprit is alone.

        Every second question makes a half, so that the first ones to be alone come from all over
        the group: where a few of these were refused and nothing was taken, it is the picture, the
        instruction, or the protocol that is refused, and the others need not be asked.
        """
        if split.refused >= _ALONE and not split.taken:
            why = f"the server refused {split.refused} of the questions beside this one"
            return dict.fromkeys(group, _Told(why))
        try:
            found = await self._asked(group)
        except RefusedError as error:
            if len(group) > 1:
                first = await self._isolated(group[::2], split)
                return first | await self._isolated(group[1::2], split)
            split.refused += 1
            return {group[0]: _Told(f"the server refused this request: {error}")}
        except (UnreadableError, DoubledError) as error:
            split.taken, why = True, str(error)
        except FailedError as error:
            why = f"the server failed on this request: {error}"
        else:
            split.taken = True
            return found
        return dict.fromkeys(group, _Told(why))

    async def _asked(self, group: Sequence[Probe]) -> dict[Probe, _Told]:
        """Ask a group in one request. Raises whatever went wrong with it as a whole."""
        pictures, protocol = group[0].images, self._spoken.protocol

        def body(_uploaded: object) -> JSON:
            return protocol.body(self._model, group, [self._urls.of(p) for p in pictures])

        reply = await self._sender.send(pictures, body)
        length = topk.tokens_used(reply, _PROMPT)[0] or None
        alone = length if len(group) == 1 else None
        reads = [self._complete(read) for read in protocol.read(reply, group)]
        return {probe: _Told(read, alone) for probe, read in zip(group, reads, strict=True)}

    def _complete(self, read: Read) -> Read:
        """Refuse an answer without the label mass that this server told at the start.

        1 would stand for it, and `Policy.minimum_label_mass` would find nothing.
        """
        if isinstance(read, Answer) and read.mass is None and self._spoken.tells_mass:
            return UnreadableError("the answer has no label mass, which this server told before")
        return read

    def _warn_of_rounding(self) -> None:
        """Say once that the server rounds, where its answers show it."""
        if (step := self._rounding.step) is not None and not self._warned:
            self._warned = True
            warnings.warn(f"{self._uri}: {meaning(step)}", UserWarning, stacklevel=3)


def _answer(probe: Probe, told: _Told, step: float | None) -> AnswerProbs:
    """Make an answer of what was told; `step` is that of the server's rounding, if it rounds."""
    read = told.read
    if not isinstance(read, Answer):
        return no_answer(probe, str(read))
    shares = within(read.shares, step)
    mass = 1.0 if read.mass is None else read.mass
    return AnswerProbs(
        tuple(share * mass for share in shares),
        top=probe.labels[shares.index(max(shares))],
        exact=read.mass is not None and shares == read.shares,
        prompt_tokens=told.prompt_tokens,
    )
