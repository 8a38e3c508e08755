"""The real clock. Owns: nothing. Never: read by core/, which is told the time."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """ports.Clock on the machine's own clocks."""

    # Each request asks ten times: no method stands between.
    now = staticmethod(time.time)  # unix seconds
    monotonic = staticmethod(time.monotonic)  # seconds that never run backwards

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))
