"""The page of a review as a person uses it: what is seen, pressed and tapped.

Every wait is for something to be there, not for time to pass.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn

PATIENCE = int(os.environ.get("PATIENCE", "60000"))
"""Milliseconds."""
SHOTS = os.environ.get("REVIEW_SHOTS")
"""A folder for pictures of the page, for whoever wants to look at them."""
CHANNEL = """
window.__violations = [];
addEventListener('securitypolicyviolation', (event) => {
  window.__violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""


@contextmanager
def served(app):
    """Serve an application on a free port of this machine; gives its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    started = threading.Event()
    begin = server.startup

    async def startup(sockets=None):
        await begin(sockets)
        started.set()

    server.startup = startup
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(60)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(60)


class Page:
    """One tab, and the server behind it."""

    def __init__(self, browser, app, size, scheme, motion):
        self._serving = served(app)
        self.url = self._serving.__enter__()
        width, height = size
        self._context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            reduced_motion=motion,
            has_touch=width < 500,
        )
        self._context.set_default_timeout(PATIENCE)
        self._context.add_init_script(CHANNEL)
        self._page = self._context.new_page()
        self._name = f"{scheme}-{width}"
        self.elsewhere, self.errors = [], []
        self._page.on("request", self._requested)
        self._page.on("pageerror", lambda error: self.errors.append(str(error)))
        self._page.on("dialog", lambda dialog: dialog.accept())
        self._page.goto(f"{self.url}/review")

    def _requested(self, request):
        address = urlsplit(request.url)
        own = f"{address.scheme}://{address.netloc}" == self.url
        if not own and address.scheme not in ("blob", "data"):
            self.elsewhere.append(request.url)

    @property
    def violations(self):
        return self._violations

    def close(self):
        self._violations = self._page.evaluate("window.__violations")
        self._context.close()
        self._serving.__exit__(None, None, None)

    # --- doing ------------------------------------------------------------------------------------

    def sign_in(self, key, *, expect=True):
        self._page.locator("#key").fill(key)
        self._page.keyboard.press("Enter")
        if expect:
            self.see("#item-title", "Does it violate")

    def press(self, key):
        self._page.keyboard.press(key)

    def type(self, text):
        self._page.keyboard.type(text)

    def tab_to(self, where):
        """Press Tab until something has the focus; it may have it from the start."""
        for _ in range(20):
            if self._page.evaluate("(s) => document.activeElement?.matches(s)", where):
                return
            self._page.keyboard.press("Tab")
        raise AssertionError(f"no Tab leads to {where}")

    def click(self, where):
        self._page.locator(where).first.click()

    def tap(self, where):
        self._page.locator(where).first.tap()

    def focus(self, where):
        self._page.locator(where).focus()

    def fill(self, where, text):
        self._page.locator(where).fill(text)

    def choose(self, where, value):
        self._page.locator(where).select_option(value)

    def go(self, where):
        self._page.evaluate("(where) => { location.hash = where; }", where)

    def reload(self):
        self._page.reload()

    def offline(self, on):
        self._context.set_offline(on)

    def broken(self, on, *, proxy=False):
        """Cut off the API, or have a proxy say so, while the browser thinks that it is online."""

        def answer(route):
            if proxy:
                route.fulfill(status=502, content_type="text/html", body="<h1>Bad gateway</h1>")
            else:
                route.abort()

        if on:
            self._page.route("**/review/api/**", answer)
        else:
            self._page.unroute("**/review/api/**")

    def open_all(self, where):
        self._page.evaluate(
            "(where) => document.querySelectorAll(where).forEach((one) => { one.open = true; })",
            where,
        )

    # --- seeing -----------------------------------------------------------------------------------

    def see(self, where, text):
        """Wait until a text is there."""
        self._page.wait_for_function(
            "([where, text]) => document.querySelector(where)?.textContent.includes(text)",
            arg=[where, text],
        )

    def see_value(self, where, text):
        self._page.wait_for_function(
            "([where, text]) => document.querySelector(where).value.includes(text)",
            arg=[where, text],
        )

    def gone(self, where):
        self._page.wait_for_function("(where) => document.querySelector(where).hidden", arg=where)

    def wait_for_next(self, left):
        """Wait until another question, of which so many are left, or the end is there."""
        self._page.wait_for_function(
            """(left) => document.querySelectorAll('#list button').length === left
              && document.querySelector('#decide').getAttribute('aria-busy') === 'false'
              && !document.querySelector('#item-title').textContent.startsWith('Loading')""",
            arg=left,
        )

    def see_another(self, image, rule):
        """Wait until a question about something else is there, or none is left."""
        self._page.wait_for_function(
            """([image, rule]) => {
              const one = document.querySelector('#list button[aria-current]');
              const title = document.querySelector('#item-title').textContent;
              const busy = document.querySelector('#decide').getAttribute('aria-busy');
              const there = title.startsWith('Does') && one !== null
                && !(one.textContent.includes(image) && title === `Does it violate ${rule}?`);
              return busy !== 'true' && (there || title.startsWith('Nothing'));
            }""",
            arg=[image, rule],
        )

    def at_place(self, place):
        """Wait until the question at a place of the list is there."""
        self._page.wait_for_function(
            """(place) => {
              const one = document.querySelectorAll('#list button')[place];
              return one.hasAttribute('aria-current')
                && document.querySelector('#item-title').textContent.startsWith('Does');
            }""",
            arg=place,
        )

    def see_picture(self, *, blurred):
        self._page.wait_for_function(
            """(blurred) => {
              const image = document.querySelector('#image');
              const filter = getComputedStyle(image).filter;
              return !image.hidden && image.complete && image.naturalWidth > 0
                && filter.includes('blur(28px)') === blurred
                && image.alt.includes('blurred') === blurred;
            }""",
            arg=blurred,
        )

    def text(self, where):
        return self._page.locator(where).first.text_content()

    def value(self, where):
        return self._page.locator(where).input_value()

    def is_visible(self, where):
        return self._page.locator(where).first.is_visible()

    def focused(self):
        return self._page.evaluate("document.activeElement.id")

    def style(self, where, name):
        return self._page.evaluate(
            "([where, name]) => getComputedStyle(document.querySelector(where))[name]",
            [where, name],
        )

    def height(self, where):
        return self._page.locator(where).bounding_box()["height"]

    def stored(self):
        return self._page.evaluate("({...sessionStorage})")

    # --- checking ---------------------------------------------------------------------------------

    def check(self, view):
        """Hold one view to axe's rules, and to the width of the screen."""
        import pytest

        axe = pytest.importorskip("axe_playwright_python.sync_playwright")
        self.settle()
        if SHOTS:
            name = f"{view.replace(' ', '-')}-{self._name}.png"
            self._page.screenshot(path=Path(SHOTS) / name, full_page=True)
        wide = self._page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 0, f"{view}: {wide} pixels wider than the screen"
        found = axe.Axe().run(self._page).response["violations"]
        told = [
            (one["id"], [(node["html"][:200], node["failureSummary"]) for node in one["nodes"]])
            for one in found
        ]
        assert told == [], view

    def settle(self):
        """Let transitions end, so that colours are what they will be."""
        self._page.evaluate("Promise.all(document.getAnimations().map((one) => one.finished))")
