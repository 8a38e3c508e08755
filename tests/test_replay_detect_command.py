"""``arbiter replay detect``: alarms, delay and false alarms of a recorded stream, and files that are no such stream."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from arbiter_tui import cli
from arbiter_tui.core.cost import Failure, Outcome
from arbiter_tui.core.replay import replay_detect

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def worse(tmp_path: Path) -> Path:
    """300 at .9, then 200 at .3; twice as slow for the last hundred."""
    chance = random.Random(5)
    rows = [(int(chance.random() < (0.9 if n < 300 else 0.3)), 1.0 if n < 400 else 2.0) for n in range(500)]
    file = tmp_path / "stream.csv"
    file.write_text("quality,latency_s,note\n" + "".join(f"{q},{s},x\n" for q, s in rows))
    return file


def replayed(file: Path, capsys: Capture, *options: str) -> dict[str, Any]:
    assert cli.main(["replay", "detect", str(file), "--json", *options]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_declared_change_has_a_delay_and_what_came_before_it_is_false(worse: Path, capsys: Capture) -> None:
    """The delay counts requests after the change; alarms before it count as false."""
    found = replayed(worse, capsys, "--change-at", "300")
    quality, latency = found["alarms"]
    assert (quality["signal"], latency["signal"]) == ("quality", "latency")
    assert found["delay"] == quality["at"] - 300 <= 30
    assert 400 < latency["at"] <= 430
    assert found["false_alarms_per_1000"] == 0.0
    assert found["requests"] == 500
    assert quality.keys() == {"at", "at_s", "signal", "before", "after", "since", "samples", "sentence"}
    late = replayed(worse, capsys, "--change-at", str(quality["at"]))
    assert late["false_alarms_per_1000"] == round(1000 / quality["at"], 4)
    assert late["delay"] == latency["at"] - quality["at"]
    never = replayed(worse, capsys, "--change-at", str(latency["at"]))
    assert (never["delay"], never["false_alarms_per_1000"]) == (None, round(2000 / latency["at"], 4))


def test_without_a_declared_change_each_alarm_is_false(worse: Path, capsys: Capture) -> None:
    """Two in 500 are four in a thousand; a change before the first request leaves nothing to be false."""
    found = replayed(worse, capsys)
    assert (found["change_at"], found["delay"], found["false_alarms_per_1000"]) == (None, None, 4.0)
    assert replayed(worse, capsys, "--change-at", "0")["false_alarms_per_1000"] is None
    assert replayed(worse, capsys, "--change-at", "499")["delay"] is None


@pytest.mark.parametrize("beyond", ["500", "9999"])
def test_a_change_beyond_the_file_is_refused(worse: Path, beyond: str, capsys: Capture) -> None:
    """Nothing comes after it that could notice it: the answer would be about nothing."""
    assert cli.main(["replay", "detect", str(worse), "--change-at", beyond]) == 2
    said = capsys.readouterr().err
    assert f"--change-at {beyond}: " in said
    assert "has 500 requests, so from 0 to 499 of them" in said


def test_alarms_tell_their_moment_by_the_column_at(worse: Path, tmp_path: Path, capsys: Capture) -> None:
    """A request a second without it; seconds or dates with it, from the first row on; in some rows only: refused."""
    plain = replayed(worse, capsys)["alarms"]
    assert [alarm["at_s"] for alarm in plain] == [alarm["at"] - 1.0 for alarm in plain]
    head, *rows = worse.read_text().splitlines()
    days = [f"2026-01-{1 + n // 24:02}T{n % 24:02}:00:00" for n in range(500)]
    for name, told in (("s.csv", [str(1000 + 60 * n) for n in range(500)]), ("d.csv", days)):
        file = tmp_path / name
        file.write_text("\n".join([f"at,{head}", *(f"{at},{row}" for at, row in zip(told, rows, strict=True))]))
        step = 60.0 if name == "s.csv" else 3600.0
        found = replayed(file, capsys)["alarms"]
        assert [(a["at"], a["at_s"]) for a in found] == [(a["at"], step * (a["at"] - 1)) for a in plain]
    (tmp_path / "gap.csv").write_text("at,quality\n1,1\n,1\n")
    assert cli.main(["replay", "detect", str(tmp_path / "gap.csv")]) == 2
    assert "column at is filled in 1 of 2 rows: in all of them, or in none" in capsys.readouterr().err
    (tmp_path / "odd.csv").write_text("at,quality\nsoon,1\n")
    assert cli.main(["replay", "detect", str(tmp_path / "odd.csv")]) == 2
    assert "row 2: at is 'soon': seconds, or a time like" in capsys.readouterr().err


def test_the_same_file_gives_the_same_bytes(worse: Path, capsys: Capture) -> None:
    """Time is told on stderr alone."""
    outs = []
    for options in ([], ["--timing"]):
        assert cli.main(["replay", "detect", str(worse), "--json", *options]) == 0
        out, err = capsys.readouterr()
        outs.append(out)
        assert bool(err) == bool(options)
    assert outs[0] == outs[1]


def test_in_words_it_reads_as_sentences(worse: Path, capsys: Capture) -> None:
    """How many, when, what changed, and how soon it was found."""
    assert cli.main(["replay", "detect", str(worse), "--change-at", "300"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2 alarms in 500 requests"
    assert ": quality fell from .87 to .27" in lines[1]
    assert lines[3].startswith("the change after 300 requests: found after ")
    assert lines[4] == "false alarms per 1,000 requests: 0"
    assert cli.main(["replay", "detect", str(worse), "--change-at", "0"]) == 0
    assert "false alarms" not in capsys.readouterr().out


def test_a_stream_without_a_change_has_none(tmp_path: Path, capsys: Capture) -> None:
    """Empty cells are unknown and move nothing; failures are told by their own column."""
    file = tmp_path / "calm.jsonl"
    file.write_text("".join(json.dumps({"quality": None if n % 2 else 1, "success": 1}) + "\n" for n in range(200)))
    assert replayed(file, capsys, "--change-at", "100") == {
        "requests": 200, "change_at": 100, "alarms": [], "delay": None, "false_alarms_per_1000": 0.0,
    }  # fmt: skip
    assert cli.main(["replay", "detect", str(file), "--change-at", "100"]) == 0
    assert "the change after 100 requests: not found" in capsys.readouterr().out
    file.write_text("".join(json.dumps({"quality": "", "success": n < 60}) + "\n" for n in range(70)))
    (alarm,) = replayed(file, capsys)["alarms"]
    assert alarm["signal"] == "failures"
    assert cli.main(["replay", "detect", str(file)]) == 0
    assert capsys.readouterr().out.startswith("1 alarm in 70 requests\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("score\n1\n", "row 2: no quality; it has score"),
        ("quality\n2\n", "quality is '2': a quality is a number from 0 to 1"),
        ("quality,latency_s\n1,-1\n", "latency_s is '-1': seconds can't be negative"),
        ("quality,latency_s\n1,nan\n", "latency_s is 'nan', not a finite number"),
        ("quality,success\n1,maybe\n", "success is 'maybe': 1 or 0, true or false"),
        ("quality,tokens_in\n1,2.5\n", "tokens_in is '2.5': a whole number from 0 on is needed"),
        ("quality,tokens_in\n1,-2\n", "tokens_in is '-2': a whole number"),
        ("quality\n", "has no rows; columns quality are needed"),
    ],
)
def test_a_bad_stream_is_named_with_its_row_and_column(
    tmp_path: Path, content: str, said: str, capsys: Capture
) -> None:
    """Exit code 2, one line on stderr, nothing on stdout."""
    file = tmp_path / "bad.csv"
    file.write_text(content)
    assert cli.main(["replay", "detect", str(file)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


@pytest.mark.parametrize("word", ["1", "0", "true", "False", "yes", "no", "1.0", "0.0", ""])
def test_success_is_read_in_each_usual_form(tmp_path: Path, word: str, capsys: Capture) -> None:
    """Nothing told is a success; fifty failures after fifty successes raise an alarm in every spelling."""
    file = tmp_path / "forms.csv"
    file.write_text("quality,success\n" + ",1\n" * 50 + f",{word}\n" * 50)
    assert bool(replayed(file, capsys)["alarms"]) == (word.lower() in {"0", "false", "no", "0.0"})


def test_what_is_not_the_models_fault_is_no_evidence() -> None:
    """The replay feeds the live detectors: a hundred cancelled requests are no failures."""

    def outcome(n: int, cancelled: bool) -> Outcome:
        failure = Failure.CANCELLED if cancelled else None
        return Outcome(id=str(n), task="t", version="v", at=0.0, success=not cancelled, failure=failure)

    found = replay_detect(outcome(n, n >= 50) for n in range(150))
    assert (found.requests, found.alarms) == (150, ())
