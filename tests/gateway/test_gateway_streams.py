"""Streams on a real server: leaving clients, dying workers, silence, large and slow bodies."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from urllib.parse import urlsplit

import httpx
import pytest
from gateway_cases import CHAT, V1, Stand, events, served, until

from arbiter_tui.config import PoolConfig
from arbiter_tui.core.cost import Failure
from arbiter_tui.provider import Request
from arbiter_tui.testing import MIB, Behaviour


def body(model: str = "fake-a", **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], **more}


async def raw(one: Stand, payload: bytes, *, path: str = CHAT) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection of our own, the request sent: what a client library would hide stays visible."""
    host = urlsplit(one.url)
    reader, writer = await asyncio.open_connection(host.hostname, host.port)
    head = f"POST {path} HTTP/1.1\r\nhost: {host.netloc}\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {len(payload)}\r\n\r\n".encode() + payload)
    await writer.drain()
    return reader, writer


async def leave(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


async def cut_short(one: Stand) -> str:
    """What a stream says before its connection is cut; fails if it ends cleanly."""
    pieces: list[str] = []
    async with one.http.stream("POST", CHAT, json=body(stream=True)) as answer:
        try:
            async for piece in answer.aiter_text():
                pieces.append(piece)
        except httpx.RemoteProtocolError:
            return "".join(pieces)
    raise AssertionError("a stream that broke off ended like one that succeeded")


async def test_a_client_that_leaves_mid_stream_stops_the_decoding() -> None:
    """The lease is free, the model saw a cancellation, the outcome counts against nobody."""
    gate = asyncio.Event()
    gate.set()
    async with served({"fake-a": Behaviour(answer="x" * 100, chunks=100, gate=gate)}) as one:
        gate.clear()
        _, writer = await raw(one, json.dumps(body(stream=True)).encode())
        await until(lambda: "fake-a" in one.provider.loaded and one.model("fake-a").active == 1)
        await leave(writer)
        await until(lambda: one.model("fake-a").active == 0)
        assert one.model("fake-a").cancelled == 1
        assert one.arbiter.in_flight == 0
        assert one.arbiter.requests(1)[0]["failure"] == Failure.CANCELLED
        gate.set()
        assert (await one.http.post(CHAT, json=body())).status_code == 200


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_before_the_first_byte_frees_its_place(stream: bool) -> None:
    """While decoding, with nothing sent yet: the same, streamed or not."""
    gate = asyncio.Event()
    async with served({"fake-a": Behaviour(gate=gate)}) as one:
        _, writer = await raw(one, json.dumps(body(stream=stream)).encode())
        await until(lambda: "fake-a" in one.provider.loaded and one.model("fake-a").active == 1)
        await leave(writer)
        await until(lambda: one.arbiter.in_flight == 0 and one.model("fake-a").active == 0)
        gate.set()


async def test_a_queued_client_that_leaves_gives_up_its_turn_and_nobody_elses() -> None:
    """Five places' worth of clients on four places: the fifth leaves the queue, the four are answered."""
    gate = asyncio.Event()
    async with served({"fake-a": Behaviour(gate=gate)}) as one:
        first = [asyncio.create_task(one.http.post(CHAT, json=body())) for _ in range(4)]
        await until(lambda: "fake-a" in one.provider.loaded and one.model("fake-a").active == 4)
        _, writer = await raw(one, json.dumps(body()).encode())
        await until(lambda: one.arbiter.pool.views()["fake-a"].queued == 1)
        await leave(writer)
        await until(lambda: one.arbiter.pool.views()["fake-a"].queued == 0)
        gate.set()
        assert [(await task).status_code for task in first] == [200] * 4
        assert one.model("fake-a").served == 4


async def test_a_client_that_waits_for_a_load_may_leave_alone() -> None:
    """Two wait for one load; one leaves; the other is answered."""
    gate = asyncio.Event()
    async with served({"fake-a": Behaviour(load_gate=gate)}) as one:
        stays = asyncio.create_task(one.http.post(CHAT, json=body()))
        _, writer = await raw(one, json.dumps(body()).encode())
        await until(lambda: one.arbiter.in_flight == 2)
        await leave(writer)
        await until(lambda: one.arbiter.in_flight == 1)
        gate.set()
        assert (await stays).status_code == 200
        assert one.provider.loads == ["fake-a"]


async def test_a_worker_that_dies_mid_stream_is_an_error_event_and_a_cut() -> None:
    """Text, then an error event in OpenAI's shape, then an unclean end: no [DONE], no last chunk of the transfer."""
    async with served({"fake-a": Behaviour(answer="abcdef", chunks=6, die_after=3)}) as one:
        text = await cut_short(one)
        last = json.loads(events(text)[-1])
        assert last["error"]["code"] == "worker_died"
        assert "[DONE]" not in text
        assert 'finish_reason":"stop' not in text
        assert one.arbiter.requests(1)[0]["failure"] == Failure.WORKER_DIED


async def test_a_worker_that_dies_in_a_whole_answer_is_502() -> None:
    """Not streamed: a status, a body of the dialect, Retry-After; no half answer."""
    async with served({"fake-a": Behaviour(answer="abcdef", chunks=6, die_after=3)}) as one:
        answer = await one.http.post(CHAT, json=body())
        assert answer.status_code == 502
        assert answer.json()["error"]["code"] == "worker_died"


async def test_a_stream_stays_alive_while_its_model_loads() -> None:
    """Comments, never invented tokens; when it is known who serves, that comes as comments, too; then the answer."""
    gate = asyncio.Event()
    async with served({"fake-a": Behaviour(answer="hi", load_gate=gate)}, ping_s=0.01) as one:
        text = ""
        async with one.http.stream("POST", CHAT, json=body(stream=True)) as answer:
            async for piece in answer.aiter_text():
                text += piece
                if text.count(": ping") >= 2:
                    gate.set()
        assert text.startswith(": ping")
        assert ": x-arbiter-model=fake-a" in text
        assert events(text)[-1] == "[DONE]"


async def test_a_load_that_fails_in_an_open_stream_is_an_error_event() -> None:
    """After a ping the status is gone: the error comes as an event, then the cut."""
    gate = asyncio.Event()
    behaviours = {"fake-a": Behaviour(load_gate=gate), "fake-b": Behaviour()}
    async with served(behaviours, ping_s=0.01, pool=PoolConfig(load_timeout_s=1.0)) as one:
        text = await cut_short(one)
        assert json.loads(events(text)[-1])["error"]["code"] == "load_failed"


@pytest.mark.parametrize("path", [CHAT, f"{V1}/outcomes"])
async def test_fifty_megabytes_are_refused_and_never_held(path: str) -> None:
    """413 in the dialect, whether the length is declared or chunked; memory stays far below the body's size."""
    megabyte = b" " * MIB

    async def endless() -> object:
        for _ in range(50):
            yield megabyte

    async with served() as one:
        tracemalloc.start()
        try:
            headers = {"content-type": "application/json"}
            chunked = await one.http.post(path, content=endless(), headers=headers)  # type: ignore[arg-type]
            declared = await one.http.post(
                path,
                content=endless(),
                headers={**headers, "content-length": str(50 * MIB)},  # type: ignore[arg-type]
            )
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert [chunked.status_code, declared.status_code] == [413, 413]
        assert "body_too_large" in chunked.text
        assert peak < 30 * MIB
        assert (await one.http.get("/health")).status_code == 200


async def test_a_client_that_leaves_in_its_own_body_is_no_error() -> None:
    """Half a body, then gone: nothing is logged as a failure, nothing is called."""
    async with served() as one:
        host = urlsplit(one.url)
        _, writer = await asyncio.open_connection(host.hostname, host.port)
        writer.write(f"POST {CHAT} HTTP/1.1\r\nhost: {host.netloc}\r\ncontent-length: 100\r\n\r\n{{".encode())
        await writer.drain()
        await leave(writer)
        assert (await one.http.get("/health")).status_code == 200
        assert one.provider.loads == []


async def test_two_hundred_at_once_are_all_answered_or_told_when() -> None:
    """A bounded queue: 200s and, only beyond the stated limit, 429 with Retry-After; nothing else."""
    gate = asyncio.Event()
    async with served({"fake-a": Behaviour(gate=gate)}, pool=PoolConfig(queue_limit=100)) as one:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=one.url, limits=limits, timeout=20, trust_env=False) as many:
            asked = [asyncio.create_task(many.post(CHAT, json=body())) for _ in range(200)]
            await until(lambda: sum(t.done() for t in asked) >= 200 - 104)
            gate.set()
            answers = [await t for t in asked]
        codes = [a.status_code for a in answers]
        assert set(codes) == {200, 429}
        assert codes.count(200) >= 100
        assert all(int(a.headers["retry-after"]) >= 1 for a in answers if a.status_code == 429)


async def test_streams_side_by_side_do_not_mix() -> None:
    """Twenty streams at once: each gets its own words, in order."""

    def echo(request: Request) -> str:
        return f"<{request.messages[0].content}>" * 20

    async with served({"fake-a": Behaviour(answer=echo, chunks=40)}) as one:

        async def ask(n: int) -> str:
            sent = {**body(stream=True), "messages": [{"role": "user", "content": str(n)}]}
            answer = await one.http.post(CHAT, json=sent)
            chunks = [json.loads(c) for c in events(answer.text)[:-1]]
            return "".join(c["choices"][0]["delta"].get("content", "") for c in chunks)

        assert await asyncio.gather(*(ask(n) for n in range(20))) == [f"<{n}>" * 20 for n in range(20)]
