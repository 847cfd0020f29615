"""The page of the API: whole, true, and of use to whoever pastes from it."""

import asyncio
import html
import os
import re
import shlex
import shutil
import subprocess

import pytest

from safejudge.serve.app import api_of
from safejudge.serve.page import PICTURE, marked, page
from safejudge.serve.schema import Schemas


@pytest.fixture(scope="module")
def document():
    return api_of(None).openapi()


def lines_of(text):
    return [
        html.unescape(line)
        for line in re.findall(r'<pre class="line">(.*?)</pre>', text, re.DOTALL)
    ]


def test_every_route_is_there_with_what_is_known_of_it(document):
    text = page(document, "http://host", keyed=True)
    articles = re.findall(r"<article id=.*?</article>", text, re.DOTALL)
    operations = [(m, p, o) for p, ms in document["paths"].items() for m, o in ms.items()]
    assert len(operations) > 10
    for method, path, operation in operations:
        (article,) = [
            one
            for one in articles
            if f'<h3><span class="method">{method.upper()}</span> {path}</h3>' in one
        ]
        assert marked(operation["description"]) in article
        lines = [shlex.split(line) for line in lines_of(article)]
        assert {line[1] for line in lines} == {f"http://host{path}"}
        for status, response in operation["responses"].items():
            kept = "HTTPValidationError" not in str(response)
            assert (f'<th scope="row">{status}</th>' in article) is kept
        for parameter in operation.get("parameters", ()):
            assert f"<code>{parameter['name']}</code>" in article


def test_every_field_of_a_reply_says_what_it_is(document):
    schemas = Schemas(document)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                for content in response.get("content", {}).values():
                    rows = list(schemas.rows(content["schema"]))
                    assert rows or path == "/metrics"
                    if "HTTPValidationError" not in str(response):
                        told = [r for r in rows if r.text or r.kind.startswith('"')]
                        assert told == rows, (path, status)


def test_nothing_is_fetched_and_nothing_runs(document):
    text = page(document, "http://host", keyed=False)
    assert "<script" not in text
    assert not re.search(r"\bsrc=|@import|url\(|<link|<img|<iframe", text)
    anchors = set(re.findall(r'id="([^"]+)"', text))
    links = re.findall(r'href="([^"]+)"', text)
    assert {link[1:] for link in links if link.startswith("#")} <= anchors
    assert {link for link in links if not link.startswith("#")} == {"openapi.json"}


def test_the_address_of_a_caller_is_text_for_the_page_and_for_the_shell(web_of):
    host = "x\"><script>$(touch${IFS}pwned)`id`;'"

    async def run():
        async with web_of() as web:
            return await web.get("/docs", headers={"host": host})

    reply = asyncio.run(run())
    assert reply.status_code == 200
    assert reply.headers["cache-control"] == "no-store"
    assert "<script" not in reply.text
    for line in lines_of(reply.text):
        assert shlex.split(line)[1].startswith("http")


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_its_lines_work_when_they_are_pasted(server, keys, safe, tmp_path):
    (tmp_path / PICTURE).write_bytes(safe.png)
    env = os.environ | {"SAFEJUDGE_KEY": keys[1]["boss"]}

    def pasted(line, **more):
        ending = " -s -o reply -w '%{http_code}'"
        done = subprocess.run(  # noqa: S602 - as a person pastes it
            line + ending, shell=True,
            cwd=tmp_path, env=env | more, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return int(done.stdout)

    assert pasted(f"curl {server.url}/docs", SAFEJUDGE_KEY="") == 200
    lines = lines_of((tmp_path / "reply").read_text(encoding="utf-8"))
    assert len(lines) > 10
    for line in lines:
        assert pasted(line) in (200, 201), line
    keyed = [line for line in lines if "Authorization" in line]
    assert {pasted(line, SAFEJUDGE_KEY="wrong") for line in keyed} == {401}
