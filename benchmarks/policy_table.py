"""The table of policies in docs/how-it-decides.md, from the committed result of decisions.py.

Owns: its columns and words. Never: measures. Every policy that was replayed has its line, and so have those that beat
ours somewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WORDS = {
    "bandit": "`bandit`, all loaded, asking whom it likes", "new_prompts": "`bandit`, if no prompt came again",
    "bandit_explore": "`bandit`, asking others at most 5%", "bandit_one_fits": "`bandit`, one fits: others in blocks",
    "autopilot": "**the engine itself**", "autopilot_one_fits": "**the engine itself**, one fits",
    "score": "`score`, the weighted one alone",
    "fixed": "`fixed`: the best of the benchmark", "round_robin": "`round_robin`", "epsilon_greedy": "epsilon-greedy",
    "ucb": "UCB (factor .3)", "ucb_textbook": "UCB (the textbook's √2)",
    "thompson": "Thompson", "exp3": "EXP3", "sliding_window": "sliding window",
}  # fmt: skip
SETTINGS = ("stationary", "degrading", "stationary_no_benchmark", "degrading_no_benchmark")
COLUMNS = (
    "policy", "stationary", "degrading", "without a benchmark", "without and degrading", "swaps, wrong ones",
    "dominated", "asked others",
)  # fmt: skip
HEAD = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"


def policies(measured: Mapping[str, Any]) -> str:
    """One line a policy: shares with their 95% intervals; swaps (per 1,000 requests), dominated choices and answers by
    others than the incumbent where models degrade."""
    return HEAD + "".join(_line(WORDS.get(name, name), of) for name, of in measured.items() if isinstance(of, Mapping))


def _line(name: str, of: Mapping[str, Any]) -> str:
    worst = of["degrading"]
    wrong = f", {worst['wrong_swaps'] / worst['swaps']:.0%} wrong" if worst["swaps"] else ""
    cells = [name, *(_share(of.get(setting)) for setting in SETTINGS), f"{worst['swaps_per_1000']:.2g}{wrong}",
             f"{worst['dominated_choices']:,}", f"{worst['explored']:.0%}"]  # fmt: skip
    return f"| {' | '.join(cells)} |\n"


def _share(of: Mapping[str, Any] | None) -> str:
    if of is None:
        return "–"
    mean, low, high = (f"{of['all'][name]:.3f}".removeprefix("0") for name in ("mean", "low", "high"))
    return f"{mean} ({low}–{high})"
