"""A run of the suite `mj-bench`: judges over its pictures, recorded item by item.

One record per item holds what every way of judging said; from the records come the same tables as
from recorded outputs, and no model is asked for them. A run that was stopped goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.engines.open import KITS
from safejudge.errors import InputError
from safejudge.evals import harness
from safejudge.evals.mjbench import prompts as mjbench_prompts
from safejudge.evals.mjbench import protocols as live
from safejudge.evals.mjbench.cells import Options
from safejudge.evals.mjbench.data import read_data
from safejudge.evals.mjbench.mistakes import FOLDER, is_mistaken, keep, mistakes, pair_of
from safejudge.evals.mjbench.predictions import every_answer
from safejudge.evals.mjbench.prompts import Form, Scale  # noqa: TC001 - pydantic reads them
from safejudge.evals.mjbench.protocols import Mode, Protocol, Shown, Way
from safejudge.evals.mjbench.recorded import names
from safejudge.evals.mjbench.recorded.read import BiasRun, Outputs, PairRun
from safejudge.evals.mjbench.score import score
from safejudge.evals.prompts import Reading  # noqa: TC001 - the same
from safejudge.evals.stats.fairness import Rated, State
from safejudge.evals.suite import options_of
from safejudge.files import records
from safejudge.show.figures import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safejudge.evals.mjbench.samples import Item
    from safejudge.evals.suite import EvalResult, Run
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


def judge(run: Run) -> JSON:
    """Judge every item that has no record yet."""
    args = arguments(run.args)
    if run.data is None:
        raise InputError(
            "mj-bench needs its pairs: --data DIR (or ORG/NAME of the hub); `safejudge sketch "
            "mj-bench --out DIR` draws some"
        )
    ways = ways_of(run, args)
    data = read_data(run.data, run.splits, limit=run.limit, seed=run.seed, revision=args.revision)
    names, prompts = names_of(ways), mjbench_prompts.digest()
    made_by = harness.provenance(run, names, prompts)
    with harness.record_file(run, made_by, harness.digest(run.data, args.revision)) as file:
        judge_items(data.items, ways, run, file)
    about = {"schema": data.generation, "left_out": list(data.left_out), "ways": names}
    run.write_json(harness.DATA, about)
    return about | {"prompts": prompts, "data": run.data}


def ways_of(run: Run, args: Args) -> list[Way]:
    """Every way of judging that the run's models and options allow."""
    uri = run.models.engine.card.uri
    form: Form = args.form or ("short" if uri in KITS else "protocol")
    protocol = Protocol(form, args.scales, args.modes, args.readings)
    return [
        # Every rule is asked, so an encoder filters nothing here: it is a score model.
        *live.constitutional(run.models, run.constitution, run.policy.unfiltered()),
        *live.rating_ways(run.models, run.policy, protocol),
        *live.encoding(run.models),
    ]


def arguments(given: Mapping[str, Any]) -> Args:
    """Read `--suite-arg`. Raises `InputError` for what is not known."""
    listed = {"scales", "modes", "readings"}
    values = {
        k: v.split(",") if k in listed and isinstance(v, str) else v for k, v in given.items()
    }
    known = asdict(Args())
    if strange := [name for name in given if name not in known]:
        raise InputError(
            f"--suite-arg {strange[0]}: a live run of this suite takes {', '.join(known)}"
        )
    return options_of(Args, known | values)


def names_of(ways: Sequence[Way]) -> list[str]:
    """Each way with who judges."""
    return [f"{way.judge}: {way.name}" for way in ways]


def judge_items(
    items: Iterable[Item], ways: Sequence[Way], run: Run, file: records.RecordFile
) -> None:
    """Record what every way says of each item that has no record yet."""

    def judged(window: list[Item]) -> list[JSON]:
        samples = live.load(window, run)
        answers = _answers(samples, ways)
        made = [_record(sample, said) for sample, said in zip(samples, answers, strict=True)]
        mistaken = [sample for sample, record in zip(samples, made, strict=True)
                    if is_mistaken(record)]  # fmt: skip
        # Before the records: what has one is never looked at again.
        keep(run.out, [picture for sample in mistaken for picture in sample.pictures
                       if picture is not None])  # fmt: skip
        return made

    harness.record(run, file, items, lambda item: item.key, judged)


def _answers(samples: Sequence[Shown], ways: Sequence[Way]) -> list[dict[str, JSON]]:
    """What every way says of each sample that it can judge, by its name."""
    answers: list[dict[str, JSON]] = [{} for _ in samples]
    for way in ways:
        rows = [row for row, sample in enumerate(samples)
                if sample.item.perspective in way.perspectives]  # fmt: skip
        for row, answer in zip(rows, way.say([samples[row] for row in rows]), strict=True):
            answers[row][way.name] = {"judge": way.judge, "answers": answer}
    return answers


def _record(shown: Shown, said: Mapping[str, JSON]) -> JSON:
    item = shown.item
    return {
        "image": records.image_name(item.key),
        "label": "none" if item.label is None else str(item.label),
        "perspective": item.perspective, "subset": item.subset, "caption": item.caption,
        "pictures": [source.name for source in item.images],
        "digests": [None if picture is None else picture.digest for picture in shown.pictures],
        "group": item.group, "demographic": item.demographic, "flags": sorted(item.flags),
        "unread": sum(picture is None for picture in shown.pictures),
        "said": said,
    }  # fmt: skip


# --- records -> tables --------------------------------------------------------------------------


def report(out: Path) -> EvalResult:
    """Make the tables of a folder that `judge` wrote. Raises `InputError`."""
    found = list(harness.recorded(out).values())
    outputs = Outputs()
    for record in found:
        for name, way in record["said"].items():
            if record["perspective"] == "bias":
                _add_bias(outputs, record, way["judge"], name, way["answers"])
            else:
                _add_pairs(outputs, record, way["judge"], name, way["answers"])
    scored = score(outputs, Options())
    unread = sum(record["unread"] > 0 for record in found)
    told = (
        (f"{unread} of {len(found)} items have a picture that cannot be read.",) if unread else ()
    )
    return replace(
        scored,
        tables=(_counts(found), *scored.tables),
        findings=(*told, *scored.findings),
        unread=(*scored.unread, *map(str, harness.data_of(out).get("left_out", ()))),
        mistakes=mistakes(found),
        said=every_answer(found),
        pictures=out / FOLDER,
    )


def _add_pairs(
    outputs: Outputs, record: JSON, judge: str, name: str, answers: Sequence[JSON]
) -> None:
    wanted = (judge, name, record["perspective"])
    known = [r for r in outputs.pairs if (r.judge, r.scale, r.perspective) == wanted]
    run = known[0] if known else PairRun(*wanted)
    if not known:
        outputs.pairs.append(run)
    for answer in answers:
        run.pairs.append(pair_of(record, answer))
        run.files.append(harness.RECORDS)


def _add_bias(
    outputs: Outputs, record: JSON, judge: str, name: str, answers: Sequence[JSON]
) -> None:
    known = [r for r in outputs.bias if (r.judge, r.scale) == (judge, name)]
    run = known[0] if known else BiasRun(judge, name, harness.RECORDS, [])
    if not known:
        outputs.bias.append(run)
    for answer in answers:
        rating = answer["rating"]
        state: State = "rated"
        if rating is None:
            state = "refused" if answer.get("refused") else "unparsed"
        shown = names.shown(record["demographic"])
        flags = frozenset(record["flags"])
        run.rows.append(Rated(record["group"], rating, state, shown, flags))


def _counts(found: Sequence[JSON]) -> Table:
    """What was judged, and whether its order tells the answer."""
    by: dict[tuple[str, str], list[JSON]] = {}
    for record in found:
        by.setdefault((record["perspective"], record["subset"]), []).append(record)
    rows = []
    for (perspective, subset), some in sorted(by.items()):
        labelled = [r for r in some if r["label"] in {"0", "1"}]
        first = sum(r["label"] == "0" for r in labelled)
        share = f"{first / len(labelled):.1%}" if labelled else "-"
        rows.append((f"{perspective}, {subset}" if subset else perspective, str(len(some)), share))
    note = "Where the better picture always comes first, always saying so is never wrong."
    return Table("What was judged", ("", "items", "better one first"), tuple(rows), note)
