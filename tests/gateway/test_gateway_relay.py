"""Answers of runtimes that speak the client's dialect: their bytes go out as they come, and are still measured."""

from __future__ import annotations

import asyncio
import json
import logging
import logging.handlers
from typing import Any

import httpx
import pytest
from gateway_cases import CHAT, Stand, served, until

from arbiter_tui.commands.explained import explain
from arbiter_tui.core.cost import Failure
from arbiter_tui.core.tasks import Task
from arbiter_tui.errors import Overloaded, WorkerDied
from arbiter_tui.testing import Behaviour


def event(content: str | None, reason: str | None = None) -> bytes:
    delta = {} if content is None else {"content": content}
    told = {"id": "theirs", "model": "Their-Model", "x": 1, "choices": [{"delta": delta, "finish_reason": reason}]}
    return b"data: " + json.dumps(told).encode() + b"\n\n"


STREAM = [event("Hel"), event("lo") + event(None, "stop")[:9], event(None, "stop")[9:], b"data: [DONE]\n\n"]
WHOLE = json.dumps({"id": "theirs", "model": "Their-Model", "odd": [1.50], "choices": []}).encode()


def body(stream: bool = True, model: str = "fake-a", **more: Any) -> dict[str, Any]:
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": "hi"}], **more}


async def answered(one: Stand, asked: dict[str, Any]) -> httpx.Response:
    return await one.http.post(CHAT, json=asked)


async def until_cut(one: Stand) -> bytes:
    """What came before the connection was cut. Fails if it ended well."""
    got = b""
    try:
        async with one.http.stream("POST", CHAT, json=body()) as answer:
            async for piece in answer.aiter_bytes():
                got += piece
    except httpx.RemoteProtocolError:
        return got
    raise AssertionError("it ended as if it were whole")


@pytest.mark.parametrize(("stream", "pieces"), [(True, STREAM), (False, [WHOLE])])
async def test_the_bytes_are_the_runtimes_own(stream: bool, pieces: list[bytes]) -> None:
    """Not one is changed: id, model and unknown fields are theirs; who served stands in the headers; the outcome is
    recorded with what was counted."""
    async with served({"fake-a": Behaviour(relayed=pieces)}) as one:
        answer = await answered(one, body(stream))
        assert (answer.status_code, answer.content) == (200, b"".join(pieces))
        assert answer.headers["x-arbiter-model"] == "fake-a"
        assert answer.headers["content-type"].split(";")[0] == ("text/event-stream" if stream else "application/json")
        await until(lambda: one.arbiter.in_flight == 0)
        (seen,) = one.arbiter.requests()
        assert (seen["success"], seen["tokens_out"], seen["id"]) == (
            True, len(pieces), answer.headers["x-arbiter-request-id"],
        )  # fmt: skip
        assert (seen["ttft_s"] is not None) == stream


@pytest.mark.parametrize("counts", [True, False])
async def test_what_a_runtime_does_not_count_is_estimated_and_marked(counts: bool) -> None:
    """Each event is a token, four bytes of the prompt are one; what one does not know is marked as a whole."""
    async with served({"fake-a": Behaviour(relayed=STREAM, counts=counts)}) as one:
        await answered(one, body(messages=[{"role": "user", "content": "twelve bytes"}]))
        await until(lambda: one.arbiter.in_flight == 0)
        (seen,) = one.arbiter.requests()
        told = len(STREAM) if counts else b"".join(STREAM).count(b"data: {")
        assert (seen["tokens_in"], seen["tokens_out"], seen["tokens_estimated"]) == (3, told, True)
        assert "~3 tokens in" in (await text_of(one, seen["id"]))


async def text_of(one: Stand, id: str) -> str:
    return explain((await one.http.get(f"/arbiter/v1/explain/{id}")).json()) or ""


async def test_a_death_in_an_event_is_an_error_event_of_its_own() -> None:
    """What was cut stays cut; ours follows as an event that parses, and then the connection is cut, too."""
    async with served({"fake-a": Behaviour(relayed=STREAM, die_after=2)}) as one:
        got = await until_cut(one)
        sent = b"".join(STREAM[:2])
        assert got.startswith(sent + b"\n\ndata: ")
        told = json.loads(got[len(sent) + 8 :].strip())
        assert told["error"]["code"] == "worker_died"
        await until(lambda: one.arbiter.in_flight == 0)
        assert one.arbiter.requests()[0]["failure"] is Failure.WORKER_DIED


async def test_a_stream_that_is_cut_on_purpose_is_no_error_in_the_log() -> None:
    """Its client is told, its record says so; the engine's log has no line of the server's surprise."""
    server, said = logging.getLogger("uvicorn.error"), logging.handlers.BufferingHandler(100)
    async with served({"fake-a": Behaviour(relayed=STREAM, die_after=2)}) as one:
        before = server.level
        server.setLevel(logging.ERROR)
        server.addHandler(said)
        try:
            await until_cut(one)
            await until(lambda: one.arbiter.in_flight == 0)
            server.error("something else")
        finally:
            server.removeHandler(said)
            server.setLevel(before)
    assert [r.getMessage() for r in said.buffer] == ["something else"]


async def test_what_fails_before_its_first_byte_is_asked_once_more() -> None:
    """A worker that died is loaded again; a runtime that is busy says so with its status, and nothing was sent."""
    async with served({"fake-a": Behaviour(relayed=STREAM)}) as one:
        one.how("fake-a").fail_generate = [WorkerDied("gone")]
        assert (await answered(one, body())).content == b"".join(STREAM)
        one.how("fake-a").fail_generate = [Overloaded("busy")]
        refused = await answered(one, body())
        assert refused.status_code == 429
        assert refused.json()["error"]["message"] == "busy"


async def test_pings_come_between_events_only() -> None:
    """A runtime that falls silent in the middle of an event: nothing of ours gets into it."""
    cut = [event("Hel"), event("lo")[:20], event("lo")[20:], b"data: [DONE]\n\n"]
    async with served({"fake-a": Behaviour(relayed=cut)}, ping_s=0.02) as one:
        how, got = one.how("fake-a"), b""
        how.gate = asyncio.Event()
        async with one.http.stream("POST", CHAT, json=body()) as answer:
            async for piece in answer.aiter_raw():
                got += piece
                if b": ping" in got:  # before the first event there is time for one
                    how.chunk_s = 0.1
                    how.gate.set()
        events = [e for e in got.split(b"\n\n") if e and not e.startswith(b":")]
        assert events == [e for e in b"".join(cut).split(b"\n\n") if e]


async def test_a_client_that_leaves_stops_the_runtime() -> None:
    """In the middle of relayed bytes, too; it never counts against the model."""
    async with served({"fake-a": Behaviour(relayed=STREAM)}) as one:
        one.how("fake-a").gate = gate = asyncio.Event()
        asking = asyncio.create_task(answered(one, body()))
        await until(lambda: "fake-a" in one.provider.loaded and one.model("fake-a").active == 1)
        asking.cancel()
        await until(lambda: one.model("fake-a").active == 0)
        gate.set()
        assert one.arbiter.requests()[0]["failure"] is Failure.CANCELLED


async def test_with_worked_examples_it_is_not_the_clients_own_request() -> None:
    """A task's examples are added to a bare question: the answer is made of chunks, in our form."""
    shown = Task(name="chat", few_shot=(("q", "a"),))
    async with served({"fake-a": Behaviour(relayed=STREAM, answer="ours")}, config={"tasks": (shown,)}) as one:
        await one.arbiter.swap("chat", "fake-a")
        answer = await answered(one, body(False, "arbiter/chat"))
        assert answer.json()["choices"][0]["message"]["content"] == "ours"
        assert (await answered(one, body(model="fake-a"))).content == b"".join(STREAM)
