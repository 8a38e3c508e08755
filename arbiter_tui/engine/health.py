"""Is an instance well, and when may a failed one be tried again?

Owns: the back-off and quarantine arithmetic, and bounded health questions to a loaded model. Never: loads, unloads,
restarts (the pool does), generates, or wakes a model.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from ..provider import InstanceStats, LoadedModel

BACK_OFF_CAP_S = 60.0
QUARANTINE_AFTER = 5  # consecutive failures: 1 + 2 + 4 + 8 s of attempts lie behind it
ANSWER_WITHIN_S = 5.0
STRIKES_IDLE = 3
STRIKES_BUSY = 12  # a worker that digests a long prompt may be silent: a minute of silence is a hang


@dataclass(slots=True)
class Failures:
    """Consecutive failures of one version. ``retry_at``: monotonic seconds of the next automatic attempt."""

    count: int = 0
    retry_at: float = 0.0

    def add(self, now: float) -> None:
        self.count += 1
        self.retry_at = now + back_off(self.count)

    def reset(self) -> None:
        self.count, self.retry_at = 0, 0.0

    @property
    def quarantined(self) -> bool:
        return self.count >= QUARANTINE_AFTER

    def wait_s(self, now: float) -> float:
        """Seconds until a quarantined version may be tried once more."""
        return max(0.0, self.retry_at - now)


def back_off(failures: int) -> float:
    """Seconds before attempt ``failures`` + 1: 1, 2, 4, 8, and 60 from the quarantine on."""
    if failures >= QUARANTINE_AFTER:
        return BACK_OFF_CAP_S
    return float(min(BACK_OFF_CAP_S, 2 ** max(0, failures - 1)))


class Answer(StrEnum):
    WELL = "well"
    SICK = "sick"  # it said so, or the question failed
    SILENT = "silent"  # no answer in time


async def ask(model: LoadedModel, *, within_s: float = ANSWER_WITHIN_S) -> Answer:
    """One bounded health question. Never raises but for cancellation."""
    try:
        async with asyncio.timeout(within_s):
            return Answer.WELL if await model.health() else Answer.SICK
    except TimeoutError:
        return Answer.SILENT
    except Exception:  # also what a provider may not raise: one that can't be asked is not well
        return Answer.SICK


def strikes_after(answer: Answer, strikes: int) -> int:
    return 0 if answer is Answer.WELL else strikes + 1


def is_hung(answer: Answer, strikes: int, *, busy: bool) -> bool:
    """A sick answer counts at once towards the short limit; silence of a busy worker towards the long one."""
    limit = STRIKES_BUSY if busy and answer is Answer.SILENT else STRIKES_IDLE
    return strikes >= limit


async def measure(model: LoadedModel, *, within_s: float = ANSWER_WITHIN_S) -> InstanceStats | None:
    """The worker's own figures, or None where it can't tell now."""
    try:
        async with asyncio.timeout(within_s):
            return await model.stats()
    except Exception:  # unknown stays None, whatever a provider does; its health has its own question
        return None
