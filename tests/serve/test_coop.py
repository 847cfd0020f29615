"""The package for ROOST's Coop: its types by TypeScript, its signals by node, beside a real server.

COOP names a folder whose node_modules has TypeScript and the types of node; `make test-coop` makes
it. The types are checked against `@roostorg/coop-types` where that folder has it, else against
`coop/coop-types`, which says where its facts are from.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import pytest

import safejudge.serve.integrations
from safejudge.cards.shape import SectionId
from safejudge.cli.app import main

PACKAGE = Path(safejudge.serve.integrations.__file__).parent / "coop"
TESTS = Path(__file__).parent / "coop"
THRESHOLDS = {"highPrecisionThreshold": 0.9, "highRecallThreshold": 0.2}


pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="needs node, which is not installed"),
    pytest.mark.skipif("COOP" not in os.environ, reason="needs TypeScript: make test-coop"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The package, as `npm run build` makes it; a wrong type is a failure."""
    tools = Path(os.environ["COOP"]).resolve() / "node_modules"
    package = tmp_path_factory.mktemp("coop") / "package"
    shutil.copytree(PACKAGE, package)
    modules = package / "node_modules"
    modules.mkdir()
    (modules / "@types").symlink_to(tools / "@types")
    published = tools / "@roostorg"
    (modules / "@roostorg").mkdir()
    (modules / "@roostorg" / "coop-types").symlink_to(
        published / "coop-types" if published.is_dir() else TESTS / "coop-types"
    )
    done = subprocess.run(
        [tools / ".bin" / "tsc"], cwd=package, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return package


@pytest.fixture(scope="module")
def card(installed, tmp_path_factory):
    """A card of the shipped judge; one of its rules is given thresholds."""
    folder = tmp_path_factory.mktemp("card")
    run, file = folder / "run", folder / "card.json"
    scenes = ["sketch", "scenes", "--out", str(folder / "scenes"), "--count", "2", "--seed", "7"]
    assert main(scenes) == 0
    judged = ["--constitution", "sketch", "--engine", "hf:sketch", "--no-cascade"]
    data = ["--data", str(folder / "scenes"), "--out", str(run)]
    assert main(["eval", "labelled", *data, *judged]) == 0
    assert main(["card", str(run), "--out", str(file)]) == 0
    content = json.loads(file.read_text(encoding="utf-8"))
    return file, content


def test_signals_of_the_built_package(  # noqa: PLR0917 - fixtures
    built, card, server, keys, unsafe, safe, noise, broken, tmp_path
):
    file, content = card
    rule = unsafe.violations[0]
    for one in content["safejudge"]["rules"]:
        one["recommendedThresholds"] = THRESHOLDS if one["id"] == rule else None
    file.write_text(json.dumps(content), encoding="utf-8")
    given = tmp_path / "given.json"
    needed = {
        "package": str(built),
        "card": str(file),
        "url": server.url,
        "key": keys[1]["shop"],
        "rule": rule,
        "thresholds": THRESHOLDS,
        "sections": get_args(SectionId),
        "unsafe": unsafe.url,
        "safe": safe.url,
        "undecided": noise.url,
        "broken": broken.url,
    }
    given.write_text(json.dumps(needed), encoding="utf-8")
    done = subprocess.run(
        ["node", "--test", str(TESTS / "signals.test.mjs")],  # noqa: S607 - whichever node there is
        env={**os.environ, "SAFEJUDGE_TEST": str(given), "NODE_NO_WARNINGS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "# skipped 0" in done.stdout
