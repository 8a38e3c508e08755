"""The requests of clients that have ended, newest first: those of this run, then those of the store; and their prompts.

Owns: what ``GET /requests`` lists, and the memory of prompts. Never: stores a prompt, keeps one of a private task.

Prompts live in this process's memory only: of each task the newest ``PROMPTS_PER_TASK``, all of them together at most
``PROMPT_CHARACTERS`` long. What is longer than ``LONGEST_PROMPT`` is not kept, nor what holds a picture: half a prompt
asks something else.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import asdict
from typing import Any

from ..core.cost import Outcome
from ..errors import StoreError
from ..provider import Message, Request
from .live import Live
from .recorder import Recorder

PROMPTS_PER_TASK = 200
LONGEST_PROMPT = 32_768
PROMPT_CHARACTERS = 8_000_000


class Prompts:
    """Request id -> its messages. Constant time per request."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[str, tuple[Message, ...], int]] = OrderedDict()  # id -> task, what, length
        self._of_task: dict[str, deque[str]] = {}
        self._length = 0

    def keep(self, task: str, id: str, request: Request) -> None:
        if request.media:
            return
        messages = request.messages or (Message("user", request.prompt or ""),)
        length = sum(len(m.content) for m in messages)
        if not 0 < length <= LONGEST_PROMPT:
            return
        ids = self._of_task.setdefault(task, deque())
        if len(ids) >= PROMPTS_PER_TASK:
            self._forget(ids[0])
        self._kept[id] = (task, messages, length)
        ids.append(id)
        self._length += length
        while self._length > PROMPT_CHARACTERS:
            self._forget(next(iter(self._kept)))

    def _forget(self, id: str) -> None:
        """The oldest of its task: of all the oldest one is the oldest of its own task, too."""
        task, _, length = self._kept.pop(id)
        self._of_task[task].popleft()
        self._length -= length

    def newest(self, task: str) -> list[tuple[str, tuple[Message, ...]]]:
        """Of one task, newest first."""
        return [(id, self._kept[id][1]) for id in reversed(self._of_task.get(task, ()))]

    def of(self, id: str) -> tuple[Message, ...] | None:
        found = self._kept.get(id)
        return None if found is None else found[1]


class History:
    def __init__(self, live: Live, recorder: Recorder) -> None:
        self._live = live
        self._recorder = recorder
        self._prompts = Prompts()

    def keep(self, outcome: Outcome, request: Request) -> None:
        """A request has ended; its prompt is remembered unless its task is private."""
        if not self._private(outcome.task):
            self._prompts.keep(outcome.task, outcome.id, request)

    def kept(self, task: str) -> list[tuple[str, tuple[Message, ...]]]:
        """The prompts of a task that are remembered, newest first, with their requests' ids; none of a private one."""
        return [] if self._private(task) else self._prompts.newest(task)

    def prompt_of(self, id: str) -> list[dict[str, str]] | None:
        """The messages of a request, where they are remembered."""
        messages = self._prompts.of(id)
        return None if messages is None else [asdict(m) for m in messages]

    def _private(self, task: str) -> bool:
        known = self._live.tasks.get(task)
        return known is not None and known.private

    async def page(
        self, *, limit: int, after: str | None = None, task: str | None = None, prompts: bool = False
    ) -> list[dict[str, Any]]:
        """Newest first, behind ``after``: this run's from memory, with the decision behind each; then the store's.

        ``prompts``: with ``messages`` where they are still remembered.
        """
        ring = [served for served in reversed(self._live.recent) if task in (None, served.outcome.task)]
        known = [served.outcome.id for served in ring]
        first = 0 if after is None else known.index(after) + 1 if after in known else len(ring)
        found = [served.as_dict() for served in ring[first : first + limit]]
        if len(found) < limit:
            last = found[-1]["id"] if found else after
            found += await self._stored(limit - len(found), last, task, frozenset(known))
        return [self._with_prompt(row) for row in found] if prompts else found

    async def _stored(
        self, limit: int, after: str | None, task: str | None, known: frozenset[str]
    ) -> list[dict[str, Any]]:
        """What earlier runs on this folder answered; a store that can't be read takes nothing of what is known."""
        try:
            await self._recorder.flush()
            older = await self._live.store.list_outcomes(limit=limit, after=after, task=task, source="request")
        except StoreError:
            return []
        return [{**asdict(o), "decision_id": None, "named": None} for o in older if o.id not in known]

    def _with_prompt(self, row: dict[str, Any]) -> dict[str, Any]:
        messages = None if self._private(row["task"]) else self._prompts.of(row["id"])
        return row if messages is None else {**row, "messages": [_told(m) for m in messages]}


def _told(message: Message) -> dict[str, Any]:
    """Role and content always; what tools add only where there is some."""
    return {k: v for k, v in asdict(message).items() if v or k in ("role", "content")}
