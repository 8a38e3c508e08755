"""``arbiter --plain``, ``arbiter attach … --plain``: the cockpit as lines, for screen readers and logs.

Owns: following an engine, its loss and its return, a time before each line. Never: the words (sentences.py), Textual.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from types import FrameType

from ..client import fetch_json
from ..errors import ArbiterError, EngineUnreachable
from ..wire import of_another_version, snapshot_from
from . import text as t
from .connect import end
from .sentences import Teller

WAIT_S, ANSWER_S, LEAST_S = 20.0, 30.0, 1.0
PAUSE_S = 1.0


class _Stopped(Exception):
    def __init__(self, number: int) -> None:
        self.code = 128 + number


def stream(
    options: Namespace,
    where: Callable[[], str],
    *,
    owned: Callable[[], subprocess.Popen[bytes] | None] = lambda: None,
) -> int:
    """Until interrupted. ``where`` finds (or starts) the engine; ``owned``: the process that is to end with this.
    Raises EngineUnreachable where that one did not even start."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        _follow(where, owned)
    except _Stopped as stopped:
        return stopped.code
    finally:
        process = owned()
        if process is not None and process.poll() is None:
            end(process)
    return 0


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Stopped(number)


def _follow(where: Callable[[], str], owned: Callable[[], subprocess.Popen[bytes] | None]) -> None:
    teller, gone, after = Teller(), "", 0
    said_version = False
    while True:
        began = time.monotonic()
        try:
            url = where()
            wait = WAIT_S if after and not gone else 0.0
            path = f"/arbiter/v1/snapshot?after={0 if gone else after}&wait={wait:g}"
            snapshot = snapshot_from(url, fetch_json(url, path, timeout=wait + ANSWER_S))
        except ArbiterError as error:
            own = owned()
            if not after and (not isinstance(error, EngineUnreachable) or (own is not None and own.poll())):
                raise  # it never was an engine: nothing to wait for
            if str(error) != gone:
                gone = str(error)
                _line(f"The engine does not answer: {gone}. It is tried again by itself.")
            time.sleep(PAUSE_S)
            continue
        if gone:
            _line(f"The engine answers again at {url}.")
            gone = ""
        if not said_version:
            said_version = True
            _line(f"Following the engine at {url}; only changes are told. Ctrl+C ends it.")
            if (other := of_another_version(snapshot)) is not None:
                _line(other)
        after = snapshot.revision
        for said in teller.tell(snapshot):
            _line(said)
        time.sleep(max(0.0, LEAST_S - (time.monotonic() - began)))


def _line(said: str) -> None:
    text = t.clean(" ".join(said.split()))
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()
