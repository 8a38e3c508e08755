"""What others report: what is kept of it, and what a restart remembers."""

from __future__ import annotations

from dataclasses import replace

from engine_kit import Engine

from arbiter_tui.core.cost import Outcome


async def test_a_moment_of_the_future_is_stored_as_now() -> None:
    """A wrong clock must not make a version look fresh for ever once the engine starts again."""
    async with Engine() as e:
        store, now = e.store, e.clock.now()
        await e.arbiter.report([Outcome(id="late", task="work", version="a", at=now + 1e9, success=True, quality=1.0)])
        assert e.arbiter.statistics()["intake"]["at is in the future"] == 1
    async with Engine(store=store) as e:
        known = e.arbiter.evidence.stats("work")["a"]
        assert known.last_at is not None
        assert known.last_at <= e.clock.now() + 60.0


async def test_a_restart_does_not_bring_back_what_a_change_made_untrue() -> None:
    """After a detected change only the evidence since it counts, and so it does after a restart."""
    async with Engine(drift_min_samples=10) as e:
        store, now = e.store, e.clock.now()
        await e.arbiter.recorder.commit(
            [Outcome(id=f"o{n}", task="work", version="a", at=now, success=True, quality=float(n < 60),
                     quality_source="suite") for n in range(90)]
        )  # fmt: skip
        before = e.arbiter.evidence.stats("work")["a"].quality
    async with Engine(drift_min_samples=10, store=store) as e:
        assert e.arbiter.evidence.stats("work")["a"].quality == before


async def test_a_restart_does_not_let_an_answer_be_graded_twice() -> None:
    """A second grade of the same answer teaches nothing, also when the engine was started anew in between."""
    async with Engine() as e:
        store = e.store
        await e.arbiter.report([Outcome(id="r", task="work", version="a", at=e.clock.now(), success=True)])
        await e.arbiter.feedback("r", 0.0)
        await e.arbiter.feedback("r", 0.0)
        known = e.arbiter.evidence.stats("work")["a"]
    async with Engine(store=store) as e:
        await e.arbiter.feedback("r", 0.0)
        again = e.arbiter.evidence.stats("work")["a"]
        assert (again.hits, again.misses) == (known.hits, known.misses)


async def test_an_id_that_only_the_store_remembers_teaches_nothing() -> None:
    """Idempotent by id, however long ago the same was reported, also before a restart."""
    async with Engine() as e:
        several = [Outcome(id=f"o{n}", task="work", version="a", at=e.clock.now(), success=True) for n in range(3)]
        await e.arbiter.report(several)
        e.arbiter.recorder._seen.clear()  # as after many others
        await e.arbiter.report([*several, replace(several[0], id="new")])
        assert e.arbiter.evidence.stats("work")["a"].samples == 4
        assert e.arbiter.statistics()["intake"]["duplicates"] == 3
