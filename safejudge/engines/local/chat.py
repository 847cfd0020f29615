"""Requests -> the text that a chat model is given, by the model's own chat template.

Takes a processor (tokenizer, image processor, template), or the tokenizer of a model for text
alone; gives rendered text and its token ids.
People's words (statements, captions, instructions) never act as control tokens: whatever would
be one is taken out before the template is applied. It knows no model and no tensors.

Roles that a template writes in plain words ("USER: ... ASSISTANT:", LLaVA 1.5) cannot be guarded
this way: they are ordinary text to that model.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from safejudge.engines.lengths import cut_tokens
from safejudge.errors import EngineSetupError
from safejudge.text import storable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.types import Probe, Reasoning

_CACHED_QUESTIONS = 4096
"""Rendered and tokenized questions that stay in memory."""
_MARKUP = re.compile(r"<.+>|\[.+\]", re.DOTALL)


def user_content(instruction: str, images: int, question: str) -> list[dict[str, str]]:
    """Parts of the user turn: instruction, `images` pictures, question.

    Without pictures it is the same text with the images gone and nothing in their place: that is
    the language prior M(None, c) of CLUE (arXiv 2501.00192, sec. 3.4).
    """
    return [
        {"type": "text", "text": instruction},
        *({"type": "image"} for _ in range(images)),
        {"type": "text", "text": question},
    ]


def control_tokens(tokenizer: Any) -> tuple[str, ...]:
    """Every string that this tokenizer reads as a control token, longest first.

    Special tokens all count. Other added tokens count where they look like markup; some
    vocabularies also add plain words or runs of spaces, and those are harmless.
    """
    marks = {token for token in tokenizer.all_special_tokens if len(token) > 1}
    for token in tokenizer.added_tokens_decoder.values():
        if token.special or _MARKUP.fullmatch(token.content):
            marks.add(token.content)
    return tuple(sorted((token for token in marks if token.strip()), key=len, reverse=True))


class Chat:
    """The chat template of one model, and the tokenizer behind it."""

    def __init__(self, processor: Any, model: str) -> None:
        self.processor = processor
        self.tokenizer = getattr(processor, "tokenizer", processor)
        self.pictures = processor is not self.tokenizer
        """Whether the model takes pictures; without an image processor it reads text alone."""
        self.template = _find_template(processor, model)
        self._control = re.compile("|".join(map(re.escape, control_tokens(self.tokenizer))))
        # A statement is asked about every picture, and its tokens are the same each time.
        self._ids = lru_cache(_CACHED_QUESTIONS)(self._question_ids)
        self._prove(model)

    def neutralise(self, text: str) -> str:
        """Replace control tokens in people's words by a space.

        By a space and not by nothing: what stood left and right of it must not close up into
        another one.
        """
        return self._control.sub(" ", text) if self._control.pattern else text

    def refuses(self, request: Probe | Reasoning) -> str | None:
        """Say why a request cannot be put to this model; None if it can."""
        if request.images and not self.pictures:
            return "this model takes text alone, no pictures"
        return None

    def probe_text(self, probe: Probe) -> str:
        """Render a probe as one user turn, followed by the generation prompt."""
        return self._render([("user", probe.instruction, len(probe.images), probe.question)])

    def probe_ids(self, probe: Probe) -> tuple[int, ...]:
        """Token ids of a rendered probe, as the model is given them."""
        return self._ids(probe.instruction, len(probe.images), probe.question)

    def _question_ids(self, instruction: str, images: int, question: str) -> tuple[int, ...]:
        return tuple(self.encode(self._render([("user", instruction, images, question)])))

    def question_prompt(self) -> str:
        """Render some question, to see the generation prompt that every one of them ends with."""
        return self._render([("user", "Answer the question.", 0, "Is it so?")])

    def reasoning_text(self, request: Reasoning) -> str:
        """Render a conversation; instruction and images stand in its first turn."""
        first, *later = request.messages
        turns = [("user", request.instruction, len(request.images), first.text)]
        turns += [(message.role, "", 0, message.text) for message in later]
        return self._render(turns)

    def adds_special_tokens(self, text: str) -> bool:
        """Whether the tokenizer should add its own; not where the template wrote them already."""
        begin = self.tokenizer.bos_token
        return begin is None or not text.startswith(begin)

    def encode(self, text: str) -> list[int]:
        """Token ids of a rendered text, as the model is given them."""
        # Not verbose: how long a text may be is looked to elsewhere.
        special = self.adds_special_tokens(text)
        ids = self.tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
        return [int(token) for token in ids]

    def text_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text of people's, by itself."""
        if not texts:
            return []
        words = [storable(self.neutralise(text)) for text in texts]
        rows = self.tokenizer(words, add_special_tokens=False, verbose=False)["input_ids"]
        return [len(row) for row in rows]

    def cut_text(self, text: str, tokens: int) -> str:
        """Return the longest beginning of a text within so many tokens."""
        return cut_tokens(text, tokens, self.text_tokens)

    def _render(self, turns: Sequence[tuple[str, str, int, str]]) -> str:
        messages = []
        for role, instruction, images, text in turns:
            words = self.neutralise(text)
            if instruction:
                content = user_content(self.neutralise(instruction), images, words)
            else:
                content = [{"type": "image"}] * images + [{"type": "text", "text": words}]
            # Templates of models for text take plain strings, and some nothing else.
            plain = None if self.pictures else "\n".join(part["text"] for part in content)
            messages.append({"role": role, "content": content if plain is None else plain})
        return self._apply(messages)

    def _apply(self, messages: list[dict[str, Any]]) -> str:
        thinking = {"enable_thinking": False} if "enable_thinking" in self.template else {}
        rendered: str = self.tokenizer.apply_chat_template(
            messages,
            chat_template=self.template,
            tokenize=False,
            add_generation_prompt=True,
            **thinking,
        )
        return rendered

    def _prove(self, model: str) -> None:
        """Refuse a template that drops a text, or pictures where the model takes them."""
        plain, pictured = (
            self._render([("user", "first words", count, "last words")])
            for count in (0, 1 if self.pictures else 0)
        )
        for text in (plain, pictured):
            if "first words" not in text or "last words" not in text or "'type'" in text:
                raise EngineSetupError(
                    f"{model}: its chat template does not render a user turn made of parts; it "
                    f"gave {text!r}. Use a model whose template takes text and image parts."
                )
        if self.pictures and pictured.split() == plain.split():
            raise EngineSetupError(
                f"{model}: its chat template ignores image parts; it gave {pictured!r}. "
                "Use a vision-language model with its own template."
            )


def _find_template(processor: Any, model: str) -> str:
    """Find the processor's template, else its tokenizer's; of several the one named `default`."""
    for holder in (processor, getattr(processor, "tokenizer", processor)):
        template = holder.chat_template
        if isinstance(template, dict):
            template = template.get("default")
        if template:
            return str(template)
    raise EngineSetupError(
        f"{model} has no chat template (chat_template.jinja, or in its tokenizer). "
        "Use the instruction-tuned version of the model, or put the template into its folder."
    )
