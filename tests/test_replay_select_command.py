"""``arbiter replay select``: the matrix good and bad, the options, the same seed twice, the table in words."""

from __future__ import annotations

import json
import random
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from arbiter_tui import cli
from arbiter_tui.adapters import plugins
from arbiter_tui.core.policies import POLICIES

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def matrix(tmp_path: Path) -> Path:
    chance = random.Random(2)
    lines = ["task,item,model,quality,note"]
    for task, shares in (("sums", (0.9, 0.6, 0.3)), ("words", (0.2, 0.5, 0.8))):
        for model, share in zip("abc", shares, strict=True):
            lines += [f"{task},{i},{model},{int(chance.random() < share)},x" for i in range(120)]
    file = tmp_path / "matrix.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def replayed(file: Path, capsys: Capture, *options: str) -> dict[str, Any]:
    assert cli.main(["replay", "select", str(file), "--json", *options]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_each_task_and_the_sum_of_them_are_told(matrix: Path, capsys: Capture) -> None:
    """By the names that others rely on; the sum is that of the tasks."""
    found = replayed(matrix, capsys, "--requests", "300")
    assert [one["task"] for one in found["tasks"]] == ["sums", "words"]
    pooled = found["pooled"]
    assert pooled["requests"] == 600
    assert pooled["share_of_best"] > 0.95
    assert pooled["dominated_choices"] == 0
    for name in ("swaps", "wrong_swaps", "dominated_choices", "explored"):
        assert pooled[name] == sum(one[name] for one in found["tasks"])
    assert pooled["regret"] == pytest.approx(sum(one["regret"] for one in found["tasks"]), abs=0.001)
    assert (found["policy"], found["prior"], found["degrade"]) == ("bandit", 20, [])


def test_options_reach_the_replay(matrix: Path, capsys: Capture) -> None:
    """Each policy answers; a degradation costs; without a benchmark more is lost; 1,000 requests are the default."""
    for policy in POLICIES:
        assert replayed(matrix, capsys, "--policy", policy, "--requests", "40")["policy"] == policy
    plain = replayed(matrix, capsys)
    assert plain["pooled"]["requests"] == 2000
    worse = replayed(matrix, capsys, "--degrade", "400,700")
    assert worse["degrade"] == [400, 700]
    assert worse["pooled"]["regret"] > plain["pooled"]["regret"]
    assert replayed(matrix, capsys, "--prior", "0")["pooled"]["regret"] > plain["pooled"]["regret"]


def test_how_often_others_may_be_asked(matrix: Path, capsys: Capture) -> None:
    """At most the given share; where only one fits none, but in blocks of thirty questions, one load in ten minutes;
    sentinels ask in idle time. None of these is a client's."""
    base, clock = ("--requests", "300", "--degrade", "100"), ("--requests-per-hour", "360")
    free = replayed(matrix, capsys, *base)
    assert (free["explore"], free["one_fits"]) == (1.0, False)
    held = replayed(matrix, capsys, *base, "--explore", "0.05")["pooled"]
    assert held["explored"] <= 0.05 * 600 + 2
    assert held["explored"] < free["pooled"]["explored"]
    nobody = replayed(matrix, capsys, *base, "--explore", "0")["pooled"]
    assert (nobody["explored"], nobody.get("idle_questions")) == (0, None)
    one = replayed(matrix, capsys, *base, "--one-fits", *clock)
    assert one["one_fits"]
    assert one["pooled"]["explored"] == 0
    assert 0 < one["pooled"]["loads"] <= 2 * (300 * 10 / 600 + 1)
    assert one["pooled"]["idle_questions"] <= 30 * one["pooled"]["loads"]
    asked = replayed(matrix, capsys, *base, "--explore", "0", "--sentinels", "60", *clock)["pooled"]
    assert 80 <= asked["idle_questions"] <= 102


def test_the_engines_own_decisions_can_be_replayed(matrix: Path, capsys: Capture) -> None:
    """With its share of exploring requests and its sentinels, unless told otherwise."""
    found = replayed(matrix, capsys, "--policy", "autopilot", "--requests", "200")
    assert (found["policy"], found["explore"]) == ("autopilot", 0.05)
    assert found["pooled"]["explored"] <= 0.05 * 400 + 2
    assert found["pooled"]["share_of_best"] > 0.9
    again = replayed(matrix, capsys, "--policy", "autopilot", "--requests", "200")
    assert found == again
    cold = replayed(matrix, capsys, "--policy", "autopilot", "--requests", "200", "--one-fits")
    assert (cold["pooled"]["explored"], cold["pooled"].get("loads")) == (0, None)


def test_a_plugins_policy_can_be_replayed_and_an_unknown_one_is_named(
    matrix: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the registry that the engine has, of the group arbiter.policies."""
    point = EntryPoint(name="first", value="arbiter_tui.core.policies:Fixed", group=plugins.POLICY_GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == plugins.POLICY_GROUP else [])
    try:
        told = [replayed(matrix, capsys, "--policy", name, "--requests", "50")["pooled"] for name in ("first", "fixed")]
        assert told[0] == told[1]
        monkeypatch.setattr(plugins, "entry_points", lambda group: [])
        assert cli.main(["replay", "select", str(matrix), "--policy", "luck"]) == 2
        assert "'luck' is none of bandit, score" in capsys.readouterr().err
    finally:
        POLICIES.pop("first", None)


def test_the_same_seed_gives_the_same_bytes(matrix: Path, capsys: Capture) -> None:
    """Time is told on stderr alone; another seed draws other items."""
    outs = []
    for options in (["--seed", "4"], ["--seed", "4", "--timing"], ["--seed", "5"]):
        assert cli.main(["replay", "select", str(matrix), "--json", "--policy", "thompson", *options]) == 0
        outs.append(capsys.readouterr().out)
    assert outs[0] == outs[1] != outs[2]


def test_in_words_it_is_a_table(matrix: Path, capsys: Capture) -> None:
    """A line for each task and one for all; a quality of nothing at all is a dash."""
    assert cli.main(["replay", "select", str(matrix), "--requests", "100"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("  ")[0] == "task"
    assert [line.split()[0] for line in lines[1:]] == ["sums", "words", "all"]
    matrix.write_text("task,item,model,quality\nt,1,a,0\n")
    assert cli.main(["replay", "select", str(matrix), "--requests", "10"]) == 0
    assert "–" in capsys.readouterr().out


def test_the_command_knows_every_policy() -> None:
    """The parser names them without importing the core."""
    assert tuple(POLICIES) == cli.POLICIES


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("task,item,model\nt,1,a\n", "row 2: no quality; it has task, item, model"),
        ("task,item,model,quality\nt,1,a,nan\n", "quality is 'nan', not a finite number"),
        ("task,item,model,quality\nt,1,a,2\n", "quality is '2': a quality is a number from 0 to 1"),
        ("task,item,model,quality\nt,1,a,1\nt,1,a,0\n", "row 3: a has answered item 1 of t already"),
        ("task,item,model,quality,cost\nt,1,a,1,-1\n", "cost is '-1': it can't be negative"),
        ("task,item,model,quality\n", "has no rows"),
    ],
)
def test_a_bad_matrix_is_named_with_its_row_and_column(
    tmp_path: Path, content: str, said: str, capsys: Capture
) -> None:
    """Exit code 2, one line on stderr, nothing on stdout."""
    file = tmp_path / "bad.csv"
    file.write_text(content)
    assert cli.main(["replay", "select", str(file)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--degrade", "400,soon"], "a whole number above 0 is needed, not 'soon'"),
        (["--requests", "0"], "a whole number above 0 is needed, not '0'"),
        (["--explore", "1.5"], "a share is a number from 0 to 1, not '1.5'"),
        (["--requests-per-hour", "0"], "a number above 0 is needed, not '0'"),
        (["--prior", "-1"], "a whole number above 0 is needed, not '-1'"),
    ],
)
def test_a_wrong_option_is_refused(matrix: Path, option: list[str], said: str, capsys: Capture) -> None:
    """Usage errors exit 2 and say what is needed."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["replay", "select", str(matrix), *option])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
