"""The provider contract: the one file that the author of a provider reads.

A provider is a runtime that lists, loads, unloads and serves models. It is announced by the entry-point group
``arbiter.providers``: the entry point names a class (or function) that is called as ``factory(ProviderConfig)`` and
returns an object that satisfies :class:`Provider`. Heavy imports belong inside methods, so that listing is free.

Rules that ``arbiter_tui.testing.ProviderContract`` checks:

1. A model never runs in the arbiter's own process.
2. ``load`` returns when the model can generate; it raises LoadFailed / ModelUnusable / OutOfBudget, never hangs
   beyond its deadline, and leaves nothing running on failure or cancellation.
3. ``generate`` yields zero or more Text and ToolPiece chunks and exactly one Done, last. Any failure raises a
   ProviderError; it never ends silently. Closing the generator (``aclose``) or cancelling its task stops the decoding
   in the runtime.
4. A crash of the worker raises WorkerDied for its own requests only, and calls ``on_event`` with a WorkerEvent.
5. Unknown measurements are ``None``, never 0.
6. ``unload`` and ``close`` are idempotent and leave no process behind.
7. Foreign exceptions never leave a provider: everything is a ProviderError (``raise ... from``).
8. ``tools`` (and messages that hold calls or results) go to a runtime that does tools itself. Where it does not,
   ``generate`` raises NotSupported before its first chunk; it never leaves them out.
9. So it is with ``parts`` of a message that are no text.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, runtime_checkable

from .core.cost import Price
from .core.records import record
from .core.registry import ModelVersion

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "cancelled"]
LEAST_ROOM, USUAL_CONTEXT = 16, 4096  # tokens: of an answer without a limit; of a context that is not known


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model asked for. ``arguments``: the JSON text that it wrote, unparsed."""

    id: str
    name: str
    arguments: str


@record(frozen=True, slots=True)
class Message:
    """``tool_calls``: what an assistant asked for. ``tool_call_id`` / ``name``: whose result a tool's message is.
    ``parts``: all of it, in OpenAI's form, where something else than text is among it; ``content`` is the text alone.
    """

    role: str
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    parts: tuple[Mapping[str, Any], ...] = ()


@record(frozen=True, slots=True)
class Original:
    """A request as its client wrote it. ``path`` says in which dialect: "/v1/chat/completions", "/v1/completions"
    (OpenAI's), "/api/chat", "/api/generate" (Ollama's), "/v1/messages" (Anthropic's).

    ``raw``: the bytes that ``body`` was read from, where they are known.
    """

    path: str
    body: Mapping[str, Any]
    stream: bool
    raw: bytes | None = field(default=None, compare=False)


@record(frozen=True, slots=True, kw_only=True)
class Request:
    """What to generate. Exactly one of ``messages`` (chat) or ``prompt`` (raw completion) is set.

    ``few_shot`` are (question, answer) pairs for the fallback prompt of models without a chat template.
    ``json_schema`` / ``grammar`` (GBNF) constrain the output. ``logprobs``: number of alternatives per token, or None.
    ``tools``: ``{"type": "function", "function": {name, description, parameters}}``, as most runtimes take them;
    ``tool_choice``: "auto", "none", "required", or ``{"type": "function", "function": {name}}``; None: not said.
    ``max_tokens`` None: the client named no limit. Whoever is asked to ``generate`` or ``relay`` never sees that: it is
    half of the context then, so that a prompt which fits the other half can be answered whole.
    ``extra``: fields of the client's body that the arbiter does not know; passed to the runtime untouched.
    ``original``: the client's own words, where nothing was added to them.
    ``media``: where something else than text stands, and the capability that it needs ("vision", "audio"): a model
    without it is not asked. ``only_original``: what only ``original`` can say; such a request is relayed, or refused.
    """

    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    max_tokens: int | None = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: Mapping[str, Any] | None = None
    grammar: str | None = None
    logprobs: int | None = None
    few_shot: tuple[tuple[str, str], ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: str | Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    original: Original | None = field(default=None, compare=False)
    media: tuple[tuple[str, str], ...] = ()
    only_original: tuple[str, ...] = ()

    def limited(self, context: int | None) -> Request:
        """With a limit, for a model of so many tokens."""
        if self.max_tokens is not None:
            return self
        return replace(self, max_tokens=max(LEAST_ROOM, (context or USUAL_CONTEXT) // 2))

    @property
    def needs_tools(self) -> bool:
        """Only a runtime that does tools itself can answer this."""
        return bool(self.tools) or any(m.tool_calls or m.role == "tool" for m in self.messages)

    @property
    def has_parts(self) -> bool:
        """Only a runtime that takes more than text can answer this."""
        return any(m.parts for m in self.messages)


@record(frozen=True, slots=True)
class TokenLogprob:
    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@record(frozen=True, slots=True)
class Text:
    """A piece of the answer, as soon as the runtime has it."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolPiece:
    """A part of a tool call, as soon as the runtime has it.

    The first of an ``index`` carries id and name; the ``arguments`` of all of them, joined, are one JSON text.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@record(frozen=True, slots=True, kw_only=True)
class Usage:
    """Counts and timings as the engine itself reports them (seconds); None where it doesn't say. ``estimated``: the
    engine counted nothing, and the tokens are a guess of the provider's from the length of the text."""

    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int | None = None
    prompt_s: float | None = None
    decode_s: float | None = None
    estimated: bool = False


@record(frozen=True, slots=True, kw_only=True)
class Done:
    finish_reason: FinishReason
    usage: Usage = field(default_factory=Usage)


Chunk = Text | ToolPiece | Done


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a server says of its own work, that of its other clients included."""

    running: int | None = None  # requests
    waiting: int | None = None
    cache_used: float | None = None  # share (0..1) of its KV cache


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStats:
    """A loaded model's own process tree, now. Bytes and CPU seconds since its start."""

    resident_bytes: int | None = None
    cpu_s: float | None = None
    context: int | None = None
    parallel: int | None = None
    backend: str | None = None  # "CPU", "Metal", "CUDA" ... as the engine names it
    base_url: str | None = None  # where the runtime itself speaks HTTP on loopback; None if it does not
    pid: int | None = None
    pids: tuple[int, ...] = ()  # where there are several workers: all of them
    load: Load | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEvent:
    """``kind``: exited (died unasked), hung, restarted, log."""

    version: str
    kind: Literal["exited", "hung", "restarted"]
    message: str


EventSink = Callable[[WorkerEvent], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderConfig:
    """One [[providers]] block, secrets already resolved by reference; ``options`` are the kind's own keys."""

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class LoadedModel(Protocol):
    """A model that is ready to answer. Made by :meth:`Provider.load`."""

    version: ModelVersion

    def generate(self, request: Request) -> AsyncGenerator[Chunk, None]: ...

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector per text. Raises NotSupported."""
        ...

    async def health(self) -> bool:
        """True if the process lives and answers. Never generates, never wakes."""
        ...

    async def stats(self) -> InstanceStats: ...

    def log(self) -> list[str]:
        """The newest lines of the worker's output (a bounded ring)."""
        ...

    async def unload(self) -> None:
        """Ends the process (politely, then for sure). Idempotent."""
        ...


class Metered(Protocol):
    """What a loaded model may offer besides; where it does, a request that it served alone is told its CPU time."""

    def cpu_now(self) -> float | None:
        """CPU seconds of its processes since their start, None if unknown. Asked on the way of each request: it must
        cost microseconds."""
        ...


class Sink(Protocol):
    """Where bytes go at once. ``write`` returns False if the other side is behind: ``drain`` before the next one."""

    def write(self, data: bytes) -> bool: ...

    async def drain(self) -> None: ...


async def poured(stream: AsyncGenerator[Any, Sink | None], sink: Sink) -> Any:
    """For whoever passes a relay on: what comes after all that went into ``sink``; None at the end."""
    try:
        return await stream.asend(sink)
    except StopAsyncIteration:
        return None


class Relaying(Protocol):
    """What a loaded model may offer besides, where its runtime speaks the client's dialect itself. Requests that only
    the client's own words can say are asked of it where its provider names their paths in ``relays``."""

    def relay(self, request: Request) -> AsyncGenerator[bytes | Done, Sink | None] | None:
        """The runtime's own answer to ``request.original``, byte for byte as it comes, and one Done, last; what was not
        asked for is not told apart (``Usage`` may be empty). None: this request has to be asked with ``generate``.
        After the first piece a Sink may be sent in (``asend``): who can writes the rest there and yields Done next.

        Raises what ``generate`` raises; before the first bytes whatever the runtime refuses.
        """
        ...


class Whole(Protocol):
    """What a relaying model may offer besides: an answer that comes whole, without a generator for its one piece."""

    def whole(self, request: Request) -> Awaitable[tuple[bytes, Done]] | None:
        """As ``relay``: the runtime's own answer to ``request.original`` and what it took. Cancelling it stops the
        decoding. None: this request has to be asked with ``generate``."""
        ...


class Embedding(Protocol):
    """What a loaded model may offer besides: embeddings that are asked for with more than their texts."""

    async def embed_with(self, texts: Sequence[str], extra: Mapping[str, Any]) -> tuple[list[list[float]], int | None]:
        """As ``embed``, with the client's further fields untouched; and the tokens that were read, if they are told."""
        ...


async def vectors(
    model: LoadedModel, texts: Sequence[str], extra: Mapping[str, Any]
) -> tuple[list[list[float]], int | None]:
    """For whoever asks a model of any kind."""
    more = getattr(model, "embed_with", None)
    if more is None:
        return await model.embed(texts), None
    found: tuple[list[list[float]], int | None] = await more(texts, extra)
    return found


class Patient(Protocol):
    """What a provider may offer besides: its own longest load (s), instead of ``[pool] load_timeout_s``."""

    load_timeout_s: float


class Pulling(Protocol):
    """What a provider may offer besides, where its runtime can fetch models; it is only asked when a person asks."""

    def pull(self, source: str) -> AsyncGenerator[tuple[str, float | None], None]:
        """What it does now, and the share (0..1) of the bytes that is there, if known. Closing it stops the download.

        Raises ModelUnusable (no such model) and other ProviderErrors.
        """
        ...


class Several(Protocol):
    """What a provider may offer besides: the same model at several places, each of which is a replica of its own."""

    def replicas(self, version: ModelVersion) -> int: ...

    async def load_replica(
        self, version: ModelVersion, number: int, *, timeout_s: float, on_event: EventSink
    ) -> LoadedModel:
        """As :meth:`Provider.load`, at the place ``number`` (from 0)."""
        ...


class Priced(Protocol):
    """What a provider may offer besides, where answers cost money. The engine then records what each cost, refuses
    beyond ``budget_per_day`` (None: no cap), and asks it nothing by itself: no sentinel, no shadow answer."""

    budget_per_day: float | None

    def price(self, version: ModelVersion) -> Price | None:
        """None: not known; its answers are recorded without a cost."""
        ...


class Placed(Protocol):
    """What a provider may offer besides: whether all that it serves stays on this machine. Without it a ``base_url`` on
    loopback says so; a provider with neither counts as elsewhere, and rules may forbid it tasks."""

    local: bool


@runtime_checkable
class Provider(Protocol):
    name: str
    kind: str

    async def available(self) -> str | None:
        """None if usable here, else a sentence that says what is missing and how to get it."""
        ...

    async def discover(self) -> list[ModelVersion]:
        """Models that this provider can serve now without being told (may be empty). Loads nothing."""
        ...

    async def inspect(self, source: str) -> ModelVersion:
        """Describe ``source`` as a draft version (digest, size, context, capabilities). Raises ModelUnusable."""
        ...

    def predicted_bytes(self, version: ModelVersion) -> int | None:
        """Resident bytes once loaded, before loading it; None if it can't be known."""
        ...

    async def load(self, version: ModelVersion, *, timeout_s: float, on_event: EventSink) -> LoadedModel: ...

    async def close(self) -> None:
        """Ends everything that this provider started."""
        ...


ProviderFactory = Callable[[ProviderConfig], Provider]
AsyncThunk = Callable[[], Awaitable[None]]
