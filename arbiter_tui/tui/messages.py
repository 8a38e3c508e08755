"""What travels inside the cockpit. Owns: message types. Never: behaviour."""

from __future__ import annotations

from textual.message import Message

from ..core.snapshot import Snapshot
from .state import Trouble


class SnapshotArrived(Message):
    """The newest snapshot; a newer one in the queue takes its place."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, SnapshotArrived)


class EngineLost(Message):
    """The wire is down; the cockpit tries again by itself. ``final`` when it gave up."""

    def __init__(self, trouble: Trouble, *, final: bool = False) -> None:
        super().__init__()
        self.trouble = trouble
        self.final = final


class Opened(Message):
    """Details of the selected item are wanted (enter or a double click)."""
