"""Policy flips of rules that nobody wrote for the drawn world: one edit at a time.

`advertising.yaml` and `construction_site.yaml` were written for photographs. `others_rules` says
which of their statements the drawn world can show, in which words, and has the edits: an exception
is dropped or added, a rule is narrowed or widened. Truth is computed from the facts of the scene.

For each edit scenes are drawn until there are enough on which the truth of both wordings differs
and enough on which it does not, half of these violating both where that happens at all. Rules are
judged one by one. The policy is `default` without relevance, which would have to know what a rule
of one statement is about, and without reasoning and detector: what the first tests leave open
counts as no (a row of its own in `bench.py`). So a verdict is that of the probabilities alone.

`agree`, `disagree` and `shift` are PolicyShiftBench's (`evals/policyshift`): right verdicts where
both wordings give one label, right verdicts where they give two, and the share of the latter scenes
on which both are right.

Written down before anything was measured: words, edits and code were made with scenes of the seed
`flips-of-others-dev`; the record is of `flips-of-others-report`, which nothing was drawn from
before. What the judges see of each statement was added after that, to explain it; it changes no
other figure.

`python benchmarks/flips_of_others.py [--seed flips-of-others-report] [--scenes 20]`
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from measure import record
from others_rules import EDITS, WORDS, Edit, as_rule, showable, theirs
from twin import open_models

from safejudge import prompts
from safejudge.engines.cached import CachedEngine
from safejudge.engines.effect import policy_in_effect
from safejudge.evals.policyshift.figures import shifts
from safejudge.evals.policyshift.records import Item
from safejudge.evals.policyshift.replies import Said
from safejudge.evals.stats.intervals import Estimate, share
from safejudge.flow import drive, gather
from safejudge.method.verdict import image_flow
from safejudge.policy import Policy
from safejudge.show.markdown import table
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.scenes import rule_kind
from safejudge.sketch.world.sample import even_scene
from safejudge.sketch.world.statements import grammar
from safejudge.types import Constitution, ImageInput, Picture, Probe, Rule, leaves

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from safejudge.engines.models import Models

SEED, DEVELOPMENT = "flips-of-others-report", "flips-of-others-dev"
JUDGES = ("hf:sketch", "hf:sketch-even")
POLICY = Policy(relevance=False, open_means="no", crop=False)
_LONGEST = 60_000
"""Scenes that are drawn for one edit at most; what is lacking then is told."""
_DRAWN_FOR_RATE = 2_000
"""The first scenes, none left out, say how often the truth of an edit flips by itself."""

# --- scenes ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class Drawn:
    """The scenes of one edit."""

    pixels: list[npt.NDArray[np.uint8]]
    truth: list[tuple[bool, bool]]
    """Whether the scene violates the rule before, and after."""
    flips: int
    """Among the first scenes, none left out: how often the truth flips."""


def scenes_of(before: Rule, after: Rule, seed: str, per_side: int) -> Drawn:
    """Draw scenes until there are enough on either side, or too many were drawn."""
    rng = random.Random(seed)  # noqa: S311
    lacking = {"flip": per_side, "both": per_side // 2, "neither": per_side - per_side // 2}
    drawn = Drawn([], [], 0)
    for number in range(_LONGEST):
        scene = even_scene(rng)
        old, new = (rule_kind(scene, rule) == "violating" for rule in (before, after))
        drawn.flips += old != new and number < _DRAWN_FOR_RATE
        side = "flip" if old != new else "both" if old else "neither"
        if lacking[side]:
            lacking[side] -= 1
            drawn.pixels.append(draw(scene).pixels)
            drawn.truth.append((old, new))
        if number >= _DRAWN_FOR_RATE and not any(lacking.values()):
            break
    return drawn


# --- judging --------------------------------------------------------------------------------------

Rows = list[tuple[Item, Said]]
Verdicts = list[bool | None]
"""Whether each scene is called unsafe; None where that is undecided."""
_UNSAFE = {"violated": True, "not_violated": False, "undecided": None}


def verdicts(models: Models, asked: Sequence[tuple[Rule, Drawn]]) -> Iterator[Verdicts]:
    """Judge the scenes of every rule by it alone, all of them in the same waves."""
    policy = policy_in_effect(POLICY, models)
    flows = [
        image_flow(image_of(pixels), Constitution(name="flip", rules=(rule,)), policy)
        for rule, drawn in asked
        for pixels in drawn.pixels
    ]
    answers = iter(drive(gather(flows), models.answer))
    for rule, drawn in asked:
        results = islice(answers, len(drawn.pixels))
        yield [_UNSAFE[rules[rule.id].outcome] for rules, _ in results]


def image_of(pixels: npt.NDArray[np.uint8]) -> ImageInput:
    picture = Picture.of(pixels)
    return ImageInput(picture.digest, "scene", (picture,))


def rows_of(edit: Edit, number: int, drawn: Drawn, sides: Sequence[Verdicts]) -> Rows:
    """What was said of each scene under either wording, as PolicyShiftBench has it."""
    rows = []
    for scene, (truth, *said) in enumerate(zip(drawn.truth, *sides, strict=True)):
        for policy, unsafe, verdict in zip(("before", "after"), truth, said, strict=True):
            rows.append((Item(f"{number}-{scene}", edit.rule, policy, unsafe), Said(verdict)))
    return rows


def figures(rows: Rows) -> dict[str, Estimate]:
    """agree, disagree, shift, and what the verdict did where the truth flipped or stood."""
    found = shifts(rows)
    pairs = [(rows[n], rows[n + 1]) for n in range(0, len(rows), 2)]
    moved = [(b[0].unsafe != c[0].unsafe, b[1].unsafe, c[1].unsafe) for b, c in pairs]
    flipping = [(old, new) for flips, old, new in moved if flips]
    steady = [(old, new) for flips, old, new in moved if not flips]
    open_ = [None in (old, new) for _, old, new in moved]
    # A scene has one pair of wordings, so the mean over scenes is a share.
    both = round(found["shift"].value * len(flipping)) if flipping else 0
    return {"agree": found["agree"], "disagree": found["disagree"]} | {
        "shift": share(both, len(flipping)),
        "follows": share(sum(_flipped(*two) for two in flipping), len(flipping)),
        "strays": share(sum(_flipped(*two) for two in steady), len(steady)),
        "undecided": share(sum(open_), len(open_)),
    }


def _flipped(old: bool | None, new: bool | None) -> bool:
    """Whether the verdict itself flipped, to the right side or the wrong one."""
    return None not in (old, new) and old is not new


_EACH = 20
"""Scenes of which a statement is true, and as many of which it is not."""


def seen(models: Models, seed: str) -> dict[str, tuple[int, int]]:
    """How often yes is likelier than no, by statement: where it is true, and where it is not."""
    found = {}
    for words in dict.fromkeys(words for _, words in WORDS.values()):
        rng = random.Random(f"{seed}-{words}")  # noqa: S311
        pictures: dict[bool, list[Picture]] = {True: [], False: []}
        while min(map(len, pictures.values())) < _EACH:
            scene = even_scene(rng)
            side = pictures[grammar()[words].holds(scene) > 0.5]
            if len(side) < _EACH:
                side.append(Picture.of(draw(scene).pixels))
        question = prompts.statement_question(words)
        probes = [Probe(prompts.ASK, (p,), question) for p in pictures[True] + pictures[False]]
        yes = [(answer.score or 0.0) > 0.5 for answer in models.engine.answer_probs(probes)]
        found[words] = (sum(yes[:_EACH]), sum(yes[_EACH:]))
    return found


Sight = dict[str, dict[str, tuple[int, int]]]
"""By judge, then by statement."""


def measure(args: argparse.Namespace) -> tuple[list[Drawn], dict[str, list[Rows]], Sight]:
    """The scenes of every edit, by judge what was said of them, and how it sees the statements."""
    before = showable()
    pairs = [(before[edit.rule], as_rule(edit.after)) for edit in EDITS]
    scenes = [scenes_of(*pair, f"{args.seed}-{n}", args.scenes) for n, pair in enumerate(pairs)]
    asked = [(rule, d) for pair, d in zip(pairs, scenes, strict=True) for rule in pair]
    results: dict[str, list[Rows]] = {}
    sight: Sight = {}
    for judge in args.judges:
        with closing(open_models(judge, detector=None)) as models:
            if args.answers is not None:
                models.engine = CachedEngine(models.engine, args.answers)
            said = list(verdicts(models, asked))
            sight[judge] = seen(models, args.seed)
        results[judge] = [
            rows_of(edit, n, drawn, said[2 * n : 2 * n + 2])
            for n, (edit, drawn) in enumerate(zip(EDITS, scenes, strict=True))
        ]
        print(f"{judge}: {sum(map(len, said))} verdicts", flush=True)
    return scenes, results, sight


# --- the record -----------------------------------------------------------------------------------

_HEADS = {
    "agree": "agree", "disagree": "disagree", "shift": "shift",
    "follows": "verdict flips with the truth", "strays": "verdict flips, truth does not",
    "undecided": "undecided",
}  # fmt: skip


def groups(results: Sequence[Rows]) -> Iterator[tuple[str, Rows]]:
    """Rows by kind of edit, by rule, and all of them."""
    for of in ("kind", "rule"):
        for name in dict.fromkeys(getattr(edit, of) for edit in EDITS):
            chosen = [rows for edit, rows in zip(EDITS, results, strict=True)
                      if getattr(edit, of) == name]  # fmt: skip
            yield name, [row for rows in chosen for row in rows]
    yield "all", [row for rows in results for row in rows]


def _each(results: Sequence[Rows]) -> Iterator[tuple[str, Rows]]:
    """Rows by edit."""
    for edit, rows in zip(EDITS, results, strict=True):
        yield f"{edit.rule}, {edit.says}", rows


def result_table(judge: str, results: Sequence[Rows]) -> str:
    lines = []
    for name, rows in groups(results):
        found = figures(rows)
        lines.append([name, str(len(rows) // 2), *(found[head].cell() for head in _HEADS)])
    return f"**`{judge}`**\n\n" + table(["edit", "scenes", *_HEADS.values()], lines)


def truth_table(scenes: Sequence[Drawn]) -> str:
    lines = []
    for edit, drawn in zip(EDITS, scenes, strict=True):
        sides = Counter(
            "flips" if old != new else "both" if old else "neither" for old, new in drawn.truth
        )
        rate = share(drawn.flips, _DRAWN_FOR_RATE).cell()
        lines.append([edit.rule, edit.kind, edit.says, rate,
                      *(str(sides[side]) for side in ("flips", "both", "neither"))])  # fmt: skip
    heads = ["rule", "edit", "", "truth flips, of scenes as they come", "judged: flipping",
             "violating both", "violating neither"]  # fmt: skip
    return table(heads, lines)


def shown_table() -> str:
    """What each showable rule keeps of its statements."""
    kept = showable()
    lines = []
    for name, rule in theirs().items():
        if name in kept:
            statements = list(dict.fromkeys(leaf.statement for leaf in leaves(rule.condition)))
            grades = Counter(WORDS[s][0] if s in WORDS else "not" for s in statements)
            lines.append([name, *(str(grades[g]) for g in ("same", "stand-in", "not"))])
    return table(["rule", "the same words", "stand-ins", "not showable"], lines)


def sight_table(sight: Sight) -> str:
    lines = [
        [words, *(share(n, _EACH).cell() for judge in sight for n in sight[judge][words])]
        for words in next(iter(sight.values()))
    ]
    heads = [f"`{judge}`: yes where {side}" for judge in sight for side in ("true", "false")]
    return table(["statement", *heads], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", default=SEED)
    parser.add_argument("--scenes", type=int, default=20, help="on either side of each edit")
    parser.add_argument("--judges", nargs="+", default=list(JUDGES))
    parser.add_argument("--answers", type=Path, help="keeps the answers: a run can be gone on with")
    args = parser.parse_args()
    scenes, results, sight = measure(args)
    rules, kept = theirs(), showable()
    whole = sum(all(leaf.statement in WORDS for leaf in leaves(rules[name].condition))
                for name in kept)  # fmt: skip
    text = "\n\n".join([
        f"Of their {len(rules)} rules {len(kept)} can be violated in a drawn scene, and of these "
        f"{whole} can be shown with every statement. {len(rules) - len(kept)} cannot be shown: "
        + ", ".join(name for name in rules if name not in kept) + ".",
        shown_table(),
        f"{len(EDITS)} edits; seed `{args.seed}`.",
        truth_table(scenes),
        *(result_table(judge, rows) for judge, rows in results.items()),
        "What the judges see of the statements, each by itself:",
        sight_table(sight),
    ])  # fmt: skip
    numbers = {
        "seed": args.seed,
        "rules": len(rules),
        "showable": list(kept),
        "truth_flips": {f"{e.rule}, {e.says}": d.flips / _DRAWN_FOR_RATE
                        for e, d in zip(EDITS, scenes, strict=True)},
        "sight": sight,
        "judges": {
            judge: {name: {key: value.json() for key, value in figures(rows).items()}
                    for name, rows in (*groups(by_edit), *_each(by_edit))}
            for judge, by_edit in results.items()
        },
    }  # fmt: skip
    if args.seed == SEED:
        record("flips-of-others", numbers, text)
    else:  # a trial is for whoever writes the code
        print(text)


if __name__ == "__main__":
    main()
