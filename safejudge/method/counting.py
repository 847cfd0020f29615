"""What an image costs: the requests of its flow, counted, of several engines for each as well."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from safejudge.types import ALONE, Locate, Look, Panel, Probe, Reasoning, Usage

if TYPE_CHECKING:
    from safejudge.flow import Flow

T = TypeVar("T")


def counted_flow(flow: Flow[T], panel: Panel = ALONE) -> Flow[tuple[T, Usage]]:
    """Run a flow of distinct requests and count them, of several engines for each as well."""
    probes: Counter[int] = Counter()
    replies: Counter[int] = Counter()
    searches = looks = 0
    try:
        wave = next(flow)
        while True:
            probes.update(r.engine for r in wave if isinstance(r, Probe) and r.images)
            replies.update(r.engine for r in wave if isinstance(r, Reasoning))
            searches += sum(isinstance(r, Locate) for r in wave)
            looks += sum(isinstance(r, Look) for r in wave)
            wave = flow.send((yield wave))
    except StopIteration as end:
        usage = Usage(
            probes=probes.total(),
            reasoning_calls=replies.total(),
            detector_calls=searches,
            looks=looks,
            by_engine={} if panel.is_one else _by_engine(panel, probes, replies),
        )
        return end.value, usage
    finally:
        flow.close()


def _by_engine(panel: Panel, probes: Counter[int], replies: Counter[int]) -> dict[str, Usage]:
    """Name the engines that were asked so often; one that stands at two places counts once."""
    found: dict[str, Usage] = {}
    for place, name in enumerate(panel.names):
        before = found.get(name, Usage())
        found[name] = Usage(
            probes=before.probes + probes[place],
            reasoning_calls=before.reasoning_calls + replies[place],
        )
    return found
