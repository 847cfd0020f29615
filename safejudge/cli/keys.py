"""`safejudge keys`: who may ask a server; a file of hashed keys."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safejudge.cli.exits import DONE
from safejudge.cli.options import layout, runs
from safejudge.cli.values import local_path
from safejudge.serve.keys import ROLES, Role
from safejudge.text import clean

EXAMPLES = """\
examples:
  safejudge keys add keys.txt mobile-app
  safejudge keys add keys.txt prometheus --role metrics
  safejudge keys list keys.txt
  safejudge keys remove keys.txt mobile-app

exit codes:
  0    done
  2    the command or the file has to be changed first
"""


def add(commands: Any) -> None:
    """Add the command and its own commands."""
    parser = commands.add_parser(
        "keys",
        help="make and list the keys of a server's clients",
        description="Keep the file that says who may ask a server. It holds hashes of keys.\n"
        "A server goes by a changed file when it has read it again.",
        **layout(EXAMPLES),
    )
    subcommands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_add(subcommands)
    _add_list(subcommands)
    _add_remove(subcommands)


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=local_path, metavar="FILE", help="the file of the server's keys"
    )


# --- add ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AddOptions:
    """Options of `safejudge keys add`."""

    file: Path
    name: str
    """What logs and the journal are to call the client."""
    roles: tuple[Role, ...]
    """What its key is good for; none named: judging."""


def _add_add(commands: Any) -> None:
    parser = commands.add_parser(
        "add",
        help="make a key for a new client, and print it once",
        description="Make a key, add its hash to the file, and print the key. It is printed this\n"
        "once. A new file is made for its owner alone.",
        **layout(EXAMPLES),
    )
    _add_file(parser)
    parser.add_argument("name", metavar="NAME", help="what logs call the client")
    parser.add_argument(
        "--role",
        dest="roles",
        action="append",
        choices=ROLES,
        default=[],
        help="what the key is good for (default: judge); may be given more than once",
    )
    runs(parser, AddOptions, add_key)


def add_key(options: AddOptions) -> int:
    """Add a client, and print its key."""
    from safejudge.serve import keys
    from safejudge.show.terminal import say

    print(keys.add(options.file, options.name, options.roles or ("judge",)))
    say(f"warning: this key of {options.name} is kept nowhere and not shown again; keep it now")
    return DONE


# --- list -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ListOptions:
    """Options of `safejudge keys list`."""

    file: Path


def _add_list(commands: Any) -> None:
    parser = commands.add_parser(
        "list",
        help="print every client: its name, its roles, and when its key was made",
        description="Print every client: its name, its roles, and when its key was made.",
        **layout(EXAMPLES),
    )
    _add_file(parser)
    runs(parser, ListOptions, list_keys)


def list_keys(options: ListOptions) -> int:
    """Print the clients, a line each."""
    from safejudge.serve.keys import Keys

    for client in Keys.load(options.file).clients:
        roles = ",".join(role for role in ROLES if role in client.roles)
        print(f"{client.name}\t{roles}\t{client.created}")
    return DONE


# --- remove ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RemoveOptions:
    """Options of `safejudge keys remove`."""

    file: Path
    name: str
    """Whose key is to go."""


def _add_remove(commands: Any) -> None:
    parser = commands.add_parser(
        "remove",
        help="let a client in no more",
        description="Remove a client and its key from the file.",
        **layout(EXAMPLES),
    )
    _add_file(parser)
    parser.add_argument("name", metavar="NAME", help="whose key is to go")
    runs(parser, RemoveOptions, remove_key)


def remove_key(options: RemoveOptions) -> int:
    """Remove a client."""
    from safejudge.serve import keys

    keys.remove(options.file, options.name)
    print(f"{options.name} is no longer in {clean(str(options.file))}")
    return DONE
