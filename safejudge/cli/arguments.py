"""The arguments of the command line: names, help texts, examples. Decides and runs nothing."""

from __future__ import annotations

import argparse
from importlib import metadata
from typing import TYPE_CHECKING, Any

from safejudge.cli import examples
from safejudge.cli.argument_parts import (
    add_choices,
    add_engine_arg,
    add_kit,
    amount,
    positive,
    setting,
    texts,
)
from safejudge.cli.preference_arguments import add_annotate, add_train_scorer
from safejudge.compile.run import ROUNDS
from safejudge.judge import WINDOW

if TYPE_CHECKING:
    from collections.abc import Sequence

_WINDOW_HELP = "images judged, shown and saved together (default: %(default)s)"


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse a command line; `command` in the result names what to run.

    Ends the process as argparse does, with code 2 for a mistake and 0 for `--help`.
    """
    parser = argparse.ArgumentParser(
        prog="safejudge",
        description="Judge whether images are safe, by rules that people write.",
        **texts(examples.EXAMPLES, examples.EXIT_CODES),
    )
    version = f"%(prog)s {metadata.version('safejudge')}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_judge(commands)
    _add_explain(commands)
    _add_relevance(commands)
    _add_compile(commands)
    _add_lint(commands)
    _add_diff(commands)
    _add_eval(commands)
    _add_report(commands)
    add_annotate(commands)
    add_train_scorer(commands)
    _add_sketch(commands)
    return parser.parse_args(argv)


def _add_judge(commands: Any) -> None:
    add = commands.add_parser(
        "judge",
        help="judge files and folders; a table, or one JSON line per image",
        description="Judge images. A terminal gets a table; a pipe and --out get one JSON line\n"
        "per image, with the whole trace of how it came about.",
        **texts(examples.JUDGE, examples.EXIT_CODES),
    )
    add.add_argument("paths", nargs="+", metavar="PATH", help="an image, a folder or a pattern")
    add_choices(add)
    add.add_argument("--prompts", metavar="FILE", help="captions: JSONL or CSV with image, prompt")
    add.add_argument("--out", metavar="FILE.jsonl", help="write the records to this file")
    add.add_argument(
        "--report", metavar="FILE.html", help="write a page with the images and their traces"
    )
    again = add.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="judge only what --out lacks")
    again.add_argument("--overwrite", action="store_true", help="begin --out and --report anew")
    add.add_argument(
        "--limit", type=positive, metavar="N", help="judge only the first N of the images"
    )
    add.add_argument("--window", type=positive, default=WINDOW, metavar="N", help=_WINDOW_HELP)
    _add_ray(add)
    add.set_defaults(command="judge")


def _add_ray(add: argparse.ArgumentParser) -> None:
    add.add_argument(
        "--ray",
        action="store_true",
        help="judge with Ray: PATH may be or hold .tar and .parquet files, --out is a folder "
        "of Parquet files",
    )
    add.add_argument(
        "--actors",
        type=positive,
        metavar="N",
        help="with --ray: how many engines to open (default: one per GPU, or one)",
    )
    add.add_argument(
        "--gpus-per-actor",
        type=amount,
        metavar="G",
        help="with --ray: GPUs for each of them; 0.5 lets two share one (default: 1 if there are "
        "any)",
    )
    add.add_argument(
        "--ray-address",
        metavar="HOST:PORT",
        help="with --ray: a cluster that runs (default: $RAY_ADDRESS, or this machine alone)",
    )


def _add_explain(commands: Any) -> None:
    add = commands.add_parser(
        "explain",
        help="show for one image how each rule was judged",
        description="Judge one image and show the trace: every rule's condition as a tree,\n"
        "what was read, and which test decided.",
        **texts(examples.EXPLAIN, examples.EXIT_CODES),
    )
    add.add_argument("image", metavar="IMAGE", help="the image")
    add_choices(add)
    add.add_argument("--rule", metavar="ID", help="show only this rule, in full")
    add.add_argument("--prompt", metavar="TEXT", help="the prompt or caption of the image")
    add.set_defaults(command="explain")


def _add_relevance(commands: Any) -> None:
    add = commands.add_parser(
        "relevance",
        help="find a threshold for an encoder on images without labels",
        description="Compare every rule with every image, and say above which similarity a share\n"
        "of the pairs lies. It says how much would be asked, not how much would be missed.",
        **texts(examples.RELEVANCE),
    )
    add.add_argument("paths", nargs="+", metavar="PATH", help="an image, a folder or a pattern")
    add.add_argument("--constitution", required=True, metavar="C", help="the rules")
    add.add_argument("--encoder", required=True, metavar="URI", help="hf:ORG/MODEL")
    add.add_argument(
        "--keep",
        type=float,
        default=0.4,
        metavar="SHARE",
        help="the share of (image, rule) pairs to ask about (default: %(default)s)",
    )
    add.set_defaults(command="relevance")


def _add_compile(commands: Any) -> None:
    add = commands.add_parser(
        "compile",
        help="turn rules as people write them into conditions that a model can check",
        description="Find an objective wording and a condition for every rule that has none, and\n"
        "write them to the lock beside the file (NAME.lock.yaml), to be read, corrected\n"
        "and committed. Rules with a condition are not touched.",
        **texts(examples.COMPILE),
    )
    add.add_argument("file", metavar="FILE", help="a constitution")
    add.add_argument(
        "--llm",
        required=True,
        metavar="URI",
        help="a language model, with or without eyes: server:http://HOST:PORT/v1#MODEL, "
        "vllm:ORG/MODEL, hf:ORG/MODEL",
    )
    add_engine_arg(add)
    add.add_argument(
        "--max-rounds",
        type=positive,
        default=ROUNDS,
        metavar="N",
        help="most rewritings of a wording, and repairs of a condition (default: %(default)s)",
    )
    add.add_argument("--out", metavar="FILE", help="write the lock here (default: beside the file)")
    add.set_defaults(command="compile")


def _add_lint(commands: Any) -> None:
    add = commands.add_parser(
        "lint",
        help="check constitution files",
        description="Check constitutions and say for every problem what to write instead.",
        **texts(examples.LINT),
    )
    add.add_argument(
        "files", nargs="+", metavar="FILE", help="a YAML file, or the name of a shipped one"
    )
    add.set_defaults(command="lint")


def _add_diff(commands: Any) -> None:
    add = commands.add_parser(
        "diff",
        help="show what a change of a constitution means",
        description="Compare two constitutions rule by rule: wordings, lost and new exceptions,\n"
        "and whether a rule can only be violated less, or only more.",
        **texts(examples.DIFF),
    )
    for name, what in (("old", "the rules as they were"), ("new", "the rules as they are now")):
        text = f"{what}: a YAML file, or the name of a shipped one"
        add.add_argument(name, metavar=name.upper(), help=text)
    add.set_defaults(command="diff")


def _add_eval(commands: Any) -> None:
    add = commands.add_parser(
        "eval",
        help="measure a judge on images whose labels are known, or score recorded outputs",
        description="Judge the labelled images of a folder and compare, or score the outputs that\n"
        "somebody's judges left in a folder. `safejudge suites` lists what there is.",
        **texts(examples.EVAL),
    )
    add.add_argument("suite", metavar="SUITE", help="labelled, mj-bench, ...; see safejudge suites")
    add.add_argument(
        "--data",
        metavar="DIR",
        help="what to judge: a folder, a file of pairs (preference), or ORG/NAME of the hub "
        "(mj-bench)",
    )
    add.add_argument(
        "--split", action="append", default=[], metavar="NAME", help="only this part of the data"
    )
    add.add_argument(
        "--seed", type=int, metavar="S", help="with --limit: N drawn by lot, not the first N"
    )
    add.add_argument("--labels", metavar="FILE", help="the labels, if they are not in --data")
    _add_recorded(add)
    add.add_argument(
        "--suite-arg",
        action="append",
        type=setting,
        default=[],
        metavar="NAME=VALUE",
        help="an option of the suite, such as decision=ratings; may be given several times",
    )
    add.add_argument(
        "--variant",
        action="append",
        default=[],
        metavar="NAME",
        help="judge again with this change: blind, jpeg-30, half, grey, flip, ..., or all",
    )
    add.add_argument(
        "--repeats", type=positive, default=0, metavar="N", help="judge again N times, unchanged"
    )
    add_choices(add)
    add.add_argument("--out", metavar="DIR", help="write results, samples and records here")
    again = add.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="judge only what --out lacks")
    again.add_argument("--overwrite", action="store_true", help="begin --out anew")
    add.add_argument(
        "--limit", type=positive, metavar="N", help="judge only the first N of the images"
    )
    add.add_argument("--window", type=positive, default=WINDOW, metavar="N", help=_WINDOW_HELP)
    add.set_defaults(command="eval")


def _add_recorded(add: argparse.ArgumentParser) -> None:
    """Add what takes somebody's outputs instead of judging."""
    add.add_argument("--from-outputs", metavar="DIR", help="score what is recorded in this folder")
    add.add_argument(
        "--paper", action="store_true", help="with the choices of the published tables"
    )


def _add_report(commands: Any) -> None:
    report = commands.add_parser(
        "report",
        help="make the tables of an eval anew, from its records",
        description="Make the tables of a folder that eval wrote; no model is asked.",
        **texts(examples.REPORT),
    )
    report.add_argument("folder", metavar="DIR", help="what --out named")
    report.set_defaults(command="report")
    listed = commands.add_parser("suites", help="list the suites of eval", **texts())
    listed.set_defaults(command="suites")


def _add_sketch(commands: Any) -> None:
    sketch = commands.add_parser(
        "sketch",
        help="draw scenes for trying things out",
        description="The drawn world of the sketch judge.",
        **texts(examples.SCENES),
    )
    commands = sketch.add_subparsers(metavar="COMMAND", required=True)
    _add_bench(commands)
    add = commands.add_parser(
        "scenes",
        help="draw PNG files, and what is in them as facts.jsonl",
        description="Draw scenes as PNG files, and write what is in each to facts.jsonl.",
        **texts(examples.SCENES),
    )
    add.add_argument("--out", required=True, metavar="DIR", help="a new or empty folder")
    add.add_argument(
        "--count", type=positive, default=24, metavar="N", help="how many (default: %(default)s)"
    )
    add.add_argument(
        "--seed", type=int, default=0, metavar="S", help="other scenes (default: %(default)s)"
    )
    add.add_argument("--overwrite", action="store_true", help="replace scenes drawn before")
    add.add_argument(
        "--bench", action="store_true", help="those of SketchBench, for eval labelled; no --count"
    )
    _add_bench_size(add)
    add.set_defaults(command="sketch scenes")
    add = commands.add_parser(
        "mj-bench",
        help="draw pairs in the form of MJ-Bench",
        description="Draw pairs for alignment, safety and quality, and pictures for bias, in the\n"
        "columns of MJ-Bench's Parquet files; the better picture comes first in half of them.",
        **texts(examples.SCENES),
    )
    add.add_argument("--out", required=True, metavar="DIR", help="a new or empty folder")
    add.add_argument(
        "--count", type=positive, default=60, metavar="N",
        help="pairs of each kind, and about as many pictures for bias (default: %(default)s)",
    )  # fmt: skip
    add.add_argument(
        "--seed", type=int, default=0, metavar="S", help="other pairs (default: %(default)s)"
    )
    add.add_argument("--overwrite", action="store_true", help="replace what was drawn before")
    add.set_defaults(command="sketch mj-bench")


def _add_bench(commands: Any) -> None:
    add = commands.add_parser(
        "bench",
        help="measure what each stage of the method is worth",
        description="Judge drawn scenes with exact truth by the method, by its baselines, and\n"
        "without each of its parts. Takes hours on a laptop; a run that was stopped goes on\n"
        "where it was, if it is given the same --answers.",
        **texts(examples.BENCH),
    )
    add.add_argument("--engine", default="hf:sketch", metavar="URI", help="default: %(default)s")
    add_kit(add)
    _add_bench_size(add)
    add.add_argument("--answers", metavar="FILE", help="keep the model's answers in this file")
    add.set_defaults(command="sketch bench")


def _add_bench_size(add: argparse.ArgumentParser) -> None:
    add.add_argument(
        "--per-rule", type=positive, default=50, metavar="N",
        help="bench: violating scenes, and as many borderline, per rule (default: %(default)s)",
    )  # fmt: skip
    add.add_argument(
        "--plain", type=positive, default=500, metavar="N",
        help="bench: scenes that no rule is about (default: %(default)s)",
    )  # fmt: skip
