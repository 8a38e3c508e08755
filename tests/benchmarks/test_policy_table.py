"""The table of policies in how-it-decides.md says exactly what the committed result says, losses included."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def module() -> Any:
    """benchmarks/policy_table.py; scripts are no package."""
    spec = importlib.util.spec_from_file_location("policy_table", ROOT / "benchmarks" / "policy_table.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_the_table_is_what_the_result_says() -> None:
    """Each replayed policy has a line, and nobody can write a better figure by hand."""
    measured = json.loads((ROOT / "benchmarks" / "results" / "decisions.json").read_text())["measured"]
    page = (ROOT / "docs" / "how-it-decides.md").read_text()
    stands = page.split("<!-- figures -->\n", 1)[1].split("<!-- /figures -->", 1)[0]
    assert stands == module().policies(measured), "python benchmarks/report.py readme"
    for words in (
        "epsilon-greedy",
        "UCB",
        "Thompson",
        "EXP3",
        "sliding window",
        "`round_robin`",
        "`fixed`",
        "`score`",
    ):
        assert words in stands


def test_a_loss_is_shown_like_a_gain() -> None:
    """Another policy above ours keeps its figure, and one that was not measured without a benchmark has a dash."""
    whole = {"mean": 0.9, "low": 0.89, "high": 0.91}
    row = {"all": whole, "swaps": 4, "wrong_swaps": 1, "swaps_per_1000": 2.0, "dominated_choices": 3, "explored": 0.1}
    table = module().policies({"seeds": 20, "bandit": dict.fromkeys(("stationary", "degrading"), row)})
    last = table.splitlines()[-1]
    figures = "| .900 (.890–.910) | .900 (.890–.910) | – | – | 2, 25% wrong | 3 | 10% |"
    assert last == f"| `bandit`, all loaded, asking whom it likes {figures}"
