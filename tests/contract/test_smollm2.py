"""Compiling with a real model that is too weak for it: to the end, and no lock forgets its rule."""

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
  - {id: no-knives, category: test, severity: low, text: "No knives, except in a kitchen."}
  - {id: armed-child, category: test, severity: low, text: "Children must not hold guns."}
"""
REFERENCES: dict[str, Condition] = {
    "no-knives": AllOf(
        all=(
            Precondition(statement="a knife is visible"),
            NoneOf(none=(Precondition(statement="the scene is a kitchen"),)),
        )
    ),
    "armed-child": Precondition(statement="a child is holding a gun"),
}
"""What each rule means."""


@pytest.fixture(scope="module")
def folder(pytestconfig: pytest.Config) -> Path:
    cache = pytestconfig.cache
    assert cache is not None
    return smollm2_folder(cache.mkdir("models"))


def test_a_real_model_too_small_to_compile_forgets_no_rule(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "weak.yaml"
    file.write_text(RULES)
    command = ["compile", str(file), "--llm", f"hf:{folder}", "--engine-arg", "device=cpu"]
    assert cli.main(command) == 3
    assert "too small to compile rules" in capsys.readouterr().err
    assert not lock_path(file).exists()

    code = cli.main([*command, "--no-self-test", "--max-rounds", "1"])
    steps = capsys.readouterr().err
    assert all(f"safejudge: {name}: as it stands, score" in steps for name in REFERENCES)
    lock = read_lock(lock_path(file))
    entries = () if lock is None else lock.rules
    for entry in entries:
        if not entry.review:
            assert compare(REFERENCES[entry.id], entry.condition).meaning == "equal", entry
    everything = len(entries) == len(REFERENCES) and not any(entry.review for entry in entries)
    assert code == (0 if everything else 4)
