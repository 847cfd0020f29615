"""Compiling with a real model that is too weak for it: to the end, and no lock forgets its rule.

The model writes a text of its own: nothing here asks that it writes a good one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from compile_real import compare
from smollm2 import smollm2_folder

from safejudge.cli import app as cli
from safejudge.constitution.load import lock_path, read_lock
from safejudge.types import AllOf, NoneOf, Precondition

if TYPE_CHECKING:
    from pathlib import Path

    from safejudge.types import Condition

RULES = """\
name: weak
rules:
  - {id: armed-child, category: test, severity: low, text: Children must not hold guns.}
  - id: no-knives
    category: test
    severity: low
    text: No knives, except in a kitchen.
    objective: A knife is visible, unless the scene is a kitchen.
"""
REFERENCES: dict[str, Condition] = {
    "armed-child": Precondition(statement="a child is holding a gun"),
    "no-knives": AllOf(
        all=(
            Precondition(statement="a knife is visible"),
            NoneOf(none=(Precondition(statement="the scene is a kitchen"),)),
        )
    ),
}
"""What each rule means."""


@pytest.fixture(scope="module")
def folder(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = getattr(pytestconfig, "cache", None)  # pytest may be told to keep none
    models = tmp_path_factory.mktemp("models") if cache is None else cache.mkdir("models")
    return smollm2_folder(models)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weak.yaml"
    path.write_text(RULES)
    return path


def compiled(file: Path, folder: Path, *more: str) -> int:
    command = ["compile", str(file), "--llm", f"hf:{folder}", "--engine-arg", "device=cpu"]
    return cli.main([*command, *more])


def test_it_is_refused_for_it_cannot_split_the_example(
    folder: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compiled(file, folder) == 3
    assert "too small to compile rules" in capsys.readouterr().err
    assert not lock_path(file).exists()


def test_all_the_same_it_forgets_no_rule(
    folder: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = compiled(file, folder, "--no-self-test", "--max-rounds", "1")
    steps = capsys.readouterr().err
    assert "safejudge: armed-child: as it stands, score" in steps
    lock = read_lock(lock_path(file))
    entries = () if lock is None else lock.rules
    for entry in entries:
        if not entry.review:
            assert compare(REFERENCES[entry.id], entry.condition).meaning == "equal", entry
    ready = len(entries) == len(REFERENCES) and not any(entry.review for entry in entries)
    assert code == (0 if ready else 4)
