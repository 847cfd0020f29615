"""Values of options: text of a command line -> what it stands for, or why it is none."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from safejudge.engines.dialects import DIALECTS, NONE
from safejudge.errors import InputError
from safejudge.files.atomic import store_address
from safejudge.files.remote import is_remote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


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


def path_or_address(text: str) -> Path | str:
    """Read a path, or the address of a store, of which a path would fold the slashes."""
    if is_remote(text):
        return text
    if store_address(Path(text)) is not None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no address that records go to; write s3://BUCKET/FOLDER, "
            "gs://BUCKET/FOLDER, or a path of this machine"
        )
    return Path(text)


_FILES = ("constitution", "prompts", "data", "file", "files", "old", "new")
"""Texts of a command line that name files of this machine, or what ships."""


def refuse_addresses(values: Mapping[str, object]) -> None:
    """Raise `InputError` where an option has an address for a path, before a folder `s3:` is made.

    `values` are those of a command line, by name. What takes addresses has them as texts.
    """
    for name, value in values.items():
        for path in _paths(value, texts=name in _FILES):
            if (found := store_address(path)) is not None:
                address, command = found
                what = (
                    "lies in a store, where only judge looks for images and writes records (--out)"
                    if is_remote(address)
                    else "is an address, and this takes a path"
                )
                raise InputError(
                    f"{address}: {what}; name a path of this machine, and copy what lies there "
                    f"({command})"
                )


def _paths(value: object, *, texts: bool) -> Iterator[Path]:
    """Yield the paths in a value; with `texts` what looks like an address among them, too."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, str):
        if texts and "://" in value:
            yield Path(value)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _paths(part, texts=texts)


def inner_share(text: str) -> float:
    """Read a share, ends excluded."""
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share between 0 and 1")
    return share
