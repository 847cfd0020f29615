"""Where a picture's URL may lead: a URL as strangers spell it -> a place that the operator listed.

Pure: it resolves no name and opens no connection; `fetch` does. What an operator lists:

    images.example.com                     https, port 443
    *.example.com                          its subdomains, however deep; not example.com itself
    images.example.com:8443                another port, and only that one
    http://images.example.com              without TLS: whoever is on the way can swap the picture
    9.9.9.9  [2620:fe::fe]                 an address in place of a name
    internal:http://media.internal:8000    a host of one's own network

An `internal:` host may have private and loopback addresses. It has to be named in full. The
addresses at which clouds tell machines their secrets are out of reach even so, and so is IPv4 by
way of IPv6 (mapped, 6to4, Teredo, NAT64), which hides whom a connection ends at.

A URL has to be spelled in the one ordinary way. What programs read differently (user names,
backslashes, numbers in place of an IPv4 address) is refused, not repaired.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import quote, urljoin

import idna

from safejudge.errors import ImageError, InputError
from safejudge.text import cut, quoted

PORTS = {"https": 443, "http": 80}
"""The schemes, and the port of each where none is named."""

_INTERNAL = "internal:"
_LONGEST = 8192
_LONGEST_HOST = 253
_URL = re.compile(
    r"""(?P<scheme>[A-Za-z]+)://
        (?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]/?#@:]+)
        (?::(?P<port>[0-9]{1,5}))?
        (?P<path>/[^?#]*)?
        (?P<query>\?[^#]*)?
        (?:\#.*)?""",
    re.VERBOSE,
)
_NAME = re.compile(r"(?:(?!-)[a-z0-9_-]{1,63}(?<!-)\.)*(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label that some programs take for the end of an IPv4 address."""
_UNENCODED = "!$%&'()*+,/:;=?@[]~"
"""What stays as it is in a path and a query; a percent sign, since they come encoded."""
_HOST_ADVICE = (
    "write a name in letters, digits and hyphens, an IPv4 address as four decimal numbers, an IPv6 "
    "address in brackets"
)


class _Misspelled(Exception):  # noqa: N818 - a stop inside this file, told in two ways
    """A URL or an entry is not spelled in the ordinary way. Its text follows "the URL"."""


# --- addresses ------------------------------------------------------------------------------------

_METADATA = frozenset(
    map(
        ip_address,
        # AWS, Google, Azure; AWS for containers; Alibaba; Oracle; Azure's host agent, which is a
        # public address; the same of AWS and Google in IPv6
        ["169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16",
         "fd00:ec2::254", "fd20:ce::254"],
    )
)  # fmt: skip
_OWN = tuple(
    map(
        ip_network,
        ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8",
         "::1/128", "fc00::/7"],
    )
)  # fmt: skip
"""What an internal host may have besides public addresses."""
_UNICAST = ip_network("2000::/3")
"""All public IPv6. The mapped, translated (64:ff9b::) and compatible forms of IPv4 lie outside."""
_SPECIAL = tuple(
    map(
        ip_network,
        # Protocols and the old relay of 6to4, which Pythons disagree about; then Teredo and its
        # kin, documentation, 6to4: some of them carry an IPv4 address to a gateway.
        ["192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"],
    )
)


def is_reachable(address: str, *, internal: bool) -> bool:
    """Whether a connection to an address is allowed: a public one, or one's own where `internal`.

    False for whatever is no address, for multicast, and for those that clouds tell secrets at.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if parsed in _METADATA or "%" in address:
        return False
    own = internal and any(parsed in network for network in _OWN)
    return own or _is_public(parsed)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if address.version == 6 and address not in _UNICAST:
        return False
    special = address.is_multicast or any(address in network for network in _SPECIAL)
    return address.is_global and not special


# --- URLs -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Target:
    """What one request asks whom for."""

    scheme: str
    """http or https."""
    host: str
    """In ASCII and lower case, without a dot at its end; IPv6 without brackets."""
    port: int
    literal: bool
    """Whether the host is an address."""
    path: str
    query: str = field(repr=False)
    """With its question mark, or nothing. A signed URL has its secret here: never shown."""
    internal: bool = False
    """Whether the operator said that the host may have an address of one's own network."""

    @property
    def authority(self) -> str:
        """Host and, where it is not the scheme's own, port: what the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{self.scheme}://{self.authority}"

    @property
    def shown(self) -> str:
        """The URL for messages: without its query, and not endless."""
        return cut(f"{self.origin}{self.path}", 200)


def _parsed(url: str) -> Target:
    """Take a URL apart. Raises `_Misspelled`."""
    _check_signs(url)
    found = _URL.fullmatch(url)
    scheme = found["scheme"].lower() if found else ""
    if found is None or scheme not in PORTS:
        raise _Misspelled("is no https address; write https://HOST/PATH")
    host, literal = _host(found["host"])
    port = int(found["port"]) if found["port"] else PORTS[scheme]
    if not 0 < port < 2**16:
        raise _Misspelled(f"names the port {port}; write one from 1 to 65535")
    path, query = (quote(found[part] or "", safe=_UNENCODED) for part in ("path", "query"))
    return Target(scheme, host, port, literal, path or "/", query)


def _check_signs(url: str) -> None:
    if len(url) > _LONGEST:
        raise _Misspelled(f"has more than {_LONGEST} characters; send the picture itself")
    if not url.isprintable() or " " in url or "\\" in url:
        raise _Misspelled("has a space, a backslash or a hidden character; percent-encode it")
    authority = re.split("[/?#]", url.partition("://")[2], maxsplit=1)[0]
    if "@" in authority:
        raise _Misspelled("has a user name or password; leave it out, or send the picture itself")


def _host(text: str) -> tuple[str, bool]:
    """Return a host in its one spelling, and whether it is an address. Raises `_Misspelled`."""
    try:
        if text.startswith("["):
            return str(IPv6Address(text[1:-1])), True
        if not text.isascii() and len(text) <= _LONGEST_HOST:
            # As browsers do: full-width letters and digits become ordinary ones, so that the
            # checks below see what a resolver would.
            text = idna.encode(text, uts46=True).decode()
        name = text.lower().removesuffix(".")
        if _NUMBER.fullmatch(name.rpartition(".")[2]):
            return str(IPv4Address(name)), True
    except ValueError:  # idna's own errors among them
        raise _Misspelled(f"has a host in a spelling that is not taken; {_HOST_ADVICE}") from None
    if len(name) > _LONGEST_HOST or not _NAME.fullmatch(name):
        raise _Misspelled(f"has a host that is no name; {_HOST_ADVICE}")
    return name, False


# --- the list -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of the operator's list."""

    host: Target
    """What it allows; of its path nothing is meant."""
    below: bool
    """Whether the subdomains are meant, and not the host itself."""

    def covers(self, target: Target) -> bool:
        """Whether a request is one that this entry allows."""
        if (self.host.scheme, self.host.port) != (target.scheme, target.port):
            return False
        if self.below:
            return not target.literal and target.host.endswith(f".{self.host.host}")
        return self.host.host == target.host


class Hosts:
    """The hosts that pictures may be fetched from, as the operator listed them."""

    def __init__(self, allowed: Sequence[str]) -> None:
        """Read the entries; see the top of this file. Raises `InputError` for one that is wrong."""
        self._entries = tuple(map(_entry, allowed))

    def admit(self, url: str) -> Target:
        """Return what a URL asks for. Raises `ImageError`."""
        if not self._entries:
            raise ImageError(
                "url",
                "a picture came as a URL, and safejudge fetches nothing unless hosts are listed; "
                "send the picture itself, or have the operator list its host",
            )
        try:
            return self._listed(_parsed(url))
        except _Misspelled as error:
            raise ImageError("url", f"the URL of a picture {error}") from None

    def admit_redirect(self, start: Target, location: bytes) -> Target:
        """Return what a redirect asks for, by the same rules. Raises `ImageError`."""
        try:
            text = location.decode()
            _check_signs(text)
            target = _parsed(urljoin(f"{start.origin}{start.path}", text))
        except (_Misspelled, ValueError) as error:
            # A ValueError of the standard library quotes what it could not read.
            problem = error if isinstance(error, _Misspelled) else "cannot be read"
            message = f"{start.shown}: redirects to a URL that {problem}"
            raise ImageError("url", message) from None
        if start.scheme == "https" and target.scheme != "https":
            raise ImageError(
                "url",
                f"{start.shown}: redirects from https to http, which is not followed; "
                "send the picture itself",
            )
        return self._listed(target)

    def _listed(self, target: Target) -> Target:
        entries = [entry for entry in self._entries if entry.covers(target)]
        if not entries:
            raise ImageError(
                "url",
                f"{target.origin}: is not among the hosts that pictures are fetched from; "
                "send the picture itself, or have the operator list the host",
            )
        return replace(target, internal=any(entry.host.internal for entry in entries))


def _entry(text: str) -> _Entry:
    """Read one entry of the list. Raises `InputError`."""
    internal = text.startswith(_INTERNAL)
    scheme, sign, rest = text.removeprefix(_INTERNAL).rpartition("://")
    below = rest.startswith("*.")
    url = f"{scheme or 'https'}://{rest.removeprefix('*.')}"
    try:
        host = replace(_parsed(url), internal=internal)
    except _Misspelled as error:
        raise InputError(f"{quoted(text)}: as a host to fetch from, this {error}") from None
    problem = ""
    if {"/", "?", "#"} & set(rest) or (sign and not scheme):
        problem = "is more than a host; write HOST or HOST:PORT, with http:// before it at most"
    elif below and (host.literal or "." not in host.host):
        problem = "covers too much; write *.NAME.TLD, or the hosts one by one"
    elif below and internal:
        problem = "is a pattern; internal hosts have to be named one by one"
    elif host.literal and not is_reachable(host.host, internal=internal):
        problem = "is no public address; write internal: before one of your own network"
    if problem:
        raise InputError(f"{quoted(text)}: as a host to fetch from, this {problem}")
    return _Entry(host, below)
