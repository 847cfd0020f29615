"""MJ-Bench-Video's files: people's labels of pairs of videos, and the scores that judges left.

A pair has `video_0_path`, `video_1_path`, `caption`, `overall_preference`, `category_preference`
(by aspect) and, of each video, `video_N_label` (28 criteria) and `video_N_overall_score` (five
aspects): 1 good, 2 bad, 0 neither, which the authors' code leaves out as having nothing to do with
the video. A judge's record names the videos by paths that end in those of the pair, and has
`video_score_0`, `video_score_1`, or scores by aspect and criterion under `judge`. One file is one
judge's. (Form: datas/test.json and scripts/eval of aiming-lab/MJ-Video, cc1d2c9.)
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any, Literal

from safejudge.evals import recorded
from safejudge.evals.mjbench_video.topics import ASPECTS, COMPARED, CRITERIA, OVERALL, topic_of
from safejudge.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from safejudge.types import JSON

Preferred = Literal["first", "second", "same", "hard"]
_PREFERRED: Mapping[str, Preferred] = {
    "video 1 better": "first",
    "video 2 better": "second",
    "same": "same",
    "hard to judge": "hard",
}
"""What people said, in any case of letters: the released file has `Better` too."""
GOOD, BAD = 1, 2
Scores = tuple[float | None, float | None]
"""Of both videos; None for one that could not be read."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two videos of one caption, and what people say of them."""

    key: str
    """Both paths."""
    caption: str
    videos: tuple[str, str]
    """Paths, as the file has them."""
    preferred: Mapping[str, Preferred]
    """By topic; one that people did not compare, or that cannot be read, has no entry."""
    marks: Mapping[str, tuple[int, int]]
    """By topic: 1 good, 2 bad, 0 neither, of each video."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What one judge said."""

    judge: str
    file: str
    said: Mapping[str, Mapping[str, Scores]]
    """By pair and topic. What is missing has no entry."""
    left_out: Mapping[str, int]
    """Why records do not count, and how many."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Everything that was found in a folder."""

    pairs: Mapping[str, Pair]
    judged: tuple[Judged, ...]
    left_out: Mapping[str, int]
    """Why pairs, or labels of pairs, do not count, and how many."""
    unread: tuple[str, ...] = ()
    """Files that were not understood, wholly or in part, with the reason."""


class Pairs:
    """Pairs as they are read, each once, and why others do not count."""

    def __init__(self) -> None:
        self.found: dict[str, Pair] = {}
        self.left_out: Counter[str] = Counter()

    def take(self, record: JSON) -> None:
        """Keep one pair, or count why not."""
        paths = [recorded.word(record.get(f"video_{side}_path")) for side in (0, 1)]
        caption = recorded.word(record.get("caption"))
        if not all(paths) or not caption:
            self.left_out["pair without a caption and two videos"] += 1
        elif record.get("discard") is True:
            self.left_out["pair that the authors discarded"] += 1
        elif (key := ", ".join(paths)) in self.found:
            self.left_out["pair that was there before; the first counts"] += 1
        else:
            preferred, marks = self._preferred(record), dict(self._marks(record))
            self.found[key] = Pair(key, caption, (paths[0], paths[1]), preferred, marks)

    def _preferred(self, record: JSON) -> dict[str, Preferred]:
        of_aspects = record.get("category_preference")
        said = dict(of_aspects) if isinstance(of_aspects, dict) else {}
        said[OVERALL] = record.get("overall_preference")
        preferred = {}
        for topic, name in COMPARED.items():
            answer = recorded.word(said.get(name)).casefold()
            if answer in _PREFERRED:
                preferred[topic] = _PREFERRED[answer]
            else:
                self.left_out["preference that is none of the four"] += 1
        return preferred

    def _marks(self, record: JSON) -> Iterator[tuple[str, tuple[int, int]]]:
        for aspect in ASPECTS:
            rows = [("video_{}_overall_score", aspect, aspect)]
            rows += [("video_{}_label", c, topic_of(aspect, c)) for c in CRITERIA[aspect]]
            for field, name, topic in rows:
                first, second = (_mark(record.get(field.format(n)), name) for n in (0, 1))
                if first is None or second is None:
                    self.left_out["mark that is not 0, 1 or 2"] += 1
                else:
                    yield topic, (first, second)


def _mark(labels: Any, name: str) -> int | None:
    mark = recorded.integer(labels.get(name)) if isinstance(labels, dict) else None
    return mark if mark in {0, GOOD, BAD} else None


def is_pair(record: JSON) -> bool:
    """Whether a record is a pair of videos, good or bad."""
    return "video_0_path" in record


def _is_output(record: JSON) -> bool:
    return "video_0_uid" in record and ("video_score_0" in record or "judge" in record)


def read(folder: Path) -> Recorded:
    """Read every file below a folder."""
    pairs = Pairs()
    outputs: dict[str, list[JSON]] = {}
    unread: list[str] = []
    for file in recorded.read_folder(folder):
        unread += [f"{file.file}: {problem}" for problem in file.problems]
        known = 0
        for record in file.records:
            if is_pair(record):
                pairs.take(record)
            elif _is_output(record):
                outputs.setdefault(file.file, []).append(record)
            else:
                known -= 1
            known += 1
        if foreign := len(file.records) - known:
            of = counted(len(file.records), "record")
            unread.append(f"{file.file}: {foreign} of {of} are neither pairs nor scores")
    if not pairs.found:
        pairs.found = _told_by(outputs.values())
    places = {pair.videos: key for key, pair in pairs.found.items()}
    judged = tuple(
        _judged(judge, file, outputs[file], places)
        for file, judge in recorded.judges_of(outputs).items()
    )
    return Recorded(pairs.found, judged, pairs.left_out, tuple(unread))


def _told_by(files: Sequence[Sequence[JSON]] | Any) -> dict[str, Pair]:
    """Make pairs of what scores over the whole say themselves, where no labels are there."""
    found: dict[str, Pair] = {}
    for record in (record for records in files for record in records):
        paths = _uids(record)
        answer = _PREFERRED.get(recorded.word(record.get("ground_truth")).casefold())
        if all(paths) and answer is not None:
            key = ", ".join(paths)
            caption = recorded.word(record.get("caption")) or key
            found.setdefault(key, Pair(key, caption, paths, {OVERALL: answer}, {}))
    return found


def _uids(record: JSON) -> tuple[str, str]:
    first, second = (recorded.word(record.get(f"video_{n}_uid")) for n in (0, 1))
    return first, second


def _judged(
    judge: str, file: str, records: Sequence[JSON], places: Mapping[tuple[str, str], str]
) -> Judged:
    said: dict[str, Mapping[str, Scores]] = {}
    left_out: Counter[str] = Counter()
    for record in records:
        key = _place_of(_uids(record), places)
        if key is None:
            left_out["scores of an unknown pair"] += 1
        elif key in said:
            left_out["scores of a pair that was there before; the first counts"] += 1
        else:
            said[key] = dict(_scores(record))
    return Judged(judge, file, said, left_out)


def _place_of(uids: tuple[str, str], places: Mapping[tuple[str, str], str]) -> str | None:
    """Find the pair whose paths these end in; the longest ends that any pair has."""
    if uids in places:
        return places[uids]
    first, second = (PureWindowsPath(uid).parts for uid in uids)  # takes both kinds of slashes
    for length in range(min(len(first), len(second)), 0, -1):
        ends = "/".join(first[-length:]), "/".join(second[-length:])
        if ends in places:
            return places[ends]
    return None


def _scores(record: JSON) -> Iterator[tuple[str, Scores]]:
    if "video_score_0" in record:
        yield OVERALL, (_score(record["video_score_0"]), _score(record.get("video_score_1")))
    of_aspects = record.get("judge")
    for aspect in ASPECTS:
        entry = of_aspects.get(aspect) if isinstance(of_aspects, dict) else None
        if not isinstance(entry, dict):
            continue
        yield aspect, (_score(entry.get("score_0")), _score(entry.get("score_1")))
        below = entry.get("subcategories")
        for criterion in CRITERIA[aspect]:
            one = below.get(criterion) if isinstance(below, dict) else None
            if isinstance(one, dict):
                scores = (_score(one.get("score_0")), _score(one.get("score_1")))
                yield topic_of(aspect, criterion), scores


def _score(value: Any) -> float | None:
    """Read a score; what the released scripts write for none (0, or -1) is none.

    Scores with a fraction are a reward model's, and may be below 1.
    """
    score = recorded.number(value)
    return None if score in {0, -1} else score
