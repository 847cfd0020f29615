"""The command line: parse, run one command, end with its exit code.

Nothing here decides anything about an image. A command is one file beside this one: `add` gives
its arguments, `Options` what it was told, `run` does it. Libraries are imported when a command
needs them, so `--help` and `lint` are quick.
"""

from __future__ import annotations

import argparse
import atexit
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any, NoReturn

from safejudge.cli import (
    annotate,
    arena,
    calibrate,
    card,
    check,
    compare,
    config,
    dialects,
    diff,
    distill,
    explain,
    journal,
    judge,
    keys,
    lint,
    mine,
    relevance,
    render,
    replay,
    report,
    rerank,
    serve,
    sketch,
    streams,
    suites,
    train_scorer,
    winrates,
)
from safejudge.cli import compile as compile_rules
from safejudge.cli import eval as evaluate
from safejudge.cli.exits import (
    BROKEN_PIPE,
    DONE,
    ENGINE,
    INPUT,
    INTERRUPTED,
    OF_VERDICTS,
    TERMINATED,
)
from safejudge.cli.options import layout, read
from safejudge.errors import EngineError, SafejudgeError, StoreError

COMMANDS = (
    judge,
    explain,
    relevance,
    distill,
    compile_rules,
    lint,
    diff,
    check,
    evaluate,
    report,
    compare,
    arena,
    calibrate,
    card,
    replay,
    suites,
    dialects,
    serve,
    journal,
    annotate,
    train_scorer,
    mine,
    rerank,
    keys,
    render,
    winrates,
    sketch,
)
"""Every command, in the order of the help."""

EXAMPLES = """\
examples:
  safejudge judge photos/ --constitution rules.yaml --engine auto
  safejudge explain photo.png --constitution rules.yaml --engine hf:ORG/MODEL
  safejudge compile rules.yaml --llm server:http://HOST:PORT/v1#MODEL
  safejudge lint rules.yaml
  safejudge diff rules-before.yaml rules.yaml
  safejudge sketch scenes --out scenes --count 100 --seed 7
"""


def entry() -> NoReturn:
    """Run as the console script."""
    streams.prepare()
    signal.signal(signal.SIGTERM, _terminated)
    # The last thing that happens: the code of a run that is over stays what it is.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    try:
        code = main()
    except KeyboardInterrupt:  # another one, while the first was told
        code = INTERRUPTED
    # A bug, or a plug-in that ends the process; any code of theirs would read as a verdict.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        code = ENGINE
        if isinstance(error, SystemExit) and error.code == signal.SIGTERM:  # Ray obeys it so, too
            code = TERMINATED
        else:
            traceback.print_exc()
    if code == INTERRUPTED:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))  # whatever is still to end
    sys.exit(code)


def _terminated(number: int, _: object) -> NoReturn:
    """End as by an exception: vLLM's own processes would outlive this one, and hold a GPU.

    A second signal ends it at once.
    """
    signal.signal(number, signal.SIG_DFL)
    raise SystemExit(number)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; see `exits`."""
    with warnings.catch_warnings():
        warnings.showwarning = _Warner()
        try:
            code = _run(argv)
            sys.stdout.flush()
        except SafejudgeError as error:
            _say(f"error: {error}")
            return ENGINE if isinstance(error, EngineError | StoreError) else INPUT
        except KeyboardInterrupt:
            _say("stopped")
            return INTERRUPTED
        except BrokenPipeError:
            # The interpreter flushes stdout once more when it ends; that must not fail as well.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BROKEN_PIPE
        return code


def _run(argv: Sequence[str] | None) -> int:
    try:
        run, options = parse(argv)
    except SystemExit as end:  # argparse has printed the mistake, or the help
        return int(end.code or DONE)
    return run(options)


def parse(argv: Sequence[str] | None) -> tuple[Callable[[Any], int], Any]:
    """Parse a command line: the function that runs the command, and the options it takes.

    Ends the process as argparse does, with code 2 for a mistake and 0 for `--help`.
    """
    parser = argparse.ArgumentParser(
        prog="safejudge",
        description="Judge whether images are safe, by rules that people write.",
        **layout(EXAMPLES, OF_VERDICTS),
    )
    version = f"%(prog)s {metadata.version('safejudge')}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    line = parser.parse_args(
        config.expanded(sys.argv[1:] if argv is None else argv, commands.choices)
    )
    return line.run, read(line.options, line)


class _Warner:
    """Tells each warning once, however often what it is about is read."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def __call__(self, message: Warning | str, *_: object, **__: object) -> None:
        if str(message) not in self._told:
            self._told.add(str(message))
            _say(f"warning: {message}")


def _say(text: str) -> None:
    from safejudge.show.terminal import say

    say(text)
