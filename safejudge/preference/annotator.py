"""Ask a judge for the aspects of pictures: rows of prompts -> one record per prompt.

`safety` is 1 - the score of the constitution; an aspect of a rubric is the mean score of its rules.
Every question is asked and the relevance filter is out, since a bound is no score. Where an image
has several pictures (frames, backgrounds) the worst one counts. What cannot be read, or stays
undecided, has no score: the record says why. With `reasons` the engine is asked for a text on every
score, once all scores were read.
"""

from __future__ import annotations

import hashlib
import json
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from safejudge.engines.effect import check_rules
from safejudge.errors import InputError, StatementError
from safejudge.files.records import image_name
from safejudge.flow import drive, gather
from safejudge.images.load import load_images
from safejudge.judge import Judge
from safejudge.method.verdict import conclude, image_flow
from safejudge.preference import reasons
from safejudge.preference.reasons import Ground
from safejudge.preference.rubrics import NAME, OVERALL, SAFETY, filled, needs_prompt, one_line
from safejudge.types import Failure, ImageInput, Judgment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from safejudge.engines.models import Models
    from safejudge.policy import Policy
    from safejudge.preference.data import Row
    from safejudge.types import JSON, Constitution, Provenance, RuleVerdict, Usage

LEVELS = 5
"""VisionPrefer's scale."""


class _Ask(NamedTuple):
    """One picture, or one image, and what it is asked."""

    row: int
    image: int
    """Both by index."""
    aspect: str
    rules: Constitution
    pixels: ImageInput


class Annotator:
    """A judge and the rubrics it annotates by. The models stay the caller's."""

    def __init__(
        self,
        constitution: Constitution,
        models: Models,
        policy: Policy,
        rubrics: Mapping[str, Constitution] | None = None,
        *,
        reasons: bool = False,
    ) -> None:
        """Check that these models can be asked what does not hang on a prompt.

        `rubrics` are by aspect; `reasons`: a text is asked for with every score. Raises
        `InputError` for a name that no aspect may have, and what `Judge` raises: `StatementError`
        for a rule that a model knows nothing of.
        """
        self.rubrics = dict(rubrics or {})
        self.reasons = reasons
        for name in self.rubrics:
            if not NAME.fullmatch(name) or name in {SAFETY, OVERALL}:
                raise InputError(
                    f"{name!r} is no name for an aspect of a rubric; give lower-case words joined "
                    f"by -, other than {SAFETY} and {OVERALL}"
                )
        self.judge = Judge(constitution, models, policy.exact())
        for name, rubric in self.rubrics.items():
            if not needs_prompt(rubric):
                try:
                    check_rules(rubric, models, self.judge.policy)
                except StatementError as error:
                    raise StatementError(f"aspect {name}: {error}") from error

    @property
    def aspects(self) -> list[str]:
        """Every aspect there is a score of."""
        return [SAFETY, *self.rubrics]

    @property
    def provenance(self) -> Provenance:
        """The judge's, its constitution's digest taken over the rubrics too.

        That of the prompts is taken over those of the reasons where such are asked for.
        """
        made_by = self.judge.provenance
        every = [made_by.constitution, *((n, r.digest()) for n, r in self.rubrics.items())]
        changed = {"constitution": hashlib.sha256(json.dumps(every).encode()).hexdigest()}
        if self.reasons:
            texts = f"{made_by.prompts} {reasons.digest()}"
            changed["prompts"] = hashlib.sha256(texts.encode()).hexdigest()
        return made_by.model_copy(update=changed)

    def check(self, rows: Sequence[Row]) -> None:
        """Raise `StatementError` for an aspect that cannot be asked about any of the prompts."""
        for name, rubric in self.rubrics.items():
            problem = None
            for prompt in dict.fromkeys(row.prompt for row in rows):
                problem = self._problem(rubric, prompt)
                if problem is None:
                    break
            if problem is not None:
                raise StatementError(
                    f"aspect {name}: this model knows the rubric's statements about none of "
                    "the prompts; choose another model or leave the aspect out. The last one: "
                    f"{problem}"
                )

    def annotate(self, rows: Sequence[Row]) -> list[JSON]:
        """Make a record of each row; the pictures of all of them share the engine's batches."""
        loaded = [
            load_images([candidate.path for candidate in row.images], self.judge.policy)
            for row in rows
        ]
        open_ = [
            {name: self._problem(rubric, row.prompt) for name, rubric in self.rubrics.items()}
            for row in rows
        ]
        asks = [
            ask
            for index, row in enumerate(rows)
            for number, image in enumerate(loaded[index])
            if isinstance(image, ImageInput)
            for ask in self._asks(index, number, row, image, open_[index])
        ]
        flows = [image_flow(ask.pixels, ask.rules, self.judge.policy) for ask in asks]
        answers = drive(gather(flows), self.judge.models.answer)
        images: dict[tuple[int, int], dict[str, JSON]] = {}
        scored: list[tuple[JSON, str, str, Ground]] = []
        by_aspect = groupby(
            zip(asks, answers, strict=True), key=lambda pair: (pair[0].row, pair[0].image)
        )
        for key, group in by_aspect:
            images[key], grounds = self._aspects(list(group))
            prompt = rows[key[0]].prompt
            entries = ((entry, name, prompt) for name, entry in images[key].items())
            scored += [(*e, grounds[e[1]]) for e in entries if e[0]["score"] is not None]
        if self.reasons:
            reasons.add_reasons(self.judge.models, scored)
        return [
            _record(row, [
                _failed(image) if isinstance(image, Failure)
                else {"id": image.id, "aspects": images[index, number] | _unasked(open_[index])}
                for number, image in enumerate(loaded[index])
            ])
            for index, row in enumerate(rows)
        ]  # fmt: skip

    def _problem(self, rubric: Constitution, prompt: str) -> str | None:
        """Why a rubric cannot be asked about a prompt; None if it can."""
        if not needs_prompt(rubric):
            return None
        if not one_line(prompt):
            return "there is no prompt"
        try:
            check_rules(filled(rubric, prompt), self.judge.models, self.judge.policy)
        except StatementError as error:
            return str(error)
        return None

    def _asks(
        self, index: int, number: int, row: Row, image: ImageInput, open_: Mapping[str, str | None]
    ) -> list[_Ask]:
        asks = [_Ask(index, number, SAFETY, self.judge.constitution, image)]
        for name, rubric in self.rubrics.items():
            if open_[name] is None:
                rules = filled(rubric, row.prompt)
                # One by one: a rule that holds in one picture of several is not yet good.
                alone = [ImageInput(image.id, image.name, (picture,)) for picture in image.pictures]
                asks += [_Ask(index, number, name, rules, picture) for picture in alone]
        return asks

    def _aspects(
        self, answers: Sequence[tuple[_Ask, tuple[dict[str, RuleVerdict], Usage]]]
    ) -> tuple[dict[str, JSON], dict[str, Ground]]:
        """What is recorded of each aspect of an image, and what its score rests on."""
        aspects: dict[str, JSON] = {}
        grounds: dict[str, Ground] = {}
        for ask, (rules, usage) in answers:
            if ask.aspect == SAFETY:
                provenance, policy = self.judge.provenance, self.judge.policy
                new = _safety(conclude(ask.pixels, rules, usage, provenance, policy))
            else:
                new = _graded(rules)
            worst = aspects.get(ask.aspect)
            if worst is None or _height(new) < _height(worst):
                aspects[ask.aspect] = new
                grounds[ask.aspect] = Ground(ask.pixels, ask.rules, rules)
        return aspects, grounds


def _safety(judgment: Judgment) -> JSON:
    listed = ", ".join(judgment.violations)
    if judgment.label == "undecided" or judgment.score is None:
        undecided = [name for name, v in judgment.rules.items() if v.outcome == "undecided"]
        undecided += [cause for cause in judgment.undecided_by if cause == "frames"]
        return _scored(None, f"undecided: {', '.join(undecided)}") | {"label": "undecided"}
    why = f"violates {listed}" if listed else "violates no rule"
    return _scored(1 - judgment.score, why) | {"label": judgment.label}


def _graded(rules: Mapping[str, RuleVerdict]) -> JSON:
    """The mean of the rules' scores; none where one of them is undecided."""
    open_ = [name for name, v in rules.items() if v.outcome == "undecided" or v.score is None]
    if open_:
        return _scored(None, f"undecided: {', '.join(open_)}")
    scores = [verdict.score for verdict in rules.values() if verdict.score is not None]
    holds = {"violated": "yes", "not_violated": "no"}
    phrases = (f"{name} {holds[v.outcome]} ({v.score:.2f})" for name, v in rules.items())
    return _scored(sum(scores) / len(scores), ", ".join(phrases))


def _scored(score: float | None, why: str) -> JSON:
    return {"score": score, "level": None if score is None else level(score), "why": why}


def level(score: float) -> int:
    """Write a score in [0, 1] as a level from 1 to 5, each a fifth of the range."""
    return min(LEVELS, 1 + int(LEVELS * score))


def _height(graded: JSON) -> float:
    """The worst picture first; one without a score leaves the image without one."""
    return -1.0 if graded["score"] is None else float(graded["score"])


def _failed(failure: Failure) -> JSON:
    return {"id": failure.id, "error": {"reason": failure.reason, "message": failure.message}}


def _unasked(open_: Mapping[str, str | None]) -> dict[str, JSON]:
    return {
        name: _scored(None, f"not asked: {problem}")
        for name, problem in open_.items()
        if problem is not None
    }


def _record(row: Row, images: Sequence[JSON]) -> JSON:
    return {
        "image": image_name(row.key),
        "label": "annotated",
        "prompt_id": row.id,
        "prompt": row.prompt,
        "images": [
            {"image_id": candidate.id, "image": candidate.image, **record}
            for candidate, record in zip(row.images, images, strict=True)
        ],
    }
