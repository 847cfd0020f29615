"""What our plugin uses of Osprey, for tests without it: no package index has Osprey.

PyPI's `osprey` is another program. The facts are of osprey_worker 1.1.0 in
github.com/roostorg/osprey at 699ff64 (22 July 2026); the code is ours. `test_osprey.py` runs the
plugin in Osprey's own engine too, where OSPREY_PYTHON names a Python that has it.
"""

from __future__ import annotations

import types
from typing import Generic, TypeVar

A, B = TypeVar("A"), TypeVar("B")


class ExternalServiceException(Exception):  # noqa: N818 - Osprey's name
    """A service failed, or answered what was not expected."""


class ExternalService(Generic[A, B]):
    """Something that is asked by key."""


class ExecutionContext:
    """One action: keeps what services said, failures too."""

    def __init__(self, helpers):
        self.helpers, self.kept = helpers, {}

    def get(self, service, key):
        if (id(service), key) not in self.kept:
            try:
                self.kept[id(service), key] = service.get_from_service(key), None
            except Exception as error:  # noqa: BLE001 - kept, as Osprey does
                self.kept[id(service), key] = None, error
        value, error = self.kept[id(service), key]
        if error is not None:
            raise error
        return value


class HasHelper(Generic[A]):
    """A function that asks a service."""

    def accessor_get(self, execution_context, key):
        return execution_context.get(execution_context.helpers[type(self)], key)


class ArgumentsBase:
    """Arguments by name; what is left out is what the class says."""

    def __init__(self, **given):
        vars(self).update(given)


class UDFBase(Generic[A, B]):
    """A function of rules."""


def modules():
    """The modules by name, with what the plugin takes from each."""
    told = {
        "engine.executor.execution_context": (ExecutionContext, ExternalServiceException),
        "engine.executor.external_service_utils_base": (ExternalService,),
        "engine.executor.udf_execution_helpers": (HasHelper,),
        "engine.udf.arguments": (ArgumentsBase,),
        "engine.udf.base": (UDFBase,),
        "worker.adaptor.plugin_manager": (),
    }
    found = {}
    for name, held in told.items():
        parts = ["osprey", *name.split(".")]
        for end in range(1, len(parts) + 1):
            found.setdefault(".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
        vars(found[f"osprey.{name}"]).update({one.__name__: one for one in held})
    found["osprey.worker.adaptor.plugin_manager"].hookimpl_osprey = lambda function: function
    return found
