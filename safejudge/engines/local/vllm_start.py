"""Starting vLLM: its settings, and what it says of one that it does not take."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from safejudge.engines.guide import json_regex, served_regex
from safejudge.engines.local.quirks import one_way_pictures
from safejudge.engines.local.worker_log import last_error
from safejudge.errors import EngineSetupError
from safejudge.text import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pydantic import BaseModel

HARMLESS = frozenset(
    {
        *("cpu_offload_gb", "gpu_memory_utilization", "kv_cache_memory_bytes", "swap_space"),
        *("data_parallel_size", "pipeline_parallel_size", "tensor_parallel_size"),
        *("disable_custom_all_reduce", "distributed_executor_backend", "enforce_eager"),
        *(
            "block_size",
            "enable_chunked_prefill",
            "enable_prefix_caching",
            "num_gpu_blocks_override",
        ),
        *("limit_mm_per_prompt", "max_num_batched_tokens", "max_num_seqs", "mm_processor_cache_gb"),
        *("disable_log_stats", "download_dir", "max_parallel_loading_workers", "seed"),
        "dtype",  # the type that comes of it has a place of its own
    }
)
"""Options that say where a model runs, how much at a time, and what is logged: they move a number
by rounding at most. Every other one is part of the revision. `max_model_len` is, for some models
choose the factors of their positions by it."""

_FAST = "guidance"
"""The grammar of vLLM that needs a millisecond for each token of a regular expression."""

_BLOCK_ON_CPU = 32
"""Tokens per block of the prefix cache; vLLM's own 128 on a CPU would hide short prefixes."""


def import_vllm(uri: str) -> tuple[Any, Any, tuple[type[Exception], ...]]:
    """Return vLLM's classes of parameters and what it raises for a request that it refuses."""
    try:
        from vllm import SamplingParams, exceptions
        from vllm.sampling_params import StructuredOutputsParams
    except ImportError as error:
        raise EngineSetupError(
            f"{uri}: vLLM cannot be imported ({first_line(error)}). pip install 'safejudge[vllm]', "
            "or ask a server (server:http://HOST:PORT/v1#MODEL) or transformers (hf:ORG/MODEL)"
        ) from error
    refusals = ValueError, getattr(exceptions, "VLLMClientError", ValueError)
    return SamplingParams, StructuredOutputsParams, refusals


def start_vllm(model: str, uri: str, options: Mapping[str, Any], log: Path | None) -> Any:
    """Start vLLM; `log` is what its processes write their errors to.

    Raises `EngineSetupError`.
    """
    from vllm import LLM
    from vllm.platforms import current_platform

    settings: dict[str, Any] = {
        "generation_config": "vllm",
        "logprobs_mode": "raw_logprobs",
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        # The default for regular expressions takes up to a second of the host for every token.
        "structured_outputs_config": {"backend": _FAST},
    }
    if current_platform.is_cpu():
        settings["block_size"] = _BLOCK_ON_CPU
    try:
        return LLM(model=model, **(settings | dict(options)))
    except Exception as error:  # whatever vLLM meets in a configuration that it does not know
        if isinstance(error, TypeError) and (unknown := _unknown_option(error, options)):
            raise EngineSetupError(
                f"{uri}: vLLM takes no option {unknown} ({first_line(error)}). --engine-arg "
                "NAME=VALUE takes the arguments of vllm.LLM, such as max_model_len=4096"
            ) from error
        cause = last_error(log)
        met = f" It met: {cause}." if cause else ""
        raise EngineSetupError(
            f"{uri}: vLLM did not start. {failed(error, _UNKNOWN, cause)}{met}"
        ) from error


def check_pictures(llm: Any, uri: str) -> None:
    """Raise `EngineSetupError` for a model whose pictures this vLLM reads in another way."""
    from vllm.platforms import current_platform

    if current_platform.is_cpu() and (problem := one_way_pictures(llm.model_config)):
        raise EngineSetupError(f"{uri}: {problem}")


def _unknown_option(error: TypeError, options: Mapping[str, Any]) -> str:
    """Which of a person's options a `TypeError` is about; empty for one about something else."""
    named = [name for name in options if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", str(error))]
    return ", ".join(named)


def regex_for(llm: Any) -> Callable[[type[BaseModel]], str]:
    """Which form of a schema the grammar of this vLLM takes well."""
    backend = llm.llm_engine.vllm_config.structured_outputs_config.backend
    return json_regex if backend == _FAST else served_regex


_UNKNOWN = " This version of vLLM may not know the model; try hf:, or a newer vLLM."


def failed(error: Exception, step: str = "", cause: str = "") -> str:
    """Say what vLLM met, and what to try: `step`, where neither it nor its `cause` tells."""
    message = first_line(error)
    if isinstance(error, ValidationError):  # its first line only counts the errors
        message = "; ".join(problem["msg"] for problem in error.errors())[:300]
    text = f"{error} {cause}".lower()
    if "less than desired" in text:  # it takes a share of all memory, and others hold too much
        step = (
            " Ask for less, or free some: --engine-arg gpu_memory_utilization=0.5 (on a CPU: "
            "VLLM_CPU_KVCACHE_SPACE, in GiB)."
        )
    elif "out of memory" in text or "kv cache" in text:
        step = (
            " Give it more or ask for less: --engine-arg gpu_memory_utilization=0.95, "
            "--engine-arg max_model_len=4096 (on a CPU: VLLM_CPU_KVCACHE_SPACE, in GiB)."
        )
    return f"{message.rstrip('.')}.{step}"
