"""The words of a rule as stems: which say something, which count or relate, which part clauses.

English only: endings are cut off, and what remains is the same on both sides of a comparison. It
knows no grammar and no meaning.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import snowballstemmer  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Iterable


def said_words(text: str) -> frozenset[str]:
    """Stems of the words of a text that say something: no articles, no connectives."""
    words = (word for word in tokens(text) if word not in SIGNS)
    return frozenset(stem(word) for word in words if word not in FREE)


def is_count(word: str) -> bool:
    """Whether a word counts: three, every, at *least* two."""
    return word[:1].isdecimal() or stem(word.casefold()) in COUNTS


def is_relation(word: str) -> bool:
    """Whether a word relates two things in space: on, behind, without."""
    return word.casefold() in RELATIONS


def names_thing(word: str) -> bool:
    """Whether a word may name a thing that is seen, by its form: no verb in -ing, no relation."""
    return not (
        word in FREE
        or word in SIGNS
        or word in RELATIONS
        or is_count(word)
        or word.endswith(("ing", "ed", "ly"))
        or stem(word) in _UNNAMED
    )


def counts_things(word: str) -> bool:
    """Whether a word says how many there are: three, several; not *least* and *every*."""
    return is_count(word) and stem(word.casefold()) not in WHOLES | _BOUNDS


def specific(words: Iterable[str]) -> frozenset[str]:
    """Stems of what a rule speaks of: no prohibition, no picture, no count, no relation.

    Nor that people or things are there or hold, wear and touch something, unless there is no more.
    """
    said = (word for word in words if word not in FREE | SIGNS | RELATIONS and not is_count(word))
    stems = frozenset(map(stem, said)) - _RULING
    return stems - _UNSPECIFIC or stems


# --- lists of words ----------------------------------------------------------------------------


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FREE = _words(
    "a an the is are was were be been being am it its this that these those there which who whose "
    "whom has have had do does did of to as visible seen shown depicted present view picture image "
    "photo photograph appear appears some any somewhere one either both then also while when where "
    "if whether because so such for can could 1"
)
"""Words that a statement may have or lack without saying anything else."""

RELATIONS = _words(
    "on in inside outside under below above over behind beside next near within between against "
    "towards toward at through with without from across around along off into onto by among "
    "underneath atop"
)
_NUMBERS = _words(
    "two three four five six seven eight nine ten twelve twenty hundred dozen several half least "
    "most exactly every only all"
)

_POSTURES = _words(
    "hold holds wear wears carry carries point points lie lies sit sits stand stands touch touches "
    "use uses look looks lay lean leans hang hangs cover covers contain contains"
)
_ACTIONS = _POSTURES | _words(
    "ride rides drive drives eat eats drink drinks smoke smokes fight fights hit hits kick kicks "
    "run runs fall falls"
)
_PLAIN_THINGS = _words(
    "person someone somebody anyone human body part object thing item another other own their his "
    "her them"
)

_PROHIBITIONS = _words(
    "no not never nobody nothing none neither nor cannot don't doesn't mustn't mayn't can't isn't "
    "aren't shouldn't won't must may might shall should will would need needs allow allowed permit "
    "permitted forbid forbidden prohibit prohibited ban banned avoid avoided fine ok okay "
    "acceptable everybody everyone everything anything always ever whoever whatever both same "
    "picture pictures image images photo photos photograph photographs scene show showing shows "
    "depict depicts feature features about like very too much many more less than they them he "
    "she you we us please except go get make keep"
)

_IRREGULAR = {
    "people": "person", "children": "child", "kid": "child", "kids": "child",
    "men": "man", "women": "woman", "feet": "foot",
    "teeth": "tooth", "knives": "knife", "wolves": "wolf", "leaves": "leaf", "shelves": "shelf",
    "scarves": "scarf", "lying": "lie", "dying": "die", "tying": "tie", "held": "hold",
    "worn": "wear", "lit": "light", "broken": "break", "torn": "tear", "shot": "shoot",
    "bleed": "blood", "bleeds": "blood", "bleeding": "blood", "2": "two", "3": "three",
    "4": "four", "5": "five", "6": "six", "7": "seven", "8": "eight", "9": "nine", "10": "ten",
    "12": "twelve", "20": "twenty", "100": "hundred",
    "buses": "bus", "gases": "gas", "irises": "iris", "lenses": "lens", "canvases": "canvas",
    "viruses": "virus", "cacti": "cactus", "mice": "mouse", "geese": "goose", "wives": "wife",
    "thieves": "thief", "loaves": "loaf", "halves": "half", "calves": "calf", "hooves": "hoof",
    "axes": "axe", "dice": "die", "sat": "sit", "stood": "stand", "lay": "lie", "ran": "run",
    "hung": "hang", "bound": "bind", "drawn": "draw", "thrown": "throw", "eaten": "eat",
    "driven": "drive", "ridden": "ride", "hidden": "hide", "bitten": "bite", "burnt": "burn",
}  # fmt: skip
"""Forms that no ending gives away."""

_DERIVED = _words(
    "prisoner villager officer engineer gardener customer passenger animation anime apartment "
    "department medication personal organization organ university generous ironic objective "
    "different positive polite authority paste humanity imports importance finale container "
    "trainer trailer cooker"
)
"""Words that Snowball takes for another one: a prisoner is no prison."""


_SNOWBALL = snowballstemmer.stemmer("english")


@lru_cache(4096)
def stem(word: str) -> str:
    """Return what the forms of a word share: holding, holds and hold are one word.

    Irregular forms come from a list; the rest is the Snowball stemmer for English.
    """
    word = word.removesuffix("'s")
    word = _IRREGULAR.get(word, word)
    singular = word.removesuffix("s")
    if singular in _DERIVED:
        return singular
    root: str = _SNOWBALL.stemWord(word)
    return root


_UNNAMED = frozenset(map(stem, _ACTIONS | _PLAIN_THINGS))
"""Stems that name nothing of their own: what people do in pictures, and that there are people."""
_UNSPECIFIC = frozenset(map(stem, _POSTURES | _PLAIN_THINGS))
"""Those of them that are in any rule: it is another matter whether somebody sits or fights."""
_RULING = frozenset(map(stem, _PROHIBITIONS))
"""Stems of what makes a text a rule about pictures, whatever the rule is about."""
COUNTS = frozenset(map(stem, _NUMBERS))
"""Stems of words that count."""
WHOLES = frozenset(map(stem, ("every", "only", "all")))
"""Counts that a rule loses when it is turned into what breaks it: all wear one, one wears none."""
_BOUNDS = frozenset(map(stem, ("least", "most", "exactly")))


def tokens(text: str) -> list[str]:
    """Words, small, and the signs that part clauses."""
    text = text.casefold().translate(_PLAIN).replace("and/or", "or")
    for phrase, word in _PHRASES:
        text = phrase.sub(word, text)
    return re.findall(r"[^\W_]+(?:(?:['-]|(?<=\d)[.,:](?=\d))[^\W_]+)*|[,;.:]", text)


_PLAIN = str.maketrans("\u2019\u2010\u2011", "'--")
"""Curly apostrophes and hyphens of other kinds."""
_EXCEPTED = (
    "but not|other than|apart from|aside from|with the exception of|excluding|"
    "except(?:ing| if| when| where| for)?"
)


_PHRASES = [
    (re.compile(pattern), word)
    for pattern, word in (
        (r"\bin (?:the|this) (?:picture|image|photo|photograph|scene)\b", ""),
        (r"\b(?:the|this) (?:picture|image|photo|photograph|scene) shows\b", ""),
        (rf"\b(?:{_EXCEPTED})\b", "unless"),
        (r"\bas well as\b", "and"),
        (r"\bbut\b", "and"),
        (r"\bnor\b", "or"),
    )
]
EXCEPTION = re.compile(rf"\b(?:unless|{_EXCEPTED})\b|(?<!\bno )(?<!\bwithout )\bexceptions?\b")
"""What says in an objective that something is an exception."""

ALLOWING = re.compile(
    rf"{EXCEPTION.pattern}|\b(?:save for|otherwise|if not|only (?:if|when|in|with|for)|"
    r"(?:is|are) (?:fine|allowed|permitted|ok|okay|acceptable))\b"
)
"""What says in a rule as people write it that something is let through."""


LETTING = re.compile(
    rf"{ALLOWING.pattern}|\b(?:without|must(?! not\b| never\b)|only|need|needs|has to|have to)\b"
)
"""What says in a rule that some break it and others do not: who must wear a helmet, and does."""

STRONG = frozenset({";", ".", ":"})
"""Signs that end an exception."""
SIGNS = frozenset({"and", "or", "unless", ",", *STRONG})
"""Everything that parts clauses."""
