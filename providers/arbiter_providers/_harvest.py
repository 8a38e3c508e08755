"""What a running server says of its own work: vLLM's and llama-server's /metrics, else llama-server's /slots.

Owns: which of its figures mean what. Never: asks twice for what is not there; counts what we ask of it ourselves.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any

from arbiter_tui.errors import Overloaded, ProviderError
from arbiter_tui.provider import Load

from ._openai_runtime import Runtime, bounded

METRICS, SLOTS = "/metrics", "/slots"
WITHIN_S = 1.0  # it is asked on the way of other figures
_NEVER = (401, 403, 404, 405, 501)  # what these say of a path does not change while a server runs
RUNNING = ("vllm:num_requests_running", "llamacpp:requests_processing")
WAITING = ("vllm:num_requests_waiting", "llamacpp:requests_deferred")
CACHE = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "llamacpp:kv_cache_usage_ratio")  # shares, all three
OURS = ("vllm:", "llamacpp:")
_LINE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{.*\})? ([^ ]+)")


class Harvest:
    """Of one server. What it does not have is not asked for again."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._there = [METRICS, SLOTS]

    async def load(self) -> Load | None:
        """None where it says nothing, or can't now."""
        for path in list(self._there):
            status, data = await self._asked(path)
            if status == 200 and (found := read(path, data)) is not None:
                return found
            if status == 200 or status in _NEVER:
                self._there.remove(path)
        return None

    async def _asked(self, path: str) -> tuple[int | None, bytes]:
        try:
            async with self._runtime.request("GET", path, None, timeout_s=WITHIN_S) as response:
                return response.status, await bounded(response)
        except (ProviderError, Overloaded):
            return None, b""


def read(path: str, data: bytes) -> Load | None:
    """None: these are not the figures that are meant."""
    if path == SLOTS:
        return _slots(data)
    figures: dict[str, list[float]] = {}
    for line in data.decode("utf-8", "replace").splitlines():
        found = _LINE.match(line) if line.startswith(OURS) else None
        if found is not None and (value := _number(found[2])) is not None:
            figures.setdefault(found[1], []).append(value)
    running, waiting = _sum(figures, RUNNING), _sum(figures, WAITING)
    shares = [max(figures[name]) for name in CACHE if name in figures]
    if running is None and waiting is None and not shares:
        return None
    return Load(running=running, waiting=waiting, cache_used=shares[0] if shares else None)


def _slots(data: bytes) -> Load | None:
    try:
        told: Any = json.loads(data)
    except ValueError:
        return None
    if not isinstance(told, list) or not told or not all(isinstance(slot, dict) for slot in told):
        return None
    return Load(running=sum(slot.get("is_processing") is True for slot in told))


def _sum(figures: dict[str, list[float]], names: Iterable[str]) -> int | None:
    found = next((figures[name] for name in names if name in figures), None)
    return None if found is None else round(sum(found))


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
