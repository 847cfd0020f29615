"""What made stored records: the constitution, the policy, the models, as a page needs them.

Takes the head of records; what an older head does not hold is taken from whoever asks, and counts
only if its digest is the one in the head. A policy that nobody knows leaves a page without bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from safejudge.constitution.load import load_constitution
from safejudge.engines.effect import policy_beside
from safejudge.errors import InputError, PolicyError
from safejudge.policy import Policy
from safejudge.show.page.judged import About
from safejudge.types import Constitution, Intake, Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safejudge.files.stored import Stored
    from safejudge.types import JSON

_REPLAYED = "Judged again from the answers of an earlier run; what was not asked then is undecided."
_UNKNOWN = "The policy is not known, so the numbers stand without the bounds that they were held to"


def about(stored: Stored, constitution: str | None, policies: Iterable[Policy]) -> About:
    """Find out what a page says of the run; `constitution` and `policies` as they were named.

    Raises `InputError` for a constitution that is not the one, or missing, and for a head that
    cannot be read.
    """
    head, where = stored.head, str(stored.path)
    try:
        provenance = Provenance.model_validate({"versions": {}} | head["provenance"])
        intake = None if "intake" not in head else Intake.model_validate(head["intake"])
        policy = None if "policy" not in head else Policy.model_validate(head["policy"])
        rules = _constitution(head, where, constitution, provenance)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{where}: what made its records cannot be read (`{name}`: {first['msg']}); take the "
            f"version of safejudge that wrote it, {head.get('safejudge', 'which it does not name')}"
        ) from error
    if policy is None:
        policy = policy_of(provenance, policies)
    known = {f"{_UNKNOWN}.": policy is None, _REPLAYED: "replayed" in head}
    notes = tuple(note for note, holds in known.items() if holds)
    return About(rules, policy, provenance, head.get("date"), intake, notes)


def _constitution(
    head: JSON, where: str, named: str | None, provenance: Provenance
) -> Constitution:
    """The rules that the head holds, or that somebody named. Raises `InputError`."""
    if named is not None:
        rules = load_constitution(named)
        if rules.digest() != provenance.constitution:
            raise InputError(
                f"--constitution {named}: its digest is {rules.digest()[:12]}..., and these "
                f"records were made with {provenance.constitution[:12]}...; name the one of then"
                + ("" if "constitution" not in head else ", or none: the records hold it")
            )
        return rules
    if "constitution" not in head:
        raise InputError(
            f"{where}: these records do not hold the rules they were made with (version 0.1.0, or "
            "a pipe); name them with --constitution"
        )
    return Constitution.model_validate(head["constitution"])


def policy_of(provenance: Provenance, policies: Iterable[Policy]) -> Policy | None:
    """The one of the policies that has the digest of the head, now or in version 0.1.0."""
    encoder = None if provenance.encoder is None else provenance.encoder.uri
    for policy in policies:
        try:
            beside = policy_beside(
                policy,
                encoder,
                locates=provenance.detector is not None,
                escalates=provenance.escalate_to is not None,
            )
        except PolicyError:  # no threshold is known for the encoder
            continue
        for form, digest in ((beside, beside.digest()), beside.as_of_0_1_0()):
            if digest == provenance.policy:
                return form
    return None
