"""Whether a server rounds its probabilities, by what it answers.

Probabilities of two decimals tie, and tell nothing apart near 0 and 1, where a filter that may
hardly ever be wrong has its bounds. The protocol does not say whether a server does so; numbers
that all lie on one grid do.
"""

from __future__ import annotations

from safejudge.engines.forks import ProcessLock

ENOUGH = 8
"""So many answers with all their probabilities on a grid show that a server rounds."""
_FEWEST, _MOST = 2, 4
"""Decimals that are looked for; finer rounding does no harm."""
_FLOAT32 = 1e-7
"""How far a rounded number may be off its grid where it was kept in float32."""


_EQUAL = 1e-6
"""How far P may be off 1/2 where two logits are equal, by float32's last digits."""


class Rounding:
    """Watches the probabilities of one server; thread-safe."""

    def __init__(self) -> None:
        self._places: int | None = _FEWEST
        """The fewest decimals that every number so far can be written in; None: too many."""
        self._seen = 0
        """Answers that could have shown otherwise."""
        self._lock = ProcessLock()

    def see(self, told: tuple[float, ...]) -> None:
        """Look at the probabilities of one answer, as the server wrote them.

        0 and 1 lie on every grid, and 1/2 is what equal logits give: those tell nothing.
        """
        telling = [p for p in told if p not in {0.0, 1.0} and abs(p - 0.5) > _EQUAL]
        if not telling:
            return
        with self._lock:
            self._seen += 1
            while self._places is not None and not _fit(telling, self._places):
                self._places = self._places + 1 if self._places < _MOST else None

    @property
    def step(self) -> float | None:
        """The grid's step, such as .01; None as long as the answers do not show one."""
        with self._lock:
            places = self._places if self._seen >= ENOUGH else None
        return None if places is None else 10.0**-places


def _fit(told: list[float], places: int) -> bool:
    """Whether numbers lie on a grid; what is nearly 0 or 1 and neither was not rounded to it."""
    rounded = [(p, round(p, places)) for p in told]
    return all(0.0 < near < 1.0 and abs(p - near) < _FLOAT32 for p, near in rounded)


def within(shares: tuple[float, ...], step: float | None) -> tuple[float, ...]:
    """Move shares of exactly 0 (and so one of 1) half a step inward: that much they may stand for.

    Without a step they are left as they are. They sum to 1 before and after.
    """
    if step is None or 0.0 not in shares:
        return shares
    left = 1.0 - shares.count(0.0) * step / 2
    return tuple(share * left or step / 2 for share in shares)


def meaning(step: float) -> str:
    """Say what rounding to this step means."""
    return (
        f"the server rounds probabilities to {step:g}: unlike images tie, a number is good to "
        f"+-{step / 2:g}, and no threshold for very few false alarms can be set; 0 and 1 count as "
        f"{step / 2:g} and {1 - step / 2:g}"
    )
