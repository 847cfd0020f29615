"""Judges over samples in MJ-Bench's form, recorded sample by sample; and the tables of the records.

One record per sample holds what every protocol said; from the records come the same tables as from
recorded outputs, and no model is asked for them. The suites `mj-bench` and `preference` run on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.engines.open import KITS
from safejudge.evals import harness
from safejudge.evals.mjbench import vlm
from safejudge.evals.mjbench.cells import Options
from safejudge.evals.mjbench.mistakes import FOLDER, is_mistaken, keep, mistakes, pair_of
from safejudge.evals.mjbench.predictions import predictions
from safejudge.evals.mjbench.prompts import Form, Scale  # noqa: TC001 - pydantic reads them
from safejudge.evals.mjbench.protocols import constitutional, encoding, load
from safejudge.evals.mjbench.recorded.names import attributes
from safejudge.evals.mjbench.recorded.read import Outputs
from safejudge.evals.mjbench.score import score
from safejudge.evals.mjbench.vlm import Mode  # noqa: TC001 - the same
from safejudge.evals.prompts import Reading  # noqa: TC001 - the same
from safejudge.evals.stats.fairness import Rated, State
from safejudge.evals.suite import Coverage, check_args, options_of
from safejudge.files import records
from safejudge.files.standing import Answered
from safejudge.method.relevance import THRESHOLDS
from safejudge.show.figures import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safejudge.evals.mjbench.protocols import LoadedSample, Protocol
    from safejudge.evals.mjbench.samples import Sample
    from safejudge.evals.suite import EvalResult, Run
    from safejudge.files.recordfile import RecordFile
    from safejudge.policy import Policy
    from safejudge.types import JSON


@dataclass(frozen=True, slots=True)
class Args:
    """What `--suite-arg` may say of a live run."""

    form: Form | None = None
    """`protocol` or `short`; None: what the engine knows."""
    scales: tuple[Scale, ...] = ("1-5",)
    modes: tuple[Mode, ...] = ("single", "multi")
    readings: tuple[Reading, ...] = ("written", "weighted")
    revision: str | None = None
    """Of a data set of the hub."""


def arguments(options: Mapping[str, Any]) -> Args:
    """Read `--suite-arg`. Raises `InputError` for one that is unknown or wrong."""
    defaults = asdict(Args())
    check_args(options, defaults, "a live run of this suite")
    lists = {"scales", "modes", "readings"}
    values = {
        name: value.split(",") if name in lists and isinstance(value, str) else value
        for name, value in options.items()
    }
    return options_of(Args, defaults | values)


def protocols_of(run: Run, args: Args) -> list[Protocol]:
    """Every protocol that the run's models and options allow."""
    uri = run.models.engine.card.uri
    form: Form = args.form or ("short" if uri in KITS else "protocol")
    ratings = vlm.RatingForm(form, args.scales, args.modes, args.readings)
    return [
        *constitutional(run.models, run.constitution, policy_of(run)),
        *vlm.rating(run.models, run.policy, ratings),
        *encoding(run.models),
    ]


def policy_of(run: Run) -> Policy:
    """The policy of the judge by rules: the run's, as `safejudge judge` would take it.

    An encoder without a stated threshold is here as a score model alone, and filters nothing.
    """
    if run.models.encoder is None:
        return run.policy.unfiltered()
    card = run.models.encoder.card
    stated = card.learned is not None or card.uri in THRESHOLDS
    known = run.policy.relevance_threshold is not None or stated
    return run.policy if known else run.policy.unfiltered()


def notes_of(run: Run) -> list[str]:
    """What a reader has to know of the judge by rules, as sentences."""
    encoder = run.models.encoder
    if encoder is None or run.constitution is None or not run.policy.relevance:
        return []
    if policy_of(run).relevance:
        return [
            "The judge by rules skips what its relevance filter skips, as safejudge judge does."
        ]
    sentence = (
        f"No relevance threshold is stated for {encoder.card.uri}, so the judge by rules asks "
        "every rule (--relevance-threshold)."
    )
    return [sentence]


def names_of(protocols: Sequence[Protocol]) -> list[str]:
    """Each protocol with who judges."""
    return [f"{protocol.judge}: {protocol.name}" for protocol in protocols]


# --- judging ------------------------------------------------------------------------------------


def judge_samples(
    samples: Iterable[Sample], protocols: Sequence[Protocol], run: Run, file: RecordFile
) -> None:
    """Record what every protocol says of each sample that has no record yet."""

    def judged(window: list[Sample]) -> list[JSON]:
        loaded = load(window, run)
        answers = _answers(loaded, protocols)
        new = [_record(sample, answer) for sample, answer in zip(loaded, answers, strict=True)]
        mistaken = [
            sample for sample, record in zip(loaded, new, strict=True) if is_mistaken(record)
        ]
        # Before the records: what has one is never looked at again.
        keep(run.out, (picture for sample in mistaken for picture in sample.readable))
        return new

    known = file.standing.pictures if isinstance(file.standing, Answered) else {}

    def changed(sample: Sample) -> bool:
        (loaded,) = load([sample], run)
        return known.get(sample.key) not in (None, _digests(loaded))

    harness.record(run, file, samples, lambda sample: sample.key, judged, changed=changed)


def _answers(
    samples: Sequence[LoadedSample], protocols: Sequence[Protocol]
) -> list[dict[str, JSON]]:
    """What every protocol says of each sample that it can judge, by its name."""
    answers: list[dict[str, JSON]] = [{} for _ in samples]
    for protocol in protocols:
        rows = [row for row, loaded in enumerate(samples)
                if loaded.sample.perspective in protocol.perspectives]  # fmt: skip
        replies = protocol.judged([samples[row] for row in rows])
        for row, reply in zip(rows, replies, strict=True):
            answers[row][protocol.name] = {"judge": protocol.judge, "answers": reply}
    return answers


def _digests(loaded: LoadedSample) -> list[str | None]:
    return [None if picture is None else picture.digest for picture in loaded.pictures]


def _record(loaded: LoadedSample, answers: Mapping[str, JSON]) -> JSON:
    sample, pictures = loaded.sample, loaded.pictures
    return {
        "image": records.image_name(sample.key),
        "label": "none" if sample.label is None else str(sample.label),
        "perspective": sample.perspective, "subset": sample.subset, "caption": sample.caption,
        "pictures": [source.name for source in sample.images],
        "digests": _digests(loaded),
        "group": sample.group, "demographic": sample.demographic, "flags": sorted(sample.flags),
        "unread": sum(picture is None for picture in pictures),
        "said": answers,
    }  # fmt: skip


# --- records -> tables --------------------------------------------------------------------------


def report(out: Path) -> EvalResult:
    """Make the tables of a folder that `judge` wrote. Raises `InputError`."""
    judged = list(harness.recorded(out).values())
    outputs = Outputs()
    for record in judged:
        for name, entry in record["said"].items():
            if record["perspective"] == "bias":
                _add_ratings(outputs, record, entry["judge"], name, entry["answers"])
            else:
                _add_pairs(outputs, record, entry["judge"], name, entry["answers"])
    result = score(outputs, Options())
    unread = sum(record["unread"] > 0 for record in judged)
    lines = [f"{unread} of {len(judged)} items have a picture that cannot be read."]
    return replace(
        result,
        tables=(*result.tables, _counts(judged)),
        findings=(
            *lines[: min(unread, 1)],
            *map(str, harness.data_of(out).get("notes", ())),
            *result.findings,
        ),
        unread=(*result.unread, *map(str, harness.data_of(out).get("left_out", ()))),
        mistakes=mistakes(judged),
        predictions=predictions(judged),
        pictures=out / FOLDER,
        coverage=Coverage(len(judged) - unread, unread),
    )


def _add_pairs(
    outputs: Outputs, record: JSON, judge: str, name: str, answers: Sequence[JSON]
) -> None:
    run = outputs.pair_run(judge, name, record["perspective"])
    for answer in answers:
        run.pairs.append(pair_of(record, answer))
        run.files.append(harness.RECORDS)


def _add_ratings(
    outputs: Outputs, record: JSON, judge: str, name: str, answers: Sequence[JSON]
) -> None:
    run = outputs.bias_run(judge, name, harness.RECORDS)
    for answer in answers:
        rating = answer["rating"]
        state: State = "rated"
        if rating is None:
            state = "refused" if answer.get("refused") else "unparsed"
        values, flags = attributes(record["demographic"]), frozenset(record["flags"])
        run.rows.append(Rated(record["group"], rating, state, values, flags))


def _counts(judged: Sequence[JSON]) -> Table:
    """What was judged, and whether its order tells the answer."""
    parts: dict[tuple[str, str], list[JSON]] = {}
    for record in judged:
        parts.setdefault((record["perspective"], record["subset"]), []).append(record)
    rows = []
    for (perspective, subset), part in sorted(parts.items()):
        labels = [record["label"] for record in part if record["label"] in {"0", "1"}]
        share = f"{labels.count('0') / len(labels):.1%}" if labels else "-"
        rows.append((f"{perspective}, {subset}" if subset else perspective, str(len(part)), share))
    note = "Where the better picture always comes first, always saying so is never wrong."
    return Table("What was judged", ("", "items", "better one first"), tuple(rows), note)
