"""Who may ask the server: a file of hashed keys -> the client that a request's key belongs to.

A line of the file is one key, in four words; `#` begins a line of comment:

    mobile-app judge,metrics sha256:4be0...91 2026-11-30

The name is what logs and the journal call the client. The key itself stands nowhere: `add` returns
it once. Whoever reads the file cannot ask the server; whoever can write to it can.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal, Self, cast, get_args

from safejudge.errors import InputError
from safejudge.files.atomic import (
    Lock,
    check_file,
    is_at,
    is_replaceable_while_open,
    replacing,
    writing,
)
from safejudge.text import counted, quoted

Role = Literal["judge", "admin", "metrics", "review"]
"""What a key is good for."""
ROLES: tuple[Role, ...] = get_args(Role)

_PREFIX = "sj_"
"""So that people, and programs that look for secrets in texts, know a key by its looks."""
_LARGEST = 2**20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HASH = re.compile(r"sha256:([0-9a-f]{64})")
_BEARER = re.compile(r"bearer +(?P<token>\S+) *", re.IGNORECASE)
_FORM = f"NAME ROLES sha256:HASH YYYY-MM-DD, with roles among {', '.join(ROLES)}"
_HEADER = f"# Keys of safejudge, by `safejudge keys`. A line: {_FORM}"


@dataclass(frozen=True, slots=True)
class Client:
    """Whom a key belongs to."""

    name: str
    """What logs and the journal show; unique in its file."""
    roles: frozenset[Role]
    created: date
    """The day (UTC) on which the key was made."""


class Keys:
    """The clients of one file. To follow the file, load it again."""

    def __init__(self, clients: Mapping[str, Client]) -> None:
        """Take clients by the SHA-256 of their keys, in hexadecimal."""
        self._clients = dict(clients)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file of keys; one without any lets nobody in.

        Raises `InputError` where it cannot be read or a line is wrong; warns where users of the
        machine have access who are neither its owner nor of its group, or the group may write.
        """
        try:
            with path.open("rb") as stream:
                mode = os.fstat(stream.fileno()).st_mode
                raw = stream.read(_LARGEST + 1)
        except OSError as error:
            message = f"{path}: cannot be read ({error.strerror})"
            raise InputError(f"{message}; make it with `safejudge keys add`") from error
        if os.name != "nt" and mode & (stat.S_IRWXO | stat.S_IWGRP):
            message = f"{path}: holds keys, and others than its owner have access"
            warnings.warn(f"{message}; `chmod 600` it", UserWarning, stacklevel=2)
        return cls(_read(path, _decoded(path, raw)))

    @property
    def clients(self) -> Sequence[Client]:
        """Every client, in the order of the file."""
        return tuple(self._clients.values())

    def client_of(self, token: str | None) -> Client | None:
        """Return whom a bare token belongs to; None where it is no key.

        It takes as long for one key as for another: all are looked at, and each as a whole.
        """
        if token is None:
            return None
        given = _hash(token)
        found = None
        for known, client in self._clients.items():
            if hmac.compare_digest(given, known):
                found = client
        return found


def token_of(headers: Mapping[str, str]) -> str | None:
    """Return the token that a request came with: `Authorization: Bearer X`, else `x-api-key: X`.

    None where there is none, and where one of the headers stands there twice with other words: a
    proxy may have checked the other one.
    """
    found: dict[str, set[str]] = {"authorization": set(), "x-api-key": set()}
    for name, value in headers.items():
        if name.lower() in found:
            found[name.lower()].add(value.strip())
    if any(len(values) > 1 for values in found.values()):
        return None
    bearers = (_BEARER.fullmatch(value) for value in found["authorization"])
    tokens = [bearer["token"] for bearer in bearers if bearer]
    return next(iter([*tokens, *found["x-api-key"]]), None) or None


def new_key() -> str:
    """Return a key that nobody can guess: 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(32)


def add(path: Path, name: str, roles: Collection[Role]) -> str:
    """Add a client to a file, which is made where there is none, and return its key.

    Nobody can have the key again. A new file is for its owner alone. Raises `InputError` for a
    name that is taken or none, and `OutputError` where the file cannot be written.
    """
    if not _NAME.fullmatch(name):
        form = "1 to 64 letters, digits, dots, underscores and hyphens"
        raise InputError(f"{quoted(name)}: is no name for a client; write {form}")
    unknown = [role for role in roles if role not in ROLES]
    if unknown or not roles:
        said = f"{quoted(unknown[0])} is no role" if unknown else f"{name}: has no role"
        raise InputError(f"{said}; name some of {', '.join(ROLES)}")
    with _editing(path) as lines:
        if any(client.name == name for client in _read(path, lines).values()):
            message = f"{path}: has a key of {name} already"
            raise InputError(f"{message}; remove that one first, or use another name")
        key = new_key()
        words = ",".join(role for role in ROLES if role in roles)
        today = datetime.now(UTC).date().isoformat()
        lines += [f"{name} {words} sha256:{_hash(key)} {today}"]
    return key


def remove(path: Path, name: str) -> None:
    """Remove a client from a file. Raises `InputError` where it has none of that name."""
    if not path.exists():
        raise InputError(f"{path}: there is no such file; name the file of the server's keys")
    with _editing(path) as lines:
        clients = _read(path, lines).values()
        if all(client.name != name for client in clients):
            names = ", ".join(client.name for client in clients) or "nobody's"
            raise InputError(f"{path}: has no key of {quoted(name)}; it has {names}")
        lines[:] = [line for line in lines if line.split()[:1] != [name]]


def _hash(token: str) -> str:
    # A fast hash is right: a key is 256 random bits, and nobody tries so many. Slow ones are for
    # what people can remember. Any header has to have a hash, a half surrogate pair too.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


# --- the file -------------------------------------------------------------------------------------


def _decoded(path: Path, raw: bytes) -> list[str]:
    if len(raw) > _LARGEST:
        message = f"{path}: has more than {counted(_LARGEST, 'byte')}"
        raise InputError(f"{message}; is it a file of keys?")
    try:
        return raw.decode("utf-8-sig").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no UTF-8 text; name a file of keys") from error


def _read(path: Path, lines: Sequence[str]) -> dict[str, Client]:
    """Read the lines of a file: clients by the hashes of their keys."""
    clients: dict[str, Client] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            known, client = _client(line, clients)
        except ValueError as error:
            # The line is not shown: what somebody put there by mistake may be a key.
            raise InputError(f"{path}:{number}: {error}; a line is {_FORM}") from None
        clients[known] = client
    return clients


def _client(line: str, above: Mapping[str, Client]) -> tuple[str, Client]:
    """Read one line, which stands below others. Raises `ValueError`."""
    words = line.split()
    if len(words) != 4:
        raise ValueError(f"has {counted(len(words), 'word')}, not 4")
    name, roles, known, day = words
    hashed = _HASH.fullmatch(known)
    if not _NAME.fullmatch(name):
        raise ValueError("the first word is no name")
    if not set(roles.split(",")) <= set(ROLES):
        raise ValueError("the second word names other roles than there are")
    if hashed is None:
        raise ValueError("the third word is no hash")
    if hashed[1] in above:
        raise ValueError(f"the key of {above[hashed[1]].name} stands here again")
    if any(name == other.name for other in above.values()):
        raise ValueError(f"there is another key of {name} above")
    try:
        created = date.fromisoformat(day)
    except ValueError:
        raise ValueError("the fourth word is no day") from None
    return hashed[1], Client(name, cast("frozenset[Role]", frozenset(roles.split(","))), created)


@contextmanager
def _editing(path: Path) -> Iterator[list[str]]:
    """Yield the lines of a file, and write what the block made of them in its place."""
    if path.is_symlink():
        path = Path(os.path.realpath(path))  # the new file must not take the place of the link
    with writing(path), _locked(path) as before:
        lines = _decoded(path, path.read_bytes()) if before.st_size else [_HEADER]
        yield lines
        with replacing(path, durable=True) as new:
            # For its owner, and for the group where it was: a server may read it by that.
            mode = 0o600 | before.st_mode & 0o040
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:  # noqa: PTH123
                stream.write("".join(f"{line}\n" for line in lines).encode())
            _give(new, before, mode)


def _give(new: Path, before: os.stat_result, mode: int) -> None:
    """Let a file belong to whom the one before belonged: root may edit what a server reads."""
    if os.name == "nt":
        return
    now = new.stat()
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        os.chown(new, before.st_uid, before.st_gid)
    new.chmod(mode)


@contextmanager
def _locked(path: Path) -> Iterator[os.stat_result]:
    """Keep others from changing a file meanwhile, which is made where there is none."""
    check_file(path)
    while True:
        made = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(made, "rb+") as stream:
            lock = Lock.of_file(path, stream)
            try:
                if is_at(path, stream):
                    before = os.fstat(stream.fileno())
                    if not is_replaceable_while_open():
                        stream.close()  # the lock has a file of its own there
                    yield before
                    return
            finally:
                lock.close()
