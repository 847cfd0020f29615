"""Which URLs are taken, for which hosts, and which addresses a host may have. No network here."""

from ipaddress import ip_address

import pytest
from hosts_corpus import EVERYTHING, LITERALS, MISSPELLED, OWN, PRIVATE, PUBLIC, PUBLIC_6

from safejudge.errors import ImageError, InputError
from safejudge.serve.hosts import Hosts, is_reachable


def refused(url, allowed):
    with pytest.raises(ImageError) as caught:
        Hosts(allowed).admit(url)
    assert caught.value.reason == "url"
    return str(caught.value)


# --- the list -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "url", "answer"),
    [
        ("e.com", "https://e.com/a", True),
        ("e.com", "https://e.com:443/a", True),
        ("E.com.", "https://e.COM./a", True),
        ("bücher.example", "https://xn--bcher-kva.example/", True),
        ("xn--bcher-kva.example", "https://BÜCHER.example/", True),
        ("e.com", "https://\uff45.com/", True),  # a full-width e
        ("*.e.com", "https://a.b.e.com/", True),
        ("e.com:8443", "https://e.com:8443/a", True),
        ("http://e.com", "http://e.com/a", True),
        (PUBLIC, f"https://{PUBLIC}/", True),
        (f"[{PUBLIC_6}]:8443", f"https://[{ip_address(PUBLIC_6).exploded.upper()}]:8443/", True),
        ("e.com", "http://e.com/a", False),
        ("e.com", "https://e.com:8443/a", False),
        ("e.com:8443", "https://e.com/a", False),
        ("http://e.com", "https://e.com/a", False),
        ("e.com", "https://a.e.com/", False),
        ("e.com", "https://e.com.evil.com/", False),
        ("e.com", "https://evile.com/", False),
        ("*.e.com", "https://e.com/", False),
        ("*.e.com", "https://evile.com/", False),
        ("*.e.com", "https://evil.com/.e.com", False),
        (PUBLIC, "https://e.com/", False),
        ("e.com", f"https://{PUBLIC}/", False),
        ("internal:http://localhost", "https://localhost/", False),
        ("internal:http://localhost", "http://127.0.0.1/", False),
    ],
)
def test_a_url_matches_an_entry_or_does_not(allowed, url, answer):
    if answer:
        assert Hosts([allowed]).admit(url)
        return
    said = refused(url, ["other.example", allowed])
    assert "is not among the hosts that pictures are fetched from; send the picture itself" in said


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("", "is no https address"),
        ("*", "is no name"),
        ("*.", "is no https address"),
        ("*.com", "covers too much"),
        ("*.9.9.9.9", "covers too much"),
        ("a.*.com", "is no name"),
        ("e.com/pictures", "is more than a host"),
        ("https://e.com/", "is more than a host"),
        ("e.com?x", "is more than a host"),
        ("://e.com", "is more than a host"),
        ("ftp://e.com", "is no https address"),
        ("user@e.com", "a user name or password"),
        ("e.com:0", "the port 0"),
        ("e.com:99999", "the port 99999"),
        ("127.1", "a spelling that is not taken"),
        ("http://127.0.0.1", "is no public address; write internal:"),
        ("[::1]", "is no public address"),
        ("[::ffff:9.9.9.9]", "is no public address"),
        ("internal:http://169.254.169.254", "is no public address"),
        ("internal:*.e.com", "have to be named one by one"),
        ("internal:internal:e.com", "is no https address"),
        ("e .com", "a space"),
    ],
)
def test_a_wrong_entry_is_refused_at_once(entry, problem):
    with pytest.raises(InputError, match=problem) as caught:
        Hosts([entry])
    assert f"`{entry}`: as a host to fetch from, this " in str(caught.value)


# --- spellings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", MISSPELLED)
def test_what_programs_read_differently_is_no_url(url):
    said = refused(url, EVERYTHING)
    assert said.startswith("the URL of a picture ")
    assert "secret" not in said


@pytest.mark.parametrize("url", LITERALS)
def test_an_address_has_to_be_listed_itself(url):
    assert "is not among the hosts" in refused(url, EVERYTHING)


def test_a_path_is_sent_as_browsers_send_it():
    target = Hosts(["e.com"]).admit('https://e.com/ü%20"<a>?b=ä&c=[1]%26')
    assert target.path + target.query == "/%C3%BC%20%22%3Ca%3E?b=%C3%A4&c=[1]%26"


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", PRIVATE)
def test_these_are_not_public(address):
    assert not is_reachable(address, internal=False)


def test_an_internal_host_has_addresses_of_its_own_and_no_secrets_of_clouds():
    assert [is_reachable(address, internal=True) for address in OWN] == [True] * len(OWN)
    assert [is_reachable(address, internal=False) for address in OWN] == [False] * len(OWN)
    never = set(PRIVATE) - set(OWN)
    assert not [address for address in never if is_reachable(address, internal=True)]
    assert is_reachable(PUBLIC, internal=True)
    assert is_reachable(PUBLIC_6, internal=False)
