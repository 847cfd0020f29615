"""`--engine auto`: what it chose is told, and a person is asked before anything is downloaded."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

from safejudge.engines.open import AUTO
from safejudge.errors import InputError
from safejudge.show.terminal import say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from safejudge.engines.auto import Choice
    from safejudge.engines.hub import Offer


def named(engine: str, args: Mapping[str, Any], *, yes: bool) -> tuple[str, dict[str, Any]]:
    """Return the URI of a real engine and its options: for `auto`, of one that is on this disk.

    `yes`: download without asking. Raises `InputError` where somebody says no, or where nobody
    could be asked; `EngineSetupError` as `auto` and the hub do.
    """
    if engine != AUTO:
        return engine, dict(args)
    from safejudge.engines import auto, hub

    options = dict(args)
    yes = bool(options.pop("download", False)) or yes
    choice = auto.choose(options)
    _tell(choice)
    commit = hub.cached(choice.model.name)
    if commit is not None:
        say(f"{AUTO}: it is in {hub.store()}")
    else:
        offered = hub.offer(choice.model.name)
        say(
            f"{AUTO}: {hub.gigabytes(offered.size)} to download from {hub.endpoint()} "
            f"into {hub.store()}"
        )
        if not yes:
            _ask(offered)
        _quiet_bars()
        commit = hub.fetch(offered)
    return choice.opened(commit)


def _tell(choice: Choice) -> None:
    from safejudge.engines.hub import gigabytes

    model, memory = choice.model, choice.memory
    runner = "vLLM" if choice.scheme == "vllm" else "transformers"
    slow = "; it will be slow, so begin with a few images" if memory.on_cpu else ""
    place = "the CPU" if memory.on_cpu else memory.device
    say(f"{AUTO}: {model.name}, {_many(model.parameters)} parameters, licence {model.licence}")
    say(
        f"{AUTO}: {gigabytes(model.weights(choice.width))} of weights, by {runner} on {place}, "
        f"where {gigabytes(memory.free)} of memory are free{slow}"
    )
    say(f"{AUTO}: the same by name: {_by_name(choice)}")


def _many(parameters: int) -> str:
    """Write a number of parameters as model cards do."""
    if parameters >= 1e9:
        return f"{parameters / 1e9:.1f} billion"
    return f"{parameters / 1e6:.0f} million"


def _by_name(choice: Choice) -> str:
    """Write the options that choose the same model without `auto`."""
    words = ["--engine", choice.uri]
    for name, value in choice.options.items():
        words += ["--engine-arg", f"{name}={value}"]
    return shlex.join(words)


def _ask(offered: Offer) -> None:
    """Let a person decide. Raises `InputError` unless it is a yes."""
    from safejudge.engines.hub import gigabytes

    size = gigabytes(offered.size)
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()):
        again = shlex.join(["safejudge", *sys.argv[1:], "--yes"])
        raise InputError(
            f"{AUTO}: nobody can be asked here whether to download {size}. If it may be: {again}"
        )
    print(f"Download {size}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise InputError(
            f"{AUTO}: {offered.name} was not downloaded. Name another model: --engine "
            "hf:ORG/MODEL, hf:/path/to/folder or server:http://HOST:PORT/v1#MODEL"
        )


def _quiet_bars() -> None:
    """Draw bars of a download on terminals only."""
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
