"""The whole test suite, once, with coverage: how long it takes, and how much of core/ and engine/ it reaches.

``branches`` is the share of the ways out of each decision that some test took (partial lines do not count as half), in
the pytest process alone: what only the engines that tests start in processes of their own reach is not counted. The
seconds include measuring the coverage.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness import ROOT, emit

ROOMS = ("core", "engine")
SHARE, LONGEST_S = 0.9, 600.0


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
        begun = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "--cov", f"--cov-report=json:{file}"],
            cwd=ROOT, capture_output=True, text=True, env={**os.environ, "COVERAGE_FILE": f"{folder}/coverage"},
        )  # fmt: skip
        seconds = time.monotonic() - begun
        if not file.exists():
            raise RuntimeError((ended.stdout + ended.stderr)[-2000:])
        report = json.loads(file.read_text())
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped|error)", ended.stdout[-500:])}
    measured = {
        "seconds": round(seconds, 1),
        "passed": counts.get("passed", 0),
        "failed": counts.get("failed", 0) + counts.get("error", 0),
        "skipped": counts.get("skipped", 0),
        "failing": re.findall(r"^(?:FAILED|ERROR) (\S+)", ended.stdout, re.MULTILINE),
        **{room: coverage(report, room) for room in ROOMS},
    }
    met = ended.returncode == 0 and seconds < LONGEST_S and all(measured[room]["branches"] >= SHARE for room in ROOMS)
    emit("tests", {"branches": ">= .9 of core/ and engine/", "seconds": "< 600", "failed": "0"}, measured, met)


if __name__ == "__main__":
    main()
