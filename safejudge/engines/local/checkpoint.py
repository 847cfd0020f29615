"""A model id or folder -> configuration, processor, weights, and what identifies them.

Every way this can go wrong is an `EngineSetupError` that names the model and the next step.
Code from a repository is never run (`trust_remote_code` stays False).
"""

from __future__ import annotations

import hashlib
import json
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.engines import dialects, hub
from safejudge.engines.local import quirks
from safejudge.engines.local.chat import Chat, ChatSettings
from safejudge.engines.local.identity import picture_identity, weights_identity
from safejudge.engines.local.patches import place_patches
from safejudge.engines.local.proofs import proved_chat
from safejudge.errors import EngineSetupError
from safejudge.text import first_line
from safejudge.types import EngineCard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safejudge.engines.dialects import Dialect
    from safejudge.engines.tokens import LabelBook
    from safejudge.types import JSON

_CLASSIFIER = "AutoModelForImageClassification"

_PURPOSE = {
    "AutoModelForImageTextToText": "takes pictures and writes text",
    "AutoModelForCausalLM": "writes text",
    _CLASSIFIER: "is a classifier of pictures around one that writes text",
    "AutoModel": "puts pictures and texts into one space",
    "BlipForImageTextRetrieval": "says whether a text matches a picture",
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


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model of transformers as it lies in a folder or on the hub."""

    name: str
    """Folder or hub id."""
    uri: str
    """What the card calls it."""
    revision: str | None = None
    """Of a model of the hub: the branch, tag or commit; None its main one."""
    backend: str | None = None
    """What prepares pictures, `pil` or `torchvision`; None torchvision where it is installed."""

    def config(self) -> Any:
        """Read the configuration; the first thing that touches folder or hub."""
        from transformers import AutoConfig

        self._prove_torchvision()
        folder = Path(self.name)
        try:
            if folder.is_dir() and not (folder / "config.json").is_file():
                raise FileNotFoundError(f"no config.json in {self.name}")
            if self.name.startswith(("/", "./", "../", "~")) and not folder.exists():
                raise FileNotFoundError(f"there is no folder {self.name}")
            return AutoConfig.from_pretrained(self.name, **self._source())
        except OSError as error:
            raise self._problem(
                error,
                "not a folder with a model, and not to be had from the hub. Check the spelling, "
                "the network, or give hf:/path/to/folder.",
            ) from error
        except (ValueError, KeyError) as error:
            raise EngineSetupError(
                f"{self.name}: its architecture is not known to the installed transformers; code "
                "that a repository brings along is never run. Upgrade transformers or use another "
                f"model. ({first_line(error)})"
            ) from error

    def dialect(self, option: object) -> Dialect | None:
        """Find the form of question that this model is trained on; `option` is what a person said.

        Raises `EngineSetupError` for a dialect that there is not.
        """
        return dialects.choose(option, self._names())

    def _names(self) -> list[str]:
        """What this model is called: by its user, by the hub's cache, by its configuration."""
        settings = self._settings()
        folder = Path(self.name)
        if folder.is_dir():
            path = folder.resolve().parts
            called = [path[-1], *(part for part in path if part.startswith("models--"))]
        else:
            called = [self.name]
        told = [settings.get("_name_or_path"), settings.get("model_type")]
        return [*called, *(name for name in told if isinstance(name, str))]

    def chat(self, settings: ChatSettings | None = None) -> Chat:
        """Load tokenizer and template, ready for generation; raises `EngineSetupError`.

        Padding is on the left. A model that takes text alone has no image processor.
        """
        from transformers import PreTrainedTokenizerBase

        dialect = None if settings is None else settings.dialect
        if dialect is None or not dialect.classifies:
            self._refuse_classifier()
        processor = self._processor()
        if dialect is not None:
            processor = quirks.asks_no_questions(processor)
        if isinstance(processor, PreTrainedTokenizerBase):
            tokenizer: Any = processor
        else:
            tokenizer = self._with_pictures(processor).tokenizer
        self._prove_vocabulary(tokenizer)
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        tokenizer.padding_side = "left"
        return proved_chat(processor, self.name, settings or ChatSettings())

    def pair_processor(self) -> Any:
        """Load tokenizer and image processor as they were saved."""
        processor = self._with_pictures(self._processor())
        self._prove_vocabulary(processor.tokenizer)
        return processor

    def load(self, loader: str, device: str | None, dtype: str | None) -> Any:
        """Load the weights, strictly, in evaluation mode.

        `loader` is the class of transformers that knows the kind of model. `device` None takes
        CUDA where there is one; `dtype` None is float32 on a CPU and the checkpoint's own type
        elsewhere.
        """
        device = device or default_device()
        loaded = self._weights(loader, dtype or ("float32" if device == "cpu" else "auto"))
        if loader == _CLASSIFIER:
            loaded = loaded.model
        place_patches(loaded)
        return placed(loaded, device, self.name)

    def loader(self, chat: Chat) -> str:
        """Name the class of transformers that loads a model which answers."""
        if chat.dialect is not None and quirks.classifier(self._settings()) is not None:
            return _CLASSIFIER
        return "AutoModelForImageTextToText" if chat.pictures else "AutoModelForCausalLM"

    def turn_ends(self, tokenizer: Any) -> tuple[int, ...]:
        """Ids that end a turn, of a model that is not loaded here."""
        from transformers import GenerationConfig

        try:
            ends = GenerationConfig.from_pretrained(
                self.name, revision=self.revision or "main"
            ).eos_token_id
        except OSError:
            ends = None  # many folders have no such file
        return distinct_ends(ends, tokenizer)

    def chat_card(self, chat: Chat, labels: LabelBook, identity: JSON) -> EngineCard:
        """The card of a model that answers; `identity` is what its numbers depend on besides.

        Where that names another `engine` than transformers, its version is noted as well.
        """
        spelled = dict(zip(labels.yes_no.labels, labels.yes_no.spellings, strict=True))
        fields = {**identity, **chat.identity, "labels": spelled}
        card = replace(self._card(fields, spelled), pictures=chat.pictures, samples=True)
        if not chat.shows_several:
            card = replace(card, most_together=1)
        if chat.dialect is None:
            return card
        # A guard model is asked in the one form that it was trained on.
        return replace(
            card, dialect=chat.dialect.name, notes=chat.notes, most_together=1, samples=False
        )

    def pair_card(self, loaded: Any, processor: Any) -> EngineCard:
        """The card of a model without labels: an encoder or a detector."""
        return self._card({"dtype": str(loaded.dtype), **picture_identity(processor)}, {})

    def missing_library(self, error: Exception) -> EngineSetupError:
        """Say that it needs a library that is not installed."""
        return EngineSetupError(
            f"{self.name}: it needs a library that is not installed: "
            f"{quirks.missing_dependency(error) or _LIBRARIES}. pip install 'safejudge[hf]', or "
            f"that library. ({first_line(error)})"
        )

    def _problem(self, error: Exception, meaning: str) -> EngineSetupError:
        """Tell of the hub's refusal or the missing library behind an error, else its meaning."""
        if not Path(self.name).exists() and (refusal := hub.refusal(self.name, error)) is not None:
            return refusal
        if quirks.is_about_a_library(error):
            return self.missing_library(error)
        return EngineSetupError(f"{self.name}: {meaning} ({first_line(error)})")

    def _source(self) -> JSON:
        """What every loader is told: which version, and that no code of it is run.

        A commit never changes, so for one that is here whole the hub is not asked.
        """
        source: JSON = {"revision": self.revision or "main", "trust_remote_code": False}
        if self.revision is not None and hub.cached(self.name, self.revision) == self.revision:
            source["local_files_only"] = True
        return source

    def _refuse_classifier(self) -> None:
        """Raise `EngineSetupError` for a model that cannot be asked anything."""
        if (name := quirks.classifier(self._settings())) is not None:
            raise EngineSetupError(
                f"{self.name}: a {name} scores labels of its own and answers no questions, so no "
                "constitution can be put to it. Use a vision-language model that writes text, such "
                "as the one it was made from, or auto"
            )

    def _settings(self) -> JSON:
        """Read config.json; empty where it cannot be: that is told where the model is loaded."""
        from transformers import PreTrainedConfig

        try:
            settings, _ = PreTrainedConfig.get_config_dict(self.name, **self._source())
        except (OSError, ValueError):
            return {}
        return dict(settings)

    def _prove_torchvision(self) -> None:
        if (cause := quirks.unfit_torchvision()) is not None:
            raise EngineSetupError(
                f"{self.name}: the installed torchvision does not load beside the installed torch "
                f"({cause}), and transformers imports it wherever it is. Install the torchvision "
                "of the same index and version as torch, or pip uninstall torchvision"
            )

    def _processor(self) -> Any:
        from transformers import AutoProcessor

        self._prove_torchvision()
        auto: Any = AutoProcessor
        try:
            backend = {} if self.backend is None else {"backend": self.backend}
            return auto.from_pretrained(self.name, **self._source(), **backend)
        except ImportError as error:
            raise self.missing_library(error) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._problem(
                error,
                "no processor (preprocessor_config.json, tokenizer files) could be loaded. Use a "
                "complete checkpoint of a model for pictures and texts.",
            ) from error

    def _with_pictures(self, processor: Any) -> Any:
        from transformers import ProcessorMixin

        if not isinstance(processor, ProcessorMixin):
            raise EngineSetupError(
                f"{self.name}: it has a {type(processor).__name__} but no processor for pictures. "
                "Use a model for pictures and texts."
            )
        return processor

    def _prove_vocabulary(self, tokenizer: Any) -> None:
        """Refuse a tokenizer that knows no word.

        Where tokenizer files are missing, several classes of transformers load without a complaint
        and with nothing but their special tokens: then all texts look alike.
        """
        ids = {token for word in _WORDS for token in tokenizer(word)["input_ids"]}
        if ids <= set(tokenizer.all_special_ids):
            raise EngineSetupError(
                f"{self.name}: no processor could be loaded whole: the tokenizer has no words (its "
                "vocabulary files are missing). Use a complete checkpoint."
            )

    def _weights(self, loader: str, dtype: str) -> Any:
        import transformers
        from safetensors import SafetensorError

        auto: Any = getattr(transformers, loader)
        try:
            with _bars_on_terminals():
                loaded, report = auto.from_pretrained(
                    self.name, dtype=dtype, output_loading_info=True, **self._source()
                )
        except ValueError as error:
            raise self._problem(
                error, f"not a model that {_PURPOSE[loader]} ({loader} refused it)."
            ) from error
        except ImportError as error:
            raise self.missing_library(error) from error
        except (OSError, RuntimeError, SafetensorError) as error:
            raise self._problem(
                error,
                "its weights could not be loaded: the file is missing or damaged, or does not "
                "belong to this configuration. Download it again.",
            ) from error
        except Exception as error:  # a connection that broke is of none of these classes
            if (refusal := hub.refusal(self.name, error)) is None:
                raise
            raise refusal from error
        for problem in ("missing_keys", "mismatched_keys"):
            if keys := sorted(map(str, report[problem])):
                raise EngineSetupError(
                    f"{self.name}: {len(keys)} {problem.replace('_', ' ')}, such as "
                    f"{', '.join(keys[:3])}. These weights do not belong to this configuration."
                )
        return loaded

    def _card(self, identity: JSON, labels: dict[str, tuple[str, ...]]) -> EngineCard:
        fields = identity | {"weights": weights_identity(self.name, self.revision)}
        libraries = ["torch", "transformers", *filter(None, [identity.get("engine")])]
        return EngineCard(
            uri=self.uri,
            model=self.name,
            revision=hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest(),
            label_tokens=labels,
            versions={name: str(import_module(name).__version__) for name in libraries},
        )


@contextmanager
def _bars_on_terminals() -> Iterator[None]:
    """Keep the bars of transformers out of logs."""
    from transformers.utils import logging

    shown = sys.stderr.isatty() or not logging.is_progress_bar_enabled()
    if not shown:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if not shown:
            logging.enable_progress_bar()


def placed(model: Any, device: str, name: str) -> Any:
    """Move a model to a device, for evaluation. Raises `EngineSetupError`."""
    import torch

    try:
        return model.to(torch.device(device)).eval()
    except (RuntimeError, AssertionError) as error:
        raise EngineSetupError(
            f"{name}: cannot be placed on device {device!r}. ({first_line(error)})"
        ) from error


def default_device() -> str:
    """CUDA where there is one, else the CPU."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def distinct_ends(ends: int | list[int] | None, tokenizer: Any) -> tuple[int, ...]:
    """Ids that end a turn, once each: those that the model names, and the tokenizer's own."""
    ids = [ends] if isinstance(ends, int) else list(ends or ())
    if tokenizer.eos_token_id is not None:
        ids.append(tokenizer.eos_token_id)
    if not ids:
        raise EngineSetupError(
            "the model names no token that ends a turn (eos_token_id); add it to the tokenizer"
        )
    return tuple(dict.fromkeys(int(token) for token in ids))
