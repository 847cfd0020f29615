"""The house: imports go downward only, the surface is a list, and importing is free."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import safejudge

PACKAGE = Path(safejudge.__file__).parent

STOREYS = [
    ["errors"],
    ["types"],
    ["policy"],
    ["prompts", "compile_prompts", "stems", "prose"],
    ["flow", "meter"],
    ["strict_yaml", "frames", "language", "records", "rows"],
    ["constitution_file", "arrays", "coherence"],
    ["lock_file", "fidelity", "combine"],
    ["images", "constitution", "logic", "views", "debias"],
    ["engines"],
    ["probe", "relevance", "regions"],
    ["cascade"],
    ["compile_rule"],
    ["precondition"],
    ["verdict"],
    ["models"],
    ["judge", "thumbnail", "show"],
    ["pages", "opening"],
    ["preference", "rewards"],
    ["compile", "evals"],
    ["sketch"],
    [""],  # the package itself, which only lists names
    ["captions", "choices", "examples", "parts", "sources"],
    ["argument_parts"],
    ["preference_arguments"],
    ["arguments"],
    ["wording"],
    ["trace", "report", "diff", "compile_text", "eval_text"],
    ["diff_text"],
    ["batch", "eval_command", "preference_command", "actors"],
    ["scale"],
    ["cli"],
    ["__main__"],
]
HEIGHT = {name: height for height, names in enumerate(STOREYS) for name in names}

# Engines are opened by URI and suites by name, the shipped ones of the drawn world too.
EXCEPTIONS = {("engines", "sketch"), ("evals", "sketch")}


def storey(module):
    """`safejudge.engines.hf` lives on the storey of `engines`."""
    return [*module.split("."), ""][1]


def imported(path):
    """Every module of this package that a file names, at the top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: write imports in full"
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            names = below if node.module == "safejudge" else [node.module or ""]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "safejudge")


def files():
    return [pytest.param(path, id=str(path.relative_to(PACKAGE))) for path in PACKAGE.rglob("*.py")]


@pytest.mark.parametrize("path", files())
def test_imports_go_downward(path):
    module = ".".join(["safejudge", *path.relative_to(PACKAGE).with_suffix("").parts])
    here = storey(module.removesuffix(".__init__"))
    assert here in HEIGHT, f"{module}: give it a place in STOREYS"
    for name in imported(path):
        there = storey(name)
        if there not in HEIGHT:  # `from safejudge import Judge`: a name, not a module
            assert name.removeprefix("safejudge.") in safejudge.__all__
            there = ""
        down = there == here or HEIGHT[there] < HEIGHT[here]
        assert down or (here, there) in EXCEPTIONS, f"{module} imports {name}"


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
