"""The process that shows one page: a browser, a stopped clock, pictures on the way.

Takes the name of a file with one job, and writes what happens, as it happens, to its standard
output (`messages`). It knows no limit of time: whoever started it ends it, and all that it started.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import signal
import sys
import threading
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Error, sync_playwright

from safejudge.render.browser import DROPPED, FLAGS, is_root
from safejudge.render.messages import Sender
from safejudge.render.rendered import MOST_SIDE, REFUSED
from safejudge.text import first_line, storable

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Request, Route

    from safejudge.types import JSON

HOME = "http://page.invalid/"
"""Where the page is; a name that no network has, so nothing local may be seen from it."""
TICK = 50
"""Milliseconds between two looks at animations, of the page's clock; longer where the last picture
is more than `_TICKS` of them away."""
_TICKS = 100
_MEMORY = 3 * 2**30
"""Bytes of data that each process of the browser may hold."""
_PIXELS = 64_000_000
"""Of all pictures of a page together."""
_MOST_FINDINGS = 1000
_MOST_TEXT = 300
_LOCAL = re.compile(r"Not allowed to load local resource: (.*)", re.DOTALL)


def main() -> None:
    """Do the one job; what started this process ends it."""
    sender = Sender(os.dup(1))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries' words are no messages
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    threading.Thread(target=_die_with_parent, daemon=True).start()
    _limit()
    sealed = _sealed()
    try:
        browser = _opened(job)
    except Error as error:
        sender.send({"failed": first_line(error)})
        return
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    (pid,) = (process["id"] for process in processes if process["type"] == "browser")
    version = session.send("Browser.getVersion")["product"]
    sender.send({"ready": {"browser": version, "sealed": sealed, "pid": pid}})
    _Showing(browser, job, sender).run()


# --- before the page ------------------------------------------------------------------------------


def _die_with_parent() -> None:
    """End the whole group when the one who started it is gone; the browser sees its pipe close."""
    os.read(0, 1)  # which nothing is ever written to
    os.killpg(0, signal.SIGKILL)


def _limit() -> None:
    """Bound the memory of everything that is started from here, where the system can."""
    try:
        import resource  # noqa: PLC0415 - not on every system
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        bound = _MEMORY if most == resource.RLIM_INFINITY else min(_MEMORY, most)
        resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))


def _sealed() -> bool:
    """Leave for a network namespace in which there is nobody; root's right, on Linux."""
    if sys.platform != "linux":
        return False
    import ctypes  # noqa: PLC0415 - only here

    clone_newnet = 0x40000000
    with contextlib.suppress(OSError, AttributeError):
        return bool(ctypes.CDLL(None).unshare(clone_newnet) == 0)
    return False


def _opened(job: JSON) -> Browser:
    """Start the browser. Raises playwright's `Error`."""
    playwright = sync_playwright().start()
    return playwright.chromium.launch(
        executable_path=job["browser"],
        args=list(FLAGS),
        ignore_default_args=list(DROPPED),
        chromium_sandbox=not is_root(),  # Chromium has none for root
        timeout=0,
    )


# --- the page -------------------------------------------------------------------------------------


class _Showing:
    """One page in a browser, from the moment it is opened."""

    def __init__(self, browser: Browser, job: JSON, sender: Sender) -> None:
        self._job, self._sender = job, sender
        self._served = False
        self._ended = False
        self._findings = 0
        self._worlds: set[int] = set()
        self._hints: set[object] = set()
        width, height = job["size"]
        self._size = width, height
        context = browser.new_context(
            viewport={"width": width, "height": height},
            service_workers="block",
            accept_downloads=False,
            locale="en-US",
            timezone_id="UTC",
        )
        context.set_default_timeout(0)
        context.expose_binding("__note", lambda _, kind, what: self._note_of_page(kind, what))
        self._page = self._opened(context)
        self._listen(context, self._page)

    def _opened(self, context: BrowserContext) -> Page:
        page = context.new_page()
        self._cdp = context.new_cdp_session(page)
        # Nothing moves by a person's clock, from the first frame on.
        self._cdp.send("Animation.enable")
        self._cdp.send("Animation.setPlaybackRate", {"playbackRate": 0})
        self._cdp.send("Emulation.setHardwareConcurrencyOverride", {"hardwareConcurrency": 4})
        self._cdp.on("Log.entryAdded", self._logged)
        self._cdp.send("Log.enable")
        # Playwright would wait for frames that were refused, and never come to hold anything.
        self._cdp.on("Runtime.executionContextCreated", self._entered)
        self._cdp.on("Runtime.executionContextDestroyed", self._left)
        self._cdp.on("Runtime.executionContextsCleared", lambda _: self._worlds.clear())
        self._cdp.send("Runtime.enable")
        page.add_init_script(_script("before.js"))
        page.clock.install(time=0)
        page.clock.pause_at(1)  # seconds, where everything else counts milliseconds
        page.add_init_script(_script("after.js"))
        return page

    def _listen(self, context: BrowserContext, page: Page) -> None:
        context.route("**/*", self._route)
        context.route_web_socket("**/*", lambda socket: self._note("websocket", socket.url))
        context.on("page", self._close)
        page.on("dialog", self._dismiss)
        page.on("download", lambda download: self._note("download", download.url))
        page.on("pageerror", self._failed)
        page.on("crash", lambda _: self._end("crashed"))
        page.on("framenavigated", lambda frame: self._moved(frame is page.main_frame, frame.url))

    def run(self) -> None:
        """Show the page, send its pictures, and say how it fared."""
        try:
            self._play()
        except Error as error:
            if not self._ended:
                self._note("error", first_line(error))
            self._end("crashed")
        self._end("rendered")

    # --- its course -------------------------------------------------------------------------------

    def _play(self) -> None:
        self._page.goto(HOME, wait_until="load")
        self._advance(0)
        times = [round(1000 * time) for time in self._job["at"]]
        tick = max(TICK, math.ceil(times[-1] / _TICKS))
        now = 0
        for time, at in zip(times, self._job["at"], strict=True):
            while now < time:
                step = min(tick, time - now)
                self._page.clock.run_for(step)
                self._advance(step)
                now += step
            self._shoot(at)

    def _advance(self, milliseconds: int) -> None:
        """Move animations on in every frame."""
        for world in sorted(self._worlds):
            asked = {"expression": f"window.__stage?.advance({milliseconds})", "awaitPromise": True}
            with contextlib.suppress(Error):  # a frame that is gone since
                self._cdp.send("Runtime.evaluate", {**asked, "contextId": world})

    def _shoot(self, at: float) -> None:
        metrics = self._cdp.send("Page.getLayoutMetrics")["cssContentSize"]
        page = tuple(
            max(side, math.ceil(metrics[name]))
            for side, name in zip(self._size, ("width", "height"), strict=True)
        )
        width = min(page[0], MOST_SIDE)
        height = min(page[1], MOST_SIDE, max(1, _PIXELS // len(self._job["at"]) // width))
        self._hinted()
        png = self._page.screenshot(
            full_page=True,
            clip={"x": 0, "y": 0, "width": width, "height": height},
            animations="allow",
        )
        if self._ended:
            return
        self._sender.send({"shot": at, "page": page, "clip": [width, height]}, png)

    def _end(self, status: str) -> None:
        """Say how the page fared, the first time, at once: what is waited for may never come."""
        if not self._ended:
            self._ended = True
            self._sender.send({"end": status})

    def _entered(self, event: JSON) -> None:
        if event["context"]["auxData"].get("isDefault"):
            self._worlds.add(event["context"]["id"])

    def _left(self, event: JSON) -> None:
        self._worlds.discard(event["executionContextId"])

    # --- what it is refused -----------------------------------------------------------------------

    def _route(self, route: Route) -> None:
        request = route.request
        if not self._is_document(request):
            self._note("request", request.url)
            route.abort("blockedbyclient")
        elif not self._served:
            self._served = True
            body = self._job["html"].encode()
            route.fulfill(body=body, content_type="text/html; charset=utf-8")
        else:
            self._note("navigation", request.url)
            self._end("left the page")
            route.fulfill(status=204)  # leaves what is shown as it is

    def _is_document(self, request: Request) -> bool:
        if not request.is_navigation_request():
            return False
        with contextlib.suppress(Error):  # a frame that is not there yet, or no more
            return request.frame is self._page.main_frame
        return False

    def _moved(self, main: bool, url: str) -> None:
        """Notice what is no request: `about:`, `blob:`; a place within the page is none either."""
        if main and self._served and not url.startswith(HOME):
            self._note("navigation", url)
            self._end("left the page")

    def _close(self, page: Page) -> None:
        if page is not self._page:
            self._note("popup", page.url)
            with contextlib.suppress(Error):
                page.close()

    def _dismiss(self, dialog: Any) -> None:
        self._note("dialog", f"{dialog.type}: {dialog.message}")
        with contextlib.suppress(Error):
            dialog.dismiss()

    def _failed(self, error: Error) -> None:
        """Note an error of the page's scripts; what they throw may have no name."""
        self._note("error", f"{error.name}: {error.message}".removeprefix(": "))

    def _logged(self, event: JSON) -> None:
        found = _LOCAL.match(event["entry"]["text"])
        if found:
            self._note("local file", found[1])

    def _hinted(self) -> None:
        """Note what the browser would open a connection for; it is asked for by no request."""
        asked = {"expression": "window.__stage.hints()", "returnByValue": True}
        for address in self._cdp.send("Runtime.evaluate", asked)["result"].get("value") or ():
            if address not in self._hints:
                self._hints.add(address)
                self._note("connection hint", str(address))

    def _note_of_page(self, kind: object, what: object) -> None:
        """Take what `after.js` says, or what the page says in its place."""
        if kind in REFUSED:
            self._note(str(kind), str(what))

    def _note(self, kind: str, what: str) -> None:
        self._findings += 1
        if self._findings > _MOST_FINDINGS:
            return
        if self._findings == _MOST_FINDINGS:
            kind, what = "too many findings", f"only the first {_MOST_FINDINGS} are listed"
        if what.startswith("blob:"):
            what = "blob:"  # what follows is made up anew in every run
        self._sender.send({"finding": [kind, storable(what)[:_MOST_TEXT]]})


def _script(name: str) -> str:
    return (resources.files("safejudge.render") / name).read_text(encoding="utf-8")


if __name__ == "__main__":
    main()
