"""``arbiter doctor``: what works here, what doesn't, and how to get it. Also the backend line of the first run.

Owns: the questions. Never: a change (it starts nothing and writes nothing).
"""

from __future__ import annotations

import asyncio
import contextlib
import platform
import sys
from argparse import Namespace
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from . import text as t
from .connect import load_config, running, state_dir
from .idle_gpu import find_installed, idle_gpu

if TYPE_CHECKING:
    from ..config import Config
    from ..ports import HardwareProbe

# Built against the vendors' documented interfaces and tested with recorded data only: nobody has run these yet.
UNTESTED = (
    "NVIDIA readings (NVML)", "Apple readings (macmon, ioreg)", "AMD readings (amdsmi)",
    "presets for vLLM and mlx_lm.server",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """``level``: ok, note (works, could be better), missing."""

    level: str
    what: str
    detail: str


def doctor(options: Namespace) -> int:
    findings = asyncio.run(examine(options))
    if options.json:
        t.out_json([asdict(f) for f in findings])
    else:
        mark = {"ok": "ok  ", "note": "note", "missing": "MISS"}
        for f in findings:
            first, *more = f.detail.splitlines() or [""]
            t.out(t.wrapped(f"{f.what}: {first}", first=f"{mark[f.level]}  ", indent="      "))
            for line in more:
                t.out(f"      {line}")
    return 0 if all(f.level != "missing" for f in findings) else 1


async def examine(options: Namespace) -> list[Finding]:
    """All findings; each is independent of the others, a broken one says so instead of stopping the rest."""
    config = load_config(options)
    found = [
        Finding("ok", "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        Finding("ok", "configuration", str(config.path) if config.path else "none; the defaults are in force"),
    ]
    engine = running(options)
    where = state_dir(options)
    found.append(Finding("ok", "state folder", str(where)))
    state = f"runs at {engine['url']} (pid {engine['pid']})" if engine else "not running; `arbiter` starts it"
    found.append(Finding("ok" if engine else "note", "engine", state))
    providers, gguf = await _providers(options)
    found += providers
    found += money(engine)
    found += await _machine(config, engine, gguf)
    found.append(Finding("note", "untested on hardware", ", ".join(UNTESTED)))
    return found


async def _providers(options: Namespace) -> tuple[list[Finding], str | None]:
    """What each provider says, and the largest GGUF file that one of them has."""
    from ..adapters.plugins import load_providers

    providers = load_providers(load_config(options).providers)
    found, files = [], {}  # type: list[Finding], dict[str, int]
    usable = 0
    for name, provider in providers.items():
        missing = await provider.available()
        if missing is not None:
            found.append(Finding("note", f"provider {name}", missing))
            continue
        models = await provider.discover()
        usable += bool(models)
        files |= {v.source: v.file_bytes or 0 for v in models if v.source.endswith(".gguf")}
        names = ", ".join(v.version for v in models) or "no models yet (`arbiter register PATH.gguf`)"
        found.append(Finding("ok", f"provider {name}", names))
    if not usable:
        found.append(Finding("missing", "models", "no provider has a model; `make run` installs two small ones"))
    for provider in providers.values():
        await provider.close()
    return found, max(files, key=lambda path: files[path], default=None)


def money(engine: dict[str, Any] | None) -> list[Finding]:
    """What each paid service has cost today, as the running engine counts."""
    from ..client import fetch_json
    from ..errors import ArbiterError

    if engine is None:
        return []
    try:
        rows = fetch_json(str(engine["url"]), "/arbiter/v1/statistics").get("money") or ()
    except ArbiterError:
        return []
    return [_spent(row) for row in rows]


def _spent(row: dict[str, Any]) -> Finding:
    cap, spent = row["budget_per_day"], row["spent_today"]
    if spent is None:
        return Finding("note", f"spent today, {row['provider']}", "unknown: its block has no prices")
    limit = "no cap" if cap is None else f"of {cap:g} a day" + ("; refused until midnight" if spent >= cap else "")
    state = "note" if cap is None or spent >= cap else "ok"
    return Finding(state, f"spent today, {row['provider']}", f"{spent:.4f}, {limit}")


async def _machine(config: Config, engine: dict[str, Any] | None, gguf: str | None) -> list[Finding]:
    from ..adapters.hardware import open_probe

    probe = open_probe()
    try:
        view = await probe.read()
        budget = _budget(config, engine, probe)
    finally:
        await probe.close()
    found = [Finding("ok", "memory", f"{t.size(view.ram_total_bytes.value)}, {t.size(budget)} of it for models")]
    backend = engine_backend()
    found.append(Finding("ok", "backend in use", backend))
    if not view.gpus:
        found.append(Finding("note" if sys.platform == "linux" else "ok", "GPU", view.gpu_why or "none found"))
    for gpu in view.gpus:
        found.append(Finding("ok", f"GPU {gpu.index}", f"{gpu.name}, {t.size(gpu.memory_total_bytes.value)}"))
    if idle := idle_gpu(view, backend, find_installed(gguf)):
        found.append(Finding("note", "a GPU lies idle", idle))
    return found


def _budget(config: Config, engine: dict[str, Any] | None, probe: HardwareProbe) -> int:
    """Bytes for models: what the running engine keeps to, else what one that started now would."""
    from ..client import fetch_json
    from ..engine.life import budget
    from ..errors import ArbiterError

    if engine is not None:
        with contextlib.suppress(ArbiterError):
            return int(fetch_json(str(engine["url"]), "/arbiter/v1/snapshot")["budget"]["limit_bytes"])
    return budget(config, probe)


def engine_backend() -> str:
    """What the embedded engine computes on: CPU, CUDA, Metal ... as it names its devices itself."""
    import subprocess

    code = "import xllamacpp; print(', '.join(d['name'] for d in xllamacpp.get_device_info()) or 'CPU')"
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    except (subprocess.SubprocessError, OSError):
        return "CPU"
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "CPU"
