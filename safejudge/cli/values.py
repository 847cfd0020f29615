"""Values of options: text of a command line -> what it stands for, or why it is none."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any, Literal

import yaml

from safejudge.engines.dialects import DIALECTS, NONE
from safejudge.files.remote import is_remote, nearly
from safejudge.journal.address import SCHEMES

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+://)(?:[^/@]*@)?([^?]*).*", re.DOTALL | re.IGNORECASE)
"""An address: how it begins, perhaps a user and a key, what it names, perhaps a query."""


def setting(text: str) -> tuple[str, Any]:
    """Read NAME=VALUE; the value as YAML reads it (number, true, text, {a: 1})."""
    name, sign, value = text.partition("=")
    name = name.strip().lstrip("-").replace("-", "_")
    if not sign or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: the value cannot be read") from error


def assignment(text: str) -> tuple[str, str]:
    """Read FIELD=VALUE; what kind of value it is the field says."""
    name, sign, value = text.partition("=")
    name, value = name.strip().replace("-", "_"), value.strip()
    if not sign or not name.isidentifier() or not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not FIELD=VALUE")
    return name, value


def dialect(text: str) -> tuple[str, str]:
    """Read the name of a dialect, as an option of the engine."""
    if text not in (*DIALECTS, NONE):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no dialect; there are {', '.join(DIALECTS)}, and {NONE}"
        )
    return "dialect", text


def positive(text: str) -> int:
    """Read a whole number above 0."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return number


def count(text: str) -> int:
    """Read a whole number of 0 or more."""
    if not text.isascii() or not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def frames(text: str) -> int | Literal["all"]:
    """Read how many frames are looked at: a whole number above 0, or `all`."""
    return "all" if text == "all" else positive(text)


def amount(text: str) -> float:
    """Read a number that is not negative."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 on")
    return number


def times(text: str) -> tuple[float, ...]:
    """Read seconds, with commas between them: `0,1,2.5`."""
    return tuple(amount(part.strip()) for part in text.split(","))


def size(text: str) -> tuple[int, int]:
    """Read WIDTHxHEIGHT in pixels."""
    width, sign, height = text.lower().partition("x")
    if not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, such as 1280x720")
    return positive(width), positive(height)


def local_text(text: str) -> str:
    """Read what names a file of this machine, or what ships; an address names neither."""
    if (meant := nearly(text)) is not None:
        raise argparse.ArgumentTypeError(f"{text}: is no address as it is written; write {meant}")
    if address := _ADDRESS.fullmatch(text):
        named = f"{address[1]}{address[2]}"
        if not is_remote(named):
            raise argparse.ArgumentTypeError(
                f"{named}: is an address, and this takes a path of this machine"
            )
        raise argparse.ArgumentTypeError(
            f"{named}: lies in a store, where only judge looks for images and writes records "
            "(--out); name a path of this machine, and copy what lies there"
            f"{' (aws s3 cp --recursive)' if named.startswith('s3:') else ''}"
        )
    return text


def local_path(text: str) -> Path:
    """Read a path of this machine; `s3://b/run` as a path would be a folder named `s3:`."""
    return Path(local_text(text))


def path_or_address(text: str) -> Path | str:
    """Read a path, or the address of a store."""
    return text if is_remote(text) else local_path(text)


def path_or_journal(text: str) -> Path:
    """Read a path, or the address of a journal; a path has one slash where that has two."""
    return Path(text) if text.startswith(SCHEMES) else local_path(text)


def inner_share(text: str) -> float:
    """Read a share, ends excluded."""
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share between 0 and 1")
    return share
