"""Text that other people wrote, made safe to store and to show. Pure, and the only place for it.

Which function a new message needs:

- A message holds names as they came. `show.terminal.say` and the pages clean all that they print;
  what is printed otherwise passes `clean`, or `clean_lines` where line breaks mean something.
- A value in the middle of a message: `quoted`. It is short, in backticks, on one line.
- What a library's error says: `first_line`; where its lines belong together, `cut(one_line(...))`.
- The name of an image in a record or a message: `plain_name`.
- What a model wrote, in a record or a prompt: `storable`; on one line, so that it cannot begin a
  line of a prompt: `one_line`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator


def storable(text: str) -> str:
    """Replace half surrogate pairs, which a model can emit and UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def quoted(text: str, limit: int = 48) -> str:
    """Quote text for a message: short, on one line, with hidden characters spelled out."""
    return f"`{spelled(cut(text, limit))}`"


def spelled(text: str) -> str:
    r"""Spell hidden characters out as JSON does (`\u001b`), so that people see them."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def clean(text: str) -> str:
    r"""Spell out everything that is no visible character, so that `\x1b` stays a word."""
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")


def clean_lines(text: str) -> str:
    """Do the same and keep the line breaks."""
    return "\n".join(clean(line) for line in text.split("\n"))


def one_line(text: str) -> str:
    """Write every stretch of white space as one space, and none at the ends."""
    return " ".join(text.split())


_MARKS = re.compile(
    r"<(?=[|/!?A-Za-z_\uff5c\u2581])|(?<=[|\uff5c])>|\[(?=/?[A-Z_]{2,})|(?m:^)#{2,}(?=\s)"
)


def disarmed(text: str) -> str:
    """Take apart what chat templates use as marks: `<|im_end|>`, `</s>`, `[INST]`, `<image>`.

    A space in each keeps it readable, and leaves a tokenizer nothing to take for the mark.
    """
    return _MARKS.sub(lambda match: f" {match[0]} ", text)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, what it was raised from or while handling what, and so on; each once."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def first_line(error: BaseException) -> str:
    """Return what an error says first, shortened."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def counted(count: int, noun: str) -> str:
    """Write a number with its noun: "1 question", "2 questions"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def plain_name(name: str) -> str:
    """Make a name fit for JSON and a log line: valid Unicode, on one line, not endless."""
    line = "".join(sign if sign.isprintable() else "?" for sign in name)
    return line if len(line) <= 1024 else f"{line[:1000]}... ({len(line)} characters)"


def cut(text: str, limit: int = 300) -> str:
    """Return at most `limit` characters of a text, and dots where more was there."""
    return text if len(text) <= limit else f"{text[:limit]}..."
