"""What came in, what was looked at, and what was not: part of every reply."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pydantic import ConfigDict, Field

from safejudge.types import Failure
from safejudge.types.base import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safejudge.judge import Judge
    from safejudge.types import Result


class RuleCoverage(Record):
    """What became of one rule, over the images of a request."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    asked: int
    """Images that it was asked about."""
    skipped: int
    """Images that the relevance filter found too unlike it."""
    undecided: int
    """Images for which it could not be settled; these were asked."""


class Coverage(Record):
    """What came in with a request, and what was looked at. Digests are SHA-256, in hex."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    received: int
    """Images that came in, however they came."""
    judged: int
    """Images that were looked at."""
    failed: int
    """Images that could not be judged, and are not safe."""
    frames_unseen: int = 0
    """Frames of animations that nobody looked at."""
    captions_unseen: int = 0
    """Captions that were too long to be shown."""
    rules: dict[str, RuleCoverage] = Field(default_factory=dict)
    """By rule."""
    constitution: str
    """Digest of the rules."""
    policy: str
    """Digest of the policy."""
    model: str
    """What the engine was chosen by."""
    revision: str
    """Digest of the model, where the engine can tell."""


def coverage_of(judge: Judge, results: Sequence[Result]) -> Coverage:
    """Count what became of the images of one request."""
    judged = [result for result in results if not isinstance(result, Failure)]
    rules = {}
    for rule in judge.constitution.rules:
        outcomes = Counter(judgment.rules[rule.id].outcome for judgment in judged)
        skipped = outcomes["not_relevant"]
        rules[rule.id] = RuleCoverage(
            asked=len(judged) - skipped, skipped=skipped, undecided=outcomes["undecided"]
        )
    frames = [judgment.frames for judgment in judged if judgment.frames is not None]
    captions = [judgment.caption for judgment in judged if judgment.caption is not None]
    made = judge.provenance
    return Coverage(
        received=len(results),
        judged=len(judged),
        failed=len(results) - len(judged),
        frames_unseen=sum(frames.of - frames.looked_at for frames in frames),
        captions_unseen=sum(caption.tokens > 0 and not caption.shown for caption in captions),
        rules=rules,
        constitution=made.constitution,
        policy=made.policy,
        model=made.model,
        revision=made.revision,
    )
