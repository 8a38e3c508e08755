"""``arbiter replay rollout`` by all that a trial goes by: failures, seconds, its longest time, recorded moments; and
``arbiter replay select`` beyond its last request."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from arbiter_tui import cli

Capture = pytest.CaptureFixture[str]
Write = Callable[[str, Iterable[Iterable[object]]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(head: str, rows: Iterable[Iterable[object]]) -> Path:
        file = tmp_path / "rows.csv"
        file.write_text("\n".join([head, *(",".join(map(str, row)) for row in rows)]))
        return file

    return written


def replayed(file: Path, capsys: Capture, *options: str) -> dict[str, Any]:
    assert cli.main(["replay", "rollout", str(file), "--json", *options]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def refused(file: Path, capsys: Capture, *options: str) -> str:
    assert cli.main(["replay", "rollout", str(file), *options]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("more", [(), ("--one-fits",)])
def test_failures_of_the_new_one_take_it_back(write: Write, capsys: Capture, more: tuple[str, ...]) -> None:
    """As good where it answers, but every third answer fails; the same failures of both say nothing."""
    rows = [(1, "" if n % 3 == 0 else 1, 1, int(n % 3 > 0)) for n in range(2000)]
    found = replayed(write("old,new,old_success,new_success", rows), capsys, *more)
    assert found["verdict"] == "roll_back"
    assert found["reasons"][0]["rule"] == "P(fails more often)"
    both = [(1 if ok else "", 1 if ok else "", int(ok), int(ok)) for ok in (n % 3 > 0 for n in range(2000))]
    assert replayed(write("old,new,old_success,new_success", both), capsys, *more)["verdict"] == "promote"


def test_a_failed_answer_has_no_grade(write: Write, capsys: Capture) -> None:
    """Whatever stands in its cell; and a grade is missing only where the answer failed."""
    rows = [(1, 0 if n % 50 == 0 else 1, int(n % 50 > 0)) for n in range(400)]
    found = replayed(write("old,new,new_success", rows), capsys)
    assert found["pairs"] < found["requests"]
    assert found["p_worse"] == replayed(write("old,new", [(1, 1)] * found["pairs"]), capsys)["p_worse"]
    said = refused(write("old,new,new_success", [(1, "", 1)]), capsys)
    assert "row 2: no new; it has old, new, new_success" in said
    assert "new_success is 'maybe'" in refused(write("old,new,new_success", [(1, 1, "maybe")]), capsys)


@pytest.mark.parametrize("more", [(), ("--one-fits",)])
def test_seconds_vote_only_with_an_option(write: Write, capsys: Capture, more: tuple[str, ...]) -> None:
    """Three times as slow: reported; over --max-slowdown or --max-latency-s it is taken back, below them it stays."""
    file = write("old,new,old_latency_s,new_latency_s", [(1, 1, 1.0, 3.0)] * 3000)
    plain = replayed(file, capsys, *more)
    assert (plain["verdict"], plain["slowdown"]) == ("promote", 3.0)
    for option, verdict in (
        (("--max-slowdown", "2"), "roll_back"), (("--max-slowdown", "5"), "promote"),
        (("--max-latency-s", "2"), "roll_back"), (("--max-latency-s", "5"), "promote"),
    ):  # fmt: skip
        assert replayed(file, capsys, *more, *option)["verdict"] == verdict, option
    slow = replayed(file, capsys, *more, "--max-slowdown", "2")
    assert slow["reasons"][0]["rule"] == "P(over 2 x the old one's seconds)"


def test_its_longest_time_is_an_option(write: Write, capsys: Capture) -> None:
    """A version that nobody can judge is taken back after as many hours as --max-steps says; 30 unless told."""
    file = write("old,new", [(0.8, 0.76)] * 4000)
    for steps, requests in (("5", 50), ("40", 400)):
        found = replayed(file, capsys, "--requests-per-hour", "10", "--max-steps", steps)
        assert (found["reason"], found["requests"]) == ("no verdict in time", requests)
    assert replayed(file, capsys, "--requests-per-hour", "10")["requests"] == 300


@pytest.mark.parametrize(
    ("option", "said"),
    [(("--max-slowdown", "1"), "a number from 1.01 on"), (("--max-latency-s", "0"), "a number above 0"),
     (("--max-steps", "0"), "a whole number above 0")],
)  # fmt: skip
def test_limits_that_are_none_are_refused(
    write: Write, capsys: Capture, option: tuple[str, ...], said: str
) -> None:  # fmt: skip
    """Usage: exit code 2."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["replay", "rollout", str(write("old,new", [(1, 1)])), *option])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_the_ramp_goes_by_recorded_moments(write: Write, capsys: Capture) -> None:
    """An hour's pause is an hour: 40 requests in the first minute, then one an hour, a step each; rows in any order of
    the file come as they came; --requests-per-hour, if told, is the clock instead."""
    moments = [n * 1.5 for n in range(40)] + [3600.0 * n + 100.0 for n in range(1, 8)]
    rows = [(1, 1, 1e9 + at) for at in moments]
    found = replayed(write("old,new,at", rows), capsys)
    assert [point["at_s"] for point in found["ramp"]][:4] == [13.5, 3700.0, 7300.0, 10900.0]
    assert replayed(write("old,new,at", rows[::-1]), capsys)["ramp"] == found["ramp"]
    even = replayed(write("old,new,at", rows), capsys, "--requests-per-hour", "120")
    assert even == replayed(write("old,new", [row[:2] for row in rows]), capsys)
    several = replayed(write("old,new,at", rows), capsys, "--repeat", "3")
    assert several["repeats"] == 3
    assert several["ramp"] == found["ramp"], "other orders come at the same moments"
    blocks = replayed(write("old,new,at", rows), capsys, "--one-fits")
    assert blocks["pairs"] == len(rows)
    assert "in 1 of 2 rows" in refused(write("old,new,at", [(1, 1, 5), (1, 1, "")]), capsys)


@pytest.mark.parametrize(("degrade", "named"), [("4000,700", "4000"), ("1000", "1000"), ("50,1000,2000", "1000,2000")])
def test_a_degradation_beyond_the_last_request_is_refused(
    write: Write, capsys: Capture, degrade: str, named: str
) -> None:
    """It would never happen, and the figures would be those of no degradation at all."""
    file = write("task,item,model,quality", [("t", n, m, 1) for n in range(5) for m in "ab"])
    assert cli.main(["replay", "select", str(file), "--degrade", degrade, "--requests", "1000"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"--degrade {named}: each task has 1000 requests (--requests), so a moment from 0 to 999 is needed" in err
    assert cli.main(["replay", "select", str(file), "--degrade", "0,999", "--requests", "1000", "--json"]) == 0
