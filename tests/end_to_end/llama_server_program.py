"""A program that is called as llama-server is and behaves so: the engine of the xllamacpp wheel behind its flags.

Owns: the handful of flags that the provider passes. Never: anything but one model on one port.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
import threading
from pathlib import Path


def install(folder: Path, name: str = "llama-server") -> Path:
    """A program ``name`` in ``folder`` that runs this file; put the folder on PATH."""
    program = folder / name
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P "{Path(__file__).resolve()}" "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def main() -> None:
    import xllamacpp

    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("-c", "--ctx-size", type=int, default=4096)
    parser.add_argument("-np", "--parallel", type=int, default=1)
    parser.add_argument("-ngl", "--n-gpu-layers", type=int, default=0)
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("--chat-template", default="")
    parser.add_argument("--embeddings", action="store_true")
    given = parser.parse_args()
    print(f"serving {os.path.basename(given.model)} on port {given.port}", file=sys.stderr, flush=True)
    params = xllamacpp.CommonParams()
    params.model.path = given.model
    params.n_ctx, params.n_parallel = given.ctx_size, given.parallel
    params.n_gpu_layers = given.n_gpu_layers
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = given.threads
    params.fit_params = False
    params.kv_unified = False
    params.cache_ram_mib = 0
    params.embedding = given.embeddings
    if given.embeddings:
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.warmup = False
    if given.chat_template:
        params.chat_template = given.chat_template
    params.hostnames, params.port, params.ui = [given.host], given.port, False
    server = xllamacpp.Server(params)
    print(f"listening at {server.listening_address}", file=sys.stderr, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
