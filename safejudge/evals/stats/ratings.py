"""Ratings of players from games of two: Bradley and Terry (1952), by maximum likelihood. Pure.

P(i beats j) = 1 / (1 + exp(r_j - r_i)); a tie is half a win of either side. Ratings have the mean
1500 and Elo's scale, 400 / ln 10 points for a factor e of the odds. They do not hang on the order
of the games, as Elo's own updates do.

There is a rating for all or for none: it is finite, and one alone, only where every player can be
reached from every other over games that were won or tied (Ford 1957). Where that is not so, whom
it hangs on is said.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from safejudge.evals.stats.intervals import NAN, Estimate, Floats, codes_of

MEAN = 1500.0
"""Mean rating of the players of a list."""
SCALE = 400 / math.log(10)
"""Points for a factor e of the odds."""
RESAMPLES = 1000
"""How often games are drawn anew for an interval."""
OPEN = 0.025
"""More resamples than this without a rating leave an end of the 95 % interval open."""
_NAMED = 5
"""So many players are named; the others are counted."""


@dataclass(frozen=True, slots=True)
class Game:
    """Two players, and who won."""

    first: str
    second: str
    won: float
    """1 where the first won, 0 where the second did, 0.5 for a tie."""
    group: Hashable = None
    """Games of one group are drawn together; None for a game by itself."""


@dataclass(frozen=True, slots=True)
class Ratings:
    """What some games say about their players."""

    ratings: dict[str, Estimate] = field(default_factory=dict)
    """By player, the best first; `n` counts games. Empty where there is no rating."""
    games: dict[str, int] = field(default_factory=dict)
    """How many games each player has, in the order of names."""
    reasons: tuple[str, ...] = ()
    """Why there is no rating; a sentence each."""
    lost: float = 0.0
    """Share of the resamples in which there is no rating."""


def rate(games: Sequence[Game], resamples: int = RESAMPLES, seed: int = 0) -> Ratings:
    """Rate everybody who played.

    Intervals (95 %) are by percentiles of `resamples` draws of as many games, with replacement, by
    groups where games have some. An end lies open where more than `OPEN` of the draws have no
    rating. Raises `ValueError` where a player meets itself.
    """
    players = sorted({name for game in games for name in (game.first, game.second)})
    if any(game.first == game.second for game in games):
        raise ValueError("a player meets itself")
    number = {name: row for row, name in enumerate(players)}
    sides = np.array([(number[g.first], number[g.second]) for g in games], dtype=np.intp)
    won = np.array([game.won for game in games], dtype=float)
    played = Counter(name for game in games for name in (game.first, game.second))
    points = _points(sides.reshape(-1, 2), won, len(players))
    if reasons := obstacles(points, players):
        return Ratings(games=dict(sorted(played.items())), reasons=tuple(reasons))
    try:
        ratings = fit(points)
    except ValueError as error:
        return Ratings(games=dict(sorted(played.items())), reasons=(str(error),))
    groups = codes_of(
        row if game.group is None else (game.group,) for row, game in enumerate(games)
    )
    draws, lost = _drawn(sides, won, groups, ratings, (resamples, seed))
    ends = _ends(draws) if lost <= OPEN * resamples and len(draws) else [(NAN, NAN)] * len(players)
    order = sorted(range(len(players)), key=lambda row: (-ratings[row], players[row]))
    return Ratings(
        {
            players[row]: Estimate(float(ratings[row]), played[players[row]], *ends[row])
            for row in order
        },
        dict(sorted(played.items())),
        lost=lost / resamples if resamples else 0.0,
    )


def fit(points: Floats, start: Floats | None = None) -> Floats:
    """Ratings by Newton's method; `points` [i, j] is what player i won against j, ties as halves.

    `start`: ratings that are near. Raises `ValueError` where there is no finite rating (see
    `obstacles`), or none that floats can hold.
    """
    size = len(points)
    games = points + points.T
    taken = points.sum(axis=1)
    strengths = np.zeros(size) if start is None else (start - MEAN) / SCALE
    best = _likelihood(points, strengths)
    for _ in range(_STEPS):
        p_wins = np.exp(-np.logaddexp(0, strengths[None, :] - strengths[:, None]))
        gradient = taken - (games * p_wins).sum(axis=1)
        weights = games * p_wins * p_wins.T
        # The mean of the strengths says nothing: 1/size holds it at 0 and keeps the matrix regular.
        matrix = np.diag(weights.sum(axis=1)) - weights + 1 / size
        try:
            step = np.linalg.solve(matrix, gradient)
        except np.linalg.LinAlgError as error:
            raise ValueError(_UNFIT) from error
        # Far steps overshoot where chances are near 0 or 1; only who met whom matters.
        apart = np.abs(step[None, :] - step[:, None])[games > 0]
        step /= max(1.0, float(apart.max()) / 2)
        while (reached := _likelihood(points, strengths + step)) < best - 1e-9 * abs(best):
            step /= 2
        strengths, best = strengths + step, reached
        if float(np.abs(step).max()) < 1e-10 * max(1.0, float(np.abs(strengths).max())):
            return np.asarray(MEAN + SCALE * (strengths - strengths.mean()), dtype=float)
    raise ValueError(_UNFIT)


_STEPS = 200
"""Newton needs ten where chances are none of 1 in a million."""
_UNFIT = "wins are so one-sided along a chain of players that no number holds the ratings"


def _likelihood(points: Floats, strengths: Floats) -> float:
    return -float((points * np.logaddexp(0, strengths[None, :] - strengths[:, None])).sum())


def _points(sides: np.ndarray, won: Floats, size: int, times: np.ndarray | int = 1) -> Floats:
    """Points of each player against each other, each game so many times."""
    first, second = sides[:, 0], sides[:, 1]
    points = np.bincount(first * size + second, won * times, size * size)
    points = points + np.bincount(second * size + first, (1 - won) * times, size * size)
    return np.asarray(points.reshape(size, size), dtype=float)


# --- whether there is a rating --------------------------------------------------------------------


def obstacles(points: Floats, players: Sequence[str]) -> list[str]:
    """Why these games give no rating, as sentences that name the players; nothing if they do."""
    if len(players) < 2:
        who = f"{players[0]} is the only player" if players else "nobody played"
        return [f"{who}; a rating needs two players and their games"]
    wins = points > 0
    groups = _groups(wins | wins.T)
    if len(groups) > 1:
        parts = "; ".join(_names(players, group) for group in groups[:_NAMED])
        more = "" if len(groups) <= _NAMED else f"; and {len(groups) - _NAMED} more"
        return [f"{len(groups)} groups have no game between them: {parts}{more}"]
    never_lost, never_won = (np.flatnonzero(~wins.any(axis=axis)).tolist() for axis in (0, 1))
    reasons = []
    if never_lost:
        reasons.append(f"never lost or tied a game: {_names(players, never_lost)}")
    if never_won:
        reasons.append(f"never won or tied a game: {_names(players, never_won)}")
    if not reasons and (below := _reached(wins, 0)) != set(range(len(players))):
        reasons.append(_one_sided(players, below))
    elif not reasons and (above := _reached(wins.T, 0)) != set(range(len(players))):
        reasons.append(_one_sided(players, set(range(len(players))) - above))
    return reasons


def _one_sided(players: Sequence[str], below: set[int]) -> str:
    """What to say where some players never took a point from the others."""
    above = [row for row in range(len(players)) if row not in below]
    return (
        f"{_names(players, sorted(below))} never won or tied a game against "
        f"{_names(players, above)}"
    )


def _names(players: Sequence[str], rows: Sequence[int]) -> str:
    names = ", ".join(players[row] for row in rows[:_NAMED])
    return names if len(rows) <= _NAMED else f"{names} and {len(rows) - _NAMED} more"


def _groups(linked: np.ndarray) -> list[list[int]]:
    """Players that are linked by games, over however many others."""
    left, groups = set(range(len(linked))), []
    while left:
        group = _reached(linked, min(left))
        groups.append(sorted(group))
        left -= group
    return groups


def _reached(links: np.ndarray, start: int) -> set[int]:
    """Everybody who can be reached from one player along the links of their rows."""
    seen = np.zeros(len(links), dtype=bool)
    seen[start] = True
    new = seen
    while new.any():
        new = links[new].any(axis=0) & ~seen
        seen = seen | new
    return set(np.flatnonzero(seen).tolist())


# --- intervals ------------------------------------------------------------------------------------


def _drawn(
    sides: np.ndarray, won: Floats, groups: np.ndarray, rated: Floats, plan: tuple[int, int]
) -> tuple[Floats, int]:
    """Ratings of games drawn anew; and how many draws have none.

    `rated`: the ratings by all games; `plan`: how often to draw, and the seed.
    """
    size, (resamples, seed) = len(rated), plan
    generator = np.random.default_rng(seed)
    count = int(groups.max()) + 1
    ratings: list[Floats] = []
    for _ in range(resamples):
        times = np.bincount(generator.integers(count, size=count), minlength=count)[groups]
        points = _points(sides, won, size, times)
        if _strongly_linked(points > 0):
            with suppress(ValueError):
                ratings.append(fit(points, rated))
    return np.array(ratings).reshape(len(ratings), size), resamples - len(ratings)


def _strongly_linked(wins: np.ndarray) -> bool:
    everybody = len(wins)
    return len(_reached(wins, 0)) == everybody == len(_reached(wins.T, 0))


def _ends(draws: Floats) -> list[tuple[float, float]]:
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))
