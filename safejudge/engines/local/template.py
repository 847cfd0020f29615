"""The chat template of one model: its variables, its dates, and what it makes of messages.

Takes messages; gives text. What is rendered depends on the template and on what the card tells of
it, never on the day. What it makes of a conversation is proved in `proofs`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import jinja2
from jinja2.nodes import Name

from safejudge.errors import EngineSetupError
from safejudge.text import first_line

if TYPE_CHECKING:
    from collections.abc import Mapping

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

FAULTS = (
    *(jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError),
    *(ArithmeticError, RecursionError),
)
"""What comes of a template that does not fit what it is given."""


_WORDS = "words"


class RenderError(ValueError):
    """A template does not take these messages."""


class Template:
    """A template with the variables that are set: `args`, and over them what a person gave.

    Raises `EngineSetupError` where there is no template, or none that can be read.
    """

    def __init__(self, processor: Any, model: str, args: Mapping[str, Any]) -> None:
        self._tokenizer = getattr(processor, "tokenizer", processor)
        self.text = _find_template(processor, model)
        names = self.names = _variables(self.text, model)
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

    def render(
        self, messages: list[dict[str, Any]], *, generation_prompt: bool, **variables: Any
    ) -> str:
        """Render messages, with `variables` over those that are set. Raises `RenderError`."""
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    messages,
                    chat_template=self.text,
                    tokenize=False,
                    add_generation_prompt=generation_prompt,
                    strftime_now=TODAY.strftime,
                    **{**self.args, **variables},
                )
            )
        except FAULTS as error:
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
        part = {"type": "text", "text": _WORDS}
        for content in ([part], _WORDS):
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
