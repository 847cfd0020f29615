"""Engine, encoder and detector without a model, for trying the machinery. No judge looks here.

`FakeEngine(script, replies=...)` answers what a test tells it to and fails when the script runs
out. `FakeEngine()`, which is `fake:`, makes answers up from a hash of picture and question: the
same on every machine, so that whole runs can be compared byte by byte.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from safejudge.engines.lengths import byte_tokens, cut_bytes
from safejudge.errors import EngineCallError, StatementError
from safejudge.types import AnswerProbs, EngineCard, Probe, Reasoning

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safejudge.types import Box, Locate, Similarity

Answer = AnswerProbs | float | Exception
"""A score in [0, 1] means (score, 1 - score), NaN unusable logits; exceptions are raised."""
Reply = str | Exception

Script = Mapping[Any, Answer] | Sequence[Answer] | Callable[[Probe], Answer]
"""Answers by probe or question text, or one after the other, or from a function."""
Replies = Mapping[Any, Reply] | Sequence[Reply] | Callable[[Reasoning], Reply]
"""Replies by request or last message text, or one after the other, or from a function."""

_CHARACTERS_PER_TOKEN = 4
"""Where `max_tokens` cuts a reply that has no tokens."""

R = TypeVar("R", bound="Probe | Reasoning | Similarity | Locate")

_KEPT, _REQUEST = 64 * 2**20, 1024
"""Bytes that a history holds, and what a request without its pictures counts."""


class History(list[tuple[R, ...]]):
    """Waves of requests as they came. Of a long run the first are let go of: they hold pictures."""

    def __init__(self) -> None:
        super().__init__()
        self._size = 0

    def keep(self, wave: Sequence[R]) -> None:
        """Add a wave; with it no more than so many bytes of pictures and requests stay."""
        self.append(tuple(wave))
        self._size += _size_of(wave)
        while self._size > _KEPT and len(self) > 1:
            self._size -= _size_of(self.pop(0))


class FakeEngine:
    """Answers from a script; made-up ones where `script` or `replies` is None. No judge.

    A mapping is asked for the request itself, then for its question (its last message), and may be
    asked again; a sequence is used up. Whatever a script does not have is an `EngineCallError`.
    `history` holds the waves of requests in the order received; see `History`.
    """

    tokens = None

    def __init__(
        self,
        script: Script | None = None,
        *,
        replies: Replies | None = None,
        uri: str = "fake:",
    ) -> None:
        self.history: History[Probe | Reasoning] = History()
        self._answers = _source(made_up_answer if script is None else script)
        self._replies = _source(made_up_reply if replies is None else replies)
        made_up = script is None and replies is None
        self._card = EngineCard(
            uri=uri,
            model="fake",
            # A script has no revision: no cache may mistake its answers for another script's.
            revision=hashlib.sha256(b"fake").hexdigest() if made_up else "",
            label_tokens={"yes": ("yes",), "no": ("no",)},
            samples=True,
        )

    @property
    def card(self) -> EngineCard:
        """What this engine is: nothing but a script."""
        return self._card

    def check_statements(self, statements: Sequence[str]) -> None:
        """Accept every statement."""

    def answer_probs(self, probes: Sequence[Probe]) -> list[AnswerProbs]:
        """Take one answer per probe from the script."""
        self.history.keep(probes)
        return [_answer(probe, self._answers(probe, probe.question)) for probe in probes]

    def reason(self, requests: Sequence[Reasoning]) -> list[str]:
        """Take one reply per request from the script, cut at about `max_tokens`."""
        self.history.keep(requests)
        replies = []
        for request in requests:
            reply = self._replies(request, request.messages[-1].text)
            if isinstance(reply, Exception):
                raise reply
            replies.append(reply[: _CHARACTERS_PER_TOKEN * request.max_tokens])
        return replies

    def text_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count bytes: there is no tokenizer."""
        return byte_tokens(texts)

    def cut_text(self, text: str, tokens: int) -> str:
        """Cut by bytes."""
        return cut_bytes(text, tokens)

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""


def open_fake(_path: str, *, uri: str) -> FakeEngine:
    """Open `fake:`, which makes everything up."""
    return FakeEngine(uri=uri)


class FakeEncoder:
    """Similarities from a script, by request or text, or from a function. No encoder.

    `history` holds the waves of requests in the order received; see `History`.
    """

    def __init__(
        self,
        script: Mapping[Any, float] | Callable[[Similarity], float],
        *,
        uri: str = "fake:encoder",
        longest: int = 1000,
    ) -> None:
        self.history: History[Similarity] = History()
        self.card = EngineCard(uri=uri, model="fake", revision="")
        self._answers = _source(script)
        self._longest = longest

    def check_texts(self, texts: Sequence[str]) -> None:
        """Refuse texts of more than `longest` characters."""
        for text in texts:
            if len(text) > self._longest:
                raise StatementError(f"{text!r} is too long; give the rule a shorter `relevance`")

    def similarities(self, requests: Sequence[Similarity]) -> list[float]:
        """Take one number per request from the script."""
        self.history.keep(requests)
        return [self._answers(request, request.text) for request in requests]

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""


class FakeDetector:
    """Boxes from a script, by request or by word (then of all its words). No detector.

    `history` holds the waves of requests in the order received; see `History`.
    """

    def __init__(
        self,
        script: Mapping[Any, Sequence[Box]] | Callable[[Locate], Sequence[Box]],
        *,
        uri: str = "fake:detector",
    ) -> None:
        self.history: History[Locate] = History()
        self.card = EngineCard(uri=uri, model="fake", revision="")
        self._script = script

    def check_words(self, words: Sequence[str]) -> None:
        """Accept all words."""

    def locate(self, requests: Sequence[Locate]) -> list[tuple[Box, ...]]:
        """Take the boxes of each request from the script; a word it lacks is not found."""
        self.history.keep(requests)
        return [self._boxes(request) for request in requests]

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""

    def _boxes(self, request: Locate) -> tuple[Box, ...]:
        if callable(self._script):
            boxes = list(self._script(request))
        else:
            keys = [request] if request in self._script else request.words
            boxes = [box for key in keys for box in self._script.get(key, ())]
        return tuple(sorted(boxes, key=lambda box: -box.confidence))


def _size_of(wave: Sequence[Probe | Reasoning | Similarity | Locate]) -> int:
    """Bytes of a wave; a picture that several of its requests show counts once."""
    shown = {
        picture.digest: picture.pixels.nbytes
        for request in wave
        for picture in (
            request.images if isinstance(request, Probe | Reasoning) else (request.picture,)
        )
    }
    return sum(shown.values()) + _REQUEST * len(wave)


def made_up_answer(probe: Probe) -> AnswerProbs:
    """Probabilities that only a hash of pictures, instruction, question and labels decides."""
    draws = _draws(probe.images, probe.instruction, probe.question, *probe.labels)
    weights = [next(draws) + 1e-3 for _ in probe.labels]
    mass = 0.9 + 0.1 * next(draws)
    p_labels = tuple(mass * weight / sum(weights) for weight in weights)
    return AnswerProbs(p_labels, top=probe.labels[p_labels.index(max(p_labels))])


def made_up_reply(request: Reasoning) -> str:
    """Text, or JSON that fits the schema, that only a hash of the request decides."""
    words = [message.text for message in request.messages]
    if request.sampling is not None:
        words.append(f"seed {request.sampling.seed} at {request.sampling.temperature}")
    draws = _draws(request.images, request.instruction, *words)
    if request.schema is None:
        return f"Made up, no judge has looked: {int(next(draws) * 1e6):06d}."
    schema = request.schema.model_json_schema()
    return json.dumps(_example(schema, schema, draws), separators=(",", ":"))


def _source(script: Any) -> Callable[[Any, str], Any]:
    """One way to ask any kind of script."""
    if isinstance(script, Mapping):

        def look_up(request: Any, text: str) -> Any:
            for key in (request, text):
                if key in script:
                    return script[key]
            raise EngineCallError(f"the script of this FakeEngine has nothing for {text!r}")

        return look_up
    if callable(script):
        return lambda request, _text: script(request)
    remaining = iter(script)

    def take(_request: Any, text: str) -> Any:
        for item in remaining:
            return item
        raise EngineCallError(f"the script of this FakeEngine ran out at {text!r}")

    return take


def _answer(probe: Probe, scripted: Answer) -> AnswerProbs:
    if isinstance(scripted, Exception):
        raise scripted
    if isinstance(scripted, AnswerProbs):
        return scripted
    if math.isnan(scripted):
        return AnswerProbs((0.0,) * len(probe.labels), problem="scripted: NaN logits")
    if len(probe.labels) != 2 or not 0 <= scripted <= 1:
        raise EngineCallError(f"script {scripted!r}: give AnswerProbs for labels {probe.labels!r}")
    top = probe.labels[0] if scripted >= 0.5 else probe.labels[1]
    return AnswerProbs((float(scripted), 1.0 - scripted), top=top)


def _draws(images: Iterable[Any], *texts: str) -> Iterator[float]:
    """Endless numbers in [0, 1) from a hash of pictures and texts."""
    seed = json.dumps([[picture.digest for picture in images], *texts])
    count = 0
    while True:
        block = hashlib.sha256(f"{count}:{seed}".encode()).digest()
        yield int.from_bytes(block[:6]) / 2**48
        count += 1


def _example(schema: dict[str, Any], root: dict[str, Any], draws: Iterator[float]) -> Any:
    """Make up a value that fits a JSON schema as pydantic writes it."""
    if "$ref" in schema:
        return _example(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root, draws)
    options = [schema["const"]] if "const" in schema else schema.get("enum", schema.get("anyOf"))
    if options:
        chosen = options[int(next(draws) * len(options))]
        return _example(chosen, root, draws) if "anyOf" in schema else chosen
    value: Any = None
    match schema.get("type"):
        case "object":
            parts = schema.get("properties", {})
            value = {name: _example(part, root, draws) for name, part in parts.items()}
        case "array":
            count = max(1, schema.get("minItems", 0)) if "items" in schema else 0
            value = [_example(schema["items"], root, draws) for _ in range(count)]
        case "string":
            text = "made up".ljust(schema.get("minLength", 0), ".")
            value = text[: schema.get("maxLength", len(text))]
        case "integer" | "number":
            low = schema.get("minimum", 0)
            value = low + int(next(draws) * (schema.get("maximum", low + 1) - low + 1))
        case "boolean":
            value = next(draws) < 0.5
    return value
