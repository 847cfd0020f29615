"""Score models as their authors released them: one file of weights, with names of their own.

Takes the URI's path (the file, a folder with it, or the name of a repository of the hub); gives the
tensors, the tokenizer and the card. A file is read as tensors and nothing else, and every tensor in
it has to have its place. Every fault is an `EngineSetupError`.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.engines import hub
from safejudge.engines.local.identity import file_digest
from safejudge.errors import EngineSetupError
from safejudge.text import first_line
from safejudge.types import EngineCard

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from safejudge.types import JSON

    Weights = Mapping[str, torch.Tensor]

_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json")
"""Files of which a folder has one where it brings its own tokenizer."""


@dataclass(frozen=True, slots=True)
class Release:
    """One score model: what its file is called, and what its texts are read with."""

    title: str
    """What messages call it."""
    file: str
    """The file of weights in a folder or in the repository of the hub."""
    repository: str
    """Where on the hub its authors put it."""
    tokenizer: str
    """The repository of the hub with its tokenizer."""
    tokenizer_class: str
    """The class of transformers that reads it."""

    def find(self, path: str) -> Path:
        """Find the file of weights, fetching it where a repository of the hub is named."""
        there = Path(path)
        if there.is_file():
            return there
        if there.is_dir() or path.startswith(("/", "./", "../", "~")):
            if not (there / self.file).is_file():
                raise EngineSetupError(
                    f"{path}: no {self.title}, for {self.file} is not there. Name that file, its "
                    f"folder, or a repository of the hub, such as {self.repository}"
                )
            return there / self.file
        return Path(_fetched(path, self.file, self.repository))

    def weights(self, file: Path) -> dict[str, torch.Tensor]:
        """Read the tensors of a file, by name."""
        import pickle

        import torch

        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except (OSError, EOFError, ValueError, RuntimeError, pickle.UnpicklingError) as error:
            # Of such a file torch says how to run its code; that is no next step.
            unpickled = isinstance(error, pickle.UnpicklingError)
            why = "" if unpickled else f" ({first_line(error)})"
            raise EngineSetupError(
                f"{file}: no file of weights that torch reads, or one that would run code. "
                f"Download {self.repository} again.{why}"
            ) from error
        if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
            content = content["state_dict"]
        if not isinstance(content, dict) or not content:
            raise self.foreign(file, "it holds no tensors by name")
        if strange := [key for key, value in content.items() if not torch.is_tensor(value)]:
            raise self.foreign(file, f"{strange[0]!r} is no tensor")
        return {str(name): tensor for name, tensor in content.items()}

    def read_tokenizer(self, file: Path) -> Any:
        """Load the tokenizer that lies beside a file of weights, else the one of the hub."""
        import transformers

        beside = any((file.parent / name).is_file() for name in _TOKENIZERS)
        source = str(file.parent) if beside else self.tokenizer
        try:
            return getattr(transformers, self.tokenizer_class).from_pretrained(source)
        except Exception as error:
            if not beside and (refusal := hub.refusal(source, error)) is not None:
                raise refusal from error
            if not isinstance(error, OSError | ValueError | TypeError | KeyError):
                raise
            raise EngineSetupError(
                f"{source}: no tokenizer could be loaded. Put the files of {self.tokenizer} beside "
                f"{file}. ({first_line(error)})"
            ) from error

    def fill(self, model: Any, weights: Weights, file: Path) -> None:
        """Give a model its tensors: every one that it has, and none besides."""
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            lines = [line.strip() for line in str(error).splitlines()[1:]]
            raise self.foreign(file, " ".join(lines)[:300]) from error

    def foreign(self, file: Path, why: str) -> EngineSetupError:
        """Say that a file holds the weights of something else."""
        return EngineSetupError(
            f"{file}: not the weights of {self.title}: {why}. Download {self.repository} again"
        )

    def card(self, uri: str, file: Path, tokenizer: Any, dtype: str) -> EngineCard:
        """The card of the opened model; its revision is over weights, vocabulary and type."""
        import torch
        import transformers

        vocabulary = tokenizer.backend_tokenizer.to_str()
        fields: JSON = {
            "release": self.title,
            "weights": file_digest(file).hex(),
            "vocabulary": hashlib.sha256(vocabulary.encode()).hexdigest(),
            "dtype": dtype,
        }
        return EngineCard(
            uri=uri,
            model=uri.partition(":")[2],
            revision=hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest(),
            label_tokens={},
            versions={"torch": torch.__version__, "transformers": transformers.__version__},
        )


def stacked(weights: Weights, prefix: str) -> Any:
    """Build a stack of linear layers in the sizes, and at the places, of `PREFIX0.weight` and on.

    Between them lies dropout, which has no weights and does nothing once trained. Raises
    `KeyError` where there is no such layer.
    """
    from torch import nn

    found = (re.fullmatch(rf"{re.escape(prefix)}(\d+)\.weight", name) for name in weights)
    places = {int(match[1]): weights[match[0]].shape for match in found if match}
    if not places:
        raise KeyError(f"{prefix}0.weight")
    layers: list[Any] = [nn.Identity() for _ in range(max(places) + 1)]
    for place, (narrow, wide) in places.items():
        layers[place] = nn.Linear(int(wide), int(narrow))
    return nn.Sequential(*layers)


def _fetched(repository: str, file: str, usual: str) -> str:
    """Fetch a file of the hub, or take it from the cache."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError

    try:
        return hf_hub_download(repository, file)
    except Exception as error:
        if (refusal := hub.refusal(repository, error)) is not None:
            raise refusal from error
        if not isinstance(error, EntryNotFoundError | HFValidationError | OSError):
            raise
        raise EngineSetupError(
            f"{repository}: no file {file}, neither on this disk nor on the hub. Name the file, "
            f"its folder, or {usual}. ({first_line(error)})"
        ) from error
