"""What the demo plays: seeded arrivals of prompts with known answers, one benchmark, one fault.

Owns: the script and its sentences. Never: a decision or an outcome: who serves, what is swapped, how good an answer was
is the doing of the engine and the models. A process of its own: ``python -m …demo_script URL SEED SECONDS CONFIG``.

Each prompt comes from a bundled suite, so its right answer is known here: the script plays the user who says whether
the answer was right (POST /feedback). It may well end with *no swap*: that is an outcome, too, and exits 0.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from ..core.prompts import suite_request
from ..core.tasks import Task
from ..core.verify import SuiteItem, verify
from ..core.words import change
from ..data import bundled_suites
from . import text as t
from .demo_cast import plan
from .demo_fault import damaged_copy

V1 = "/arbiter/v1"
CLIENTS = 2
FAULT_AT = 0.55  # share of the demo's time at which the served version is replaced by a worse one
ALIAS = "champion"
OPENING = "the demo's opening: one model for everything"


@dataclass(slots=True)
class Count:
    """What clients saw."""

    sent: int = 0
    failed: int = 0
    right: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))

    def quality(self, task: str, version: str) -> str:
        seen = self.right.get((task, version), [])
        return f"{sum(seen) / len(seen):.2f} on {t.plural(len(seen), 'answer')}" if seen else "no answers yet"


class Script:
    def __init__(self, url: str, seed: int, seconds: float, folder: Path, http: aiohttp.ClientSession) -> None:
        self.url, self.seconds, self.folder, self.http = url, seconds, folder, http
        self.cast = plan(seed)
        self.random = random.Random(seed)
        self.suites = bundled_suites()
        self.count = Count()
        self.begun = time.monotonic()
        self.swaps_told: set[str] = set()
        self.swapped: set[str] = set()  # tasks that the autopilot swapped
        self.fault_at: float | None = None

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.begun:5.1f} s  {text}", flush=True)

    async def api(self, method: str, path: str, body: Any = None) -> Any:
        async with self.http.request(method, f"{self.url}{V1}{path}", json=body) as answer:
            data = await answer.json(content_type=None)
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {data.get('detail', data)}")
            return data

    # ── the traffic ───────────────────────────────────────────────────────────────────────────────────────────

    async def client(self, rng: random.Random, stop: asyncio.Event) -> None:
        """One user: asks, judges, thinks a moment, asks again."""
        while not stop.is_set():
            task = rng.choice(self.cast.tasks)
            await self.ask(task, rng.choice(self.suites[str(task.suite)]))
            await asyncio.sleep(rng.expovariate(6.0))

    async def ask(self, task: Task, item: SuiteItem) -> None:
        request = suite_request(task, item.prompt)
        body = {
            "model": f"arbiter/{task.name}", "max_tokens": request["max_tokens"], "temperature": 0,
            "messages": [{"role": role, "content": content} for role, content in request["messages"]],
            **({"stop": list(request["stop"])} if request["stop"] else {}),
        }  # fmt: skip
        self.count.sent += 1
        try:
            async with self.http.post(f"{self.url}/v1/chat/completions", json=body) as answer:
                data = await answer.json(content_type=None)
                if answer.status != 200:
                    raise RuntimeError(str(data))
                served, request_id = answer.headers["X-Arbiter-Model"], answer.headers["X-Arbiter-Request-Id"]
            text = data["choices"][0]["message"]["content"] or ""
            score = verify(item.verifier, text, item.reference)
            self.count.right[task.name, served].append(score)
            await self.api("POST", "/feedback", {"request_id": request_id, "score": score})
        except (aiohttp.ClientError, RuntimeError, KeyError, TimeoutError) as error:
            self.count.failed += 1
            self.say(f"a request of {task.name} failed: {error}")

    # ── the story ─────────────────────────────────────────────────────────────────────────────────────────────

    async def play(self, config: Path) -> int:
        self.introduce(config)
        models = await self.models()
        start = await self.open_with(models)
        if start is None:
            return 0
        stop = asyncio.Event()
        users = [
            asyncio.create_task(self.client(random.Random(self.random.random()), stop), name=f"user-{n}")
            for n in range(CLIENTS)
        ]
        watcher = asyncio.create_task(self.watch(stop), name="watch")
        try:
            await self.measure(models)
            await self.wait_until(FAULT_AT * self.seconds)
            await self.fault(start)
            await self.wait_until(self.seconds)
        finally:
            stop.set()
            await asyncio.gather(*users)
            watcher.cancel()
        await self.tell_swaps()
        return await self.close()

    def introduce(self, config: Path) -> None:
        names = ", ".join(task.name for task in self.cast.tasks)
        self.say(
            f"scripted: the arrivals ({CLIENTS} users, tasks {names}), one benchmark, one fault. Outcomes are real."
        )
        self.say("its own configuration: " + "; ".join(line for line in config.read_text().split("\n") if "=" in line))

    async def models(self) -> list[dict[str, Any]]:
        found = (await self.api("GET", "/models?limit=1000"))["items"]
        return [m for m in found if m["lifecycle"] == "active"]

    def of_family(self, models: list[dict[str, Any]], family: str, engine: str = "llama-server") -> str | None:
        """The installed version of a family on that engine, else on any."""
        mine = [m["version"] for m in models if m["version"].startswith(family)]
        return next((v for v in mine if v.endswith(engine)), mine[0] if mine else None)

    async def open_with(self, models: list[dict[str, Any]]) -> str | None:
        """One model for everything, as most people begin."""
        start = self.of_family(models, self.cast.start)
        if start is None or len(models) < 2:
            self.say("no swap: fewer than two models are installed (`arbiter doctor` says what is missing)")
            return None
        slow = self.of_family(models, self.cast.start, "llama-cpp") or start
        await self.api("PUT", f"/aliases/{ALIAS}", {"version": start})
        first = {self.cast.gain.name: start, self.cast.engine.name: slow, self.cast.fault.name: ALIAS}
        for task, name in first.items():
            await self.api("POST", "/swaps?wait=60", {"task": task, "to": name, "reason": OPENING})
        self.say(f"one model for everything, as most begin: {self.cast.start}")
        self.say("; ".join(f"{task} asks {name}" for task, name in first.items()))
        return start

    async def measure(self, models: list[dict[str, Any]]) -> None:
        """The internal benchmark, task by task, until the fault is due; what was measured until then counts."""
        families = sorted({name for task in self.cast.tasks for name in task.priors})
        servers = [v for v in (self.of_family(models, f) for f in families) if v]
        slow = self.of_family(models, self.cast.start, "llama-cpp")
        fast = self.of_family(models, self.cast.start)
        plans = [
            (self.cast.gain, servers),
            (self.cast.engine, [v for v in (slow, fast) if v]),
            (self.cast.fault, servers),
        ]
        for task, versions in plans:
            if time.monotonic() - self.begun > FAULT_AT * self.seconds - 2:
                return
            operation = await self.api(
                "POST", "/bench", {"tasks": [task.name], "versions": list(dict.fromkeys(versions))}
            )
            self.say(f"benchmark of {task.name} on {' and '.join(dict.fromkeys(versions))}, beside the traffic")
            await self.follow(operation, task.name)

    async def follow(self, operation: dict[str, Any], task: str) -> None:
        """Until it is done, the autopilot has swapped the task (it has seen enough), or the fault is due."""
        path, why = f"/operations/{operation['id']}", "done"
        while operation["state"] == "running":
            if time.monotonic() - self.begun > FAULT_AT * self.seconds:
                why = "stopped, for the fault is due"
            elif task in self.swapped:
                why = "stopped, for the autopilot has seen enough"
            if why != "done":
                operation = await self.api("DELETE", path)
                break
            await asyncio.sleep(0.25)
            operation = await self.api("GET", path)
        self.say(f"benchmark of {task} {why}, {operation['progress']:.0%} of its questions asked")

    async def fault(self, start: str) -> None:
        """The served version is replaced by a worse one behind its alias: what a bad update does."""
        version = await self.api("GET", f"/models/{start}")
        copy = self.folder / f"{self.cast.start}-updated.gguf"
        pages = await asyncio.to_thread(damaged_copy, Path(version["source"]), copy, self.random.randrange(2**32))
        worse = (await self.api("POST", "/models", {"provider": version["provider"], "source": str(copy)}))["version"]
        await self.api("POST", f"/models/{worse}/activate", {})
        await self.api("POST", f"/models/{worse}/warm?wait=60", {})
        await self.api("PUT", f"/aliases/{ALIAS}", {"version": worse})
        self.fault_at = time.monotonic()
        self.say(
            f"FAULT (scripted): {ALIAS} now means {worse}, the same weights with {pages} damaged pages; "
            "nobody tells the autopilot"
        )

    async def watch(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.tell_swaps()
            await asyncio.sleep(0.5)

    async def tell_swaps(self) -> None:
        for swap in reversed((await self.api("GET", "/swaps?limit=50"))["items"]):
            if swap["trigger"] == "manual" or swap["result"] == "running" or swap["id"] in self.swaps_told:
                continue
            self.swaps_told.add(swap["id"])
            self.swapped.add(swap["task"])
            after = ""
            if self.fault_at is not None and swap["task"] == self.cast.fault.name:
                after = f", {time.monotonic() - self.fault_at:.1f} s after the fault"
            verb = {"done": "swapped", "rolled_back": "rolled back"}.get(swap["result"], swap["result"])
            self.say(f"autopilot {verb} {swap['task']}: {change(swap['from'], swap['to'])}{after}. {swap['reason']}")

    async def wait_until(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, self.begun + seconds - time.monotonic()))

    async def close(self) -> int:
        for task in self.cast.tasks:
            seen = [v for (name, v) in self.count.right if name == task.name]
            qualities = "; ".join(f"{v} {self.count.quality(task.name, v)}" for v in seen)
            self.say(f"{task.name}: users judged {qualities or 'nothing'}")
        if not self.swaps_told:
            self.say(
                "no swap: the evidence was not enough for one in this time; `arbiter select TASK` says what is missing"
            )
        self.say(
            f"{t.plural(self.count.sent, 'request')}, {self.count.failed} failed, "
            f"{t.plural(len(self.swaps_told), 'swap')} by the autopilot"
        )
        return 0 if self.count.failed == 0 else 1


async def main(url: str, seed: int, seconds: float, config: Path) -> int:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as http:
        return await Script(url, seed, seconds, config.parent, http).play(config)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]))))
