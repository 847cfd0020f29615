"""What LiteLLM's guardrails are answered: an action, always; and every picture is found."""

from __future__ import annotations

import asyncio

import pytest

ROUTE = "/beta/litellm_basic_guardrail_api"


@pytest.fixture
def ask(web_of):
    """Send a body, and return the reply."""

    def send(body, **settings):
        async def work():
            async with web_of(**settings) as web:
                return await web.post(ROUTE, json=body)

        return asyncio.run(work())

    return send


@pytest.fixture
def action(ask):
    """Send a body, and return what is to be done, and how many pictures were found."""

    def send(body, **settings):
        reply = ask(body, **settings)
        assert reply.status_code == 200
        told = reply.json()
        return told["action"], told["coverage"]["received"]

    return send


def test_a_call_without_pictures_passes(action):
    assert action({"texts": ["hello"], "images": None}) == ("NONE", 0)
    rows = [{"role": "user", "content": "hello"}]
    assert action({"texts": ["hello"], "structured_messages": rows}) == ("NONE", 0)


@pytest.mark.parametrize("kind", ["request", "response"])
def test_pictures_alone_are_judged(action, safe, unsafe, kind):
    for images, expected in (([safe.url], "NONE"), ([safe.url, unsafe.url], "BLOCKED")):
        assert action({"input_type": kind, "images": images}) == (expected, len(images))


def test_a_picture_that_stands_there_twice_is_judged_once(action, safe):
    row = {"role": "user", "content": [safe.part]}
    assert action({"images": [safe.url], "structured_messages": [row]}) == ("NONE", 1)


def test_every_form_of_a_picture_is_found(action, unsafe):
    encoded = unsafe.url.partition(",")[2]
    png = {"type": "base64", "media_type": "image/png", "data": encoded}
    forms = (
        {"type": "image_url", "image_url": {"url": unsafe.url}},
        {"type": "image_url", "image_url": unsafe.url},
        {"type": "input_image", "image_url": unsafe.url},
        {"type": "file", "file": {"file_data": unsafe.url}},
        {"type": "image", "source": png},
        {"type": "tool_result", "content": [{"type": "image", "source": png}]},
        {"inlineData": {"mimeType": "image/png", "data": encoded}},
        {"inline_data": {"mime_type": "image/png", "data": encoded}},
        {"data": [{"b64_json": encoded, "url": None}]},
        {"unheard_of": unsafe.url.replace("data:image", "DATA:Image")},
    )
    for form in forms:
        rows = [{"role": "user", "content": [form]}]
        assert action({"structured_messages": rows}) == ("BLOCKED", 1), form


def test_a_picture_that_cannot_be_had_here_blocks(ask):
    forms = (
        {"type": "input_image", "file_id": "file-1"},
        {"type": "image", "source": {"type": "file", "file_id": "file-1"}},
        {"type": "image", "source": {"type": "url", "url": "https://127.0.0.1:9/x.png"}},
        {"data": [{"b64_json": None, "url": "https://127.0.0.1:9/x.png"}]},
    )
    for form in forms:
        told = ask({"structured_messages": [form]}, on_undecided="pass").json()
        assert told["action"] == "BLOCKED", form
        assert told["blocked_reason"] == "an image could not be judged"
        assert (told["coverage"]["received"], told["coverage"]["judged"]) == (1, 0)


def test_what_a_person_writes_is_no_picture(action, unsafe):
    parts = [{"type": "text", "text": unsafe.url}]
    rows = [{"role": "user", "content": parts}, {"role": "user", "content": unsafe.url}]
    assert action({"structured_messages": rows}) == ("NONE", 0)


def test_undecided_goes_by_the_setting_and_a_failure_does_not(action, noise, broken):
    expected = {"flag": "BLOCKED", "error": "BLOCKED", "pass": "NONE"}
    for on_undecided, said in expected.items():
        assert action({"images": [noise.url]}, on_undecided=on_undecided) == (said, 1)
        assert action({"images": [broken.url]}, on_undecided=on_undecided) == ("BLOCKED", 1)


def test_the_reason_names_categories_and_nothing_of_the_picture(ask, unsafe):
    told = ask({"images": [unsafe.url]}).json()
    assert told["blocked_reason"] == "an image violates a rule: weapons"


def test_a_conversation_may_be_as_deep_as_json_can_be_read(web_of):
    async def work():
        async with web_of() as web:
            for depth, status in ((900, 200), (200_000, 400)):
                body = '{"structured_messages": ' + "[" * depth + "]" * depth + "}"
                reply = await web.post(
                    ROUTE, content=body, headers={"content-type": "application/json"}
                )
                assert reply.status_code == status, reply.text

    asyncio.run(work())
