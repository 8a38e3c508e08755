"""What a swap costs: each part, and that it is the challenger's own cost that its lead is held against."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.autoswap import AutoSwapInput, challenger, decide, guards
from arbiter_tui.core.budget import Budget
from arbiter_tui.core.routing import Route
from arbiter_tui.core.snapshot import RowView
from arbiter_tui.core.stats import Stats
from arbiter_tui.core.swap_cost import AMORTISED_S, DAY_S, MAX_COST, SwapCost, of_energy, of_seconds
from arbiter_tui.core.tasks import Task

NOW = 1_700_000_000.0
KNOWN = Stats(samples=100, successes=100, results=(True,) * 100)


def asked(utilities: dict[str, float], costs: dict[str, SwapCost]) -> AutoSwapInput:
    """``a`` serves; all is known exactly."""
    rows = [
        RowView(version=v, utility=u, utility_low=u, utility_high=u, samples=100, quality=u)
        for v, u in utilities.items()
    ]
    return AutoSwapInput(
        task=Task(name="t"), route=Route(task="t", incumbent="a"), rows=rows, now=NOW, costs=costs,
        stats=dict.fromkeys(utilities, KNOWN),
    )  # fmt: skip


def test_each_part_counts_and_the_sum_has_its_limit() -> None:
    """Seconds by 300, own and others'; joules by the price; together no more than a tenth."""
    assert SwapCost().utility == 0.0
    assert SwapCost(load_s=3.0).utility == pytest.approx(0.01)
    assert SwapCost(load_s=3.0, reload_s=6.0, energy=0.02).utility == pytest.approx(0.05)
    assert SwapCost(load_s=3.0, energy=0.5).utility == SwapCost(load_s=1e9).utility == MAX_COST
    assert of_seconds(-1.0) == 0.0


def test_energy_costs_by_the_price_of_the_tasks_budget() -> None:
    """As a share of what may be spent in the time over which a load pays off; nothing without a price, a budget or a
    known number of joules; other budgets say nothing of it."""
    pace = 86_400.0 * 10.0  # ten watts
    priced = Budget(kind="energy", limit=pace, price=0.2)
    assert of_energy(10.0 * AMORTISED_S / 2, [priced]) == pytest.approx(0.1)
    assert of_energy(1e9, [priced]) == pytest.approx(0.2)
    assert of_energy(None, [priced]) == 0.0
    assert of_energy(100.0, [replace(priced, price=0.0)]) == 0.0
    assert of_energy(100.0, [Budget(kind="money", limit=1.0, price=0.5)]) == of_energy(100.0, []) == 0.0
    assert of_energy(pace / DAY_S * AMORTISED_S, [priced]) == pytest.approx(0.2)


def test_the_lead_is_held_against_the_challengers_own_cost() -> None:
    """b leads by .05 and is loaded, c by .06 and would cost .1: b takes over, and the guard tells b's cost, 0."""
    costs = {"b": SwapCost(), "c": SwapCost(load_s=30.0)}
    given_ = asked({"a": 0.5, "b": 0.55, "c": 0.56}, costs)
    assert decide(given_).to == "b"
    (better,) = [guard for guard in guards(given_) if guard.rule == "better"]
    assert (better.version, better.threshold) == ("b", 0.0)
    alone = asked({"a": 0.5, "c": 0.56}, costs)
    verdict = decide(alone)
    assert (verdict.action, verdict.why[0].threshold) == ("none", 0.1)
    assert decide(asked({"a": 0.5, "c": 0.61}, costs)).to == "c"


def test_of_a_degraded_one_the_best_beyond_its_cost_takes_over() -> None:
    """The same where the incumbent fails: what a swap costs counts against the cold one alone."""
    failing = Stats(samples=100, successes=10, failures=90, results=(False,) * 90 + (True,) * 10)
    given_ = asked({"a": 0.5, "b": 0.55, "c": 0.56}, {"b": SwapCost(), "c": SwapCost(load_s=30.0)})
    sick = replace(given_, stats={**given_.stats, "a": failing})
    assert decide(sick).to == "b"
    nobody = replace(sick, rows=[row for row in sick.rows if row.version != "b"])
    assert decide(nobody).action == "none"
    assert (decide(nobody).why[-1].rule, decide(nobody).why[-1].threshold) == ("alternative", 0.1)


@given(
    st.dictionaries(st.sampled_from("bcdef"), st.floats(0.4, 0.7), min_size=1),
    st.dictionaries(st.sampled_from("bcdef"), st.floats(0.0, 40.0)),
)
def test_pricing_whom_the_verdict_names_is_enough(others: dict[str, float], seconds: dict[str, float]) -> None:
    """Asked for the cost of the named challenger alone, until it names a priced one, it comes to the verdict that all
    costs at once lead to."""
    everyone = {v: SwapCost(load_s=seconds.get(v, 0.0)) for v in others}
    given_ = asked({"a": 0.5, **others}, {})
    while (wanted := challenger(given_)) is not None and wanted not in given_.costs:
        given_ = replace(given_, costs={**given_.costs, wanted: everyone[wanted]})
    assert decide(given_) == decide(replace(given_, costs=everyone))


def test_the_order_of_the_rows_says_nothing() -> None:
    """The top of the leaderboard is nobody special: only who is named has a cost to bear."""
    costs = {"b": SwapCost(load_s=1.5), "c": SwapCost(load_s=30.0)}
    whole = asked({"a": 0.6, "b": 0.62, "c": 0.55}, costs)
    told = {decide(replace(whole, rows=rows)) for rows in permutations(whole.rows)}
    assert len(told) == 1
    assert told.pop().to == "b"


def test_the_sentence_says_what_it_is_made_of() -> None:
    """Empty where there is nothing to pay."""
    assert SwapCost().sentence == ""
    whole = SwapCost(load_s=2.0, assumed=True, evicts=("c", "d"), reload_s=4.5, energy_j=123.4, energy=0.01)
    assert whole.sentence == (
        "loading it takes 2 s (a guess: it was never loaded here); c, d would be unloaded for it and must be loaded "
        "again: 4.5 s; about 123 J, .010 of utility"
    )
