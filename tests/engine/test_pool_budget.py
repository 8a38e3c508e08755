"""The pool's laws of room: the budget, who is evicted for whom, what never is, what is refused."""

from __future__ import annotations

import pytest
from pool_bench import MIB, Bench

from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.errors import LoadFailed, OutOfBudget


async def test_what_is_idle_makes_room_and_the_budget_holds() -> None:
    """With room for two, a third evicts the one used longest ago; bytes never exceed the budget."""
    bench = Bench(budget_mib=200)
    for name in ("a", "b", "a", "c", "b", "c"):
        await bench.advance(1.0)
        async with bench.pool.lease(bench.version(name)):
            assert bench.pool.used_bytes() <= 200 * MIB
    assert bench.provider.peak_bytes <= 200 * MIB
    assert bench.peak_claimed <= 200 * MIB
    assert bench.provider.unloads == ["b", "a"]


async def test_what_is_leased_is_never_evicted() -> None:
    """A cold model waits for the lease on the loaded one; it loads as soon as that is given back."""
    bench = Bench(budget_mib=100)
    first = bench.holder("a")
    await bench.until(lambda: first.holding)
    second = bench.holder("b")
    await bench.clock.settle()
    assert bench.state("a") == "draining"
    assert bench.provider.unloads == []
    await first.finish()
    await bench.until(lambda: second.holding)
    assert bench.provider.unloads == ["a"]
    await second.finish()


async def test_an_idle_victim_is_preferred_to_a_busy_one() -> None:
    """Room is made without waiting where an idle instance can give it."""
    bench = Bench(budget_mib=200)
    busy = bench.holder("a")
    await bench.until(lambda: busy.holding)
    await bench.pool.probe(bench.version("b"))
    third = bench.holder("c")
    await bench.until(lambda: third.holding)
    assert bench.provider.unloads == ["b"]
    assert bench.state("a") == "ready"
    await busy.finish()
    await third.finish()


async def test_max_loaded_bounds_the_count() -> None:
    """The number of processes is bounded as well as their bytes."""
    bench = Bench(max_loaded=1)
    for name in ("a", "b", "a"):
        async with bench.pool.lease(bench.version(name)):
            assert bench.provider.alive == [name]


async def test_too_large_even_alone_fails_fast() -> None:
    """OutOfBudget names both sizes and the way out, evicts nothing, and others go on."""
    bench = Bench(budget_mib=512, sizes={"a": 100, "huge": 3072})
    await bench.pool.ensure(bench.version("a"))
    with pytest.raises(OutOfBudget, match=r"huge needs 3\.0 GiB, the memory budget is 512 MiB.*memory_budget"):
        async with bench.pool.lease(bench.version("huge")):
            pass
    with pytest.raises(OutOfBudget):
        await bench.pool.ensure(bench.version("huge"))
    assert bench.pool.is_ready("a")


async def test_pinned_is_never_evicted_and_the_refusal_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pin holds against demand; the error says what to unpin; unpinned, the demand goes through."""
    monkeypatch.setattr("arbiter_tui.engine.keeper.SHIELD_S", 0.0)
    bench = Bench(budget_mib=150)
    await bench.pool.ensure(bench.version("a"))
    bench.pool.pin("a", True)
    with pytest.raises(OutOfBudget, match="unpin a"):
        await bench.pool.ensure(bench.version("b"))
    bench.pool.pin("a", False)
    await bench.pool.ensure(bench.version("b"))
    assert bench.provider.unloads == ["a"]


async def test_the_measured_size_corrects_the_prediction() -> None:
    """What a version held last time counts, not what its provider predicts."""
    bench = Bench(budget_mib=500, measured=lambda version: 300 * MIB if version == "a" else None)
    await bench.pool.ensure(bench.version("a"))
    view = bench.pool.view("a")
    assert view is not None
    assert view.predicted_bytes == 300 * MIB
    assert bench.pool.used_bytes() == 300 * MIB


async def test_the_question_who_would_go_changes_nothing() -> None:
    """What a load would unload: the idle before the busy, nobody where there is room, and nothing happens."""
    bench = Bench(budget_mib=200)
    busy = bench.holder("a")
    await bench.until(lambda: busy.holding)
    assert bench.pool.would_evict(bench.version("b")) == ()
    await bench.pool.probe(bench.version("b"))
    assert bench.pool.would_evict(bench.version("c")) == ("b",)
    assert bench.pool.would_evict(bench.version("b")) == (), "it is loaded already"
    bench.pool.pin("b", True)
    assert bench.pool.would_evict(bench.version("c")) == ("a",)
    assert bench.pool.would_evict(bench.version("c", provider="nobody")) == ()
    assert bench.provider.unloads == []
    assert bench.pool.view("c") is None
    await busy.finish()


async def test_a_provider_that_fails_on_its_prediction_fails_its_own_waiters() -> None:
    """An error while planning reaches those who asked for that version; others are planned in the same pass."""
    bench = Bench()
    predict = bench.provider.predicted_bytes

    def missing(version: ModelVersion) -> int | None:
        if version.version == "a":
            raise FileNotFoundError("a.gguf")
        return predict(version)

    bench.provider.predicted_bytes = missing  # type: ignore[method-assign]
    failing, fine = bench.holder("a"), bench.holder("b")
    await bench.until(lambda: fine.holding)
    with pytest.raises(LoadFailed, match=r"FileNotFoundError: a\.gguf"):
        await failing.task
    await fine.finish()


async def test_a_model_of_unknown_size_is_admitted_and_measured() -> None:
    """No prediction: it loads, and counts with what it holds as soon as that is known."""
    bench = Bench()
    bench.provider.predicted_bytes = lambda version: None  # type: ignore[method-assign]
    await bench.pool.ensure(bench.version("a", file_bytes=None))
    assert bench.pool.views()["a"].predicted_bytes is None
    await bench.clock.settle()
    assert bench.pool.used_bytes() == 100 * MIB
