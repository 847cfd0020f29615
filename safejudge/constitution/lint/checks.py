"""The checks of a rule: what `lint` warns of, and what `compile` has repaired. One list for both.

A check takes the form of a rule (what it says, and the condition that is asked) and yields faults,
each at its place. To add one, write it in a file beside this one and give it a row in `CHECKS`;
nothing else has to know. What concerns several rules at once is `doubled_rules`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Literal, NamedTuple

from safejudge.constitution.lint.coherence import condition_flaws, constant
from safejudge.constitution.lint.english import looks_english
from safejudge.constitution.lint.fidelity import contradictions, differences
from safejudge.constitution.lint.words import form_flaws, objective_flaws
from safejudge.programs.registry import holds_of_nothing
from safejudge.text import quoted
from safejudge.types import AllOf, AnyOf, Condition, NoneOf, Precondition, leaves, placed_leaves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from safejudge.constitution.strict_yaml import Where
    from safejudge.types import Rule


@dataclass(frozen=True, slots=True)
class RuleForm:
    """What a rule says, and what is asked to find out."""

    objective: str
    """The rule in words whose truth a picture settles."""
    condition: Condition
    """The tree of its preconditions."""
    fidelity: Literal["words", "logic", "none"]
    """What of the objective the condition has to repeat: its words and how they combine, for what
    a model wrote; only how they combine, for what people wrote; nothing, where it was compared
    when it was compiled."""


class Fault(NamedTuple):
    """One thing that is allowed and seldom meant."""

    path: Where
    """Where it stands in the rule: ("objective",), or ("condition", "all", 1, "statement")."""
    subject: str | None
    """The text that the problem is about; None where the problem names it."""
    problem: str
    """What is wrong, as a sentence, or as the rest of one about the subject."""
    instead: str
    """What to write instead."""

    def sentence(self, limit: int = 48) -> str:
        """Say what is wrong, with at most `limit` characters of the subject."""
        if self.subject is None:
            return self.problem
        return f"{quoted(self.subject, limit)} {self.problem}"


class Check(NamedTuple):
    """One row of the list."""

    find: Callable[[RuleForm], Iterator[Fault]]
    """Finds the faults of a rule."""
    repairable: bool
    """Whether another condition for the same objective can mend them. What is vague in the rule's
    own words stays vague in every condition that repeats them."""


def faults(form: RuleForm) -> list[Fault]:
    """Run every check on a rule, for whoever wrote it."""
    return [fault for check in CHECKS for fault in check.find(form)]


def repairable_faults(form: RuleForm) -> list[Fault]:
    """Run the checks whose faults another condition mends, for the compiler."""
    return [fault for check in CHECKS if check.repairable for fault in check.find(form)]


# --- the checks -----------------------------------------------------------------------------------


def vague_objective(form: RuleForm) -> Iterator[Fault]:
    """Find what keeps a picture from settling the objective."""
    for flaw in objective_flaws(form.objective):
        yield Fault(("objective",), form.objective, flaw.problem, flaw.instead)


def blank_picture(form: RuleForm) -> Iterator[Fault]:
    """Find a condition that holds when nothing is shown, unless it always holds anyway."""
    if _holds_of_nothing(form.condition) and constant(form.condition) is None:
        yield Fault(
            ("condition",),
            None,
            "a picture that shows nothing at all violates it",
            "what must be visible under `all`, with the exceptions as `none` beside it",
        )


def incoherent_condition(form: RuleForm) -> Iterator[Fault]:
    """Find parts that are always or never met; else statements that a list has more than once."""
    flaws = list(condition_flaws(form.condition))
    for path, flaw in flaws:
        yield Fault(("condition", *path), None, flaw.problem, flaw.instead)
    if not flaws:  # where a repetition makes the logic fail, that fault says more
        yield from _repeated_statements(form.condition)


def vague_statement(form: RuleForm) -> Iterator[Fault]:
    """Find what keeps a picture from settling a statement."""
    for path, leaf in _placed_sentences(form.condition):
        for flaw in objective_flaws(leaf.statement):
            yield Fault(path, leaf.statement, flaw.problem, flaw.instead)


def malformed_statement(form: RuleForm) -> Iterator[Fault]:
    """Find statements that are questions, negative, or two in one."""
    for path, leaf in _placed_sentences(form.condition):
        for flaw in form_flaws(leaf):
            yield Fault(path, leaf.statement, flaw.problem, flaw.instead)


def unfaithful_condition(form: RuleForm) -> Iterator[Fault]:
    """Find where the condition says something else than the objective."""
    if form.fidelity == "none":
        return
    compare = differences if form.fidelity == "words" else contradictions
    for difference in compare(form.objective, form.condition):
        yield Fault(("condition",), None, difference.problem, difference.instead)


def foreign_words(form: RuleForm) -> Iterator[Fault]:
    """Find a rule in another language, of whose words the other checks know nothing."""
    statements = " ".join(leaf.statement for leaf in leaves(form.condition) if leaf.is_asked)
    for path, words in ((("objective",), form.objective), (("condition",), statements)):
        if words and not looks_english(words):
            part = "objective" if path == ("objective",) else "condition"
            yield Fault(
                path,
                None,
                f"its {part} is not in English, so nothing here could check its words",
                f"`{part}:` in English, which most judges read best; `text:` may stay as it is",
            )


def idle_confirmation(form: RuleForm) -> Iterator[Fault]:
    """Find near misses and other words of exceptions, which are never asked once more."""
    for path, leaf in _placed_statements(form.condition):
        written = {"contrast": leaf.contrast, "reworded": leaf.reworded}
        keys = [key for key, words in written.items() if words]
        if keys and "none" in path:
            named = " and ".join(f"`{key}`" for key in keys)
            problem = f"stands under `none`, so its {named} would never be asked"
            yield Fault(path, leaf.statement, problem, f"the exception without {named}")


CHECKS = (
    Check(unfaithful_condition, repairable=True),
    Check(foreign_words, repairable=False),
    Check(vague_objective, repairable=False),
    Check(blank_picture, repairable=True),
    Check(incoherent_condition, repairable=True),
    Check(vague_statement, repairable=False),
    Check(malformed_statement, repairable=True),
    Check(idle_confirmation, repairable=False),
)
"""All of them, in the order in which the compiler tells a model what to mend."""


def doubled_rules(rules: Sequence[Rule]) -> Iterator[tuple[int, Fault]]:
    """Yield the rules, by index, whose condition an earlier rule has."""
    owners: dict[Condition, str] = {}
    for index, rule in enumerate(rules):
        owner = owners.setdefault(rule.condition, rule.id)
        if owner != rule.id:
            problem = f"its condition is that of rule {quoted(owner)}"
            advice = "one rule, or conditions that differ"
            yield index, Fault(("condition",), None, problem, advice)


# --- conditions and their statements --------------------------------------------------------------


def _holds_of_nothing(condition: Condition) -> bool:
    """Whether the condition is true when no statement is, and no program finds anything."""
    match condition:
        case Precondition(program=program):
            return program is not None and holds_of_nothing(program)
        case AllOf(all=parts):
            return all(_holds_of_nothing(part) for part in parts)
        case AnyOf(any=parts):
            return any(_holds_of_nothing(part) for part in parts)
        case NoneOf(none=parts):
            return not any(_holds_of_nothing(part) for part in parts)


def _placed_statements(condition: Condition) -> Iterator[tuple[Where, Precondition]]:
    """Yield every statement of a condition with its place in the rule."""
    for path, leaf in placed_leaves(condition):
        yield ("condition", *chain.from_iterable(path), "statement"), leaf


def _placed_sentences(condition: Condition) -> Iterator[tuple[Where, Precondition]]:
    """Yield everything that may be put to a model, near misses and other words as statements."""
    for path, leaf in _placed_statements(condition):
        if not leaf.is_asked:
            continue
        yield path, leaf
        for number, text in enumerate(leaf.contrast):
            yield (*path[:-1], "contrast", number), leaf.model_copy(update={"statement": text})
        if leaf.reworded is not None:
            yield (*path[:-1], "reworded"), leaf.model_copy(update={"statement": leaf.reworded})


def _repeated_statements(condition: Condition) -> Iterator[Fault]:
    """Find statements whose own list has them again, there or deeper: useless or contradictory.

    The same statement in two separate branches is fine, as in (A and B) or (A and C).
    """
    statements = list(_placed_statements(condition))
    below = Counter(
        (leaf.statement.casefold(), path[:length])
        for path, leaf in statements
        for length in range(len(path))
    )
    reported = set()
    for path, leaf in statements:
        key = (leaf.statement.casefold(), path[:-2])
        if below[key] > 1 and key[0] not in reported:
            reported.add(key[0])
            problem = "stands in this list more than once"
            yield Fault(path, leaf.statement, problem, "it once, or separate branches")
