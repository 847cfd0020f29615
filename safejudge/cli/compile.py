"""`safejudge compile`: rules as people write them -> conditions in a lock beside the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.cli.exits import DONE, OPEN
from safejudge.cli.options import add_engine_args, layout, runs
from safejudge.cli.values import local_path, local_text, positive
from safejudge.compile import ROUNDS
from safejudge.constitution.load import lock_path, shipped_constitutions
from safejudge.engines.open import open_engine
from safejudge.errors import EngineCallError, InputError
from safejudge.text import clean

if TYPE_CHECKING:
    from safejudge.compile.run import Compiled, Step

EXAMPLES = """\
examples:
  safejudge compile rules.yaml --llm server:http://127.0.0.1:8000/v1#MODEL
  safejudge compile rules.yaml --llm hf:ORG/MODEL --max-rounds 6

exit codes:
  0    every rule has a condition, its own or in the lock, and nothing is open
  2    the command, the constitution or the lock has to be changed first
  3    the engine failed, what was compiled is in the lock; or the model is
       too small to compile
  4    something is left for a person: rules to review, or rules that failed
  130  stopped by Ctrl-C; the same command goes on
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `safejudge compile`."""

    file: str
    """A constitution's path."""
    llm: str
    """URI of the language model."""
    engine_args: tuple[tuple[str, Any], ...]
    """Options of the model: name and value."""
    yes: bool
    """Whether `auto` may download without asking."""
    max_rounds: int
    """Most rewritings of a wording, and repairs of a condition."""
    out: Path | None
    """Where the lock goes; None: beside the file."""
    self_test: bool
    """Whether a model that cannot split its own example is refused."""


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "compile",
        help="turn rules as people write them into conditions that a model can check",
        description="Find an objective wording and a condition for every rule that has none, and\n"
        "write them to the lock beside the file (NAME.lock.yaml), to be read, corrected\n"
        "and committed. Rules with a condition are not touched.",
        **layout(EXAMPLES),
    )
    parser.add_argument("file", type=local_text, metavar="FILE", help="a constitution")
    parser.add_argument(
        "--llm",
        required=True,
        metavar="URI",
        help="a language model, with or without eyes: server:http://HOST:PORT/v1#MODEL, "
        "vllm:ORG/MODEL, hf:ORG/MODEL, auto",
    )
    add_engine_args(parser)
    parser.add_argument(
        "--max-rounds",
        type=positive,
        default=ROUNDS,
        metavar="N",
        help="most rewritings of a wording, and repairs of a condition (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=local_path,
        metavar="FILE",
        help="write the lock here (default: beside the file)",
    )
    parser.add_argument(
        "--no-self-test",
        dest="self_test",
        action="store_false",
        help="compile with a model that cannot split the example of its own instructions",
    )
    runs(parser, Options, run)


def run(options: Options) -> int:
    """Compile every rule without a condition of its own, and print what is ready and open."""
    from safejudge.compile.disk import open_lock
    from safejudge.show import compiled
    from safejudge.show.terminal import print_trimmed, say

    if not Path(options.file).is_file() and options.file in shipped_constitutions():
        raise InputError(f"{options.file} is a shipped constitution, compiled by hand; name a file")
    default_lock = lock_path(options.file)
    lock = default_lock if options.out is None else options.out
    draft = open_lock(options.file, options.out).draft
    count = sum(rule.condition is None for rule in draft.rules)
    if not count:
        print(f"{clean(options.file)}: every rule has a condition of its own; nothing to do")
        return DONE
    results = _compile(options, lock, count)
    print_trimmed(compiled.compiled_rules(results))
    print(compiled.summary(results, lock))
    if lock.resolve() != default_lock.resolve():
        say(f"note: judge and lint read only {default_lock}; move the lock there to use it")
    return DONE if all(result.clean for result in results) else OPEN


def _compile(options: Options, lock: Path, count: int) -> list[Compiled]:
    """Compile `count` rules and say every step; a run that stops leaves what it has in the lock."""
    from safejudge.cli.choice import named
    from safejudge.compile.run import compile_constitution
    from safejudge.show.progress import progress
    from safejudge.show.terminal import say

    uri, engine_args = named(options.llm, dict(options.engine_args), yes=options.yes)
    engine = open_engine(uri, **engine_args)
    try:
        with progress(count) as advance:

            def tell(step: Step) -> None:
                if step.state != "kept":
                    say(f"{step.rule}: {step.text}")
                if step.state is not None:
                    advance(1)

            return compile_constitution(
                options.file,
                engine,
                out=options.out,
                rounds=options.max_rounds,
                self_test=options.self_test,
                tell=tell,
            )
    except (EngineCallError, KeyboardInterrupt):
        state = f"what was compiled is in {lock}" if lock.exists() else "nothing was compiled"
        say(f"stopped; {state}, and the same command goes on")
        raise
    finally:
        engine.close()
