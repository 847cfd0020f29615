"""What goes over the wire: the base of requests and replies."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    """A part of a request or a reply. The text below a field describes it in OpenAPI's document."""

    model_config = ConfigDict(use_attribute_docstrings=True)
