"""What the fake engine answers to the whole-screen views: requests, answers, benchmark cells, logs, the registry.

Nothing here is measured. A test changes the lists in place; every call is noted like the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from canned import GEMMA, GEMMA_CPP, MODELS, NOW, SMOL, SMOL_CPP, TASKS, M

from arbiter_tui.core.snapshot import ModelView

PROMPTS = (
    "Which topic is this headline about? Rates are held for a third month",
    "Is this review positive? I loved every minute of it",
    "The central bank left its rate unchanged, and said that it expects\nprices to rise more slowly. What is it about?",
)


ANSWERS = {
    GEMMA: ("Business. ", "The headline ", "is about ", "the interest ", "rate of ", "a central bank."),
    SMOL: ("The topic ", "is:\n\n", "    business\n\n", "It could also ", "be politics, for ", "a central bank ",
                "is a public body."),
}  # fmt: skip


HAPPENED = (
    ("instance", f"{SMOL}: loading", None),
    ("instance", f"{SMOL}: ready after 0.31 s", None),
    ("registry", f"activate: {GEMMA}", None),
    ("autopilot", "topic: on", None),
    ("alert", f"{GEMMA_CPP} on extraction: slower than before, p95 .24 s", "warning"),
    ("swap", f"topic: {SMOL} → {GEMMA}, done", None),
    ("log", "arbiter_tui.engine.pool: a worker did not answer its probe", "error"),
)


def registered(n: int, model: ModelView) -> dict[str, Any]:
    """A version as GET /models tells it."""
    return {
        "version": model.version, "provider": model.provider, "model": model.model, "lifecycle": model.lifecycle,
        "pinned": model.pinned, "digest": model.digest or "sha256:" + f"{n}c" * 32, "licence": "Apache-2.0",
        "quantization": model.quantization, "file_bytes": (98 + n * 84) * M, "capabilities": ["text-generation"],
        "source": f"/models/{model.model}.gguf", "aliases": list(model.aliases),
    }  # fmt: skip


def request(n: int, **changes: Any) -> dict[str, Any]:
    """The n-th request of a plausible afternoon as the wire tells it."""
    task = ("topic", "sentiment", "extraction", "boolean")[n % 4]
    row = {
        "id": f"{0x4B9E444EA7C24014 + n * 7919:016x}", "at": NOW - 600 + n * 11, "task": task,
        "version": (GEMMA, SMOL, GEMMA, SMOL)[n % 4], "success": True, "failure": None,
        "latency_s": 0.09 + (n % 7) * 0.031, "ttft_s": 0.012 + (n % 5) * 0.008, "queue_s": 0.0,
        "tokens_out": 3 + n % 19, "quality": (None, 1.0, None, None, 0.0)[n % 5], "named": False,
        "decision_id": "de-31",
    }  # fmt: skip
    if n % 11 == 4:
        row |= {"success": False, "failure": "cancelled", "tokens_out": None}
    if n % 23 == 7:
        row |= {"success": False, "failure": "worker_died", "tokens_out": None, "latency_s": 2.4}
    return {**row, **changes}


def cells() -> list[dict[str, Any]]:
    """A benchmark half way: a column done, one running, the rest as it was."""
    found = []
    for t, task in enumerate(TASKS):
        for v, version in enumerate((SMOL, GEMMA, GEMMA_CPP, SMOL_CPP)):
            row = next(r for r in task.leaderboard if r.version == version)
            known = v < 2 or t < 3
            figure = {"quality": row.quality if known else None, "samples": 40 if known else 0}
            rest = {"state": "idle", "asked": None, "asking": None, "operation": None}
            found.append({"task": task.task, "version": version, "questions": 40, **figure, **rest})
    return found


def run_half_way(found: list[dict[str, Any]]) -> None:
    """A run of one task for every model: two cells done, one asked 17 of 40, one waiting."""
    topic = [c for c in found if c["task"] == "topic"]
    for cell, state, asked in zip(topic, ("done", "done", "running", "waiting"), (40, 40, 17, 0), strict=True):
        cell |= {"state": state, "asked": asked, "asking": 40, "operation": "op-1"}


class FakeRunning:
    """A streamed answer that a test lets go on piece by piece: ``gate`` set means go."""

    def __init__(self, pieces: Sequence[Any], gate: asyncio.Event, request_id: str, version: str) -> None:
        self.served: dict[str, Any] = {}
        self.tokens_out: int | None = None
        self.estimated = False
        self.finish_reason: str | None = None
        self.closed = False
        self._ids = {"request_id": request_id, "model": version}
        self._pieces, self._gate = pieces, gate

    async def __aiter__(self) -> AsyncIterator[str]:
        for piece in self._pieces:
            await self._gate.wait()
            if isinstance(piece, BaseException):
                raise piece
            self.served |= self._ids
            yield piece
        self.tokens_out, self.finish_reason = len(self._pieces), "stop"

    async def aclose(self) -> None:
        self.closed = True


class FakeViews:
    """Mixed into FakeEngine."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = [request(n) for n in range(60)]
        for n, row in enumerate(self.rows[-3:]):
            row["messages"] = [{"role": "user", "content": PROMPTS[n]}]
        self.answers: dict[str, Sequence[Any]] = dict(ANSWERS)
        self.gate = asyncio.Event()
        self.gate.set()
        self.running: list[FakeRunning] = []
        self.cells = cells()
        self.registry = [registered(n, m) for n, m in enumerate(MODELS)]
        self.found: list[dict[str, Any]] = [
            {"version": SMOL, "provider": "llama_server", "source": "/models/smollm2.gguf", "registered": True},
            {"version": "qwen3-4b-q5.ollama", "provider": "ollama", "source": "ollama:qwen3:4b", "registered": False},
            {"version": "phi-q4.ollama", "provider": "ollama", "source": "ollama:phi", "registered": False},
        ]
        self.printed = asyncio.Event()
        self.output = [f"llama_model_load: line {i}" for i in range(40)]
        self.output += ["warn: the context is small", "error: something\x1b[31m went wrong"]
        self.happened: list[dict[str, Any]] = [
            {
                "revision": n,
                "at": NOW - 300 + n * 9,
                "kind": kind,
                "message": message,
                **({"level": level} if level else {}),
            }
            for n, (kind, message, level) in enumerate(HAPPENED, start=1)
        ]

    calls: list[tuple[Any, ...]]

    async def _note(self, *call: Any) -> Any:
        raise NotImplementedError

    async def events(self, after: int = 0, wait: float | None = None) -> Sequence[Mapping[str, Any]]:
        await self._note("events", after)
        while not (found := [e for e in self.happened if e["revision"] > after]) and wait:
            await self.printed.wait()
            self.printed.clear()
        return found

    async def log_page(self, v: str, after: str | None = None, wait: float | None = None) -> tuple[list[str], str]:
        """``after`` is how many lines were told."""
        if after is None:
            await self._note("log", v)
        while not (found := self.output[int(after or 0) :]) and wait:
            await self.printed.wait()
            self.printed.clear()
        return found, str(len(self.output))

    def prints(self, *lines: str) -> None:
        self.output += lines
        self.printed.set()

    async def models(self) -> Sequence[Mapping[str, Any]]:
        await self._note("models")
        return self.registry

    async def register(self, provider: str, source: str) -> Mapping[str, Any]:
        await self._note("register", provider, source)
        return {"version": "mine-q4.llama-server", "known": source.endswith("known.gguf")}

    async def discover(self) -> Sequence[Mapping[str, Any]]:
        await self._note("discover")
        return self.found

    async def activate(self, v: str) -> Any:
        return await self._note("activate", v)

    async def deprecate(self, v: str) -> Any:
        return await self._note("deprecate", v)

    async def pin(self, v: str, pinned: bool = True) -> Any:
        return await self._note("pin", v, pinned)

    async def bench_cells(self) -> Sequence[Mapping[str, Any]]:
        await self._note("bench_cells")
        return self.cells

    def answer(self, version: str, messages: Sequence[Mapping[str, Any]], task: str | None = None) -> FakeRunning:
        self.calls.append(("answer", version, task, [dict(m) for m in messages]))
        pieces = self.answers.get(version, ("It is ", "about ", "business."))
        self.running.append(FakeRunning(pieces, self.gate, f"re-{len(self.running)}", version))
        return self.running[-1]

    async def feedback(self, request_id: str, score: float, comment: str = "") -> Any:
        return await self._note("feedback", request_id, score)

    past_swaps: Sequence[Mapping[str, Any]] = ()
    past_rollouts: Sequence[Mapping[str, Any]] = ()

    async def rollouts(self) -> Sequence[Mapping[str, Any]]:
        await self._note("rollouts")
        return self.past_rollouts

    async def swaps(self, limit: int = 100, after: str | None = None) -> Sequence[Mapping[str, Any]]:
        await self._note("swaps", limit, after)
        at = next((n + 1 for n, s in enumerate(self.past_swaps) if s["id"] == after), 0)
        return self.past_swaps[at : at + limit]

    async def requests(
        self, limit: int = 100, *, task: str | None = None, prompts: bool = False
    ) -> Sequence[Mapping[str, Any]]:
        await self._note("requests", limit)
        rows = [r for r in reversed(self.rows) if task in (None, r["task"])][:limit]
        return rows if prompts else [{k: v for k, v in r.items() if k != "messages"} for r in rows]
