"""Hostile and surprising YAML is refused, fast, at a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge.constitution.strict_yaml import (
    MAX_BYTES,
    MAX_NESTING,
    MAX_NODES,
    Refused,
    cut_texts,
    read,
    write,
)
from safejudge.text import quoted

LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{this}: &{this} [*{last}, *{last}, *{last}, *{last}]\n"
    for last, this in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (LAUGHS, 1, "anchor"),
        ("a: b\nc: *a\n", 2, "anchor"),
        ("&a [*a]", 1, "anchor"),
        ("a: &a [*a]", 1, "anchor"),
        ("a: b\nc: !!python/object/apply:os.system [ls]", 2, "a tag"),
        ("a: !!str b", 1, "a tag"),
        ("a: ! b", 1, "a tag"),
        ("!!map {a: b}", 1, "a tag"),
        ("%YAML 1.1\n---\na: b", 1, "directive"),
        ("%TAG ! tag:x,2000:\n---\na: b", 1, "directive"),
        ("a: b\n---\nc: d\n", 2, "second document"),
        ("a: b\n...\n---\n", 3, "second document"),
        ("[" * 5000, 1, "nested deeper"),
        ("{a: " * 5000, 1, "nested deeper"),
        ("- " * 5000, 1, "nested deeper"),
        ("? " * 5000, 1, "nested deeper"),
        ("".join(" " * depth + "k:\n" for depth in range(700)), MAX_NESTING + 1, "nested deeper"),
        ("- a\n" * (MAX_NODES + 1), MAX_NODES, "keys and values"),
        ("# c\n" * (MAX_BYTES // 4 + 1), None, "KiB"),
        ("", None, "empty"),
        ("# only a comment\n", None, "empty"),
        ("---\n", None, "empty"),
        ("\n- a\n", 2, "holds a list"),
        ("just text", 1, "holds bare text"),
        ("a: b\n\tc: d", 2, "not YAML"),
        ("a: b\nc: d: e", 2, "not YAML"),
        ('a: b\nc: "d\ne: f\n', 2, "not YAML"),
        ("a: b\nc: [d\n", 2, "not YAML"),
        ("a: b\n c: d", 2, "not YAML"),
        ('a: "\\UFFFFFFFF"', None, "not YAML"),
        ("%YAML 1." + "1" * 5000 + "\n---\na: b", None, "not YAML"),
        ("a: b\nc: d\u202ee", 2, "U+202E"),
        ("a: b\nc: d\x00e", 2, "U+0000"),
        ("a: b\nc: d\u2028e", 2, "U+2028"),
        ("a: b\nc: d\ufffe", 2, "U+FFFE"),
    ],
)
def test_refused(text, line, problem):
    with pytest.raises(Refused) as caught:
        read(text.encode())
    assert caught.value.line == line
    assert problem in caught.value.problem
    assert caught.value.instead


def test_nested_maps_are_refused_below_the_byte_limit():
    text = "".join(" " * depth + "k:\n" for depth in range(900))
    with pytest.raises(Refused, match="nested deeper"):
        read(text.encode(), max_bytes=len(text))


def test_a_caller_may_set_other_limits():
    text = "".join(f"k{number}: v\n" for number in range(30)).encode()
    assert read(text, len(text), 61).data["k29"] == "v"
    with pytest.raises(Refused, match="more than 60 keys and values"):
        read(text, len(text), 60)
    with pytest.raises(Refused, match="KiB"):
        read(text, len(text) - 1)


@pytest.mark.parametrize(
    ("raw", "line"),
    [(b"a: b\nc: \xff\n", 2), ("a: b".encode("utf-16"), 1), (b"a: \xed\xa0\x80", 1)],
)
def test_only_utf8(raw, line):
    with pytest.raises(Refused, match="UTF-8") as caught:
        read(raw)
    assert caught.value.line == line


def test_exactly_at_the_limits():
    deep = "{a: " * (MAX_NESTING - 1) + "[b]" + "}" * (MAX_NESTING - 1)
    assert read(deep.encode()).remarks == []
    wide = "a:\n" + "- b\n" * (MAX_NODES - 3)
    assert len(read(wide.encode()).data["a"]) == MAX_NODES - 3
    big = b"a: b\n#" + b"c" * (MAX_BYTES - 6)
    assert read(big).data == {"a": "b"}
    with pytest.raises(Refused):
        read(big + b"c")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("no", "false"),
        ("off", "false"),
        ("Yes", "true"),
        ("010", "the number 8"),
        ("12:30:45", "the number 45045"),
        ("1_000", "the number 1000"),
        ("0b_", "a number"),
        ("9" * 5000, "a number"),
        (".inf", "a number"),
        ("2024-99-99", "a date"),
        ("=", "a special sign"),
        ("null", "nothing"),
        ("~", "nothing"),
        ("", "no value"),
        ("1e3", "number in some programs"),
        ("0o17", "number in some programs"),
    ],
)
def test_misread_values_are_remarked(value, says):
    sheet = read(f"a: x\nb: [c, d]\ne:\n  f: {value}\n".encode())
    (remark,) = sheet.remarks
    assert (remark.where, remark.line) == (("e", "f"), 4)
    assert says in remark.problem
    # In quotes each of them is text.
    assert read(f'f: "{value}"'.encode()).remarks == []


def test_plain_data_and_lines():
    sheet = read(b"\xef\xbb\xbfa: x\nb:\n  - c & d * e\n  - f: >\n      g\n      h\n")
    assert sheet.data == {"a": "x", "b": ["c & d * e", {"f": "g h\n"}]}
    assert sheet.lines == {
        (): 1,
        ("a",): 1,
        ("b",): 2,
        ("b", 0): 3,
        ("b", 1): 4,
        ("b", 1, "f"): 4,
    }
    assert sheet.remarks == []


def test_a_key_written_twice_is_remarked_and_names_both_lines():
    (remark,) = read(b"a: x\nb: y\na: z\n").remarks
    assert remark.line == 3
    assert "`a` is written twice (first on line 1)" in remark.problem


@pytest.mark.parametrize("text", ["? [a]\n: b", "? {a: b}\n: c", '"\\u202e": a'])
def test_odd_keys_are_remarked(text):
    (remark,) = read(text.encode()).remarks
    assert "not a plain word" in remark.problem


@pytest.mark.parametrize(
    ("text", "line", "lost"),
    [
        ("x: y\ntext: No weapons #1 priority: knives\n", 2, "#1 priority: knives"),
        ("text: No weapons # why\n", 1, "# why"),
        ("text: weapons # why\n", 1, "# why"),
        ("a:\n  - b\n  - a sign with the text #1 here\n", 3, "#1 here"),
        ("any: [a, b c #\n]\n", 1, "#"),
        ("text: No\n  weapons #1\n", 2, "#1"),
        ("text: No weapons  #1", 1, "#1"),
        ("text: No weapons #1\r\nb: c", 1, "#1"),
    ],
)
def test_text_that_ends_where_a_comment_begins_is_remarked(text, line, lost):
    (cut,) = cut_texts(read(text.encode()), {"text", "any"})
    remark = cut.remark
    assert remark.line == line
    assert cut.certain == lost.startswith("#1")
    assert f"takes `{lost}` for a comment" in remark.problem
    assert "in quotes" in remark.instead


@pytest.mark.parametrize(
    "text",
    [
        "severity: high  # why",
        "a: 'No weapons' # why",
        'a: "No weapons" # why',
        "# why\ntext: No weapons\n  # why\nb: c",
        "text: # why\n  No weapons",
        "list: # why\n  - a b\n  # why\n  - c d",
        "text: No weapons#1",
        "text: No#weapons",
        "text: |  # why\n  No weapons",
        "text: |\n  No weapons #1",
        "names: [violence, hate]  # why",
        "name: shop # why",
    ],
)
def test_comments_that_cut_no_text_are_legal(text):
    sheet = read(text.encode())
    assert sheet.remarks == []
    assert list(cut_texts(sheet, {"text"})) == []


@pytest.mark.parametrize("style", "|>")
def test_a_comment_inside_a_block_is_text_and_remarked(style):
    text = f"a: b\ntext: {style}\n  No weapons.\n  # reviewed by Anna\n"
    (cut,) = cut_texts(read(text.encode()), {"text"})
    assert (cut.remark.line, cut.certain) == (2, False)
    assert "takes the line `# reviewed by Anna` for text" in cut.remark.problem


@pytest.mark.parametrize("escape", [r"\x00", r"\ud800", r"\u202e", r"\u200b", r"\U000e0041"])
def test_escapes_cannot_smuggle_hidden_characters(escape):
    sheet = read(f'a: "b{escape}c"'.encode())
    assert "hidden character" in sheet.remarks[0].problem
    assert sheet.data == {"a": "hidden"}


def test_joiners_of_real_scripts_are_text():
    text = "\U0001f469\u200d\U0001f692 \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    assert read(f"a: {text}".encode()).data == {"a": text}


@given(st.text())
def test_messages_stay_on_one_printable_line(text):
    assert quoted(text).isprintable()
    assert len(quoted(text, 10)) <= 10 * len("\\u10ffff") + 5


TREE = st.recursive(
    st.text(alphabet="ab:-#&*![]{}'\" 0e.", max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(alphabet="abc:", max_size=3), TREE, min_size=1, max_size=3))
def test_what_is_written_reads_back_equal(data):
    sheet = read(write(data).encode())
    assert sheet.data == data
    assert sheet.remarks == []
