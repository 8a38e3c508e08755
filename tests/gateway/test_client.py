"""ControlClient: every call it offers against a running engine, and every error as what it was."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys

import pytest
from gateway_cases import Stand, control, served, until

from arbiter_tui import errors as e
from arbiter_tui.client import error_from, fetch_json
from arbiter_tui.gateway.problems import OPENAI, PROBLEMS
from arbiter_tui.testing import Behaviour


async def test_looking_and_changing(live: Stand) -> None:
    """Each call reaches its endpoint and returns what the cockpit and the commands expect."""
    async with control(live) as api:
        first = await api.snapshot()
        assert first.engine.state == "ready"
        assert (await api.snapshot(after=first.revision + 1, wait=0.01, task="chat")).tasks[0].task == "chat"
        assert (await api.health())["status"] == "ready"
        assert [m["version"] for m in await api.models()] == ["fake-a", "fake-b"]
        assert {t["task"] for t in await api.tasks()} == {"chat", "code"}
        old = live.arbiter.routes.get("chat").incumbent
        to = "fake-b" if old == "fake-a" else "fake-a"
        assert (await api.warm(to, wait=10))["state"] == "ready"
        assert await api.log(to) == [f"{to}: loaded"]
        assert (await api.swap("chat", to, dry_run=True))["to"] == to
        assert (await api.swap("chat", to, wait=10))["result"] == "done"
        assert (await api.rollback("chat", wait=10))["to"] == old
        assert (await api.autopilot("chat", "off"))["mode"] == "off"
        assert (await api.autopilot(None, "on"))["task"] is None
        assert (await api.pin(to))["pinned"]
        assert (await api.select("chat"))["primary"]
        assert (await api.unload(to, wait=10))["state"] == "cold"
        assert (await api.register("fake", "fake-a"))["version"] == "fake-a"
        assert (await api.activate(to))["lifecycle"] == "active"
        operation = await api.bench(["chat"])
        await api.cancel(operation["id"])
        assert (await api.operation(operation["id"]))["state"] in ("cancelled", "done")
        assert (await api.get("/arbiter/v1/ledger?verify=true"))["broken"] is None
        await api.stop()
    assert live.stopped == [True]


async def test_two_versions_answer_as_the_task_is_asked_and_are_judged(live: Stand) -> None:
    """Each named version's answer counts as the task's request, tells its tokens, and takes a grade; its prompt can be
    asked for again."""
    async with control(live) as api:
        asked = [{"role": "user", "content": "which is it"}]
        for version in ("fake-a", "fake-b"):
            answer = api.answer(version, asked, "chat")
            pieces = [piece async for piece in answer]
            assert answer.served["model"] == version
            assert answer.served["task"] == "chat"
            assert answer.tokens_out is not None
            assert len(pieces) > 1
            graded = await api.feedback(answer.served["request_id"], 1.0)
            assert (graded["task"], graded["version"]) == ("chat", version)
        rows = await api.requests(10, task="chat", prompts=True)
        assert [r["version"] for r in rows] == ["fake-b", "fake-a"]
        assert rows[0]["messages"] == asked
        assert all("messages" not in r for r in await api.requests(10))
        assert not await api.requests(10, task="code")


async def test_the_views_of_the_cockpit_find_what_they_show(live: Stand) -> None:
    """The benchmark's cells, what happened, what a worker says behind a mark, what could be registered."""
    async with control(live) as api:
        cells = await api.bench_cells()
        assert {(c["task"], c["version"]) for c in cells} == {("chat", "fake-a"), ("chat", "fake-b")}
        await api.warm("fake-a", wait=10)
        lines, mark = await api.log_page("fake-a")
        assert lines == ["fake-a: loaded"]
        assert await api.log_page("fake-a", mark, 0.01) == ([], mark)
        happened = await api.events()
        assert any("fake-a" in e["message"] for e in happened)
        assert not await api.events(happened[-1]["revision"], 0.01)
        assert {f["version"] for f in await api.discover()} == {"fake-a", "fake-b"}


async def test_run_streams_and_says_what_served(live: Stand) -> None:
    """A task by its bare name, a version by its own; feedback and explain by the request's id."""
    async with control(live) as api:
        answer = api.run("chat", "hi")
        text = "".join([piece async for piece in answer])
        assert text in ("hello wide world", "another answer")
        assert answer.served["task"] == "chat"
        assert answer.finish_reason == "stop"
        graded = await api.feedback(answer.served["request_id"], 0.5)
        assert graded["quality"] == 0.5
        assert await api.explain(answer.served["request_id"])
        assert (await api.requests(1))[0]["id"] == answer.served["request_id"]
        named = api.run("fake-b", "hi", max_tokens=3)
        assert "".join([piece async for piece in named]) == "another answer"
        assert named.served["model"] == "fake-b"
        with pytest.raises(e.UnknownName, match="fake-b"):
            await anext(aiter(api.run("fake-bb", "hi")))


async def test_leaving_a_run_stops_the_decoding() -> None:
    """aclose() after the first piece frees the model."""
    gate = asyncio.Event()
    gate.set()
    async with served({"fake-a": Behaviour(answer="x" * 50, chunks=50, gate=gate)}) as one, control(one) as api:
        answer = api.run("chat", "hi")
        assert await anext(aiter(answer)) == "x"
        gate.clear()
        await answer.aclose()
        await until(lambda: one.arbiter.in_flight == 0)
        gate.set()


async def test_a_death_mid_answer_is_its_own_error() -> None:
    """WorkerDied, never a short text that looks whole; the address of a dead engine: EngineUnreachable."""
    async with served({"fake-a": Behaviour(answer="abcd", chunks=4, die_after=2)}) as one, control(one) as api:
        answer = api.run("fake-a", "hi")

        async def read() -> None:
            async for _ in answer:
                pass

        with pytest.raises(e.WorkerDied):
            await read()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def test_nobody_there_is_engine_unreachable() -> None:
    """Both clients, by name and sentence."""
    from arbiter_tui.client import ControlClient

    url = f"http://127.0.0.1:{free_port()}"
    async with ControlClient(url) as api:
        with pytest.raises(e.EngineUnreachable, match="can't be reached"):
            await api.snapshot()
        with pytest.raises(e.EngineUnreachable):
            await anext(aiter(api.run("chat", "hi")))
    with pytest.raises(e.EngineUnreachable):
        await asyncio.to_thread(fetch_json, url, "/health", timeout=1.0)


async def test_the_synchronous_reader(live: Stand) -> None:
    """JSON of a path with a query; errors as they were raised."""
    found = await asyncio.to_thread(fetch_json, live.url, "/arbiter/v1/snapshot?after=0&wait=0")
    assert found["engine"]["state"] == "ready"
    with pytest.raises(e.UnknownName) as missing:
        await asyncio.to_thread(fetch_json, live.url, "/arbiter/v1/models/fake-aa")
    assert missing.value.details["nearest"]


def test_the_synchronous_reader_needs_no_httpx() -> None:
    """Importing the client module imports neither httpx nor the screen library nor the engine."""
    code = (
        "import sys, arbiter_tui.client;"
        "print(sorted({'httpx','textual','starlette','arbiter_tui.engine','aiohttp'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def _errors() -> list[e.ArbiterError]:
    def leaves(cls: type[e.ArbiterError]) -> list[type[e.ArbiterError]]:
        return [cls, *(leaf for child in cls.__subclasses__() for leaf in leaves(child))]

    known = [c for c in leaves(e.ArbiterError) if c.__module__ == "arbiter_tui.errors" and c is not e.UnknownName]
    return [e.UnknownName("model", "x", ["xy"]), *(c("a sentence", details={"id": "s1"}) for c in known)]


@pytest.mark.parametrize("error", _errors(), ids=lambda x: type(x).__name__)
def test_every_error_survives_the_wire(error: e.ArbiterError) -> None:
    """Class, code, sentence and details come back; through OpenAI's shape class, code and sentence."""
    back = error_from(409, PROBLEMS.render(error))
    assert (type(back), back.code, str(back), back.details) == (type(error), error.code, str(error), error.details)
    plain = error_from(409, OPENAI.render(error))
    assert (type(plain), plain.code, str(plain)) == (type(error), error.code, str(error))


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b"{}", b'{"error": "text"}'])
def test_a_foreign_error_is_still_a_sentence(content: bytes) -> None:
    """A proxy in between may answer anything."""
    assert "502" in str(error_from(502, content))
