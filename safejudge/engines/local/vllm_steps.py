"""One vLLM and the thread that works it: requests join while others run.

Whoever puts a request is told its output, from that thread, as soon as there is one. The thread
alone talks to vLLM: it hands requests over, steps while any is under way, and sleeps else. It knows
neither questions nor labels.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias

from safejudge.engines.recent import RecentCache
from safejudge.engines.requests import as_image
from safejudge.text import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from safejudge.engines.meter import Tokens
    from safejudge.engines.tokens import Path
    from safejudge.errors import EngineCallError
    from safejudge.types import Picture

_CACHED_PICTURES = 256
"""Pictures of which vLLM is expected to remember what it made of them; least recent first out."""
GAVE_UP = "vLLM gave it up, twice"
_CLOSED = RuntimeError("it was closed while it was asked")

Output: TypeAlias = Any
"""What is told of a request: vLLM's output, a text that says why it was refused, or an
`EngineCallError`."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt as token ids, with the pictures whose placeholders stand in it."""

    ids: Path
    images: tuple[Picture, ...]
    params: Any


@dataclass(slots=True, eq=False)
class Ticket:
    """A prompt that is under way, and who is told of it."""

    prompt: Prompt
    tell: Callable[[Output], None]
    batch: object = None
    """Stands for those that are given up together."""
    resent: bool = False
    """Whether it was put a second time, because its pictures were lost."""


@dataclass(frozen=True, slots=True)
class _GivenUp:
    batch: object


class Steps:
    """The thread of one vLLM; thread-safe. It ends with `close`."""

    def __init__(
        self,
        llm: Any,
        refusals: tuple[type[Exception], ...],
        tokens: Tokens,
        failure: Callable[[Exception], EngineCallError],
    ) -> None:
        """Work this `LLM`.

        `refusals` are what it raises for a prompt that it does not take, `tokens` counts what it
        read, `failure` says what it met.
        """
        self._llm, self._refusals = llm, refusals
        self._tokens, self._failure = tokens, failure
        self._inbox: SimpleQueue[Ticket | _GivenUp | None] = SimpleQueue()
        self._under_way: dict[str, Ticket] = {}
        self._sent: RecentCache[str, None] = RecentCache(_CACHED_PICTURES)
        """Pictures that vLLM should know by their hash."""
        self._closing = threading.Lock()
        self._over: Exception | None = None
        """Why it takes no more."""
        self._thread = threading.Thread(target=self._work, name="safejudge-vllm", daemon=True)
        self._thread.start()

    def put(self, tickets: Sequence[Ticket]) -> None:
        """Put prompts behind those that are under way; each is told of once."""
        with self._closing:  # nothing comes behind the end
            if (over := self._over) is None:
                for ticket in tickets:
                    self._inbox.put(ticket)
                return
        for ticket in tickets:
            ticket.tell(self._failure(over))

    def give_up(self, batch: object) -> None:
        """End the prompts of a batch; of these nothing need be told any more.

        Named by what they have in common, for who may give them up is not to hold their pictures.
        """
        self._inbox.put(_GivenUp(batch))

    def close(self) -> None:
        """Tell whoever still waits that it is closed, and end the thread."""
        with self._closing:
            self._over = self._over or _CLOSED
            self._inbox.put(None)
        self._thread.join()

    def _work(self) -> None:
        try:
            self._serve()
        except BaseException as error:  # noqa: BLE001 - else whoever waits would wait for ever
            self._end_all(RuntimeError(f"the thread that works it has ended: {error!r}"))

    def _end_all(self, why: Exception) -> None:
        """Take no more, and tell whoever waits."""
        with self._closing:
            self._over = self._over or why
        with suppress(Empty):
            while True:
                if isinstance(item := self._inbox.get_nowait(), Ticket):
                    item.tell(self._failure(why))
        self._fail_all(self._failure(why))

    def _serve(self) -> None:
        while True:
            while True:
                try:
                    item = self._inbox.get(block=not self._under_way)
                except Empty:
                    break
                if item is None:
                    self._fail_all(self._failure(_CLOSED))
                    return
                if isinstance(item, _GivenUp):
                    self._end(item.batch)
                else:
                    self._begin(item)
            self._step()

    def _begin(self, ticket: Ticket) -> None:
        """Hand a prompt over; one that vLLM refuses without its pixels is handed over with them."""
        pictures = {picture.digest for picture in ticket.prompt.images}
        left_out = pictures & self._sent.keys()
        try:
            (number,) = self._llm.enqueue(
                [self._whole(ticket.prompt, left_out)], [ticket.prompt.params], use_tqdm=False
            )
        except self._refusals as error:
            for digest in pictures:
                self._sent.drop(digest)
            if left_out:
                self._begin(ticket)
            else:
                self._say(ticket, first_line(error))
        except Exception as error:  # noqa: BLE001 - whatever vLLM raises, nobody has an answer
            ticket.tell(self._failure(error))
        else:
            # It comes back as the number that vLLM counted, without what was added to it.
            self._under_way[number.partition("-")[0]] = ticket

    def _whole(self, prompt: Prompt, left_out: set[str]) -> dict[str, Any]:
        """Hand pictures over in the first prompt that shows them, and later their hash alone."""
        whole: dict[str, Any] = {"prompt_token_ids": list(prompt.ids)}
        if prompt.images:
            for picture in prompt.images:
                self._sent.put(picture.digest, None)
            whole["multi_modal_data"] = {
                "image": [None if p.digest in left_out else as_image(p) for p in prompt.images]
            }
            whole["multi_modal_uuids"] = {"image": [p.digest for p in prompt.images]}
        return whole

    def _step(self) -> None:
        try:
            outputs = self._llm.llm_engine.step()
        except Exception as error:  # noqa: BLE001 - whatever vLLM raises, nobody has an answer
            self._fail_all(self._failure(error))
            return
        for output in outputs:
            if output.finished and (ticket := self._under_way.pop(output.request_id, None)):
                self._tell(ticket, output)

    def _tell(self, ticket: Ticket, output: Any) -> None:
        if output.outputs[0].finish_reason != "error":
            self._tokens.add(len(output.prompt_token_ids), output.num_cached_tokens)
            self._say(ticket, output)
            return
        # The process that runs the model misses a picture that the other one believes it has, which
        # happens after a refusal; now both know better.
        for picture in ticket.prompt.images:
            self._sent.drop(picture.digest)
        if ticket.resent:
            self._say(ticket, GAVE_UP)
        else:
            ticket.resent = True
            self._begin(ticket)

    def _say(self, ticket: Ticket, output: Output) -> None:
        try:
            ticket.tell(output)
        except Exception as error:  # noqa: BLE001 - one output that is none ends no thread
            ticket.tell(self._failure(error))

    def _end(self, batch: object) -> None:
        numbers = [n for n, ticket in self._under_way.items() if ticket.batch is batch]
        for number in numbers:
            del self._under_way[number]
        if numbers:
            self._llm.llm_engine.abort_request(numbers)

    def _fail_all(self, error: EngineCallError) -> None:
        failed, self._under_way = self._under_way, {}
        for ticket in failed.values():
            ticket.tell(error)
