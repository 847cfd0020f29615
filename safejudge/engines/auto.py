"""`auto`: the open model that fits the memory at hand, and how it is opened.

Takes the memory and what is installed; gives the URI of a real engine with its options. It asks
nobody: whether gigabytes may be fetched is for the caller to know (`download`), and the command
line asks a person.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from safejudge.engines import hub
from safejudge.engines.local.checkpoint import default_device
from safejudge.engines.local.pixels import PixelRange
from safejudge.engines.local.running import check_options
from safejudge.engines.memory import Memory, measure
from safejudge.engines.open import AUTO, open_engine, takes_option
from safejudge.errors import EngineSetupError
from safejudge.text import first_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from safejudge.engines.base import Engine

_WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a number."""

ROOM = 4 * 10**9
"""Bytes beside the weights. The dearest thing is keys and values: 147,456 bytes a token for the
largest model below (2 x 36 layers x 8 heads x 128 x 2 bytes), 2.4 GB for 16 prompts of 1,000
tokens."""
_HOST_ROOM = 10**9
"""Bytes of the machine's memory that a run needs for itself while weights pass through to a GPU."""
_MOST_ON_CPU = 3 * 10**9
"""Parameters. A larger model would fit the memory of many machines; nobody would wait for it."""

_MAX_PIXELS = 1_000_000
"""Of a picture. A photograph of 12 million is twelve thousand tokens for a Qwen3-VL, a question."""
_CPU_BATCH = 4
"""Prompts at once. A CPU gains nothing by more, and each takes memory."""
_VLLM_SHARE = 0.92
"""Of a GPU's memory that has to be free for vLLM, which takes nine tenths of all of it."""


@dataclass(frozen=True, slots=True)
class OpenModel:
    """One row: a model with open weights, whose architecture the tests prove."""

    name: str
    """On the Hugging Face hub."""
    parameters: int
    width: int
    """Bytes of a parameter in the files, and on a GPU."""
    licence: str
    family: str
    """The tiny model of `tests/contract/` with this architecture."""
    needs: tuple[str, ...]
    """Modules beyond this package's own requirements."""
    processing: Mapping[str, Any] = field(default_factory=dict)
    """What vLLM is told about the size of pictures; `hf:` scales them itself."""

    def weights(self, width: int) -> int:
        """Bytes of its weights, with numbers of so many bytes."""
        return self.parameters * width


_QWEN: tuple[Any, ...] = (
    2,
    "Apache-2.0",
    "qwen3_vl",
    ("torchvision",),
    {"size": {"shortest_edge": 65_536, "longest_edge": _MAX_PIXELS}},  # pixels, for this family
)
"""What the Qwen3-VL models below have in common, in the order of the fields."""

# Parameters: counted by transformers 5.19 from the sizes in each model's config.json. Width and
# licence: its model card and the list of its files on the hub, read in stored copies of both. The
# files agree with the count: 4.26 GB of bfloat16 for 2B, 2.03 GB of float32 for 500M; for 8B and 4B
# the files of fine-tuned copies, 17.5 GB and, with a head of its own, 9.66 GB. No revision is
# pinned: whole commit ids could not be had. None of these checkpoints was run by us.
MODELS = (
    OpenModel("Qwen/Qwen3-VL-8B-Instruct", 8_767_123_696, *_QWEN),
    OpenModel("Qwen/Qwen3-VL-4B-Instruct", 4_437_815_808, *_QWEN),
    OpenModel("Qwen/Qwen3-VL-2B-Instruct", 2_127_532_032, *_QWEN),
    OpenModel(
        "HuggingFaceTB/SmolVLM2-500M-Video-Instruct",
        507_482_304,
        4,
        "Apache-2.0",
        "smolvlm",
        ("torchvision", "num2words"),
    ),
)
"""Those that `auto` chooses from, the best first."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A model, and how it is opened."""

    model: OpenModel
    scheme: str
    """`hf` or `vllm`."""
    width: int
    """Bytes of a number of its weights where it runs."""
    options: Mapping[str, Any]
    memory: Memory

    @property
    def uri(self) -> str:
        """The engine's own URI, by which records know it."""
        return f"{self.scheme}:{self.model.name}"

    def opened(self, commit: str) -> tuple[str, dict[str, Any]]:
        """What `open_engine` takes: the URI, and its options with the commit that is here."""
        return self.uri, {**self.options, "revision": commit}


def choose(options: Mapping[str, Any], memory: Memory | None = None) -> Choice:
    """Choose the first model that fits; `options` are the user's, and those of `hf:`.

    vLLM is taken where it is installed, a GPU is there and free, and no option is given. Raises
    `EngineSetupError` where nothing fits, or where a library is missing that the model needs.
    """
    _check(options)
    memory = _measured(options) if memory is None else memory
    for model in MODELS:
        width = _width(model, options, memory)
        if _fits(model, model.weights(width), memory):
            break
    else:
        least = MODELS[-1].weights(_width(MODELS[-1], options, memory)) + ROOM
        raise EngineSetupError(
            f"{AUTO}: {hub.gigabytes(memory.free)} of memory are free on {memory.device}, and the "
            f"smallest model that it knows needs {hub.gigabytes(least)}. Ask a server: "
            "server:http://HOST:PORT/v1#MODEL"
        )
    vllm = not options and not memory.on_cpu and _has("vllm") and _free_for_vllm(memory)
    if missing := [module for module in model.needs if not _has(module)]:
        raise EngineSetupError(
            f"{AUTO}: {model.name} needs {' and '.join(missing)}. pip install 'safejudge[hf]'"
        )
    chosen = _of_vllm(model) if vllm else _of_hf(options, memory)
    return Choice(model, "vllm" if vllm else "hf", width, chosen, memory)


def open_auto(  # noqa: PLR0913 - one argument for each option of a user's
    _path: str,
    /,
    *,
    uri: str,
    download: bool = False,
    device: str | None = None,
    dtype: str | None = None,
    batch_size: int | None = None,
    max_pixels: int | None = None,
    min_pixels: int | None = None,
) -> Engine:
    """Open the model that fits; see `choose`.

    Fetches nothing unless `download` says so. Raises `EngineSetupError`.
    """
    options = {
        "device": device,
        "dtype": dtype,
        "batch_size": batch_size,
        "max_pixels": max_pixels,
        "min_pixels": min_pixels,
    }
    choice = choose({name: value for name, value in options.items() if value is not None})
    commit = hub.cached(choice.model.name)
    if commit is None and not download:
        raise EngineSetupError(
            f"{uri}: {choice.model.name} (licence {choice.model.licence}) fits, and is not in "
            f"{hub.store()}. The option download=True fetches "
            f"{hub.gigabytes(choice.model.weights(choice.model.width))}; so does: "
            f"hf download {choice.model.name}"
        )
    if commit is None:
        commit = hub.fetch(hub.offer(choice.model.name))
    real, chosen = choice.opened(commit)
    return open_engine(real, **chosen)


def _check(options: Mapping[str, Any]) -> None:
    """Refuse before gigabytes are fetched what the engine would refuse after it."""
    if unknown := [name for name in options if not takes_option(AUTO, name)]:
        raise EngineSetupError(
            f"{AUTO} takes no option {', '.join(unknown)}. Name the engine that does: "
            "hf:ORG/MODEL, vllm:ORG/MODEL"
        )
    check_options(options.get("batch_size", 1), options.get("dtype"))
    PixelRange(options.get("min_pixels"), options.get("max_pixels", _MAX_PIXELS)).check()


def _measured(options: Mapping[str, Any]) -> Memory:
    device = options.get("device") or default_device()
    try:
        return measure(str(device))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise EngineSetupError(
            f"{AUTO}: nothing can be placed on device {device!r}. ({first_line(error)})"
        ) from error


def _width(model: OpenModel, options: Mapping[str, Any], memory: Memory) -> int:
    """Bytes of a number: `hf:` takes float32 on a CPU, and elsewhere what the files have."""
    dtype = options.get("dtype")
    if dtype is None:
        return 4 if memory.on_cpu else model.width
    return _WIDTHS.get(str(dtype), 4)  # whatever else it is, the engine refuses it


def _fits(model: OpenModel, weights: int, memory: Memory) -> bool:
    if memory.on_cpu and model.parameters > _MOST_ON_CPU:
        return False
    return weights + ROOM <= memory.free and weights + _HOST_ROOM <= memory.host


def _free_for_vllm(memory: Memory) -> bool:
    return memory.free >= _VLLM_SHARE * memory.total


def _of_hf(options: Mapping[str, Any], memory: Memory) -> dict[str, Any]:
    """Options of `hf:`: the user's, before ours."""
    ours: dict[str, Any] = {"max_pixels": _MAX_PIXELS}
    if memory.on_cpu:
        ours["batch_size"] = _CPU_BATCH
    return {**ours, **options}


def _of_vllm(model: OpenModel) -> dict[str, Any]:
    """Options of `vllm:`; with all the positions of these models its cache would not fit a GPU."""
    ours: dict[str, Any] = {
        "max_model_len": 8192,
        "limit_mm_per_prompt": {"image": 2, "video": 0},
    }
    return ours | ({"mm_processor_kwargs": dict(model.processing)} if model.processing else {})


def _has(module: str) -> bool:
    """Whether a module is installed; nothing of it is run."""
    return importlib.util.find_spec(module) is not None
