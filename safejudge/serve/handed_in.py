"""Rules that somebody hands in as text, over HTTP."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from safejudge.constitution.load import load_constitution
from safejudge.errors import ConstitutionError

if TYPE_CHECKING:
    from safejudge.types import Constitution


def rules_in(text: str) -> Constitution:
    """Read rules as files are read, without a lock beside them. Raises `ConstitutionError`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "policy.yaml"
        file.write_text(text, encoding="utf-8", errors="replace")
        try:
            return load_constitution(file)
        except ConstitutionError as error:
            raise ConstitutionError("policy", error.line, error.problem, error.instead) from None
