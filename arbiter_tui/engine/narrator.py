"""The narrator: one sentence, with its figures, on what the autopilot does now and why.

Owns: which of all that is known is worth the one line, and that a still engine stays still. Never: decides, alerts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..core.autoswap import AutoSwapVerdict
from ..core.snapshot import OperationView, SwapView
from ..core.words import change, plural, stays
from .announcements import Announced
from .evidence import Evidence
from .live import Live

COUNTDOWN_S = 10.0
NEWS_S = 600.0  # so long a swap is news


class Narrator:
    def __init__(
        self,
        live: Live,
        evidence: Evidence,
        verdicts: Mapping[str, AutoSwapVerdict],
        announced: Mapping[str, Announced],
    ) -> None:
        self._live, self._evidence = live, evidence
        self._verdicts, self._announced = verdicts, announced
        self._told_at = 0.0
        self.trial: Callable[[], str | None] = lambda: None  # the sentence about a rollout under way
        self.spending: Callable[[], str | None] = lambda: None  # the budget that weighs most
        self.saving: Callable[[], str | None] = lambda: None  # why nothing is asked that nobody waits for
        self.measuring: Callable[[], OperationView | None] = lambda: None  # the benchmark that runs

    def tell(self) -> None:
        """What runs, else what is about to happen, else what was last done, else what is missing."""
        sentence, now = self._sentence(), self._live.clock.monotonic()
        if sentence == self._live.narrator:
            return
        if _words(sentence) == _words(self._live.narrator) and now - self._told_at < COUNTDOWN_S:
            return  # only seconds or samples were counted: a still engine stays still
        self._live.narrator, self._told_at = sentence, now
        self._live.dirty()

    def _sentence(self) -> str:
        live = self._live
        if not live.registry.versions:
            return "No models yet. Register one: arbiter register PATH.gguf"
        running = next((s for s in live.swaps if s.result == "running"), None)
        if running is not None:
            return f"{running.task}: {_doing(running)}. {_past(running.reason)}".strip()
        if self._announced:
            task, soonest = min(self._announced.items(), key=lambda item: item[1].at)
            return f"{_of(task, soonest.sentence(live.clock.now()))}."
        if trial := self.trial():
            return trial
        for wanted in ("swap", "rollback", "hold"):
            for name, verdict in self._verdicts.items():
                if verdict.action == wanted:
                    return f"{_of(name, verdict.sentence)}."
        return self._quiet()

    def _quiet(self) -> str:
        live = self._live
        newest = next(iter(live.swaps), None)
        fresh = newest is not None and live.clock.now() - newest.started_at < NEWS_S
        if newest is not None and fresh and newest.result in ("done", "failed") and (newest.reason or newest.error):
            return _told(newest)
        if saving := self.saving():
            return f"{saving[0].upper()}{saving[1:]}."
        if spending := self.spending():
            return f"{spending}."
        asked = [name for name, task in live.tasks.items() if live.suite(task)]  # no benchmark measures the others
        unmeasured = [name for name in asked if self._evidence.leaderboard(name) and self._unknown(name)]
        verb = "has" if len(unmeasured) == 1 else "have"
        count, noun = f"{len(unmeasured)} of", f"{plural(len(asked), 'task')} {verb}"
        measuring = self.measuring()
        if measuring is not None:
            left = f"; {count} {noun} no measured quality yet" if unmeasured else ""
            return f"Measuring the models: {measuring.message or 'the benchmark has begun'}{left}."
        if unmeasured:
            return f"{count} {noun} no measured quality: press b, or run `arbiter bench`."
        telling = next((v.sentence for v in self._verdicts.values() if v.why), None)
        return f"All is well: {telling}." if telling else "All is well."

    def _unknown(self, name: str) -> bool:
        return all(row.quality is None for row in self._evidence.leaderboard(name))


def _of(task: str, sentence: str) -> str:
    """The task is named once."""
    return sentence if f" {task} " in f" {sentence.replace(';', ' ').replace(',', ' ')} " else f"{task}: {sentence}"


def _doing(swap: SwapView) -> str:
    if swap.from_ is None:
        return f"{swap.to} takes over"
    return f"{stays(swap.to)}; it is checked again" if swap.from_ == swap.to else f"swapping {swap.from_} for {swap.to}"


def _told(swap: SwapView) -> str:
    """A swap that has ended, in one sentence for whoever looks up now."""
    what = change(swap.from_, swap.to)
    if swap.result == "failed":
        return f"{swap.task}: {what} failed: {swap.error or swap.reason}"
    return f"{swap.task}: {what}. {_past(swap.reason)}"


def _past(reason: str) -> str:
    """What was about to be done has been done."""
    return reason.removesuffix("; swapping").removesuffix("; rolling back")


def _words(sentence: str) -> str:
    """Without its figures."""
    return "".join(c for c in sentence if not c.isdigit())
