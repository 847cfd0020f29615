"""A model id or folder -> model and processor, and what identifies them.

Every way this can go wrong is an `EngineSetupError` that names the model and the next step.
Code from a repository is never run (`trust_remote_code` stays False).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.errors import EngineSetupError

if TYPE_CHECKING:
    import torch

_WHOLE = 256 * 2**20
"""Weight files up to this size are hashed whole; of larger ones size, first and last MiB."""

_IDENTITY = ("*.json", "*.jinja", "*.txt", "*.model", "*.safetensors")
"""Files of a folder that can change an answer: configuration, tokenizer, template, weights."""


def load_config(model: str) -> Any:
    """Read a model's configuration; the first thing that touches folder or hub."""
    from transformers import AutoConfig

    try:
        if Path(model).is_dir() and not Path(model, "config.json").is_file():
            raise FileNotFoundError(f"no config.json in {model}")
        return AutoConfig.from_pretrained(model, trust_remote_code=False)
    except OSError as error:
        raise EngineSetupError(
            f"{model}: not a folder with a model, and not to be had from the hub. Check the "
            f"spelling, the network, or give hf:/path/to/folder. ({_first_line(error)})"
        ) from error
    except (ValueError, KeyError) as error:
        raise EngineSetupError(
            f"{model}: its architecture is not known to the installed transformers; code that a "
            f"repository brings along is never run. Upgrade transformers or use another model. "
            f"({_first_line(error)})"
        ) from error


def load_processor(model: str) -> Any:
    """Load tokenizer, image processor and template."""
    from transformers import AutoProcessor, ProcessorMixin

    auto: Any = AutoProcessor
    try:
        processor = auto.from_pretrained(model, trust_remote_code=False)
    except ImportError as error:
        raise EngineSetupError(
            f"{model}: its processor needs a library that is not installed; for Qwen2.5-VL, "
            "InternVL and SmolVLM2 that is the torchvision that belongs to the installed torch "
            f"(pip install torchvision; SmolVLM2 also num2words). ({_first_line(error)})"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineSetupError(
            f"{model}: no processor (preprocessor_config.json, tokenizer files) could be loaded. "
            f"Use a complete vision-language checkpoint. ({_first_line(error)})"
        ) from error
    if not isinstance(processor, ProcessorMixin):
        raise EngineSetupError(
            f"{model}: it has a {type(processor).__name__} but no processor for pictures. "
            "Use a vision-language model."
        )
    if processor.tokenizer.pad_token_id is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token
    processor.tokenizer.padding_side = "left"
    return processor


def load_model(model: str, device: str, dtype: str | None) -> Any:
    """Load the weights, strictly, in evaluation mode.

    `dtype` None is float32 on a CPU and the checkpoint's own type elsewhere.
    """
    import torch
    from transformers import AutoModelForImageTextToText

    auto: Any = AutoModelForImageTextToText
    if dtype is None:
        dtype = "float32" if device == "cpu" else "auto"
    try:
        loaded, report = auto.from_pretrained(
            model, dtype=dtype, trust_remote_code=False, output_loading_info=True
        )
    except ValueError as error:
        raise EngineSetupError(
            f"{model}: not a model that takes pictures and writes text "
            f"(AutoModelForImageTextToText refused it). ({_first_line(error)})"
        ) from error
    except (OSError, ImportError) as error:
        raise EngineSetupError(
            f"{model}: its weights could not be loaded. ({_first_line(error)})"
        ) from error
    for problem in ("missing_keys", "mismatched_keys"):
        if report[problem]:
            some = ", ".join(sorted(map(str, report[problem]))[:3])
            raise EngineSetupError(
                f"{model}: {len(report[problem])} {problem.replace('_', ' ')}, such as {some}. "
                "These weights do not belong to this configuration."
            )
    try:
        return loaded.to(torch.device(device)).eval()
    except (RuntimeError, AssertionError) as error:
        raise EngineSetupError(
            f"{model}: cannot be placed on device {device!r}. ({_first_line(error)})"
        ) from error


def default_device() -> str:
    """CUDA where there is one, else the CPU."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def pin_generation(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Make generation greedy whatever the checkpoint says; returns the ids that end a turn.

    Checkpoints ship sampling, temperatures and repetition penalties in `generation_config`, and
    `generate` would take each of them where we say nothing.
    """
    from transformers import GenerationConfig

    given = model.generation_config.eos_token_id
    ends = [given] if isinstance(given, int) else list(given or ())
    if tokenizer.eos_token_id is not None:
        ends.append(tokenizer.eos_token_id)
    if not ends:
        raise EngineSetupError(
            "the model names no token that ends a turn (eos_token_id); add it to the tokenizer"
        )
    distinct = tuple(dict.fromkeys(int(token) for token in ends))
    pinned: Any = GenerationConfig
    model.generation_config = pinned(
        do_sample=False,
        num_beams=1,
        eos_token_id=list(distinct),
        pad_token_id=tokenizer.pad_token_id,
    )
    return distinct


def weights_identity(model: str) -> str:
    """Name the weights: a commit of the hub, or a hash over a folder's files.

    Of safetensors files larger than 256 MiB the hash takes name, size, first and last MiB.
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


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


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
