"""The unskewed twin of the shipped judge, for comparison: `hf:sketch-even`, `vllm:sketch-even`.

Only benchmarks open it, so its weights lie here (`models/vlm-even`) and not in the package. Every
other URI is the package's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from safejudge.engines.models import DEFAULT, Models
from safejudge.engines.open import open_engine as open_package_engine
from safejudge.sketch.judge import open_drawn_engine

if TYPE_CHECKING:
    from safejudge.engines.base import Engine
    from safejudge.engines.priors import PriorCache

FOLDER = Path(__file__).parent / "models" / "vlm-even"
TWINS = ("hf:sketch-even", "vllm:sketch-even")
KIT = "hf:sketch"
"""The encoder and the detector of both judges."""


def open_engine(uri: str, **options: Any) -> Engine:
    """Open the twin, behind the same doors as the shipped judge, or any engine of the package."""
    if uri in TWINS:
        return open_drawn_engine(FOLDER, uri=uri, **options)
    return open_package_engine(uri, **options)


def open_models(
    uri: str, *, detector: str | None = DEFAULT, cache: PriorCache | None = None
) -> Models:
    """Open an engine with what stands beside it; `close` closes all of it."""
    engine = open_engine(uri)
    beside = KIT if uri in TWINS else DEFAULT
    models = Models.opened(engine, beside, beside if detector == DEFAULT else detector, cache)
    models.owned = (engine, *models.owned)
    return models
