"""What others say of answers: users' grades, and outcomes that were measured elsewhere.

Owns: committing them before they are acknowledged, and teaching them to whoever decides. Never: measures, decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..core.cost import Outcome
from ..core.intake import flaws, sound, unwelcome
from ..errors import Refused, UnknownName
from .evidence import Evidence
from .live import Live
from .recorder import Recorder
from .rollouts import Rollouts


class Reported:
    def __init__(self, live: Live, recorder: Recorder, evidence: Evidence, rollouts: Rollouts) -> None:
        self._live, self._recorder, self._evidence, self._rollouts = live, recorder, evidence, rollouts

    async def feedback(self, request_id: str, score: float, comment: str) -> Outcome:
        """A user's grade (0..1) of an answer; committed when this returns. Raises UnknownName, Refused."""
        if not 0.0 <= score <= 1.0:
            raise Refused(f"a score is between 0 and 1, not {score}")
        await self._recorder.flush()
        outcome = await self._live.store.set_quality(request_id, score, "feedback", comment)
        if outcome is None:
            raise UnknownName("request", request_id)
        if outcome.task:
            self._evidence.grade(outcome, score, "feedback")
            self._rollouts.graded(outcome, score, "feedback")
        self._live.graded(outcome)
        return outcome

    async def report(self, outcomes: Iterable[Outcome]) -> None:
        """Committed when this returns, idempotent by id; all of them or none. A moment of the future is now. Raises
        UnknownName, Refused (values that can't be true, an archived version)."""
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
            if unwelcome(version):
                wrong.append("version is archived")
            if wrong:
                self._evidence.intake.update(wrong)
                said = f"outcome {place + 1} of {len(several)}, of {version.version}"
                raise Refused(f"{said}: {', '.join(wrong)}; none of them was taken")
        graded = [
            replace(
                o, source="reported", quality_source=o.quality_source or (None if o.quality is None else "reported")
            )
            for o in several
        ]
        self._evidence.intake.update(ahead)
        await self._recorder.commit(graded)
