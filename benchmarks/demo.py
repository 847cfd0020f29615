"""How long `make demo` takes once .venv stands, and the most memory any of its processes held.

`python benchmarks/demo.py`
"""

from __future__ import annotations

import resource
import subprocess
import time

from measure import record

from safejudge.show.markdown import table


def main() -> None:
    subprocess.run(["make", "setup"], check=True, capture_output=True)  # noqa: S607
    begun = time.monotonic()
    subprocess.run(["make", "demo"], check=True, capture_output=True)  # noqa: S607
    seconds = time.monotonic() - begun
    # the largest of all descendants that were waited for, in KiB on Linux
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    rows = [["`make demo` after set-up", f"{seconds:.1f} s"], ["peak memory", f"{peak:.2f} GiB"]]
    record("demo", {"seconds": seconds, "peak_gib": peak}, table(["", ""], rows))


if __name__ == "__main__":
    main()
