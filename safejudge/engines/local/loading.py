"""A model id or folder -> model and processor, and what identifies them.

Every way this can go wrong is an `EngineSetupError` that names the model and the next step.
Code from a repository is never run (`trust_remote_code` stays False).
"""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.engines.local.patches import place_patches
from safejudge.errors import EngineCallError, EngineSetupError
from safejudge.text import first_line
from safejudge.types import EngineCard

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from safejudge.engines.local.chat import Chat
    from safejudge.engines.tokens import LabelBook
    from safejudge.types import JSON

_WHOLE = 256 * 2**20
"""Weight files up to this size are hashed whole; of larger ones size, first and last MiB."""

_IDENTITY = ("*.json", "*.jinja", "*.txt", "*.model", "*.safetensors", "*.bin")
"""Files of a folder that can change an answer: configuration, tokenizer, template, weights."""

_PURPOSE = {
    "AutoModelForImageTextToText": "takes pictures and writes text",
    "AutoModelForCausalLM": "writes text",
    "AutoModel": "puts pictures and texts into one space",
    "AutoModelForZeroShotObjectDetection": "finds objects by their names",
}
"""What a model has to do, by the class of transformers that loads it."""

_WORDS = ("a", "person", "dog", "red", "fire", "1")
"""At least one of them is in the vocabulary of any model that reads statements."""

_LIBRARIES = (
    "often torchvision, the one that belongs to the installed torch (Qwen2.5-VL, InternVL, "
    "SmolVLM2), num2words (SmolVLM2), scipy (OWLv2), sentencepiece (SigLIP) or timm"
)
"""What a checkpoint may need beyond this package's own requirements."""


def load_config(model: str) -> Any:
    """Read a model's configuration; the first thing that touches folder or hub."""
    from transformers import AutoConfig

    try:
        if Path(model).is_dir() and not Path(model, "config.json").is_file():
            raise FileNotFoundError(f"no config.json in {model}")
        if model.startswith(("/", "./", "../", "~")) and not Path(model).exists():
            raise FileNotFoundError(f"there is no folder {model}")
        return AutoConfig.from_pretrained(model, trust_remote_code=False)
    except OSError as error:
        raise EngineSetupError(
            f"{model}: not a folder with a model, and not to be had from the hub. Check the "
            f"spelling, the network, or give hf:/path/to/folder. ({first_line(error)})"
        ) from error
    except (ValueError, KeyError) as error:
        raise EngineSetupError(
            f"{model}: its architecture is not known to the installed transformers; code that a "
            f"repository brings along is never run. Upgrade transformers or use another model. "
            f"({first_line(error)})"
        ) from error


def check_options(batch_size: int, dtype: str | None) -> None:
    """Raise `EngineSetupError` for options that no model in this process takes."""
    if batch_size < 1:
        raise EngineSetupError(f"batch_size must be at least 1, not {batch_size}")
    if dtype is not None:
        torch_type(dtype)


def load_processor(model: str) -> Any:
    """Load a processor, or for a model that takes text alone its tokenizer, ready for generation.

    Padding is on the left.
    """
    from transformers import PreTrainedTokenizerBase

    processor = _load_processor(model)
    if isinstance(processor, PreTrainedTokenizerBase):
        tokenizer: Any = processor
    else:
        tokenizer = _require_pictures(model, processor).tokenizer
    _prove_vocabulary(model, tokenizer)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    return processor


def load_pair_processor(model: str) -> Any:
    """Load tokenizer and image processor as they were saved."""
    processor = _require_pictures(model, _load_processor(model))
    _prove_vocabulary(model, processor.tokenizer)
    return processor


def _load_processor(model: str) -> Any:
    from transformers import AutoProcessor

    auto: Any = AutoProcessor
    try:
        return auto.from_pretrained(model, trust_remote_code=False)
    except ImportError as error:
        raise missing_library(model, error) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineSetupError(
            f"{model}: no processor (preprocessor_config.json, tokenizer files) could be loaded. "
            f"Use a complete checkpoint of a model for pictures and texts. ({first_line(error)})"
        ) from error


def _require_pictures(model: str, processor: Any) -> Any:
    from transformers import ProcessorMixin

    if not isinstance(processor, ProcessorMixin):
        raise EngineSetupError(
            f"{model}: it has a {type(processor).__name__} but no processor for pictures. "
            "Use a model for pictures and texts."
        )
    return processor


def _prove_vocabulary(model: str, tokenizer: Any) -> None:
    """Refuse a tokenizer that knows no word.

    Where tokenizer files are missing, several classes of transformers load without a complaint
    and with nothing but their special tokens: then all texts look alike.
    """
    ids = {token for word in _WORDS for token in tokenizer(word)["input_ids"]}
    if ids <= set(tokenizer.all_special_ids):
        raise EngineSetupError(
            f"{model}: no processor could be loaded whole: the tokenizer has no words (its "
            "vocabulary files are missing). Use a complete checkpoint."
        )


def missing_library(model: str, error: ImportError) -> EngineSetupError:
    """Say that a checkpoint needs a library that is not installed."""
    return EngineSetupError(
        f"{model}: it needs a library that is not installed: {_LIBRARIES}. pip install it. "
        f"({first_line(error)})"
    )


def load_model(
    model: str, device: str, dtype: str | None, loader: str = "AutoModelForImageTextToText"
) -> Any:
    """Load the weights, strictly, in evaluation mode.

    `dtype` None is float32 on a CPU and the checkpoint's own type elsewhere. `loader` is the
    class of transformers that knows the kind of model.
    """
    import torch
    import transformers
    from safetensors import SafetensorError

    auto: Any = getattr(transformers, loader)
    if dtype is None:
        dtype = "float32" if device == "cpu" else "auto"
    try:
        loaded, report = auto.from_pretrained(
            model, dtype=dtype, trust_remote_code=False, output_loading_info=True
        )
    except ValueError as error:
        raise EngineSetupError(
            f"{model}: not a model that {_PURPOSE[loader]} ({loader} refused it). "
            f"({first_line(error)})"
        ) from error
    except ImportError as error:
        raise missing_library(model, error) from error
    except (OSError, RuntimeError, SafetensorError) as error:
        raise EngineSetupError(
            f"{model}: its weights could not be loaded: the file is missing or damaged, or does "
            f"not belong to this configuration. Download it again. ({first_line(error)})"
        ) from error
    for problem in ("missing_keys", "mismatched_keys"):
        if report[problem]:
            some = ", ".join(sorted(map(str, report[problem]))[:3])
            raise EngineSetupError(
                f"{model}: {len(report[problem])} {problem.replace('_', ' ')}, such as {some}. "
                "These weights do not belong to this configuration."
            )
    place_patches(loaded)
    try:
        return loaded.to(torch.device(device)).eval()
    except (RuntimeError, AssertionError) as error:
        raise EngineSetupError(
            f"{model}: cannot be placed on device {device!r}. ({first_line(error)})"
        ) from error


def default_device() -> str:
    """CUDA where there is one, else the CPU."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def pair_card(model: str, uri: str, loaded: Any) -> EngineCard:
    """The card of a model without labels: an encoder or a detector."""
    return _card(model, uri, {"dtype": str(loaded.dtype)}, {})


def chat_card(
    model: str, uri: str, chat: Chat, labels: LabelBook, identity: dict[str, str]
) -> EngineCard:
    """The card of a model that answers; `identity` is what its numbers depend on besides.

    Where that names another `engine` than transformers, its version is noted as well.
    """
    spelled = dict(zip(labels.yes_no.labels, labels.yes_no.spellings, strict=True))
    whole = {**identity, "template": chat.template, "labels": spelled}
    return replace(_card(model, uri, whole, spelled), pictures=chat.pictures)


def _card(model: str, uri: str, identity: JSON, labels: dict[str, tuple[str, ...]]) -> EngineCard:
    whole = identity | {"weights": weights_identity(model)}
    libraries = ["torch", "transformers", *filter(None, [identity.get("engine")])]
    return EngineCard(
        uri=uri,
        model=model,
        revision=hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest(),
        label_tokens=labels,
        versions={name: str(import_module(name).__version__) for name in libraries},
    )


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


@contextmanager
def running(uri: str, batch_size: int) -> Iterator[None]:
    """Run a model without gradients; what the libraries raise becomes `EngineCallError`."""
    import torch

    with torch.inference_mode():
        try:
            yield
        except (RuntimeError, IndexError, ValueError) as error:
            raise call_error(uri, batch_size, error) from error


def call_error(uri: str, batch_size: int, error: Exception) -> EngineCallError:
    """Say what a model that failed on a call needs: less at once, if it ran out of memory."""
    import torch

    memory = isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)
    step = (
        f"out of memory: use a smaller batch_size than {batch_size}"
        if memory
        else "the model failed on this call"
    )
    return EngineCallError(f"{uri}: {step}. ({error})")


def pin_generation(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Make generation greedy whatever the checkpoint says; returns the ids that end a turn.

    Checkpoints ship sampling, temperatures and repetition penalties in `generation_config`, and
    `generate` would take each of them where we say nothing.
    """
    from transformers import GenerationConfig

    distinct = _distinct_ends(model.generation_config.eos_token_id, tokenizer)
    pinned: Any = GenerationConfig
    model.generation_config = pinned(
        do_sample=False,
        num_beams=1,
        eos_token_id=list(distinct),
        pad_token_id=tokenizer.pad_token_id,
    )
    return distinct


def turn_ends(model: str, tokenizer: Any) -> tuple[int, ...]:
    """Ids that end a turn, of a model that is not loaded here."""
    from transformers import GenerationConfig

    try:
        given = GenerationConfig.from_pretrained(model).eos_token_id
    except OSError:
        given = None  # many folders have no such file
    return _distinct_ends(given, tokenizer)


def _distinct_ends(given: int | list[int] | None, tokenizer: Any) -> tuple[int, ...]:
    ends = [given] if isinstance(given, int) else list(given or ())
    if tokenizer.eos_token_id is not None:
        ends.append(tokenizer.eos_token_id)
    if not ends:
        raise EngineSetupError(
            "the model names no token that ends a turn (eos_token_id); add it to the tokenizer"
        )
    return tuple(dict.fromkeys(int(token) for token in ends))


def weights_identity(model: str) -> str:
    """Name the weights: a commit of the hub, or a hash over a folder's files.

    Of files larger than 256 MiB the hash takes name, size, first and last MiB.
    """
    folder = Path(model)
    if folder.is_dir():
        digest = hashlib.sha256()
        for path in sorted({found for mask in _IDENTITY for found in folder.glob(mask)}):
            digest.update(f"{path.name}:{path.stat().st_size}:".encode())
            digest.update(_file_digest(path))
        return digest.hexdigest()
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(model, "config.json")
    if not isinstance(cached, str):
        raise EngineSetupError(f"{model}: its files are not in the hub cache; load it again.")
    # The cache keeps a snapshot in a folder named after its commit.
    return Path(cached).parent.name


def _file_digest(path: Path) -> bytes:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _WHOLE:
            return hashlib.file_digest(file, "sha256").digest()
        first = file.read(2**20)
        file.seek(size - 2**20)
        return hashlib.sha256(first + file.read()).digest()


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
