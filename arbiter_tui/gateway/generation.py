"""The way of a generation that all dialects share: name -> engine -> chunks -> the dialect's bytes.

Owns: who answers when the client names nobody, the wait for a load, the order of sending, the X-Arbiter headers.
Never: a dialect's fields or bytes (its Shape makes them), routing (the engine resolves the name).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, cast

from ..core.registry import Lifecycle
from ..core.routing import TASK_PREFIX
from ..engine.answer import Answer
from ..engine.arbiter import Arbiter
from ..engine.counting import tokens_sent
from ..engine.instance import State
from ..engine.keyring import CALLER
from ..engine.leasing import PRIORITY, WEIGHTS, Late, patient
from ..engine.live import Target
from ..engine.requests import Embedded
from ..errors import ArbiterError, Forbidden, UnknownName, WorkerDied
from ..provider import Chunk, Done, Request, Text, TokenLogprob, ToolCall, ToolPiece, Usage
from .exchange import Exchange
from .fields import Asked, bad
from .problems import DeadlineMissed, Headers, ModelBusy, ModelLoading
from .recognition import Recogniser

LOAD_WAIT_S = 60.0  # a request that is not streamed gets 503 + Retry-After after so long: before common client limits

Piece = TypeVar("Piece", bound=Chunk | bytes)
LATEST = ":latest"  # a tag that says nothing
DEADLINE, LONGEST_S = b"x-arbiter-deadline", 86_400.0
OURS = b"x-arbiter-"  # how the names of our own headers begin


@dataclass(slots=True)
class Counts:
    """Tokens; ``estimated``: the engine did not count all of them (a piece is a token, so are four bytes)."""

    tokens_in: int
    tokens_out: int
    cached: int | None
    estimated: bool


def counted(usage: Usage, *, pieces: int, request: Request) -> Counts:
    return Counts(
        tokens_in=tokens_sent(request) if usage.tokens_in is None else usage.tokens_in,
        tokens_out=pieces if usage.tokens_out is None else usage.tokens_out,
        cached=usage.tokens_cached,
        estimated=usage.estimated or usage.tokens_in is None or usage.tokens_out is None,
    )


class Calls:
    """Joins the pieces of tool calls."""

    def __init__(self) -> None:
        self._parts: dict[int, tuple[str, str, list[str]]] = {}

    def add(self, piece: ToolPiece) -> None:
        known = self._parts.get(piece.index)
        if known is None:
            known = self._parts[piece.index] = (piece.id or f"call_{piece.index}", piece.name or "", [])
        known[2].append(piece.arguments)

    def all(self) -> list[ToolCall]:
        return [ToolCall(id, name, "".join(parts)) for _, (id, name, parts) in sorted(self._parts.items())]


@dataclass(slots=True)
class Whole:
    """A whole answer: its text, its tokens if they were asked for, its tool calls."""

    text: str
    tokens: list[TokenLogprob]
    calls: list[ToolCall]
    done: Done
    counts: Counts


class Shape(Protocol):
    """One answer's form in one dialect."""

    def opening(self) -> bytes:
        """Sent with the first bytes of a stream."""
        ...

    def piece(self, chunk: Text) -> bytes: ...

    def call(self, chunk: ToolPiece) -> bytes:
        """May be empty where the dialect sends calls whole: then they are part of the ending."""
        ...

    def ending(self, done: Done, counts: Counts) -> bytes: ...

    def whole(self, answer: Whole) -> bytes: ...


Form = Callable[[Answer], Shape]


@dataclass(slots=True)
class Generator:
    arbiter: Arbiter
    load_wait_s: float = LOAD_WAIT_S
    recogniser: Recogniser = field(init=False)

    def __post_init__(self) -> None:
        self.recogniser = Recogniser(self.arbiter.config.rules, self.arbiter.tasks)

    async def run(self, exchange: Exchange, asked: Asked, form: Form) -> None:
        """The whole exchange. What is refused before the first byte is raised, with its status still free."""
        exchange.watch(streams=asked.stream)
        told = [pair for pair in exchange.scope["headers"] if pair[0].startswith(OURS)]
        if not told or (deadline_s := deadline_of(_given(told, DEADLINE))) is None:
            await self._run(exchange, asked, form, told, [])
            return
        opened: list[Answer] = []
        try:
            async with patient(self.arbiter.pool, lambda: _awaited(*opened), deadline_s) as met:
                await self._run(exchange, asked, form, told, opened, met)
        except Late:
            exchange.headers = _recorded(*opened)
            raise DeadlineMissed(missed(asked.name, deadline_s)) from None

    async def _run(
        self, exchange: Exchange, asked: Asked, form: Form, told: Headers, opened: list[Answer],
        met: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        """``opened`` hears of the answer as soon as there is one; ``met``: the client's deadline is, for a stream has
        begun."""
        answer = await self._begin(exchange, asked, told, opened)
        opened[:] = [answer]
        answer.whole = not asked.stream
        try:
            if asked.keep_s is not None:
                self.arbiter.admission.keep(self.arbiter.pool, answer.version.version, asked.keep_s)
            first = await next_chunk(answer)  # the status is still ours to choose; who answers is certain from here on
            if met is not None and asked.stream:
                met()
            headers = answer_headers(answer)
            if isinstance(first, bytes):
                await _relay(exchange, first, answer, headers, stream=asked.stream)
            else:
                send = _stream if asked.stream else _whole
                chunks = cast("AsyncIterator[Chunk]", answer)  # an answer that begins with chunks goes on with chunks
                await send(exchange, first, chunks, asked.request, form(answer), headers)
        except ArbiterError as error:
            await exchange.fail(error, answer_headers(answer))
        finally:
            if not answer.over:
                await answer.aclose()

    async def _begin(self, exchange: Exchange, asked: Asked, told: Headers, opened: list[Answer]) -> Answer:
        task, examples = _task(told), _given(told, b"x-arbiter-examples") == b"true"
        set_priority(_given(told, b"x-arbiter-priority"))
        name, requests = asked.name and self.known(asked.name), self.arbiter.asked
        name = name or self.unnamed(exchange, asked.request, task)
        try:
            answer = requests.prepare(name, asked.request, task=task, examples=examples)
        except UnknownName as error:
            recognised = self.recogniser.by_rule(exchange.scope, asked.request, name)
            if recognised is None or error.details.get("kind") != "model":
                raise
            name, task = recognised, None
            answer = requests.prepare(name, asked.request, examples=examples)
        if answer is not None:
            opened.append(answer)
        try:
            if answer is not None and requests.open_at_once(answer):
                return answer
            if asked.stream:  # it stays open, however long the load takes
                return await self._waited(answer, name, asked, task, examples)
            async with patient(self.arbiter.pool, lambda: _awaited(answer), self.load_wait_s):
                return await self._waited(answer, name, asked, task, examples)
        except TimeoutError:
            exchange.headers = _recorded(answer)
            raise self.still_loading(name, _awaited(answer)) from None
        except ArbiterError:
            exchange.headers = _recorded(answer)
            raise

    async def _waited(self, answer: Answer | None, name: str, asked: Asked, task: str | None, examples: bool) -> Answer:
        if answer is not None:
            return await self.arbiter.asked.wait(answer)
        return await self.arbiter.begin(name, asked.request, task=task, examples=examples)

    def target(self, exchange: Exchange, name: str, request: Request | None = None) -> Target:
        """Who would answer to a name, as ``run`` would find it. Wakes nothing. Raises UnknownName, Forbidden."""
        task = task_header(exchange)
        try:
            return self.arbiter.admission.resolve(self.known(name), task)
        except UnknownName:
            recognised = self.recogniser.by_rule(exchange.scope, request, name)
            if recognised is None:
                raise
            return self.arbiter.admission.resolve(recognised)

    def known(self, name: str) -> str:
        """The engine's own word for a name as Ollama's users write them; the name itself where there is none.

        With ``:latest``; and a model that a running Ollama serves for us answers to its name there (``smollm2:135m``).
        """
        registry = self.arbiter.registry
        if name in registry.versions or name in registry.aliases:
            return name
        bare = name.removesuffix(LATEST)
        if bare in registry.versions or bare in registry.aliases or bare.startswith(TASK_PREFIX):
            return bare
        sources = {f"ollama:{name}", f"ollama:{bare}{LATEST}"}
        there = (v for v in registry.versions.values() if v.source in sources and v.lifecycle is not Lifecycle.ARCHIVED)
        return next((v.version for v in there), name)

    def unnamed(self, exchange: Exchange, request: Request | None, task: str | None) -> str:
        """Who answers a client that names nobody: the header's task, its key's, a rule's, else ``general``."""
        caller = CALLER.get()
        given = task or (caller.key.default_task if caller is not None else None)
        if given is not None:
            return TASK_PREFIX + given
        found = self.recogniser.by_rule(exchange.scope, request, "") or self.recogniser.fallback()
        if found is None:
            raise bad("model", "is required: a version, an alias, or arbiter/TASK")
        return found

    def still_loading(self, name: str, version: str | None) -> ModelLoading:
        """``version``: who was waited for, where that is known."""
        view = None if version is None else self.arbiter.pool.view(version)
        if view is not None and view.state == State.READY:
            told = f"{name} is loaded, but was busy for {self.load_wait_s:g} s: {view.queued} wait in its line"
            return ModelBusy(told)
        progress = {"progress": view and view.progress, "eta_seconds": view and view.eta_s}
        message = f"{name} was not ready within {self.load_wait_s:g} s; loading goes on"
        return ModelLoading(message, details={"loading": progress})


def deadline_of(value: bytes | None) -> float | None:
    """Seconds until the answer has to have begun, and a whole one to be there; None: the client names none."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds <= LONGEST_S:
        raise bad("X-Arbiter-Deadline", f"must be seconds, above 0 and at most {LONGEST_S:g}")
    return seconds


def missed(name: str | None, deadline_s: float) -> str:
    return f"{name or 'the model'} did not answer within the {deadline_s:g} s of X-Arbiter-Deadline"


def _awaited(answer: Answer | None = None) -> str | None:
    """The version that a request waits for: who is asked may change while it does."""
    return None if answer is None else answer.version.version


def task_header(exchange: Exchange) -> str | None:
    return _task(exchange.scope["headers"])


def _task(headers: Headers) -> str | None:
    value = _given(headers, b"x-arbiter-task")
    return None if value is None else value.decode("latin-1").strip()[:128] or None


def _given(headers: Headers, wanted: bytes) -> bytes | None:
    return next((value for name, value in headers if name == wanted), None) if headers else None


def set_priority(value: bytes | None) -> None:
    """How much this request's place in a line weighs. A key that may only ask can't get ahead of others."""
    priority = "normal" if value is None else value.decode("latin-1").strip().lower()
    if priority not in WEIGHTS:
        raise bad("X-Arbiter-Priority", f"is {priority[:40]!r}; it may be {', '.join(WEIGHTS)}")
    caller = CALLER.get()
    if priority == "high" and caller is not None and not caller.key.allows("control"):
        raise Forbidden("X-Arbiter-Priority: high needs a key with the scope control; this key's scope is infer")
    PRIORITY.set(priority)


def answer_headers(answer: Answer | Embedded) -> Headers:
    """What served it, and where to ask why."""
    return [
        (b"x-arbiter-model", answer.version.version.encode()),
        (b"x-arbiter-task", (answer.task or "").encode()),
        (b"x-arbiter-decision", (answer.decision_id or answer.id).encode()),  # both can be asked at /explain
        (b"x-arbiter-request-id", answer.id.encode()),
        (b"x-arbiter-overhead-ms", b"%.3f" % ((answer.overhead_s or 0.0) * 1000)),
    ]


def _recorded(answer: Answer | None = None) -> Headers:
    """Of a request that was refused: where to ask why, if there is a record of it."""
    return [] if answer is None or answer.outcome is None else answer_headers(answer)


async def _relay(exchange: Exchange, first: bytes, answer: Answer, headers: Headers, *, stream: bool) -> None:
    """The runtime's own bytes. A whole answer goes out before anybody looks at what it took."""
    if not stream:
        await exchange.answer(200, first, headers)
        if answer.outcome is None:
            await next_chunk(answer)
        return
    await exchange.begin(headers, first)
    if (sink := exchange.sink) is not None:
        answer.into(sink)
    try:
        while isinstance(piece := await next_chunk(answer), bytes):
            await exchange.write(piece)
    except ArbiterError:
        await exchange.part()
        raise
    await exchange.close(b"")


async def _stream(
    exchange: Exchange, chunk: Chunk, chunks: AsyncIterator[Chunk], request: Request, shape: Shape, headers: Headers
) -> None:
    opening, pieces = shape.opening(), 0
    if isinstance(chunk, Text):
        pieces = 1
        await exchange.begin(headers, opening + shape.piece(chunk))
        opening, chunk = b"", await next_chunk(chunks)
    else:
        await exchange.open(headers)
    while not isinstance(chunk, Done):
        while isinstance(chunk, Text):
            pieces += 1
            await exchange.write(opening + shape.piece(chunk) if opening else shape.piece(chunk))
            opening = b""
            chunk = await next_chunk(chunks)
        while isinstance(chunk, ToolPiece):
            pieces += 1
            if data := opening + shape.call(chunk):
                await exchange.write(data)
                opening = b""
            chunk = await next_chunk(chunks)
    await exchange.close(opening + shape.ending(chunk, counted(chunk.usage, pieces=pieces, request=request)))


async def _whole(
    exchange: Exchange, chunk: Chunk, chunks: AsyncIterator[Chunk], request: Request, shape: Shape, headers: Headers
) -> None:
    texts: list[str] = []
    tokens: list[TokenLogprob] = []
    calls: Calls | None = None
    pieces = 0
    while not isinstance(chunk, Done):
        pieces += 1
        if isinstance(chunk, Text):
            texts.append(chunk.text)
            tokens += chunk.logprobs
        else:
            calls = calls or Calls()
            calls.add(chunk)
        chunk = await next_chunk(chunks)
    counts = counted(chunk.usage, pieces=pieces, request=request)
    whole = Whole("".join(texts), tokens, calls.all() if calls else [], chunk, counts)
    await exchange.answer(200, shape.whole(whole), headers)


async def next_chunk(chunks: AsyncIterator[Piece]) -> Piece:
    """The next chunk; an answer that ends without Done, or was cut short, is an error: truncation is never success."""
    try:
        chunk = await anext(chunks)
    except StopAsyncIteration:
        raise WorkerDied("the answer ended before it was complete") from None
    if isinstance(chunk, Done) and chunk.finish_reason == "cancelled":
        raise WorkerDied("the answer was cancelled before it was complete")
    return chunk
