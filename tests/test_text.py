"""Other people's text, made safe to store and to show."""

import json

import pytest

from safejudge import text

HOSTILE = "a\x1b[31m\u202e\ud800 \u2028b\r\nc\x85d\xa0e\u200b"


@pytest.mark.parametrize(
    ("function", "result"),
    [
        (text.clean, r"a\x1b[31m\u202e\ud800 \u2028b\r\nc\x85d\xa0e\u200b"),
        (text.clean_lines, r"a\x1b[31m\u202e\ud800 \u2028b\r" + "\n" + r"c\x85d\xa0e\u200b"),
        (text.spelled, r"a\u001b[31m\u202e\ud800 \u2028b\u000d\u000ac\u0085d\u00a0e\u200b"),
        (text.storable, HOSTILE.replace("\ud800", "?")),
        (text.one_line, "a\x1b[31m\u202e\ud800 b c d e\u200b"),
        (text.plain_name, "a?[31m?? ?b??c?d?e?"),
        (text.quoted, "`" + text.spelled(HOSTILE) + "`"),
    ],
)
def test_nothing_hidden_gets_through(function, result):
    assert function(HOSTILE) == result
    if function not in (text.storable, text.one_line):
        assert all(line.isprintable() for line in result.split("\n"))
        json.dumps(function(HOSTILE)).encode()
    for plain in ("", "Straße 7, 東京, \N{SLIGHTLY SMILING FACE}"):
        assert function(plain).strip("`") == plain


@pytest.mark.parametrize("size", [299, 300, 301, 5000])
def test_long_texts_are_cut_and_say_so(size):
    long = "x" * size
    assert text.cut(long) == (long if size <= 300 else "x" * 300 + "...")
    assert len(text.quoted(long)) == 48 + len("`...`")
    assert text.plain_name(long) == (long if size <= 1024 else "x" * 1000 + "... (5000 characters)")
    assert len(text.first_line(ValueError(f"\n {long}\nmore"))) == min(size, 300)


@pytest.mark.parametrize(
    ("error", "line"),
    [(ValueError(), "ValueError"), (OSError(" \n"), "OSError"), (KeyError("x"), "'x'")],
)
def test_an_error_without_words_has_a_name(error, line):
    assert text.first_line(error) == line


def test_counted():
    assert [text.counted(n, "rule") for n in (0, 1, 2)] == ["0 rules", "1 rule", "2 rules"]
