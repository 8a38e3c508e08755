"""kill -9 of the engine in the middle of its work: what was acknowledged is there, nothing is left running."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from engine_process import GEMMA, SMOL, Engine, Stream, lives, needs, until

pytestmark = [pytest.mark.real, needs(SMOL, GEMMA)]
TASK = "sentiment"
V1 = "/arbiter/v1"


@dataclass
class Acknowledged:
    """What the engine said yes to, in the order of its answers; of what is overwritten, the last counts. A write that
    was under way when the engine died may be there or not: ``open`` holds it."""

    aliases: dict[str, str] = field(default_factory=dict)
    route: str | None = None
    swaps: set[str] = field(default_factory=set)
    outcomes: set[str] = field(default_factory=set)
    grades: dict[str, float] = field(default_factory=dict)
    modes: dict[str, str] = field(default_factory=dict)
    open: dict[str, Any] = field(default_factory=dict)


class Writers:
    """Clients that write without a pause until the engine is gone, each its own kind of write."""

    def __init__(self, engine: Engine) -> None:
        self.url = engine.url
        self.seen = Acknowledged()
        self.requests: list[str] = []
        works = (self.alias, self.swap, self.report, self.grade, self.mode)
        self.threads = [threading.Thread(target=self._loop, args=(work,), daemon=True) for work in works]
        for thread in self.threads:
            thread.start()

    def _loop(self, work: Callable[[httpx.Client, int], None]) -> None:
        with httpx.Client(base_url=self.url, timeout=60, trust_env=False) as http:
            try:
                for number in itertools.count():
                    work(http, number)
            except httpx.HTTPError:
                return  # the engine is dead: that is what we wait for

    def alias(self, http: httpx.Client, n: int) -> None:
        name, to = f"alias-{n % 7}", (SMOL, GEMMA)[n % 2]
        self.seen.open["alias"] = (name, to)
        http.put(f"{V1}/aliases/{name}", json={"version": to}).raise_for_status()
        self.seen.aliases[name] = to

    def swap(self, http: httpx.Client, n: int) -> None:
        to = (SMOL, GEMMA)[n % 2]
        self.seen.open["route"] = to
        answer = http.post(f"{V1}/swaps?wait=60", json={"task": TASK, "to": to}).raise_for_status().json()
        assert answer["result"] == "done", answer
        self.seen.route = to
        if "already" not in answer["reason"]:
            self.seen.swaps.add(answer["id"])

    def report(self, http: httpx.Client, n: int) -> None:
        several = [
            {"id": f"reported-{n}-{i}", "task": TASK, "version": SMOL, "success": True, "quality": 0.5, "latency_s": 1}
            for i in range(3)
        ]
        http.post(f"{V1}/outcomes", json=several).raise_for_status()
        self.seen.outcomes |= {str(one["id"]) for one in several}

    def grade(self, http: httpx.Client, n: int) -> None:
        body = {"model": SMOL, "max_tokens": 2, "messages": [{"role": "user", "content": f"{n}?"}]}
        answer = http.post("/v1/chat/completions", json=body).raise_for_status()
        id, score = answer.headers["x-arbiter-request-id"], (n % 10) / 10
        http.post(f"{V1}/feedback", json={"request_id": id, "score": score}).raise_for_status()
        self.seen.grades[id] = score

    def mode(self, http: httpx.Client, n: int) -> None:
        task, mode = ("topic", "intent")[n % 2], ("off", "observe", "on")[n % 3]
        self.seen.open["mode"] = (task, mode)
        http.put(f"{V1}/tasks/{task}/autopilot", json={"mode": mode}).raise_for_status()
        self.seen.modes[task] = mode

    def busy(self) -> bool:
        s = self.seen
        return len(s.swaps) >= 2 and len(s.outcomes) >= 21 and len(s.grades) >= 3 and len(s.aliases) == 7

    def ended(self) -> Acknowledged:
        for thread in self.threads:
            thread.join(60)
        assert not any(t.is_alive() for t in self.threads), "a writer never noticed that the engine is gone"
        return self.seen


def everything(engine: Engine, path: str) -> list[dict[str, Any]]:
    """All pages of a list."""
    items: list[dict[str, Any]] = []
    after = ""
    while True:
        found = engine.call("GET", f"{path}{'&' if '?' in path else '?'}limit=1000{after}")
        items += found["items"]
        if found["next"] is None:
            return items
        after = f"&after={found['next']}"


def check(engine: Engine, said: Acknowledged) -> None:
    """Everything acknowledged is there, and nothing that nobody asked for."""
    aliases = {a["alias"]: a["version"] for a in everything(engine, "/aliases")}
    for name, version in said.aliases.items():
        assert aliases[name] == version or said.open["alias"] == (name, aliases[name])
    incumbent = engine.call("GET", f"/tasks/{TASK}")["incumbent"]
    assert incumbent in (said.route, said.open["route"])
    swaps = {s["id"]: s for s in everything(engine, "/swaps")}
    assert said.swaps <= swaps.keys()
    assert all(swaps[id]["result"] == "done" for id in said.swaps)
    assert not [s for s in swaps.values() if s["result"] == "running"]
    outcomes = {o["id"]: o for o in everything(engine, "/outcomes")}
    assert said.outcomes <= outcomes.keys()
    for id, score in said.grades.items():
        assert outcomes[id]["quality"] == pytest.approx(score)
    for task, mode in said.modes.items():
        found = engine.call("GET", f"/tasks/{task}")["autopilot"]
        assert found == mode or said.open["mode"] == (task, found)
    assert engine.call("GET", "/ledger?verify=true")["broken"] is None


def test_acknowledged_writes_survive_kill_9_under_load(fresh: Engine) -> None:
    """Twice: writers of every kind and streams run, the engine is killed; all that got a 2xx is there at the
    next start, half-made swaps are settled, the ledger's chain is whole, no worker is left, and the engine serves."""
    fresh.start()
    for _ in range(2):
        writers = Writers(fresh)
        streams = [Stream(fresh, model).flowing() for model in (SMOL, GEMMA)]
        until(writers.busy, "enough acknowledged writes")
        workers = fresh.workers()
        assert workers
        fresh.kill()
        until(lambda: not any(lives(w) for w in workers), "the end of the workers of a killed engine")  # noqa: B023
        fresh.no_workers()
        said = writers.ended()
        for stream in streams:
            stream.end()
            assert stream.done or stream.broken is not None
        fresh.start()
        assert fresh.ask(f"arbiter/{TASK}")["choices"][0]["message"]["content"] is not None
        check(fresh, said)
        lost = fresh.json("status")["engine"]["lost_at_last_crash"]
        assert lost is not None
        assert lost >= 0
    assert fresh.stop() == 0


def test_kill_9_in_the_middle_of_a_load_and_of_a_swap(fresh: Engine) -> None:
    """A worker that is still loading ends with its engine; the recorded intent is undone and the old version serves."""
    fresh.start()
    fresh.call("POST", "/swaps?wait=60", {"task": TASK, "to": SMOL})
    fresh.call("POST", f"/models/{GEMMA}/unload?wait=30", {})
    fresh.call("POST", "/swaps", {"task": TASK, "to": GEMMA})

    def loading() -> bool:
        return any(m["version"] == GEMMA and m["state"] == "loading" for m in fresh.call("GET", "/models")["items"])

    until(loading, "the load of the new version")
    fresh.kill()
    fresh.no_workers()
    fresh.start()
    task = fresh.call("GET", f"/tasks/{TASK}")
    newest = fresh.call("GET", f"/swaps?task={TASK}")["items"][0]
    assert (newest["result"], newest["to"]) == ("failed", GEMMA)
    assert "restart" in newest["error"]
    assert task["incumbent"] == SMOL
    assert fresh.ask(f"arbiter/{TASK}")["model"] == SMOL
