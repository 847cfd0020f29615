"""A model of transformers that runs in this process: one call at a time, and its errors as ours."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from safejudge.engines.forks import Home, ProcessLock
from safejudge.engines.local.checkpoint import distinct_ends
from safejudge.errors import EngineCallError, EngineSetupError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from safejudge.types import EngineCard


class LocalModel:
    """The base of an engine, an encoder or a detector on one loaded model.

    Calls may come from several threads; `_running` lets them in one after the other.
    """

    def __init__(self, model: Any, card: EngineCard, batch_size: int) -> None:
        self._model = model
        self._card = card
        self._batch_size = batch_size
        self._lock = ProcessLock()
        self._home = Home()

    @property
    def card(self) -> EngineCard:
        """What this model is."""
        return self._card

    def close(self) -> None:
        """Let go of the model; calls after this raise `EngineCallError`."""
        with self._lock:
            self._model = None

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Run one call, without gradients. Raises `EngineCallError`, also where it is closed."""
        with self._lock, running(self._card.uri, self._batch_size):
            if self._model is None:
                raise EngineCallError(f"{self._card.uri} is closed; open it again")
            if self._home.left():
                self._settle()
            yield

    def _settle(self) -> None:
        """Work by one thread in a forked child: those that torch would share it with are gone."""
        import torch

        torch.set_num_threads(1)
        self._home = Home()


def check_options(batch_size: int, dtype: str | None) -> None:
    """Raise `EngineSetupError` for options that no model in this process takes."""
    if batch_size < 1:
        raise EngineSetupError(f"batch_size must be at least 1, not {batch_size}")
    if dtype is not None:
        torch_type(dtype)


def torch_type(dtype: str) -> torch.dtype:
    """Look up the torch type of a name; `EngineSetupError` for any other word."""
    import torch

    names = {
        "float32": torch.float32,
        "bfloat16": torch.bfloat16,
        "float16": torch.float16,
    }
    if dtype not in names:
        raise EngineSetupError(f"dtype {dtype!r} is not one of {', '.join(names)}")
    return names[dtype]


def pin_generation(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Make generation greedy whatever the checkpoint says; returns the ids that end a turn.

    Checkpoints ship sampling, temperatures and repetition penalties in `generation_config`, and
    `generate` would take each of them where we say nothing.
    """
    from transformers import GenerationConfig

    ends = distinct_ends(model.generation_config.eos_token_id, tokenizer)
    pinned: Any = GenerationConfig
    model.generation_config = pinned(
        do_sample=False,
        num_beams=1,
        eos_token_id=list(ends),
        pad_token_id=tokenizer.pad_token_id,
    )
    return ends


def positions_of(config: Any) -> int | None:
    """Tokens that a prompt and its reply may have together; None where the model does not say.

    What stretches its positions (linear, dynamic, YaRN) is a factor beside the length that it was
    trained on.
    """
    text = config.get_text_config()
    positions = getattr(text, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions < 1:
        return None
    rope = getattr(text, "rope_parameters", None) or {}
    if rope.get("rope_type") in _STRETCHING:
        trained = rope.get("original_max_position_embeddings") or positions
        return max(positions, int(trained * (rope.get("factor") or 1)))
    return positions


_STRETCHING = frozenset({"linear", "dynamic", "yarn"})


@contextmanager
def running(uri: str, batch_size: int) -> Iterator[None]:
    """Run a model without gradients; what the libraries raise becomes `EngineCallError`."""
    import torch

    with torch.inference_mode():
        try:
            yield
        except (RuntimeError, IndexError, ValueError) as error:
            raise _call_error(uri, batch_size, error) from error


def is_lasting(error: Exception) -> bool:
    """Whether a failure says nothing of what was asked: no memory, a device that is gone, a stop.

    After a fault of CUDA every later call fails, whatever it is about.
    """
    if isinstance(error, EngineCallError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and (
        _is_memory(error) or _DEVICE.search(str(error)) is not None
    )


_DEVICE = re.compile(
    r"CUDA error|cuBLAS|CUDNN_STATUS|HIP error|device-side assert|NCCL", re.IGNORECASE
)


def _is_memory(error: Exception) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def _call_error(uri: str, batch_size: int, error: Exception) -> EngineCallError:
    """Say what a model that failed on a call needs: less at once, if it ran out of memory."""
    step = (
        f"out of memory: use a smaller batch_size than {batch_size}"
        if _is_memory(error)
        else "the model failed on this call"
    )
    return EngineCallError(f"{uri}: {step}. ({error})")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from a progress bar over 9 MB, and from warning of its own defaults."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        logging.enable_progress_bar()
