"""Whether other words still forbid what a rule forbids: a text against its wording, or its tree.

Takes the text of a rule as people wrote it and what a model made of it; gives what got lost, what
was turned round and what was invented. A wording says more exactly what the text says vaguely, so
not every word has to come back: but where none does, nothing here tells a synonym from another
rule, and a person has to.

English only, by stems. It knows no synonyms, and not what a verb alone demands ("cyclists wear
helmets").
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

from safejudge.constitution.lint.clauses import clauses_of
from safejudge.constitution.lint.english import looks_english
from safejudge.constitution.lint.fidelity import Difference, contradictions, differences
from safejudge.constitution.lint.matching import leaves_of
from safejudge.constitution.lint.stems import (
    ALLOWING,
    EXCEPTION,
    LETTING,
    WHOLES,
    counts_things,
    is_count,
    names_thing,
    said_words,
    specific,
    stem,
    tokens,
)
from safejudge.constitution.lint.words import objective_flaws, plain
from safejudge.text import quoted
from safejudge.types import NoneOf, parts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from safejudge.types import Condition

_NAMED = 8
"""Most words of a rule that a message names."""
_ANEW = "the rule's own words; or, where it means the same, this objective beside the rule's text"


def rewording_faults(text: str, wording: str) -> list[Difference]:
    """Find what a wording lost of a rule's text, and what it turned round."""
    return [
        *forgotten(text, wording),
        *inverted(text, wording),
        *losses(text, wording),
        *prescribed(text, wording),
    ]


def loses_rule(text: str, wording: str) -> bool:
    """Whether a wording is of something else than the text, or forbids what that demands."""
    return _nothing_left(text, wording) or bool(inverted(text, wording))


def tree_faults(text: str, objective: str, condition: Condition) -> list[Difference]:
    """Find what the statements of a condition lost of a rule's text, and an invented exception.

    What the objective lost before, or has invented, is not told again.
    """
    statements = leaves_of(condition)
    found = []
    if not _nothing_left(text, objective):
        words, known = (
            "; ".join(leaf.statement for leaf in statements),
            unmentioned(text, objective),
        )
        found = _forgotten(text, words, "the condition", known)
    if objective == text or not inverted(text, objective):
        shown = "; ".join(leaf.statement for leaf in statements if not leaf.excepted)
        found += _inverted(text, shown, "the condition")
    if _excepts(condition) and not LETTING.search(f"{text} {objective}".casefold()):
        problem = f"the condition has an exception, and {quoted(text, 200)} has none"
        found.append(Difference("exception", problem, "the condition without its `none`"))
    return found


def edit_faults(text: str, objective: str, condition: Condition) -> list[Difference]:
    """Compare a condition that a person edited with its objective, word by word.

    Where the objective is the rule's own text, only how the statements combine is compared: what
    breaks "no knives" is no statement with a "no".
    """
    compare = contradictions if objective == text else differences
    return compare(objective, condition)


def _excepts(condition: Condition) -> bool:
    return isinstance(condition, NoneOf) or any(map(_excepts, parts(condition)))


# --- what got lost --------------------------------------------------------------------------------


def forgotten(text: str, wording: str) -> list[Difference]:
    """Find that a wording has none of a text's words, or none of some of its clauses.

    Empty for a text in another language, of which nothing here knows a word.
    """
    return _forgotten(text, wording, "the wording", ())


def _forgotten(text: str, wording: str, what: str, known: Collection[str]) -> list[Difference]:
    if not looks_english(text):
        return []
    if _nothing_left(text, wording):
        words, shared = dict.fromkeys(tokens(text)), said_words(wording)
        own, plain = specific(words), [w for w in words if stem(w) in shared and specific([w])]
        problem = f"none of the rule's words is in {what}"
        if plain:
            problem = f"of the rule's words {what} has only {_list(plain)}"
        missing = _list(islice((word for word in words if stem(word) in own), _NAMED))
        return [Difference("statement", f"{problem}: {missing} is missing", _ANEW)]
    if lost := [clause for clause in unmentioned(text, wording) if clause not in known]:
        problem = f"{what} has no word of {_list(lost[:_NAMED])}, of which the rule speaks"
        return [Difference("statement", problem, _ANEW)]
    return []


def unmentioned(text: str, rewritten: str) -> list[str]:
    """Clauses of a text of which another wording has no word: left out, or in other words.

    That somebody or something is there is no word of a clause that says more.
    """
    stems = said_words(rewritten)
    owned = ((clause.words, specific(clause.words)) for clause in clauses_of(text))
    return [" ".join(words) for words, own in owned if own and stems.isdisjoint(own)]


def lost_words(text: str, rewritten: str) -> list[str]:
    """Words of a text that another wording lacks, of clauses of which it has some, once each.

    Without one a rule mostly forbids more: "a child is visible", of children with guns. Vague ones
    are to be lost, and made objective a rule loses others, so these are for a person to look at.
    """
    if not looks_english(text):
        return []
    stems, gone = said_words(rewritten), unmentioned(text, rewritten)
    clauses = [clause for clause in clauses_of(text) if " ".join(clause.words) not in gone]
    words = dict.fromkeys(word for clause in clauses for word in clause.words)
    own = specific(words) - stems
    return [word for word in words if stem(word) in own and not any(objective_flaws(word))]


def _nothing_left(text: str, wording: str) -> bool:
    own = specific(tokens(text))
    return bool(own) and looks_english(text) and said_words(wording).isdisjoint(own)


def losses(text: str, rewritten: str) -> list[Difference]:
    """Find exceptions, alternatives and counts of a text of which another wording has none."""
    lost_parts = []
    if ALLOWING.search(text.casefold()) and not EXCEPTION.search(rewritten.casefold()):
        problem = f"{quoted(text, 200)} has an exception, and the new wording has none"
        lost_parts.append(Difference("exception", problem))
    if "or" in tokens(text) and "or" not in tokens(rewritten):
        problem = f"{quoted(text, 200)} has an `or`, and the new wording has none"
        lost_parts.append(Difference("alternative", problem))
    stems = said_words(rewritten) | WHOLES
    lost = dict.fromkeys(w for w in tokens(text) if is_count(w) and stem(w) not in stems)
    if lost:
        lost_parts.append(Difference("count", f"the new wording lacks {_list(lost)}"))
    return lost_parts


# --- what was turned round ------------------------------------------------------------------------


def inverted(text: str, wording: str) -> list[Difference]:
    """Find that a wording forbids what a text demands: helmets, of those who must wear one.

    What breaks such a rule is that something is missing, so the wording says `unless`, `without`
    or another word of lack; else whoever does as the rule says would break it.
    """
    return _inverted(text, wording, "the wording")


def _inverted(text: str, wording: str, what: str) -> list[Difference]:
    clauses = [clause for clause in clauses_of(wording) if not clause.excepted]
    present = [clause for clause in clauses if _LACK.isdisjoint(clause.words)]
    shown = frozenset[str]().union(*(clause.stems for clause in present))
    for clause in clauses_of(text):
        wanted = _demanded(clause.words)
        own = specific(wanted)
        if own and own <= shown and looks_english(text):
            demand = quoted(" ".join(wanted), 60)
            problem = f"the rule demands {demand}, and {what} forbids it"
            return [Difference("exception", problem, "`unless` or `without` before it")]
    return []


def prescribed(text: str, wording: str) -> list[Difference]:
    """Find a wording that says what must or must not be, or speaks of the rule and no picture."""
    shown = plain(wording)
    if _ABOUT_RULES.search(shown) and not _ABOUT_RULES.search(plain(text)):
        return [Difference("added", "it speaks of the rule, not of a picture", _SHOWN)]
    if _PRESCRIPTION.search(shown):
        problem = "it says what must not be there, not what a picture shows that breaks it"
        return [Difference("added", problem, _SHOWN)]
    return []


_SHOWN = "what a picture shows that breaks the rule"
_ABOUT_RULES = re.compile(r"\b(?:rules?|rewrit\w+|rewrite|wordings?)\b")
_PRESCRIPTION = re.compile(
    r"\b(?:no|not|never|nobody|nothing|none|cannot|absent|\w+n't|must|should|shall|avoid(?:s|ed)?|"
    r"forbid(?:s|den)?|prohibit(?:s|ed)?|banned|allowed|permitted)\b"
)


def _demanded(words: tuple[str, ...]) -> tuple[str, ...]:
    """What a clause of a rule wants to see: what follows `must`, or `without`; else nothing."""
    for index, word in enumerate(words[:-1]):
        if word == "without":
            return words[index + 1 :]
        if word in _DEMANDS and _DENIALS.isdisjoint(words[: index + 2]):
            return words[index + 1 :]
    return ()


_DEMANDS = frozenset({"must", "should", "shall", "need", "needs", "always"})
_DENIALS = frozenset({"not", "never", "no", "nobody", "none", "nothing", "neither"})
_LACK = _DENIALS | {
    "without", "lack", "lacks", "lacking", "missing", "absent", "bare", "uncovered", "unprotected",
    "off", "broken", "unlit", "empty", "open", "loose", "undone", "removed", "instead", "cannot",
    "isn't", "aren't", "doesn't", "don't",
}  # fmt: skip


# --- what was invented ----------------------------------------------------------------------------


def gained_exceptions(text: str, rewritten: str) -> list[Difference]:
    """Find an exception of another wording where the text has none, nor anything like it."""
    if EXCEPTION.search(rewritten.casefold()) and not LETTING.search(text.casefold()):
        problem = f"the new wording has an exception, and {quoted(text, 200)} has none"
        return [Difference("exception", problem, "the wording without its exception")]
    return []


def gained_things(text: str, rewritten: str) -> list[str]:
    """Words of another wording that name things of which the text does not speak, once each.

    Made objective, a rule has to name what is seen, so these are for a person to look at.
    """
    known = said_words(text)
    words = dict.fromkeys(tokens(rewritten))
    return [word for word in words if names_thing(word) and stem(word) not in known]


def gained_counts(text: str, rewritten: str) -> list[str]:
    """Numbers of another wording where the text counts nothing, and has no vague word for them.

    "No dogs" is not "two dogs"; of "many dogs" somebody has to say how many.
    """
    if any(map(is_count, tokens(text))) or any(objective_flaws(text)):
        return []
    return list(dict.fromkeys(word for word in tokens(rewritten) if counts_things(word)))


def _list(words: Iterable[str]) -> str:
    return ", ".join(quoted(word, 60) for word in words)
