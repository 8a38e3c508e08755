"""The cockpit's application. Owns: the long poll, the view's state, signals, the way in and out. Never: engine objects.

    poll (one asyncio task) --SnapshotArrived--> app.view --> MainScreen.sync() --> widgets redraw what differs

``run_cockpit`` is the door of the command line: the screen is painted first, the engine is started or joined behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import cast

from rich.console import RenderableType
from textual._styles_cache import StylesCache
from textual.await_complete import AwaitComplete
from textual.driver import Driver
from textual.screen import Screen

from ..core.snapshot import SwapView
from ..errors import ArbiterError, UnknownName
from ..wire import of_another_version
from . import memory, terminal, thin, wearing
from . import theme as themes
from .ahead import collect_seldom, read_ahead
from .commands import Commander
from .glyphs import only_ascii
from .guard import ReadOnly
from .joining import Starter, fault, hopeless, trouble, unheard
from .leaving import Leaving
from .messages import EngineLost, SnapshotArrived
from .news import Told
from .partial import Picture
from .screens.main import MainScreen
from .source import Engine
from .state import STALE_AFTER_S, Fading, Notice, View, busiest_task, machine_values

WAIT_S = 2.0  # the wire's long poll: shorter than STALE_AFTER_S, so that a silent engine is told from a still one
FASTEST_S, FAR_S = 0.25, 1.0  # at most four snapshots a second; over ssh one
RETRY_S = (0.3, 1.0)  # first and longest pause between attempts
SWITCH_S = 0.0005  # Textual writes on a thread of its own, which must not wait 5 ms at each step for the drawing one

Connect = Callable[[], Awaitable[Engine]]


class CockpitApp(Leaving):
    CSS_PATH = "arbiter.tcss"
    TITLE = "arbiter"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = []

    def __init__(
        self,
        client: Engine | None = None,
        *,
        connect: Connect | None = None,
        owns_engine: bool | Callable[[], bool] = False,
        read_only: bool = False,
        theme: str | None = None,
        where: str | None = None,
        now: Callable[[], float] = time.monotonic,
        keys: Mapping[str, str] | None = None,
        story: Callable[[], str | None] | None = None,
        remember: Path | None = None,
        tour: bool = False,
    ) -> None:
        chosen = wearing.first(theme, remember, os.environ)  # Textual removes NO_COLOR from the environment
        super().__init__(ansi_color=True if chosen == "arbiter-ansi" else None)  # decides what NO_COLOR filters
        for t in themes.THEMES.values():
            self.register_theme(t)
        self.theme = chosen
        self.animation_level = "none"
        self.engine = self._guarded(client, read_only)
        self._connect = connect
        self._owns = owns_engine
        self._dimmed = False
        self.picture = Picture()
        self._fading = Fading()
        self._now = now
        self.local = False  # whether the engine runs on this machine, so that paths here are paths there
        self._keymap_wanted = dict(keys or {})
        self.view = View(
            read_only=read_only, where=f"{getpass.getuser()}@{socket.gethostname()}" if where is None else where
        )
        self.view.keys, self.view.theme_over = self._keymap_wanted, theme
        self.view.ascii = only_ascii(os.environ)
        self.commander = Commander(lambda: self.engine, self.say)
        self.main = MainScreen(self.view, self.commander)
        self._told = None if story is None else Told(story)
        self._remember = remember
        self._tours, self._toured = tour, False  # the first sitting's first whole picture brings the tour
        if remember is not None:
            choices = memory.load(remember)
            self.view.task, self._toured = choices.task, choices.toured
            self.main.choose(choices)
        self._every_s = FAR_S if themes.far(os.environ) else FASTEST_S
        self._seen_at: float | None = None
        self._began = now()
        self._poll: asyncio.Task[None] | None = None
        self._requests: int | None = None
        self._used_at: float | None = None

    def get_default_screen(self) -> Screen[object]:
        return self.main  # type: ignore[return-value]

    def get_driver_class(self) -> type[Driver]:
        return thin.driver(super().get_driver_class())

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        update: object = renderable
        if self._running and not self._batch_count and not self.is_headless:  # else Textual drops it
            update = self.picture.update(renderable, self.console)
        super()._display(screen, cast("RenderableType | None", update))

    def on_resize(self) -> None:
        self.picture.forget()

    def _back(self, _app: object) -> None:
        """From the shell (ctrl+z, fg): the terminal shows nothing of this; Textual alone paints nothing."""
        self.picture.forget()
        self.screen.refresh()

    def pop_screen(self) -> AwaitComplete:
        """What a closed screen has drawn is forgotten: Textual 8.2 keeps the pictures of 1,024 widgets, closed or not,
        because a cache of a method holds the object that it was called on."""
        StylesCache.get_inner_outer.cache_clear()
        return super().pop_screen()

    def on_mount(self) -> None:
        if self._keymap_wanted:
            self.set_keymap(self._keymap_wanted)
        if not self.is_headless:
            terminal.watch_signals(self._signalled)
        self.app_resume_signal.subscribe(self, self._back)
        self.set_interval(1.0, self.tick)
        self.call_after_refresh(self.start_polling)

    @staticmethod
    def _guarded(engine: Engine | None, read_only: bool) -> Engine | None:
        return cast("Engine", ReadOnly(engine)) if read_only and engine is not None else engine

    # the wire -----------------------------------------------------------------------------------------------
    def start_polling(self) -> None:
        if self._poll is not None:
            self._poll.cancel()
        if self.engine is not None or self._connect is not None:
            self._poll = asyncio.create_task(self._follow(), name="cockpit-poll")
            self._poll.add_done_callback(self._poll_ended)

    def _poll_ended(self, poll: asyncio.Task[None]) -> None:
        """The poll ends only when cancelled; a fault in it must be seen, not leave a picture that never moves."""
        error = None if poll.cancelled() else poll.exception()
        if error is not None:
            self.post_message(EngineLost(fault(error), final=True))

    async def _follow(self) -> None:
        """Long-polls for ever; a failure is a message and another attempt."""
        after: int | None = None
        lost = False
        pause = RETRY_S[0]
        while True:
            began = self._now()
            try:
                if self._connect is not None and (self.engine is None or lost):
                    self.engine = self._guarded(await self._connect(), self.view.read_only)
                assert self.engine is not None
                snapshot = await self.engine.snapshot(after, WAIT_S if after is not None else 0.0, self.view.task)
            except UnknownName:
                if self.view.task is None:
                    raise
                # remembered of another engine, or taken out of the configuration: the busiest one is shown instead
                self.view.task = None
                continue
            except (ArbiterError, OSError, TimeoutError) as error:
                final = self.engine is None and hopeless(error)
                self.post_message(EngineLost(trouble(error, self.view.attached), final=final))
                after, lost = None, True
                await asyncio.sleep(pause)
                pause = min(pause * 1.6, RETRY_S[1])
                continue
            pause, lost = RETRY_S[0], False
            after = snapshot.revision
            self.view.address = str(getattr(self.engine, "url", "") or snapshot.engine.url)
            self.post_message(SnapshotArrived(snapshot))
            await asyncio.sleep(max(0.0, self._every_s - (self._now() - began)))

    def on_snapshot_arrived(self, message: SnapshotArrived) -> None:
        snapshot, view = message.snapshot, self.view
        if view.link != "live" and (other := of_another_version(snapshot)) is not None:
            view.notice = Notice(f"▲ {other}", "warn")
        if self._seen_at is None and self.engine is not None:
            self.run_worker(self._recall(self.engine), exit_on_error=False)
            read_ahead(self.set_timer)
        self._seen_at = self._now()
        view.link, view.age_s, view.trouble = "live", 0, None
        requests = snapshot.engine.requests
        if self._requests is not None and requests > self._requests:
            self._used_at = self._seen_at
        self._requests = requests
        view.history.add(snapshot.taken_at, machine_values(snapshot))
        if not view.frozen:
            view.snapshot = snapshot
        if view.task is None or view.task_view() is None:
            view.task = busiest_task(snapshot)
        self.commander.arrived(snapshot)
        self.sync()
        if self._tours and not self._toured and self.screen is self.main and snapshot.engine.state == "ready":
            self._toured = True
            self.call_after_refresh(self.act, "tour")

    async def _recall(self, engine: Engine) -> None:
        """A cockpit that comes later sees what the machine did before; an engine that does not tell is no trouble."""
        with contextlib.suppress(ArbiterError, OSError, TimeoutError, KeyError, TypeError, ValueError, AttributeError):
            told = await engine.machine()
            self.view.history.before([float(t) for t in told["at"]], told["curves"])
            self.main.machine.sync()

    def on_engine_lost(self, message: EngineLost) -> None:
        self.view.trouble = message.trouble
        if message.final:
            self.view.link = "error"
        else:
            self.view.link = "gone" if self.view.snapshot is not None else "connecting"
        self.sync()

    def tick(self) -> None:
        """Once a second: the story's newest line, and whether the wire has fallen silent."""
        if self._told is not None and self._told.look(self.view, self._now()):
            self.main.settle()
            self.main.narrator.sync()
        if self._fading.over(self.view.notice, self._now()):
            self.say(None)
        self.check_stale()

    def check_stale(self) -> None:
        """Silence for three seconds is shown with its age."""
        if self._seen_at is None and (lost := unheard(self.view, self._now() - self._began)) is not None:
            self.post_message(lost)
        if self._seen_at is None or self.view.link not in ("live", "stale", "gone"):
            return
        age = self._now() - self._seen_at
        if age >= STALE_AFTER_S:
            self.view.age_s = int(age)
            self.view.link = "gone" if self.view.link == "gone" else "stale"
            self.sync()

    def sync(self) -> None:
        dimmed = self.view.dimmed
        if dimmed != self._dimmed:
            self._dimmed = dimmed
            for panel in self.main.panels:
                panel.refresh()
        self.main.sync()
        if self.screen is not self.main and hasattr(self.screen, "sync"):
            self.screen.sync()

    # what keys need -------------------------------------------------------------------------------------------
    def act(self, action: str) -> None:
        from .actions import Actions  # with the dialogs: not needed for the first paint

        Actions(self).run(action)

    def read_swap(self, swap: SwapView) -> None:
        """A swap's record over whatever is open."""
        from .actions import Actions

        Actions(self).read_swap(swap)

    def say(self, notice: Notice | None) -> None:
        self.main.say(notice)
        if self.screen is not self.main and hasattr(self.screen, "redraw"):
            self.screen.redraw()
        elif notice is not None and hasattr(self.screen, "tell"):  # a sheet says it where it is looked at
            self.screen.tell(notice)

    def show_task(self, task: str) -> None:
        """Another task's ranking; the wire is asked for its whole leaderboard."""
        self.view.task = task
        self.sync()
        self.start_polling()

    def freeze(self, frozen: bool) -> None:
        self.view.frozen = frozen
        self.sync()
        if not frozen:
            self.start_polling()

    def now(self) -> float:
        """Monotonic seconds; a test's clock where there is one."""
        return self._now()

    async def on_unmount(self) -> None:
        if self._poll is not None:
            self._poll.cancel()
        self.commander.close()

    def watch_theme(self, name: str) -> None:
        if self.is_running:
            for panel in self.main.query("*"):
                panel.refresh()


def run_cockpit(
    url: str | None = None,
    *,
    connect: Connect | None = None,
    start: Callable[[], str | None] | None = None,
    owns_engine: bool | Callable[[], bool] = False,
    read_only: bool = False,
    theme: str | None = None,
    where: str | None = None,
    keys: Mapping[str, str] | None = None,
    story: Callable[[], str | None] | None = None,
    on_quit: Callable[[bool], None] | None = None,
    remember: Path | None = None,
    tour: bool = False,
) -> int:
    """Show the cockpit until it is left; returns the exit code (128 + number after a signal).

    ``url``: the engine's; ``start`` (on a thread, after the first paint and after each loss) finds or starts one and
    returns its URL; ``connect`` replaces both. ``where``: whose machine it is (default: this user's on this host).
    ``keys`` remaps actions; ``story`` is asked each second for a line to show to spectators.
    ``remember``: the file that keeps the order and columns of the tables, the regions and the task for the next time.
    ``tour``: shown once where that file does not say that it was shown.
    ``on_quit(stop)`` runs once the terminal is restored: ``stop`` says that the engine this cockpit
    started shall end. Without it the engine is asked over the wire.
    """
    starter = Starter(url, start)
    app = CockpitApp(
        connect=connect or starter.connect,
        owns_engine=owns_engine,
        read_only=read_only,
        theme=theme,
        where=where,
        keys=keys,
        story=story,
        remember=remember,
        tour=tour,
    )
    app.stops_over_wire = on_quit is None
    app.local = start is not None and where is None  # over ssh it is found by ``start``, too, and is elsewhere
    app.view.attached = "" if app.local else where or url or ""
    terminal.follow_window()
    collect_seldom()
    sys.setswitchinterval(SWITCH_S)
    try:
        app.run()
    finally:
        terminal.restore()
        if app.last_resort is not None:
            app.last_resort.cancel()  # the terminal is given back: what its owner still has to clear up may take longer
    if on_quit is not None:
        on_quit(app.stop_engine)
    return app.return_code or 0


__all__ = ["CockpitApp", "run_cockpit"]
