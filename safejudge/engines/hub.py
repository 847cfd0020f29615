"""A model of the Hugging Face hub: whether it is here, what fetching it takes, and fetching it.

Takes the name of a model; gives its commit. A model counts as here only when it is whole, and what
is fetched is the commit that was offered. Which hub is asked: `HF_ENDPOINT`; where models are kept:
`HF_HOME`. Every fault is an `EngineSetupError` that names the model and the next step.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from safejudge.errors import EngineSetupError
from safejudge.text import causes, cut, first_line

_WANTED = ["*.json", "*.jinja", "*.txt", "*.model", "*.safetensors"]
_UNWANTED = ["*/*"]
"""Folders hold the same weights for other programs (`onnx/`): gigabytes that nobody here reads."""
_SPARE = 2**29
"""Bytes of the disk that stay free."""
_PARTS = (
    ("config.json",),
    ("preprocessor_config.json", "processor_config.json"),
    ("tokenizer.json", "tokenizer.model", "vocab.json"),
)
"""Files without which a folder is no model for pictures; of each row one is enough."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that the hub has and this machine has not, or not whole."""

    name: str
    """Its name on the hub."""
    commit: str
    """The version that `main` is now."""
    size: int
    """Bytes that are still to be fetched."""


def cached(name: str, revision: str = "main") -> str | None:
    """Find the commit of a model that lies whole on this disk; asks no network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(
            snapshot_download(
                name,
                revision=revision,
                allow_patterns=_WANTED,
                ignore_patterns=_UNWANTED,
                local_files_only=True,
            )
        )
    except (LocalEntryNotFoundError, HFValidationError):
        return None  # not there, or known to be a part; or a folder, which is no name of the hub
    parts = all(any((folder / file).is_file() for file in row) for row in _PARTS)
    return folder.name if parts and _has_weights(folder) else None


def offer(name: str) -> Offer:
    """Ask the hub what it has under this name. Raises `EngineSetupError`."""
    from huggingface_hub import HfApi, try_to_load_from_cache

    try:
        info = HfApi().model_info(name, revision="main", files_metadata=True)
    except Exception as error:
        raise _fault(name, error, "it cannot be asked for") from error
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    missing = [
        file
        for file in filter(_wanted, sizes)
        if not isinstance(try_to_load_from_cache(name, file, revision=info.sha), str)
    ]
    weights = [file for file in filter(_wanted, sizes) if file.endswith(".safetensors")]
    if info.sha is None or not weights:
        raise EngineSetupError(
            f"{name}: {endpoint()} has no weights of that name in safetensors. Name another model, "
            "or a folder: hf:/path/to/folder"
        )
    return Offer(name, info.sha, sum(sizes[file] for file in missing))


def fetch(offered: Offer) -> str:
    """Download what was offered, and return its commit; what a broken try left is used.

    Raises `EngineSetupError`, before a byte is fetched where the disk has no room.
    """
    from huggingface_hub import snapshot_download

    _check_room(offered)
    try:
        folder = snapshot_download(
            offered.name,
            revision="main",  # so that the cache knows it as the main one
            allow_patterns=_WANTED,
            ignore_patterns=_UNWANTED,
        )
    except Exception as error:
        broken = "it broke off; what came stays, and the same command goes on from there"
        raise _fault(offered.name, error, broken) from error
    if Path(folder).name != offered.commit:
        raise EngineSetupError(
            f"{offered.name}: the hub replaced commit {offered.commit[:7]} by "
            f"{Path(folder).name[:7]} while it was fetched. Run the same command again"
        )
    if cached(offered.name) is None:
        raise EngineSetupError(
            f"{offered.name}: what {endpoint()} sent is not a whole model (a configuration, a "
            f"processor, a tokenizer, all weights). Name another one; it lies in {folder}"
        )
    return offered.commit


def endpoint() -> str:
    """Return the address of the hub that is asked."""
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def store() -> Path:
    """Return the folder in which models of the hub are kept."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _wanted(file: str) -> bool:
    """Whether a file is fetched, as the patterns have it."""
    return any(fnmatch(file, pattern) for pattern in _WANTED) and not any(
        fnmatch(file, pattern) for pattern in _UNWANTED
    )


def _has_weights(folder: Path) -> bool:
    """Whether every file of weights is there, of one file or of several that an index names."""
    if (folder / "model.safetensors").is_file():
        return True
    try:
        index = json.loads((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))
        files = set(index["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return bool(files) and all((folder / str(file)).is_file() for file in files)


def _check_room(offered: Offer) -> None:
    place = store().absolute()
    there = next(folder for folder in (place, *place.parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if free < offered.size + _SPARE:
        raise EngineSetupError(
            f"{offered.name}: {gigabytes(offered.size)} are to be fetched into {place}, and only "
            f"{gigabytes(free)} are free there. Make room, or set HF_HOME to a folder with more"
        )


def gigabytes(size: float) -> str:
    """Write a size as people do: `4.3 GB`; below a tenth of that in MB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def refusal(name: str, error: Exception) -> EngineSetupError | None:
    """Say what the hub answered, or that nothing came, if that is behind an error of a library.

    A file that a model does not have is no refusal.
    """
    from huggingface_hub.errors import EntryNotFoundError

    links = list(causes(error))
    if any(isinstance(link, EntryNotFoundError) for link in links):
        return None
    asked = any(_status(link) is not None or _is_of_the_network(link) for link in links)
    broken = "it could not be fetched whole; what came stays, and the same command goes on"
    return _fault(name, error, broken) if asked else None


def _is_of_the_network(error: BaseException) -> bool:
    """Whether the library that `huggingface_hub` asks with gave up, whatever it is called."""
    return type(error).__module__.partition(".")[0] in {"httpx", "httpx2", "httpcore"}


def _fault(name: str, error: Exception, unreached: str) -> EngineSetupError:
    """Say what a failed request to the hub means, and what to do.

    `unreached` is what it means where no answer came.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    chain = list(causes(error))
    hub, why = endpoint(), f"({cut(first_line(error), 200)})"
    status = next((code for e in chain if (code := _status(e)) is not None), None)
    if constants.HF_HUB_OFFLINE:
        text = (
            "not on this disk, and HF_HUB_OFFLINE=1 forbids to ask the hub. Unset it, or name a "
            "folder: --engine hf:/path/to/folder"
        )
    elif any(isinstance(e, GatedRepoError) for e in chain) or status == 403:
        text = (
            f"{hub} gives it only to people whom its owner lets in. Accept its terms at "
            f"{hub}/{name} and sign in (hf auth login, or HF_TOKEN)"
        )
    elif any(isinstance(e, RevisionNotFoundError) for e in chain):
        text = f"{hub} has it, but not this version of it. Leave `revision` out for the main one"
    elif status == 401:
        text = (
            f"{hub} does not give it without a key, or has no such model. Sign in (hf auth login, "
            "or HF_TOKEN), or name another one: --engine hf:ORG/MODEL"
        )
    elif any(isinstance(e, RepositoryNotFoundError) for e in chain) or status == 404:
        text = (
            f"{hub} has no such model. If HF_ENDPOINT names a mirror, it may lack this one; name "
            "another: --engine hf:ORG/MODEL, or a folder: hf:/path/to/folder"
        )
    elif status is not None:
        text = f"{hub} answered {status}. Try again later {why}"
    else:
        text = (
            f"{unreached}: no answer from {hub} {why}. Without a way there: HF_ENDPOINT names a "
            "mirror, hf:/path/to/folder a model on this disk, server:http://HOST:PORT/v1#MODEL "
            "one elsewhere; hf:sketch judges drawings alone"
        )
    return EngineSetupError(f"{name}: {text}")


def _status(error: BaseException) -> int | None:
    """Read the HTTP status of an answer that became an exception."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None
