"""The canned snapshot of the cockpit's tests and of the pictures in screenshots/: a plausible afternoon.

Nothing here is measured, but everything is of a kind that the engine shows: the bundled tasks, the embedded versions,
its own sentences. Times are fixed and read in UTC. Other states: canned_states.py.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from arbiter_tui.core.snapshot import (
    AlertView,
    BudgetView,
    DiskView,
    EngineView,
    HardwareView,
    ModelView,
    Phase,
    Reading,
    RowView,
    Snapshot,
    SwapView,
    TaskView,
    Why,
)

os.environ["TZ"] = "UTC"
time.tzset()

NOW = 1_790_000_000.0 - 1_790_000_000.0 % 86400 + 14 * 3600 + 31 * 60
G = 1 << 30
M = 1 << 20
SMOL, SMOL_CPP = "smollm2-135m-q4_1.llama-server", "smollm2-135m-q4_1.llama-cpp"
GEMMA, GEMMA_CPP = "gemma3-270m-q4_k_m.llama-server", "gemma3-270m-q4_k_m.llama-cpp"


def model(version: str, **kw: Any) -> ModelView:
    base = {
        "provider": version.rpartition(".")[2].replace("-", "_"),
        "model": version.partition("-q")[0],
        "lifecycle": "active",
        "backend": "CPU",
        "context": 2048,
    }
    return ModelView(version=version, **{**base, **kw})


MODELS = (
    model(
        SMOL, state="ready", resident_bytes=214 * M, predicted_bytes=220 * M, in_flight=3, queued=1,
        tokens_per_second=204.0, ttft_s=0.009, requests=8412, health="ok", quantization="Q4_1", aliases=("fast",),
        last_used_at=NOW - 1, digest="sha256:3c1d" + "5e" * 30,
    ),
    model(
        GEMMA, state="ready", resident_bytes=371 * M, predicted_bytes=380 * M, in_flight=2, tokens_per_second=118.0,
        ttft_s=0.042, requests=3170, health="ok", quantization="Q4_K_M", aliases=("champion",), pinned=True,
        last_used_at=NOW - 2, digest="sha256:91aa" + "07" * 30,
    ),
    model(GEMMA_CPP, state="loading", predicted_bytes=390 * M, progress=0.6, eta_s=7.0, quantization="Q4_K_M",
          tokens_per_second=61.0, ttft_s=0.066, requests=212),
    model(
        SMOL_CPP, state="cold", predicted_bytes=231 * M, tokens_per_second=136.0, ttft_s=0.014, requests=640,
        quantization="Q4_1",
    ),
)  # fmt: skip
COST = {
    SMOL: (0.043, 0.071, 214),
    GEMMA: (0.082, 0.140, 371),
    GEMMA_CPP: (0.118, 0.204, 390),
    SMOL_CPP: (0.066, 0.110, 231),
}


def row(version: str, rank: int, u: float, reach: float, q: float, n: int, p: float, **kw: Any) -> RowView:
    """A measured row; ``reach`` is half the width of its interval."""
    p50, p95, mem = COST[version]
    base = {"quality_source": "suite", "latency_p50_s": p50, "latency_p95_s": p95, "memory_bytes": mem * M,
            "success_rate": 1.0, "on_pareto_front": p > 0.005}  # fmt: skip
    return RowView(
        version=version, rank=rank, utility=u, utility_low=round(u - reach, 3), utility_high=round(u + reach, 3),
        quality=q, samples=n, p_best=p, **{**base, **kw},
    )  # fmt: skip


TOPIC = (
    row(GEMMA, 1, 0.84, 0.05, 0.81, 412, 0.93),
    row(GEMMA_CPP, 2, 0.79, 0.12, 0.81, 44, 0.06),
    row(SMOL, 3, 0.61, 0.04, 0.41, 388, 0.01),
    row(SMOL_CPP, 4, 0.55, 0.08, 0.41, 60, 0.0, success_rate=0.78),
)


def ranked(first: str, u: float, lead: float, q: float, n: int) -> tuple[RowView, ...]:
    """A ranking of four of which ``first`` leads."""
    others = [v for v in (GEMMA, SMOL, GEMMA_CPP, SMOL_CPP) if v != first]
    rows = [row(first, 1, u, 0.05, q, n, 0.9)]
    for i, version in enumerate(others):
        rows.append(row(version, i + 2, round(u - lead * (i + 1), 2), 0.08, round(q - lead * (i + 1), 2), n // 3, 0.03))
    return tuple(rows)


BOARDS: Mapping[str, tuple[RowView, ...]] = {
    "sentiment": ranked(SMOL, 0.77, 0.04, 0.72, 903),
    "topic": TOPIC,
    "intent": ranked(GEMMA, 0.71, 0.06, 0.62, 120),
    "language": ranked(GEMMA, 0.88, 0.05, 0.95, 160),
    "translation": ranked(GEMMA, 0.52, 0.07, 0.34, 64),
    "reading": ranked(SMOL, 0.63, 0.03, 0.55, 72),
    "extraction": ranked(GEMMA, 0.74, 0.08, 0.70, 212),
    "opposite": ranked(SMOL, 0.58, 0.05, 0.44, 48),
    "boolean": ranked(SMOL, 0.66, 0.02, 0.58, 301),
    "arithmetic": ranked(GEMMA, 0.66, 0.09, 0.52, 81),
}
MORE: Mapping[str, Mapping[str, Any]] = {
    "sentiment": {"requests": 2205, "previous": GEMMA},
    "topic": {"requests": 5120, "previous": SMOL},
    "extraction": {"requests": 940, "previous": SMOL, "autopilot": "observe"},
    "boolean": {"requests": 3007, "previous": GEMMA, "autopilot": "off"},
    "arithmetic": {"requests": 310},
}
TASKS = tuple(
    TaskView(task=name, incumbent=rows[0].version, leaderboard=rows, **MORE.get(name, {"requests": 100 + 20 * i}))
    for i, (name, rows) in enumerate(BOARDS.items())
)


def phases(warming: float) -> tuple[Phase, ...]:
    spent = {"validating": 0.0001, "recording": 0.004, "warming": warming, "probing": 0.06, "transferring": 0.003,
             "switching": 0.0004, "draining": 0.04}  # fmt: skip
    return tuple(Phase(name=name, seconds=seconds) for name, seconds in spent.items())


BETTER = f"{GEMMA} leads topic by .23 [.17, .29] on 40 samples; swapping"
LEAST = f"the lower bound of {GEMMA}'s lead over {SMOL} were at most .02"
LOAD_FAILED = f"{GEMMA_CPP} was not ready within 120 s; it said nothing"
SWAPS = (
    SwapView(
        id="sw-7", task="topic", from_=SMOL, to=GEMMA, trigger="auto", result="done", reason=BETTER,
        started_at=NOW - 95, duration_s=0.42, phases=phases(0.31),
        why=(Why(rule="better", value=0.17, threshold=0.02, would_change_if=LEAST),),
        evidence={"decision": "de-31", "trigger": "better", "warnings": [],
                  "old": {"version": SMOL, "samples": 388, "quality": 0.41, "success_rate": 1.0, "latency_p50_s": 0.043,
                          "utility": 0.61, "utility_low": 0.57, "utility_high": 0.65},
                  "new": {"version": GEMMA, "samples": 40, "quality": 0.81, "success_rate": 1.0, "latency_p50_s": 0.08,
                          "utility": 0.84, "utility_low": 0.79, "utility_high": 0.89},
                  "probe_s": 0.058},
    ),
    SwapView(
        id="sw-6", task="boolean", from_=GEMMA, to=SMOL, trigger="manual", result="done", started_at=NOW - 1140,
        duration_s=0.108, phases=phases(0.0),
    ),
    SwapView(
        id="sw-5", task="sentiment", from_=GEMMA, to=SMOL, trigger="rollback", result="done", reason="rolled back",
        started_at=NOW - 2500, duration_s=0.109, phases=phases(0.0),
    ),
    SwapView(
        id="sw-4", task="sentiment", from_=SMOL, to=GEMMA, trigger="manual", result="rolled_back",
        started_at=NOW - 2540, duration_s=0.107, phases=phases(0.0),
    ),
    SwapView(
        id="sw-3", task="extraction", from_=GEMMA, to=GEMMA_CPP, trigger="manual", result="failed", error=LOAD_FAILED,
        started_at=NOW - 7300, duration_s=120.0,
    ),
    SwapView(
        id="sw-2", task="extraction", from_=SMOL, to=GEMMA, trigger="auto", result="done",
        reason=f"{SMOL} is degraded on extraction (success .71, below .80); "
        f"{GEMMA} leads by .19 [.08, .30] on 36 samples; swapping",
        started_at=NOW - 90000, duration_s=0.52, phases=phases(0.41),
    ),
)  # fmt: skip


def r(value: float | None, why: str | None = None, estimated: bool = False) -> Reading:
    return Reading(value=value, why=why, estimated=estimated)


HARDWARE = HardwareView(
    cpu=r(0.34),
    cores=(0.5, 0.2, 0.4, 0.26),
    ram_used_bytes=r(6.4 * G),
    ram_total_bytes=r(15.6 * G),
    swap_used_bytes=r(0.0),
    cpu_power_w=r(28.0),
    gpu_why="no NVIDIA driver is loaded; arbiter doctor shows what it looked for",
    backend="CPU",
    cpu_name="a processor",
    swap_total_bytes=r(4.0 * G),
    disks=(
        DiskView(what="state, models", path="/srv", used_bytes=r(412.0 * G), total_bytes=r(931.0 * G)),
        DiskView(
            what="models", path="/mnt/big", used_bytes=r(None, "disk of models: no permission"), total_bytes=r(None)
        ),
    ),
)


HEALTHY = Snapshot(
    revision=41,
    taken_at=NOW,
    engine=EngineView(
        state="ready", autopilot="on", requests=12434, failed=0, requests_per_second=12.4, uptime_s=5000.0,
        version="0.1.0",
    ),
    budget=BudgetView(limit_bytes=2 * G, used_bytes=585 * M),
    models=MODELS,
    tasks=TASKS,
    hardware=HARDWARE,
    swaps=SWAPS,
    narrator=f"topic: {SMOL} → {GEMMA}. {BETTER.removesuffix('; swapping')}",
    alerts=(
        AlertView(
            id="a1", at=NOW - 7180, level="error", message=f"extraction: swap to {GEMMA_CPP} failed: {LOAD_FAILED}",
            task="extraction", version=GEMMA_CPP,
        ),
    ),
)  # fmt: skip
