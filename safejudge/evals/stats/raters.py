"""How far people agree who answer the same questions: Cohen's kappa, Krippendorff's alpha. Pure.

Takes answers in words (nominal: one is as far from another as from any); gives 1 for people who
always agree and 0 for what chance alone would give, below 0 for less. What is undefined, because
nothing was answered twice or all answers are the same word, is NaN.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from safejudge.evals.stats.intervals import Estimate, ratio

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence


def cohen_kappa(answers: Iterable[tuple[Hashable, Hashable]]) -> Estimate:
    """Compare two people over the questions that both answered (Cohen 1960).

    (p_o - p_e) / (1 - p_e): p_o is the share of equal answers, p_e what the two would have in
    common if each drew answers as often as he or she gave them. `n` is the questions.
    """
    pairs = list(answers)
    n = len(pairs)
    left, right = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    same = sum(a == b for a, b in pairs)
    # In whole numbers, so that "always the same word" is exactly 0 / 0.
    by_chance = sum(left[word] * right[word] for word in left)
    return Estimate(ratio(n * same - by_chance, n * n - by_chance), n)


def krippendorff_alpha(questions: Iterable[Sequence[Hashable | None]]) -> Estimate:
    """Compare any number of people; None is a missing answer (Krippendorff 2004, nominal).

    1 - D_o / D_e, from the coincidences of answers to one question. `n` is the questions that two
    people or more answered; others say nothing.
    """
    n = 0
    same = 0.0
    words: Counter[Hashable] = Counter()
    for question in questions:
        given = Counter(word for word in question if word is not None)
        count = given.total()
        if count < 2:
            continue
        n += 1
        words.update(given)
        same += sum(times * (times - 1) for times in given.values()) / (count - 1)
    total = words.total()
    observed = total - same
    expected = total * total - sum(times * times for times in words.values())
    return Estimate(1 - ratio((total - 1) * observed, expected), n)
