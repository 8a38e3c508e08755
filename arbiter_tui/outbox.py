"""What one turn of the event loop has to send to many, sent together.

Owns: packets between the moment they are made and the end of the turn. Never: their content, streams, flow control.

A packet wakes its receiver. Sent one by one between pieces of work, packets wake sleeping receivers again and again,
and on a machine of few cores each takes ours away for a while: sixteen together cost a sixth less than sixteen apart.
"""

from __future__ import annotations

import asyncio

TOGETHER = 16  # more would leave their receivers without work meanwhile
FEW = 4  # with so few under way there is nothing to wait for


class Outbox:
    """Of one server or client, in one event loop. What goes to one of its transports by another way than ``put`` would
    overtake what waits: ``flush`` before it."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: list[tuple[asyncio.WriteTransport, bytes]] = []

    def put(self, transport: asyncio.WriteTransport, data: bytes, under_way: int) -> None:
        """``data`` goes out now, or at the end of this turn of the loop where more than a few exchanges are
        ``under_way``; never to a transport that is closed meanwhile."""
        waiting = self.waiting
        if not waiting:
            if under_way < FEW:
                transport.write(data)
                return
            asyncio.get_running_loop().call_soon(self.flush)
        waiting.append((transport, data))
        if len(waiting) >= TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Idempotent."""
        waiting, self.waiting = self.waiting, []
        for transport, data in waiting:
            if not transport.is_closing():
                transport.write(data)
