"""``arbiter attach ssh://[user@]HOST[:PORT][?port=N]``: an engine elsewhere through the user's own ``ssh``.

Owns: one ssh child, its words, and its return after a loss. Never: keys, passwords, host checks (ssh has them all), the
screen.

    first connection    before the screen is there, so that ssh may ask for a passphrase on the terminal
    afterwards          never asks (BatchMode); a thread starts ssh again, half a second after it ended at most

The far side of the tunnel is port N of that machine's loopback: the one asked for, else 8017, else what the far
``arbiter status --json`` says.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ..client import fetch_json
from ..errors import ConfigError, EngineUnreachable

PORT = 8017
FIRST_S, AGAIN_S = 60.0, 3.0  # for the first connection a person may be typing
PAUSES = (0.1, 0.5)  # between two attempts
LATEST = 5  # lines of ssh's that are kept
ALIVE = ("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=3")


@dataclass(frozen=True, slots=True)
class Place:
    """A machine as ssh knows it, and the engine's port there (None: to be found out)."""

    host: str
    user: str | None = None
    ssh_port: int | None = None
    engine_port: int | None = None

    @property
    def name(self) -> str:
        return f"{self.user}@{self.host}" if self.user else self.host

    def command(self, *options: str) -> list[str]:
        """Nothing of the address can become an option of ssh's."""
        at = ["-p", str(self.ssh_port)] if self.ssh_port else []
        return ["ssh", "-T", "-S", "none", *at, *options, "--", self.name]


def parse(target: str) -> Place:
    """``ssh://…`` as a Place. Raises ConfigError."""
    try:
        parts = urlsplit(target)
        ssh_port, host = parts.port, parts.hostname
        wanted = parse_qs(parts.query, strict_parsing=True) if parts.query else {}
        ports = [int(p) for p in wanted.pop("port", [])]
    except ValueError as error:
        raise ConfigError(f"can't read {target!r}: {error}; as in ssh://me@gpu-box:22?port=8017") from error
    if not host or host.startswith("-") or (parts.username or "").startswith("-"):
        raise ConfigError(f"{target!r} names no machine; as in ssh://me@gpu-box")
    if wanted or parts.path.strip("/") or parts.password or any(not 0 < p < 65536 for p in ports):
        raise ConfigError(f"{target!r} has more than ssh://[user@]HOST[:PORT][?port=N]")
    return Place(host, parts.username, ssh_port, ports[-1] if ports else None)


class Tunnel:
    """Open until ``close``. ``url()`` is where the engine answers on this machine."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._remote = place.engine_port or PORT
        self._local = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._said: list[str] = []
        self._reason = "ssh said nothing"
        self._up = threading.Event()
        self._closed = threading.Event()
        self._keeper: threading.Thread | None = None

    # life -----------------------------------------------------------------------------------------------------------
    def open(self) -> None:
        """The first connection. Raises EngineUnreachable with ssh's own words, or that no engine answers there."""
        self._connect(FIRST_S, asks=True)
        if not self._answers() and self.place.engine_port is None:
            found = self._ask_port()
            if found not in (None, self._remote):
                self._remote = int(found or PORT)
                self._end_child()
                self._connect(FIRST_S, asks=True)
        if not self._answers():
            self.close()
            raise EngineUnreachable(
                f"no engine answers on port {self._remote} of {self.place.name}; start one there with `arbiter serve`, "
                f"or name its port: ssh://{self.place.name}?port=N"
            )
        self._keeper = threading.Thread(target=self._keep, name="tunnel", daemon=True)
        self._keeper.start()

    def close(self) -> None:
        self._closed.set()
        self._end_child()
        if self._keeper is not None:
            self._keeper.join(2.0)  # it may be starting another child at this very moment; that one it ends itself

    def url(self) -> str:
        """Waits a moment for a tunnel that is coming back. Raises EngineUnreachable with ssh's words."""
        if not self._up.wait(AGAIN_S):
            raise EngineUnreachable(f"no link to {self.place.name}: {self._words()}")
        return f"http://127.0.0.1:{self._local}"

    # the child ------------------------------------------------------------------------------------------------------
    def _keep(self) -> None:
        """Starts ssh again whenever it has ended, until closed."""
        pause = PAUSES[0]
        while not self._closed.is_set():
            process = self._process
            if process is not None:
                process.wait()
                self._up.clear()
            if self._closed.wait(pause):
                return
            try:
                self._connect(AGAIN_S, asks=False)
                pause = PAUSES[0]
            except EngineUnreachable:
                pause = min(pause * 2, PAUSES[1])

    def _connect(self, within_s: float, *, asks: bool) -> None:
        """One ssh child, until its end of the tunnel listens. Raises EngineUnreachable."""
        self._said = []
        if not asks and _listens(self._local):  # taken by another program meanwhile
            self._local = _free_port()
        forward = f"127.0.0.1:{self._local}:127.0.0.1:{self._remote}"
        patience = ("-o", f"ConnectTimeout={10 if asks else AGAIN_S:.0f}", *(() if asks else ("-o", "BatchMode=yes")))
        child = self._spawn(
            self.place.command("-N", "-L", forward, "-o", "ExitOnForwardFailure=yes", *ALIVE, *patience)
        )
        self._process = child
        listens = threading.Thread(target=self._listen, args=(child,), name="tunnel-words", daemon=True)
        listens.start()
        end = time.monotonic() + within_s
        while child.poll() is None and not self._closed.is_set():
            if _listens(self._local):
                self._up.set()
                return
            if time.monotonic() > end:
                self._said.append(f"it took longer than {within_s:.0f} s")
                self._end_child()
            time.sleep(0.02)
        if self._closed.is_set():
            self._end_child()
        listens.join(1.0)
        raise EngineUnreachable(f"no link to {self.place.name}: {self._words()}")

    @staticmethod
    def _spawn(command: Sequence[str]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
        except OSError as error:
            raise EngineUnreachable(f"ssh can't be started: {error.strerror}; is it installed?") from error

    def _listen(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stderr is not None
        with contextlib.suppress(OSError, ValueError):
            for line in child.stderr:
                text = line.decode("utf-8", "replace").strip()
                self._said = [*self._said, text][-LATEST:] if text else self._said
        child.stderr.close()

    def _words(self) -> str:
        """What ssh said last, of an earlier attempt where this one is silent so far."""
        if self._said:
            self._reason = self._said[-1]
        return self._reason

    def _end_child(self) -> None:
        self._up.clear()
        child, self._process = self._process, None
        if child is None or child.poll() is not None:
            return
        child.terminate()
        try:
            child.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    # the far side ---------------------------------------------------------------------------------------------------
    def _answers(self) -> bool:
        with contextlib.suppress(EngineUnreachable, ValueError):
            fetch_json(f"http://127.0.0.1:{self._local}", "/health/liveness", timeout=10.0)
            return True
        return False

    def _ask_port(self) -> int | None:
        """The port of the engine that runs there, as the arbiter there says; None where it can't."""
        command = [*self.place.command("-o", "ConnectTimeout=10"), "arbiter status --json"]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30.0, check=False)
            engine: Any = json.loads(done.stdout)["engine"]
            return None if engine["state"] == "offline" else urlsplit(str(engine["url"])).port
        except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
            return None


@contextlib.contextmanager
def through(place: Place) -> Iterator[Tunnel]:
    tunnel = Tunnel(place)
    try:
        tunnel.open()
        yield tunnel
    finally:
        tunnel.close()


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as s:
        s.settimeout(1.0)
        return s.connect_ex(("127.0.0.1", port)) == 0
