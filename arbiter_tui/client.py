"""The other end of the control wire: all that screens and commands know of the engine.

Owns: the calls of the control API (client_wire.py: how an answer and an error travel). Never: a decision,
a screen. httpx is imported only when a ControlClient is made: ``fetch_json`` and typing cost nothing.

Every call raises an ``ArbiterError`` subclass chosen by the problem's ``code``; EngineUnreachable when nobody answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from .client_wire import CONNECT_S, Running, authorization, fetch_json, translated, use_own_key
from .core.snapshot import Snapshot
from .wire import error_from, parsed, snapshot_from

if TYPE_CHECKING:
    import httpx

__all__ = ["ControlClient", "Running", "error_from", "fetch_json", "use_own_key"]

V1 = "/arbiter/v1"
ANSWER_S = 30.0
ARCHIVE_S = 300.0  # until an archive has arrived


class ControlClient:
    """One engine behind its URL. ``transport``: an httpx transport in place of the network (offline, tests)."""

    def __init__(
        self, url: str, *, transport: httpx.AsyncBaseTransport | None = None, answer_s: float = ANSWER_S
    ) -> None:
        import httpx

        self.url = url.rstrip("/")
        self._answer_s = answer_s
        self._http = httpx.AsyncClient(
            base_url=self.url, transport=transport, trust_env=False, timeout=httpx.Timeout(answer_s, connect=CONNECT_S),
            auth=self._with_key,
        )  # fmt: skip

    def _with_key(self, request: httpx.Request) -> httpx.Request:
        request.headers.update(authorization(self.url))
        return request

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
        with translated(self.url):
            answer = await self._http.request(method, path, **more)
        if answer.is_error:
            raise error_from(answer.status_code, answer.content)
        return parsed(self.url, answer.content)

    async def _bytes(self, method: str, path: str, params: Mapping[str, Any] | None = None, **more: Any) -> bytes:
        with translated(self.url):
            answer = await self._http.request(method, path, params=params, **more)
        if answer.is_error:
            raise error_from(answer.status_code, answer.content)
        return answer.content

    # ── looking ───────────────────────────────────────────────────────────────────────────────────────────────

    async def snapshot(self, after: int | None = None, wait: float | None = None, task: str | None = None) -> Snapshot:
        """The newest; with ``after`` and ``wait`` (seconds) the first newer one, or the same again."""
        found = await self.get(f"{V1}/snapshot", {"after": after, "wait": wait, "task": task})
        return snapshot_from(self.url, found)

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

    async def swaps(self, limit: int = 100, after: str | None = None) -> list[dict[str, Any]]:
        """Newest first, those older than ``after`` (an id)."""
        return list((await self.get(f"{V1}/swaps", {"limit": limit, "after": after}))["items"])

    async def rollouts(self) -> list[dict[str, Any]]:
        """Trials: those under way, then the newest that are over."""
        return list((await self.get(f"{V1}/rollouts"))["items"])

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
        canary: bool = False, at: float | str | None = None, wait: float | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """The swap event with ``warnings``; without ``wait`` (and not dry) the operation. ``canary``: the rollout;
        ``at`` (unix seconds or as a person writes it): the appointment."""
        body: dict[str, Any] = {"task": task, "to": to, "strict": strict, "dry_run": dry_run, "reason": reason}
        body |= {"mode": "canary"} if canary else {}
        body |= {} if at is None else {"at": at}
        return dict(await self.post(f"{V1}/swaps", body, {"wait": wait}))

    async def cancel_swap(self, id: str) -> dict[str, Any]:
        """The swap event, which ends as failed; refused once it is switched."""
        return dict(await self.delete(f"{V1}/swaps/{_q(id)}"))

    async def rollout(self, id: str, order: str) -> dict[str, Any]:
        """``order``: pause, resume, abort, promote. The rollout after it."""
        return dict(await self.post(f"{V1}/rollouts/{_q(id)}/{order}", {}))

    async def rollback(self, task: str, wait: float | None = None) -> dict[str, Any]:
        return dict(await self.post(f"{V1}/tasks/{_q(task)}/rollback", {}, {"wait": wait}))

    async def veto(self, task: str) -> dict[str, Any]:
        """What the autopilot announces for ``task`` does not happen; it is held. Refused where nothing is announced."""
        return dict(await self.post(f"{V1}/tasks/{_q(task)}/veto", {}))

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

    async def export(self, what: Sequence[str] | None = None) -> dict[str, Any]:
        """The operation; when it is done, ``archive(id)`` has what it made."""
        return dict(await self.post(f"{V1}/export", {"what": list(what)} if what else {}))

    async def archive(self, op_id: str) -> bytes:
        """What an export made: JSON lines, packed by gzip."""
        return await self._bytes("GET", f"{V1}/export/{_q(op_id)}")

    async def import_archive(self, data: bytes, *, dry_run: bool = False) -> dict[str, Any]:
        """The operation. ``data``: an archive, packed or not."""
        content = await self._bytes(
            "POST", f"{V1}/import", {"dry_run": "true"} if dry_run else {}, content=data,
            headers={"content-type": "application/octet-stream"}, timeout=ARCHIVE_S,
        )  # fmt: skip
        return dict(parsed(self.url, content))

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


def _q(name: str) -> str:
    return quote(name, safe="")
