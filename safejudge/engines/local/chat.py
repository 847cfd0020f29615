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
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from safejudge.engines import dialects, trivial
from safejudge.engines.lengths import cut_tokens
from safejudge.engines.local.template import Template
from safejudge.errors import EngineSetupError
from safejudge.text import storable
from safejudge.types import YES_NO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.engines.dialects import Dialect
    from safejudge.engines.local.template import Turn
    from safejudge.types import JSON, Probe, Reasoning

_CACHED_QUESTIONS = 4096
"""Rendered and tokenized questions that stay in memory."""
_NOTHING = {"type": "text", "text": ""}
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


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """What a person, or a model that ships with its own prompts, may say of a template."""

    template_args: Mapping[str, Any] = field(default_factory=dict)
    """Variables of the template, over those that are set here (`template.SWITCHES`)."""
    reply_prefix: str | None = None
    """What every reply begins with; None finds out what the template writes before an answer."""
    line_break: bool = True
    """Whether instruction and question stand on lines of their own where no picture is between
    them. False for a model that was trained on them run together."""
    dialect: Dialect | None = None
    """The form of question that the model is trained on; None: it is asked as any other."""

    @staticmethod
    def checked(template_args: Any, reply_prefix: Any, *, line_break: bool = True) -> ChatSettings:
        """Take what a person gave as options. Raises `EngineSetupError` for other kinds."""
        if template_args is not None and not isinstance(template_args, Mapping):
            raise EngineSetupError(
                f"template_args has to be an object of names and values, not {template_args!r}: "
                "--engine-arg template_args='{\"enable_thinking\": false}'"
            )
        if reply_prefix is not None and not isinstance(reply_prefix, str):
            raise EngineSetupError(f"reply_prefix has to be a text, not {reply_prefix!r}")
        return ChatSettings(dict(template_args or {}), reply_prefix, line_break)


class Chat:
    """The chat template of one model, and the tokenizer behind it; `proofs` makes one.

    Raises `EngineSetupError` where there is no template, or no option of this name in it.
    """

    def __init__(
        self,
        processor: Any,
        model: str,
        template_args: Mapping[str, Any],
        dialect: Dialect | None = None,
    ) -> None:
        self.processor = processor
        self.dialect = dialect
        self.tokenizer = getattr(processor, "tokenizer", processor)
        self.pictures = processor is not self.tokenizer
        """Whether the model takes pictures; without an image processor it reads text alone."""
        self.assistant_parts = True
        """Whether its template takes the assistant's words as parts, like the user's."""
        self.shows_several = True
        """Whether its template shows several pictures of one turn."""
        self.notes: tuple[str, ...] = ()
        """What a person should know of how it is asked."""
        self.joined: frozenset[bool] = frozenset()
        """Whether, with and without pictures, a line break has to be put between instruction and
        question, for the template puts nothing there."""
        self._template = Template(processor, model, template_args)
        self._control = re.compile("|".join(map(re.escape, control_tokens(self.tokenizer))))
        self.set_opening("")

    @property
    def opening(self) -> str:
        """What every reply begins with; usually nothing."""
        return self._opening

    def set_opening(self, opening: str) -> None:
        """Let every reply begin with this."""
        self._opening = opening
        # A statement is asked about every picture, and its tokens are the same each time.
        self._ids = lru_cache(_CACHED_QUESTIONS)(self._question_ids)

    @property
    def identity(self) -> JSON:
        """What the rendered prompts depend on, for the card."""
        opening = {"reply_prefix": self._opening} if self._opening else {}
        broken = {"line_break": sorted(self.joined)} if self.joined else {}
        form = {"dialect": self.dialect.digest} if self.dialect is not None else {}
        return {**self._template.identity, **broken, **opening, **form}

    @property
    def labels(self) -> tuple[str, str]:
        """The words that this model says for yes and no."""
        return YES_NO if self.dialect is None else self.dialect.labels

    @property
    def trivial(self) -> tuple[Probe, ...]:
        """Two questions that this model can answer if it answers at all."""
        return trivial.PROBES if self.dialect is None else dialects.SEEN

    @property
    def variables(self) -> frozenset[str]:
        """Every variable that the template reads."""
        return frozenset(self._template.names)

    def has_control(self, text: str) -> bool:
        """Whether there is a control token in a text."""
        return bool(self._control.pattern) and self._control.search(text) is not None

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
        if len(request.images) > 1 and not self.shows_several:
            return "this model's chat template shows one picture, not several"
        return None if self.dialect is None else self.dialect.refuses(request)

    def probe_text(self, probe: Probe) -> str:
        """Render a probe as one user turn, followed by the generation prompt."""
        return self._question(probe.instruction, len(probe.images), probe.question)

    def probe_ids(self, probe: Probe) -> tuple[int, ...]:
        """Token ids of a rendered probe, as the model is given them."""
        return self._ids(probe.instruction, len(probe.images), probe.question)

    def _question_ids(self, instruction: str, images: int, question: str) -> tuple[int, ...]:
        return tuple(self.encode(self._question(instruction, images, question)))

    def _question(self, instruction: str, images: int, question: str) -> str:
        """Render one question: a statement in the dialect's form, where there is one."""
        asked = None if self.dialect is None else dialects.said(instruction, question)
        if asked is None:
            return self.rendered([("user", instruction, images, question)])
        return self.formed(*asked, images)

    def formed(self, statement: str, caption: str | None, images: int) -> str:
        """Render a statement in the form of the dialect, and what every reply begins with."""
        if self.dialect is None:
            raise ValueError("there is no dialect")
        # The frame is the model's own; only people's words could act as its control tokens.
        words = None if caption is None else self.neutralise(caption)
        form = self.dialect.put(self.neutralise(statement), words)
        parts = [part for part in user_content(form.before, images, form.after) if part != _NOTHING]
        messages: list[dict[str, Any]] = [{"role": "user", "content": parts}]
        if form.system:
            messages.insert(0, {"role": "system", "content": form.system})
        text = self._template.render(messages, generation_prompt=True, **form.variables)
        return text + self._opening

    def question_prompt(self) -> str:
        """Render some question, to see the generation prompt that every one of them ends with."""
        if self.dialect is not None:
            return self.formed("It is so.", None, 0)
        return self.rendered([("user", "Answer the question.", 0, "Is it so?")])

    def reasoning_text(self, request: Reasoning) -> str:
        """Render a conversation; instruction and images stand in its first turn."""
        first, *later = request.messages
        turns = [("user", request.instruction, len(request.images), first.text)]
        turns += [(message.role, "", 0, message.text) for message in later]
        return self.rendered(turns)

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

    def rendered(self, turns: Sequence[Turn], *, reply: bool = True) -> str:
        """Render turns: of whom, an instruction, how many pictures, and a text.

        With `reply` the generation prompt follows, and what every reply begins with.
        """
        messages = []
        for role, instruction, images, text in turns:
            words = self.neutralise(text)
            if instruction and bool(images) in self.joined:
                joined = {"type": "text", "text": f"{self.neutralise(instruction)}\n{words}"}
                content = [*({"type": "image"} for _ in range(images)), joined]
            elif instruction:
                content = user_content(self.neutralise(instruction), images, words)
            else:
                content = [{"type": "image"}] * images + [{"type": "text", "text": words}]
            # Templates of models for text take plain strings, and some nothing else.
            parts = self.pictures and (self.assistant_parts or role != "assistant")
            plain = None if parts else "\n".join(part["text"] for part in content)
            messages.append({"role": role, "content": content if plain is None else plain})
        text = self._template.render(messages, generation_prompt=reply)
        return text + self._opening if reply else text
