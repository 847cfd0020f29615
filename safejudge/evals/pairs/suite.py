"""Pairs of pictures of which the better one is known, judged by any judge.

Name: preference
Data: your pairs in a file (`preference/pair_file.py`), such as `annotate` writes; or rows of
    Pick-a-Pic, HPD v2 or ImageRewardDB as they are released (`preference/public_pairs.py`)
Licence: yours
Paper: none; the protocols are those of MJ-Bench (arXiv 2407.04842)

Protocols, records and tables are those of `mj-bench`, with the aspects of the pairs in place of its
perspectives; a score model is any encoder, a trained scorer among them. Which picture comes first
hangs on a digest of the pair, so always choosing one is no way to be right.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.errors import InputError
from safejudge.evals import harness
from safejudge.evals.mjbench import prompts as mjbench_prompts
from safejudge.evals.mjbench import run as mjbench_run
from safejudge.evals.mjbench.cells import ALL_PAIRS
from safejudge.evals.mjbench.samples import Sample, Source
from safejudge.evals.pictures import tell_missing
from safejudge.evals.stats.preference import Answer
from safejudge.evals.suite import Suite
from safejudge.preference.public_pairs import read_any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from safejudge.evals.suite import Run
    from safejudge.preference.pair_file import Pair
    from safejudge.types import JSON


def judge(run: Run) -> JSON:
    """Judge every pair that has no record yet."""
    args = mjbench_run.arguments(run.args)
    if args.revision is not None:
        raise InputError("--suite-arg revision: is of data sets of the hub; pairs are a file")
    if run.data is None:
        raise InputError("preference needs its pairs: --data PAIRS.jsonl, as annotate writes it")
    pairs = read_any(Path(run.data), run.splits)
    rows = harness.sampled([pair.aspect for pair in pairs], run, nested=True)
    pairs = [pairs[row] for row in rows]
    paths = dict.fromkeys(p for pair in pairs if pair.content is None for p in pair.paths)
    missing = [path for path in paths if not path.is_file()]
    tell_missing(len(missing), len(paths), run.data, str(next(iter(missing), "")))
    samples = list(_samples(pairs))
    aspects = frozenset(sample.perspective for sample in samples)
    protocols = [
        replace(protocol, perspectives=aspects)
        for protocol in mjbench_run.protocols_of(run, args)
        if protocol.perspectives != {"bias"}
    ]
    prompts = mjbench_prompts.digest(mjbench_prompts.ASPECTS, args.scales)
    names = mjbench_run.names_of(protocols)
    provenance = harness.provenance(run, names, prompts)
    with harness.record_file(run, provenance, harness.digest(run.data)) as file:
        mjbench_run.judge_samples(samples, protocols, run, file)
    description: JSON = {"left_out": [], "ways": names, "notes": mjbench_run.notes_of(run)}
    run.write_json(harness.DATA, description)
    return description | {"prompts": prompts, "data": run.data}


def _samples(pairs: Sequence[Pair]) -> Iterator[Sample]:
    """One sample a pair; a pair that stands in the file twice is two samples."""
    copies = Counter[str]()
    for pair in pairs:
        digest = pair.digest
        copies[digest] += 1
        second = int(digest[0], 16) % 2 == 1
        data: tuple[bytes | Path, ...] = pair.content or pair.paths
        names = (pair.chosen, pair.rejected)
        sources = tuple(map(Source, names, data))
        yield Sample(
            key=f"{pair.aspect}/{digest[:16]}-{copies[digest]}",
            perspective=pair.aspect,
            subset=ALL_PAIRS,
            caption=pair.prompt,
            images=sources[::-1] if second else sources,
            label=Answer.SECOND if second else Answer.FIRST,
        )


SUITE = Suite(
    "your own preference pairs (prompt, chosen, rejected), such as those of annotate",
    judge=judge,
    report=mjbench_run.report,
)
