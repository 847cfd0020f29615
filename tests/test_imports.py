"""The house: imports go downward only, the surface is a list, and importing is free."""

import ast
import subprocess
import sys
from pathlib import Path

import house
import pytest

import safejudge

PACKAGE = Path(safejudge.__file__).parent

FLOORS = [
    ["errors", "text"],
    ["plugins", "types"],
    ["policy", "prompts", "flow", "files"],
    ["images"],
    ["programs"],
    ["constitution"],
    ["method", "queueing", "render"],
    ["engines"],
    ["judge"],
    ["opening"],
    ["compile", "matching", "rewards"],
    ["show", "preference"],
    ["evals"],
    ["decide", "distill", "golden"],
    ["cards", "scale", "sketch"],
    ["journal"],
    ["guards", "serve"],
    [""],  # the package itself, which only lists names
    ["cli"],
    ["__main__"],
]
"""Packages from the ground up; each imports only what stands on floors below it."""
HEIGHT = {name: height for height, names in enumerate(FLOORS) for name in names}


def package(module):
    """`safejudge.engines.local.hf` belongs to `engines`."""
    return [*module.split("."), ""][1]


def imported(path):
    """Every module of this package that a file names: at the top, in a function, for types only."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: write imports in full"
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            names = below if node.module == "safejudge" else [node.module or ""]
        else:
            continue
        assert not {"benchmarks", "tests"} & {name.split(".")[0] for name in names}, path
        yield from (name for name in names if name.split(".")[0] == "safejudge")


def files():
    return [pytest.param(path, id=str(path.relative_to(PACKAGE))) for path in PACKAGE.rglob("*.py")]


@pytest.mark.parametrize("path", files())
def test_imports_go_downward(path):
    module = ".".join(["safejudge", *path.relative_to(PACKAGE).with_suffix("").parts])
    here = package(module.removesuffix(".__init__"))
    assert here in HEIGHT, f"{module}: give its package a place in FLOORS"
    for name in imported(path):
        there = package(name)
        if there not in HEIGHT:  # `from safejudge import Judge`: a name, not a module
            assert name.removeprefix("safejudge.") in safejudge.__all__
            there = ""
        assert there == here or HEIGHT[there] < HEIGHT[here], f"{module} imports {name}"


@pytest.fixture(scope="module")
def graph():
    """Which module imports which: at the top, in functions, and for types only alike."""
    return house.graph_of(house.sources(PACKAGE), typing=True)


def test_no_modules_form_a_circle(graph):
    assert house.circles(graph) == []


@pytest.mark.parametrize(
    "folder",
    [
        pytest.param(path.parent.relative_to(PACKAGE.parent), id=path.parent.name)
        for path in sorted(PACKAGE.rglob("__init__.py"))
    ],
)
def test_what_lies_side_by_side_forms_no_circle(graph, folder):
    assert house.circles(house.between(graph, ".".join(folder.parts))) == []


def test_the_root_stays_small():
    flat = sorted(path.stem for path in PACKAGE.glob("*.py"))
    assert len(flat) <= 10, flat


def test_the_surface_is_the_list():
    public = {
        name
        for name, value in vars(safejudge).items()
        if not name.startswith("_") and not isinstance(value, type(safejudge))
    }
    assert public == set(safejudge.__all__)
    assert sorted(safejudge.__all__) == safejudge.__all__


def test_importing_loads_no_model_library():
    heavy = ["torch", "transformers", "outlines", "vllm", "safetensors", "trl", "diffusers"]
    code = (
        "import sys, safejudge, safejudge.engines.fake, safejudge.rewards\n"
        "import safejudge.rewards.trl, safejudge.rewards.ddpo, safejudge.rewards.verl\n"
        "import safejudge.rewards.flow_factory\n"
        "safejudge.Judge\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
