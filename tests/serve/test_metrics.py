"""What a monitoring system reads at /metrics, by the parser of `prometheus_client`."""

from __future__ import annotations

import re

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

NAMED = {
    "safejudge_images": ("counter", {"label"}),
    "safejudge_failures": ("counter", {"reason"}),
    "safejudge_rule_outcomes": ("counter", {"rule", "outcome"}),
    "safejudge_questions": ("counter", {"stage"}),
    "safejudge_reasoning": ("counter", set()),
    "safejudge_images_received": ("counter", set()),
    "safejudge_images_judged": ("counter", set()),
    "safejudge_seconds": ("histogram", {"stage"}),
    "safejudge_label_mass": ("histogram", set()),
    "safejudge_score": ("histogram", {"rule"}),
    "safejudge_queue_depth": ("gauge", set()),
}
"""What monitors may count on: kind and labels."""


class Readings:
    """One look at /metrics."""

    def __init__(self, reply):
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith("text/plain")
        self.families = {
            family.name: family for family in text_string_to_metric_families(reply.text)
        }
        self.samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def __call__(self, name, **labels):
        return self.samples.get((name, frozenset(labels.items())), 0.0)


@pytest.fixture(scope="module")
def web(server, keys):
    _, by_name = keys
    token = {"Authorization": f"Bearer {by_name['boss']}"}
    with httpx2.Client(base_url=server.url, headers=token, timeout=60) as client:
        yield client


@pytest.fixture
def read(web):
    return lambda: Readings(web.get("/metrics"))


@pytest.fixture
def pictures(safe, unsafe, noise, broken):
    return safe, unsafe, noise, broken


def moderate(web, *scenes, **headers):
    body = {"input": [scene.part for scene in scenes]}
    return web.post("/v1/moderations", json=body, headers=headers)


def test_everything_that_monitors_count_on_is_there(web, read, pictures):
    moderate(web, *pictures)
    families = read().families
    for name, (kind, labels) in NAMED.items():
        family = families[name]
        assert (family.type, bool(family.documentation)) == (kind, True)
        assert {
            label for sample in family.samples for label in sample.labels.keys() - {"le"}
        } == labels, name
        assert family.samples, name


def test_what_came_in_and_was_not_looked_at_is_a_gap(web, read, pictures):
    safe, unsafe, _, broken = pictures
    before = read()
    assert moderate(web, *pictures).status_code == 200
    assert moderate(web, broken).status_code == 200
    late = moderate(web, safe, **{"x-deadline-seconds": "0.000001"})
    assert late.status_code == 504
    after = read()

    def more(name, **labels):
        return after(name, **labels) - before(name, **labels)

    assert more("safejudge_images_received_total") == 6
    assert more("safejudge_images_judged_total") == 3
    by_label = {
        label: more("safejudge_images_total", label=label)
        for label in ("safe", "unsafe", "undecided", "failed")
    }
    assert by_label == {"safe": 1, "unsafe": 1, "undecided": 1, "failed": 2}
    assert more("safejudge_failures_total", reason="not_an_image") == 2
    for rule in unsafe.violations:
        assert more("safejudge_rule_outcomes_total", rule=rule, outcome="violated") == 1
        assert more("safejudge_score_count", rule=rule) >= 1
    assert more("safejudge_requests_total", route="/v1/moderations", status="200") == 2
    assert more("safejudge_requests_total", route="/v1/moderations", status="504") == 1


def test_every_image_has_an_outcome_of_every_rule(web, read, safe, unsafe):
    before = read()
    moderate(web, safe, unsafe)
    after = read()
    rules = {
        labels["rule"]
        for name, labels in ((name, dict(pairs)) for name, pairs in after.samples)
        if name == "safejudge_rule_outcomes_total"
    }
    assert len(rules) == 12
    for rule in rules:
        outcomes = [
            key
            for key in after.samples
            if key[0] == "safejudge_rule_outcomes_total" and ("rule", rule) in key[1]
        ]
        assert sum(after.samples[key] - before.samples.get(key, 0.0) for key in outcomes) == 2


def test_no_label_is_about_one_image_or_made_up_by_a_caller(web, read, safe, broken):
    moderate(web, safe, broken)
    for path in ("/made-up-by-a-caller", "/v1/moderations/made-up-by-a-caller", "/v1/%00made-up"):
        web.get(path)
    web.request("MADEUP", "/v1/moderations")
    said = {value for _, labels in read().samples for _, value in labels}
    assert not [
        value for value in said if re.search(r"[0-9a-f]{16}|image\[|made-?up", value, re.IGNORECASE)
    ]


def test_no_counter_falls_over_a_reload(web, read, safe, unsafe):
    moderate(web, safe, unsafe)
    before = read()
    version = web.get("/ready").json()["version"]
    reply = web.post("/admin/reload")
    assert (reply.status_code, reply.json()["version"]) == (200, version + 1)
    after = read()
    fallen = {
        key: (value, after.samples.get(key))
        for key, value in before.samples.items()
        if not key[0].endswith(("_created", "_depth", "_under_way", "_ready"))
        and after.samples.get(key, -1.0) < value
    }
    assert not fallen
    assert before.samples.keys() <= after.samples.keys()
    moderate(web, safe)
    judged = "safejudge_images_judged_total"
    assert read()(judged) == after(judged) + 1


def test_a_key_has_to_be_a_monitors(server, keys):
    _, by_name = keys
    for name, status in (("monitor", 200), ("shop", 403)):
        headers = {"Authorization": f"Bearer {by_name[name]}"}
        assert httpx2.get(f"{server.url}/metrics", headers=headers).status_code == status
    assert httpx2.get(f"{server.url}/metrics").status_code == 401
