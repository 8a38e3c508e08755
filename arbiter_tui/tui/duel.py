"""Two models' answers to one prompt: what each has said so far, how fast, and the verdict. Owns: the streams, their
figures, which name hides behind which letter. Never: drawing, choosing the models.

Times are those that the cockpit sees: the first token's includes the way, the queue and a load.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import ArbiterError
from .source import Engine, Running

LETTERS = "AB"
VERDICTS: Mapping[str, tuple[float, float]] = {  # the grade of A and of B
    "a": (1.0, 0.0),
    "b": (0.0, 1.0),
    "equal": (1.0, 1.0),
    "bad": (0.0, 0.0),
}


@dataclass(slots=True)
class Side:
    """One answer. ``state``: waiting, streaming, done, failed, cancelled."""

    version: str
    state: str = "waiting"
    pieces: list[str] = field(default_factory=list)
    began: float = 0.0
    first_at: float | None = None
    ended_at: float | None = None
    tokens: int | None = None
    estimated: bool = False
    request_id: str | None = None
    finish: str | None = None
    error: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def running(self) -> bool:
        return self.state in ("waiting", "streaming")

    @property
    def ttft_s(self) -> float | None:
        return None if self.first_at is None else self.first_at - self.began

    @property
    def took_s(self) -> float | None:
        return None if self.ended_at is None else self.ended_at - self.began

    @property
    def rate(self) -> float | None:
        """Tokens a second after the first one; known when the answer is over."""
        if self.tokens is None or self.tokens < 2 or self.first_at is None or self.ended_at is None:
            return None
        spent = self.ended_at - self.first_at
        return (self.tokens - 1) / spent if spent > 0 else None


class Duel:
    """``versions`` in the order in which they are shown; ``hidden``: their names are told with the verdict only."""

    def __init__(
        self,
        task: str | None,
        messages: Sequence[Mapping[str, Any]],
        versions: Sequence[str],
        *,
        hidden: bool,
        now: Callable[[], float],
    ) -> None:
        self.task, self.messages, self._hidden, self._now = task, list(messages), hidden, now
        self.sides = [Side(v) for v in versions]
        self.verdict: str | None = None
        self.changed = False  # since whoever draws has looked
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def hidden(self) -> bool:
        return self._hidden and self.verdict is None

    @property
    def running(self) -> bool:
        return any(s.running for s in self.sides)

    @property
    def whole(self) -> bool:
        """Whether there is something to judge: every answer came to its end."""
        return all(s.state == "done" and s.request_id for s in self.sides)

    def start(self, engine: Engine) -> None:
        """Both at once, each in a task of its own."""
        for side in self.sides:
            side.began = self._now()
            self._tasks.append(asyncio.create_task(self._stream(engine, side), name=f"playground-{side.version}"))

    async def _stream(self, engine: Engine, side: Side) -> None:
        answer = engine.answer(side.version, self.messages, self.task)
        try:
            async for piece in answer:
                if side.first_at is None:
                    side.first_at, side.state = self._now(), "streaming"
                side.pieces.append(piece)
                self.changed = True
            self._end(side, answer, "done")
        except (ArbiterError, OSError, TimeoutError) as error:
            side.error = str(error) or type(error).__name__
            self._end(side, answer, "failed")
        except asyncio.CancelledError:
            self._end(side, answer, "cancelled")
            raise
        finally:
            await answer.aclose()

    def _end(self, side: Side, answer: Running, state: str) -> None:
        side.ended_at, side.state, self.changed = self._now(), state, True
        side.tokens, side.estimated, side.finish = answer.tokens_out, answer.estimated, answer.finish_reason
        side.request_id = answer.served.get("request_id")

    def cancel(self) -> None:
        """The engine stops decoding as soon as its client leaves."""
        for task in self._tasks:
            task.cancel()
        for side in self.sides:
            if side.running:
                side.state, side.ended_at = "cancelled", self._now()
        self.changed = True

    async def judge(self, engine: Engine, verdict: str) -> None:
        """The grades as feedback for each answer's request; only what the engine has taken counts as judged."""
        for side, grade in zip(self.sides, VERDICTS[verdict], strict=False):
            await engine.feedback(str(side.request_id), grade, "side by side")
        self.verdict = verdict

    def grade(self, index: int) -> float | None:
        return None if self.verdict is None else VERDICTS[self.verdict][index]
