"""What other packages add by entry point: found by group and name, loaded when it is wanted."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from safejudge.errors import SafejudgeError


def plugin_names(group: str) -> list[str]:
    """List the names of a group, once each, sorted; nothing is imported."""
    return sorted({entry.name for entry in entry_points(group=group)})


def find_plugin(group: str, name: str) -> EntryPoint | None:
    """Find an entry point; None where no installed package has one of this name."""
    return next(iter(entry_points(group=group, name=name)), None)


def load_plugin(entry: EntryPoint, purpose: str, refusal: type[SafejudgeError]) -> Any:
    """Import what an entry point names.

    Whatever the other package raises meanwhile becomes a `refusal` that names the entry point, and
    so does a name that several packages add; `purpose` says at the start of its message what was
    to be loaded.
    """
    rivals = sorted({other.value for other in entry_points(group=entry.group, name=entry.name)})
    if len(rivals) > 1:
        raise refusal(f"{purpose}: {' and '.join(rivals)} both add it; uninstall one of them")
    try:
        return entry.load()
    # Another package may raise anything while it is imported, and may end the process: its code
    # would be taken for a verdict.
    except (Exception, SystemExit) as error:
        raise refusal(
            f"{purpose} cannot be loaded from {entry.value}: {describe_error(error)}"
        ) from error


def describe_error(error: BaseException) -> str:
    """Name an error of another package with its type."""
    return f"{type(error).__name__}: {error}"
