"""Options that several commands share: groups of arguments, and what is made of them.

A command declares its options as a frozen dataclass, in which a group is one field. `read` fills it
from the parsed line, at the door of the command; `argparse.Namespace` goes no further.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from safejudge.cli.panel import add_engines_beside, check_panel
from safejudge.cli.switches import SWITCHES, add_switches
from safejudge.cli.values import (
    assignment,
    dialect,
    frames,
    local_path,
    local_text,
    positive,
    setting,
)
from safejudge.constitution.load import load_constitution, shipped_constitutions
from safejudge.constitution.policy_file import load_policy
from safejudge.engines.dialects import NONE
from safejudge.engines.effect import missing
from safejudge.engines.models import DEFAULT, Models
from safejudge.engines.open import FORMS
from safejudge.engines.priors import PriorCache
from safejudge.engines.programs import has_programs
from safejudge.errors import InputError
from safejudge.images.hashes import HashList
from safejudge.opening import JudgeSpec
from safejudge.policy import POLICIES, Policy

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from safejudge.judge import Judge
    from safejudge.types import Constitution

T = TypeVar("T", bound="DataclassInstance")


# --- commands -------------------------------------------------------------------------------------


def layout(*epilog: str) -> dict[str, Any]:
    """Say how a command's help is laid out, and what stands below its options."""
    return {
        "epilog": "\n".join(epilog),
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,  # an option added later must not change what an old script means
    }


def runs(parser: argparse.ArgumentParser, options: type[T], run: Callable[[T], int]) -> None:
    """Let `run` be called with the `options` of a line that `parser` parsed."""
    parser.set_defaults(options=options, run=run)


def read(options: type[T], line: argparse.Namespace) -> T:
    """Fill a dataclass of options from a parsed line: each field by the argument of its name.

    A field of `GROUPS` is filled in the same way; a list becomes a tuple.
    """
    values = {}
    for field in fields(options):
        if field.name in GROUPS:
            values[field.name] = read(GROUPS[field.name], line)
        else:
            value = getattr(line, field.name)
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return options(**values)


# --- models, rules and policy ---------------------------------------------------------------------


_COMPANIONS = {
    "encoder": "the relevance filter: a CLIP or SigLIP",
    "detector": "the regions: an OWLv2 or Grounding DINO",
}
"""Models that may stand beside the engine."""


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """What decides about a verdict: rules, models, and how answers are weighed."""

    constitution: str | None
    """The path of a YAML file, or the name of a shipped constitution."""
    engine: str | None
    """URI of the engine."""
    engine_args: tuple[tuple[str, Any], ...]
    """Options of the engine: name and value."""
    also: tuple[str, ...]
    """URIs of engines whose answers count as much."""
    escalate_to: str | None
    """URI of the engine that is asked what those leave open."""
    escalate_below: float | None
    """Margin under which it is asked about what is decided, too."""
    yes: bool
    """Whether `auto` may download without asking."""
    base: str
    """One of `POLICIES`, or the path of a policy file, before settings and switches."""
    settings: tuple[tuple[str, str], ...]
    """Fields of the policy and their values, which win over the file."""
    encoder: str | None
    """URI of the encoder, or `DEFAULT`."""
    detector: str | None
    """URI of the detector, or `DEFAULT`."""
    threshold: float | None
    """Cosine similarity above which a rule is asked; None: what is stated for the encoder."""
    frames: int | Literal["all"] | None
    """Most frames of an animation that are looked at; None: as the policy says."""
    switches: tuple[str, ...]
    """Those of `SWITCHES` that were given."""
    skip_hashes: Path | None = None
    """A file of hashes of pictures that no model may be shown."""

    @staticmethod
    def add(
        parser: argparse.ArgumentParser,
        *,
        exhaustive: bool = False,
        rules: bool = True,
        skips: bool = False,
    ) -> None:
        """Add the arguments; no default for the two that matter most, rules and engine.

        `exhaustive`: the command asks every question, so nothing is offered that would leave some
        out. Without `rules` the command has an argument `constitution` of its own. `skips`: the
        command shows pictures to models by a judge alone, which can hold them against a list.
        """
        if rules:
            parser.add_argument(
                "--constitution",
                type=local_text,
                metavar="C",
                help="the rules: a YAML file, or the name of a shipped one",
            )
        parser.add_argument(
            "--engine",
            metavar="URI",
            help="the model: auto (an open one that fits the memory here), hf:ORG/MODEL, "
            "vllm:ORG/MODEL, server:http://HOST:PORT/v1#MODEL, "
            "decisions:http://HOST:PORT/v1#MODEL (OpenAI's Decisions, System One), hf:sketch",
        )
        add_engine_args(parser)
        add_policy(parser)
        if exhaustive:
            _add_model(parser, "detector")
            parser.set_defaults(encoder=None, threshold=None)
            parser.set_defaults(also=[], escalate_to=None, escalate_below=None)
            add_switches(parser, implied=["no-relevance", "exhaustive"])
        else:
            add_engines_beside(parser)
            add_models_beside(parser)
            parser.add_argument(
                "--relevance-threshold",
                dest="threshold",
                type=float,
                metavar="T",
                help="ask a rule above this similarity (default: what is stated for the encoder)",
            )
            add_switches(parser, implied=[])
        if skips:
            parser.add_argument(
                "--skip-hashes",
                type=local_path,
                metavar="FILE",
                help="show no model a picture that matches a PDQ hash of this file, 64 hex digits "
                "a line; it counts as one that could not be judged",
            )
        else:
            parser.set_defaults(skip_hashes=None)
        parser.add_argument(
            "--frames",
            type=frames,
            metavar="N",
            help="look at N frames of an animation at most, or at `all` (default: what the policy "
            "says, 8)",
        )

    def check(self) -> None:
        """Refuse to guess what the rules are, or which model is to be trusted with them."""
        self._constitution()
        self._engine()
        self.check_panel()

    def check_panel(self) -> None:
        """Refuse what cannot be asked beside the engine. Raises `InputError`."""
        check_panel(self.also, self.escalate_to, self.escalate_below)

    def _constitution(self) -> str:
        if self.constitution is None:
            raise InputError(
                "no constitution is assumed; choose one with --constitution: the path of a YAML "
                f"file, or the name of a shipped one ({', '.join(shipped_constitutions())})"
            )
        return self.constitution

    def _engine(self) -> str:
        if self.engine is None:
            raise InputError(f"no engine is assumed; choose one with --engine: {FORMS}")
        return self.engine

    def _named(self) -> tuple[str, dict[str, Any]]:
        """Return the URI of a real engine, and its options; may ask a person, for `auto`."""
        from safejudge.cli.choice import named

        return named(self._engine(), dict(self.engine_args), yes=self.yes)

    def rules(self) -> Constitution:
        """Load the chosen constitution."""
        return load_constitution(self._constitution())

    def _has_programs(self) -> bool:
        return self.constitution is not None and has_programs(self.rules())

    def policy(self) -> Policy:
        """Return the chosen policy with its settings and switches.

        Raises `InputError` for no cosine, and for a switch that says something else than a setting.
        """
        changes: dict[str, Any] = {}
        for name, switch in SWITCHES.items():
            if name in self.switches:
                changes |= switch.changes
        if self.threshold is not None:
            if not -1 <= self.threshold <= 1:
                raise InputError(
                    f"--relevance-threshold {self.threshold} is no cosine; give -1 to 1"
                )
            changes["relevance_threshold"] = self.threshold
        if self.escalate_below is not None:
            changes["escalate_below"] = self.escalate_below
        if self.frames is not None:
            changes["max_frames"] = None if self.frames == "all" else self.frames
        policy = load_policy(self.base, self.settings)
        for name, text in self.settings:
            if changes.get(name, getattr(policy, name)) != getattr(policy, name):
                raise InputError(
                    f"--set {name}={text}: this command, or another option, makes {name} "
                    f"{changes[name]}; leave one of them out"
                )
        return policy.model_copy(update=changes)

    def skip(self) -> HashList | None:
        """Read the hashes of pictures that no model may be shown. Raises `InputError`."""
        return None if self.skip_hashes is None else HashList.read(self.skip_hashes)

    def spec(self, rules: Constitution | None = None) -> JudgeSpec:
        """Return what the judge is opened from, with these rules or with the chosen ones.

        Its engine is a real one, never `auto`, so that every process opens the same.
        """
        policy = self.policy()
        rules = self.rules() if rules is None else rules
        skip = self.skip()
        engine, engine_args = self._named()
        return JudgeSpec(
            rules,
            engine,
            policy,
            encoder=self.encoder,
            detector=self.detector,
            engine_args=engine_args,
            also=self.also,
            escalate_to=self.escalate_to,
            skip=skip,
        )

    def open(self, rules: Constitution | None = None) -> Judge:
        """Open the judge, and tell of stages without a model and of priors that are none."""
        from safejudge.show.terminal import say

        judge = self.spec(rules).open()
        asked = notes_of(judge.models)
        for note in (*asked, *missing(self.policy(), judge.models), *judge.notes):
            say(f"note: {note}")
        return judge

    def models(self) -> Models:
        """Open the models that the policy has work for."""
        from safejudge.show.terminal import say

        policy = self.policy()
        engine, engine_args = self._named()
        models = Models.opened(
            engine,
            self.encoder if policy.relevance else None,
            self.detector if policy.locates or self._has_programs() else None,
            PriorCache(PriorCache.default_path()),
            engine_args,
            also=self.also,
            escalate_to=self.escalate_to,
        )
        for note in notes_of(models):
            say(f"note: {note}")
        return models


def notes_of(models: Models) -> list[str]:
    """List what a person should know of how engines are asked; those beside the first by name."""
    return [
        f"{engine.card.uri}: {note}" if place else note
        for place, engine in enumerate(models.engines)
        for note in engine.card.notes
    ]


def add_engine_args(parser: argparse.ArgumentParser) -> None:
    """Add options of the engine, its dialect among them, and leave for `auto` to download one."""
    parser.add_argument(
        "--engine-arg",
        dest="engine_args",
        action="append",
        type=setting,
        default=[],
        metavar="NAME=VALUE",
        help="an option of the engine, such as max_model_len=4096; may be given several times",
    )
    parser.add_argument(
        "--dialect",
        dest="engine_args",
        action="append",
        type=dialect,
        metavar="NAME",
        help="the form of question that a guard model is trained on (default: found by its name; "
        f"{NONE}: ask it as any other; safejudge dialects lists them)",
    )
    parser.add_argument(
        "--yes", action="store_true", help="let auto download its model without asking"
    )


def add_policy(parser: argparse.ArgumentParser, default: str | None = "default") -> None:
    """Add the policy, and settings that win over it."""
    presets = ", ".join(POLICIES)
    parser.add_argument(
        "--policy",
        dest="base",
        type=local_text,
        metavar="POLICY",
        default=default,
        help=f"how answers are weighed: {presets}, or a YAML file "
        f"(default: {default or 'that of the records'})",
    )
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        type=assignment,
        default=[],
        metavar="FIELD=VALUE",
        help="a field of the policy, such as reject_factor=0.2 or open_means=no; wins over the "
        "file; may be given several times",
    )


def add_ignore(parser: argparse.ArgumentParser) -> None:
    """Add what need not be looked at."""
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="PATTERN",
        help="files of a folder that need not be looked at: '*.txt', 'drafts/'; may be given "
        "several times",
    )


def add_models_beside(parser: argparse.ArgumentParser) -> None:
    """Add the models beside the engine: encoder and detector."""
    for name in _COMPANIONS:
        _add_model(parser, name)


def _add_model(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument(
        f"--{name}",
        default=DEFAULT,
        metavar="URI",
        help=f"{_COMPANIONS[name]}, hf:ORG/MODEL "
        "(default: what the engine comes with; only sketch has one)",
    )


# --- output and batches ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OutputMode:
    """What becomes of an output that exists already; refused where neither is chosen."""

    resume: bool
    """Do only what is missing in it."""
    overwrite: bool
    """Begin it anew."""

    @staticmethod
    def add(parser: argparse.ArgumentParser, *, resume: str, overwrite: str) -> None:
        """Add the arguments, of which one at most may be given, with these help texts."""
        group = parser.add_mutually_exclusive_group()
        group.add_argument("--resume", action="store_true", help=resume)
        group.add_argument("--overwrite", action="store_true", help=overwrite)


@dataclass(frozen=True, slots=True)
class Batching:
    """How much is judged, and how much of it at a time."""

    limit: int | None
    """Only the first so many; None: all."""
    window: int
    """So many are judged and saved together."""

    @staticmethod
    def add(parser: argparse.ArgumentParser, window: int, *, limited: str, windowed: str) -> None:
        """Add the arguments, with these help texts; `window` is the default."""
        parser.add_argument("--limit", type=positive, metavar="N", help=limited)
        parser.add_argument(
            "--window",
            type=positive,
            default=window,
            metavar="N",
            help=f"{windowed} (default: %(default)s)",
        )


GROUPS: Mapping[str, type[Any]] = {
    "judge": JudgeOptions,
    "mode": OutputMode,
    "batching": Batching,
}
"""What the options of a command call the groups."""
