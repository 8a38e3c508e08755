"""Who serves next: our policies beside others, on the recorded outcomes of nine models on fourteen tasks.

1,000 requests of each task, one a second; the internal benchmark has asked each model 20 items before, or none.
*degrading*: after 400 and 700 requests the best model's answers are exchanged with the median one's. What counts is the
share of the best model's true mean quality, over all tasks; 20 seeds, mean and 95% interval, on each half of the tasks
and on all.

``bandit`` asks whom it likes: all models are loaded. ``bandit_explore``: at most one request in twenty.
``bandit_one_fits``: nobody else is loaded; whom it would ask is loaded in idle time, at most each ten minutes, for
thirty of the newest prompts. ``autopilot``: the running engine's own decisions (core/deciding.py), with its cooldown,
its share of exploring requests and its sentinels; ``autopilot_one_fits``: nobody else is loaded, and it loads nobody.

With names as arguments only those are measured anew; the others are those of the committed result.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import traces
from harness import emit

from arbiter_tui.core import posterior, scoring
from arbiter_tui.core.policies import POLICIES, Bandit, Seen
from arbiter_tui.core.replay_select import Answers, SelectReplay, Settings, replay_select

SEEDS = 20
DEGRADE = (400, 700)
SETTINGS = {
    "stationary": (20, ()), "degrading": (20, DEGRADE), "stationary_no_benchmark": (0, ()),
    "degrading_no_benchmark": (0, DEGRADE),
}  # fmt: skip
MUST = {"stationary": 0.985, "degrading": 0.945, "stationary_no_benchmark": 0.96, "degrading_no_benchmark": 0.93}
Pooled = dict[str, SelectReplay]


class NewPrompts(Bandit):
    def learn(self, version: int, seen: Seen) -> None:
        super().learn(version, replace(seen, item=None))


POLICIES["new_prompts"] = NewPrompts
VARIANTS: dict[str, dict[str, Any]] = {
    "bandit": {}, "bandit_explore": {"explore": 0.05}, "bandit_one_fits": {"one_fits": True},
    "autopilot": {"policy": "autopilot"}, "autopilot_one_fits": {"policy": "autopilot", "one_fits": True},
    **{name: {"policy": name} for name in POLICIES if name != "bandit"},
}  # fmt: skip
WITHOUT = ("bandit", "new_prompts")  # a benchmark, too
RESULT = Path(__file__).parent / "results" / "decisions.json"


def nobody(scored: Sequence[scoring.Scored]) -> dict[str, float]:
    """P(best) is shown, and no decision goes by it; working it out would take most of this benchmark's time."""
    return dict.fromkeys((one.version for one in scored), 0.0)


def recorded() -> dict[str, Answers]:
    return {
        task: {m: {str(i): Seen(quality=q, item=str(i)) for i, q in enumerate(of)} for m, of in models.items()}
        for task, models in traces.matrix().items()
    }


def once(job: tuple[str, str, int]) -> Pooled:
    """One seed of a policy: all tasks, and each half of them."""
    variant, setting, seed = job
    prior, degrade = SETTINGS[setting]
    scoring.probability_best = posterior.probability_best = nobody
    tasks = recorded()
    found = replay_select(tasks, Settings(seed=seed, prior=prior, degrade=degrade, **VARIANTS[variant]))
    parts = {"all": sorted(found), **traces.halves(tasks)}
    return {part: reduce(SelectReplay.plus, [found[task] for task in names]) for part, names in parts.items()}


def line(runs: Sequence[Pooled]) -> dict[str, Any]:
    whole = reduce(SelectReplay.plus, [run["all"] for run in runs])
    return {
        **{part: traces.interval([run[part].share_of_best or 0.0 for run in runs]) for part in runs[0]},
        "swaps_per_1000": round(1000 * whole.swaps / whole.requests, 3),
        "swaps": whole.swaps,
        "wrong_swaps": whole.wrong_swaps,
        "dominated_choices": whole.dominated_choices,
        "explored": round(whole.explored / whole.requests, 4),
        "idle_per_1000": round(1000 * whole.idle / whole.requests, 1),
        "loads_per_1000": round(1000 * whole.loads / whole.requests, 2),
    }


def main() -> None:
    traces.matrix()  # says what is missing before anything starts
    wanted = sys.argv[1:] or list(VARIANTS)
    jobs = [
        (variant, setting, seed)
        for setting in SETTINGS
        for variant in wanted
        if variant in WITHOUT or "no_benchmark" not in setting
        for seed in range(1, SEEDS + 1)
    ]
    with ProcessPoolExecutor(os.cpu_count()) as workers:
        done = dict(zip(jobs, workers.map(once, jobs, chunksize=4), strict=True))
    before = json.loads(RESULT.read_text())["measured"] if sys.argv[1:] else {}
    measured: dict[str, Any] = {"seeds": SEEDS}
    for variant in VARIANTS:
        if variant not in wanted:
            measured.update({variant: before[variant]} if variant in before else {})
            continue
        measured[variant] = {
            setting: line([done[variant, setting, seed] for seed in range(1, SEEDS + 1)])
            for setting in SETTINGS
            if (variant, setting, 1) in done
        }  # fmt: skip
    ours = measured["bandit"]
    swaps, wrong = (sum(ours[setting][name] for setting in SETTINGS) for name in ("swaps", "wrong_swaps"))
    met = (
        all(ours[setting]["all"]["mean"] >= least for setting, least in MUST.items())
        and ours["stationary"]["swaps_per_1000"] <= 3
        and wrong <= 0.02 * swaps
        and all(ours[setting]["dominated_choices"] == 0 for setting in SETTINGS)
    )
    must = {
        "share of the best": "benchmark of 20: >= .985, degrading >= .945; none: >= .96, degrading >= .93",
        "swaps": "<= 3 per 1,000 stationary requests; <= 2% of all to a worse model",
        "dominated choices": "0",
    }
    emit("decisions", must, measured, met)


if __name__ == "__main__":
    main()
