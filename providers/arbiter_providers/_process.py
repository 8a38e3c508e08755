"""One supervisor for every child process of the built-in providers.

Owns: starting a worker module, its pipes, its log ring, its end (asked for or not), its memory and CPU figures, and
the vigil that ends a worker which makes no progress. Never: what the worker does; any routing or restarting (the pool
decides that from the WorkerEvents).

Life of a child::

    launch -> (ready message) -> running -> stop()            no event
                    |               `----> dies               on_event(exited | hung), ``gone`` is set
                    `-> fails / times out / is cancelled -> killed, LoadFailed
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from arbiter_tui.errors import LoadFailed, WorkerDied
from arbiter_tui.provider import EventSink, WorkerEvent

LOG_LINES = 400
_LINE_LIMIT = 64 * 1024 * 1024  # one message: a batch of embeddings is megabytes of JSON
_STOP_GRACE_S = 2.0

Message = dict[str, Any]


class Child:
    """A running worker. Made by :func:`launch`."""

    def __init__(
        self, process: Process, version: str, on_event: EventSink, *, tree: bool = False, hidden: Sequence[str] = ()
    ) -> None:
        self.version = version
        self._hidden = [text for text in hidden if text]  # secrets that it was given: they stand in no line of ours
        self._tree = tree  # it starts processes of its own: figures are those of all
        self.gone = asyncio.Event()
        self.reason: str | None = None  # why it is gone, as a clause: "was killed by SIGKILL"
        self.on_message: Callable[[Message], None] | None = None
        self._process = process
        self._on_event = on_event
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._ready: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._asked = False
        self._hung = False
        self._failure: str | None = None
        self._waiting = ""  # for what, in its own words
        self._figures: psutil.Process | None = None
        self._tasks = [asyncio.create_task(self._read_log()), asyncio.create_task(self._read_messages())]
        self._end = asyncio.create_task(self._await_end())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self.gone.is_set() and self._process.returncode is None

    def log(self) -> list[str]:
        return list(self._log)

    def died(self) -> WorkerDied:
        """The error for a request that this child can't finish."""
        return WorkerDied(f"the worker of {self.version} {self.reason or 'is gone'}")

    def send(self, message: Mapping[str, Any]) -> None:
        """Queue one message to the worker; what can't be delivered shows as the worker's end."""
        if self._process.stdin is not None and self.alive:
            self._process.stdin.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    async def ready(self) -> Message:
        """The worker's ready message. Raises LoadFailed if it says why it can't, or ends."""
        return await asyncio.shield(self._ready)

    async def stop(self) -> None:
        """End it: close its lifeline, then kill. Idempotent; returns when the process is gone."""
        self._asked = True
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_GRACE_S):
                await asyncio.shield(self._end)
        except TimeoutError:
            self._kill()
            await asyncio.shield(self._end)

    def kill_hung(self) -> None:
        self._hung = True
        self._kill()

    def abandon(self) -> None:
        """Kill at once, without an event: a load that failed or was cancelled."""
        self._asked = True
        self._kill()

    async def ended(self) -> None:
        await asyncio.shield(self._end)

    def resident_bytes(self) -> int | None:
        """RSS: private memory plus the mapped pages of the model file in use. What processes of one tree share counts
        once, where the system can tell (PSS)."""
        rss = self._figure(_shared_once if self._tree else lambda p: float(p.memory_info().rss))
        return None if rss is None else int(rss)

    def cpu_s(self) -> float | None:
        return self._figure(lambda p: sum(p.cpu_times()[:2]))

    def cpu_now(self) -> float | None:
        """As ``cpu_s``, in microseconds instead of half a hundred of them; only Linux has such a clock."""
        if sys.platform != "linux" or not self.alive or self._tree:
            return None
        with contextlib.suppress(OSError):
            return time.clock_gettime((~self.pid << 3) | 2)  # what clock_getcpuclockid(3) makes of a pid
        return None

    def _figure(self, read: Callable[[psutil.Process], float]) -> float | None:
        try:
            if self._figures is None:
                self._figures = psutil.Process(self.pid)
            own = read(self._figures)
            return own + sum(_of_child(c, read) for c in self._figures.children(recursive=True)) if self._tree else own
        except psutil.Error:
            return None

    def _kill(self) -> None:
        """All of its session: a worker may have started a server, which must not outlive it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it ended by itself in the meantime
            os.killpg(self.pid, signal.SIGKILL)

    async def _read_log(self) -> None:
        assert self._process.stderr is not None
        while line := await _line(self._process.stderr):
            told = line.decode("utf-8", "replace").rstrip()
            for secret in self._hidden:
                told = told.replace(secret, "***")
            self._log.append(told)

    async def _read_messages(self) -> None:
        assert self._process.stdout is not None
        while line := await _line(self._process.stdout):
            message: Message = json.loads(line)
            match message.get("event"):
                case "ready":
                    self._settle(message)
                case "failed":
                    self._failure = str(message.get("message"))  # it ends now; its last words may say more
                case "waiting":
                    self._waiting = f" ({message.get('message')})"
                case _ if self.on_message is not None:
                    self.on_message(message)

    def _settle(self, result: Message | LoadFailed) -> None:
        if self._ready.done():
            return
        if isinstance(result, LoadFailed):
            self._ready.set_exception(result)
            self._ready.exception()  # marks it as seen: nobody may be waiting any more
        else:
            self._ready.set_result(result)

    async def _await_end(self) -> None:
        code = await self._process.wait()
        self._kill()  # what it left behind; the pipes end with the last of them
        await asyncio.gather(*self._tasks)
        self.reason = "was unloaded" if self._asked else "made no progress and was ended" if self._hung else _why(code)
        was_ready = self._ready.done() and self._ready.exception() is None
        failure = self._failure or f"its worker {self.reason}"
        self._settle(LoadFailed(f"{self.version} did not load: {failure}; {self._words()}"))
        self.gone.set()
        if was_ready and not self._asked:
            kind = "hung" if self._hung else "exited"
            self._on_event(
                WorkerEvent(version=self.version, kind=kind, message=self.reason)  # type: ignore[arg-type]
            )

    def _words(self) -> str:
        """Its own words about its end: the first line that tells of an error (the later ones only repeat that there
        was one), else the last line."""
        telling = (line for line in self._log if "error" in line.lower())
        words = next(telling, self._log[-1] if self._log else None)
        return f"it said: {words}" if words else "it said nothing"


def _shared_once(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.AccessDenied):
        full = process.memory_full_info()
        return float(getattr(full, "pss", 0) or full.rss)
    return float(process.memory_info().rss)


def _of_child(process: psutil.Process, read: Callable[[psutil.Process], float]) -> float:
    """0 for one that ended while we looked."""
    try:
        return read(process)
    except psutil.Error:
        return 0.0


async def _line(stream: asyncio.StreamReader) -> bytes:
    """The next line; a line beyond the limit (no worker of ours writes one) is dropped as a whole."""
    while True:
        try:
            return await stream.readline()
        except ValueError:
            continue


def _why(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


async def launch(
    module: str, parameters: Mapping[str, Any], *, version: str, timeout_s: float, on_event: EventSink,
    tree: bool = False, hidden: Sequence[str] = (),
) -> tuple[Child, Message]:  # fmt: skip
    """Start ``python -m module``, give it ``parameters``, and wait until it says that it is ready.

    ``tree``: the worker starts processes of its own; memory and CPU are those of all of them. ``hidden``: secrets that
    no line of its log may show.

    Raises LoadFailed on failure or after ``timeout_s`` seconds; then, and on cancellation, nothing is left running.
    """
    # -P keeps the current folder out of the module path: a stray file there must not shadow an engine.
    command = (sys.executable, "-P", "-m", module, str(os.getpid()))
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=_environment(), start_new_session=True,
            limit=_LINE_LIMIT,
        )  # fmt: skip
    except OSError as error:
        raise LoadFailed(f"{version} did not load: no worker could be started ({error})") from error
    child = Child(process, version, on_event, tree=tree, hidden=hidden)
    try:
        child.send(parameters)
        async with asyncio.timeout(timeout_s):
            return child, await child.ready()
    except TimeoutError:
        child.abandon()
        await child.ended()
        raise LoadFailed(f"{version} was not ready within {timeout_s:g} s{child._waiting}; {child._words()}") from None
    except BaseException:
        child.abandon()
        await child.ended()
        raise


def _environment() -> dict[str, str]:
    """Ours, plus the folder this package was imported from: the child must find the same one.

    Threads that wait for each other spin for a moment and then sleep: engines share the cores with each other and with
    us. Measured with two threads on two cores, tokens/s of one model alone / two models together / one model beside a
    busy process: 10,000 turns 100 / 12 / 5 (the default is more), none 35 / 65 / 58, 200 turns 88 / 75 / 44.
    A sleeping thread on an idle core is woken late, which is why never spinning is slower when nothing else runs.
    """
    home = str(Path(__file__).resolve().parents[1])
    known = os.environ.get("PYTHONPATH")
    path = f"{home}{os.pathsep}{known}" if known else home
    return {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "200", **os.environ, "PYTHONPATH": path}


class Vigil:
    """Ends a worker that makes no progress while requests wait for it.

    Progress is a piece of any answer (``touch``) or CPU time used: a long prompt on a slow machine shows the latter.
    Without either for ``limit_s`` the worker is asked whether it answers; it is hung if it doesn't, or if nothing
    moves for four times as long.
    """

    def __init__(self, child: Child, limit_s: float, answers: Callable[[], Awaitable[bool]]) -> None:
        self._child, self._limit_s, self._answers = child, limit_s, answers
        self._loop = asyncio.get_running_loop()
        self._waiting = 0
        self._last = self._loop.time()
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        self._waiting += 1
        if self._waiting == 1:
            self.touch()
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(self._watch())
        try:
            yield
        finally:
            self._waiting -= 1

    def touch(self) -> None:
        self._last = self._loop.time()

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        used = self._child.cpu_s() or 0.0
        while self._waiting and self._child.alive:
            await asyncio.sleep(self._limit_s / 4)
            now, used_before = self._child.cpu_s() or 0.0, used
            used = now
            if now - used_before > 0.02 * self._limit_s / 4:
                self.touch()
                continue
            silent = self._loop.time() - self._last
            if self._waiting and (silent > 4 * self._limit_s or (silent > self._limit_s and not await self._answers())):
                self._child.kill_hung()
                return
