"""A server on 127.0.0.1 that answers closed questions, as Decisions or System One says.

It makes probes of what it is asked and hands them to a function, which may be a real engine's
`answer_probs`. Every switch of `Ways` is one way to be different or broken.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loopback import MODEL, Handler, Loopback, Request, pixels_of

from safejudge.engines import trivial
from safejudge.engines.fake import made_up_answer
from safejudge.types import YES_NO, AnswerProbs, Picture, Probe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BOTH = ("systemone", "decisions")
"""The last part of the address that a request of each protocol goes to."""


def made_up(probes: Sequence[Probe]) -> list[AnswerProbs]:
    return [made_up_answer(probe) for probe in probes]


@dataclass(frozen=True)
class Ways:
    """How the server behaves; the default is a System One of vLLM's."""

    speaks: tuple[str, ...] = ("systemone",)
    answer: Callable[[Sequence[Probe]], list[AnswerProbs]] = made_up
    sure: tuple[float, float] = (0.97, 0.02)
    """P(yes) after the trivial questions."""
    decimals: int | None = None
    """It rounds to so many; None: not."""
    mass: bool = True
    """Whether System One tells the label mass."""
    models: tuple[str, ...] | None = (MODEL,)
    """None: it lists none."""
    pictures: tuple[str, ...] = BOTH
    """The protocols in which it takes pictures."""
    plain: bool = True
    """Whether it takes questions without one."""
    most: int = 1000
    """Questions of one request."""
    usage: bool = True
    refuses: str = "\0"
    """A part of a question that is answered by a refusal."""
    rejects: str = "\0"
    """A part of a question for which the whole request is answered 400."""
    key: str = ""
    absent: int = 404
    """What it answers where it speaks another protocol."""
    sour: str = "\0"
    """A part of a question for which the fault strikes."""
    fault: Callable[[Handler], bool] | None = None
    twist: Callable[[Any], Any] | None = None
    """What is done to every reply but those of the start; bytes are sent as they are."""


class DecidingHandler(Handler):
    server: Deciding  # type: ignore[assignment]

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        ways = self.server.manners
        if ways.key and self.headers.get("Authorization") != f"Bearer {ways.key}":
            self.refuse("bad key", 401)
        elif self.path == "/v1/models" and ways.models is not None:
            self.answer({"data": [{"id": name} for name in ways.models]})
        else:
            self.refuse("not here", 404)

    def do_POST(self) -> None:  # noqa: N802 - the same
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.note(Request(self.path, dict(self.headers), body))
        ways, protocol = self.server.manners, self.path.removeprefix("/v1/")
        if protocol not in BOTH:
            self.refuse("not here", 404)
        elif protocol not in ways.speaks:
            self.refuse("the model does not support this", ways.absent)
        else:
            probes, names = asked(body)
            refusal = self._refusal(protocol, probes)
            texts = [probe.question for probe in probes]
            if ways.fault and any(ways.sour in text for text in texts) and ways.fault(self):
                return
            if refusal:
                self.refuse(refusal)
                return
            reply = self._reply(protocol, probes, names)
            at_start = any(probe.instruction == trivial.ASK for probe in probes)
            twisted = ways.twist(reply) if ways.twist and not at_start else reply
            self.answer(twisted)

    def _refusal(self, protocol: str, probes: Sequence[Probe]) -> str:
        ways = self.server.manners
        if len(probes) > ways.most:
            return f"questions: at most {ways.most} for this model"
        if probes[0].images and protocol not in ways.pictures:
            return "this model does not take image inputs"
        if not (probes[0].images or ways.plain):
            return "an image is needed"
        rejected = [p.question for p in probes if ways.rejects in p.question]
        return f"cannot be asked: {rejected[0][:40]}" if rejected else ""

    def _reply(self, protocol: str, probes: Sequence[Probe], names: Sequence[str]) -> Any:
        ways = self.server.manners
        answers, masses = {}, {}
        for name, probe, read in zip(names, probes, self._answers(probes), strict=True):
            masses[name] = {"label_mass": read.label_mass, "argmax_is_label": True}
            if read.problem or ways.refuses in probe.question:
                answers[name] = {"type": "refusal", "name": name}
                continue
            shares = [p / sum(read.p_labels) for p in read.p_labels]
            if ways.decimals is not None:
                shares = [round(share, ways.decimals) for share in shares]
            write = system_one if protocol == "systemone" else decisions
            answers[name] = write(name, probe, shares)
        words = sum(len(f"{p.instruction} {p.question}".split()) + 64 * len(p.images)
                    for p in probes)  # fmt: skip
        usage = {"usage": {"input_tokens": words, "output_tokens": 0}} if ways.usage else {}
        if protocol == "decisions":
            return {"model": MODEL, "answers": list(answers.values()), **usage}
        told = {"diagnostics": masses} if ways.mass else {}
        return {"model": MODEL, "answers": answers, **told, **usage}

    def _answers(self, probes: Sequence[Probe]) -> list[AnswerProbs]:
        """What the model says; the trivial questions are not for every model."""
        ways = self.server.manners
        known = dict(zip(trivial.QUESTIONS, ways.sure, strict=True))
        others = [probe for probe in probes if probe.question not in known]
        read = iter(ways.answer(others) if others else ())
        return [
            AnswerProbs((known[p.question], 1 - known[p.question]))
            if p.question in known
            else next(read)
            for p in probes
        ]


def asked(body: dict[str, Any]) -> tuple[list[Probe], list[str]]:
    """Make probes of a request, and the names of its questions."""
    if "state" in body:
        assert body.keys() <= {"model", "state", "questions", "images"}
        instruction, urls = body["state"], body.get("images", [])
        questions = list(body["questions"].values())
        names = list(body["questions"])
        assert all(q.keys() <= {"type", "instructions", "criteria"} for q in questions)
        labels = [tuple(q["criteria"]) if q["type"] == "choice" else YES_NO for q in questions]
    else:
        assert body.keys() == {"model", "input", "questions"}
        (turn,) = body["input"]
        texts = [part["text"] for part in turn["content"] if part["type"] == "input_text"]
        urls = [part["image_url"] for part in turn["content"] if part["type"] == "input_image"]
        instruction, questions = "".join(texts), body["questions"]
        names = [question["name"] for question in questions]
        labels = [
            tuple(choice["value"] for choice in q["choices"]) if q["type"] == "choice" else YES_NO
            for q in questions
        ]
    pictures = tuple(Picture.of(pixels_of(url)) for url in urls)
    probes = [
        Probe(instruction, pictures, question["instructions"], of_one)
        for question, of_one in zip(questions, labels, strict=True)
    ]
    return probes, names


def system_one(_name: str, probe: Probe, shares: Sequence[float]) -> dict[str, Any]:
    if probe.labels == YES_NO:
        return {
            "type": "noul",
            "noul": shares[0],
            "probabilities": dict(zip(YES_NO, shares, strict=True)),
            "confidence": max(shares),
        }
    likeliest = probe.labels[shares.index(max(shares))]
    listed = dict(zip(probe.labels, shares, strict=True))
    return {"type": "choice", "choice": likeliest, "probabilities": listed, "confidence": 0.5}


def decisions(name: str, probe: Probe, shares: Sequence[float]) -> dict[str, Any]:
    if probe.labels == YES_NO:
        return {"type": "predicate", "name": name, "probability": shares[0]}
    pairs = zip(probe.labels, shares, strict=True)
    return {
        "type": "choice",
        "name": name,
        "choice": probe.labels[shares.index(max(shares))],
        "confidence": max(shares),
        "probabilities": [{"value": value, "probability": share} for value, share in pairs],
    }


class Deciding(Loopback):
    """The server; `with Deciding() as server` starts it on a free port."""

    handler = DecidingHandler
    behaviour = Ways

    def posts(self) -> list[dict[str, Any]]:
        """Every request with questions, in order, those of an engine's start left out."""
        return [
            request.body
            for request in self.seen
            if request.path.removeprefix("/v1/") in BOTH
            and asked(request.body)[0][0].instruction != trivial.ASK
        ]
