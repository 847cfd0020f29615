"""Untrusted bytes -> plain strings, lists and mappings, with the line of every one of them.

YAML is read as PyYAML's safe loader reads it, less everything that surprises: anchors and aliases
(a few hundred bytes can unfold to millions of nodes), tags, directives, further documents, a key
written twice (the last would win silently), hidden characters, values that YAML would turn into a
boolean, number or date, and text that would be cut where a comment seems to begin. Size and nesting
are checked on the event stream, before anything recurses. What the keys mean is the caller's
business.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from safejudge.text import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

MAX_BYTES = 256 * 1024
"""Larger files are refused."""
MAX_NODES = 20_000
"""Most keys, values, lists and mappings in one file."""
MAX_NESTING = 32
"""Most lists and mappings inside one another."""

Where = tuple[str | int, ...]
"""The way to a value: keys and list positions, from the top."""

_TEXT = "tag:yaml.org,2002:str"
_NOTHING = "tag:yaml.org,2002:null"
# `1e3` and such: text to PyYAML (YAML 1.1), numbers to readers of YAML 1.2.
_NUMBER_12 = "tag:yaml.org,2002:number12"
_NUMBER_12_FORM = re.compile(
    r"(?:[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|0o[0-7]+)\Z"
)
_READ_AS = {
    "int": "a number",
    "float": "a number",
    "number12": "a number in some programs",
    "timestamp": "a date",
}
# The two joiners are part of correct spelling in several scripts and of emoji.
_JOINERS = "\u200c\u200d"
_ADVICE = {
    "start any token": "indent with spaces, never tabs; put text that starts with a sign in quotes",
    "mapping values": 'put text that contains ": " in quotes, or start the key on its own line',
    "stream end": "close the bracket that opens here",
    "end of stream": "close the quote that opens here",
    "could not find expected ':'": "write `key: value`; indent a text's further lines",
    "expected <block end>": "start the keys or `-` of one list or mapping in the same column",
}


class Refused(Exception):  # noqa: N818 - a stop inside this reading, turned into a finding
    """The text cannot be read further: `line` (1-based or None), `problem`, `instead`."""

    def __init__(self, line: int | None, problem: str, instead: str) -> None:
        super().__init__(problem)
        self.line = line
        self.problem = problem
        self.instead = instead


@dataclass(frozen=True, slots=True)
class Remark:
    """Something wrong at one place of the data; an empty `instead` leaves the advice to others."""

    where: Where
    line: int
    problem: str
    instead: str


@dataclass(frozen=True, slots=True)
class Cut:
    """A value that may have lost its end, or taken in a comment."""

    remark: Remark
    certain: bool
    """Whether hardly anybody begins a comment so: `#1` has no space behind its sign."""


@dataclass(slots=True)
class Sheet:
    """What a YAML file says: `data` is strings, lists and mappings only."""

    data: Any = None
    typed: bool = False
    """Whether whoever reads on knows of every value what kind it is, so that `0.3`, `true` and `no`
    are taken as they are written; else they are remarks."""
    typed_below: str = ""
    """The same of every value below this key; empty: there is no such key."""
    lines: dict[Where, int] = field(default_factory=dict)
    """The line (1-based) of the key or list item at each place."""
    remarks: list[Remark] = field(default_factory=list)
    """Values and keys that are refused; the data hold a stand-in for them."""
    cut: dict[Where, Cut] = field(default_factory=dict)
    """Values without quotes behind which a comment begins, so that YAML drops the rest; whether
    that was meant hangs on the key (`cut_texts`)."""

    def nearest(self, where: Where) -> Where:
        """Return the place itself, or the nearest one around it that the file has."""
        while where and where not in self.lines:
            where = where[:-1]
        return where


def read(
    raw: bytes,
    max_bytes: int = MAX_BYTES,
    max_nodes: int = MAX_NODES,
    *,
    typed: bool = False,
    typed_below: str = "",
) -> Sheet:
    """Read one YAML document whose top is a mapping, of at most this size.

    See `Sheet.typed` and `Sheet.typed_below`.

    Raises `Refused` where nothing sensible can be read; smaller faults are remarks of the sheet.
    """
    node = _compose(_decode(raw, max_bytes), max_nodes)
    if node is None or (node.tag == _NOTHING and not node.value):
        raise Refused(None, "the file is empty", "`name:` and `rules:`")
    sheet = Sheet(typed=typed, typed_below=typed_below)
    if not isinstance(node, yaml.MappingNode):
        kind = "a list" if isinstance(node, yaml.SequenceNode) else "bare text"
        raise Refused(_line(node), f"the file holds {kind}", "`name:` and `rules:` at the top")
    sheet.data = _plain(node, (), sheet)
    return sheet


def write(data: Any) -> str:
    """Write strings, lists and mappings as YAML text; what `read` allows reads back equal."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text


def cut_texts(sheet: Sheet, free_text: Collection[str]) -> Iterator[Cut]:
    """Yield the texts that may have lost their end to a comment.

    After one word a comment is one, as in `severity: high  # for now`, but not where the key is one
    of `free_text`: people write `text: No weapons #1 priority` and mean all of it.
    """
    for where, cut in sheet.cut.items():
        value: Any = sheet.data
        for step in where:
            value = value[step]
        keys = [step for step in where if isinstance(step, str)]
        if len(str(value).split()) > 1 or (keys and keys[-1] in free_text):
            yield cut


def name_place(where: Where) -> str:
    """Call a value by its key, or by its number in a list."""
    if not where:
        return "the file"
    if isinstance(where[-1], str):
        return quoted(where[-1])
    return f"item {where[-1] + 1} of {quoted(str(where[-2]))}"


def first_hidden(text: str) -> str | None:
    """Return the first character of a text that people reading it would not see."""
    return next((char for char in text if _hidden(char)), None)


def _hidden(char: str) -> bool:
    """Whether people reading the file would not see what the model gets."""
    if char in "\n\r\t" or char in _JOINERS:
        return False
    category = unicodedata.category(char)
    return category in ("Cc", "Cf", "Cs", "Zl", "Zp") or ord(char) & 0xFFFE == 0xFFFE


def _decode(raw: bytes, max_bytes: int) -> str:
    if len(raw) > max_bytes:
        size = f"the file has more than {max_bytes // 1024} KiB"
        raise Refused(None, size, "fewer rules, or several files")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Refused(line, "the file is not UTF-8 text", "the same file saved as UTF-8") from error
    hidden = first_hidden(text)
    if hidden is not None:
        line = text.count("\n", 0, text.index(hidden)) + 1
        raise Refused(line, f"hidden character U+{ord(hidden):04X}", "the line without it")
    return text


class _Loader(yaml.SafeLoader):
    """The safe loader, looking at every event before it is turned into a node."""

    depth = 0
    nodes = 0
    max_nodes = MAX_NODES
    documents = 0

    def get_event(self) -> yaml.Event:
        """Pass the next event on, or raise `Refused`."""
        event: yaml.Event = super().get_event()  # type: ignore[no-untyped-call]
        line = _line(event)
        if isinstance(event, yaml.NodeEvent):
            self._check_node(event, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            self.depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise Refused(line, "a second document starts here", "one document; no `---`")
            if event.version or event.tags:
                raise Refused(line, "a YAML directive (`%...`)", "the file without it")
        return event

    def _check_node(self, event: yaml.NodeEvent, line: int) -> None:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            advice = "the text written out again, or in quotes if it really starts with & or *"
            raise Refused(line, "an anchor or alias (`&name`, `*name`)", advice)
        tag = getattr(event, "tag", None)  # aliases alone have none
        if tag is not None:
            raise Refused(
                line, f"a tag ({quoted(tag)})", "the value without it, in quotes if need be"
            )
        self.nodes += 1
        if self.nodes > self.max_nodes:
            problem = f"the file has more than {self.max_nodes} keys and values"
            raise Refused(line, problem, "fewer rules, or several files")
        if isinstance(event, yaml.CollectionStartEvent):
            self.depth += 1
            if self.depth > MAX_NESTING:
                problem = f"lists and mappings are nested deeper than {MAX_NESTING}"
                raise Refused(line, problem, "a flatter condition, or several rules")


class _Dumper(yaml.SafeDumper):
    """The safe dumper; puts in quotes what `_Loader` would refuse bare."""


for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver(_NUMBER_12, _NUMBER_12_FORM, list("-+.0123456789"))


def _compose(text: str, max_nodes: int) -> yaml.Node | None:
    try:
        loader = _Loader(text)
        loader.max_nodes = max_nodes
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = f"{error.context or ''} {error.problem or ''}".strip()
        if (
            "end of stream" in problem or "stream end" in problem
        ) and error.context_mark is not None:
            mark = error.context_mark
        advice = (text for sign, text in _ADVICE.items() if sign in problem)
        instead = next(advice, "check quotes, colons and indentation here and one line above")
        line = None if mark is None else mark.line + 1
        raise Refused(line, f"not YAML: {problem}", instead) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # PyYAML lets ValueError through for impossible escapes and endless version numbers.
        problem = f"not YAML: {quoted(str(error), 80)}"
        raise Refused(None, problem, "text without `\\U` escapes and directives") from error


def _line(marked: yaml.Node | yaml.Event) -> int:
    mark = marked.start_mark
    return 1 if mark is None else int(mark.line) + 1


def _plain(node: yaml.Node, where: Where, sheet: Sheet) -> Any:
    """Turn a node into plain data; recursion is bounded by `MAX_NESTING`."""
    sheet.lines.setdefault(where, _line(node))
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, where, sheet)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, where, sheet)
    return [_plain(item, (*where, index), sheet) for index, item in enumerate(node.value)]


def _mapping(node: yaml.MappingNode, where: Where, sheet: Sheet) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = _line(key_node)
        key = key_node.value
        if not isinstance(key_node, yaml.ScalarNode) or first_hidden(key) is not None:
            advice = "one word and a colon; put text that starts with a bracket in quotes"
            sheet.remarks.append(Remark((*where, "?"), line, "a key is not a plain word", advice))
            continue
        path = (*where, key)
        if key in data:
            problem = f"{quoted(key)} is written twice (first on line {sheet.lines[path]})"
            sheet.remarks.append(Remark(path, line, problem, "one of the two"))
            continue
        sheet.lines[path] = line
        data[key] = _plain(value_node, path, sheet)
    return data


def _scalar(node: yaml.ScalarNode, where: Where, sheet: Sheet) -> str:
    text: str = node.value
    _note_comment(node, where, sheet)
    hidden = first_hidden(text)
    problem, instead = "", f'the same in quotes: "{quoted(text)[1:-1]}"'
    if hidden is not None:
        problem, instead = f"has the hidden character U+{ord(hidden):04X}", "the text without it"
        text = "hidden"
    elif text and (sheet.typed or (sheet.typed_below and sheet.typed_below in where)):
        return text
    elif node.tag == _NOTHING:
        problem = f"is {quoted(text)}, which YAML reads as nothing" if text else "has no value"
        instead = ""
    elif node.tag != _TEXT:
        problem = f"is {quoted(text)}, which YAML reads as {_read_as(node)}"
    if problem:
        problem = f"{name_place(where)} {problem}"
        sheet.remarks.append(Remark(where, _line(node), problem, instead))
    return text


def _note_comment(node: yaml.ScalarNode, where: Where, sheet: Sheet) -> None:
    """Note a comment right behind a value without quotes, and one inside a block of text."""
    mark = node.end_mark
    if mark is None or mark.buffer is None:
        return
    if node.style is None and node.tag == _TEXT:
        end = mark.buffer.find("\n", mark.pointer)
        comment = mark.buffer[mark.pointer : None if end < 0 else end].strip(" \r\0")
        if not comment.startswith("#"):
            return
        problem = f"ends at ` #`: YAML takes {quoted(comment)} for a comment"
        whole = quoted(f"{node.value} {comment}", 80)[1:-1]
        instead = f'the whole text in quotes: "{whole}"; or the comment on a line of its own'
        line = int(mark.line) + 1
    elif node.style in ("|", ">"):
        written = mark.buffer[node.start_mark.pointer : mark.pointer].split("\n")
        # Behind the sign that opens a block a comment is one.
        comment = next((text.strip() for text in written[1:] if text.lstrip()[:2] == "# "), "")
        if not comment:
            return
        problem = f"takes the line {quoted(comment)} for text: a block has no comments"
        instead = "the comment above the key; or, if it is text, all of it in quotes"
        line = _line(node)
    else:
        return
    remark = Remark(where, line, f"{name_place(where)} {problem}", instead)
    sheet.cut[where] = Cut(remark, certain=comment[1:2] not in ("", " ", "#"))


def _read_as(node: yaml.ScalarNode) -> str:
    kind = node.tag.rpartition(":")[2]
    word = _READ_AS.get(kind, "a special sign")
    if kind == "bool":
        return "true" if yaml.SafeLoader.bool_values[node.value.lower()] else "false"
    if kind == "int" and len(node.value) < 20:
        loader = yaml.SafeLoader("")
        try:
            return f"the number {loader.construct_yaml_int(node)}"
        except ValueError:  # such as `0b_`, which matches YAML's own pattern of numbers
            return word
    return word
