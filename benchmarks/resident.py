"""A headless engine with no model loaded: resident memory, and CPU while nothing happens.

``arbiter serve`` with its defaults (the autopilot on, the embedded models registered, none asked for), looked at from
outside: the whole process tree, over twenty seconds after it has settled.
"""

from __future__ import annotations

import argparse
import statistics
import time

import psutil
from harness import Engine, emit, quantile

SETTLE_S, LIMIT_BYTES, LIMIT_SHARE, RUNS = 5.0, 90 * 1024**2, 0.01, 3


def tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def cpu_s(processes: list[psutil.Process]) -> float:
    return sum(t.user + t.system for t in (p.cpu_times() for p in processes))


def look(seconds: float) -> dict[str, float]:
    with Engine() as engine:
        assert engine.process is not None
        time.sleep(SETTLE_S)
        processes = tree(engine.process.pid)
        before, begun, resident = cpu_s(processes), time.monotonic(), []
        while time.monotonic() - begun < seconds:
            time.sleep(1.0)
            resident.append(sum(p.memory_info().rss for p in processes))
        taken = time.monotonic() - begun
        return {
            "rss_bytes": quantile(resident, 0.5),
            "cpu_share": (cpu_s(processes) - before) / taken,
            "processes": len(processes),
        }


def main(seconds: float) -> None:
    seen = [look(seconds) for _ in range(RUNS)]
    rss = statistics.median(s["rss_bytes"] for s in seen)
    cpu = statistics.median(s["cpu_share"] for s in seen)
    measured = {
        "rss_mib": round(rss / 1024**2, 1),
        "idle_cpu_percent_of_a_core": round(100 * cpu, 2),
        "runs": [{**s, "cpu_share": round(s["cpu_share"], 5)} for s in seen],
        "seconds": seconds,
    }
    emit(
        "resident",
        {"rss_mib": "<= 90", "idle_cpu_percent_of_a_core": "<= 1"},
        measured,
        rss <= LIMIT_BYTES and cpu <= LIMIT_SHARE,
    )


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--seconds", type=float, default=20.0)
    main(ap.parse_args().seconds)
