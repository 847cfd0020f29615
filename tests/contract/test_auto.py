"""`auto`: which model is chosen, that nothing is fetched unasked, and a hub that fails.

The hub is a real server on loopback with a tiny model under each name.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import tiny_models
from loopback_hub import Hub, serve
from safetensors.torch import load_file, save_file

from safejudge.engines import auto, hub, memory
from safejudge.engines.memory import Memory
from safejudge.engines.open import open_engine, takes_option
from safejudge.errors import EngineSetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GB = 10**9
NAME = "org/tiny"
TINY = auto.OpenModel(NAME, 145_000, 4, "Apache-2.0", "idefics3", ())
EIGHT, FOUR, TWO, SMALL = (model.name for model in auto.MODELS)
PLENTY = 500 * GB


def cpu(free: float) -> Memory:
    return Memory("cpu", int(free), PLENTY, int(free))


def gpu(free: float, total: float | None = None, host: float = PLENTY) -> Memory:
    return Memory("cuda", int(free), int(total or free), int(host))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Modules that are installed, as far as the choice goes."""
    modules = {"torchvision", "num2words"}
    monkeypatch.setattr(auto, "_has", modules.__contains__)
    return modules


# --- the choice -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "name"),
    [
        (gpu(80 * GB), EIGHT),
        (gpu(22 * GB), EIGHT),
        (gpu(21 * GB), FOUR),
        (gpu(12 * GB), TWO),
        (gpu(8 * GB), SMALL),
        (gpu(80 * GB, host=8 * GB), TWO),  # the weights pass through the machine's own memory
        (cpu(400 * GB), TWO),  # a larger one would fit, and nobody would wait for it
        (cpu(13 * GB), TWO),  # 8.5 GB as float32
        (cpu(12 * GB), SMALL),
        (cpu(6.1 * GB), SMALL),
    ],
)
def test_the_best_model_that_fits_is_chosen(there: Memory, name: str, installed: set[str]) -> None:
    assert auto.choose({}, there).model.name == name


@pytest.mark.parametrize("there", [gpu(5 * GB), cpu(6 * GB), gpu(80 * GB, host=2 * GB)])
def test_too_little_memory_is_told(there: Memory, installed: set[str]) -> None:
    with pytest.raises(EngineSetupError, match=r"smallest model .* needs 6\.0 GB.*server:"):
        auto.choose({}, there)


def test_a_type_of_numbers_changes_what_fits(installed: set[str]) -> None:
    assert auto.choose({"dtype": "float32"}, gpu(22 * GB)).model.name == FOUR
    assert auto.choose({"dtype": "bfloat16"}, cpu(9 * GB)).model.name == TWO


def test_vllm_runs_it_where_it_can(installed: set[str]) -> None:
    installed.add("vllm")
    chosen = auto.choose({}, gpu(80 * GB))
    assert chosen.uri == f"vllm:{EIGHT}"
    assert chosen.options["max_model_len"] == 8192
    for options, there in (
        ({}, cpu(80 * GB)),
        ({}, gpu(40 * GB, total=80 * GB)),  # vLLM takes nine tenths of all that there is
        ({"device": "cuda"}, gpu(80 * GB)),  # an option of transformers
    ):
        assert auto.choose(options, there).scheme == "hf"


def test_options_of_the_user_win(installed: set[str]) -> None:
    chosen = auto.choose({"max_pixels": 4_000_000, "batch_size": 1}, cpu(80 * GB))
    assert chosen.options == {"max_pixels": 4_000_000, "batch_size": 1}
    assert auto.choose({}, cpu(80 * GB)).options == {"max_pixels": 1_000_000, "batch_size": 4}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_model_len": 9}, "auto takes no option max_model_len.*vllm:ORG/MODEL"),
        ({"batch_size": 0}, "batch_size"),
        ({"dtype": "int4"}, "int4"),
        ({"min_pixels": 2_000_000}, "above max_pixels"),
    ],
)
def test_what_no_engine_takes_is_refused_before_anything_is_fetched(
    options: dict[str, object], says: str, installed: set[str]
) -> None:
    with pytest.raises(EngineSetupError, match=says):
        auto.choose(options, cpu(80 * GB))


def test_a_missing_library_is_told_before_anything_is_fetched(installed: set[str]) -> None:
    installed.clear()
    with pytest.raises(EngineSetupError, match=r"torchvision and num2words.*safejudge\[hf\]"):
        auto.choose({}, cpu(7 * GB))


def test_a_device_that_is_not_there_is_told() -> None:
    with pytest.raises(EngineSetupError, match=r"auto: .*device 'cuda:99'"):
        auto.choose({"device": "cuda:99"})


def test_every_row_is_of_a_family_that_the_contract_proves() -> None:
    families = pytest.importorskip("families", reason="the tiny models of 2026 are not here")
    proved = {*tiny_models.BUILDERS, *families.FAMILIES}
    assert {model.family for model in auto.MODELS} <= proved
    for better, worse in zip(auto.MODELS, auto.MODELS[1:], strict=False):
        assert better.parameters > worse.parameters


def test_the_page_has_the_figures_of_the_table() -> None:
    page = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    for model in auto.MODELS:
        size = hub.gigabytes(model.weights(model.width))
        (row,) = (
            line for line in page.splitlines() if f"| {model.name.partition('/')[2]} |" in line
        )
        assert row.endswith(f"| {size} |")
        needed = [GB * float(text) for text in re.findall(r"([\d.]+) GB", row)]
        most = int(needed[0])
        assert most - 1 * GB < model.weights(model.width) + auto.ROOM <= most


def test_auto_is_a_whole_name() -> None:
    assert takes_option("auto", "device")
    assert not takes_option("auto", "max_model_len")
    for uri in ("auto:", "auto:x"):
        with pytest.raises(EngineSetupError, match=r"names no engine.*There are: auto"):
            open_engine(uri)
    with pytest.raises(EngineSetupError, match="auto takes no option max_model_len"):
        open_engine("auto", max_model_len=1)


# --- memory ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, 8000 * 1024),
        ({"memory.max": "max", "memory.current": "5"}, 8000 * 1024),
        ({"memory.max": "4000", "memory.current": "1000"}, 3000),
        (
            {
                "memory.max": "4000",
                "memory.current": "3000",
                "memory.stat": "anon 7\ninactive_file 500\n",
            },
            1500,
        ),
        ({"memory.max": "4000", "memory.current": "5000"}, 0),
        (
            {
                "memory/memory.limit_in_bytes": "9000",
                "memory/memory.usage_in_bytes": "2000",
                "memory/memory.stat": "total_inactive_file 100",
            },
            7100,
        ),
        (  # a job inside of a job; the tightest one counts
            {
                "groups": "1:cpu,memory:/x\n0::/job/step\n",
                "job/memory.max": "3000",
                "job/memory.current": "900",
                "job/step/memory.max": "max",
                "memory/x/memory.limit_in_bytes": "9000",
                "memory/x/memory.usage_in_bytes": "0",
            },
            2100,
        ),
    ],
)
def test_a_container_has_what_its_limit_leaves(
    files: dict[str, str], free: int, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "meminfo").write_text("MemFree: 1 kB\nMemAvailable:    8000 kB\n")
    assert memory.free_host(tmp_path / "meminfo", tmp_path, tmp_path / "groups") == free


def test_without_proc_the_memory_that_is_built_in_counts(tmp_path: Path) -> None:
    built_in = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert memory.free_host(tmp_path / "none", tmp_path, tmp_path / "none") == built_in
    assert memory.measure("cpu").free <= built_in


# --- a hub ----------------------------------------------------------------------------------------


@pytest.fixture
def shards(tiny_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    """A tiny model as it is released: its weights in two files; and with what nobody needs."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder("idefics3"), folder)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, keys in parts.items():
        part = {key: weights[key].contiguous() for key in keys}
        save_file(part, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {key: f for f, keys in parts.items() for key in keys}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "pytorch_model.bin").write_bytes(b"another form of the weights")
    return folder


@pytest.fixture
def a_hub(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that has the model, and an empty cache."""
    from huggingface_hub import constants, file_download
    from huggingface_hub.utils import _http, close_session

    # The library waits for seconds before each of its tries, also of what leads elsewhere.
    unhurried = SimpleNamespace(**{**vars(time), "sleep": lambda _: None})
    for module in (file_download, _http):
        monkeypatch.setattr(module, "time", unhurried)
    with serve(Hub({NAME: shards})) as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.url)
        address = served.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(auto, "MODELS", (TINY,))
        # What is kept open from another hub may lead to the port that this one has now.
        close_session()
        yield served


def test_what_is_offered_is_fetched_whole_and_used_without_the_hub(a_hub: Hub) -> None:
    assert hub.cached(NAME) is None
    offered = hub.offer(NAME)
    files = {path.name: path.stat().st_size for path in a_hub.files(NAME)}
    del files["pytorch_model.bin"]
    assert offered == hub.Offer(NAME, a_hub.commit(NAME), sum(files.values()))
    assert a_hub.fetched() == []
    assert hub.fetch(offered) == offered.commit == hub.cached(NAME)
    assert sorted(a_hub.fetched()) == sorted(files)
    a_hub.asked.clear()
    engine = open_engine("auto")
    assert a_hub.asked == []  # not for one file that the model might have
    assert engine.card.uri == f"hf:{NAME}"
    assert hub.offer(NAME).size == 0


def test_a_model_of_the_hub_is_the_same_as_through_auto(a_hub: Hub) -> None:
    plain = open_engine(f"hf:{NAME}", max_pixels=1_000_000)
    assert hub.cached(NAME) == a_hub.commit(NAME)  # transformers fetched it, and fetched it whole
    chosen = open_engine("auto")
    assert chosen.card == plain.card
    assert open_engine(f"hf:{NAME}").card.revision != plain.card.revision
    assert a_hub.commit(NAME) not in plain.card.revision
    with pytest.raises(EngineSetupError, match=f"{NAME}: .*not this version of it"):
        open_engine(f"hf:{NAME}", revision="v2")


def test_a_program_is_not_asked_and_fetches_nothing(a_hub: Hub) -> None:
    with pytest.raises(EngineSetupError, match=rf"auto: {NAME} .*download=True.*hf download"):
        open_engine("auto")
    assert a_hub.asked == []
    engine = open_engine("auto", download=True)
    assert engine.card.uri == f"hf:{NAME}"


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (404, "RepoNotFound", "has no such model.*HF_ENDPOINT"),
        (401, "", "without a key, or has no such model.*HF_TOKEN"),
        (401, "GatedRepo", "whom its owner lets in.*terms at http://127"),
        (403, "GatedRepo", "whom its owner lets in.*HF_TOKEN"),
        (400, "", "answered 400. Try again later"),
    ],
)
def test_what_the_hub_refuses_is_named(a_hub: Hub, status: int, code: str, says: str) -> None:
    a_hub.refuses = status, code
    with pytest.raises(EngineSetupError, match=f"^{NAME}: http://127.*{says}"):
        hub.offer(NAME)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"refuses": (403, "GatedRepo")}, "whom its owner lets in"),
        ({"refuses": (404, "RepoNotFound")}, "has no such model"),
        ({"breaks_after": 1000}, "could not be fetched whole.*no answer"),
    ],
)
def test_a_model_that_is_named_fails_in_the_same_words(
    a_hub: Hub, fault: dict[str, Any], says: str
) -> None:
    for name, value in fault.items():
        setattr(a_hub, name, value)
    with pytest.raises(EngineSetupError, match=f"^{NAME}: .*{says}"):
        open_engine(f"hf:{NAME}")


def test_no_hub_at_all(a_hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(EngineSetupError, match=r"no answer from http://127.0.0.1:9.*hf:/path/to"):
        hub.offer(NAME)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(EngineSetupError, match="HF_HUB_OFFLINE=1 forbids"):
        hub.offer(NAME)


def test_a_hub_that_breaks_off_leaves_no_half_model(a_hub: Hub) -> None:
    offered = hub.offer(NAME)
    a_hub.breaks_after = 1000
    with pytest.raises(EngineSetupError, match=f"{NAME}: it broke off; .*same command goes on"):
        hub.fetch(offered)
    assert hub.cached(NAME) is None
    with pytest.raises(EngineSetupError, match="download=True"):
        open_engine("auto")
    a_hub.breaks_after = None
    again = hub.offer(NAME)
    assert again.size < offered.size  # the small files are there
    hub.fetch(again)
    assert hub.cached(NAME) == offered.commit


@pytest.mark.parametrize(
    "file", ["model-2.safetensors", "model.safetensors.index.json", "config.json", "tokenizer.json"]
)
def test_a_model_that_lacks_a_file_is_not_whole(a_hub: Hub, file: str) -> None:
    hub.fetch(hub.offer(NAME))
    (hub.store() / "models--org--tiny" / "snapshots" / a_hub.commit(NAME) / file).unlink()
    assert hub.cached(NAME) is None
    assert hub.offer(NAME).size == (a_hub.models[NAME] / file).stat().st_size


def test_a_hub_whose_model_is_not_whole_is_told(a_hub: Hub) -> None:
    (a_hub.models[NAME] / "model-2.safetensors").unlink()
    with pytest.raises(EngineSetupError, match="is not a whole model"):
        hub.fetch(hub.offer(NAME))
    for file in a_hub.models[NAME].glob("*.safetensors"):
        file.unlink()
    with pytest.raises(EngineSetupError, match="no weights"):
        hub.offer(NAME)


def test_a_version_that_changes_meanwhile_is_not_used(a_hub: Hub, tmp_path: Path) -> None:
    newer = tmp_path / "newer"
    shutil.copytree(a_hub.models[NAME], newer)
    (newer / "generation_config.json").write_text("{}")
    offered = hub.offer(NAME)
    a_hub.models[NAME] = newer
    with pytest.raises(EngineSetupError, match=f"replaced commit {offered.commit[:7]} by"):
        hub.fetch(offered)


def test_a_newer_version_is_left_where_an_older_one_is_here(a_hub: Hub, tmp_path: Path) -> None:
    commit = hub.fetch(hub.offer(NAME))
    (a_hub.models[NAME] / "generation_config.json").write_text("{}")
    assert a_hub.commit(NAME) != commit
    a_hub.asked.clear()
    open_engine("auto")
    assert a_hub.asked == []
    assert hub.cached(NAME) == commit


def test_a_full_disk_is_told_before_a_byte_is_fetched(
    a_hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = replace(hub.offer(NAME), size=10**18)
    with pytest.raises(EngineSetupError, match=r"1000000000\.0 GB are to be fetched.*HF_HOME"):
        hub.fetch(offered)
    assert a_hub.fetched() == []


# --- the command line -----------------------------------------------------------------------------

DRIVER = f"""
from safejudge.engines import auto
auto.MODELS = (auto.{TINY!r},)
from safejudge.cli.app import entry
entry()
"""
RULES = """
name: square
rules:
  - id: red
    category: colours
    severity: low
    text: No red squares.
    objective: The picture shows a red square.
    condition: a red square is visible
"""


class Command:
    """The command line in a process of its own, which asks the hub on loopback."""

    def __init__(self, folder: Path, a_hub: Hub) -> None:
        from PIL import Image

        self.folder, self.hub = folder, a_hub
        Image.new("RGB", (40, 40), "red").save(folder / "one.png")
        (folder / "rules.yaml").write_text(RULES)
        (folder / "driver.py").write_text(DRIVER)
        self.line = [sys.executable, "driver.py", "judge", "one.png", "--constitution"]
        self.line += ["rules.yaml", "--no-cascade", "--out", "out.jsonl", "--engine"]
        self.environment = {
            **os.environ,
            "HF_ENDPOINT": a_hub.url,
            "HF_HOME": str(folder / "home"),
            "XDG_CACHE_HOME": str(folder / "xdg"),
            "OMP_NUM_THREADS": "1",
        }

    def piped(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.line, *options],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def on_a_terminal(self, answer: bytes, *options: str) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        with subprocess.Popen(
            [*self.line, *options],
            cwd=self.folder,
            env=self.environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        ) as process:
            os.close(theirs)
            shown, answered = b"", False
            while True:
                if not select.select([ours], [], [], 300)[0]:  # it waits for what nobody was asked
                    process.kill()
                try:
                    shown += os.read(ours, 4096)
                except OSError:  # the terminal of a process that has ended
                    break
                if not answered and b"[y/N] " in shown:
                    os.write(ours, answer)
                    answered = True
        os.close(ours)
        return process.returncode, shown.decode().replace("\r\n", "\n")


@pytest.fixture
def command(tmp_path: Path, shards: Path) -> Iterator[Command]:
    (tmp_path / "work").mkdir()
    with serve(Hub({NAME: shards})) as served:
        yield Command(tmp_path / "work", served)


def test_a_person_says_no_and_then_yes(command: Command) -> None:
    code, shown = command.on_a_terminal(b"\n", "auto")
    assert code == 2
    assert f"auto: {NAME}, 0 million parameters, licence Apache-2.0\n" in shown
    assert "org/tiny was not downloaded. Name another" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80
    assert command.hub.fetched() == []
    code, shown = command.on_a_terminal(b"y\n", "auto", "--resume")
    assert code in {0, 1, 4}
    assert "model-1.safetensors" in command.hub.fetched()
    assert "pytorch_model.bin" not in command.hub.fetched()


def test_a_person_is_asked_above_a_bar_too(command: Command) -> None:
    """`eval` opens the model late, behind a live bar, and names the real one in its results."""
    folder = command.folder
    (folder / "labels.csv").write_text("image,label\none.png,unsafe\n")
    command.line = [sys.executable, "driver.py", "eval", "labelled", "--data", ".", "--out", "run"]
    command.line += ["--constitution", "rules.yaml", "--no-cascade", "--engine"]
    code, shown = command.on_a_terminal(b"yes\n", "auto")
    assert code in {0, 4}, shown
    (results,) = (folder / "run").glob("*_results.json")
    assert f'"model": "hf:{NAME}"' in results.read_text()
    assert '"auto"' not in results.read_text()


def test_a_script_says_yes_once(command: Command) -> None:
    refused = command.piped("auto")
    assert refused.returncode == 2
    assert refused.stderr.endswith(
        "safejudge judge one.png --constitution rules.yaml --no-cascade --out out.jsonl "
        "--engine auto --yes\n"
    )
    assert command.hub.fetched() == []
    judged = command.piped("auto", "--yes")
    assert judged.returncode in {0, 1, 4}, judged.stderr
    assert judged.stdout == ""
    assert "Fetching" not in judged.stderr
    head = json.loads((command.folder / "out.jsonl").read_text().splitlines()[0])
    assert head["provenance"]["model"] == f"hf:{NAME}"
    command.hub.asked.clear()
    again = command.piped("auto", "--resume")  # the same model: nothing is left to judge
    assert again.returncode == judged.returncode, again.stderr
    assert not any(NAME in path for _, path in command.hub.asked)
    named = command.piped(f"hf:{NAME}", "--engine-arg", "max_pixels=9", "--resume")
    assert named.returncode == 2
    assert "revision" in named.stderr


def test_many_machines_need_a_name(command: Command) -> None:
    refused = command.piped("auto", "--ray")
    assert refused.returncode == 2
    assert "--ray may use others; name the model" in refused.stderr
