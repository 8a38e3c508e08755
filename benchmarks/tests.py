"""The whole test suite, once, as `make test` runs it: how long, and whether it passes."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import Counter

from harness import ROOT, emit

ENGINES = ("tests/chaos", "tests/end_to_end")  # whole engines, two at a time; all the others three at a time
LONGEST_S = 600.0


def part(*words: str) -> tuple[int, str]:
    """(exit status, what it printed) of one run."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return ended.returncode, ended.stdout + ended.stderr


def main() -> None:
    begun = time.monotonic()
    parts = [
        part("-n", "2", "--dist", "loadfile", *ENGINES),
        part("-n", "3", *(f"--ignore={name}" for name in ENGINES)),
    ]
    seconds = time.monotonic() - begun
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
    }
    met = not any(code for code, _ in parts) and seconds < LONGEST_S
    emit("tests", {"seconds": "< 600", "failed": "0"}, measured, met)


if __name__ == "__main__":
    main()
