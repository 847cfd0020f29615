"""LiteLLM's proxy as it is released, with our guardrails as litellm.yaml has them.

In front of the proxy the `openai` package; behind it a backend that writes down what reaches it.
"""

from __future__ import annotations

import base64
import copy
import os

import openai
import pytest
import yaml
from live import SKETCH, Live
from proxied import FILES, Backend, Handler, Proxy, serving

pytestmark = pytest.mark.litellm
IMAGES, PER_CLIENT = 3, 2


@pytest.fixture(scope="module")
def command():
    if "LITELLM" not in os.environ:
        pytest.skip("needs LiteLLM's proxy: make test-litellm")
    return os.environ["LITELLM"]


@pytest.fixture(scope="module")
def behind(command):
    backend = Backend()
    with serving(backend.handler()) as server:
        backend.url = f"http://127.0.0.1:{server.server_port}/v1"
        yield backend


@pytest.fixture
def backend(behind):
    """A backend that has not been asked yet."""
    behind.asked.clear()
    behind.picture = None
    return behind


@pytest.fixture(scope="module")
def judge(command, cache, keys):
    """A server for the proxies; a test may end it."""
    path, _ = keys
    limits = ("--max-images", str(IMAGES), "--max-per-client", str(PER_CLIENT))
    with Live(*SKETCH, "--keys", str(path), *limits, cache=cache) as live:
        yield live


@pytest.fixture(scope="module")
def proxies(command, judge, behind, keys, tmp_path_factory):
    """Clients of two proxies: with the file as it is, and with LiteLLM's own guardrail alone."""
    _, by_name = keys
    ours = yaml.safe_load((FILES / "litellm.yaml").read_text())
    own = copy.deepcopy(ours)
    own["guardrails"] = [one for one in ours["guardrails"] if one["guardrail_name"] == "safejudge"]
    own["guardrails"][0]["litellm_params"]["default_on"] = True
    addresses = {
        "SAFEJUDGE_URL": judge.url,
        "SAFEJUDGE_KEY": by_name["shop"],
        "OPENAI_API_BASE": behind.url,
        "OPENAI_API_KEY": "none",
    }
    started = []
    try:
        for config in (ours, own):
            folder = tmp_path_factory.mktemp("proxy")
            started.append(Proxy(command, folder, config, addresses))
        clients = [proxy.wait() for proxy in started]
        yield dict(zip(("ours", "own"), clients, strict=True))
        for client in clients:
            client.close()
    finally:
        for proxy in started:
            proxy.end()


@pytest.fixture(params=["ours", "own"])
def client(request, proxies):
    return proxies[request.param]


@pytest.fixture
def ours(proxies):
    return proxies["ours"]


WORDS = {"type": "text", "text": "what is this?"}


def ask(client, *content, **more):
    """Ask a model about parts; return what it said."""
    messages = [{"role": "user", "content": [*content]}]
    return client.chat.completions.create(model="m", messages=messages, **more)


def refused(client, *content, **more):
    """Ask, and return the error that is answered with."""
    with pytest.raises(openai.APIStatusError) as error:
        ask(client, *content, **more)
    return error.value


# --- on the way to a model ------------------------------------------------------------------------


def test_a_safe_picture_reaches_the_model(client, backend, safe):
    assert ask(client, WORDS, safe.part).choices[0].message.content == "hello"
    (asked,) = backend.asked
    assert asked["messages"][0]["content"][1]["image_url"]["url"] == safe.url


def test_text_alone_reaches_the_model(client, backend):
    assert ask(client, WORDS).choices[0].message.content == "hello"
    messages = [{"role": "user", "content": "hello"}]
    client.chat.completions.create(model="m", messages=messages)
    assert len(backend.asked) == 2


def test_an_unsafe_picture_does_not(client, backend, safe, unsafe):
    for parts in ([WORDS, unsafe.part], [WORDS, safe.part, unsafe.part]):
        error = refused(client, *parts)
        assert error.status_code == 400
        assert "an image violates a rule: weapons" in str(error)
    assert not backend.asked


def test_nor_does_one_that_was_not_judged_or_stays_undecided(client, backend, broken, noise):
    assert "could not be judged" in str(refused(client, WORDS, broken.part))
    assert "could not be settled" in str(refused(client, WORDS, noise.part))
    address = {"type": "image_url", "image_url": {"url": "https://127.0.0.1:9/x.png"}}
    assert "could not be judged" in str(refused(client, WORDS, address))
    assert not backend.asked


def test_nor_do_more_than_the_judge_takes(client, backend, scenes):
    parts = [scene.part for scene in scenes if scene.label == "safe"]
    assert len(parts) > IMAGES > PER_CLIENT
    assert "400" in str(refused(client, WORDS, *parts))  # too_many_images
    assert "400" in str(refused(client, WORDS, *parts[:IMAGES]))  # never in line
    assert not backend.asked
    assert ask(client, WORDS, *parts[:PER_CLIENT]).choices[0].message.content == "hello"


def test_a_picture_alone_is_judged(ours, backend, safe, unsafe):
    assert "violates a rule" in str(refused(ours, unsafe.part))
    assert not backend.asked
    assert ask(ours, safe.part).choices[0].message.content == "hello"


def test_litellms_own_guardrail_asks_nobody_about_a_picture_alone(proxies, backend, unsafe):
    # The reason why there is one of ours. Where this fails, LiteLLM has learnt to ask.
    assert ask(proxies["own"], unsafe.part).choices[0].message.content == "hello"
    assert len(backend.asked) == 1


def test_pictures_are_found_in_whatever_form_they_have(ours, backend, unsafe):
    encoded = unsafe.url.partition(",")[2]
    parts = (
        {"type": "image_url", "image_url": unsafe.url},
        {"type": "file", "file": {"file_data": unsafe.url, "filename": "x.png"}},
    )
    for part in parts:
        assert "violates a rule" in str(refused(ours, WORDS, part))
    with pytest.raises(openai.BadRequestError):
        ours.responses.create(
            model="m",
            input=[{"role": "user", "content": [{"type": "input_image", "image_url": unsafe.url}]}],
        )
    source = {"type": "base64", "media_type": "image/png", "data": encoded}
    with pytest.raises(openai.BadRequestError):
        ours.post(
            "/messages",
            cast_to=object,
            body={
                "model": "m",
                "max_tokens": 5,
                "messages": [{"role": "user", "content": [{"type": "image", "source": source}]}],
            },
        )
    assert not backend.asked


# --- on the way back ------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_a_picture_that_a_model_made_is_judged(ours, backend, safe, unsafe, stream):
    backend.picture = safe.url
    assert safe.url in str([*ask(ours, WORDS, stream=stream)])
    backend.picture = unsafe.url
    with pytest.raises(openai.APIError, match="violates a rule"):
        [*ask(ours, WORDS, stream=stream)]
    assert len(backend.asked) == 2


def test_a_picture_of_an_image_model_is_judged(ours, backend, safe, unsafe):
    backend.picture = safe.url
    reply = ours.images.generate(model="m", prompt="a meadow")
    assert base64.b64decode(reply.data[0].b64_json) == safe.png
    backend.picture = unsafe.url
    with pytest.raises(openai.APIStatusError, match="violates a rule"):
        ours.images.generate(model="m", prompt="a meadow")


def test_litellms_own_guardrail_asks_nobody_about_pictures_of_models(proxies, backend, unsafe):
    backend.picture = unsafe.url
    assert ask(proxies["own"], WORDS).choices[0].message.images[0]["image_url"]["url"] == unsafe.url
    assert proxies["own"].images.generate(model="m", prompt="a meadow").data[0].b64_json


# --- the judge is gone; the last tests, because it stays away -------------------------------------


class Wrong(Handler):
    """Stands where the judge was, and does not judge."""

    reply = (503, {"error": {"message": "no engine", "type": "server_error"}})

    def do_POST(self):  # noqa: N802 - the name of the standard library
        self.body()
        self.answer(*self.reply)


def test_nothing_passes_without_the_judge(proxies, judge, backend, safe):
    assert judge.end() == 0
    for client in proxies.values():
        refused(client, WORDS, safe.part)
        refused(client, WORDS)
    refused(proxies["ours"], safe.part)
    with serving(Wrong, judge.port):
        for client in proxies.values():
            assert "503" in str(refused(client, WORDS, safe.part))
        for reply in ((200, {}), (200, []), (200, b"<html>"), (200, {"action": None})):
            Wrong.reply = reply
            refused(proxies["ours"], WORDS, safe.part)
    assert not backend.asked
