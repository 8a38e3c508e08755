"""Everything that is wrong with a configuration file is told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from arbiter_tui import cli
from arbiter_tui.config_flaws import MOST, flaws

WRONG = """
serverr = 1
[server]
port = "x"
prot = 3
[pool]
memory_budget = "lots"
[[providers]]
name = "a b"
kind = "x"
paralell = 3
[[providers]]
name = "ok"
kind = "y"
replicas = 0
[[providers]]
name = "ok"
kind = "y"
[[tasks]]
weights = { qualty = 1 }
[[tasks]]
name = "t"
preference = "fats"
[[constitution]]
name = "nothing"
[[constitution]]
name = "second"
locl = true
[tui.keys]
swap = 3
"""
KEYS = {
    "serverr", "server.port", "server.prot", "pool.memory_budget", "providers[0].name", "providers[1].replicas",
    "providers[2].name", "tasks[0].name", "tasks[0].weights.qualty", "tasks[1].preference", "constitution[0]",
    "constitution[1].locl", "tui.keys.swap",
}  # fmt: skip


def test_all_wrong_keys_are_named_each_once_by_its_place_in_the_file() -> None:
    """Unknown keys, wrong values, missing names, names that are there twice, blocks that say nothing."""
    found = [str(e.details["key"]) for e in flaws(WRONG, "f.toml")]
    assert set(found) >= KEYS
    assert len(found) == len(set(found))
    assert set(found) - KEYS <= {"constitution[1]"}, "without its only key it forbids nothing"


def test_a_right_file_has_none_and_one_that_is_no_toml_has_one() -> None:
    """And a file with very many has an end."""
    assert flaws("[server]\nport = 1\n", "f.toml") == []
    assert "not valid TOML" in str(flaws("[server", "f.toml")[0])
    assert len(flaws("".join(f"key{n} = 1\n" for n in range(200)), "f.toml")) == MOST


def test_config_check_says_them_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line each, exit code 2; what starts an engine names the first."""
    file = tmp_path / "arbiter.toml"
    file.write_text(WRONG)
    assert cli.main(["config", "check", "--config", str(file)]) == 2
    said = capsys.readouterr().err
    assert all(f"{key} = " in said for key in KEYS)
    assert cli.main(["config", "show", "--config", str(file)]) == 2
    assert capsys.readouterr().err.count(str(file)) == 1
