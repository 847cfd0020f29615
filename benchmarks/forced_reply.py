"""One engine that writes free and forced replies, for `forced_replies.py`: prints its speed.

`python benchmarks/forced_reply.py SCHEME FOLDER`
"""

from __future__ import annotations

import inspect
import json
import sys
import time
from typing import Any

from safejudge import prompts
from safejudge.engines.local.hf import HFEngine
from safejudge.engines.open import open_engine
from safejudge.types import Message, Reasoning

TOKENS = 32
"""Tokens of a reply at most."""
SLOW = 20.0
"""Seconds; a call that takes longer is made once."""
PROMPTS = tuple(
    f"Tell a long story about a {place}, in many sentences."
    for place in ("kitchen", "street", "beach", "wood", "ship")
)


def measured(scheme: str, folder: str) -> dict[str, float]:
    """Open an engine and have it write; seconds of the first token, then tokens a second."""
    options: dict[str, Any] = {"max_model_len": 1024} if scheme == "vllm" else {"batch_size": 4}
    if "least_mass" in inspect.signature(HFEngine).parameters:
        options["least_mass"] = 0  # random weights say neither yes nor no
    engine: Any = open_engine(f"{scheme}:{folder}", **options)
    counted = _count_tokens(engine, scheme)

    def write(schema: Any, texts: tuple[str, ...], tokens: int) -> tuple[float, float]:
        """Seconds of one call, and tokens a second."""
        turns = [(Message("user", text),) for text in texts]
        counted.clear()
        start = time.perf_counter()
        engine.reason([Reasoning("Write at length.", (), turn, schema, tokens) for turn in turns])
        seconds = time.perf_counter() - start
        return seconds, sum(counted) / seconds

    form = prompts.ReasonedAnswer
    write(None, PROMPTS[:1], TOKENS)
    first, _ = write(form, PROMPTS[:1], 1)
    numbers = {"first": first}
    for suffix, texts in (("", PROMPTS[:1]), (" of four", PROMPTS[1:])):
        for name, schema in (("free", None), ("forced", form)):
            seconds, speed = write(schema, texts, TOKENS)
            # Once more, for what a first call pays; not where a call takes minutes.
            numbers[name + suffix] = speed if seconds > SLOW else write(schema, texts, TOKENS)[1]
    engine.close()
    return numbers


def _count_tokens(engine: Any, scheme: str) -> list[int]:
    """Note how many tokens every call writes, ends of turns included."""
    counted: list[int] = []
    if scheme == "vllm":
        real = engine._outputs  # noqa: SLF001 - only there it is known

        def outputs(requests: Any) -> Any:
            done = real(requests)
            counted.extend(len(output.outputs[0].token_ids) for output in done)
            return done

        engine._outputs = outputs  # noqa: SLF001 - only there it is known
        return counted
    generate, pad = engine._model.generate, engine._chat.tokenizer.pad_token_id  # noqa: SLF001 - only there it is known

    def generated(**inputs: Any) -> Any:
        output = generate(**inputs)
        counted.append(int((output[:, inputs["input_ids"].shape[1] :] != pad).sum()))
        return output

    engine._model.generate = generated  # noqa: SLF001 - only there it is known
    return counted


if __name__ == "__main__":
    print(json.dumps(measured(*sys.argv[1:])))
