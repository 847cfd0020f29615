"""A picture that is not looked at is never taken for one that was: bodies, forms, conversations."""

import asyncio
import base64
import json

import pytest

from safejudge.serve.examples import SCENE
from safejudge.serve.pictures import pictures_in

BASE64 = SCENE.partition(",")[2]
URL = f"data:image/png;base64,{BASE64}"
KIND = {"mime_type": "Image/PNG"}


@pytest.mark.parametrize(
    ("node", "found"),
    [
        # OpenAI's chat, responses, image models; a stream's pieces
        ({"type": "image_url", "image_url": {"url": "https://a.example/b"}}, "https://a.example/b"),
        ({"type": "input_image", "image_url": URL}, URL),
        ({"type": "input_image", "file_id": "file-1"}, "file:file-1"),
        ({"type": "image_generation_call", "result": BASE64}, BASE64),
        ({"partial_image_b64": BASE64}, BASE64),
        ({"data": [{"b64_json": BASE64}]}, BASE64),
        ({"data": [{"b64_json": None, "url": "https://a.example/b"}]}, "https://a.example/b"),
        # lists of bare strings: edits, embeddings, Ollama
        ({"image": [URL]}, URL),
        ({"image": "https://a.example/b"}, "https://a.example/b"),
        ({"input": [URL]}, URL),
        ({"images": [BASE64]}, BASE64),
        ([[URL]], URL),
        # Anthropic, Bedrock, Google
        ({"type": "image", "source": {"type": "base64", "data": BASE64}}, BASE64),
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, "file:f"),
        ({"image": {"format": "png", "source": {"bytes": BASE64}}}, BASE64),
        ({"image": {"source": {"s3Location": {"uri": "s3://a/b"}}}}, "s3://a/b"),
        ({"inlineData": {"mimeType": "IMAGE/PNG", "data": "x"}}, "x"),
        ({"file_data": {**KIND, "file_uri": "gs://a/b"}}, "gs://a/b"),
        # files that are pictures by their kind, their name or their bytes
        (
            {"file": {"file_id": "https://a.example/b", "format": "image/png"}},
            "https://a.example/b",
        ),
        ({"file": {"file_id": "gs://a/b.JPG"}}, "gs://a/b.JPG"),
        ({"file": {"file_id": "f", "filename": "b.png"}}, "file:f"),
        ({"file": {"file_data": BASE64}}, BASE64),
        ({"any": f"data:;base64,{BASE64}"}, f"data:;base64,{BASE64}"),
        ({"any": f"data:application/pdf;base64,{BASE64}"}, f"data:application/pdf;base64,{BASE64}"),
        ({"any": f"\n {URL}"}, f"\n {URL}"),
        ({"any": "data:IMAGE/x,nothing"}, "data:IMAGE/x,nothing"),
    ],
)
def test_a_picture_is_found_whoevers_form_it_has(node, found):
    for deep in (node, {"messages": [{"role": "user", "content": [node]}]}):
        assert set(pictures_in(deep)) == {found}


@pytest.mark.parametrize(
    "node",
    [
        {"role": "user", "content": URL},
        {"type": "text", "text": URL},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0xLjcK"}},
        {"type": "video_url", "video_url": {"url": "https://a.example/b.mp4"}},
        {"annotations": [{"type": "url_citation", "url": "https://a.example/b.png"}]},
        {"input": {"image": "nginx:latest", "images": ["a", "b"]}},
        {"signature": base64.b64encode(bytes(range(200))).decode()},
        {"image_url": "", "image": None, "type": ["image"], "mime_type": 3, "data": 1.5},
        ["https://a.example/b.png", "words", None, 3],
    ],
)
def test_words_links_and_documents_are_no_pictures(node):
    assert list(pictures_in({"messages": [node]})) == []


@pytest.fixture
def post(web_of):
    def ask(route, **body):
        async def work():
            async with web_of() as web:
                return await web.post(route, **body)

        return asyncio.run(work())

    return ask


def part(scene):
    return json.dumps({"type": "image_url", "image_url": {"url": scene.url}})


@pytest.mark.parametrize(
    ("route", "text"),
    [
        ("/v1/moderations", '{{"input": [{bad}], "input": [{good}]}}'),
        ("/v1/judge", '{{"images": [{{"image": "{0}", "image": "{1}"}}]}}'),
        (
            "/v1/classify",
            '{{"model": "safejudge", "input": {{"mediaUrl": "{0}", "mediaUrl": "{1}"}}}}',
        ),
        ("/beta/litellm_basic_guardrail_api", '{{"images": ["{0}"], "images": ["{1}"]}}'),
    ],
)
def test_a_name_that_stands_twice_is_refused(post, safe, unsafe, route, text):
    body = text.format(unsafe.url, safe.url, bad=part(unsafe), good=part(safe))
    reply = post(route, content=body, headers={"content-type": "application/json"})
    assert reply.status_code == 400
    assert "twice" in reply.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"\xff\xfe{\x00}\x00", b"[" * 10**5, b'{"input": NaN}', b"{"])
def test_what_can_be_read_in_two_ways_or_none_is_refused(post, body):
    for route in ("/v1/moderations", "/v1/judge"):
        reply = post(route, content=body, headers={"content-type": "application/json"})
        assert reply.status_code == 400
        assert reply.json()["error"]["code"] == "invalid_request"


def test_a_picture_in_a_field_that_is_not_read_is_refused(post, safe, unsafe):
    good = json.loads(part(safe))
    questions = {"a": {"type": "noul", "instructions": "a vehicle is on fire"}}
    classify = {"model": "safejudge", "input": {"mediaUrl": safe.url}}
    for route, body in (
        ("/v1/moderations", {"input": [good, {"type": "text", "text": "a", "image": unsafe.url}]}),
        ("/v1/moderations", {"input": [good], "images": [unsafe.url]}),
        ("/v1/moderations", {"input": [{**good, "image_url": {"url": safe.url, "x": unsafe.url}}]}),
        ("/v1/classify", classify | {"input": {"mediaUrl": safe.url, "mediaUrls": [unsafe.url]}}),
        ("/v1/systemone", {"images": [safe.url], "state": [unsafe.url], "questions": questions}),
    ):
        reply = post(route, json=body)
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "unread_picture")
    more = {"detail": "low", "note": "words"}
    plain = {"input": [{**good, "image_url": {"url": safe.url, **more}}], "user": "somebody"}
    assert post("/v1/moderations", json=plain).status_code == 200


def form(*parts, tail=b"--B--\r\n"):
    text = b"".join(b"--B\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % p for p in parts)
    return {
        "content": text + tail,
        "headers": {"content-type": "multipart/form-data; boundary=B"},
    }


def test_a_form_is_looked_at_whole_or_refused(post, safe, unsafe):
    good = (b'name="image"; filename="a"', safe.png)
    assert post("/v1/judge", **form(good)).status_code == 200
    cut_off = form((b'name="image"; filename="b"', unsafe.png))["content"]
    for body in (
        form(good, (b'name="image"', unsafe.png)),
        form(good, (b"name=\"image\"; filename*=utf-8''b", unsafe.png)),
        form(good, (b'name="caption"; filename="b"', unsafe.png)),
        form(good, tail=b""),
        form(good, tail=cut_off[: len(cut_off) // 2]),
        form(good, tail=b"--B--\r\n" + cut_off),
    ):
        reply = post("/v1/judge", **body)
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_request")
