"""What the live policy believes: the user's weights decide what is better, evidence how sure that is."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from core_cases import NOW, boards, measured, outcome, tasks, version
from hypothesis import given

from arbiter_tui.core.posterior import TOGETHER, Belief, Posterior, beliefs, gain
from arbiter_tui.core.prediction import Expectation
from arbiter_tui.core.scoring import Scale, beside_quality
from arbiter_tui.core.stats import Stats
from arbiter_tui.core.tasks import Criteria, Task, Weights

TASK = Task(name="t")
NOBODY: dict[str, Expectation] = {}


def held(stats: dict[str, Stats], task: Task = TASK, expected: dict[str, Expectation] = NOBODY) -> dict[str, Belief]:
    found = beliefs(task, [version(name) for name in stats], stats, expected, NOW)
    return {belief.version: belief for belief in found}


@given(boards, tasks)
def test_beliefs_are_utilities_with_shares_of_being_the_best(stats: dict[str, Stats], task: Task) -> None:
    """One for each version, best first, within its interval, P(best) summing to 1."""
    found = beliefs(task, [version(name) for name in stats], stats, {}, NOW)
    assert {b.version for b in found} == stats.keys()
    assert [b.mean for b in found] == sorted((b.mean for b in found), reverse=True)
    assert math.isclose(sum(b.p_best for b in found), 1.0, abs_tol=1e-6)
    for b in found:
        assert b.low <= b.mean <= b.high or not 0.0 <= b.mean <= 1.0
        assert b.index >= b.mean


def test_more_grades_make_it_surer_and_no_grade_is_no_evidence() -> None:
    """The interval narrows with grades; requests without grades leave quality as unsure as it was."""
    few, many = held({"a": measured(10, quality=0.8)})["a"], held({"a": measured(100, quality=0.8)})["a"]
    assert many.sd < few.sd
    assert many.weight > few.weight
    blind, none = held({"a": measured(100, quality=None)})["a"], held({"a": Stats()})["a"]
    assert blind.weight == none.weight
    assert blind.sd == pytest.approx(none.sd, abs=0.06)


def test_the_users_weights_decide_what_is_better() -> None:
    """A better and slower version leads where quality counts, and trails where seconds do."""
    stats = {"good": measured(100, quality=0.9, latency_s=6.0), "fast": measured(100, quality=0.7, latency_s=0.5)}
    careful = Task(name="t", criteria=Criteria(weights=Weights(quality=0.9, latency=0.05)))
    hasty = Task(name="t", criteria=Criteria(weights=Weights(quality=0.1, latency=0.8)))
    assert held(stats, careful)["good"].mean > held(stats, careful)["fast"].mean
    assert held(stats, hasty)["good"].mean < held(stats, hasty)["fast"].mean


def test_what_was_expected_before_is_told_by_its_source() -> None:
    """A bundled prior goes before those that are alike, these before the mean of all; grades outweigh each of them."""
    told = Expectation(value=0.9, low=0.5, high=1.0, alike="b", known=3)
    stats = {"a": Stats(), "b": measured(50, quality=0.4), "c": Stats()}
    found = held(stats, expected={"a": told})
    assert (found["a"].source, found["a"].alike) == ("alike", "b")
    assert (found["c"].source, found["c"].alike) == ("all", None)
    assert found["a"].mean > found["c"].mean
    bundled = held(stats, replace(TASK, priors={"a": 0.1}), {"a": told})["a"]
    assert (bundled.source, bundled.alike) == ("bundled", None)
    assert bundled.mean < found["c"].mean
    graded = held({**stats, "a": measured(200, quality=0.2)}, expected={"a": told})["a"]
    assert graded.mean == pytest.approx(
        0.4 * 0.2 + beside_quality(Scale.of(Criteria(), NOW), measured(200))[0], abs=0.02
    )


def test_a_gain_is_what_the_better_one_of_both_brings() -> None:
    """By hand: at no lead it is sd / sqrt(2 pi); a sure lead is its own gain, a sure loss none; bounds at 2.6 sd."""
    one = held({"a": measured(50), "b": measured(50, quality=0.2)})
    a, b = one["a"], one["b"]
    found = gain(a, b)
    sd = math.hypot(a.sd, b.sd)
    assert found.by == pytest.approx(a.mean - b.mean)
    assert (found.low, found.high) == pytest.approx((found.by - 2.6 * sd, found.by + 2.6 * sd))
    assert gain(a, a).expected == pytest.approx(math.hypot(a.sd, a.sd) / math.sqrt(2 * math.pi))
    sure, poor = replace(a, mean=0.9, sd=1e-3), replace(a, mean=0.1, sd=1e-3)
    assert gain(sure, poor).expected == pytest.approx(0.8)
    assert gain(poor, sure).expected == pytest.approx(0.0, abs=1e-12)


def test_what_stands_beside_quality() -> None:
    """Latency, memory and reliability by their weights; the unknown is worth half, and unsure."""
    scale = Scale.of(Criteria(), NOW)
    known, sure = beside_quality(scale, measured(50, latency_s=1.0, memory=0))
    assert known == pytest.approx(0.3 * 0.9 + 0.1 * 1.0 + 0.1 * 1.0)
    nothing, unsure = beside_quality(scale, Stats())
    assert nothing == pytest.approx(0.25)
    assert unsure > sure


# --- what grades of the same prompts and of other tasks tell


def answered(grades: dict[int, float], *, named: bool = True, source: str = "suite") -> Stats:
    """Statistics of one answer to each of these prompts."""
    stats = Stats()
    for item, grade in grades.items():
        stats = stats.add(outcome(item, quality=grade, quality_source=source, latency_s=1.0, memory_bytes=1,
                                  item=f"{item}" if named else None))  # fmt: skip
    return stats


def test_prompts_in_common_make_a_lead_surer() -> None:
    """Two versions on the same forty prompts, of which one knows what the other does, and more: the lead over the
    incumbent has a smaller standard deviation than where the prompts are not known, and the gain goes by it."""
    better, worse = ({n: float(n % 10 < good) for n in range(40)} for good in (7, 5))
    told = {}
    for named in (True, False):
        stats = {"a": answered(worse, named=named), "b": answered(better, named=named)}
        found = {b.version: b for b in beliefs(TASK, [version(v) for v in "ab"], stats, {}, NOW, incumbent="a")}
        assert (found["b"].against, found["a"].against, found["a"].apart) == ("a", None, None)
        told[named] = found
    assert told[True]["b"].apart is not None
    assert told[False]["b"].apart is not None
    assert told[True]["b"].apart < 0.9 * told[False]["b"].apart
    surer, less = (gain(told[named]["b"], told[named]["a"]) for named in (True, False))
    assert surer.low > less.low
    assert gain(told[True]["b"], replace(told[True]["a"], version="x")).low < surer.low  # against another one


def test_what_versions_show_on_other_tasks_is_expected_of_them_here() -> None:
    """Nobody was graded here: who is better there is expected to be; a bundled prior goes before, a version that is
    known nowhere is expected to be as all are."""
    there = {"b": (18.0, 20.0), "c": (6.0, 20.0)}
    stats = {name: Stats() for name in "bcd"}
    versions = [version(name) for name in stats]
    found = {b.version: b for b in beliefs(TASK, versions, stats, {}, NOW, graded={"other": there})}
    assert [found[name].source for name in "bcd"] == ["tasks", "tasks", "all"]
    assert found["b"].mean > found["d"].mean > found["c"].mean
    bundled = replace(TASK, priors={"c": 0.9})
    again = {b.version: b for b in beliefs(bundled, versions, stats, {}, NOW, graded={"other": there})}
    assert (again["c"].source, again["b"].source) == ("bundled", "tasks")
    assert again["c"].mean > found["c"].mean


def test_a_grade_that_is_folded_in_leads_to_nearly_what_beginning_anew_does() -> None:
    """One after another, as they come, or all of them at a start: the same order, means within a fiftieth."""
    chance = random.Random(3)
    easy = {n: chance.random() for n in range(50)}
    grades = {name: {n: float(e < p) for n, e in easy.items()} for name, p in (("a", 0.5), ("b", 0.7), ("c", 0.8))}
    versions, kept = [version(name) for name in grades], Posterior()
    stats: dict[str, Stats] = dict.fromkeys(grades, Stats())
    for n in easy:
        for name, of in grades.items():
            stats[name] = stats[name].add(outcome(n, quality=of[n], quality_source="suite", item=f"{n}", latency_s=1.0))
        on_the_way = kept.of(TASK, versions, stats, {}, NOW + n, incumbent="a")
    anew = beliefs(TASK, versions, stats, {}, NOW + 49, incumbent="a")
    assert [b.version for b in on_the_way] == [b.version for b in anew]
    for one, other in zip(on_the_way, anew, strict=True):
        assert one.mean == pytest.approx(other.mean, abs=0.02)


def test_a_version_that_came_later_is_believed_at_once_and_one_that_went_is_gone() -> None:
    """The others keep what is known of them."""
    kept, stats = Posterior(), {"a": measured(50), "b": measured(50, quality=0.3)}
    first = kept.of(TASK, [version(v) for v in "ab"], stats, {}, NOW)
    more = kept.of(TASK, [version(v) for v in "abc"], {**stats, "c": measured(50, quality=0.9)}, {}, NOW + 1)
    assert [b.version for b in more] == ["c", "a", "b"]
    less = kept.of(TASK, [version(v) for v in "ab"], stats, {}, NOW + 2)
    assert [b.version for b in less] == [b.version for b in first]
    assert less[0].mean == pytest.approx(first[0].mean, abs=0.01)


def test_what_untrusted_sources_say_is_bounded_in_the_belief_too() -> None:
    """A thousand false scores of feedback move a version with 100 exact grades by less than a third of the way."""
    honest = measured(100, quality=0.8)
    lied = honest
    for _ in range(1000):
        lied = lied.graded(0.0, "feedback")
    task = Task(
        name="t", criteria=Criteria(weights=Weights(quality=1.0, latency=0, memory=0, reliability=0, recency=0))
    )
    before, after = (held({"a": s, "b": measured(50)}, task)["a"].mean for s in (honest, lied))
    assert before > after > before * 0.4


def test_more_versions_than_are_believed_together_are_believed_all_the_same() -> None:
    """Those with the most grades together, the others each alone; P(best) sums to 1 over all."""
    stats = {f"m{n}": measured(20 + n, quality=0.5 + n / 100) for n in range(TOGETHER + 4)}
    found = beliefs(TASK, [version(name) for name in stats], stats, {}, NOW, incumbent="m0")
    assert {b.version for b in found} == stats.keys()
    assert math.isclose(sum(b.p_best for b in found), 1.0, abs_tol=1e-6)
    assert all(b.apart is not None for b in found if b.version != "m0")
