"""Files of games of two -> a table of ratings for each judge, and each value of one more field.

Three forms of record, told by their fields: {first, second, choice}; {model_pair "A_vs_B", choice}
as Judge Anything's scripts write it; {name, pairs: [[first, second, choice], ...]}. A choice is 0
for the first, 1 for neither, 2 for the second. A record may say who judged (`judge`), and what
belongs together (`item`, or `uniq_id`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from safejudge.errors import InputError
from safejudge.evals import recorded
from safejudge.evals.replies import read_code
from safejudge.evals.stats.intervals import grouped
from safejudge.evals.stats.ratings import OPEN, Game, Ratings, rate
from safejudge.show.figures import Table
from safejudge.text import counted

if TYPE_CHECKING:
    from safejudge.types import JSON

_WON = {0: 1.0, 1: 0.5, 2: 0.0}
"""What the first of two won."""
_BETWEEN = "_vs_"


class Row(NamedTuple):
    """One game, and which list it is in."""

    part: str
    game: Game


class Arena(NamedTuple):
    """What a file of games comes to."""

    ratings: Mapping[str, Ratings]
    """By list: the judge, and the value of the field that was named."""
    left_out: Mapping[str, int]
    """Why games were left out, and how many."""
    unread: tuple[str, ...]
    """What of the file was not understood."""


def arena(
    path: Path, *, by: str | None = None, without: Sequence[str] = (), resamples: int, seed: int = 0
) -> Arena:
    """Rate the players of a file.

    `by` names a field that parts the games further; `without`: players whose games do not count.
    Raises `InputError` for a file without games of two players, or a field that no game has.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; name one of games of two")
    lines = recorded.read_file(path, path.name)
    left_out: Counter[str] = Counter()
    games = [game for record in lines.records for game in _games(record, left_out)]
    if by is not None and not any(by in game for game in games):
        fields = sorted({name for game in games for name in game} - {"first", "second", "choice"})
        raise InputError(f"--by {by}: no game has this field; there are {', '.join(fields)}")
    rows = [row for game in games for row in _row(game, by, set(without), left_out)]
    if not rows:
        raise InputError(f"{path}: {_nothing(games, left_out, lines.problems)}")
    parts = grouped(row.part for row in rows)
    ratings = {
        part: rate([rows[row].game for row in members], resamples, seed)
        for part, members in parts.items()
    }
    return Arena(ratings, left_out, lines.problems)


def _nothing(games: Sequence[JSON], left_out: Mapping[str, int], problems: Sequence[str]) -> str:
    """Why there is nothing to rate."""
    players = {recorded.word(game.get(side)) for game in games for side in ("first", "second")}
    if len(players) == 1:
        return f"{players.pop()!r} is the only player; a rating needs two and their games"
    reasons = [f"{counted(n, 'record')} left out: {reason}" for reason, n in left_out.items()]
    text = "; ".join([*reasons, *problems]) or "it is empty"
    return f"holds no game of two players ({text}); a game is {{first, second, choice}}"


def _games(record: JSON, left_out: Counter[str]) -> Iterator[JSON]:
    """The games of one record, in the first of the three forms."""
    if isinstance(pairs := record.get("pairs"), list):
        judge = {"judge": record.get("name")}
        for pair in pairs:
            if isinstance(pair, list) and len(pair) == 3:
                yield judge | dict(zip(("first", "second", "choice"), pair, strict=True))
            else:
                left_out["no [first, second, choice]"] += 1
    elif "choice" not in record:
        left_out["no choice"] += 1
    elif "model_pair" in record:
        sides = recorded.word(record["model_pair"]).split(_BETWEEN)
        if len(sides) == 2:
            yield record | dict(zip(("first", "second"), sides, strict=True))
        else:
            left_out[f"a pair that is not FIRST{_BETWEEN}SECOND"] += 1
    else:
        yield record


def _row(game: JSON, by: str | None, without: set[str], left_out: Counter[str]) -> list[Row]:
    """One game in its list; nothing where it is none, which is counted."""
    first, second = (recorded.word(game.get(side)) for side in ("first", "second"))
    choice = read_code(game["choice"])
    if choice is None:
        left_out["a choice other than 0, 1 and 2"] += 1
    elif not first or not second:
        left_out["a player without a name"] += 1
    elif first == second:
        left_out["a player against itself"] += 1
    elif {first, second} & without:
        left_out["of a player who is left out by name"] += 1
    else:
        item = game.get("item", game.get("uniq_id"))
        names = [recorded.word(game.get("judge"))]
        if by is not None:
            names.append(recorded.word(game.get(by)) or f"(no {by})")
        part = ", ".join(name for name in names if name)
        group = recorded.word(item) or None
        return [Row(part, Game(first, second, _WON[choice], group))]
    return []


# --- for people -----------------------------------------------------------------------------------


def tables(found: Arena) -> tuple[Table, ...]:
    """A table of each list, its players from best to worst."""
    return tuple(_table(part, ratings) for part, ratings in found.ratings.items())


def _table(part: str, ratings: Ratings) -> Table:
    columns = ("player", "games", "rating", "from", "to")
    if ratings.ratings:
        rows = tuple(
            (
                player,
                str(value.n),
                f"{value.value:.3f}",
                *(_end(e) for e in (value.low, value.high)),
            )
            for player, value in ratings.ratings.items()
        )
        note = ""
        if 0 < ratings.lost <= OPEN:
            note = f"{ratings.lost:.1%} of the draws have no rating; the ends leave them out."
        elif ratings.lost > OPEN:
            note = f"No ends: {ratings.lost:.1%} of the draws have no rating."
    else:
        rows = tuple((name, str(n), "no rating", "-", "-") for name, n in ratings.games.items())
        note = "; ".join(ratings.reasons) + "."
    return Table(part or "Ratings", columns, rows, note)


def _end(value: float) -> str:
    return f"{value:.1f}" if value == value else "-"  # noqa: PLR0124 - NaN is no end


def findings(found: Arena) -> tuple[str, ...]:
    """What was left out, and how many lists have no rating."""
    lines = [f"{counted(n, 'game')} left out: {why}." for why, n in found.left_out.items()]
    without = [part or "the list" for part, ratings in found.ratings.items() if ratings.reasons]
    if without:
        lines.append(
            f"{len(without)} of {counted(len(found.ratings), 'list')} without a rating: "
            f"{'; '.join(without)}. --without PLAYER leaves a player out."
        )
    return tuple(lines)


def numbers(found: Arena) -> JSON:
    """Everything unrounded: by list and player."""
    return {
        "ratings": {
            part: {player: value.json() for player, value in ratings.ratings.items()} or None
            for part, ratings in found.ratings.items()
        },
        "reasons": {part: list(r.reasons) for part, r in found.ratings.items() if r.reasons},
        "games": {part: ratings.games for part, ratings in found.ratings.items()},
        "left_out": dict(found.left_out),
        "unread": list(found.unread),
    }
