"""Give a random model the habit of answering where it is asked, and nowhere else.

An engine refuses a model that hardly ever says yes or no. Random weights do not, wherever one
reads; so the output rows of the labels are moved along one direction of the last hidden state: the
one that stands out at the end of a question. All rows of yes and no move by the same step, so what
tells them apart stays as random as before, and still hangs on picture and question.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from safejudge import prompts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SWITCHES = {"enable_thinking": False, "thinking": False, "reasoning_effort": "none"}
"""What templates are told so that the reply begins with the answer."""
MASS = 0.9
"""P(yes) + P(no) where it is asked, on average."""
_PENALTY = 3.0
"""On a long direction: it would make rounding errors large."""
_HEAVY = 30.0
"""How much more the end of a question counts than a position inside it."""
_RATINGS = 0.7
"""The step of 1 to 5, as a share of that of yes and no: they stay unlikely beside them."""


@dataclass(frozen=True)
class Place:
    """A prompt as a model is given it, and whether an answer belongs at its end."""

    inputs: dict[str, torch.Tensor]
    asked: bool


def answer_where_asked(model: Any, processor: Any, opening: str = "") -> None:
    """Move the output rows of yes, no and 1 to 5 of a model with random weights, in place.

    `opening` is what this model writes of its own before an answer; there its first token gets
    most of the mass.
    """
    tokenizer = getattr(processor, "tokenizer", processor)
    _calm(model)
    places = list(_places(processor, opening))
    yes_no = _tokens(tokenizer, ["yes", "no"])
    _raise(model, places, {1.0: yes_no, _RATINGS: _tokens(tokenizer, "12345")}, asked=True)
    if opening:
        first = tokenizer(opening, add_special_tokens=False)["input_ids"][:1]
        _raise(model, places, {1.0: first}, asked=False)


def _calm(model: Any) -> None:
    """Let the last token of a prompt show through its layers, which drown it in noise otherwise."""
    model.get_input_embeddings().weight.data *= 3.0
    for parameter in model.get_decoder().layers.parameters():
        if parameter.dim() > 1:
            parameter.data *= 0.4


def _raise(
    model: Any, places: Sequence[Place], rows: dict[float, list[int]], *, asked: bool
) -> None:
    """Move rows until the first of them have `MASS` at the places that are `asked`."""
    head = model.get_output_embeddings().weight
    at = torch.tensor([place.asked is asked for place in places])
    start = {step: head.detach()[ids].clone() for step, ids in rows.items()}
    moved = 0.0
    for _ in range(3):  # where they are input embeddings too, what is fitted moves with them
        states, logits = zip(*(_last(model, place) for place in places), strict=True)
        direction = _standing_out([state.float() for state in states], at)
        mass = torch.stack(logits)[at].softmax(-1)[:, rows[1.0]].sum(-1)
        moved += float(np.log(MASS / (1 - MASS)) - torch.logit(mass, 1e-6).mean())
        for step, ids in rows.items():
            head.data[ids] = start[step] + step * moved * direction.to(head.dtype)


def _standing_out(states: Sequence[torch.Tensor], at: torch.Tensor) -> torch.Tensor:
    """Find the direction that is 1 at the ends of these places and 0 elsewhere, by ridge."""
    ends = torch.stack([state[-1] for state in states])
    inside = torch.cat([state[:-1] for state in states])
    weight = torch.where(at, _HEAVY, _HEAVY / 5).sqrt()
    every = torch.cat([ends * weight[:, None], inside])
    wanted = torch.cat([at * weight, torch.zeros(len(inside))])
    square = every.T @ every + _PENALTY * len(every) * torch.eye(every.shape[1])
    direction = torch.linalg.solve(square, every.T @ wanted)
    return direction / (ends[at] @ direction).mean()


@torch.inference_mode()
def _last(model: Any, place: Place) -> tuple[torch.Tensor, torch.Tensor]:
    """Read the states that the output rows are multiplied with, and the logits at the end."""
    seen: list[torch.Tensor] = []
    head = model.get_output_embeddings()
    handle = head.register_forward_pre_hook(lambda _, given: seen.append(given[0][0]))
    logits = model.eval()(**place.inputs).logits[0, -1]
    handle.remove()
    return seen[0].clone(), logits.float()


def _places(processor: Any, opening: str) -> Iterator[Place]:
    """Render questions as they should be put, and those places where no answer belongs."""
    random = np.random.default_rng(5)
    pictured = hasattr(processor, "tokenizer")
    counts = (0, 1, 2) if pictured else (0,)
    for (instruction, question), count in product(_questions(), counts):
        images = [_image(random) for _ in range(count)]
        text = rendered(processor, instruction, len(images), question, **SWITCHES)
        plain = rendered(processor, instruction, len(images), question)
        good = closed(text) + opening
        yield Place(inputs(processor, good, images), asked=True)
        for wrong in {text, plain} - {good}:
            yield Place(inputs(processor, wrong, images), asked=False)


def _questions() -> Iterator[tuple[str, str]]:
    for statement in ("a dog is visible", "a cat is visible", "a child is next to a fire"):
        for instruction in (prompts.ASK, prompts.RATE_5, "Answer the question."):
            yield instruction, prompts.statement_question(statement)
    for question in ("Is it so?", "Is one plus one two?", "Is one plus one three?"):
        yield "Answer the question.", question
        yield "", question
        yield prompts.ASK, question


def _image(random: np.random.Generator) -> np.ndarray:
    height, width = random.integers(3, 13, 2)
    tiles = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return np.kron(tiles, np.ones((8, 8, 1), dtype=np.uint8))


def _tokens(tokenizer: Any, labels: Sequence[str]) -> list[int]:
    """Every single token that spells one of these, in its cases, with and without a space."""
    spelled = {
        space + case
        for label in labels
        for case in (label, label.capitalize(), label.upper())
        for space in ("", " ")
    }
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in sorted(spelled)]
    return sorted(tokens[0] for tokens in ids if len(tokens) == 1)


def rendered(processor: Any, instruction: str, images: int, question: str, **switches: Any) -> str:
    """Render a question by the template itself, without the engine."""
    tokenizer = getattr(processor, "tokenizer", processor)
    content: Any = [{"type": "text", "text": instruction}] if instruction else []
    content += [{"type": "image"}] * images + [{"type": "text", "text": question}]
    if tokenizer is processor:  # models for text: templates that take plain strings
        content = "\n".join(part["text"] for part in content)
    text: str = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}],
        chat_template=getattr(processor, "chat_template", None) or tokenizer.chat_template,
        add_generation_prompt=True,
        tokenize=False,
        **switches,
    )
    return text


def closed(text: str) -> str:
    """Close a thought that a template leaves open."""
    return f"{text.rstrip()}\n\n</think>\n\n" if text.rstrip().endswith("<think>") else text


def inputs(processor: Any, text: str, images: Sequence[Any] = ()) -> dict[str, torch.Tensor]:
    """One prompt as the processor gives it to the model: unpadded, whole."""
    tokenizer = getattr(processor, "tokenizer", processor)
    begins = tokenizer.bos_token or "\x00"
    pictures = {"images": [list(images)]} if images else {}
    return dict(
        processor(
            text=[text],
            **pictures,
            return_tensors="pt",
            add_special_tokens=not text.startswith(begins),
        )
    )
