"""What the command line chose -> what a judge takes: a policy, and rules and a model by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safejudge.constitution.load import load_constitution, shipped_constitutions
from safejudge.engines.open import FORMS
from safejudge.errors import InputError
from safejudge.opening import JudgeSpec
from safejudge.policy import POLICIES, Policy

if TYPE_CHECKING:
    import argparse

    from safejudge.types import Constitution


def need_choices(options: argparse.Namespace) -> None:
    """Refuse to guess what the rules are, or which model is to be trusted with them."""
    if options.constitution is None:
        raise InputError(
            "no constitution is assumed; choose one with --constitution: the path of a YAML file, "
            f"or the name of a shipped one ({', '.join(shipped_constitutions())})"
        )
    if options.engine is None:
        raise InputError(f"no engine is assumed; choose one with --engine: {FORMS}")


def policy_of(options: argparse.Namespace) -> Policy:
    """Return the chosen policy with its switches."""
    changed: dict[str, Any] = {
        field: value
        for given, field, value in (
            (options.no_relevance, "relevance", False),
            (options.no_regions, "crop", False),
            (options.no_regions, "region", False),
            (options.no_prior, "prior", False),
            (options.no_cascade, "cascade", False),
            (options.exhaustive, "exhaustive", True),
        )
        if given
    }
    threshold = options.relevance_threshold
    if threshold is not None:
        if not -1 <= threshold <= 1:
            raise InputError(f"--relevance-threshold {threshold} is no cosine; give -1 to 1")
        changed["relevance_threshold"] = threshold
    return POLICIES[options.policy]().model_copy(update=changed)


def opening_of(options: argparse.Namespace, rules: Constitution | None = None) -> JudgeSpec:
    """Return what the chosen judge is opened from, with these rules or with the chosen ones."""
    policy = policy_of(options)
    return JudgeSpec(
        load_constitution(options.constitution) if rules is None else rules,
        options.engine,
        policy,
        encoder=options.encoder,
        detector=options.detector,
        engine_args=dict(options.engine_arg),
    )
