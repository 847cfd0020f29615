"""Fenced blocks of an answer in Markdown, and the file names that it gives them. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_NAME = re.compile(r"[\w./-]*\w\.(?:html?|css|m?js|svg)\b", re.IGNORECASE)
_COMMENT = re.compile(r"\s*(?://|/\*|#|<!--)\s*(?:file\s*(?:name)?:?\s*)?(\S+)\s*(?:\*/|-->)?\s*$")
_LONGEST = 80
"""Signs of a line that is a heading with a name, or of a fence; a longer one is prose."""


class Block(NamedTuple):
    """One fenced block."""

    name: str | None
    """The file name that the answer gives it: on its fence, on the line before, or in a comment on
    its first line."""
    text: str


def blocks_of(text: str) -> list[Block]:
    """Find the blocks in order; one that is never closed runs to the end."""
    blocks: list[Block] = []
    before, name, fence = "", None, ""
    held: list[str] | None = None
    for line in text.replace("\r\n", "\n").split("\n"):
        found = _FENCE.match(line)
        if held is None:
            if found and "`" not in found[2]:
                fence, held = found[1], []
                name = _named(found[2]) or _named(before)
            elif line.strip():
                before = line
        elif found and not found[2].strip() and found[1].startswith(fence):
            blocks.append(_block(name, held))
            before, held = "", None
        else:
            held.append(line)
    return blocks if held is None else [*blocks, _block(name, held)]


def _block(name: str | None, lines: list[str]) -> Block:
    comment = _COMMENT.match(lines[0][:_LONGEST]) if lines and name is None else None
    return Block(name or (_named(comment[1]) if comment else None), "\n".join(lines))


def _named(line: str) -> str | None:
    names = _NAME.findall(line) if len(line) <= _LONGEST else []
    return names[-1].removeprefix("./").lstrip("/") if names else None
