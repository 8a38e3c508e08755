"""What this process's own libraries warn of, as events of the engine: read in the cockpit's log, kept nowhere.

Owns: the handler, and the removal of what looks like a secret. Never: a file, levels of other programs.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable

from ..core.access import masked

LISTENED = ("arbiter_tui", "arbiter_providers", "uvicorn.error", "asyncio")
_SECRETS = (
    re.compile(
        r"(?i)\b((?:api[_-]?key|authorization|token|secret|password)[\"']?\s*[:=]\s*[\"']?(?:bearer\s+)?)[^\s,;\"']+"
    ),
    re.compile(r"(?i)\b(bearer\s+)[^\s,;\"']+"),
    re.compile(r"(://[^/\s:@]+:)[^@\s]+(?=@)"),  # a password in a URL
)


def redacted(text: str) -> str:
    """``text`` without what follows the name of a secret."""
    for pattern in _SECRETS:
        text = pattern.sub(r"\1***", text)
    return masked(text)


class EventLog(logging.Handler):
    """``tell(message, level)`` is called on ``loop`` for every warning and error, whatever thread it came from."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tell: Callable[[str, str], None]) -> None:
        super().__init__(logging.WARNING)
        self._loop, self._tell = loop, tell

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        said = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            said += f" ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
        try:
            self._loop.call_soon_threadsafe(self._tell, f"{record.name}: {redacted(said)}", level)
        except RuntimeError:
            return  # the loop has ended: nobody reads events any more

    def listen(self) -> None:
        for name in LISTENED:
            logging.getLogger(name).addHandler(self)

    def leave(self) -> None:
        for name in LISTENED:
            logging.getLogger(name).removeHandler(self)
