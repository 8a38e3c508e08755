"""The connection itself: heads too large, too slow or no HTTP, readers that take nothing, a thousand idlers."""

from __future__ import annotations

import asyncio
import json
import socket
import tracemalloc
from contextlib import AsyncExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from gateway_cases import CHAT, Stand, served, until

from arbiter_tui.config import LimitsConfig, ServerConfig, parse
from arbiter_tui.engine.balancer import Flow
from arbiter_tui.engine.leasing import LeaseContext
from arbiter_tui.gateway.protocol import GuardedProtocol, guarded
from arbiter_tui.testing import MIB, Behaviour

BODY = json.dumps({"model": "fake-a", "messages": [{"role": "user", "content": "hi"}]}).encode()


class Hasty(GuardedProtocol):
    """Deadlines that a test can wait for."""

    limits = LimitsConfig(head_s=0.2, reader_s=0.2)


async def connect(one: Stand) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = urlsplit(one.url)
    return await asyncio.open_connection(url.hostname, url.port)


async def told(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of an answer that ends with its connection."""
    async with asyncio.timeout(10):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    return int(head.split()[1]), body


async def answered(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of an answer that says its length."""
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
    return int(head.split()[1]), body


async def says(one: Stand, sent: bytes) -> tuple[int, bytes]:
    reader, writer = await connect(one)
    try:
        writer.write(sent)
        await writer.drain()
        return await told(reader)
    finally:
        writer.close()


def request(path: str = CHAT, *headers: str, body: bytes = BODY) -> bytes:
    """A POST that asks to close the connection behind it."""
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", "connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


LENGTH = f"content-length: {len(BODY)}"


async def test_a_length_and_chunks_together_are_refused(live: Stand) -> None:
    """Two ways of saying where a body ends are the way to smuggle a request: 400, and the backend is not called."""
    status, body = await says(live, request(CHAT, LENGTH, "transfer-encoding: chunked", body=b"0\r\n\r\n"))
    assert (status, json.loads(body)["error"]["type"]) == (400, "invalid_request_error")
    assert live.provider.loads == []


@pytest.mark.parametrize("extra", [
    ["transfer-encoding: gzip"], ["transfer-encoding: chunked"], [LENGTH, "content-length: 3"], ["content-length: -1"],
])  # fmt: skip
async def test_lengths_that_contradict_are_refused(live: Stand, extra: list[str]) -> None:
    """400, whatever the contradiction, also where it shows only in the body."""
    assert (await says(live, request(CHAT, *extra)))[0] == 400
    assert live.provider.loads == []


@pytest.mark.parametrize("pieces", [1, 64])
async def test_a_head_of_a_megabyte_is_431_and_never_held(live: Stand, pieces: int) -> None:
    """In one gulp or in many, in one header or in thousands; memory stays far below."""
    value = "x" * (MIB // pieces)
    tracemalloc.start()
    try:
        status, body = await says(live, request(CHAT, *(f"x-{n}: {value}" for n in range(pieces)), LENGTH))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (status, json.loads(body)["error"]["code"]) == (431, "head_too_large")
    assert peak < 12 * MIB
    assert (await live.http.get("/health")).status_code == 200


@pytest.mark.parametrize(
    ("path", "field"), [("/api/chat", "error"), ("/v1/messages", "type"), ("/arbiter/v1/models", "detail")]
)
async def test_no_http_is_refused_in_the_paths_dialect(live: Stand, path: str, field: str) -> None:
    """Even where the server itself says no, its answer is JSON of the family."""
    status, body = await says(live, request(path, "bad header\x01name: x", LENGTH))
    assert (status, field in json.loads(body)) == (400, True)
    assert (await says(live, b"\x16\x03\x01 what is this\r\n\r\n"))[0] == 400


async def test_a_large_body_behind_a_small_head_is_no_large_head(live: Stand) -> None:
    """The head's limit is the head's: half a megabyte of prompt in the same packet is fine."""
    body = json.dumps({"model": "fake-a", "messages": [{"role": "user", "content": "x" * (MIB // 2)}]}).encode()
    live.how("fake-a").context = 10**9
    assert (await says(live, request(CHAT, f"content-length: {len(body)}", body=body)))[0] == 200


async def test_a_slow_head_is_408_and_a_slow_one_again_after_an_answer() -> None:
    """The deadline runs from a request's first byte, drip as it may; also on a connection that was used before."""
    async with served(protocol=Hasty) as one:
        reader, writer = await connect(one)
        writer.write(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        await answered(reader)

        async def drip() -> None:
            with suppress(ConnectionError):
                for letter in b"POST /api/chat HTTP/1.1\r\nhost: 127.0.0.1\r\n" + b"x: y\r\n" * 1000:
                    writer.write(bytes([letter]))
                    await writer.drain()
                    await asyncio.sleep(0.01)

        dripping = asyncio.create_task(drip())
        status, body = await answered(reader)  # not to the end: whoever goes on talking may have it reset
        assert (status, "head" in json.loads(body)["error"]) == (408, True)
        dripping.cancel()
        writer.close()
        assert one.provider.loads == []


@pytest.mark.parametrize("used", [False, True])
async def test_empty_lines_are_no_request_and_hold_no_connection(used: bool) -> None:
    """They may stand before a request; where none follows the connection ends in a head's time, without a word."""
    async with served(protocol=Hasty) as one:
        reader, writer = await connect(one)
        if used:
            writer.write(b"\r\nGET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
            assert (await answered(reader))[0] == 200
        writer.write(b"\r\n")
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()


async def test_a_reader_that_takes_nothing_loses_its_place() -> None:
    """A stream that nobody reads is cut when its buffers are full: the model is free for others."""
    how = Behaviour(answer="x" * 40_000_000, chunks=2_000)
    async with served({"fake-a": how}, protocol=Hasty) as one:
        url = urlsplit(one.url)
        lazy = socket.create_connection((url.hostname, url.port))
        try:
            body = BODY[:-1] + b', "stream": true}'
            head = f"POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            lazy.sendall(head + body)
            await until(lambda: "fake-a" in one.provider.loaded and one.model("fake-a").active == 1)
            lazy.sendall(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")  # to talk is not to listen
            await until(lambda: one.arbiter.in_flight == 0)
            assert one.model("fake-a").cancelled == 1
        finally:
            lazy.close()


async def test_a_client_that_leaves_with_a_request_sent_ahead_frees_both() -> None:
    """The answer in the making is cancelled although another request stands behind it; that one is never begun."""
    gate = asyncio.Event()
    async with served({"fake-a": Behaviour(gate=gate)}) as one:
        _, writer = await connect(one)
        writer.write(f"POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1\r\n{LENGTH}\r\n\r\n".encode() + BODY)
        await until(lambda: "fake-a" in one.provider.loaded and one.model("fake-a").active == 1)
        writer.write(request(CHAT, LENGTH))
        await writer.drain()
        writer.close()
        await until(lambda: one.arbiter.in_flight == 0)
        gate.set()
        assert one.model("fake-a").cancelled == 1
        assert one.model("fake-a").served == 0


async def test_nonsense_behind_a_request_cuts_and_never_mixes() -> None:
    """What follows an answer in the making is no part of it: the connection ends."""
    gate = asyncio.Event()
    async with served({"fake-a": Behaviour(gate=gate)}) as one:
        reader, writer = await connect(one)
        lines = f"POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1\r\n{LENGTH}\r\n\r\n"
        writer.write(lines.encode() + BODY)
        await until(lambda: "fake-a" in one.provider.loaded and one.model("fake-a").active == 1)
        writer.write(b"\x00\x01 nonsense\r\n\r\n")
        with suppress(ConnectionError):
            assert await reader.read() == b""
        await until(lambda: one.arbiter.in_flight == 0)
        writer.close()


async def test_a_thousand_idle_connections_and_two_hundred_slow_ones_disturb_nobody() -> None:
    """Service goes on beside them, and the slow ones are gone when their time is over."""
    async with served(protocol=Hasty) as one, AsyncExitStack() as held:
        url = urlsplit(one.url)

        async def hold(sent: bytes) -> asyncio.StreamReader:
            reader, writer = await asyncio.open_connection(url.hostname, url.port)
            held.callback(writer.close)
            writer.write(sent)
            return reader

        idle = [await hold(b"") for _ in range(1000)]
        slow = [await hold(b"POST /v1/chat/completions HTTP/1.1\r\nhost: 1") for _ in range(200)]
        answers = [await one.chat() for _ in range(20)]
        assert [a.status_code for a in answers] == [200] * 20
        assert {status for status, _ in [await told(reader) for reader in slow]} == {408}
        assert not any(reader.at_eof() for reader in idle)


async def test_a_body_that_drips_is_408() -> None:
    """A body has its own deadline, from its head to its end."""
    async with served(config={"server": ServerConfig(limits=LimitsConfig(body_s=0.2))}) as one:
        reader, writer = await connect(one)
        writer.write(request(CHAT, LENGTH, body=BODY[:10]))
        status, body = await told(reader)
        assert (status, json.loads(body)["error"]["code"]) == (408, "body_too_slow")
        writer.close()
        assert one.provider.loads == []


async def test_the_limits_are_the_configurations() -> None:
    """[server.limits] makes the protocol of the server that runs: a smaller head is 431 where the default takes it."""
    text = '[server.limits]\nhead_bytes = "2KiB"\nhead_s = 5\nreader_s = 1.5\nidle_s = 7\nbody_s = 2'
    limits = parse(text).server.limits
    assert (limits.head_bytes, limits.head_s, limits.reader_s, limits.idle_s, limits.body_s) == (2048, 5, 1.5, 7, 2)
    fat = request(CHAT, f"x: {'y' * 3000}", LENGTH)
    async with served(protocol=guarded(limits)) as one:
        assert (await says(one, fat))[0] == 431
    async with served() as one:
        assert (await says(one, fat))[0] == 200


async def test_an_idle_connection_is_closed_in_its_time() -> None:
    """``idle_s`` counts from the connection, and again from each answer."""
    async with served(protocol=guarded(LimitsConfig(idle_s=1))) as one:
        silent, writer = await connect(one)
        used, other = await connect(one)
        other.write(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        async with asyncio.timeout(10):
            assert await silent.read() == b""
            assert (await used.read()).startswith(b"HTTP/1.1 200")
        writer.close()
        other.close()


async def test_one_task_serves_the_requests_of_a_connection() -> None:
    """However many; what one request said of itself holds for no other; the task ends with the connection."""
    async with served() as one:
        await one.arbiter.warm("fake-a")
        flows: list[tuple[str, float]] = []
        lease = one.arbiter.pool.lease

        def seen(*given: Any, flow: Flow, **named: Any) -> LeaseContext:
            flows.append((flow.task, flow.weight))
            return lease(*given, flow=flow, **named)

        one.arbiter.pool.lease = seen  # type: ignore[method-assign]
        reader, writer = await connect(one)
        head = "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        for extra in ("x-arbiter-priority: low\r\n", "", "x-arbiter-task: code\r\n", ""):
            writer.write(f"{head}{extra}content-length: {len(BODY)}\r\n\r\n".encode() + BODY)
            assert (await answered(reader))[0] == 200
            assert len(serving()) == 1
        assert flows == [("", 0.25), ("", 1.0), ("code", 1.0), ("", 1.0)]
        writer.close()
        await until(lambda: not serving())


def serving() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == "gateway-connection"]


async def test_requests_that_are_sent_ahead_are_answered_in_their_order() -> None:
    """Each with its own answer, on a connection whose task has served others before."""
    async with served({"fake-a": Behaviour(answer="one"), "fake-b": Behaviour(answer="two")}) as one:
        reader, writer = await connect(one)
        bodies = [BODY, BODY.replace(b"fake-a", b"fake-b"), BODY]
        head = "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        for _ in range(3):
            writer.write(b"".join(f"{head}content-length: {len(b)}\r\n\r\n".encode() + b for b in bodies))
            found = [json.loads((await answered(reader))[1])["choices"][0]["message"]["content"] for _ in bodies]
            assert found == ["one", "two", "one"]
        writer.close()
