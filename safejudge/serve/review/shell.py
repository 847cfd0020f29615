"""`GET /review`: the page itself, which holds nothing private and so wants no key.

What it shows comes from `routes.py`, for a key that the reader pastes. Nothing is fetched from
elsewhere, and no script or style stands within the markup.
"""

from __future__ import annotations

from importlib import resources

from fastapi import APIRouter, Response

from safejudge.show.page.templates import environment

router = APIRouter(include_in_schema=False)
PACKAGE = "safejudge.serve.review"
# Pictures are blobs: they come with a key, which an address cannot send.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" '
    'fill="#1f5fae"/><path d="M4.5 8.2l2.4 2.5 4.6-5" fill="none" stroke="#fff" '
    'stroke-width="1.8"/></svg>'
)


@router.get("/review")
def page() -> Response:
    """Show the page."""
    return _file(_text("page.html"), "text/html")


@router.get("/review/review.css")
def style() -> Response:
    """Show its style, with the colours that all pages share."""
    return _file(environment(PACKAGE).get_template("review.css").render(), "text/css")


@router.get("/review/review.js")
def script() -> Response:
    """Show what makes it work."""
    return _file(_text("review.js"), "text/javascript")


@router.get("/review/icon.svg")
def icon() -> Response:
    """Show the sign of its tab."""
    return _file(_ICON, "image/svg+xml")


def _text(name: str) -> str:
    return resources.files(PACKAGE).joinpath(name).read_text(encoding="utf-8")


def _file(text: str, media: str) -> Response:
    return Response(text, media_type=media, headers=HEADERS)
