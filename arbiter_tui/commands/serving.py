"""``arbiter``, ``attach``, ``serve``, ``stop``: the life of an engine and of the cockpit on it.

Owns: who started what, and therefore who may end it. Never: drawing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Callable

from ..errors import ConfigError
from . import text as t
from .connect import client, engine_url, load_config, refuse_read_only, running, state_dir
from .look import checked


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
    if options.json:
        t.out_json({"stopping": found})
    else:
        t.out(f"stopping {found}: it drains, ends its workers and flushes its store")
    return 0


INSTEAD = "`arbiter --plain` (the same as text), `arbiter status` or `arbiter serve`"


def needs_terminal(command: str, instead: str) -> None:
    """A screen needs a terminal; say which command does the same without one."""
    if os.environ.get("TEXTUAL_DRIVER"):  # a browser's tab: Textual itself talks to it
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError(f"`{command}` draws a screen and this is not a terminal; use {instead} instead")
    if os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        kind = os.environ.get("TERM") or "no TERM"
        raise ConfigError(
            f"`{command}` draws a screen and this terminal ({kind}) can't place text; use {instead} instead"
        )


def cockpit(options: Namespace) -> int:
    """Join this state folder's engine, or start it; the screen is there while the engine still starts."""
    if options.url:
        if not options.plain:
            needs_terminal("arbiter", INSTEAD)
        return _on(options, str(options.url).rstrip("/"))
    from .own_engine import OwnEngine

    own = OwnEngine(options)
    if options.plain:
        from .plain import stream

        return stream(options, own.url, owned=lambda: own.process)
    needs_terminal("arbiter", INSTEAD)
    config = load_config(options)
    from ..tui.app import run_cockpit

    look = checked(config)
    own.begin()
    code = run_cockpit(
        start=own.url, owns_engine=lambda: own.owned, read_only=options.read_only,
        remember=state_dir(options) / "cockpit.json", tour=True, **look,
    )  # fmt: skip
    if own.ever_owned and running(options) is None:
        t.note("arbiter: its engine ended with the cockpit; `arbiter serve` keeps one running")
    return code


def attach(options: Namespace) -> int:
    """The cockpit, or with --plain its words, on an engine elsewhere: by its address, or through the user's own ssh."""
    target = str(options.target)
    if not options.plain:
        needs_terminal("arbiter attach", f"`arbiter attach {target} --plain`, or `arbiter status --url URL`")
    if target.startswith(("http://", "https://")):
        return _on(options, target.rstrip("/"))
    from .tunnel import parse, through

    if not target.startswith("ssh://"):
        raise ConfigError(
            f"can't attach to {target!r}: give the engine's address, http://HOST:PORT, or for another machine "
            f"ssh://[user@]HOST (it goes through your own ssh)"
        )
    # Until the screen has its own ways out, a termination still ends the child.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    place = parse(target)
    t.note(f"arbiter: connecting to {place.name} …")
    with through(place) as tunnel:
        return _on(options, tunnel.url(), start=tunnel.url, where=place.name)


def _on(options: Namespace, url: str, *, start: Callable[[], str] | None = None, where: str | None = None) -> int:
    if options.plain:
        from .plain import stream

        return stream(options, start or (lambda: url))
    from ..tui.app import run_cockpit

    return run_cockpit(
        url, start=start, where=where, read_only=options.read_only, remember=state_dir(options) / "cockpit.json",
        tour=True, **checked(load_config(options)),
    )  # fmt: skip
