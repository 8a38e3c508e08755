"""Replaying a rollout: what counts as a request, who is assigned, and that the live rules decide."""

from __future__ import annotations

import random

import pytest

from arbiter_tui.core.replay import Pair, RolloutReplay, replay_in_blocks, replay_rollout
from arbiter_tui.core.rollout import Plan, in_share
from arbiter_tui.core.trial import Rule, Trial, Verdict, judge

KNOWN = Trial().known(0.8, 500)


def run(
    rows: list[Pair], *, rule: Rule = "posterior", shadow: float = 1.0, per_hour: float = 120.0, salt: str = "s"
) -> RolloutReplay:
    return replay_rollout(
        rows, plan=Plan(rule=rule), known=KNOWN, requests_per_hour=per_hour, shadow=shadow, salt=salt
    )  # fmt: skip


def coins(seed: int, n: int, old: float, new: float) -> list[Pair]:
    chance = random.Random(seed)
    return [Pair(float(chance.random() < old), float(chance.random() < new)) for _ in range(n)]


def test_a_much_worse_one_is_taken_back_within_a_few_requests() -> None:
    """The pairs of the shadow decide: hardly a client ever sees it."""
    found = run([Pair(0.8, 0.0)] * 500)
    assert (found.verdict, found.requests, found.pairs) == (Verdict.ROLL_BACK, 10, 10)
    assert found.canary_requests == 0
    assert found.ramp == ()
    assert found.reason.startswith("taken back: ")
    assert found.why[0].would_change_if.startswith("its answers were on average at most")


def test_an_equal_one_climbs_by_the_clock_of_its_requests() -> None:
    """120 requests an hour: the canary begins at the tenth pair, each step an hour later, and at the end of the ramp
    it is promoted, on a row that is not served any more."""
    found = run([Pair(0.8, 0.8)] * 2000)
    assert found.verdict is Verdict.PROMOTE
    assert found.ramp[0] == (270.0, 0.1)
    assert [share for _, share in found.ramp] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert {round(b - a) for (a, _), (b, _) in zip(found.ramp, found.ramp[1:], strict=False)} == {3600}
    assert found.requests == 9 + 10 * 120
    assert found.reason.startswith("has served everybody for a step")
    shares = [0.0] * 10 + [found.ramp[(n - 9) // 120][1] for n in range(10, found.requests)]
    assert found.canary_requests == sum(in_share(str(n), "s", share) for n, share in enumerate(shares))


def test_the_ramp_goes_by_hours_not_by_requests() -> None:
    """At half the traffic the same rows bring it half as far."""
    rows = [Pair(0.8, 0.8)] * 480
    assert [len(run(rows, per_hour=rate).ramp) for rate in (120.0, 60.0)] == [4, 8]


def test_where_the_rows_end_the_verdict_is_what_is_known_by_then() -> None:
    """Held while it can't be told, and the reason says how far it came."""
    early = run([Pair(1.0, 1.0)] * 9)
    assert (early.verdict, early.reason) == (Verdict.HOLD, "the rows end before it serves anybody")
    later = run([Pair(0.8, 0.8)] * 100)
    assert (later.verdict, later.reason) == (Verdict.PROMOTE, "the rows end while it serves 10%")
    weak = run([Pair(0.8, 0.76)] * 200)
    assert weak.verdict is Verdict.HOLD
    assert weak.reason.startswith("holds at 10%, the evidence is too weak: ")
    assert run([]).verdict is Verdict.HOLD


def test_without_a_shadow_only_served_answers_count() -> None:
    """No pairs: the canary begins after an hour, and each answer is known of one version only."""
    found = run([Pair(0.8, 0.8)] * 300, shadow=0.0)
    assert found.pairs == 0
    assert found.ramp[0] == (3600.0, 0.1)
    assert found.canary_requests > 0
    half = run([Pair(0.8, 0.8)] * 300, shadow=0.5)
    assert 120 <= half.pairs <= 180


def test_the_literal_rule_looks_at_served_answers_alone() -> None:
    """From the first request on, shadow or not; one bad answer is enough."""
    rows = [Pair(1.0, 1.0 if n % 7 else 0.0) for n in range(400)]
    found = run(rows, rule="literal")
    assert (found.verdict, found.pairs, found.ramp[0]) == (Verdict.ROLL_BACK, 0, (0.0, 0.1))
    assert found == run(rows, rule="literal", shadow=0.0)
    assert run(rows).pairs > 0


@pytest.mark.parametrize("seed", range(5))
def test_the_verdict_is_the_live_rules_own(seed: int) -> None:
    """The last word of the replay is ``judge`` on the evidence that it had gathered."""
    rows = coins(seed, 600, 0.8, 0.6)
    found = run(rows, salt=str(seed))
    trial = KNOWN
    for row in rows[: found.requests]:
        trial = trial.pair(row.old, row.new)
    assert judge(trial).p_worse == found.p_worse
    assert found.verdict is Verdict.ROLL_BACK


def test_no_verdict_in_time_is_told_as_such() -> None:
    """30 steps of holding end the trial: it is taken back, and not for its quality."""
    rows = [Pair(0.8, 0.76)] * 400
    found = run(rows, per_hour=10.0)
    assert (found.verdict, found.reason) == (Verdict.ROLL_BACK, "no verdict in time")
    assert found.requests == 300


def blocks(rows: list[Pair], *, shadow: float = 1.0, per_hour: float = 120.0) -> RolloutReplay:
    return replay_in_blocks(
        rows, plan=Plan(), known=KNOWN, requests_per_hour=per_hour, shadow=shadow, salt="s", block=30
    )  # fmt: skip


def test_in_blocks_no_client_is_served_by_it() -> None:
    """Whatever it is worth: what takes it back or promotes it are blocks of kept requests, twenty in ten minutes."""
    for rows, verdict in (([Pair(0.8, 0.8)] * 2000, Verdict.PROMOTE), ([Pair(0.8, 0.0)] * 200, Verdict.ROLL_BACK)):
        found = blocks(rows)
        assert (found.verdict, found.canary_requests) == (verdict, 0)
    assert (found.blocks, found.pairs) == (1, 10)


def test_in_blocks_all_that_was_kept_is_asked_even_after_the_rows_end() -> None:
    """300 an hour are 50 in ten minutes, of which a block asks 30; with a shadow of 0 nothing is ever known."""
    found = blocks([Pair(0.8, 0.74)] * 100, per_hour=300.0)
    assert (found.pairs, found.blocks) == (100, 4)
    assert found.reason == "the rows end after 4 blocks"
    assert blocks([Pair(0.8, 0.0)] * 50, shadow=0.0).verdict is Verdict.HOLD
    assert blocks([]).verdict is Verdict.HOLD
