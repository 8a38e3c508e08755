"""The control API's writing half. An answer of 2xx comes after the engine's commit.

Owns: which write exists, its fields, and whether it is waited for. Never: whether it is allowed (the engine says).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

from ..adapters.surroundings import Finding, look, usual_folders
from ..config import OPTIONAL
from ..core.cost import Failure, Outcome
from ..core.prompts import fingerprint
from ..core.snapshot import SwapView, to_wire
from ..engine.arbiter import Arbiter
from ..engine.reported import SOURCE
from ..errors import Refused, UnknownName
from .bodies import Field, Fields, invalid
from .calls import WAIT, Ask, Call, Reply
from .control import Reads, operation_reply
from .control_fetch import Fetch
from .control_trials import Trials
from .fields import bare_id
from .operations import Operations
from .problems import BadRequest

NAME = Field("text", required=True)
MODES = ("on", "observe", "off")
WAITED: Fields = {"wait": Field("number", low=0, high=600, help="wait so many seconds for the end, else 202")}
REFUSED_WITHIN_S = 0.05
SHARE = Field("number", low=0, high=1)
SECONDS = Field("number", low=0)
COUNT = Field("integer", low=0)
CRITERIA: Fields = {
    "capabilities": Field("texts"), "hardware": Field("text"), "max_latency_s": SECONDS, "max_memory_bytes": COUNT,
    "min_context": COUNT, "quality_threshold": SHARE, "weights": Field("object"),
    "preference": Field("text", choices=("fast", "quality", "low_memory")), "latency_budget_s": SECONDS,
    "memory_budget_bytes": COUNT,
}  # fmt: skip
UNSET = Field("texts", help="criteria of the task that shall constrain nothing")
OUTCOME: Fields = {
    "id": Field("text", help="the same id again changes nothing"), "task": NAME, "version": NAME,
    "success": Field("flag", required=True), "quality": SHARE, "latency_s": SECONDS, "ttft_s": SECONDS,
    "tokens_in": COUNT, "tokens_out": COUNT, "memory_bytes": COUNT, "energy_j": SECONDS, "at": SECONDS,
    "failure": Field("text", choices=tuple(f.value for f in Failure)),
    "item": Field("text", help="a name of the prompt: what versions got for the same one is compared; it is not kept"),
}  # fmt: skip


Reload = Callable[[bool], Awaitable[dict[str, Any]]]


class Writes:
    def __init__(
        self, arbiter: Arbiter, operations: Operations, reads: Reads, *, on_stop: Callable[[], None],
        on_reload: Reload | None,
    ) -> None:  # fmt: skip
        self._arbiter = arbiter
        self._operations = operations
        self._reads = reads
        self._on_stop = on_stop
        self._on_reload = on_reload
        self._trials = Trials(arbiter)

    def calls(self) -> list[Call]:
        swap = {
            "task": NAME, "to": NAME, "mode": Field("text", choices=("immediate", "canary")), "at": Field("any"),
            "strict": Field("flag"), "dry_run": Field("flag"), "reason": Field("text"),
        }  # fmt: skip
        model = {
            "provider": NAME, "source": NAME, "name": Field("text"), "labels": Field("texts"),
            "pull": Field("flag", help="the runtime fetches it first: 202 and an operation"),
        }  # fmt: skip
        return [
            Call(method="POST", path="/models", summary="Register; the same content again: 200, the same version",
                 do=self.register, body=model, query=WAITED, answer="ModelView", status=201),
            *(self._model_call(action) for action in _ACTIONS),
            Call(method="PUT", path="/aliases/{a}", summary="Move an alias", do=self.alias,
                 body={"version": NAME}, answer="ModelView"),
            Call(method="POST", path="/discover", summary="What runs and lies on this machine", do=self.discover,
                 looks=lambda body: not body.get("apply"), answer="Objects",
                 body={"apply": Field("flag", help="register what is found")}),
            Call(method="PUT", path="/tasks", summary="Create or change a task (fields of a [[tasks]] block)",
                 do=self.put_tasks, opaque=True),
            Call(method="PUT", path="/tasks/{t}", summary="Change one task", do=self.put_task, opaque=True),
            Call(method="PUT", path="/tasks/{t}/autopilot", summary="on, observe or off", do=self.autopilot,
                 body={"mode": Field("text", required=True, choices=MODES)}),
            Call(method="PUT", path="/autopilot", summary="on, observe or off, for every task", do=self.autopilot_all,
                 body={"mode": Field("text", required=True, choices=MODES)}),
            Call(method="POST", path="/select", summary="Who would serve, and why; changes nothing", do=self.select,
                 looks=lambda _: True, body={"task": NAME, **CRITERIA, "unset": UNSET}, answer="Selection"),
            Call(method="POST", path="/swaps", summary="Swap a task to a version; as a canary, or at a time: 202",
                 do=self.swap, body=swap, looks=lambda body: bool(body.get("dry_run")),
                 query=WAITED, answer="SwapView"),
            *self._trials.calls(),
            Call(method="POST", path="/tasks/{t}/rollback", summary="The previous version serves again",
                 do=self.rollback, body={}, query=WAITED, answer="SwapView"),
            Call(method="POST", path="/tasks/{t}/veto", summary="What the autopilot announces does not happen",
                 do=self.veto, body={}),
            Call(method="POST", path="/outcomes", summary="Report requests measured elsewhere: one, a list, or {items}",
                 do=self.outcomes, body=OUTCOME, lists=True, status=202),
            Call(method="POST", path="/feedback", summary="A user's grade of an answer, or its correction",
                 do=self.feedback,
                 body={"request_id": NAME, "score": Field("number", required=True, low=0, high=1),
                       "comment": Field("text")}),
            Call(method="POST", path="/bench", summary="Run the internal benchmark", do=self.bench,
                 body={"tasks": Field("texts"), "versions": Field("texts")}, query={"wait": WAIT},
                 answer="OperationView", status=202),
            Call(method="DELETE", path="/operations/{id}", summary="Cancel long work", do=self.cancel,
                 answer="OperationView"),
            Call(method="POST", path="/config/reload", summary="Read the configuration file again; nothing is unloaded",
                 do=self.reload, body={"dry_run": Field("flag", help="only say what would change")},
                 looks=lambda body: bool(body.get("dry_run"))),
            Call(method="POST", path="/engine/stop", summary="Drain and stop the engine", do=self.stop, body={},
                 status=202),
        ]  # fmt: skip

    # ── models ────────────────────────────────────────────────────────────────────────────────────────────────

    def _model_call(self, action: str) -> Call:
        async def do(ask: Ask) -> Reply:
            return await self._on_model(action, ask)

        return Call(method="POST", path=f"/models/{{v}}/{action}", summary=_ACTIONS[action], do=do, body={},
                    query=WAITED, answer="ModelView")  # fmt: skip

    async def _on_model(self, action: str, ask: Ask) -> Reply:
        version = self._arbiter.registry.get(ask.path["v"]).version
        work: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
            "warm": lambda: self._arbiter.warm(version),
            "unload": lambda: self._arbiter.unload(version),
            "pin": lambda: self._arbiter.pin(version, True),
            "unpin": lambda: self._arbiter.pin(version, False),
            "activate": lambda: self._arbiter.activate(version),
            "deprecate": lambda: self._arbiter.deprecate(version),
        }
        if action not in ("warm", "unload"):  # these are commits, not work: there is nothing to wait for
            await work[action]()
            return Reply(self._reads.one_model(version))

        async def run() -> dict[str, Any]:
            await work[action]()
            return self._reads.one_model(version)

        id = self._operations.start(
            action, version, run(), progress=lambda: self._progress(version),
            on_cancel=lambda: self._arbiter.pool.cancel_load(version) if action == "warm" else None,
        )  # fmt: skip
        return await self._waited(id, ask)

    def _progress(self, version: str) -> tuple[float | None, float | None]:
        view = self._arbiter.pool.view(version)
        return (None, None) if view is None else (view.progress, view.eta_s)

    async def _waited(self, id: str, ask: Ask) -> Reply:
        """200 and the result if the client waits long enough; a refusal that comes at once is told either way."""
        wait = ask.query.get("wait", 0.0)
        result = await self._operations.outcome(id, wait or REFUSED_WITHIN_S)
        if result is None or not wait:
            return operation_reply(to_wire(self._operations.get(id)))
        return Reply(dict(result))

    async def register(self, ask: Ask) -> Reply:
        b = ask.body
        if not b.get("pull"):
            return await self._registered(b)
        fetch = Fetch(self._arbiter, b["provider"], b["source"])

        async def run() -> Mapping[str, Any]:
            await fetch.run()
            return dict((await self._registered(b)).body)

        return await self._waited(self._operations.start("pull", b["source"], run(), progress=fetch.progress), ask)

    async def _registered(self, b: Mapping[str, Any]) -> Reply:
        known = frozenset(self._arbiter.registry.versions)
        version = await self._arbiter.register(
            b["provider"], b["source"], name=b.get("name"), labels=tuple(b.get("labels", ()))
        )
        again = version.version in known
        return Reply({**self._reads.one_model(version.version), "known": again}, status=200 if again else 201)

    async def alias(self, ask: Ask) -> Reply:
        version = await self._arbiter.alias(ask.path["a"], ask.body["version"])
        return Reply({"alias": ask.path["a"], **self._reads.one_model(version.version)})

    async def discover(self, ask: Ask) -> Reply:
        found = await self._arbiter.discover(apply=ask.body.get("apply", False))
        registered = self._arbiter.registry.versions
        items = [
            {**asdict(v), "capabilities": sorted(v.capabilities), "registered": v.version in registered} for v in found
        ]
        return Reply({"items": items, "next": None, "around": [asdict(f) for f in await self._around()]})

    async def _around(self) -> list[Finding]:
        """What nobody has configured yet."""
        config, registry = self._arbiter.config, self._arbiter.registry
        known = [v.source for v in registry.versions.values()]
        known += [str(block.options.get("base_url", "")) for block in config.providers]
        folders = [*usual_folders(), *(Path(folder) for folder in config.pool.model_dirs)]
        return await look(known=known, own_port=config.server.port, folders=folders)

    # ── tasks ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def put_tasks(self, ask: Ask) -> Reply:
        task = await self._arbiter.put_task({_TASK_KEYS.get(k, k): v for k, v in ask.body.items()})
        return Reply(self._reads.one_task(task.name))

    async def put_task(self, ask: Ask) -> Reply:
        patch = {_TASK_KEYS.get(k, k): v for k, v in ask.body.items()}
        task = await self._arbiter.put_task({**patch, "name": patch.get("name", ask.path["t"])})
        return Reply(self._reads.one_task(task.name))

    async def autopilot(self, ask: Ask) -> Reply:
        task = ask.path["t"]
        if task not in self._arbiter.tasks:
            raise UnknownName("task", task, self._arbiter.tasks)
        await self._arbiter.set_autopilot(ask.body["mode"], task)
        return Reply({"task": task, "mode": ask.body["mode"]})

    async def autopilot_all(self, ask: Ask) -> Reply:
        await self._arbiter.set_autopilot(ask.body["mode"], None)
        return Reply({"task": None, "mode": ask.body["mode"]})

    async def select(self, ask: Ask) -> Reply:
        overrides = {k: v for k, v in ask.body.items() if k not in ("task", "unset")}
        for name in ask.body.get("unset", ()):
            if name not in OPTIONAL:
                raise invalid("unset", f"{name[:64]!r} can't be unset; {', '.join(OPTIONAL)} can")
            overrides.setdefault(name, None)
        choice = self._arbiter.select(ask.body["task"], **overrides)
        return Reply({
            "task": ask.body["task"], "primary": choice.primary, "fallback": choice.fallback,
            "confidence": choice.confidence, "scores": [to_wire(row) for row in choice.scores],
            "reasoning": list(choice.reasoning), "disqualified": dict(choice.disqualified),
            **self._arbiter.autopilot.held(ask.body["task"]),
        })  # fmt: skip

    # ── swaps ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def swap(self, ask: Ask) -> Reply:
        b = ask.body
        if (other := await self._trials.swap(b)) is not None:
            return other
        strict, reason = b.get("strict", False), b.get("reason", "")
        if b.get("dry_run"):
            return Reply(swap_body(await self._arbiter.swap(b["task"], b["to"], strict=strict, dry_run=True)))
        if not ask.query.get("wait"):  # nobody will read the task's error: what can be refused is refused now
            await self._arbiter.swap(b["task"], b["to"], strict=strict, dry_run=True)

        async def run() -> dict[str, Any]:
            return swap_body(await self._arbiter.swap(b["task"], b["to"], strict=strict, reason=reason))

        return await self._waited(self._operations.start("swap", f"{b['task']} → {b['to']}", run()), ask)

    async def rollback(self, ask: Ask) -> Reply:
        task = ask.path["t"]

        async def run() -> dict[str, Any]:
            return swap_body(await self._arbiter.rollback(task))

        if task not in self._arbiter.tasks:
            raise UnknownName("task", task, self._arbiter.tasks)
        return await self._waited(self._operations.start("rollback", task, run()), ask)

    async def veto(self, ask: Ask) -> Reply:
        return Reply(await self._arbiter.autopilot.veto(ask.path["t"]))

    # ── evidence ──────────────────────────────────────────────────────────────────────────────────────────────

    async def outcomes(self, ask: Ask) -> Reply:
        now = self._arbiter.clock.now()
        found = [self._outcome(item, now) for item in ask.body]
        await self._arbiter.report(found)
        return Reply({"accepted": len(found), "ids": [o.id for o in found]}, status=202)

    def _outcome(self, item: Mapping[str, Any], now: float) -> Outcome:
        given = dict(item)
        version = self._arbiter.registry.get(given.pop("version")).version
        failure, item = given.pop("failure", None), given.pop("item", None)
        return Outcome(
            id=given.pop("id", None) or uuid4().hex, at=given.pop("at", now), version=version, source="reported",
            failure=None if failure is None else Failure(failure),
            quality_source="reported" if given.get("quality") is not None else None,
            item=None if item is None else fingerprint([str(item)]), **given,
        )  # fmt: skip

    async def feedback(self, ask: Ask) -> Reply:
        b = ask.body
        try:
            outcome = await self._arbiter.feedback(bare_id(b["request_id"]), float(b["score"]), b.get("comment", ""))
        except UnknownName as error:
            told = f"{error}: a request's id is the header X-Arbiter-Request-Id of its answer"
            raise BadRequest(told, status=404, code=error.code, details=error.details) from error
        return Reply({"request_id": outcome.id, "task": outcome.task, "version": outcome.version,
                      "quality": outcome.quality, "quality_source": outcome.quality_source,
                      "counts": outcome.quality_source == SOURCE})  # fmt: skip

    async def bench(self, ask: Ask) -> Reply:
        view = await self._arbiter.start_bench(ask.body.get("tasks"), ask.body.get("versions"))
        return operation_reply(to_wire(view))

    async def cancel(self, ask: Ask) -> Reply:
        return Reply(to_wire(await self._operations.cancel(ask.path["id"])))

    async def reload(self, ask: Ask) -> Reply:
        if self._on_reload is None:
            raise Refused("this engine was given its configuration by a program, and can't read it again")
        return Reply(await self._on_reload(ask.body.get("dry_run", False)))

    async def stop(self, ask: Ask) -> Reply:
        self._on_stop()
        return Reply({"state": "draining"}, status=202)


_ACTIONS = {
    "warm": "Load it now",
    "unload": "Drain it, then end its process",
    "pin": "Never evict it",
    "unpin": "May be evicted again",
    "activate": "Tasks may use it",
    "deprecate": "Tasks no longer choose it",
}
_TASK_KEYS = {"task": "name"}  # GET shows a task's name as `task`; what was read may be sent back


def swap_body(view: SwapView) -> dict[str, Any]:
    """The swap event, ``warnings`` beside it."""
    return {**to_wire(view), "warnings": list(view.evidence.get("warnings", ()))}
