"""The child process that is a whole llama-server: one model, HTTP on a loopback port that the system chooses.

Owns: turning parameters into the engine's own. Never: a request (they go to the engine's port directly).
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

from arbiter_providers._worker import open_channel

_ALL_LAYERS = 9999


def configure(engine: Any, given: dict[str, Any]) -> Any:
    """The engine's CommonParams for our parameters."""
    params = engine.CommonParams()
    params.model.path = given["path"]
    params.model_alias = {given["name"]}  # its answers name the version, not a path of this machine
    params.n_ctx = given["context"] * given["parallel"]
    params.n_parallel = given["parallel"]
    params.kv_unified = False  # every slot keeps its own full context: a neighbour can't take it
    params.n_gpu_layers = _ALL_LAYERS if given["gpu_layers"] is None else given["gpu_layers"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = given["threads"]
    params.fit_params = False  # the arbiter places models; the engine must not shrink them silently
    params.cache_ram_mib = given["prompt_cache_mib"]  # the default keeps up to 8 GiB of old prompts
    # Whole caches for layers with a sliding window, too: without them a prompt that shares its beginning with the last
    # one (a task's worked examples) is read anew every time. Measured: 4 s against 22 s for 45 questions.
    params.swa_full = True
    params.n_ctx_checkpoints = 1  # each is a copy of a slot's sliding windows; the default keeps 32 of them
    params.embedding = True  # generation still works beside it
    if given["mean_pooling"]:
        params.pooling_type = engine.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.warmup = given["warmup"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.ui = False
    params.cors_origins = "http://127.0.0.1"  # the default lets any web page in
    return params


def backend(engine: Any, gpu_layers: int | None) -> str:
    """CPU, Metal, CUDA, Vulkan ...: where the weights go, as the engine names its devices."""
    if gpu_layers == 0:
        return "CPU"
    names = [str(d["name"]).rstrip("0123456789") for d in engine.get_device_info() if "CPU" not in d["type"].name]
    graphic = [n for n in names if n.upper() not in ("BLAS", "ACCELERATE")]
    return {"MTL": "Metal"}.get(graphic[0], graphic[0]) if graphic else "CPU"


def main() -> None:
    channel = open_channel(int(sys.argv[1]))
    given = channel.parameters()
    channel.listen(lambda message: None)
    started = time.perf_counter()
    try:
        import xllamacpp
    except ImportError as error:
        channel.send({"event": "failed", "message": f"xllamacpp is not installed ({error})"})
        return
    try:
        server = xllamacpp.Server(configure(xllamacpp, given))
    except (RuntimeError, ValueError, OSError, MemoryError) as error:
        channel.send({"event": "failed", "message": str(error)})
        return
    channel.send(
        {
            "event": "ready",
            "url": server.listening_address,
            "backend": backend(xllamacpp, given["gpu_layers"]),
            "system": xllamacpp.get_system_info(),
            "load_s": time.perf_counter() - started,
        }
    )
    threading.Event().wait()  # the listening thread ends the process with its parent


if __name__ == "__main__":
    main()
