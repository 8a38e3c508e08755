"""Another configuration while the engine serves: what counts at once, and what only the next start can change.

Owns: which key is which, and the order of the change. Never: reads a file (its caller has), touches an instance, a
lease or a request.

At once: tasks and their suites, rules, constitution, webhooks (the caller's), models that are new, autopilot, rollout,
schedule, [server] limits, hosts and cors_origins, the pool's queue_limit, idle_ttl_s and max_loaded, how many replicas
there may be. Whatever can fail is computed before; then one synchronous step replaces it all, so that no request sees
half of it. What is not taken over keeps its old value and is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from ..config import Config, patch_task
from ..core.tasks import Task
from ..core.verify import SuiteItem
from ..errors import ArbiterError

if TYPE_CHECKING:
    from .arbiter import Arbiter

AT_ONCE = ("tasks", "rules", "constitution", "webhooks", "autopilot", "rollout", "schedule")
OF_SERVER = ("limits", "hosts", "cors_origins")
OF_POOL = ("queue_limit", "idle_ttl_s", "max_loaded")
OF_BLOCKS: Mapping[str, tuple[str, ...]] = {"models": ("replicas",), "providers": ("replicas",)}
RESTART = "counts from the next start on"
_WHY = {
    "server": f"{RESTART}: the address is bound and its doors are hung when the engine starts",
    "providers": f"{RESTART}: a provider's processes and connections are its own from the start",
    "tui": "is the cockpit's: it reads it when it starts",
}
_CHANGED_MODEL = "a registered version never changes: give the block another name to make another version"
_GONE_MODEL = "its version stays registered: deprecate it"
_GONE_TASK = f"{RESTART}: requests and history still name it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """Dotted keys, as in the file; ``later``: key -> why it does not count now."""

    applied: tuple[str, ...] = ()
    later: Mapping[str, str]

    @property
    def changed(self) -> bool:
        return bool(self.applied or self.later)


def compare(old: Config, new: Config) -> Reloaded:
    """What a change from ``old`` to ``new`` would do."""
    applied, later = [], {}
    for key in differences(old, new):
        why = _obstacle(key, old, new)
        if why is None:
            applied.append(key)
        else:
            later[key] = why
    return Reloaded(applied=tuple(applied), later=later)


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Dotted keys whose values differ; blocks by their names."""
    for field in fields(old):
        before, after, key = getattr(old, field.name), getattr(new, field.name), f"{path}{field.name}"
        if key == "path" or before == after:
            continue
        if is_dataclass(before) and is_dataclass(after):
            yield from differences(before, after, f"{key}.")
        else:
            yield from _blocks(key, before, after)


def _blocks(key: str, before: Any, after: Any) -> Iterator[str]:
    several = isinstance(before, tuple) and isinstance(after, tuple)
    if not several or not all(hasattr(item, "name") for item in (*before, *after)):
        yield key
        return
    was, now = ({item.name: item for item in items} for items in (before, after))
    names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    if not names:
        yield key  # the same blocks in another order
    for name in names:
        yield from _of_block(key, name, was.get(name), now.get(name))


def _of_block(key: str, name: str, before: Any, after: Any) -> Iterator[str]:
    """The block; of one that stays what may change in it by itself."""
    parts = [] if before is None or after is None else [
        f.name for f in fields(before) if getattr(before, f.name) != getattr(after, f.name)
    ]  # fmt: skip
    own = [part for part in parts if key in OF_BLOCKS and part in OF_BLOCKS[key]]
    yield from (f"{key}.{name}.{part}" for part in own)
    if not parts or len(own) < len(parts):
        yield f"{key}.{name}"


def _obstacle(key: str, old: Config, new: Config) -> str | None:
    """Why a changed key does not count now; None: it does."""
    section, _, name = key.partition(".")
    if (section == "server" and name.split(".")[0] in OF_SERVER) or (section == "pool" and name in OF_POOL):
        return None
    block, _, part = name.rpartition(".")
    if part in OF_BLOCKS.get(section, ()) and any(known.name == block for known in getattr(old, section)):
        return None
    if section == "models":
        if all(block.name != name for block in old.models):
            return None
        return _CHANGED_MODEL if any(block.name == name for block in new.models) else _GONE_MODEL
    if section == "tasks" and all(task.name != name for task in new.tasks):
        return _GONE_TASK
    return None if section in AT_ONCE else _WHY.get(section, RESTART)


def _kept(old: Config, new: Config) -> Config:
    """``new`` where it counts now, ``old`` elsewhere; tasks that are gone stay until the next start."""
    server = replace(old.server, **{name: getattr(new.server, name) for name in OF_SERVER})
    pool = replace(old.pool, **{name: getattr(new.pool, name) for name in OF_POOL})
    named = {task.name for task in new.tasks}
    tasks = (*new.tasks, *(task for task in old.tasks if task.name not in named))
    added = tuple(block for block in new.models if all(block.name != known.name for known in old.models))
    providers = _with_own("providers", old.providers, new.providers)
    models = (*_with_own("models", old.models, new.models), *added)
    taken = {name: getattr(new, name) for name in AT_ONCE if name != "tasks"}
    return replace(old, **taken, server=server, pool=pool, tasks=tasks, providers=providers, models=models)


def _with_own(section: str, old: tuple[Any, ...], new: tuple[Any, ...]) -> tuple[Any, ...]:
    """The old blocks with what may change in them."""
    now = {block.name: block for block in new}
    return tuple(
        replace(block, **{part: getattr(now.get(block.name, block), part) for part in OF_BLOCKS[section]})
        for block in old
    )


async def adopt(arbiter: Arbiter, new: Config, suites: Mapping[str, Sequence[SuiteItem]]) -> Reloaded:
    """Take ``new`` over as far as that goes while serving. ``new.tasks`` are all tasks, as for Arbiter."""
    found = compare(arbiter.config, new)
    live = arbiter.live
    patches = await live.store.note("tasks") or {}  # what operators changed at run time lies over the file
    before, kept = arbiter.config, _kept(arbiter.config, new)
    arbiter.config = live.config = kept
    live.suites = suites
    arbiter.admission.constitution.adopt()
    arbiter.pool.adopt(**{name: getattr(kept.pool, name) for name in OF_POOL})
    if kept.tasks != before.tasks:
        _put_tasks(arbiter, kept.tasks, patches)
    for tell in live.on_config:
        tell(kept)
    if kept.constitution != before.constitution:
        arbiter.admission.constitution.tell()
    known = {block.name for block in before.models}
    await arbiter.catalogue.configured([block for block in kept.models if block.name not in known])
    await arbiter.catalogue.fill_routes()
    if found.applied:
        live.event("config", f"reloaded: {', '.join(found.applied)}")
    return found


def _put_tasks(arbiter: Arbiter, tasks: Sequence[Task], patches: Mapping[str, Mapping[str, Any]]) -> None:
    live = arbiter.live
    for task in tasks:
        live.tasks[task.name] = task
    for name, patch in patches.items():
        try:
            changed = patch_task(live.tasks.get(name) or Task(name=name), patch)
            arbiter.admission.constitution.check_change(live.tasks.get(name), changed)
            live.tasks[name] = changed
        except ArbiterError as error:
            live.alert("warning", f"a stored change of task {name} no longer applies: {error}", task=name)
    live.on_dirty()
