"""Result files: one JSON object per line, first what made them, then one record per image.

Takes results; gives lines, and reads them back. `recordfile` writes them as a run goes on.
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

from safejudge.errors import OutputError
from safejudge.files.packed import LineReader
from safejudge.types import JSON, Failure, Provenance, Result

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from safejudge.types import Intake

COMPARED = ("constitution", "prompts", "policy", "model", "revision", "encoder", "detector")
"""What must be equal for a run to be continued; versions of libraries may move on."""
BESIDE = ("also", "escalate_to", "skip_hashes", "programs")
"""As much, where a judge has several engines, a list of pictures to show to none, or rules with
programs; not written where it has not."""

DECISION = "decision"
"""Under which a record says what to do with its image, where thresholds were given."""
PEOPLE = "people"
"""Under which it says what people decided about its image, where a journal was named."""
FORM = "record"
"""Under which the head of a file says that its records are `SHORT`; full ones say nothing."""
SHORT, FULL = "short", "full"

_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_ASCII = re.compile(r"[^ -~]")


def image_name(path: str) -> str:
    r"""Write a path as text; bytes of a name that are no UTF-8 become `\udc80` and the like."""
    return path.encode("utf-8", "backslashreplace").decode()


def record(
    path: str,
    result: Result,
    provenance: Provenance | None = None,
    decision: JSON | None = None,
    people: JSON | None = None,
) -> JSON:
    """Make the record of one image: the judgment with its whole trace, or the failure.

    `provenance` is for lines that no header stands before; `decision` is what thresholds say to do,
    and `people` what people decided: the judgment stays what the judge said.
    """
    content: JSON = {"image": image_name(path)}
    if isinstance(result, Failure):
        error = {"reason": result.reason, "message": result.message}
        content |= {"id": result.id, "error": error}
    else:
        content |= result.model_dump(mode="json", exclude={"image", "provenance"})
    if decision is not None:
        content[DECISION] = decision
    if people is not None:
        content[PEOPLE] = people
    if provenance is not None:
        content["provenance"] = provenance.model_dump(include={*COMPARED, *BESIDE})
    return content


def header(  # noqa: PLR0913 - what a head holds
    version: str,
    provenance: Provenance,
    captions: str | None,
    *,
    folder: str | None = None,
    intake: Intake | None = None,
    judged_by: JSON | None = None,
    thresholds: str | None = None,
    short: bool = False,
) -> JSON:
    """Make the first record of a file; `captions` is the digest of the prompt file, if any.

    `folder` is where the run was begun, from which names are meant; `intake` what came in;
    `judged_by` is what a page of the records needs: `constitution` and `policy`, in full;
    `thresholds` is the digest of those that were given; `short` records are without their traces.
    """
    head: JSON = {
        "safejudge": version,
        "provenance": provenance.model_dump(mode="json"),
        "captions": captions,
    }
    if short:
        head[FORM] = SHORT
    if thresholds is not None:
        head["thresholds"] = thresholds
    if folder is not None:
        head["folder"] = image_name(folder)
    if intake is not None:
        head["intake"] = intake.model_dump(mode="json")
    if judged_by is not None:
        head |= {"date": today()} | judged_by
    return head


def form_of(head: JSON) -> str:
    """Whether the records below a head are short or full."""
    return SHORT if head.get(FORM) == SHORT else FULL


def today() -> str:
    """The day, in UTC: 2026-11-29."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def to_line(record: JSON) -> str:
    """Write one record as one line of JSON, newline included.

    Characters that could steer a terminal or split a line are escaped, other scripts are not.
    Raises `ValueError` for NaN and infinity, which no record holds.
    """
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    valid = _SURROGATE.sub("\ufffd", text)
    return _NOT_ASCII.sub(_escaped, valid) + "\n"


def _escaped(match: re.Match[str]) -> str:
    sign = match[0]
    return sign if sign.isprintable() else json.dumps(sign)[1:-1]


def lines(reader: LineReader) -> Iterator[tuple[int, JSON]]:
    """Yield number and content of every whole line. Raises `InputError`."""
    for number, raw in enumerate(reader, start=1):
        if not raw.endswith(b"\n"):
            continue  # the last; reading on tells where it begins
        try:
            content = json.loads(raw)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise OutputError(
                f"{reader.path}:{number}: is no record of safejudge; restore the file or name "
                "another"
            )
        yield number, content


def read_records(path: Path) -> dict[str, JSON]:
    """Every record of a file by its image; the header is none. Raises `InputError`."""
    return {line["image"]: line for _, line in lines(LineReader(path)) if "image" in line}


def foreign(path: Path | str) -> OutputError:
    """Say that a file is none of ours."""
    return OutputError(
        f"{path}: was not written by safejudge with --out, so it cannot be continued; "
        "name another file"
    )


def compare(path: Path | str, earlier: JSON, head: JSON) -> None:
    """Raise `OutputError` naming everything in which two headers differ."""
    provenance: Any = earlier.get("provenance")
    if "safejudge" not in earlier or not isinstance(provenance, dict):
        raise foreign(path)
    old, new = _compared(earlier), _compared(head)
    differing = [key for key in new if old[key] != new[key]]
    if differing:
        names = " and ".join(_DESCRIPTIONS[key] for key in differing)
        changes = (
            f"{_DESCRIPTIONS[key]}: {_described(old[key])}, now {_described(new[key])}"
            for key in differing
        )
        raise OutputError(
            f"{path}: was made with another {names} ({'; '.join(changes)}). Use the same again, or "
            "write to another file."
        )


def _compared(head: JSON) -> JSON:
    """What of a head must be equal for a run to be continued."""
    made = {key: head["provenance"].get(key) for key in (*COMPARED, *BESIDE)}
    return made | {key: head.get(key) for key in ("captions", "thresholds")} | {FORM: form_of(head)}


_DESCRIPTIONS = {
    "constitution": "constitution",
    "prompts": "wording of the questions (prompts)",
    "policy": "policy",
    "model": "model",
    "revision": "model revision",
    "encoder": "encoder",
    "detector": "detector",
    "also": "second opinion (--also)",
    "escalate_to": "engine to escalate to",
    "skip_hashes": "list of hashes (--skip-hashes)",
    "programs": "program, or version of one",
    "captions": "prompt file (captions) or data",
    "thresholds": "file of thresholds",
    FORM: "form of records (--record)",
}


def _described(value: object) -> str:
    if isinstance(value, list):  # several models
        return ", ".join(map(_described, value))
    if isinstance(value, dict):  # a model beside the judge
        return f"{value.get('uri')} {_described(value.get('revision'))}"
    text = str(value) if value is not None else "none"
    return f"{text[:12]}..." if re.fullmatch("[0-9a-f]{64}", text) else text
