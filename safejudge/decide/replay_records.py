"""Stored records, and what made them: what a replay begins with.

Takes records as `files.stored` reads them, and the rules that somebody named; gives a `Made` and
the results. Records that were made with another wording of the questions answer none of today's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from safejudge.constitution.load import load_constitution
from safejudge.decide.replay import Made
from safejudge.engines.dialects import DIALECTS, prompts_digest
from safejudge.errors import InputError
from safejudge.files.stored import need_full
from safejudge.show.page import made_by
from safejudge.show.page.recorded import result_of
from safejudge.types import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from safejudge.files.stored import Stored, StoredRecord
    from safejudge.policy import Policy
    from safejudge.types import JSON, Result


def made_then(stored: Stored, named: str | None, policies: Iterable[Policy]) -> Made:
    """Find out what made some records; `named` are rules, `policies` those that may be the one.

    Old records do not hold their rules: then `named` counts if it is what they were made with, and
    else nothing is known of them. Raises `InputError` for short records, for those whose policy is
    not known, or that were made with another wording of the questions.
    """
    need_full(stored, "be judged again by")
    known: str | None = None
    if "constitution" not in stored.head and named is not None:
        made_with = stored.head["provenance"].get("constitution")
        known = named if load_constitution(named).digest() == made_with else None
        if known is None:
            return _checked(stored, Made(None, *_policy(stored, policies)))
    about = made_by.about(stored, known, policies)
    if about.policy is None:
        raise _unknown_policy(stored)
    return _checked(stored, Made(about.constitution, about.policy, about.provenance))


def _policy(stored: Stored, policies: Iterable[Policy]) -> tuple[Policy, Provenance]:
    try:
        provenance = Provenance.model_validate({"versions": {}} | stored.head["provenance"])
    except ValidationError as error:
        raise InputError(
            f"{stored.path}: what made its records cannot be read ({error.error_count()} faults); "
            "take the version of safejudge that wrote it"
        ) from error
    policy = made_by.policy_of(provenance, policies)
    if policy is None:
        raise _unknown_policy(stored)
    return policy, provenance


def _unknown_policy(stored: Stored) -> InputError:
    return InputError(
        f"{stored.path}: these records do not hold their policy, and it is none of those that have "
        "a name, so what they were read for is not known; judge again with --out"
    )


def _checked(stored: Stored, made: Made) -> Made:
    known = {prompts_digest(name) for name in ("", *DIALECTS)}
    if made.provenance.prompts not in known:
        raise InputError(
            f"{stored.path}: was made with another wording of the questions (prompts); its answers "
            "are none to today's; judge again"
        )
    return made


def results(stored: Stored, provenance: Provenance) -> Iterator[tuple[StoredRecord, Result]]:
    """Read every record. Raises `InputError` for one of another form than is written now."""
    for record in stored:
        try:
            yield record, result_of(record, provenance)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{record.where}: is not as this version of safejudge writes records; take the "
                "version that wrote it, or judge the image again"
            ) from error


def head_of(stored: Stored, then: Made, now: Made, thresholds: str | None = None) -> JSON:
    """Make the first line of replayed records: that of the records, and what they are made by now.

    `replayed` says what they were made by when a model was asked; it is left out where that is the
    same. Thresholds decided about the records as they were, so others are without, unless
    `thresholds`, a digest, decided anew.
    """
    head = stored.head | {"provenance": now.provenance.model_dump(mode="json")}
    if now.constitution is not None:
        head["constitution"] = now.constitution.model_dump(mode="json")
    head["policy"] = now.policy.model_dump(mode="json", exclude={"frame_seed"})
    changed = {
        name: getattr(then.provenance, name)
        for name in ("constitution", "policy")
        if getattr(then.provenance, name) != getattr(now.provenance, name)
    }
    if changed:
        head.pop("thresholds", None)
    if thresholds is not None:
        head["thresholds"] = thresholds
    return head | ({"replayed": changed} if changed else {})
