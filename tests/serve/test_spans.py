"""What OpenTelemetry is told: an event per rule that was asked, and why an image was not judged."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from safejudge.serve import spans

EVENT = "gen_ai.evaluation.result"
NAME, SCORE, LABEL = (
    f"gen_ai.evaluation.{part}" for part in ("name", "score.value", "score.label")
)


@pytest.fixture
def exporter(monkeypatch):
    """Keeps spans; a provider of this test alone, because a process may set one only once."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    return kept


@pytest.fixture
def judge(web_of):
    """Have pictures judged, and return the status of the reply."""

    def ask(*scenes, headers=None):
        async def work():
            async with web_of() as web:
                # Files of a form are there: nothing has to be read before they are judged.
                files = [("image", ("a.png", scene.png)) for scene in scenes]
                return await web.post("/v1/judge", files=files, headers=headers)

        return asyncio.run(work())

    return ask


def spans_of(exporter):
    return [span for span in exporter.get_finished_spans() if span.name == "safejudge.judge"]


def test_every_rule_that_was_asked_is_an_event_with_its_score_and_its_label(
    exporter, judge, safe, unsafe
):
    told = judge(safe, unsafe).json()
    (span,) = spans_of(exporter)
    assert {event.name for event in span.events} == {EVENT}
    said = {
        (event.attributes["safejudge.image"], event.attributes[NAME]): event.attributes
        for event in span.events
    }
    assert len(said) == len(span.events)
    asked = {
        (place, rule): (verdict, result["id"])
        for place, result in enumerate(told["results"])
        for rule, verdict in result["rules"].items()
        if verdict["outcome"] != "not_relevant"
    }
    assert said.keys() == asked.keys()
    for key, event in said.items():
        verdict, image = asked[key]
        assert event[SCORE] == pytest.approx(verdict["score"])
        assert event[LABEL] == verdict["outcome"]
        assert event["safejudge.image.id"] == image
        assert "error.type" not in event
    assert span.attributes["safejudge.images.received"] == 2
    assert span.attributes["safejudge.images.judged"] == 2
    assert span.attributes["safejudge.constitution"] == told["coverage"]["constitution"]
    assert span.attributes["gen_ai.request.model"] == "hf:sketch"


def test_a_rule_that_stays_undecided_is_an_event_too(exporter, judge, noise):
    told = judge(noise).json()
    (span,) = spans_of(exporter)
    outcomes = Counter(verdict["outcome"] for verdict in told["results"][0]["rules"].values())
    assert outcomes == {"undecided": 12}
    assert Counter(event.attributes[LABEL] for event in span.events) == outcomes


def test_an_image_that_was_not_judged_says_why(exporter, judge, safe, broken):
    judge(broken, safe)
    (span,) = spans_of(exporter)
    (failed,) = [event for event in span.events if event.attributes["safejudge.image"] == 0]
    assert failed.name == EVENT
    assert failed.attributes["error.type"] == "not_an_image"
    assert not {SCORE, LABEL} & failed.attributes.keys()
    assert span.attributes["safejudge.images.judged"] == 1


def test_a_request_that_was_given_up_says_why(exporter, judge, safe):
    assert judge(safe, headers={"x-deadline-seconds": "0.000001"}).status_code == 504
    (span,) = spans_of(exporter)
    assert span.status.status_code is trace.StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]
    assert span.events[0].attributes["exception.type"].endswith("DeadlineError")


def test_nothing_is_written_down_where_nothing_records(judge, safe):
    assert judge(safe).status_code == 200


def test_nothing_breaks_where_the_package_is_absent(monkeypatch, judge, safe):
    monkeypatch.setattr(spans, "trace", None)
    assert judge(safe).status_code == 200
    blocked = "import sys; sys.modules['opentelemetry'] = None; import safejudge.serve.spans as s; "
    subprocess.run(
        [sys.executable, "-c", f"{blocked} assert s.trace is None"], check=True, timeout=300
    )
