"""The cockpit over a bad link: 200 ms there and back, one segment of a hundred lost, 50 models and 20 tasks at 4 Hz.

A proxy of this script's own stands between the cockpit and the stand-in engine of cockpit_many.py. What comes in is
held back for half the round trip; a lost segment delays itself and all behind it by a retransmission timeout, as TCP's
in-order delivery does. The link then goes down for some seconds (connections cut, new ones refused) and comes back.

Measured: from the start to the first picture with models; how old the picture is while the link holds (the engine's
clock on each snapshot that arrived); keys, which must not wait for the link; from the return of the link to the first
live picture; bytes over the link.

    python benchmarks/cockpit_link.py [--seconds 20] [--down 6]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from cockpit_many import move, ms
from harness import emit, quantile
from terminal import Terminal

RTT_S, LOSS, SEGMENT, TIMEOUT_S = 0.2, 0.01, 1448, 0.4
BACK_S, KEY_P95_S = 3.0, 0.05
GONE = re.compile(r"does not answer|no news")
MUST = {"back": "live within 3 s of the link's return", "usable": "keys p95 <= 50 ms; the picture goes on changing"}


class Link:
    """A proxy on a thread of its own. ``up`` False: no connection lives or begins."""

    def __init__(self, target: int) -> None:
        self.up, self.bytes, self.port = True, 0, 0
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self._chance = random.Random(1)
        threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True).start()
        self._ready.wait()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        while True:
            await asyncio.sleep(0.02)
            if not self.up:
                for writer in list(self._writers):
                    writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.up:
            writer.transport.abort()
            return
        await asyncio.sleep(RTT_S)  # the handshake
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._carry(reader, back), self._carry(there, writer))
        except (ConnectionError, OSError):
            pass
        finally:
            for one in (writer, back):
                self._writers.discard(one)
                one.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        async def deliver() -> None:
            while True:
                due, data = await queue.get()
                await asyncio.sleep(max(0.0, due - loop.time()))
                if not data:
                    writer.close()
                    return
                writer.write(data)
                await writer.drain()

        delivering = asyncio.create_task(deliver())
        due = 0.0
        try:
            while True:
                data = await reader.read(SEGMENT)
                self.bytes += len(data)
                late = TIMEOUT_S if self._chance.random() < LOSS else 0.0
                due = max(due, loop.time() + RTT_S / 2 + late)
                queue.put_nowait((due, data))
                if not data:
                    await delivering
                    return
        finally:
            delivering.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await delivering


def sit(url: str, folder: Path, link: Link, seconds: float, down: float) -> dict[str, Any]:
    (folder / "cockpit.json").write_text('{"toured": true}')  # not the first sitting: no tour before the keys
    command = [sys.executable, "-m", "arbiter_tui", "attach", url, "--state-dir", str(folder)]
    ssh = {"SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}
    with Terminal(command, environment=ssh) as terminal:
        first = terminal.wait(lambda: bool(re.search(r"model-\d\d", terminal.text())), 30.0)
        if first is None:
            raise RuntimeError(f"it never showed a model:\n{terminal.text()}")
        terminal.rest(3.0)
        sent, begun, written = link.bytes, time.perf_counter(), terminal.bytes
        pictures = changes(terminal, seconds)
        took = time.perf_counter() - begun
        keys = [seen for _ in range(20) if (seen := move(terminal)) is not None]
        link.up = False
        noticed = terminal.wait(lambda: bool(GONE.search(terminal.text())), 20.0)
        terminal.rest(down)
        link.up = True
        at = time.perf_counter()
        live = terminal.wait(lambda: not GONE.search(terminal.text()), 30.0)
        return {
            "first_models_s": round(first - terminal.begun, 2),
            "pictures_per_s": round(pictures / took, 2),
            "link_bytes_per_s": round((link.bytes - sent) / took),
            "terminal_bytes_per_s": round((terminal.bytes - written) / took),
            "keys": {"n": len(keys), "p95_ms": ms(quantile(keys, 0.95)), "max_ms": ms(max(keys))},
            "loss_seen": noticed is not None,
            "back_s": None if live is None else round(live - at, 2),
        }


def changes(terminal: Terminal, seconds: float) -> int:
    """How often the picture changed."""
    end, count = time.perf_counter() + seconds, 0
    while (left := end - time.perf_counter()) > 0:
        before = terminal.text()
        if terminal.wait(lambda b=before: terminal.text() != b, left) is not None:
            count += 1
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--down", type=float, default=6.0)
    parser.add_argument("--models", default="50")
    parser.add_argument("--tasks", default="20")
    chosen = parser.parse_args()
    many = Path(__file__).with_name("cockpit_many.py")
    command = [sys.executable, str(many), "--stand-in", "--models", chosen.models, "--tasks", chosen.tasks]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with (
        tempfile.TemporaryDirectory(prefix="arbiter-bench-") as folder,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as wire,
    ):
        try:
            assert wire.stdout is not None
            link = Link(int(wire.stdout.readline()))
            found = sit(f"http://127.0.0.1:{link.port}", Path(folder), link, chosen.seconds, chosen.down)
        finally:
            wire.terminate()
    met = (
        found["loss_seen"] and found["back_s"] is not None and found["back_s"] <= BACK_S
        and found["keys"]["p95_ms"] <= 1000 * KEY_P95_S and found["pictures_per_s"] >= 0.4
    )  # fmt: skip
    emit("cockpit_link", MUST, {"rtt_s": RTT_S, "loss": LOSS, "down_s": chosen.down, **found}, met)


if __name__ == "__main__":
    main()
