"""OpenTelemetry: one event per rule that was judged, on the span of the request.

Does nothing where `opentelemetry-api` is not installed or nothing records. Names are those of the
semantic conventions for generative AI (event `gen_ai.evaluation.result`).
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from safejudge.types import Failure

try:
    from opentelemetry import trace
except ImportError:  # nobody watches
    trace = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from safejudge.serve.service import Answered

EVENT = "gen_ai.evaluation.result"


def span(name: str) -> AbstractContextManager[Any]:
    """Open a span around what follows, where spans are recorded."""
    return nullcontext() if trace is None else _span(name)


@contextmanager
def _span(name: str) -> Iterator[Any]:
    with trace.get_tracer("safejudge").start_as_current_span(name) as current:
        yield current


def told(answered: Answered) -> None:
    """Write the outcome of every rule that was asked on the current span."""
    if trace is None:
        return
    current = trace.get_current_span()
    if not current.is_recording():
        return
    covered = answered.coverage
    current.set_attributes(
        {
            "safejudge.constitution": covered.constitution,
            "safejudge.policy": covered.policy,
            "gen_ai.request.model": covered.model,
            "safejudge.images.received": covered.received,
            "safejudge.images.judged": covered.judged,
        }
    )
    for place, result in enumerate(answered.results):
        if isinstance(result, Failure):
            failed = {"gen_ai.evaluation.name": "safejudge", "error.type": result.reason}
            current.add_event(EVENT, failed | {"safejudge.image": place})
            continue
        for rule, verdict in result.rules.items():
            if verdict.score is not None:
                current.add_event(
                    EVENT,
                    {
                        "gen_ai.evaluation.name": rule,
                        "gen_ai.evaluation.score.value": verdict.score,
                        "gen_ai.evaluation.score.label": verdict.outcome,
                        "safejudge.image": place,
                        "safejudge.image.id": result.id,
                    },
                )
