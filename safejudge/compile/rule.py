"""One rule's way through the compiler: score, rewrite, split, verify, repair.

Takes a rule as people wrote it; gives its compiled form, or says why there is none. A flow: it
asks a model for texts and never says which model. What the checks still find when the rounds are
over is kept with the rule, for a person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.compile.asking import UnusableError
from safejudge.compile.tree import Subject, tree_flow
from safejudge.compile.wording import Wording, shortcomings, wordings_flow
from safejudge.constitution.lint.fidelity import covers
from safejudge.constitution.lock import LockedRule, fingerprint
from safejudge.text import cut

if TYPE_CHECKING:
    from safejudge.compile.asking import Tell
    from safejudge.compile.tree import Source
    from safejudge.constitution.lock import Compiler, Version
    from safejudge.flow import Flow
    from safejudge.types import DraftRule

_REMARK = 900
"""Characters of a remark; a lock takes no more than 1,000."""


def rule_flow(
    rule: DraftRule, rounds: int, compiler: Compiler, tell: Tell = lambda _: None
) -> Flow[LockedRule | str]:
    """Compile one rule; a text says why that failed. At most `rounds` rewritings and repairs."""
    versions: tuple[Version, ...] = ()
    subject = Subject(rule.text, rule.objective or rule.text, "person")
    review: list[str] = []
    try:
        if rule.objective is None:
            wordings = yield from wordings_flow(rule.text, rounds, tell)
            best = max(wordings, key=Wording.rank)
            versions = tuple(wording.version for wording in wordings)
            source: Source = "model" if best.rewritten else "text"
            subject = Subject(rule.text, best.version.objective, source)
            review = shortcomings(rule.text, best, wordings)
        tree = yield from tree_flow(subject, rounds, tell)
    except UnusableError as error:
        return str(error)
    return LockedRule(
        id=rule.id,
        text=rule.text,
        source=rule.source(),
        compiler=compiler,
        versions=versions,
        objective=subject.objective,
        condition=tree.condition,
        covers=tuple(covers(subject.objective, tree.condition)),
        review=tuple(cut(problem, _REMARK) for problem in (*review, *tree.remarks, *tree.doubts)),
        written=fingerprint(subject.objective, tree.condition),
    )
