"""The OpenAPI document: its examples are answered, and every reply is what it says."""

from __future__ import annotations

import asyncio
import json

import pytest
import schema_fuzz

CALLS = 150


@pytest.fixture(scope="module")
def document(web_of):
    async def work():
        async with web_of() as web:
            reply = await web.get("/openapi.json")
            assert reply.status_code == 200
            return reply.json()

    return asyncio.run(work())


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_every_example_is_answered(document, web_of, safe):
    sent = []

    async def work():
        async with web_of() as web:
            for method, path, operation in operations(document):
                content = operation.get("requestBody", {}).get("content", {})
                for example in content.get("application/json", {}).get("examples", {}).values():
                    reply = await web.request(method, path, json=example["value"])
                    assert reply.is_success, f"{path}: {reply.text}"
                    assert str(reply.status_code) in operation["responses"]
                    told = reply.json().get("coverage")
                    assert told is None or told["judged"] == told["received"] == 1, path
                    sent.append(path)
                if "multipart/form-data" in content:
                    form = {"files": {"image": safe.png}, "data": {"caption": "two people"}}
                    reply = await web.request(method, path, **form)
                    assert reply.status_code == 200, reply.text

    asyncio.run(work())
    with_body = {path for _, path, operation in operations(document) if "requestBody" in operation}
    assert set(sent) == with_body


def test_every_operation_says_what_it_refuses_and_in_which_form(document):
    for method, path, operation in operations(document):
        replies = operation["responses"]
        assert {"401", "403", "413", "429"} <= replies.keys(), path
        for status, reply in replies.items():
            schema = reply["content"].popitem()[1]["schema"]
            if int(status) >= 400:
                assert schema == {"$ref": "#/components/schemas/FaultReply"}, (method, path, status)


def test_nothing_refers_to_what_is_not_there(document):
    names = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}

    def references(node):
        if isinstance(node, dict):
            yield from (value for key, value in node.items() if key == "$ref")
        if isinstance(node, dict | list):
            for value in node.values() if isinstance(node, dict) else node:
                yield from references(value)

    assert set(references(document)) <= names


def test_a_request_made_up_from_the_document_is_answered_as_it_says(service):
    tally = schema_fuzz.fuzz(schema_fuzz.app_of(service), schema_fuzz.pool(), CALLS, seed=1)
    assert not tally.faults, tally.faults[0]
    statuses = {status for _, status in tally.statuses}
    assert {200, 400, 422} <= statuses
    assert sum(tally.looked.values()) > 10
    assert sum(tally.unseen.values()) > 10


def test_the_check_of_harmless_replies_knows_one():
    seen = {"received": 1, "judged": 0, "failed": 1}
    harmless = (
        {"action": "NONE"},
        {"results": [{"flagged": False}]},
        {"results": [{"label": "fire", "score": 0.0}]},
        {"answers": {"fire": {"noul": 0.0}}},
        {"results": [{"label": "safe", "image": "x"}]},
    )
    for told in harmless:
        assert schema_fuzz.is_harmless(told), told
    harmful = (
        {"action": "BLOCKED"},
        {"results": [{"flagged": True}]},
        {"results": [{"error": "unreadable", "image": "x"}]},
    )
    for told in harmful:
        assert not schema_fuzz.is_harmless(told), json.dumps(seen | told)
