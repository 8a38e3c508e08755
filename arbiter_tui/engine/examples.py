"""A client's bare question, put as the task's suite puts its questions.

Owns: when a request gets the task's worked examples, and how. Never: touches a conversation, an instruction or a raw
prompt of the client's, a request with tools, or one that names its model; measures.

The form is core/prompts.py's, the one that the benchmark asks in: what was measured is what is served.
"""

from __future__ import annotations

from dataclasses import replace

from ..core.prompts import suite_request
from ..core.tasks import Task
from ..provider import Message, Request


def posed(task: Task | None, request: Request) -> Request:
    """``request`` with the task's worked examples before its only message, a user's; any other comes back as it is.

    Where the answer is over follows the examples, too, unless the client says so itself or asks for a form of its own.
    """
    if (
        task is None
        or not task.few_shot
        or request.few_shot
        or request.prompt is not None
        or request.tools
        or request.media
        or request.only_original
    ):
        return request
    if len(request.messages) != 1 or request.messages[0].role != "user":
        return request
    shown = suite_request(task, request.messages[0].content)
    free = not request.stop and request.json_schema is None and request.grammar is None
    return replace(
        request,
        messages=tuple(Message(role, content) for role, content in shown["messages"]),
        few_shot=shown["few_shot"],
        stop=shown["stop"] if free else request.stop,
        original=None,
    )
