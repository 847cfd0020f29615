"""Engines for the contract: the fake, tiny random models of real families, and `sketch`."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tiny_models
from given import BATCH, FAMILIES
from limits import HANG

from safejudge.engines.open import open_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from safejudge.engines.base import Engine
    from safejudge.engines.local.hf import HFEngine


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Models this small only lose time waiting for each other's threads."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model, built on first use."""

    @cache
    def build(family: str) -> Path:
        with tiny_models.pictures_only():
            return tiny_models.build_model(family, tmp_path_factory.mktemp(family))

    return build


@pytest.fixture(scope="session")
def guard_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny guard model, called as the released one is, built on first use."""
    from guards import FOLDERS, save_guard

    @cache
    def build(name: str) -> Path:
        return save_guard(name, tmp_path_factory.mktemp("guards") / FOLDERS[name])

    return build


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model that takes text alone."""
    return tiny_models.build_text_model(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="session")
def open_tiny(tiny_folder: Callable[[str], Path]) -> Callable[[str], HFEngine]:
    """A newly opened engine of a family."""

    def open_one(family: str) -> HFEngine:
        from safejudge.engines.local.hf import HFEngine

        with tiny_models.pictures_only():
            return HFEngine(
                str(tiny_folder(family)), uri=f"hf:{family}", device="cpu", batch_size=BATCH
            )

    return open_one


@pytest.fixture(scope="session")
def shared(open_tiny: Callable[[str], HFEngine]) -> Callable[[str], Engine]:
    """One engine per name for the whole session; no test may close it."""

    @cache
    def engine(name: str) -> Engine:
        if name in FAMILIES:
            return open_tiny(name)
        return open_engine(name)

    return engine


ON_VLLM = [
    pytest.param(f"vllm:{name}", marks=pytest.mark.vllm)
    for name in ("sketch", "qwen2_5_vl", "internvl", "llava", "smolvlm")
]


ON_DECISIONS = ["decisions:systemone", "decisions:decisions"]
"""Over a server that speaks this protocol, and makes its answers up as `fake:` does."""


# Of the session, so that all tests of one engine run together and one vLLM is open at a time.
@pytest.fixture(scope="session", params=["fake:", *FAMILIES, "hf:sketch", *ON_DECISIONS, *ON_VLLM])
def engine(
    request: pytest.FixtureRequest,
    shared: Callable[[str], Engine],
    open_vllm: Callable[[str], Engine],
) -> Iterator[Engine]:
    if request.param.startswith("vllm:"):
        opened = open_vllm(request.param.removeprefix("vllm:"))
        yield opened
        opened.close()
    elif request.param in ON_DECISIONS:
        from deciding import Deciding

        protocol = request.param.removeprefix("decisions:")
        with Deciding(speaks=(protocol,)) as server:
            opened = open_engine(f"decisions:{server.base}", timeout=HANG)
            yield opened
            opened.close()
    else:
        yield shared(request.param)


@pytest.fixture(scope="session")
def open_vllm(tiny_folder: Callable[[str], Path]) -> Callable[[str], Engine]:
    """A newly opened engine on vLLM, of `sketch` or of a family, in float32."""

    def open_one(name: str) -> Engine:
        options = {"dtype": "float32", "max_model_len": 1024}
        if name == "sketch":
            return open_engine("vllm:sketch", **options)
        # Profiling would draw a video of the largest size for models that could take one.
        options["limit_mm_per_prompt"] = {"image": 4, "video": 0}
        return open_engine(f"vllm:{tiny_folder(name)}", **options)

    return open_one


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs vLLM where there is none, and say why."""
    if importlib.util.find_spec("vllm") is None:
        reason = pytest.mark.skip(reason="vLLM is not installed here; `make test-vllm` runs this")
        for item in items:
            if item.get_closest_marker("vllm"):
                item.add_marker(reason)


@pytest.fixture(params=FAMILIES)
def tiny(request: pytest.FixtureRequest, shared: Callable[[str], Engine]) -> HFEngine:
    return shared(request.param)  # type: ignore[return-value]
