"""Text that other people wrote, made safe to store and to show. Pure."""

from __future__ import annotations


def storable(text: str) -> str:
    """Replace half surrogate pairs, which a model can emit and UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def quoted(text: str, limit: int = 48) -> str:
    """Quote text for a message: short, on one line, with hidden characters spelled out."""
    return f"`{spelled(cut(text, limit))}`"


def spelled(text: str) -> str:
    """Spell hidden characters out, so that whoever reads the text sees them."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def clean(text: str) -> str:
    r"""Spell out everything that is no visible character, so that `\x1b` stays a word."""
    return "".join(c if c.isprintable() else _spelled(c) for c in text)


def _spelled(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")


def clean_lines(text: str) -> str:
    """Do the same and keep the line breaks."""
    return "\n".join(clean(line) for line in text.split("\n"))


def first_line(error: BaseException) -> str:
    """Return what an error says first, shortened."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def counted(count: int, noun: str) -> str:
    """Write a number with its noun: "1 question", "2 questions"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def plain_name(name: str) -> str:
    """Make a name fit for JSON and a log line: valid Unicode, on one line, not endless."""
    line = "".join(part if part.isprintable() else "?" for part in name)
    return line if len(line) <= 1024 else f"{line[:1000]}... ({len(line)} characters)"


def cut(text: str, limit: int = 300) -> str:
    """Return at most `limit` characters of a text, and dots where more was there."""
    return text if len(text) <= limit else f"{text[:limit]}..."
