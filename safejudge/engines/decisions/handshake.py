"""Which protocol a server speaks, and what it can do, found out before the first question.

Takes a way to send requests; gives the protocol, whether questions without a picture and with one
are taken, and whether the label mass is told. Two trivial questions have to come out the right way
round. Whatever is missing is an `EngineSetupError` that says what to do about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from safejudge.engines import trivial
from safejudge.engines.decisions.numbers import Answer
from safejudge.engines.decisions.protocols import PROTOCOLS
from safejudge.engines.local.place import LEAST_MASS
from safejudge.engines.server import handshake
from safejudge.engines.server.faults import FailedError, RefusedError, UnreadableError
from safejudge.engines.server.handshake import Served
from safejudge.engines.server.http import BUSY
from safejudge.errors import EngineSetupError
from safejudge.types import Probe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.engines.decisions.protocols import Protocol, Read
    from safejudge.engines.server.messages import DataUrls
    from safejudge.engines.server.vocabulary import Send
    from safejudge.types import JSON

SCHEME = "decisions"
"""What the URI of such an engine begins with."""
_ABSENT = frozenset({404, 405, 501})
"""What servers answer to a request that is none of theirs."""

_UNSURE = (
    "Is it raining now?",
    "Will the next toss of a coin be heads?",
    "Is tea better than coffee?",
    "Is a rose prettier than a tulip?",
    "Is a mile a long way?",
    "Is a Tuesday better than a Thursday?",
    "Is a cat a better pet than a dog?",
    "Is ten a large number?",
    "Is a pond a small lake?",
    "Is the sea blue?",
    "Is a tomato a vegetable?",
    "Is winter longer than summer?",
)
_OPEN = tuple(Probe(trivial.ASK, (), question) for question in _UNSURE)
"""Nobody is sure of these, so their answers show whether a server rounds."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a server can do in one protocol."""

    protocol: Protocol
    """How it is asked."""
    trivial: JSON
    """A body that it answered, and will as long as it runs."""
    proof: tuple[Answer, ...]
    """What it answered to the trivial questions: one that is true, one that is not."""
    open: tuple[Answer, ...]
    """What it answered to questions that nobody is sure of."""
    plain: bool
    """Whether it takes questions without a picture."""
    pictures: bool
    """Whether it takes questions with one."""

    @property
    def tells_mass(self) -> bool:
        """Whether it says how much probability the labels have."""
        return all(answer.mass is not None for answer in self.proof)

    @property
    def unsure(self) -> bool:
        """Whether the two trivial questions lie on the same side of 1/2."""
        yes, no = (answer.shares[0] for answer in self.proof)
        return not yes > 0.5 > no


def find_model(send: Send, base: str, model: str | None) -> Served:
    """Return the model as the server knows it; a server without a list has what is named.

    Raises `EngineSetupError`.
    """
    try:
        return handshake.find_model(send, base, model, SCHEME)
    except EngineSetupError as error:
        cause = error.__cause__
        if model and isinstance(cause, FailedError) and cause.status in _ABSENT:
            return Served(model)
        raise


def find_protocol(send: Send, base: str, model: str, urls: DataUrls) -> Spoken:
    """Ask the trivial questions in each protocol; of two that do, the better one is taken.

    Better is one that takes pictures, then one that tells the label mass. Raises
    `EngineSetupError` where neither is spoken, or the answers are the wrong way round.
    """
    spoken, reasons = [], []
    for protocol in PROTOCOLS:
        found = _tried(send, base, model, protocol, urls)
        if isinstance(found, Spoken):
            spoken.append(found)
        else:
            reasons.append(f"{protocol.name}: {found}")
    if not spoken:
        raise EngineSetupError(
            f"{model} at {base} cannot be asked closed questions, in neither of the two protocols "
            f"({'; '.join(reasons)}). Choose a server that speaks one of them "
            "(OpenAI's Decisions, or System One as vLLM has it for some models), name another "
            f"model ({SCHEME}:{base}#MODEL), or ask this one by its chat: server:{base}#{model}"
        )
    return max(spoken, key=lambda found: (found.pictures, found.tells_mass))


def _tried(send: Send, base: str, model: str, protocol: Protocol, urls: DataUrls) -> Spoken | str:
    """Ask in one protocol, without a picture or else with one; say why it is not spoken if so."""
    address = f"{base}/{protocol.path}"
    picture = [urls.of(image) for image in trivial.PICTURED.images]
    problems = []
    for shown in ([], picture):
        body = protocol.body(model, trivial.PROBES, shown)
        try:
            read = protocol.read(send(address, body), trivial.PROBES)
        except RefusedError as error:  # perhaps for what is shown, or is not
            problems.append(str(error))
            continue
        except (FailedError, UnreadableError) as error:
            _check_let_in(base, error)
            return str(error)
        proof = _proved(base, model, protocol, read)
        if isinstance(proof, str):
            problems.append(proof)
            continue
        unsure = protocol.body(model, _OPEN, shown)
        return Spoken(
            protocol,
            body,
            proof,
            _answered(send, address, protocol, unsure),
            plain=not shown,
            pictures=bool(shown) or _takes_pictures(send, address, model, protocol, picture),
        )
    return problems[0]


def _check_let_in(base: str, error: FailedError | UnreadableError) -> None:
    """Raise `EngineSetupError` for a server that answers nobody, or not this key."""
    if isinstance(error, FailedError) and error.status in {401, 403, BUSY}:
        raise EngineSetupError(handshake.unreached(base, error, SCHEME)) from error


def _proved(
    base: str, model: str, protocol: Protocol, read: Sequence[Read]
) -> tuple[Answer, ...] | str:
    """Take the answers to the trivial questions; or say why these are none.

    Raises `EngineSetupError` where yes and no are the wrong way round.
    """
    for answer in read:
        if isinstance(answer, UnreadableError):
            return str(answer)
    answers = tuple(answer for answer in read if isinstance(answer, Answer))
    masses = [answer.mass for answer in answers if answer.mass is not None]
    if masses and max(masses) < LEAST_MASS:
        told = " and ".join(f"{mass:.2g}" for mass in masses)
        return f"yes and no together have {told} of the probability after trivial questions"
    yes, no = (answer.shares[0] for answer in answers)
    if not yes > no:
        raise EngineSetupError(
            f"{model} at {base} answers the wrong way round, or tells nothing apart: to "
            f"{trivial.QUESTIONS[0]!r} it says yes with {yes:.3g}, to {trivial.QUESTIONS[1]!r} "
            f"with {no:.3g} ({protocol.name}). Its numbers would turn verdicts over: use another "
            "model, or a server whose probability is that of yes"
        )
    return answers


def _answered(send: Send, address: str, protocol: Protocol, body: JSON) -> tuple[Answer, ...]:
    """Ask what nobody is sure of; a server need not answer that."""
    try:
        read = protocol.read(send(address, body), _OPEN)
    except (RefusedError, FailedError, UnreadableError):
        return ()
    return tuple(answer for answer in read if isinstance(answer, Answer))


def _takes_pictures(
    send: Send, address: str, model: str, protocol: Protocol, picture: Sequence[str]
) -> bool:
    """Whether a question with a picture is taken. Raises `EngineSetupError`."""
    body = protocol.body(model, [trivial.PICTURED], picture)
    try:
        send(address, body)
    except RefusedError:
        return False
    except FailedError as error:
        raise EngineSetupError(
            f"{address}: the first question with a picture failed. {error}"
        ) from error
    return True
