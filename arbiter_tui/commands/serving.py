"""``arbiter``, ``attach``, ``serve``, ``stop``: the life of an engine and of the cockpit on it.

Owns: who started what, and therefore who may end it. Never: drawing.
"""

from __future__ import annotations

import asyncio
import os
import sys
from argparse import Namespace
from typing import Any

from ..errors import ConfigError
from . import text as t
from .connect import client, engine_url, load_config, refuse_read_only, running, state_dir


def serve(options: Namespace) -> int:
    if options.read_only:
        raise ConfigError("an engine records what it serves and can't be read-only; its cockpits and commands can")
    from ..daemon import serve as run_engine

    return run_engine(load_config(options), state_dir(options), port=options.port)


def stop(options: Namespace) -> int:
    refuse_read_only(options, "stop")

    async def ask() -> None:
        async with client(options, without_engine="fail") as api:
            await api.stop()

    found = engine_url(options)
    asyncio.run(ask())
    t.out(f"stopping {found}: it drains, ends its workers and flushes its store")
    return 0


def needs_terminal(command: str, instead: str) -> None:
    """A screen needs a terminal; say which command does the same without one."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") == "dumb":
        raise ConfigError(f"`{command}` draws a screen and this is not a terminal; use {instead} instead")


def cockpit(options: Namespace) -> int:
    """Join this state folder's engine, or start it; the screen is there while the engine still starts."""
    if options.plain:
        options.command, options.watch = "status", True
        from .read import show

        return show(options)
    needs_terminal("arbiter", "`arbiter status` or `arbiter serve`")
    config = load_config(options)
    from ..tui.app import run_cockpit

    same: dict[str, Any] = {
        "read_only": options.read_only, "theme": config.tui.theme, "keys": config.tui.keys,
        "remember": state_dir(options) / "cockpit.json",
    }  # fmt: skip
    if options.url:
        return run_cockpit(str(options.url).rstrip("/"), **same)
    from .own_engine import OwnEngine

    own = OwnEngine(options)
    own.begin()
    code = run_cockpit(start=own.url, owns_engine=lambda: own.owned, **same)
    if own.ever_owned and running(options) is None:
        t.note("arbiter: its engine ended with the cockpit; `arbiter serve` keeps one running")
    return code


def attach(options: Namespace) -> int:
    needs_terminal("arbiter attach", "`arbiter status --url URL`")
    target = options.target
    if not target.startswith(("http://", "https://")):
        raise ConfigError(
            f"can't attach to {target!r}: give the engine's address, http://HOST:PORT (for another machine open a "
            f"tunnel first: ssh -L 8017:127.0.0.1:8017 HOST, then `arbiter attach http://127.0.0.1:8017`)"
        )
    from ..tui.app import run_cockpit

    config = load_config(options)
    return run_cockpit(
        target.rstrip("/"), read_only=options.read_only, theme=config.tui.theme, keys=config.tui.keys,
        remember=state_dir(options) / "cockpit.json",
    )  # fmt: skip
