"""The engine's decisions without an engine: what it learns, when it swaps, and that it seldom swaps wrongly."""

from __future__ import annotations

import random

from core_cases import outcome

from arbiter_tui.core.autoswap import AutoSwapLimits
from arbiter_tui.core.deciding import Decider
from arbiter_tui.core.policies import Seen, Start
from arbiter_tui.core.replay_engine import EVERY_S, EnginePolicy
from arbiter_tui.core.replay_select import Settings, replay_select
from arbiter_tui.core.tasks import Task

GOOD, BAD = Seen(quality=1.0), Seen(quality=0.0)


def taught(decider: Decider, name: str, good: float, count: int, at: float = 0.0, seed: int = 1) -> None:
    chance = random.Random(f"{seed}/{name}/{at}")
    for n in range(count):
        quality = float(chance.random() < good)
        decider.learn(outcome(version=name, at=at + n, latency_s=1.0, memory_bytes=1, quality=quality, item=f"{n}",
                              quality_source="suite"))  # fmt: skip


def test_what_is_clearly_better_takes_over_and_the_sentence_says_why() -> None:
    """One move, with its sentence; the cooldown holds the next one."""
    decider = Decider(Task(name="t"), ["a", "b"], AutoSwapLimits(), first="a")
    taught(decider, "a", 0.3, 60)
    taught(decider, "b", 0.9, 60)
    decider.look(100.0)
    assert (decider.route.incumbent, decider.route.previous) == ("b", "a")
    assert [(m.from_, m.to) for m in decider.moves] == [("a", "b")]
    assert "b leads t by" in decider.sentences[0]


def test_a_run_of_bad_luck_after_an_alarm_is_no_reason_to_leave_a_good_version() -> None:
    """The alarm's few grades were chosen for being bad: one that was right in 90 of 100 and is wrong four times in a
    row is not left for one that is right in 70 of 100; wrong thirty times in a row, it is."""
    for wrong, left in ((4, False), (30, True)):
        decider = Decider(Task(name="t"), ["a", "b"], AutoSwapLimits(), first="a")
        taught(decider, "b", 0.7, 100)
        taught(decider, "a", 0.9, 100)
        for n in range(wrong):
            decider.learn(outcome(version="a", at=200.0 + n, latency_s=1.0, memory_bytes=1, quality=0.0,
                                  quality_source="suite"))  # fmt: skip
        decider.look(400.0)
        assert (decider.route.incumbent == "b") is left


def test_for_measuring_nothing_is_swapped() -> None:
    """By the policy ``fixed``, whatever is seen; and it believes nothing."""
    decider = Decider(Task(name="t", policy="fixed"), ["a", "b"], AutoSwapLimits(), first="a")
    taught(decider, "a", 0.1, 60)
    taught(decider, "b", 0.9, 60)
    assert decider.look(100.0) == ()
    assert decider.moves == []


def test_the_engine_begins_with_the_best_of_the_benchmark_and_looks_every_few_seconds() -> None:
    """Who serves first is the score's word; between two looks nothing changes."""
    start = Start(names=["a", "b"], known=[[BAD] * 15 + [GOOD] * 5, [GOOD] * 20], expected=[None, None])
    policy = EnginePolicy(start, "t", {}, step_s=1.0)
    assert policy.incumbent == 1
    for _ in range(int(EVERY_S) - 1):
        policy.learn(1, BAD)
    assert policy.incumbent == 1


def test_the_replayed_engine_leaves_a_degraded_model_and_swaps_hardly_ever_wrongly() -> None:
    """Two tasks, each with models of which one falls from .9 to .5 at request 300: most of what is lost is found again;
    of all swaps over several seeds at most one in ten goes to a worse one, and dominated models are never served on
    purpose."""
    chance = random.Random(5)
    shares = {"a": 0.9, "b": 0.75, "c": 0.5}
    items = [[chance.random() for _ in range(150)] for _ in "xy"]
    tasks = {
        task: {m: {f"{i}": Seen(quality=float(hard < p)) for i, hard in enumerate(of)} for m, p in shares.items()}
        for task, of in zip("xy", items, strict=True)
    }
    swaps = wrong = 0
    for seed in (1, 2):
        settings = Settings(seed=seed, requests=600, degrade=(300,), policy="autopilot")
        runs = replay_select(tasks, settings).values()
        assert all(run.explored <= 0.05 * 600 + 1 for run in runs)
        assert sum(run.served for run in runs) / sum(run.best for run in runs) > 0.9
        swaps, wrong = swaps + sum(r.swaps for r in runs), wrong + sum(r.wrong_swaps for r in runs)
    assert swaps >= 2
    assert wrong <= swaps / 10
