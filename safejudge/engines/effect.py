"""Policy and rules beside models: what takes effect, what cannot be asked, what one should know.

Takes a constitution, a policy and opened models; gives the policy as it takes effect, refuses what
a model cannot be asked or shown, and says what a person should know before the first image.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from safejudge.engines.together import limit_of
from safejudge.errors import PolicyError
from safejudge.method.questions import prior_probe, read_answer
from safejudge.method.regions import words_of
from safejudge.method.relevance import (
    compared_rules,
    relevance_text,
    threshold_of,
    unlearned,
)
from safejudge.method.rule import asked_condition
from safejudge.text import counted
from safejudge.types import Constitution, Failure, ImageInput, leaves

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.engines.models import Models
    from safejudge.policy import Policy
    from safejudge.types import AnswerProbs, Learned


def policy_in_effect(policy: Policy, models: Models, constitution: Constitution) -> Policy:
    """Switch off the stages that have no model, and put in what the encoder states.

    Raises `PolicyError` for an encoder without a threshold, for a distilled filter that knows none
    of the rules, and for a rule that is never skipped and that there is not.
    """
    card = None if models.encoder is None else models.encoder.card
    learned = None if card is None or not policy.relevance else card.learned
    changed = policy_beside(
        policy,
        None if card is None else card.uri,
        locates=models.detector is not None,
        escalates=models.escalation is not None,
        learned=learned,
    )
    ids = {rule.id for rule in constitution.rules}
    if strange := [rule for rule in policy.never_skipped if rule not in ids]:
        raise PolicyError(
            f"never_skipped: {constitution.name} has no rule {strange[0]!r}; it has "
            f"{', '.join(sorted(ids))}"
        )
    return changed if learned is None else asking_unlearned(changed, learned, constitution)


def asking_unlearned(policy: Policy, learned: Learned, constitution: Constitution) -> Policy:
    """Have every rule asked that a distilled filter did not learn as it stands.

    Raises `PolicyError` where it learned none.
    """
    unknown = unlearned(constitution, learned)
    if len(unknown) == len(constitution.rules):
        raise PolicyError(
            f"the relevance filter was distilled for other rules: it learned none of "
            f"{constitution.name} as it stands. Distill one for it (safejudge distill), or switch "
            "the filter off (--no-relevance)"
        )
    never = dict.fromkeys((*policy.never_skipped, *unknown))
    return policy.model_copy(update={"never_skipped": tuple(never)})


def always_asked(constitution: Constitution, models: Models, policy: Policy) -> list[str]:
    """Say which rules a distilled filter does not know, so that they are asked of every picture."""
    if models.encoder is None or not policy.filters or models.encoder.card.learned is None:
        return []
    unknown = unlearned(constitution, models.encoder.card.learned)
    if not unknown:
        return []
    sentence = (
        f"{models.encoder.card.uri} did not learn {counted(len(unknown), 'rule')} as written, "
        f"asked of every picture: {', '.join(unknown)} (safejudge distill learns anew)"
    )
    return [sentence]


def policy_beside(
    policy: Policy,
    encoder: str | None,
    *,
    locates: bool,
    escalates: bool = False,
    learned: Learned | None = None,
) -> Policy:
    """Do the same by the encoder's URI and what it learned, and whether there are the others.

    Raises `PolicyError`.
    """
    changed: dict[str, object] = {}
    if encoder is None or not policy.relevance:
        changed |= {"relevance": False, "relevance_threshold": None}
    else:
        changed["relevance_threshold"] = threshold_of(encoder, policy, learned)
    if not locates:
        changed |= {"crop": False, "region": False}
    if not escalates:
        changed["escalate_below"] = None
    return policy.model_copy(update=changed)


def missing(policy: Policy, models: Models) -> list[str]:
    """Say which stages a policy wants and these models cannot do, and how to have them."""
    notes = []
    if policy.relevance and models.encoder is None:
        notes.append("no encoder, so every rule is asked (--encoder URI would skip the irrelevant)")
    if policy.locates and models.detector is None:
        notes.append("no detector, so no regions are looked at (--detector URI)")
    if policy.escalate_below is not None and models.escalation is None:
        notes.append("no engine to escalate to, so escalate_below does nothing (--escalate-to URI)")
    return notes


def check_rules(constitution: Constitution, models: Models, policy: Policy) -> None:
    """Raise `StatementError` for what one of the models cannot be asked."""
    conditions = [asked_condition(rule, policy) for rule in constitution.rules]
    preconditions = dict.fromkeys(leaf for tree in conditions for leaf in leaves(tree))
    most = None if policy.confirm else 1
    sentences = (leaf.statements[:most] for leaf in preconditions)
    statements = list(dict.fromkeys(chain.from_iterable(sentences)))
    for engine in models.engines:
        engine.check_statements(statements)
    if models.encoder is not None and policy.filters:
        models.encoder.check_texts(
            [relevance_text(rule) for rule in compared_rules(constitution.rules, policy)]
        )
    if models.detector is not None and policy.locates:
        looked_for = (leaf.look_at for leaf in preconditions if leaf.look_at is not None)
        words = dict.fromkeys(word for look_at in looked_for for word in words_of(look_at))
        models.detector.check_words(list(words))


def too_many_together(image: ImageInput | Failure, models: Models) -> Failure | None:
    """Refuse several pictures that an engine cannot be shown in one question; None: it can."""
    if isinstance(image, Failure) or not image.together:
        return None
    count = len(image.together[0].parts)
    if (found := limit_of(models.engines, count)) is None:
        return None
    engine, most = found
    return Failure(
        image=image.name,
        id=image.id,
        reason="too_many_pictures",
        message=f"{image.name}: {engine.card.uri} can be shown {counted(most, 'picture')} at a "
        f"time, not {count} together; judge each by itself (Series(..., together=False), --series "
        "apart), or take another engine",
    )


def refused_choices(constitution: Constitution, models: Models, policy: Policy) -> list[str]:
    """Say which engines cannot choose between a statement and its near misses (`confirm`)."""
    conditions = [asked_condition(rule, policy) for rule in constitution.rules]
    near = {(leaf.statement, o) for c in conditions for leaf in leaves(c) for o in leaf.contrast}
    if not (policy.confirm and near):
        return []
    return [
        f"{engine.card.uri}: the dialect {engine.card.dialect} has no form for a choice, so "
        f"near misses of the constitution ({len(near)}) take no violation back (`reworded` may)"
        for engine in dict.fromkeys((models.engine, models.escalation))
        if engine is not None and engine.card.dialect
    ]


def unread_priors(constitution: Constitution, models: Models, policy: Policy) -> list[str]:
    """Read every language prior without a caption, and say how many are no yes or no.

    Nothing where the policy wants no prior or takes any label mass for one. What the model cannot
    be asked at all is told as well: it stays undecided for every image. Raises `EngineCallError`.
    """
    if not policy.prior or policy.minimum_label_mass == 0.0:
        return []
    conditions = [asked_condition(rule, policy) for rule in constitution.rules]
    asked = (leaf for tree in conditions for leaf in leaves(tree) if leaf.is_asked)
    probes = list(dict.fromkeys(map(prior_probe, asked)))
    notes = []
    for place, name in enumerate(models.panel.names):
        answers = models.priors([replace(probe, engine=place) for probe in probes])
        of = f"{name}: " if place else ""
        notes += [f"{of}{note}" for note in _unread(answers, policy)]
    return notes


def _unread(answers: Sequence[AnswerProbs], policy: Policy) -> list[str]:
    """Say how many priors of one engine are no yes or no."""
    reads = [read_answer("no_image", answer) for answer in answers]
    problems = [problem for _, problem in reads if problem is not None]
    faint = [r for r, p in reads if p is None and r.label_mass < policy.minimum_label_mass]
    notes = []
    if faint:
        have = "has" if len(faint) == 1 else "have"
        notes.append(
            f"{len(faint)} of {counted(len(reads), 'statement')} {have} no yes or no without a "
            "picture; 1/2 stands for their prior"
        )
    if problems:
        notes.append(
            f"{len(problems)} of {counted(len(reads), 'statement')} cannot be asked without a "
            f"picture, and stay undecided ({problems[0]}); --no-prior does not ask"
        )
    return notes
