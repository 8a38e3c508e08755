"""Clients of Ollama's and Anthropic's dialect before a runtime that speaks it, and before one that does not."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from gateway_cases import served, stand

from arbiter_tui.testing import Behaviour

LINES = [b'{"message":{"content":"a"},"done":false}\n', b'{"message":{"content":""},"done":true}\n']
EVENTS = [b'event: message_start\ndata: {"type":"message_start"}\n\n', b"event: message_stop\ndata: {}\n\n"]
USER = [{"role": "user", "content": "hi"}]
DOCUMENT = [{"role": "user", "content": [{"type": "document", "source": {"type": "text", "data": "x"}}]}]
SPECIAL: list[tuple[str, dict[str, Any], str]] = [
    ("/api/chat", {"messages": USER, "think": True}, "think"),
    ("/api/chat", {"messages": USER, "think": "high"}, "think"),
    ("/api/generate", {"prompt": "a", "suffix": "b"}, "suffix"),
    ("/api/generate", {"prompt": "a", "context": [1]}, "context"),
    ("/v1/messages", {"messages": USER, "max_tokens": 9, "thinking": {"type": "enabled"}}, "thinking"),
    ("/v1/messages", {"messages": DOCUMENT, "max_tokens": 9}, "messages[0].content[0]"),
    ("/v1/messages", {"messages": USER, "max_tokens": 9, "tools": [{"type": "web_search_1", "name": "s"}]},
     "tools[0]"),
]  # fmt: skip


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("path", "body", "_"), SPECIAL, ids=[f"{p} {n}" for p, _, n in SPECIAL])
async def test_what_a_dialect_alone_can_say_goes_to_who_speaks_it(
    path: str, body: dict[str, Any], _: str, stream: bool
) -> None:
    """Its bytes come back, in the dialect's media type."""
    pieces = (EVENTS if path == "/v1/messages" else LINES) if stream else [b'{"whole": true}']
    async with stand({"fake-a": Behaviour(relayed=pieces)}) as one:
        answer = await one.http.post(path, json={"model": "fake-a", "stream": stream, **body})
        assert (answer.status_code, answer.content) == (200, b"".join(pieces))
        kinds = {"/v1/messages": "text/event-stream"} if stream else {}
        usual = "application/x-ndjson" if stream else "application/json"
        assert answer.headers["content-type"].startswith(kinds.get(path, usual))
        assert answer.headers["x-arbiter-model"] == "fake-a"


@pytest.mark.parametrize(("path", "body", "named"), SPECIAL, ids=[f"{p} {n}" for p, _, n in SPECIAL])
async def test_no_model_is_loaded_to_refuse_it(path: str, body: dict[str, Any], named: str) -> None:
    """400 that names the field; what others have loaded stays where it is."""
    async with stand() as one:
        answer = await one.http.post(path, json={"model": "fake-a", **body})
        assert answer.status_code == 400
        assert f"'{named}'" in _message(answer)
        assert one.provider.loads == []


@pytest.mark.parametrize("last", [LINES[0], LINES[0][:9]])
async def test_a_relayed_stream_of_lines_that_is_cut_has_an_error_line_of_its_own(last: bytes) -> None:
    """Behind a whole line or in the middle of one: no blank line, which Ollama's own client can't read."""
    async with served({"fake-a": Behaviour(relayed=[LINES[0], last, LINES[1]], die_after=2)}) as one:
        got: list[bytes] = []

        async def read() -> None:
            async with one.http.stream("POST", "/api/chat", json={"model": "fake-a", "messages": USER}) as answer:
                async for piece in answer.aiter_bytes():
                    got.append(piece)

        with pytest.raises(httpx.RemoteProtocolError):
            await read()
        *sent, error = b"".join(got).splitlines()
        assert [line + b"\n" for line in sent] == [LINES[0], last.rstrip(b"\n") + b"\n"]
        assert "died" in json.loads(error)["error"]


def _message(answer: httpx.Response) -> str:
    error = json.loads(answer.content)["error"]
    return str(error if isinstance(error, str) else error["message"])
