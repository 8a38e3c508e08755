"""Public fakes, and the contract suite that every provider passes.

Owns: FakeProvider (scriptable latency, quality, failures), FakeClock, MemoryStore, FakeProbe, ProviderContract.
Never: imported by anything but tests. The fakes obey the contracts of provider.py and ports.py like the real things.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, TypeVar, cast

from ._contract import ProviderContract, collect
from ._memory_store import MemoryStore
from .core.registry import ModelVersion
from .core.snapshot import HardwareView, Reading
from .errors import (
    ContextOverflow,
    LoadFailed,
    ModelUnusable,
    NotSupported,
    ProviderError,
    WorkerDied,
)
from .provider import (
    Chunk,
    Done,
    EventSink,
    InstanceStats,
    LoadedModel,
    ProviderConfig,
    Request,
    Sink,
    Text,
    TokenLogprob,
    ToolCall,
    ToolPiece,
    Usage,
    WorkerEvent,
)

__all__ = [
    "Behaviour",
    "FakeClock",
    "FakeModel",
    "FakeProbe",
    "FakeProvider",
    "MemoryStore",
    "ProviderContract",
    "collect",
]

GIB = 1024**3
MIB = 1024**2


class FakeClock:
    """Time that moves only when told. ``sleep`` wakes when ``advance`` has passed its moment."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start
        self._mono = 0.0
        self._waiters: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._mono

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._waiters, (self._mono + seconds, self._count, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move time and let everything that became due run, in order of its due time."""
        target = self._mono + seconds
        while self._waiters and self._waiters[0][0] <= target:
            due, _, future = heapq.heappop(self._waiters)
            self._set(due)
            if not future.done():
                future.set_result(None)
            await self.settle()
        self._set(target)
        await self.settle()

    def _set(self, mono: float) -> None:
        self._now += mono - self._mono
        self._mono = mono

    @staticmethod
    async def settle(turns: int = 20) -> None:
        """Give other tasks of the loop their turns."""
        for _ in range(turns):
            await asyncio.sleep(0)


Piece = TypeVar("Piece", bound=Chunk | bytes)


@dataclass(slots=True)
class Behaviour:
    """How a fake model behaves; change it at any time, the next call sees it.

    ``answer``: text, or a function of the request. ``chunks``: pieces the answer is cut into. Delays in seconds of
    the provider's clock. ``tools``: calls made by an answer to a request with tools; None: it can't do tools.
    ``fail_load`` / ``fail_generate``: raised once per entry, in order. ``die_after``: number of
    chunks after which the worker dies. ``gate`` / ``load_gate``: when set, generation / loading waits for the event.
    ``counts``: whether a relaying runtime says how many tokens there were.
    ``relayed``: the pieces of bytes that its runtime answers a client's own words with; None: it does not relay.
    """

    answer: str | Callable[[Request], str] = "ok"
    chunks: int = 1
    load_s: float = 0.0
    ttft_s: float = 0.0
    chunk_s: float = 0.0
    resident_bytes: int = 100 * MIB
    context: int = 2048
    fail_load: list[ProviderError] | None = None
    fail_generate: list[ProviderError] | None = None
    die_after: int | None = None
    gate: asyncio.Event | None = None
    load_gate: asyncio.Event | None = None
    embeddings: bool = True
    backend: str | None = "Fake"
    cpu_s: float | None = None  # CPU seconds of one answer; None: the model can't say
    tools: Sequence[ToolCall] | None = ()
    sees: bool = True  # it takes parts that are no text
    timed: tuple[float | None, float | None] = (None, None)  # what the engine says of reading and of writing
    relayed: Sequence[bytes] | None = None
    counts: bool = True


class FakeModel:
    """A loaded fake. Counts what happens to it so that tests can hold laws against it."""

    def __init__(self, provider: FakeProvider, version: ModelVersion, on_event: EventSink) -> None:
        self.version = version
        self.active = 0
        self.peak_active = 0
        self.served = 0
        self.cancelled = 0
        self.alive = True
        self.unloaded = False
        self._provider = provider
        self.own: Behaviour | None = None  # of this copy alone, where a version is loaded several times
        self._on_event = on_event
        self._cpu_s = 0.0
        self._log: list[str] = [f"{version.version}: loaded"]

    @property
    def behaviour(self) -> Behaviour:
        return self.own or self._provider.behaviour(self.version.version)

    def _die(self, message: str) -> WorkerDied:
        self.kill(message)
        return WorkerDied(f"the worker of {self.version.version} died: {message}")

    def kill(self, message: str = "killed") -> None:
        """As ``kill -9`` of its process would."""
        if self.alive:
            self.alive = False
            self._on_event(WorkerEvent(version=self.version.version, kind="exited", message=message))

    def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        return self._counted(self._answer(self.behaviour, request))

    def relay(self, request: Request) -> AsyncGenerator[bytes | Done, Sink | None] | None:
        how = self.behaviour
        if how.relayed is None:
            return None
        relayed = self._counted(self._relayed(how, how.relayed))  # a sink that is sent in is not used: none has to be
        return cast("AsyncGenerator[bytes | Done, Sink | None]", relayed)

    async def _relayed(self, how: Behaviour, pieces: Sequence[bytes]) -> AsyncGenerator[bytes | Done, None]:
        if how.fail_generate:
            raise how.fail_generate.pop(0)
        for n, piece in enumerate(pieces):
            if how.gate is not None:
                await how.gate.wait()
            if how.die_after is not None and n >= how.die_after:
                raise self._die("scripted death")
            yield piece
            await self._provider.clock_sleep(how.chunk_s)
        yield Done(finish_reason="stop", usage=Usage(tokens_out=len(pieces) if how.counts else None))

    async def _counted(self, answer: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
        if self.unloaded:
            raise WorkerDied(f"{self.version.version} was unloaded")
        if not self.alive:
            raise WorkerDied(f"the worker of {self.version.version} is dead")
        self.active += 1
        self.peak_active = max(self.peak_active, self.active)
        try:
            async for chunk in answer:
                yield chunk
            self.served += 1
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise
        finally:
            self.active -= 1

    async def _answer(self, how: Behaviour, request: Request) -> AsyncGenerator[Chunk, None]:
        if how.fail_generate:
            raise how.fail_generate.pop(0)
        if request.needs_tools and how.tools is None:
            raise NotSupported(f"{self.version.version} does not support tools")
        if request.has_parts and not how.sees:
            raise NotSupported(f"{self.version.version} takes text only")
        words = sum(len(m.content.split()) for m in request.messages) + len((request.prompt or "").split())
        if words > how.context:
            raise ContextOverflow(f"the prompt has {words} tokens, {self.version.version} holds {how.context}")
        text = how.answer(request) if callable(how.answer) else how.answer
        await self._provider.clock_sleep(how.ttft_s)
        for n, piece in enumerate(cut(text, how.chunks)):
            if how.gate is not None:
                await how.gate.wait()
            if not self.alive:
                raise WorkerDied(f"the worker of {self.version.version} died")
            if how.die_after is not None and n >= how.die_after:
                raise self._die("scripted death")
            yield Text(piece, _likely(piece, request.logprobs))
            await self._provider.clock_sleep(how.chunk_s)
        called = (how.tools or ()) if request.tools else ()
        for tool in chain.from_iterable(tool_pieces(n, call) for n, call in enumerate(called)):
            yield tool
        self._cpu_s += how.cpu_s or 0.0
        prompt_s, decode_s = how.timed
        usage = Usage(tokens_in=words, tokens_out=how.chunks, prompt_s=prompt_s, decode_s=decode_s)
        yield Done(finish_reason="tool_calls" if called else "stop", usage=usage)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        if not self.behaviour.embeddings:
            raise NotSupported(f"{self.version.version} has no embeddings")
        return [[b / 255 for b in hashlib.sha256(t.encode()).digest()[:8]] for t in texts]

    async def health(self) -> bool:
        return self.alive and not self.unloaded

    async def stats(self) -> InstanceStats:
        how = self.behaviour
        return InstanceStats(
            resident_bytes=how.resident_bytes, cpu_s=0.0, context=how.context,
            parallel=self.version.parallel, backend=how.backend, pid=None,
        )  # fmt: skip

    def cpu_now(self) -> float | None:
        return None if self.behaviour.cpu_s is None else self._cpu_s

    def log(self) -> list[str]:
        return list(self._log)

    async def unload(self) -> None:
        if not self.unloaded:
            self.unloaded, self.alive = True, False
            self._provider.note_unload(self)


class FakeProvider:
    """A scriptable provider. ``models``: version name -> Behaviour."""

    kind = "fake"
    local = True  # what the constitution asks; set it to False for a fake that stands for another machine

    def __init__(
        self, name: str = "fake", models: Mapping[str, Behaviour] | None = None, *, clock: FakeClock | None = None
    ) -> None:
        self.name = name
        self.clock = clock
        self.behaviours: dict[str, Behaviour] = dict(models or {"fake-a": Behaviour(), "fake-b": Behaviour()})
        self.loaded: dict[str, FakeModel] = {}
        self.loads: list[str] = []
        self.born: list[FakeModel] = []  # every model that was loaded, in order
        self.unloads: list[str] = []
        self.closed = False

    @property
    def relays(self) -> tuple[str, ...]:
        paths = ("/v1/chat/completions", "/v1/completions", "/v1/messages", "/api/chat", "/api/generate")
        return paths if any(b.relayed is not None for b in self.behaviours.values()) else ()

    @classmethod
    def from_config(cls, config: ProviderConfig) -> FakeProvider:
        return cls(config.name)

    def behaviour(self, version: str) -> Behaviour:
        return self.behaviours.setdefault(version, Behaviour())

    async def clock_sleep(self, seconds: float) -> None:
        if self.clock is None or seconds <= 0:
            await asyncio.sleep(max(0.0, seconds))
        else:
            await self.clock.sleep(seconds)

    def version(self, name: str, **changes: Any) -> ModelVersion:
        """The draft version that ``inspect`` returns for a fake model's name."""
        base = ModelVersion(
            version=name, provider=self.name, model=name, source=name, digest=f"sha256:{name}", quantization="q4",
            file_bytes=self.behaviour(name).resident_bytes, context=self.behaviour(name).context, parallel=4,
            capabilities=frozenset({"text-generation", "embeddings"}),
        )  # fmt: skip
        return replace(base, **changes)

    async def available(self) -> str | None:
        return None

    async def discover(self) -> list[ModelVersion]:
        return [self.version(n) for n in self.behaviours]

    async def inspect(self, source: str) -> ModelVersion:
        if source not in self.behaviours:
            raise ModelUnusable(f"{source!r} is not a fake model; known: {', '.join(self.behaviours)}")
        return self.version(source)

    def predicted_bytes(self, version: ModelVersion) -> int | None:
        return self.behaviour(version.version).resident_bytes

    async def load(self, version: ModelVersion, *, timeout_s: float, on_event: EventSink) -> LoadedModel:
        how = self.behaviour(version.version)
        self.loads.append(version.version)
        if how.fail_load:
            raise how.fail_load.pop(0)
        try:
            async with asyncio.timeout(timeout_s if self.clock is None else None):
                if how.load_gate is not None:
                    await how.load_gate.wait()
                await self.clock_sleep(how.load_s)
        except TimeoutError:
            raise LoadFailed(f"{version.version} was not ready within {timeout_s:g} s") from None
        model = FakeModel(self, version, on_event)
        self.loaded[version.version] = model
        self.born.append(model)
        return model

    def note_unload(self, model: FakeModel) -> None:
        self.unloads.append(model.version.version)
        if self.loaded.get(model.version.version) is model:
            del self.loaded[model.version.version]

    async def close(self) -> None:
        self.closed = True
        for model in list(self.loaded.values()):
            await model.unload()


def cut(text: str, pieces: int) -> list[str]:
    """``text`` in at most ``pieces`` non-empty parts that join to it."""
    size = max(1, -(-len(text) // max(1, pieces)))
    return [text[i : i + size] for i in range(0, len(text), size)]


def _likely(piece: str, top: int | None) -> tuple[TokenLogprob, ...]:
    """A piece as one token with its alternatives, if the request asks for them."""
    if top is None:
        return ()
    return (TokenLogprob(piece, -0.5, tuple((piece[: n + 1], -0.5 - n) for n in range(top))),)


def tool_pieces(index: int, call: ToolCall) -> list[ToolPiece]:
    """A call as runtimes stream it: its name first, its arguments in two halves."""
    half = len(call.arguments) // 2
    return [
        ToolPiece(index, call.id, call.name, call.arguments[:half]),
        ToolPiece(index, arguments=call.arguments[half:]),
    ]


class FakeProbe:
    """A machine that stands still: 2 cores, 24 GiB, no GPU (change ``view`` to change it)."""

    def __init__(self, view: HardwareView | None = None, available: int | None = 16 * GIB) -> None:
        self.view = view or HardwareView(
            cpu=Reading(value=0.25), cores=(0.3, 0.2), ram_used_bytes=Reading(value=4.0 * GIB),
            ram_total_bytes=Reading(value=24.0 * GIB), swap_used_bytes=Reading(value=0.0),
            gpu_why="no NVIDIA driver", cpu_name="Fake CPU",
        )  # fmt: skip
        self.available = available

    async def read(self) -> HardwareView:
        return self.view

    def available_bytes(self) -> int | None:
        return self.available

    async def close(self) -> None:
        return None
