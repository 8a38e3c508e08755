"""The other end of the control wire: all that screens and commands know of the engine.

Owns: calls of the control API, and turning problem details back into the errors they came from. Never: a decision,
a screen. httpx is imported only when a ControlClient is made: ``fetch_json`` and typing cost nothing.

Every call raises an ``ArbiterError`` subclass chosen by the problem's ``code``; EngineUnreachable when nobody answers.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

from . import errors as e
from .core.snapshot import Snapshot, from_wire

if TYPE_CHECKING:
    import httpx

V1 = "/arbiter/v1"
CONNECT_S = 3.0
ANSWER_S = 30.0
RUN_S = 600.0  # between two bytes of an answer: a cold load sends pings meanwhile
_OPENAI_CODES = {"context_length_exceeded": "context_overflow", "model_not_found": "unknown_name"}
_RESERVED = frozenset({"type", "title", "status", "detail", "code"})


class ControlClient:
    """One engine behind its URL. ``transport``: an httpx transport in place of the network (offline, tests)."""

    def __init__(
        self, url: str, *, transport: httpx.AsyncBaseTransport | None = None, answer_s: float = ANSWER_S
    ) -> None:
        import httpx

        self.url = url.rstrip("/")
        self._answer_s = answer_s
        self._http = httpx.AsyncClient(
            base_url=self.url, transport=transport, trust_env=False, timeout=httpx.Timeout(answer_s, connect=CONNECT_S)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    # ── the wire ──────────────────────────────────────────────────────────────────────────────────────────────

    async def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        return await self._call("GET", path, None, params)

    async def post(self, path: str, body: Any = None, params: Mapping[str, Any] | None = None) -> Any:
        return await self._call("POST", path, {} if body is None else body, params)

    async def put(self, path: str, body: Any, params: Mapping[str, Any] | None = None) -> Any:
        return await self._call("PUT", path, body, params)

    async def delete(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        return await self._call("DELETE", path, None, params)

    async def _call(self, method: str, path: str, body: Any, params: Mapping[str, Any] | None) -> Any:
        import httpx

        given = {k: v for k, v in (params or {}).items() if v is not None}
        wait = float(given.get("wait", 0.0))
        more: dict[str, Any] = {"timeout": httpx.Timeout(self._answer_s + wait, connect=CONNECT_S)}
        if given:  # an empty mapping would drop the query that the path itself carries
            more["params"] = given
        if body is not None:
            more["json"] = body
        with _translated(self.url):
            answer = await self._http.request(method, path, **more)
        if answer.is_error:
            raise error_from(answer.status_code, answer.content)
        return answer.json()

    # ── looking ───────────────────────────────────────────────────────────────────────────────────────────────

    async def snapshot(self, after: int | None = None, wait: float | None = None, task: str | None = None) -> Snapshot:
        """The newest; with ``after`` and ``wait`` (seconds) the first newer one, or the same again."""
        found = await self.get(f"{V1}/snapshot", {"after": after, "wait": wait, "task": task})
        return from_wire(Snapshot, found)

    async def health(self) -> dict[str, Any]:
        return dict(await self.get("/health"))

    async def models(self) -> list[dict[str, Any]]:
        return await self._items(f"{V1}/models")

    async def tasks(self) -> list[dict[str, Any]]:
        return await self._items(f"{V1}/tasks")

    async def task(self, task: str) -> dict[str, Any]:
        """Its criteria and route, ``guards[]`` and the autopilot's ``outlook``."""
        return dict(await self.get(f"{V1}/tasks/{_q(task)}"))

    async def put_task(self, task: str, patch: Mapping[str, Any]) -> dict[str, Any]:
        """The task as it is then; ``settings`` names it in the snapshots that know of it."""
        return dict(await self.put(f"{V1}/tasks/{_q(task)}", dict(patch)))

    async def profile(self, task: str) -> dict[str, Any]:
        return dict(await self.get(f"{V1}/profiles/{_q(task)}"))

    async def outcomes(self, task: str, limit: int = 100) -> list[dict[str, Any]]:
        """Measured requests of a task, newest first."""
        return list((await self.get(f"{V1}/outcomes", {"task": task, "limit": limit}))["items"])

    async def _items(self, path: str) -> list[dict[str, Any]]:
        """Every page of a list."""
        items: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            found = await self.get(path, {"limit": 1000, "after": after})
            items += found["items"]
            after = found["next"]
            if after is None:
                return items

    async def log(self, v: str) -> list[str]:
        """The newest lines of a worker's output."""
        return (await self.log_page(v))[0]

    async def log_page(self, v: str, after: str | None = None, wait: float | None = None) -> tuple[list[str], str]:
        """A worker's lines behind the mark ``after``, waited for up to ``wait`` seconds; and the mark to go on from."""
        found = await self.get(f"{V1}/models/{_q(v)}/log", {"after": after, "wait": wait})
        return list(found["items"]), str(found["next"])

    async def events(self, after: int = 0, wait: float | None = None) -> list[dict[str, Any]]:
        """What happened in the engine behind the revision ``after``, oldest first."""
        return list((await self.get(f"{V1}/events", {"after": after, "wait": wait, "limit": 1000}))["items"])

    async def bench_cells(self) -> list[dict[str, Any]]:
        """Each task that has a suite and each version: what the benchmark knows, and what it asks now."""
        return list((await self.get(f"{V1}/bench"))["items"])

    async def explain(self, id: str) -> dict[str, Any]:
        return dict(await self.get(f"{V1}/explain/{_q(id)}"))

    async def model(self, v: str) -> dict[str, Any]:
        """One version: what is known of it, and what it does now."""
        return dict(await self.get(f"{V1}/models/{_q(v)}"))

    async def model_history(self, v: str) -> dict[str, Any]:
        """One version's steps, changes and newest requests."""
        return dict(await self.get(f"{V1}/models/{_q(v)}/history"))

    async def machine(self, after: float | None = None) -> dict[str, Any]:
        """The machine now, its readings of the last ten minutes (or since ``after``), today's energy per task."""
        return dict(await self.get(f"{V1}/hardware", {"after": after}))

    async def select(self, task: str, **criteria: Any) -> dict[str, Any]:
        return dict(await self.post(f"{V1}/select", {"task": task, **criteria}))

    async def operation(self, id: str) -> dict[str, Any]:
        return dict(await self.get(f"{V1}/operations/{_q(id)}"))

    async def requests(
        self, limit: int = 100, *, task: str | None = None, prompts: bool = False
    ) -> list[dict[str, Any]]:
        """Newest first. ``prompts``: with ``messages`` where the engine still remembers them."""
        asked = {"limit": limit, "task": task, "prompts": "true" if prompts else None}
        return list((await self.get(f"{V1}/requests", asked))["items"])

    # ── changing ──────────────────────────────────────────────────────────────────────────────────────────────
    # Without ``wait`` long work answers with its operation at once: what became of it is seen in a later snapshot.

    async def warm(self, v: str, wait: float | None = None) -> dict[str, Any]:
        return await self._on_model(v, "warm", wait)

    async def unload(self, v: str, wait: float | None = None) -> dict[str, Any]:
        return await self._on_model(v, "unload", wait)

    async def pin(self, v: str, pinned: bool = True) -> dict[str, Any]:
        return await self._on_model(v, "pin" if pinned else "unpin", None)

    async def activate(self, v: str) -> dict[str, Any]:
        return await self._on_model(v, "activate", None)

    async def deprecate(self, v: str) -> dict[str, Any]:
        return await self._on_model(v, "deprecate", None)

    async def _on_model(self, v: str, action: str, wait: float | None) -> dict[str, Any]:
        return dict(await self.post(f"{V1}/models/{_q(v)}/{action}", {}, {"wait": wait}))

    async def swap(
        self, task: str, to: str, *, strict: bool = False, dry_run: bool = False, reason: str = "",
        wait: float | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """The swap event with ``warnings``; without ``wait`` (and not dry) the operation."""
        body = {"task": task, "to": to, "strict": strict, "dry_run": dry_run, "reason": reason}
        return dict(await self.post(f"{V1}/swaps", body, {"wait": wait}))

    async def rollback(self, task: str, wait: float | None = None) -> dict[str, Any]:
        return dict(await self.post(f"{V1}/tasks/{_q(task)}/rollback", {}, {"wait": wait}))

    async def autopilot(self, task: str | None, mode: str) -> dict[str, Any]:
        """``task`` None: every task."""
        path = f"{V1}/autopilot" if task is None else f"{V1}/tasks/{_q(task)}/autopilot"
        return dict(await self.put(path, {"mode": mode}))

    async def bench(self, tasks: Sequence[str] | None = None, versions: Sequence[str] | None = None) -> dict[str, Any]:
        """The operation; ``operation(id)`` follows it, ``cancel(id)`` ends it."""
        body = {"tasks": list(tasks) if tasks else None, "versions": list(versions) if versions else None}
        return dict(await self.post(f"{V1}/bench", {k: v for k, v in body.items() if v is not None}))

    async def cancel(self, op_id: str) -> dict[str, Any]:
        return dict(await self.delete(f"{V1}/operations/{_q(op_id)}"))

    async def feedback(self, request_id: str, score: float, comment: str = "") -> dict[str, Any]:
        return dict(await self.post(f"{V1}/feedback", {"request_id": request_id, "score": score, "comment": comment}))

    async def register(
        self, provider: str, source: str, *, name: str | None = None, labels: Sequence[str] = ()
    ) -> dict[str, Any]:
        body = {"provider": provider, "source": source, "name": name, "labels": list(labels)}
        return dict(await self.post(f"{V1}/models", body))

    async def discover(self) -> list[dict[str, Any]]:
        """What runs and lies on the engine's machine; registers nothing."""
        return list((await self.post(f"{V1}/discover", {}))["items"])

    async def stop(self) -> dict[str, Any]:
        return dict(await self.post(f"{V1}/engine/stop", {}))

    # ── answers ───────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, name: str, prompt: str, **settings: Any) -> Running:
        """Stream one answer of a task, version or alias. ``settings``: further fields of the body."""
        messages = [{"role": "user", "content": prompt}]
        return Running(self._http, self.url, name, {"messages": messages, "stream": True, **settings})

    def answer(self, version: str, messages: Sequence[Mapping[str, Any]], task: str | None = None) -> Running:
        """Stream one version's answer, asked as ``task`` asks whoever serves it; it counts as that task's request."""
        body = {"messages": list(messages), "stream": True, "stream_options": {"include_usage": True}}
        headers = {} if task is None else {"x-arbiter-task": task, "x-arbiter-examples": "true"}
        return Running(self._http, self.url, version, body, headers=headers)


class Running:
    """Async iterator of text pieces. ``served``: model, task, decision_id, request_id, once the first has come."""

    def __init__(
        self, http: httpx.AsyncClient, url: str, name: str, body: Mapping[str, Any],
        *, headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._http = http
        self._url = url
        self._name = name
        self._body = body
        self._headers = headers
        self.served: dict[str, Any] = {}
        self.tokens_out: int | None = None  # known at the end, if the body asked for the usage
        self.estimated = False  # whether the runtime did not count them
        self.finish_reason: str | None = None
        self._pieces = self._read()

    def __aiter__(self) -> AsyncIterator[str]:
        return self._pieces

    async def aclose(self) -> None:
        """Leave: the engine stops decoding."""
        await self._pieces.aclose()

    async def _read(self) -> AsyncGenerator[str, None]:
        """As a task first, then as a version or alias: tasks are what operators name most."""
        exact = self._headers is not None or self._name.startswith("arbiter/")
        names = [self._name] if exact else [f"arbiter/{self._name}", self._name]
        for last, name in zip([*[False] * (len(names) - 1), True], names, strict=True):
            try:
                async with aclosing(self._stream(name)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except e.UnknownName:
                if last:
                    raise

    async def _stream(self, name: str) -> AsyncGenerator[str, None]:
        import httpx

        timeout = httpx.Timeout(RUN_S, connect=CONNECT_S)
        with _translated(self._url):
            async with self._http.stream(
                "POST", "/v1/chat/completions", json={**self._body, "model": name}, timeout=timeout,
                headers=self._headers,
            ) as answer:  # fmt: skip
                if answer.is_error:
                    raise error_from(answer.status_code, await answer.aread())
                self._note(answer.headers)
                async for line in answer.aiter_lines():
                    if line == "data: [DONE]":
                        return
                    if line.startswith("data: "):
                        piece = self._event(json.loads(line[6:]))
                        if piece:
                            yield piece
                    elif line.startswith(": x-arbiter-"):  # the head was sent before it was known who serves
                        key, _, value = line[2:].partition("=")
                        self._note({key: value})
        raise e.WorkerDied("the answer ended before it was complete")

    def _note(self, headers: Mapping[str, str]) -> None:
        names = {"x-arbiter-model": "model", "x-arbiter-task": "task", "x-arbiter-decision": "decision_id",
                 "x-arbiter-request-id": "request_id", "x-arbiter-overhead-ms": "overhead_ms"}  # fmt: skip
        self.served |= {to: headers[name] for name, to in names.items() if name in headers}

    def _event(self, event: Mapping[str, Any]) -> str:
        if "error" in event:
            raise error_from(500, json.dumps(event).encode())
        if isinstance(event.get("usage"), Mapping):
            self.tokens_out = event["usage"].get("completion_tokens")
            self.estimated = bool(event["usage"].get("estimated"))
        for choice in event.get("choices", ()):
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            return str(choice.get("delta", {}).get("content") or "")
        return ""


# ── errors ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _classes(cls: type[e.ArbiterError]) -> Iterator[type[e.ArbiterError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from _classes(child)


def error_from(status: int, content: bytes) -> e.ArbiterError:
    """The error that the engine raised, from its problem details or OpenAI error; a plain ArbiterError if unknown."""
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        text = content[:200].decode("utf-8", "replace").strip()
        return _made("error", f"the engine answered {status}: {text or 'nothing'}", {})
    inner = body.get("error")
    if isinstance(inner, dict):
        code = str(inner.get("code"))
        return _made(_OPENAI_CODES.get(code, code), str(inner.get("message")), {})
    details = {k: v for k, v in body.items() if k not in _RESERVED}
    return _made(str(body.get("code", "error")), str(body.get("detail") or f"the engine answered {status}"), details)


def _made(code: str, message: str, details: Mapping[str, Any]) -> e.ArbiterError:
    cls = next((c for c in _classes(e.ArbiterError) if c.__dict__.get("code") == code), e.ArbiterError)
    error = cls.__new__(cls)  # a class of its own signature (UnknownName) still gets the engine's very words
    e.ArbiterError.__init__(error, message, details=details)
    error.code = code
    return error


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """httpx's errors all mean one thing here: nobody answers (any more)."""
    import httpx

    try:
        yield
    except httpx.TimeoutException as error:
        raise e.EngineUnreachable(f"the engine at {url} does not answer in time") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise e.EngineUnreachable(f"the engine at {url} can't be reached: {error or type(error).__name__}") from error


def _q(name: str) -> str:
    return quote(name, safe="")


# ── without httpx ─────────────────────────────────────────────────────────────────────────────────────────────────


def fetch_json(url: str, path: str, *, timeout: float = 10.0) -> Any:
    """GET, synchronous, standard library only: ``arbiter status`` starts in a fraction of httpx's import time.

    Raises EngineUnreachable and what the engine raised.
    """
    import http.client

    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=timeout)
        try:
            connection.request("GET", parts.path.rstrip("/") + path, headers={"accept": "application/json"})
            answer = connection.getresponse()
            status, content = answer.status, answer.read()
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = getattr(error, "strerror", None) or error or type(error).__name__
        raise e.EngineUnreachable(f"the engine at {url} can't be reached: {cause}") from error
    if status >= 400:
        raise error_from(status, content)
    return json.loads(content)
