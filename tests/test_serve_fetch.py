"""Pictures by URL: nothing is asked for anywhere but where the operator said, whatever a URL says.

Servers are real and on this machine. Where a public host is meant, `Network` stands in for the
way there: it notes the address that was to be connected to, and leads to such a server.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import re
import ssl
import traceback
from ipaddress import ip_address

import httpcore2
import pytest
from hosts_corpus import EVERYTHING, PRIVATE, PUBLIC, PUBLIC_6
from hypothesis import example, given
from hypothesis import strategies as st

from safejudge.errors import ImageError, PolicyError
from safejudge.serve.fetch import Fetcher
from safejudge.serve.hosts import Hosts

BODY = b"\x89PNG and so on"
LIMIT = 100_000


def reply(body=BODY, *headers, status="200 OK"):
    lines = [f"HTTP/1.1 {status}", *headers, "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + body


def redirect(location):
    return reply(b"", f"Location: {location}", "Content-Length: 0", status="302 Found")


class Server:
    """Answers every request with bytes or by a function; keeps what it was asked."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []
        self.names = []
        """What each TLS client said it wants to speak to."""

    async def serve(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
            answer = self.answer
            if callable(answer):
                answer = await answer(writer)
            writer.write(answer or b"")
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        writer.close()


@contextlib.asynccontextmanager
async def serving(answer=None, tls=None):
    server = Server(reply() if answer is None else answer)
    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: server.names.append(name)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


class Network(httpcore2.AsyncNetworkBackend):
    """Notes every address; leads to the server at `port`, or nowhere."""

    def __init__(self, port=None, dead=()):
        self.port = port
        self.dead = dead
        self.connects = []

    async def connect_tcp(self, host, port, **_):
        self.connects.append((host, port))
        if self.port is None or host in self.dead:
            raise httpcore2.ConnectError("nobody there")
        return await httpcore2.AnyIOBackend().connect_tcp("127.0.0.1", self.port)


def names(table):
    """A resolver of a table: lists of addresses, of which each question takes the next."""
    answers = {name: iter(lists) for name, lists in table.items()}

    async def resolve(host, port):
        return next(answers[host])

    return resolve


def always(*addresses):
    async def resolve(host, port):
        return addresses

    return resolve


TLS = ssl.create_default_context()


def fetcher(allowed, *, network=None, **options):
    options = {"max_bytes": LIMIT, "resolve": always(PUBLIC), "tls": TLS, **options}
    made = Fetcher(allowed, **options)
    if network is not None:
        made._network = network
    return made


def fetched(url, allowed, **options):
    """The picture, and how the network was used; with a server behind it at `port`."""
    network = Network(options.pop("port", None), options.pop("dead", ()))
    return asyncio.run(fetcher(allowed, network=network, **options).fetch(url)), network.connects


def refused(url, allowed, connects=(), **options):
    """What is said where nothing can be had; `connects` is how far it got."""
    network = Network(options.pop("port", None))
    with pytest.raises(ImageError) as caught:
        asyncio.run(fetcher(allowed, network=network, **options).fetch(url))
    assert caught.value.reason == "url"
    assert network.connects == list(connects)
    return str(caught.value)


def run(test):
    """Run a test that needs a server."""

    def runs():
        asyncio.run(test())

    runs.__name__ = test.__name__
    return runs


async def failure(made, url):
    with pytest.raises(ImageError) as caught:
        await made.fetch(url)
    assert caught.value.reason == "url"
    return str(caught.value)


# --- the way it is meant --------------------------------------------------------------------------


@run
async def test_a_picture_comes_from_the_address_that_its_name_has():
    async with serving() as server:
        network = Network(server.port)
        made = fetcher(["http://Images.Example.com"], network=network)
        assert await made.fetch("HTTP://images.EXAMPLE.com./a%20b?sig=1#top") == BODY
        assert network.connects == [(PUBLIC, 80)]
        (asked,) = server.asked
        assert asked.startswith("GET /a%20b?sig=1 HTTP/1.1\r\nHost: images.example.com\r\n")
        assert "Accept-Encoding: identity\r\n" in asked
        assert "cookie" not in asked.lower()
        await made.close()
        assert "while the server stops" in await failure(made, "http://images.example.com/")


@run
async def test_internal_hosts_may_be_on_this_machine():
    async with serving() as server:
        allowed = f"internal:http://localhost:{server.port}"
        options = {"resolve": always("127.0.0.1"), "max_bytes": LIMIT}
        url = allowed.removeprefix("internal:")
        assert await Fetcher([allowed], **options).fetch(f"{url}/a") == BODY
        assert f"\r\nHost: localhost:{server.port}\r\n" in server.asked[0]
        literal = f"http://127.0.0.1:{server.port}"
        assert await Fetcher([f"internal:{literal}"], max_bytes=LIMIT).fetch(literal) == BODY
        # The system's own resolver: what it says of a name of this machine depends on the machine.
        assert await Fetcher([allowed], max_bytes=LIMIT).fetch(url) == BODY
        said = await failure(Fetcher([url], **options), url)
        assert "one that is not public; send the picture itself, or have the operator" in said
        assert said.endswith(f" list the host as internal:{url}")
        assert len(server.asked) == 3


@run
async def test_nothing_of_the_environment_is_used():
    async with serving() as proxy, serving() as server:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("http_proxy", "https_proxy", "all_proxy"):
                for spelled in (name, name.upper()):
                    patch.setenv(spelled, f"http://user:secret@127.0.0.1:{proxy.port}")
            patch.delenv("no_proxy", raising=False)
            patch.delenv("NO_PROXY", raising=False)
            url = f"http://127.0.0.1:{server.port}/a"
            made = Fetcher([f"internal:http://127.0.0.1:{server.port}"], max_bytes=LIMIT)
            assert await made.fetch(url) == BODY
        assert proxy.asked == []
        assert "authorization" not in server.asked[0].lower()


@run
async def test_the_next_address_is_tried_where_one_is_dead():
    async with serving() as server:
        network = Network(server.port, dead=[PUBLIC_6])
        made = fetcher(["http://e.com"], network=network, resolve=always(PUBLIC_6, PUBLIC))
        assert await made.fetch("http://e.com/") == BODY
        assert network.connects == [(PUBLIC_6, 80), (PUBLIC, 80)]


def test_a_name_with_many_addresses_is_not_tried_for_ever():
    many = [f"93.184.215.{number}" for number in range(1, 200)]
    said = refused(
        "https://e.com/", ["e.com"], [(ip, 443) for ip in many[:4]], resolve=always(*many)
    )
    assert said.startswith("https://e.com/: cannot be fetched (nobody there); try again later, or")


# --- the list -------------------------------------------------------------------------------------


def test_nothing_is_fetched_unless_hosts_are_listed():
    assert "safejudge fetches nothing unless hosts are listed" in refused("https://e.com/a", [])


def test_redirects_are_few():
    with pytest.raises(PolicyError, match="redirects=4: at most 3"):
        Fetcher([], max_bytes=1, redirects=4)


# --- spellings ------------------------------------------------------------------------------------

SIGNS = st.sampled_from([*"aeE.com:/?#@\\[]%0127xX-_ \t*", "\u3002", "\uff0e", "\u2460"])
PARTS = [
    (["https://", "http://", "HTTPS://"], ["//", "https:/", "https:\\\\", "file://", " https://"]),
    ([""], ["u@", "u:p@", "e.com@", "e.com\\@"]),
    (
        ["e.com", "a.e.com", "E.COM.", "\u24d4.com", PUBLIC, f"[{PUBLIC_6}]", "media.internal"],
        ["127.0.0.1", "[::1]", "0x7f.1", "017700000001", "[::ffff:10.0.0.1]", "localhost", ""],
    ),
    (["", ":443", ":80", ":8000"], [".", ":0", ":", "%00", "@127.0.0.1"]),
    (["/", "", "/a?b", "/#c"], ["?x", "\\e.com/", "\t", "@e.com"]),
]
"""Of each part of a URL good spellings, and others."""


@st.composite
def urls(draw):
    """Good in all parts but one or two, so that most of a URL is as it should be."""
    odd = draw(st.sets(st.sampled_from(range(-2, len(PARTS))), max_size=2))
    parts = [draw(st.sampled_from(PARTS[at][at in odd])) for at in range(len(PARTS))]
    noise = draw(st.text(SIGNS, max_size=4)) if -1 in odd else ""
    at = draw(st.integers(0, len(PARTS)))
    return "".join([*parts[:at], noise, *parts[at:]])


ADDRESSES = st.sampled_from([*PRIVATE, PUBLIC, PUBLIC_6]) | st.ip_addresses().map(str)
ANSWERS = st.lists(st.sampled_from([PUBLIC, PUBLIC_6])) | st.lists(ADDRESSES, max_size=3)


@given(urls(), ANSWERS, st.booleans())
@example("https://e.com/", [PUBLIC, "127.0.0.1"], False)
@example("http://media.internal:8000/", ["127.0.0.1"], True)
def test_no_spelling_leads_to_an_address_that_is_not_public(url, addresses, internal):
    network, asked = Network(), []

    async def resolve(host, port):
        asked.append((host, port))
        return addresses

    allowed = EVERYTHING if internal else EVERYTHING[:-2]
    made = Fetcher(allowed, max_bytes=1, resolve=resolve, tls=TLS)
    made._network = network
    with pytest.raises(ImageError):
        asyncio.run(made.fetch(url))
    assert len(asked) <= 1
    for host, port in asked:
        assert host.endswith("e.com") or (internal and host == "media.internal")
        assert port in (80, 443, 8000)
    for address, _ in network.connects:
        assert address in (addresses if asked else [PUBLIC, PUBLIC_6])
        if asked and asked[0][0] == "media.internal":
            continue
        parsed = ip_address(address)
        assert parsed.is_global
        assert not any((parsed.is_multicast, parsed.is_reserved, parsed.is_link_local))
        if parsed.version == 6:
            assert not any((parsed.ipv4_mapped, parsed.sixtofour, parsed.teredo))
        assert address not in PRIVATE


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_may_have_no_address_that_is_not_public(address):
    for answer in ([address], [PUBLIC, address], [address, PUBLIC]):
        said = refused("https://e.com/a?secret", ["e.com"], resolve=always(*answer))
        assert said.startswith(
            "https://e.com/a: its host has no address, or one that is not public"
        )
        assert not address or address not in said  # not everybody's business


def test_a_name_without_an_address():
    async def unknown(host, port):
        raise OSError(-2, "Name or service not known")

    assert "its host has no address, or" in refused("https://e.com/", ["e.com"], resolve=always())
    said = refused("https://e.com/", ["e.com"], resolve=unknown)
    assert said == (
        "https://e.com/: its host has no address ([Errno -2] Name or service not known); "
        "check the name, or send the picture itself"
    )


def test_a_name_that_changes_its_answer_changes_nothing():
    """The name is asked for once; what it says afterwards (DNS rebinding) nobody hears."""
    resolve = names({"e.com": [[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]]})
    refused("https://e.com/", ["e.com"], [(PUBLIC, 443)], resolve=resolve)
    made = fetcher(["e.com"], resolve=resolve, network=Network())
    assert "not public" in asyncio.run(failure(made, "https://e.com/"))
    assert made._network.connects == []


# --- redirects ------------------------------------------------------------------------------------


def redirected(location, *, redirects=3, allowed=("http://e.com", "http://to.com"), table=None):
    """What becomes of a redirect of http://e.com: bytes or a message, and who was connected to."""

    async def answer():
        replies = iter([redirect(location), reply()])

        async def next_one(writer):
            return next(replies)

        async with serving(next_one) as server:
            network = Network(server.port)
            resolve = names(table) if table else always(PUBLIC)
            made = fetcher(allowed, network=network, redirects=redirects, resolve=resolve)
            try:
                found = await made.fetch("http://e.com/a/b?secret=1")
            except ImageError as error:
                found = str(error)
            assert b"secret" not in (found if isinstance(found, bytes) else found.encode())
            return found, network.connects, [asked.split(" ")[1] for asked in server.asked]

    return asyncio.run(answer())


def test_by_default_no_redirect_is_followed():
    said, connects, _ = redirected("http://e.com/c", redirects=0)
    assert said.startswith("http://e.com/a/b: redirects elsewhere, which is not followed; give the")
    assert connects == [(PUBLIC, 80)]


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("http://to.com/c?d=1", "/c?d=1"),
        ("//to.com/c", "/c"),
        ("/c", "/c"),
        ("c", "/a/c"),
        ("../../c#d", "/c"),
        ("?e", "/a/b?e"),
    ],
)
def test_a_redirect_is_followed_to_a_listed_host(location, path):
    table = {"e.com": [[PUBLIC], [PUBLIC]], "to.com": [[PUBLIC_6]]}
    found, connects, paths = redirected(location, table=table)
    assert found == BODY
    assert connects == [(PUBLIC, 80), (PUBLIC_6 if "to.com" in location else PUBLIC, 80)]
    assert paths == ["/a/b?secret=1", path]


@pytest.mark.parametrize(
    ("location", "problem"),
    [
        ("http://evil.com/?secret", "http://evil.com: is not among the hosts"),
        ("http://e.com:22/", "http://e.com:22: is not among the hosts"),
        ("https://e.com/", "https://e.com: is not among the hosts"),
        ("http://127.0.0.1/", "http://127.0.0.1: is not among the hosts"),
        ("http://[::ffff:127.0.0.1]/", "is not among the hosts"),
        ("http://0x7f.1/", "a spelling that is not taken"),
        ("http://to.com:secret@e.com/", "a user name or password"),
        ("//to.com:secret@e.com/", "a user name or password"),
        ("http://to.com\\@evil.com/secret", "a backslash"),
        ("/\\evil.com", "a backslash"),
        ("http://[to.com/?secret", "cannot be read"),
        ("http://[secret]/", "cannot be read|a spelling that is not taken"),
        ("file:///etc/passwd", "no https address"),
        ("http://to.com/\t", "answered 302|hidden character|cannot be fetched|to.com"),
    ],
)
def test_a_redirect_leads_nowhere_else(location, problem):
    said, connects, _ = redirected(location)
    if said == BODY:  # white space around a header's value is none of it
        assert location.endswith("\t")
        return
    assert re.search(problem, said), said
    assert connects == [(PUBLIC, 80)]


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["169.254.169.254"], [PUBLIC, "::1"]])
def test_a_redirect_is_resolved_anew(addresses):
    said, connects, _ = redirected("http://to.com/", table={"e.com": [[PUBLIC]],
                                                           "to.com": [addresses]})  # fmt: skip
    assert said.startswith("http://to.com/: its host has no address, or one that is not public")
    assert connects == [(PUBLIC, 80)]
    said, connects, _ = redirected("/c", table={"e.com": [[PUBLIC], addresses]})
    assert "not public" in said
    assert connects == [(PUBLIC, 80)]


@run
async def test_redirects_end():
    async with serving(redirect("/again?secret")) as server:
        made = fetcher(["http://e.com"], network=Network(server.port), redirects=3)
        said = await failure(made, "http://e.com/")
        assert said.startswith("http://e.com/again: redirects more than 3 times")
        assert len(server.asked) == 4


@run
async def test_a_redirect_has_one_target():
    for headers in ([], ["Location: /a", "Location: /b"]):
        async with serving(reply(b"", *headers, status="301 Moved")) as server:
            made = fetcher(["http://e.com"], network=Network(server.port), redirects=1)
            assert "answered 301 without one Location" in await failure(made, "http://e.com/")


# --- replies --------------------------------------------------------------------------------------


async def said_of(answer, **options):
    """What is said of a server's answer."""
    async with serving(answer) as server:
        made = fetcher(["http://e.com"], network=Network(server.port), **options)
        said = await failure(made, "http://e.com/a.png?secret")
        assert said.startswith("http://e.com/a.png: ")
        assert "secret" not in said
        return said


@pytest.mark.parametrize("status", ["201 Created", "204 No Content", "206 Partial Content",
                                    "300 Choices", "304 Not Modified", "404 Not Found",
                                    "500 Error"])  # fmt: skip
def test_only_a_whole_answer_is_one(status):
    assert f"answered {status[:3]};" in asyncio.run(said_of(reply(status=status)))


def endlessly(part, head):
    """Send a head, and one part after the other until the client has had enough."""

    async def send(writer):
        writer.write(head)
        while True:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)

    return send


CHUNKED = reply(b"", "Transfer-Encoding: chunked")


@pytest.mark.parametrize(
    ("part", "head"),
    [
        (b"x" * 5000, reply(b"")),
        (b"x" * 5000, reply(b"", "Content-Length: 99999999999")),
        (b"1388\r\n" + b"x" * 5000 + b"\r\n", CHUNKED),
        (b"1\r\nx\r\n" * 1000, CHUNKED),
    ],
)
def test_an_endless_body_ends_at_the_limit(part, head):
    said = asyncio.run(said_of(endlessly(part, head), seconds=3600))
    assert said == (f"http://e.com/a.png: sends more than {LIMIT} bytes; make the picture smaller")


def test_the_limit_is_exact():
    whole = reply(b"x" * LIMIT)
    found = asyncio.run(_got(whole))
    assert found == b"x" * LIMIT
    assert "sends more than" in asyncio.run(said_of(whole + b"x"))


async def _got(answer):
    async with serving(answer) as server:
        return await fetcher(["http://e.com"], network=Network(server.port)).fetch("http://e.com/")


def test_a_length_that_lies_is_not_believed():
    assert asyncio.run(_got(reply(BODY + b"more", f"Content-Length: {len(BODY)}"))) == BODY
    said = asyncio.run(said_of(reply(BODY, "Content-Length: 5000")))
    assert "cannot be fetched (peer closed connection" in said
    for headers in (["Content-Length: 5", "Content-Length: 6"], ["Content-Length: -5"]):
        assert "cannot be fetched" in asyncio.run(said_of(reply(BODY, *headers)))


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "deflate", "br", "identity, gzip", "x"])
def test_nothing_is_decompressed(coding):
    bomb = gzip.compress(bytes(50_000_000), 1)[:5000]
    said = asyncio.run(said_of(reply(bomb, f"Content-Encoding: {coding}")))
    assert "sends the picture compressed, though that was not asked for; send the" in said


def test_what_is_compressed_without_saying_so_stays_as_it_is():
    small = gzip.compress(BODY)
    assert asyncio.run(_got(reply(small, "Content-Encoding: identity"))) == small
    assert "cannot be fetched" in asyncio.run(
        said_of(reply(small, "Transfer-Encoding: gzip, chunked"))
    )


@pytest.mark.parametrize(
    "answer",
    [
        b"\r\n" * 10,
        reply(status="101 Switching Protocols"),
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
        b"HTTP/1.1 200 OK\r\n\x1b[31mX\r\n\r\n",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"5\r\nabc",
        b"",
    ],
)
def test_what_is_no_http_is_no_picture(answer):
    said = asyncio.run(said_of(answer or (lambda _: asyncio.sleep(0, b""))))
    assert "cannot be fetched (" in said
    assert said.isprintable()
    assert len(said) < 500


# --- time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "head"),
    [
        (b"", b""),
        (b"H", b""),  # of a status line that never ends
        (b"", reply(b"")),
        (b"x", reply(b"")),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b""),
    ],
)
def test_a_server_that_drips_is_left(part, head):
    """Each part comes quickly, so that no limit of a single read would ever be met."""

    async def drip(writer):
        writer.write(head)
        while not writer.is_closing():
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)

    said = asyncio.run(said_of(drip, seconds=0.2))
    assert "did not send the picture within 0.2 s; try again later, or send the picture" in said


def test_a_resolver_that_never_answers_is_left():
    async def never(host, port):
        await asyncio.Event().wait()

    said = refused("https://e.com/", ["e.com"], resolve=never, seconds=0.05)
    assert "within 0.05 s" in said


@run
async def test_a_caller_that_stops_stops_the_fetch():
    asked = asyncio.Event()

    async def hold(_writer):
        asked.set()
        await asyncio.Event().wait()

    async with serving(hold) as server:
        made = fetcher(["http://e.com"], network=Network(server.port), seconds=3600)
        task = asyncio.create_task(made.fetch("http://e.com/"))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority():
    trustme = pytest.importorskip("trustme", reason="makes certificates; `pip install trustme`")
    return trustme.CA()


def certified(authority, *hosts):
    """A server's side of TLS with a certificate for these names, and a client that trusts it."""
    server, client = (
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
        ssl.create_default_context(),
    )
    authority.issue_cert(*hosts).configure_cert(server)
    authority.configure_trust(client)
    return server, client


def over_tls(authority, url, *, allowed, hosts, trusted=True, resolve=None):
    async def answer():
        server_side, client = certified(authority, *hosts)
        async with serving(tls=server_side) as server:
            options = {"tls": client} if trusted else {}
            network = Network(server.port)
            made = fetcher(allowed, network=network, resolve=resolve or always(PUBLIC), **options)
            try:
                found = await made.fetch(url)
            except ImageError as error:
                found = str(error)
            return found, server.names, network.connects, server.asked

    return asyncio.run(answer())


def test_the_certificate_has_to_be_that_of_the_name(authority):
    found, sent, connects, _ = over_tls(
        authority, "https://e.com/", allowed=["e.com"], hosts=["e.com"]
    )
    assert (found, sent, connects) == (BODY, ["e.com"], [(PUBLIC, 443)])
    for hosts in (["other.com"], [PUBLIC], ["sub.e.com"]):
        found, _, _, asked = over_tls(authority, "https://e.com/", allowed=["e.com"], hosts=hosts)
        assert "certificate verify failed" in found
        assert asked == []  # not even the path is told


def test_a_certificate_of_an_address_and_one_of_nobody_known(authority):
    literal = f"https://{PUBLIC}/"
    found, *_ = over_tls(authority, literal, allowed=[PUBLIC], hosts=[PUBLIC])
    assert found == BODY
    found, *_ = over_tls(authority, literal, allowed=[PUBLIC], hosts=["e.com"])
    assert "certificate verify failed" in found
    found, _, _, asked = over_tls(
        authority, "https://e.com/", allowed=["e.com"], hosts=["e.com"], trusted=False
    )
    assert "certificate verify failed" in found
    assert asked == []


def test_https_is_never_left_for_http(authority):
    async def answer():
        server_side, client = certified(authority, "e.com")
        async with serving(redirect("http://e.com/a?secret"), tls=server_side) as server:
            network = Network(server.port)
            made = fetcher(["e.com", "http://e.com"], network=network, tls=client, redirects=3)
            said = await failure(made, "https://e.com/")
            assert said.startswith("https://e.com/: redirects from https to http, which is not")
            assert "secret" not in said
            assert network.connects == [(PUBLIC, 443)]

    asyncio.run(answer())


# --- what is told ---------------------------------------------------------------------------------


def test_no_message_and_no_traceback_holds_a_query():
    url = "https://e.com/" + "p" * 500 + "?X-Signature=secret"
    with pytest.raises(ImageError) as caught:
        fetched(url, ["e.com"])
    assert "secret" not in "".join(traceback.format_exception(caught.value)).replace(url, "")
    assert str(caught.value).startswith("https://e.com/ppp")
    assert len(str(caught.value)) < 400
    assert "secret" not in repr(Hosts(["e.com"]).admit(url))
