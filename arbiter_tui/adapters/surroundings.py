"""What is on this machine already: servers that answer at their usual ports, model files in the usual folders.

Owns: looking. Never: changes anything, opens a model, asks beyond loopback. Each finding says how to use it: a block
for the configuration, or a command.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

PORTS: Mapping[int, str] = {
    1234: "LM Studio",
    8080: "llama-server",
    8000: "vLLM",
    8081: "mlx_lm.server",
    1337: "Jan",
}
ASK_WITHIN_S = 1.0
DEEPEST = 6  # folders below a usual one
MOST = 200  # findings; a folder with more is somebody's archive
SMALLEST = 1024 * 1024  # bytes of a model file


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """``kind``: server, gguf, safetensors, mlx, onnx. ``how``: a block of arbiter.toml or a command; None: not yet."""

    kind: str
    name: str
    where: str
    models: tuple[str, ...] = ()
    bytes: int | None = None
    how: str | None = None


async def look(*, known: Iterable[str], own_port: int | None, folders: Sequence[Path] | None = None) -> list[Finding]:
    """``known``: base URLs and paths that are in use already; they are left out."""
    taken = {place.rstrip("/") for place in known}
    servers = await _servers(taken, own_port)
    files = await asyncio.to_thread(lambda: list(_files(usual_folders() if folders is None else folders, taken)))
    return [*servers, *files]


# ── servers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _servers(taken: set[str], own_port: int | None) -> list[Finding]:
    ports = [port for port in PORTS if port != own_port]
    timeout = aiohttp.ClientTimeout(total=ASK_WITHIN_S)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        found = await asyncio.gather(*(_server(session, port) for port in ports))
    return [f for f in found if f is not None and f.where not in taken]


async def _server(session: aiohttp.ClientSession, port: int) -> Finding | None:
    url = f"http://127.0.0.1:{port}"
    told = await _json(session, f"{url}/v1/models")
    entries = told.get("data") if isinstance(told, dict) else None
    if not isinstance(entries, list):
        return None
    models = tuple(str(e["id"]) for e in entries if isinstance(e, dict) and isinstance(e.get("id"), str))
    return Finding(kind="server", name=_named(entries, port), where=url, models=models, how=_block(url, port))


def _named(entries: Sequence[Any], port: int) -> str:
    """By what it says of itself, else by its port."""
    owners = {str(e.get("owned_by")) for e in entries if isinstance(e, dict)}
    told = {"llamacpp": "llama-server", "vllm": "vLLM", "organization_owner": "LM Studio"}
    return next((name for owner, name in told.items() if owner in owners), PORTS[port])


def _block(url: str, port: int) -> str:
    name = PORTS[port].lower().replace(" ", "-").replace("_", "-")
    return f'[[providers]]\nname = "{name}"\nkind = "openai_compatible"\nbase_url = "{url}"'


async def _json(session: aiohttp.ClientSession, url: str) -> Any:
    try:
        async with session.get(url, allow_redirects=False) as answer:
            return json.loads(await answer.content.read(4 * 1024 * 1024)) if answer.status == 200 else None
    except (aiohttp.ClientError, OSError, ValueError):  # TimeoutError is an OSError
        return None


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def usual_folders() -> list[Path]:
    """Where LM Studio, llama.cpp, Hugging Face's hub, Jan and people keep models; those that are there."""
    home = Path.home()
    hub = Path(os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME", home / ".cache/huggingface")) / "hub")
    places = [
        home / ".lmstudio/models", home / ".cache/lm-studio/models", home / ".cache/llama.cpp", hub,
        home / "jan/llamacpp/models", home / "models", home / "Models",
    ]  # fmt: skip
    if sys.platform == "darwin":
        places.append(home / "Library/Caches/llama.cpp")
    return [place for place in places if place.is_dir()]


def _files(folders: Sequence[Path], taken: set[str]) -> Iterator[Finding]:
    seen: set[Path] = set()
    for folder in folders:
        for path in _below(folder):
            real = path.resolve()
            if real in seen or str(real) in taken or str(path) in taken:
                continue
            seen.add(real)
            found = _file(path)
            if found is not None:
                yield found
            if len(seen) >= MOST:
                return


def _below(folder: Path, depth: int = 0) -> Iterator[Path]:
    """Model files, and folders that are a model, sorted; what can't be read is passed over."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    names = {entry.name for entry in entries}
    if "config.json" in names and any(name.endswith(".safetensors") for name in names):
        yield folder
        return
    for entry in entries:
        if entry.is_dir() and depth < DEEPEST:
            yield from _below(entry, depth + 1)
        elif entry.suffix in (".gguf", ".onnx"):
            yield entry


def _file(path: Path) -> Finding | None:
    try:
        if path.is_dir():
            return _folder(path)
        size = path.stat().st_size
    except OSError:
        return None
    part = path.stem.rpartition("-of-")[0].rpartition("-")[2]
    if size < SMALLEST or path.name.startswith("mmproj") or (part.isdigit() and int(part) > 1):
        return None  # no language model, or not the first of its parts
    if path.suffix == ".gguf":
        return Finding(
            kind="gguf", name=path.stem, where=str(path), bytes=size, how=f"arbiter register {shlex.quote(str(path))}"
        )
    return Finding(kind="onnx", name=path.stem, where=str(path), bytes=size)


def _folder(path: Path) -> Finding:
    size = sum(f.stat().st_size for f in path.glob("*.safetensors"))
    config = _config(path)
    hub = next((p.name for p in path.parents if p.name.startswith("models--")), None)
    name = path.name if hub is None else hub.removeprefix("models--").replace("--", "/", 1)
    mlx = "mlx" in str(path).lower() or "quantization" in config
    program = ["mlx_lm.server", "--model", "{source}", "--port", "{port}"] if mlx else ["vllm", "serve", "{source}",
                                                                                      "--port", "{port}"]  # fmt: skip
    block = (
        f'[[providers]]\nname = "{"mlx" if mlx else "vllm"}-{_safe(name)}"\nkind = "server"\n'
        f'command = {json.dumps(program)}\nmodels = [{_quoted(str(path))}]'
    )  # fmt: skip
    return Finding(kind="mlx" if mlx else "safetensors", name=name, where=str(path), bytes=size, how=block)


def _safe(name: str) -> str:
    """For a block's own name: several that are found can stand in one file."""
    return re.sub(r"[^a-z0-9]+", "-", name.rpartition("/")[2].lower()).strip("-")[:40] or "model"


def _config(path: Path) -> Mapping[str, Any]:
    try:
        told = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _quoted(text: str) -> str:
    """As TOML writes it, whose escapes are not quite JSON's: what can stand as it is does."""
    return json.dumps(text, ensure_ascii=False)
