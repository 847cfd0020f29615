"""What a monitoring system reads of a server: counters, histograms and gauges of Prometheus.

`images_received` stands beside `images_judged`: what was taken for checked without a look shows as
a gap. Nothing is labelled by image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from safejudge.engines.meter import IMAGES, STAGES
from safejudge.types import Failure, Reasoning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from safejudge.types import Decision, Judgment, Result, RuleVerdict

_SHARES = tuple(n / 20 for n in range(1, 21))
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Everything that one server counts."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"safejudge_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
            return Histogram(f"safejudge_{name}", text, labels, buckets=buckets, registry=registry)

        self._received = counter("images_received", "Images that came in.")
        self._judged = counter("images_judged", "Images that were looked at.")
        self._images = counter("images", "Images by what came of them.", "label")
        self._failures = counter(
            "failures", "Images that could not be judged, by reason.", "reason"
        )
        self._actions = counter("actions", "Images by what thresholds say.", "action")
        self._outcomes = counter(
            "rule_outcomes", "Outcomes of rules, over all images.", "rule", "outcome"
        )
        self._questions = counter("questions", "Requests to models, by stage.", "stage")
        self._reasoning = counter("reasoning", "Replies that were reasoned.")
        self._seconds = histogram(
            "seconds",
            "Seconds of work, by stage; a wave of requests is one observation.",
            _SECONDS,
            "stage",
        )
        self._mass = histogram("label_mass", "P(yes) + P(no) of questions about pictures.", _SHARES)
        self._score = histogram("score", "Scores of rules that were asked.", _SHARES, "rule")
        self._requests = counter("requests", "Requests by route and status.", "route", "status")
        self._refused = counter(
            "requests_refused", "Requests that were not judged because too much waited."
        )
        self._shadowed = counter(
            "shadow_images",
            "Images that a shadow judged, by what it says and whether that is another label.",
            "variant",
            "label",
            "differs",
        )
        self._dropped = counter(
            "shadow_dropped", "Images that a shadow was to judge and had no time for.", "variant"
        )
        for label in ("safe", "unsafe", "undecided", "failed"):
            self._images.labels(label)

    def watch(self, load: Callable[[], tuple[int, int]], problem: Callable[[], str | None]) -> None:
        """Show how many images wait and are under way, and whether the server judges."""
        waiting = Gauge("safejudge_queue_depth", "Images that wait.", registry=self.registry)
        running = Gauge("safejudge_under_way", "Images under way.", registry=self.registry)
        ready = Gauge("safejudge_ready", "1 while the engine answers.", registry=self.registry)
        waiting.set_function(lambda: load()[0])
        running.set_function(lambda: load()[1])
        ready.set_function(lambda: float(problem() is None))

    def received(self, images: int) -> None:
        """Count images that came in."""
        self._received.inc(images)

    def requested(self, route: str, status: int) -> None:
        """Count a request that was answered."""
        self._requests.labels(route, str(status)).inc()
        if status == 429:
            self._refused.inc()

    def worked(self, stage: str, seconds: float, requests: int) -> None:
        """Count a stretch of work; see `Meter.told`."""
        self._seconds.labels(stage).observe(seconds)
        if stage != IMAGES:
            self._questions.labels(stage).inc(requests)
        if stage.startswith(STAGES[Reasoning]):
            self._reasoning.inc(requests)

    def answered(
        self,
        results: Iterable[Result],
        decisions: Iterable[Decision | None],
        waited: Iterable[float | None],
    ) -> None:
        """Count what came of the images of one request; `waited` in seconds."""
        for seconds in waited:
            if seconds is not None:
                self._seconds.labels("waiting").observe(seconds)
        for result, decision in zip(results, decisions, strict=True):
            if decision is not None:
                self._actions.labels(decision.action).inc()
            if isinstance(result, Failure):
                self._images.labels("failed").inc()
                self._failures.labels(result.reason).inc()
            else:
                self._judged.inc()
                self._images.labels(result.label).inc()
                self._rules(result)

    def _rules(self, judgment: Judgment) -> None:
        for rule, verdict in judgment.rules.items():
            self._outcomes.labels(rule, verdict.outcome).inc()
            if verdict.score is not None:
                self._score.labels(rule).observe(verdict.score)
            for mass in _masses(verdict):
                self._mass.observe(mass)

    def shadowed(self, variant: str, before: Result, after: Result) -> None:
        """Count an image that a shadow judged, too."""
        was, now = (r.reason if isinstance(r, Failure) else r.label for r in (before, after))
        label = "failed" if isinstance(after, Failure) else now
        self._shadowed.labels(variant, label, str(was != now).lower()).inc()

    def shadow_dropped(self, variant: str) -> None:
        """Count an image that a shadow had no time for."""
        self._dropped.labels(variant).inc()

    def text(self) -> bytes:
        """Write everything in the text form of Prometheus."""
        return generate_latest(self.registry)


def _masses(verdict: RuleVerdict) -> Iterable[float]:
    for precondition in verdict.preconditions:
        for answer in precondition.answers:
            for read in answer.reads:
                if read.view != "no_image":
                    yield read.label_mass
