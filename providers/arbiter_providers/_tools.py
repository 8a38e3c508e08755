"""Tools as OpenAI's dialect writes them: our messages and requests -> its JSON, its deltas -> our pieces.

Owns: pure translation, shared by every runtime that speaks that dialect. Never: decides whether a runtime does tools.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from arbiter_tui.errors import InvalidRequest, NotSupported
from arbiter_tui.provider import Message, Request, ToolCall, ToolPiece


def message(told: Message) -> dict[str, Any]:
    """One message of a conversation; plain ones stay two fields."""
    plain: dict[str, Any] = {"role": told.role, "content": list(told.parts) or told.content}
    if told.tool_calls:
        plain["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
            for c in told.tool_calls
        ]
    if told.tool_call_id is not None:
        plain["tool_call_id"] = told.tool_call_id
    if told.name is not None:
        plain["name"] = told.name
    return plain


def fields(request: Request) -> dict[str, Any]:
    """``tools`` and ``tool_choice`` of a body; nothing where there are none."""
    body: dict[str, Any] = {}
    if request.tools:
        body["tools"] = [dict(tool) for tool in request.tools]
    if request.tool_choice is not None:
        body["tool_choice"] = request.tool_choice
    return body


def arguments(call: ToolCall) -> dict[str, Any]:
    """For dialects that hold them as an object. Raises InvalidRequest."""
    try:
        found = json.loads(call.arguments or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InvalidRequest(f"the arguments of the call {call.name} are no JSON object")
    return found


def refuse(request: Request, version: str, why: str) -> None:
    """Raises NotSupported if ``request`` needs a runtime that does tools."""
    if request.needs_tools:
        raise NotSupported(f"{version} does not support tools: {why}")


def supported(props: Mapping[str, Any]) -> bool:
    """What llama-server's /props say of the model's template; True where nothing is said (other servers refuse).

    Asked, for a template without a place for tools makes that server leave them out in silence.
    """
    told = props.get("chat_template_caps")
    return not isinstance(told, Mapping) or told.get("supports_tools") is not False


def pieces(listed: Sequence[Mapping[str, Any]] | None) -> Iterator[ToolPiece]:
    """``delta.tool_calls``. A runtime that numbers nothing sends whole calls: their place is their number."""
    for place, call in enumerate(listed or ()):
        function = call.get("function") or {}
        yield ToolPiece(call.get("index", place), call.get("id"), function.get("name"), function.get("arguments") or "")
