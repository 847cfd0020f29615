"""Functions for the rules of ROOST's Osprey that ask `safejudge serve` about an image.

`SafejudgeScore` is a score in [0, 1], or no score; `SafejudgeLabel` is a word, also where nobody
looked. Needs nothing but Osprey. The environment of the worker says where the server is:
SAFEJUDGE_URL, SAFEJUDGE_KEY, and SAFEJUDGE_TIMEOUT in seconds.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any, NamedTuple

from osprey.engine.executor.execution_context import ExecutionContext, ExternalServiceException
from osprey.engine.executor.external_service_utils_base import ExternalService
from osprey.engine.executor.udf_execution_helpers import HasHelper
from osprey.engine.udf.arguments import ArgumentsBase
from osprey.engine.udf.base import UDFBase
from osprey.worker.adaptor.plugin_manager import hookimpl_osprey

LABELS = ("safe", "unsafe", "undecided")
MOST_BYTES = 16 * 2**20
"""Of a reply; a longer one is refused."""


class Judged(NamedTuple):
    """What was found about one image."""

    label: str
    score: float | None
    rules: dict[str, Any]
    whole: bool
    """False where nobody looked at some of its frames."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows none: it would carry the key to somebody else."""

    def redirect_request(self, *_: Any) -> None:
        """Refuse; what was answered is then an error."""


class Server(ExternalService[str, Judged]):  # type: ignore[misc]  # untyped without Osprey
    """The judge. Osprey keeps one per action, so an image is asked about once in it."""

    def __init__(self) -> None:
        """Take the address and the key from the environment."""
        self._url = os.environ.get("SAFEJUDGE_URL", "http://127.0.0.1:8750").rstrip("/")
        self._key = os.environ.get("SAFEJUDGE_KEY", "")
        self._seconds = float(os.environ.get("SAFEJUDGE_TIMEOUT", "30"))
        # The judge is asked itself, whatever proxy the environment names.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)

    def get_from_service(self, key: str) -> Judged:
        """Ask about the image at this address. Raises `ExternalServiceException`."""
        headers = {"content-type": "application/json", "x-deadline-seconds": str(self._seconds)}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        body = json.dumps({"images": [{"image": key}]}).encode()
        request = urllib.request.Request(f"{self._url}/v1/judge", body, headers)  # noqa: S310
        try:
            with self._opener.open(request, timeout=self._seconds) as reply:
                raw = reply.read(MOST_BYTES + 1)
            if len(raw) > MOST_BYTES:
                raise ExternalServiceException(f"safejudge: more than {MOST_BYTES} bytes")
            return judged_of(json.loads(raw))
        except urllib.error.HTTPError as error:
            raise ExternalServiceException(f"safejudge: {_fault(error)}") from error
        except (OSError, ValueError) as error:
            raise ExternalServiceException(f"safejudge: no answer ({error})") from error


def _fault(error: urllib.error.HTTPError) -> str:
    """Say what the server says of a request that it did not answer."""
    with error:
        try:
            fault = json.loads(error.read(MOST_BYTES))["error"]
            return f"status {error.code}: {fault['code']}: {fault['message']}"
        except (OSError, ValueError, KeyError, TypeError):
            return f"status {error.code}"


def judged_of(reply: Any) -> Judged:
    """Read a reply about one image. Raises `ExternalServiceException` unless it was looked at."""
    try:
        coverage, (record,) = reply["coverage"], reply["results"]
        looked_at = tuple(coverage[name] for name in ("received", "judged", "failed")) == (1, 1, 0)
        found = Judged(
            record["label"], record["score"], record["rules"], coverage["frames_unseen"] == 0
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ExternalServiceException("safejudge: the reply cannot be read") from error
    if not looked_at or found.label not in LABELS:
        raise ExternalServiceException("safejudge: the reply does not say what was looked at")
    return found


def score_of(found: Judged, rule: str) -> float | None:
    """Return the score of a rule, or of the image for ""; None where nothing is settled.

    Raises `ExternalServiceException` for a rule that the server does not have.
    """
    outcome, score = found.label, found.score
    if rule:
        if rule not in found.rules:
            raise ExternalServiceException(f"safejudge: the server has no rule {rule!r}")
        outcome, score = found.rules[rule]["outcome"], found.rules[rule]["score"]
    if outcome == "undecided" or (not found.whole and outcome not in ("violated", "unsafe")):
        return None
    if outcome == "not_relevant" or (outcome == "safe" and score is None):
        return 0.0  # a verdict: the relevance filter found the image too unlike the rules to ask
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise ExternalServiceException("safejudge: the reply has no score")
    return float(score)


# --- what rules call ------------------------------------------------------------------------------


class ScoreArguments(ArgumentsBase):  # type: ignore[misc]
    """What `SafejudgeScore` takes."""

    image_url: str
    """The address of the image, on a host that the server may fetch from; or a data URL."""
    rule: str = ""
    """The id of a rule; without one, the rule that the image violates most."""


class SafejudgeScore(HasHelper[Server], UDFBase[ScoreArguments, float | None]):  # type: ignore[misc]
    """How strongly an image violates a rule, from 0 to 1.

    No score where that is undecided; fails where the image could not be judged. `ResolveOptional`
    with a default of 1.0 takes both to a person.
    """

    execute_async = True
    category = "Image"

    @classmethod
    def create_provider(cls) -> Server:
        """Make what asks the server."""
        return SERVER

    def execute(
        self, execution_context: ExecutionContext, arguments: ScoreArguments
    ) -> float | None:
        """Ask, or take what was found in this action."""
        found: Judged = self.accessor_get(execution_context, arguments.image_url)
        return score_of(found, arguments.rule)


class LabelArguments(ArgumentsBase):  # type: ignore[misc]
    """What `SafejudgeLabel` takes."""

    image_url: str
    """The address of the image, on a host that the server may fetch from; or a data URL."""


class SafejudgeLabel(HasHelper[Server], UDFBase[LabelArguments, str]):  # type: ignore[misc]
    """Say of an image: safe, unsafe, undecided, or failed where nobody looked at it; never fails.

    Whatever is not `safe` is for a rule that blocks, or for a person.
    """

    execute_async = True
    category = "Image"

    @classmethod
    def create_provider(cls) -> Server:
        """Make what asks the server."""
        return SERVER

    def execute(self, execution_context: ExecutionContext, arguments: LabelArguments) -> str:
        """Ask, or take what was found in this action."""
        try:
            found: Judged = self.accessor_get(execution_context, arguments.image_url)
        except ExternalServiceException:
            return "failed"
        return "undecided" if found.label == "safe" and not found.whole else found.label


SERVER = Server()
"""One for both functions, so that they share what was found."""


@hookimpl_osprey  # type: ignore[untyped-decorator]
def register_udfs() -> Sequence[type[UDFBase[Any, Any]]]:
    """Tell Osprey of the functions."""
    return [SafejudgeScore, SafejudgeLabel]
