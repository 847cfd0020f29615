"""Any model that vLLM can run, in this process, as an `Engine`.

Takes a model id or folder; answers probes from the raw probabilities of chosen next tokens and
writes greedy replies, free or forced into a JSON schema. Prompts are token ids of our own chat
rendering, the same that `hf:` reads; every picture is handed over once, under the hash of exactly
the pixels sent. It knows nothing of rules.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from safejudge.engines import tokens
from safejudge.engines.forks import Home, ProcessLock
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
from safejudge.engines.local.worker_log import keep_worker_log, last_error
from safejudge.engines.meter import Tokens
from safejudge.engines.recent import RecentCache
from safejudge.engines.requests import as_image, batch_order, no_answer
from safejudge.errors import EngineCallError
from safejudge.text import first_line
from safejudge.types import AnswerProbs, EngineCard, NoReply, Probe, Reasoning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from safejudge.engines.tokens import LabelBook, LabelPaths, Path
    from safejudge.types import JSON, Picture

_CACHED_PICTURES = 256
"""Pictures of which vLLM is expected to remember what it made of them; least recent first out."""


class VLLMEngine:
    """One model in a vLLM `LLM`.

    `template_args`, `reply_prefix` and `line_break` are of `ChatSettings`; `least_mass` is what
    `prove_place` asks; `dialect` is as for `HFEngine`. `options` are arguments of `vllm.LLM`
    (`max_model_len`, `gpu_memory_utilization`, `dtype`, ...). Raises `EngineSetupError`. Calls may
    come from several threads; they run one after the other.
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
        self._params, self._structured, self._refusals = import_vllm(uri)
        checkpoint = Checkpoint(model, uri, options.get("revision"))
        settings = replace(settings, dialect=checkpoint.dialect(dialect))
        self._chat = checkpoint.chat(settings)
        self._ends = checkpoint.turn_ends(self._chat.tokenizer)
        self._lock = ProcessLock()
        self._home = Home()
        self._sent: RecentCache[str, None] = RecentCache(_CACHED_PICTURES)
        """Pictures that vLLM should know by their hash."""
        self._left_out: set[str] = set()
        """Pictures whose pixels the batch under way left out."""
        self._card = EngineCard(uri, model, "")
        self._llm = start_vllm(model, uri, options, self._log)
        self._regex = regex_for(self._llm)
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
        distinct = sorted(set(probes), key=batch_order)
        label_paths = {p: self._chat.refuses(p) or self._labels.paths(p.labels) for p in distinct}
        readable = {p: paths for p, paths in label_paths.items() if not isinstance(paths, str)}
        params = {paths: self._reading(paths) for paths in set(readable.values())}
        requests = {
            (probe, path): _Request(
                (*self._chat.probe_ids(probe), *path), probe.images, params[paths]
            )
            for probe, paths in readable.items()
            for path in paths.continuations()
        }
        with self._lock:
            outputs = dict(zip(requests, self._run(list(requests.values())), strict=True))
        answers = {
            p: no_answer(p, paths) for p, paths in label_paths.items() if isinstance(paths, str)
        }
        for probe, paths in readable.items():
            replies = {path: outputs[probe, path] for path in paths.continuations()}
            answers[probe] = self._answer(probe, paths, replies)
        return [answers[probe] for probe in probes]

    def reason(self, requests: Sequence[Reasoning]) -> list[str]:
        """Write one reply per request, greedy or drawn by its seed; see `Engine.reason`.

        A request that vLLM refuses (a picture, its length) gets a `NoReply`.
        """
        distinct = sorted({r for r in requests if not self._chat.refuses(r)}, key=batch_order)
        prompts = [
            _Request(
                tuple(self._chat.encode(self._chat.reasoning_text(request))),
                request.images,
                self._params(
                    max_tokens=request.max_tokens,
                    stop_token_ids=list(self._ends),
                    structured_outputs=None
                    if request.schema is None
                    else self._structured(regex=self._regex(request.schema)),
                    **_drawn(request),
                ),
            )
            for request in distinct
        ]
        with self._lock:
            outputs = dict(zip(distinct, self._run(prompts), strict=True))
        replies = {
            request: NoReply(f"the model cannot take this request: {output}")
            if isinstance(output, str)
            else output.outputs[0].text.strip()
            for request, output in outputs.items()
        }
        return [
            NoReply(problem) if (problem := self._chat.refuses(request)) else replies[request]
            for request in requests
        ]

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
        with self._lock:
            if self._llm is not None:
                self._llm.llm_engine.engine_core.shutdown()
            self._llm = None

    def _reading(self, paths: LabelPaths) -> Any:
        """Parameters that read the tokens of every path and what ends a turn, and write no text."""
        ids = {token for label in paths.paths for path in label for token in path}
        token_ids = sorted(ids | set(self._ends) if paths.ended else ids)
        return self._params(max_tokens=1, logprob_token_ids=token_ids, detokenize=False, **_PINNED)

    def _answer(self, probe: Probe, paths: LabelPaths, outputs: Mapping[Path, Any]) -> AnswerProbs:
        logs: dict[Path, dict[int, float]] = {}
        for path, output in outputs.items():
            if isinstance(output, str):
                return no_answer(probe, f"the model cannot take this request: {output}")
            logs[path] = {t: read.logprob for t, read in output.outputs[0].logprobs[0].items()}
        p_labels = tokens.label_probabilities(paths, logs, self._ends)
        if not all(0.0 <= p <= 1.0 for p in p_labels):
            return no_answer(probe, "the model gave NaN or infinite logits")
        (first,) = outputs[()].outputs[0].token_ids
        return AnswerProbs(p_labels, top=self._chat.tokenizer.decode([first]))

    # --- talking to vLLM ------------------------------------------------------------------------

    def _run(self, requests: Sequence[_Request]) -> list[Any]:
        """One output per request, in order; a text says why vLLM refused a single one."""
        if self._llm is None:
            raise EngineCallError(f"{self._card.uri} is closed; open it again")
        if self._home.left():
            raise EngineCallError(
                f"{self._card.uri} was opened before this process was forked, and vLLM does not go "
                "with a fork: open the judge in this process, or start it by spawn"
            )
        if not requests:
            return []
        try:
            return self._generate(requests)
        except self._refusals as error:
            # Either vLLM has let go of a picture that it was to remember, or it refuses one
            # request; halves of the batch, with all pictures sent again, tell which.
            resent = self._forget(requests)
            if len(requests) == 1 and not resent:
                return [first_line(error)]
        except Exception as error:  # whatever vLLM raises, this batch has no answers
            raise EngineCallError(f"{self._card.uri}: {failed(error)}{self._died()}") from error
        middle = len(requests) // 2
        return [*self._run(requests[:middle]), *self._run(requests[middle:])]

    def _died(self) -> str:
        """Say why the process that runs the model has ended, if it has; else nothing."""
        if not self._llm.llm_engine.engine_core.resources.engine_dead:
            return ""
        cause = last_error(self._log)
        why = f"It met: {cause}" if cause else "It left no message: it crashed, or was killed"
        return f" The process that runs the model has ended. {why}. Open the judge again."

    def _generate(self, requests: Sequence[_Request]) -> list[Any]:
        self._left_out.clear()
        outputs = self._outputs(requests)
        lost = [index for index, output in enumerate(outputs) if _is_lost(output)]
        if lost:
            # The process that runs the model misses a picture that the other one believes it has,
            # which happens after a refusal; now both know better.
            resent = [requests[index] for index in lost]
            self._forget(resent)
            for index, output in zip(lost, self._outputs(resent), strict=True):
                outputs[index] = "vLLM gave it up, twice" if _is_lost(output) else output
        for output in outputs:
            if not isinstance(output, str):
                self.tokens.add(len(output.prompt_token_ids), output.num_cached_tokens)
        return outputs

    def _outputs(self, requests: Sequence[_Request]) -> list[Any]:
        outputs: list[Any] = self._llm.generate(
            [self._prompt_of(request) for request in requests],
            [request.params for request in requests],
            use_tqdm=False,
        )
        if len(outputs) != len(requests):
            raise EngineCallError(
                f"{len(outputs)} outputs for {len(requests)} requests; the first belong to a call "
                "that was interrupted. Ask again"
            )
        return outputs

    def _prompt_of(self, request: _Request) -> dict[str, Any]:
        prompt: dict[str, Any] = {"prompt_token_ids": list(request.ids)}
        if request.images:
            prompt["multi_modal_data"] = {"image": self._once(request.images)}
            prompt["multi_modal_uuids"] = {"image": [p.digest for p in request.images]}
        return prompt

    def _once(self, pictures: Sequence[Picture]) -> list[Any]:
        """Hand pictures over in the first request that shows them, and later their hash alone."""
        sent = {picture.digest for picture in pictures} & self._sent.keys()
        self._left_out |= sent
        for picture in pictures:
            self._sent.put(picture.digest, None)
        return [None if picture.digest in sent else as_image(picture) for picture in pictures]

    def _forget(self, requests: Sequence[_Request]) -> bool:
        """Plan to send the pixels again; say whether any had been left out."""
        digests = [picture.digest for request in requests for picture in request.images]
        for digest in digests:
            self._sent.drop(digest)
        left_out = self._left_out.intersection(digests)
        self._left_out -= left_out
        return bool(left_out)


@dataclass(frozen=True, slots=True)
class _Request:
    """One prompt as token ids, with the pictures whose placeholders stand in it."""

    ids: Path
    images: tuple[Picture, ...]
    params: Any


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


def _is_lost(output: Any) -> bool:
    """Whether the process that runs the model could not even begin."""
    return bool(output.outputs[0].finish_reason == "error")
