"""How the cockpit comes to its engine. Owns: the thread that finds or starts one, and errors in three parts.

Never: the poll (app.py), processes (the caller's ``start`` has them).
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import threading
from collections.abc import Callable
from typing import Any

from ..errors import ArbiterError, EngineUnreachable, WireUnreadable
from .messages import EngineLost
from .source import Engine
from .state import STALE_AFTER_S, Trouble, View

AGAIN = "It is tried again by itself."
THERE = f"{AGAIN} Is an engine there? On that machine `arbiter serve` starts one; q quits."


def trouble(error: BaseException, attached: str = "") -> Trouble:
    """An error as what, why, what to do. ``attached``: where somebody else's engine was looked for."""
    if attached:
        return _elsewhere(error, attached)
    if never_started(error):
        why = str(error).removeprefix("the engine did not start: ")
        return Trouble("The engine could not be started", why, "Mend that, then start it again: q quits.")
    if isinstance(error, EngineUnreachable) or not isinstance(error, ArbiterError):
        why = str(error) or type(error).__name__
        return Trouble("The engine does not answer", why, "It is tried again by itself. arbiter doctor looks deeper.")
    return Trouble("The engine could not be started", str(error), "q quits; arbiter doctor says what is missing.")


def _elsewhere(error: BaseException, where: str) -> Trouble:
    """Attaching starts nothing: what was looked for, at which address, and what is there instead."""
    why = str(error) or type(error).__name__
    if isinstance(error, EngineUnreachable | OSError | TimeoutError):
        return Trouble(f"No engine answers at {where}", why, THERE)
    if isinstance(error, WireUnreadable) or type(error) is ArbiterError:
        return Trouble(f"No engine answers at {where}", _no_engine(why), THERE)
    return Trouble(f"The engine at {where} refuses this cockpit", why, AGAIN)


def _no_engine(why: str) -> str:
    """Another program's answer without its page."""
    said = why.replace("the engine answered", "What is there is no arbiter engine: it answered", 1)
    status, _, page = said.partition(": it answered")[2].strip().partition(": ")
    return f"What is there is no arbiter engine: it answered {status}" if "<" in page else " ".join(said.split())


def unheard(view: View, seconds: float) -> EngineLost | None:
    """Somebody listens where this attaches, and has said nothing all the ``seconds`` since it began."""
    if not view.attached or view.trouble is not None or seconds < STALE_AFTER_S:
        return None
    why = f"It was asked, and has said nothing for {seconds:.0f} s."
    return EngineLost(Trouble(f"No engine answers at {view.attached}", why, THERE))


def never_started(error: BaseException) -> bool:
    """Whether it is this cockpit's own engine, which has ended before it ever answered."""
    return isinstance(error, EngineUnreachable) and bool(error.details.get("ended"))


def hopeless(error: BaseException) -> bool:
    """Whether asking again changes nothing, as long as nobody does something about it."""
    return never_started(error) or (isinstance(error, ArbiterError) and not isinstance(error, EngineUnreachable))


def fault(error: BaseException) -> Trouble:
    """An error of the cockpit's own."""
    why = f"{type(error).__name__}: {error}"
    return Trouble("The cockpit could not read the engine", why, "q quits; start it again.")


class Starter:
    """Finds or starts the engine and imports the client on a thread of its own, so that the screen is painted
    meanwhile. Asked again after a loss: ``start`` may then name another address."""

    def __init__(self, url: str | None, start: Callable[[], str | None] | None) -> None:
        self.url, self._start = url, start
        self._client: Any = None

    async def connect(self) -> Engine:
        if self._client is not None and self._start is None:
            return self._client  # type: ignore[no-any-return]
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        found: list[str | None] = []
        failed: list[BaseException] = []

        def work() -> None:
            try:
                found.append(self._start() if self._start is not None else self.url)
                importlib.import_module("arbiter_tui.client")  # slow: here, not on the event loop
            except BaseException as error:
                failed.append(error)  # raised on the loop, below
            with contextlib.suppress(RuntimeError):  # the loop is closed: the cockpit was left meanwhile
                loop.call_soon_threadsafe(done.set)

        # Not the default executor: that one is joined at exit, and starting an engine may take long.
        threading.Thread(target=work, name="engine-start", daemon=True).start()
        await done.wait()
        if failed:
            raise failed[0]
        if found[0] is None:
            raise EngineUnreachable("no engine's address is known")
        return await self._client_of(found[0])

    async def _client_of(self, url: str) -> Engine:
        if self._client is not None and url == self.url:
            return self._client  # type: ignore[no-any-return]
        if self._client is not None:
            await self._client.aclose()
        self.url = url
        self._client = importlib.import_module("arbiter_tui.client").ControlClient(url)
        return self._client  # type: ignore[no-any-return]
