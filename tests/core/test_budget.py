"""The shadow price of a day's budget: its laws, and that a day which would overspend ends near its limit."""

from __future__ import annotations

from typing import Any

import pytest
from core_cases import NOW, measured, version
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.autoswap import AutoSwapInput, decide, guards
from arbiter_tui.core.budget import GAIN, MAX_PRICE, Budget, charge, pressure, stepped
from arbiter_tui.core.record import pack_input, unpack_input
from arbiter_tui.core.routing import Route
from arbiter_tui.core.scoring import leaderboard
from arbiter_tui.core.tasks import Task

amounts = st.floats(0.0, 1e9)
limits = st.floats(1e-3, 1e9)
shares = st.floats(0.0, 1.0)
prices = st.floats(0.0, MAX_PRICE)


@given(prices, amounts, limits, shares, st.floats(0.0, 24.0))
def test_a_price_is_bounded_and_moves_with_the_pace(
    price: float, spent: float, limit: float, share: float, hours: float
) -> None:
    """0..MAX_PRICE; it never falls while more is spent than the pace allows, never rises while less is; no time, no
    change."""
    after = stepped(price, spent, limit, day_share=share, hours=hours)
    assert 0.0 <= after <= MAX_PRICE
    pressed = pressure(spent, limit, share)
    assert -1.0 <= pressed <= 1.0
    assert after >= price if pressed >= 0 else after <= price
    assert stepped(price, spent, limit, day_share=share, hours=0.0) == price


@given(prices, amounts, amounts, limits, shares)
def test_who_spends_more_never_pays_less(price: float, one: float, other: float, limit: float, share: float) -> None:
    """The price is monotone in what was spent, and in how early it was."""
    less, more = sorted((one, other))
    assert stepped(price, less, limit, day_share=share, hours=1.0) <= stepped(
        price, more, limit, day_share=share, hours=1.0
    )
    assert stepped(price, one, limit, day_share=1.0, hours=1.0) <= stepped(
        price, one, limit, day_share=share, hours=1.0
    )


def test_what_is_not_spent_is_free_again() -> None:
    """Without spending the largest price is gone within MAX_PRICE / GAIN hours."""
    price = MAX_PRICE
    for _ in range(round(MAX_PRICE / GAIN * 60) + 1):
        price = stepped(price, 0.0, 100.0, day_share=0.5, hours=1 / 60)
    assert price == 0.0


@given(st.dictionaries(st.sampled_from("abcd"), st.floats(0.0, 1e6), max_size=4), prices)
def test_the_dearest_pays_the_price_and_nobody_more(costs: dict[str, float], price: float) -> None:
    """In proportion to the cost; an unknown one as the mean of the known; of nobody's cost nothing follows."""
    budgets = (Budget(kind="seconds", limit=1.0, price=price, costs=costs),)
    charges = {name: charge(budgets, name) for name in "abcdz"}
    assert all(0.0 <= c <= price for c in charges.values())
    if any(costs.values()):
        assert charges[max(costs, key=costs.__getitem__)] == price
        order = sorted(costs, key=costs.__getitem__)
        assert [charges[n] for n in order] == sorted(charges[n] for n in order)
    else:
        assert set(charges.values()) == {0.0}


@pytest.mark.parametrize("per_hour", [20, 60, 240])
def test_a_day_ends_near_its_limit(per_hour: int) -> None:
    """a is better by .10 and costs 2, b costs 1; a all day would spend 1.4 times the limit. By the price b serves when
    it must: the day ends at most 5% over the limit, and a has served as much as that allows, within a fifth."""
    limit, spent, price, served = 2.0 * 24 * per_hour / 1.4, 0.0, 0.0, {"a": 0, "b": 0}
    for request in range(24 * per_hour):
        share = request / (24 * per_hour)
        budgets = (Budget(kind="seconds", limit=limit, price=price, costs={"a": 2.0, "b": 1.0}),)
        chosen = "a" if 0.9 - charge(budgets, "a") >= 0.8 - charge(budgets, "b") else "b"
        served[chosen] += 1
        spent += 2.0 if chosen == "a" else 1.0
        price = stepped(price, spent, limit, day_share=share, hours=1 / per_hour)
    assert spent <= 1.05 * limit
    allowed = limit - 24 * per_hour
    assert served["a"] >= 0.8 * allowed


def asked(budgets: tuple[Budget, ...], **more: Any) -> AutoSwapInput:
    """a serves and is a little better than b."""
    stats = {"a": measured(100, quality=0.9), "b": measured(100, quality=0.85)}
    task = Task(name="t")
    rows = leaderboard(task, [version(name) for name in stats], stats, now=NOW)
    return AutoSwapInput(
        task=task, rows=rows, stats=stats, now=NOW, route=Route(task="t", incumbent="a"), budgets=budgets, **more
    )


def test_a_price_enters_the_lead_and_the_record() -> None:
    """Without one a stays; at a price that its answers are not worth b takes over, and the reasons say what was spent.
    The record suffices to compute it again."""
    costs = {"a": 4.0, "b": 1.0}
    free = asked((Budget(kind="seconds", limit=100.0, spent=10.0, costs=costs),))
    assert decide(free).action == "none"
    dear = asked((Budget(kind="seconds", limit=100.0, spent=150.0, price=MAX_PRICE, costs=costs),))
    verdict = decide(dear)
    assert (verdict.action, verdict.to) == ("swap", "b")
    (spent,) = [w for w in verdict.why if w.rule == "seconds_today"]
    assert (spent.value, spent.threshold) == (150.0, 100.0)
    (shown,) = [g for g in guards(dear) if g.rule == "seconds_today"]
    assert (shown.met, shown.unit) == (True, "s")
    assert ".50 of utility" in shown.would_change_if
    assert decide(unpack_input(pack_input(dear))) == verdict
    assert not [g for g in guards(asked(())) if g.rule.endswith("_today")]
