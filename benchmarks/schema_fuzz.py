"""Requests made up from the server's own OpenAPI document: every reply is what it documents.

schemathesis makes bodies and parameters that fit the document, and others that do not. Most of the
fields for pictures get a real one: a scene, one that violates, noise, a file cut short, none. No
reply may be a bug (500), have a status or a form that is not documented, or call a picture harmless
that nobody looked at.

`python benchmarks/schema_fuzz.py [--calls 10000] [--seed 1]`
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import copy
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from measure import record
from PIL import Image
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from safejudge import load_constitution
from safejudge.opening import JudgeSpec
from safejudge.queueing import Limits
from safejudge.serve.app import api_of, gated
from safejudge.serve.asking import Context
from safejudge.serve.fetch import Fetcher
from safejudge.serve.metrics import Metrics
from safejudge.serve.service import Loaded, Service
from safejudge.serve.settings import Settings
from safejudge.show.markdown import table
from safejudge.sketch.drawing.draw import draw
from safejudge.sketch.scenes import mixed_scenes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hypothesis.strategies import SearchStrategy
    from schemathesis import Case, Response
    from starlette.types import ASGIApp

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)
PICTURES = frozenset({"url", "image_url", "image", "mediaUrl", "images", "file_data", "b64_json"})
"""Fields that hold a picture, or a list of them."""
MODES = schemathesis.GenerationMode


@dataclass
class Tally:
    """What became of the calls."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    """By route and status."""
    looked: Counter[str] = field(default_factory=Counter)
    """By route: images that were judged."""
    unseen: Counter[str] = field(default_factory=Counter)
    """By route: images that could not be."""
    faults: list[str] = field(default_factory=list)
    """Replies that are not what is documented, or call harmless what nobody looked at."""


def fuzz(app: ASGIApp, pictures: Sequence[str], calls: int, seed: int) -> Tally:
    """Make `calls` calls, as many on every route that takes a body, and look at each reply."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    operations = [result.ok() for result in schema.get_all_operations()]
    tally = Tally()
    # Routes without a body have one form of a call, which is made besides.
    share = -(-calls // 2 // sum(bool(operation.body) for operation in operations))
    for place, operation in enumerate(operations):
        for mode in (MODES.POSITIVE, MODES.NEGATIVE):
            cases = operation.as_strategy(generation_mode=mode)
            work = _repeated(cases, share, partial(_call, pictures=pictures, tally=tally))
            # A route without parameters takes nothing wrong.
            with contextlib.suppress(hypothesis.errors.Unsatisfiable):
                hypothesis.seed(seed * 1000 + place)(work)()
    return tally


def _repeated(
    cases: SearchStrategy[Case], times: int, call: Callable[[Case, random.Random], None]
) -> Callable[[], None]:
    """Return what makes `times` calls; of few possible ones each is made once."""

    @settings(
        max_examples=times,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases, st.randoms(use_true_random=False))
    def work(case: Case, chance: random.Random) -> None:
        call(case, chance)

    made: Callable[[], None] = work
    return made


def _call(case: Case, chance: random.Random, pictures: Sequence[str], tally: Tally) -> None:
    """Make one call, and write down what is wrong with the reply."""
    route = f"{case.method.upper()} {case.operation.path}"
    changed = _put(case, chance, pictures)
    reply = case.call(timeout=90)  # more than the server takes for any
    tally.statuses[route, reply.status_code] += 1
    checks = [*CHECKS] if changed else [*CHECKS, negative_data_rejection]
    try:
        case.validate_response(reply, checks=checks)
    except FailureGroup as group:
        for error in group.exceptions:
            tally.faults.append(f"{route}: {error}\n{case.as_curl_command()[:2000]}")
    _look(route, reply, tally)


def _put(case: Case, chance: random.Random, pictures: Sequence[str]) -> bool:
    """Put the fields of an example, and real pictures, into most of the bodies."""
    if not isinstance(case.body, dict) or chance.random() < 0.25:
        return False
    body = copy.deepcopy(case.body)
    examples = _examples(case)
    if examples:
        # Otherwise few bodies would come as far as the judge.
        example = copy.deepcopy(chance.choice(examples))
        body = {key: value for key, value in body.items() if chance.random() < 0.3}
        body |= {key: value for key, value in example.items() if chance.random() < 0.95}
    _put_pictures(body, chance, pictures)
    case.body = body
    return True


def _examples(case: Case) -> list[dict[str, Any]]:
    """Find the examples of an operation in the document."""
    content = case.operation.definition.raw.get("requestBody", {}).get("content", {})
    told = content.get("application/json", {}).get("examples", {})
    return [example["value"] for example in told.values()]


def _put_pictures(node: Any, chance: random.Random, pictures: Sequence[str]) -> None:
    """Put real pictures where pictures belong."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in [*pairs]:
        if key in PICTURES and isinstance(value, str):
            node[key] = chance.choice(pictures)
        elif key in PICTURES and isinstance(value, list) and all(isinstance(v, str) for v in value):
            node[key] = [chance.choice(pictures) for _ in value]
        elif isinstance(value, dict | list):
            _put_pictures(value, chance, pictures)


# --- nothing that nobody looked at is harmless ----------------------------------------------------


def _look(route: str, reply: Response, tally: Tally) -> None:
    """Write down a reply that calls harmless what was not judged."""
    try:
        told = json.loads(reply.content)
    except ValueError:
        return
    coverage = told.get("coverage") if isinstance(told, dict) else None
    if not isinstance(coverage, dict):
        return
    tally.looked[route] += coverage["judged"]
    tally.unseen[route] += coverage["failed"]
    if coverage["received"] != coverage["judged"] + coverage["failed"]:
        tally.faults.append(f"{route}: coverage does not add up: {coverage}")
    if reply.status_code < 300 and coverage["failed"] and is_harmless(told):
        tally.faults.append(f"{route}: harmless, and not judged: {json.dumps(told)[:2000]}")


def is_harmless(told: dict[str, Any]) -> bool:
    """Whether a reply says, in the words of any route, that all of its images may pass."""
    results = told.get("results", [])
    if "action" in told:
        return bool(told["action"] != "BLOCKED")
    if any("flagged" in one for one in results):
        return not any(one["flagged"] for one in results)
    if any("label" in one and "score" in one and len(one) == 2 for one in results):
        return True  # scores of something that was not judged
    if "answers" in told:
        return True
    return not any("error" in one or one.get("label") != "safe" for one in results)


# --- the server, and the pictures -----------------------------------------------------------------


def data_url(encoded: bytes) -> str:
    """Write a file as a data URL."""
    return f"data:image/png;base64,{base64.b64encode(encoded).decode()}"


def _png(pixels: Any) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def pool() -> list[str]:
    """Pictures of every kind that comes in: judged either way, undecided, broken, not there."""
    scenes = [draw(scene).pixels for scene, _ in islice(_scenes(), 4)]
    noise = np.random.default_rng(3).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    whole = [_png(pixels) for pixels in (*scenes, noise)]
    broken = [whole[0][: len(whole[0]) // 2], b"no picture", b""]
    return [*map(data_url, [*whole, *broken]), "https://example.com/x.png", "file:///etc/passwd"]


def _scenes() -> Iterator[Any]:
    return mixed_scenes(load_constitution("sketch"), "scenes-7")


def opened() -> tuple[Service, ASGIApp]:
    """Open the sketch judge, and an application over it within this process."""
    spec = JudgeSpec(load_constitution("sketch"), "hf:sketch", cache=None)
    service = Service(lambda: Loaded(spec), Limits(), Metrics())
    service.open()
    return service, app_of(service)


def app_of(service: Service) -> ASGIApp:
    """Make an application over a service."""
    fetcher = Fetcher((), max_bytes=2**20)
    context = Context(service, Settings(), fetcher, Metrics(), service.reload)
    return gated(api_of(context), lambda: None, None)


def report(tally: Tally, seconds: float) -> str:
    """Write the table."""
    routes = sorted({route for route, _ in tally.statuses})
    statuses = sorted({status for _, status in tally.statuses})
    rows = [
        [
            f"`{route}`",
            f"{sum(tally.statuses[route, status] for status in statuses):,}",
            *(f"{tally.statuses[route, status]:,}" for status in statuses),
            f"{tally.looked[route]:,}",
            f"{tally.unseen[route]:,}",
        ]
        for route in routes
    ]
    head = ["route", "calls", *map(str, statuses), "images judged", "images not judged"]
    calls = sum(tally.statuses.values())
    faults = "\n\n".join(f"```\n{fault}\n```" for fault in tally.faults[:20])
    return (
        f"{calls:,} calls in {seconds:.0f} s; {len(tally.faults):,} replies that are not what the "
        "document says, or call harmless what nobody looked at.\n\n"
        f"{table(head, rows)}" + (f"\n\n{faults}" if faults else "")
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    service, app = opened()
    begun = time.monotonic()
    try:
        tally = fuzz(app, pool(), options.calls, options.seed)
    finally:
        service.close(seconds=10)
    seconds = time.monotonic() - begun
    numbers = {
        "calls": sum(tally.statuses.values()),
        "seconds": round(seconds, 1),
        "statuses": {f"{route} {status}": n for (route, status), n in tally.statuses.items()},
        "judged": dict(tally.looked),
        "not_judged": dict(tally.unseen),
        "faults": tally.faults,
    }
    record("schema_fuzz", numbers, report(tally, seconds))


if __name__ == "__main__":
    main()
