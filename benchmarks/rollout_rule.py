"""What the rollout rule does with real models: which new versions it takes back, and how many clients saw them.

Each ordered pair of nine models on a task is a rollout of one in the other's place: the incumbent with 500 results
known, 120 requests an hour, the items in a seeded order. *One fits*: both are never loaded together; the new one
answers kept requests in blocks, one each ten minutes, and no client before its promotion. *A/A*: the new one's answers
are the incumbent's own on items drawn independently; *identical*: its very answers. Bands go by the ratio of the true
means; the incumbent's is at least .5. Then the recorded in-place updates of two served models, whose right verdict is
known. 20 seeds.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import traces
from harness import emit

from arbiter_tui.config import RolloutConfig
from arbiter_tui.core.replay import Pair, RolloutReplay, replay_in_blocks, replay_rollout
from arbiter_tui.core.rollout import Plan
from arbiter_tui.core.trial import Rule, Trial, Verdict

SEEDS, KNOWN, PER_HOUR, LEAST = 20, 500, 120.0, 0.5
BANDS = {"better": 1.05, "equal": 0.95, "slightly_worse": 0.85, "worse": 0.6, "much_worse": 0.0}
ONE_FITS, BLOCK = "one_fits", RolloutConfig().block_questions
MODES: dict[str, tuple[Rule, float]] = {
    "posterior": ("posterior", 1.0), "shadow_.3": ("posterior", 0.3), "no_shadow": ("posterior", 0.0),
    "literal": ("literal", 0.0), ONE_FITS: ("posterior", 1.0),
}  # fmt: skip
UNDECIDED = 0.9  # an update that lost less than a tenth may be held, too
Case = tuple[str, list[float], list[float]]


def band(old: Sequence[float], new: Sequence[float]) -> str:
    ratio = statistics.fmean(new) / statistics.fmean(old)
    return next(name for name, least in BANDS.items() if ratio >= least)


def cases(tasks: traces.Matrix, names: Sequence[str]) -> Iterator[Case]:
    """(band, old, new) of each ordered pair, and each model against itself."""
    for task in names:
        for a, old in tasks[task].items():
            if statistics.fmean(old) < LEAST:
                continue
            yield "a_a", old, old
            yield "identical", old, old
            for b, new in tasks[task].items():
                if a != b:
                    yield band(old, new), old, new


def once(case: Case, rule: Rule, shadow: float, seed: str, *, one_fits: bool = False) -> RolloutReplay:
    kind, old, new = case
    chance = random.Random(seed)
    order = chance.sample(range(len(old)), len(old))
    other = chance.choices(range(len(old)), k=len(old)) if kind == "a_a" else order
    before = statistics.fmean(chance.choices(old, k=KNOWN))
    pairs = [Pair(old[i], new[j]) for i, j in zip(order, other, strict=True)]
    given: Any = {
        "plan": Plan(rule=rule), "known": Trial().known(before, KNOWN), "requests_per_hour": PER_HOUR,
        "shadow": shadow, "salt": seed,
    }  # fmt: skip
    return replay_in_blocks(pairs, **given, block=BLOCK) if one_fits else replay_rollout(pairs, **given)


def table(all_cases: Sequence[Case], mode: str) -> dict[str, Any]:
    """Band -> share taken back by the end (mean and interval over seeds), canary requests of those, trials."""
    rule, shadow = MODES[mode]
    runs: dict[str, list[list[RolloutReplay]]] = {}
    for number, case in enumerate(all_cases):
        by_seed = runs.setdefault(case[0], [[] for _ in range(SEEDS)])
        for seed in range(SEEDS):
            by_seed[seed].append(once(case, rule, shadow, f"{seed}/{number}", one_fits=mode == ONE_FITS))
    return {name: row(by_seed) for name, by_seed in runs.items()}


def row(by_seed: Sequence[Sequence[RolloutReplay]]) -> dict[str, Any]:
    back = [[run.verdict is Verdict.ROLL_BACK for run in runs] for runs in by_seed]
    gone = [run for runs in by_seed for run in runs if run.verdict is Verdict.ROLL_BACK]
    seen, blocks = [run.canary_requests for run in gone], [run.blocks for run in gone if run.blocks]
    promoted = [sum(run.verdict is Verdict.PROMOTE for run in runs) / len(runs) for runs in by_seed]
    return {
        "pairs": len(by_seed[0]),
        "taken_back": traces.interval([statistics.fmean(one) for one in back]),
        "median_canary_requests": statistics.median(seen) if seen else None,
        **({"median_blocks": statistics.median(blocks), "promoted": traces.interval(promoted)} if blocks else {}),
    }


def verdicts(*, one_fits: bool) -> dict[str, Any]:
    """Each update -> the share of replays with the right verdict."""
    found = {}
    for event, old, new in traces.updates():
        case = ("update", old, new)
        runs = [once(case, "posterior", 1.0, f"{seed}/update", one_fits=one_fits) for seed in range(SEEDS)]
        right = {"ROLLBACK": {Verdict.ROLL_BACK}, "PROMOTE": {Verdict.PROMOTE}}.get(
            event["truth"], {Verdict.PROMOTE, Verdict.HOLD}
        )
        if event["truth"] == "ROLLBACK" and float(event["ratio"]) > UNDECIDED:
            right = {Verdict.ROLL_BACK, Verdict.HOLD}
        found[f"{event['task']} {event['family']}"] = {
            "truth": event["truth"], "items": len(old), "right": statistics.fmean(r.verdict in right for r in runs),
        }  # fmt: skip
    return found


def held(ours: dict[str, Any], updates: dict[str, Any]) -> bool:
    """Whether all that must be is met."""
    back = {name: ours[name]["taken_back"]["mean"] for name in ours}
    return bool(
        max(back["a_a"], back["identical"]) <= 0.02
        and back["better"] <= 0.01
        and back["worse"] >= 0.9
        and ours["worse"]["median_canary_requests"] <= 44
        and back["much_worse"] == 1.0
        and ours["much_worse"]["median_canary_requests"] <= 11
        and sum(event["right"] >= 0.95 for event in updates.values()) >= 9
    )


def main() -> None:
    tasks = traces.matrix()
    measured: dict[str, Any] = {"seeds": SEEDS}
    for half, names in traces.halves(tasks).items():
        found = list(cases(tasks, names))
        measured[half] = {mode: table(found, mode) for mode in MODES}
    measured["updates"], measured["updates_one_fits"] = verdicts(one_fits=False), verdicts(one_fits=True)
    met = all(
        held(measured["reported"][mode], measured[updates])
        for mode, updates in (("posterior", "updates"), (ONE_FITS, "updates_one_fits"))
    )
    must = {
        "taken back": "A/A <= .02; better by 5% <= .01; .6-.85 >= .90, median <= 44 canary requests; < .6 all, <= 11",
        "updates": "nine of ten right in >= 95% of replays",
    }
    emit("rollout_rule", must, measured, met)


if __name__ == "__main__":
    main()
