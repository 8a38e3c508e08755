"""Who answers when the one who should can't: before the first piece of text, for a request of a task.

Owns: the order in which others are asked, and the record of who failed. Never: a request that names its version (it
gets that one or an error), a lease, a stream (answer.py asks here, and goes on).

1. A worker that died is asked once more, for its next life may be well; not a version on trial.
2. Whoever serves the task, where another one was tried (on trial, or explored).
3. The task's ``fallback`` chain; without one, the versions that are ready now, best of the task first: none of a paid
   provider, whose cap of the day holds for each of these as the constitution does.

The constitution holds for each of them, and a key's limits do because the task is the same. One whose breaker is open
is passed over while there is another; if all are open, the least bad is tried. What the request itself caused (too
long, refused content) is nobody's failure and goes nowhere else. Embeddings go nowhere else either: vectors of two
models can't be compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..core.cost import NOT_THE_MODELS_FAULT, Failure, Outcome
from ..core.registry import Lifecycle, ModelVersion
from ..errors import NoQualifyingModel, WorkerDied
from .answer import Answer, failure_of
from .breakers import Breakers
from .evidence import Evidence
from .live import Live, Target
from .pool import Pool
from .recorder import Recorder
from .rollouts import Rollouts

DEATHS = 2  # workers that one request may cost before somebody else is asked; of a shared one a part counts
LIVES = 5  # so often its version is asked at most


@dataclass(frozen=True, slots=True)
class Failover:
    """Who was asked first and could not answer."""

    version: str
    failure: Failure
    reason: str


class Fallbacks:
    def __init__(
        self, live: Live, pool: Pool, evidence: Evidence, recorder: Recorder, rollouts: Rollouts, breakers: Breakers
    ) -> None:
        self._live, self._pool, self._evidence = live, pool, evidence
        self._recorder, self._rollouts, self._breakers = recorder, rollouts, breakers
        self.failed: dict[str, tuple[Failover, ...]] = {}  # open request -> who failed it so far

    def first(self, target: Target, version: ModelVersion) -> ModelVersion:
        """``version``, or whoever is asked in its place while its breaker is open; synchronous. Raises CircuitOpen."""
        if target.named:
            self._breakers.check(version)
        elif not self._live.affordable(version):
            version = self._best([*self._chain(target, {version.version})] or [version])
        elif not self._breakers.allows(version):
            version = self._best([version, *self._chain(target, {version.version})])
        self._breakers.admitted(version)
        return version

    def instead(self, target: Target, answer: Answer, error: BaseException) -> ModelVersion | None:
        """Who is asked now that ``answer.version`` failed before its first word; None: the error is the client's."""
        failure, failed = failure_of(error), answer.version
        on_trial = self._rollouts.on_trial_now(failed, target)
        if isinstance(error, WorkerDied) and not on_trial and self._once_more(answer):
            return failed
        if target.named or (failure in NOT_THE_MODELS_FAULT and not on_trial):
            return None
        before = self.failed.get(answer.id, ())
        others = list(self._chain(target, {failed.version, *(f.version for f in before)}))
        if not others:
            return None
        chosen = self._best(others)
        self._note(answer, failure, error, chosen, on_trial=on_trial)
        self._breakers.admitted(chosen)
        return chosen

    def _once_more(self, answer: Answer) -> bool:
        """Its next life may be well. But a prompt that kills whoever reads it is not passed round for ever."""
        return answer.deaths < DEATHS and answer.lives < LIVES

    def take(self, answer: Answer) -> tuple[Failover, ...]:
        """Who failed this request before somebody answered; once, at its end."""
        return self.failed.pop(answer.id, ())

    def _best(self, versions: list[ModelVersion]) -> ModelVersion:
        return next((v for v in versions if self._breakers.allows(v)), None) or self._breakers.least_bad(versions)

    def _chain(self, target: Target, without: set[str]) -> Iterator[ModelVersion]:
        passed = set(without)
        for version in self._everybody(target):
            if version.version in passed:
                continue
            passed.add(version.version)
            may = version is target.version or version.lifecycle is Lifecycle.ACTIVE
            if may and self._live.affordable(version) and self._live.forbids(target.task, version) is None:
                yield version

    def _everybody(self, target: Target) -> Iterator[ModelVersion]:
        yield target.version
        task = self._live.tasks.get(target.task)
        if task is None:
            return
        if task.fallback is None:
            yield from self._ready(target.task)
            return
        for name in task.fallback:
            found = self._live.find(name)
            if found is not None:
                yield found

    def _ready(self, task: str) -> Iterator[ModelVersion]:
        """What is loaded anyway, in the order of the task's ranking."""
        try:
            ranked = self._evidence.select(task, None, memory_limit=self._pool.budget_bytes).ranked
        except NoQualifyingModel:
            return
        for scored in ranked:
            found = self._live.find(scored.version)
            if found is not None and self._pool.is_ready(found.version) and not self._live.paid(found):
                yield found

    def _note(
        self, answer: Answer, failure: Failure, error: BaseException, chosen: ModelVersion, *, on_trial: bool
    ) -> None:
        """Its failure counts for who failed, as if it had been the answer."""
        before, live = self.failed.get(answer.id, ()), self._live
        self.failed[answer.id] = (*before, Failover(answer.version.version, failure, str(error)))
        self._breakers.ended(answer.version.version, failure)
        if on_trial:
            self._rollouts.fell_back(answer, failure)
        else:
            outcome = Outcome(
                id=f"{answer.id}-{len(before) + 1}", task=answer.task, version=answer.version.version,
                at=live.clock.now(), success=False, failure=failure, source="failover",
            )  # fmt: skip
            self._recorder.append(outcome)
            self._rollouts.saw(outcome)
        live.measures.failed_over(answer.task, answer.version.version)
        live.event(
            "failover", f"{answer.task}: {chosen.version} answers for {answer.version.version}: {error}",
            task=answer.task, version=answer.version.version, to=chosen.version, request=answer.id,
        )  # fmt: skip
