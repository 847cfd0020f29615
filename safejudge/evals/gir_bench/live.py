"""GIR-Bench's pictures looked at by programs: OCR reads words and grids, pixels are compared.

A folder holds `cases.json`: {"text": {ID: reference}, "sudoku": [{id, question, answer}]}, rows of
digits with 0 for an empty cell; `text/ID.png`, `sudoku/ID_drawn.png`; and `masks/ID_painted.png`
beside `masks/ID_truth.png`, light where the region is. No model has an opinion. Counts and places
need a model that counts and a detector; they are scored from recorded outputs only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.errors import ImageError, InputError
from safejudge.evals import harness
from safejudge.evals.gir_bench.cases import (
    Case,
    GridCase,
    MaskCase,
    Subset,
    TextCase,
    UnusableError,
    case_of,
)
from safejudge.evals.gir_bench.records import Output, Recorded
from safejudge.evals.pictures import load_pictures, tell_missing
from safejudge.evals.suite import Coverage
from safejudge.files.rows import parse_json
from safejudge.images.load import load_image
from safejudge.policy import Policy
from safejudge.programs import ocr
from safejudge.programs.scoring import grids, masks, texts
from safejudge.programs.scoring.masks import Overlap
from safejudge.types import JSON, Failure, Picture, Provenance

if TYPE_CHECKING:
    from safejudge.evals.suite import Run

LIVE: tuple[Subset, ...] = ("text", "sudoku", "perception")
"""What programs can look at by themselves."""
CASES = "cases.json"


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture, and what is known of it."""

    subset: Subset
    name: str
    """As `text/sale`."""
    picture: Path
    truth: Any
    """The reference; the rows of question and answer; the path of the mask."""


@dataclass(frozen=True, slots=True)
class Data:
    """The samples of a folder."""

    samples: tuple[Sample, ...]
    left_out: Mapping[str, int]
    """Why cases cannot be scored, and how many."""


# --- what is there --------------------------------------------------------------------------------


def gather(folder: Path, subsets: Sequence[Subset]) -> Data:
    """Find every sample of these subsets. Raises `InputError` where there is none."""
    try:
        cases = parse_json((folder / CASES).read_text(encoding="utf-8"))
    except OSError:
        cases = {}
    except ValueError as error:
        raise InputError(f"{folder / CASES}: is no JSON ({error})") from error
    if not isinstance(cases, dict):
        raise InputError(f'{folder / CASES}: is no object {{"text": ..., "sudoku": ...}}')
    left_out: dict[str, int] = {}
    samples = [
        *_texts(folder, cases.get("text"), left_out),
        *_puzzles(folder, cases.get("sudoku"), left_out),
        *(_mask(path) for path in sorted((folder / "masks").glob("*_truth.png"))),
    ]
    samples = [sample for sample in samples if sample.subset in subsets]
    if not samples:
        raise InputError(
            f"{folder}: holds no case of {', '.join(subsets)}; it needs {CASES} with references "
            "or grids, or masks/ID_truth.png"
        )
    return Data(tuple(samples), left_out)


def _texts(folder: Path, value: Any, left_out: dict[str, int]) -> list[Sample]:
    samples = []
    for name, reference in (value if isinstance(value, dict) else {}).items():
        try:
            case_of("text", {"reference": reference, "seen": ""})
        except UnusableError as error:
            left_out[f"text: {error}"] = left_out.get(f"text: {error}", 0) + 1
        else:
            samples.append(_sample("text", folder, name, f"{name}.png", reference))
    return samples


def _puzzles(folder: Path, value: Any, left_out: dict[str, int]) -> list[Sample]:
    samples = []
    for case in value if isinstance(value, list) else []:
        rows = [_rows(case.get(part)) for part in ("question", "answer")] if _named(case) else []
        sizes = {len(part) for part in rows if part is not None}
        if len(rows) != 2 or None in rows or len(sizes) != 1 or any(0 in r for r in rows[1] or ()):
            why = "sudoku: no id, no grids of digits, grids of two sizes, or an unsolved answer"
            left_out[why] = left_out.get(why, 0) + 1
        else:
            name = case["id"]
            samples.append(_sample("sudoku", folder, name, f"{name}_drawn.png", tuple(rows)))
    return samples


def _named(case: Any) -> bool:
    return isinstance(case, dict) and isinstance(case.get("id"), str) and bool(case["id"])


def _rows(value: Any) -> grids.Rows | None:
    """A square of digits; None for anything else."""
    if not isinstance(value, list) or not value or not all(isinstance(r, list) for r in value):
        return None
    square = all(len(row) == len(value) for row in value)
    whole = all(type(n) is int and 0 <= n <= len(value) for row in value for n in row)
    return tuple(tuple(row) for row in value) if square and whole else None


def _sample(subset: Subset, folder: Path, name: str, file: str, truth: Any) -> Sample:
    # A name with a path in it must not lead out of the folder.
    return Sample(subset, f"{subset}/{name}", folder / subset / Path(file).name, truth)


def _mask(path: Path) -> Sample:
    name = path.name.removesuffix("_truth.png")
    painted = path.with_name(f"{name}_painted.png")
    return Sample("perception", f"perception/{name}", painted, path)


# --- looking --------------------------------------------------------------------------------------


def judge_samples(run: Run, data: Data) -> JSON:
    """Look at every sample that has no record yet; what looked."""
    samples = [data.samples[row] for row in harness.sampled([s.subset for s in data.samples], run)]
    absent = [sample.picture for sample in samples if not sample.picture.is_file()]
    tell_missing(len(absent), len(samples), run.data or "", str(next(iter(absent), "")))
    if any(sample.subset != "perception" for sample in samples):
        ocr.reader()  # says what to install before any work
    made_by = _provenance(run)
    source = harness.digest(run.data, [[s.name, str(s.truth)] for s in data.samples])
    description: JSON = {"left_out": dict(data.left_out)}
    with harness.record_file(run, made_by, source) as file:
        run.write_json(harness.DATA, description)
        harness.record(run, file, samples, lambda s: s.name, lambda window: _looked(window, run))
    return description | {"data": run.data, "provenance": made_by.model_dump(mode="json")}


def _provenance(run: Run) -> Provenance:
    versions = {"safejudge": metadata.version("safejudge")}
    for name in ("rapidocr", "onnxruntime", "numpy"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return Provenance(
        constitution="", prompts="", policy=run.policy.digest(), model="programs:", revision="",
        versions=versions,
    )  # fmt: skip


def _looked(samples: Sequence[Sample], run: Run) -> list[JSON]:
    """The record of each sample: what was found, or why there is no picture."""
    loaded = load_pictures([sample.picture for sample in samples], run)
    records = []
    for sample, picture in zip(samples, loaded, strict=True):
        record: JSON = {"image": sample.name, "label": sample.subset, "subset": sample.subset}
        if isinstance(picture, Failure):
            problem = {"reason": picture.reason, "message": picture.message}
            records.append(record | {"missing": problem} | _truth(sample))
            continue
        records.append(
            record
            | {"digests": [picture.digest]}
            | _truth(sample)
            | _LOOKS[sample.subset](picture, sample)
        )
    return records


def _truth(sample: Sample) -> JSON:
    if sample.subset == "text":
        return {"reference": sample.truth}
    if sample.subset == "sudoku":
        return {"question": sample.truth[0], "answer": sample.truth[1]}
    return {}


def _words(picture: Picture, _: Sample) -> JSON:
    lines = ocr.reader().lines(picture)
    read = [line.word for line in lines if line.confidence > texts.SURE]
    faint = [line.word for line in lines if line.confidence <= texts.SURE]
    return {"seen": " ".join(read), "faint": faint}


def _digits(picture: Picture, sample: Sample) -> JSON:
    cells = ocr.reader().cells(picture, len(sample.truth[1]))
    return {"drawn": [[_digit(*cell) for cell in row] for row in cells]}


def _digit(text: str, sure: float) -> int:
    """A digit that is sure enough, or an empty cell."""
    return int(text) if text.isascii() and text.isdecimal() and sure > texts.SURE else 0


def _painted(picture: Picture, sample: Sample) -> JSON:
    try:
        truth = load_image(sample.truth, name=sample.truth.name, policy=Policy())
    except ImageError as error:
        return {"error": {"reason": error.reason, "message": f"the mask: {error}"}}
    meant = truth.pictures[0].pixels
    found = masks.painted(picture.pixels)
    lies = masks.overlap(found, masks.region(meant))
    return {
        "overlap": {"shared": lies.shared, "found": lies.found, "meant": lies.meant},
        "resized": found.shape != meant.shape[:2],
        "grey": not masks.is_black_and_white(meant),
    }


_LOOKS = {"text": _words, "sudoku": _digits, "perception": _painted}


# --- what was found -------------------------------------------------------------------------------


def read_run(out: Path) -> tuple[Recorded, Coverage, list[str]]:
    """A folder that `judge_samples` wrote, as recorded cases. Raises `InputError`."""
    records = list(harness.recorded(out).values())
    usable = [record for record in records if "error" not in record]
    outputs = tuple(
        Output(
            "pictures", harness.RECORDS, number, record["subset"], _case(record), record["image"]
        )
        for number, record in enumerate(usable)
    )
    lost = [record for record in usable if "missing" in record]
    unusable = [record["error"]["message"] for record in records if "error" in record]
    lines = [f"{record['image']}: no picture, which is wrong ({record['missing']['message']})."
             for record in lost]  # fmt: skip
    lines += [f"Not scored: {message}." for message in unusable]
    for note, says in (
        ("resized", "of another size than its mask, and was brought to it"),
        ("grey", f"with a mask that is not black and white; lighter than {masks.LIGHT} counts"),
    ):
        if names := [record["image"] for record in usable if record.get(note)]:
            lines.append(f"{', '.join(names)}: {says}.")
    left_out = harness.data_of(out).get("left_out", {})
    missed = len(lost) + len(unusable)
    return Recorded(outputs, left_out, ()), Coverage(len(records) - missed, missed), lines


def _case(record: JSON) -> Case:
    subset = record["subset"]
    if subset == "text":
        return TextCase(record["reference"], record.get("seen"))
    if subset == "sudoku":
        question, answer, drawn = (
            None if rows is None else tuple(tuple(row) for row in rows)
            for rows in (record["question"], record["answer"], record.get("drawn"))
        )
        return GridCase(question or (), answer or (), drawn)
    counts = record.get("overlap")
    return MaskCase(None if counts is None else Overlap(**counts))
