"""Chat templates of the families in `families`, written for these tests.

Each has the structure and the control tokens of the released one (what is inserted, in which order,
how the generation prompt ends), and none of its text.
"""

from __future__ import annotations

_PARTS = (
    "{%- macro parts(content) -%}{%- if content is string -%}{{ content }}{%- else -%}"
    "{%- for p in content -%}{%- if p.type == 'image' -%}{{ 'MARK' }}"
    "{%- elif p.type == 'text' -%}{{ p.text }}{%- endif -%}{%- endfor -%}{%- endif -%}"
    "{%- endmacro -%}"
)
"""Takes plain strings and parts; pictures where they stand."""

_TOOLS = (
    "{%- if tools -%}{{ '<|im_start|>system\n# Tools\n<tools>' }}{%- for t in tools -%}"
    "{{ '\n' ~ (t | tojson) }}{%- endfor -%}{{ '\n</tools><|im_end|>\n' }}{%- endif -%}"
)

_CHATML = _PARTS + (
    "SYSTEM{%- for m in messages -%}{{ '<|im_start|>' ~ m.role ~ '\n' ~ (parts(m.content) | trim)"
    " ~ '<|im_end|>\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}OPENING{%- endif -%}"
)


def chatml(mark: str, system: str = "", opening: str = "") -> str:
    """ChatML with a mark for pictures, a system part, and how the reply is opened."""
    return _CHATML.replace("MARK", mark).replace("SYSTEM", system).replace("OPENING", opening)


QWEN_MARK = "<|vision_start|><|image_pad|><|vision_end|>"

QWEN3_VL = chatml(QWEN_MARK, _TOOLS)
"""Qwen3-VL-Instruct: no thinking, no system turn unless given."""

QWEN3_VL_THINKING = chatml(QWEN_MARK, _TOOLS, "{{ '<think>\n' }}")
"""Qwen3-VL-Thinking: the reply always begins inside an opened <think>; no switch."""

QWEN3_5 = chatml(
    QWEN_MARK,
    _TOOLS,
    "{%- if enable_thinking is defined and enable_thinking is false -%}"
    "{{ '<think>\n\n</think>\n\n' }}{%- else -%}{{ '<think>\n' }}{%- endif -%}",
)
"""Qwen3.5 and 3.6: thinks unless told not to."""

QWEN3_8 = chatml(
    QWEN_MARK,
    "{%- if enable_thinking is undefined or enable_thinking is true -%}"
    "{{ '<|im_start|>system\nEffort ' ~ (reasoning_effort | default('xhigh')) ~ '.<|im_end|>\n' }}"
    "{%- endif -%}",
    "{%- if enable_thinking is defined and enable_thinking is false -%}"
    "{{ '<think>\n\n</think>\n\n' }}{%- else -%}{{ '<think>\n' }}{%- endif -%}",
)
"""Qwen3.8: as 3.5, with an effort in the system turn while it thinks."""

GEMMA4 = _PARTS.replace("MARK", "<|image|>").replace("p.text", "p.text | trim") + (
    "{{ bos_token }}{%- if enable_thinking is defined and enable_thinking -%}"
    "{{ '<|turn>system\n<|think|>\n<turn|>\n' }}{%- endif -%}"
    "{%- for m in messages -%}{{ '<|turn>' ~ ('model' if m.role == 'assistant' else m.role) ~ '\n'"
    " ~ parts(m.content) ~ '<turn|>\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|turn>model\n' }}{%- endif -%}"
)
"""Gemma 4, small: texts are trimmed and nothing stands between text and picture."""

GEMMA4_EMPTY_THOUGHT = GEMMA4.replace(
    "{{ '<|turn>model\n' }}",
    "{{ '<|turn>model\n' }}{%- if not enable_thinking | default(false) -%}"
    "{{ '<|channel>thought\n<channel|>' }}{%- endif -%}",
)
"""Gemma 4, large: an empty thought is closed before the reply."""

LFM2_VL = "{{ bos_token }}" + chatml("<image>").replace(" | trim", "")

MISTRAL3 = (
    "{%- set today = strftime_now('%Y-%m-%d') -%}"
    "{{ bos_token ~ '[SYSTEM_PROMPT]You are a model. Today is ' ~ today ~ '.[/SYSTEM_PROMPT]' }}"
    "{%- for m in messages -%}"
    "{%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}{{ raise_exception('alternate') }}"
    "{%- endif -%}{%- if m.role == 'user' -%}{{ '[INST]' }}"
    "{%- if m.content is string -%}{{ m.content }}{%- else -%}{%- for p in m.content -%}"
    "{{ p.text if p.type == 'text' else '[IMG]' }}{%- endfor -%}{%- endif -%}{{ '[/INST]' }}"
    "{%- else -%}{{ m.content if m.content is string else m.content[0].text }}{{ eos_token }}"
    "{%- endif -%}{%- endfor -%}"
)
"""Mistral Small 3.1: a default system prompt with today's date; ends right after [/INST]."""

MISTRAL_EFFORT = (
    '{{ bos_token ~ \'[MODEL_SETTINGS]{"reasoning_effort": "\' ~ (reasoning_effort |'
    " default('none')) ~ '\"}[/MODEL_SETTINGS]' }}" + MISTRAL3.split("}}", 1)[1]
)
"""Mistral Small 4: the effort of reasoning is a setting in the prompt."""

GLM4V = _PARTS.replace("MARK", "<|begin_of_image|><|image|><|end_of_image|>") + (
    "{{ '[gMASK]<sop>' }}{%- for m in messages -%}{{ '<|' ~ m.role ~ '|>\n' ~ parts(m.content) }}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{ '<|assistant|>\n' }}{%- endif -%}"
)
"""GLM-4.1V-Thinking: it opens <think> itself; no switch. No token that ends a turn but the next."""

GLM46V = GLM4V.replace(
    "parts(m.content) }}",
    "parts(m.content) ~ ('/nothink' if m.role == 'user' and enable_thinking is defined and not"
    " enable_thinking else '') }}",
).replace(
    "{{ '<|assistant|>\n' }}",
    "{{ '<|assistant|>\n' }}{%- if enable_thinking is defined and not enable_thinking -%}"
    "{{ '<think></think>\n' }}{%- endif -%}",
)
"""GLM-4.5V and 4.6V: /nothink after the words, and an empty thought."""

KIMI = _PARTS.replace("MARK", "<|media_begin|>image<|media_content|><|media_pad|><|media_end|>") + (
    "{%- for m in messages -%}{{ '<|im_' ~ m.role ~ '|>' ~ m.role ~ '<|im_middle|>' ~"
    " parts(m.content) ~ '<|im_end|>' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_assistant|>assistant<|im_middle|>' }}"
    "{%- if thinking is defined and thinking is false -%}{{ '<think></think>' }}"
    "{%- else -%}{{ '<think>' }}{%- endif -%}{%- endif -%}"
)
"""Kimi K2.5 and K2.6: the switch is called `thinking`."""

LLAMA4 = _PARTS.replace("MARK", "<|image|>").replace("p.text", "p.text | trim") + (
    "{{ bos_token }}{%- for m in messages -%}{{ '<|header_start|>' ~ m.role ~ '<|header_end|>\n\n'"
    " ~ parts(m.content) ~ '<|eot|>' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|header_start|>assistant<|header_end|>\n\n' }}"
    "{%- endif -%}"
)

MUSE = _PARTS.replace("MARK", "<|patch|>") + (
    "{{ bos_token ~ '<|start|>system<|message|>You help.' }}"
    "{%- if strftime_now is defined -%}{{ '\nDate: ' ~ strftime_now('%Y-%m-%d') }}{%- endif -%}"
    "{{ '\nReasoning strength: ' ~ (reasoning_strength | default('high')) ~ '.<|eot|>' }}"
    "{%- for m in messages -%}{{ '<|start|>' ~ m.role ~ (' to=user' if m.role == 'assistant' else"
    " '') ~ '<|message|>' ~ parts(m.content) ~ '<|eot|>' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|start|>assistant' }}{%- endif -%}"
)
"""Muse Glimmer: the reply first says to whom it speaks (" to=self" is a thought)."""

ONEVISION = (
    "{%- for m in messages -%}{{ '<|im_start|>' ~ m.role ~ ' ' }}"
    "{%- for p in m.content if p.type == 'image' -%}{{ '<image>' }}{%- endfor -%}"
    "{%- for p in m.content if p.type == 'text' -%}{{ '\n' ~ p.text }}{%- endfor -%}"
    "{{ '<|im_end|>' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)
"""LLaVA-OneVision: all pictures first, then all texts."""

AYA = (
    "{{ bos_token }}{%- for m in messages -%}"
    "{{ '<|START_OF_TURN_TOKEN|>' ~ ('<|USER_TOKEN|>' if m.role == 'user' else"
    " '<|CHATBOT_TOKEN|>') }}{%- if m.content is string -%}{{ m.content }}{%- else -%}"
    "{%- for p in m.content if p.type == 'image' -%}{{ '<image>' }}{%- endfor -%}"
    "{%- for p in m.content if p.type == 'text' -%}{{ p.text }}{%- endfor -%}{%- endif -%}"
    "{{ '<|END_OF_TURN_TOKEN|>' }}{%- endfor -%}{%- if add_generation_prompt -%}"
    "{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{%- endif -%}"
)

OVIS2 = chatml("<image>\n", "{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}")
"""Ovis2: a system turn by default."""

SHIELDGEMMA2 = (
    "{{ bos_token }}{%- for m in messages -%}{{ '<start_of_turn>user\n' }}"
    "{%- for p in m.content if p.type == 'image' -%}{{ '<start_of_image>' }}{%- endfor -%}"
    "{{ '\nYou check pictures against one policy.\n<policy>\n' }}"
    "{%- for p in m.content if p.type == 'text' -%}{{ p.text }}{%- endfor -%}"
    "{{ '\n</policy>\nDoes the picture violate it? Yes or No.<end_of_turn>\n' }}{%- endfor -%}"
    "{{ '<start_of_turn>model\n' }}"
)
"""ShieldGemma 2: the words of the user are a policy inside a fixed question."""

MINICPM = chatml(
    "<|image_pad|>", "", QWEN3_5.split("assistant\n' }}", 1)[1].rsplit("{%- endif", 1)[0]
)

STRINGS_ONLY = (
    "{%- for m in messages -%}{{ '<|im_start|>' ~ m.role ~ '\n' ~ m.content ~ '<|im_end|>\n' }}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)
"""Old InternVL and MiniCPM exports: content is one string, and parts are printed as Python."""

IMAGE_AFTER_TEXT = (
    "{%- for m in messages -%}{{ '<|im_start|>' ~ m.role ~ '\n' }}"
    "{%- for p in m.content if p.type == 'text' -%}{{ p.text }}{%- endfor -%}"
    "{%- for p in m.content if p.type == 'image' -%}{{ 'MARK' }}{%- endfor -%}"
    "{{ '<|im_end|>\n' }}{%- endfor -%}{%- if add_generation_prompt -%}"
    "{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)
