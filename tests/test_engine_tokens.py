"""Label tokens in the context of a prompt, with tokenizers small enough to see through."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safejudge.engines import tokens


def tokenizer(*words: str) -> tokens.Encode:
    """Greedy longest match over some words; everything else one character at a time."""
    pattern = re.compile("|".join([*map(re.escape, sorted(words, key=len, reverse=True)), "."]))
    ids: dict[str, int] = {}
    return lambda text: [
        ids.setdefault(word, len(ids)) for word in pattern.findall(text.replace("\n", "/"))
    ]


def test_every_single_token_spelling_counts_once() -> None:
    encode = tokenizer("yes", "Yes", " Yes", "no", " No", "NO")
    found = tokens.resolve(encode, "Q: A:", ("yes", "no"))
    assert found.spellings == (("yes", "Yes", " Yes"), ("no", " No", "NO"))
    assert not found.ended
    assert found.continuations() == ((),)


def test_a_spelling_that_merges_into_the_prompt_does_not_count() -> None:
    encode = tokenizer(":yes", "yes", "Yes", "no")
    found = tokens.resolve(encode, "A:", ("yes", "no"))
    assert found.spellings == (("Yes",), ("no",))


def test_a_letter_has_no_other_case() -> None:
    assert tokens.spellings("A") == ("A", " A")
    assert set(tokens.spellings("yes")) == {"yes", " yes", "Yes", " Yes", "YES", " YES"}


def test_a_set_with_one_long_label_is_scored_as_sequences() -> None:
    encode = tokenizer("good", " good", "very")
    found = tokens.resolve(encode, "A:", ("good", "very good"))
    assert [len(paths) for paths in found.paths] == [2, 2]
    assert found.spellings[1] == ("very good", " very good")
    assert not found.ended
    very_good = found.paths[1][0]
    assert very_good[:1] in found.continuations()
    assert very_good not in found.continuations()


def test_a_label_that_begins_another_counts_its_end() -> None:
    encode = tokenizer("1", "0")
    found = tokens.resolve(encode, "A:", ("1", "10"))
    assert found.ended
    assert set(found.paths[0]) | set(found.paths[1]) <= set(found.continuations())


def test_a_one_that_may_become_a_ten_is_no_single_token() -> None:
    """Both have a single token, but "1" is also how an unspaced "10" begins."""
    encode = tokenizer("1", "0", " 1", " 10")
    assert tokens.resolve(encode, "A:", ("1", "10")).ended


def test_labels_that_share_tokens_are_refused() -> None:
    with pytest.raises(tokens.LabelsError, match="same tokens"):
        tokens.resolve(tokenizer("good", "Good", "GOOD"), "A:", ("good", "Good"))
    with pytest.raises(tokens.LabelsError, match="distinct"):
        tokens.resolve(tokenizer(), "A:", ("a", "a"))
    with pytest.raises(tokens.LabelsError, match="not empty"):
        tokens.resolve(tokenizer(), "A:", ("a", " "))


def test_labels_that_always_merge_into_the_prompt_say_how() -> None:
    encode = tokenizer(":x", ": x")
    with pytest.raises(tokens.LabelsError, match="' x': changes the prompt's own tokens"):
        tokens.resolve(encode, "A:", ("x", "y"))


@given(
    st.lists(st.text("ab1 ", min_size=1, max_size=4), min_size=1, max_size=5, unique=True),
    st.lists(st.text("ab1 ", min_size=1, max_size=4), min_size=2, max_size=4, unique=True),
)
def test_paths_can_always_be_compared(words: list[str], labels: list[str]) -> None:
    """No path belongs to two labels, and one that begins another's counts its end."""
    try:
        found = tokens.resolve(tokenizer(*words), "Q:", tuple(labels))
    except tokens.LabelsError:
        return
    owned = [(path, i) for i, paths in enumerate(found.paths) for path in paths]
    assert len({path for path, _ in owned}) == len(owned)
    for path, i in owned:
        for other, j in owned:
            if i != j and other[: len(path)] == path:
                assert found.ended
    steps = set(found.continuations())
    for path, _ in owned:
        assert all(path[:n] in steps for n in range(len(path) + found.ended))
