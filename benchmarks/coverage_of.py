"""How much of core/ and engine/ the tests reach that run in pytest's own processes.

``branches`` is the share of the ways out of each decision that some test took (partial lines do not count as half).
What only the engines reach that tests start in processes of their own is not counted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness import ROOT, emit

ROOMS, SHARE = ("core", "engine"), 0.9
TESTS = ("tests/core", "tests/engine", "tests/gateway", "tests/adapters")


def coverage(report: dict[str, Any], room: str) -> dict[str, float]:
    files = [f["summary"] for name, f in report["files"].items() if Path(name).parts[:2] == ("arbiter_tui", room)]

    def share(covered: str, of: str) -> float:
        return round(sum(f[covered] for f in files) / sum(f[of] for f in files), 4)

    return {
        "branches": share("covered_branches", "num_branches"),
        "lines": share("covered_lines", "num_statements"),
    }


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="arbiter-bench-") as folder:
        file = Path(folder) / "coverage.json"
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "-n", "3", "--cov", f"--cov-report=json:{file}", *TESTS],
            cwd=ROOT, capture_output=True, text=True, env={**os.environ, "COVERAGE_FILE": f"{folder}/data"},
        )  # fmt: skip
        if ended.returncode or not file.exists():
            raise RuntimeError((ended.stdout + ended.stderr)[-2000:])
        report = json.loads(file.read_text())
    measured = {room: coverage(report, room) for room in ROOMS}
    emit("coverage_of", {"branches": ">= .9"}, measured, all(found["branches"] >= SHARE for found in measured.values()))


if __name__ == "__main__":
    main()
