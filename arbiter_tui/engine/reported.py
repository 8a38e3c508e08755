"""What others say of answers: users' grades, and outcomes that were measured elsewhere.

Owns: committing them before they are acknowledged, and teaching them to whoever decides. Never: measures, decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from weakref import WeakValueDictionary

from ..core.cost import Outcome
from ..core.intake import flaws, sound, unwelcome
from ..errors import Impossible, Refused, UnknownName
from .evidence import Evidence
from .live import Live
from .recorder import Recorder
from .rollouts import Rollouts

SOURCE = "feedback"


class Reported:
    def __init__(self, live: Live, recorder: Recorder, evidence: Evidence, rollouts: Rollouts) -> None:
        self._live, self._recorder, self._evidence, self._rollouts = live, recorder, evidence, rollouts
        self._grading: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by request, while it is graded

    async def feedback(self, request_id: str, score: float, comment: str) -> Outcome:
        """A user's grade (0..1) of an answer, or the correction of an earlier one; committed when this returns. Of an
        answer that a suite, a sentinel, a verifier or a report has graded that grade stands, and is in what returns.
        Raises UnknownName, Impossible."""
        if not 0.0 <= score <= 1.0:
            raise Impossible(f"a score is between 0 and 1, not {score}", param="score")
        async with self._grading.setdefault(request_id, asyncio.Lock()):  # two at once are taught in the store's order
            await self._recorder.flush()
            found = await self._live.store.set_quality(request_id, score, SOURCE, comment)
            if found is None:
                raise UnknownName("request", request_id)
            outcome = found.after
            if outcome.task and found.taken:
                self._evidence.grade(outcome, score, SOURCE, found.corrects)
                self._rollouts.graded(outcome, score, SOURCE, found.corrects)
            self._live.graded(outcome)
        return outcome

    async def report(self, outcomes: Iterable[Outcome]) -> None:
        """Committed when this returns, idempotent by id; all of them or none. A moment of the future is now. Raises
        UnknownName, Impossible (values that can't be true), Refused (an archived version)."""
        several, ahead = list(outcomes), list[str]()
        now = self._live.clock.now()
        for place, outcome in enumerate(several):
            self._live.task(outcome.task)
            version = self._live.registry.get(outcome.version)
            found = flaws(outcome, now)
            wrong = [f"{name} {what}" for name, what in found.items() if name != "at"]
            if "at" in found:  # stored as it came it would look fresh for ever after a restart
                several[place] = sound(outcome, {"at": found["at"]}, now)
                ahead.append(f"at {found['at']}")
            said = f"outcome {place + 1} of {len(several)}, of {version.version}"
            if wrong:
                self._evidence.intake.update(wrong)
                first = next(name for name in found if name != "at")
                raise Impossible(f"{said}: {', '.join(wrong)}; none of them was taken", param=first)
            if unwelcome(version):
                self._evidence.intake.update(["version is archived"])
                raise Refused(f"{said}: version is archived; none of them was taken")
        graded = [
            replace(
                o, source="reported", quality_source=o.quality_source or (None if o.quality is None else "reported")
            )
            for o in several
        ]
        self._evidence.intake.update(ahead)
        await self._recorder.commit(graded)
