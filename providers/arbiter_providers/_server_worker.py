"""The child process that runs a server of the user's own and answers for it: starts, waits until it is healthy, ends.

Owns: that server's process tree, which never outlives this one. Never: a request (they go to the server's port).
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import psutil

from arbiter_providers._worker import Channel, open_channel

_POLL_S = 0.02
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    channel = open_channel(int(sys.argv[1]))
    given = channel.parameters()
    signal.signal(signal.SIGTERM, lambda *_: None)  # our own words to the whole group reach us, too
    try:
        server = subprocess.Popen(
            given["command"], stdin=subprocess.DEVNULL, stdout=2, stderr=2, preexec_fn=_end_with_us,
            env={**os.environ, **given["env"]},
        )  # fmt: skip
    except OSError as error:
        channel.send({"event": "failed", "message": f"{given['command'][0]}: {error.strerror or error}"})
        return
    ending = threading.Event()
    channel.listen(lambda message: None, last=lambda: _end(server, ending, given["stop_s"]))
    if _wait_healthy(server, given, channel):
        channel.send({"event": "ready", "pid": server.pid})
        server.wait()
    _follow(channel, server, given["command"][0], ending)


def _end_with_us() -> None:
    """In the server's own process, before it begins. Elsewhere than on Linux its end is up to our own end alone."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait_healthy(server: subprocess.Popen[bytes], given: dict[str, Any], channel: Channel) -> bool:
    """Ask until it says yes; what it says instead is told. False if it ended before."""
    told = 200
    while server.poll() is None:
        status = _asked(given)
        if status == 200:
            return True
        if status not in (None, told):
            told = status
            channel.send({"event": "waiting", "message": f"GET {given['health']} answers {status}, not 200"})
        time.sleep(_POLL_S)
    return False


def _asked(given: dict[str, Any]) -> int | None:
    """The status that its health is answered with; None: it is not there yet."""
    connection = http.client.HTTPConnection(given["host"], given["port"], timeout=5.0)
    try:
        connection.request("GET", given["health"])
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _end(server: subprocess.Popen[bytes], ending: threading.Event, grace_s: float) -> None:
    """Ask the whole tree to end, then end it."""
    ending.set()
    tree = psutil.Process().children(recursive=True)
    for process in tree:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(tree, timeout=grace_s)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()


def _follow(channel: Channel, server: subprocess.Popen[bytes], program: str, ending: threading.Event) -> None:
    """The server has ended: end in the same way, so that whoever asks why is told."""
    if ending.is_set():
        threading.Event().wait()  # the listening thread ends us once the tree is gone
    code = server.returncode
    what = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    channel.send({"event": "failed", "message": f"{program} {what}"})
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), -code)
    os._exit(code if code > 0 else 1)


if __name__ == "__main__":
    main()
