"""The guard for FastAPI: what a route gets, what is refused, and what nobody could judge now."""

import asyncio
from typing import Annotated

import httpx2
import pytest
from colours import PATIENCE, png
from fastapi import Depends, FastAPI, File, Form, UploadFile
from fastapi.testclient import TestClient

from safejudge import EngineCallError
from safejudge.guards.fastapi import Checked, UploadGuard
from safejudge.queueing import Limits


def site(guard, avatar=None):
    app = FastAPI(lifespan=guard.lifespan)

    @app.post("/one")
    async def one(picture: Annotated[Checked, Depends(guard)]) -> list[str]:
        return [picture.field, (await picture.file.read()).hex(), str(picture.result.id)]

    @app.post("/several")
    async def several(pictures: Annotated[list[Checked], Depends(guard.several)]) -> list[str]:
        return [picture.field for picture in pictures]

    @app.post("/own", dependencies=[Depends(guard)])
    async def own(
        picture: UploadFile, raw: Annotated[bytes, File()] = b"", note: Annotated[str, Form()] = ""
    ) -> list[str]:
        return [(await picture.read()).hex(), note]

    if avatar is not None:

        @app.post("/fields")
        async def fields(
            picture: Annotated[Checked, Depends(guard)],
            face: Annotated[Checked, Depends(avatar)],
        ) -> list[str]:
            return [(await one.file.read()).hex() for one in (picture, face)]

    return app


def client(app, address="10.0.0.1"):
    transport = httpx2.ASGITransport(app, client=(address, 1))
    return httpx2.AsyncClient(transport=transport, base_url="http://site", timeout=PATIENCE)


def post(app, path, **request):
    async def run():
        async with client(app) as line:
            return await line.post(path, **request)

    return asyncio.run(run())


def codes(reply):
    return [
        (".".join(map(str, e["loc"])), e["code"], *e["categories"]) for e in reply.json()["detail"]
    ]


def file(data, name="a.png"):
    return (name, data, "image/png")


def test_a_route_gets_the_file_whole_with_what_was_found(shared):
    app = site(UploadGuard(shared()))
    data = png("green", 600)
    field, content, found = post(app, "/one", files={"x": file(data)}).json()
    assert (field, bytes.fromhex(content)) == ("x", data)
    assert len(found) == 64


@pytest.mark.parametrize(
    ("data", "refused"),
    [
        (png("red"), [("body.x", "unsafe", "warm")]),
        (png("fog"), [("body.x", "unsettled")]),
        (b"no picture", [("body.x", "unreadable")]),
        (b"", [("body.x", "unreadable")]),
    ],
)
def test_what_may_not_pass_is_refused(shared, data, refused):
    reply = post(site(UploadGuard(shared())), "/one", files={"x": file(data)})
    assert reply.status_code == 422
    assert codes(reply) == refused
    assert "no-red" not in reply.text
    (entry,) = reply.json()["detail"]
    assert set(entry) == {"type", "loc", "msg", "code", "categories"}


@pytest.mark.parametrize(
    ("policy", "passing"),
    [
        ({}, set()),
        ({"allow_undecided": True}, {"fog"}),
        ({"allow_failures": True}, {"junk", "large"}),
    ],
)
def test_only_a_policy_lets_in_what_was_not_settled(shared, policy, passing):
    large = png("green") + bytes(3000)
    app = site(UploadGuard(shared(policy={"max_bytes": 2000, **policy})))
    files = {"fog": png("fog"), "junk": b"junk", "large": large, "red": png("red")}
    told = {name: post(app, "/one", files={"x": file(data)}) for name, data in files.items()}
    assert {name for name, reply in told.items() if reply.status_code == 200} == passing
    if "large" not in passing:
        assert codes(told["large"]) == [("body.x", "too_large")]


def test_a_file_that_is_too_large_is_not_read(shared, monkeypatch):
    async def read(*_):
        raise AssertionError("was read")

    monkeypatch.setattr("starlette.datastructures.UploadFile.read", read)
    app = site(UploadGuard(shared(policy={"max_bytes": 2000})))
    reply = post(app, "/one", files={"x": file(png("green") + bytes(3000))})
    assert codes(reply) == [("body.x", "too_large")]


def test_one_refused_file_refuses_all_and_says_which(shared):
    app = site(UploadGuard(shared()))
    two = [("a", file(png("green"))), ("a", file(png("blue"))), ("b", file(png("orange")))]
    reply = post(app, "/several", files=two)
    assert codes(reply) == [("body.a.1", "unsafe", "cold"), ("body.b.2", "unsafe", "warm")]
    assert post(app, "/several", files=two[:1]).json() == ["a"]


def test_a_guard_looks_at_its_field_and_another_at_another(shared):
    judge = shared()
    app = site(UploadGuard(judge, "x"), UploadGuard(judge, "face"))
    green, large = png("green"), png("green", 600)
    both = {"x": file(green), "face": file(large)}
    assert post(app, "/fields", files=both).json() == [green.hex(), large.hex()]
    bad = {"x": file(green), "face": file(png("red"))}
    assert codes(post(app, "/fields", files=bad)) == [("body.face", "unsafe", "warm")]
    assert codes(post(app, "/fields", files={"x": file(green)})) == [("body.face", "missing")]


def test_a_form_without_the_wanted_number_of_files_is_refused(shared):
    app = site(UploadGuard(shared(), files=2))
    green = file(png("green"))
    assert codes(post(app, "/one", files={"x": green, "y": green})) == [("body", "too_many")]
    assert post(app, "/several", files=[("x", green)] * 3).status_code == 400
    for nothing in ({"data": {"x": "text"}}, {"json": {"x": "y"}}, {"content": png("green")}):
        reply = post(app, "/one", **nothing)
        assert (reply.status_code, codes(reply)) == (422, [("body", "missing")])
    # A browser sends an empty part of a field for which no file was chosen.
    chosen = [("x", green), ("y", ("", b"", "application/octet-stream"))]
    assert post(app, "/one", files=chosen).status_code == 200


def test_a_route_may_take_its_files_by_itself(shared):
    app = site(UploadGuard(shared()))
    data = png("green")
    reply = post(app, "/own", files={"picture": file(data)}, data={"note": "hello"})
    assert reply.json() == [data.hex(), "hello"]
    reply = post(app, "/own", files={"picture": file(png("blue"))})
    assert codes(reply) == [("body.picture", "unsafe", "cold")]


def test_a_body_that_is_large_or_endless_is_not_read(shared):
    app = site(UploadGuard(shared(), body=5000))

    async def never():
        raise AssertionError("was read")
        yield b""

    head = {"content-type": "multipart/form-data; boundary=b"}
    reply = post(app, "/one", content=never(), headers=head)
    assert (reply.status_code, codes(reply)) == (411, [("body", "no_length")])
    both = head | {"content-length": "10", "transfer-encoding": "chunked"}
    assert post(app, "/one", content=never(), headers=both).status_code == 411
    reply = post(app, "/one", content=never(), headers=head | {"content-length": "5001"})
    assert (reply.status_code, codes(reply)) == (413, [("body", "too_large")])


# --- nobody could look ----------------------------------------------------------------------------


def test_an_engine_that_is_down_lets_nothing_in_and_is_opened_anew(shared, engine):
    app = site(UploadGuard(shared()))
    engine.broken = EngineCallError("the connection to 10.1.2.3 was closed")
    for _ in range(2):
        reply = post(app, "/one", files={"x": file(png("green"))})
        assert (reply.status_code, codes(reply)) == (503, [("body", "unavailable")])
        assert int(reply.headers["retry-after"]) > 0
        assert "10.1.2.3" not in reply.text
    engine.broken = None
    assert post(app, "/one", files={"x": file(png("green"))}).status_code == 200


def test_a_judge_that_does_not_open_lets_nothing_in(shared):
    judge = shared(thresholds="nowhere.yaml")
    reply = post(site(UploadGuard(judge)), "/one", files={"x": file(png("green"))})
    assert (reply.status_code, codes(reply)) == (503, [("body", "unavailable")])


def test_a_deadline_that_passes_lets_nothing_in(shared, engine):
    judge = shared(seconds=0.2)
    judge.opened(PATIENCE)
    engine.go.clear()
    reply = post(site(UploadGuard(judge, "x")), "/one", files={"x": file(png("green"))})
    assert (reply.status_code, codes(reply)) == (503, [("body.x", "unavailable")])
    assert "retry-after" in reply.headers


def test_a_client_with_too_much_under_way_waits_and_others_do_not(shared, engine):
    judge = shared(limits=Limits(per_client=1), seconds=PATIENCE)
    judge.opened(PATIENCE)
    while engine.begun.acquire(blocking=False):  # what opening asked
        pass
    engine.go.clear()
    app = site(UploadGuard(judge, client=lambda request: request.headers["user"]))

    async def run():
        async with client(app) as line:

            def send(user):
                files = {"x": file(png("green"))}
                return line.post("/one", files=files, headers={"user": user})

            first = asyncio.ensure_future(send("ann"))
            assert await asyncio.to_thread(engine.begun.acquire, timeout=PATIENCE)
            second = await send("ann")
            other = asyncio.ensure_future(send("bob"))
            queue = judge.ready.front.queue
            while queue.waiting + queue.under_way < 2:  # noqa: ASYNC110 - of threads
                await asyncio.sleep(0)
            engine.go.set()
            return await first, second, await other

    first, second, other = asyncio.run(run())
    assert (first.status_code, other.status_code) == (200, 200)
    assert (second.status_code, codes(second)) == (429, [("body", "busy")])
    assert int(second.headers["retry-after"]) > 0


def test_a_bug_is_no_pass(shared, engine):
    judge = shared()
    judge.opened(PATIENCE)
    engine.broken = ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError):
        post(site(UploadGuard(judge)), "/one", files={"x": file(png("green"))})


def test_the_judge_is_open_while_the_application_is(shared):
    judge = shared()
    with TestClient(site(UploadGuard(judge))) as line:
        front = judge.ready.front
        assert line.post("/one", files={"x": file(png("green"))}).status_code == 200
        assert judge.ready.front is front
    assert judge.ready is None
