"""What came of a distillation, for people: the filter beside the encoder, and rule by rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.distill.cut import enough
from safejudge.method.relevance import THRESHOLDS
from safejudge.show.figures import Table
from safejudge.text import counted

if TYPE_CHECKING:
    from safejudge.distill.labels import Labels
    from safejudge.distill.run import Distilled


def beside(distilled: Distilled, backbone: str) -> Table:
    """The filter beside the backbone as it was: at the same share kept, and dropped."""
    kept, before = distilled.kept, distilled.before
    thresholds = {
        "as much kept": before.threshold(kept.violated.value),
        "as much dropped": before.dropping(kept.dropped),
    }
    if backbone in THRESHOLDS:
        thresholds["the threshold stated for it"] = THRESHOLDS[backbone]
    lines = {"distilled": kept} | {
        f"{backbone}, {name}": before.kept_above(cut) for name, cut in thresholds.items()
    }
    rows = tuple(
        (name, f"{one.threshold:.4f}", one.violated.text(), f"{one.dropped:.3f}")
        for name, one in lines.items()
    )
    return Table(
        "Held-out pairs of picture and rule",
        ("filter", "threshold", "violated kept", "pairs dropped"),
        rows,
        "Violated: by the judge that was learned from, right or wrong. Nothing was learned from "
        "these images. The likest rule, which is asked of every picture, is not counted. Intervals "
        "are 95 %, over images.",
    )


def by_rule(distilled: Distilled) -> Table:
    """What the filter keeps and drops of each rule, and which are always asked."""
    rows = []
    for rule, learned in distilled.learned.items():
        kept = distilled.held_out.kept_above(distilled.kept.threshold, rule)
        rows.append((rule, str(learned), kept.violated.text(), f"{kept.dropped:.3f}"))
    rows += [(rule, "-", "asked of every picture", "0") for rule in distilled.unlearned]
    return Table(
        "By rule",
        ("rule", "violated, learned", "violated kept", "pairs dropped"),
        tuple(rows),
        "Violated, learned: pictures that taught the filter when to ask.",
    )


def findings(distilled: Distilled, keep: float, labels: Labels) -> list[str]:
    """Say what a reader has to know, a sentence each."""
    images = len(set(distilled.held_out.images))
    violated = distilled.kept.violated
    sentence = (
        f"Learned from {counted(distilled.pictures, 'picture')}; the threshold is from "
        f"{counted(images, 'other image')} and keeps {violated.value:.1%} of "
        f"{counted(violated.n, 'violated pair')}."
    )
    found = [sentence]
    if violated.n < enough(keep):
        found.append(
            f"Warning: {counted(violated.n, 'violated pair')} cannot tell {keep:.1%} from a worse "
            f"share; {enough(keep)} could. Hand over more images, or such as violate rules."
        )
    above, undecided = distilled.undecided
    if undecided:
        found.append(
            f"Of {counted(undecided, 'held-out pair')} that the judge left undecided the filter "
            f"asks {above}; it skips the others, and nobody is asked about them."
        )
    found += [f"{rule} is asked of every picture: {why}." for rule, why in
              distilled.unlearned.items()]  # fmt: skip
    found += [f"{counted(n, 'pair')} left out: {why}." for why, n in distilled.left_out.items()]
    found += [f"{counted(n, 'image')} left out: {why}."
              for why, n in labels.images_left_out.items()]  # fmt: skip
    return found
