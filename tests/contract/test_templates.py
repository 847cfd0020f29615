"""What a chat template may do, what is set in it, and where an answer begins."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tiny_models

from safejudge import prompts
from safejudge.engines.local import template
from safejudge.engines.local.chat import ChatSettings
from safejudge.engines.local.proofs import close_thought, proved_chat
from safejudge.errors import EngineSetupError
from safejudge.types import Message, Picture, Probe, Reasoning

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from safejudge.engines.local.chat import Chat

PARTS = (
    "{%- macro parts(c) -%}{%- if c is string -%}{{ c }}{%- else -%}{%- for p in c -%}"
    "{{ '<|vision_start|><|image_pad|><|vision_end|>' if p.type == 'image' else p.text }}"
    "{%- endfor -%}{%- endif -%}{%- endmacro -%}"
)
TURNS = (
    "{%- for m in messages -%}{{ '<|im_start|>' ~ m.role ~ '\n' ~ (WORDS) ~ '<|im_end|>\n' }}"
    "{%- endfor -%}"
)
OPENED = "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}REST{%- endif -%}"


def chatml(rest: str = "", words: str = "parts(m.content)", before: str = "") -> str:
    """A template in the style of Qwen; `rest` ends the generation prompt."""
    return PARTS + before + TURNS.replace("WORDS", words) + OPENED.replace("REST", rest)


@pytest.fixture(scope="module")
def chat_of(tiny_folder: Callable[[str], Path]) -> Callable[..., Chat]:
    """The chat of a tiny Qwen2.5-VL under another template."""
    from transformers import AutoProcessor

    def chat(text: str, *, thoughts: bool = True, **settings: Any) -> Chat:
        with tiny_models.pictures_only():
            processor = AutoProcessor.from_pretrained(tiny_folder("qwen2_5_vl"))
        if thoughts:
            processor.tokenizer.add_tokens(["<think>", "</think>"])
        processor.chat_template = processor.tokenizer.chat_template = text
        return proved_chat(processor, "ORG/MODEL", ChatSettings(**settings))

    return chat


# --- variables ------------------------------------------------------------------------------------

SWITCHED = {
    "enable_thinking": "{{ '<think>' if enable_thinking | default(true) else '<think></think>' }}",
    "thinking": "{{ '<think></think>' if thinking is defined and not thinking else '<think>' }}",
    "reasoning_effort": "{{ '<think></think>' if reasoning_effort == 'none' else '<think>' }}",
}


@pytest.mark.parametrize("name", SWITCHED)
def test_switches_by_which_a_model_answers_at_once_are_set(
    chat_of: Callable[..., Chat], name: str
) -> None:
    chat = chat_of(chatml(SWITCHED[name]))
    assert chat.question_prompt().endswith("<think></think>")
    assert chat.opening == ""
    assert name in chat.identity["template_args"]


def test_an_effort_that_a_template_refuses_is_left_to_it(chat_of: Callable[..., Chat]) -> None:
    before = (
        "{%- if reasoning_effort is defined and reasoning_effort not in ['low', 'high'] -%}"
        "{{ raise_exception('low or high') }}{%- endif -%}"
    )
    assert "template_args" not in chat_of(chatml(before=before)).identity
    chat = chat_of(chatml(before=before), template_args={"reasoning_effort": "low"})
    assert chat.identity["template_args"] == {"reasoning_effort": "low"}
    with pytest.raises(EngineSetupError, match="low or high"):
        chat_of(chatml(before=before), template_args={"reasoning_effort": "some"})


def test_options_of_a_person_win_and_are_part_of_the_identity(
    chat_of: Callable[..., Chat],
) -> None:
    text = chatml("{{ 'Mode: ' ~ mode | default('quick') ~ '\n' }}")
    quick, slow = chat_of(text), chat_of(text, template_args={"mode": "slow"})
    assert slow.question_prompt().endswith("Mode: slow\n")
    assert quick.identity != slow.identity
    on = chat_of(chatml(SWITCHED["thinking"]), template_args={"thinking": True}, reply_prefix="")
    assert on.question_prompt().endswith("<think>")


@pytest.mark.parametrize("name", ["mood", "messages", "add_generation_prompt", "strftime_now"])
def test_an_option_that_a_template_does_not_read_is_refused(
    chat_of: Callable[..., Chat], name: str
) -> None:
    text = chatml("{{ mode | default('') }}", before="{%- set now = strftime_now('%Y') -%}")
    with pytest.raises(EngineSetupError, match=f"no option {name}; the variables in it are .*mode"):
        chat_of(text, template_args={name: 1})


@pytest.mark.parametrize("given", ["false", ["thinking"], 1])
def test_options_are_an_object(given: object) -> None:
    with pytest.raises(EngineSetupError, match="template_args has to be an object"):
        ChatSettings.checked(given, None)
    with pytest.raises(EngineSetupError, match="reply_prefix has to be a text"):
        ChatSettings.checked(None, [given])


# --- dates ----------------------------------------------------------------------------------------

DATED = "{{ '<|im_start|>system\nToday is ' ~ strftime_now('%d %B %Y') ~ '.<|im_end|>\n' }}"


def test_the_date_of_a_prompt_is_no_day_of_the_calendar(
    chat_of: Callable[..., Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = chat_of(chatml(before=DATED))
    assert "Today is 01 January 2026." in chat.question_prompt()
    identity = chat.identity
    monkeypatch.setattr(template, "TODAY", datetime(2027, 2, 3, tzinfo=UTC))
    other = chat_of(chatml(before=DATED))
    assert "Today is 03 February 2027." in other.question_prompt()
    assert other.identity != identity
    assert "date" not in chat_of(chatml()).identity


# --- where an answer begins -----------------------------------------------------------------------

THINKS = "{{ '<think>\n' }}"
ANSWERED = "('<think>\n\n</think>\n\n' if m.role == 'assistant' else '') ~ parts(m.content)"
CHANNEL = "(' to=user<|vision_start|>' if m.role == 'assistant' else '') ~ parts(m.content)"
BEGINNINGS = [
    (chatml(), ""),
    (chatml(THINKS), "\n</think>\n\n"),
    (chatml(THINKS, ANSWERED), "\n</think>\n\n"),
    (chatml("{{ '<think>' }}"), "</think>"),
    (chatml("{{ '[THINK]' }}"), "[/THINK]"),
    (chatml("{{ '<think>\n\n</think>\n\n' }}"), ""),
    (chatml("", ANSWERED), "<think>\n\n</think>\n\n"),
    (chatml("", CHANNEL), " to=user<|vision_start|>"),
    # It takes no notice of add_generation_prompt.
    (PARTS + TURNS.replace("WORDS", "parts(m.content)"), "<|im_start|>assistant\n"),
]


@pytest.mark.parametrize(("text", "opening"), BEGINNINGS)
def test_every_prompt_ends_where_the_answer_begins(
    chat_of: Callable[..., Chat], text: str, opening: str
) -> None:
    chat = chat_of(text)
    assert chat.opening == opening
    probe = Probe(prompts.ASK, (), "So?")
    request = Reasoning("Say.", (), (Message("user", "What?"),))
    for prompt in (chat.probe_text(probe), chat.reasoning_text(request), chat.question_prompt()):
        assert prompt.endswith(opening)
        assert not close_thought(prompt)
    assert tuple(chat.encode(chat.probe_text(probe))) == chat.probe_ids(probe)
    assert chat.identity.get("reply_prefix", "") == opening


def test_a_person_may_say_where(chat_of: Callable[..., Chat]) -> None:
    chat = chat_of(chatml(THINKS), reply_prefix="so</think>")
    assert chat.question_prompt().endswith("<think>\nso</think>")
    assert chat.identity["reply_prefix"] == "so</think>"


# --- proofs ---------------------------------------------------------------------------------------

LAST_ONLY = chatml().replace("for m in messages", "for m in messages[-1:]")
STRINGS = "parts(m.content) if m.role == 'user' else m.content ~ ''"
REFUSED = [
    (chatml(words="m.content"), "does not render a user turn made of parts"),
    (chatml().replace("'<|vision_start|><|image_pad|><|vision_end|>'", "''"), "ignores image"),
    (LAST_ONLY, "does not render a conversation of three turns"),
    (chatml(words="parts(m.content) ~ (parts(m.content) if m.role != 'user' else '')"), "three"),
    (chatml(before="{{ raise_exception('never') }}"), "fails on it: TemplateError: never"),
    (chatml(before="{{ 1 / 0 }}"), "ZeroDivisionError"),
    (chatml() + "{% if %}", "cannot be read.*chat_template.jinja"),
    ("", "has no chat template"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_cannot_be_relied_upon_is_refused(
    chat_of: Callable[..., Chat], text: str, message: str
) -> None:
    with pytest.raises(EngineSetupError, match=message) as caught:
        chat_of(text)
    assert "ORG/MODEL" in str(caught.value)


@pytest.mark.parametrize(
    "words", [STRINGS, "parts(m.content) if m.role == 'user' else m.content + ''"]
)
def test_assistants_that_take_plain_strings_get_them(
    chat_of: Callable[..., Chat], words: str
) -> None:
    chat = chat_of(chatml(words=words))
    assert not chat.assistant_parts
    turns = (Message("user", "What?"), Message("assistant", "A dog."), Message("user", "Sure?"))
    text = chat.reasoning_text(Reasoning("Say.", (), turns))
    assert "assistant\nA dog.<|im_end|>" in text
    assert "'type'" not in text


def test_a_template_that_shows_one_picture_is_not_asked_about_two(
    chat_of: Callable[..., Chat],
) -> None:
    once = chatml(
        words="('<|vision_start|><|image_pad|><|vision_end|>' if m.content | "
        "selectattr('type', 'equalto', 'image') | list else '') ~ m.content | "
        "selectattr('type', 'equalto', 'text') | map(attribute='text') | join(' ')"
    )
    chat = chat_of(once)
    picture = Picture.of(np.zeros((8, 8, 3), np.uint8))
    assert chat.refuses(Probe(prompts.ASK, (picture,), "So?")) is None
    assert "shows one picture" in str(chat.refuses(Probe(prompts.ASK, (picture, picture), "So?")))


PICTURES_FIRST = (
    "parts(m.content if m.content is string else (m.content | selectattr('type', 'equalto', "
    "'image') | list) + (m.content | selectattr('type', 'equalto', 'text') | list))"
)


def test_without_a_picture_between_the_question_stands_on_a_line_of_its_own(
    chat_of: Callable[..., Chat],
) -> None:
    probe = Probe("Say Yes or No.", (), "Is it so?")
    chat = chat_of(chatml())
    assert "Say Yes or No.\nIs it so?" in chat.probe_text(probe)
    assert chat.identity["line_break"] == [False]
    picture = Picture.of(np.zeros((8, 8, 3), np.uint8))
    shown = Probe("Say Yes or No.", (picture,), "Is it so?")
    assert "Say Yes or No.<|vision_start|>" in chat.probe_text(shown)
    first = chatml(words=PICTURES_FIRST)
    assert "<|vision_end|>Say Yes or No.\nIs it so?" in chat_of(first).probe_text(shown)
    assert chat_of(first).identity["line_break"] == [False, True]
    trimmed = chatml().replace("else p.text", "else p.text | trim")
    assert "Say Yes or No.\nIs it so?" in chat_of(trimmed).probe_text(probe)
    apart = chat_of(chatml().replace("else p.text", "else p.text ~ ' '"))
    assert "Say Yes or No. Is it so? " in apart.probe_text(probe)
    assert "Say Yes or No.Is it so?" in chat_of(chatml(), line_break=False).probe_text(probe)
