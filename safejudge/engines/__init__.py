"""Engines: models behind two batched methods, chosen by a URI; encoders and detectors beside them.

Importing this loads no model library; an engine's own module does, when it is opened.
"""

from safejudge.engines.base import Detector, Encoder, Engine
from safejudge.engines.open import KITS, open_detector, open_encoder, open_engine

__all__ = ["KITS", "Detector", "Encoder", "Engine", "open_detector", "open_encoder", "open_engine"]
