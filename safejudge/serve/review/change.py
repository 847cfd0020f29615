"""What other rules or another policy would change: the newest judgments, judged again from records.

Takes a journal, rules as YAML and settings of a policy; gives what flips, by rule, and what is open
because nobody asked it. No model is opened, and nothing is kept.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from safejudge.constitution.policy_file import load_policy
from safejudge.decide.replay import Replay, made_now
from safejudge.decide.replay_changes import Changes, label_in_words
from safejudge.decide.replay_records import made_then
from safejudge.errors import ConstitutionError, PolicyError, SafejudgeError
from safejudge.files.stored import StoredRecord
from safejudge.method.rule import is_open
from safejudge.serve.faults import RequestError
from safejudge.serve.handed_in import rules_in
from safejudge.serve.review.item import day, head_of, template
from safejudge.show.page.counts import Harm
from safejudge.show.page.recorded import result_of
from safejudge.text import clean, counted
from safejudge.types import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safejudge.decide.replay import Made
    from safejudge.journal.rows import Kept
    from safejudge.journal.store import Journal
    from safejudge.types import JSON, Constitution, Result

NEWEST = 500
"""Judgments that are replayed unless somebody says how many."""
MOST = 5000
_SHOWN = 100
"""Images that are listed."""
_ONE = threading.Lock()


class Flip(NamedTuple):
    """One image that would be called otherwise; the worst sort first."""

    harm: Harm
    judgment: int
    image: str
    rules: tuple[tuple[str, str, str], ...]
    """Each with what it is and would be."""
    before: str
    after: str

    @property
    def rule(self) -> str:
        """The rule to look at: one that the judgment knows; "" where there is none."""
        return next((rule for rule, was, _ in self.rules if was != "no rule"), "")


class _Version(NamedTuple):
    """Judgments that were made alike, and what judges them again."""

    then: Made
    rules: Constitution
    replay: Replay


def replay(journal: Journal, constitution: str, settings: str, newest: int) -> JSON:
    """Replay the newest judgments; one replay at a time.

    Raises `RequestError` 400 for rules or settings that are wrong, with the line; 429 while
    another one is under way.
    """
    try:
        rules = rules_in(constitution) if constitution.strip() else None
        chosen = _settings(settings)
    except (ConstitutionError, PolicyError) as error:
        raise RequestError(400, str(error), code="invalid_rules") from error
    if rules is None and not chosen:
        raise RequestError(
            400, "nothing is changed; write other rules, or a setting", code="no_change"
        )
    if not _ONE.acquire(blocking=False):
        raise RequestError(
            429, "another replay is under way; try again when it has ended", code="busy"
        )
    try:
        return _Trial(journal, rules, chosen).run(newest)
    except SafejudgeError as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(400, str(error), code="not_replayed") from error
    finally:
        _ONE.release()


def _settings(text: str) -> list[tuple[str, str]]:
    """Read settings, one a line. Raises `PolicyError`."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, sign, value = line.partition("=")
        if not sign or not name.strip() or not value.strip():
            raise PolicyError(f"{clean(line[:80])}: write NAME=VALUE, such as reject_factor=0.2")
        found.append((name.strip(), value.strip()))
    return found


class _Trial:
    """One replay of the newest judgments."""

    def __init__(
        self, journal: Journal, rules: Constitution | None, settings: list[tuple[str, str]]
    ) -> None:
        self._journal, self._rules, self._settings = journal, rules, settings
        self._versions: dict[int, _Version] = {}
        self._heads = journal.heads()
        self.changes = Changes()
        self.left_out: Counter[str] = Counter()
        self.flips: list[Flip] = []
        self.span: list[float] = []

    def run(self, newest: int) -> JSON:
        """Replay, and show what came of it. Raises `SafejudgeError` for what cannot be replayed."""
        for kept in self._journal.search(newest=True, limit=newest):
            self.span.append(kept.at)
            for before, version in self._read(kept):
                self._compare(kept, before, version)
        if not self.span:
            raise RequestError(
                409, "the journal holds no judgment yet; judge something first", code="empty"
            )
        self.flips.sort()
        table = self.changes.table()
        return {
            "images": self.changes.images,
            "changed": self.changes.changed,
            "open": self.changes.open,
            "left_out": dict(self.left_out),
            "rules": {
                row[0]: dict(zip(table.columns[1:], row[1:], strict=True)) for row in table.rows
            },
            "html": template("change.html").render(
                changes=self.changes,
                table=table,
                flips=self.flips[:_SHOWN],
                all=len(self.flips),
                left_out=self.left_out,
                versions=len(self._versions),
                oldest=day(min(self.span)),
                latest=day(max(self.span)),
                counted=counted,
            ),
        }

    def _read(self, kept: Kept) -> Iterator[tuple[Result, _Version]]:
        """Yield what a record says and what replays it; nothing for one that is left out."""
        version = self._version(kept.head)
        try:
            yield result_of(StoredRecord("", kept.record, None), version.then.provenance), version
        except (KeyError, TypeError, ValueError):
            self.left_out["written in another form than today's"] += 1

    def _version(self, head: int) -> _Version:
        if head not in self._versions:
            then = made_then(head_of(self._journal, head, self._heads), None, ())
            rules = self._rules or then.constitution
            assert rules is not None  # noqa: S101 - a journal holds the rules of every judgment
            now = made_now(then, rules, load_policy(then.policy, self._settings))
            self._versions[head] = _Version(then, rules, Replay(then, now))
        return self._versions[head]

    def _compare(self, kept: Kept, before: Result, version: _Version) -> None:
        replayed = version.replay(before)
        after = replayed.result
        if not self.changes.add(before, replayed):
            return
        self.flips.append(
            Flip(
                Harm.of(after, version.rules.rules),
                kept.id,
                clean(kept.image),
                tuple(_moved(before, after)),
                label_in_words(before),
                label_in_words(after),
            )
        )


def _moved(before: Result, after: Result) -> Iterator[tuple[str, str, str]]:
    """Yield the rules that come to something else, those first that a record knows."""
    old = {} if isinstance(before, Failure) else before.rules
    new = {} if isinstance(after, Failure) else after.rules
    for rule in dict.fromkeys((*old, *new)):
        was = old[rule].outcome if rule in old else "no rule"
        now = "no rule" if rule not in new else "open" if is_open(new[rule]) else new[rule].outcome
        if now not in (was, "open"):
            yield rule, was.replace("_", " "), now.replace("_", " ")
