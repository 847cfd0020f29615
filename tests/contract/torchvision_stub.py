"""Let the ordinary torchvision be imported beside a CPU build of torch, for tests only.

Its operators are compiled for CUDA and cannot be loaded then, and `import torchvision` fails, which
takes vLLM's processors of several families along. Nothing here calls the operators; they only have
to be declared. `python torchvision_stub.py` puts this file into the environment's site-packages,
with a `.pth` beside it, because every process of vLLM needs it before its first import.
"""

from __future__ import annotations

import importlib.abc
import sys

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


class DeclareFirst(importlib.abc.MetaPathFinder):
    """Finds nothing; declares the operators when torchvision is first looked for."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "torchvision" and self in sys.meta_path:
            sys.meta_path.remove(self)
            import torch

            self.library = torch.library.Library("torchvision", "DEF")  # lives as long as this
            KEPT.append(self)
            for schema in SCHEMAS:
                self.library.define(schema)


KEPT: list[DeclareFirst] = []


def install() -> None:
    """Copy this file into site-packages, to be run at every start of Python there."""
    import sysconfig
    from pathlib import Path

    place = Path(sysconfig.get_paths()["purelib"])
    (place / "torchvision_stub.py").write_text(Path(__file__).read_text())
    (place / "torchvision_stub.pth").write_text("import torchvision_stub\n")


if __name__ == "__main__":
    install()
elif __name__ == "torchvision_stub":
    sys.meta_path.insert(0, DeclareFirst())
