"""What a version on trial can be asked in idle time: prompts of clients that are kept in memory, and the task's suite.

Owns: which questions a task has, how each is put and graded. Never: asks, stores a prompt, uses one of a private task.

A kept prompt has no known answer. It can be graded only where the suite's questions are all graded by one and the same
rule that needs none (a schema, a pattern); else it tells of success and seconds alone, and grades come from the suite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.tasks import Task
from ..core.verify import unreferenced, verify
from ..provider import Message, Request
from .bench import request_of
from .examples import posed
from .live import Live
from .sentinels import stride

TALK = frozenset({"system", "user", "assistant"})  # what stands in a conversation that can be had again without tools
ROOM = 256  # tokens of an answer to a client's prompt: its own limit is not remembered


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """``verifier`` None: its answer can't be graded."""

    id: str
    request: Request
    verifier: Mapping[str, Any] | None
    reference: Any = None

    def grade(self, answer: str) -> float | None:
        return None if self.verifier is None else verify(self.verifier, answer, self.reference)


class Questions:
    def __init__(self, live: Live) -> None:
        self._live = live
        # The newest prompts of a task's clients, (request id, messages), newest first; history.py's word.
        self.kept: Callable[[str], list[tuple[str, tuple[Message, ...]]]] = lambda task: []

    def graded(self, task: Task) -> Iterator[Question]:
        """What clients asked before what the suite asks."""
        if self._rule(task) is not None:
            yield from self._prompts(task)
        items = self._live.suite(task)
        for n in range(len(items)):
            item = items[n * stride(len(items)) % len(items)]
            yield Question(id=item.id, request=request_of(task, item), verifier=item.verifier, reference=item.reference)

    def ungraded(self, task: Task) -> Iterator[Question]:
        """Prompts of clients whose answers tell of success and seconds only."""
        if self._rule(task) is None:
            yield from self._prompts(task)

    def _rule(self, task: Task) -> Mapping[str, Any] | None:
        return unreferenced(item.verifier for item in self._live.suite(task))

    def _prompts(self, task: Task) -> Iterator[Question]:
        rule = self._rule(task)
        for id, messages in self.kept(task.name):
            if all(m.role in TALK and not m.tool_calls for m in messages):
                request = posed(task, Request(messages=messages, max_tokens=max(ROOM, task.max_tokens)))
                yield Question(id=id, request=request, verifier=rule, reference={})
