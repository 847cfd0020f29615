"""`overlap`: whether a region of a picture lies where a mask says.

program: {overlap: "{mask}", at_least: 0.5}       # what is painted green, as GIR-Bench asks for
program: {overlap: zone.png, of: person}          # the boxes of what a detector finds
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from safejudge.errors import ArgumentError, ImageError
from safejudge.images.load import load_image
from safejudge.policy import Policy
from safejudge.programs.base import Found, Program, share, shown, text_of
from safejudge.programs.boxes import SURE, found_objects
from safejudge.programs.scoring import masks
from safejudge.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.types import JSON, Box, Picture

_EXAMPLE = '`overlap: "{mask}"`, the path of a mask: light where the region is, dark elsewhere'
_BY_UPLOADER = "{prompt}"


class Overlap(Program):
    """Compares a painted or found region with a mask: shared over united area."""

    name = "overlap"
    version = "1"
    options = ("at_least", "of", "confidence")

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
        if (sure := share(arguments, "confidence", SURE)) != SURE:
            checked["confidence"] = sure
        return checked

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
        kept: tuple[Box, ...] = ()
        region = masks.painted(picture.pixels)
        if "of" in arguments:
            name = arguments["of"]
            sure = arguments.get("confidence", SURE)
            kept = found_objects(boxes, [name], sure)[name]
            region = np.zeros(region.shape, np.bool_)
            for box in kept:
                region[box.top : box.bottom, box.left : box.right] = True
        compared = masks.overlap(region, masks.region(mask))
        said = f"{compared.iou:.2f} of both regions is shared"
        if region.shape != mask.shape[:2]:
            height, width = mask.shape[:2]
            said += f"; the picture was brought to the mask's {width} x {height} pixels"
        if not masks.is_black_and_white(mask):
            said += f"; the mask is not black and white, so lighter than {masks.LIGHT} counts"
        if "of" in arguments:
            said += f"; found {counted(len(kept), 'box')}".replace("boxs", "boxes")
            said += f" of {shown(arguments['of'])}"
        facts = {
            "pixels_found": compared.found, "pixels_meant": compared.meant,
            "pixels_shared": compared.shared, "mask": read.id,
        }  # fmt: skip
        return Found(compared.iou, compared.iou >= arguments["at_least"], said, kept, facts)
