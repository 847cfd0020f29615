"""The loop: a judge that says "undecided", a person who is asked, and what the answers teach.

2,000 drawn scenes are judged into a journal with every question asked and nothing reasoned about: a
person is asked instead. A scripted reviewer, who is wrong in 3 of 100 answers, opens the page of
`safejudge serve` in Chromium and answers 100 questions of the queue, by keyboard; beside it, on a
copy of the journal, 100 of those that were drawn by lot. `journal labels`, `calibrate` and `replay`
follow, as a user calls them. What was learned is measured on 1,000 other scenes.

One pass says little about chance. So the same is drawn 20 times from the same scores, without the
page, for more answers too: the queue's first, the lot's, and pairs of an image and a rule drawn at
random.

Nothing was chosen on the scenes of the record (seeds 2612 and 2613); 2611 and 2614 were used while
this was written.

`python benchmarks/review_loop.py FOLDER [--engine hf:sketch]`; the folder keeps what was judged.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from measure import record
from playwright.sync_api import sync_playwright
from serving import Server

from safejudge import load_constitution
from safejudge.decide import probability
from safejudge.decide.probability import Line, Rows
from safejudge.decide.thresholds import Slope, Threshold, Thresholds, load
from safejudge.evals.stats.curves import calibration_error
from safejudge.journal.people import holding
from safejudge.journal.rows import rule_digests
from safejudge.journal.store import Journal
from safejudge.serve.keys import add
from safejudge.show.markdown import table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]

WRONG = 0.03
"""The reviewer's share of wrong answers."""
ANSWERS = (100, 300, 1000)
DRAWS = 20
POLICY = ("--exhaustive", "--set", "open_means=undecided", "--set", "crop=false")
RULES = load_constitution("sketch")
NAMES = tuple(rule.id for rule in RULES.rules)
PATIENCE = 120_000
"""Milliseconds."""


class Pair(NamedTuple):
    """An image, by its place, and a rule, by its own."""

    image: int
    rule: int


@dataclass(frozen=True)
class Judged:
    """What the judge said of scenes: a row each, a column per rule."""

    images: tuple[str, ...]
    ids: tuple[str, ...]
    margins: Floats
    """Log-odds of the scores."""
    outcomes: npt.NDArray[np.str_]
    read: Flags
    """Asked, and answered with yes or no."""
    truths: Flags

    @staticmethod
    def of(records: Path, scenes: Path) -> Judged:
        """Read records of `judge`, and what is true of their scenes."""
        facts = map(json.loads, (scenes / "facts.jsonl").read_text("utf-8").splitlines())
        truth = {fact["image"]: set(fact["violations"]) for fact in facts}
        lines = [json.loads(line) for line in records.read_text("utf-8").splitlines()[1:]]
        kept = [line for line in lines if "rules" in line]
        rules = [[line["rules"][name] for name in NAMES] for line in kept]
        images = tuple(Path(line["image"]).name for line in kept)
        return Judged(
            images,
            tuple(line["id"] for line in kept),
            np.array([[rule["margin"] or 0.0 for rule in row] for row in rules]),
            np.array([[rule["outcome"] for rule in row] for row in rules]),
            np.array([[_was_read(rule) for rule in row] for row in rules]),
            np.array([[name in truth[image] for name in NAMES] for image in images]),
        )

    @property
    def scores(self) -> Floats:
        """In [0, 1]."""
        return 1 / (1 + np.exp(-self.margins))


def _was_read(rule: dict[str, Any]) -> bool:
    if rule["outcome"] == "not_relevant" or rule["score"] is None:
        return False
    unread = {"label_mass", "unreadable"}
    tests = {leaf["test"] for leaf in rule["preconditions"]}
    return rule["outcome"] != "undecided" or not unread & tests


# --- what labels teach ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """What scenes come to."""

    image_f1: float
    """An image that is left open counts as not flagged."""
    rule_f1: float
    rule_ece: float
    open: float
    """Share of images about which a person has to be asked."""
    lines: int
    """Rules whose scores became probabilities."""


def measured(judged: Judged, lines: Mapping[str, Line]) -> Measured:
    """Hold the likelier side of every rule against the truth."""
    chances = judged.scores.copy()
    violated = judged.outcomes == "violated"
    left = judged.outcomes == "undecided"
    for column, name in enumerate(NAMES):
        if name in lines:
            chances[:, column] = [lines[name](margin) for margin in judged.margins[:, column]]
            known = judged.read[:, column]
            violated[:, column] = np.where(known, chances[:, column] > 0.5, violated[:, column])
            left[:, column] &= ~known
    image, truth = violated.any(axis=1), judged.truths.any(axis=1)
    return Measured(
        f1(image, truth),
        f1(violated, judged.truths),
        calibration_error(chances[judged.read].tolist(), judged.truths[judged.read].tolist()),
        float((left.any(axis=1) & ~image).mean()),
        len(lines),
    )


def f1(called: Flags, truths: Flags) -> float:
    hits = int((called & truths).sum())
    return 2 * hits / max(1, int(called.sum()) + int(truths.sum()))


def learned(judged: Judged, answers: Mapping[Pair, bool]) -> dict[str, Line]:
    """Fit lines to answers, as `calibrate` does."""
    rows: dict[str, list[tuple[float, bool, str]]] = defaultdict(list)
    for (image, rule), said in answers.items():
        if judged.read[image, rule]:
            entry = (float(judged.margins[image, rule]), said, judged.ids[image])
            rows[NAMES[rule]].append(entry)
    fitted = probability.fit({name: _rows(rows[name]) for name in NAMES})
    return {name: line for name, line in fitted.lines.items() if isinstance(line, Line)}


def _rows(entries: Sequence[tuple[float, bool, str]]) -> Rows:
    return Rows.of(
        *(list(part) for part in zip(*entries, strict=True)) if entries else ([], [], [])
    )


# --- drawn many times -----------------------------------------------------------------------------


def queue_of(judged: Judged, chosen: Sequence[int]) -> list[Pair]:
    """What people are asked about these images, the most doubtful first."""
    pairs = [
        Pair(image, rule)
        for image in chosen
        if not (judged.outcomes[image] == "violated").any()
        for rule in np.flatnonzero(judged.outcomes[image] == "undecided").tolist()
    ]
    scores = judged.scores
    return sorted(pairs, key=lambda pair: abs(scores[pair] - 0.5))


def lot_of(judged: Judged, chosen: Sequence[int]) -> list[Pair]:
    """What `--audit` asks: images that are settled, each about its likeliest rule."""
    unsettled = {pair.image for pair in queue_of(judged, chosen)}
    scores = np.where(judged.outcomes != "not_relevant", judged.scores, -1.0)
    return [Pair(i, int(scores[i].argmax())) for i in chosen if i not in unsettled]


def pairs_of(judged: Judged, chosen: Sequence[int], chance: random.Random) -> list[Pair]:
    """Images and rules that were asked, in any order."""
    pairs = [Pair(i, r) for i in chosen for r in np.flatnonzero(judged.read[i]).tolist()]
    return chance.sample(pairs, min(len(pairs), max(ANSWERS)))


def draws(judged: Judged, fresh: Judged) -> list[tuple[str, int, list[Measured]]]:
    """Draw journals of three quarters of the images; measure what each way of asking teaches."""
    found: dict[tuple[str, int], list[Measured]] = defaultdict(list)
    size = len(judged.images) * 3 // 4
    for draw in range(DRAWS):
        chance = random.Random(f"review-loop-{draw}")  # noqa: S311 - a simulation
        chosen = chance.sample(range(len(judged.images)), size)
        ways = {
            "the queue": queue_of(judged, chosen),
            "drawn by lot (`--audit`)": lot_of(judged, chosen),
            "pairs at random": pairs_of(judged, chosen, chance),
        }
        for way, pairs in ways.items():
            for n in (n for n in ANSWERS if n <= len(pairs)):
                said = {
                    pair: bool(judged.truths[pair]) != (chance.random() < WRONG)
                    for pair in pairs[:n]
                }
                found[way, n].append(measured(fresh, learned(judged, said)))
    return [(way, n, runs) for (way, n), runs in found.items()]


# --- through the page -----------------------------------------------------------------------------


def answer(server: str, key: str, why: str, judged: Judged, count: int) -> int:
    """Answer questions in Chromium, by keyboard; return how many answers were wrong on purpose."""
    place = {name: number for number, name in enumerate(judged.images)}
    chance = random.Random(f"reviewer-{why}")  # noqa: S311 - a simulation
    wrong = 0
    with sync_playwright() as running:
        chromium = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
        browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(f"{server}/review")
        page.locator("#key").fill(key)
        page.keyboard.press("Enter")
        page.locator("#list button[aria-current]").wait_for()
        page.locator(f"label:has(input[name=why][value={why}])").click()
        before = ""
        for _ in range(count):
            page.wait_for_function(SHOWN, arg=[why, before])
            title = page.locator("#item-title").text_content() or ""
            before = page.locator("#list button[aria-current]").text_content() or ""
            rule = title.removeprefix("Does it violate ").removesuffix("?")
            image = Path(before.removeprefix(rule).partition(", ")[2]).name
            true = bool(judged.truths[place[image], NAMES.index(rule)])
            errs = chance.random() < WRONG
            wrong += errs
            page.keyboard.press("y" if true != errs else "n")
        page.wait_for_function(SHOWN, arg=[why, before])
        browser.close()
    return wrong


SHOWN = """([why, before]) => {
  const one = document.querySelector('#list button[aria-current]');
  return document.querySelector('#item-title').textContent.startsWith('Does it violate')
    && document.querySelector('#decide').getAttribute('aria-busy') !== 'true'
    && one && one.textContent !== before && one.querySelector('span').textContent.startsWith(why);
}"""
"""Another question of this kind is there, or none is left to wait for."""


def safejudge(*words: str | Path, codes: tuple[int, ...] = (0,)) -> str:
    """Call the command; return what it printed."""
    command = [sys.executable, "-m", "safejudge", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in codes:
        raise RuntimeError(f"{' '.join(command)}: {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


@dataclass(frozen=True)
class Pass:
    """One reviewer's hundred answers, and what came of them."""

    wrong: int
    on_fresh: Measured
    blocks: int
    """Rules with a threshold above which images are blocked."""
    passes: int
    actions: str
    """What `replay --thresholds` would do with the fresh scenes."""
    on_journal: Measured
    """The journal's own scenes, with what people decided in the place of the judge's word."""


def one_pass(args: Any, why: str, judged: Judged, fresh: Judged) -> Pass:
    """Answer, take the labels out, calibrate, replay."""
    folder: Path = args.folder
    journal, keys = folder / f"{why}.db", folder / f"{why}-keys.txt"
    for old in (journal, keys, *folder.glob(f"{why}.db-*")):
        old.unlink(missing_ok=True)
    shutil.copy(folder / "journal.db", journal)
    key = add(keys, "reviewer", ["review"])
    with Server(args.engine, folder, "--journal", str(journal), "--keys", str(keys)) as server:
        wrong = answer(server.base, key, why, judged, args.ask)
    labels, thresholds = folder / f"{why}-labels.csv", folder / f"{why}.yaml"
    decided = folder / f"{why}-fresh.jsonl"
    safejudge("journal", "labels", journal, "--out", labels, "--overwrite")
    safejudge("calibrate", "--records", journal, "--labels", labels, "--out", thresholds,
              "--overwrite", codes=(0, 4))  # fmt: skip
    said = safejudge("replay", folder / "fresh.jsonl", "--thresholds", thresholds, "--out", decided,
                     "--overwrite")  # fmt: skip
    found = load(thresholds)
    lines = lines_of(found)
    agrees(decided, fresh, lines)
    return Pass(
        wrong,
        measured(fresh, lines),
        sum(isinstance(entry.block, Threshold) for entry in found.rules.values()),
        sum(isinstance(entry.pass_, Threshold) for entry in found.rules.values()),
        said.strip().splitlines()[-1].removeprefix("actions: "),
        measured(with_people(judged, journal), lines),
    )


def lines_of(found: Thresholds) -> dict[str, Line]:
    return {
        name: Line(slope.offset, slope.slope, slope.before, slope.after)
        for name, entry in found.rules.items()
        if isinstance(slope := entry.probability, Slope)
    }


def agrees(decided: Path, fresh: Judged, lines: Mapping[str, Line]) -> None:
    """Check that what is measured here is what `replay` wrote."""
    for row, line in zip(fresh.margins, decided.read_text("utf-8").splitlines()[1:], strict=True):
        for name, told in json.loads(line)["decision"]["rules"].items():
            if (chance := told.get("probability")) is not None:
                own = lines[name](row[NAMES.index(name)])
                if abs(chance - own) > 1e-9:
                    raise RuntimeError(f"{name}: replay says {chance}, measured was {own}")


def with_people(judged: Judged, path: Path) -> Judged:
    """Put what people decided in the place of what the judge said."""
    outcomes, read = judged.outcomes.copy(), judged.read.copy()
    with Journal(str(path)) as journal:
        held = holding(journal, set(judged.ids), rule_digests(RULES))
    for row, image in enumerate(judged.ids):
        for rule, one in held.get(image, {}).items():
            violated = one.verdict == "violates"
            outcomes[row, NAMES.index(rule)] = "violated" if violated else "not_violated"
            read[row, NAMES.index(rule)] = False  # no line touches it
    return Judged(judged.images, judged.ids, judged.margins, outcomes, read, judged.truths)


# --- all of it ------------------------------------------------------------------------------------


def judge(args: Any) -> tuple[Judged, Judged]:
    """Draw and judge what is not there yet."""
    folder: Path = args.folder
    rules = ("--constitution", "sketch", "--engine", args.engine)
    for name, count, seed in (
        ("journal", args.count, args.seed),
        ("fresh", args.fresh, args.seed + args.step),
    ):
        scenes, records = folder / name, folder / f"{name}.jsonl"
        if not scenes.is_dir():
            safejudge("sketch", "scenes", "--out", scenes, "--count", str(count), "--seed",
                      str(seed))  # fmt: skip
        kept = () if name == "fresh" else ("--journal", folder / "journal.db", "--audit", "0.2")
        safejudge("judge", scenes, *rules, *POLICY, *kept, "--out", records, "--resume",
                  "--ignore", "facts.jsonl", codes=(1,))  # fmt: skip
    return tuple(Judged.of(folder / f"{n}.jsonl", folder / n) for n in ("journal", "fresh"))


def report(judged: Judged, fresh: Judged, passes: Mapping[str, Pass], many: Any, ask: int) -> str:
    start, before = measured(fresh, {}), measured(judged, {})
    heads = ("what was learned from", "lines", "image F1", "rule F1", "rule ECE", "left open")
    rows = [("nothing", *_cells(start))]
    rows += [
        (f"{ask} answers through the page: {w}", *_cells(p.on_fresh)) for w, p in passes.items()
    ]
    own = [("nothing", *_cells(before))]
    own += [(f"{ask} answers: {w}", *_cells(p.on_journal)) for w, p in passes.items()]
    drawn_rows = [
        (way, str(n), *_mean(runs), f"{sum(r.lines > 0 for r in runs)} of {len(runs)}",
         str(sum(run.image_f1 < start.image_f1 for run in runs)))
        for way, n, runs in many
    ]  # fmt: skip
    beyond = [
        (way, str(one.wrong), str(one.blocks), str(one.passes), one.actions)
        for way, one in passes.items()
    ]
    asked = len(queue_of(judged, range(len(judged.images))))
    begun = (
        f"{len(judged.images)} scenes in the journal, {asked} questions in its queue, a reviewer "
        f"who errs in {WRONG:.0%}; measured on {len(fresh.images)} other scenes. Left open: images "
        "that a person has to be asked about."
    )
    return "\n\n".join((
        begun,
        table(heads, rows),
        "The journal's own scenes, with what the reviewer decided:",
        table(heads, own),
        "What `calibrate` promises from these, and what `replay` does with the other scenes:",
        table(("answers", "wrong ones", "rules that block", "rules that pass", "actions"), beyond),
        f"Drawn {DRAWS} times, means, with the lowest and highest image F1:",
        table(("asked about", "answers", "image F1", "rule F1", "rule ECE", "left open",
               "draws with lines", "image F1 below none"), drawn_rows),
    ))  # fmt: skip


def _cells(one: Measured) -> tuple[str, ...]:
    return (str(one.lines), f"{one.image_f1:.3f}", f"{one.rule_f1:.3f}", f"{one.rule_ece:.3f}",
            f"{one.open:.1%}")  # fmt: skip


def _mean(runs: Sequence[Measured]) -> tuple[str, ...]:
    image = [run.image_f1 for run in runs]
    mean = {n: np.mean([getattr(run, n) for run in runs]) for n in ("rule_f1", "rule_ece", "open")}
    spread = f"{np.mean(image):.3f} [{min(image):.3f}, {max(image):.3f}]"
    return spread, f"{mean['rule_f1']:.3f}", f"{mean['rule_ece']:.3f}", f"{mean['open']:.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--engine", default="hf:sketch")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--ask", type=int, default=100, help="answers through the page")
    parser.add_argument("--fresh", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=2612)
    parser.add_argument("--step", type=int, default=1, help="to the seed of the other scenes")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    judged, fresh = judge(args)
    passes = {
        way: one_pass(args, why, judged, fresh)
        for why, way in (("undecided", "the queue"), ("audit", "drawn by lot"))
    }
    many = draws(judged, fresh)
    numbers = {
        "passes": {way: vars(one) | {"on_fresh": vars(one.on_fresh),
                                     "on_journal": vars(one.on_journal)}
                   for way, one in passes.items()},
        "draws": {f"{way} {n}": [vars(run) for run in runs] for way, n, runs in many},
    }  # fmt: skip
    record("review-loop", numbers, report(judged, fresh, passes, many, args.ask))


if __name__ == "__main__":
    main()
