"""A program called ``ssh`` for tests: forwards TCP as ``ssh -N -L`` does, obeys files beside it, and keeps a record.

Files in its folder: ``calls`` (one line a call, its arguments), ``cut`` (the link is down: refuses and drops what is
open), ``denied`` (what ssh says when it lets nobody in), ``status`` (what the far ``arbiter status --json`` prints).
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from pathlib import Path

HERE = Path(sys.argv[0]).resolve().parent
DOWN = "ssh: connect to host gpu-box port 22: No route to host"


def pump(one: socket.socket, other: socket.socket) -> None:
    try:
        while data := one.recv(65536):
            other.sendall(data)
    except OSError:
        pass
    for end in (one, other):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def forward(wanted: str) -> None:
    host, port, far_host, far_port = wanted.split(":")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, int(port)))
    except OSError:
        sys.exit("Could not request local forwarding.")
    listener.listen(16)
    while True:
        near, _ = listener.accept()
        try:
            far = socket.create_connection((far_host, int(far_port)), timeout=5)
        except OSError:
            near.close()
            continue
        far.settimeout(None)
        for pair in ((near, far), (far, near)):
            threading.Thread(target=pump, args=pair, daemon=True).start()


def main() -> None:
    arguments = sys.argv[1:]
    with (HERE / "calls").open("a") as calls:
        calls.write(json.dumps(arguments) + "\n")
    if (HERE / "denied").exists():
        sys.stderr.write("Warning: something harmless\nme@gpu-box: Permission denied (publickey).\n")
        sys.exit(255)
    if (HERE / "cut").exists():
        sys.exit(DOWN)
    if "-L" not in arguments:
        sys.stdout.write((HERE / "status").read_text() if (HERE / "status").exists() else "arbiter: command not found")
        return
    threading.Thread(target=forward, args=(arguments[arguments.index("-L") + 1],), daemon=True).start()
    while not (HERE / "cut").exists():
        time.sleep(0.02)
    sys.exit("Timeout, server gpu-box not responding.")


if __name__ == "__main__":
    main()
