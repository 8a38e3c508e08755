"""A paid service in a few lines: OpenAI's and Anthropic's dialect, over loopback, with a key that it insists on.

Owns: what such a service answers, and what it was asked. Never: a model.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

KEY = "sk-planted-0123456789"
CONTEXT = 50_000  # bytes of a body


class PaidService:
    """Says "Hello" in two pieces; with tools, calls the first one. ``asked``: (path, body)."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, Any]] = []
        self.only_list = False  # as some proxies: no path for one model

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        body = json.loads(text) if text else None
        self.asked.append((request.path, body))
        if KEY not in (request.headers.get("x-api-key"), request.headers.get("Authorization", "")[7:]):
            return web.json_response({"error": {"type": "authentication_error", "message": "bad key"}}, status=401)
        if request.method == "GET":
            return self._listed(request.path)
        if len(text) > CONTEXT:
            return self._too_long(request.path)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in anthropic(body) if request.path == "/v1/messages" else openai(body):
            name = f"event: {event['type']}\n" if "type" in event else ""
            await response.write(f"{name}data: {json.dumps(event)}\n\n".encode())
        if request.path != "/v1/messages":
            await response.write(b"data: [DONE]\n\n")
        return response

    def _listed(self, path: str) -> web.Response:
        if path == "/v1/models":
            return web.json_response({"data": [{"id": "big"}, {"id": "small"}]})
        if path in ("/v1/models/big", "/v1/models/small") and not self.only_list:
            return web.json_response({"id": path.rpartition("/")[2]})
        return web.json_response({"error": {"message": "no such model"}}, status=404)

    def _too_long(self, path: str) -> web.Response:
        if path == "/v1/messages":
            message = "prompt is too long: 20000 tokens > 10000 maximum"
            told = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
        else:
            message = "This model's maximum context length is 10000 tokens."
            told = {"error": {"message": message, "code": "context_length_exceeded"}}
        return web.json_response(told, status=400)


def openai(body: dict[str, Any]) -> list[dict[str, Any]]:
    usage = {"prompt_tokens": 1000, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 400}}
    pieces: list[dict[str, Any]] = [{"content": "Hel"}, {"content": "lo"}]
    finish = "stop"
    if body.get("tools"):
        function = {"name": body["tools"][0]["function"]["name"], "arguments": "{}"}
        pieces, finish = [{"tool_calls": [{"index": 0, "id": "c1", "function": function}]}], "tool_calls"
    chunks = [{"choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in pieces]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    return [*chunks, end, {"choices": [], "usage": usage}]


def anthropic(body: dict[str, Any]) -> list[dict[str, Any]]:
    start = {
        "input_tokens": 500,
        "cache_read_input_tokens": 400,
        "cache_creation_input_tokens": 100,
        "output_tokens": 1,
    }
    events: list[dict[str, Any]] = [{"type": "message_start", "message": {"usage": start}}, {"type": "ping"}]
    reason = "end_turn"
    if body.get("tools"):
        reason = "tool_use"
        block: dict[str, Any] = {"type": "tool_use", "id": "c1", "name": body["tools"][0]["name"], "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": p} for p in ("", '{"wet"', ": true}")]
    else:
        block = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": p} for p in ("Hel", "lo")]
    thinking = [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}},
        {"type": "content_block_stop", "index": 0},
    ]
    return [
        *events, *thinking,
        {"type": "content_block_start", "index": 1, "content_block": block},
        *({"type": "content_block_delta", "index": 1, "delta": d} for d in deltas),
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 10}},
        {"type": "message_stop"},
    ]  # fmt: skip


@asynccontextmanager
async def paid_service() -> AsyncIterator[PaidService]:
    service = PaidService()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield service
    finally:
        await runner.cleanup()
