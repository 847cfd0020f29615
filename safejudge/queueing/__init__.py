"""Images of many callers that share one judge's batches: who is next, and what is under way."""

from safejudge.queueing.entry import Entry, Limits
from safejudge.queueing.front import Front
from safejudge.queueing.queue import FlowQueue

__all__ = ["Entry", "FlowQueue", "Front", "Limits"]
