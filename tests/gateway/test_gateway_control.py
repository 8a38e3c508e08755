"""The control API: every call of the contract, its statuses, its refusals, and that answers follow the commit."""

from __future__ import annotations

import asyncio
import gzip
import json

import jsonschema
import pytest
from gateway_cases import V1, Stand, engine, served, stand, until

from arbiter_tui.core.snapshot import Snapshot, from_wire, to_wire
from arbiter_tui.errors import LoadFailed
from arbiter_tui.gateway.app import build_app
from arbiter_tui.gateway.control import log_after, log_mark, trimmed
from arbiter_tui.testing import Behaviour


async def test_every_call_of_the_contract_exists(inside: Stand) -> None:
    """The described paths and methods are those that control.md promises."""
    paths = (await inside.http.get(f"{V1}/openapi.json")).json()["paths"]
    promised = {
        "/snapshot": {"get"}, "/models": {"get", "post"}, "/models/{v}": {"get"}, "/models/{v}/log": {"get"},
        "/aliases/{a}": {"put"}, "/discover": {"post"}, "/tasks": {"get", "put"}, "/tasks/{t}": {"get", "put"},
        "/tasks/{t}/autopilot": {"put"}, "/select": {"post"}, "/swaps": {"get", "post"}, "/rollouts": {"get"},
        **{f"/rollouts/{{id}}/{a}": {"post"} for a in ("pause", "resume", "abort", "promote")},
        "/tasks/{t}/rollback": {"post"}, "/outcomes": {"get", "post"}, "/feedback": {"post"}, "/requests": {"get"},
        "/events": {"get"}, "/profiles/{t}": {"get"}, "/explain/{id}": {"get"}, "/statistics": {"get"},
        "/ledger": {"get"}, "/bench": {"post"}, "/operations/{id}": {"get", "delete"}, "/engine/stop": {"post"},
        **{f"/models/{{v}}/{a}": {"post"} for a in ("warm", "unload", "pin", "unpin", "activate", "deprecate")},
    }  # fmt: skip
    for path, methods in promised.items():
        assert methods <= paths[V1 + path].keys(), path


async def test_the_description_describes_what_is_served(inside: Stand) -> None:
    """A real snapshot and a real model validate against the described schemas; every reference resolves."""
    document = (await inside.http.get(f"{V1}/openapi.json")).json()
    schemas = document["components"]["schemas"]
    for name, path in (("Snapshot", "/snapshot"), ("Models", "/models"), ("ModelView", "/models/fake-a")):
        schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
        jsonschema.validate((await inside.http.get(V1 + path)).json(), schema)
    text = json.dumps(document)
    assert all(f'"{ref.split("/")[-1]}"' in json.dumps(list(schemas)) for ref in _refs(text))


def _refs(text: str) -> set[str]:
    return {part.split('"')[0] for part in text.split('"$ref": "')[1:]}


async def test_a_snapshot_is_the_engines_own_and_reading_wakes_nothing(inside: Stand) -> None:
    """What arrives is what the engine holds; gzip only for who accepts it."""
    answer = await inside.http.get(f"{V1}/snapshot", headers={"accept-encoding": "identity"})
    seen = from_wire(Snapshot, answer.json())
    assert to_wire(seen) == answer.json()
    assert {m.version for m in seen.models} == {"fake-a", "fake-b"}
    assert "content-encoding" not in answer.headers
    packed = await inside.http.get(f"{V1}/snapshot", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json()["models"] == answer.json()["models"]
    assert inside.provider.loads == []


async def test_a_long_poll_returns_on_news_and_on_time(inside: Stand) -> None:
    """Nothing new after the wait: the same revision; news: a higher one, at once."""
    first = (await inside.http.get(f"{V1}/snapshot?after=0&wait=1")).json()
    revision = first["revision"]
    same = await inside.http.get(f"{V1}/snapshot?after={revision}&wait=0.01")
    assert same.status_code == 200
    waiting = asyncio.create_task(inside.http.get(f"{V1}/snapshot?after={revision}&wait=30"))
    await inside.arbiter.pin("fake-a", True)
    news = (await asyncio.wait_for(waiting, 10)).json()
    assert news["revision"] > revision
    assert next(m for m in news["models"] if m["version"] == "fake-a")["pinned"]


async def test_a_reader_that_leaves_stops_waiting() -> None:
    """A long poll whose client is gone holds nothing."""
    async with served() as one:
        revision = (await one.http.get(f"{V1}/snapshot?after=0&wait=1")).json()["revision"]
        path = f"{V1}/snapshot?after={revision + 100_000}&wait=0"
        assert (await one.http.get(path)).status_code == 200
        waiting = asyncio.create_task(one.http.get(f"{V1}/events?after=100000&wait=60"))
        await until(lambda: bool(one.arbiter.live._event_waiters))
        waiting.cancel()
        await until(lambda: not one.arbiter.live._event_waiters)


async def test_a_task_gets_its_whole_leaderboard_the_others_three_rows(inside: Stand) -> None:
    """And an unknown task is 404 with the nearest name."""
    seen = inside.arbiter.snapshot()
    row = {"version": "v"}
    wide = from_wire(
        Snapshot, {**to_wire(seen), "tasks": [{"task": t.task, "leaderboard": [row] * 5} for t in seen.tasks]}
    )
    assert [len(t.leaderboard) for t in trimmed(wide, "chat").tasks] == [5, 3]
    assert [len(t.leaderboard) for t in trimmed(wide, None).tasks] == [5, 5]
    answer = await inside.http.get(f"{V1}/snapshot?task=chta")
    assert answer.status_code == 404
    assert answer.json()["nearest"] == ["chat"]


async def test_warm_and_unload_wait_or_hand_out_an_operation(inside: Stand) -> None:
    """?wait: 200 and the model; without: 202, Location, and the operation ends done."""
    warm = await inside.http.post(f"{V1}/models/fake-a/warm?wait=10")
    assert (warm.status_code, warm.json()["state"]) == (200, "ready")
    gone = await inside.http.post(f"{V1}/models/fake-a/unload?wait=10")
    assert (gone.status_code, gone.json()["state"]) == (200, "cold")
    later = await inside.http.post(f"{V1}/models/fake-b/warm")
    assert later.status_code == 202
    where = later.headers["location"]
    assert where == f"{V1}/operations/{later.json()['id']}"
    await until(lambda: inside.arbiter.pool.is_ready("fake-b"))
    assert (await inside.http.get(where)).json()["state"] == "done"
    assert (await inside.http.get(f"{V1}/operations?limit=1")).json()["items"][0]["id"] == later.json()["id"]


async def test_a_load_can_be_cancelled() -> None:
    """DELETE ends the operation and the load; again it changes nothing; an unknown one is 404."""
    gate = asyncio.Event()
    async with stand({"fake-a": Behaviour(load_gate=gate)}) as one:
        operation = (await one.http.post(f"{V1}/models/fake-a/warm")).json()
        assert operation["state"] == "running"
        for _ in range(2):
            ended = await one.http.delete(f"{V1}/operations/{operation['id']}")
            assert ended.json()["state"] == "cancelled"
        await until(lambda: one.arbiter.pool.views()["fake-a"].state not in ("loading", "warming"))
        assert (await one.http.delete(f"{V1}/operations/nothing")).status_code == 404


async def test_who_waits_for_an_operation_is_told_why_it_ended() -> None:
    """Taken back by another: 409. Ended because the engine stops: 503, come again."""
    for stops, status, code in ((False, 409, "refused"), (True, 503, "draining")):
        gate = asyncio.Event()
        async with stand({"fake-a": Behaviour(load_gate=gate)}) as one:
            waiting = asyncio.create_task(one.http.post(f"{V1}/models/fake-a/warm?wait=30"))
            await until(lambda: "fake-a" in one.arbiter.pool.views())
            if stops:
                one.arbiter.live.state = "draining"
            listed = (await one.http.get(f"{V1}/operations")).json()["items"]
            (operation,) = [o for o in listed if o["state"] == "running"]
            await one.http.delete(f"{V1}/operations/{operation['id']}")
            answer = await waiting
            assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_load_that_fails_is_told_both_ways() -> None:
    """Waited for: the error. Not waited for: a failed operation with the problem as result."""
    async with stand({"fake-a": Behaviour(fail_load=[LoadFailed("no room")] * 9)}) as one:
        waited = await one.http.post(f"{V1}/models/fake-a/warm?wait=10")
        assert waited.status_code == 503
        assert waited.json()["code"] == "load_failed"
        assert "retry-after" in waited.headers
        assert (await one.http.get(f"{V1}/operations")).json()["items"][0]["state"] == "failed"


async def test_register_is_201_then_200_and_never_a_bad_source(inside: Stand) -> None:
    """A new version is a draft; the same content again the same version; unknown source 422, provider 404."""
    inside.how("fake-c").answer = "c"
    body = {"provider": "fake", "source": "fake-c", "labels": ["fast"]}
    first = await inside.http.post(f"{V1}/models", json=body)
    assert (first.status_code, first.json()["lifecycle"], first.json()["labels"]) == (201, "draft", ["fast"])
    again = await inside.http.post(f"{V1}/models", json=body)
    assert (again.status_code, again.json()["version"]) == (200, first.json()["version"])
    assert (first.json()["known"], again.json()["known"]) == (False, True)
    assert (await inside.http.post(f"{V1}/models", json={**body, "source": "x"})).status_code == 422
    assert (await inside.http.post(f"{V1}/models", json={**body, "provider": "x"})).status_code == 404
    active = await inside.http.post(f"{V1}/models/fake-c/activate")
    assert active.json()["lifecycle"] == "active"
    pinned = [(await inside.http.post(f"{V1}/models/fake-c/{a}")).json()["pinned"] for a in ("pin", "unpin")]
    assert pinned == [True, False]
    assert (await inside.http.post(f"{V1}/models/fake-c/deprecate")).json()["lifecycle"] == "deprecated"
    assert inside.store.registry.get("fake-c").lifecycle == "deprecated", "acknowledged means committed"
    missing = await inside.http.post(f"{V1}/models/fake-x/warm")
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_name")
    assert missing.json()["nearest"]


async def test_aliases_discovery_and_logs(inside: Stand) -> None:
    """An alias moves; discovery says what is registered; a log's cursor gives only what is new."""
    moved = await inside.http.put(f"{V1}/aliases/champion", json={"version": "fake-b"})
    assert moved.json()["version"] == "fake-b"
    assert (await inside.http.get(f"{V1}/aliases")).json()["items"] == [{"alias": "champion", "version": "fake-b"}]
    found = (await inside.http.post(f"{V1}/discover", json={})).json()["items"]
    assert {i["version"]: i["registered"] for i in found} == {"fake-a": True, "fake-b": True}
    await inside.http.post(f"{V1}/models/champion/warm?wait=5")
    log = (await inside.http.get(f"{V1}/models/champion/log")).json()
    assert log["items"] == ["fake-b: loaded"]
    assert (await inside.http.get(f"{V1}/models/champion/log?after={log['next']}&wait=0.01")).json()["items"] == []


def test_a_logs_cursor_survives_the_ring() -> None:
    """Lines behind the cursor; all of them when it has been overwritten."""
    lines = [f"line {n}" for n in range(9)]
    assert log_after(lines, log_mark(lines[:6])) == lines[6:]
    assert log_after(lines, log_mark(lines)) == []
    assert log_after(lines, "no such") == lines
    assert log_after(lines, None) == lines


async def test_a_swap_a_rollback_and_their_refusals(inside: Stand) -> None:
    """200 with warnings; the same again a no-op; rolled back; then 409; unknown names 404."""
    old = inside.arbiter.routes.get("chat").incumbent
    to = "fake-b" if old == "fake-a" else "fake-a"
    dry = await inside.http.post(f"{V1}/swaps", json={"task": "chat", "to": to, "dry_run": True})
    assert dry.status_code == 200
    assert inside.arbiter.routes.get("chat").incumbent == old
    done = await inside.http.post(f"{V1}/swaps?wait=10", json={"task": "chat", "to": to})
    event = done.json()
    assert (done.status_code, event["result"], event["from"], event["to"]) == (200, "done", old, to)
    assert isinstance(event["warnings"], list)
    assert inside.store.routes.get("chat").incumbent == to, "acknowledged means committed"
    assert (await inside.http.get(f"{V1}/swaps?task=chat")).json()["items"][0]["id"] == event["id"]
    assert (await inside.http.get(f"{V1}/explain/{event['id']}")).status_code == 200
    same = await inside.http.post(f"{V1}/swaps?wait=10", json={"task": "chat", "to": to})
    assert (same.status_code, same.json()["result"]) == (200, "done")
    back = await inside.http.post(f"{V1}/tasks/chat/rollback?wait=10", json={})
    assert (back.status_code, back.json()["to"]) == (200, old)
    again = await inside.http.post(f"{V1}/tasks/chat/rollback")
    assert (again.status_code, again.json()["code"]) == (409, "nothing_to_roll_back")
    for body in ({"task": "chat", "to": "fake-x"}, {"task": "chta", "to": to}):
        missing = await inside.http.post(f"{V1}/swaps", json=body)
        assert (missing.status_code, bool(missing.json()["nearest"])) == (404, True)


async def test_a_third_swap_of_a_task_is_refused_with_the_running_ones_id() -> None:
    """One runs, one may wait, the next gets 409 swap_in_progress naming the running one."""
    gate = asyncio.Event()
    async with stand() as one:
        old = one.arbiter.routes.get("chat").incumbent
        to = "fake-b" if old == "fake-a" else "fake-a"
        one.how(to).load_gate = gate
        body = {"task": "chat", "to": to}
        first = await one.http.post(f"{V1}/swaps", json=body)
        second = await one.http.post(f"{V1}/swaps", json=body)
        third = await one.http.post(f"{V1}/swaps", json=body)
        assert (first.status_code, second.status_code, third.status_code) == (202, 202, 409)
        assert third.json()["code"] == "swap_in_progress"
        assert third.json()["id"]
        gate.set()
        await until(lambda: one.arbiter.routes.get("chat").incumbent == to)


async def test_tasks_autopilot_select_and_profiles(inside: Stand) -> None:
    """Read, changed, read again; a choice with its reasons; nothing qualifies is 409 with each model's."""
    assert {t["task"] for t in (await inside.http.get(f"{V1}/tasks")).json()["items"]} == {"chat", "code"}
    off = await inside.http.put(f"{V1}/tasks/chat/autopilot", json={"mode": "off"})
    assert off.status_code == 200
    assert (await inside.http.get(f"{V1}/tasks/chat")).json()["autopilot"] == "off"
    await inside.http.put(f"{V1}/autopilot", json={"mode": "observe"})
    assert (await inside.http.get(f"{V1}/tasks/code")).json()["autopilot"] == "observe"
    assert (await inside.http.put(f"{V1}/tasks/chta/autopilot", json={"mode": "on"})).status_code == 404
    assert (await inside.http.put(f"{V1}/tasks/chat/autopilot", json={"mode": "fast"})).status_code == 422
    changed = await inside.http.put(f"{V1}/tasks/chat", json={"quality_threshold": 0.7})
    assert changed.json()["quality_threshold"] == 0.7
    made = await inside.http.put(f"{V1}/tasks", json={"name": "fresh", "capabilities": ["text-generation"]})
    assert made.json()["task"] == "fresh"
    assert (await inside.http.put(f"{V1}/tasks/chat", json={"qualty_threshold": 0.7})).status_code == 422
    choice = (await inside.http.post(f"{V1}/select", json={"task": "chat"})).json()
    assert {choice["primary"], choice["fallback"]} == {"fake-a", "fake-b"}
    assert choice["reasoning"]
    nobody = await inside.http.post(f"{V1}/select", json={"task": "chat", "capabilities": ["vision"]})
    assert nobody.status_code == 409
    assert set(nobody.json()["reasons"]) == {"fake-a", "fake-b"}
    assert (await inside.http.get(f"{V1}/profiles/chat")).json()["task"] == "chat"


async def test_lists_come_in_pages(inside: Stand) -> None:
    """limit and after walk through everything once; the last page says so."""
    seen: list[str] = []
    after = ""
    while True:
        found = (await inside.http.get(f"{V1}/models?limit=1&after={after}")).json()
        seen += [i["version"] for i in found["items"]]
        after = found["next"]
        if after is None:
            break
    assert seen == ["fake-a", "fake-b"]
    assert (await inside.http.get(f"{V1}/models?after=nobody")).json() == {"items": [], "next": None}


async def test_events_follow_each_other(inside: Stand) -> None:
    """Each event once, oldest first; the cursor moves on; waiting ends with news."""
    first = (await inside.http.get(f"{V1}/events")).json()
    waiting = asyncio.create_task(inside.http.get(f"{V1}/events?after={first['next']}&wait=30"))
    await inside.arbiter.pin("fake-a", True)
    news = (await asyncio.wait_for(waiting, 10)).json()["items"]
    assert news[0]["revision"] > int(first["next"])
    assert (await inside.http.get(f"{V1}/statistics")).json()["requests"] == 0
    ledger = (await inside.http.get(f"{V1}/ledger?verify=true")).json()
    assert ledger["broken"] is None
    assert ledger["items"]
    assert (await inside.http.get(f"{V1}/rollouts")).json()["items"] == []


async def test_a_benchmark_is_an_operation(inside: Stand) -> None:
    """202 with its id; it can be followed to its end and cancelled after it."""
    started = await inside.http.post(f"{V1}/bench", json={"tasks": ["chat"]})
    assert started.status_code == 202
    id = started.json()["id"]
    await until(lambda: inside.arbiter.operation(id).state != "running", 20)
    assert (await inside.http.get(f"{V1}/operations/{id}")).json()["state"] == "done"
    assert (await inside.http.delete(f"{V1}/operations/{id}")).json()["state"] == "done"
    assert (await inside.http.post(f"{V1}/bench", json={"tasks": ["nothing"]})).status_code == 404


async def test_an_idempotency_key_is_honoured(inside: Stand) -> None:
    """The same key and body: the same answer, done once; another body: 422; after an error it may be tried again."""
    headers = {"idempotency-key": "k1"}
    body = {"task": "chat", "version": "fake-a", "success": True}
    answers = [(await inside.http.post(f"{V1}/outcomes", json=body, headers=headers)).json() for _ in range(2)]
    assert answers[0] == answers[1]
    other = await inside.http.post(f"{V1}/outcomes", json={**body, "success": False}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    late = {"idempotency-key": "k2"}
    source = {"provider": "fake", "source": "later"}
    assert (await inside.http.post(f"{V1}/models", json=source, headers=late)).status_code == 422
    inside.how("later").answer = "now"
    assert (await inside.http.post(f"{V1}/models", json=source, headers=late)).status_code == 201


async def test_stopping_is_asked_for_not_done_here(inside: Stand) -> None:
    """POST /engine/stop calls the hook once and answers at once; GET can't stop anything."""
    assert (await inside.http.post(f"{V1}/engine/stop", json={})).status_code == 202
    assert inside.stopped == [True]
    assert (await inside.http.get(f"{V1}/engine/stop")).status_code == 405


async def test_readiness_follows_the_engine() -> None:
    """200 while ready, 503 with Retry-After before and after; liveness always 200; new work 503 while draining."""
    import httpx

    async with engine() as (arbiter, _, _):
        transport = httpx.ASGITransport(app=build_app(arbiter, on_stop=lambda: None))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            assert (await http.get("/health/readiness")).status_code == 200
            await arbiter.stop(deadline_s=1.0)
            late = await http.get("/health/readiness")
            assert (late.status_code, late.headers["retry-after"]) == (503, "1")
            assert (await http.get("/health/liveness")).status_code == 200
            body = {"model": "fake-a", "messages": [{"role": "user", "content": "hi"}]}
            refused = await http.post("/v1/chat/completions", json=body)
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
            assert "retry-after" in refused.headers


async def test_metrics_are_prometheus_text_with_bounded_labels(inside: Stand) -> None:
    """Base units, one prefix, no request id; scraping wakes nothing."""
    id = (await inside.chat()).headers["x-arbiter-request-id"]
    text = (await inside.http.get("/metrics")).text
    assert 'arbiter_requests_total{task="",model="fake-a",provider="fake",outcome="success"} 1' in text
    assert 'arbiter_model_requests_total{model="fake-a",provider="fake"} 1' in text
    assert f'"{id}"' not in text
    for line in text.splitlines():
        assert line.startswith(("# HELP arbiter_", "# TYPE arbiter_", "arbiter_"))


@pytest.mark.parametrize("accept", ["gzip", "br, gzip;q=0.5"])
async def test_a_body_is_what_the_encoding_says(accept: str) -> None:
    """The bytes on the wire really are gzip."""
    async with served() as one:
        request = one.http.build_request("GET", f"{V1}/snapshot", headers={"accept-encoding": accept})
        answer = await one.http.send(request, stream=True)
        packed = b"".join([piece async for piece in answer.aiter_raw()])
        assert json.loads(gzip.decompress(packed))["engine"]["state"] == "ready"
