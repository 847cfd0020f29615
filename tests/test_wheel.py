"""The wheel: what is installed works without the clone, and what git keeps stays small."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODELS = Path("safejudge", "sketch", "models")
SOURCES = ("safejudge", "constitutions", "pyproject.toml", "README.md", "LICENSE")
MB = 1_000_000

needs_weights = pytest.mark.skipif(
    not (ROOT / MODELS / "vlm" / "model.safetensors").is_file(),
    reason="the weights of sketch are not here",
)


def run(*words, cwd):
    """Run a program outside the clone; nothing in the environment may lead it back there."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        list(map(str, words)), cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


def pip(*words, cwd):
    done = run(sys.executable, "-m", "pip", "--disable-pip-version-check", *words, cwd=cwd)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    # From a copy: a build leaves folders behind, and takes what earlier ones left.
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source)
    alone = ["--no-deps", "--no-index", "--no-build-isolation"]
    pip("wheel", "--quiet", *alone, "--wheel-dir", out, source, cwd=out)
    (file,) = out.glob("safejudge-*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A new environment with the wheel; dependencies come from the one that runs the tests.

    A folder named in a .pth file is searched, but its own .pth files are not read: so an editable
    installation of the clone stays behind.
    """
    home = tmp_path_factory.mktemp("home") / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    site = home / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    borrowed = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    lines = [*borrowed]
    if importlib.util.find_spec("torchvision_stub"):  # what lets a torchvision for CUDA load here
        lines.append("import torchvision_stub")
    (site / "borrowed.pth").write_text("".join(f"{line}\n" for line in lines))
    quick = ["--quiet", "--no-deps", "--no-index", "--no-compile"]
    pip("--python", home / "bin" / "python", "install", *quick, wheel, cwd=home)
    return site


@pytest.fixture
def command(installed):
    return installed.parents[2] / "bin" / "safejudge"


@contextmanager
def without(path):
    """Take something installed away for a while; if it is missed, it was what is used."""
    aside = path.rename(path.with_name(f"{path.name}.aside"))
    try:
        yield
    finally:
        aside.rename(path)


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = [path for path in (ROOT / "safejudge").rglob("*") if path.is_file()]
    # Pages are for readers of the clone.
    wanted = {
        path.relative_to(ROOT).as_posix() for path in package if path.suffix not in {".pyc", ".md"}
    }
    rules = {f"safejudge/{path.relative_to(ROOT)}" for path in ROOT.glob("constitutions/**/*.yaml")}
    golden = [path for path in (ROOT / "constitutions" / "golden").rglob("*") if path.is_file()]
    rules |= {f"safejudge/{path.relative_to(ROOT)}" for path in golden}
    assert names == wanted | rules
    assert {"safejudge/py.typed", "safejudge/constitutions/sketch.yaml"} <= names
    assert "safejudge/constitutions/rubrics/fidelity.yaml" in names


def test_the_installed_package_is_the_one_that_runs(installed, tmp_path):
    code = "import safejudge; print(safejudge.__file__)"
    done = run(installed.parents[2] / "bin" / "python", "-c", code, cwd=tmp_path)
    assert Path(done.stdout.strip()).is_relative_to(installed), done.stderr


def test_the_constitution_comes_from_the_wheel(installed, command, tmp_path):
    assert run(command, "lint", "sketch", cwd=tmp_path).returncode == 0
    with without(installed / "safejudge" / "constitutions" / "sketch.yaml"):
        assert run(command, "lint", "sketch", cwd=tmp_path).returncode == 2


@needs_weights
def test_the_installed_command_judges_with_the_model_of_the_wheel(installed, command, tmp_path):
    drawn = run(command, "sketch", "scenes", "--out", "scenes", "--count", "1", cwd=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    judge = [command, "judge", "scenes", "--constitution", "sketch", "--engine", "hf:sketch"]
    judge += ["--no-cascade"]  # reasoning takes longest, and nothing else of the wheel
    done = run(*judge, cwd=tmp_path)
    (judgment,) = map(json.loads, done.stdout.splitlines())
    codes = {"safe": 0, "unsafe": 1, "undecided": 4}
    assert done.returncode == codes[judgment["label"]], done.stderr
    assert judgment["provenance"]["model"] == "hf:sketch"
    assert judgment["usage"]["probes"] > 0
    with without(installed / MODELS / "vlm"):
        assert run(*judge, cwd=tmp_path).returncode == 3


def test_no_tracked_file_is_large():
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone, so git cannot say what is tracked")
    listed = subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607 - whichever git there is
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    tracked = [ROOT / name for name in listed.stdout.split("\0") if name]
    # A file may be tracked and just deleted.
    sizes = {path.name: path.stat().st_size for path in tracked if path.is_file()}
    assert {name: size for name, size in sizes.items() if size > 20 * MB} == {}


@needs_weights
def test_the_models_together_are_small():
    files = [path for path in (ROOT / MODELS).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 25 * MB
