"""The whole test suite, once, with coverage, as `make test` runs it: how long, and how much of core/ and engine/.

``branches`` is the share of the ways out of each decision that some test took (partial lines do not count as half), in
the pytest processes alone: what only the engines that tests start in processes of their own reach is not counted. The
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
from collections import Counter
from pathlib import Path
from typing import Any

from harness import ROOT, emit

ROOMS = ("core", "engine")
ENGINES = ("tests/chaos", "tests/end_to_end")  # whole engines, one after another; all the others side by side
SHARE, LONGEST_S = 0.9, 600.0


def coverage(report: dict[str, Any], room: str) -> dict[str, float]:
    files = [f["summary"] for name, f in report["files"].items() if Path(name).parts[:2] == ("arbiter_tui", room)]

    def share(covered: str, of: str) -> float:
        return round(sum(f[covered] for f in files) / sum(f[of] for f in files), 4)

    return {
        "branches": share("covered_branches", "num_branches"),
        "lines": share("covered_lines", "num_statements"),
    }


def part(folder: str, *words: str) -> tuple[int, str]:
    """(exit status, what it printed) of one of the suite's two runs; their coverage adds up."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "--cov", "--cov-append", f"--cov-report=json:{folder}/coverage.json", *words],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, "COVERAGE_FILE": f"{folder}/coverage"},
    )  # fmt: skip
    return ended.returncode, ended.stdout + ended.stderr


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="arbiter-bench-") as folder:
        begun = time.monotonic()
        parts = [part(folder, *ENGINES), part(folder, "-n", "3", *(f"--ignore={name}" for name in ENGINES))]
        seconds = time.monotonic() - begun
        file = Path(folder) / "coverage.json"
        if not file.exists():
            raise RuntimeError(parts[-1][1][-2000:])
        report = json.loads(file.read_text())
    said = "\n".join(text for _, text in parts)
    counts: Counter[str] = Counter()
    for _, text in parts:
        counts.update({word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped|error)", text[-500:])})
    measured = {
        "seconds": round(seconds, 1),
        "passed": counts["passed"],
        "failed": counts["failed"] + counts["error"],
        "skipped": counts["skipped"],
        "failing": re.findall(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE),
        **{room: coverage(report, room) for room in ROOMS},
    }
    reached = all(measured[room]["branches"] >= SHARE for room in ROOMS)
    met = not any(code for code, _ in parts) and seconds < LONGEST_S and reached
    emit("tests", {"branches": ">= .9 of core/ and engine/", "seconds": "< 600", "failed": "0"}, measured, met)


if __name__ == "__main__":
    main()
