"""Models of other packages: a small package is built here, found by its entry points, and used."""

from __future__ import annotations

import configparser
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import safejudge.engines
from safejudge import Judge, engines
from safejudge.engines import open as opening
from safejudge.engines.registry import Provider, Registry
from safejudge.errors import EngineSetupError, InputError
from safejudge.evals.suites import find_suite, names
from safejudge.opening import JudgeSpec
from safejudge.plugins import plugin_names
from safejudge.types import Probe

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(safejudge.engines.__file__).parent / "README.md"
RULES = """
name: light
rules:
  - id: glare
    category: light
    severity: low
    text: No glare.
    objective: The picture is bright.
    condition: The picture is bright.
"""
REWARD = """
import numpy as np
from safejudge.rewards import SafetyReward
with SafetyReward.load("rules.yaml", "bright:", "clue-tree", None) as reward:
    print(reward([np.full((8, 8, 3), 250, np.uint8), np.zeros((8, 8, 3), np.uint8)]))
"""


def blocks(language: str) -> list[str]:
    """The code of the page, by language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def build(folder: Path, module: str, source: str, groups: dict[str, dict[str, str]]) -> Path:
    """A package as it lies in site-packages: a module, and entry points beside it."""
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / f"{module}.py").write_text(source, encoding="utf-8")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    parser = configparser.ConfigParser()
    parser.read_dict(groups)
    with (info / "entry_points.txt").open("w") as file:
        parser.write(file)
    return folder


@pytest.fixture
def bright(tmp_path: Path) -> Path:
    """The folder of the package that the page shows."""
    (source,) = blocks("python")
    (toml,) = blocks("toml")
    groups = tomllib.loads(toml)["project"]["entry-points"]
    return build(tmp_path / "site", "bright_engine", source, groups)


@pytest.fixture
def installed(bright: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(bright)


@pytest.fixture
def plugged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Install a module that offers itself under a group, as the scheme or name `pick`."""

    def install(group: str, source: str) -> None:
        entry = {group: {"pick": "elsewhere:thing"}}
        monkeypatch.delitem(sys.modules, "elsewhere", raising=False)
        monkeypatch.syspath_prepend(build(tmp_path / "elsewhere", "elsewhere", source, entry))

    return install


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with rules, a bright picture and a dark one."""
    (tmp_path / "rules.yaml").write_text(RULES)
    for name, value in (("bright", 250), ("dark", 5)):
        (tmp_path / "in").mkdir(exist_ok=True)
        pixels = np.full((8, 8, 3), value, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{name}.png")
    return tmp_path


def run(bright: Path, work: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own, with the package installed there."""
    paths = [str(bright), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    env.pop("RAY_ADDRESS", None)
    return subprocess.run(
        [sys.executable, *words], cwd=work, env=env, capture_output=True, text=True, check=False
    )


def judge(bright: Path, work: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["-m", "safejudge", "judge", "in", "--constitution", "rules.yaml"]
    return run(bright, work, *command, "--engine", "bright:", "--no-cascade", *words)


# --- an engine ------------------------------------------------------------------------------------


def test_the_engine_of_the_page_is_opened_by_its_scheme(installed: None) -> None:
    engine = engines.open_engine("bright:", gain=0.5)
    assert engine.card.uri == "bright:"
    assert engine.answer_probs([Probe("", (), "q")])[0].p_labels == (0.25, 0.75)
    assert engine.answer_probs([Probe("", (), "q", ("1", "2"))])[0].score is None
    with pytest.raises(EngineSetupError, match="there is only bright:"):
        engines.open_engine("bright:er")


def test_options_that_it_does_not_name_are_refused(installed: None) -> None:
    with pytest.raises(EngineSetupError, match="bright: takes no option colour; it takes gain"):
        engines.open_engine("bright:", colour="red")


def test_it_judges_on_the_command_line(bright: Path, work: Path) -> None:
    done = judge(bright, work)
    assert done.returncode == 1, done.stderr
    light, dark = map(json.loads, done.stdout.splitlines())
    assert (light["label"], dark["label"]) == ("unsafe", "safe")
    assert light["provenance"]["model"] == "bright:"
    assert len(light["provenance"]["revision"]) == 64
    faint = judge(bright, work, "--engine-arg", "gain=0.1")
    assert faint.returncode == 4  # undecided: the option came through
    refused = judge(bright, work, "--engine-arg", "colour=red")
    assert refused.returncode == 3
    assert "it takes gain" in refused.stderr


def test_it_judges_in_the_actors_of_ray(bright: Path, work: Path) -> None:
    pytest.importorskip("ray", reason="pip install 'safejudge[ray]'")
    parquet = pytest.importorskip("pyarrow.parquet")
    done = judge(bright, work, "--ray", "--out", "out", "--engine-arg", "gain=1.0")
    assert done.returncode == 1, done.stderr
    rows = [row for path in work.glob("out/part-*") for row in parquet.read_table(path).to_pylist()]
    assert {row["image"]: row["label"] for row in rows} == {
        "in/bright.png": "unsafe",
        "in/dark.png": "safe",
    }


def test_it_opens_in_a_reward_and_for_the_compiler(bright: Path, work: Path) -> None:
    rewarded = run(bright, work, "-c", REWARD)
    assert rewarded.returncode == 0, rewarded.stderr
    light, dark = json.loads(rewarded.stdout)
    assert light < dark
    (work / "draft.yaml").write_text(RULES.replace("    condition: The picture is bright.\n", ""))
    compiled = run(bright, work, "-m", "safejudge", "compile", "draft.yaml", "--llm", "bright:")
    assert compiled.returncode != 0
    assert "this engine writes no text" in compiled.stdout + compiled.stderr


def test_a_device_is_put_to_those_that_take_one(
    plugged: Callable[[str, str], None], installed: None
) -> None:
    plugged("safejudge.engines", "def thing(path, *, uri, device='cpu'): ...")
    specs = {uri: JudgeSpec("sketch", uri).on("cuda:1") for uri in ("pick:x", "bright:", "hf:a/b")}
    assert specs["pick:x"].engine_args == specs["hf:a/b"].engine_args == {"device": "cuda:1"}
    assert specs["bright:"].engine_args == {}
    for uri in ("hf:sketch", "vllm:a/b", "nothing:x"):
        assert JudgeSpec("sketch", uri).on("cuda:1").engine_args == {}


# --- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "import nowhere",
            "engine 'pick:v1' cannot be loaded from elsewhere:thing: ModuleNotFound",
        ),
        ("", "engine 'pick:v1' cannot be loaded from elsewhere:thing: AttributeError"),
        (
            "def thing(path, *, uri): raise FileNotFoundError(path)",
            "pick:v1: elsewhere:thing could not open it: FileNotFoundError: v1",
        ),
        (
            "def thing(path, *, uri): return 7",
            "pick:v1: elsewhere:thing opened a int, which is no engine: it has no card, tokens,",
        ),
        (
            "import sys; sys.exit(0)",
            "engine 'pick:v1' cannot be loaded from elsewhere:thing: SystemExit: 0",
        ),
        (
            "import sys\ndef thing(path, *, uri): sys.exit(0)",
            "pick:v1: elsewhere:thing could not open it: SystemExit: 0",
        ),
    ],
)
def test_what_a_plug_in_meets_is_told_with_its_name(
    plugged: Callable[[str, str], None], source: str, message: str
) -> None:
    plugged("safejudge.engines", source)
    with pytest.raises(EngineSetupError) as caught:
        engines.open_engine("pick:v1")
    assert str(caught.value).startswith(message)


def test_our_own_schemes_cannot_be_taken(plugged: Callable[[str, str], None]) -> None:
    plugged("safejudge.engines", "def thing(path, *, uri): return 7")
    table = Registry("engine", (Provider("pick", "nowhere:at_all"),), object, "safejudge.engines")
    with pytest.raises(ModuleNotFoundError):
        table.open("pick:v1", {})


def test_a_scheme_that_two_packages_add_is_refused(
    plugged: Callable[[str, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugged("safejudge.engines", "def thing(path, *, uri): ...")
    rival = {"safejudge.engines": {"pick": "rival:thing"}}
    monkeypatch.syspath_prepend(build(tmp_path / "rival", "rival", "thing = 1", rival))
    with pytest.raises(EngineSetupError, match="elsewhere:thing and rival:thing both add it"):
        engines.open_engine("pick:v1")


def test_a_plug_in_that_ends_the_process_gives_no_verdict(
    bright: Path, work: Path, tmp_path: Path
) -> None:
    leaving = {"safejudge.engines": {"leave": "leaving:thing"}}
    folder = build(tmp_path / "leaving", "leaving", "import sys; sys.exit(0)", leaving)
    done = run(
        folder, work, "-m", "safejudge", "judge", "in", "--constitution", "rules.yaml",
        "--engine", "leave:x",
    )  # fmt: skip
    assert done.returncode == 3
    assert "leaving:thing" in done.stderr


def test_an_option_of_the_wrong_kind_is_no_crash() -> None:
    with pytest.raises(EngineSetupError, match="does not open with timeout='x'"):
        engines.open_engine("server:http://127.0.0.1:9/v1#m", timeout="x")


def test_a_uri_that_names_nothing_lists_what_is_installed(installed: None) -> None:
    assert plugin_names("safejudge.engines") == ["bright"]
    with pytest.raises(EngineSetupError, match=r"'brihgt:' names no engine.*Installed: bright:\."):
        engines.open_engine("brihgt:")


# --- encoders, detectors, suites ------------------------------------------------------------------

MODEL = """
class Model:
    def __init__(self, path, uri):
        self.card, self.path = uri, path
    def close(self): ...
    check_texts = similarities = check_words = locate = close

def thing(path, *, uri):
    return Model(path, uri)
"""


@pytest.mark.parametrize("kind", ["encoder", "detector"])
def test_encoders_and_detectors_are_added_the_same_way(
    plugged: Callable[[str, str], None], kind: str
) -> None:
    plugged(f"safejudge.{kind}s", MODEL)
    open_model = getattr(engines, f"open_{kind}")
    assert open_model("pick:v1:large").path == "v1:large"
    with pytest.raises(EngineSetupError, match=f"'other:v1' names no {kind}"):
        open_model("other:v1")
    with pytest.raises(EngineSetupError, match="'pick:v1' names no engine"):
        engines.open_engine("pick:v1")


def test_a_suite_of_another_package_is_found(plugged: Callable[[str, str], None]) -> None:
    suite = "from safejudge.evals.suite import Suite\nthing = Suite('drawn by lot')"
    plugged("safejudge.suites", suite)
    assert names()[-1] == "pick"
    assert find_suite("pick").summary == "drawn by lot"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1 / 0", "suite 'pick' cannot be loaded from elsewhere:thing: ZeroDivisionError"),
        ("thing = 7", "suite 'pick': elsewhere:thing is a int, not a Suite"),
    ],
)
def test_a_suite_that_cannot_be_loaded_is_told_with_its_name(
    plugged: Callable[[str, str], None], source: str, message: str
) -> None:
    plugged("safejudge.suites", source)
    with pytest.raises(InputError) as caught:
        find_suite("pick")
    assert str(caught.value).startswith(message)


# --- our own rows ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "provider",
    [
        pytest.param(provider, id=f"{table.noun}-{provider.name}")
        for table in (opening.ENGINES, opening.ENCODERS, opening.DETECTORS, opening.BACKBONES)
        for provider in table.providers
    ],
)
def test_every_row_names_an_opener_that_takes_its_options(provider: Provider) -> None:
    parameters = inspect.signature(resolve_name(provider.opener)).parameters
    assert "uri" in parameters
    if provider.options is None:
        assert parameters["options"].kind is inspect.Parameter.VAR_KEYWORD
    else:
        assert {"uri", *provider.options} <= set(parameters)


def test_a_kind_of_this_package_is_one_row(bright: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person does who adds an engine to this package: a file and a row."""
    monkeypatch.syspath_prepend(bright)
    (bright / "bright_engine-1.0.dist-info" / "entry_points.txt").unlink()
    row = Provider("bright:", "bright_engine:open_bright", ("gain",), "bright: (how bright it is)")
    table = replace(opening.ENGINES, providers=(*opening.ENGINES.providers, row))
    monkeypatch.setattr(opening, "ENGINES", table)
    assert "bright: (how bright it is)" in table.help()
    with Judge.load("sketch", "bright:", cache=None, engine_args={"gain": 0.5}) as judge:
        assert judge.provenance.model == "bright:"


@pytest.mark.parametrize(
    ("uri", "meant"),
    [
        ("sketch", "hf:sketch"),
        ("ORG/MODEL", "hf:ORG/MODEL"),
        ("http://127.0.0.1:8000/v1#m", "server:http://127.0.0.1:8000/v1#m"),
        ("nonsense", None),
        ("nope:x/y", None),
    ],
)
def test_a_uri_without_its_scheme_is_guessed(uri, meant):
    with pytest.raises(EngineSetupError, match="names no engine") as caught:
        engines.open_engine(uri)
    hint = f" Do you mean {meant}?" if meant else " Do you mean"
    assert (hint in str(caught.value)) == (meant is not None)
