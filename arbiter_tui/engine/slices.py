"""Long work on the engine's loop, in slices: between two of them everything else has its turn.

Owns: the turns. Never: the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")


async def sliced(items: Iterable[T], each: int = 25) -> AsyncIterator[T]:
    """``items``, with a turn of the loop after ``each`` of them: a few milliseconds' worth."""
    for n, item in enumerate(items, start=1):
        yield item
        if n % each == 0:
            await asyncio.sleep(0)
