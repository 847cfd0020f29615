"""Options in a YAML file, by their names on the command line: `--config serve.yaml`.

    constitution: rules.yaml
    engine: vllm:ORG/MODEL
    engine-arg: {max_model_len: 4096}
    allow-host: [images.example.com]
    log-captions: false

What stands on the command line wins; of an option that may be given several times, both count.
Keys are strict: a name that is no option is refused with its line.
"""

from __future__ import annotations

import difflib
from argparse import Action, ArgumentParser, _AppendAction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.constitution import strict_yaml
from safejudge.errors import InputError
from safejudge.text import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

OPTION = "--config"


def add(parser: ArgumentParser) -> None:
    """Add the option to a command."""
    parser.add_argument(
        OPTION,
        metavar="FILE.yaml",
        help="options in a file, by their names here; those on the command line win",
    )


def expanded(argv: Sequence[str], commands: Mapping[str, ArgumentParser]) -> list[str]:
    """Put the options of the file that a command line names before its own.

    Raises `InputError` for a file that cannot be read, and for a key that is no option.
    """
    words = list(argv)
    parser = commands.get(words[0]) if words else None
    if parser is None or OPTION not in parser._option_string_actions:  # noqa: SLF001 - no other way to ask
        return words
    file = _file(words)
    return words if file is None else [words[0], *_words(Path(file), parser), *words[1:]]


def _file(words: Sequence[str]) -> str | None:
    files = [after for word, after in pairwise(words) if word == OPTION]
    files += [word.partition("=")[2] for word in words if word.startswith(f"{OPTION}=")]
    if len(files) > 1:
        raise InputError(f"{OPTION} is given twice; put all options into one file")
    return files[0] if files else None


def _words(file: Path, parser: ArgumentParser) -> Iterator[str]:
    actions = {
        name.removeprefix("--"): action
        for name, action in parser._option_string_actions.items()  # noqa: SLF001
        if name.startswith("--") and name not in (OPTION, "--help")
    }
    for key, value, where in entries(file, actions):
        yield from _option(key, value, actions[key], where)


def entries(file: Path, known: Collection[str]) -> Iterator[tuple[str, Any, str]]:
    """Yield each key of a file, its value, and where it stands.

    Raises `InputError` for a file that cannot be read, and for a key that is not among `known`.
    """
    try:
        sheet = strict_yaml.read(file.read_bytes(), typed=True)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); check the path") from error
    except strict_yaml.Refused as error:
        raise InputError(f"{file}:{error.line or 1}: {error.problem}") from error
    for remark in sheet.remarks:
        raise InputError(f"{file}:{remark.line}: {remark.problem}; {remark.instead}")
    for key, value in sheet.data.items():
        where = f"{file}:{sheet.lines[(key,)]}"
        if key not in known:
            near = difflib.get_close_matches(key.replace("_", "-"), known, 1, 0.6)
            advice = f"do you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise InputError(f"{where}: {quoted(key)} is no option; {advice}")
        yield key, value, where


def texts(key: str, value: Any, where: str) -> list[str]:
    """Return the values of an option: one, those of a list, or NAME=VALUE of a mapping."""
    if isinstance(value, dict):
        return [f"{name}={_text(part, where, key)}" for name, part in value.items()]
    if isinstance(value, list):
        return [_text(part, where, key) for part in value]
    return [value]


def _option(key: str, value: Any, action: Action, where: str) -> Iterator[str]:
    """Yield the words of a command line that say the same."""
    if action.nargs == 0:  # a switch
        if value not in ("true", "false"):
            raise InputError(f"{where}: {quoted(key)} is on or off; write true or false")
        if value == "true":
            yield f"--{key}"
        return
    if isinstance(value, dict | list) and not isinstance(action, _AppendAction):
        raise InputError(f"{where}: {quoted(key)} has one value; write it without a list")
    for text in texts(key, value, where):
        yield f"--{key}={text}"


def _text(value: Any, where: str, key: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{where}: {quoted(key)} holds a list or a mapping inside another")
    return value
