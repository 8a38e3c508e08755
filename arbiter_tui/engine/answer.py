"""One answer in the making: the lease it holds, the stream it reads, and the outcome that it leaves behind.

Owns: the life of a request from its lease to its Outcome, whatever way it ends. Never: HTTP, the choice of a model
(the route's), counting the outcome (the recorder's).

It ends exactly once, and ending releases the lease, stops the decoding, and records:

    Done arrives            success
    a provider's error      failure, by kind; raised to the reader
    aclose() before Done    cancelled: never counted against the model

What fails before its first piece has gone out may be asked of somebody else: ``instead`` says of whom (fallbacks.py).
Of an answer that its client wants whole nothing goes out before its end.
A question that fits the context only without the task's worked examples is asked without them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import cast

from ..core.cost import Failure, Outcome
from ..core.registry import ModelVersion
from ..errors import (
    ArbiterError,
    BudgetSpent,
    ContextOverflow,
    InvalidRequest,
    LoadFailed,
    ModelUnusable,
    NotSupported,
    OutOfBudget,
    Overloaded,
    ProviderError,
    Unreachable,
    WorkerDied,
)
from ..ports import Clock
from ..provider import Chunk, Done, LoadedModel, Request, Sink, Usage, poured
from .counting import tokens_sent
from .instance import Lease
from .leasing import LeaseContext
from .metering import Meter
from .special import check_senses, unsaid

_KINDS: tuple[tuple[tuple[type[BaseException], ...], Failure], ...] = (
    ((TimeoutError,), Failure.TIMEOUT),
    ((WorkerDied,), Failure.WORKER_DIED),
    ((Unreachable,), Failure.UNREACHABLE),
    ((LoadFailed, ModelUnusable, OutOfBudget), Failure.LOAD_FAILED),
    ((ContextOverflow, InvalidRequest, NotSupported, BudgetSpent), Failure.CLIENT_ERROR),
)

Leasing = Callable[[ModelVersion], LeaseContext]
Instead = Callable[["Answer", BaseException], ModelVersion | None]


def failure_of(error: BaseException) -> Failure:
    """Which kind of failure an error is; what the request itself caused is CLIENT_ERROR."""
    return next((kind for types, kind in _KINDS if isinstance(error, types)), Failure.PROVIDER_ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A whole answer. Seconds. ``swapped``: the task's incumbent changed between begin and end."""

    text: str
    task: str
    version: str
    id: str
    usage: Usage
    latency_s: float
    ttft_s: float | None
    swapped: bool
    why: tuple[str, ...]
    finish_reason: str = "stop"


class Answer:
    """Async iterator of provider chunks: Text pieces (or the runtime's own bytes), then one Done. Close it with
    ``aclose`` in every case.

    Seconds: ``overhead_s`` (what the arbiter itself added), ``queue_s`` (waiting for a place and for a load),
    ``ttft_s`` (from the lease to the first text), ``latency_s`` (the whole, once ended).
    """

    def __init__(
        self,
        *,
        id: str,
        task: str,
        version: ModelVersion,
        decision_id: str,
        request: Request,
        bare: Request,
        source: str,
        lend: Leasing,
        clock: Clock,
        began: float,
        named: bool,
        on_end: Callable[[Answer, Outcome], None],
        instead: Instead = lambda answer, error: None,
    ) -> None:
        self.id = id
        self.task = task
        self.version = version
        self.decision_id = decision_id
        self.request = request
        self.bare = bare  # what the client sent, without worked examples
        self.source = source
        self.began = began
        self.overhead_s = 0.0
        self.queue_s = 0.0
        self.ttft_s: float | None = None
        self.latency_s: float | None = None
        self.usage = Usage()
        self.outcome: Outcome | None = None
        self.retried = False
        self.deaths = 0.0  # of workers that it was asked of; one that it shared with others counts in parts
        self.lives = 0  # in which its version was asked for it
        self.pieces = 0  # of text that went out
        self._mark: bytes | None = None  # of one in the runtime's own bytes
        self.whole = False  # nothing goes out before its end: until then its failure costs the client nothing
        self._lend = lend
        self._clock = clock
        self.named = named
        self._on_end = on_end
        self._instead = instead
        self._kept: deque[Chunk | bytes] | None = None  # of a whole answer: what is there so far, then what is left
        self._claim: LeaseContext | None = None
        self._model: LoadedModel | None = None
        self._stream: AsyncGenerator[Chunk | bytes, Sink | None] | None = None
        self._last: Done | None = None  # of an answer that came whole: what is left of it
        self._leased_at = began
        self._wrote = False
        self._sink: Sink | None = None
        self._meter: Meter | None = None
        self._cpu_s: float | None = None
        self._memory_bytes: int | None = None

    def open_at_once(self) -> bool:
        """Take the lease, where one is free. False: ``open`` has to wait for it. Raises what refuses the model."""
        claim = self._lend(self.version)
        lease = claim.at_once()
        if lease is None:
            return False
        self._hold(claim, lease, self._clock.monotonic())
        return True

    async def open(self) -> None:
        """Take the lease; everything that can be refused is refused here. Records a load that fails."""
        before = self._clock.monotonic()
        claim = self._lend(self.version)
        try:
            lease = await claim.__aenter__()
        except ProviderError as error:
            self.queue_s += self._clock.monotonic() - before  # it was waited for, though it came to nothing
            if not self._ask_another(error):
                self._end(failure_of(error))
                raise
            await self.open()
            return
        self._hold(claim, lease, before)

    def _hold(self, claim: LeaseContext, lease: Lease, before: float) -> None:
        self._claim = claim
        self._leased_at = self._clock.monotonic()
        waited = lease.queue_s + lease.load_s
        self.queue_s += waited
        self.overhead_s += max(0.0, (self._leased_at - before) - waited)
        self._model = lease.model
        self._meter = Meter(lease)

    async def _first(self, model: LoadedModel) -> Chunk | bytes | None:
        """The first piece: where the runtime speaks the client's dialect its own bytes, of an answer that is wanted
        whole all of them."""
        if self.request.media:
            check_senses(self.request, self.version)
        if self.whole and self.request.original is not None and (whole := getattr(model, "whole", None)) is not None:
            coming: Awaitable[tuple[bytes, Done]] | None = whole(self.request)
            if coming is not None:
                data, self._last = await coming
                return data
        self._stream = self._asked(model)
        return await anext(self._stream, None)

    def _asked(self, model: LoadedModel) -> AsyncGenerator[Chunk | bytes, Sink | None]:
        """The runtime's own bytes where it speaks the client's dialect, else its chunks. Raises NotSupported where only
        they would do."""
        request = self.request.limited(self.version.context)
        if self.request.original is not None and (relay := getattr(model, "relay", None)) is not None:
            relayed: AsyncGenerator[bytes | Done, Sink | None] | None = relay(request)
            if relayed is not None:
                return relayed
        if request.only_original:
            raise unsaid(request, self.version)
        return cast("AsyncGenerator[Chunk | bytes, Sink | None]", model.generate(request))

    def mark_overhead(self) -> None:
        """Everything between the request's arrival and now that was not waiting is the arbiter's own."""
        self.overhead_s = max(0.0, self._clock.monotonic() - self.began - self.queue_s)

    def __aiter__(self) -> Answer:
        return self

    async def __anext__(self) -> Chunk | bytes:
        if not self.whole:
            return await self._next()
        if self._kept is None:
            self._kept = deque()
            while not self._kept or not isinstance(self._kept[-1], Done):
                self._kept.append(await self._next())
        if not self._kept:
            raise StopAsyncIteration
        return self._kept.popleft()

    async def _next(self) -> Chunk | bytes:
        if self.outcome is not None or self._model is None:
            raise StopAsyncIteration
        stream = self._stream
        try:
            if stream is not None:
                chunk = await (anext(stream, None) if self._sink is None else poured(stream, self._sink))
            elif self._last is not None:
                chunk, self._last = self._last, None
            else:
                chunk = await self._first(self._model)
        except ContextOverflow as error:
            if self._wrote or self._model is None or self.request is self.bare:
                await self._fail(error)
                raise
            self.request, self._stream = self.bare, None
            return await self._next()
        except (ProviderError, Overloaded, TimeoutError) as error:  # overloaded: the runtime's own queue is full
            return await self._failed(error)
        if chunk is None:
            broken = ProviderError(f"{self.version.version} ended its answer without saying that it was over")
            return await self._failed(broken)
        return await self._passed(chunk)

    def count(self, data: bytes) -> int:
        """The events that begin in ``data``, or the lines that end in it, by how the answer began."""
        if self._mark is None:
            self._mark = b"}\n" if data.startswith(b"{") else b"data: {"
        return data.count(self._mark)

    def into(self, sink: Sink) -> None:
        """From here on what comes goes into ``sink`` by itself, where the runtime's bytes are read; what is asked for
        next is Done, or as before where they can't."""
        self._sink = _Counted(self, sink)

    async def _passed(self, chunk: Chunk | bytes) -> Chunk | bytes:
        if isinstance(chunk, Done):
            self.usage = chunk.usage
            if self._stream is not None:
                await self._run_out(self._stream)
            if self._meter is not None:
                self._cpu_s, self._memory_bytes = self._meter.cpu_s(), self._meter.memory_bytes()
            await self._release()
            self._end(None)
            return chunk
        self.pieces += self.count(chunk) if isinstance(chunk, bytes) else 1
        if not self._wrote:
            self._wrote = True
            told = self.request.original
            if told is None or told.stream or not isinstance(chunk, bytes):  # what came whole has no first token
                self.ttft_s = self._clock.monotonic() - self._leased_at
        return chunk

    async def _run_out(self, stream: AsyncGenerator[Chunk | bytes, Sink | None]) -> None:
        """Let the generator reach its own end: closing it at Done would look like a cancellation to the runtime."""
        await anext(stream, None)

    async def _failed(self, error: ArbiterError | TimeoutError) -> Chunk | bytes:
        if (self._wrote and not self.whole) or not self._ask_another(error):
            await self._fail(error)
            raise error
        await self._release(error)
        await self.open()
        return await self._next()

    def _ask_another(self, error: BaseException) -> bool:
        """The same version once more, or another one; from its first word on an answer is nobody else's."""
        if isinstance(error, WorkerDied):
            self.deaths += float(error.details.get("deaths", 1))
            self.lives += 1
        chosen = self._instead(self, error)
        if chosen is None:
            return False
        self.retried = chosen.version == self.version.version
        if not self.retried:
            self.deaths, self.lives = 0.0, 0
        self.version = chosen
        self._wrote, self.ttft_s, self.pieces, self._mark = False, None, 0, None
        if self._kept is not None:
            self._kept.clear()
        return True

    @property
    def over(self) -> bool:
        """It has ended, and holds nothing."""
        return self.outcome is not None and self._claim is None and self._stream is None

    async def aclose(self) -> None:
        """Idempotent. Before the end: stops the decoding in the runtime and counts as cancelled."""
        await self._release()
        self._end(Failure.CANCELLED)

    async def _fail(self, error: BaseException) -> None:
        await self._release(error)
        self._end(failure_of(error))

    async def _release(self, error: BaseException | None = None) -> None:
        stream, self._stream, self._model, self._last = self._stream, None, None, None
        claim, self._claim = self._claim, None
        try:
            if stream is not None:
                await stream.aclose()
        finally:
            if claim is not None:
                claim.leave(succeeded=error is None)

    def _end(self, failure: Failure | None) -> None:
        if self.outcome is not None:
            return
        self._sink = None  # it knows this answer
        now = self._clock.monotonic()
        self.latency_s = now - self.began
        tokens_in, tokens_out = self.usage.tokens_in, self.usage.tokens_out
        estimated = self.usage.estimated
        if failure is None and (tokens_in is None or tokens_out is None):
            estimated, tokens_in, tokens_out = self._estimated(tokens_in, tokens_out)
        self.outcome = Outcome(
            id=self.id,
            task=self.task,
            version=self.version.version,
            at=self._clock.now(),
            success=failure is None,
            failure=failure,
            latency_s=self.latency_s,
            ttft_s=self.ttft_s,
            queue_s=self.queue_s,
            cpu_s=self._cpu_s,
            memory_bytes=self._memory_bytes,
            overhead_s=self.overhead_s,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            tokens_estimated=estimated,
            source=self.source,
        )
        self._on_end(self, self.outcome)

    def _estimated(self, tokens_in: int | None, tokens_out: int | None) -> tuple[bool, int | None, int | None]:
        """What its runtime did not count: four bytes of what was sent are a token, and each piece that came is one."""
        if tokens_in is None:
            tokens_in = tokens_sent(self.request) or None
        return True, tokens_in, self.pieces or None if tokens_out is None else tokens_out


class _Counted:
    """A sink on whose way the answer's pieces are counted."""

    __slots__ = ("_answer", "_sink", "drain")

    def __init__(self, answer: Answer, sink: Sink) -> None:
        self._answer, self._sink, self.drain = answer, sink, sink.drain

    def write(self, data: bytes) -> bool:
        self._answer.pieces += self._answer.count(data)
        return self._sink.write(data)
