"""The prompt of a suite's question: plain data that a caller turns into a provider's Request.

Owns: how a task's worked examples stand before the question; a prompt's fingerprint, by which answers to the same one
are known without it. Never: a model's name, a chat template, any I/O.

A chat model sees the examples as earlier turns of the conversation; a model without a chat template gets the same
pairs through ``few_shot``, from which its provider builds a plain ``question / answer`` text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

from .tasks import Task


def suite_request(task: Task, item_prompt: str) -> dict[str, Any]:
    """Fields of a Request for one question of ``task``, greedy and short.

    ``messages``: (role, content) pairs, the question last; ``few_shot``: (question, answer) pairs; ``max_tokens``;
    ``temperature``; ``stop``: where the answer is over (empty: multi-line answers end at the model's own end mark).
    """
    turns = tuple(turn for asked, said in task.few_shot for turn in (("user", asked), ("assistant", said)))
    return {
        "messages": (*turns, ("user", item_prompt)),
        "few_shot": task.few_shot,
        "max_tokens": task.max_tokens,
        "temperature": 0.0,
        "stop": ("\n",) if all("\n" not in said for _, said in task.few_shot) else (),
    }


def fingerprint(parts: Iterable[str]) -> str:
    """Of a prompt, told in parts (roles and contents in turn; or one name of its own): 12 hexadecimal digits, the same
    for the same parts, that say nothing else of it."""
    told = "\x1f".join(parts)
    return blake2b(told.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def plain_prompt(messages: Sequence[tuple[str, str]], few_shot: Sequence[tuple[str, str]] = ()) -> str:
    """One text for a model without a chat template: every pair as ``question\\nanswer``, a blank line, the next.

    ``messages`` are (role, content) pairs, the open question last. Worked examples that already stand in the
    conversation as turns are not repeated. Stop such an answer at a line's end or a blank line.
    """
    turns = tuple((role, content) for role, content in messages)
    shown = tuple(turn for asked, said in few_shot for turn in (("user", asked), ("assistant", said)))
    if any(turns[i : i + len(shown)] == shown for i in range(len(turns) - len(shown) + 1)):
        shown = ()
    system = [content for role, content in turns if role == "system"]
    talk = [*shown, *(turn for turn in turns if turn[0] != "system")]
    lines = [content + ("\n" if role == "assistant" else "") for role, content in talk]
    return "\n".join([*(text + "\n" for text in system), *lines]) + "\n"
