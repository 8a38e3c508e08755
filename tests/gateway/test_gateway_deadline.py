"""What a client waits for at most (X-Arbiter-Deadline), and what it is told when a model that is there is busy."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from gateway_cases import CHAT, Stand, events, served, stand, until

from arbiter_tui.testing import Behaviour

PATHS = {
    CHAT: {"messages": [{"role": "user", "content": "hi"}]},
    "/v1/responses": {"input": "hi"},
    "/v1/messages": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9},
    "/api/chat": {"messages": [{"role": "user", "content": "hi"}], "stream": False},
    "/v1/embeddings": {"input": "hi"},
}
SOON = {"X-Arbiter-Deadline": "0.05"}


async def ask(one: Stand, path: str = CHAT, headers: dict[str, str] | None = None, **more: object) -> httpx.Response:
    return await one.http.post(path, json={"model": "fake-a", **PATHS[path], **more}, headers=headers)


@pytest.mark.parametrize("path", PATHS)
async def test_a_load_beyond_the_deadline_is_told_and_goes_on(path: str) -> None:
    """504 in the dialect's shape, with the deadline; who comes back later finds the same load done."""
    gate = asyncio.Event()
    async with stand({"fake-a": Behaviour(load_gate=gate)}) as one:
        answer = await ask(one, path, SOON)
        assert answer.status_code == 504
        assert "within the 0.05 s of X-Arbiter-Deadline" in answer.text
        assert int(answer.headers["retry-after"]) >= 1
        assert one.arbiter.in_flight == 0
        gate.set()
        await until(lambda: one.arbiter.pool.views()["fake-a"].state == "ready")
        assert (await ask(one, path)).status_code == 200
        assert one.provider.loads == ["fake-a"]


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_does_not_begin_is_given_up_and_its_place_is_free(stream: bool) -> None:
    """A model that thinks too long: the request is cancelled, which is no failure of the model's."""
    gate = asyncio.Event()
    async with stand({"fake-a": Behaviour()}) as one:
        await ask(one)
        one.how("fake-a").gate = gate
        answer = await ask(one, headers=SOON, stream=stream)
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
        assert answer.headers["x-arbiter-model"] == "fake-a"
        await until(lambda: one.arbiter.pool.views()["fake-a"].in_flight == 0)
        assert one.arbiter.requests()[0]["failure"] == "cancelled"
        gate.set()
        assert (await ask(one)).status_code == 200


async def test_a_stream_that_began_in_time_is_not_hurried() -> None:
    """What is being read is never cut off for a deadline; a whole answer has to be there by it."""
    slow = {"fake-a": Behaviour(answer="a b c d e f g h", chunks=8, chunk_s=0.05)}
    async with served(slow) as one:
        await one.chat()
        answer = await ask(one, headers={"X-Arbiter-Deadline": "0.2"}, stream=True)
        assert events(answer.text)[-1] == "[DONE]"
        late = await ask(one, headers={"X-Arbiter-Deadline": "0.2"})
        assert (late.status_code, late.json()["error"]["code"]) == (504, "deadline_exceeded")


@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", "inf", "1e9"])
async def test_what_is_no_deadline_is_refused(inside: Stand, value: str) -> None:
    """400 that names the header and what it takes; nobody is asked."""
    for path in (CHAT, "/v1/embeddings"):
        answer = await ask(inside, path, {"X-Arbiter-Deadline": value})
        assert answer.status_code == 400
        assert "X-Arbiter-Deadline" in answer.json()["error"]["message"]
    assert not inside.provider.loads


async def test_a_model_that_is_there_and_busy_is_not_called_loading() -> None:
    """Its line is too long for this request: 503 with how many wait; the code is another one."""
    gate = asyncio.Event()
    async with stand({"fake-a": Behaviour()}, load_wait_s=0.05) as one:
        await ask(one)
        one.how("fake-a").gate = gate
        slots = one.arbiter.registry.versions["fake-a"].parallel
        holding = [asyncio.create_task(ask(one)) for _ in range(slots)]
        await until(lambda: one.arbiter.pool.views()["fake-a"].in_flight == slots)
        answer = await ask(one)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_busy")
        assert "loaded, but was busy" in answer.json()["error"]["message"]
        assert int(answer.headers["retry-after"]) >= 1
        gate.set()
        assert [a.status_code for a in await asyncio.gather(*holding)] == [200] * slots
