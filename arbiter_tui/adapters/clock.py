"""The real clock. Owns: nothing. Never: read by core/, which is told the time."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """ports.Clock on the machine's own clocks."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))
