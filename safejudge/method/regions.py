"""Statement -> the region of its central object.

Takes a precondition's `look_at` words and a picture; gives the boxes that stand for the object.
The paper (sec. 3.4, A.3) has a detector look for words that may be several, "joined by and/or",
and does not say how boxes combine. Here:

- the words are parted at commas, `and` and `or`; each is looked for by itself;
- of each word's boxes count those the detector is at least `minimum_confidence` sure of, and at
  least half as sure as of that word's best one: the object may be there more than once, and taking
  away one of two knives would leave the statement true;
- all of them together are the region. It is removed as a whole; it is small if all its boxes
  together are.

Knows neither the detector nor what is done with the region.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safejudge.errors import EngineCallError
from safejudge.flow import request
from safejudge.types import Box, Locate

if TYPE_CHECKING:
    from safejudge.flow import Flow
    from safejudge.policy import Policy
    from safejudge.types import Picture

_JOINTS = re.compile(r",\s*(?:and\s+|or\s+)?|\s+and\s+|\s+or\s+")


def words_of(look_at: str) -> tuple[str, ...]:
    """Part the words of a `look_at`: "gun and person" looks for two objects."""
    return tuple(dict.fromkeys(word for part in _JOINTS.split(look_at) if (word := part.strip())))


def region_flow(look_at: str, picture: Picture, policy: Policy) -> Flow[tuple[Box, ...]]:
    """Look for the central object; no boxes if the detector is sure of none."""
    (boxes,) = yield from request(Locate(picture, words_of(look_at)))
    if not isinstance(boxes, tuple):
        raise EngineCallError(f"the detector answered with {type(boxes).__name__}, not with boxes")
    return believed(boxes, policy)


def believed(boxes: tuple[Box, ...], policy: Policy) -> tuple[Box, ...]:
    """Keep the boxes that make up the region, the surest first."""
    best: dict[str, float] = {}
    for box in boxes:
        best[box.word] = max(box.confidence, best.get(box.word, 0.0))
    region = (
        box
        for box in boxes
        if box.confidence > policy.minimum_confidence and box.confidence >= best[box.word] / 2
    )
    return tuple(sorted(region, key=lambda box: -box.confidence))
