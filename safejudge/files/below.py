"""Names in other people's files that mean a file below a folder, and nothing else."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath


def leads_out(folder: Path, name: str) -> bool:
    """Whether a name means something outside a folder: absolute, with `..`, or through a link.

    Whoever made the file in which the name stands could name anything by it. A file that is not
    there leads nowhere.
    """
    path = Path(name)
    if path.is_absolute() or PureWindowsPath(name).drive or ".." in path.parts or "\0" in name:
        return True
    try:
        root = folder.resolve()
        return not (root / path).resolve().is_relative_to(root)
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name no file can have
        return True


def leads_out_of_store(name: str) -> bool:
    """Whether a name means something outside a folder of a store, which has no links.

    A name with a scheme leads out too: what stands in a file is never followed as an address.
    """
    parts = name.replace("\\", "/").split("/")
    return not all(parts) or ".." in parts or "://" in name or "\0" in name
