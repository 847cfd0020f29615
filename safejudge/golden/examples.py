"""The examples of a constitution file: pictures, and what its rules have to come to of them.

Takes a file as `constitution.load` reads it; gives one `Example` per picture, and what is wrong
with them by line, as `lint` lists it. A name means a file below the folder of the constitution,
and nothing else. A constitution and its digest know nothing of examples: they change no verdict,
and whoever judges by the file needs none of the pictures.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from safejudge.constitution.advice import WRITE
from safejudge.constitution.load import read_source
from safejudge.constitution.schema import Finding
from safejudge.errors import ConstitutionError, InputError
from safejudge.evals.labelled.labels import NAMES, label_rows
from safejudge.evals.labelled.places import unlabelled
from safejudge.files.below import leads_out
from safejudge.files.names import Names, plain_form
from safejudge.images.listing import digest_of
from safejudge.text import counted, one_line, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from safejudge.constitution.load import Reading


_FOLDER = "`golden:` and a folder below that of this file, with `labels.csv` in it"
_ROW = "a row of `image`, and `violations` (ids of rules) or `label` (safe, unsafe)"
"""What to write where the labels are wrong."""


@dataclass(slots=True)
class Example:
    """One picture, and what has to come out of it."""

    name: str
    """Its path, from the folder of the constitution."""
    path: Path
    """Where it lies."""
    where: list[str] = field(default_factory=list)
    """Where it is named: `rules.yaml:14`, `golden/labels.csv:3`."""
    violated: dict[str, bool] = field(default_factory=dict)
    """By rule, whether it has to be violated; a rule that nobody spoke of is left out."""
    unsafe: bool | None = None
    """Whether the picture has to be unsafe; None: nobody said."""
    why: list[str] = field(default_factory=list)
    """What the authors say of it."""


class _Claim(NamedTuple):
    """What one row, or one item under a rule, says of a picture."""

    name: str
    path: Path
    where: str
    line: int | None
    violated: dict[str, bool]
    unsafe: bool | None
    why: str


@dataclass(slots=True)
class Examples:
    """What a constitution file names as examples."""

    examples: list[Example] = field(default_factory=list)
    """One for each picture that is there, in the order of the file; the folder comes last."""
    findings: list[Finding] = field(default_factory=list)
    """What is wrong with them."""
    unlabelled: tuple[str, ...] = ()
    """Pictures of the folder that neither a label nor a rule speaks of."""


def lint_examples(source: str | os.PathLike[str]) -> tuple[list[Finding], int]:
    """List what is wrong with the examples of a constitution, and count them.

    Nothing of a file that is refused: `lint` tells of that. `source` is as for
    `load_constitution`.
    """
    try:
        reading = read_source(source)
    except ConstitutionError:
        return [], 0
    found = read_examples(reading)
    return sorted(found.findings, key=lambda finding: finding.line or 0), len(found.examples)


def load_examples(source: str | os.PathLike[str]) -> Examples:
    """Read the examples of a constitution that is no other problem.

    Raises `ConstitutionError` for the first thing wrong, and where there is none.
    """
    reading = read_source(source)
    found = read_examples(reading)
    errors = [finding for finding in found.findings if finding.level == "error"]
    if errors:
        first, *further = errors
        more = f" (and {counted(len(further), 'problem')} more: safejudge lint lists them)"
        problem = first.problem + (more if further else "")
        raise ConstitutionError(reading.file, first.line, problem, first.instead)
    if not found.examples:
        raise ConstitutionError(
            reading.file,
            None,
            "it names no examples, so there is nothing to check",
            "`golden:` and a folder of labelled images, or `examples:` under a rule",
        )
    return found


def read_examples(reading: Reading) -> Examples:
    """Find the pictures that a file names, and put together what is said of each."""
    draft = reading.draft
    if draft is None:
        return Examples()
    sheet = _Sheet(reading, Path(reading.file).parent, [rule.id for rule in draft.rules])
    claims = [*sheet.under_rules(), *sheet.of_folder()]
    found = Examples(findings=sheet.findings)
    found.examples = _put_together(claims, found.findings, len(sheet.rules))
    if sheet.folder is not None and sheet.labels is not None:
        found.unlabelled = _unlabelled(sheet.folder, sheet.labels, found.examples)
    if found.unlabelled:
        many = counted(len(found.unlabelled), "picture")
        have = "has" if len(found.unlabelled) == 1 else "have"
        problem = f"{many} of {draft.golden} {have} no label (the first: {found.unlabelled[0]})"
        instead = "a row for each, or the picture elsewhere"
        found.findings.append(Finding(reading.sheet.lines["golden",], "warning", problem, instead))
    return found


class _Sheet:
    """One file, read for its examples."""

    def __init__(self, reading: Reading, base: Path, rules: list[str]) -> None:
        self.findings: list[Finding] = []
        self.rules = rules
        self.folder: Path | None = None
        self.labels: Path | None = None
        self._reading, self._base = reading, base
        self._lines = reading.sheet.lines

    def under_rules(self) -> Iterator[_Claim]:
        """Yield what stands under rules as `examples`."""
        draft = self._reading.draft
        for index, rule in enumerate(self.rules):
            for number, example in enumerate(draft.examples.get(rule, ()) if draft else ()):
                line = self._lines["rules", index, "examples", number]
                name = self._find(example.image, line, f"rule {quoted(rule)}: ")
                if name is not None:
                    yield _Claim(
                        name,
                        self._base / name,
                        f"{self._reading.file}:{line}",
                        line,
                        {rule: example.expect == "violated"},
                        None,
                        example.why,
                    )

    def _find(self, written: str, line: int, subject: str) -> str | None:
        """Find a file below the folder of the constitution; None, and a finding, without one."""
        name = plain_form(written) if "\\" in written else os.path.normpath(written)
        if leads_out(self._base, written):
            problem = f"{subject}the image {quoted(written)} lies outside the constitution's folder"
            instead = "a picture below the folder of this file, by its path from there"
            self.findings.append(Finding(line, "error", problem, instead))
            return None
        beside = (self._base / name).parent
        names = Names(entry.name for entry in _entries(beside))
        real = names.find(Path(name).name)
        found = None if real is None else Path(name).with_name(real)
        if found is None or not (self._base / found).is_file():
            what = "is no file" if (self._base / name).exists() else "is not there"
            problem = f"{subject}the image {quoted(written)} {what}{names.hint(Path(name).name)}"
            instead = WRITE["image"]
            self.findings.append(Finding(line, "error", problem, instead))
            return None
        return found.as_posix()

    def of_folder(self) -> Iterator[_Claim]:
        """Yield what the labels of the `golden` folder say."""
        draft = self._reading.draft
        if draft is None or draft.golden is None:
            return
        line = self._lines["golden",]
        try:
            self.folder = self._folder(draft.golden)
            labels = _labels(self.folder)
        except InputError as error:
            self._refuse(line, one_line(str(error)), _FOLDER)
            return
        try:
            rows = label_rows(labels, self.rules)
        except InputError as error:
            self._refuse(line, one_line(str(error)), _ROW)
            return
        self.labels = labels
        names = Names(_files(self.folder))
        for where, label in rows:
            if (name := self._placed(names, label.image, where, line)) is not None:
                path = self.folder / name
                if label.id not in (None, digest_of(path)):
                    self._refuse(
                        line, f"{where}: {name} holds other bytes than its `id` says", _ROW
                    )
                    continue
                said = {rule: label.violates(rule) for rule in self.rules}
                violated = {rule: is_so for rule, is_so in said.items() if is_so is not None}
                shown = path.relative_to(self._base).as_posix()
                yield _Claim(shown, path, where, line, violated, label.unsafe, "")

    def _folder(self, name: str) -> Path:
        folder = self._base / os.path.normpath(name)
        if leads_out(self._base, name):
            raise InputError(f"the folder {name!r} lies outside the constitution's")
        if not folder.is_dir():
            raise InputError(f"there is no folder {name!r} beside the constitution")
        return folder

    def _placed(self, names: Names, written: str, where: str, line: int) -> str | None:
        if self.folder is None:
            return None
        name = names.find(os.path.normpath(written))
        if leads_out(self.folder, written) or (name and leads_out(self.folder, name)):
            self._refuse(
                line, f"{where}: the picture {written!r:.200} lies outside {self.folder}", _ROW
            )
            return None
        if name is None or not (self.folder / name).is_file():
            self._refuse(line, f"{where}: {written!r:.200} is not there{names.hint(written)}", _ROW)
            return None
        return name

    def _refuse(self, line: int, problem: str, instead: str) -> None:
        self.findings.append(Finding(line, "error", f"`golden`: {problem}", instead))


def _labels(folder: Path) -> Path:
    file = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    if file is None:
        raise InputError(f"{folder} has no {' or '.join(NAMES)}")
    if leads_out(folder, file.name):
        raise InputError(f"{file}: is a link that leads out of the folder")
    return file


def _entries(folder: Path) -> list[Path]:
    try:
        return [*folder.iterdir()]
    except OSError:
        return []


def _files(folder: Path) -> list[str]:
    """Every file below a folder, by its path from there."""
    return [
        Path(parent, name).relative_to(folder).as_posix()
        for parent, _, names in os.walk(folder)
        for name in names
    ]


def _unlabelled(folder: Path, labels: Path, examples: Sequence[Example]) -> tuple[str, ...]:
    """Name the pictures of a folder that nobody spoke of."""
    known = {os.path.realpath(example.path) for example in examples}
    left = unlabelled(folder, [], (), labels).pictures
    return tuple(name for name in left if os.path.realpath(folder / name) not in known)


# --- what is said of one picture ------------------------------------------------------------------


def _put_together(claims: Sequence[_Claim], findings: list[Finding], rules: int) -> list[Example]:
    """Make one example of each file; a claim against an earlier one is an error.

    Files of the same content are one picture here: a judge says the same of both.
    """
    examples: dict[str, Example] = {}
    pictures: defaultdict[str, list[_Claim]] = defaultdict(list)
    for claim in claims:
        key = os.path.realpath(claim.path)
        same = pictures[digest_of(claim.path) or key]
        if (problem := _against(claim, same, rules)) is not None:
            instead = "one expectation for each picture and rule"
            findings.append(Finding(claim.line, "error", problem, instead))
            continue
        same.append(claim)
        example = examples.setdefault(key, Example(claim.name, claim.path))
        example.where.append(claim.where)
        example.violated |= claim.violated
        example.unsafe = claim.unsafe if example.unsafe is None else example.unsafe
        if claim.why:
            example.why.append(claim.why)
    return [*examples.values()]


def _against(claim: _Claim, earlier: Sequence[_Claim], rules: int) -> str | None:
    """Say which earlier claim a claim contradicts; None where it agrees with all."""
    for other in earlier:
        named = claim.name if other.name == claim.name else f"{claim.name} (as {other.name})"
        for rule, violated in claim.violated.items():
            if other.violated.get(rule, violated) != violated:
                words = ("not violated", "violated")
                return (
                    f"{claim.where} expects {rule} {words[violated]} by {named}, "
                    f"{other.where} expects it {words[not violated]}"
                )
        for one, two in ((claim, other), (other, claim)):
            if one.unsafe is not None and _implied(two, rules) not in (None, one.unsafe):
                words = ("safe", "unsafe")
                return (
                    f"{one.where} says that {named} is {words[one.unsafe]}, "
                    f"{two.where} says otherwise"
                )
    return None


def _implied(claim: _Claim, rules: int) -> bool | None:
    """Whether a picture is unsafe by what a claim says, where that is settled."""
    if claim.unsafe is not None:
        return claim.unsafe
    if any(claim.violated.values()):
        return True
    return False if len(claim.violated) == rules else None
