"""`safejudge serve`: the judge behind HTTP, for moderation stacks, gateways and monitors."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.cli import config
from safejudge.cli.journal_open import add_people, check_people, ledger_of
from safejudge.cli.options import JudgeOptions, layout, runs
from safejudge.cli.values import amount, local_path, positive
from safejudge.engines.open import takes_option
from safejudge.errors import InputError
from safejudge.queueing import Limits

if TYPE_CHECKING:
    from safejudge.opening import JudgeSpec
    from safejudge.serve.settings import OnUndecided, Settings
    from safejudge.serve.shadow import ShadowPlan

MIB = 2**20
_NEEDED = ("fastapi", "uvicorn", "prometheus_client", "python_multipart")

_PATIENCE = 3.0
"""Seconds that a request to an engine's own server is tried, unless --engine-arg says another."""

EXAMPLES = """\
examples:
  safejudge serve --constitution sketch --engine hf:sketch
  safejudge serve --config serve.yaml --port 8080
  safejudge keys add keys.txt shop
  safejudge serve --config serve.yaml --host 0.0.0.0 --keys keys.txt

routes:
  POST /v1/moderations    as OpenAI's moderation endpoint, with pictures
  POST /v1/judge          the whole record of judge --out
  POST /beta/litellm_basic_guardrail_api    a guardrail of LiteLLM's proxy
  GET  /v1/modelspecs, POST /v1/classify, /v1/policies    as ROOST's Pigeon
  POST /v1/systemone      yes/no questions, as vLLM's System One
  GET  /health, /ready, /metrics, /docs; POST /admin/reload

SIGTERM and Ctrl-C end the server when what is under way has been answered;
SIGHUP reads constitution, policy, thresholds, hashes and keys anew. A key of the
engine's own server is in SAFEJUDGE_API_KEY.

exit codes:
  0    ended by SIGTERM or Ctrl-C, and every request was answered
  2    the command, the constitution or a file has to be changed first
  3    the engine failed to open
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of `safejudge serve`."""

    judge: JudgeOptions
    config: str | None
    """The file of options that was read already."""
    thresholds: Path | None
    """A file that `calibrate` wrote."""
    host: str
    port: int
    keys: Path | None
    """A file that `safejudge keys` wrote."""
    on_undecided: OnUndecided
    allow_host: tuple[str, ...]
    max_images: int
    max_body: float
    timeout: float
    drain: float
    window: int
    max_waiting: int
    max_per_client: int
    access_log: str
    log_captions: bool
    journal: str | None
    """Where every judgment is kept: a file, or an address."""
    answer_repeats: bool
    reviewers: int
    thumbnails: int
    audit: float
    retention: float
    shadow: Path | None
    """A file that says what another version of the rules does otherwise."""
    share: float


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "serve",
        help="serve the judge over HTTP",
        description="Serve one judge over HTTP. Requests of many clients share its batches.",
        **layout(EXAMPLES),
    )
    JudgeOptions.add(parser, skips=True)
    config.add(parser)
    parser.add_argument(
        "--thresholds",
        type=local_path,
        metavar="FILE.yaml",
        help="decide by these, which calibrate wrote: block, pass or ask a person",
    )
    _add_network(parser)
    _add_limits(parser)
    parser.add_argument(
        "--access-log",
        default="-",
        metavar="FILE",
        help="one line of JSON per request: a file, - for standard output, or none",
    )
    parser.add_argument(
        "--log-captions", action="store_true", help="write captions into that log, too"
    )
    _add_journal(parser)
    runs(parser, Options, run)


def _add_journal(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("to keep what was judged, and what people decide")
    group.add_argument(
        "--journal",
        metavar="FILE",
        help="keep every judgment in this SQLite file, or in postgresql://USER@HOST/DATABASE; what "
        "people decided counts in the answers",
    )
    group.add_argument(
        "--answer-repeats",
        action="store_true",
        help="answer an image that was judged before from the journal, and say so",
    )
    add_people(group)
    group.add_argument(
        "--thumbnails",
        type=positive,
        default=0,
        metavar="PIXELS",
        help="keep a small picture, of so many pixels on its longer side, of what people should "
        "look at (default: none)",
    )
    group.add_argument(
        "--retention",
        type=amount,
        default=0.0,
        metavar="DAYS",
        help="let go of judgments that are older; what people decided stays (default: keep all)",
    )
    group.add_argument(
        "--shadow",
        type=local_path,
        metavar="OTHER.yaml",
        help="judge a share of the images by another version, too, after they were answered; the "
        "file has what is different: constitution, policy, set, engine",
    )
    group.add_argument(
        "--share",
        type=amount,
        default=0.05,
        metavar="SHARE",
        help="of the images that the shadow judges (default: %(default)s)",
    )


def _add_network(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where to listen (default: %(default)s); others than this machine's own want --keys",
    )
    parser.add_argument(
        "--port", type=int, default=8750, metavar="N", help="the port (default: %(default)s)"
    )
    parser.add_argument(
        "--keys",
        type=local_path,
        metavar="FILE",
        help="who may ask: a file that `safejudge keys` made",
    )
    parser.add_argument(
        "--on-undecided",
        choices=("flag", "error", "pass"),
        default="flag",
        help="what short answers say of an undecided image (default: %(default)s)",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="HOST",
        help="a host that pictures may be fetched from: images.example.com, *.example.com; may be "
        "given several times (default: no URL is followed)",
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    numbers = (
        ("--max-images", positive, 16, "N", "images of one request"),
        ("--max-body", amount, 64.0, "MIB", "MiB of one request"),
        ("--timeout", amount, 60.0, "S", "seconds after which a request is given up"),
        ("--drain", amount, 30.0, "S", "seconds that requests get when the server ends"),
        ("--window", positive, Limits().size, "N", "images judged together"),
        ("--max-waiting", positive, Limits().waiting, "N", "images that may wait"),
        ("--max-per-client", positive, Limits().per_client, "N", "images of one client"),
    )
    for name, kind, default, metavar, text in numbers:
        parser.add_argument(
            name, type=kind, default=default, metavar=metavar, help=f"{text} (default: %(default)s)"
        )


def run(options: Options) -> int:
    """Serve until a signal ends it."""
    options.judge.check()
    kept = {
        "--answer-repeats": options.answer_repeats,
        "--reviewers": options.reviewers != 1,
        "--thumbnails": options.thumbnails,
        "--audit": options.audit,
        "--shadow": options.shadow is not None,
        "--retention": options.retention,
    }
    check_people(options.journal, kept)
    lacking = [name for name in _NEEDED if find_spec(name) is None]
    if lacking:
        raise InputError(f"serve needs {', '.join(lacking)}: pip install 'safejudge[serve]'")
    from safejudge.decide.thresholds import load
    from safejudge.serve.run import serve
    from safejudge.serve.service import Loaded

    # The engine is chosen once, perhaps by a question; rules and thresholds are read at every load.
    spec = hurried(options.judge.spec(), options.timeout)

    def loaded() -> Loaded:
        thresholds = None if options.thresholds is None else load(options.thresholds)
        judge = options.judge
        new = replace(spec, constitution=judge.rules(), policy=judge.policy(), skip=judge.skip())
        return Loaded(new, thresholds, frames_named=options.judge.frames is not None)

    with ExitStack() as stack:
        ledger = None
        if options.journal is not None:
            ledger = ledger_of(
                options.journal,
                stack,
                audit=options.audit,
                reviewers=options.reviewers,
                thumbnail=options.thumbnails,
                repeats=options.answer_repeats,
            )
        plan = None if options.shadow is None else _plan(options, options.shadow)
        return serve(loaded, _settings(options), options.access_log, ledger, plan)


def _plan(options: Options, file: Path) -> ShadowPlan:
    """Read what another version does otherwise; each time that the rules are loaded, anew."""
    from safejudge.cli.shadow import name_of, options_of
    from safejudge.serve.shadow import ShadowPlan

    if not 0 < options.share <= 1:
        raise InputError(f"--share {options.share} is no share above 0; give 0.05 for 5 in 100")

    def loaded() -> JudgeSpec:
        return hurried(options_of(file, options.judge).spec(), options.timeout)

    return ShadowPlan(name_of(file), loaded, options.share)


def hurried(spec: JudgeSpec, seconds: float) -> JudgeSpec:
    """Let an engine behind HTTP give up soon: callers wait, and want to know that it is gone."""
    wanted = {"timeout": seconds, "patience": _PATIENCE}
    options = {name: value for name, value in wanted.items() if takes_option(spec.engine, name)}
    return replace(spec, engine_args=options | dict(spec.engine_args))


def _settings(options: Options) -> Settings:
    from safejudge.serve.settings import Settings

    body = int(options.max_body * MIB)
    if body < 1:
        raise InputError(f"--max-body {options.max_body} leaves no request a byte")
    return Settings(
        host=options.host,
        port=options.port,
        keys=options.keys,
        on_undecided=options.on_undecided,
        hosts=options.allow_host,
        images=options.max_images,
        body=body,
        bodies=4 * body,
        seconds=options.timeout,
        drain=options.drain,
        limits=Limits(
            size=options.window,
            waiting=options.max_waiting,
            per_client=options.max_per_client,
        ),
        log_captions=options.log_captions,
        reviewers=options.reviewers,
        thumbnail=options.thumbnails,
        audit=options.audit,
        retention=options.retention,
    )
