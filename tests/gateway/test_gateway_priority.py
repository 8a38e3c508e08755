"""Who waits for whom before a busy model: priorities of requests, and fairness between keys."""

from __future__ import annotations

import asyncio

import pytest
from gateway_cases import CHAT, Stand, stand, until

from arbiter_tui.config import ServerConfig

BUSY = "fake-a"


async def order(one: Stand, asked: list[tuple[str, dict[str, str]]]) -> list[str]:
    """The words of those requests in the order in which the model heard them; all of its slots are held before."""
    gate = asyncio.Event()
    heard: list[str] = []

    def answer(request: object) -> str:
        heard.append(request.messages[-1].content)  # type: ignore[attr-defined]
        return "ok"

    assert (await one.http.post(CHAT, json=said("hi"), headers=asked[0][1])).is_success  # it is loaded
    how = one.how(BUSY)
    how.answer, how.chunks, how.gate = answer, 1, gate

    async def ask(words: str, headers: dict[str, str]) -> int:
        return (await one.http.post(CHAT, json=said(words), headers=headers)).status_code

    slots = one.arbiter.registry.versions[BUSY].parallel
    asked = [*[("held", asked[0][1])] * slots, *asked]
    tasks = []
    for n, (words, headers) in enumerate(asked):
        tasks.append(asyncio.create_task(ask(words, headers)))
        await until(lambda n=n: _there(one) == n + 1)
    gate.set()
    assert await asyncio.gather(*tasks) == [200] * len(asked)
    assert heard[:slots] == ["held"] * slots
    return heard[slots:]


def said(words: str) -> dict[str, object]:
    return {"model": BUSY, "messages": [{"role": "user", "content": words}]}


def _there(one: Stand) -> int:
    view = one.arbiter.pool.views()[BUSY]
    return view.in_flight + view.queued


async def test_who_says_high_is_next_and_low_is_last() -> None:
    """While a model is busy; what is being answered is not disturbed."""
    asked = [("low", {"x-arbiter-priority": "low"}), ("normal", {}),
             ("high", {"X-Arbiter-Priority": "High"})]  # fmt: skip
    async with stand() as one:
        assert await order(one, asked) == ["high", "normal", "low"]


async def test_a_flood_of_one_key_does_not_starve_another() -> None:
    """Five of one are in line before the other's first: that is next but one at most."""
    async with stand(config={"server": ServerConfig(require_key=True)}) as one:
        keys = {}
        for name in ("flood", "other"):
            _, token = await one.arbiter.keyring.create(name)
            keys[name] = {"authorization": f"Bearer {token}"}
        heard = await order(one, [*((f"flood {n}", keys["flood"]) for n in range(6)), ("other", keys["other"])])
        assert heard.index("other") <= 2
        assert [w for w in heard if w != "other"] == [f"flood {n}" for n in range(6)]


async def test_a_priority_that_is_none_is_named() -> None:
    """400, with what it may be."""
    async with stand() as one:
        answer = await one.http.post(CHAT, json=said("hi"), headers={"x-arbiter-priority": "urgent"})
        assert answer.status_code == 400
        assert "'urgent'; it may be high, normal, low" in answer.json()["error"]["message"]


@pytest.mark.parametrize(("scope", "status"), [("infer", 403), ("control", 200)])
async def test_a_key_for_asking_gets_ahead_of_nobody(scope: str, status: int) -> None:
    """It may say low; high needs the scope control."""
    async with stand(config={"server": ServerConfig(require_key=True)}) as one:
        _, token = await one.arbiter.keyring.create("app", scope=scope)
        one.http.headers["authorization"] = f"Bearer {token}"
        for priority, wanted in (("low", 200), ("high", status)):
            answer = await one.http.post(CHAT, json=said("hi"), headers={"x-arbiter-priority": priority})
            assert answer.status_code == wanted
