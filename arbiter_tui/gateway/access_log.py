"""The access log: one JSON line per request, when it has ended.

Owns: what a line says, and the file (0600, reopened when it was moved away). Never: a body, a query, a secret; a prompt
only where ``[server] access_log_prompts`` asks for it, and of a private task not even then.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

from ..core.access import masked
from ..engine.keyring import CALLER, who
from .limits import App, Message, Receive, Scope, Send

Prompt = Callable[[str], list[dict[str, Any]] | None]  # request id -> its messages, where they are remembered
FROM_HEADERS = {
    b"x-arbiter-model": "model", b"x-arbiter-task": "task", b"x-arbiter-request-id": "request_id",
    b"x-arbiter-decision": "decision_id",
}  # fmt: skip
LONGEST_PATH = 300
UNKNOWN = 401  # the status of whoever shows no key, or one that opens nothing


class PrivateFile(WatchedFileHandler):
    """Lines only: what logging would add stays out. A full disk loses lines, never a request."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", delay=True)
        self.setFormatter(logging.Formatter("%(message)s"))

    def _open(self) -> Any:
        return open(self.baseFilename, self.mode, encoding=self.encoding, opener=_private)

    def handleError(self, record: logging.LogRecord) -> None:
        return

    def write(self, line: str) -> None:
        self.handle(logging.LogRecord("access", logging.INFO, "", 0, line, None, None))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class AccessLog:
    """ASGI wrapper. ``prompt``: None: no prompts."""

    def __init__(self, app: App, file: PrivateFile, *, prompt: Prompt | None = None) -> None:
        self._app = app
        self._file = file
        self._prompt = prompt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        CALLER.set(None)  # whoever refuses before a key is read refuses nobody in particular
        seen = _Seen(send)
        began = time.perf_counter()
        try:
            await self._app(scope, receive, seen.send)
        finally:
            self._file.write(self._line(scope, seen, time.perf_counter() - began))

    def _line(self, scope: Scope, seen: _Seen, seconds: float) -> str:
        client = scope.get("client")
        line = {
            "at": round(time.time(), 3), "client": client[0] if client else None,
            "key": None if seen.status == UNKNOWN else who(),
            "method": scope["method"], "path": masked(scope["path"])[:LONGEST_PATH], "status": seen.status,
            "seconds": round(seconds, 6), "bytes": seen.bytes, "whole": seen.whole, **seen.served,
        }  # fmt: skip
        id = seen.served.get("request_id")
        if self._prompt is not None and id is not None and (prompt := self._prompt(id)) is not None:
            line["messages"] = prompt
        return json.dumps(line, ensure_ascii=False)


class _Seen:
    """What goes out: status, size, who served it, whether it came to its end."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None
        self.bytes = 0
        self.whole = False
        self.served: dict[str, str] = {}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            for name, value in message["headers"]:
                if (shown := FROM_HEADERS.get(name)) is not None and value:
                    self.served[shown] = value.decode("latin-1")
        else:
            self.bytes += len(message.get("body", b""))
            self.whole = not message.get("more_body", False)
        await self._send(message)


def opened(path: str, folder: Path) -> PrivateFile:
    """The file; a relative path lies in ``folder``. Raises OSError where it can't be written."""
    full = folder / Path(path).expanduser()
    os.close(os.open(full, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    return PrivateFile(full)
