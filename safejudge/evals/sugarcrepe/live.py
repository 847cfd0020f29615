"""SugarCrepe live: both captions of a picture put to an engine, and to an encoder.

A folder holds files such as `replace_obj.json`: {"0": {filename, caption, negative_caption}, ...};
the name of a file is the group. Three ways to compare: `match`, how probable each caption is by
itself; `choice`, which of the two fits better, asked in both orders; `encoder`, the cosines.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from safejudge.engines.models import reference
from safejudge.errors import InputError
from safejudge.evals import harness, recorded
from safejudge.evals.pictures import load_pictures, tell_missing
from safejudge.evals.sugarcrepe.score import Pair, score
from safejudge.evals.suite import Coverage
from safejudge.files.below import leads_out
from safejudge.files.rows import parse_json
from safejudge.matching import prompts
from safejudge.matching.items import Item
from safejudge.matching.match import match_items, read_answer
from safejudge.method.captions import plain_caption
from safejudge.method.questions import choice_probes
from safejudge.text import counted
from safejudge.types import JSON, Failure, Picture, Similarity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from safejudge.evals.suite import EvalResult, Run
    from safejudge.matching.soft_labels import Score

Way = Literal["match", "choice", "encoder"]
_FIELDS = ("filename", "caption", "negative_caption")
_BOTH_ORDERS = "both_orders"


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture with a right and a wrong caption."""

    key: str
    group: str
    picture: Path
    captions: tuple[str, str]
    """The right one first."""


@dataclass(frozen=True, slots=True)
class Data:
    """The samples of a folder."""

    samples: tuple[Sample, ...]
    left_out: Mapping[str, int]
    """Why entries are no samples, and how many."""
    unread: tuple[str, ...]
    """Files that were not understood, with the reason."""


def gather(folder: Path, pictures: Path) -> Data:
    """Read every file of a folder. Raises `InputError` where there is no sample, or no picture."""
    left_out: Counter[str] = Counter()
    samples: list[Sample] = []
    unread = []
    for path in sorted(folder.glob("*.json")):
        try:
            entries = parse_json(path.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            unread.append(f"{path.name}: {error}")
            continue
        if not isinstance(entries, dict):
            unread.append(f"{path.name}: holds no entries by number")
            continue
        for number, entry in entries.items():
            found = _sample(path.stem, recorded.word(number), entry, pictures)
            if isinstance(found, Sample):
                samples.append(found)
            else:
                left_out[found] += 1
    if not samples:
        raise InputError(
            f"{folder}: holds no captions; SugarCrepe's files are replace_obj.json and alike, "
            'each {"0": {filename, caption, negative_caption}, ...}'
        )
    paths = dict.fromkeys(sample.picture for sample in samples)
    missing = [path for path in paths if not path.is_file()]
    tell_missing(len(missing), len(paths), str(pictures), str(next(iter(missing), "")))
    return Data(tuple(samples), left_out, tuple(unread))


def _sample(group: str, number: str, entry: Any, pictures: Path) -> Sample | str:
    fields = entry if isinstance(entry, dict) else {}
    name, right, wrong = (recorded.word(fields.get(field)) for field in _FIELDS)
    captions = (plain_caption(right), plain_caption(wrong))
    if not name or captions[0] is None or captions[1] is None:
        return "entry without a picture and two captions"
    if captions[0] == captions[1]:
        return "entry whose captions are the same"
    if leads_out(pictures, name):
        return "entry whose picture lies outside the folder"
    return Sample(f"{group}/{number}", group, pictures / name, (captions[0], captions[1]))


# --- judging --------------------------------------------------------------------------------------


def judge_samples(run: Run, data: Data, ways: Sequence[Way]) -> JSON:
    """Compare the captions of every sample that has no record yet."""
    encoder = run.models.encoder
    if encoder is None and "encoder" in ways:
        if len(ways) == 1:
            raise InputError("ways=encoder: there is no encoder; choose one with --encoder URI")
        ways = [way for way in ways if way != "encoder"]
    rows = harness.sampled([sample.group for sample in data.samples], run)
    samples = [data.samples[row] for row in rows]
    made_by = harness.provenance(run, ways, prompts.digest(), engine_alone=True)
    used = reference(encoder) if "encoder" in ways else None
    made_by = made_by.model_copy(update={"encoder": used})
    source = harness.digest(run.data, [[s.key, str(s.picture), s.captions] for s in samples])
    description: JSON = {
        "ways": list(ways), "left_out": dict(data.left_out), "unread": list(data.unread),
    }  # fmt: skip

    def judged(window: list[Sample]) -> list[JSON]:
        return _judged(run, window, ways)

    with harness.record_file(run, made_by, source) as file:
        run.write_json(harness.DATA, description)
        harness.record(run, file, samples, lambda sample: sample.key, judged)
    return description | {"data": run.data, "provenance": made_by.model_dump(mode="json")}


def _judged(run: Run, samples: Sequence[Sample], ways: Sequence[Way]) -> list[JSON]:
    loaded = load_pictures([sample.picture for sample in samples], run)
    shown = [(s, p) for s, p in zip(samples, loaded, strict=True) if isinstance(p, Picture)]
    said: dict[str, JSON] = {sample.key: {} for sample, _ in shown}
    problems: dict[str, list[str]] = {sample.key: [] for sample, _ in shown}
    if "match" in ways:
        pairs = [(Item(picture=p), Item(text=text)) for s, p in shown for text in s.captions]
        found = iter(match_items(run.models, run.policy, pairs))
        for sample, _ in shown:
            both = [next(found), next(found)]
            said[sample.key]["match"] = [match.score for match in both]
            problems[sample.key] += [match.problem for match in both if match.problem]
    if "choice" in ways:
        _choose(run, shown, said, problems)
    if "encoder" in ways:
        requests = [Similarity(picture, text) for s, picture in shown for text in s.captions]
        cosines = iter(run.models.answer(requests))
        for sample, _ in shown:
            said[sample.key]["encoder"] = [_finite(next(cosines)), _finite(next(cosines))]
    return [
        {"image": sample.key, "label": sample.group, "captions": list(sample.captions)}
        | (
            {"error": {"reason": picture.reason, "message": picture.message}}
            if isinstance(picture, Failure)
            else {"said": said[sample.key], "unread": problems[sample.key]}
        )
        for sample, picture in zip(samples, loaded, strict=True)
    ]


def _choose(
    run: Run,
    shown: Sequence[tuple[Sample, Picture]],
    said: Mapping[str, JSON],
    problems: Mapping[str, list[str]],
) -> None:
    """Ask which caption fits better, in both orders; the right one's mean share is its score."""
    asked = {sample.key: choice_probes(*sample.captions, picture) for sample, picture in shown}
    probes = list(dict.fromkeys(probe for both in asked.values() for probe in both))
    replies = dict(zip(probes, run.models.answer(probes), strict=True)) if probes else {}
    for key, (first, second) in asked.items():
        reads = [read_answer(replies[probe], run.policy) for probe in (first, second)]
        problems[key].extend(read.problem for read in reads if read.problem)
        a, b = (read.score for read in reads)
        if a is None or b is None:
            said[key]["choice"] = [None, None]
            continue
        # So that equal answers to both orders are a tie, whatever floats make of them.
        both = [(a + (1 - b)) / 2, ((1 - a) + b) / 2]
        said[key] |= {"choice": both, _BOTH_ORDERS: (a > 0.5) == (b < 0.5)}


def _finite(value: Any) -> Score:
    return float(value) if math.isfinite(value) else None


# --- what was said --------------------------------------------------------------------------------


def report(out: Path) -> EvalResult:
    """Make the tables of a folder that `judge_samples` wrote. Raises `InputError`."""
    rows = list(harness.recorded(out).values())
    about, made_by = harness.data_of(out), harness.provenance_of(out)
    encoder = (made_by.get("encoder") or {}).get("uri", "")
    read = [row for row in rows if "said" in row]
    entries = {
        f"{encoder if way == 'encoder' else made_by.get('model', '')}, {way}": [
            Pair(row["image"], row["label"], *row["said"][way]) for row in read
        ]
        for way in about.get("ways", ())
        if read
    }
    findings = [f"{why}: {n} left out." for why, n in about.get("left_out", {}).items()]
    result = score(entries, [*findings, *_consistency(read)], about.get("unread", ()))
    return replace(result, coverage=Coverage(len(read), len(rows) - len(read)))


def _consistency(rows: Sequence[JSON]) -> Iterator[str]:
    """How often the same caption was chosen in both orders."""
    same = [row["said"][_BOTH_ORDERS] for row in rows if _BOTH_ORDERS in row["said"]]
    if same:
        of = counted(len(same), "pair")
        yield f"choice: the same caption in both orders in {sum(same)} of {of}."
