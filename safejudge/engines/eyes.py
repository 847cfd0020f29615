"""Whether a model sees. Unlike pictures, and none, must not get one and the same answer.

Some servers drop the image part of a message without a word: their models answer from the text,
and every picture is judged by the wording of the rules alone. `prove_sight` asks before a judge is
opened; `Eyes` watches the answers while it judges. Neither knows rules, and neither can tell a
model that sees badly from one that sees well.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import deque
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from safejudge.engines import trivial
from safejudge.engines.forks import ProcessLock
from safejudge.engines.priors import answer_probes
from safejudge.engines.recent import RecentCache
from safejudge.engines.wrapped import WrappedEngine
from safejudge.errors import EngineCallError, EngineSetupError
from safejudge.types import AnswerProbs, Picture, Probe, are_probabilities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.engines.base import Engine
    from safejudge.types import Reasoning

QUESTION = trivial.GREY
INSTRUCTIONS = (
    "Answer the question with Yes or No.",
    "Look at the picture before you answer. Answer the question with Yes or No.",
)
"""Asked one after the other, until every picture is told from every other and from none."""

_SIDE = 224
"""Pixels of the trial pictures' sides: no processor refuses them, and few tokens stand for them."""
_BATCH_NOISE = 0.05
"""A label's probability may differ so much where one prompt is read twice in bfloat16, once from
the prefix cache. Nothing less is a difference where a picture takes no tokens."""

WARN_AFTER = 3
"""So many pictures that a model does not see are told of."""
LAST, LEAST, SHARE = 20, 10, 0.5
"""Of the last 20 pictures that were looked at, but at least 10, half may not be unseen."""
_CERTAIN = 1e-5
"""A score this near to 0 or 1 is a rounding of the model: that it is the same twice says nothing.
Servers that list the likeliest tokens give many such."""
_NEAR, _OPEN, ENOUGH = 1e-3, 0.02, 3
"""A server's numbers of one prompt differ a little from time to time. Those within `_NEAR` are as
good as equal, where scores keep `_OPEN` from 0 and 1, if that is so of `ENOUGH` questions."""
_SERVERS, _ROUNDING = ("server:", "decisions:"), "decisions:"
"""Engines whose numbers of one prompt differ from time to time, and which of them may round."""
_TWO_DECIMALS, _TIED = 0.005, 0.1
"""Scores on the grid of half a hundredth (where an engine puts a rounded 0) tie by chance: such a
one counts as those that are nearly equal do, and only that far from 0 and 1, where few others lie.
"""
_REMEMBERED = 4096
"""Questions, and pictures, that are remembered."""


def _trial_pictures() -> tuple[Picture, Picture]:
    """A light one in greys, and a dark one in colours."""
    rows, columns = np.indices((_SIDE, _SIDE)) // (_SIDE // 8)
    checks = ((rows + columns) % 2)[..., None]
    greys = np.where(checks, 224, 176) * np.ones(3, np.int64)
    colours = np.where(checks, (200, 0, 40), (0, 30, 90))
    greys[_SIDE // 4 : _SIDE // 2, _SIDE // 4 : -_SIDE // 4] = 96
    colours[_SIDE // 2 :, : _SIDE // 2] = (0, 120, 0)
    return Picture.of(greys.astype(np.uint8)), Picture.of(colours.astype(np.uint8))


# --- when a judge is opened -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Look:
    """One trial."""

    shown: str
    """What was shown, for people."""
    answer: AnswerProbs
    tokens: int | None
    """How long the prompt was, its picture included; None where nobody counts."""

    @property
    def problem(self) -> str | None:
        """Why the answer is none."""
        numbers = self.answer.p_labels
        if self.answer.problem is None and not (are_probabilities(numbers) and len(numbers) == 2):
            return f"its probabilities of yes and no are {numbers}"
        return self.answer.problem

    def is_told_from(self, other: _Look) -> bool | None:
        """Whether the model cannot have been given the same; None where nothing shows it."""
        counted = self.tokens is not None and other.tokens is not None
        if counted and self.tokens != other.tokens:
            return True
        if self.problem or other.problem:
            return None
        apart = max(
            abs(a - b) for a, b in zip(self.answer.p_labels, other.answer.p_labels, strict=True)
        )
        with_and_without = "nothing" in {self.shown, other.shown}
        return apart > (_BATCH_NOISE if counted and with_and_without else 0.0)


def prove_sight(engine: Engine) -> bool:
    """Show an engine that is to judge two unlike pictures, and none.

    Returns whether pictures take tokens there, as far as anybody counts them.

    Raises `EngineSetupError` where it answers two of these alike: the same numbers, and the same
    count of prompt tokens. Warns where it answers in no way that could be compared.
    """
    if looks_at_nothing(engine):
        return False
    uri = engine.card.uri
    problem, takes_tokens = _unproved(uri, engine)
    # A door (`sketch`'s) declines what is no drawn scene; the model behind it has to see.
    while problem is not None and isinstance(engine, WrappedEngine):
        engine = engine.engine
        problem, takes_tokens = _unproved(uri, engine)
    if problem is not None:
        warnings.warn(
            f"{uri}: whether it sees pictures could not be found out; asked about two, it gave no "
            f"answer ({problem})",
            UserWarning,
            stacklevel=3,
        )
    return takes_tokens


def looks_at_nothing(engine: Engine) -> bool:
    """Whether nobody takes this engine for one that sees: one for text alone, or `fake:`."""
    return not engine.card.pictures or engine.card.uri.startswith("fake:")


def _unproved(uri: str, engine: Engine) -> tuple[str | None, bool]:
    """Ask until everything is told apart; say what stood in the way where it cannot be.

    Says too whether every picture took tokens.

    Raises `EngineSetupError` where two are answered alike.
    """
    told: dict[tuple[str, str], bool | None] = {}
    takes_tokens = False
    for instruction in INSTRUCTIONS:
        looks = _looks(engine, instruction)
        for one, other in combinations(looks, 2):
            pair = one.shown, other.shown
            told[pair] = told.get(pair) or one.is_told_from(other)
        *shown, nothing = (look.tokens or 0 for look in looks)
        takes_tokens = nothing > 0 and min(shown) > nothing
        if all(told.values()):
            return None, takes_tokens
    for pair, apart in told.items():
        if apart is False:
            raise EngineSetupError(_blind(uri, pair, looks))
    return next(look.problem for look in looks if look.problem), takes_tokens


def _looks(engine: Engine, instruction: str) -> list[_Look]:
    """Ask about each picture and about none: one after the other, so that tokens can be counted."""
    light, dark = _trial_pictures()
    views = {"a light grey picture": (light,), "a dark coloured one": (dark,), "nothing": ()}
    looks = []
    for shown, images in views.items():
        before = 0 if engine.tokens is None else engine.tokens.prompt
        try:
            (answer,) = answer_probes(engine, None, [Probe(instruction, images, QUESTION)])
        except EngineCallError as error:
            raise EngineSetupError(
                f"{engine.card.uri}: the first questions about a picture failed. {error}"
            ) from error
        read = 0 if engine.tokens is None else engine.tokens.prompt - before
        looks.append(_Look(shown, answer, read or None))
    return looks


def _blind(uri: str, alike: tuple[str, str], looks: Sequence[_Look]) -> str:
    first = next(look for look in looks if look.shown == alike[0])
    numbers = ", ".join(f"{p:.6g}" for p in first.answer.p_labels)
    tokens = "" if first.tokens is None else f" and {first.tokens} prompt tokens"
    return (
        f"{uri} does not see pictures: shown {alike[0]} and {alike[1]}, it gave the same numbers "
        f"(yes and no: {numbers}){tokens}. Its server, or what stands before it, drops pictures, "
        "or the model takes none. Use a vision-language model and a server that passes pictures "
        "on; this one can compile constitutions."
    )


# --- while it judges ------------------------------------------------------------------------------


class Eyes:
    """Watches one engine's answers for pictures that are answered exactly as no picture is.

    A picture (or view of one) is unseen as long as every question that was put with it and without
    any got the same score and the same label mass, to the last digit; or took no more tokens than
    without any, where pictures take some; or, of a server, whose numbers differ a little each time,
    if three questions and more got nearly the same. Fewer such questions count only together with
    those of other pictures. Thread-safe.
    """

    def __init__(self, uri: str, *, takes_tokens: bool = False) -> None:
        """Watch the engine of this URI; `takes_tokens`: pictures took some at the start."""
        self._uri, self._takes_tokens = uri, takes_tokens
        self._priors: RecentCache[bytes, AnswerProbs] = RecentCache(_REMEMBERED)
        self._alike: RecentCache[_Key, int] = RecentCache(_REMEMBERED)
        """How surely a picture's reads are those of none, from `ENOUGH` on; 0: one is not."""
        self._last: deque[_Key] = deque(maxlen=LAST)
        self._count = 0
        """Pictures that are unseen so far."""
        self._told = False
        self._lock = ProcessLock()

    def watch(self, probes: Sequence[Probe], answers: Sequence[AnswerProbs]) -> None:
        """Look at one wave of answers.

        Warns after the third picture that is unseen. Raises `EngineCallError` once half of the
        last pictures are: what follows would be judged by its text alone.
        """
        asked = dict(zip(probes, answers, strict=True))
        with self._lock:
            for probe, answer in asked.items():
                if not probe.images:
                    self._priors.put(_words(probe), answer)
            for probe, answer in asked.items():
                if probe.images:
                    self._compare(probe, answer)
            self._tell()

    def unseen(self, request: Reasoning) -> str | None:
        """Say why reasoning about these pictures would be about nothing; None if it may go on."""
        with self._lock:
            if not self._is_unseen(_key(request)):
                return None
        return (
            "the model answered every question about this picture as without it, so it "
            "does not see it; it was not asked to reason"
        )

    def _compare(self, probe: Probe, answer: AnswerProbs) -> None:
        without = self._priors.get(_words(probe))
        alike = None if without is None else self._weighed(answer, without)
        if alike is None:
            return
        key = _key(probe)
        before = self._alike.get(key)
        was_unseen = self._is_unseen(key)
        if before is None:
            self._last.append(key)
        self._alike.put(key, 0 if 0 in (alike, before) else (before or 0) + alike)
        self._count += self._is_unseen(key) - was_unseen

    def _is_unseen(self, key: _Key) -> bool:
        return (self._alike.get(key) or 0) >= ENOUGH

    def _weighed(self, answer: AnswerProbs, without: AnswerProbs) -> int | None:
        """How much shows that a picture was answered as none is; None where nothing can."""
        read, least = answer.prompt_tokens, without.prompt_tokens
        if self._takes_tokens and read and least and read <= least:
            return ENOUGH
        if not (_tells(answer, _CERTAIN) and _tells(without, _CERTAIN)):
            return None
        tied = self._uri.startswith(_ROUNDING) and _is_rounded(answer)
        if (answer.score, answer.label_mass) == (without.score, without.label_mass) and not tied:
            return ENOUGH
        if not self._uri.startswith(_SERVERS):  # numbers of one prompt are equal there
            return 0
        apart = abs((answer.score or 0) - (without.score or 0))
        if max(apart, abs(answer.label_mass - without.label_mass)) > _NEAR:
            return 0
        return 1 if _tells(answer, _TIED if tied else _OPEN) else None

    def _tell(self) -> None:
        unseen = sum(bool(self._alike.get(key)) for key in self._last)
        if len(self._last) >= LEAST and unseen >= SHARE * len(self._last):
            raise EngineCallError(
                f"{self._uri} does not see pictures: of the last {len(self._last)} it looked at, "
                f"{unseen} got the numbers that the questions alone get, or took no more tokens "
                "than these. Its server, or what stands before it, drops pictures. Set that "
                "right, and judge again what was judged meanwhile."
            )
        if self._count >= WARN_AFTER and not self._told:
            self._told = True
            warnings.warn(
                f"{self._uri}: {self._count} pictures got the numbers that the questions alone "
                "get, or took no more tokens than these; does this model, or its server, "
                "still see pictures?",
                UserWarning,
                stacklevel=4,
            )


_Key = tuple[str, ...]
"""Digests of the pictures of a request: the pixels themselves are not kept."""


def _key(request: Probe | Reasoning) -> _Key:
    return tuple(picture.digest for picture in request.images)


def _words(probe: Probe) -> bytes:
    """What is asked, whatever is shown; hashed, for a caption may be long."""
    texts = "\0".join((probe.instruction, probe.question, *probe.labels))
    return hashlib.sha256(texts.encode("utf-8", "surrogatepass")).digest()


def _tells(answer: AnswerProbs, margin: float) -> bool:
    """Whether these are numbers that two prompts do not share by chance."""
    score = answer.score
    return score is not None and margin < score < 1 - margin


def _is_rounded(answer: AnswerProbs) -> bool:
    """Whether a score may be one of two decimals."""
    steps = (answer.score or 0) / _TWO_DECIMALS
    return abs(steps - round(steps)) < _CERTAIN
