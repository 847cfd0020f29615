"""Who reviews, in which journal, by which rules: what every route of a review begins with."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from safejudge.journal.rows import rule_digests
from safejudge.serve.asking import Context
from safejudge.serve.faults import RequestError

if TYPE_CHECKING:
    from safejudge.journal.store import Journal
    from safejudge.types import Constitution, Rule


@dataclass(frozen=True, slots=True)
class Review:
    """One request of a reviewer."""

    context: Context
    journal: Journal
    who: str
    """The name of the reviewer: that of the key."""

    @property
    def reviewers(self) -> int:
        """People who have to answer a question."""
        return self.context.settings.reviewers

    @property
    def constitution(self) -> Constitution | None:
        """The rules in force, whether or not an engine answers."""
        version = self.context.service.latest
        return None if version is None else version.judge.constitution

    @property
    def rules(self) -> dict[str, Rule]:
        """The rules in force, by id."""
        rules = () if self.constitution is None else self.constitution.rules
        return {rule.id: rule for rule in rules}

    @property
    def digests(self) -> dict[str, str]:
        """What decisions about the rules in force hang on, by id."""
        return {} if self.constitution is None else rule_digests(self.constitution)


def review(request: Request) -> Review:
    """Begin to answer a reviewer. Raises `RequestError` without a journal, and for other pages."""
    context: Context = request.app.state.context
    _check_page(request, keyed=context.settings.keys is not None)
    if context.journal is None:
        raise RequestError(
            404, "this server keeps no journal; start it with --journal", code="no_journal"
        )
    return Review(context, context.journal, request.state.visit.client)


Reviews = Annotated[Review, Depends(review)]
"""The parameter of a route of a review."""


def _check_page(request: Request, *, keyed: bool) -> None:
    """Refuse what the page of another site asks for.

    A key is sent by this page alone. Where nobody needs one, any page could ask, and a name that
    leads to this machine would make any site this one.
    """
    headers = request.headers
    host = headers.get("host", "")
    origin = headers.get("origin")
    elsewhere = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
    # A proxy may have changed the host, but none is before a server without keys.
    other = not keyed and origin is not None and urlsplit(origin).netloc != host
    if elsewhere or other:
        raise RequestError(403, "the page of another site asks; open /review", code="other_site")
    if not keyed and not _is_local(urlsplit(f"//{host}").hostname or ""):
        raise RequestError(
            403,
            "without --keys the review is for this machine alone; open it at 127.0.0.1",
            code="other_host",
        )


def _is_local(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
