"""`overlap`: whether a region of a picture lies where a mask says.

program: {overlap: "{mask}", at_least: 0.5}       # what is painted green, as GIR-Bench asks for
program: {overlap: zone.png, of: person}          # the boxes of what a detector finds
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from safejudge.errors import ArgumentError, ImageError
from safejudge.images.load import load_image
from safejudge.policy import Policy
from safejudge.programs.base import Found, Program, share, shown, text_of
from safejudge.programs.boxes import all_boxes, seen_objects, thresholds
from safejudge.programs.scoring import masks

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from safejudge.programs.boxes import Seen
    from safejudge.programs.scoring.masks import Overlap as Compared
    from safejudge.types import JSON, Box, Picture

_EXAMPLE = '`overlap: "{mask}"`, the path of a mask: light where the region is, dark elsewhere'
_BY_UPLOADER = "{prompt}"


class Overlap(Program):
    """Compares a painted or found region with a mask: shared over united area."""

    name = "overlap"
    version = "1"
    options = ("at_least", "of", "confidence", "faint")

    def check(self, arguments: JSON) -> JSON:
        """Check the mask's path, the share that is enough, and what is compared (`of`).

        A caption is the uploader's own text, and must not name files.
        """
        mask = text_of(arguments["overlap"], "the path of a mask", _EXAMPLE)
        if _BY_UPLOADER in mask:
            raise ArgumentError("takes a caption for the path of a file", _EXAMPLE)
        checked: JSON = {"overlap": mask, "at_least": share(arguments, "at_least", 0.5)}
        if "of" in arguments:
            checked["of"] = text_of(arguments["of"], "an object", "`of: person`")
        return checked | thresholds(arguments)

    def objects(self, arguments: JSON) -> tuple[str, ...]:
        """Name what a detector has to find; nothing where a painted region is compared."""
        return (arguments["of"],) if "of" in arguments else ()

    def look(self, picture: Picture, arguments: JSON, boxes: Sequence[Box]) -> Found:
        """Compare; a mask that cannot be read leaves it undecided."""
        try:
            read = load_image(arguments["overlap"], name=arguments["overlap"], policy=Policy())
        except ImageError as error:
            return Found(None, None, f"the mask cannot be read: {error}")
        mask = read.pictures[0].pixels
        meant, notes = masks.region(mask), _notes(picture, mask)
        if "of" not in arguments:
            compared = [masks.overlap(masks.painted(picture.pixels), meant)]
            return _found(compared, arguments, notes, read.id)
        name = arguments["of"]
        seen = seen_objects(boxes, [name], arguments)
        compared = [masks.overlap(region, meant) for region in _regions(picture, seen[name])]
        notes.append(f"found {seen[name].text} x {shown(name)}")
        found = _found(compared, arguments, notes, read.id)
        return replace(found, boxes=all_boxes(seen))


def _found(compared: Sequence[Compared], arguments: JSON, notes: Sequence[str], mask: str) -> Found:
    """Sum up; where faint boxes are left out and taken in, both have to say the same."""
    holds = {overlap.iou >= arguments["at_least"] for overlap in compared}
    shares = " or ".join(dict.fromkeys(f"{overlap.iou:.2f}" for overlap in compared))
    said = "; ".join([f"{shares} of both regions is shared", *notes])
    one = compared[0]
    facts = {
        "pixels_found": one.found, "pixels_meant": one.meant, "pixels_shared": one.shared,
        "mask": mask,
    }  # fmt: skip
    if len(holds) > 1:
        return Found(None, None, said, facts=facts)
    return Found(one.iou, holds.pop(), said, facts=facts)


def _regions(picture: Picture, seen: Seen) -> list[npt.NDArray[np.bool_]]:
    """Return what the boxes cover: those that are there, and with those that may be."""
    regions = []
    for boxes in (seen.sure, (*seen.sure, *seen.faint)):
        region = np.zeros(picture.pixels.shape[:2], np.bool_)
        for box in boxes:
            region[box.top : box.bottom, box.left : box.right] = True
        regions.append(region)
    return regions


def _notes(picture: Picture, mask: npt.NDArray[np.uint8]) -> list[str]:
    """Say what had to be done to compare picture and mask."""
    notes = []
    height, width = mask.shape[:2]
    if picture.pixels.shape[:2] != (height, width):
        notes.append(f"the picture was brought to the mask's {width} x {height} pixels")
    if not masks.is_black_and_white(mask):
        notes.append(f"the mask is not black and white, so lighter than {masks.LIGHT} counts")
    return notes
