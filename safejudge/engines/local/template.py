"""The chat template of one model: its variables, its dates, and where an answer begins.

Takes messages; gives text. What is rendered depends on the template and on what the card tells of
it, never on the day. `prove` holds a template to what every request relies on. It knows no tensors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import jinja2
from jinja2.nodes import Name

from safejudge.errors import EngineSetupError
from safejudge.text import cut, first_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from safejudge.engines.local.chat import Chat
    from safejudge.types import JSON

Turn: TypeAlias = tuple[str, str, int, str]
"""Of whom, an instruction, how many pictures, and a text."""

SWITCHES = {"enable_thinking": False, "thinking": False, "reasoning_effort": "none"}
"""Variables by which templates of different makers let a model answer at once."""

TODAY = datetime(2026, 1, 1, tzinfo=UTC)
"""The date of every prompt. With the real one the same request would be another one tomorrow:
other numbers under the same name, priors of yesterday, and half a run of each."""

_OURS = frozenset({"messages", "add_generation_prompt", "strftime_now", "raise_exception"})
"""Variables that are no options."""

_OPENED = re.compile(
    r"(?P<open>[<\[])(?P<name>(?:\w+:)?(?:think|thinking|thought|reasoning))(?P<close>[>\]])\s*\Z",
    re.IGNORECASE,
)
"""A thought that the end of a prompt has opened: <think>, [THINK], <seed:think>."""

_FAULTS = (
    *(jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError),
    *(ArithmeticError, RecursionError),
)
"""What comes of a template that does not fit what it is given."""

_FIRST, _LAST, _REPLY, _NEXT = "first words", "last words", "middle words", "final words"


class RenderError(ValueError):
    """A template does not take these messages."""


class Template:
    """A template with the variables that are set: `args`, and over them what a person gave.

    Raises `EngineSetupError` where there is no template, or none that can be read.
    """

    def __init__(self, processor: Any, model: str, args: Mapping[str, Any]) -> None:
        self._tokenizer = getattr(processor, "tokenizer", processor)
        self.text = _find_template(processor, model)
        names = _variables(self.text, model)
        if unknown := sorted(args.keys() - names | args.keys() & _OURS):
            known = ", ".join(sorted(names - _OURS)) or "none"
            raise EngineSetupError(
                f"{model}: its chat template has no option {', '.join(unknown)}; the variables in "
                f"it are {known} (template_args)"
            )
        self.args = {**{n: v for n, v in SWITCHES.items() if n in names}, **args}
        if "reasoning_effort" in self.args.keys() - args.keys():
            self._settle_effort()
        self._dated = "strftime_now" in names

    @property
    def identity(self) -> JSON:
        """What a prompt depends on besides its messages."""
        given = {"template_args": dict(sorted(self.args.items()))} if self.args else {}
        return {"template": self.text, **given, **({"date": str(TODAY)} if self._dated else {})}

    def render(self, messages: list[dict[str, Any]], *, generation_prompt: bool) -> str:
        """Render messages. Raises `RenderError`."""
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    messages,
                    chat_template=self.text,
                    tokenize=False,
                    add_generation_prompt=generation_prompt,
                    strftime_now=TODAY.strftime,
                    **self.args,
                )
            )
        except _FAULTS as error:
            raise RenderError(
                f"the chat template fails on it: {type(error).__name__}: {first_line(error)}"
            ) from error

    def _settle_effort(self) -> None:
        """Leave the effort to the template where it knows only low, medium and high."""
        if not self._renders():
            effort = self.args.pop("reasoning_effort")
            if not self._renders():  # so it was something else
                self.args["reasoning_effort"] = effort

    def _renders(self) -> bool:
        part = {"type": "text", "text": _FIRST}
        for content in ([part], _FIRST):
            try:
                self.render([{"role": "user", "content": content}], generation_prompt=True)
            except RenderError:
                continue
            return True
        return False


def _find_template(processor: Any, model: str) -> str:
    """Find the processor's template, else its tokenizer's; of several the one named `default`."""
    for holder in (processor, getattr(processor, "tokenizer", processor)):
        template = holder.chat_template
        if isinstance(template, dict):
            template = template.get("default")
        if template:
            return str(template)
    raise EngineSetupError(
        f"{model} has no chat template (chat_template.jinja, or in its tokenizer). Use the "
        "instruction-tuned version of the model, if there is one, or another model."
    )


def _variables(template: str, model: str) -> set[str]:
    """Every name that a template reads."""
    try:
        tree = jinja2.Environment(  # noqa: S701 - nothing is rendered by it
            extensions=["jinja2.ext.loopcontrols"]
        ).parse(_GENERATION.sub("", template))
    except jinja2.TemplateError as error:
        raise EngineSetupError(
            f"{model}: its chat template cannot be read: {first_line(error)}. Put one that works "
            "into chat_template.jinja of its folder, or use another model."
        ) from error
    return {name.name for name in tree.find_all(Name) if name.ctx == "load"}


_GENERATION = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")
"""A tag of transformers, which marks a reply for training."""


# --- what every request relies on -----------------------------------------------------------------


def prove(chat: Chat, model: str) -> None:
    """Hold a template, and the processor behind it, to what every request relies on.

    A user's turn keeps its texts, in order, and shows every picture; a conversation of three turns
    keeps all of them, the assistant's once; the processor makes the tokens of a text that
    `Chat.encode` makes. Raises `EngineSetupError`.
    """
    try:
        _prove_turn(chat, model)
        _prove_conversation(chat, model)
        _prove_tokens(chat, model)
    except RenderError as error:
        raise EngineSetupError(
            f"{model}: {error}. Use a model whose template takes user and assistant turns, or put "
            "one into chat_template.jinja of its folder."
        ) from error


def _prove_turn(chat: Chat, model: str) -> None:
    pictures = (0, 1) if chat.pictures else (0,)
    shown = [chat.rendered([("user", _FIRST, count, _LAST)]) for count in pictures]
    for text in shown:
        if not _in_order(text, (_FIRST, _LAST)):
            raise EngineSetupError(
                f"{model}: its chat template does not render a user turn made of parts; it gave "
                f"{text!r}. Use a model whose template takes text and image parts."
            )
    if len({_letters(text) for text in shown}) < len(shown):
        raise EngineSetupError(
            f"{model}: its chat template ignores image parts; it gave {shown[-1]!r}. Use a "
            "vision-language model with its own template."
        )


def shows_two(chat: Chat) -> bool:
    """Whether a template shows two pictures of one turn."""
    try:
        one, two = (_letters(chat.rendered([("user", _FIRST, n, _LAST)])) for n in (1, 2))
    except RenderError:
        return False
    return len(two) > len(one)


def runs_together(chat: Chat) -> bool:
    """Whether, without a picture between them, instruction and question become one word."""
    return _FIRST + _LAST in chat.rendered([("user", _FIRST, 0, _LAST)])


def _prove_conversation(chat: Chat, model: str) -> None:
    """Find out how a template takes the assistant's words: as parts, or as a plain string."""
    turns: list[Turn] = [
        ("user", _FIRST, 1 if chat.pictures else 0, _LAST),
        ("assistant", "", 0, _REPLY),
        ("user", "", 0, _NEXT),
    ]
    rendered = ""
    for parts in (True, False) if chat.pictures else (False,):
        chat.assistant_parts = parts
        try:
            rendered = chat.rendered(turns)
        except RenderError as error:
            rendered = f"nothing ({error})"
            continue
        if _in_order(rendered, (_FIRST, _LAST, _REPLY, _NEXT)):
            return
    raise EngineSetupError(
        f"{model}: its chat template does not render a conversation of three turns, which "
        f"reasoning needs; it gave {cut(rendered, 600)!r}. Use another model, or put a template "
        "that does into chat_template.jinja of its folder."
    )


def _prove_tokens(chat: Chat, model: str) -> None:
    """Two prompts without pictures have to be two rows, of the tokens that `encode` makes."""
    if not chat.pictures:
        return  # its processor is the tokenizer itself
    texts = [chat.rendered([("user", _FIRST, 0, words)]) for words in (_LAST, _REPLY)]
    try:
        rows = chat.processor(text=texts, add_special_tokens=chat.adds_special_tokens(texts[0]))[
            "input_ids"
        ]
        same = [list(map(int, row)) for row in rows] == [chat.encode(text) for text in texts]
    except (*_FAULTS, RuntimeError) as error:
        raise EngineSetupError(
            f"{model}: its processor ({type(chat.processor).__name__}) takes no prompts without "
            f"pictures: {type(error).__name__}: {first_line(error)}. Use another model."
        ) from error
    if not same:
        raise EngineSetupError(
            f"{model}: its processor ({type(chat.processor).__name__}) does not make of a prompt "
            "what the prompt says: two prompts became other tokens than its tokenizer gives. A "
            "model that writes questions of its own, such as ShieldGemma 2, cannot be asked yours; "
            "use an instruction-tuned one."
        )


def _in_order(text: str, words: Sequence[str]) -> bool:
    """Whether a text has each of these once, in this order, and no Python in it."""
    places = [text.find(word) for word in words]
    once = all(text.count(word) == 1 for word in words)
    return once and places == sorted(places) and "'type'" not in text


def _letters(text: str) -> str:
    return "".join(text.split())


# --- where an answer begins -----------------------------------------------------------------------


def reply_opening(chat: Chat, control: re.Pattern[str]) -> str:
    """Find what stands between the generation prompt and the words of an answer.

    Usually nothing. Else what the template itself writes there when the answer is a turn of the
    past: a closed thought, a recipient, the name of a channel. A thought that the prompt opens and
    no turn of the past shows is closed.
    """
    user: Turn = ("user", _FIRST, 0, _LAST)
    prompt = chat.rendered([user])
    past = chat.rendered([user, ("assistant", "", 0, _REPLY)], reply=False)
    between = past.removeprefix(prompt).partition(_REPLY)[0] if past.startswith(prompt) else ""
    # White space there would change the tokens of a prompt that works as it is.
    if control.pattern and control.search(between):
        return between
    return close_thought(prompt)


def close_thought(prompt: str) -> str:
    """Return what closes the thought that the end of a prompt has opened; empty where none is."""
    opened = _OPENED.search(prompt)
    if opened is None:
        return ""
    closed = f"{opened['open']}/{opened['name']}{opened['close']}"
    # On a line of its own where the template opened it so.
    return f"\n{closed}\n\n" if prompt.endswith("\n") else closed
