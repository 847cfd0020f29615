"""Keys of a server's clients: hashed in a file, looked up whole, shown once."""

import hashlib
import hmac
import os
import stat
import subprocess
import sys
import warnings
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from safejudge.cli import app as cli
from safejudge.errors import InputError, OutputError
from safejudge.files.atomic import Lock
from safejudge.serve.keys import ROLES, Client, Keys, add, new_key, remove, token_of

POSIX = pytest.mark.skipif(os.name == "nt", reason="modes of files")
HASH = "sha256:" + hashlib.sha256(b"sj_secret").hexdigest()
LINE = f"app judge,metrics {HASH} 2026-11-30\n"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys.txt"


def written(file, text):
    file.write_text(text)
    file.chmod(0o600)
    return file


# --- whose key ------------------------------------------------------------------------------------


def test_a_key_belongs_to_its_client(file):
    keys = [add(file, name, [role]) for name, role in zip("abcd", ROLES, strict=True)]
    loaded = Keys.load(file)
    today = datetime.now(UTC).date()
    for key, name, role in zip(keys, "abcd", ROLES, strict=True):
        client = loaded.client_of(key)
        assert (client.name, client.roles) == (name, {role})
        assert (today - client.created).days in (0, 1)  # midnight may have passed
        for wrong in (key[:-1], key + "x", key.upper(), f" {key}", f"{key}\n", key[3:]):
            assert loaded.client_of(wrong) is None
        assert key not in file.read_text()
        assert key[3:] not in file.read_text()


def test_a_line_as_it_is_documented(file):
    client = Keys.load(written(file, "\n  # why\n" + LINE)).client_of("sj_secret")
    assert client == Client("app", frozenset({"judge", "metrics"}), date(2026, 11, 30))


def test_no_token_and_no_keys_let_nobody_in(file):
    assert Keys.load(written(file, LINE)).client_of(None) is None
    assert Keys.load(written(file, "")).client_of("") is None
    hashed = HASH.removeprefix("sha256:")
    for wrong in ("", HASH, hashed, "app"):
        assert Keys.load(written(file, LINE)).client_of(wrong) is None


@given(st.text(st.characters(), max_size=20))
@example("\ud800")
def test_any_token_has_an_answer(token):
    client = Client("app", frozenset({"judge"}), date(2026, 11, 30))
    keys = Keys({HASH.removeprefix("sha256:"): client})
    assert keys.client_of(token) is None
    assert keys.client_of("sj_secret") is client


def test_every_entry_is_looked_at_in_constant_time(file, monkeypatch):
    keys = [add(file, name, ["judge"]) for name in "abc"]
    loaded, compared = Keys.load(file), []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(b) or compare(a, b))
    for key in [*keys, "none"]:
        compared.clear()
        loaded.client_of(key)
        assert len(compared) == 3


def test_keys_are_long_and_never_the_same():
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("sj_") and len(key) == 3 + 43 for key in keys)


# --- headers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({"Authorization": "Bearer abc"}, "abc"),
        ({"authorization": "bearer abc"}, "abc"),
        ({"AUTHORIZATION": "BEARER   abc "}, "abc"),
        ({"x-api-key": "abc"}, "abc"),
        ({"X-API-Key": " abc "}, "abc"),
        ({"Authorization": "Basic abc", "x-api-key": "def"}, "def"),
        ({"x-api-key": "def", "Authorization": "Bearer abc"}, "abc"),
        ({"Authorization": "Bearer abc", "authorization": "Bearer abc"}, "abc"),
        ({"Authorization": "Bearer abc", "authorization": "Bearer def"}, None),
        ({"x-api-key": "abc", "X-Api-Key": "def"}, None),
        ({"Authorization": "Bearer"}, None),
        ({"Authorization": "Bearer "}, None),
        ({"Authorization": "Bearer a b"}, None),
        ({"Authorization": "Bearerabc"}, None),
        ({"Authorization": "abc"}, None),
        ({"x-api-key": " "}, None),
        ({"Cookie": "Bearer abc"}, None),
        ({}, None),
    ],
)
def test_tokens_of_headers(headers, token):
    assert token_of(headers) == token


# --- the file -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("sj_secret", "has 1 word, not 4"),
        (f"app judge {HASH}", "has 3 words, not 4"),
        (f"app judge metrics {HASH} 2026-11-30", "has 5 words, not 4"),
        (f"-app judge {HASH} 2026-11-30", "the first word is no name"),
        (f"{'a' * 65} judge {HASH} 2026-11-30", "the first word is no name"),
        (f"a/b judge {HASH} 2026-11-30", "the first word is no name"),
        (f"other root {HASH} 2026-11-30", "names other roles than there are"),
        (f"other judge, {HASH} 2026-11-30", "names other roles than there are"),
        ("other judge sj_secret 2026-11-30", "the third word is no hash"),
        (f"other judge {HASH.upper()} 2026-11-30", "the third word is no hash"),
        (f"other judge {HASH}0 2026-11-30", "the third word is no hash"),
        (f"other judge {HASH[:-1]}0 2026-11-31", "the fourth word is no day"),
        (f"other judge {HASH} 2026-11-30", "the key of app stands here again"),
        (f"app judge sha256:{'0' * 64} 2026-11-30", "there is another key of app above"),
    ],
)
def test_a_wrong_line_is_named_and_not_shown(file, line, problem):
    written(file, f"# keys\n{LINE}{line}\n")
    with pytest.raises(InputError, match=problem) as caught:
        Keys.load(file)
    assert str(caught.value).startswith(f"{file}:3: ")
    assert "NAME ROLES sha256:HASH" in str(caught.value)
    assert "sj_secret" not in str(caught.value)
    before = file.read_bytes()
    with pytest.raises(InputError, match=problem):
        add(file, "new", ["judge"])
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("raw", "problem"),
    [(b"\xff\xfe", "no UTF-8 text"), (b"# " + b"x" * 2**20, "more than 1048576 bytes")],
)
def test_what_is_no_file_of_keys(file, raw, problem):
    file.write_bytes(raw)
    file.chmod(0o600)
    with pytest.raises(InputError, match=problem):
        Keys.load(file)


def test_a_file_that_is_not_there(file, tmp_path):
    with pytest.raises(InputError, match=r"cannot be read .No such file.*safejudge keys add"):
        Keys.load(file)
    with pytest.raises(InputError, match="cannot be read"):
        Keys.load(tmp_path)
    with pytest.raises(OutputError, match="there is no folder"):
        add(tmp_path / "none" / "keys.txt", "app", ["judge"])
    with pytest.raises(InputError, match="there is no such file"):
        remove(file, "app")
    assert os.listdir(tmp_path) == []  # noqa: PTH208


@pytest.mark.parametrize(
    ("name", "roles", "problem"),
    [
        ("", ["judge"], "`` is no name|: is no name"),
        ("a b", ["judge"], "is no name for a client"),
        ("a\n", ["judge"], "is no name for a client"),
        ("#a", ["judge"], "is no name for a client"),
        ("a", [], "a: has no role; name some of judge, admin, metrics, review"),
        ("a", ["root"], "`root` is no role"),
        ("a", "judge", "`j` is no role"),
    ],
)
def test_what_no_client_can_be(file, name, roles, problem):
    with pytest.raises(InputError, match=problem):
        add(file, name, roles)
    assert not file.exists()


def test_names_are_unique(file):
    key = add(file, "app", ["judge"])
    before = file.read_bytes()
    with pytest.raises(InputError, match="has a key of app already; remove that one first"):
        add(file, "app", ["admin"])
    assert file.read_bytes() == before
    assert Keys.load(file).client_of(key).roles == {"judge"}


def test_what_people_wrote_stays(file):
    written(file, f"\ufeff# ours\r\n\n{LINE}# end")
    key = add(file, "b", ["review", "judge"])
    lines = file.read_text().splitlines()
    assert lines[:4] == ["# ours", "", LINE.strip(), "# end"]
    assert lines[4].startswith("b judge,review sha256:")
    remove(file, "app")
    assert file.read_text().splitlines() == [*lines[:2], *lines[3:]]
    assert Keys.load(file).client_of(key).name == "b"
    remove(file, "b")
    assert Keys.load(file).clients == ()
    with pytest.raises(InputError, match="has no key of `b`; it has nobody's"):
        remove(file, "b")


@POSIX
@pytest.mark.parametrize(
    ("mode", "after"), [(0o600, 0o600), (0o644, 0o640), (0o640, 0o640), (0o666, 0o640)]
)
def test_a_file_stays_with_its_readers_and_no_others(file, mode, after):
    written(file, LINE).chmod(mode)
    add(file, "b", ["judge"])
    assert stat.S_IMODE(file.stat().st_mode) == after


@POSIX
def test_a_new_file_is_for_its_owner_whatever_the_mask(file):
    before = os.umask(0)
    try:
        add(file, "app", ["judge"])
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["keys.txt"]


@POSIX
@pytest.mark.parametrize("mode", [0o644, 0o602, 0o620, 0o606])
def test_a_file_that_others_can_read_or_change_is_warned_of(file, mode):
    written(file, LINE).chmod(mode)
    with pytest.warns(UserWarning, match="others than its owner have access; `chmod 600` it"):
        assert Keys.load(file).client_of("sj_secret")
    for fine in (0o600, 0o400, 0o640):
        file.chmod(fine)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Keys.load(file)


@POSIX
def test_a_link_stays_a_link(file, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(file)
    key = add(link, "app", ["judge"])
    assert link.is_symlink()
    assert Keys.load(file).client_of(key)


def test_a_change_that_fails_leaves_the_file_whole(file, monkeypatch):
    add(file, "app", ["judge"])
    before = file.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"cannot be written .No space left on device"):
        add(file, "b", ["judge"])
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["keys.txt"]


def test_two_at_once_do_not_lose_a_key(file):
    add(file, "app", ["judge"])
    with file.open("ab") as stream:
        lock = Lock.of_file(file, stream)
        with pytest.raises(OutputError, match="another run is writing to it"):
            add(file, "b", ["judge"])
        lock.close()
    add(file, "b", ["judge"])
    assert [client.name for client in Keys.load(file).clients] == ["app", "b"]


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_shows_a_key_once(place, capsys):
    assert cli.main(["keys", "add", "k", "app"]) == 0
    out, err = capsys.readouterr()
    key = out.removesuffix("\n")
    assert Keys.load(Path("k")).client_of(key).roles == {"judge"}
    assert "warning: this key of app is kept nowhere and not shown again" in err
    assert key not in err
    assert cli.main(["keys", "add", "k", "b", "--role", "review", "--role", "admin"]) == 0
    capsys.readouterr()
    assert cli.main(["keys", "list", "k"]) == 0
    out, err = capsys.readouterr()
    rows = [line.split("\t")[:2] for line in out.splitlines()]
    assert (rows, err) == ([["app", "judge"], ["b", "admin,review"]], "")
    assert hashlib.sha256(key.encode()).hexdigest() not in out
    assert cli.main(["keys", "remove", "k", "app"]) == 0
    assert capsys.readouterr().out == "app is no longer in k\n"
    assert Keys.load(Path("k")).client_of(key) is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["add", "k", "a b"], "`a b`: is no name for a client"),
        (["add", "k", "a", "--role", "root"], "invalid choice: 'root'"),
        (["add", "none/k", "a"], "there is no folder none"),
        (["list", "k"], "k: cannot be read (No such file or directory)"),
        (["remove", "k", "a"], "k: there is no such file"),
        ([], "required: COMMAND"),
    ],
)
def test_mistakes_end_with_2(place, capsys, line, said):
    assert cli.main(["keys", *line]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in " ".join(err.split())
    assert list(place.iterdir()) == []


def test_the_command_loads_no_model_library(place):
    code = (
        "import sys\nfrom safejudge.cli.app import main\n"
        "main(['keys', 'add', 'k', 'app'])\n"
        "print([n for n in ('torch', 'transformers', 'fastapi', 'httpcore2') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
