"""Judge whether images are safe, by rules that people write.

    from safejudge import Judge

    with Judge.load("sketch", "hf:sketch") as judge:
        for result in judge(["a.png", "b.png"]):
            print(result)

Everything public is listed in `__all__`. Importing the package loads no model library.
"""

from safejudge.constitution.load import load_constitution
from safejudge.engines.priors import PriorCache
from safejudge.errors import (
    ConstitutionError,
    EngineCallError,
    EngineError,
    EngineSetupError,
    ImageError,
    InputError,
    OutputError,
    PolicyError,
    SafejudgeError,
    StatementError,
)
from safejudge.images.series import Series
from safejudge.judge import Judge
from safejudge.matching.match import match
from safejudge.policy import Policy
from safejudge.types import (
    AllOf,
    AnyOf,
    Constitution,
    Failure,
    Judgment,
    NoneOf,
    Outcome,
    Precondition,
    PreconditionVerdict,
    Result,
    Rule,
    RuleVerdict,
    Severity,
    StepVerdict,
)

__all__ = [
    "AllOf",
    "AnyOf",
    "Constitution",
    "ConstitutionError",
    "EngineCallError",
    "EngineError",
    "EngineSetupError",
    "Failure",
    "ImageError",
    "InputError",
    "Judge",
    "Judgment",
    "NoneOf",
    "Outcome",
    "OutputError",
    "Policy",
    "PolicyError",
    "Precondition",
    "PreconditionVerdict",
    "PriorCache",
    "Result",
    "Rule",
    "RuleVerdict",
    "SafejudgeError",
    "Series",
    "Severity",
    "StatementError",
    "StepVerdict",
    "load_constitution",
    "match",
]
