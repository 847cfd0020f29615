"""The words of a rule: what is vague, negative, unmeasured, two in one, or in no picture.

Takes an objective's text or one statement; gives flaws, each with what to write instead. It looks
for words in the lists below and at their neighbours, in English only. It does not know grammar,
what a word means in its sentence, or any picture; where it cannot tell, it says nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safejudge.types import Precondition

    Lists = tuple[tuple[re.Pattern[str], str], ...]

__all__ = ["Flaw", "denies", "form_flaws", "objective_flaws", "plain"]


class Flaw(NamedTuple):
    """What is wrong with a text, as the rest of a sentence about it."""

    problem: str
    """What is wrong: "says `many`, about which people disagree"."""
    instead: str
    """What to write instead."""


# --- public -------------------------------------------------------------------------------------


def objective_flaws(text: str) -> Iterator[Flaw]:
    """Find what keeps a picture from settling a rule; an objective may have several clauses."""
    text = plain(text)
    yield from _listed(text, _VAGUE, "says {}, about which people disagree")
    yield from _listed(text, _UNSEEN, "speaks of {}, which no picture shows")
    yield from _uncounted(text)


def form_flaws(leaf: Precondition) -> Iterator[Flaw]:
    """Find what keeps a statement from being one positive sentence."""
    if leaf.statement.endswith("?"):
        yield Flaw("is a question", "a statement; the question is asked around it")
    text = plain(leaf.statement)
    yield from _negative(text, (leaf.look_at or "").casefold())
    yield from _compound(text)


def plain(text: str) -> str:
    """Small letters, single spaces, and `item` for words in quotes and for harmless phrases."""
    text = _CAPITALS.sub(r"\1 item", " ".join(text.split()))
    text = text.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return _HARMLESS.sub("item", _QUOTED.sub("item", text))


def denies(text: str) -> bool:
    """Whether a plain text says that something is not so."""
    return any(pattern.search(text) for pattern, _ in _NEGATIVE)


# --- reading lists of words -----------------------------------------------------------------------


def _either(words: str) -> str:
    """A pattern for any of the words; each is a pattern, with _ for the spaces of a phrase."""
    # Letters and hyphens on either side make it another word: near-sighted, a no-entry sign.
    return rf"(?<![\w-])(?:{'|'.join(words.split()).replace('_', ' ')})(?![\w-])"


def _lists(table: dict[str, str]) -> Lists:
    return tuple((re.compile(_either(words)), instead) for instead, words in table.items())


def _find(text: str, lists: Lists) -> list[tuple[re.Match[str], str]]:
    hits = [(hit, instead) for pattern, instead in lists for hit in pattern.finditer(text)]
    return sorted(hits, key=lambda pair: pair[0].start())


def _listed(text: str, lists: Lists, problem: str) -> Iterator[Flaw]:
    """One flaw for all words of a text that are listed, with the advice of each of their lists."""
    hits = _find(text, lists)
    if hits:
        words = dict.fromkeys(f"`{hit.group()}`" for hit, _ in hits)
        advice = dict.fromkeys(instead for _, instead in hits)
        yield Flaw(problem.format(" and ".join(words)), "; ".join(advice))


# --- words that mean something else ---------------------------------------------------------------

# These words are read in the picture, whatever they say. A single quote inside a word is none.
_CAPITALS = re.compile(
    r"\b(words?|text|letters|label|title|lettering) [A-Z]{2,}(?: [A-Z]+)*(?![A-Za-z])"
)
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|«[^»]*»|‘[^']*'|(?<!\w)'[^']*'(?!\w)")  # noqa: RUF001

_SIGN = "(sign|symbol|label|notice|sticker|tape|poster|placard|pictogram|marking|board|plate)s?"

_HARMLESS = re.compile(
    _either(
        # signs and labels, whatever they warn of or forbid
        rf"no(_[\w'-]+){{1,3}}_{_SIGN} do_not(_[\w'-]+){{1,2}}_{_SIGN} not_for_sale_{_SIGN} "
        rf"(danger|hazard|risk|toxic|wrong|stolen|illegal)(_[\w'-]+)?_{_SIGN} "
        "hazard_(warning_)?(lights?|vests?|stripes) "
        # bounds, not negations
        "(no|not)_(more|fewer|less|larger|smaller|longer|shorter|higher|lower|later|earlier)_than "
        "nothing_(but|other_than|except) none_other_than not_only no_matter whether_or_not or_not "
        r"no\._\d+ "
        # names of things
        "big_(toe|toes|cat|cats|wheel|top|dipper) (large|small)_(intestine|intestines|bowel) "
        "small_(of_the_back|arms|arm_fire) safe_(deposit|house|box|room|door) bank_safe "
        "real_(estate|madrid|time) (near|far)_side far_(left|right|end|corner|background) "
        "fake_(beard|moustache|mustache|nails|nail|eyelashes|fur|hair|tan|flower|flowers|plant|"
        "plants|snow|leather|grass) criminal_(court|law) legal_(document|documents|pad) "
        "no_man's_land touch-me-nots? forget-me-nots?"
    )
)

# --- words about which people disagree ------------------------------------------------------------

# By what to write instead. Left out on purpose: words of plain sight (dark, sharp, bare, clear),
# comparisons (larger than) and words that more often name a kind (long sleeves, a minor).
_VAGUE = _lists(
    {
        "the body parts that are uncovered or touched, or the pose": (
            "suggestive(ly)? provocative(ly)? sexy sexuali[sz]ed seductive(ly)? erotic(ally)? "
            "lewd(ly)? indecent(ly)? obscene(ly)? racy raunchy sensual(ly)? vulgar immodest(ly)? "
            "scantily skimpy nsfw intimate(ly)? titillating sexually_explicit "
            "(explicit|adult|mature)_content revealing_(clothes|clothing|dress|outfit|garment|pose)"
        ),
        "what is seen, such as blood on the body or an open wound": (
            "shocking(ly)? horrific horrible gruesome gory gore grisly gross disgusting repulsive "
            "revolting sickening traumatic scary creepy terrible awful unpleasant unsettling nasty "
            "graphic_(violence|content|details?|injur(y|ies)|depictions?|scenes?|images?|imagery) "
            # before an object these are verbs: a man disturbing a nest
            "(disturbing|upsetting|horrifying|terrifying|frightening|distressing)"
            "(?!_(a|an|the|his|her|its|their|another|somebody|someone)\\b)"
        ),
        "the thing, gesture or symbol by name": (
            "inappropriate(ly)? improper unacceptable unsuitable objectionable questionable "
            "problematic sensitive controversial harmful immoral unethical offensive(ly)? "
            "disrespectful(ly)? degrading humiliating demeaning tasteless abusive hateful "
            "extremist hate_(symbols?|imagery|speech) rude(ly)? suspicious(ly)? strange(ly)? weird "
            "unusual(ly)? abnormal gratuitous unnecessary unnecessarily toxic"
        ),
        "how it is worn, held or treated, such as a strap under the chin": (
            "bad(ly)? poor(ly)? wrong(ly)? proper(ly)? improperly appropriate(ly)? "
            "(in)?adequate(ly)? (in)?correctly (in)?sufficient(ly)? (un)?reasonabl[ey] normal(ly)? "
            "acceptabl[ey]"
        ),
        "what threatens whom and where it is, such as a knife pointed at a person": (
            "dangers? dangerous(ly)? hazards? hazardous unsafe(ly)? risks? risky harm's_way safely "
            "(looks?|is|are|seems?|appears?|being|feels?)_safe safe_(distance|way|manner|place) "
            "threats? threatening(ly)? menacing(ly)? violent(ly)? violence aggressive(ly)? "
            "aggression reckless(ly)? careless(ly)? negligent(ly)?"
        ),
        "the expression or posture, or what is done to the body": (
            "suffering in_distress distressed in_pain in_despair uncomfortable mistreated "
            "maltreated abused cruel(ly)? cruelty helpless(ly)?"
        ),
        "a count, such as at least three people": (
            "many several few numerous a_lot_of lots_of plenty_of countless too_(many|few|much) "
            "(large|small|great|huge)_(number|amount|group|quantit)(s|y|ies)?"
        ),
        "a share or bound that can be seen, such as more than half of the face": (
            "excessive(ly)? extreme(ly)? very severe(ly)? serious(ly)? significant(ly)? "
            "substantial(ly)? considerabl[ey] slight(ly)? heavily mostly largely nearly almost "
            "somewhat quite fairly relatively rather(?!_than) minimal(ly)? moderately enough "
            "prominent(ly)? notabl[ey] overly unduly (far|way)_too"
        ),
        "a size beside something visible, such as longer than a hand": (
            "(large|small|huge)(?!_(number|amount|group|quantit)) big enormous massive tiny "
            "gigantic oversized siz(e)?able high_up (at|from)_(a_)?(great_)?height(?!_of)"
        ),
        "touching, next to, or a distance in body lengths": (
            "near nearby close_(to|by|together|enough) closely far_(from|away|off|apart) vicinity"
        ),
        "a child or an adult, by what is seen of the body": (
            "young(?!_(child|children|boys?|girls?|animals?)) youthful(-looking)? young-looking "
            "attractive beautiful ugly"
        ),
        "the things by name, one statement each under `any`": (
            "etc etcetera and_so_on and_the_like (and|or)_similar(_things?|_objects?|_items?)? "
            "or_something_(similar|like_(that|this|it)) (some|any)_(kind|sort)_of stuff"
        ),
        "what is seen now, without a guess": (
            "probably possibly perhaps maybe presumably (un)?likely potential(ly)? might could "
            "apparently"
        ),
    }
)

# --- what no picture shows ------------------------------------------------------------------------

_UNSEEN = _lists(
    {
        "what the body does or holds, not what for": (
            "in_order_to so_that with_the_aim with_the_intent with_the_intention intent "
            "intention intentions intends? intended intending intentional intentionally "
            "unintentional unintentionally deliberate deliberately accidentally purposely "
            "on_purpose for_the_purpose_of planning plans_to planned wants_to want_to wanting_to "
            "tries_to trying_to attempts?_to attempting_to about_to "
            "going_to(?!_(a|an|the|school|bed|work)\\b) preparing_to prepares_to hopes? hoping "
            "believes? thinks? knows? pretends? pretending jokingly suicidal"
        ),
        "what is seen of it now, such as a wound or a broken window": (
            "because due_to caused_by as_a_result result_of previously formerly recently earlier "
            "yesterday tomorrow soon usually often regularly repeatedly habitually in_the_past "
            "in_the_future will_(be|have|soon|fall|hit|die|burn|explode|happen) "
            "speeding loud"
        ),
        "what is seen of it, such as a uniform, a sign or a fence": (
            "illegal illegally unlawful unlawfully lawful lawfully legal legally criminal "
            "criminals criminally (without|with)_(\\w+_)?(permission|consent|authori[sz]ation) "
            "permission consent consents consensual non-?consensual unauthori[sz]ed authori[sz]ed "
            "unlicensed licensed stolen smuggled poached pirated counterfeit forged trespassing "
            "underage under-age against_(his|her|its|their)_will voluntary voluntarily "
            "involuntarily forced_to strangers?"
        ),
        "how it looks, such as a photograph, a drawing or a toy": (
            "real fake genuine genuinely authentic actual actually really truly real-life"
        ),
        "the words, symbols or objects that say so": (
            "(educational|artistic|medical|scientific|commercial|sexual|religious|legitimate|"
            "malicious|journalistic)_(purpose|purposes|context|value|intent) newsworthy satirical "
            "misleading deceptive false_(claim|claims|information) misinformation disinformation "
            "untrue glorif(y|ies|ying|ication) encourag(e|es|ing) incit(e|es|ing) "
            "endors(e|es|ing) normali[sz](e|es|ing) famous well-known celebrity celebrities"
        ),
    }
)

# --- negations ------------------------------------------------------------------------------------

_POSITIVE = "the positive statement under `none`"
_LACKING = f"{_POSITIVE}; or, if it is one of several that lacks it, that one as `look_at`"

_NEGATIVE = _lists(
    {
        _POSITIVE: (
            "not cannot \\w+n't no never nobody no_one nothing nowhere none neither nor lacks? "
            "lacking lack_of absence_of fails_to fail_to"
        ),
        _LACKING: "without",
        "what must hold under `all`, and beside it the exception under `none`": (
            "unless except except_for"
        ),
    }
)


def _negative(text: str, look_at: str) -> Iterator[Flaw]:
    """Find words that deny something; consent and permission have their own advice."""
    for hit, instead in _find(_UNSEEN_WITHOUT.sub("item", text), _NEGATIVE):
        if instead == _LACKING and look_at and not _shares(hit.string[hit.end() :], look_at):
            # "a person without a helmet", looking at the person: no `none` says this of one person
            # among several, and what is looked at is there to be seen.
            continue
        yield Flaw(f"is a negative statement (`{hit.group()}`)", instead)
        return  # one rewriting settles them all


_UNSEEN_WITHOUT = re.compile(_either("without_(\\w+_)?(permission|consent|authori[sz]ation)"))


def _shares(text: str, words: str) -> bool:
    return not set(text.split()).isdisjoint(words.split())


# --- numbers --------------------------------------------------------------------------------------

_NUMBER = (
    r"(?:\d++(?:[.,]\d++)*+|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|"
    r"twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
)
_BOUND = (
    "(?:more|less|fewer|greater|larger|higher|lower|bigger|smaller|longer|shorter|older|younger|"
    "wider) than|at least|at most|up to|over|under|above|below|exactly|between|beyond"
)
# After a number these show that nothing is counted; `of` does not ("two of the people").
_NO_NOUN = (
    "is are was were be has have had can must that which who where when while and or but in on at "
    "with without by from than as into next to visible shown present"
)
_UNCOUNTED = re.compile(
    rf"(?<![\w-])(?:{_BOUND}) {_NUMBER}(?: (?:and|or|to) {_NUMBER})?+"
    rf"(?= {_either(_NO_NOUN)}| ?[.,;:!?)]|$)"
)


def _uncounted(text: str) -> Iterator[Flaw]:
    for hit in _UNCOUNTED.finditer(text):
        if text[: hit.start()].rstrip(" ,").endswith(("whom", "which", "them")):
            continue  # "..., of whom at least two are"
        instead = "what is counted or measured after the number: `three people`, `90 degrees`"
        yield Flaw(f"says `{hit.group()}` but not of what", instead)


# --- two statements in one ------------------------------------------------------------------------

_AND = (
    "one statement each under `all`; what must be true of the same thing as its description: "
    "`a person with blood on the body is lying down`"
)
_OR = "one statement each under `any`"

_VERB = _either("is are was were has have had wears holds sits lies carries contains touches")
# A verb here belongs to a description, not to the sentence: a person who is armed, whose hands are.
_DESCRIBING = re.compile(rf"(?<![\w-])(?:who|which|that|whose(?: [\w-]+){{1,2}}) {_VERB}")
_JOINT = re.compile(r"(?<![\w-])(?:and/or|and|or)(?![\w-])")
_DOING = re.compile(r"(?:also |then |still )?([\w-]+ing)(?: ([\w-]+))?(?![\w-])")
_TELLING = re.compile(rf"(?:also |then |still )?{_VERB}")
# Before "-ing and -ing", these make both of them nouns: a sign about drinking and driving.
_NAMING = re.compile(
    _either("about of for against from by forbids prohibits bans shows no") + r" [\w-]+ing $"
)
_NOUN_IN_ING = re.compile(
    _either(
        "anything awning bedding being building ceiling clothing coating covering crossing "
        "dressing drawing dumpling duckling earring evening everything fencing flooring footing "
        "icing king landing lighting lightning lining morning nothing opening packaging painting "
        "piercing plumbing pudding railing ring roofing scaffolding seating shelving sibling sling "
        "something spring stocking string stuffing swing swelling thing tubing underclothing "
        "wedding wing wiring writing"
    )
)
# After a word in -ing, these show that it names a kind of thing: a knife and cutting board.
_KIND_OF_THING = re.compile(
    _either(
        "(bag|board|boat|boot|cap|cart|hook|knife|lamp|light|line|machine|mask|mat|material|"
        "platform|pole|pool|pot|pipe|robe|rod|room|rope|shoe|sign|site|stick|suit|table|tool|tower|"
        "tray|vest)s? car chair cloth costume equipment gear glass glasses gloves goggles gown gum "
        "harness iron kit knives net pad pans? paper pin saw tape top trash tree trunks tub water "
        "wheel"
    )
)
_NOUN = (
    r"(?:a|an|the|one|two|three|at least \w+)(?: (?!(?:of|with|on|in|at|and|or|who|that|without|"
    r"next|near|under|from|to|for|by)\b)[\w-]+){1,3}"
)
# Only where nothing relates the two: "a man and a woman are kissing" is one statement.
_TWO_THINGS = re.compile(
    rf"(?:{_NOUN} (and|or) {_NOUN} (?:is|are) (?:visible|present|shown|seen|depicted)"
    rf"(?: in the (?:picture|image|photo|scene))?|(?:there (?:is|are)|the (?:picture|image|photo) "
    rf"shows) {_NOUN} (and|or) {_NOUN})\.?"
)
# What is done to two things at once: who holds a gun and a knife holds a gun, and holds a knife. An
# `or` there stays one question.
_OBJECT = rf"{_NOUN}(?: of [\w-]+)?"
_TWO_OBJECTS = re.compile(
    rf"(?<![\w-])(?:[\w-]+ing|holds|wears|carries|contains|has|have) (?:both )?{_OBJECT} and "
    rf"{_OBJECT}(?= (?:in|on|at|near|next|inside|outside|behind|under|above|while)\b|\.?$)"
)
# Pairs that are one thing, and counts.
_PAIR = re.compile(
    _either(
        "black_and_white salt_and_pepper bow_and_arrows? hammer_and_sickle skull_and_crossbones "
        "hands_and_knees up_and_down back_and_forth (one|two|three|four|five)_or_more more_or_less "
        "(two|three|four|five)_or_(three|four|five|six) once_or_twice stars_and_stripes "
        "head_and_shoulders cup_and_saucer knife_and_fork suit_and_tie shirt_and_tie rock_and_roll "
        "here_and_there left_and_right drinking_and_driving hit_and_run mortar_and_pestle "
        "needle_and_thread bread_and_butter cap_and_gown a_bow_and_an_arrow "
        "a_hammer_and_a_sickle a_mortar_and_a_pestle a_cup_and_a_saucer"
    )
)


def _compound(text: str) -> Iterator[Flaw]:
    """Find one `and` or `or` that joins statements rather than things that share one relation."""
    text = _PAIR.sub("item", text)
    words = [joint.group() for joint in _JOINT.finditer(text) if _joins_statements(text, joint)]
    pair = _TWO_THINGS.fullmatch(text)
    if pair:
        words.append(pair.group(1) or pair.group(2))
    if _TWO_OBJECTS.search(text):
        words.append("and")
    if text.startswith("either ") and " or " in text:
        words.append("or")
    if words:
        yield Flaw(f"joins two statements with `{words[0]}`", _AND if words[0] == "and" else _OR)


def _joins_statements(text: str, joint: re.Match[str]) -> bool:
    before, after = text[: joint.start()], text[joint.end() :].lstrip()
    if joint.group() == "and/or":
        return True
    if not before or not after:
        return False
    if _TELLING.match(after):
        return True  # "... and is ..."
    states = _states(before)
    doing = _DOING.match(after)
    if doing and not _is_noun(*doing.groups()):
        return states and not _NAMING.search(before)
    return states and _states(after)


def _is_noun(word: str, following: str | None) -> bool:
    return bool(_NOUN_IN_ING.fullmatch(word) or _KIND_OF_THING.fullmatch(following or ""))


def _states(text: str) -> bool:
    """Whether part of a sentence has a verb of its own, outside descriptions of a noun."""
    return re.search(_VERB, _DESCRIBING.sub("who", text)) is not None
