"""Everything there is to say about a constitution file, by line: what refuses it, and advice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safejudge.constitution.lint.checks import RuleForm, doubled_rules, faults
from safejudge.constitution.lint.rewording import (
    edit_faults,
    gained_exceptions,
    rewording_faults,
    tree_faults,
)
from safejudge.constitution.load import read_source
from safejudge.constitution.schema import Finding, doubts
from safejudge.errors import ConstitutionError
from safejudge.text import quoted

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from safejudge.constitution.lint.checks import Fault
    from safejudge.constitution.lint.fidelity import Difference
    from safejudge.constitution.load import Reading
    from safejudge.constitution.lock import LockedRule
    from safejudge.types import Constitution, Rule


def lint(source: str | os.PathLike[str]) -> list[Finding]:
    """List the errors of a constitution, or else its warnings, in the order of their lines.

    `source` is as for `load_constitution`.
    """
    try:
        reading = read_source(source)
    except ConstitutionError as error:
        return [Finding(error.line, "error", error.problem, error.instead)]
    if reading.lock_error is not None:  # its line is one of the lock
        problem = str(reading.lock_error).partition("\n")[0]
        return [Finding(None, "error", problem, reading.lock_error.instead)]
    if reading.constitution is None:
        return reading.errors
    remarks = [
        *doubts(reading.sheet),
        *_faults(reading.constitution, reading),
        *_compiled(reading.constitution, reading),
    ]
    return sorted(remarks, key=lambda finding: finding.line or 0)


def _faults(constitution: Constitution, reading: Reading) -> Iterator[Finding]:
    """Yield what is allowed but seldom meant."""
    for index, fault in doubled_rules(constitution.rules):
        yield _warning(constitution.rules[index], index, fault, reading)
    for index, rule in enumerate(constitution.rules):
        # What a lock holds was compared word by word when it was compiled.
        by_people = ("rules", index, "condition") in reading.sheet.lines
        form = RuleForm(rule.objective, rule.condition, "logic" if by_people else "none")
        for fault in faults(form):
            yield _warning(rule, index, fault, reading)


def _warning(rule: Rule, index: int, fault: Fault, reading: Reading) -> Finding:
    """Put a fault at its line; at the rule's, for what stands in the lock."""
    line = reading.sheet.lines[reading.sheet.nearest(("rules", index, *fault.path))]
    problem = f"rule {quoted(rule.id)}: {fault.sentence()}"
    return Finding(line, "warning", problem, fault.instead)


def _compiled(constitution: Constitution, reading: Reading) -> Iterator[Finding]:
    """Warn of what the compiler left open, and where an edited entry contradicts itself."""
    indices = {rule.id: index for index, rule in enumerate(constitution.rules)}
    for entry in reading.used_entries():
        line = reading.sheet.lines["rules", indices[entry.id]]
        subject = f"rule {quoted(entry.id)} was compiled, and"
        for remark in entry.review:
            advice = "the entry in the lock corrected if need be, and without `review`"
            yield Finding(line, "warning", f"{subject} left open: {remark}", advice)
        said = entry.text, entry.objective, entry.condition
        for difference in edit_faults(*said) if entry.edited else ():
            problem = f"{subject} edited in the lock: {difference.problem}"
            yield Finding(line, "warning", problem, difference.instead)
        if ("rules", indices[entry.id], "objective") not in reading.sheet.lines:
            for difference in _reworded(entry):
                yield Finding(
                    line, "warning", f"{subject} {difference.problem}", difference.instead
                )


def _reworded(entry: LockedRule) -> Iterator[Difference]:
    """Yield what a model's wording lost of the rule's text, or invented, unless it is told already.

    An objective that a person wrote, here or in the lock, is theirs: it may say what it likes.
    """
    if entry.edited and all(entry.objective != version.objective for version in entry.versions):
        return
    if entry.objective == entry.text:
        found = []
    else:
        found = [
            *rewording_faults(entry.text, entry.objective),
            *gained_exceptions(entry.text, entry.objective),
        ]
    if not entry.edited:
        found += tree_faults(entry.text, entry.objective, entry.condition)
    yield from (new for new in found if not any(new.problem in old for old in entry.review))
