"""The programs of one judge: made ready once, then asked; whatever goes wrong is undecided."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING

from safejudge.errors import ArgumentError, InputError
from safejudge.plugins import describe_error
from safejudge.programs.base import Found
from safejudge.programs.registry import checked, open_program
from safejudge.text import cut, one_line, storable
from safejudge.types import Finding, Locate, ModelRef

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from safejudge.programs.base import Program
    from safejudge.types import Box, Call, Look

    Search = Callable[[Sequence[Locate]], Sequence[tuple[Box, ...]]]
    """A detector's way to look."""

NO_DETECTOR = "needs a detector: --detector URI, such as hf:google/owlv2-base-patch16-ensemble"
_SAID = 1000
"""Characters of what a program says."""


class Programs:
    """Programs by name, opened when they are wanted. To be used by one thread at a time."""

    def __init__(self) -> None:
        self._open: dict[str, Program] = {}
        self._problems: dict[str, str | None] = {}

    def problem(self, call: Call, *, detects: bool) -> str | None:
        """Say why a program cannot look in this judge's run; make it ready, once.

        Raises `ArgumentError` for what no program can be asked.
        """
        program = self._program(call.name)
        arguments = checked(program, call).arguments
        if call.name not in self._problems:
            try:
                program.prepare()
                self._problems[call.name] = None
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a plug-in may raise anything
                known = isinstance(error, InputError)
                self._problems[call.name] = str(error) if known else describe_error(error)
        needs_boxes = call.name in ("count", "order") or bool(program.objects(arguments))
        if not detects and needs_boxes:
            return NO_DETECTOR
        return self._problems[call.name]

    def objects(self, call: Call) -> tuple[str, ...]:
        """Return what a detector has to find for a call; without what an item has to fill."""
        program = self._program(call.name)
        found = program.objects(checked(program, call).arguments)
        return tuple(name for name in found if "{" not in name)

    def reference(self, name: str) -> ModelRef:
        """Name a program for the provenance."""
        program = self._program(name)
        digest = hashlib.sha256(f"{name} {program.version}".encode())
        try:
            for file in program.files():
                digest.update(hashlib.sha256(file.read_bytes()).digest())
        except (InputError, OSError):  # then it cannot look, and a note says so
            digest.update(b"absent")
        return ModelRef(uri=f"program:{name}", revision=digest.hexdigest())

    def look(self, looks: Sequence[Look], search: Search | None) -> list[Finding]:
        """Let programs look, in order; all boxes are searched for at once."""
        ready = [self._ready(look) for look in looks]
        searches = {
            Locate(look.picture, names)
            for look, (call, found) in zip(looks, ready, strict=True)
            if found is None and (names := self._program(call.name).objects(call.arguments))
        }
        # In one order, whatever the wave's was: a detector's batches go by it.
        ordered = sorted(searches, key=lambda s: (s.picture.digest, s.words))
        boxes: dict[Locate, tuple[Box, ...]] = {}
        if search is not None and ordered:
            boxes = dict(zip(ordered, search(ordered), strict=True))
        return [
            self._finding(look, call, found, boxes)
            for look, (call, found) in zip(looks, ready, strict=True)
        ]

    def _ready(self, look: Look) -> tuple[Call, Found | None]:
        """Fill in what the item has; or say why the program cannot look."""
        values = {name: json.loads(value) for name, value in look.fields}
        if absent := [name for name in look.call.slots if values.get(name) is None]:
            names = " and ".join(f"{{{name}}}" for name in absent)
            return look.call, Found(None, None, f"this image has no {names}")
        if (problem := self._problems.get(look.call.name)) is not None:
            return look.call, Found(None, None, problem)
        try:
            return checked(self._program(look.call.name), look.call.filled(values)), None
        except ArgumentError as error:
            return look.call, Found(None, None, f"{look.call.name} {error}")
        except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
            return look.call, Found(None, None, describe_error(error))

    def _finding(
        self, look: Look, call: Call, found: Found | None, boxes: dict[Locate, tuple[Box, ...]]
    ) -> Finding:
        program = self._program(call.name)
        if found is None:
            names = program.objects(call.arguments)
            own = boxes.get(Locate(look.picture, names), ()) if names else ()
            if names and Locate(look.picture, names) not in boxes:
                found = Found(None, None, NO_DETECTOR)
            else:
                found = _looked(program, look, call, own)
        return Finding(
            call=look.call,
            version=program.version,
            value=found.value,
            holds=found.holds,
            said=cut(one_line(storable(found.said)), _SAID),
            boxes=found.boxes,
            facts=found.facts,
        )

    def _program(self, name: str) -> Program:
        if name not in self._open:
            self._open[name] = open_program(name)
        return self._open[name]


def _looked(program: Program, look: Look, call: Call, boxes: tuple[Box, ...]) -> Found:
    """Let a program look; what it raises, or returns that is no finding, is undecided."""
    try:
        found = program.look(look.picture, call.arguments, boxes)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - one picture must not end a run
        return Found(None, None, f"the program failed: {describe_error(error)}")
    value, holds = getattr(found, "value", None), getattr(found, "holds", None)
    fits = value is None or (isinstance(value, int | float) and math.isfinite(value))
    if not isinstance(found, Found) or not (holds is None or isinstance(holds, bool)) or not fits:
        return Found(
            None, None, f"the program returned {cut(repr(found), 200)}, which is no finding"
        )
    try:
        json.dumps(found.facts, allow_nan=False)
    except (TypeError, ValueError) as error:
        return Found(None, None, f"the program returned facts that no record holds: {error}")
    return found
