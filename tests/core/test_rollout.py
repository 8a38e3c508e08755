"""The rollout's transition table, its ramp, and who is assigned to a trial."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.record import pack_rollout, unpack_rollout
from arbiter_tui.core.rollout import (
    CLOSED,
    MAX_STEPS,
    OPEN,
    Effect,
    Effects,
    Event,
    Kind,
    Plan,
    Rollout,
    Stage,
    begin,
    in_share,
    step,
)
from arbiter_tui.core.snapshot import Why
from arbiter_tui.core.trial import Rule, Trial, judge

S, K, F = Stage, Kind, Effect
GONE: Effects = (F.WITHDRAW, F.CLOSE)
UNKNOWN = Trial()
GOOD = Trial().known(0.8, 500)
for _ in range(200):
    GOOD = GOOD.pair(0.8, 0.8)
BAD = Trial().known(0.8, 500)
for _ in range(40):
    BAD = BAD.pair(0.8, 0.0)
WEAK = Trial().known(0.8, 500)
for _ in range(20):
    WEAK = WEAK.pair(0.8, 0.7).pair(0.0, 0.0)
ROW = tuple[Stage, Effects]


def at(stage: Stage, trial: Trial = GOOD, **changes: object) -> Rollout:
    share = {S.SHADOW: 0.0, S.CANARY: 0.3, S.PROMOTING: 1.0}.get(stage, 0.0)
    known = Rollout(plan=Plan(every_s=100.0), stage=stage, share=share, ready=stage is not S.SHADOW, trial=trial)
    return replace(known, **changes)  # type: ignore[arg-type]


def expected(stage: Stage, kind: Kind, paused: bool) -> ROW:
    """The table of the docstring, with good evidence and one step's time gone."""
    if stage in CLOSED:
        return stage, ()
    if stage is S.PROMOTING:
        return {K.PROMOTED: (S.PROMOTED, (F.CLOSE,)), K.FAULT: (S.WITHDRAWN, GONE)}.get(kind, (stage, ()))
    shadow: ROW = (S.SHADOW, ()) if paused else (S.CANARY, (F.SHARE,))
    open_row: dict[Kind, ROW] = {
        K.ABORT: (S.ABORTED, GONE), K.FAULT: (S.WITHDRAWN, GONE), K.PROMOTE: (S.PROMOTING, (F.PROMOTE,)),
        K.READY: shadow if stage is S.SHADOW else (stage, ()),
        K.TICK: (S.CANARY, (F.SHARE,)) if stage is S.CANARY and not paused else (stage, ()),
    }  # fmt: skip
    return open_row.get(kind, (stage, ()))


@pytest.mark.parametrize(("stage", "kind", "paused"), list(product(S, K, (False, True))))
def test_every_stage_answers_every_event_as_the_table_says(stage: Stage, kind: Kind, paused: bool) -> None:
    """No pair of stage and event is left open, and none does anything that the table does not name."""
    state = at(stage, paused=paused)
    after, effects = step(state, Event(kind=kind, message="broke"), 100.0)
    assert (after.stage, effects) == expected(stage, kind, paused)
    if stage in CLOSED:
        assert after is state
    if after.stage in (S.WITHDRAWN, S.ABORTED) and stage not in CLOSED:
        assert after.share == 0.0
        assert after.reason == "broke"
    assert after.stage is not S.PROMOTED or after.share == 1.0 or stage is S.PROMOTED


@pytest.mark.parametrize(("stage", "paused"), list(product(sorted(OPEN), (False, True))))
def test_taking_back_never_waits(stage: Stage, paused: bool) -> None:
    """Not for a step, nor for the end of a pause: the very evidence that says so withdraws it."""
    state = at(stage, WEAK, paused=paused)
    after, effects = step(state, Event(kind=K.EVIDENCE, trial=BAD), 0.0)
    assert (after.stage, after.share, effects) == (S.WITHDRAWN, 0.0, GONE)
    assert after.trial == BAD
    assert after.why == judge(BAD).why
    assert after.reason == "taken back: P(worse than 0.95 x the old one) is 1.00, over .990"


def test_a_withdrawal_by_the_literal_rule_says_below() -> None:
    """A mean is too low, a probability too high: the sentence knows which."""
    state = at(S.CANARY, UNKNOWN, plan=Plan(rule="literal"))
    after, _ = step(state, Event(kind=K.EVIDENCE, trial=Trial().pair(1.0, 0.5)), 0.0)
    assert after.reason == "taken back: its mean quality is .50, below .95"


def test_evidence_without_a_trial_keeps_the_one_there_is() -> None:
    """In every stage that takes evidence at all; with one, that one is kept."""
    for stage in (S.SHADOW, S.CANARY, S.PROMOTING):
        assert step(at(stage), Event(kind=K.EVIDENCE), 0.0)[0].trial == GOOD
        assert step(at(stage), Event(kind=K.EVIDENCE, trial=WEAK), 0.0)[0].trial == WEAK


# --- the shadow -----------------------------------------------------------------------------------------------------


def shadow(pairs: int, *, ready: bool = True, rule: Rule = "posterior", paused: bool = False) -> Rollout:
    trial = Trial(pairs=pairs, new_grades=pairs, old_grades=pairs, new_sum=pairs, old_sum=pairs)
    return at(S.SHADOW, trial, ready=ready, paused=paused, plan=Plan(rule=rule, every_s=100.0))


@pytest.mark.parametrize(
    ("state", "now", "over"),
    [
        (shadow(9), 99.9, False),
        (shadow(10), 99.9, True),
        (shadow(9), 100.0, True),
        (shadow(0), 100.0, True),
        (shadow(0, rule="literal"), 0.0, True),
        (shadow(10, ready=False), 100.0, False),
        (shadow(10, paused=True), 100.0, False),
    ],
)
@pytest.mark.parametrize("kind", [K.TICK, K.EVIDENCE])
def test_the_shadow_ends_with_enough_pairs_or_after_one_step(
    state: Rollout, now: float, over: bool, kind: Kind
) -> None:
    """Once it is ready and not paused; the literal rule needs no shadow."""
    after, effects = step(state, Event(kind=kind), now)
    assert (after.stage, effects) == ((S.CANARY, (F.SHARE,)) if over else (S.SHADOW, ()))
    assert (after.share, after.ramp) == ((0.1, ((now, 0.1),)) if over else (0.0, ()))
    if over:
        assert (after.step_at, after.reason) == (now, "serves 10%")


def test_ready_starts_the_ramp_when_the_pairs_are_there_already() -> None:
    """And is remembered when they are not; in the canary it changes nothing but that."""
    assert step(shadow(10, ready=False), Event(kind=K.READY), 1.0)[0].stage is S.CANARY
    early, effects = step(shadow(9, ready=False), Event(kind=K.READY), 1.0)
    assert (early.stage, early.ready, effects) == (S.SHADOW, True, ())
    assert step(at(S.CANARY), Event(kind=K.READY), 500.0)[1] == ()


# --- the ramp -------------------------------------------------------------------------------------------------------


def test_it_climbs_by_a_tenth_a_step_and_is_promoted_after_serving_everybody() -> None:
    """Ten steps of an hour after the shadow, then promote; the shares are exact tenths."""
    state, _ = step(begin(Plan(), 5.0, GOOD), Event(kind=K.READY), 5.0)
    seen, now = [state.share], 5.0
    while state.open:
        now += 3600.0
        assert state.next_step_at == now
        early, effects = step(state, Event(kind=K.TICK), now - 0.5)
        assert (early, effects) == (state, ())
        state, effects = step(state, Event(kind=K.TICK), now)
        seen.append(state.share)
        assert effects == ((F.PROMOTE,) if state.stage is S.PROMOTING else (F.SHARE,))
    assert seen == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.0]
    assert state.reason == "has served everybody for a step; P(worse than 0.95 x the old one) is .000"
    assert state.why == judge(GOOD).why
    assert state.ramp[0] == (5.0, 0.1)
    assert state.ramp[-1] == (5.0 + 9 * 3600.0, 1.0)
    assert state.next_step_at is None
    done, effects = step(state, Event(kind=K.PROMOTED), now + 1)
    assert (done.stage, done.share, effects) == (S.PROMOTED, 1.0, (F.CLOSE,))


def test_a_step_never_passes_everybody() -> None:
    """A coarse ramp ends at 1."""
    state = at(S.CANARY, share=0.8, plan=Plan(step=0.7, every_s=100.0))
    assert step(state, Event(kind=K.TICK), 100.0)[0].share == 1.0


@pytest.mark.parametrize(
    ("trial", "said"),
    [
        (
            WEAK,
            "P(worse than 0.95 x the old one) is .51, and it climbs below .25",
        ),
        (UNKNOWN.pair(1.0, 1.0), "1 of 10 answers graded"),
        (UNKNOWN, "0 of 10 answers graded"),
    ],
)
def test_on_weak_evidence_the_ramp_holds_and_says_why(trial: Trial, said: str) -> None:
    """It neither climbs nor is taken back, and is asked again at the next tick, not a step later."""
    state = at(S.CANARY, trial)
    after, effects = step(state, Event(kind=K.TICK), 100.0)
    assert (after.stage, after.share, effects) == (S.CANARY, 0.3, ())
    assert after.reason == f"holds at 30%, the evidence is too weak: {said}"
    assert after.why == judge(trial).why
    assert after.step_at == state.step_at
    better, effects = step(replace(after, trial=GOOD), Event(kind=K.TICK), 101.0)
    assert (better.share, effects) == (0.4, (F.SHARE,))


def test_a_tick_that_finds_it_worse_takes_it_back() -> None:
    """Evidence that came in while nobody weighed it (a restart) is weighed before the ramp climbs."""
    after, effects = step(at(S.CANARY, BAD), Event(kind=K.TICK), 100.0)
    assert (after.stage, effects) == (S.WITHDRAWN, GONE)
    assert after.why == judge(BAD).why
    assert after.reason.startswith("taken back: ")


@pytest.mark.parametrize(("stage", "paused"), list(product(sorted(OPEN), (False, True))))
def test_no_verdict_in_time_takes_it_back(stage: Stage, paused: bool) -> None:
    """After MAX_STEPS steps, exactly then; a pause does not prolong it."""
    assert MAX_STEPS == 30
    assert Plan(every_s=100.0).max_s == 3000.0
    state = at(stage, WEAK, paused=paused, ready=False)
    assert step(state, Event(kind=K.TICK), 2999.9)[0].open
    after, effects = step(state, Event(kind=K.TICK), 3000.0)
    assert (after.stage, after.reason, effects) == (S.WITHDRAWN, "no verdict in time", GONE)
    assert after.why == judge(WEAK).why


def test_a_paused_rollout_keeps_its_share_and_counts_anew_after_it() -> None:
    """While paused nothing climbs however long it takes; a full step passes after it goes on."""
    state, effects = step(at(S.CANARY), Event(kind=K.PAUSE), 50.0)
    assert (state.paused, state.share, state.next_step_at, effects) == (True, 0.3, None, ())
    assert step(state, Event(kind=K.TICK), 900.0) == (state, ())
    state, effects = step(state, Event(kind=K.RESUME), 900.0)
    assert (state.paused, state.next_step_at, effects) == (False, 1000.0, ())
    assert step(state, Event(kind=K.TICK), 999.0) == (state, ())
    assert step(state, Event(kind=K.TICK), 1000.0)[0].share == 0.4


@pytest.mark.parametrize("stage", sorted(OPEN))
def test_by_hand_it_ends_at_once(stage: Stage) -> None:
    """Promoted or aborted whatever the evidence; the reason says that it was by hand."""
    assert step(at(stage, BAD), Event(kind=K.PROMOTE), 0.0)[0].reason == "promoted by hand"
    assert step(at(stage, GOOD), Event(kind=K.ABORT), 0.0)[0].reason == "taken back by hand"


def test_a_fault_without_words_still_has_a_reason() -> None:
    """While open and while promoting."""
    assert step(at(S.CANARY), Event(kind=K.FAULT), 0.0)[0].reason == "it failed"
    assert step(at(S.PROMOTING), Event(kind=K.FAULT), 0.0)[0].reason == "the swap failed"


events = st.lists(
    st.tuples(
        st.builds(Event, kind=st.sampled_from(K), trial=st.none() | st.sampled_from([GOOD, BAD, WEAK, UNKNOWN])),
        st.floats(0.0, 5000.0),
    ),
    max_size=30,
)


@given(events, st.sampled_from(["posterior", "literal"]))
def test_whatever_happens_what_is_over_stays_over(many: list[tuple[Event, float]], rule: Rule) -> None:
    """No order of events brings a closed rollout back, moves a share without saying so, or lets one grow past 1."""
    state, now = begin(Plan(rule=rule, every_s=100.0), 0.0), 0.0
    for event, wait in many:
        now += wait
        before, (state, effects) = state, step(state, event, now)
        if before.stage in CLOSED:
            assert (state, effects) == (before, ())
        if state.share != before.share and state.stage in OPEN:
            assert effects == (F.SHARE,)
            assert state.ramp[-1] == (now, state.share)
        assert 0.0 <= state.share <= 1.0
        assert state.open == (state.stage in OPEN)
        assert (F.CLOSE in effects) == (state.stage in CLOSED and before.stage not in CLOSED)
        assert all(isinstance(why, Why) for why in state.why)


# --- who belongs to it ----------------------------------------------------------------------------------------------


@given(st.text(), st.text(), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_who_belongs_to_it_once_belongs_to_it_at_every_larger_share(key: str, salt: str, a: float, b: float) -> None:
    """Sticky: the same key gives the same answer, and a growing share sends nobody back."""
    small, large = sorted((a, b))
    assert in_share(key, salt, small) == in_share(key, salt, small)
    assert not in_share(key, salt, small) or in_share(key, salt, large)
    assert in_share(key, salt, 1.0)
    assert not in_share(key, salt, 0.0)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.9])
def test_the_share_of_many_keys_is_close_to_the_share(share: float) -> None:
    """Within four standard errors of 10,000 keys, and other keys for another trial."""
    chosen = {salt: {n for n in range(10_000) if in_share(f"user-{n}", salt, share)} for salt in ("a", "b")}
    for found in chosen.values():
        assert abs(len(found) / 10_000 - share) < 4 * (share * (1 - share) / 10_000) ** 0.5
    both = len(chosen["a"] & chosen["b"]) / 10_000
    assert abs(both - share * share) < 0.02


def test_key_and_salt_are_kept_apart() -> None:
    """One key's end is not another salt's beginning; the assignment is the same on every machine."""
    shares = [n / 1000 for n in range(1001)]
    assert [in_share("bc", "a", s) for s in shares] != [in_share("c", "ab", s) for s in shares]
    assert [n for n in range(20) if in_share(str(n), "s", 0.3)] == FIRST_OF_S


FIRST_OF_S = [5, 6, 11, 14, 16, 17, 18, 19]


def test_an_abort_without_a_reason_is_by_hand() -> None:
    """The engine names its own reasons; an operator need not."""
    after, _ = step(begin(Plan(), 0.0), Event(kind=Kind.ABORT), 1.0)
    assert (after.stage, after.reason) == (Stage.ABORTED, "taken back by hand")


# ── in blocks: only one of the two fits into memory ──────────────────────────────────────────────────────────────────

TURNS = Plan(start=0.1, step=0.3, every_s=3600.0, blocks=True, load_every_s=600.0)


def one_block(state: Rollout, now: float, *pairs: tuple[float, float]) -> Rollout:
    state, _ = step(state, Event(kind=Kind.BLOCK), now)
    trial = state.trial
    for old, new in pairs:
        trial = trial.served(new=True, success=True).pair(old, new)
    return step(state, Event(kind=Kind.EVIDENCE, trial=trial), now)[0]


def test_in_blocks_nobody_is_ever_assigned_before_the_promotion() -> None:
    """However good the evidence: the share stays 0, and the step that promotes has no other effect."""
    state = step(begin(TURNS, 0.0), Event(kind=Kind.READY), 0.0)[0]
    seen = []
    for block in range(60):
        at = block * 600.0
        state = one_block(state, at, *[(1.0, 1.0)] * 5)
        state, effects = step(state, Event(kind=Kind.TICK), at)
        seen += effects
        assert state.share == 0.0
    assert seen == [Effect.PROMOTE]
    assert state.stage is Stage.PROMOTING
    assert state.ramp == ()


def test_in_blocks_loads_keep_their_distance() -> None:
    """A block that comes too early, while it is paused or when it is over does not begin."""
    state = begin(TURNS, 0.0)
    assert state.next_block_at == 0.0
    state = one_block(state, 10.0)
    assert (state.blocks, state.next_block_at) == (1, 610.0)
    assert step(state, Event(kind=Kind.BLOCK), 609.0)[0].blocks == 1
    paused = step(state, Event(kind=Kind.PAUSE), 20.0)[0]
    assert paused.next_block_at is None
    assert step(paused, Event(kind=Kind.BLOCK), 900.0)[0].blocks == 1
    over = step(state, Event(kind=Kind.ABORT), 20.0)[0]
    assert over.next_block_at is None
    assert begin(Plan(), 0.0).next_block_at is None


def test_in_blocks_a_bad_one_is_withdrawn_in_the_middle() -> None:
    """The same evidence as ever takes it back, without waiting for a step."""
    state = one_block(begin(TURNS, 0.0), 0.0, *[(1.0, 0.0)] * 12)
    assert state.stage is Stage.WITHDRAWN
    assert state.reason.startswith("taken back: P(worse than 0.95 x the old one)")


def test_in_blocks_good_looks_are_counted_and_weak_evidence_holds() -> None:
    """Evidence that would let a ramp climb promotes after as many looks as the ramp has steps (4 of .1 + .3); evidence
    that would not counts no look."""
    assert TURNS.looks == 4
    state = one_block(begin(TURNS, 0.0), 0.0, *[(1.0, 1.0)] * 40)
    for n in range(1, 4):
        state, effects = step(state, Event(kind=Kind.TICK), n * 3600.0)
        assert (state.looked, effects) == (n, ())
        assert state.reason.startswith(f"step {n} of 4, after 1 block: ")
    weak = one_block(state, 11_000.0, *[(1.0, 0.0), (1.0, 1.0), (1.0, 1.0)] * 4)
    weak, effects = step(weak, Event(kind=Kind.TICK), 14_400.0)
    assert (weak.looked, effects) == (3, ())
    assert weak.reason.startswith("holds after 2 blocks, the evidence is too weak: ")
    promoted, effects = step(state, Event(kind=Kind.TICK), 14_400.0)
    assert effects == (Effect.PROMOTE,)
    assert promoted.reason.startswith("promoted after 1 block: ")


def test_in_blocks_the_time_limit_and_records_hold() -> None:
    """No verdict after 30 steps: withdrawn. What is packed comes back the same, also from before there were blocks."""
    state = one_block(begin(TURNS, 0.0), 0.0, (1.0, 1.0))
    assert step(state, Event(kind=Kind.TICK), TURNS.max_s)[0].reason == "no verdict in time"
    assert unpack_rollout(json.loads(json.dumps(pack_rollout(state)))) == state
    old = pack_rollout(begin(Plan(), 5.0))
    for key in ("blocks", "block_at", "looked"):
        del old[key]
    for key in ("blocks", "load_every_s"):
        del old["plan"][key]
    assert unpack_rollout(old) == begin(Plan(), 5.0)
