"""The table of figures in README says exactly what the committed results say, misses and gaps included."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MACHINE = {"cores": 2, "system": "Linux x86_64", "python": "3.11.7", "engines": {"xllamacpp": "1"}}


def module() -> ModuleType:
    """benchmarks/figures.py; scripts are no package."""
    spec = importlib.util.spec_from_file_location("figures", ROOT / "benchmarks" / "figures.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules["figures"] = found  # dataclasses look their module up there
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        spec.loader.exec_module(found)
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    return found


figures = module()


def committed() -> dict[str, Any]:
    return {p.stem: json.loads(p.read_text()) for p in (ROOT / "benchmarks" / "results").glob("*.json")}


def decode(met: bool | None) -> dict[str, Any]:
    measured = {"ratio_one_stream": 0.982, "ratio_four_streams": 0.9}
    return {"benchmark": "decode", "measured": measured, "met": met, "machine": MACHINE}


def line(table: str, name: str) -> str:
    return next(row for row in table.splitlines() if f"[{name}]" in row)


def test_the_table_in_readme_is_what_the_results_say() -> None:
    """Nobody can write a better figure into README by hand."""
    readme = (ROOT / "README.md").read_text()
    assert figures.between(readme) == "\n" + figures.table(committed()), "python benchmarks/report.py readme"


def test_a_met_and_a_missed_promise_are_told_apart() -> None:
    """The figures are the same, the verdict is the script's; a miss is set in bold."""
    assert line(figures.table({"decode": decode(True)}), "decode").endswith("| .982 / .9 | yes |")
    assert line(figures.table({"decode": decode(False)}), "decode").endswith("| .982 / .9 | **no** |")
    assert line(figures.table({"decode": decode(None)}), "decode").endswith("| .982 / .9 | not judged |")


def test_a_missing_result_is_shown_as_missing() -> None:
    """Each promise has its line, measured or not."""
    table = figures.table({})
    rows = [row for row in table.splitlines() if "](benchmarks/" in row]
    assert len(rows) == len(figures.FIGURES)
    assert all(row.endswith("| not measured yet | **unknown** |") for row in rows)


def test_a_benchmark_that_did_not_run_says_so() -> None:
    """What an older run measured is not shown in its place."""
    result = {"benchmark": "decode", "failed": "exit code 1: RuntimeError", "machine": MACHINE}
    assert "did not run: exit code 1: RuntimeError | **unknown**" in line(figures.table({"decode": result}), "decode")


def test_a_result_of_another_shape_is_no_silent_dash() -> None:
    """A script that renames what it measures must be noticed here."""
    with pytest.raises(KeyError):
        figures.table({"decode": {**decode(True), "measured": {"ratio": 1.0}}})


def test_the_machine_is_named_once_for_each_kind() -> None:
    """Results of two kinds of machine are not passed off as one's."""
    other = {**decode(True), "machine": {**MACHINE, "cores": 8}}
    table = figures.table({"decode": decode(True), "switch": {**other, "failed": "no"}})
    assert table.count("Measured on 2 cores, Linux x86_64, Python 3.11.7, xllamacpp 1.") == 1
    assert table.count("Measured on 8 cores") == 1


def test_only_the_text_between_the_markers_is_replaced() -> None:
    """Writing it twice changes nothing."""
    once = figures.placed(f"a\n{figures.START}\nold\n{figures.END}\nb\n", "new\n")
    assert once == f"a\n{figures.START}\nnew\n{figures.END}\nb\n"
    assert figures.placed(once, "new\n") == once


def test_every_line_of_the_table_has_its_script() -> None:
    """The link in the table leads somewhere."""
    assert [f.name for f in figures.FIGURES if not (ROOT / "benchmarks" / f"{f.name}.py").is_file()] == []


def test_results_name_no_place_and_no_day() -> None:
    """What is committed speaks of the project and the kind of machine alone."""
    results = committed()
    private = re.compile(r"/(home|root|tmp|work|Users|var)/|\b20\d\d-\d\d-\d\d")
    assert {name for name, found in results.items() if private.search(json.dumps(found))} == set()
    assert {name for name, found in results.items() if found["benchmark"] != name} == set()
