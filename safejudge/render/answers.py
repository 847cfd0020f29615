"""What of a model's answer is shown: its last whole page, else its last drawing. Pure.

Takes the text of an answer; gives the text of one page. Style sheets and scripts that the answer
has in blocks of their own are put in by their file names. Case means nothing. What a model thinks
before it answers is no answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from safejudge.render.blocks import Block, blocks_of

_THOUGHT = re.compile(r"</think\s*>", re.IGNORECASE)
_THINKING = re.compile(r"\s*<think\s*>", re.IGNORECASE)
_DOCTYPE = re.compile(
    r"<!doctype[^<>]*>\s*(?:<!--(?:(?!-->).)*-->\s*)*+", re.IGNORECASE | re.DOTALL
)
_TAGS = {
    name: re.compile(rf"<(?P<end>/?)(?:(?P<script>script)|{name})\b[^<>]*>", re.IGNORECASE)
    for name in ("html", "svg")
}
_OPEN = {name: re.compile(rf"<{name}\b", re.IGNORECASE) for name in ("html", "svg")}
_LINK = re.compile(r"<link\b[^<>]*>", re.IGNORECASE)
_SOURCE = re.compile(r"<script\b([^<>]*)>\s*</script\s*>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"([\w-]+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+)))?")


_PROLOGUE = re.compile(
    r"(?:\s++|<\?(?:(?!\?>).)*+\?>|<!--(?:(?!-->).)*+-->|<!doctype[^<>]*+>)*+(?=<svg\b)",
    re.IGNORECASE | re.DOTALL,
)
"""What may stand before a drawing in a file of its own."""
_BEFORE = 2000
"""Signs before a page in which its doctype is looked for."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """What of an answer is shown."""

    kind: Literal["page", "drawing", "cut page", "nothing"]
    """`cut page`: a page begins and does not end, so there is no whole one."""
    page: str | None = None
    """HTML, or one `<svg>` element; None where nothing is shown."""


def extract(answer: str) -> Extracted:
    """Find what is shown: the last whole `<html>` with its doctype, else the last whole `<svg>`.

    A fenced block is looked at before the text between blocks, where tags are only spoken of.
    """
    text = _answered(answer)
    blocks = blocks_of(text)
    parts = [block.text for block in blocks]
    page = _last_whole("html", parts) or _last_whole("html", [text])
    if page is not None:
        return Extracted("page", _joined(page, blocks))
    if _OPEN["html"].search("\n".join(parts)) or _begins_page(text):
        return Extracted("cut page")
    drawing = _last_whole("svg", parts) or _last_whole("svg", [text])
    if drawing is not None:
        return Extracted("drawing", drawing)
    if any(_OPEN["svg"].search(part) for part in parts):
        return Extracted("cut page")
    return Extracted("nothing")


def is_cut(page: str) -> bool:
    """Whether a page opens an `<html>` or is an `<svg>` that does not close."""
    for name in ("html", "svg"):
        if _OPEN[name].search(page):
            return not re.search(rf"</{name}\s*>", page, re.IGNORECASE)
    return False


def framed(page: str) -> str:
    """Put a drawing into a page; a browser cannot photograph it alone. A page stays as it is."""
    if _OPEN["html"].search(page) or re.search(r"<!doctype\s+html|<body\b", page, re.IGNORECASE):
        return page
    before = _PROLOGUE.match(page)
    if before is None:
        return page
    body = page[before.end() :]
    return f'<!DOCTYPE html><html><body style="margin:0">{body}</body></html>'


def _answered(answer: str) -> str:
    """Return what follows the last thought; nothing where thinking has no end."""
    *before, after = _THOUGHT.split(answer)
    return "" if not before and _THINKING.match(after) else after


def _begins_page(text: str) -> bool:
    """Whether text without fences is a page from some line on."""
    begins = r"^[ \t]*(?:<!doctype html|<html\b)"
    return re.search(begins, text, re.IGNORECASE | re.MULTILINE) is not None


# --- whole elements -------------------------------------------------------------------------------


def _last_whole(name: str, parts: Sequence[str]) -> str | None:
    for part in reversed(parts):
        found = _whole(name, part)
        if found is not None:
            return found
    return None


def _whole(name: str, text: str) -> str | None:
    """Return the last element of a name that opens and closes, with all that is nested in it.

    Within one, scripts are passed over: tags in their strings are no tags.
    """
    opened: list[int] = []
    found: tuple[int, int] | None = None
    in_script = False
    for tag in _TAGS[name].finditer(text):
        if tag["script"]:
            in_script = bool(opened) and not tag["end"]
        elif in_script or tag[0].endswith("/>"):
            continue
        elif not tag["end"]:
            opened.append(tag.start())
        elif opened:
            found = opened.pop(), tag.end()
    if found is None:
        return None
    begun = _declared(text, found[0]) if name == "html" else found[0]
    return text[begun : found[1]]


def _declared(text: str, begun: int) -> int:
    """Return where the doctype begins that stands before a page, else where the page does."""
    nearest = text.lower().rfind("<!doctype", max(0, begun - _BEFORE), begun)
    found = _DOCTYPE.match(text, nearest, begun) if nearest >= 0 else None
    return nearest if found and found.end() == begun else begun


# --- files of their own ---------------------------------------------------------------------------


def _joined(page: str, blocks: Sequence[Block]) -> str:
    """Put style sheets and scripts into a page, where it names a block of the answer."""
    named = {block.name: block.text for block in blocks if block.name is not None}
    if not named:
        return page
    files = {name.rpartition("/")[2]: text for name, text in named.items()} | named
    late: list[str] = []
    page = _LINK.sub(lambda link: _style(link, files), page)
    page = _SOURCE.sub(lambda tag: _script(tag, files, late), page)
    if not late:
        return page
    end = max(page.lower().rfind("</body"), 0) or page.lower().rfind("</html")
    return page[:end] + "".join(late) + page[end:]


def _style(link: re.Match[str], files: Mapping[str, str]) -> str:
    attributes = _attributes(link[0])
    text = _file(attributes.get("href"), files)
    if text is None or "stylesheet" not in attributes.get("rel", "").lower():
        return link[0]
    media = f' media="{attributes["media"]}"' if attributes.get("media") else ""
    safe = re.sub(r"</(?=style)", r"<\\/", text, flags=re.IGNORECASE)
    return f"<style{media}>{safe}</style>"


def _script(tag: re.Match[str], files: Mapping[str, str], late: list[str]) -> str:
    """Write a script in its place; one that waits for the page goes to its end, to `late`."""
    attributes = _attributes(tag[1])
    text = _file(attributes.get("src"), files)
    if text is None:
        return tag[0]
    kind = f' type="{attributes["type"]}"' if attributes.get("type") else ""
    safe = re.sub(r"</(?=script)", r"<\\/", text, flags=re.IGNORECASE)
    script = f"<script{kind}>{safe}</script>"
    if attributes.keys() & {"defer", "async"} and attributes.get("type") != "module":
        late.append(script)
        return ""
    return script


def _attributes(tag: str) -> dict[str, str]:
    found = _ATTRIBUTE.findall(re.sub(r"^<\w+", "", tag))
    return {name.lower(): double or single or bare for name, double, single, bare in found}


def _file(address: str | None, files: Mapping[str, str]) -> str | None:
    """Find a file by its whole path, else by its last part."""
    if not address or re.match(r"[a-z][\w+.-]*:|//", address, re.IGNORECASE):
        return None
    path = re.split(r"[?#]", address)[0].removeprefix("./").lstrip("/")
    return files.get(path, files.get(path.rpartition("/")[2]))
