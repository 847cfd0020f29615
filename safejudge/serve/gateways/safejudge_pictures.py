"""A guardrail for LiteLLM's proxy: safejudge looks at every picture of a call, before and behind.

Copy this file beside the proxy's configuration; litellm.yaml shows how to name it there. It needs
nothing but LiteLLM. LiteLLM's own `generic_guardrail_api` (1.110) asks nobody about a request
without text, nor about pictures that a model made.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
from litellm.exceptions import GuardrailRaisedException
from litellm.integrations.custom_guardrail import CustomGuardrail
from litellm.types.guardrails import GuardrailEventHooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROUTE = "/beta/litellm_basic_guardrail_api"
INPUTS = ("messages", "system", "input", "prompt", "contents", "image", "mask")
"""Fields of a request that may hold pictures; the others are the proxy's own."""


class Pictures(CustomGuardrail):  # type: ignore[misc]  # untyped where LiteLLM is not installed
    """Blocks what violates a rule, and what nobody could look at."""

    def __init__(
        self, api_base: str, api_key: str | None = None, timeout: float | None = None, **others: Any
    ) -> None:
        """Take what stands in the proxy's configuration; `timeout` in seconds."""
        super().__init__(**others)
        self._url = api_base.rstrip("/").removesuffix(ROUTE) + ROUTE
        headers = {"x-api-key": api_key} if api_key else {}
        # The judge is asked itself, whatever proxy the environment names.
        self._client = httpx.AsyncClient(headers=headers, timeout=timeout or 60, trust_env=False)

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: str
    ) -> dict[str, Any]:
        """Look at what goes to a model."""
        del user_api_key_dict, cache, call_type
        await self._check("request", {key: data[key] for key in INPUTS if key in data})
        return data

    async def async_post_call_success_hook(
        self, data: dict[str, Any], user_api_key_dict: Any, response: Any
    ) -> Any:
        """Look at what comes back."""
        del data, user_api_key_dict
        await self._check("response", _plain(response))
        return response

    async def async_post_call_streaming_iterator_hook(
        self, user_api_key_dict: Any, response: Any, request_data: dict[str, Any]
    ) -> AsyncIterator[Any]:
        """Look at pictures of a reply that comes in pieces, each before it goes out."""
        del user_api_key_dict
        runs = self.should_run_guardrail(request_data, GuardrailEventHooks.post_call)
        async for piece in response:
            if runs and "image" in (told := json.dumps(_plain(piece), default=str)):
                await self._check("response", json.loads(told))
            yield piece

    async def _check(self, kind: str, content: Any) -> None:
        """Ask the judge. Raises unless it says in so many words that the call may go on."""
        body = {"input_type": kind, "structured_messages": [content]}
        try:
            reply = await self._client.post(
                self._url,
                content=json.dumps(body, default=str),
                headers={"content-type": "application/json"},
            )
            found = reply.json() if reply.status_code == httpx.codes.OK else {}
            action = found.get("action", f"status {reply.status_code}")
        except (httpx.HTTPError, ValueError, AttributeError) as error:
            found, action = {}, type(error).__name__
        if action == "NONE":
            return
        blocks = action == "BLOCKED"
        reason = found.get("blocked_reason") if blocks else f"pictures were not judged: {action}"
        raise GuardrailRaisedException(
            guardrail_name=self.guardrail_name,
            message=reason or "a picture violates a rule",
            should_wrap_with_default_message=False,
            status_code=400 if blocks else 503,
            blocked_content=blocks,
        )


def _plain(reply: Any) -> Any:
    return reply.model_dump() if hasattr(reply, "model_dump") else reply
