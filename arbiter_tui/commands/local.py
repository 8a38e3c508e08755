"""``config check|show|schema|reload`` and ``ledger verify``. Owns: their words. Never: an engine's life."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..config import Config, find, schema
from ..errors import ConfigError
from . import text as t
from .connect import client, load_config, refuse_read_only
from .look import checked


def config(options: Namespace) -> int:
    if options.action == "schema":
        t.out_json(schema())
        return 0
    if options.action == "reload":
        return _reload(options)
    try:
        loaded = load_config(options)
    except ConfigError as error:
        raise _all_that_is_wrong(error) if options.action == "check" else error from None
    if options.action == "show":
        t.out_json({k: v for k, v in _plain(asdict(loaded)).items() if k != "path"})
        return 0
    notes = _whole(loaded)
    path = loaded.path or find()
    if options.json:
        t.out_json({"file": str(path) if path else None, "correct": True, "notes": notes})
    else:
        t.out(f"{path}: correct" if path else "no configuration file; the defaults are in force")
        for note in notes:
            t.out(f"  note: {note}")
    return 0


def _whole(loaded: Config) -> list[str]:
    """What a start would refuse is refused here; what it would warn of is said."""
    from ..adapters.plugins import load_policies
    from ..config_whole import check_blocks, tasks_of, unbound
    from ..daemon import own_suites

    check_blocks(loaded)
    checked(loaded)
    load_policies()
    tasks = tasks_of(loaded)
    own_suites(tasks, loaded.path)
    return unbound(loaded, tasks)


def _all_that_is_wrong(first: ConfigError) -> ConfigError:
    """Where reading ended at one error: that one, and all others of the file."""
    from ..config_flaws import flaws, together

    file = str(first.details.get("file") or "")
    try:
        found = flaws(Path(file).read_text(encoding="utf-8"), file)
    except (OSError, ValueError):
        return first
    return together(found or [first])


def _reload(options: Namespace) -> int:
    """The running engine reads its own file; without one there is nobody to tell."""
    if not options.dry_run:
        refuse_read_only(options, "reload")

    async def ask() -> dict[str, Any]:
        async with client(options, without_engine="fail") as api:
            return dict(await api.post("/arbiter/v1/config/reload", {"dry_run": options.dry_run}))

    answer = asyncio.run(ask())
    if options.json:
        t.out_json(answer)
        return 0
    would = "would count" if options.dry_run else "counts"
    for key in answer["applied"]:
        t.out(f"{key}: {would} from now on")
    for later in answer["not_applied"]:
        t.out(f"{later['key']}: {later['why']}")
    if not answer["applied"] and not answer["not_applied"]:
        t.out(f"{answer['file'] or 'no configuration file'}: nothing has changed")
    return 0


def _plain(value: object) -> dict[str, object]:
    """JSON's own types: sets sorted, paths as text, tuples as lists."""

    def walk(item: object) -> object:
        if isinstance(item, dict):
            return {str(k): walk(v) for k, v in item.items()}
        if isinstance(item, (set, frozenset)):
            return sorted(str(v) for v in item)
        if isinstance(item, (list, tuple)):
            return [walk(v) for v in item]
        return item if isinstance(item, (str, int, float, bool, type(None))) else str(item)

    found = walk(value)
    assert isinstance(found, dict)
    return found


def ledger(options: Namespace) -> int:
    async def ask() -> dict[str, object]:
        async with client(options) as api:
            return dict(await api.get("/arbiter/v1/ledger?verify=true"))

    answer = asyncio.run(ask())
    broken = answer.get("broken")
    t.out_json(answer) if options.json else t.out(f"ledger broken: {broken}" if broken else "the ledger is whole")
    return 1 if broken else 0
