"""`words`: whether some words stand in a picture, read by an OCR.

program: {words: SUMMER SALE}                     # every word
program: {words: "{text}", at_least: 0.8}         # four of five words of the item's `text`
program: {words: {kind: price}}                   # anything that looks like a price
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safejudge.errors import ArgumentError
from safejudge.programs import ocr
from safejudge.programs.base import Found, Program, is_slot, share, shown, text_of
from safejudge.programs.scoring import texts
from safejudge.text import counted, cut

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from safejudge.types import JSON, Box, Picture

_MONEY = r"(?:[€$£¥₹₩₽]|\b(?:EUR|USD|GBP|CHF|Fr|Rs|kr|zł)\b\.?)"
_AMOUNT = r"\d{1,9}(?:[.,' ]\d{2,3}){0,3}(?:[.,]\s?[-\u2013])?"
KINDS = {
    "price": re.compile(rf"{_MONEY}\s?{_AMOUNT}|{_AMOUNT}\s?{_MONEY}", re.IGNORECASE),
    "percentage": re.compile(r"\d{1,3}(?:[.,]\d{1,3})?\s?%"),
}
"""Text by its look; each expression takes time in proportion to the text."""
_EXAMPLE = '`words: SALE`, `words: "{text}"` or `words: {kind: price}`'
_SHOWN = 300


class Words(Program):
    """Reads a picture, and compares with the words that are wanted."""

    name = "words"
    version = "1"
    options = ("at_least", "by", "confidence")

    def check(self, arguments: JSON) -> JSON:
        """Check the words, the share of them that is enough (`at_least`), and how they are counted.

        `by`: `whole` words (the default), or as GIR-Bench does (`published`).
        """
        wanted = arguments["words"]
        if isinstance(wanted, dict):
            checked: JSON = {"words": _kind_of(wanted)}
            if beside := [name for name in ("at_least", "by") if name in arguments]:
                problem = f"has `{beside[0]}` beside a kind of text"
                raise ArgumentError(problem, "the kind alone: one such text is enough")
        else:
            checked = {"words": text_of(wanted, "a text", _EXAMPLE)}
            if not _SLOTS.search(checked["words"]) and not texts.words(checked["words"]):
                raise ArgumentError(f"has {shown(checked['words'])}, which is no word", _EXAMPLE)
            checked["at_least"] = share(arguments, "at_least", 1.0)
            if (by := arguments.get("by", "whole")) not in ("whole", "published"):
                raise ArgumentError(f"has {shown(by)} for `by`", "`by: whole` or `by: published`")
            if by != "whole":
                checked["by"] = by
        if (sure := share(arguments, "confidence", texts.SURE)) != texts.SURE:
            checked["confidence"] = sure
        return checked

    def prepare(self) -> None:
        """Open the OCR."""
        ocr.reader()

    def files(self) -> tuple[Path, ...]:
        """Name the OCR's models."""
        return ocr.model_files()

    def look(self, picture: Picture, arguments: JSON, boxes: Sequence[Box]) -> Found:
        """Read the picture, and look for the words."""
        del boxes
        lines = ocr.reader().lines(picture)
        sure = arguments.get("confidence", texts.SURE)
        seen = " ".join(line.word for line in lines if line.confidence > sure)
        count = len(texts.words(seen))
        read = f"read {shown(cut(seen, _SHOWN))}" if count else "read no words"
        faint = sum(line.confidence <= sure for line in lines)
        unsure = f"; {counted(faint, 'line')} too faint to count" if faint else ""
        facts = {"words_read": count}
        wanted = arguments["words"]
        if isinstance(wanted, dict):
            found = KINDS[wanted["kind"]].findall(seen)
            said = f"{read}{unsure}: {counted(len(found), wanted['kind'])}"
            return Found(float(len(found)), bool(found), said, lines, facts)
        if arguments.get("by") == "published":
            value, lacking = texts.published_share(wanted, seen), ""
        else:
            value = texts.word_share(wanted, seen) or 0.0
            absent = texts.missing_words(wanted, seen)
            lacking = f"; without {', '.join(map(shown, absent[:8]))}" if absent else ""
        said = f"{read}{unsure}: {value:.2f} of the words {shown(cut(wanted, 80))}{lacking}"
        return Found(value, value >= arguments["at_least"], said, lines, facts)


_SLOTS = re.compile(r"\{\w[\w-]*\}")


def _kind_of(wanted: JSON) -> JSON:
    kind = wanted.get("kind")
    if wanted.keys() != {"kind"} or not (is_slot(kind) or kind in KINDS):
        raise ArgumentError(
            f"has {shown(wanted)}, which is no kind of text",
            f"`words: {{kind: {next(iter(KINDS))}}}`; there are {', '.join(KINDS)}",
        )
    return {"kind": kind}
