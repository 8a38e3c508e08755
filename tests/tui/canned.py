"""Canned snapshots: what the cockpit's tests and the pictures in screenshots/ are made of.

Nothing here is measured; the figures are those of a plausible afternoon. Times are fixed and read in UTC.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

from arbiter_tui.core.snapshot import (
    AlertView,
    BudgetView,
    EngineView,
    GpuView,
    HardwareView,
    ModelView,
    OperationView,
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
GEMMA, GEMMA_Q8, QWEN = "gemma3-270m-q4_k_m.llama-server", "gemma3-270m-q8_0.llama-server", "qwen3-4b-q5.ollama"


def model(version: str, **kw: Any) -> ModelView:
    base = {
        "provider": version.rpartition(".")[2],
        "model": version.partition("-q")[0],
        "lifecycle": "active",
        "backend": "CPU",
        "context": 2048,
    }
    return ModelView(version=version, **{**base, **kw})


MODELS = (
    model(
        SMOL,
        state="ready",
        resident_bytes=214 * M,
        predicted_bytes=220 * M,
        in_flight=3,
        queued=1,
        tokens_per_second=204.0,
        ttft_s=0.009,
        requests=8412,
        health="ok",
        quantization="Q4_1",
        aliases=("fast",),
        last_used_at=NOW - 1,
    ),
    model(
        GEMMA,
        state="ready",
        resident_bytes=371 * M,
        predicted_bytes=380 * M,
        in_flight=2,
        tokens_per_second=118.0,
        ttft_s=0.042,
        requests=3170,
        failures=0,
        health="ok",
        quantization="Q4_K_M",
        pinned=True,
        last_used_at=NOW - 2,
    ),
    model(GEMMA_Q8, state="loading", predicted_bytes=520 * M, progress=0.6, eta_s=7.0, quantization="Q8_0"),
    model(
        SMOL_CPP,
        state="cold",
        predicted_bytes=231 * M,
        tokens_per_second=136.0,
        ttft_s=0.014,
        requests=640,
        health="ok",
        quantization="Q4_1",
    ),
    model(QWEN, state="cold", predicted_bytes=int(3.1 * G), backend=None, quantization="Q5_K_M"),
)


def row(
    version: str,
    rank: int,
    u: float,
    low: float,
    high: float,
    q: float,
    p50: float,
    p95: float,
    mem: float,
    n: int,
    p: float,
    **kw: Any,
) -> RowView:
    return RowView(
        version=version,
        rank=rank,
        utility=u,
        utility_low=low,
        utility_high=high,
        quality=q,
        quality_source="verifier",
        latency_p50_s=p50,
        latency_p95_s=p95,
        memory_bytes=int(mem * M),
        samples=n,
        p_best=p,
        success_rate=kw.pop("success", 1.0),
        **kw,
    )


TOPIC = (
    row(GEMMA, 1, 0.84, 0.79, 0.89, 0.81, 0.082, 0.140, 371, 412, 0.93, on_pareto_front=True),
    row(GEMMA_Q8, 2, 0.79, 0.66, 0.90, 0.83, 0.118, 0.204, 520, 44, 0.06, on_pareto_front=True),
    row(SMOL, 3, 0.61, 0.57, 0.65, 0.41, 0.043, 0.071, 214, 388, 0.01, on_pareto_front=True),
    row(SMOL_CPP, 4, 0.55, 0.47, 0.63, 0.41, 0.066, 0.110, 231, 60, 0.0, success=0.78),
    RowView(version=QWEN, rank=5, utility=0.5, samples=0),
)
YESNO = (
    row(SMOL, 1, 0.77, 0.73, 0.81, 0.72, 0.041, 0.066, 214, 903, 0.97, on_pareto_front=True),
    row(GEMMA, 2, 0.68, 0.61, 0.75, 0.66, 0.081, 0.133, 371, 120, 0.03),
)
TASKS = (
    TaskView(
        task="arithmetic",
        incumbent=GEMMA,
        previous=None,
        requests=310,
        leaderboard=(row(GEMMA, 1, 0.66, 0.58, 0.74, 0.52, 0.09, 0.16, 371, 81, 0.88),),
    ),
    TaskView(
        task="extraction", incumbent=GEMMA, previous=SMOL, requests=940, autopilot="observe", leaderboard=YESNO[::-1]
    ),
    TaskView(task="sentiment", incumbent=SMOL, requests=2205, leaderboard=YESNO),
    TaskView(
        task="topic",
        incumbent=GEMMA,
        candidate=GEMMA_Q8,
        candidate_share=0.1,
        previous=SMOL,
        requests=5120,
        leaderboard=TOPIC,
    ),
    TaskView(task="yes-no", incumbent=SMOL, requests=3007, autopilot="off", leaderboard=YESNO),
)
SWAPS = (
    SwapView(
        id="sw-7",
        task="topic",
        from_=SMOL,
        to=GEMMA,
        trigger="auto",
        result="done",
        reason="quality .41 → .81 on 388 and 412 answers; P(better) .99",
        started_at=NOW - 95,
        duration_s=0.41,
        phases=(
            Phase(name="load", seconds=0.31),
            Phase(name="probe", seconds=0.06),
            Phase(name="switch", seconds=0.0004),
            Phase(name="drain", seconds=0.04),
        ),
        why=(Why(rule="better", value=0.79, threshold=0.65, would_change_if="its lower bound falls below .65"),),
    ),
    SwapView(
        id="sw-6",
        task="yes-no",
        from_=GEMMA,
        to=SMOL,
        trigger="manual",
        result="done",
        reason="asked for on this screen",
        started_at=NOW - 1140,
        duration_s=0.002,
    ),
    SwapView(
        id="sw-5",
        task="topic",
        from_=GEMMA,
        to=SMOL,
        trigger="rollback",
        result="rolled_back",
        reason="undone after 40 s",
        started_at=NOW - 2500,
        duration_s=0.003,
    ),
    SwapView(
        id="sw-4",
        task="extraction",
        from_=SMOL,
        to=QWEN,
        trigger="auto",
        result="failed",
        error="qwen3-4b-q5.ollama: the runtime did not answer in 120 s; smollm2 stayed",
        started_at=NOW - 7300,
        duration_s=120.0,
    ),
    SwapView(
        id="sw-3",
        task="extraction",
        from_=SMOL,
        to=GEMMA,
        trigger="auto",
        result="done",
        reason="success .71 is under .80",
        started_at=NOW - 90000,
        duration_s=0.52,
    ),
)


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
)


def gpu(index: int, busy: float, used: float, heat: float) -> GpuView:
    return GpuView(
        index=index,
        name="GPU 80GB",
        utilisation=r(busy),
        memory_used_bytes=r(used * G),
        memory_total_bytes=r(80 * G),
        power_w=r(120 + 400 * busy),
        temperature_c=r(heat),
    )


HEALTHY = Snapshot(
    revision=41,
    taken_at=NOW,
    engine=EngineView(
        state="ready",
        autopilot="on",
        requests=12582,
        failed=0,
        requests_per_second=12.4,
        uptime_s=5000.0,
        version="0.1.0",
    ),
    budget=BudgetView(limit_bytes=2 * G, used_bytes=585 * M),
    models=MODELS,
    tasks=TASKS,
    hardware=HARDWARE,
    swaps=SWAPS,
    narrator="topic: trying gemma3-270m-q8_0 on 10% of requests; 31 of 44 pairs seen, no verdict yet (P worse .12)",
    alerts=(
        AlertView(
            id="a1",
            at=NOW - 7180,
            level="warning",
            message="qwen3-4b-q5.ollama did not load: the runtime did not answer in 120 s",
        ),
    ),
)
EMPTY = Snapshot(
    revision=1,
    taken_at=NOW,
    engine=EngineView(state="ready"),
    budget=BudgetView(limit_bytes=2 * G),
    hardware=HARDWARE,
    narrator="",
)
SWAPPING = replace(
    HEALTHY,
    revision=42,
    narrator="topic: swapping smollm2 → gemma3; the probe answered, the route changes next",
    swaps=(
        replace(SWAPS[0], id="sw-8", result="running", duration_s=None, started_at=NOW - 1, phases=SWAPS[0].phases[:2]),
        *SWAPS[1:],
    ),
)
FAILED = replace(
    HEALTHY,
    revision=43,
    engine=replace(HEALTHY.engine, failed=3),
    models=(
        MODELS[0],
        replace(
            MODELS[1],
            state="failed",
            resident_bytes=None,
            in_flight=0,
            error="the worker was killed (signal 9); next try in 4 s",
        ),
        *MODELS[2:],
    ),
    narrator="gemma3-270m-q4_k_m died; topic is answered by smollm2-135m until it is back",
    alerts=(
        AlertView(id="a2", at=NOW - 3, level="error", message="gemma3-270m-q4_k_m.llama-server died (signal 9)"),
        *HEALTHY.alerts,
    ),
)
BENCHING = replace(
    HEALTHY,
    revision=44,
    narrator="",
    operations=(
        OperationView(
            id="op-1", kind="bench", progress=0.42, eta_s=31.0, message="topic: gemma3-270m-q8_0, item 17 of 40"
        ),
    ),
)
FOUR_GPUS = replace(
    HEALTHY,
    revision=45,
    hardware=replace(
        HARDWARE,
        gpus=(gpu(0, 0.71, 41.2, 64), gpu(1, 0.68, 40.8, 63), gpu(2, 0.02, 0.6, 38), gpu(3, 0.99, 78.9, 87)),
        gpu_why=None,
        backend="CUDA",
    ),
)
LONG = replace(
    HEALTHY,
    revision=46,
    models=(
        model(
            "一个非常长的模型名称-q4_k_m.llama-server", state="ready", resident_bytes=300 * M, tokens_per_second=20.0
        ),
        model(
            "a-model-with-an-exceedingly-long-name-that-nobody-can-read-at-once-q5_k_m.openai_compatible",
            state="ready",
            resident_bytes=9 * G,
        ),
        *MODELS,
    ),
    narrator="翻訳: " + "a sentence that goes on and on, " * 8,
)


def crowd(models: int = 50, tasks: int = 20) -> Snapshot:
    """Many models and tasks, all different."""
    states = ("ready", "ready", "cold", "loading", "cold", "failed", "draining")
    many = tuple(
        model(
            f"model-{i:02d}-{(1, 3, 7, 13)[i % 4]}b-q{4 + i % 4}.llama-server",
            state=states[i % 7],
            resident_bytes=(i + 1) * 90 * M if i % 7 < 2 else None,
            predicted_bytes=(i + 1) * 90 * M,
            tokens_per_second=200.0 / (1 + i % 9),
            ttft_s=0.01 * (1 + i % 9),
            in_flight=i % 3,
            requests=i * 37,
            progress=0.3,
            eta_s=9.0,
            error="did not start" if states[i % 7] == "failed" else None,
        )
        for i in range(models)
    )
    boards = []
    for t in range(tasks):
        order = [many[(t * 7 + k) % models] for k in range(min(models, 12))]
        rows = tuple(
            row(
                m.version,
                k + 1,
                0.9 - k * 0.05,
                0.85 - k * 0.05,
                0.95 - k * 0.05,
                0.9 - k * 0.06,
                0.05 * (k + 1),
                0.1 * (k + 1),
                90 * (k + 1),
                40 * (t + 1),
                0.8 / (1 + 4 * k),
            )
            for k, m in enumerate(order)
        )
        boards.append(
            TaskView(
                task=f"task-{t:02d}",
                incumbent=order[0].version,
                previous=order[1].version,
                requests=100 * (t + 1),
                leaderboard=rows,
            )
        )
    return replace(
        HEALTHY,
        revision=47,
        models=many,
        tasks=tuple(boards),
        budget=BudgetView(limit_bytes=24 * G, used_bytes=int(19.7 * G)),
        narrator="all is quiet",
    )
