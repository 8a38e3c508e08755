"""What to do about a GPU that the embedded engine does not use: the configuration block of what is installed.

Owns: which runtimes and model files are here, and the block that uses them. Never: a block that no provider of ours
understands, a model that is not on this disk.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.snapshot import HardwareView

_BACKENDS = ("CUDA", "ROCm", "Vulkan", "Metal", "MTL", "SYCL")
_OLLAMA = '[[providers]]\nname = "ollama"\nkind = "ollama"\nbase_url = "http://127.0.0.1:11434"'
_LLAMA_SERVER = (
    '[[providers]]\nname = "gpu"\nkind = "server"\n'
    'command = ["llama-server", "-m", "{source}", "--port", "{port}", "-ngl", "999"]'
)
_VLLM = '[[providers]]\nname = "vllm"\nkind = "server"\ncommand = ["vllm", "serve", "{source}", "--port", "{port}"]'


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """``gguf``: a GGUF file's path; ``hub``: a model of the hub's cache folder, as ``org/name``; None: none is here."""

    ollama: bool = False
    llama_server: bool = False
    vllm: bool = False
    gguf: str | None = None
    hub: str | None = None


def find_installed(gguf: str | None) -> Installed:
    """Programs on PATH, and a model on this disk for each kind of server. Reads folders only."""
    return Installed(
        ollama=shutil.which("ollama") is not None,
        llama_server=shutil.which("llama-server") is not None,
        vllm=shutil.which("vllm") is not None,
        gguf=gguf,
        hub=_a_hub_model(),
    )


def idle_gpu(view: HardwareView, backend: str, installed: Installed) -> str | None:
    """The block of an installed runtime that uses the GPU, else how to get one; None if none lies idle.

    What needs the least comes first: llama-server takes the very files that are here, Ollama has its own, vLLM wants
    a model of its own kind.
    """
    if not view.gpus or any(word in backend for word in _BACKENDS):
        return None
    idle = f"{view.gpus[0].name or 'the GPU'} is not used by the embedded engine ({backend})"
    if installed.llama_server and installed.gguf is not None:
        return _said(idle, "llama-server", _LLAMA_SERVER, _model("on-the-gpu", "gpu", installed.gguf))
    if installed.ollama:
        return _said(idle, "Ollama", _OLLAMA)
    if installed.vllm and installed.hub is not None:
        return _said(idle, "vLLM", _VLLM, _model("on-the-gpu", "vllm", installed.hub))
    if installed.llama_server or installed.vllm:
        return _without_model(idle, installed)
    return (
        f"{idle}. Install llama-server (llama.cpp), Ollama or vLLM and run `arbiter doctor` again, or, in a clone, "
        "build the llama_cpp engine for it: CMAKE_ARGS=-DGGML_CUDA=ON make engines."
    )


def _said(idle: str, name: str, *blocks: str) -> str:
    return f"{idle}; the installed {name} uses it. In arbiter.toml:\n" + "\n\n".join(blocks)


def _without_model(idle: str, installed: Installed) -> str:
    block, name, command = (
        (_LLAMA_SERVER, "llama-server", "arbiter register --provider gpu PATH.gguf")
        if installed.llama_server
        else (_VLLM, "vLLM", "arbiter register --provider vllm FOLDER_OR_NAME")
    )
    return f"{_said(idle, name, block)}\n\nNo model for it is on this disk yet: get one, then {command}"


def _model(name: str, provider: str, source: str) -> str:
    return f'[[models]]\nname = "{name}"\nprovider = "{provider}"\nsource = {_quoted(source)}'


def _quoted(text: str) -> str:
    return "'" + text + "'" if '"' in text or "\\" in text else f'"{text}"'


def _a_hub_model() -> str | None:
    """The newest in the hub's cache folder that has weights (HF_HUB_CACHE, HF_HOME, else ~/.cache/huggingface/hub)."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    whole = [f for f in cache.glob("models--*--*") if any(f.glob("snapshots/*/*.safetensors"))]
    newest = max(whole, key=lambda folder: folder.stat().st_mtime, default=None)
    return None if newest is None else newest.name.removeprefix("models--").replace("--", "/", 1)
