"""What ``arbiter explain`` says: a swap, a task, a request, a verdict, each as sentences and figures, not as fields."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from arbiter_tui.commands.explained import explain
from arbiter_tui.commands.text import figure, plural, share
from arbiter_tui.core.guards import Guard
from arbiter_tui.core.words import WORDS

SIDES = {
    "old": {"version": "small", "samples": 48, "quality": 0.29, "success_rate": 1.0, "latency_p50_s": 0.18,
            "utility": 0.5, "utility_low": 0.25, "utility_high": 0.75},
    "new": {"version": "large", "samples": 1, "quality": 0.73, "success_rate": None, "latency_p50_s": None,
            "utility": 1.0, "utility_low": 0.9, "utility_high": 1.0},
}  # fmt: skip
SWAP: dict[str, Any] = {
    "id": "s1", "task": "topic", "from": "small", "to": "large", "trigger": "auto", "result": "done",
    "reason": "large leads topic by .23 [.17, .29] on 45 samples; swapping", "started_at": 1_790_000_000.0,
    "duration_s": 0.085, "phases": [{"name": "probing", "seconds": 0.083}],
    "why": [{"rule": "better", "value": 0.11, "threshold": 0.02, "would_change_if": "its lead were at most .02"}],
    "evidence": {"decision": "d1", **SIDES, "probe_s": 0.083, "warnings": ["chat would be lost"]}, "error": None,
}  # fmt: skip


def outcome(quality: float | None, success: bool = True) -> dict[str, Any]:
    return {"at": 1.0, "success": success, "quality": quality, "latency_s": 0.1}


def of_swap(**more: Any) -> str:
    return explain({"id": "s1", "kind": "swap", "swap": {**SWAP, **more.pop("swap", {})}, **more}) or ""


def test_a_swap_is_told_from_what_happened_to_what_proves_it() -> None:
    """Who for whom, when and by whom, because of which rule, the two sides then, and where to read on."""
    text = of_swap()
    assert text.splitlines()[0] == "topic: small → large"
    assert "done in 85 ms, 2026-09-2" in text
    assert "by the autopilot" in text
    assert "another surely leads: .11, above .02" in text
    assert "it would change if its lead were at most .02" in text
    assert "before  small           .50      .29  180 ms     1.00       48" in text
    assert "after   large          1.00      .73       –        –        1" in text
    assert "warning     chat would be lost" in text
    assert "decision    arbiter explain d1" in text
    assert "{" not in text
    assert "_" not in text


def test_the_intervals_stand_on_one_axis() -> None:
    """0 at the left, 1 at the right; the mark is the mean."""
    lines = of_swap().splitlines()
    axis = next(i for i, line in enumerate(lines) if line.startswith("utility"))
    zero, one = lines[axis].index("0"), lines[axis].index("1")
    for line, side in ((lines[axis + 1], SIDES["old"]), (lines[axis + 2], SIDES["new"])):
        assert line.index("●") == zero + round(float(side["utility"]) * (one - zero))
    assert lines[axis + 1].index("├") == zero + round(0.25 * (one - zero))
    assert lines[axis + 1].index("┤") == zero + round(0.75 * (one - zero))


def test_single_requests_before_and_after_are_marked() -> None:
    """Good, poor, failed and ungraded are told apart by the mark; the mean is of what was graded."""
    text = of_swap(
        before=[outcome(0.0), outcome(1.0), outcome(None), outcome(None, success=False)], after=[outcome(1.0)]
    )
    assert "before      ○●·✕  4 requests, quality .50" in text
    assert "after       ●  1 request, quality 1.00" in text
    assert "not graded" in text
    assert "no request" in of_swap(before=[outcome(None)], after=[])
    assert "not graded" not in of_swap(before=[], after=[])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"result": "failed", "error": "broken file"}, "failed      broken file"),
        ({"result": "rolled_back", "evidence": {"undone_by": "s2"}}, "undone by   arbiter explain s2"),
        ({"trigger": "manual", "reason": ""}, "because     asked for by hand"),
        ({"evidence": {"offline": True}}, "stored      the route alone; nothing was loaded"),
        ({"from": None}, "topic: nobody → large"),
    ],
)
def test_what_became_of_a_swap_is_said(change: dict[str, Any], said: str) -> None:
    """An error, who undid it, who asked for it, what was not done."""
    assert said in of_swap(swap=change)


def test_a_task_says_who_serves_it_why_and_what_would_change_that() -> None:
    """The decision's reason, the autopilot's view, every guard with its value, its limit and its answer."""
    guards = [
        Guard(rule="success", kind="trigger", met=False, value=0.98, threshold=0.8, unit="share",
              would_change_if="success were below .80"),
        Guard(rule="cooldown", kind="condition", met=False, value=5.9, threshold=300.0, unit="s",
              would_change_if="the cooldown ends in 294 s"),
    ]  # fmt: skip
    outlook = {"action": "none", "sentence": "large serves topic and is well", "guards": [asdict(g) for g in guards]}
    found = {"id": "topic", "kind": "task", "task": "topic", "at": 1_790_000_000.0, "verdict": "large",
             "decision": {"id": "s1", "kind": "swap", "swap": SWAP}, "reasoning": [], "outlook": outlook}  # fmt: skip
    text = explain(found) or ""
    assert text.splitlines()[0].startswith("large serves topic since 2026")
    assert "because     large leads topic by .23" in text
    assert "in place of small" in text
    assert "The autopilot leaves it so: large serves topic and is well." in text
    rows = {line.split("  ")[0]: line for line in text.splitlines()}
    assert rows["success too low"].split()[3:6] == ["no", ".98", "below"]
    assert "NOT MET  5.9 s  of 5 min  the cooldown ends in 294 s" in rows["cooldown is over"]


def test_a_task_that_nobody_serves_says_so() -> None:
    """Without a decision, with its reason."""
    text = explain({"kind": "task", "task": "odd", "verdict": None, "decision": None, "reasoning": ["Nobody can."]})
    assert (text or "").splitlines() == ["nobody serves odd", "", "because     Nobody can."]


def test_a_request_says_what_it_took_and_what_had_put_its_model_in_charge() -> None:
    """Unknown figures are dashes; the swap behind it is told below."""
    asked = {"success": False, "failure": "timeout", "task": "topic", "at": 1_790_000_000.0, "latency_s": 1.5,
             "tokens_in": 1, "tokens_out": None, "quality": 0.5, "quality_source": "feedback"}  # fmt: skip
    found = {"id": "r", "kind": "request", "verdict": "large", "request": asked, "reasoning": ["large served topic."],
             "decision": {"id": "s1", "kind": "swap", "swap": SWAP}}  # fmt: skip
    text = explain(found) or ""
    assert text.startswith("large failed (timeout) for topic, 2026")
    assert "1.5 s in all, first token after –, 1 token in, – tokens out" in text
    assert "quality     .50 (feedback)" in text
    assert "  topic: small → large" in text


def test_a_verdict_shows_what_it_knew() -> None:
    """The sentence, the rules, the limits, and the ranking of that moment with who served."""
    row = {"version": "small", "utility": 0.69, "quality": 0.29, "samples": 48, "success_rate": 1.0}
    found = {
        "id": "d1", "kind": "autopilot", "task": "topic", "at": 1_790_000_000.0, "verdict": "hold",
        "sentence": "large leads; holding", "why": SWAP["why"],
        "inputs": {"incumbent": "small", "alarms": ["quality fell"], "excluded": {"odd": "lacks code"},
                   "leaderboard": [row]},
        "thresholds": {"min_samples": 10, "cooldown_s": 300.0, "performance_threshold": 0.8, "quality_factor": 0.9,
                       "switching_cost": 0.01},
    }  # fmt: skip
    text = explain(found) or ""
    assert text.startswith("topic: the autopilot would swap, and holds, 2026")
    for said in ("large leads; holding", "quality fell", "odd lacks code", "cooldown 5 min", "◆  small"):
        assert said in text


def test_what_is_not_known_here_is_left_to_the_plain_record() -> None:
    """A newer engine's kind of record is no error."""
    assert explain({"kind": "of the future", "id": "x"}) is None


def test_every_rule_has_words() -> None:
    """No rule of a guard is shown by its name in the code."""
    assert all(name and name != rule for rule, (name, _) in WORDS.items())


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (None, "s", "–"), (0.5, "", ".50"), (5.9, "s", "5.9 s"), (45, "samples", "45"), ("closed", "", "closed"),
        (["a", "b"], "", "a, b"), (-0.001, "share", ".00"), (-0.47, "share", "-.47"), (True, "", "True"),
    ],
)  # fmt: skip
def test_a_rules_value_is_written_by_its_unit(value: object, unit: str, said: str) -> None:
    """Shares without their zero, durations with a unit, unknown as a dash."""
    assert figure(value, unit) == said


def test_one_is_singular() -> None:
    """And everything else is not."""
    assert [plural(n, "task") for n in (0, 1, 2)] == ["0 tasks", "1 task", "2 tasks"]
    assert share(-0.0) == ".00"


STEP: dict[str, Any] = {
    "id": "d1", "kind": "rollout", "task": "topic", "at": 1_790_000_000.0, "verdict": "withdrawn", "share": 0.0,
    "to": "new", "sentence": "taken back: P(worse than 0.95 x the old one) is .993, over .99",
    "why": [{"rule": "P(worse than 0.95 x the old one)", "value": 0.9934, "threshold": 0.99,
             "would_change_if": "its answers were on average at most 0.100 worse than the old one's"}],
    "effects": ["withdraw", "close"], "recomputed": True,
    "rollout": {"id": "r1", "from": "old", "to": "new", "rule": "posterior", "pairs": 31, "canary_requests": 12,
                "p_worse": 0.993, "slowdown": 1.25, "blocks": None, "started_at": 1_789_990_000.0,
                "ramp": [[1_789_993_600.0, 0.1], [1_789_997_200.0, 0.2]]},
}  # fmt: skip


def test_a_step_of_a_trial_is_told_in_sentences() -> None:
    """What it became, why, on what evidence, what was done; no key of the record stands there raw."""
    text = explain(STEP) or ""
    assert text.splitlines()[0].startswith("topic: new on trial beside old was taken back, 2026")
    assert "because     taken back: P(worse than 0.95 x the old one) is .993, over .99" in text
    assert "rule        P(worse than 0.95 x the old one): .993, limit .99" in text
    assert "it would change if its answers were on average at most 0.100 worse" in text
    assert "evidence    31 questions answered by both, 12 requests served by it, P(worse) .993, 1.25 times the" in text
    assert "so          its clients are the old one's again; the trial is over" in text
    assert "checked     computed again from this record: the same verdict" in text
    assert "10% " in text
    assert " → 20% " in text
    assert "trial       r1, rule posterior, begun 2026" in text
    assert "{" not in text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"verdict": "canary", "share": 0.3, "effects": ["share"]}, "new on trial beside old serves at 30%, "),
        ({"verdict": "promoting", "effects": ["promote"]}, "so          the task is swapped to it"),
        ({"verdict": "aborted"}, "was ended by hand"),
        ({"rollout": {**STEP["rollout"], "blocks": 2}}, "in turns: 2 blocks so far"),
        ({"rollout": {**STEP["rollout"], "p_worse": None, "slowdown": None, "ramp": []}}, "12 requests served by it\n"),
    ],
)
def test_each_kind_of_step_has_its_words(changed: dict[str, Any], said: str) -> None:
    """Climbing, promoting, by hand, in blocks, and with what is not known left out."""
    assert said in (explain({**STEP, **changed}) or "") + "\n"


def test_a_verdict_says_what_its_swap_would_cost_and_of_what() -> None:
    """Loads, reloads of others; nothing is said of a swap that costs nothing."""
    costs = {"large": {"utility": 0.04, "sentence": "loading it takes 3 s; c must be loaded again: 9 s"},
             "warm": {"utility": 0.0, "sentence": ""}}  # fmt: skip
    found = {"kind": "autopilot", "task": "topic", "verdict": "none", "at": 1_790_000_000.0, "sentence": "so",
             "why": [], "inputs": {"costs": costs}, "thresholds": {}}  # fmt: skip
    text = explain(found) or ""
    assert "cost        .04 of utility for large: loading it takes 3 s; c must be loaded again: 9 s" in text
    assert "warm" not in text
