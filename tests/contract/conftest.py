"""Engines for the contract: the fake, tiny random models of real families, and `sketch`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tiny_models

from safejudge.engines import open_engine
from safejudge.errors import EngineSetupError
from safejudge.types import Picture

if TYPE_CHECKING:
    from collections.abc import Callable

    from safejudge.engines.base import Engine
    from safejudge.engines.hf import HFEngine

FAMILIES = tuple(tiny_models.BUILDERS)
BATCH = 4
"""Small, so that every list below spans several batches."""


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
def open_tiny(tiny_folder: Callable[[str], Path]) -> Callable[[str], HFEngine]:
    """A newly opened engine of a family."""

    def open_one(family: str) -> HFEngine:
        from safejudge.engines.hf import HFEngine

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


@pytest.fixture(params=["fake:", *FAMILIES, "hf:sketch"])
def engine(request: pytest.FixtureRequest, shared: Callable[[str], Engine]) -> Engine:
    try:
        return shared(request.param)
    except (ImportError, EngineSetupError) as error:
        if request.param != "hf:sketch":
            raise
        pytest.skip(f"sketch cannot be opened here: {error}")


@pytest.fixture(params=FAMILIES)
def tiny(request: pytest.FixtureRequest, shared: Callable[[str], Engine]) -> HFEngine:
    return shared(request.param)  # type: ignore[return-value]


def picture(seed: int, height: int = 40, width: int = 56) -> Picture:
    """A coloured checkerboard with some noise."""
    random = np.random.default_rng(seed)
    tiles = random.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    pixels = np.kron(tiles, np.ones((8, 8, 1), dtype=np.uint8))
    return Picture.of(pixels ^ random.integers(0, 8, pixels.shape, dtype=np.uint8))
