"""Which Chromium, and how it is told to ask nobody anything."""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from safejudge.errors import InputError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
"""Programs that are looked for, the first wins."""

HEAP = 1024
"""MiB that the page's scripts may hold."""

FLAGS = (
    "--disable-gpu",  # the same pixels on every machine
    "--force-device-scale-factor=1",
    "--font-render-hinting=none",
    "--hide-scrollbars",
    "--enable-blink-features=CSSImageAnimation",  # for pictures that move by themselves
    f"--js-flags=--random-seed=1,--max-old-space-size={HEAP}",
    # Nobody is asked for a name or an address; so hints of connections lead nowhere either.
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--disable-quic",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--no-pings",
    "--disable-domain-reliability",
    "--dns-prefetch-disable",
    "--mute-audio",
)
"""Beside those that playwright gives."""
DROPPED = ("--disable-ipc-flooding-protection",)
"""Of those that playwright gives."""


@dataclass(frozen=True, slots=True)
class Browser:
    """A Chromium of this machine."""

    path: str
    """Of the program."""

    @classmethod
    def find(cls, path: str | Path | None = None) -> Self:
        """Find the browser, at `path` or by its usual names; nothing is started.

        Raises `InputError` where playwright or the browser is missing, or the system cannot end a
        group of processes.
        """
        if os.name == "nt":
            raise InputError("pages are rendered on Linux and macOS; Windows has no process groups")
        if importlib.util.find_spec("playwright") is None:
            raise InputError("pages need playwright: pip install 'safejudge[web]'")
        if path is not None:
            found = shutil.which(path) or ""
            if not found:
                raise InputError(
                    f"--browser {path}: is no program; name a Chromium, such as /usr/bin/chromium"
                )
            return cls(str(Path(found).absolute()))
        for name in NAMES:
            found = shutil.which(name) or ""
            if found:
                return cls(found)
        raise InputError(
            f"no browser: none of {', '.join(NAMES)} is on the path; install Chromium "
            "(Debian: apt install chromium), or name one by --browser PATH"
        )


def is_root() -> bool:
    """Whether this process is root's, for whom Chromium has no sandbox."""
    return hasattr(os, "geteuid") and os.geteuid() == 0
