"""Charts, drafts and facts of the task screen: the pure half, figure by figure."""

from __future__ import annotations

from typing import Any

import pytest
from canned import GEMMA, SMOL
from hypothesis import given
from hypothesis import strategies as st

from arbiter_tui.core.snapshot import SwapView
from arbiter_tui.core.tasks import Preference, Weights
from arbiter_tui.tui import charts
from arbiter_tui.tui.charts import Mark, Point
from arbiter_tui.tui.task_draft import BY_KEY, KNOBS, Draft, read, stepped, written
from arbiter_tui.tui.task_facts import Facts, Ruler, Served, past_of, preview_of
from arbiter_tui.tui.text import Line, model_name, plain, width_of

# ── charts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def point(x: float, y: float, label: str, glyph: str = "•") -> Point:
    return Point(x=x, y=y, glyph=glyph, token="label", label=label, brief=label[:1])


def place(lines: list[Line], text: str) -> tuple[int, int]:
    """(row, column) of a text."""
    found = [(r, plain(x).index(text)) for r, x in enumerate(lines) if text in plain(x)]
    assert len(found) == 1, text
    return found[0]


def test_a_better_and_a_quicker_point_lie_above_and_left() -> None:
    """Quality goes up, latency goes right; the axes name their ends."""
    lines = charts.scatter([point(0.1, 0.9, "best", "◆"), point(0.4, 0.3, "worst")], 60, 12)
    best, worst = place(lines, "◆"), place(lines, "•")
    assert best[0] < worst[0]
    assert best[1] < worst[1]
    assert "quality above, median latency →" in plain(lines[-1])
    assert "500 ms" in plain(lines[-1])
    assert len(lines) == 12


def test_a_label_on_the_line_beside_its_point_says_where_that_is() -> None:
    """Two points at quality 0 beside each other: the label without room stands above, and points down at its mark."""
    two = [point(0.02, 0.0, "smollm2-135m.server"), point(0.0201, 0.0, "smollm2-135m.cpp"), point(0.1, 0.9, "gemma")]
    lines = [plain(x) for x in charts.scatter(two, 44, 9)]
    zero = next(i for i, x in enumerate(lines) if x.startswith("  .00"))
    assert lines[zero].count("•") == 2
    said = [x for x in lines[:zero] if "smollm2" in x]
    assert said
    assert all("↓" in x for x in said)


labels = st.text(st.characters(codec="ascii"), min_size=1, max_size=30)
points = st.lists(st.builds(point, st.floats(0.001, 100.0), st.floats(0.0, 1.0), labels), min_size=1, max_size=12)


@given(points, st.integers(20, 120), st.integers(4, 30))
def test_a_scatter_has_its_size_and_hides_no_point(several: list[Point], width: int, height: int) -> None:
    """Whatever the points: the lines asked for, none too wide but for a label below, and every glyph is there."""
    lines = charts.scatter([Point(**{**_fields(p), "glyph": "◆", "label": "l" * len(p.label)}) for p in several], width,
                           height)  # fmt: skip
    assert len(lines) <= height
    plot = [x for x in lines if plain(x)[charts.GAUGE - 1 : charts.GAUGE] in ("│", "┤")]
    assert all(width_of(x) <= width for x in plot)
    assert sum(plain(x).count("◆") for x in plot) == len(several)


def _fields(p: Point) -> dict[str, Any]:
    return {"x": p.x, "y": p.y, "glyph": p.glyph, "token": p.token, "label": p.label, "brief": p.brief}


def test_labels_that_have_no_room_are_told_below() -> None:
    """By what stands beside the point."""
    crowded = [point(0.1 + i / 1000, 0.5, f"{i} a rather long name of a model") for i in range(3)]
    lines = charts.scatter(crowded, 44, 14)
    text = "\n".join(plain(x) for x in lines)
    assert all(f"{i} a rather long name" in text for i in range(3))


def test_a_mark_cuts_the_curve_where_it_happened() -> None:
    """Half way through the values is half way through the columns; the label stands under it, or left at the edge."""
    lines = charts.curve([0.5] * 80, [Mark(40, "new")], 46, 2, top="1", token="curve")
    assert [plain(x).index("┊") for x in lines] == [charts.GAUGE + 20] * 2
    assert plain(charts.below([Mark(40, "new")], 80, 46)).index("┊new") == charts.GAUGE + 20
    late = plain(charts.below([Mark(79, "gemma3-270m")], 80, 46))
    assert late.rstrip().endswith("gemma3-270m┊")
    assert charts.column_of(5, 0, 10) == 0


def test_requests_are_told_apart_by_their_mark() -> None:
    """Failed before graded, graded by half; the legend names only what is there."""
    kinds = [
        charts.kind_of(True, 0.5),
        charts.kind_of(True, 0.4),
        charts.kind_of(False, 1.0),
        charts.kind_of(True, None),
    ]
    assert kinds == ["good", "poor", "failed", "ungraded"]
    assert plain(charts.strip(kinds)) == "●○✕·"
    assert plain(charts.strip_legend(["poor"])).strip() == "○ poor"


def test_a_model_is_named_as_people_call_it() -> None:
    """One short form wherever one is needed: its provider's last word; what is no version of that form stays."""
    assert model_name(SMOL) == "smollm2-135m-q4_1.server"
    assert model_name("qwen3-4b-Q5_K_M.llama-cpp") == "qwen3-4b-Q5_K_M.cpp"
    assert [model_name(x) for x in ("gpt-4", "llama3.1", "a.b-server")] == ["gpt-4", "llama3.1", "a.server"]


# ── the draft ─────────────────────────────────────────────────────────────────────────────────────────────────────────

TOLD: dict[str, Any] = {
    "weights": {"quality": 0.4, "latency": 0.3, "memory": 0.1, "reliability": 0.1, "recency": 0.1}, "preference": None,
    "latency_budget_s": 10.0, "memory_budget_bytes": 2 << 30, "quality_threshold": 0.8, "max_latency_s": None,
    "max_memory_bytes": None, "min_context": None,
}  # fmt: skip


def draft(**changed: Any) -> Draft:
    made = Draft()
    made.rebase({**TOLD, **changed})
    return made


def test_a_patch_holds_what_was_changed_and_all_weights_if_one_was() -> None:
    """A weight is a share of the others, so that they travel together; what was taken away is named."""
    one = draft()
    assert one.patch() == {}
    one.set("weights.latency", 0.5)
    one.set("max_latency_s", 2.0)
    one.set("quality_threshold", None)
    assert one.patch() == {
        "weights": {**TOLD["weights"], "latency": 0.5}, "max_latency_s": 2.0, "unset": ["quality_threshold"],
    }  # fmt: skip
    one.set("weights.latency", 0.3)
    one.set("quality_threshold", 0.8)
    assert one.patch() == {"max_latency_s": 2.0}


def test_shares_are_those_that_the_engine_scores_with() -> None:
    """Preferred, then summing to one."""
    one = draft()
    one.set("preference", "fast")
    wanted = Weights().preferring(Preference.FAST)
    assert one.shares()["weights.latency"] == pytest.approx(wanted.latency)
    assert sum(one.shares().values()) == pytest.approx(1.0)


def test_a_change_that_the_engine_has_by_now_is_none() -> None:
    """After saving, or when another cockpit did the same."""
    one = draft()
    one.set("latency_budget_s", 5.0)
    one.set("min_context", 4096)
    one.rebase({**TOLD, "latency_budget_s": 5.0})
    assert one.changes == {"min_context": 4096}


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("weights.quality", ".5", 0.5), ("weights.quality", "50%", 0.5), ("weights.quality", "2", 2.0),
        ("latency_budget_s", "1,5", 1.5), ("latency_budget_s", "800 ms", 0.8), ("latency_budget_s", "2min", 120.0),
        ("memory_budget_bytes", "1.5", 1610612736), ("memory_budget_bytes", "512 M", 512 << 20),
        ("min_context", "8k", 8192), ("min_context", "", None), ("max_latency_s", "–", None),
        ("preference", "qual", "quality"), ("preference", "low memory", "low_memory"), ("quality_threshold", "1", 1.0),
    ],
)  # fmt: skip
def test_what_is_typed_is_read_with_its_unit(key: str, text: str, value: object) -> None:
    """As people write it."""
    assert read(BY_KEY[key], text) == value


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("latency_budget_s", "", "must have a value"), ("latency_budget_s", "0", "above 0"),
        ("quality_threshold", "1.1", "between 0 and 1"), ("weights.quality", "1001", "between 0 and 1000"),
        ("min_context", "many", "a number"), ("latency_budget_s", "1 G", "not '1 G'"), ("preference", "x", "fast"),
        ("weights.memory", "-1", "a number"), ("min_context", "0", "above 0"),
    ],
)  # fmt: skip
def test_what_is_no_value_is_said_in_words(key: str, text: str, said: str) -> None:
    """Which setting, and what it takes."""
    with pytest.raises(ValueError, match=said):
        read(BY_KEY[key], text)


@given(st.sampled_from(KNOBS), st.lists(st.sampled_from([1, -1]), max_size=40))
def test_steps_never_leave_what_the_engine_takes(knob: Any, steps: list[int]) -> None:
    """Up and down for ever: a value that can be read back, or none where there may be none."""
    value = {**{f"weights.{k}": v for k, v in TOLD["weights"].items()}, **TOLD}[knob.key]
    for by in steps:
        value = stepped(knob, value, by)
        assert value is not None or knob.optional
        if isinstance(value, (int, float)):
            assert value >= 0
            assert knob.kind in ("weight", "share") or value > 0
            assert knob.kind != "share" or value <= 1
        assert written(knob, value)


def test_steps_go_where_people_expect() -> None:
    """Twentieths, 1-2-5, doubles, the choices in turn, and from nothing to something and back."""
    assert stepped(BY_KEY["weights.quality"], 0.4, 1) == 0.45
    assert stepped(BY_KEY["weights.quality"], 0.0, -1) == 0.0
    assert [stepped(BY_KEY["latency_budget_s"], 10.0, by) for by in (1, -1)] == [20.0, 5.0]
    assert stepped(BY_KEY["memory_budget_bytes"], 2 << 30, 1) == 4 << 30
    assert stepped(BY_KEY["preference"], None, 1) == "fast"
    assert stepped(BY_KEY["preference"], "low_memory", 1) is None
    assert stepped(BY_KEY["quality_threshold"], None, 1) == 0.5
    assert stepped(BY_KEY["quality_threshold"], 0.05, -1) is None
    assert stepped(BY_KEY["min_context"], 128, -1) is None
    assert stepped(BY_KEY["max_latency_s"], None, -1) is None


# ── the past ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def served(n: int, version: str, quality: float | None = None, **more: Any) -> Served:
    return Served(id=f"r{n}", at=float(n), version=version, quality=quality, **{"latency_s": 0.1, **more})


SWAP = SwapView(id="s", task="t", from_="a", to="b", result="done", started_at=10.0, duration_s=1.0)


def test_the_past_is_that_of_whoever_served() -> None:
    """Others' measurements are left out; a swap begins the mean anew and leaves its mark."""
    mixed = [served(1, "a", 1.0), served(2, "b", 0.0), served(3, "a", 0.0), served(12, "b", 1.0), served(13, "a", 0.0)]
    past = past_of(list(reversed(mixed)), [SWAP], "b")
    assert past.quality == (1.0, 0.5, 1.0)
    assert past.marks == (Mark(2, "b"),)
    assert (past.began, past.ended) == (1.0, 12.0)


def test_without_a_swap_the_incumbent_has_served_all_along() -> None:
    """And a swap that failed changed nothing."""
    failed = SwapView(id="f", task="t", from_="b", to="c", result="failed", started_at=1.5)
    past = past_of([served(2, "b"), served(1, "b"), served(0, "c")], [failed], "b")
    assert (len(past.quality), past.marks) == (2, ())
    assert past_of([], [], "b").slowest is None


def test_waiting_is_the_loads_and_failing_has_no_latency() -> None:
    """The curve shows what the model took; a failure leaves the median as it was."""
    past = past_of([served(2, "b", success=False, latency_s=9.0), served(1, "b", latency_s=1.5, queue_s=1.0)], [], "b")
    assert past.latency == (0.5, 0.5)
    assert past.slowest == 0.5


def test_utility_is_the_tasks_weights_on_what_was_seen() -> None:
    """A share of which nothing is known counts half; a failure costs reliability; without criteria it is unknown."""
    ruler = Ruler.of(draft())
    assert ruler is not None
    good = past_of([served(1, "b", 1.0, latency_s=1.0, memory_bytes=1 << 30)], [], "b", ruler).utility
    assert good == (pytest.approx(0.4 + 0.3 * 0.9 + 0.1 * 0.5 + 0.1 + 0.1),)
    failed = past_of([served(1, "b", success=False, latency_s=None)], [], "b", ruler).utility
    assert failed == (pytest.approx(0.4 * 0.5 + 0.3 * 0.5 + 0.1 * 0.5 + 0.1),)
    assert Ruler.of(Draft()) is None
    assert past_of([served(1, "b", 1.0)], [], "b", None).utility == (None,)


def test_a_lying_engines_criteria_measure_nothing() -> None:
    """Words where numbers belong, and a budget of nothing."""
    assert Ruler.of(draft(latency_budget_s="soon")) is None
    assert Ruler.of(draft(memory_budget_bytes=0)) is None


# ── what the engine tells ─────────────────────────────────────────────────────────────────────────────────────────────


def test_what_cannot_be_read_is_left_out() -> None:
    """A lying or newer engine costs its own lines, never the screen."""
    facts = Facts("t")
    facts.take_task({"guards": [7, {"rule": "x"}, {"rule": "mode", "kind": "condition", "met": True, "new": 1}]})
    assert [g.rule for g in facts.guards] == ["mode"]
    facts.take_served([{"id": "r"}, {"id": "r", "at": 1.0, "version": "a", "odd": 3}])
    assert [s.version for s in facts.served] == ["a"]
    facts.take_profile({"task": "t", "latency": 3})
    assert facts.profile is None
    found = preview_of({"scores": [3, {"version": GEMMA, "rank": 1}], "disqualified": [], "primary": GEMMA})
    assert ([r.version for r in found.rows], found.disqualified) == ([GEMMA], {})
