"""Which tokens say a label, proved in the context of one generation prompt.

Takes a tokenizer as a function from text to ids; gives, per label, the token paths that spell it.
Pure: no model, no torch. What it cannot know is whether the model likes any of these spellings;
`AnswerProbs.label_mass` shows that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from safejudge.errors import EngineSetupError
from safejudge.types import YES_NO

Encode = Callable[[str], Sequence[int]]
Path = tuple[int, ...]


class LabelsError(ValueError):
    """These labels cannot be told apart, or not be spelled, after this prompt."""


@dataclass(frozen=True, slots=True)
class LabelPaths:
    """The token paths of a set of labels.

    P(label) is the sum over its paths of the product of next-token probabilities. If `ended`, each
    product also takes the probability that the turn ends right after the path.
    """

    labels: tuple[str, ...]
    """The labels, in the probe's order."""
    paths: tuple[tuple[Path, ...], ...]
    """Per label, every distinct path that spells it; all of length 1 in the ordinary case."""
    spellings: tuple[tuple[str, ...], ...]
    """The text of each path."""
    ended: bool
    """Whether one label's path begins another's ("1" and "10"), so that ends must count."""

    def continuations(self) -> tuple[Path, ...]:
        """List what must follow the prompt, once each, to read every factor; always has `()`."""
        needed: dict[Path, None] = {(): None}
        for path in (path for paths in self.paths for path in paths):
            for length in range(1, len(path) + self.ended):
                needed[path[:length]] = None
        return tuple(needed)


def spellings(label: str) -> tuple[str, ...]:
    """Spellings that count as the label: its cases, with and without a leading space.

    Cases of words only: "a" is an article, not the choice "A".
    """
    cases = [label]
    if len(label) > 1 and label.isalpha():
        cases += [label.lower(), label.capitalize(), label.upper()]
    return tuple(dict.fromkeys(space + case for case in cases for space in ("", " ")))


def continuation(encode: Encode, prompt: str, text: str) -> Path | None:
    """Tokenise `text` after `prompt`; None if it changes the prompt's own tokens."""
    before, after = list(encode(prompt)), list(encode(prompt + text))
    return tuple(after[len(before) :]) if after[: len(before)] == before else None


def single_tokens(encode: Encode, prompt: str, label: str) -> dict[Path, str]:
    """Every single token that spells the label after this prompt, with its spelling."""
    paths: dict[Path, str] = {}
    for text in spellings(label):
        path = continuation(encode, prompt, text)
        if path is not None and len(path) == 1:
            paths.setdefault(path, text)
    return paths


def resolve(encode: Encode, prompt: str, labels: tuple[str, ...]) -> LabelPaths:
    """Find the paths of a set of labels after a rendered prompt.

    Single tokens, summed over all spellings, where every label has one. Otherwise the whole set
    is scored as sequences, in two spellings: as written and with a leading space (which of the
    two follows depends on the template, so both count). Raises `LabelsError`.
    """
    if len(set(labels)) != len(labels) or not all(label.strip() for label in labels):
        raise LabelsError(f"labels must be distinct and not empty: {labels!r}")
    singles = [single_tokens(encode, prompt, label) for label in labels]
    written = [_written(encode, prompt, label) for label in labels]
    # A lone "1" may be the beginning of "10": then its first token does not say which is meant.
    if all(singles) and not _begins_another(singles, written):
        return _checked(labels, singles, ended=False)
    missing = [label for label, paths in zip(labels, written, strict=True) if not paths]
    if missing:
        raise LabelsError(explain(encode, prompt, missing))
    return _checked(labels, written, ended=_begins_another(written, written))


def prove_yes_no(encode: Encode, prompt: str, model: str) -> LabelPaths:
    """Find yes and no; `EngineSetupError` unless they are single, different tokens here."""
    try:
        labels = resolve(encode, prompt, YES_NO)
    except LabelsError as error:
        raise EngineSetupError(f"{model}: yes and no cannot be read. {error}") from error
    if any(len(path) > 1 for spelled in labels.paths for path in spelled):
        raise EngineSetupError(
            f"{model}: yes and no are not single tokens {explain(encode, prompt, YES_NO)}. "
            "Use another model or template."
        )
    return labels


def prove_words(encode: Encode, prompt: str, model: str, words: tuple[str, str]) -> LabelPaths:
    """Find a model's own words for yes and no, which it writes as they are given.

    As sequences where they are no single tokens: other cases of them say nothing then.
    `EngineSetupError` where they cannot be told apart.
    """
    paths = [continuation(encode, prompt, word) for word in words]
    single = all(path is not None and len(path) == 1 for path in paths)
    try:
        labels = (resolve if single else _in_pieces)(encode, prompt, words)
    except LabelsError as error:
        raise EngineSetupError(
            f"{model}: its words for yes and no, {' and '.join(words)}, cannot be read. {error}"
        ) from error
    return replace(labels, labels=YES_NO)


def _in_pieces(encode: Encode, prompt: str, words: tuple[str, ...]) -> LabelPaths:
    """Find words as they are given, in whatever pieces. Raises `LabelsError`."""
    written = [_written(encode, prompt, word) for word in words]
    if not all(written):
        raise LabelsError(explain(encode, prompt, words))
    return _checked(words, written, ended=_begins_another(written, written))


class LabelBook:
    """The label sets of one tokenizer and prompt, each resolved once; yes and no are proved first.

    `words` are what the model says for yes and no. Raises `EngineSetupError` where they cannot be
    read; yes and no themselves have to be single tokens.
    """

    def __init__(
        self, encode: Encode, prompt: str, model: str, words: tuple[str, str] = YES_NO
    ) -> None:
        self._encode, self._prompt = encode, prompt
        self.yes_no = (
            prove_yes_no(encode, prompt, model)
            if words == YES_NO
            else prove_words(encode, prompt, model, words)
        )
        self._resolved: dict[tuple[str, ...], LabelPaths | str] = {YES_NO: self.yes_no}

    def paths(self, labels: tuple[str, ...]) -> LabelPaths | str:
        """Return the paths of a label set, or why there are none."""
        if labels not in self._resolved:
            try:
                self._resolved[labels] = resolve(self._encode, self._prompt, labels)
            except LabelsError as error:
                self._resolved[labels] = f"labels {labels!r}: {error}"
        return self._resolved[labels]


def label_probabilities(
    labels: LabelPaths, logs: Mapping[Path, Mapping[int, float]], ends: Sequence[int]
) -> tuple[float, ...]:
    """P(label) = sum over its paths of the product of next-token probabilities.

    `logs` holds natural logarithms of next-token probabilities after each continuation. Where one
    label begins another ("1", "10") each product also takes the probability that the turn ends
    there: "1" then means 1 and nothing more, and the two can be compared. NaN where a number is.
    """

    def spelled(path: Path) -> float:
        log = math.fsum(logs[path[:index]][token] for index, token in enumerate(path))
        ended = math.fsum(math.exp(logs[path][end]) for end in ends) if labels.ended else 1.0
        return math.exp(log) * ended

    sums = [math.fsum(map(spelled, paths)) for paths in labels.paths]
    return tuple(min(total, 1.0) for total in sums)


def explain(encode: Encode, prompt: str, labels: Sequence[str]) -> str:
    """How each spelling of each label was tokenised, for an error message."""
    lines = []
    for label in labels:
        for text in spellings(label):
            path = continuation(encode, prompt, text)
            reading = "changes the prompt's own tokens" if path is None else f"tokens {list(path)}"
            lines.append(f"{text!r}: {reading}")
    return f"after the prompt ending in {prompt[-40:]!r}: " + "; ".join(lines)


def _written(encode: Encode, prompt: str, label: str) -> dict[Path, str]:
    paths: dict[Path, str] = {}
    for text in (label, f" {label}"):
        path = continuation(encode, prompt, text)
        if path:
            paths.setdefault(path, text)
    return paths


def _begins_another(starts: Sequence[dict[Path, str]], wholes: Sequence[dict[Path, str]]) -> bool:
    """Whether a path of one label is a proper beginning of a path of another label."""
    return any(
        len(start) < len(path) and path[: len(start)] == start
        for i, label_starts in enumerate(starts)
        for j, label_wholes in enumerate(wholes)
        if i != j
        for start in label_starts
        for path in label_wholes
    )


def _checked(
    labels: tuple[str, ...], paths_by_label: Sequence[dict[Path, str]], *, ended: bool
) -> LabelPaths:
    owners: dict[Path, str] = {}
    for label, paths in zip(labels, paths_by_label, strict=True):
        for path in paths:
            if path in owners:
                raise LabelsError(f"{owners[path]!r} and {label!r} are the same tokens {path}")
            owners[path] = label
    return LabelPaths(
        labels,
        tuple(tuple(paths) for paths in paths_by_label),
        tuple(tuple(paths.values()) for paths in paths_by_label),
        ended,
    )
