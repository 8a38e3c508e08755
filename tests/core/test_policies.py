"""The policies: what each one knows, whom it asks, when its incumbent changes; and what the default is worth."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core import policies
from arbiter_tui.core.belief import Estimate
from arbiter_tui.core.policies import POLICIES, Bandit, Policy, Seen, Start, bonus, index, lead
from arbiter_tui.core.replay_select import Settings, replay_select

GOOD, BAD = Seen(quality=1.0), Seen(quality=0.0)


def start(*known: tuple[int, int]) -> Start:
    """Each version's benchmark as (right, wrong)."""
    names = [f"m{i}" for i in range(len(known))]
    return Start(names=names, known=[[GOOD] * a + [BAD] * b for a, b in known], expected=[None] * len(known))


def served(policy: Policy, shares: list[float], requests: int, seed: int = 1) -> list[int]:
    chance, counts = random.Random(seed), [0] * len(shares)
    for _ in range(requests):
        chosen = policy.choose(chance)
        counts[chosen] += 1
        policy.learn(chosen, GOOD if chance.random() < shares[chosen] else BAD)
    return counts


@pytest.mark.parametrize("name", POLICIES)
@given(known=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_a_policy_asks_only_whom_there_is_and_the_same_seed_asks_the_same(
    name: str, known: list[tuple[int, int]], seed: int
) -> None:
    """With or without a benchmark, one version or several: in bounds, and without any randomness of its own."""
    shares = [0.2, 0.9, 0.5, 0.6][: len(known)]
    one, two = (served(POLICIES[name](start(*known)), shares, 30, seed) for _ in range(2))
    assert one == two
    assert sum(one) == 30


@pytest.mark.parametrize("name", ["bandit", "score", "epsilon_greedy", "ucb", "thompson", "exp3", "sliding_window"])
def test_a_policy_that_learns_finds_the_best(name: str) -> None:
    """Of three, one much better: it gets more than its third, and is the incumbent in the end."""
    policy = POLICIES[name](start((5, 15), (18, 2), (5, 15)))
    counts = served(policy, [0.2, 0.9, 0.3], 600)
    assert counts[1] > 300
    assert policy.incumbent == 1


def test_fixed_never_changes_and_round_robin_asks_each_in_turn() -> None:
    """Whatever they see."""
    fixed = POLICIES["fixed"](start((18, 2), (5, 15)))
    assert served(fixed, [0.0, 1.0], 50) == [50, 0]
    assert fixed.incumbent == 0
    turns = POLICIES["round_robin"](start((1, 1), (1, 1), (1, 1)))
    assert [turns.choose(random.Random(1)) for _ in range(7)] == [0, 1, 2, 0, 1, 2, 0]


def test_the_window_forgets_what_is_older_than_200_answers() -> None:
    """Its counts never exceed the window."""
    window = policies.SlidingWindow(start((20, 0), (0, 20)))
    served(window, [0.5, 0.5], 500)
    assert sum(window.counts) == policies.WINDOW == 200
    assert all(s >= 0.0 for s in window.sums)


# --- the bandit -----------------------------------------------------------------------------------------------------


def test_the_bonus_is_brezzi_and_lais_and_grows_with_what_is_ahead() -> None:
    """Each branch at its own values, and no step back between two of them."""
    for s, value in (
        (0.2, math.sqrt(0.1)), (1.0, 0.38), (5.0, 0.63 - 0.26 / math.sqrt(5.0)), (15.0, 0.77 - 0.58 / math.sqrt(15.0)),
        (100.0, math.sqrt(2 * math.log(100) - math.log(math.log(100)) - math.log(16 * math.pi))),
    ):  # fmt: skip
        assert bonus(s) == pytest.approx(value)
    grid = [bonus(0.01 * 1.1**n) for n in range(120)]
    assert all(b > a - 0.08 for a, b in pairwise(grid))
    assert grid[-1] > grid[0]


def test_the_index_adds_what_may_be_learnt() -> None:
    """The mean, a share of the level's uncertainty, half of the doubt about the state."""
    known = Estimate(0.6, 0.1, 0.2, 350.0)
    assert index(known) == pytest.approx(0.6 + 0.9 * 0.1 * 0.38 + 0.5 * 0.2)
    assert (policies.HORIZON, policies.BONUS, policies.DOUBT) == (350.0, 0.9, 0.5)


def test_a_lead_is_in_standard_deviations_of_both() -> None:
    """Level and doubt of each count; a cost is taken off first."""
    a, b = Estimate(0.9, 0.03, 0.0, 9.0), Estimate(0.6, 0.0, 0.04, 9.0)
    assert lead(a, b) == pytest.approx(6.0)
    assert lead(a, b, 0.05) == pytest.approx(5.0)
    assert lead(b, a) == pytest.approx(-6.0)


def test_who_is_surely_worse_is_not_asked() -> None:
    """P(another one is better) above .95: in a thousand requests it is not tried once."""
    bandit = Bandit(start((19, 1), (3, 17)))
    assert bandit.joint.dominated(1)
    assert not bandit.joint.dominated(0)
    assert served(bandit, [0.9, 0.2], 1000)[1] == 0


def test_nobody_is_incumbent_before_ten_grades() -> None:
    """Without a benchmark the first answers are nobody's; from the tenth of the best one on somebody serves."""
    bandit = Bandit(start((0, 0), (0, 0)))
    assert bandit.incumbent is None
    for _ in range(9):
        bandit.learn(0, GOOD)
    assert bandit.incumbent is None
    bandit.learn(0, GOOD)
    assert bandit.incumbent == 0
    assert Bandit(start((9, 1), (5, 5))).incumbent == 0
    assert Bandit(start((9, 0), (5, 4))).incumbent is None


def test_the_incumbent_changes_only_for_a_lead_beyond_doubt() -> None:
    """A slightly better version explores; a much better one takes over, once."""
    bandit = Bandit(start((10, 10), (10, 10)))
    first = bandit.incumbent
    assert first is not None
    other = 1 - first
    changes = []
    for _ in range(60):
        bandit.learn(other, GOOD)
        bandit.learn(first, BAD)
        changes.append(bandit.incumbent)
    assert changes[0] == first
    assert changes[-1] == other
    assert sum(a != b for a, b in pairwise(changes)) == 1
    at = changes.index(other)
    assert at > 1


def test_a_degraded_incumbent_is_left_within_tens_of_requests_and_found_again() -> None:
    """500 at .9, then .2 for 200, then .9 again, beside one of .7: most of the bad time is served by the other one,
    most of the good time after it by the first."""
    bandit, chance, late = Bandit(start((18, 2), (14, 6))), random.Random(4), [0, 0, 0]
    for n in range(1000):
        share = [0.2 if 500 <= n < 700 else 0.9, 0.7]
        chosen = bandit.choose(chance)
        late[0 if n < 500 else 1 if n < 700 else 2] += chosen == 0
        bandit.learn(chosen, GOOD if chance.random() < share[chosen] else BAD)
    assert late[0] > 480
    assert late[1] < 60
    assert late[2] > 200


# --- the replay -----------------------------------------------------------------------------------------------------


def matrix(shares: dict[str, float], items: int = 200, seed: int = 1) -> dict[str, dict[str, Seen]]:
    chance = random.Random(seed)
    return {m: {str(i): (GOOD if chance.random() < p else BAD) for i in range(items)} for m, p in shares.items()}


THREE = {"t": matrix({"a": 0.9, "b": 0.7, "c": 0.3})}


def test_the_figures_of_fixed_policies_can_be_worked_out_by_hand() -> None:
    """Round robin serves the mean of all; fixed the best one; sums are of true means."""
    means = {m: sum(s.quality for s in of.values()) / 200 for m, of in THREE["t"].items()}
    turns = replay_select(THREE, Settings(policy="round_robin", requests=300))["t"]
    assert turns.served == pytest.approx(100 * sum(means.values()))
    assert turns.best == pytest.approx(300 * means["a"])
    assert turns.regret == pytest.approx(turns.best - turns.served)
    assert turns.share_of_best == pytest.approx(turns.served / turns.best)
    assert turns.dominated_choices > 50
    fixed = replay_select(THREE, Settings(policy="fixed", requests=300))["t"]
    assert (fixed.share_of_best, fixed.swaps, fixed.explored, fixed.dominated_choices) == (1.0, 0, 0, 0)


def test_at_a_degradation_best_and_median_are_exchanged_and_at_the_next_one_back() -> None:
    """Fixed serves the best one's place: its quality is the median's in between, and the best is then elsewhere."""
    means = sorted(sum(s.quality for s in of.values()) / 200 for of in THREE["t"].values())
    run = replay_select(THREE, Settings(policy="fixed", requests=300, degrade=(100, 150)))["t"]
    assert run.best == pytest.approx(300 * means[2])
    assert run.served == pytest.approx(250 * means[2] + 50 * means[1])


@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_seed_gives_the_same_figures_and_another_one_others(policy: str) -> None:
    """For each policy; a task's figures do not depend on the other tasks' order."""
    one, two = (replay_select(THREE, Settings(policy=policy, requests=200, prior=5, seed=s)) for s in (3, 3))
    assert one == two
    both = {"u": matrix({"a": 0.5, "b": 0.6}, seed=9), **THREE}
    assert list(replay_select(both, Settings(policy=policy, requests=50))) == ["t", "u"]


def test_a_partial_matrix_is_replayed_with_what_each_model_has() -> None:
    """A model that lacks an item answers one of its own; one with a single item always the same."""
    part = {"t": {"a": {"1": GOOD}, "b": dict.fromkeys(map(str, range(50)), BAD)}}
    run = replay_select(part, Settings(requests=100))["t"]
    assert run.best == 100.0
    assert run.served >= 95.0
    alone = replay_select({"t": {"a": {"1": GOOD, "2": BAD}}}, Settings(requests=10, degrade=(5,)))["t"]
    assert (alone.served, alone.share_of_best) == (5.0, 1.0)
    nothing = replay_select({"t": {"a": {"1": BAD}}}, Settings(requests=10))["t"]
    assert nothing.share_of_best is None


def test_another_version_that_is_slower_dominates_nobody() -> None:
    """Better in every known dimension: a better quality alone does not count where its latency is worse."""

    def timed(seconds: dict[str, float]) -> dict[str, dict[str, dict[str, Seen]]]:
        return {"t": {
            m: {i: replace(s, latency_s=seconds[m]) for i, s in of.items()} for m, of in THREE["t"].items()
        }}  # fmt: skip

    slower = timed({"a": 3.0, "b": 2.0, "c": 1.0})
    faster = timed({"a": 1.0, "b": 2.0, "c": 3.0})
    settings = Settings(policy="round_robin", requests=300)
    assert replay_select(slower, settings)["t"].dominated_choices == 0
    assert replay_select(faster, settings)["t"].dominated_choices > 50


def named(policy: Policy, shares: list[float], requests: int, kinds: int) -> list[int]:
    """Requests drawn from ``kinds`` prompts, each easy or hard for everybody: who answers what is the prompt's own."""
    chance, counts = random.Random(3), [0] * len(shares)
    for _ in range(requests):
        chosen, item = policy.choose(chance), chance.randrange(kinds)
        counts[chosen] += 1
        good = random.Random(f"prompt {item}").random() < shares[chosen]
        policy.learn(chosen, Seen(quality=float(good), item=f"{item}"))
    return counts


def test_the_bandit_knows_sooner_who_is_better_where_prompts_are_the_same() -> None:
    """Two versions of which one can all that the other can, and more, on the same prompts: their difference is surer
    than where the prompts have no names."""
    told = [[Seen(quality=float(n % 10 < good), item=f"{n}") for n in range(20)] for good in (5, 7)]
    by_prompt = Start(names=["a", "b"], known=told, expected=[None, None])
    nameless = Start(
        names=["a", "b"], known=[[replace(s, item=None) for s in of] for of in told], expected=[None, None]
    )
    assert Bandit(by_prompt).joint.lead(1, 0) > Bandit(nameless).joint.lead(1, 0) > 0.0
    assert Bandit(by_prompt).joint.lead(0, 1) == 0.0


def test_the_bandit_finds_the_best_among_repeated_prompts() -> None:
    """With forty prompts that come again and again, and where grades of a prompt are the same for all but the share
    that is a version's own."""
    policy = Bandit(start((2, 3), (2, 3), (2, 3)))
    counts = named(policy, [0.3, 0.8, 0.5], 400, 40)
    assert policy.incumbent == 1
    assert counts[1] > 250


def test_a_change_shows_at_once_on_prompts_that_were_answered_before() -> None:
    """A version that was right on 40 prompts twice gets them wrong: it takes fewer wrong answers to doubt it than
    where the prompts have no names."""
    doubted = []
    for name in (lambda n: f"{n}", lambda n: None):
        policy = Bandit(start((0, 0), (0, 0)))
        for n in (*range(40), *range(40)):
            policy.learn(0, Seen(quality=float(n % 5 > 0), item=name(n)))
        wrong = 0
        while policy.joint.estimates[0].doubt < 0.1:
            policy.learn(0, Seen(quality=0.0, item=name(wrong * 5 + 1)))
            wrong += 1
        doubted.append(wrong)
    assert doubted[0] < doubted[1]


def test_what_was_seen_under_a_false_suspicion_counts_after_it() -> None:
    """Some wrong answers, then right ones: no suspicion is left, and all of it is in the level, in order."""
    policy = Bandit(start((18, 2), (0, 0)))
    for quality in (0.0, 0.0, 0.0, 0.0, *[1.0] * 40):
        policy.learn(0, Seen(quality=quality))
    assert policy.joint._waiting[0] == []
    plain = Bandit(start((18, 2), (0, 0)))
    for quality in [1.0] * 40:
        plain.learn(0, Seen(quality=quality))
    assert policy.joint.estimates[0].mean < plain.joint.estimates[0].mean


def test_a_version_that_changed_for_good_is_learnt_anew() -> None:
    """After as many answers of the new state as make it the normal one, its level is that of the new state."""
    policy = Bandit(start((18, 2), (0, 0)))
    for n in range(200):
        policy.learn(0, Seen(quality=float(n % 5 == 0), item=f"{n}"))
    assert policy.joint.estimates[0].mean == pytest.approx(0.2, abs=0.06)
    assert policy.joint.estimates[0].doubt < 0.1
