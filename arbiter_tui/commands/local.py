"""``config check|show|schema`` and ``ledger verify``. Owns: their words. Never: an engine's life."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from dataclasses import asdict

from ..config import Config, find, schema
from ..errors import ConfigError
from . import text as t
from .connect import client, load_config
from .look import checked


def config(options: Namespace) -> int:
    if options.action == "schema":
        t.out_json(schema())
        return 0
    loaded = load_config(options)
    if options.action == "show":
        t.out_json({k: v for k, v in _plain(asdict(loaded)).items() if k != "path"})
        return 0
    path = loaded.path or find()
    _check_kinds(loaded)
    checked(loaded)
    t.out(f"{path}: correct" if path else "no configuration file; the defaults are in force")
    return 0


def _check_kinds(loaded: Config) -> None:
    """What is installed is no matter of the file's grammar; still a kind that nobody provides would stop the engine."""
    from ..adapters.plugins import provider_kinds

    known = provider_kinds()
    for block in loaded.providers:
        if block.kind not in known:
            where = f"{loaded.path}: providers.{block.name}.kind"
            raise ConfigError(f"{where}: {block.kind!r} is not installed; known: {', '.join(known)}")


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
