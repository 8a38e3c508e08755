"""The access log: a line per request that says who asked what of whom, and no word of what was said."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_cases import CHAT, V1, Stand, engine, fronting, served, stand, until

from arbiter_tui.config import ServerConfig
from arbiter_tui.core.tasks import Task
from arbiter_tui.errors import ConfigError
from arbiter_tui.gateway.app import build_app
from arbiter_tui.testing import Behaviour

TASKS = (Task(name="chat"), Task(name="diary", private=True))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "access.jsonl"


@pytest.fixture
async def logged(file: Path) -> AsyncIterator[Stand]:
    async with stand(config={"server": ServerConfig(access_log=str(file)), "tasks": TASKS}) as one:
        yield one


def text_of(file: Path) -> str:
    return file.read_text()


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def moved(file: Path) -> Path:
    return file.rename(file.with_suffix(".1"))


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


async def test_each_request_is_one_line_without_its_prompt(logged: Stand, file: Path) -> None:
    """Who, what, how it ended, who served it; neither prompt nor answer nor query; readable by the owner only."""
    _, token = await logged.arbiter.keyring.create("app", scope="control")
    key = logged.arbiter.keyring.find("app").id
    answer = await logged.chat(model="arbiter/chat", text="a very private prompt")
    await logged.http.get(f"{V1}/models?limit=3", headers={"x-api-key": token})
    await logged.http.get(f"{V1}/explain/{token}", headers={"host": "evil.example"})
    chat, listed, foreign = lines(file)
    assert (chat["method"], chat["path"], chat["status"], chat["whole"]) == ("POST", CHAT, 200, True)
    assert (chat["key"], chat["task"], chat["model"]) == ("local", "chat", answer.headers["x-arbiter-model"])
    assert chat["request_id"] == answer.headers["x-arbiter-request-id"]
    assert chat["bytes"] == len(answer.content)
    assert chat["seconds"] > 0
    assert (listed["key"], listed["path"]) == (key, f"{V1}/models")
    assert (foreign["status"], foreign["key"]) == (403, "local")
    text = text_of(file)
    assert "private prompt" not in text
    assert answer.json()["choices"][0]["message"]["content"] not in text
    assert token.split("_", 2)[2] not in text
    assert mode(file) == 0o600


async def test_prompts_are_there_when_asked_for_but_those_of_private_tasks_never(file: Path) -> None:
    """The configuration asks; a private task's words are nowhere even then."""
    server = ServerConfig(access_log=str(file), access_log_prompts=True)
    async with stand(config={"server": server, "tasks": TASKS}) as one:
        await one.chat(model="arbiter/chat", text="say hello")
        await one.chat(model="arbiter/diary", text="dear diary")
    chat, diary = lines(file)
    assert [(m["role"], m["content"]) for m in chat["messages"]] == [("user", "say hello")]
    assert "messages" not in diary
    assert "dear diary" not in text_of(file)


async def test_a_stream_that_was_left_is_not_whole(file: Path) -> None:
    """The line comes when it ends, and says that it was cut."""
    slow = {"fake-a": Behaviour(answer="word " * 50, chunks=50, chunk_s=0.05)}
    async with served(slow, config={"server": ServerConfig(access_log=str(file))}) as one:
        body = {"model": "fake-a", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        async with one.http.stream("POST", CHAT, json=body) as answer:
            async for _ in answer.aiter_raw():
                break
        await until(lambda: len(lines(file)) == 1)
        assert (lines(file)[0]["status"], lines(file)[0]["whole"]) == (200, False)


async def test_every_byte_of_a_stream_that_passes_through_counts(file: Path) -> None:
    """Those, too, that come one by one and would go straight to the client if nobody looked on."""
    piece = b'data: {"choices": [{"delta": {"content": "hi"}}]}\n\n'
    listed = b'{"data": [{"id": "m"}]}'

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1]
        if path == b"/v1/models":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(listed) + listed)
        elif path == CHAT.encode():
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            for n in range(5):
                writer.write(piece)
                await writer.drain()
                await until(lambda n=n: got.count(piece) > n)
            writer.write(b"data: [DONE]\n\n")
        else:
            writer.write(b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    got = bytearray()
    body = {"model": "far", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as backend:
        address = f"http://127.0.0.1:{backend.sockets[0].getsockname()[1]}"
        async with (
            fronting(address, server=ServerConfig(access_log=str(file))) as (_, _, url),
            httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as http,
            http.stream("POST", CHAT, json=body) as answer,
        ):
            async for data in answer.aiter_bytes():
                got.extend(data)
            await until(lambda: len(lines(file)) == 1)
    assert got == piece * 5 + b"data: [DONE]\n\n"
    assert (lines(file)[0]["bytes"], lines(file)[0]["whole"]) == (len(got), True)


async def test_a_file_that_was_moved_away_is_begun_anew(logged: Stand, file: Path) -> None:
    """As log rotation does it: no line is lost, none goes into the old file."""
    await logged.http.get("/health")
    old = moved(file)
    await logged.http.get("/health")
    assert len(lines(file)) == len(lines(old)) == 1
    assert mode(file) == 0o600


async def test_a_file_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    """By the key's name."""
    async with engine(server=ServerConfig(access_log=str(tmp_path / "none" / "log"))) as (arbiter, _, _):
        with pytest.raises(ConfigError, match="access_log"):
            build_app(arbiter, on_stop=lambda: None)


async def test_who_is_refused_is_named_by_the_key_that_was_shown(file: Path) -> None:
    """Too little scope, too many requests; who shows none that opens anything is nobody, and not this machine."""
    server = ServerConfig(access_log=str(file), require_key=True)
    async with stand(config={"server": server}) as one:
        key, token = await one.arbiter.keyring.create("app", requests_per_minute=1)
        for headers in ({}, {"x-api-key": token + "x"}):
            assert (await one.http.get("/v1/models", headers=headers)).status_code == 401
        one.http.headers["x-api-key"] = token
        assert (await one.http.get("/metrics")).status_code == 403
        assert [(await one.chat()).status_code for _ in range(2)] == [200, 429]
    assert [(line["status"], line["key"]) for line in lines(file)] == [
        (401, None), (401, None), (403, key.id), (200, key.id), (429, key.id),
    ]  # fmt: skip
