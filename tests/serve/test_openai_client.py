"""`client.moderations.create` of the `openai` package, against the server as it runs."""

from __future__ import annotations

import asyncio
import math
import threading

import openai
import pytest
from live import IMAGES, PER_CLIENT

KEYS = {
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit",
    "illicit/violent", "self-harm", "self-harm/intent", "self-harm/instructions", "sexual",
    "sexual/minors", "violence", "violence/graphic",
}  # fmt: skip
MAPPED = {"violence", "violence/graphic"}
"""Those that rules of `sketch` belong to."""


@pytest.fixture(scope="module")
def client(server, keys):
    _, by_name = keys
    with openai.OpenAI(
        base_url=f"{server.url}/v1", api_key=by_name["shop"], max_retries=0
    ) as client:
        yield client


@pytest.fixture
def asked(web_of):
    """Ask an application that has settings of its own, by the asynchronous client."""

    def ask(*parts, headers=None, **settings):
        async def work():
            async with openai.AsyncOpenAI(
                base_url="http://test/v1",
                api_key="any",
                max_retries=0,
                http_client=web_of(**settings),
            ) as client:
                return await client.moderations.create(input=[*parts], extra_headers=headers)

        return asyncio.run(work())

    return ask


def text(words):
    return {"type": "text", "text": words}


# --- what is found --------------------------------------------------------------------------------


def test_an_unsafe_picture_is_flagged_by_the_rules_that_it_violates(client, unsafe):
    reply = client.moderations.create(input=[unsafe.part], model="omni-moderation-latest")
    (result,) = reply.results
    assert result.flagged is True
    extras = result.categories.model_extra
    assert {rule for rule, violated in extras.items() if violated} == set(unsafe.violations)
    assert all(result.category_scores.model_extra[rule] > 0.5 for rule in unsafe.violations)
    assert result.safejudge["label"] == "unsafe"
    assert reply.coverage["received"] == reply.coverage["judged"] == 1


def test_a_safe_picture_is_not(client, safe):
    (result,) = client.moderations.create(input=[safe.part]).results
    assert result.flagged is False
    assert not any(result.categories.model_dump(by_alias=True).values())
    assert result.safejudge["label"] == "safe"


def test_every_key_is_there_and_has_its_type(client, safe):
    (result,) = client.moderations.create(input=[safe.part]).results
    categories = result.categories.model_dump(by_alias=True)
    scores = result.category_scores.model_dump(by_alias=True)
    kinds = result.category_applied_input_types.model_dump(by_alias=True)
    assert categories.keys() == scores.keys() == kinds.keys()
    assert categories.keys() > KEYS
    # As the package types them: constructing a reply does not check, so this does.
    for model in (
        result.categories, result.category_scores, result.category_applied_input_types
    ):  # fmt: skip
        type(model).model_validate(model.model_dump(by_alias=True))
    assert all(type(value) is bool for value in categories.values())
    assert all(type(value) is float and 0 <= value <= 1 for value in scores.values())
    assert {key for key in KEYS if kinds[key] == ["image"]} == MAPPED
    assert all(kinds[rule] == ["image"] for rule in categories.keys() - KEYS)


def test_a_mapped_key_goes_by_its_rules(client, scenes):
    for scene in scenes:
        (result,) = client.moderations.create(input=[scene.part]).results
        violent = "weapon-aimed" in scene.violations or "masked-and-armed" in scene.violations
        assert result.categories.violence is violent


def test_of_several_pictures_the_worst_counts(client, safe, unsafe):
    reply = client.moderations.create(input=[safe.part, unsafe.part, safe.part])
    (result,) = reply.results
    assert result.flagged is True
    labels = [image["label"] for image in result.safejudge["images"]]
    assert labels == ["safe", "unsafe", "safe"]
    assert reply.coverage["judged"] == 3


def test_a_caption_goes_with_its_picture(client, safe, unsafe):
    for scene in (safe, unsafe):
        reply = client.moderations.create(input=[text("two people in a park"), scene.part])
        assert reply.results[0].flagged is (scene.label == "unsafe")
        assert reply.coverage["captions_unseen"] == 0


def test_the_asynchronous_client_and_others_beside_it(server, keys, scenes):
    _, by_name = keys

    async def work():
        async with openai.AsyncOpenAI(
            base_url=f"{server.url}/v1", api_key=by_name["shop"], max_retries=0
        ) as client:
            asked = [client.moderations.create(input=[scene.part]) for scene in [*scenes] * 2]
            return await asyncio.gather(*asked)

    replies = asyncio.run(work())
    flagged = [reply.results[0].flagged for reply in replies]
    assert flagged == [scene.label == "unsafe" for scene in [*scenes] * 2]
    assert len({reply.id for reply in replies}) == len(replies)


# --- what is not judged ---------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["hello", ["hello", "you"], [text("hello")], [], ""])
def test_text_alone_is_an_error_and_not_innocent(client, words):
    with pytest.raises(openai.UnprocessableEntityError) as error:
        client.moderations.create(input=words)
    assert error.value.code == "no_image"
    assert "this server judges pictures" in str(error.value)


def test_an_unreadable_picture_is_flagged(client, broken, safe):
    for parts in ([broken.part], [safe.part, broken.part]):
        (result,) = client.moderations.create(input=parts).results
        assert result.flagged is True
        assert result.safejudge["label"] == "failed"
        assert result.safejudge["images"][-1]["error"]["code"] == "not_an_image"
        assert not any(result.categories.model_dump(by_alias=True).values())


def test_a_picture_that_stays_undecided_is_flagged(client, noise):
    reply = client.moderations.create(input=[noise.part])
    assert reply.results[0].flagged is True
    assert reply.results[0].safejudge["label"] == "undecided"
    assert reply.coverage["judged"] == 1


def test_a_url_is_not_followed(client):
    part = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/x.png"}}
    (result,) = client.moderations.create(input=[part]).results
    assert result.flagged is True
    assert result.safejudge["label"] == "failed"


@pytest.mark.parametrize("kind", ["noise", "broken"])
def test_error_answers_what_is_not_settled_with_an_error(asked, kind, safe, request):
    picture = request.getfixturevalue(kind)
    for parts in ([picture.part], [safe.part, picture.part]):
        with pytest.raises(openai.UnprocessableEntityError) as error:
            asked(*parts, on_undecided="error")
        assert error.value.code == {"noise": "undecided", "broken": "not_judged"}[kind]


def test_error_lets_an_unsafe_picture_be_flagged(asked, unsafe, broken):
    reply = asked(unsafe.part, broken.part, on_undecided="error")
    assert reply.results[0].flagged is True
    assert reply.results[0].safejudge["label"] == "unsafe"


def test_pass_lets_what_is_undecided_through_and_nothing_that_was_not_judged(asked, noise, broken):
    assert asked(noise.part, on_undecided="pass").results[0].flagged is False
    assert asked(broken.part, on_undecided="pass").results[0].flagged is True
    assert asked(noise.part, broken.part, on_undecided="pass").results[0].flagged is True


# --- who may ask, and how much --------------------------------------------------------------------


@pytest.mark.parametrize("key", ["sj_wrong", "x" * 5000])
def test_a_wrong_key_is_refused(server, safe, key):
    with (
        openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as error,
    ):
        client.moderations.create(input=[safe.part])
    assert error.value.code == "invalid_api_key"


def test_a_key_without_the_role_is_refused(server, keys, safe):
    _, by_name = keys
    with (
        openai.OpenAI(
            base_url=f"{server.url}/v1", api_key=by_name["monitor"], max_retries=0
        ) as client,
        pytest.raises(openai.PermissionDeniedError) as error,
    ):
        client.moderations.create(input=[safe.part])
    assert error.value.code == "missing_role"


def test_too_many_pictures_are_refused(client, safe):
    with pytest.raises(openai.BadRequestError) as error:
        client.moderations.create(input=[safe.part] * (IMAGES + 1))
    assert error.value.code == "too_many_images"


@pytest.mark.parametrize("size", [2**20, 2**24, 2**26])
def test_a_body_too_large_is_told_so_and_not_hung_up_on(client, size):
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * size}}
    with pytest.raises(openai.APIStatusError) as error:
        client.moderations.create(input=[part])
    assert (error.value.status_code, error.value.code) == (413, "body_too_large")


def test_a_client_with_too_much_in_line_is_told_when_to_ask_again(asked, service, safe):
    held = threading.Event()

    def reading():
        assert held.wait(60)
        return iter(())

    line = service.version.front.queue.submit([reading] * PER_CLIENT, client="127.0.0.1")
    with pytest.raises(openai.RateLimitError) as error:
        asked(safe.part)
    for entry in line:
        entry.future.cancel()
    held.set()
    assert error.value.code == "queue_full"
    assert int(error.value.response.headers["retry-after"]) > 0
    # More than may ever be in line: to ask again would not help.
    with pytest.raises(openai.BadRequestError, match="fewer at a time"):
        asked(*[safe.part] * (PER_CLIENT + 1))


@pytest.mark.parametrize("input_", [None, 5, [{"type": "image_url"}], [{"type": "file"}], {}])
def test_what_has_another_form_is_refused(client, input_):
    with pytest.raises(openai.BadRequestError) as error:
        client.moderations.create(input=input_)
    assert error.value.code == "invalid_request"
    assert error.value.param.startswith("input")


def test_a_deadline_is_kept(asked, client, safe):
    with pytest.raises(openai.InternalServerError) as error:
        asked(safe.part, headers={"x-deadline-seconds": "0.000001"})
    assert (error.value.status_code, error.value.code) == (504, "deadline")
    reply = client.moderations.create(input=[safe.part], extra_headers={"x-deadline-seconds": "50"})
    assert reply.results[0].flagged is False


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "nan", "inf", ""])
def test_a_deadline_that_is_none_is_refused(client, safe, seconds):
    with pytest.raises(openai.BadRequestError) as error:
        client.moderations.create(input=[safe.part], extra_headers={"x-deadline-seconds": seconds})
    assert error.value.code == "invalid_deadline"


def test_no_reply_holds_what_json_has_not(client, scenes, noise, broken):
    for scene in (*scenes, noise, broken):
        raw = client.moderations.with_raw_response.create(input=[scene.part])
        assert raw.headers["content-type"] == "application/json"
        scores = raw.parse().results[0].category_scores.model_dump(by_alias=True).values()
        assert all(map(math.isfinite, scores))
