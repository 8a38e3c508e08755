"""Canned snapshots of every other state: first run, a swap under way, a failure, a benchmark, GPUs, crowds, long names.

Nothing here is measured. The usual picture is canned.HEALTHY.
"""

from __future__ import annotations

from dataclasses import replace

from canned import BETTER, GEMMA, GEMMA_CPP, HARDWARE, HEALTHY, MODELS, NOW, SMOL, SWAPS, G, M, model, r

from arbiter_tui.core.snapshot import (
    BudgetView,
    EngineView,
    GpuProcessView,
    GpuView,
    OperationView,
    ReplicaView,
    RolloutView,
    RowView,
    Snapshot,
    TaskView,
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
        throttle=("heat (driver)", "power limit") if heat > 85 else (),
        processes=(
            GpuProcessView(pid=4242 + index, memory_bytes=int(used * 0.8 * G), version=SMOL if index % 2 else GEMMA),
            GpuProcessView(pid=99, memory_bytes=None),
        ),
    )


EMPTY = Snapshot(
    revision=1,
    taken_at=NOW,
    engine=EngineView(state="ready"),
    budget=BudgetView(limit_bytes=2 * G),
    hardware=HARDWARE,
    narrator="No models yet. Register one: arbiter register PATH.gguf",
)
SWAPPING = replace(
    HEALTHY,
    revision=42,
    narrator=f"topic: swapping {SMOL} for {GEMMA}. {BETTER}",
    swaps=(
        replace(SWAPS[0], id="sw-8", result="running", duration_s=None, started_at=NOW - 1, phases=SWAPS[0].phases[:4]),
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
            health="failed",
            error=f"the worker of {GEMMA} was killed by SIGKILL",
        ),
        *MODELS[2:],
    ),
)
BENCHING = replace(
    HEALTHY,
    revision=44,
    operations=(
        OperationView(id="op-1", kind="bench", progress=0.42, eta_s=31.0, message=f"{GEMMA_CPP} on topic: 17 of 40"),
    ),
)
ON_TRIAL = replace(
    HEALTHY,
    revision=47,
    tasks=tuple(
        replace(t, candidate=GEMMA_CPP, candidate_share=0.4) if t.task == "topic" else t for t in HEALTHY.tasks
    ),
    rollouts=(
        RolloutView(
            id="ro1", task="topic", from_=GEMMA, to=GEMMA_CPP, phase="canary", share=0.4, pairs=31, rule="posterior",
            verdict="hold", p_worse=0.12, canary_requests=44, slowdown=1.44, reason="serves 40%",
            ramp=((NOW - 7200, 0.1), (NOW - 1800, 0.4)), started_at=NOW - 7300, next_step_at=NOW + 1800,
        ),
    ),
    narrator=f"topic: {GEMMA_CPP} serves 40% beside {GEMMA}; 31 questions answered by both, P(worse) .12, hold.",
)  # fmt: skip
REPLICATED = replace(
    HEALTHY,
    revision=49,
    models=(
        replace(
            MODELS[0], in_flight=5, queued=0,
            replicas=(
                ReplicaView(number=1, state="ready", in_flight=3), ReplicaView(number=2, state="ready", in_flight=2),
            ),
        ),
        replace(
            MODELS[1],
            replicas=(
                ReplicaView(number=1, state="ready", in_flight=2),
                ReplicaView(number=2, state="ready", breaker="open", failures=3, ejected=True),
                ReplicaView(number=3, state="resting", error="its worker was killed by SIGKILL"),
            ),
        ),
        *MODELS[2:],
    ),
)  # fmt: skip
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
            RowView(
                version=m.version,
                rank=k + 1,
                utility=0.9 - k * 0.05,
                utility_low=0.85 - k * 0.05,
                utility_high=0.95 - k * 0.05,
                quality=0.9 - k * 0.06,
                quality_source="suite",
                latency_p50_s=0.05 * (k + 1),
                latency_p95_s=0.1 * (k + 1),
                memory_bytes=90 * (k + 1) * M,
                success_rate=1.0,
                samples=40 * (t + 1),
                p_best=0.8 / (1 + 4 * k),
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
        narrator="All is well.",
    )


CONTROLS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # of the writing direction
HEBREW, ARABIC = "מודל-שפה-270m-q4.llama-server", "نموذج-135m-q4_1.llama-server"
HIDDEN = f"{CONTROLS}gpj.{CONTROLS}exe-q4.llama-server\u202e"  # as it is written it reads backwards
RTL_NAMES = (HEBREW, ARABIC, HIDDEN, MODELS[3].version)
RTL_TASKS = {"topic": "סיווג נושאים", "intent": "تصنيف النوايا", "language": "\u202elanguage\u2069"}
RIGHT_TO_LEFT = replace(
    HEALTHY,
    revision=50,
    models=tuple(
        replace(m, version=v) for m, v in zip(MODELS, RTL_NAMES, strict=True)
    ),
    tasks=tuple(
        replace(
            t, task=RTL_TASKS.get(t.task, t.task),
            incumbent=HEBREW, previous=ARABIC,
            leaderboard=tuple(
                replace(r, version=v) for r, v in zip(t.leaderboard, RTL_NAMES, strict=True)
            ),
        )
        for t in HEALTHY.tasks
    ),
    swaps=(
        replace(SWAPS[0], task=RTL_TASKS["topic"], from_=ARABIC, to=HEBREW, reason=f"{HEBREW} leads; swapping"),
        *SWAPS[1:],
    ),
    narrator=f"סיווג נושאים: {ARABIC} → {HEBREW}. {HEBREW} leads by .23 [.17, .29] on 40 samples",
)  # fmt: skip
WIDE_NAMES = (
    "一个非常长的模型名称-{i}-q4_k_m.llama-server",
    "モデル{i}-日本語-q5.llama-cpp",
    "👩\u200d💻-coder-{i}-🚀-q8.ollama",
    "נמודל-שפה-{i}-q4.llama-server",
    "نموذج-اللغة-{i}-q6.openai_compatible",
    "a-model-with-an-exceedingly-long-name-that-nobody-reads-at-once-{i}-q5_k_m.openai_compatible",
    "한국어모델{i}.llama-server",
    "plain-{i}-q4.llama-server",
)
WIDE_TASKS = ("翻訳", "🧪 experiments", "תרגום", "تصنيف النصوص", "a-task-with-a-very-long-name-indeed", "요약", "code")


def many(models: int = 50, tasks: int = 20) -> Snapshot:
    """The crowd under names of every width and direction, one version on trial."""
    plain = crowd(models, tasks)
    names = {m.version: WIDE_NAMES[i % len(WIDE_NAMES)].format(i=i) for i, m in enumerate(plain.models)}
    titles = {t.task: f"{WIDE_TASKS[i % len(WIDE_TASKS)]}-{i}" for i, t in enumerate(plain.tasks)}
    return replace(
        plain,
        revision=48,
        models=tuple(replace(m, version=names[m.version], aliases=("冠军", "🏆")) for m in plain.models),
        tasks=tuple(
            replace(
                t,
                task=titles[t.task],
                incumbent=names[t.incumbent or ""],
                previous=names[t.previous or ""],
                candidate=names[t.leaderboard[2].version],
                candidate_share=0.1,
                leaderboard=tuple(replace(r, version=names[r.version]) for r in t.leaderboard),
            )
            for t in plain.tasks
        ),
        swaps=tuple(
            replace(
                s, task=titles["task-00"], from_=WIDE_NAMES[i % 8].format(i=i), to=WIDE_NAMES[(i + 3) % 8].format(i=i)
            )
            for i, s in enumerate(SWAPS)
        ),
        narrator="翻訳-0: 一个非常长的模型名称 leads by .15 [.04, .26]; 👩\u200d💻 waits; תרגום",
    )
