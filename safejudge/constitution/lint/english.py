"""Whether a text is English, by its small words: what the other checks know is English alone.

It counts words that sentences cannot do without (the, is, with; der, ist, mit; le, est, avec),
which English and a dozen other languages in Latin letters hardly share. A text of other letters is
none. Too few words to tell count as English.
"""

from __future__ import annotations

import re

_SHORT = 4
"""With fewer words nobody can tell."""
_ASCII = 0.9
"""Share of plain letters in English; other languages have accents."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ENGLISH = _words(
    "a an the is are be been has have not no nobody nothing never neither nor and or unless except "
    "if of on at in with without by from for to next that which who whose this there these those "
    "it its they their must may any some one two three people person anyone only visible holding "
    "wearing lying shown"
)
# Less what is an English word too, such as die, an, so, no, or, as, in, on, me, do, has.
_OTHERS = {
    "German": (
        "der das den dem des ein eine einen einem einer eines ist sind wird werden und oder "
        "nicht kein keine niemand mit auf im von zu zum zur für bei nach auch es sich nur wenn "
        "außer darf sichtbar"
    ),
    "French": (
        "le la les un une des du de est sont et ou avec pas dans sur pour qui que ne aucun "
        "personne sans ce cette ces il elle sauf si visible tient"
    ),
    "Spanish": (
        "el la los las un una unos unas es son está están hay y o con de del en por para que "
        "se ningún ninguna sin al persona su salvo"
    ),
    "Portuguese": (
        "um uma uns umas é são está estão há e ou com não de da das dos em por para que sem "
        "ao pessoa sua nenhum nenhuma na nas"
    ),
    "Italian": (
        "il lo la gli le un una uno è sono e o con non di del della dei in per che si senza "
        "nessun nessuna al alla persona sul nella"
    ),
    "Dutch": (
        "de het een zijn en niet geen met op van voor te bij naar ook wordt worden er zich "
        "uit persoon houdt zichtbaar tenzij"
    ),
    "Swedish, Danish": (
        "en ett och eller är med inte ikke på av af som det den til till håller ingen"
    ),
    "Polish": "jest są i lub z ze nie na w we do się osoba żadna chyba która który",
    "Turkish": "bir ve veya ile değil var yok bu şu olan için kişi",
    "Finnish": "on ja tai ei ole joka kanssa hän se henkilö",
    "Indonesian": "dan atau dengan tidak di ke dari yang ini itu sebuah seorang adalah ada orang",
    "Vietnamese": "một và hoặc với không có là của trong người",
}
_OTHER = [_words(words) - _ENGLISH for words in _OTHERS.values()]


def looks_english(text: str) -> bool:
    """Whether a text is English, as far as its letters and small words tell."""
    letters = [char for char in text if char.isalpha()]
    if letters and sum(char.isascii() for char in letters) <= _ASCII * len(letters):
        return False
    words = re.findall(r"[^\W\d_]+", text.casefold())
    if len(words) < _SHORT:
        return True
    english = sum(word in _ENGLISH for word in words)
    other = max(sum(word in known for word in words) for known in _OTHER)
    return english >= other
