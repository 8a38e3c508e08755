"""Runs the benchmarks one after another, keeps their results, and writes README's table of figures from them.

    python benchmarks/report.py run [NAMES…]    # benchmarks/results/NAME.json, of all of the table by default
    python benchmarks/report.py readme          # what stands between the markers of README and how-it-decides.md

Never in parallel: each benchmark wants the machine for itself. One that fails leaves a result that says so. After each
one the table is written, too: the last one is the test suite, and a test compares the two.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from figures import FIGURES, placed, table
from policy_table import policies

HERE = Path(__file__).resolve().parent
ROOT, RESULTS = HERE.parent, HERE / "results"
LONGEST_S = 1800.0
ENGINES = ("xllamacpp", "llama-cpp-python")


def machine() -> dict[str, Any]:
    """What the figures depend on; nothing that names this machine or this day."""
    engines = {}
    for name in ENGINES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            engines[name] = importlib.metadata.version(name)
    return {
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "engines": engines,
    }


def without_paths(text: str) -> str:
    places = sorted({str(ROOT), str(Path.home()), tempfile.gettempdir(), sys.prefix}, key=len, reverse=True)
    for place in places:
        if len(place) > 1:
            text = text.replace(place, "…")
    return text


def measure(name: str) -> dict[str, Any]:
    """What the script printed, or {benchmark, failed}."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / f"{name}.py")], cwd=HERE, stdin=subprocess.DEVNULL, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        out, said = process.communicate(timeout=LONGEST_S)
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            return {"benchmark": name, "failed": f"it did not end within {LONGEST_S:.0f} s"}
        raise
    if process.returncode:
        last = (without_paths(said).strip().splitlines() or ["it said nothing"])[-1]
        return {"benchmark": name, "failed": f"exit code {process.returncode}: {last[:200]}".replace("|", "/")}
    try:
        found: dict[str, Any] = json.loads(without_paths(out))
        words(name, found["measured"])
    except (ValueError, LookupError, TypeError) as error:
        return {"benchmark": name, "failed": f"its result can't be read: {type(error).__name__}: {error}"[:200]}
    return found


def words(name: str, measured: dict[str, Any]) -> str:
    return next(figure for figure in FIGURES if figure.name == name).words(measured)


def run(names: list[str]) -> int:
    RESULTS.mkdir(exist_ok=True)
    failed = 0
    for name in names:
        print(f"{name} …", end=" ", flush=True)
        begun = time.monotonic()
        found = measure(name)
        found["machine"] = {**found.get("machine", {}), **machine()}
        (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
        readme()
        failed += "failed" in found
        verdict = found.get("failed") or {True: "met", False: "MISSED", None: "not judged"}[found["met"]]
        print(f"{verdict}, {time.monotonic() - begun:.0f} s", flush=True)
    return 1 if failed else 0


def results(folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def readme() -> int:
    found = results()
    file = ROOT / "README.md"
    file.write_text(placed(file.read_text(), table(found)))
    if "measured" in (decided := found.get("decisions", {})):
        page = ROOT / "docs" / "how-it-decides.md"
        page.write_text(placed(page.read_text(), policies(decided["measured"])))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("run", "readme"))
    known = [figure.name for figure in FIGURES]
    parser.add_argument("names", nargs="*", metavar="NAMES", help=f"of: {', '.join(known)}")
    chosen = parser.parse_args()
    if wrong := [name for name in chosen.names if name not in known]:
        parser.error(f"no such benchmark: {', '.join(wrong)}; there are {', '.join(known)}")
    return readme() if chosen.action == "readme" else run(chosen.names or known)


if __name__ == "__main__":
    raise SystemExit(main())
