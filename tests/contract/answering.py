"""Give a random model the habit of answering where it is asked, and nowhere else.

An engine refuses a model that hardly ever says yes or no. Random weights do not, wherever one
reads; so the output rows of the labels are moved along one direction of the last hidden state: the
one that stands out at the end of a question. All rows of yes and no move by the same step, so what
tells them apart stays as random as before, and still hangs on picture and question.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from safejudge import prompts
from safejudge.engines import trivial

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SWITCHES = {"enable_thinking": False, "thinking": False, "reasoning_effort": "none"}
"""What templates are told so that the reply begins with the answer."""
_PENALTY = 3.0
"""On a long direction: it would make rounding errors large."""
_HEAVY = 30.0
"""How much more the end of a question counts than a position inside it."""

_ROUNDS = 6
_CLOSE = 0.2
"""Of log odds: no further step is worth another round."""


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
    yes_no, ratings = _tokens(tokenizer, ["yes", "no"]), _tokens(tokenizer, "12345")
    _raise(model, places, [(yes_no, 0.9), (ratings, 0.05)], asked=True)
    if opening:
        first = tokenizer(opening, add_special_tokens=False)["input_ids"][:1]
        _raise(model, places, [(first, 0.9)], asked=False)


def _calm(model: Any) -> None:
    """Let the last token of a prompt show through its layers, which drown it in noise otherwise."""
    if not _tied(model):
        model.get_input_embeddings().weight.data *= 3.0
    decoder = model.get_decoder()
    for name, parameter in getattr(decoder, "model", decoder).layers.named_parameters():
        if parameter.dim() > 1 or "post_" in name:  # some have a norm after each block
            parameter.data *= 0.3


def _tied(model: Any) -> bool:
    return model.get_output_embeddings().weight is model.get_input_embeddings().weight


def _raise(
    model: Any, places: Sequence[Place], wanted: Sequence[tuple[list[int], float]], *, asked: bool
) -> None:
    """Move rows until they have, on average, the mass that is wanted at one kind of place."""
    head = model.get_output_embeddings().weight
    at = torch.tensor([place.asked is asked for place in places])
    for _ in range(_ROUNDS):  # rows may be inputs as well, and logits scaled or bent
        states, logits = zip(*(_last(model, place) for place in places), strict=True)
        direction = _standing_out([state.float() for state in states], at)
        along = torch.stack([state[-1].float() for state in states])[at] @ direction
        steps = _steps(torch.stack(logits)[at], along, wanted)
        for (ids, _), step in zip(wanted, steps, strict=True):
            head.data[ids] += (step * direction).to(head.dtype)
        if max(map(abs, steps)) < _CLOSE:
            break


def _steps(
    logits: torch.Tensor, along: torch.Tensor, wanted: Sequence[tuple[list[int], float]]
) -> list[float]:
    """How far rows have to go; `along` says how much of each step a place sees."""
    moved = logits.clone()
    steps = [0.0 for _ in wanted]
    for _ in range(20):
        for index, (ids, mass) in enumerate(wanted):
            now = moved.softmax(-1)[:, ids].sum(-1)
            gap = float(math.log(mass / (1 - mass)) - torch.logit(now, 1e-6).mean())
            moved[:, ids] += gap * along[:, None]
            steps[index] += gap
    return steps


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
        for wrong in sorted({text, plain} - {good}):
            yield Place(inputs(processor, wrong, images), asked=False)


def _questions() -> Iterator[tuple[str, str]]:
    for statement in ("a dog is visible", "a cat is visible", "a child is next to a fire"):
        for instruction in (prompts.ASK, prompts.RATE_5, "Answer the question."):
            yield instruction, prompts.statement_question(statement)
    for question in ("Is it so?", "Is one plus one two?", "Is one plus one three?"):
        yield "Answer the question.", question
        yield trivial.ASK, question
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
    """Render a question by the template itself, without the engine.

    Where the template runs instruction and question together, a line break stands between them.
    """
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
    if instruction and instruction + question in text:
        return rendered(processor, "", images, f"{instruction}\n{question}", **switches)
    return text


def closed(text: str) -> str:
    """Close a thought that a template leaves open."""
    return f"{text.rstrip()}\n\n</think>\n\n" if text.rstrip().endswith("<think>") else text


def inputs(processor: Any, text: str, images: Sequence[Any] = ()) -> dict[str, torch.Tensor]:
    """One prompt as the processor gives it to the model: unpadded, whole."""
    tokenizer = getattr(processor, "tokenizer", processor)
    begins = tokenizer.bos_token or "\x00"
    pictures = {"images": [list(images)]} if images else {}
    encoded = processor(
        text=[text],
        **pictures,
        return_tensors="pt",
        add_special_tokens=not text.startswith(begins),
    )
    return {  # Llama 4's pictures come in another type than its weights
        name: value.float() if value.is_floating_point() else value
        for name, value in encoded.items()
    }
