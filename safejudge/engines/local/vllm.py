"""Any model that vLLM can run, in this process, as an `Engine`.

Takes a model id or folder; answers probes from the raw probabilities of chosen next tokens and
writes greedy replies, free or forced into a JSON schema. Prompts are token ids of our own chat
rendering, the same that `hf:` reads; every picture is handed over once, under the hash of exactly
the pixels sent. It knows nothing of rules.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from safejudge.engines import tokens
from safejudge.engines.forks import Home
from safejudge.engines.local.chat import ChatSettings
from safejudge.engines.local.checkpoint import Checkpoint
from safejudge.engines.local.place import LEAST_MASS, prove_place
from safejudge.engines.local.vllm_start import (
    HARMLESS,
    check_pictures,
    failed,
    import_vllm,
    regex_for,
    start_vllm,
)
from safejudge.engines.local.vllm_steps import Prompt, Steps, Ticket
from safejudge.engines.local.worker_log import keep_worker_log, last_error
from safejudge.engines.meter import Tokens
from safejudge.engines.requests import batch_order, no_answer
from safejudge.errors import EngineCallError
from safejudge.types import AnswerProbs, EngineCard, NoReply, Probe, Reasoning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from safejudge.engines.streaming import Question, Tell
    from safejudge.engines.tokens import LabelBook, LabelPaths, Path
    from safejudge.types import JSON

_REFUSED = "the model cannot take this request"


class VLLMEngine:
    """One model in a vLLM `LLM`.

    `template_args`, `reply_prefix` and `line_break` are of `ChatSettings`; `least_mass` is what
    `prove_place` asks; `dialect` is as for `HFEngine`. `options` are arguments of `vllm.LLM`
    (`max_model_len`, `gpu_memory_utilization`, `dtype`, ...). Raises `EngineSetupError`. Calls may
    come from several threads; their requests run together.
    """

    def __init__(  # noqa: PLR0913 - one argument for each option of a user's
        self,
        model: str,
        /,
        *,
        uri: str,
        template_args: Mapping[str, Any] | None = None,
        reply_prefix: str | None = None,
        line_break: bool = True,
        least_mass: float = LEAST_MASS,
        dialect: str | None = None,
        **options: Any,
    ) -> None:
        settings = ChatSettings.checked(template_args, reply_prefix, line_break=line_break)
        self.tokens = Tokens()
        self._llm: Any = None
        self._log = keep_worker_log()
        self._params, self._structured, refusals = import_vllm(uri)
        checkpoint = Checkpoint(model, uri, options.get("revision"))
        settings = replace(settings, dialect=checkpoint.dialect(dialect))
        self._chat = checkpoint.chat(settings)
        self._ends = checkpoint.turn_ends(self._chat.tokenizer)
        self._home = Home()
        self._card = EngineCard(uri, model, "")
        self._llm = start_vllm(model, uri, options, self._log)
        self._regex = regex_for(self._llm)
        self._steps = Steps(self._llm, refusals, self.tokens, self._failure)
        try:
            check_pictures(self._llm, uri)
            self._labels = prove_place(self._read_by, self._chat, model, least_mass=least_mass)
        except BaseException:
            self.close()
            raise
        identity: JSON = {"engine": "vllm", "dtype": str(self._llm.model_config.dtype)}
        if changed := {name: options[name] for name in options if name not in HARMLESS}:
            identity["options"] = json.dumps(changed, sort_keys=True, default=repr)
        self._card = checkpoint.chat_card(self._chat, self._labels, identity)
        most = (options.get("limit_mm_per_prompt") or {}).get("image")
        if isinstance(most, int) and self._card.most_together is None:
            self._card = replace(self._card, most_together=most)

    def _read_by(self, labels: LabelBook) -> list[AnswerProbs]:
        """Ask the trivial questions by these labels."""
        self._labels = labels
        return self.answer_probs(self._chat.trivial)

    @property
    def card(self) -> EngineCard:
        """What this engine is; `label_tokens` are those of yes and no."""
        return self._card

    def check_statements(self, statements: Sequence[str]) -> None:
        """Accept every statement: a general model can be asked anything."""

    def answer_probs(self, probes: Sequence[Probe]) -> list[AnswerProbs]:
        """Read each probe's label probabilities; see `Engine.answer_probs`."""
        answers = self._all(sorted(set(probes), key=batch_order))
        return [answers[probe] for probe in probes]

    def reason(self, requests: Sequence[Reasoning]) -> list[str]:
        """Write one reply per request, greedy or drawn by its seed; see `Engine.reason`.

        A request that vLLM refuses (a picture, its length) gets a `NoReply`.
        """
        replies = self._all(sorted(set(requests), key=batch_order))
        return [replies[request] for request in requests]

    def _all(self, requests: Sequence[Question]) -> dict[Question, Any]:
        """Answer every request; whatever interrupts this gives the rest up."""
        told: SimpleQueue[tuple[Question, AnswerProbs | str | Exception]] = SimpleQueue()
        give_up = self.begin(requests, lambda request, answer: told.put((request, answer)))
        answers: dict[Question, Any] = {}
        failure = None
        try:
            while failure is None and len(answers) < len(requests):
                request, answer = told.get()
                failure = answer if isinstance(answer, Exception) else None
                answers[request] = answer
        finally:
            if len(answers) < len(requests):
                give_up()
        if failure is not None:
            raise failure
        return answers

    def begin(self, requests: Sequence[Question], tell: Tell) -> Callable[[], None]:
        """Begin with these, and tell each answer when it is there; see `Streaming.begin`."""
        self._check_open()
        tickets: list[Ticket] = []
        batch = object()
        for request in requests:
            if isinstance(request, Probe):
                tickets += self._reading(request, tell)
            else:
                tickets += self._writing(request, tell)
        for ticket in tickets:
            ticket.batch = batch
        self._steps.put(tickets)
        return partial(self._steps.give_up, batch)

    def _reading(self, probe: Probe, tell: Tell) -> list[Ticket]:
        """Prompts that read a probe: one for each beginning of its labels."""
        paths = self._chat.refuses(probe) or self._labels.paths(probe.labels)
        if isinstance(paths, str):
            tell(probe, no_answer(probe, paths))
            return []
        outputs: dict[Path, Any] = {}
        needed = paths.continuations()

        def add(path: Path, output: Any) -> None:
            outputs[path] = output
            if isinstance(output, EngineCallError):
                tell(probe, output)
            elif len(outputs) == len(needed):
                tell(probe, self._answer(probe, paths, outputs))

        ids, params = self._chat.probe_ids(probe), self._read_params(paths)
        prompts = [(path, Prompt((*ids, *path), probe.images, params)) for path in needed]
        return [Ticket(prompt, partial(add, path)) for path, prompt in prompts]

    def _writing(self, request: Reasoning, tell: Tell) -> list[Ticket]:
        """The prompt that writes a reply."""
        if problem := self._chat.refuses(request):
            tell(request, NoReply(problem))
            return []

        def add(output: Any) -> None:
            if isinstance(output, EngineCallError):
                tell(request, output)
            elif isinstance(output, str):
                tell(request, NoReply(f"{_REFUSED}: {output}"))
            else:
                tell(request, output.outputs[0].text.strip())

        form = request.schema
        params = self._params(
            max_tokens=request.max_tokens,
            stop_token_ids=list(self._ends),
            structured_outputs=None if form is None else self._structured(regex=self._regex(form)),
            **_drawn(request),
        )
        ids = tuple(self._chat.encode(self._chat.reasoning_text(request)))
        return [Ticket(Prompt(ids, request.images, params), add)]

    def text_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count by the model's own tokenizer."""
        return self._chat.text_tokens(texts)

    def cut_text(self, text: str, tokens: int) -> str:
        """Cut by the model's own tokenizer."""
        return self._chat.cut_text(text, tokens)

    def close(self) -> None:
        """End vLLM's processes; calls after this raise `EngineCallError`.

        In a forked child nothing is let go of: the processes are the parent's.
        """
        if self._home.left():
            return
        llm, self._llm = self._llm, None
        if llm is not None:
            self._steps.close()
            llm.llm_engine.engine_core.shutdown()

    def _read_params(self, paths: LabelPaths) -> Any:
        """Parameters that read the tokens of every path and what ends a turn, and write no text."""
        ids = {token for label in paths.paths for path in label for token in path}
        token_ids = sorted(ids | set(self._ends) if paths.ended else ids)
        return self._params(max_tokens=1, logprob_token_ids=token_ids, detokenize=False, **_PINNED)

    def _answer(self, probe: Probe, paths: LabelPaths, outputs: Mapping[Path, Any]) -> AnswerProbs:
        logs: dict[Path, dict[int, float]] = {}
        for path, output in outputs.items():
            if isinstance(output, str):
                return no_answer(probe, f"{_REFUSED}: {output}")
            logs[path] = {t: read.logprob for t, read in output.outputs[0].logprobs[0].items()}
        p_labels = tokens.label_probabilities(paths, logs, self._ends)
        if not all(0.0 <= p <= 1.0 for p in p_labels):
            return no_answer(probe, "the model gave NaN or infinite logits")
        (first,) = outputs[()].outputs[0].token_ids
        return AnswerProbs(p_labels, top=self._chat.tokenizer.decode([first]))

    def _check_open(self) -> None:
        if self._llm is None:
            raise EngineCallError(f"{self._card.uri} is closed; open it again")
        if self._home.left():
            raise EngineCallError(
                f"{self._card.uri} was opened before this process was forked, and vLLM does not go "
                "with a fork: open the judge in this process, or start it by spawn"
            )

    def _failure(self, error: Exception) -> EngineCallError:
        """Say what vLLM met, and why the process that runs the model has ended, if it has."""
        died = ""
        llm = self._llm
        # A core in this very process has no such resources, and ends with it.
        resources = None if llm is None else getattr(llm.llm_engine.engine_core, "resources", None)
        if resources is not None and resources.engine_dead:
            cause = last_error(self._log)
            why = f"It met: {cause}" if cause else "It left no message: it crashed, or was killed"
            died = f" The process that runs the model has ended. {why}. Open the judge again."
        made = EngineCallError(f"{self._card.uri}: {failed(error)}{died}")
        made.__cause__ = error
        return made


_PINNED: dict[str, Any] = {
    "temperature": 0.0, "top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0,
    "presence_penalty": 0.0, "frequency_penalty": 0.0, "n": 1,
}  # fmt: skip
"""Greedy and unpenalised, whatever a checkpoint or a later default says."""


def _drawn(request: Reasoning) -> dict[str, Any]:
    """The same, and where a request is not to be answered greedily its temperature and seed."""
    if request.sampling is None:
        return _PINNED
    drawn = {"temperature": request.sampling.temperature, "seed": request.sampling.seed}
    return _PINNED | drawn
