"""A task over the wire: its guards, what a change would bring before it is stored, and why it is served so."""

from __future__ import annotations

import asyncio
from dataclasses import fields
from typing import Any

import pytest
from gateway_cases import V1, Stand, until

from arbiter_tui.core.guards import Guard
from arbiter_tui.core.routing import Route


async def teach(inside: Stand, version: str, quality: float, latency_s: float, count: int = 20) -> None:
    items: list[dict[str, Any]] = [
        {"task": "chat", "version": version, "success": True, "quality": quality, "latency_s": latency_s}
    ] * count
    assert (await inside.http.post(f"{V1}/outcomes", json=items)).status_code == 202


async def test_a_task_shows_every_guard_with_value_and_limit(inside: Stand) -> None:
    """One task's own page carries them; the list stays short."""
    task = (await inside.http.get(f"{V1}/tasks/chat")).json()
    assert {g["rule"] for g in task["guards"]} >= {"mode", "cooldown", "min_samples", "success", "better"}
    assert all(g.keys() == {f.name for f in fields(Guard)} for g in task["guards"])
    assert task["outlook"]["action"] == "none"
    assert task["settings"] == inside.arbiter.tasks["chat"].settings
    listed = (await inside.http.get(f"{V1}/tasks")).json()["items"]
    assert all("guards" not in item for item in listed)


async def test_other_weights_are_tried_without_being_stored(inside: Stand) -> None:
    """The same scoring under other weights turns the ranking round; the task keeps its own."""
    await teach(inside, "fake-a", quality=1.0, latency_s=8.0)
    await teach(inside, "fake-b", quality=0.75, latency_s=0.1)
    before = (await inside.http.get(f"{V1}/tasks/chat")).json()
    weights = {"quality": 1.0, "latency": 0.0, "memory": 0.0, "reliability": 0.0, "recency": 0.0}
    good = (await inside.http.post(f"{V1}/select", json={"task": "chat", "weights": weights})).json()
    assert [row["version"] for row in good["scores"]] == ["fake-a", "fake-b"]
    fast = {**weights, "quality": 0.0, "latency": 1.0}
    quick = (await inside.http.post(f"{V1}/select", json={"task": "chat", "weights": fast})).json()
    assert [row["version"] for row in quick["scores"]] == ["fake-b", "fake-a"]
    after = (await inside.http.get(f"{V1}/tasks/chat")).json()
    assert (after["weights"], after["settings"]) == (before["weights"], before["settings"])


async def test_a_limit_says_whom_it_would_exclude_and_can_be_left_out(inside: Stand) -> None:
    """The reason of each that would not qualify; ``unset`` tries the task without its limit."""
    await teach(inside, "fake-a", quality=1.0, latency_s=8.0)
    await teach(inside, "fake-b", quality=0.75, latency_s=0.1)
    body = {"task": "chat", "quality_threshold": 0.9}
    found = (await inside.http.post(f"{V1}/select", json=body)).json()
    assert found["disqualified"] == {"fake-b": "quality .75, at least .90 asked for"}
    put = await inside.http.put(f"{V1}/tasks/chat", json={"quality_threshold": 0.9})
    assert put.json()["quality_threshold"] == 0.9
    free = (await inside.http.post(f"{V1}/select", json={"task": "chat", "unset": ["quality_threshold"]})).json()
    assert not free["disqualified"]
    gone = await inside.http.put(f"{V1}/tasks/chat", json={"unset": ["quality_threshold"]})
    assert gone.json()["quality_threshold"] is None


@pytest.mark.parametrize("weight", ["much", None, True, [], {}, -1, 1e300, 10**400])
async def test_a_weight_that_is_no_share_is_refused(inside: Stand, weight: object) -> None:
    """422 with its name, as in a [[tasks]] block; nothing is computed with it."""
    answer = await inside.http.post(f"{V1}/select", json={"task": "chat", "weights": {"quality": weight}})
    assert (answer.status_code, "weights.quality" in answer.json()["detail"]) == (422, True)


@pytest.mark.parametrize("name", ["weights", "nonsense"])
async def test_what_a_task_must_have_cannot_be_unset(inside: Stand, name: str) -> None:
    """Neither when trying nor when saving; both say what can."""
    tried = await inside.http.post(f"{V1}/select", json={"task": "chat", "unset": [name]})
    assert tried.status_code == 422
    assert "quality_threshold" in tried.json()["detail"]
    saved = await inside.http.put(f"{V1}/tasks/chat", json={"unset": [name]})
    assert saved.status_code == 422
    assert "quality_threshold" in saved.json()["detail"]


async def test_a_task_is_explained_with_the_autopilots_outlook(inside: Stand) -> None:
    """Who serves, by which decision, and what would change it."""
    found = (await inside.http.get(f"{V1}/explain/chat")).json()
    assert (found["kind"], found["verdict"]) == ("task", "fake-a")
    assert found["outlook"]["guards"]
    swap = (await inside.http.post(f"{V1}/swaps?wait=10", json={"task": "chat", "to": "fake-b"})).json()
    record = (await inside.http.get(f"{V1}/explain/{swap['id']}")).json()
    assert record["kind"] == "swap"
    assert record["before"] == record["after"] == []
    assert (await inside.http.get(f"{V1}/explain/chta")).json()["nearest"] == ["chat"]


async def test_tasks_that_are_made_at_the_same_time_do_not_disturb_each_other(
    inside: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the first one's route is stored, another appears: both are there, and somebody serves both."""
    store, go = inside.store, asyncio.Event()
    save = store.save_route

    async def slow(route: Route) -> None:
        await go.wait()
        await save(route)

    monkeypatch.setattr(store, "save_route", slow)
    making = [asyncio.create_task(inside.http.put(f"{V1}/tasks/{name}", json={})) for name in ("one", "two", "three")]
    await until(lambda: {"one", "two", "three"} <= set(inside.arbiter.tasks))
    go.set()
    assert [(await made).status_code for made in making] == [200] * 3
    assert all(inside.arbiter.routes.get(name).incumbent for name in ("one", "two", "three"))
