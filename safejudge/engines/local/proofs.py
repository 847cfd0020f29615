"""A processor -> a `Chat` that every request can rely on, or why there is none.

Holds the template of a model to what is asked of it, and finds out what differs between templates:
how they take the assistant's words, whether they show two pictures, whether instruction and
question run together, and what stands before an answer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from safejudge.engines.dialects import NONE
from safejudge.engines.local.chat import Chat, ChatSettings
from safejudge.engines.local.template import FAULTS, RenderError
from safejudge.errors import EngineSetupError
from safejudge.text import cut, first_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.engines.dialects import Dialect
    from safejudge.engines.local.template import Turn

_OPENED = re.compile(
    r"(?P<open>[<\[])(?P<name>(?:\w+:)?(?:think|thinking|thought|reasoning))(?P<close>[>\]])\s*\Z",
    re.IGNORECASE,
)
"""A thought that the end of a prompt has opened: <think>, [THINK], <seed:think>."""

_FIRST, _LAST, _REPLY, _NEXT = "first words", "last words", "middle words", "final words"


def proved_chat(processor: Any, model: str, settings: ChatSettings) -> Chat:
    """Return the chat of a model.

    Raises `EngineSetupError` for a template that cannot be relied upon.
    """
    chat = Chat(processor, model, settings.template_args, settings.dialect)
    if settings.dialect is not None:
        _prove_form(chat, model, settings.dialect)
        begun = settings.dialect.reply_prefix
        if begun.strip():
            begun = _space_before_reply(chat) + begun
        prefix = settings.reply_prefix
        chat.set_opening(begun if prefix is None else prefix)
        return chat
    _prove(chat, model)
    chat.shows_several = not chat.pictures or _shows_two(chat)
    if settings.line_break:
        counts = (0, 1) if chat.pictures else (0,)
        chat.joined = frozenset(bool(n) for n in counts if _runs_together(chat, n))
    prefix = settings.reply_prefix
    chat.set_opening(_reply_opening(chat) if prefix is None else prefix)
    return chat


# --- what every request relies on -----------------------------------------------------------------


def _prove(chat: Chat, model: str) -> None:
    """Hold a template, and the processor behind it, to what every request relies on.

    A user's turn keeps its texts, in order, and shows every picture; a conversation of three turns
    keeps all of them, the assistant's once; the processor makes the tokens of a text that
    `Chat.encode` makes. Raises `EngineSetupError`.
    """
    try:
        _prove_turn(chat, model)
        _prove_conversation(chat, model)
        _prove_tokens(chat, model, [chat.rendered([_asking(words)]) for words in (_LAST, _REPLY)])
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


def _shows_two(chat: Chat) -> bool:
    """Whether a template shows two pictures of one turn."""
    try:
        one, two = (_letters(chat.rendered([("user", _FIRST, n, _LAST)])) for n in (1, 2))
    except RenderError:
        return False
    return len(two) > len(one)


def _runs_together(chat: Chat, pictures: int) -> bool:
    """Whether instruction and question become one word: where no picture stands between them.

    Some templates put every picture before all texts, or after them.
    """
    return _FIRST + _LAST in chat.rendered([("user", _FIRST, pictures, _LAST)])


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


def _asking(words: str) -> Turn:
    return ("user", _FIRST, 0, words)


def _prove_tokens(chat: Chat, model: str, texts: list[str]) -> None:
    """Two prompts without pictures have to be two rows, of the tokens that `encode` makes."""
    if not chat.pictures:
        return  # its processor is the tokenizer itself
    try:
        made = chat.processor(
            text=texts,
            padding=True,
            padding_side="left",
            return_tensors="pt",
            add_special_tokens=chat.adds_special_tokens(texts[0]),
        )
        rows = zip(made["input_ids"].tolist(), made["attention_mask"].tolist(), strict=True)
        read = [[t for t, real in zip(ids, mask, strict=True) if real] for ids, mask in rows]
    except (*FAULTS, RuntimeError) as error:
        raise EngineSetupError(
            f"{model}: its processor ({type(chat.processor).__name__}) takes no prompts without "
            f"pictures: {type(error).__name__}: {first_line(error)}. Use another model."
        ) from error
    if read != [chat.encode(text) for text in texts]:
        raise EngineSetupError(
            f"{model}: its processor ({type(chat.processor).__name__}) does not make of a prompt "
            "what the prompt says: two prompts became other tokens than its tokenizer gives. A "
            "model that writes questions of its own, such as ShieldGemma 2, cannot be asked yours; "
            "use an instruction-tuned one."
        )


# --- a form of question ---------------------------------------------------------------------------


def _prove_form(chat: Chat, model: str, dialect: Dialect) -> None:
    """Hold a template, and the processor behind it, to the form of a dialect.

    The statement, the system prompt and a caption are in the prompt once, and the picture shows.
    Raises `EngineSetupError`.
    """
    instead = f"--dialect {NONE} asks it as any other model"
    if not chat.pictures:
        raise EngineSetupError(
            f"{model} takes text alone, and the dialect {dialect.name} is about pictures; {instead}"
        )
    if lacking := [name for name in dialect.variables if name not in chat.variables]:
        raise EngineSetupError(
            f"{model}: its chat template has no variable {', '.join(lacking)}, so it asks about "
            f"its makers' rules and no others: no statement can be put to it in the dialect "
            f"{dialect.name}. Use another model"
        )
    try:
        problem = _unkept(chat, dialect)
    except RenderError as error:
        problem = str(error)
    if problem is not None:
        raise EngineSetupError(
            f"{model}: its chat template does not fit the dialect {dialect.name}: {problem}. "
            f"{instead}"
        )
    _prove_tokens(chat, model, [chat.formed(words, None, 0) for words in (_LAST, _REPLY)])


def _space_before_reply(chat: Chat) -> str:
    """Find the white space that a template writes before the words of a reply: "ASSISTANT: ".

    A reply that is begun for the model has to stand where it was taught to begin one.
    """
    user: Turn = ("user", "", 0, _FIRST)
    for parts in (True, False):
        chat.assistant_parts = parts
        try:
            prompt = chat.rendered([user])
            past = chat.rendered([user, ("assistant", "", 0, _REPLY)], reply=False)
        except RenderError:
            continue
        between, words, _ = past.removeprefix(prompt).partition(_REPLY)
        if words and past.startswith(prompt) and between.isspace():
            return between
    return ""


def _unkept(chat: Chat, dialect: Dialect) -> str | None:
    """Say what a template does not keep of a form; None where it keeps all. May `RenderError`."""
    caption = _NEXT if dialect.captions else None
    shown = [chat.formed(_REPLY, caption, count) for count in (0, 1)]
    words = [_REPLY, *filter(None, [caption, dialect.put("", None).system])]
    if any(text.count(word) != 1 or "'type'" in text for text in shown for word in words):
        return f"it does not keep what is asked; it gave {cut(shown[1], 600)!r}"
    if len({_letters(text) for text in shown}) < len(shown):
        return f"it ignores the picture; it gave {cut(shown[1], 600)!r}"
    return None


def _in_order(text: str, words: Sequence[str]) -> bool:
    """Whether a text has each of these once, in this order, and no Python in it."""
    places = [text.find(word) for word in words]
    once = all(text.count(word) == 1 for word in words)
    return once and places == sorted(places) and "'type'" not in text


def _letters(text: str) -> str:
    return "".join(text.split())


# --- where an answer begins -----------------------------------------------------------------------


def _reply_opening(chat: Chat) -> str:
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
    if chat.has_control(between):
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
