"""The canned past of a version and of the machine: what the engine answers to ``/models/{v}/history``, ``/hardware``.

Nothing here is measured: slow waves and a few events, the same every time.
"""

from __future__ import annotations

import math
from typing import Any

from canned import GEMMA, NOW, SMOL, M

ABOUT: dict[str, Any] = {
    "version": GEMMA, "source": "/srv/models/gemma-3-270m-it-Q4_K_M.gguf", "family": "gemma3",
    "licence": "gemma", "parameters": 268_100_000, "file_bytes": 253 * M, "capabilities": ["text-generation"],
    "labels": ["small", "fast"], "options": {"n_batch": 512}, "parallel": 4, "created_at": NOW - 86_400 * 3,
}  # fmt: skip


def past(version: str, count: int = 120) -> dict[str, Any]:
    """``count`` requests, one in twenty failed (its figures unknown), the last load and the one before."""
    samples: list[dict[str, Any]] = []
    for i in range(count):
        failed = i % 20 == 7
        swing = math.sin(i / 9) + 0.3 * math.sin(i * 1.7)
        samples.append({
            "at": NOW - 12 * (count - i), "task": "topic", "success": not failed,
            "tokens_per_second": None if failed else round(118 + 14 * swing, 2),
            "ttft_s": None if failed else round(0.042 + 0.009 * math.cos(i / 5), 4), "memory_bytes": 371 * M,
        })  # fmt: skip
    steps = [
        (40, "ready", "ready after 0.31 s"), (41, "loading", "loading"),
        (700, "exited", "the worker was killed by SIGKILL"), (5000, "ready", "ready after 0.42 s"),
        (5001, "loading", "loading"),
    ]  # fmt: skip
    return {
        "version": version,
        "states": [{"at": NOW - ago, "state": state, "message": said} for ago, state, said in steps],
        "changes": [
            {"id": "9", "at": NOW - 3000, "who": "operator", "action": "pin", "subject": f"{version} True"},
            {"id": "7", "at": NOW - 9000, "who": "operator", "action": "alias", "subject": f"champion -> {version}"},
            {"id": "2", "at": NOW - 86_400 * 3, "who": "operator", "action": "active", "subject": version},
            {"id": "1", "at": NOW - 86_400 * 3, "who": "operator", "action": "register", "subject": version},
        ],
        "samples": samples,
        "memory": {"expected_bytes": 380 * M, "resident_bytes": 371 * M, "largest_bytes": 402 * M},
        "load_s": 0.31,
        "restarts": 1,
        "swaps": [],
    }


def machine(seconds: int = 600, gpus: int = 0) -> dict[str, Any]:
    """Ten minutes of readings; of today's energy one task is measured and one is not."""
    at = [NOW - seconds + i for i in range(seconds)]

    def wave(level: float, slow: float, size: float) -> list[float]:
        return [round(level + size * math.sin(i / slow) + size / 4 * math.sin(i / 3.1), 3) for i in range(seconds)]

    curves: dict[str, Any] = {
        "cpu": wave(0.34, 41, 0.2), "ram": wave(0.41, 97, 0.04), "swap": [0.0] * seconds,
        "pool": [0.1 if i < 200 else 0.29 for i in range(seconds)], "cpu_power_w": wave(28, 30, 6),
        "ane": [None] * seconds,
    }  # fmt: skip
    for g in range(gpus):
        curves[f"gpu{g}"] = wave(0.6, 20 + 9 * g, 0.3)
        curves[f"gpu{g}_memory"] = wave(0.5, 200, 0.05)
        curves[f"gpu{g}_power_w"] = wave(380, 20 + 9 * g, 90)
    return {
        "at": at,
        "curves": curves,
        "kept_s": 600,
        "spent": [
            {"task": "sentiment", "requests": 2205, "measured": 0, "energy_j": None, "priced": 0, "money": None},
            {"task": "topic", "requests": 5120, "measured": 5000, "energy_j": 12_400.0, "priced": 40, "money": 0.0312},
        ],
        "names": [GEMMA, SMOL],
    }
