"""Who stands in for a human: logs in wherever that takes one redirect, and fills in defaults."""

from collections.abc import Mapping
from typing import Any

import httpx2

from agent_host.conformance.samples import sample_arguments
from agent_host.core.types import JsonObject, ServerRequest
from agent_host.ports import RequestRefused


async def authorize(url: str) -> str:
    """Open an authorization URL and return the URL that it redirects to."""
    async with httpx2.AsyncClient(trust_env=False, follow_redirects=False) as client:
        response = await client.get(url)
    return response.headers.get("location", "")


async def answer(_: str, request: ServerRequest, __: str) -> JsonObject | RequestRefused:
    """Answer what a server asks (`ports.Answer`): accept forms, with their defaults, and say a word
    in the place of a model."""
    if request.method == "sampling/createMessage":
        word = {"type": "text", "text": "Hello."}
        return {"role": "assistant", "content": word, "model": "none", "stopReason": "endTurn"}
    if request.method != "elicitation/create":
        return RequestRefused(f"{request.method} is not answered here")
    schema: Any = request.params.get("requestedSchema")
    if not isinstance(schema, Mapping):
        return {"action": "decline"}
    return {"action": "accept", "content": sample_arguments(dict(schema), {})}
