"""Import: an archive is read whole, then planned, then committed in one transaction, then learnt.

Owns: what of an archive is new here, what wins where both sides know something, and the report of it. Never: the
format (core/archive.py), which of two records of one origin prevails (core/knowledge.py), SQL.

What is here wins: a task that the configuration defines, or that was changed here, keeps its criteria; an alias that is
set here stays. What was learnt is added, never exchanged. Nothing is registered, loaded or swapped.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..config import patch_task
from ..config_tasks import TASK_SETTINGS
from ..core.cost import Failure, Outcome
from ..core.intake import flaws, sound
from ..core.knowledge import Heard, HeardOutcome, Said, newest, prevails
from ..core.learning import TaskProfile
from ..core.policies import POLICIES
from ..core.registry import Registry
from ..core.tasks import Task
from ..data import bundled_tasks
from ..errors import ArbiterError, ArchiveInvalid, ConfigError
from ..ports import Import
from .archive import Read, reading
from .catalogue import Catalogue
from .evidence import Evidence
from .keyring import who
from .knowledge import Knowledge
from .live import Live
from .slices import sliced

IDS_AT_ONCE = 2_000
NEW = ("outcomes", "grades", "profiles", "models", "traffic", "tasks", "aliases")
_OUTCOME = frozenset(f for f in Outcome.__dataclass_fields__)
_MODEL = (
    "version", "provider", "name", "digest", "quantization", "family", "parameters", "file_bytes", "context",
    "capabilities", "licence",
)  # fmt: skip


@dataclass(slots=True)
class Plan:
    """What an archive would change. ``graded``: outcomes that were known without a grade; ``told``: the report."""

    heard: Heard
    graded: list[HeardOutcome]
    said: Heard
    profiles: list[TaskProfile] = field(default_factory=list)
    registry: Registry | None = None
    tasks: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        nothing = not (self.heard.said or self.heard.outcomes or self.graded or self.profiles)
        return nothing and self.registry is None and not self.tasks


class Imports:
    def __init__(
        self, live: Live, evidence: Evidence, knowledge: Knowledge, catalogue: Catalogue,
        *, origin: Callable[[], Any], check_task: Callable[[Task | None, Task], None],
        apply_task: Callable[[str, Mapping[str, Any]], Task],
    ) -> None:  # fmt: skip
        self._live, self._evidence, self._knowledge, self._catalogue = live, evidence, knowledge, catalogue
        self._origin, self._check_task, self._apply_task = origin, check_task, apply_task
        self._one_at_a_time = asyncio.Lock()

    async def run(self, data: bytes, *, dry_run: bool, tell: Callable[[float], None]) -> dict[str, Any]:
        """The report. ``tell`` hears the share (0..1) that is done. Raises ArchiveInvalid, StoreError: then nothing has
        changed. Once the commit has begun, it is too late to cancel."""
        read = Read()
        async for _ in sliced(reading(data, read)):
            tell(0.8 * read.share)
        async with self._one_at_a_time, self._catalogue.changing:
            plan = await self._plan(read)
            tell(0.9)
            if dry_run or plan.empty:
                return {**plan.told, "dry_run": dry_run}
            await _to_its_end(self._commit(plan))
        await self._catalogue.fill_routes()
        return {**plan.told, "dry_run": False}

    async def _commit(self, plan: Plan) -> None:
        told = plan.told
        subject = f"sha256:{told['sha256'][:16]} of {told['origin'][:16]}: " + ", ".join(
            f"{n} {what}" for what, n in told["new"].items() if n
        )
        heard = replace(plan.heard, outcomes=[*plan.heard.outcomes, *plan.graded])
        change = Import(
            heard=heard, profiles=plan.profiles, registry=plan.registry, tasks=plan.tasks, who=who(), subject=subject
        )
        await self._live.store.take_in(change)
        if plan.registry is not None:
            self._live.registry = plan.registry
        for name in plan.tasks:
            self._apply_task(name, plan.tasks[name])
        for profile in plan.profiles:
            self._evidence.adopt_profile(profile)
        await self._knowledge.took(plan.heard.outcomes, plan.graded, plan.said.said)
        self._live.event("import", f"an archive was taken in: {subject}")

    # ── the plan ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _plan(self, read: Read) -> Plan:
        own = await self._origin()
        header = read.header
        machines = {**header.get("machines", {}), header["origin"]: header["machine"]}
        await self._check_models(read, header["origin"])
        outcomes, graded = await self._new_outcomes(read, header["origin"])
        said, profiles = await self._new_records(read, own, machines, outcomes)
        registry, aliases, kept = self._aliases(read, machines)
        tasks, more = await self._tasks(read)
        after = {s.key: s for s in (*await self._live.store.said(), *said)}
        plan = Plan(
            heard=Heard(said=said, outcomes=outcomes), graded=graded, said=Heard(said=list(after.values())),
            profiles=profiles, registry=registry, tasks=tasks,
        )  # fmt: skip
        new = Counter(f"{s.kind}s" if s.kind != "traffic" else s.kind for s in said if s.kind != "machine")
        new["profiles"] += len(profiles)
        told = {"outcomes": len(outcomes), "grades": len(graded), **new, "tasks": len(tasks), "aliases": len(aliases)}
        plan.told = {
            "arbiter": header["arbiter"], "made_at": header["made_at"], "origin": header["origin"],
            "machine": header["machine"], "sha256": header["sha256"],
            "same_machine": bool(self._knowledge.machine) and header["machine"] == self._knowledge.machine,
            "counts": dict(sorted(read.counts.items())), "skipped": dict(sorted(read.skipped.items())),
            "new": {k: told.get(k, 0) for k in NEW},
            "known": {"outcomes": read.counts["outcome"] - len(outcomes)},
            "versions": self._versions(read, machines, outcomes), "kept": [*more, *kept],
        }  # fmt: skip
        return plan

    async def _check_models(self, read: Read, origin: str) -> None:
        """An outcome or alias speaks of a model that has a line, and no outcome stands there twice."""
        models = {(line.get("origin", origin), line["version"]) for _, kind, line in read.lines if kind == "model"}
        seen: dict[str, int] = {}
        async for number, kind, line in sliced(read.lines, 500):
            if kind in ("outcome", "alias") and (line.get("origin", origin), line["version"]) not in models:
                raise _at(
                    number, "version", f"{kind}): version must be one that has a model line, not {line['version']!r}"
                )
            if kind == "outcome" and (first := seen.setdefault(line["id"], number)) != number:
                raise _at(number, "id", f"outcome): id must be unique, and is that of line {first}")

    async def _new_outcomes(self, read: Read, origin: str) -> tuple[list[HeardOutcome], list[HeardOutcome]]:
        """Those whose id is known neither here nor from before; and those that were known, and have their grade now."""
        found = [
            HeardOutcome(line.get("origin", origin), self._outcome(line))
            async for _, kind, line in sliced(read.lines, 250) if kind == "outcome"
        ]  # fmt: skip
        known, without = set[str](), set[str]()
        for start in range(0, len(found), IDS_AT_ONCE):
            part = found[start : start + IDS_AT_ONCE]
            known |= await self._live.store.known([h.outcome.id for h in part])
            without |= await self._live.store.ungraded([h.outcome.id for h in part if h.outcome.quality is not None])
        new = await asyncio.to_thread(newest, [h for h in found if h.outcome.id not in known])
        return new, [h for h in found if h.outcome.id in without]

    def _outcome(self, line: Mapping[str, Any]) -> Outcome:
        """A moment of the future is now: who made the archive with a wrong clock reports all the same."""
        given = {k: v for k, v in line.items() if k in _OUTCOME}
        failure = given.get("failure")
        made = Outcome(**{**given, "failure": None if failure is None else Failure(failure)})
        now = self._live.clock.now()
        return sound(made, flaws(made, now), now)

    async def _new_records(
        self, read: Read, own: str, machines: Mapping[str, str], outcomes: Sequence[HeardOutcome]
    ) -> tuple[list[Said], list[TaskProfile]]:
        """Records that prevail over what the same origin said before; and of this state folder itself the profiles that
        were later than those here, and what its lost outcomes need to be known by."""
        lost = {h.outcome.version for h in outcomes if h.origin == own}
        before = {s.key: s for s in await self._live.store.said()}
        fresh, profiles = dict[tuple[str, str, str], Said](), list[TaskProfile]()
        async for one in sliced(self._records(read, machines)):
            if one.origin == own and one.kind == "profile":
                if one.data["requests"] > self._evidence.profile(one.name).requests:
                    profiles.append(TaskProfile.from_dict(one.data))
            elif one.origin == own and not (one.name in lost or (lost and one.kind == "machine")):
                continue  # what is here knows it better
            elif prevails(one, fresh.get(one.key, before.get(one.key))):
                fresh[one.key] = one
        return list(fresh.values()), profiles

    def _records(self, read: Read, machines: Mapping[str, str]) -> Iterator[Said]:
        origin, made_at = read.header["origin"], read.header["made_at"]
        for name, machine in machines.items():
            yield Said(kind="machine", origin=name, name="", at=made_at, data={"machine": machine})
        for _, kind, line in read.lines:
            base: dict[str, Any] = {"origin": line.get("origin", origin), "at": line.get("at", made_at)}
            if kind == "model":
                data = {k: line.get(k) for k in _MODEL}
                yield Said(kind=kind, name=line["version"], data=data, **base)
            elif kind == "profile":
                data = TaskProfile.from_dict({**line["profile"], "task": line["task"]}).as_dict()
                yield Said(kind=kind, name=line["task"], data=data, **base)
            elif kind == "traffic":
                yield Said(kind=kind, name="", data={"rates": line["rates"], "seen": line["seen"]}, **base)

    # ── what is here wins ─────────────────────────────────────────────────────────────────────────────────────

    def _aliases(
        self, read: Read, machines: Mapping[str, str]
    ) -> tuple[Registry | None, list[str], list[dict[str, str]]]:
        origin, registry = read.header["origin"], self._live.registry
        models = {
            line["version"]: line for _, kind, line in read.lines
            if kind == "model" and line.get("origin", origin) == origin
        }  # fmt: skip
        made, kept = list[str](), list[dict[str, str]]()
        for _, kind, line in read.lines:
            if kind != "alias":
                continue
            alias, here = line["alias"], self._knowledge.match(origin, models[line["version"]], machines)
            known = registry.aliases.get(alias)
            if known is None and here and alias not in registry.versions:
                registry = registry.alias(alias, line["version"] if line["version"] in here else here[0])
                made.append(alias)
            elif known is not None and known not in here:
                kept.append(_kept(f"alias {alias}", f"here it means {known}, there {line['version']}"))
            elif known is None:
                why = "a version here has that name" if here else f"{line['version']} is not here"
                kept.append(_kept(f"alias {alias}", why))
        return (registry if made else None), made, kept

    async def _tasks(self, read: Read) -> tuple[dict[str, Mapping[str, Any]], list[dict[str, str]]]:
        """The patches of tasks that are unknown here, or bundled ones that nobody has changed here."""
        changed = await self._live.store.note("tasks") or {}
        bundled = {t.name: t for t in bundled_tasks()}
        defined = {t.name for t in self._live.config.tasks if bundled.get(t.name) != t}
        patches, kept = dict[str, Mapping[str, Any]](), list[dict[str, str]]()
        for number, kind, line in read.lines:
            if kind != "task":
                continue
            name, here = line["task"], self._live.tasks.get(line["task"])
            settings, patch = (
                _settings(number, name, line["settings"]),
                _settings(number, name, line.get("changed", {})),
            )
            if here is not None and (name in defined or name in changed):
                why = "the configuration defines it" if name in defined else "it was changed here"
                kept += _different(name, here, line["settings"], why)
            elif wanted := settings if here is None else patch:
                refused = self._refused(name, here, wanted)
                if refused is None:
                    patches[name] = wanted
                else:
                    kept.append(_kept(f"task {name}", refused))
        return patches, kept

    def _refused(self, name: str, here: Task | None, patch: Mapping[str, Any]) -> str | None:
        """Why this can't be made of a task here."""
        if patch.get("policy", "bandit") not in POLICIES:
            return f"no policy is called {str(patch['policy'])[:64]} here"
        try:
            self._check_task(here, patch_task(here or Task(name=name), patch))
        except ArbiterError as error:
            return str(error)
        return None

    # ── the report ────────────────────────────────────────────────────────────────────────────────────────────

    def _versions(self, read: Read, machines: Mapping[str, str], outcomes: list[HeardOutcome]) -> list[dict[str, Any]]:
        """Each version of the archive: what it is called here, and how many of its outcomes and grades are new."""
        new = Counter((h.origin, h.outcome.version) for h in outcomes)
        graded = Counter((h.origin, h.outcome.version) for h in outcomes if h.outcome.quality is not None)
        rows = []
        for _, kind, line in read.lines:
            if kind == "model":
                origin = line.get("origin", read.header["origin"])
                key = (origin, line["version"])
                measured_here = bool(self._knowledge.machine) and machines.get(origin) == self._knowledge.machine
                rows.append({
                    "version": line["version"], "origin": origin, "here": self._knowledge.match(origin, line, machines),
                    "outcomes": new[key], "graded": graded[key], "same_machine": measured_here,
                })  # fmt: skip
        return rows


def _settings(number: int, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Those that this arbiter knows, checked whether they are used or not. Raises ArchiveInvalid."""
    known = {k: v for k, v in given.items() if v is not None and (k in TASK_SETTINGS or k == "unset") and k != "name"}
    try:
        patch_task(Task(name=name), known)
    except ConfigError as error:
        raise _at(number, "settings", f"task): {error}") from error
    return known


def _different(name: str, here: Task, there: Mapping[str, Any], why: str) -> list[dict[str, str]]:
    """One row per task whose settings differ: what stays."""
    mine = here.as_dict()
    differ = [f"{k} {mine.get(k)!r} stays, {v!r} there" for k, v in there.items() if k in mine and _plain(mine[k]) != v]
    return [_kept(f"task {name}", f"{why}: {'; '.join(differ)}")] if differ else []


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else str(value) if type(value).__mro__[1:2] == (str,) else value


def _kept(what: str, why: str) -> dict[str, str]:
    return {"what": what, "why": why[:400]}


def _at(number: int, name: str, rest: str) -> ArchiveInvalid:
    return ArchiveInvalid(f"line {number} ({rest}", details={"line": number, "field": name})


async def _to_its_end(work: Any) -> None:
    """What has begun to be committed is committed and learnt, though whoever waits is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        if task.cancelled():
            raise
        await task
        current = asyncio.current_task()
        if current is not None:
            current.uncancel()
