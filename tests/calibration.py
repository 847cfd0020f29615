"""Made-up records and labels of a judge whose scores are known to be right or wrong."""

import hashlib
import json

import numpy as np

from safejudge.files import records
from safejudge.method import debias
from safejudge.policy import Policy
from safejudge.types import (
    AllOf,
    Constitution,
    Judgment,
    Precondition,
    PreconditionVerdict,
    Provenance,
    Read,
    ReasoningTrace,
    Rule,
    RuleVerdict,
    Usage,
)

POLICY = Policy().exhaustively().unfiltered()


def rule(name, statement):
    return Rule(
        id=name,
        category="c",
        severity="high",
        text=f"No {name}.",
        objective=f"A picture with {name}.",
        condition=AllOf(all=(Precondition(statement=statement),)),
    )


RULES = Constitution(
    name="made-up", rules=(rule("knives", "a knife is shown"), rule("fire", "a fire is shown"))
)


def provenance(policy=POLICY, rules=RULES, revision="r1"):
    return Provenance(
        constitution=rules.digest(),
        prompts="p",
        policy=policy.digest(),
        model="fake:",
        revision=revision,
        versions={},
    )


def leaf(score, outcome, statement="a knife is shown", test=None, reasoning=None):
    return PreconditionVerdict(
        statement=statement,
        outcome=outcome,
        test=test or {"yes": "accept", "no": "reject", "undecided": "open"}[outcome],
        score=score,
        margin=debias.margin(score),
        reads=(Read(view="full", score=score, label_mass=1.0),),
        reasoning=reasoning,
    )


def verdict(score, bound="exact", outcome=None, statement="a knife is shown", leaves=None):
    said = "violated" if score > 0.5 else "not_violated"
    leaves = leaves or (leaf(score, "yes" if score > 0.5 else "no", statement),)
    return RuleVerdict(
        outcome=outcome or said,
        score=score,
        margin=debias.margin(score),
        bound=bound,
        preconditions=leaves,
    )


def judgment(image, rules):
    outcomes = {v.outcome for v in rules.values()}
    label = "unsafe" if "violated" in outcomes else "safe"
    return Judgment(
        image=image,
        id=hashlib.sha256(image.encode()).hexdigest(),
        label=label,
        violations=tuple(name for name, v in rules.items() if v.outcome == "violated"),
        score=max(v.score or 0.0 for v in rules.values()),
        margin=0.0,
        rules=rules,
        provenance=provenance(),
        usage=Usage(),
    )


def reasoned(score, outcome):
    """A statement that was open, at `score`, and that reasoning settled."""
    moved = debias.moved(score, outcome)
    return leaf(moved, outcome.value, test="reasoning", reasoning=ReasoningTrace(text="so"))


def drawn(n, seed=0, sharp=8.0, shift=0.0, prefix="img"):
    """`n` judgments whose scores tell violations well, with what is true of each."""
    lot = np.random.default_rng(seed)
    made = []
    for number in range(n):
        truths = {name: bool(lot.random() < 0.4) for name in ("knives", "fire")}
        rules = {}
        for name, violated in truths.items():
            odds = sharp * (0.5 if violated else -0.5) + lot.normal() + shift
            statement = "a knife is shown" if name == "knives" else "a fire is shown"
            rules[name] = verdict(1 / (1 + np.exp(-odds)), statement=statement)
        made.append((judgment(f"{prefix}-{number:04d}.png", rules), truths))
    return made


def write(folder, made, policy=POLICY, rules=RULES, revision="r1"):
    """Write records and labels; return both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    described = {
        "constitution": rules.model_dump(mode="json"),
        "policy": policy.model_dump(mode="json"),
    }
    head = records.header(
        "1", provenance(policy, rules, revision), None, folder=str(folder), judged_by=described
    )
    file, labels = folder / "judged.jsonl", folder / "labels.jsonl"
    lines = [head, *(records.record(result.image, result) for result, _ in made)]
    file.write_text("".join(map(records.to_line, lines)))
    labels.write_text(
        "".join(
            json.dumps(
                {"image": result.image, "violations": [n for n, yes in truths.items() if yes]}
            )
            + "\n"
            for result, truths in made
        )
    )
    return file, labels
